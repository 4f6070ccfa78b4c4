"""The index of due records in a Redis server: a sorted set, whose entries are hints.

Used by `RedisStore`. An entry is the key of a record, a NUL and the version that the entry describes; its score is when
the record is due, 0 where that is not known, and infinity for never. What this file promises:

* A single server writes the entry together with its record. In a cluster each record has a slot of its own, so the
  entry is written after the record: a crash in between leaves an entry of another version, or none.
* An entry of another version than its record is reported as one that counts as due. One without a record is removed.
* `repair` finds the records without an entry, a bounded number at a time. Each first page does some of it.

It never reads the data of a record.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import StoreError
from ._due import PAGE, UNKNOWN, DueEntry, Place
from ._forks import reset_in_child
from ._redis_scripts import ADD_DUE, FIND_DUE, MEND_DUE

if TYPE_CHECKING:
    from ._redis_server import Server

_REPAIRED = 1_000
_REPAIRED_A_LITTLE = 100
"""How many records each first page looks at: it must not take much longer than without."""

Row = tuple[float, str, str]
"""An entry: its score, the key of its record, and the version."""


def member_of(key: str, version: str) -> bytes:
    """An entry, without its score."""
    return f"{key}\0{version}".encode()


def score_of(due_at: float | None) -> str:
    """The score of an entry."""
    return repr(math.inf if due_at is None else due_at)


class DueIndex:
    """The sorted set of one namespace. May be used from many threads.

    Args:
        name: Its name in the server.
        record: Returns the name of a record in the server.
        key: The inverse of `record`; None for a name that is not one.
        server: Returns the server.
    """

    def __init__(
        self,
        name: bytes,
        record: Callable[[str], bytes],
        key: Callable[[bytes | str], str | None],
        server: Callable[[], Server],
    ) -> None:
        self.name = name
        self._record = record
        self._key = key
        self._server = server
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: another thread of the parent may have been in the middle of a repair."""
        self._repairing: Iterator[int] = iter(())
        self._lock = threading.Lock()

    def page(self, prefix: str, before: float, after: Place | None, limit: int, pattern: bytes) -> list[DueEntry]:
        """The next entries whose records exist, and which are due before a moment."""
        if after is None:
            self._repair_a_little(pattern)
        found: list[DueEntry] = []
        while len(found) < limit:
            rows, after = self._rows(prefix, before, after, limit - len(found))
            found += self._compared(rows)
            if after is None:
                break
        return found

    def add(self, entries: Sequence[tuple[str, str, float | None]]) -> None:
        """Write entries: the key, the version that it describes, and when the record is due."""
        self._add("", entries)

    def repair(self, pattern: bytes, count: int = _REPAIRED) -> Iterator[int]:
        """Look at all records, about `count` at a time, and add those that have no entry for their version."""
        server = self._server()
        for names in server.scan_pages(pattern, count):
            keys = [key for key in map(self._key, names) if key is not None]
            versions = server.versions([self._record(key) for key in keys])
            stored = zip(keys, versions, strict=True)
            yield self._add("NX", [(key, version, UNKNOWN) for key, version in stored if version is not None])

    def _add(self, condition: str, entries: Sequence[tuple[str, str, float | None]]) -> int:
        """How many of these entries are new. `condition`: NX leaves an entry that exists."""
        if not entries:
            return 0
        pairs: list[str | bytes] = []
        for key, version, due_at in entries:
            pairs += (score_of(due_at), member_of(key, version))
        return int(self._server().run("written", ADD_DUE, [self.name], condition, *pairs))

    def _repair_a_little(self, pattern: bytes) -> None:
        """Continue the repair, or begin again. Nothing while another thread does it: no caller waits for its server."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if next(self._repairing, None) is None:
                self._repairing = self.repair(pattern, _REPAIRED_A_LITTLE)
                next(self._repairing, None)
        finally:
            self._lock.release()

    def _rows(self, prefix: str, before: float, after: Place | None, limit: int) -> tuple[list[Row], Place | None]:
        """Entries with the prefix, and the place from which to go on; None at the end."""
        start = ("", "") if after is None else (repr(after[0]), after[1])
        limit = min(limit, PAGE)
        found, last = self._server().run("read", FIND_DUE, [self.name], *start, repr(before), limit, prefix)
        return _rows(found), _row(*last)[:2] if last else None

    def _compared(self, rows: list[Row]) -> list[DueEntry]:
        """The entries of these rows. Those that do not describe their record are mended, and count as due."""
        server = self._server()
        versions = server.versions([self._record(key) for _, key, _ in rows])
        found: list[DueEntry] = []
        for (due_at, key, version), current in zip(rows, versions, strict=True):
            if current == version:
                found.append(DueEntry(due_at, key, due_at > UNKNOWN))
            elif self._mend(key, version, current):
                found.append(DueEntry(due_at, key, is_exact=False))
        return found

    def _mend(self, key: str, version: str, current: str | None) -> bool:
        """Replace an entry of another version; whether the record has no entry of its own that will be found."""
        entry = b"" if current is None else member_of(key, current)
        try:
            added = self._server().run("written", MEND_DUE, [self.name], member_of(key, version), entry)
        except StoreError:
            # A hint that cannot be corrected: the record decides.
            return current is not None
        return bool(added)


def _rows(found: list[bytes | str]) -> list[Row]:
    return [_row(member, score) for member, score in zip(found[::2], found[1::2], strict=True)]


def _row(member: bytes | str, score: bytes | str) -> Row:
    text = member.decode() if isinstance(member, bytes) else member
    key, _, version = text.rpartition("\0")
    return float(score), key, version
