"""Reading the rows of a table page by page, in the order of their keys.

Used by the stores in a database. No page repeats or goes back, also where a damaged index gives rows in a wrong order:
such a listing would never end, or would leave keys out without a word, so it is an error instead.
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
    """Every row, its key first, from the first key that is not below `start`.

    `first_page` reads the rows from a key on, `next_page` those after a key, ascending and `PAGE` at most. What
    `out_of_order` returns is raised if a key is not above the one before it.
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
    """The keys that begin with `prefix`, out of rows that begin at it."""
    for (key,) in rows:
        # Keys with one prefix are next to each other in the order, so the first other one ends them.
        if not key.startswith(prefix):
            return
        yield key
