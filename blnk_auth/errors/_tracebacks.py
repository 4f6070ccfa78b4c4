"""Keeps secrets out of tracebacks, of which debuggers, rich and Sentry show the local variables.

Used by the public functions and classes that secrets pass through. It promises that an error that leaves one of them
shows no local variable of this package: all frames of this package have ended by then, and are cleared. It never
changes a frame of other code. Frames of other code may show the repr of an object that they got from us: `redacted`
makes one whose repr shows no secret.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from types import FunctionType, TracebackType
from typing import Any, SupportsIndex, TypeVar, cast

Value = TypeVar("Value")


_PACKAGE = __name__.partition(".")[0] + "."
_COROUTINE = 0x80
"""`inspect.CO_COROUTINE`, without the import of `inspect`."""


def clears_locals(target: Value) -> Value:
    """A decorator: an error that leaves the function shows no local variable of this package.

    For a class, it decorates the constructor and each public method that the class itself defines. Generators are left
    as they are.
    """
    if isinstance(target, type):
        for name, member in vars(target).copy().items():
            if name == "__init__" or not name.startswith("_"):
                setattr(target, name, _clearing(member))
        return cast("Value", target)
    return cast("Value", _clearing(target))


def constructor_clears_locals(cls: type[Value]) -> type[Value]:
    """A class decorator: like `clears_locals`, but only for the constructor. For classes on the hot path."""
    constructor: Any = cls
    constructor.__init__ = _clearing_function(constructor.__init__)
    return cls


def _clearing(member: Any) -> Any:
    if isinstance(member, classmethod | staticmethod):
        kind: Any = classmethod if isinstance(member, classmethod) else staticmethod
        return kind(_clearing(cast("Any", member).__func__))
    if isinstance(member, property):
        return property(_clearing(member.fget), member.fset, member.fdel, member.__doc__)
    if not isinstance(member, FunctionType):
        return member
    return _clearing_coroutine(member) if member.__code__.co_flags & _COROUTINE else _clearing_function(member)


def _clearing_function(function: Any) -> Any:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            clear_locals(error)
            raise

    return call


def _clearing_coroutine(function: Any) -> Any:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            clear_locals(error)
            raise

    return call


def clear_locals(error: BaseException) -> None:
    """Clear the frames of this package that have ended, in the tracebacks of `error` and of its causes and contexts."""
    queue: list[BaseException | None] = [error]
    seen: set[int] = set()
    while queue:
        each = queue.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            _clear_frames(each.__traceback__)
            queue += [each.__cause__, each.__context__]


def _clear_frames(trace: TracebackType | None) -> None:
    while trace is not None:
        # Recognized by the module and not by the file: the constructor of a dataclass has no file.
        if str(trace.tb_frame.f_globals.get("__name__")).startswith(_PACKAGE):
            # A frame that is still running cannot be cleared. The function it belongs to calls `clear_locals` later,
            # when the error leaves it.
            with contextlib.suppress(RuntimeError):
                trace.tb_frame.clear()
        trace = trace.tb_next


class Redacted(str):
    """A string whose repr does not show it. Its slices are also `Redacted`; its pickle is an ordinary string."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<redacted>"

    def __getitem__(self, index: SupportsIndex | slice) -> Redacted:
        # rich shows the beginning of a long string.
        return Redacted(super().__getitem__(index))

    def __copy__(self) -> Redacted:
        return self

    def __deepcopy__(self, memo: object) -> Redacted:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickles that contain a secret on purpose, as that of a token does, must not name a private class.
        return str, (str(self),)


class RedactedBytes(bytes):
    """Like `Redacted`, for bytes such as those of a PEM file."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<redacted>"

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        return RedactedBytes(super().__getitem__(index)) if isinstance(index, slice) else super().__getitem__(index)

    def __copy__(self) -> RedactedBytes:
        return self

    def __deepcopy__(self, memo: object) -> RedactedBytes:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return bytes, (bytes(self),)


class RedactedDict(dict[str, Any]):
    """Like `Redacted`, for a mapping such as a JWK. Its values are redacted too: some tools show them one by one."""

    __slots__ = ()

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__({name: redacted(value) for name, value in values.items()})

    def __repr__(self) -> str:
        return "<redacted>"

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


def redacted(value: Value) -> Value:
    """The same value with a repr that does not show it. For a string, bytes, a mapping, or a tuple of these.

    For secret arguments: without it, tools that print the local variables of a traceback would show them.
    """
    made: Any = value
    if isinstance(value, str):
        made = Redacted(value)
    elif isinstance(value, bytes):
        made = RedactedBytes(value)
    elif isinstance(value, tuple):
        made = tuple(map(redacted, cast("tuple[Any, ...]", value)))
    elif isinstance(value, Mapping):
        made = RedactedDict(cast("Mapping[str, Any]", value))
    return cast("Value", made)
