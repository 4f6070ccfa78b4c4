"""Anything that a store raises or returns becomes an error without the data, and costs no token pair."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from support.canary.leaks import everything_in, leaks
from support.errors import raises
from support.scripted import ScriptedWorld
from support.stores.scripted import AsyncMemoryStore
from support.token_endpoint import pair

from blnk_auth.errors import Conflict, StoreError
from blnk_auth.stores import MemoryStore, Record, Version, conflict, new_version, unreadable
from blnk_auth.stores._async_adapter import AsyncStoreAdapter, run
from blnk_auth.stores._calls import call_store, load_record, save_record

SECRET = "s3cr3t-value"
NO_EXCEPTIONS = (asyncio.CancelledError, SystemExit, GeneratorExit, KeyboardInterrupt)
"""What `except Exception` does not catch."""


def on_a_worker(work: Any) -> Any:
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result()


class Failing(MemoryStore):
    """Raises at every save while `failure` is set."""

    failure: BaseException | None = None

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        if self.failure is not None:
            raise self.failure
        return super().save(key, data, expected=expected)


class AsyncFailing(AsyncMemoryStore):
    """The same with coroutines."""

    failure: BaseException | None = None

    async def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        if self.failure is not None:
            raise self.failure
        return await super().save(key, data, expected=expected)


@pytest.mark.parametrize("kind", [Failing, AsyncFailing])
@pytest.mark.parametrize("failure", [RuntimeError, *NO_EXCEPTIONS])
def test_the_new_pair_is_kept_after_any_exception_of_a_save(kind: Any, failure: type[BaseException]) -> None:
    """A pair that cannot be saved is used from memory, and is saved once the store works again."""
    store = kind()
    world = ScriptedWorld(store=store)
    alice = world.client.for_subject("alice")
    alice.adopt(world.token(0))
    world.clock.advance(3700)
    world.server.will(pair(1))
    store.failure = failure()
    assert alice.token().access_token == "at1"
    assert alice.token().access_token == "at1"
    store.failure = None
    world.clock.advance(120)
    assert alice.token().access_token == "at1"
    assert "saved" in world.emitted()
    world.clock.advance(3700)
    world.server.will(pair(2))
    assert alice.token().access_token == "at2"
    assert [form["refresh_token"] for form in world.server.forms] == ["rt0", "rt1"]


@pytest.mark.parametrize("failure", [RuntimeError(SECRET), *(each(SECRET) for each in NO_EXCEPTIONS)])
def test_what_a_store_raises_on_a_worker_thread_is_a_store_error(failure: BaseException) -> None:
    """Neither its text nor, by a chain, its frames are passed on."""

    def fail() -> None:
        secret = SECRET
        raise failure from ValueError(secret)

    def call() -> StoreError:
        with raises(StoreError, shows=("written", type(failure).__name__)) as raised:
            call_store("written", fail)
        return raised.value

    error = on_a_worker(call)
    assert error.__cause__ is None
    assert leaks(everything_in(error), [SECRET]) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_of_the_main_thread_is_the_users(interruption: type[BaseException]) -> None:
    """Ctrl-C, and the SystemExit of a signal handler, pass through a store that is called on the main thread."""
    assert threading.current_thread() is threading.main_thread()

    def interrupt() -> None:
        raise interruption

    with pytest.raises(interruption):
        call_store("read", interrupt)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_no_store_ends_the_private_event_loop(interruption: type[BaseException]) -> None:
    """Asyncio lets these two end a loop; then every later call of every asynchronous store would time out."""

    class Interrupting(AsyncMemoryStore):
        async def load(self, key: str) -> Record | None:
            raise interruption

        async def keys(self, prefix: str = "") -> AsyncIterator[str]:
            raise interruption
            yield ""

    store = AsyncStoreAdapter(Interrupting())
    for act in (lambda: store.load("alice"), lambda: list(store.keys())):
        with raises(StoreError, shows=interruption.__name__):
            act()

    async def works() -> str:
        return "it does"

    assert run(works()) == "it does"


@pytest.mark.parametrize(
    ("returned", "described"),
    [
        ({"data": SECRET}, "a value of type dict"),
        (SECRET, "a value of type str"),
        (Record([SECRET], "1"), "a Record of list and str"),  # type: ignore[arg-type]
        (Record(None, "1"), "a Record of NoneType and str"),  # type: ignore[arg-type]
        (Record({"a": SECRET}, None), "a Record of dict and NoneType"),  # type: ignore[arg-type]
        (Record({"a": SECRET}, 7), "a Record of dict and int"),  # type: ignore[arg-type]
    ],
)
def test_what_is_not_a_record_is_an_error(returned: Any, described: str) -> None:
    """A store whose load returns anything else is reported to its author by types, without the value."""

    class Garbage(MemoryStore):
        def load(self, key: str) -> Record | None:
            return returned  # type: ignore[no-any-return]

    with raises(StoreError, key="alice", shows=("load", described, "store_contract")):
        load_record(Garbage(), "alice")
    source = ScriptedWorld(store=Garbage()).client.for_subject("alice")
    for act in (source.token, lambda: source.state):
        with raises(StoreError, shows=described) as raised:
            act()
        assert leaks(everything_in(raised.value), [SECRET]) == []


@pytest.mark.parametrize("returned", [None, 7, b"v1"])
def test_what_is_not_a_version_is_an_error(returned: Any) -> None:
    """A store whose save returns anything else is reported to its author; the pair is kept."""

    class Garbage(MemoryStore):
        def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
            super().save(key, data, expected=expected)
            return returned  # type: ignore[no-any-return]

    with raises(StoreError, key="alice", shows=("save", f"type {type(returned).__name__}", "store_contract")):
        save_record(Garbage(), "alice", {}, expected=None)


def test_what_is_not_a_lock_is_an_error() -> None:
    """A store whose lock returns nothing is a StoreError, before anything is asked of the server."""

    class Unlocked(MemoryStore):
        def lock(self, key: str, *, timeout: float) -> Any:
            return None

    world = ScriptedWorld(store=Unlocked())
    with raises(StoreError, shows="AttributeError"):
        world.client.for_subject("alice").adopt(world.token(0))
    assert world.server.forms == []


class OneByOne(MemoryStore):
    """A store whose lock raises what is not an `Exception`, on entering and on leaving."""

    @contextmanager
    def lock(self, key: str, *, timeout: float) -> Iterator[None]:  # type: ignore[override]
        yield
        raise asyncio.CancelledError


def test_a_lock_that_raises_on_leaving_costs_no_pair() -> None:
    """The pair is saved by then, and is used; an event reports what happened."""
    world = ScriptedWorld(store=OneByOne())
    alice = world.client.for_subject("alice")
    alice.adopt(world.token(0))
    world.clock.advance(3700)
    world.server.will(pair(1))
    assert alice.token().access_token == "at1"
    assert "unlock_failed" in world.emitted()


# --- what authors of stores use --------------------------------------------------------------------------------------


def test_the_errors_for_authors_carry_the_key() -> None:
    """`conflict` and `unreadable` are the errors that the contract asks for, with what to do next."""
    lost = conflict("alice")
    assert isinstance(lost, Conflict)
    assert lost.key == "alice"
    damaged = unreadable("alice", "it is cut short")
    assert type(damaged) is StoreError
    assert (damaged.key, damaged.parameter) == ("alice", "record")
    for error, shown in ((lost, ("'alice'",)), (damaged, ("'alice'", "it is cut short", "delete('alice')"))):
        with raises(StoreError, shows=shown):
            raise error


def test_no_two_versions_are_alike() -> None:
    """A version is opaque text, and never used twice."""
    assert len({new_version() for _ in range(1000)}) == 1000
    assert all(isinstance(new_version(), str) for _ in range(3))


def test_data_that_is_not_json_is_refused() -> None:
    """What no JSON text can hold is refused before anything is written, and the error does not show it."""
    store = MemoryStore()
    for odd in (float("inf"), object(), {1, 2}, b"bytes", 10**5000):
        with raises(StoreError, parameter="data") as raised:
            store.save("alice", {"token": SECRET, "odd": odd}, expected=None)
        assert raised.value.parameter == "data"
        assert leaks(everything_in(raised.value), [SECRET]) == []
    assert store.load("alice") is None
