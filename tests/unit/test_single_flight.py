"""Waiting for work that no caller can stop: from threads, asyncio and trio, all at the same time."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest
import trio
from support.errors import raises
from support.limits import PATIENCE
from support.waiting import no_idle_workers, out_of_threads, settle

from blnk_auth._renewal.single_flight import Flight, SingleFlight, run_on_worker
from blnk_auth.errors import BlnkAuthError, SignInRequired, StoreError, TemporarilyUnavailable


def nothing() -> None:
    """Nothing to do afterwards."""


class Work:
    """Work that waits to be let go."""

    def __init__(self, result: object = "done") -> None:
        self.result = result
        self.began = threading.Event()
        self.may_end = threading.Event()
        self.runs = 0

    def __call__(self) -> Any:
        self.runs += 1
        self.began.set()
        assert self.may_end.wait(PATIENCE)
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


@pytest.fixture
def work() -> Iterator[Work]:
    made = Work()
    yield made
    made.may_end.set()
    settle()


async def _on_asyncio_or_trio_checkpoint() -> None:
    """One turn of whichever loop runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        await trio.lowlevel.checkpoint()
    else:
        await asyncio.sleep(0)


def run_asyncio(main: Callable[[], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await main()

    return asyncio.run(run())


RUNNERS: dict[str, Callable[[Callable[[], Awaitable[Any]]], Any]] = {"asyncio": run_asyncio, "trio": trio.run}


@pytest.fixture(params=RUNNERS)
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Runs an async function on asyncio, then on trio."""
    return RUNNERS[request.param]


# --- one flight for all ----------------------------------------------------------------------------------------------


def test_the_second_who_asks_joins_the_first(work: Work) -> None:
    """One key, one run of the work, one result; the second caller's work is not run."""
    flights, other = SingleFlight(), Work()
    first = flights.join_or_start("key", work, nothing)
    assert flights.join_or_start("key", other, nothing) is first
    work.may_end.set()
    assert first.wait(PATIENCE) == "done"
    assert (work.runs, other.runs) == (1, 0)


def test_other_keys_fly_at_the_same_time(work: Work) -> None:
    """Nobody waits for another grant's renewal."""
    flights = SingleFlight()
    flights.join_or_start("slow", work, nothing)
    assert flights.join_or_start("quick", lambda: "quick", nothing).wait(PATIENCE) == "quick"
    assert not work.may_end.is_set()


def test_a_landed_flight_is_not_joined(work: Work) -> None:
    """A caller for whom the result is not enough can start another flight immediately."""
    flights = SingleFlight()
    work.may_end.set()
    first = flights.join_or_start("key", work, nothing)
    first.wait(PATIENCE)
    assert flights.join_or_start("key", work, nothing) is not first


def test_f03_threads_asyncio_and_trio_share_one_flight(work: Work) -> None:
    """F03, F04: waiters of 3 threads, 3 asyncio loops and 3 trio runs get one result of one run."""
    flight = SingleFlight().join_or_start("key", work, nothing)
    waiting = threading.Barrier(10)

    async def wait_async() -> object:
        waiting.wait(PATIENCE)
        return await flight.wait_async(PATIENCE)

    def wait() -> object:
        waiting.wait(PATIENCE)
        return flight.wait(PATIENCE)

    with ThreadPoolExecutor(9) as pool:
        results = [pool.submit(wait) for _ in range(3)]
        results += [pool.submit(run, wait_async) for run in RUNNERS.values() for _ in range(3)]
        waiting.wait(PATIENCE)
        work.may_end.set()
        assert [each.result(PATIENCE) for each in results] == ["done"] * 9
    assert work.runs == 1


def test_fifty_tasks_wait_without_holding_up_their_loop(
    work: Work, run: Callable[[Callable[[], Awaitable[Any]]], Any]
) -> None:
    """F02: while 50 tasks wait, the loop keeps running; then all have the result."""
    flight = SingleFlight().join_or_start("key", work, nothing)
    results: list[object] = []

    async def wait() -> None:
        results.append(await flight.wait_async(PATIENCE))

    async def let_go() -> None:
        for _ in range(100):
            await _on_asyncio_or_trio_checkpoint()
        assert results == []
        work.may_end.set()

    async def on_trio() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(wait)
            nursery.start_soon(let_go)

    async def on_asyncio() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(wait())
            group.create_task(let_go())

    run(on_trio if run is trio.run else on_asyncio)
    assert results == ["done"] * 50


def test_an_existing_result_is_returned_immediately(run: Callable[[Callable[[], Awaitable[Any]]], Any]) -> None:
    """Waiting for a landed flight takes no time, from anywhere, as often as wanted."""
    flight = run_on_worker(lambda: 42, nothing)
    assert flight.wait(PATIENCE) == 42
    assert flight.wait(0) == 42

    async def wait() -> int:
        return await flight.wait_async(0)

    assert run(wait) == 42


# --- another result --------------------------------------------------------------------------------------------------


def test_a_caller_who_needs_another_result_does_not_join_a_flight_that_brings_none(work: Work) -> None:
    """It gets a flight that begins when the one under way has landed, and all who need the same share that one."""
    flights, other = SingleFlight(), Work("another")
    first = flights.join_or_start("key", work, nothing, brings_another=False)
    second = flights.join_or_start("key", other, nothing, needs_another=True)
    assert second is not first
    assert flights.join_or_start("key", Work(), nothing, needs_another=True) is second
    assert flights.join_or_start("key", Work(), nothing) is first
    assert work.began.wait(PATIENCE)
    assert not other.began.is_set()
    work.may_end.set()
    assert first.wait(PATIENCE) == "done"
    assert other.began.wait(PATIENCE)
    assert flights.join_or_start("key", Work(), nothing, needs_another=True) is second
    other.may_end.set()
    assert second.wait(PATIENCE) == "another"
    assert (work.runs, other.runs) == (1, 1)
    settle()
    assert flights.under_way("key") is None


def test_a_caller_who_needs_another_result_joins_a_flight_that_brings_one(work: Work) -> None:
    """One renewal is enough for all who want one."""
    flights = SingleFlight()
    first = flights.join_or_start("key", work, nothing, brings_another=True)
    assert flights.join_or_start("key", Work(), nothing, needs_another=True) is first


def test_a_flight_that_waits_begins_though_the_one_before_it_failed(work: Work) -> None:
    """After any end of the first, the second is run, in its own caller's context, and waits for no callback."""
    flights, variable = SingleFlight(), contextvars.ContextVar("variable", default="unset")
    work.result = StoreError("gone")
    callback = Work()
    first = flights.join_or_start("key", work, callback, brings_another=False)
    variable.set("seconds")
    second = flights.join_or_start("key", variable.get, nothing, needs_another=True)
    variable.set("later")
    work.may_end.set()
    with pytest.raises(StoreError):
        first.wait(PATIENCE)
    assert second.wait(PATIENCE) == "seconds"
    callback.may_end.set()


def test_a_flight_that_waits_is_run_in_place_where_no_thread_is_to_be_had() -> None:
    """On the worker of the one before it."""
    flights, began, go_on = SingleFlight(), threading.Event(), threading.Event()

    def work() -> int:
        began.set()
        assert go_on.wait(PATIENCE)
        threading.stack_size(2**45)
        return threading.get_ident()

    with no_idle_workers():
        before = threading.stack_size()
        try:
            first = flights.join_or_start("key", work, nothing, brings_another=False)
            assert began.wait(PATIENCE)
            second = flights.join_or_start("key", threading.get_ident, nothing, needs_another=True)
            go_on.set()
            assert second.wait(PATIENCE) == first.wait(PATIENCE)
        finally:
            threading.stack_size(before)


def test_f10_work_that_waits_for_the_flight_after_its_own_gets_an_error() -> None:
    """It would wait for itself all the same."""
    flights = SingleFlight()

    def wait_for_the_next() -> None:
        flights.join_or_start("key", nothing, nothing, needs_another=True).wait(PATIENCE)

    with raises(BlnkAuthError):
        flights.join_or_start("key", wait_for_the_next, nothing, brings_another=False).wait(PATIENCE)
    settle()


# --- leaving ---------------------------------------------------------------------------------------------------------


def test_f07_a_cancelled_asyncio_waiter_leaves_and_the_flight_continues(work: Work) -> None:
    """F07, F08: the task that started the work is cancelled; the work ends, and later callers get its result."""
    flight = run_on_worker(work, nothing)

    async def main() -> None:
        waiter = asyncio.create_task(flight.wait_async(PATIENCE))
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        work.may_end.set()
        assert await flight.wait_async(PATIENCE) == "done"

    asyncio.run(main())


def test_f07_a_cancelled_trio_waiter_leaves_and_the_flight_continues(work: Work) -> None:
    """The same on trio."""
    flight = run_on_worker(work, nothing)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flight.wait_async, PATIENCE)
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert nursery.cancel_scope.cancelled_caught
        work.may_end.set()
        assert await flight.wait_async(PATIENCE) == "done"

    trio.run(main)


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_loop_that_closes_while_it_waits_does_not_stop_the_flight(work: Work, runner: str) -> None:
    """The wake-up of a closed loop has no effect; the others are woken all the same."""
    flight = run_on_worker(work, nothing)
    with ThreadPoolExecutor(1) as pool:

        async def leave() -> None:
            if runner == "trio":
                with trio.move_on_after(0.01):
                    await flight.wait_async(PATIENCE)
            else:
                waiter = asyncio.create_task(flight.wait_async(PATIENCE))
                await asyncio.sleep(0)
                waiter.cancel()

        RUNNERS[runner](leave)
        result = pool.submit(flight.wait, PATIENCE)
        work.may_end.set()
        assert result.result(PATIENCE) == "done"


def test_waiting_has_an_end(work: Work, run: Callable[[Callable[[], Awaitable[Any]]], Any]) -> None:
    """After its timeout a waiter gets an error that it may try again after; the flight continues."""
    flight = run_on_worker(work, nothing)
    with raises(TemporarilyUnavailable, retry_after=1.0):
        flight.wait(0.01)

    async def wait() -> object:
        with pytest.raises(TemporarilyUnavailable):
            await flight.wait_async(0.01)
        work.may_end.set()
        return await flight.wait_async(PATIENCE)

    assert run(wait) == "done"


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals to a thread are POSIX")
def test_ctrl_c_in_the_waiting_main_thread_does_not_stop_the_flight(work: Work) -> None:
    """KeyboardInterrupt reaches the waiter only; the work ends on its own thread."""
    flight = run_on_worker(work, nothing)
    work.began.wait(PATIENCE)

    def interrupt() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    timer = threading.Timer(0.05, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        flight.wait(PATIENCE)
    timer.join()
    work.may_end.set()
    assert flight.wait(PATIENCE) == "done"


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals to a thread are POSIX")
def test_a_signal_that_does_not_interrupt_the_wait_is_seen_all_the_same(work: Work) -> None:
    """A signal in the moment before the wait, or on another thread, wakes no lock: the main thread looks for it."""
    flight = run_on_worker(work, nothing)
    work.began.wait(PATIENCE)
    # Python notes the signal whichever thread it comes on; only the main thread acts on it.
    other = threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT))
    threading.Timer(0.05, other.start).start()
    with pytest.raises(KeyboardInterrupt):
        flight.wait(PATIENCE)
    other.join()
    work.may_end.set()
    assert flight.wait(PATIENCE) == "done"


