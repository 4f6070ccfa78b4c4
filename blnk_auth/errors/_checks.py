"""Type checks of values from users and servers, and how much of such a value a message may show.

Used wherever such a value is read. A check never raises: it returns True or False, and its caller raises the error.
"""

from __future__ import annotations

import math
from typing import TypeGuard

_SECRET_FROM = 12
"""Characters. A shorter piece of a secret is of little use."""
_BEGINNING = 8
_LONGEST_QUOTED = 100
_OF_WORDS = "abcdefghijklmnopqrstuvwxyz_-.:/ "
"""The characters of words and host names. A generated secret of this length has a digit or a capital letter."""


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a finite number that a float can hold: an int or a float, and no bool."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def is_bool(value: object) -> TypeGuard[bool]:
    """Whether it is True or False: for a switch, 0, 1, "false" and None are mistakes."""
    return isinstance(value, bool)


def quoted(value: object) -> str:
    """A value that is refused, as an error shows it. It may be a secret in the wrong place.

    Shown are: numbers and None; a string that is short or made of lower-case words; the beginning of any other string;
    the type of any other value.
    """
    if isinstance(value, int | float) or value is None:
        return repr(value)[:_LONGEST_QUOTED]
    if not isinstance(value, str):
        return kind_of(value)
    if len(value) < _SECRET_FROM or (len(value) <= _LONGEST_QUOTED and set(value) <= set(_OF_WORDS)):
        return repr(value)
    return f"{value[:_BEGINNING]!r}..."


def kind_of(value: object) -> str:
    """The type of a value that is refused, for an error that must not show the value: "a dict", "an int", "None"."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in tuple('aeio') else 'a'} {name}"


def is_text(value: object) -> TypeGuard[str]:
    """Whether it is a string that can be written as UTF-8: one without lone surrogates."""
    return isinstance(value, str) and (
        value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
    )


_LONGEST = 2_000
"""Characters of a message."""


def on_one_line(text: str) -> str:
    """The text as one printable line, cut at the length of a message.

    A character that would end a line, control a terminal, or not be valid UTF-8 becomes a space or an escape.
    """
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}..."
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else " " if each.isspace() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )
