"""The tests that every token store must pass, to be run by its author with plain pytest.

Used by authors of stores. It promises that a store that passes works with every client of this library. Subclass
`StoreContract`, or `SharedStoreContract` if several processes may use the store at the same time. Write one fixture in
it, `open_store`: a callable that opens a handle to the test's own data, which is empty at first.

    # tests/test_my_store.py
    from functools import partial
    import pytest
    from blnk_auth.testing.store_contract import SharedStoreContract, StoreContract
    from my_package import MyFileStore, MyStore

    class TestMyStore(StoreContract):
        @pytest.fixture
        def open_store(self):
            return MyStore

    class TestMyFileStore(SharedStoreContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            return partial(MyFileStore, tmp_path / "tokens")

For `SharedStoreContract` the callable is called many times, also in other processes. So it must be picklable (a class,
a `functools.partial` of one, or a function of an importable module), and all its handles must show the same data. A
handle with a `close` method is closed after its test. A store that cannot list its keys sets `lists_keys = False`; one
that needs many milliseconds for a save may lower `increments`. The index of a `DueStore` is tested too.
To see the values of a failed assertion, put this in your conftest.py:
`pytest.register_assert_rewrite("blnk_auth.testing.store_contract")`.

It never changes the store other than through the store's methods.
"""

# ruff: noqa: S101 - these are tests, so they assert. The docstring of each is one sentence about the store.

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from ..errors import Conflict, StoreError
from ..stores._token_store import TokenStore, Version
from ._contract_workers import (
    LONG,
    PROCESSES,
    THREADS,
    OpenStore,
    check_that_a_crowd_renews_once,
    handle,
    in_thread,
    in_threads,
    increment_by_comparing,
    increment_in_process,
    increment_under_lock,
    loaded,
    lock_in_process,
    lock_once,
    numbered,
    one_process,
    received,
    run_processes,
    save_for_ever_in_process,
    seconds_until_refused,
)
from ._due_contract import DueContract, SharedDueContract

__all__ = ["OpenStore", "SharedStoreContract", "StoreContract"]

AWKWARD_KEYS = (
    "plain",
    "with space and\ttab",
    "../../etc/passwd",
    "a/b\\c:d*e?f",
    "100%_of'it\"`;--",
    "[glob]{brace}",
    "ключ·鍵·🔑",
    "Case",
    "case",
    "trailing.",
    "trailing. ",
    "CON",
    "e\u0301",
    "\u00e9",
    "k" * 500,
)
"""Keys that are difficult for file names, SQL, globs, and file systems that ignore case or normalize Unicode."""

NESTED_DATA: dict[str, Any] = {
    "text": 'ünï©ödé 鍵 🔑 \u0000 \u2028 " \\ / \n',
    "nothing": None,
    "yes": True,
    "no": False,
    "numbers": [0, -1, 2**53 + 1, 0.1, 1.0, -0.0, 1790000000.123456, 5e-324, 1.7976931348623157e308],
    "deep": {"list": [[], [{}], {"": {"a.b": [1, "2", None]}}], "empty": {}},
}

_SHORT = 0.2


