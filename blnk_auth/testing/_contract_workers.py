"""What the store contract does in other threads and processes.

Used by `store_contract`, and by tests of single stores. It promises that everything is bounded: a wait ends after
`LONG` seconds. It never leaves a process behind: each is killed when its test ends.
"""

# These are parts of tests, so they assert.
# ruff: noqa: S101

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from .. import BlnkCloud, OAuthClient, TokenSource
from ..errors import Conflict, StoreError
from ..stores._due import DUE_AT
from ..stores._token_store import TokenStore, Version
from ..token import Token

if TYPE_CHECKING:
    # Windows has no ForkServerContext.
    from multiprocessing.context import ForkServerContext, SpawnContext

_Result = TypeVar("_Result")

OpenStore = Callable[[], TokenStore]
"""Opens a handle to the data of a test."""

LONG = 60.0
"""Seconds. Anything that takes as long hangs."""

THREADS = 8
PROCESSES = 4
_RENEWING_PROCESSES = 8


def check_that_a_crowd_renews_once(open_store: OpenStore) -> None:
    """Eight processes with one expired, rotating token: one token request, no reuse, the same token for all."""
    from .sandbox import Sandbox

    with Sandbox() as sandbox, handle(open_store) as store:
        registered = sandbox.origin, sandbox.client_id, sandbox.client_secret
        alice = _alice(store, registered)
        expired_at = time.time() - 60
        issued = Token.from_response(sandbox.issue("alice"), now=expired_at)
        alice.adopt(issued.replace(issued_at=expired_at - 3600, expires_at=expired_at))
        sandbox.token_latency = 0.2
        run_processes(_RENEWING_PROCESSES, _renew_in_process, open_store, registered, issued.access_token)
        assert _alice(store, registered).token().access_token != issued.access_token
        counts = sandbox.counts
        assert (counts.token_requests, counts.refreshes, counts.reuses) == (1, 1, 0)


def increment_under_lock(store: TokenStore, key: str, times: int) -> None:
    """Add 1 to the number under `key`, `times` times, each under the key's lock."""
    for _ in range(times):
        with store.lock(key, timeout=LONG):
            data, version = loaded(store, key)
            store.save(key, {"n": data["n"] + 1}, expected=version)


def increment_by_comparing(store: TokenStore, key: str, times: int) -> None:
    """Add 1 to the number under `key`, `times` times, by compare-and-set only."""
    for _ in range(times):
        while True:
            data, version = loaded(store, key)
            with suppress(Conflict):
                store.save(key, {"n": data["n"] + 1}, expected=version)
                break


def run_processes(count: int, target: Callable[..., None], *args: Any) -> None:
    """Run `target(pipe, *args)` in `count` new processes at the same time, and wait until they have ended.

    Each sends "ready" through its pipe and waits for "go" there, so that they start together. An assertion fails if
    one of them does not exit with 0.
    """
    with processes(count, target, *args) as started:
        for _, pipe in started:
            assert received(pipe) == "ready"
        for _, pipe in started:
            pipe.send("go")
        for process, _ in started:
            process.join(LONG)
        assert [process.exitcode for process, _ in started] == [0] * count


def increment_in_process(
    pipe: Connection, open_store: OpenStore, increment: Callable[[TokenStore, str, int], None], times: int
) -> None:
    """For `run_processes`: add 1 to the number under "counter", `times` times."""
    with handle(open_store) as store:
        pipe.send("ready")
        pipe.recv()
        increment(store, "counter", times)


def save_for_ever_in_process(pipe: Connection, open_store: OpenStore, key: str) -> None:
    """For `one_process`: save one number after the other, and send each that is saved."""
    with handle(open_store) as store:
        data, version = loaded(store, key)
        for number in itertools.count(data["n"] + 1):
            version = store.save(key, numbered(number), expected=version)
            pipe.send(number)


def save_due_for_ever_in_process(_pipe: Connection, open_store: OpenStore, key: str) -> None:
    """For `one_process`: save the record as due later, and as due, again and again."""
    with handle(open_store) as store:
        _, version = loaded(store, key)
        for due_at in itertools.cycle((5e9, 2.0)):
            version = store.save(key, {DUE_AT: due_at}, expected=version)


