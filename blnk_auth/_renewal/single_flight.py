"""Waiting for work that no caller can stop.

Used by everything that renews or signs in. What this file promises:

* Work runs on a worker thread (`worker`). Everyone who needs its result waits on the `Flight`, each in the manner of
  its own runtime: a thread on an event, an asyncio or trio task through a wake-up that any thread may call.
* Cancelling a waiter does not cancel the work.
* `SingleFlight` has at most one flight under way for each key, and at most one that waits for it to end.

It never knows what the work is.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Hashable
from contextvars import Context, copy_context
from typing import Any, Generic, TypeVar

from ..errors import BlnkAuthError, TemporarilyUnavailable, clear_locals
from ..stores._forks import reset_in_child
from .worker import start_worker

Result = TypeVar("Result")

_SIGNAL_SECONDS = 0.5


class Flight(Generic[Result]):
    """One piece of work under way, and all who wait for it. May be waited for from any thread, loop or task."""

    __slots__ = ("_done", "_error", "_lock", "_previous", "_result", "_wake_ups", "_worker", "brings_another")

    def __init__(self, *, brings_another: bool = True, previous: Flight[Any] | None = None) -> None:
        self.brings_another: bool = brings_another
        """Whether its result will be another than the one that is there; see `SingleFlight`."""
        self._previous = previous
        """The flight that must land before this one begins."""
        self._lock = threading.Lock()
        self._done = False
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._wake_ups: list[Callable[[], object]] = []
        self._worker: int | None = None

    def wait(self, timeout: float) -> Result:
        """Block until the result is there. Raises `TemporarilyUnavailable` after `timeout` seconds without one."""
        landed = threading.Event()
        if self._call_when_done(landed.set) and not _wait_on_thread(landed, timeout):
            raise _still_running(timeout)
        return self._result_or_error()

    async def wait_async(self, timeout: float) -> Result:
        """As `wait`, for a task of asyncio or trio."""
        if not self._done:
            await (_wait_in_trio if in_trio() else _wait_in_asyncio)(self._call_when_done, timeout)
        return self._result_or_error()

    def run(self, work: Callable[[], Result], afterwards: Callable[[], object]) -> None:
        """Do the work on this thread, once; wake the waiters; then do what comes afterwards."""
        self._worker, self._previous = threading.get_ident(), None
        try:
            self._result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised in each waiter
            # Waiters get the error without the local variables of this thread.
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
        if self._is_waited_for_by_its_own_worker():
            raise BlnkAuthError(
                "a store or a callable secret asked for the very token that is being renewed for it",
                remedy="it must not use a client that carries this auth",
            )
        with self._lock:
            if not self._done:
                self._wake_ups.append(wake_up)
            return not self._done

    def _is_waited_for_by_its_own_worker(self) -> bool:
        previous = self._previous
        if previous is not None and previous._is_waited_for_by_its_own_worker():
            return True
        return self._worker == threading.get_ident() and not self._done

    def _result_or_error(self) -> Result:
        if isinstance(self._error, BlnkAuthError):
            raise self._error.replace()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # done without an error: the result is there


class _Waiting:
    """A flight that begins when the one under way has landed."""

    __slots__ = ("context", "flight", "run")

    def __init__(self, flight: Flight[Any], run: Callable[[], None], context: Context) -> None:
        self.flight = flight
        self.run = run
        self.context = context


class SingleFlight:
    """At most one flight under way for each key; the second caller joins the first.

    A caller who needs another result than the one that is there joins only a flight that brings one
    (`Flight.brings_another`). Otherwise it gets a flight that begins when the one under way has landed; all who need
    the same share that one.

    May be used from any thread. Its lock is taken for as long as a thread takes to start.
    """

    __slots__ = ("__weakref__", "_lock", "_under_way", "_waiting")

    def __init__(self) -> None:
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: its parent's flights will never land here."""
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Flight[Any]] = {}
        self._waiting: dict[Hashable, _Waiting] = {}

    def under_way(self, key: Hashable) -> Flight[Any] | None:
        """The flight under way for `key`."""
        return self._under_way.get(key)

    def join_or_start(
        self,
        key: Hashable,
        work: Callable[[], Result],
        afterwards: Callable[[], object],
        *,
        brings_another: bool = True,
        needs_another: bool = False,
    ) -> Flight[Result]:
        """The flight for `key` that will do, else a new one.

        The key is free again before anyone is woken, so a caller for whom the result will not do can start another.

        Args:
            key: What is contended.
            work: What a new flight runs, on a worker thread.
            afterwards: Run there when all are woken.
            brings_another: Whether a new flight will bring another result than the one that is there.
            needs_another: Whether the caller needs one.
        """
        with self._lock:
            under_way = self._under_way.get(key)
            if under_way is not None:
                if under_way.brings_another or not needs_another:
                    return under_way
                waiting = self._waiting.get(key)
                if waiting is None:
                    flight = Flight[Result](brings_another=brings_another, previous=under_way)
                    waiting = _Waiting(flight, self._run_of(key, flight, work, afterwards), copy_context())
                    self._waiting[key] = waiting
                return waiting.flight
            flight = Flight[Result](brings_another=brings_another)
            run = self._run_of(key, flight, work, afterwards)
            # In this order: Ctrl-C between the two must leave no flight to be joined that will never land. The worker
            # looks only after this block, and does nothing for a flight that nobody got.
            has_worker = start_worker(run, copy_context())
            self._under_way[key] = flight
        if not has_worker:
            run()
        return flight

    def _run_of(
        self, key: Hashable, flight: Flight[Result], work: Callable[[], Result], afterwards: Callable[[], object]
    ) -> Callable[[], None]:
        def work_and_make_way() -> Result:
            try:
                return work()
            finally:
                self._make_way(key)

        def run() -> None:
            with self._lock:
                is_awaited = self._under_way.get(key) is flight
            if is_awaited:
                flight.run(work_and_make_way, afterwards)

        return run

    def _make_way(self, key: Hashable) -> None:
        """Free the key, or begin the flight that waits for it."""
        with self._lock:
            waiting = self._waiting.pop(key, None)
            if waiting is None:
                del self._under_way[key]
                return
            has_worker = start_worker(waiting.run, waiting.context)
            self._under_way[key] = waiting.flight
        if not has_worker:
            waiting.context.run(waiting.run)


