"""The tests of the store contract for finding due records, by an index or by reading every record.

Used by `store_contract`, whose classes derive from the ones here. It promises that a store that passes returns every
record that is due, also right after a save, a delete, a copy or a kill. It never changes the store other than through
the store's methods.
"""

# These are tests, so they assert. The docstring of each is one sentence about the store.
# ruff: noqa: S101

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from ..errors import StoreError
from ..stores._copying import copy_store
from ..stores._due import DUE_AT, NEVER_DUE, UNKNOWN, DueEntry, DueStore, due_page
from ..stores._memory import MemoryStore
from ..stores._token_store import TokenStore
from ._contract_workers import OpenStore, handle, kill_when, loaded, one_process, save_due_for_ever_in_process

_LATE = 4e9
"""After every moment at which a record of these tests is due."""


class DueContract:
    """The tests for every store. A store without an index is searched, and must pass them too."""

    lists_keys: bool

    def test_what_is_due_is_found_in_order(self, store: TokenStore) -> None:
        """Records that are due before a moment are found right after they are saved, by (due_at, key)."""
        if not self._finds(store):
            return
        for key, due_at in (("a", 3.5), ("b", 1.25), ("c", 2.0), ("B", 2.0), ("ü", 1.25), ("later", 9e8)):
            store.save(key, {DUE_AT: due_at}, expected=None)
        assert self._due(store, before=9e8) == ["b", "ü", "B", "c", "a"]
        assert self._due(store, before=2.0) == ["b", "ü"]
        assert self._due(store, before=1.0) == []

    def test_what_has_no_end_is_never_due(self, store: TokenStore) -> None:
        """A record that is never due is not found, also if it was due before."""
        if not self._finds(store):
            return
        store.save("never", dict(NEVER_DUE), expected=None)
        version = store.save("ended", {DUE_AT: 1.0}, expected=None)
        store.save("ended", dict(NEVER_DUE), expected=version)
        assert self._due(store) == []

    @pytest.mark.parametrize("data", [{}, {DUE_AT: "soon"}, {DUE_AT: True}, {DUE_AT: -5.0}], ids=repr)
    def test_what_has_an_unknown_end_counts_as_due(self, store: TokenStore, data: dict[str, Any]) -> None:
        """A record that does not specify when it is due is found, and marked as one to be read."""
        if not self._finds(store):
            return
        store.save("alice", data, expected=None)
        assert due_page(store, "", 1.0, None) == [DueEntry(UNKNOWN, "alice", is_exact=False)]

    def test_a_renewed_record_is_due_later(self, store: TokenStore) -> None:
        """A save moves the record to its new place, later or earlier, and nothing of the old place stays."""
        if not self._finds(store):
            return
        version = store.save("alice", {DUE_AT: 10.0}, expected=None)
        for due_at in (20.0, 5.0, 30.0):
            version = store.save("alice", {DUE_AT: due_at}, expected=version)
            assert self._due(store, before=due_at) == []
            assert self._due(store, before=due_at + 1) == ["alice"]

    def test_a_deleted_record_is_not_due(self, store: TokenStore) -> None:
        """A deleted record is not found, and is found again when it is saved again."""
        if not self._finds(store):
            return
        store.save("alice", {DUE_AT: 10.0}, expected=None)
        store.delete("alice")
        assert self._due(store) == []
        store.save("alice", {DUE_AT: 20.0}, expected=None)
        assert self._due(store, before=20.0) == []
        assert self._due(store) == ["alice"]

    def test_paging_continues_behind_what_stays_due(self, store: TokenStore) -> None:
        """Page by page, each record is found once, also among many that are due at the same moment."""
        if not self._finds(store):
            return
        places = [(float(1 + number % 3), f"k{number:02}") for number in range(30)]
        for due_at, key in places:
            store.save(key, {DUE_AT: due_at}, expected=None)
        if isinstance(store, DueStore) and store.due("", 1.0, limit=1) is not None:
            for limit in (1, 4, 29, 30, 100):
                found: list[tuple[float, str]] = []
                while page := store.due("k", _LATE, after=found[-1] if found else None, limit=limit):
                    assert len(page) <= limit
                    found += [(entry.due_at, entry.key) for entry in page]
                assert found == sorted(places)
        assert self._due(store) == [key for _, key in sorted(places)]

    def test_only_keys_with_the_prefix_are_due(self, store: TokenStore) -> None:
        """`due(prefix)` finds the keys that begin with the prefix, taken literally."""
        if not self._finds(store):
            return
        for key in ("a%/1", "a%/ü", "ab/1", "A%/1", "a%", "鍵/1", "鍵/2"):
            store.save(key, {DUE_AT: 1.0}, expected=None)
        assert self._due(store, prefix="a%/") == ["a%/1", "a%/ü"]
        assert self._due(store, prefix="鍵/") == ["鍵/1", "鍵/2"]
        assert self._due(store, prefix="none") == []

    def test_a_copy_is_due_as_its_original(self, store: TokenStore) -> None:
        """What `copy_store` copies into the store is found, also a record that an earlier version has saved."""
        if not self._finds(store):
            return
        source = MemoryStore()
        for key, data in (("alice", {DUE_AT: 7.0}), ("bob", dict(NEVER_DUE)), ("carol", {"n": 1})):
            source.save(key, data, expected=None)
        assert copy_store(source, store).failed == []
        assert self._due(store) == ["carol", "alice"]
        assert self._due(store, before=7.0) == ["carol"]

    def test_an_entry_can_be_corrected(self, store: TokenStore) -> None:
        """`note_due` changes when a record is due, and neither the record nor one that has another version by now."""
        if not isinstance(store, DueStore) or store.due("", 1.0, limit=1) is None:
            return
        versions = [store.save(key, {}, expected=None) for key in ("early", "never", "changed")]
        store.save("changed", {DUE_AT: 6.0}, expected=versions[2])
        store.note_due([("early", versions[0], 5.0), ("never", versions[1], None), ("changed", versions[2], 5.0)])
        store.note_due([("missing", versions[0], 5.0)])
        assert loaded(store, "early") == ({}, versions[0])
        assert store.due("", 5.5, limit=9) == [DueEntry(5.0, "early", is_exact=True)]
        assert self._due(store) == ["early", "changed"]

    def _finds(self, store: TokenStore) -> bool:
        """Whether due records can be found; if not, checks that this raises."""
        if self.lists_keys or isinstance(store, DueStore):
            return True
        with pytest.raises(StoreError):
            due_page(store, "", _LATE, None)
        return False

    def _due(self, store: TokenStore, *, prefix: str = "", before: float = _LATE) -> list[str]:
        """The keys of what is due, as a client finds them."""
        return due_keys(store, prefix, before)


