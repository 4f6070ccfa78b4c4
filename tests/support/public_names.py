"""What is public: the modules, the names that each lists, and their members. Used by every test of the public surface;
it tests nothing.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import blnk_auth

_NO_API = {"blnk_auth.cli", "blnk_auth.__main__", "blnk_auth.testing.fixtures", "blnk_auth.testing.pytest_plugin"}
"""Programs, and a plug-in of pytest, which are used by their names."""


@functools.cache
def public_modules() -> tuple[str, ...]:
    """The modules that are public by path: no part of their names has a leading underscore."""
    found = [blnk_auth.__name__]
    for each in pkgutil.walk_packages(blnk_auth.__path__, f"{blnk_auth.__name__}.", onerror=lambda _: None):
        is_private = any(part.startswith("_") for part in each.name.split("."))
        if not is_private and not any(each.name == name or each.name.startswith(f"{name}.") for name in _NO_API):
            found.append(each.name)
    return tuple(sorted(found))


def names_of(module: ModuleType) -> list[str]:
    """What a module lists as public."""
    return sorted(module.__all__)


def is_public(home: str, name: str) -> bool:
    """Whether a module that is public lists the name."""
    return home in public_modules() and name in importlib.import_module(home).__all__


def public_members(cls: type) -> list[str]:
    """The members of a class, in alphabetical order; and those of its bases here that are not listed themselves."""
    ours = [
        base
        for base in cls.__mro__
        if base.__module__.partition(".")[0] == blnk_auth.__name__
        and (base is cls or not is_public(base.__module__, base.__name__))
    ]
    own = {name for base in ours for name in (*vars(base), *vars(base).get("__annotations__", ()))}
    return sorted(name for name in own if not name.startswith("_"))


@functools.cache
def public_definitions() -> dict[str, Any]:
    """Each public class and function, by the path and name of its home."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for path in public_modules():
        module = importlib.import_module(path)
        for name in names_of(module):
            value = getattr(module, name)
            home = getattr(value, "__module__", "")
            is_ours = home.partition(".")[0] == blnk_auth.__name__
            if is_ours and (inspect.isclass(value) or inspect.isroutine(value)) and id(value) not in seen:
                seen.add(id(value))
                found[f"{home if is_public(home, name) else path}.{name}"] = value
    return found


def function_of(cls: type, member: str) -> Callable[..., Any] | None:
    """The function behind a method, a class method, a static method or a property; None for an attribute."""
    found = inspect.getattr_static(cls, member, None)
    if isinstance(found, property):
        return found.fget
    if isinstance(found, classmethod | staticmethod):
        return found.__func__
    return found if isinstance(found, FunctionType) else None


def public_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Each public function, constructor, method and property, by its full name."""
    for path, value in public_definitions().items():
        if not inspect.isclass(value):
            yield path, value
            continue
        for member in ("__init__", *public_members(value)):
            function = function_of(value, member)
            if function is not None:
                yield f"{path}.{member}", function