def run_on_worker(work: Callable[[], Result], afterwards: Callable[[], object]) -> Flight[Result]:
    """Run `work` in a flight of its own, which nobody joins, and `afterwards` when its waiters are woken."""
    flight = Flight[Result]()
    if not start_worker(lambda: flight.run(work, afterwards), copy_context()):
        flight.run(work, afterwards)
    return flight


def _wait_on_thread(landed: threading.Event, timeout: float) -> bool:
    """Wait until the event is set; False after `timeout` seconds. Ctrl-C ends the wait within `_SIGNAL_SECONDS`."""
    if threading.current_thread() is not threading.main_thread():
        return landed.wait(timeout)
    # A signal interrupts the main thread's wait for a lock, but not if it comes in the moment before that wait begins,
    # or on another thread: then Python would look at it only when the lock is free. So the wait has several parts.
    give_up_at = time.monotonic() + timeout
    while not landed.wait(min(_SIGNAL_SECONDS, max(0.0, give_up_at - time.monotonic()))):
        if time.monotonic() >= give_up_at:
            return False
    return True


def _still_running(timeout: float) -> TemporarilyUnavailable:
    return TemporarilyUnavailable(
        f"the renewal has not ended within {timeout:g} seconds",
        remedy="the renewal continues, and its token will be stored",
        retry_after=1.0,
    )


def in_trio() -> bool:
    """Whether the caller is a task of trio."""
    # Asked first: in trio's guest mode asyncio.get_running_loop() succeeds inside trio tasks too.
    # A trio that another thread is only just importing has no tasks.
    lowlevel = getattr(sys.modules.get("trio"), "lowlevel", None)
    if lowlevel is None:
        return False
    try:
        # `in_trio_task` would need a trio of 2025; this has been there in every version.
        return lowlevel.current_task() is not None
    except RuntimeError:
        return False


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
        # A RuntimeError means that the waiter's loop has been closed: no task waits there any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(landed.set)

    if call_when_done(wake_up):
        try:
            async with asyncio.timeout(timeout):
                await landed.wait()
        except TimeoutError:
            raise _still_running(timeout) from None
