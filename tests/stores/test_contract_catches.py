"""The contract is worth its name: each way a store can be wrong turns at least one of its tests red."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from support.limits import PATIENCE

from blnk_auth.errors import Conflict
from blnk_auth.stores._memory import MemoryStore
from blnk_auth.stores._token_store import Record, Version
from blnk_auth.testing.store_contract import StoreContract


class KeepsTheCallersDict(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, dict[str, Any]] = {}

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        version = super().save(key, data, expected=expected)
        self.kept[key] = data
        return version

    def load(self, key: str) -> Record | None:
        record = super().load(key)
        return record and Record(data=self.kept[key], version=record.version)


class LastWriterWins(MemoryStore):
    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        record = self.load(key)
        return super().save(key, data, expected=record and record.version)


class CountsVersionsAnew(MemoryStore):
    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        version = super().save(key, data, expected=expected)
        text = self._records[key][1]
        number = "1" if expected is None else str(int(expected) + 1)
        self._records[key] = (number, text)
        return number if version else version


class BringsBackTheDeleted(MemoryStore):
    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        return super().save(key, data, expected=expected if self.load(key) else None)


class FoldsCase(MemoryStore):
    def load(self, key: str) -> Record | None:
        return super().load(key.lower())

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        return super().save(key.lower(), data, expected=expected)


class DeletesByPrefix(MemoryStore):
    def delete(self, key: str) -> None:
        for stored in list(self._records):
            super().delete(stored)


class MissesTheDeleted(MemoryStore):
    def delete(self, key: str) -> None:
        self._records.pop(key)


class ListsInOrderOfArrival(MemoryStore):
    def keys(self, prefix: str = "") -> Iterator[str]:
        return iter([key for key in self._records if key.startswith(prefix)])


class TakesWildcards(MemoryStore):
    def keys(self, prefix: str = "") -> Iterator[str]:
        return super().keys(prefix.partition("%")[0])


class ShowsSecrets(MemoryStore):
    def __repr__(self) -> str:
        return f"<ShowsSecrets {[str(text) for _, text in self._records.values()]}>"


class LocksNobody(MemoryStore):
    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        return nullcontext()


class LocksEverybody(MemoryStore):
    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        return super().lock("one for all", timeout=min(timeout, 0.2))


class RoundsNumbers(MemoryStore):
    def load(self, key: str) -> Record | None:
        record = super().load(key)
        if record and "numbers" in record.data:
            record.data["numbers"] = [float(number) for number in record.data["numbers"]]
        return record


class ComparesThenSets(MemoryStore):
    """Compares first and sets afterwards, and lets a second writer in between."""

    def __init__(self) -> None:
        super().__init__()
        self.first_writer = threading.Lock()
        self.second_has_saved = threading.Event()

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        record = self.load(key)
        if expected != (record and record.version):
            raise Conflict(key)
        if expected is not None and self.first_writer.acquire(blocking=False):
            self.second_has_saved.wait(PATIENCE)
        record = self.load(key)
        version = super().save(key, data, expected=record and record.version)
        if expected is not None:
            self.second_has_saved.set()
        return version


CASES: list[tuple[type[MemoryStore], str]] = [
    (KeepsTheCallersDict, "test_what_was_saved_cannot_be_changed_from_outside"),
    (LastWriterWins, "test_creating_an_existing_key_is_a_conflict"),
    (LastWriterWins, "test_a_stale_version_is_a_conflict"),
    (LastWriterWins, "test_a_version_that_never_was_is_a_conflict"),
    (CountsVersionsAnew, "test_no_version_comes_twice"),
    (BringsBackTheDeleted, "test_a_deleted_key_stays_deleted"),
    (FoldsCase, "test_awkward_keys_stay_apart"),
    (DeletesByPrefix, "test_one_key_does_not_disturb_another"),
    (MissesTheDeleted, "test_deleting_twice_is_not_an_error"),
    (ListsInOrderOfArrival, "test_keys_come_in_order"),
    (TakesWildcards, "test_a_prefix_is_taken_literally"),
    (ShowsSecrets, "test_repr_shows_no_data"),
    (LocksNobody, "test_the_lock_excludes_another_thread"),
    (LocksNobody, "test_a_timeout_of_0_does_not_wait_for_the_lock"),
    (LocksEverybody, "test_the_lock_of_one_key_leaves_others_free"),
    (RoundsNumbers, "test_every_json_value_comes_back_exactly"),
    (ComparesThenSets, "test_threads_without_the_lock_lose_no_update"),
]


@pytest.mark.parametrize(("broken", "test"), CASES, ids=[f"{store.__name__}-{test}" for store, test in CASES])
def test_the_contract_rejects_a_broken_store(broken: type[MemoryStore], test: str) -> None:
    """A store that breaks one rule fails the contract's test of that rule, which a sound store passes."""
    check: Callable[[MemoryStore], None] = getattr(StoreContract(), test)
    check(MemoryStore())
    with pytest.raises((Exception, pytest.fail.Exception)):
        check(broken())
