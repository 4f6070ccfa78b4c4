"""Which grants are due: the protocol of a store that finds them by an index, and how all other stores are searched.

Used by `OAuthClient.due` and `keepalive`, by the stores that have an index, and by authors of stores. Each record of a
grant has the reserved member `due_at`: when the grant ends unless it is renewed. What this file promises:

* A record is found from the moment at which it was saved, in the order of (due_at, key).
* An entry of an index is a hint. If it does not describe the stored version of its record, the record counts as due
  until it has been read. So does a record without the member, which an earlier version has saved.
* A store without an index is searched by reading every record. That is logged once in a process for each kind of store.

It never changes a record.
"""

from __future__ import annotations

import functools
import heapq
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

from ..errors import StoreError, is_number
from ..errors._pickling import public
from ._calls import call_store, load_record
from ._token_store import TokenStore

DUE_AT = "due_at"
"""The reserved member of the saved data, in UTC epoch seconds. None: never due. Missing: not known, so it is due."""

NEVER_DUE: Mapping[str, None] = {DUE_AT: None}
"""What the data of a record that is not a grant has."""

UNKNOWN = 0.0
"""The `due_at` of an entry that counts as due until its record has been read."""

PAGE = 500
"""How many entries of an index are read at a time."""

_SCANNED_PAGE = 10_000
"""How many entries are kept of one search through all records."""

Place = tuple[float, str]
"""Where a page ended: `due_at` and key."""

_logger: logging.Logger = logging.getLogger("blnk_auth")


@public
@dataclass(frozen=True, slots=True, order=True)
class DueEntry:
    """What `DueStore.due` returns of one record. Immutable. In the order of (due_at, key).

    Attributes:
        due_at: The record's place in the order: UTC epoch seconds. 0 where it is not known.
        key: The key of the record.
        is_exact: True: `due_at` is that of the stored version of the record. False: it counts as due until the record
            has been read.
    """

    due_at: float
    key: str
    is_exact: bool


@public
@runtime_checkable
class DueStore(Protocol):
    """What a `TokenStore` has in addition if it finds due records by an index. Optional: other stores are searched.

    Every method may be called from any thread, and by several threads at the same time. `saved_due_at` reads the
    reserved member of the data that `save` was given.
    """

    def due(
        self, prefix: str, before: float, *, after: tuple[float, str] | None = None, limit: int
    ) -> list[DueEntry] | None:
        """Find the next due records by the index. It may look at a bounded number of records, to add what is missing.

        Args:
            prefix: What their keys begin with.
            before: UTC epoch seconds. Records that are due at this moment or later are not returned.
            after: The `due_at` and the key of the last entry of the page before. None: the first page.
            limit: How many entries are returned at most.

        Returns:
            The entries behind `after`, ascending by (due_at, key). An empty list: there are no more. None: there is no
            index at present, so the caller reads every record.

        Raises:
            StoreError: The index cannot be read.
        """
        ...

    def note_due(self, found: Sequence[tuple[str, str, float | None]]) -> None:
        """Correct entries whose records have been read. The records and their versions stay as they are.

        Args:
            found: The key, the version that was read, and when it is due; None: never. A record that has another
                version by now is left.

        Raises:
            StoreError: The index cannot be written.
        """
        ...

    def repair_due(self, prefix: str) -> Iterator[int]:
        """Add what the index lacks, record by record. A store whose index cannot lack anything does nothing.

        Args:
            prefix: What the keys of the records begin with.

        Returns:
            An iterator. For each bounded number of records that it has looked at, it returns how many entries it added.

        Raises:
            StoreError: The store cannot be read. It may be raised during the iteration.
        """
        ...


@public
def saved_due_at(data: Mapping[str, Any]) -> float | None:
    """Read the reserved member of a record's data, for stores with an index. May be called from any thread.

    Args:
        data: What `TokenStore.save` was given.

    Returns:
        When it is due, in UTC epoch seconds. None: never. 0 if that is not known: it counts as due.
    """
    due_at = data.get(DUE_AT, UNKNOWN)
    if due_at is None:
        return None
    return max(float(due_at), UNKNOWN) if is_number(due_at) else UNKNOWN


def due_page(store: TokenStore, prefix: str, before: float, after: Place | None) -> list[DueEntry]:
    """The next due records behind `after`, by the store's index, or else by reading every record.

    Raises `StoreError`, also if an index returns entries in a wrong order, so that paging through it would never end.
    """
    found = None
    if isinstance(store, DueStore):
        found = call_store("read", store.due, prefix, before, after=after, limit=PAGE)
    return _scanned(store, prefix, before, after) if found is None else _checked(store, found, prefix, before, after)


def has_index(store: TokenStore) -> bool:
    """Whether the store finds due records by an index now. Raises `StoreError`."""
    # Asked for what cannot be: nothing is due before the beginning.
    return isinstance(store, DueStore) and call_store("read", store.due, "", UNKNOWN, limit=1) is not None


def _checked(
    store: TokenStore, found: list[DueEntry], prefix: str, before: float, after: Place | None
) -> list[DueEntry]:
    last = after
    for entry in cast("list[Any]", found):
        is_entry = isinstance(entry, DueEntry) and entry.key.startswith(prefix) and entry.due_at < before
        if not is_entry or (last is not None and (entry.due_at, entry.key) <= last):
            raise StoreError(
                f"the index of {type(store).__name__} returned entries that were not asked for, or in a wrong order",
                remedy="run blnk_auth.testing.store_contract against this store; rebuild the index of a database",
            )
        last = entry.due_at, entry.key
    return found


def _scanned(store: TokenStore, prefix: str, before: float, after: Place | None) -> list[DueEntry]:
    note_scan(store)
    return heapq.nsmallest(_SCANNED_PAGE, _read(store, prefix, before, after))


def _read(store: TokenStore, prefix: str, before: float, after: Place | None) -> Iterator[DueEntry]:
    keys: Iterator[str] = call_store("read", store.keys, prefix)
    while (key := call_store("read", next, keys, None)) is not None:
        try:
            record = load_record(store, key)
        except StoreError as failure:
            if failure.key is None:
                raise
            # Only this record cannot be read: its renewal raises the error.
            due_at: float | None = UNKNOWN
        else:
            due_at = None if record is None else saved_due_at(record.data)
        if due_at is not None and due_at < before and (after is None or (due_at, key) > after):
            yield DueEntry(due_at, key, due_at > UNKNOWN)


def note_scan(store: TokenStore) -> None:
    """Log that this store has no index, so that all its records are read; once in a process for each kind of store."""
    _log_once(type(store).__name__)


@functools.cache
def _log_once(kind: str) -> None:
    _logger.info("%s has no index of due grants: every record is read to find them", kind)
