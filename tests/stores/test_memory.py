"""What MemoryStore and the in-process locks promise beyond the contract."""

from __future__ import annotations

import copy
import math
import pickle
import threading

import pytest
from support.errors import raises
from support.limits import PATIENCE
from support.processes import in_forked_child

from blnk_auth.errors import StoreError
from blnk_auth.stores._key_locks import KeyLocks
from blnk_auth.stores._memory import MemoryStore
from blnk_auth.stores._simple import SimpleStore
from blnk_auth.stores._token_store import TokenStore

forks_with_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


def test_it_is_a_token_store() -> None:
    """MemoryStore has the five methods of the protocol."""
    assert isinstance(MemoryStore(), TokenStore)


def test_repr_shows_only_how_many_keys() -> None:
    """The repr has the number of keys and nothing of their names."""
    store = MemoryStore()
    store.save("alice", {"access_token": "s3cr3t"}, expected=None)
    assert repr(store) == "<MemoryStore keys=1>"


def test_a_pickle_carries_no_records() -> None:
    """A pickled store comes back empty and working, and the pickle holds no secret."""
    store = MemoryStore()
    store.save("alice", {"access_token": "s3cr3t"}, expected=None)
    pickled = pickle.dumps(store)
    assert b"s3cr3t" not in pickled
    restored = pickle.loads(pickled)
    assert list(restored.keys()) == []
    restored.save("alice", {}, expected=None)


def test_a_copy_is_the_same_store() -> None:
    """Copying, deep or not, gives the store itself: two copies would each spend the refresh token."""
    store = MemoryStore()
    assert copy.copy(store) is store
    assert copy.deepcopy({"store": store})["store"] is store


def test_idle_keys_cost_no_locks() -> None:
    """A lock exists while it is taken or awaited, and not afterwards."""
    locks = KeyLocks()
    for number in range(1000):
        with locks.hold(f"key {number}", timeout=1):
            assert len(locks) == 1
    assert len(locks) == 0


@pytest.mark.parametrize("timeout", [0, -1])
def test_a_refused_waiter_leaves_no_lock_behind(timeout: float) -> None:
    """A waiter without time is refused immediately, and the lock is deleted when its holder has released it."""
    locks = KeyLocks()
    with locks.hold("alice", timeout=1):
        with raises(StoreError, shows="'alice'"), locks.hold("alice", timeout=timeout):
            pass
        assert len(locks) == 1
    assert len(locks) == 0


@pytest.mark.parametrize("timeout", [math.inf, -1, 1e300])
def test_any_timeout_gets_a_free_lock(timeout: float) -> None:
    """A free lock is taken with any timeout, for ever and negative included."""
    with KeyLocks().hold("alice", timeout=timeout):
        pass


@pytest.mark.real
@forks_with_threads
def test_a_lock_of_another_thread_is_free_in_a_forked_child() -> None:
    """A child forked while another thread holds a lock, and one inside a save, can lock, load and save."""
    store = MemoryStore()
    version = store.save("alice", {"n": 1}, expected=None)
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with store.lock("alice", timeout=1), store._writers.hold("alice", timeout=1), store._locks._changing:
            locked.set()
            done.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    assert locked.wait(PATIENCE)

    def child() -> None:
        with store.lock("alice", timeout=0):
            store.save("alice", {"n": 2}, expected=version)
        record = store.load("alice")
        assert record is not None
        assert record.data == {"n": 2}

    try:
        in_forked_child(child)
    finally:
        done.set()
        thread.join()


@pytest.mark.real
def test_a_child_forked_under_the_lock_can_leave_it() -> None:
    """The forking thread's own lock ends well on both sides of the fork."""
    store = MemoryStore()

    def child() -> None:
        context.__exit__(None, None, None)
        with store.lock("alice", timeout=0):
            pass

    context = store.lock("alice", timeout=1)
    with context:
        in_forked_child(child)
        with pytest.raises(StoreError), store.lock("alice", timeout=0):
            pass
    with store.lock("alice", timeout=0):
        pass


def test_a_simple_store_reports_that_it_cannot_list() -> None:
    """The base class's `keys` raises StoreError that names the class, before any iteration."""

    class MyStore(SimpleStore):
        load = MemoryStore.load
        save = MemoryStore.save
        delete = MemoryStore.delete

    with raises(StoreError, shows=("MyStore.keys", "SQLiteStore")):
        MyStore().keys()