class Interruption:
    """Ctrl-C at the n-th function that is called in these modules, where CPython looks for signals.

    Not where CPython 3.13 reads `Thread.daemon`: it has listed the thread then, and would list it for ever as one that
    is about to start. Later tests would wait for it.
    """

    MODULES = ("blnk_auth._renewal.single_flight", "blnk_auth._renewal.worker", "threading")

    def __init__(self, at_call: int) -> None:
        self._left = at_call
        self.has_come = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_globals["__name__"] in self.MODULES and frame.f_code.co_name != "daemon":
            self._left -= 1
            if self._left == 0:
                self.has_come = True
                sys.settrace(None)
                raise KeyboardInterrupt


@pytest.mark.parametrize("needs_thread", [False, True], ids=["an idle worker", "a new thread"])
def test_ctrl_c_at_any_moment_of_a_flights_beginning_leaves_the_next_caller_a_flight_that_lands(
    needs_thread: bool,
) -> None:
    """No flight is left to be joined whose worker was never started, or has not seen its work."""
    tracing = sys.gettrace()
    interruptions: list[Interruption] = []
    while not interruptions or interruptions[-1].has_come:
        flights, interruption = SingleFlight(), Interruption(len(interruptions) + 1)
        interruptions.append(interruption)
        with no_idle_workers() if needs_thread else contextlib.nullcontext():
            sys.settrace(interruption)
            with contextlib.suppress(KeyboardInterrupt):
                flights.join_or_start("key", lambda: "done", nothing)
            sys.settrace(tracing)
        assert flights.join_or_start("key", lambda: "done", nothing).wait(PATIENCE) == "done"
    assert len(interruptions) > 5
    settle()


