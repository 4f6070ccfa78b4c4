"""Waiting for work that no caller can stop.

Work runs on a short-lived, named, non-daemon worker thread: no caller's cancellation, event loop or signal reaches it,
and the interpreter waits for it at exit. Whoever wants its outcome waits on the `Flight`, each in the manner of its own
runtime: a thread on an event, an asyncio or trio task through a wake-up that is safe to call from any thread. A waiter
that is cancelled leaves; the flight goes on.

`SingleFlight` keeps at most one flight per key: the second who asks joins the first.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Hashable
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from ..errors import BlnkAuthError, TemporarilyUnavailable, clear_locals
from ..stores._forks import reset_in_child

Result = TypeVar("Result")


class Flight(Generic[Result]):
    """One piece of work under way, and all who wait for it. May be waited for from any thread, loop or task."""

    __slots__ = ("_done", "_error", "_lock", "_result", "_wake_ups", "_worker")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = False
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._wake_ups: list[Callable[[], object]] = []
        self._worker: int | None = None

    def wait(self, timeout: float) -> Result:
        """Block until the outcome is there; raise `TemporarilyUnavailable` after `timeout` seconds without one."""
        landed = threading.Event()
        if self._call_when_done(landed.set) and not landed.wait(timeout):
            raise _still_running(timeout)
        return self._outcome()

    async def wait_async(self, timeout: float) -> Result:
        """The same for a task of asyncio or trio."""
        if not self._done:
            await (_wait_in_trio if in_trio() else _wait_in_asyncio)(self._call_when_done, timeout)
        return self._outcome()

    def run(self, work: Callable[[], Result], afterwards: Callable[[], object]) -> None:
        """Do the work on this thread, once; wake the waiters; then do what comes afterwards."""
        self._worker = threading.get_ident()
        try:
            self._result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised in each waiter
            # Whoever waits gets the error, and not what this thread had in its variables.
            clear_locals(error)
            self._error = error
        with self._lock:
            self._done = True
            wake_ups, self._wake_ups = self._wake_ups, []
        for wake_up in wake_ups:
            wake_up()
        afterwards()

    def _call_when_done(self, wake_up: Callable[[], object]) -> bool:
        """Whether there is something to wait for; if so `wake_up` will be called, once, on any thread."""
        if self._worker == threading.get_ident() and not self._done:
            raise BlnkAuthError(
                "a store or a callable secret asked for the very token that is being renewed for it",
                remedy="it must not use a client that carries this auth",
            )
        with self._lock:
            if not self._done:
                self._wake_ups.append(wake_up)
            return not self._done

    def _outcome(self) -> Result:
        if isinstance(self._error, BlnkAuthError):
            raise self._error.replace()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # done without an error: the result is there


class SingleFlight:
    """At most one flight per key. Guards state only: its lock is held for as long as a thread takes to start."""

    __slots__ = ("__weakref__", "_lock", "_under_way")

    def __init__(self) -> None:
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: its parent's flights will never land here."""
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Flight[Any]] = {}

    def join_or_start(
        self, key: Hashable, work: Callable[[], Result], afterwards: Callable[[], object]
    ) -> Flight[Result]:
        """The flight under way for `key`, else a new one that runs `work`, and `afterwards` once all are woken.

        The key is free again before anyone is woken, so whoever finds the outcome wanting can start another.
        """
        flight: Flight[Result] = Flight()

        def work_and_make_way() -> Result:
            try:
                return work()
            finally:
                with self._lock:
                    del self._under_way[key]

        def fly() -> None:
            with self._lock:
                is_awaited = self._under_way.get(key) is flight
            if is_awaited:
                flight.run(work_and_make_way, afterwards)

        with self._lock:
            under_way = self._under_way.get(key)
            if under_way is not None:
                return under_way
            # In this order: Ctrl-C between the two must leave no flight to be joined that will never land. The worker
            # looks only after this block, and does nothing for a flight that nobody got.
            has_worker = _start(fly)
            self._under_way[key] = flight
        if not has_worker:
            fly()
        return flight


def run_on_worker(work: Callable[[], Result], afterwards: Callable[[], object]) -> Flight[Result]:
    """Run `work` in a flight of its own, which nobody joins, and `afterwards` once its waiters are woken."""
    flight: Flight[Result] = Flight()
    if not _start(lambda: flight.run(work, afterwards)):
        flight.run(work, afterwards)
    return flight


def _start(run: Callable[[], object]) -> bool:
    """Run this on a worker thread of its own, in a copy of the caller's context; False if there can be none."""
    worker = threading.Thread(target=copy_context().run, args=(run,), name="blnk-auth renewal", daemon=False)
    try:
        worker.start()
    except RuntimeError:
        # The interpreter is shutting down (no new threads from CPython 3.12 on) or the process is out of threads.
        return False
    return True


def _still_running(timeout: float) -> TemporarilyUnavailable:
    return TemporarilyUnavailable(
        f"the renewal has not ended within {timeout:g} seconds",
        remedy="it goes on, and its token will be stored",
        retry_after=1.0,
    )


def in_trio() -> bool:
    """Whether the caller is a task of trio."""
    # Asked first: in trio's guest mode asyncio.get_running_loop() succeeds inside trio tasks too.
    # Nobody is a task of a trio that another thread is only just importing.
    lowlevel = getattr(sys.modules.get("trio"), "lowlevel", None)
    return lowlevel is not None and lowlevel.in_trio_task()


async def _wait_in_trio(call_when_done: Callable[[Callable[[], object]], bool], timeout: float) -> None:
    import trio

    landed, token = trio.Event(), trio.lowlevel.current_trio_token()

    def wake_up() -> None:
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(landed.set)

    if call_when_done(wake_up):
        with trio.move_on_after(timeout):
            await landed.wait()
            return
        raise _still_running(timeout)


async def _wait_in_asyncio(call_when_done: Callable[[Callable[[], object]], bool], timeout: float) -> None:
    import asyncio

    loop = asyncio.get_running_loop()
    landed = asyncio.Event()

    def wake_up() -> None:
        # A RuntimeError means that the waiter's loop has been closed: nobody waits there any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(landed.set)

    if call_when_done(wake_up):
        try:
            async with asyncio.timeout(timeout):
                await landed.wait()
        except TimeoutError:
            raise _still_running(timeout) from None
