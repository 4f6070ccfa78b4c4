"""Every place where a value or an error can show what is in it, as strings to search.

Used by the canary's trials: what loggers, debuggers, terminals, error reporters and pickles show. Each place has a
name, which the named exceptions of `exceptions.py` match. The frames of the tests themselves are left out, since the
secrets are made there.
"""

from __future__ import annotations

import copy
import dataclasses
import pickle
import pprint
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.pretty import pretty_repr
from rich.traceback import Traceback

_TESTS = str(Path(__file__).parents[2])
_PYTEST = ("/_pytest/", "/pluggy/", "/pytest/", "/click/testing.py")


class Shown(NamedTuple):
    """A text, and where it shows: such as `repr of TokenSource`."""

    sink: str
    text: str


def of_value(value: object, name: str = "") -> Iterator[Shown]:
    """All that a log, a debugger or a pickle can show of a value; of an error also its chain and its frames."""
    if isinstance(value, BaseException):
        yield from of_error(value)
        return
    kind = name or type(value).__name__
    for sink, show in VALUE_SINKS.items():
        text = _attempt(show, value)
        if text is not None:
            yield Shown(f"{sink} of {kind}", text)
    for attribute in ("request", "response", "headers", "history"):
        part = _attribute(value, attribute)
        if part is not None and not callable(part):
            for sink, show in VALUE_SINKS.items():
                if sink in ("repr", "vars"):
                    yield Shown(f"{sink} of {kind}.{attribute}", _attempt(show, part) or "")


def _vars(value: object) -> str | None:
    return repr(vars(value)) if hasattr(value, "__dict__") else None


def _asdict(value: object) -> str | None:
    return repr(dataclasses.asdict(value)) if dataclasses.is_dataclass(value) and not isinstance(value, type) else None


def _pickle(value: object) -> str:
    return pickle.dumps(value).decode("latin-1")


def _expanded(value: object) -> str | None:
    """Mappings as error reporters show them: taken apart, regardless of their own repr."""
    return " ".join(map(repr, value.items())) if isinstance(value, Mapping) else None


VALUE_SINKS: dict[str, Callable[[Any], str | None]] = {
    "repr": repr,
    "str": str,
    "format": lambda value: f"{value} {value!a}",
    "vars": _vars,
    "asdict": _asdict,
    "copy": lambda value: f"{copy.copy(value)!r} {_vars(copy.copy(value))}",
    "deepcopy": lambda value: f"{copy.deepcopy(value)!r} {_vars(copy.deepcopy(value))}",
    "pickle": _pickle,
    "rich": pretty_repr,
    "pprint": pprint.pformat,
    "expanded": _expanded,
}
"""What shows of a value. One that cannot be pickled or copied raises an error, which is searched in its place."""


def _attempt(show: Callable[[Any], str | None], value: object) -> str | None:
    try:
        return show(value)
    except Exception as error:
        return f"{type(error).__name__}: {error!r} {error.args!r}"


def _attribute(value: object, name: str) -> object:
    try:
        return getattr(value, name, None)
    except Exception as error:
        return repr(error)


def of_error(error: BaseException) -> Iterator[Shown]:
    """Its text and its fields, those of all that it is chained to or groups, and the local variables of each frame."""
    for each in chain_of(error):
        kind = type(each).__name__
        # An error that is also an HTTP client's: its own request is searched as a value.
        for sink in ("repr", "str", "vars", "copy", "pickle"):
            yield Shown(f"{sink} of error {kind}", _attempt(VALUE_SINKS[sink], each) or "")
        yield Shown(f"args of error {kind}", f"{each.args!r} {getattr(each, '__notes__', ())!r}")
        for attribute in ("request", "response"):
            part = _attribute(each, attribute)
            if part is not None:
                yield from of_value(part, f"error.{attribute}")
    yield Shown("traceback", "".join(traceback.format_exception(error)))
    yield from frames_of(error)
    yield from _rich_frames(error)


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """The error, its causes, its contexts and the members of groups, each once."""
    queue: list[BaseException | None] = [error]
    seen: set[int] = set()
    while queue:
        each = queue.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        queue += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            queue += each.exceptions


def frames_of(error: BaseException) -> Iterator[Shown]:
    """`TracebackException(capture_locals=True)`, which `logging`, `cgitb`'s successors and Sentry resemble."""
    for each in chain_of(error):
        shown = traceback.TracebackException.from_exception(each, capture_locals=True, max_group_width=1000)
        for frame in shown.stack:
            if not _is_of_a_test(frame.filename):
                for name, value in (frame.locals or {}).items():
                    yield Shown(f"local {name} of {_module(frame.filename)}:{frame.name}", value)


def _rich_frames(error: BaseException) -> Iterator[Shown]:
    """`rich.traceback` with `show_locals`: it takes containers apart, and cuts long strings by slicing them."""
    for each in chain_of(error):
        # Without the source lines: they are the program's, not the trial's.
        extracted = Traceback.extract(type(each), each, each.__traceback__, show_locals=True, locals_max_length=1000)
        for stack in extracted.stacks:
            yield Shown("rich text", f"{stack.exc_value} {getattr(stack, 'notes', '')}")
            for frame in stack.frames:
                if not _is_of_a_test(frame.filename):
                    for name, node in (frame.locals or {}).items():
                        yield Shown(f"rich local {name} of {_module(frame.filename)}:{frame.name}", str(node))


def _is_of_a_test(filename: str) -> bool:
    return filename.startswith(_TESTS) or any(part in filename for part in _PYTEST)


def _module(filename: str) -> str:
    path = filename.removesuffix(".py")
    for root in ("site-packages/", "/blnk_auth/", "/lib/python3.11/", "/lib/python3.12/", "/lib/python3.13/"):
        if root in path:
            _, _, tail = path.rpartition(root)
            return f"{'blnk_auth.' if root == '/blnk_auth/' else ''}{tail}".replace("/", ".")
    return path
