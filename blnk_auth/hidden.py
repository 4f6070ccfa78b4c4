"""Text that does not show itself: for arguments that are secrets.

Tools that print the local variables of a traceback would show them otherwise.
"""

from __future__ import annotations

from typing import Any


class Hidden(str):
    """A string like any other, whose repr does not tell it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"


def hidden(value: Any) -> Any:
    """The same value, unreadable in a traceback if it is text."""
    return Hidden(value) if isinstance(value, str) else value
