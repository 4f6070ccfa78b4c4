"""How large a value is as JSON.

Used by everything that keeps members which a server sent. It promises an answer for every value, in time and memory
that are bounded by the size that is allowed. It never writes the JSON, and never raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from ._checks import is_number, is_text

_DEEPEST = 32
_LARGEST_INTEGER = 1024
"""Bits. Python refuses to write integers of thousands of digits."""


def json_size(value: Any, *, most: int) -> int | None:
    """About how many characters a value takes as JSON; None if it is not JSON, too deep, or takes more than `most`."""
    size = 0
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        if isinstance(each, dict | list | tuple):
            collection = cast("dict[Any, Any] | Sequence[Any]", each)
            children = _children(collection)
            if children is None or depth > _DEEPEST:
                return None
            waiting.extend((child, depth + 1) for child in children)
            size += 2 * len(collection)
        elif not _is_plain(each):
            return None
        else:
            size += len(each) + 2 if isinstance(each, str) else 20
        if size > most:
            return None
    return size


def _children(collection: dict[Any, Any] | Sequence[Any]) -> Iterable[Any] | None:
    if not isinstance(collection, dict):
        return collection
    if not all(isinstance(name, str) for name in collection):
        return None
    return (*collection, *collection.values())


def _is_plain(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return value.bit_length() <= _LARGEST_INTEGER
    return value is None or isinstance(value, bool) or is_text(value) or is_number(value)
