"""Waiting for the result of work that runs on a worker thread, and sharing one run between many callers.

Used by everything that renews or signs in. What this file promises:

* Work runs on a worker thread (`worker`). All callers who need its result wait on one `Flight`: a thread waits for a
  `threading.Event`, a task of asyncio or trio for the event of its own library.
* Cancelling a waiter does not cancel the work.
* `SingleFlight` runs at most one flight for each key, and at most one more is queued behind it.
* If somebody watches who waits (`watch_waiters`), each flight knows its waiters. Otherwise that costs nothing.

It never depends on what the work does.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Hashable
from contextvars import Context, ContextVar, copy_context
from typing import Any, Generic, TypeVar

from ..errors import BlnkAuthError, TemporarilyUnavailable, clear_locals
from ..stores._forks import reset_in_child
from .worker import start_worker

Result = TypeVar("Result")

_SIGNAL_SECONDS = 0.5

_MOST_SEEN = 128
"""As many links as a span of OpenTelemetry has at most, unless its SDK is set to another limit."""


class Waiters:
    """Who has waited for one flight.

    Attributes:
        count: How many callers.
        seen: What the function given to `watch_waiters` returned, for the first ones.
    """

    __slots__ = ("count", "seen")

    def __init__(self) -> None:
        self.count: int = 0
        self.seen: list[Any] = []


_look: Callable[[], object] | None = None

_ENDED: ContextVar[Waiters | None] = ContextVar("blnk_auth waiters", default=None)


def watch_waiters(look: Callable[[], object]) -> None:
    """From now on, call `look` in the thread or task of each caller that begins to wait for a flight.

    What it returns is in `Waiters.seen`; None is left out. It must not block or raise.
    """
    global _look  # noqa: PLW0603 - one for the process, so that a flight need not know who watches
    _look = look


def waiters_of_ended_flight() -> Waiters | None:
    """Within `afterwards` of a flight: who has waited for it. None if nobody has, or nobody watches."""
    return _ENDED.get()


class Flight(Generic[Result]):
    """One run of some work, and the callers that wait for it. Any thread, event loop or task may wait."""

    __slots__ = (
        *("_done", "_error", "_lock", "_previous", "_result", "_waiters", "_wake_ups", "_worker"),
        "brings_another",
    )

    def __init__(self, *, brings_another: bool = True, previous: Flight[Any] | None = None) -> None:
        self.brings_another: bool = brings_another
        """Whether its result will differ from the token that is cached now; see `SingleFlight`."""
        self._previous = previous
        """The flight that must end before this one begins."""
        self._lock = threading.Lock()
        self._done = False
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._wake_ups: list[Callable[[], object]] = []
        self._worker: int | None = None
        self._waiters: Waiters | None = None

    def wait(self, timeout: float) -> Result:
        """Block until the work has ended, and return its result. Raises its error, or `TemporarilyUnavailable` after
        `timeout` seconds.
        """
        if _look is not None:
            self._note_waiter(_look())
        landed = threading.Event()
        if self._call_when_done(landed.set) and not _wait_on_thread(landed, timeout):
            raise _still_running(timeout)
        return self._result_or_error()

    def wait_for_end(self, timeout: float) -> None:
        """Block until the work has ended, whether it failed or not, or `timeout` seconds have passed."""
        ended = threading.Event()
        if not self._is_waited_for_by_its_own_worker() and self._call_when_done(ended.set):
            _wait_on_thread(ended, timeout)

    async def wait_async(self, timeout: float) -> Result:
        """Like `wait`, for a task of asyncio or trio."""
        if _look is not None:
            self._note_waiter(_look())
        if not self._done:
            await (_wait_in_trio if in_trio() else _wait_in_asyncio)(self._call_when_done, timeout)
        return self._result_or_error()

    async def wait_for_end_async(self, timeout: float) -> None:
        """Like `wait_for_end`, for a task of asyncio or trio."""
        if self._is_waited_for_by_its_own_worker():
            return
        with contextlib.suppress(TemporarilyUnavailable):
            await (_wait_in_trio if in_trio() else _wait_in_asyncio)(self._call_when_done, timeout)

    def run(self, work: Callable[[], Result], afterwards: Callable[[], object]) -> None:
        """Do the work on this thread, wake the waiters, then call `afterwards`. To be called once."""
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
        ended = _ENDED.set(self._waiters)
        try:
            afterwards()
        finally:
            _ENDED.reset(ended)

    def _note_waiter(self, seen: object) -> None:
        with self._lock:
            self._waiters = waiters = self._waiters or Waiters()
            waiters.count += 1
            if seen is not None and len(waiters.seen) < _MOST_SEEN:
                waiters.seen.append(seen)

    def _call_when_done(self, wake_up: Callable[[], object]) -> bool:
        """Whether the work has not ended yet. If so, `wake_up` will be called once, on any thread, when it has."""
        if self._is_waited_for_by_its_own_worker():
            raise BlnkAuthError(
                "a store or a callable of the client needs the token whose renewal has called it",
                remedy="let the store or the callable use an HTTP client without this auth",
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
    """A flight that begins when the one that runs now has ended."""

    __slots__ = ("context", "flight", "run")

    def __init__(self, flight: Flight[Any], run: Callable[[], None], context: Context) -> None:
        self.flight = flight
        self.run = run
        self.context = context


class SingleFlight:
    """Runs at most one flight for each key. A caller that comes while it runs joins it.

    Some callers need a result that differs from the cached token, and a flight may be one that brings no such result
    (`Flight.brings_another`). Those callers do not join it. They all share a second flight, which begins when the
    first one has ended.

    May be used from any thread. Its lock is taken for no longer than a thread takes to start.
    """

    __slots__ = ("__weakref__", "_lock", "_under_way", "_waiting")

    def __init__(self) -> None:
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: the worker threads of its parent do not exist here."""
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, Flight[Any]] = {}
        self._waiting: dict[Hashable, _Waiting] = {}

    def under_way(self, key: Hashable) -> Flight[Any] | None:
        """The flight that runs for `key` now; None if there is none."""
        return self._under_way.get(key)

    def all_under_way(self) -> list[Flight[Any]]:
        """The flights that run now, and those that are queued behind one."""
        with self._lock:
            return [*self._under_way.values(), *(waiting.flight for waiting in self._waiting.values())]

    def join_or_start(
        self,
        key: Hashable,
        work: Callable[[], Result],
        afterwards: Callable[[], object],
        *,
        brings_another: bool = True,
        needs_another: bool = False,
    ) -> Flight[Result]:
        """The flight for `key` that the caller can join, else a new one.

        The key is free again before the waiters are woken, so a waiter that cannot use the result can start another
        flight.

        Args:
            key: What at most one flight works on at a time.
            work: What a new flight runs, on a worker thread.
            afterwards: Called on that thread after the waiters have been woken.
            brings_another: Whether the result of a new flight will differ from the cached token.
            needs_another: Whether the caller needs a result that differs from the cached token.
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
            # The worker is started first: if Ctrl-C comes between the two lines, no caller may join a flight that never
            # ends. The worker waits for this block's lock, and does nothing if the flight was not registered.
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
        """Free the key, or begin the flight that is queued for it."""
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
    """Run `work` in a new flight that no other caller joins, and call `afterwards` when its waiters have been woken."""
    flight = Flight[Result]()
    if not start_worker(lambda: flight.run(work, afterwards), copy_context()):
        flight.run(work, afterwards)
    return flight


def _wait_on_thread(landed: threading.Event, timeout: float) -> bool:
    """Wait until the event is set; return False after `timeout` seconds. Ctrl-C ends it within `_SIGNAL_SECONDS`."""
    if threading.current_thread() is not threading.main_thread():
        return landed.wait(timeout)
    # A signal interrupts a wait of the main thread. If it arrives just before the wait begins, or on another thread,
    # Python handles it only when the wait has ended. Short waits, one after the other, bound that delay.
    give_up_at = time.monotonic() + timeout
    while not landed.wait(min(_SIGNAL_SECONDS, max(0.0, give_up_at - time.monotonic()))):
        if time.monotonic() >= give_up_at:
            return False
    return True


def _still_running(timeout: float) -> TemporarilyUnavailable:
    return TemporarilyUnavailable(
        f"the operation has not ended within {timeout:g} seconds",
        remedy="try again later: it continues in the background, and a token that it obtains will be stored",
        retry_after=1.0,
    )


def in_trio() -> bool:
    """Whether the caller is a task of trio."""
    # Trio must be checked before asyncio: in trio's guest mode asyncio.get_running_loop() succeeds in trio tasks too.
    # While another thread is still importing trio, `lowlevel` is missing, and there are no tasks.
    lowlevel = getattr(sys.modules.get("trio"), "lowlevel", None)
    if lowlevel is None:
        return False
    try:
        # `trio.lowlevel.in_trio_task` exists only since 2025; `current_task` exists in every version.
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
        # RuntimeError: the waiter's event loop has been closed, so no task waits there any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(landed.set)

    if call_when_done(wake_up):
        try:
            async with asyncio.timeout(timeout):
                await landed.wait()
        except TimeoutError:
            raise _still_running(timeout) from None