class StoreContract(DueContract):
    """The tests for every store, shared or not. Subclass it in a test module, and override `open_store`.

    Attributes:
        lists_keys: Whether the store can list its keys. Default: True.
        increments: How often each of several threads or processes adds 1 to a common number. Default: 25.
    """

    lists_keys: bool = True

    increments: int = 25

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """The fixture to override, as the module's docstring shows; if it is not, it raises `NotImplementedError`.

        Returns:
            A callable without arguments that opens a store.
        """
        raise NotImplementedError("write the fixture `open_store`; the docstring of store_contract shows how")

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Generator[TokenStore]:
        """A fixture: one handle, closed after the test.

        Args:
            open_store: The fixture of that name.

        Yields:
            The store.
        """
        with handle(open_store) as store:
            yield store

    def test_a_key_never_saved_loads_as_none(self, store: TokenStore) -> None:
        """A key that was never saved loads as None."""
        assert store.load("alice") is None

    def test_what_was_saved_is_loaded(self, store: TokenStore) -> None:
        """The data saved and the version returned are what is loaded."""
        version = store.save("alice", {"n": 1}, expected=None)
        assert loaded(store, "alice") == ({"n": 1}, version)

    def test_every_json_value_comes_back_exactly(self, store: TokenStore) -> None:
        """Text, numbers to the last bit, and nested values come back as they were."""
        store.save("alice", NESTED_DATA, expected=None)
        data, _ = loaded(store, "alice")
        assert data == NESTED_DATA
        # Equality does not distinguish 1, 1.0 and True, nor 0.0 and -0.0.
        assert repr(data["numbers"]) == repr(NESTED_DATA["numbers"])
        assert data["yes"] is True
        assert data["no"] is False

    def test_a_mebibyte_comes_back(self, store: TokenStore) -> None:
        """A record of 1 MiB is kept whole."""
        big = "0123456789abcdef" * 65536
        store.save("alice", {"big": big}, expected=None)
        assert loaded(store, "alice")[0] == {"big": big}

    def test_replacing_needs_the_version_just_read(self, store: TokenStore) -> None:
        """A save that names the stored version replaces the data and gives a new version."""
        first = store.save("alice", {"n": 1}, expected=None)
        second = store.save("alice", {"n": 2}, expected=first)
        assert second != first
        assert loaded(store, "alice") == ({"n": 2}, second)

    def test_creating_an_existing_key_is_a_conflict(self, store: TokenStore) -> None:
        """A save with expected=None on a key that exists raises Conflict and changes nothing."""
        version = store.save("alice", {"n": 1}, expected=None)
        with pytest.raises(Conflict):
            store.save("alice", {"n": 2}, expected=None)
        assert loaded(store, "alice") == ({"n": 1}, version)

    def test_a_stale_version_is_a_conflict(self, store: TokenStore) -> None:
        """A save that names a version already replaced raises Conflict and changes nothing."""
        stale = store.save("alice", {"n": 1}, expected=None)
        current = store.save("alice", {"n": 2}, expected=stale)
        with pytest.raises(Conflict):
            store.save("alice", {"n": 3}, expected=stale)
        assert loaded(store, "alice") == ({"n": 2}, current)

    def test_a_version_that_never_was_is_a_conflict(self, store: TokenStore) -> None:
        """A save that names a version never given raises Conflict and creates nothing."""
        with pytest.raises(Conflict):
            store.save("alice", {"n": 1}, expected="never-given")
        assert store.load("alice") is None

    def test_no_version_comes_twice(self, store: TokenStore) -> None:
        """No two states of a key share a version, not even equal data after a delete."""
        versions: list[Version] = []
        for _ in range(5):
            versions.append(store.save("alice", {"n": 1}, expected=None))
            versions.append(store.save("alice", {"n": 1}, expected=versions[-1]))
            store.delete("alice")
        assert len(set(versions)) == len(versions)

    def test_a_deleted_key_is_not_loaded(self, store: TokenStore) -> None:
        """A deleted key loads as None, and may be created again."""
        store.save("alice", {"n": 1}, expected=None)
        store.delete("alice")
        assert store.load("alice") is None
        store.save("alice", {"n": 2}, expected=None)
        assert loaded(store, "alice")[0] == {"n": 2}

    def test_deleting_twice_is_not_an_error(self, store: TokenStore) -> None:
        """Deleting a key that does not exist does nothing."""
        store.delete("alice")
        store.save("alice", {"n": 1}, expected=None)
        store.delete("alice")
        store.delete("alice")
        assert store.load("alice") is None

    def test_a_deleted_key_stays_deleted(self, store: TokenStore) -> None:
        """A writer that read before a delete gets Conflict: it cannot bring the record back."""
        version = store.save("alice", {"n": 1}, expected=None)
        store.delete("alice")
        with pytest.raises(Conflict):
            store.save("alice", {"n": 2}, expected=version)
        assert store.load("alice") is None

    def test_awkward_keys_stay_apart(self, store: TokenStore) -> None:
        """Any text serves as a key, and no two keys share a record."""
        for number, key in enumerate(AWKWARD_KEYS):
            store.save(key, {"n": number}, expected=None)
        assert [loaded(store, key)[0] for key in AWKWARD_KEYS] == [{"n": n} for n in range(len(AWKWARD_KEYS))]
        for key in AWKWARD_KEYS:
            store.delete(key)
            assert store.load(key) is None

    def test_one_key_does_not_disturb_another(self, store: TokenStore) -> None:
        """Saving and deleting one key leaves data and version of the others alone."""
        alice = store.save("alice", {"n": 1}, expected=None)
        bob = store.save("bob", {"n": 2}, expected=None)
        store.save("bob", {"n": 3}, expected=bob)
        store.delete("bob")
        assert loaded(store, "alice") == ({"n": 1}, alice)

    def test_keys_come_in_order(self, store: TokenStore) -> None:
        """`keys` gives every stored key once, in ascending order of code points."""
        assert self._keys(store, "", of=()) == []
        for key in reversed(AWKWARD_KEYS):
            store.save(key, {}, expected=None)
        assert self._keys(store, "", of=AWKWARD_KEYS) == sorted(AWKWARD_KEYS)

    def test_a_prefix_is_taken_literally(self, store: TokenStore) -> None:
        """`keys(prefix)` gives the keys that begin with the prefix; no character in it is a wildcard."""
        stored = ("a", "a%", "a%b", "a_", "a_b", "ab", "a*", "a?c", "a[b]", "A%", "b", "鍵", "鍵1")
        for key in stored:
            store.save(key, {}, expected=None)
        for prefix in ("a", "a%", "a_", "a*", "a?", "a[", "鍵", "none"):
            assert self._keys(store, prefix, of=stored) == sorted(k for k in stored if k.startswith(prefix))

    def test_what_was_saved_cannot_be_changed_from_outside(self, store: TokenStore) -> None:
        """Changing the dict that was saved, or one that was loaded, does not change what is stored."""
        data: dict[str, Any] = {"inner": {"n": 1}}
        store.save("alice", data, expected=None)
        data["inner"]["n"] = 2
        loaded(store, "alice")[0]["inner"]["n"] = 3
        assert loaded(store, "alice")[0] == {"inner": {"n": 1}}

    @pytest.mark.parametrize("data", [{"x": object()}, {"x": b""}, {"x": math.nan}], ids=("object", "bytes", "nan"))
    def test_data_that_is_not_json_is_refused(self, store: TokenStore, data: dict[str, Any]) -> None:
        """Data that JSON cannot hold raises StoreError, and what is stored stays."""
        version = store.save("alice", {"n": 1}, expected=None)
        with pytest.raises(StoreError):
            store.save("alice", data, expected=version)
        assert loaded(store, "alice") == ({"n": 1}, version)

    def test_repr_shows_no_data(self, store: TokenStore) -> None:
        """Neither the store's repr nor a record's shows what is stored."""
        store.save("alice", {"access_token": "s3cr3t-value"}, expected=None)
        store.load("alice")
        assert "s3cr3t-value" not in f"{store!r} {store} {store.load('alice')!r}"

    def test_the_lock_excludes_another_thread(self, store: TokenStore) -> None:
        """While one thread holds a key's lock, another gets StoreError after its timeout, and the lock afterwards."""
        with store.lock("alice", timeout=LONG):
            waited = in_thread(lambda: seconds_until_refused(store, "alice", timeout=_SHORT))
        assert _SHORT * 0.9 <= waited < _SHORT + LONG / 6
        in_thread(lambda: lock_once(store, "alice"))

    def test_a_timeout_of_0_does_not_wait_for_the_lock(self, store: TokenStore) -> None:
        """A timeout of 0 tries once: it takes a free lock, and raises for one that another holds."""
        with store.lock("alice", timeout=0):
            assert in_thread(lambda: seconds_until_refused(store, "alice", timeout=0)) < LONG / 6

    def test_the_lock_is_free_after_an_exception(self, store: TokenStore) -> None:
        """An exception inside the context passes through and frees the lock."""
        with pytest.raises(ZeroDivisionError), store.lock("alice", timeout=LONG):
            raise ZeroDivisionError
        in_thread(lambda: lock_once(store, "alice"))

    def test_the_lock_of_one_key_leaves_others_free(self, store: TokenStore) -> None:
        """While one key is locked, another thread can lock every other key."""
        with store.lock("alice", timeout=LONG):
            for key in AWKWARD_KEYS:
                in_thread(partial(lock_once, store, key))

    def test_the_lock_does_not_prevent_reading_and_writing(self, store: TokenStore) -> None:
        """The lock excludes only those who ask for it: others load, save and delete meanwhile."""
        with store.lock("alice", timeout=LONG):
            in_thread(lambda: store.save("alice", {"n": 1}, expected=None))
            assert in_thread(lambda: loaded(store, "alice")[0]) == {"n": 1}
            in_thread(lambda: store.delete("alice"))

    def test_threads_under_the_lock_lose_no_update(self, store: TokenStore) -> None:
        """Threads that load and save under the lock get no Conflict, and no update is lost."""
        store.save("counter", {"n": 0}, expected=None)
        in_threads(lambda: increment_under_lock(store, "counter", self.increments))
        assert loaded(store, "counter")[0] == {"n": THREADS * self.increments}

    def test_threads_without_the_lock_lose_no_update(self, store: TokenStore) -> None:
        """Threads that only compare and set, and try again after a Conflict, lose no update."""
        store.save("counter", {"n": 0}, expected=None)
        in_threads(lambda: increment_by_comparing(store, "counter", self.increments))
        assert loaded(store, "counter")[0] == {"n": THREADS * self.increments}

    def _keys(self, store: TokenStore, prefix: str, *, of: tuple[str, ...]) -> list[str]:
        """The keys that `keys` returns. If the store cannot list: checks that it raises, and returns those of `of`."""
        if self.lists_keys:
            return list(store.keys(prefix))
        with pytest.raises(StoreError):
            list(store.keys(prefix))
        return sorted(key for key in of if key.startswith(prefix))


