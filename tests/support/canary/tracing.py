"""Which public names a trial enters, so that a row cannot declare one that it does not run.

Used by `table`. A function, method or property is entered when its code starts to run, on any thread; a class when its
constructor does.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import threading
from collections.abc import Iterable, Iterator
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

from blnk_auth._renewal.worker import shared_workers

from .coverage import public_modules


class _Name(NamedTuple):
    """A public name, and of what class its `self` or `cls` is; None for a function."""

    name: str
    owner: type[Any] | None


@contextlib.contextmanager
def entered_names() -> Iterator[set[str]]:
    """The public names that are entered while the context is open, on this thread and on threads that it starts."""
    entered: set[str] = set()
    watched = _watched()

    def starts(frame: FrameType, event: str, _: object) -> None:
        for each in watched.get(frame.f_code, ()):
            if each.owner is None or _is_of(_first_argument(frame), each.owner):
                entered.add(each.name)

    before = sys.gettrace()
    # A worker that is idle now would take work without being traced, and one of this context would be traced later.
    shared_workers().reset_after_fork()
    # No local trace function: only calls are reported, no lines.
    threading.settrace(starts)
    sys.settrace(starts)
    try:
        yield entered
    finally:
        sys.settrace(before)
        threading.settrace(before)  # type: ignore[arg-type]
        shared_workers().reset_after_fork()


def _first_argument(frame: FrameType) -> object:
    code = frame.f_code
    return frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None


def not_entered(declared: Iterable[str], entered: set[str]) -> list[str]:
    """The declared names that were not entered, of those that have code of their own in Python."""
    known = {each.name for names in _watched().values() for each in names}
    return [name for name in declared if name in known and name not in entered]


def _is_of(first: object, owner: type[Any]) -> bool:
    # Not `isinstance`, which some protocols refuse.
    return owner in (first if isinstance(first, type) else type(first)).__mro__


@functools.cache
def _watched() -> dict[CodeType, list[_Name]]:
    found: dict[CodeType, list[_Name]] = {}
    for module in public_modules():
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value):
                for member, function in _functions_of(value):
                    is_static = isinstance(vars(value).get(member.partition(".")[2]), staticmethod)
                    found.setdefault(function.__code__, []).append(_Name(member, None if is_static else value))
            elif inspect.isroutine(value):
                for function in _functions(value):
                    found.setdefault(function.__code__, []).append(_Name(name, None))
    return found


def _functions_of(cls: type[Any]) -> Iterator[tuple[str, FunctionType]]:
    for special in () if getattr(cls, "_is_protocol", False) else ("__init__", "__new__"):
        for function in _functions(getattr(cls, special)):
            yield cls.__name__, function
    for name in () if getattr(cls, "_is_protocol", False) else dir(cls):
        home = next((base for base in cls.__mro__ if name in vars(base)), cls)
        # What a protocol declares, another class runs.
        if not name.startswith("_") and not getattr(home, "_is_protocol", False):
            member = vars(home)[name]
            for function in () if getattr(member, "__isabstractmethod__", False) else _functions(member):
                yield f"{cls.__name__}.{name}", function


def _functions(member: object) -> Iterator[FunctionType]:
    """The functions behind a routine, a property, or what wraps one."""
    for inner in (
        *(getattr(member, name, None) for name in ("__func__", "fget", "fset", "func")),
        inspect.unwrap(member) if callable(member) else None,
    ):
        if isinstance(inner, FunctionType):
            unwrapped = inspect.unwrap(inner)
            yield unwrapped if isinstance(unwrapped, FunctionType) else inner
