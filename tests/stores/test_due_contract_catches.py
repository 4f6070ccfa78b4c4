"""The part of the contract for due records is worth its name: each way an index can be wrong turns a test of it red."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.stores.indexed_apart import IndexedApart, IndexesAfterwards, IndexesAfterwardsAndRepairs, IndexesBefore

from blnk_auth.errors import StoreError
from blnk_auth.stores._due import DUE_AT, DueEntry, saved_due_at
from blnk_auth.stores._memory import MemoryStore
from blnk_auth.stores._token_store import Version
from blnk_auth.testing.store_contract import SharedStoreContract, StoreContract

Notes = Sequence[tuple[str, str, float | None]]


class Indexed(MemoryStore):
    """A sound index of the records' times, and of the corrections, by key and version."""

    def __init__(self) -> None:
        super().__init__()
        self.times: dict[str, float | None] = {}
        self.noted: dict[str, tuple[Version, float | None]] = {}

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        version = super().save(key, data, expected=expected)
        self.times[key] = saved_due_at(data)
        self.noted.pop(key, None)
        return version

    def delete(self, key: str) -> None:
        super().delete(key)
        self.times.pop(key, None)
        self.noted.pop(key, None)

    def due(self, prefix: str, before: float, *, after: Any = None, limit: int) -> list[DueEntry]:
        return self._found(prefix, before, after)[:limit]

    def _found(self, prefix: str, before: float, after: Any) -> list[DueEntry]:
        times = self.times | {key: due_at for key, (_, due_at) in self.noted.items()}
        entries = sorted(DueEntry(due_at, key, due_at > 0) for key, due_at in times.items() if due_at is not None)
        found = [each for each in entries if each.key.startswith(prefix) and each.due_at < before]
        return [each for each in found if after is None or (each.due_at, each.key) > after]

    def note_due(self, found: Notes) -> None:
        for key, version, due_at in found:
            record = self.load(key)
            if record is not None and record.version == version:
                self.noted[key] = version, due_at

    def repair_due(self, prefix: str) -> Iterator[int]:
        return iter(())


class ForgetsTheUnknown(Indexed):
    def _found(self, prefix: str, before: float, after: Any) -> list[DueEntry]:
        return [entry for entry in super()._found(prefix, before, after) if entry.is_exact]


class FindsThePrefixAnywhere(Indexed):
    def _found(self, prefix: str, before: float, after: Any) -> list[DueEntry]:
        return [each for each in super()._found("", before, after) if prefix.lower() in each.key.lower()]


class PagesByTimeAlone(Indexed):
    def _found(self, prefix: str, before: float, after: Any) -> list[DueEntry]:
        found = super()._found(prefix, before, None)
        return [entry for entry in found if after is None or entry.due_at > after[0]]


class IncludesTheMoment(Indexed):
    def _found(self, prefix: str, before: float, after: Any) -> list[DueEntry]:
        return super()._found(prefix, before + 1, after)


class KeepsTheFirstTime(Indexed):
    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        first = self.times.get(key, saved_due_at(data))
        version = super().save(key, data, expected=expected)
        self.times[key] = first
        return version


class KeepsTheDeleted(Indexed):
    def delete(self, key: str) -> None:
        times = dict(self.times)
        super().delete(key)
        self.times = times


class KeepsTheDeletedToBeRead(KeepsTheDeleted):
    def _found(self, prefix: str, before: float, after: Any) -> list[DueEntry]:
        found = super()._found(prefix, before, after)
        return [DueEntry(each.due_at, each.key, each.is_exact and self.load(each.key) is not None) for each in found]


class NotesNothing(Indexed):
    def note_due(self, found: Notes) -> None:
        """Nothing."""


class NotesTheLastOne(Indexed):
    def note_due(self, found: Notes) -> None:
        self.noted.clear()
        super().note_due(found[-1:])


class NotesOnlyTimes(Indexed):
    def note_due(self, found: Notes) -> None:
        super().note_due([note for note in found if note[2] is not None])


class NotesWhatHasChanged(Indexed):
    def note_due(self, found: Notes) -> None:
        self.noted |= {key: (version, due_at) for key, version, due_at in found if self.load(key) is not None}


class NotesTheMissing(Indexed):
    def note_due(self, found: Notes) -> None:
        super().note_due(found)
        self.noted |= {key: (version, due_at) for key, version, due_at in found if self.load(key) is None}


class NotesInTheRecord(Indexed):
    def note_due(self, found: Notes) -> None:
        super().note_due(found)
        for key, version, due_at in found:
            record = self.load(key)
            if record is not None and record.version == version:
                self.save(key, {**record.data, DUE_AT: due_at}, expected=version)


CORRECTED = "test_an_entry_can_be_corrected"
DELETED = "test_a_deleted_record_is_not_due"
CASES: list[tuple[type[Indexed], str]] = [
    (ForgetsTheUnknown, "test_a_copy_is_due_as_its_original"),
    (FindsThePrefixAnywhere, "test_only_keys_with_the_prefix_are_due"),
    (PagesByTimeAlone, "test_paging_continues_behind_what_stays_due"),
    (IncludesTheMoment, "test_a_renewed_record_is_due_later"),
    (KeepsTheFirstTime, "test_a_renewed_record_is_due_later"),
    (KeepsTheDeleted, DELETED),
    (KeepsTheDeletedToBeRead, DELETED),
    (NotesNothing, CORRECTED),
    (NotesTheLastOne, CORRECTED),
    (NotesOnlyTimes, CORRECTED),
    (NotesWhatHasChanged, CORRECTED),
    (NotesTheMissing, CORRECTED),
    (NotesInTheRecord, CORRECTED),
]


@pytest.mark.parametrize(("broken", "test"), CASES, ids=[f"{store.__name__}-{test}" for store, test in CASES])
def test_the_contract_rejects_a_broken_index(broken: type[Indexed], test: str) -> None:
    """A store whose index breaks one rule fails the contract's test of that rule, which a sound index passes."""
    check: Callable[[Indexed], None] = getattr(StoreContract(), test)
    check(Indexed())
    with pytest.raises((AssertionError, StoreError)):
        check(broken())


@pytest.mark.parametrize("store", [IndexesAfterwards, IndexesBefore])
def test_the_contract_rejects_an_index_that_a_kill_leaves_wrong(store: type[IndexedApart], tmp_path: Path) -> None:
    """One that is written in a second act, after or before the record, and not repaired: the grant would expire."""
    open_store = partial(store, tmp_path)
    with open_store() as opened, pytest.raises(AssertionError, match="alice"):
        SharedStoreContract().test_a_killed_writer_hides_nothing_that_is_due(opened, open_store)


def test_the_contract_accepts_an_index_that_is_repaired(tmp_path: Path) -> None:
    """The same, if its repair adds what it lacks."""
    open_store = partial(IndexesAfterwardsAndRepairs, tmp_path)
    with open_store() as opened:
        SharedStoreContract().test_a_killed_writer_hides_nothing_that_is_due(opened, open_store)