class SharedDueContract(DueContract):
    """The tests for a store that several handles and processes share."""

    def test_two_handles_find_the_same(self, store: TokenStore, open_store: OpenStore) -> None:
        """What one handle saves or deletes, another finds or does not find any more."""
        if not self._finds(store):
            return
        with handle(open_store) as other:
            store.save("alice", {DUE_AT: 1.0}, expected=None)
            assert due_keys(other) == ["alice"]
            store.delete("alice")
            assert due_keys(other) == []

    def test_a_killed_writer_hides_nothing_that_is_due(self, store: TokenStore, open_store: OpenStore) -> None:
        """After a process was killed while it saved, its record is found if it is due, as all others are.

        It is killed as soon as what it saves is seen in the index, and then in the record: a store that writes the one
        after the other has most likely not yet written the other.
        """
        if not self._finds(store):
            return
        first = store.save("alice", {DUE_AT: 2.0}, expected=None)

        def is_in_index() -> bool:
            return due_keys(store) == []

        def is_in_record() -> bool:
            data, version = loaded(store, "alice")
            return version != first and data[DUE_AT] < _LATE

        for is_seen in (is_in_index, is_in_record):
            _, first = loaded(store, "alice")
            with one_process(save_due_for_ever_in_process, open_store, "alice") as (process, _pipe):
                kill_when(process, is_seen)
            if isinstance(store, DueStore):
                deque(store.repair_due(""), maxlen=0)
            is_due = loaded(store, "alice")[0][DUE_AT] < _LATE
            assert due_keys(store) == (["alice"] if is_due else [])


def due_keys(store: TokenStore, prefix: str = "", before: float = _LATE) -> list[str]:
    """The keys of what is due, where an entry that does not describe its record is decided by the record."""
    found: list[str] = []
    after = None
    while page := due_page(store, prefix, before, after):
        after = page[-1].due_at, page[-1].key
        for entry in page:
            due_at = entry.due_at if entry.is_exact else loaded(store, entry.key)[0].get(DUE_AT, UNKNOWN)
            if due_at is not None and due_at < before:
                found.append(entry.key)
    return found
