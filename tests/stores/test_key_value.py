"""KeyValueStore on real backends of py-key-value: what it guarantees alone, and what with `lock_with`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from key_value.aio.errors import DeserializationError
from key_value.aio.stores.memory import MemoryStore as KeyValueMemoryStore
from key_value.aio.wrappers.read_only import ReadOnlyWrapper
from support.canary.leaks import leaks
from support.errors import raises
from support.limits import PATIENCE
from support.scripted import ScriptedWorld
from support.stores.key_value import DiskKeyValueStore, open_disk
from support.token_endpoint import pair

from blnk_auth.errors import ConfigurationError, Conflict, StoreError
from blnk_auth.stores._async_adapter import run
from blnk_auth.stores._entry_names import name_of
from blnk_auth.stores._key_value import KeyValueStore
from blnk_auth.stores._memory import MemoryStore
from blnk_auth.stores._token_store import TokenStore
from blnk_auth.testing.store_contract import SharedStoreContract, StoreContract

SECRET = "s3cr3t-value"


class TestOnMemory(StoreContract):
    @pytest.fixture
    def open_store(self) -> Callable[[], TokenStore]:
        return lambda: KeyValueStore(KeyValueMemoryStore())


class TestOnDisk(StoreContract):
    lists_keys = False

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], TokenStore]:
        return partial(DiskKeyValueStore, tmp_path / "cache")


class TestOnDiskWithLocks(SharedStoreContract):
    lists_keys = False

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], TokenStore]:
        return partial(open_disk, tmp_path / "state")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are listed on Linux only")
def test_the_disk_backend_of_these_tests_leaves_no_connection_open(tmp_path: Path) -> None:
    """Python 3.13 warns of one that is, and a warning fails a test."""

    def open_files() -> list[str]:
        paths = [each for each in Path("/proc/self/fd").iterdir() if each.exists()]
        return [str(each.resolve()) for each in paths if str(each.resolve()).startswith(str(tmp_path))]

    with open_disk(tmp_path / "state") as store:
        store.save("alice", {"n": 1}, expected=None)
        assert open_files() != []
    assert open_files() == []


@pytest.fixture
def backend() -> KeyValueMemoryStore:
    return KeyValueMemoryStore()


@pytest.fixture
def store(backend: KeyValueMemoryStore) -> KeyValueStore:
    return KeyValueStore(backend)


def loaded(store: TokenStore, key: str) -> dict[str, Any]:
    record = store.load(key)
    assert record is not None
    return record.data


def test_a_renewal_works(store: KeyValueStore) -> None:
    """A client renews through an asynchronous backend."""
    world = ScriptedWorld(store=store)
    alice = world.client.for_subject("alice")
    alice.adopt(world.token(0))
    world.clock.advance(3700)
    world.server.will(pair(1))
    assert alice.token().access_token == "at1"


def test_the_lock_is_that_of_lock_with(backend: KeyValueMemoryStore) -> None:
    """Two stores on one backend exclude each other by the store they lock with, and a save does not take that lock."""
    locks = MemoryStore()
    one, other = (KeyValueStore(backend, lock_with=locks) for _ in range(2))
    with one.lock("alice", timeout=PATIENCE):
        with pytest.raises(StoreError), other.lock("alice", timeout=0):
            pass
        version = one.save("alice", {"n": 1}, expected=None)
    with pytest.raises(Conflict):
        other.save("alice", {"n": 2}, expected=None)
    assert other.save("alice", {"n": 2}, expected=version)
    assert list(locks.keys()) == []


def test_collections_are_apart(backend: KeyValueMemoryStore) -> None:
    """Two collections of one backend share nothing."""
    one, other = KeyValueStore(backend, collection="one"), KeyValueStore(backend, collection="other")
    one.save("alice", {"n": 1}, expected=None)
    assert other.load("alice") is None
    assert list(other.keys()) == []


def test_other_peoples_entries_are_not_listed(backend: KeyValueMemoryStore, store: KeyValueStore) -> None:
    """What somebody else keeps in the collection is neither a key nor an error."""
    store.save("token/a", {}, expected=None)
    run(backend.put("theirs", {"x": 1}, collection="blnk_auth"))
    assert list(store.keys()) == ["token/a"]
    assert list(store.keys("token/")) == ["token/a"]


def test_a_list_that_may_be_cut_short_is_an_error(backend: KeyValueMemoryStore, store: KeyValueStore) -> None:
    """Where a backend ends its list in silence, the error warns that keys may be missing."""
    names = [f"x{number}" for number in range(1000)]
    run(backend.put_many(names, [{"n": 1}] * 1000, collection="blnk_auth"))
    with raises(StoreError, shows=("1000", "SQLStore")):
        store.keys()
    run(backend.delete("x0", collection="blnk_auth"))
    assert list(store.keys()) == []


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"blnk_auth": 2}, "format 2"),
        ({"blnk_auth": None}, "delete('alice')"),
        ({"key": "bob"}, "delete('alice')"),
        ({"version": 7}, "delete('alice')"),
        ({"data": {"token": SECRET}}, "delete('alice')"),
        ({"data": f'{{"token":"{SECRET}'}, "delete('alice')"),
        ({"data": ""}, "delete('alice')"),
        ({"data": "[]"}, "delete('alice')"),
    ],
)
def test_a_damaged_record_is_an_error(
    backend: KeyValueMemoryStore, store: KeyValueStore, change: dict[str, Any], shown: str
) -> None:
    """It raises StoreError naming key and remedy, is not overwritten, and a delete heals it; others work."""
    store.save("alice", {"n": 1}, expected=None)
    store.save("bob", {"n": 2}, expected=None)
    value = run(backend.get(name_of("alice"), collection="blnk_auth"))
    assert value is not None
    run(backend.put(name_of("alice"), {**value, **change}, collection="blnk_auth"))
    for attempt in (lambda: store.load("alice"), lambda: store.save("alice", {}, expected=None)):
        with raises(StoreError, key="alice", shows=shown) as raised:
            attempt()
        assert not isinstance(raised.value, Conflict)
        assert leaks([raised.value], [SECRET]) == []
    assert loaded(store, "bob") == {"n": 2}
    store.delete("alice")
    store.save("alice", {"n": 3}, expected=None)


def test_an_error_of_the_backend_is_a_store_error_without_its_text(backend: KeyValueMemoryStore) -> None:
    """What a backend raises arrives as StoreError, and shows nothing of the value."""

    class Broken(KeyValueMemoryStore):
        async def get(self, key: str, *, collection: str | None = None) -> dict[str, Any] | None:
            raise DeserializationError(message=SECRET)

    with raises(StoreError, shows=("read", "DeserializationError")) as raised:
        KeyValueStore(Broken()).load("alice")
    assert leaks([raised.value, raised.value.__context__], [SECRET]) == []
    with raises(StoreError, shows=("written", "ReadOnlyError")):
        KeyValueStore(ReadOnlyWrapper(backend, raise_on_write=True)).save("alice", {}, expected=None)


def test_what_is_not_a_key_value_store_is_refused() -> None:
    """Anything without get, put and delete, and a class instead of a store, is a ConfigurationError."""
    for wrong in (MemoryStore(), KeyValueMemoryStore, {}):
        with raises(ConfigurationError, parameter="store"):
            KeyValueStore(wrong)  # type: ignore[arg-type]
    with raises(ConfigurationError, parameter="lock_with"):
        KeyValueStore(KeyValueMemoryStore(), lock_with={})  # type: ignore[arg-type]
