"""Text that does not show itself: for arguments that are secrets.

Tools that print the local variables of a traceback would show them otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Hidden(str):
    """A string like any other, whose repr does not tell it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"


class HiddenBytes(bytes):
    """The same for bytes, as of a PEM file."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"


class HiddenDict(dict[str, Any]):
    """The same for a JWK."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"


def hidden(value: Any) -> Any:
    """The same value, unreadable in a traceback: text, bytes, a mapping, or a tuple of these."""
    if isinstance(value, str):
        return Hidden(value)
    if isinstance(value, bytes):
        return HiddenBytes(value)
    items: Any = value
    if isinstance(value, tuple):
        return tuple(map(hidden, items))
    return HiddenDict(items) if isinstance(value, Mapping) else items
