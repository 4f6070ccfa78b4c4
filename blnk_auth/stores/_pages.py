"""Reading the rows of a table page by page, in the order of their keys.

Used by the stores in a database. It promises ascending keys, each once. A damaged index may return rows in a wrong
order; that is an error, since the listing would otherwise never end, or leave keys out. It never has more than one page
in memory.
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
    """Every row whose key is not below `start`. The key is the first column.

    `first_page` reads rows from the given key on, `next_page` rows after the given key: ascending, `PAGE` at most. The
    error that `out_of_order` returns is raised if a key is not above the one before it.
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
