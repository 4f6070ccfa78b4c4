"""Reads the rows of a table page by page, in the order of their keys.

Used by the stores in a database. It promises ascending keys, each once. A damaged index may return rows in the wrong
order, so that a listing would never end, or leave out keys; this is reported as an error. It never has more than one
page in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ..errors import StoreError

PAGE = 500
"""How many rows are read at a time."""

Row = TypeVar("Row", bound=tuple[Any, ...])


def rows_in_order(
    first_page: Callable[[str], list[Row]],
    next_page: Callable[[str], list[Row]],
    start: str,
    out_of_order: Callable[[], StoreError],
) -> Iterator[Row]:
    """Every row whose key is `start` or above. The key is the first column.

    `first_page(key)` reads the row of that key and the rows after it; `next_page(key)` only the rows after it. Both
    return at most `PAGE` rows, ascending. If a key is not above the one before it, the error that `out_of_order`
    returns is raised.
    """
    page, last = first_page(start), None
    while page:
        for row in page:
            key = row[0]
            if not isinstance(key, str) or key < start or (last is not None and key <= last):
                raise out_of_order()
            last = key
            yield row
        page = next_page(page[-1][0])


def keys_in_order(rows: Iterator[tuple[str]], prefix: str) -> Iterator[str]:
    """The keys that begin with `prefix`. `rows` must start at the first of them."""
    for (key,) in rows:
        # Keys with the same prefix follow one another, so the first key without it ends the listing.
        if not key.startswith(prefix):
            return
        yield key