class SharedStoreContract(SharedDueContract, StoreContract):
    """The tests for a store that several handles and processes share: those of `StoreContract`, and more.

    `open_store` must be picklable, and all its handles must show the same data.
    """

    def test_data_survives_reopening(self, open_store: OpenStore) -> None:
        """A handle that is opened later loads what an earlier one saved, with the same version."""
        with handle(open_store) as store:
            version = store.save("alice", NESTED_DATA, expected=None)
        with handle(open_store) as store:
            assert loaded(store, "alice") == (NESTED_DATA, version)

    def test_two_handles_see_each_other(self, store: TokenStore, open_store: OpenStore) -> None:
        """A save through one handle is visible to the other immediately, and makes the other's version stale."""
        with handle(open_store) as other:
            stale = store.save("alice", {"n": 1}, expected=None)
            current = other.save("alice", {"n": 2}, expected=stale)
            assert loaded(store, "alice") == ({"n": 2}, current)
            with pytest.raises(Conflict):
                store.save("alice", {"n": 3}, expected=stale)

    def test_the_lock_excludes_another_handle(self, store: TokenStore, open_store: OpenStore) -> None:
        """A lock taken through one handle keeps out the other."""
        with handle(open_store) as other, store.lock("alice", timeout=LONG):
            in_thread(lambda: seconds_until_refused(other, "alice", timeout=_SHORT))

    def test_processes_under_the_lock_lose_no_update(self, store: TokenStore, open_store: OpenStore) -> None:
        """Processes that load and save under the lock get no Conflict, and no update is lost."""
        store.save("counter", {"n": 0}, expected=None)
        run_processes(PROCESSES, increment_in_process, open_store, increment_under_lock, self.increments)
        assert loaded(store, "counter")[0] == {"n": PROCESSES * self.increments}

    def test_processes_without_the_lock_lose_no_update(self, store: TokenStore, open_store: OpenStore) -> None:
        """Processes that only compare and set, and try again after a Conflict, lose no update."""
        store.save("counter", {"n": 0}, expected=None)
        run_processes(PROCESSES, increment_in_process, open_store, increment_by_comparing, self.increments)
        assert loaded(store, "counter")[0] == {"n": PROCESSES * self.increments}

    def test_the_lock_of_a_killed_process_is_free(self, store: TokenStore, open_store: OpenStore) -> None:
        """A process that holds the lock excludes others, and a kill releases it."""
        with one_process(lock_in_process, open_store, "alice") as (process, pipe):
            assert received(pipe) == "locked"
            seconds_until_refused(store, "alice", timeout=_SHORT)
            process.kill()
            process.join(LONG)
            lock_once(store, "alice")

    def test_a_killed_writer_leaves_the_old_or_the_new_record(self, store: TokenStore, open_store: OpenStore) -> None:
        """A process killed while it saves leaves the record that it saved last, or the one that it was saving."""
        store.save("alice", numbered(0), expected=None)
        for delay in (0.0, 0.002):
            with one_process(save_for_ever_in_process, open_store, "alice") as (process, pipe):
                known = received(pipe)
                # The process is killed at different moments of its writing.
                time.sleep(delay)
                process.kill()
                process.join(LONG)
                with suppress(EOFError, OSError):
                    while True:
                        known = pipe.recv()
            assert loaded(store, "alice")[0] in (numbered(known), numbered(known + 1))

    def test_eight_processes_renew_an_expired_token_once(self, open_store: OpenStore) -> None:
        """Processes with the same expired token renew it once, present no refresh token twice, and get the same token.

        Needs the extra `blnk-auth[sandbox]`.
        """
        pytest.importorskip("blnk_auth.testing.sandbox", exc_type=ImportError)
        check_that_a_crowd_renews_once(open_store)
