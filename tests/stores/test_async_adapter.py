"""An asynchronous store is a store like any other, wherever it is called from."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from support.errors import raises
from support.limits import PATIENCE
from support.processes import in_forked_child
from support.scripted import ScriptedWorld
from support.stores.async_stores import AdaptedRedisStore, AsyncSQLiteStore, open_adapted
from support.stores.scripted import AsyncMemoryStore
from support.token_endpoint import pair

from blnk_auth.errors import ConfigurationError, StoreError
from blnk_auth.stores import _async_adapter
from blnk_auth.stores._async_adapter import AsyncStoreAdapter, as_token_store
from blnk_auth.stores._memory import MemoryStore
from blnk_auth.stores._token_store import Record, TokenStore
from blnk_auth.testing.store_contract import SharedStoreContract

forks_with_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


class TestAsyncStoreAdapter(SharedStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], TokenStore]:
        return partial(open_adapted, tmp_path / "tokens.db")


class TestAdaptedRedisStore(SharedStoreContract):
    """Over a real asynchronous driver, whose connections belong to the loop that opened them."""

    @pytest.fixture
    def open_store(self, redis_url: str) -> Callable[[], TokenStore]:
        return partial(AdaptedRedisStore, redis_url, f"test-{uuid.uuid4()}")


def test_a_client_takes_an_asynchronous_store(tmp_path: Path) -> None:
    """An `async def` store is accepted as `store=`, and a renewal through it asks once and saves the new pair."""
    store = AsyncSQLiteStore(tmp_path / "tokens.db")
    world = ScriptedWorld(store=store)
    alice = world.client.for_subject("alice")
    alice.adopt(world.token(0))
    world.clock.advance(3700)
    world.server.will(pair(1))
    assert alice.token().access_token == "at1"
    assert "at1" in str(asyncio.run(store.load(alice.store_key)).data)  # type: ignore[union-attr]


def test_it_serves_asyncio_and_trio_callers_and_does_not_use_their_loops(tmp_path: Path) -> None:
    """Tasks of asyncio and of trio get their token, and the store has only ever seen one loop, the private one."""
    store = AsyncSQLiteStore(tmp_path / "tokens.db")
    world = ScriptedWorld(store=store)
    alice = world.client.for_subject("alice")

    async def adopt_and_ask() -> str:
        await alice.aadopt(world.token(0))
        return (await alice.atoken()).access_token

    assert asyncio.run(adopt_and_ask()) == "at0"
    assert trio.run(adopt_and_ask) == "at0"
    assert alice.token().access_token == "at0"
    assert store.loops == {_async_adapter.shared_loop_thread().loop()}


def test_a_store_that_blocks_is_used_as_it_is() -> None:
    """A store whose methods are not coroutines has no adapter."""
    store = MemoryStore()
    assert as_token_store(store) is store


def test_half_a_store_is_refused() -> None:
    """A store that lacks a method, or mixes `def` and `async def`, is refused by the name of what is wrong."""

    class NoKeys:
        load = save = delete = lock = MemoryStore.load

    class Mixed(MemoryStore):
        async def load(self, key: str) -> Record | None:  # type: ignore[override]
            return None

    for wrong, shown in (
        (NoKeys(), ("NoKeys", "load, save, delete, lock and keys")),
        (Mixed(), "load"),
        (MemoryStore, "MemoryStore(...)"),
        ("tokens.db", ("str", "SQLiteStore(path)")),
    ):
        with raises(ConfigurationError, parameter="store", shows=shown):
            as_token_store(wrong)  # type: ignore[arg-type]
    with raises(ConfigurationError, parameter="store"):
        ScriptedWorld(store=42)


def test_an_error_of_the_store_arrives(tmp_path: Path) -> None:
    """What a coroutine of the store raises, its caller gets, also a TimeoutError of its own."""

    class Failing(AsyncMemoryStore):
        async def load(self, key: str) -> Record | None:
            raise TimeoutError("the store's own")

        async def delete(self, key: str) -> None:
            raise asyncio.CancelledError

    store = AsyncStoreAdapter(Failing())
    with pytest.raises(TimeoutError, match="the store's own"):
        store.load("alice")
    with raises(StoreError, remedy="try again"):
        store.delete("alice")


def test_a_lock_that_fails_is_reported() -> None:
    """A lock that is refused on entry raises its error there, and one that fails on leaving raises it then."""

    class Failing(AsyncMemoryStore):
        @asynccontextmanager
        async def lock(self, key: str, *, timeout: float) -> AsyncIterator[None]:
            if key == "refused":
                raise StoreError("no lock for you")
            yield
            raise StoreError("the lease was lost")

    store = AsyncStoreAdapter(Failing())
    with raises(StoreError, problem="no lock for you"), store.lock("refused", timeout=PATIENCE):
        pytest.fail("it was not had")
    entered = False
    with raises(StoreError, problem="the lease was lost"), store.lock("alice", timeout=PATIENCE):
        entered = True
    assert entered


class Silent(AsyncMemoryStore):
    """Never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = threading.Event()

    async def load(self, key: str) -> Record | None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return None

    def lock(self, key: str, *, timeout: float) -> AbstractAsyncContextManager[None]:
        @asynccontextmanager
        async def never() -> AsyncIterator[None]:
            await self.load(key)
            yield

        return never()


