"""Stores that keep their index of due records apart from the records, so that a kill can come between the two.

Used by the tests of the store contract for due records, in processes that import this module. It promises that only a
process that such a test has started waits to be killed. A store here never keeps the two alike by itself.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from blnk_auth.stores import SQLiteStore
from blnk_auth.stores._due import DUE_AT, DueEntry, saved_due_at
from blnk_auth.stores._token_store import Version


class IndexedApart(SQLiteStore):
    """Has its index in a file of its own, and there waits to be killed between the two, in another process only."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "records.db")
        self.times = SQLiteStore(folder / "index.db")

    def close(self) -> None:
        self.times.close()
        super().close()

    def due(self, prefix: str, before: float, *, after: Any = None, limit: int) -> list[DueEntry]:
        return self.times.due(prefix, before, after=after, limit=limit) or []

    def note_due(self, found: Sequence[tuple[str, str, float | None]]) -> None:
        for key, _, due_at in found:
            self.index(key, due_at)

    def repair_due(self, prefix: str) -> Iterator[int]:
        return iter(())

    def index(self, key: str, due_at: float | None) -> None:
        entry = self.times.load(key)
        self.times.save(key, {DUE_AT: due_at}, expected=None if entry is None else entry.version)


class IndexesAfterwards(IndexedApart):
    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        version = super().save(key, data, expected=expected)
        if data[DUE_AT] == 2.0:
            wait_to_be_killed()
        self.index(key, data[DUE_AT])
        return version


class IndexesBefore(IndexedApart):
    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        self.index(key, data[DUE_AT])
        if data[DUE_AT] != 2.0:
            wait_to_be_killed()
        return super().save(key, data, expected=expected)


class IndexesAfterwardsAndRepairs(IndexesAfterwards):
    def repair_due(self, prefix: str) -> Iterator[int]:
        for key in self.keys(prefix):
            record = self.load(key)
            if record is not None:
                self.index(key, saved_due_at(record.data))
                yield 1


def wait_to_be_killed() -> None:
    if multiprocessing.parent_process() is not None:
        threading.Event().wait()
