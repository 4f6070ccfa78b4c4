"""Type checks of values from users and servers, and what of them a message may show.

Used wherever such a value is read. They never raise: each answers yes or no, and its caller raises what fits.
"""

from __future__ import annotations

import math
from typing import TypeGuard


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a finite number that a float can hold: an int or a float, and no bool."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def is_text(value: object) -> TypeGuard[str]:
    """Whether it is a string that can be written as UTF-8: one without lone surrogates."""
    return isinstance(value, str) and (
        value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
    )


_LONGEST = 2_000
"""Characters of a message."""


def on_one_line(text: str) -> str:
    """The text with a space or an escape for each character that would end a line, control a terminal, or not be
    written as UTF-8. One that is too long for a message is cut.
    """
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}..."
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else " " if each.isspace() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )
