"""Worker threads: reused while there is work, never in the way of other work or of the interpreter's exit."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.limits import PATIENCE
from support.waiting import wait_until

from blnk_auth._renewal.worker import Worker, Workers


class Piece:
    """A piece of work that waits to be let go, and the thread that does it."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self._began, self._may_end = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.thread = threading.current_thread()
        self._began.set()
        assert self._may_end.wait(PATIENCE)

    def wait_until_begun(self) -> Worker:
        assert self._began.wait(PATIENCE)
        assert isinstance(self.thread, Worker)
        return self.thread

    def end(self) -> None:
        self._may_end.set()


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Two of them may be idle, for as long as the test lasts."""
    made = Workers(most_idle=2, idle_seconds=PATIENCE)
    yield made
    # With work, and no place among the idle ones after it, they end.
    made.most_idle = 0
    for each in threading.enumerate():
        if isinstance(each, Worker) and made.is_idle(each):
            assert made.start(lambda: None)


def done_by(workers: Workers, work: Callable[[], object] = lambda: None) -> Worker:
    """The worker that did this, once it is idle or has ended."""
    piece = Piece()
    assert workers.start(lambda: (work(), piece()))
    worker = piece.wait_until_begun()
    piece.end()
    wait_until(lambda: worker.is_idle or not worker.is_alive(), "the worker is idle")
    return worker


# --- reuse -----------------------------------------------------------------------------------------------------------


def test_an_idle_worker_takes_the_next_work(workers: Workers) -> None:
    """Renewals that follow each other start one thread."""
    assert len({done_by(workers) for _ in range(5)}) == 1


def test_work_never_queues_behind_other_work(workers: Workers) -> None:
    """Twenty pieces at the same time run at the same time, whether a worker was idle or not."""
    done_by(workers)
    pieces = [Piece() for _ in range(20)]
    for piece in pieces:
        assert workers.start(piece)
    assert len({piece.wait_until_begun() for piece in pieces}) == 20
    for piece in pieces:
        piece.end()


def test_few_workers_stay_idle(workers: Workers) -> None:
    """After a busy time there are `most_idle` at most."""
    pieces = [Piece() for _ in range(6)]
    for piece in pieces:
        assert workers.start(piece)
    threads = [piece.wait_until_begun() for piece in pieces]
    for piece in pieces:
        piece.end()
    wait_until(lambda: sum(thread.is_alive() for thread in threads) <= 2, "all but two have ended")


def test_an_idle_worker_ends_after_a_while() -> None:
    """A process that renews nothing has no thread for it."""
    worker = done_by(Workers(idle_seconds=0.01))
    worker.join(PATIENCE)
    assert not worker.is_alive()


def test_an_idle_worker_is_used_in_a_process_that_is_out_of_threads(workers: Workers) -> None:
    """Only if there is none, the caller learns that it must do the work itself."""
    worker, piece, before = done_by(workers), Piece(), threading.stack_size(2**45)
    try:
        assert workers.start(piece)
        assert piece.wait_until_begun() is worker
        assert not workers.start(Piece())
    finally:
        threading.stack_size(before)
        piece.end()


def test_work_that_fails_harms_no_later_work(workers: Workers, capfd: pytest.CaptureFixture[str]) -> None:
    """An error that nobody waits for is reported as that of any thread, and other workers go on."""
    reports, hook = list[str](), threading.excepthook
    threading.excepthook = lambda report: reports.append(str(report.exc_value))
    try:
        assert workers.start(lambda: 1 / 0)
        wait_until(lambda: reports, "the error is reported")
    finally:
        threading.excepthook = hook
    assert reports == ["division by zero"]
    done_by(workers)


# --- what a worker knows ---------------------------------------------------------------------------------------------


class Secret:
    """Something that can be watched, with a text that can be found."""

    text = "s3cret-refresh-token"


def test_an_idle_worker_keeps_no_reference_to_its_work(workers: Workers) -> None:
    """Neither the work, nor what it refers to, nor its context lives on in an idle thread."""
    variable: contextvars.ContextVar[Secret] = contextvars.ContextVar("variable")

    def start() -> tuple[Piece, list[weakref.ref[object]]]:
        secret, piece, context = Secret(), Piece(), contextvars.copy_context()
        context.run(variable.set, secret)

        def work() -> None:
            known = secret
            piece()
            assert known is variable.get()

        assert workers.start(lambda: context.run(work))
        return piece, [weakref.ref(secret), weakref.ref(work)]

    for _ in range(2):
        piece, references = start()
        worker = piece.wait_until_begun()
        piece.end()
        wait_until(lambda worker=worker: worker.is_idle, "the worker is idle")
        assert [each() for each in references] == [None, None]
        frame = sys._current_frames().get(worker.ident or 0)
        while frame is not None:
            assert not [value for value in frame.f_locals.values() if isinstance(value, Secret | Piece)]
            frame = frame.f_back


def test_each_piece_of_work_sees_the_context_it_was_given_with(workers: Workers) -> None:
    """What one piece sets, the next one on the same thread does not see."""
    variable, seen = contextvars.ContextVar("variable", default="unset"), list[str]()

    def work() -> None:
        seen.append(variable.get())
        variable.set("left behind")

    threads = set[Worker]()
    for value in ("first", "second"):
        context = contextvars.copy_context()
        context.run(variable.set, value)
        threads.add(done_by(workers, lambda context=context: context.run(work)))
    assert (seen, len(threads)) == (["first", "second"], 1)
    done_by(workers, lambda: seen.append(variable.get()))
    assert seen[-1] == "unset"


# --- Ctrl-C ----------------------------------------------------------------------------------------------------------


def test_work_that_was_given_without_its_wake_up_is_done(workers: Workers) -> None:
    """Ctrl-C may come between the two; the worker looks again."""
    worker, piece = done_by(workers), Piece()
    with workers._lock:
        workers._idle.remove(worker)
        worker._work = piece
    assert piece.wait_until_begun() is worker
    piece.end()


def test_a_worker_that_was_taken_and_given_nothing_ends(workers: Workers) -> None:
    """Ctrl-C may come before anything was given. No later work is given to it either."""
    worker = done_by(workers)
    workers.remove_idle(worker)
    assert done_by(workers) is not worker
    worker.join(PATIENCE)
    assert not worker.is_alive()


# --- the process -----------------------------------------------------------------------------------------------------

IDLE_AT_EXIT = """
import threading
from blnk_auth._renewal import worker
before = threading.active_count()
workers = worker.Workers(idle_seconds=3600.0)
done = threading.Event()
assert workers.start(done.set)
assert done.wait(60)
print("leaving", threading.active_count() - before)
"""

BUSY_AT_EXIT = """
import threading, time
from blnk_auth._renewal import worker
workers, goes_on = worker.Workers(idle_seconds=3600.0), threading.Event()

def work():
    while threading.main_thread().is_alive():
        time.sleep(0.001)
    print("saved", flush=True)

# The second piece is done by a worker that has been idle.
assert workers.start(goes_on.set)
assert goes_on.wait(60)
while not any(isinstance(each, worker.Worker) and each.is_idle for each in threading.enumerate()):
    time.sleep(0.001)
assert workers.start(work)
print("leaving", flush=True)
"""

BRIEF_LOCKS = [f"Lock in blnk_auth.{each}" for each in ("_protocol.discovery", "_resource.known", "stores._key_locks")]
"""Nothing waits while it has one of these, so that it does not matter whether they were patched."""

NOTHING_AT_IMPORT = """
import contextvars, pkgutil, sys, threading
made = []
for name in ("Lock", "RLock", "Event", "Condition", "Semaphore"):
    def watch(*args, name=name, make=getattr(threading, name)):
        by = sys._getframe(1).f_globals["__name__"]
        if by.startswith("blnk_auth"):
            made.append(f"{name} in {by}")
        return make(*args)
    setattr(threading, name, watch)
import blnk_auth
for each in pkgutil.walk_packages(blnk_auth.__path__, "blnk_auth."):
    if not each.name.endswith("__main__"):
        __import__(each.name)
print(sorted(made), threading.active_count())
made.clear()
blnk_auth._renewal.worker.start_worker(lambda: None, contextvars.copy_context())
assert "Lock in blnk_auth._renewal.worker" in made
"""


def run(program: str) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        cwd=Path(__file__).parent,
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.real
def test_an_idle_worker_does_not_keep_the_interpreter() -> None:
    """A worker that would be idle for an hour ends when the program does."""
    assert run(IDLE_AT_EXIT) == (0, "leaving 1\n", "")


@pytest.mark.real
def test_the_interpreter_waits_for_a_worker_that_was_idle_and_is_busy() -> None:
    """The work of a reused thread is as safe at exit as that of a new one."""
    assert run(BUSY_AT_EXIT) == (0, "leaving\nsaved\n", "")


@pytest.mark.real
def test_nothing_is_made_before_the_first_work() -> None:
    """A program may patch `threading` after it has imported this library, as gevent does."""
    assert run(NOTHING_AT_IMPORT) == (0, f"{BRIEF_LOCKS} 1\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.real
def test_a_forked_child_has_no_idle_workers(workers: Workers) -> None:
    """Work in the child is done by a thread of its own, not given to one that exists in the parent only."""
    worker = done_by(workers)
    child = os.fork()
    if child == 0:
        done = threading.Event()
        os._exit(0 if workers.start(done.set) and done.wait(PATIENCE) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert done_by(workers) is worker