def test_a_silent_store_is_given_up_on() -> None:
    """A call that gets no answer raises StoreError after its time, and its coroutine is cancelled."""
    store = Silent()
    with raises(StoreError, shows="0.05 s"):
        AsyncStoreAdapter(store, call_seconds=0.05).load("alice")
    assert store.cancelled.wait(PATIENCE)
    store.cancelled.clear()
    with (
        raises(StoreError, shows="0.05 s"),
        AsyncStoreAdapter(store, call_seconds=0.05).lock("alice", timeout=0),
    ):
        pytest.fail("it was not had")
    assert store.cancelled.wait(PATIENCE)


def test_a_store_that_waits_for_itself_gets_an_error() -> None:
    """A coroutine of the store that calls its own adapter raises StoreError instead of waiting for ever."""

    class Circular(AsyncMemoryStore):
        async def load(self, key: str) -> Record | None:
            return adapted.load(key)

    adapted = AsyncStoreAdapter(Circular())
    with raises(StoreError, shows="await"):
        adapted.load("alice")


def test_keys_left_half_way_are_closed() -> None:
    """Who stops listing early ends the store's own iteration; a long list comes whole and in order."""

    class Listing(AsyncMemoryStore):
        closed = threading.Event()

        async def keys(self, prefix: str = "") -> AsyncIterator[str]:
            try:
                for number in range(1700):
                    yield f"{number:04}"
            finally:
                self.closed.set()

    store = AsyncStoreAdapter(Listing())
    listing = store.keys()
    assert next(listing) == "0000"
    listing.close()  # type: ignore[attr-defined]
    assert Listing.closed.wait(PATIENCE)
    assert list(store.keys()) == [f"{number:04}" for number in range(1700)]


@forks_with_threads
def test_a_forked_child_gets_a_loop_of_its_own(tmp_path: Path) -> None:
    """An adapter in use before a fork works in the child, and in the parent afterwards."""
    store = open_adapted(tmp_path / "tokens.db")
    version = store.save("alice", {"n": 1}, expected=None)

    def child() -> None:
        with store.lock("alice", timeout=PATIENCE):
            store.save("alice", {"n": 2}, expected=version)

    in_forked_child(child)
    record = store.load("alice")
    assert record is not None
    assert record.data == {"n": 2}


def test_no_loop_runs_before_it_is_wanted() -> None:
    """The private loop starts with the first call, in a daemon thread, which no exit waits for."""
    fresh = _async_adapter._LoopThread()
    assert fresh._thread is None
    loop = fresh.loop()
    assert fresh.loop() is loop
    thread = fresh._thread
    assert thread is not None
    assert thread.daemon
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE)
    loop.close()
