"""Everything public, with signatures, as one text: `tests/data/public_surface.txt`. A change to it is a decision.

`make snapshots` writes the text again.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any

import pytest
from support.public_names import is_public, names_of, public_members, public_modules

FILE = Path(__file__).parent.parent / "data" / "public_surface.txt"
WRITE = "make snapshots"


def surface() -> str:
    """The text: each public module, each of its names, and each member of a class that is at home there."""
    lines = [f"# Written by `{WRITE}`; see test_public_surface.py."]
    for path in public_modules():
        module = importlib.import_module(path)
        lines += ["", f"[{path}]"]
        for name in names_of(module):
            lines += described(name, getattr(module, name), path)
    return "\n".join(lines) + "\n"


def described(name: str, value: Any, path: str) -> Iterator[str]:
    """The lines for one name: where it is at home, else its signature and its members."""
    home = getattr(value, "__module__", path)
    if home != path and f"{home}.{name}" != f"{path}.{name}" and is_public(home, name):
        yield f"{name} = {home}.{name}"
    elif inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        head = f"class {name}{f' <{bases}>' if bases else ''}"
        # A protocol is not called, and its signature in `inspect` differs from Python to Python.
        yield from (
            [head] if getattr(value, "_is_protocol", False) or issubclass(value, dict) else signature(head, value)
        )
        for member in public_members(value):
            yield from described_member(value, member)
    elif inspect.isroutine(value):
        yield from signature(name, value)
    elif typing.get_origin(value) is not None or isinstance(value, UnionType):
        yield f"{name} = {str(value).replace('typing.', '').replace('collections.abc.', '')}"
    else:
        yield f"{name}: {type(value).__name__}"


def described_member(cls: type, name: str) -> Iterator[str]:
    """The lines for a method, a property or an attribute."""
    member = inspect.getattr_static(cls, name, None)
    if isinstance(member, property):
        returned = inspect.signature(typing.cast("Any", member.fget)).return_annotation
        yield f"    {name}: {plain(returned)}"
    elif isinstance(member, classmethod | staticmethod):
        yield from signature(f"    {type(member).__name__} {name}", member.__func__)
    elif inspect.isfunction(member):
        yield from signature(f"    {'async ' if inspect.iscoroutinefunction(member) else ''}{name}", member)
    else:
        hints = [vars(base).get("__annotations__", {}).get(name) for base in cls.__mro__]
        hint = next((plain(hint) for hint in hints if hint is not None), None)
        yield f"    {name}" if hint is None else f"    {name}: {hint}"


def signature(head: str, value: Any) -> Iterator[str]:
    """A signature on one line; one line for each parameter if that is too long."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        yield head
        return
    parts: list[str] = []
    keyword_only = False
    for each in found.parameters.values():
        if each.name in ("self", "cls") and not parts:
            continue
        if each.kind is each.VAR_POSITIONAL:
            keyword_only = True
        if each.kind is each.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            parts.append("*")
        stars = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}.get(each.kind, "")
        hint = "" if each.annotation is each.empty else f": {plain(each.annotation)}"
        default = "" if each.default is each.empty else f" = {shown(each.default)}"
        parts.append(f"{stars}{each.name}{hint}{default}")
    returned = "" if found.return_annotation is found.empty else f" -> {plain(found.return_annotation)}"
    if head.lstrip().startswith("class "):
        returned = ""
    line = f"{head}({', '.join(parts)}){returned}"
    if len(line) <= 120:
        yield line
    else:
        indent = " " * (len(head) - len(head.lstrip()) + 4)
        yield f"{head}("
        yield from (f"{indent}{part}," for part in parts)
        yield f"{indent[:-4]}){returned}"


def plain(annotation: Any) -> str:
    """An annotation as it is written."""
    if isinstance(annotation, typing.ForwardRef):
        return annotation.__forward_arg__
    if isinstance(annotation, str):
        return annotation
    return inspect.formatannotation(annotation).replace("collections.abc.", "").replace("typing.", "")


def shown(default: object) -> str:
    """A default without what changes from run to run."""
    if inspect.isroutine(default) or inspect.isclass(default):
        return default.__name__
    if default is os.environ:
        return "os.environ"
    text = repr(default)
    return "..." if " object at 0x" in text or "<factory>" in text else text


def test_the_public_surface_is_what_was_decided() -> None:
    """Compare the two files, and if the change is meant: make snapshots."""
    assert surface().splitlines() == FILE.read_text("utf-8").splitlines()


@pytest.mark.parametrize("path", public_modules())
def test_a_public_module_lists_its_names(path: str) -> None:
    """`__all__` has no duplicate and no private name, and every name is there."""
    module = importlib.import_module(path)
    assert len(module.__all__) == len(set(module.__all__))
    assert [name for name in module.__all__ if name.startswith("_") and name != "__version__"] == []
    assert [name for name in module.__all__ if getattr(module, name, None) is None] == []


def undocumented() -> Iterator[str]:
    """Each public class, function and member without a docstring, its own or inherited."""
    for path in public_modules():
        module = importlib.import_module(path)
        for name in names_of(module):
            value = getattr(module, name)
            if (inspect.isclass(value) or inspect.isroutine(value)) and not inspect.getdoc(value):
                yield f"{path}.{name}"
            for member in public_members(value) if inspect.isclass(value) else ():
                found = inspect.getattr_static(value, member, None)
                is_documented = isinstance(found, property | classmethod | staticmethod) or inspect.isroutine(found)
                if is_documented and not inspect.getdoc(getattr(value, member)):
                    yield f"{path}.{name}.{member}"


def test_every_public_member_is_documented() -> None:
    """Editors and the reference show it."""
    assert sorted(set(undocumented())) == []


if __name__ == "__main__":
    FILE.write_text(surface(), "utf-8")
    sys.stdout.write(f"{os.path.relpath(FILE)} is written\n")