def kill_when(process: BaseProcess, condition: Callable[[], bool]) -> None:
    """Kill the other process as soon as this is true. An assertion fails if it never is."""
    ends_at = time.monotonic() + LONG
    while not condition():
        assert process.is_alive(), "the other process failed: its traceback is on stderr"
        assert time.monotonic() < ends_at, "nothing was seen of what the other process saves"
    process.kill()
    process.join(LONG)


def numbered(number: int) -> dict[str, Any]:
    """A record that is long, so that the kill often comes while it is being written."""
    return {"n": number, "again": [number] * 1000}


def _renew_in_process(pipe: Connection, open_store: OpenStore, registered: tuple[str, str, str], expired: str) -> None:
    with handle(open_store) as store:
        alice = _alice(store, registered)
        pipe.send("ready")
        pipe.recv()
        assert alice.token().access_token != expired


def _alice(store: TokenStore, registered: tuple[str, str, str]) -> TokenSource:
    origin, client_id, client_secret = registered
    client = OAuthClient(BlnkCloud(base_url=origin), client_id=client_id, client_secret=client_secret, store=store)
    return client.for_subject("alice")


def lock_in_process(pipe: Connection, open_store: OpenStore, key: str) -> None:
    """For `one_process`: lock the key, send "locked", and keep the lock."""
    with handle(open_store) as store, store.lock(key, timeout=LONG):
        pipe.send("locked")
        pipe.recv()


def _context() -> SpawnContext | ForkServerContext:
    """How a process is started: never as a fork of this one, whose handles a user's processes do not have.

    On Linux it is the fork of a server process that has imported only what a renewal needs. That takes a tenth of the
    time that a new interpreter takes.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "blnk_auth._transport.requests_transport"])
    return context


def _in_process(environment: dict[str, str], target: Callable[..., None], *args: Any) -> None:
    # The server still has the environment with which it was started.
    os.environ.clear()
    os.environ.update(environment)
    target(*args)


@contextmanager
def processes(count: int, target: Callable[..., None], *args: Any) -> Generator[list[tuple[BaseProcess, Connection]]]:
    """Processes that run `target(pipe, *args)`, each with our end of its pipe; killed when the context ends."""
    context = _context()
    environment = dict(os.environ)
    started: list[tuple[BaseProcess, Connection]] = []
    try:
        for _ in range(count):
            here, there = context.Pipe()
            process: BaseProcess = context.Process(target=_in_process, args=(environment, target, there, *args))
            process.start()
            there.close()
            started.append((process, here))
        yield started
    finally:
        for process, pipe in started:
            process.kill()
            process.join()
            process.close()
            pipe.close()


@contextmanager
def one_process(target: Callable[..., None], *args: Any) -> Generator[tuple[BaseProcess, Connection]]:
    """The same with one process."""
    with processes(1, target, *args) as [only]:
        yield only


def received(pipe: Connection) -> Any:
    """What the other process sent."""
    assert pipe.poll(LONG), "the other process sent nothing"
    return pipe.recv()


@contextmanager
def handle(open_store: OpenStore) -> Generator[TokenStore]:
    """A handle, which is closed when the context ends."""
    store = open_store()
    try:
        yield store
    finally:
        close = getattr(store, "close", None)
        if close is not None:
            close()


def loaded(store: TokenStore, key: str) -> tuple[dict[str, Any], Version]:
    """The data and the version of a record. An assertion fails if there is none."""
    record = store.load(key)
    assert record is not None, f"{key!r} is not in the store"
    return record.data, record.version


def lock_once(store: TokenStore, key: str) -> None:
    """Take the lock, and release it."""
    with store.lock(key, timeout=LONG):
        pass


def seconds_until_refused(store: TokenStore, key: str, *, timeout: float) -> float:
    """Seconds until the lock, which another has taken, was refused."""
    start = time.monotonic()
    with pytest.raises(StoreError), store.lock(key, timeout=timeout):
        pytest.fail("the lock was given to two at the same time")
    return time.monotonic() - start


def in_thread(work: Callable[[], _Result]) -> _Result:
    """The result of `work` in another thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result(LONG)


def in_threads(work: Callable[[], None]) -> None:
    """Run `work` in several threads that start together."""
    together = threading.Barrier(THREADS)

    def run() -> None:
        together.wait(LONG)
        work()

    with ThreadPoolExecutor(THREADS) as threads:
        for done in [threads.submit(run) for _ in range(THREADS)]:
            done.result(LONG)