def test_work_is_done_in_place_where_no_thread_is_to_be_had() -> None:
    """A process that is out of threads still gets its result, and the key is free afterwards."""
    flights = SingleFlight()
    with out_of_threads():
        threads = [flights.join_or_start("key", threading.get_ident, nothing).wait(PATIENCE) for _ in range(2)]
        threads.append(run_on_worker(threading.get_ident, nothing).wait(PATIENCE))
    assert threads == [threading.get_ident()] * 3


# --- errors ----------------------------------------------------------------------------------------------------------


def test_f11_each_waiter_gets_its_own_copy_of_the_error(work: Work) -> None:
    """The type, the text and the fields are the same; the instances, and so their tracebacks, are not shared."""
    work.result = SignInRequired("gone", reason="refused", subject="alice", error="invalid_grant", status_code=400)
    flight = run_on_worker(work, nothing)
    work.may_end.set()
    caught: list[SignInRequired] = []
    for _ in range(3):
        with pytest.raises(SignInRequired) as each:
            flight.wait(PATIENCE)
        caught.append(each.value)
    assert len({id(error) for error in caught}) == 3
    assert work.result not in caught
    for error in caught:
        assert (str(error), error.fields()) == ("gone", work.result.fields())
        assert (error.__cause__, error.__context__) == (None, None)
        assert "self.result" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("odd", [ValueError("x"), SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_any_exception_of_the_work_reaches_the_waiter(work: Work, odd: BaseException) -> None:
    """Nobody waits for ever because a store or a callable raised something unheard of."""
    work.result = odd
    flight = run_on_worker(work, nothing)
    work.may_end.set()
    with pytest.raises(type(odd)):
        flight.wait(PATIENCE)


def test_an_error_frees_the_key(work: Work) -> None:
    """The next caller starts a new flight."""
    flights = SingleFlight()
    work.result = StoreError("gone")
    work.may_end.set()
    with pytest.raises(StoreError):
        flights.join_or_start("key", work, nothing).wait(PATIENCE)
    assert flights.join_or_start("key", lambda: "new", nothing).wait(PATIENCE) == "new"


def test_f10_work_that_waits_for_itself_gets_an_error() -> None:
    """A store whose own HTTP client carries this auth gets a clear error, not a deadlock."""
    flights = SingleFlight()

    def wait_for_myself() -> None:
        flights.join_or_start("key", nothing, nothing).wait(PATIENCE)

    with raises(BlnkAuthError):
        flights.join_or_start("key", wait_for_myself, nothing).wait(PATIENCE)


# --- afterwards ------------------------------------------------------------------------------------------------------


def test_f10_what_comes_afterwards_may_start_the_next_flight() -> None:
    """A callback that gets the result may ask for the same key again, and waits for nobody."""
    flights, second, called = SingleFlight(), list[object](), threading.Event()

    def afterwards() -> None:
        second.append(flights.join_or_start("key", lambda: "second", nothing).wait(PATIENCE))
        called.set()

    assert flights.join_or_start("key", lambda: "first", afterwards).wait(PATIENCE) == "first"
    assert called.wait(PATIENCE)
    assert second == ["second"]


def test_waiters_do_not_wait_for_what_comes_afterwards(work: Work) -> None:
    """A slow callback holds up nobody."""
    assert run_on_worker(lambda: "done", work).wait(PATIENCE) == "done"
    assert not work.may_end.is_set()


def test_the_work_runs_on_a_named_thread_that_the_interpreter_waits_for() -> None:
    """Non-daemon: at exit the answer is still saved."""
    worker = run_on_worker(threading.current_thread, nothing).wait(PATIENCE)
    assert (worker.name, worker.daemon) == ("blnk-auth renewal", False)


def test_the_work_sees_the_callers_context() -> None:
    """Context variables, as tracing libraries use them, reach the worker."""
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("callers")
    assert run_on_worker(variable.get, nothing).wait(PATIENCE) == "callers"


# --- fork ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.real
def test_f52_a_forked_child_starts_its_own_flight(work: Work) -> None:
    """F52: the parent's flight will never land in the child, which therefore does not join it."""
    flights = SingleFlight()
    parents: Flight[Any] = flights.join_or_start("key", work, nothing)
    work.began.wait(PATIENCE)
    child = os.fork()
    if child == 0:
        try:
            landed = flights.join_or_start("key", lambda: "childs", nothing).wait(PATIENCE) == "childs"
            os._exit(0 if landed else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    work.may_end.set()
    assert parents.wait(PATIENCE) == "done"
