"""Worker threads, on which work runs that no caller can stop.

Used by `single_flight`. A worker is a named, non-daemon thread. It promises that cancelling a caller, closing an event
loop or a signal does not stop the work, and that the interpreter waits for it at exit. Work never queues behind other
work: an idle worker takes it, else a new one is started. A few workers stay idle for a short time. An idle worker has
no reference to what it has done, and ends when the main thread has ended, so that the interpreter can exit.

No thread, lock or other primitive is made before the first work: a program may patch `threading` after its imports.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from contextvars import Context

from ..stores._forks import reset_in_child

NAME = "blnk-auth renewal"
"""For people who look at a thread dump. No code looks for it."""

_MOST_IDLE = 16
"""As many as there are kept connections to one server: more renewals than that at the same time are rare."""

_IDLE_SECONDS = 1.0
"""An idle worker spares the start of a thread, which is worth it only if renewals follow each other."""

_FIRST_LOOK, _LONGEST_LOOK = 0.001, 0.05
"""Seconds after which an idle worker first looks whether the main thread has ended, and at most. It has to look: at
exit, the interpreter waits for threads before it calls any exit handler."""

Work = Callable[[], object]


def start_worker(run: Work, context: Context) -> bool:
    """Run `run` on a worker thread, in the given context; return False if no thread can be started."""
    return shared_workers().start(functools.partial(context.run, run))


def wait_for_workers(timeout: float) -> bool:
    """Block until no other thread does such work; return False after `timeout` seconds.

    A caller whose operation has ended can be here before the events of that operation are emitted.
    """
    give_up_at = time.monotonic() + timeout
    while any(
        isinstance(each, Worker) and each is not threading.current_thread() and not each.is_idle
        for each in threading.enumerate()
    ):
        if time.monotonic() >= give_up_at:
            return False
        time.sleep(_FIRST_LOOK)
    return True


class Workers:
    """Threads that share what work there is. May be used from any thread.

    Args:
        most_idle: How many workers may be idle at the same time.
        idle_seconds: How long a worker stays idle.
    """

    def __init__(self, *, most_idle: int = _MOST_IDLE, idle_seconds: float = _IDLE_SECONDS) -> None:
        self.most_idle = most_idle
        self.idle_seconds = idle_seconds
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: the workers of its parent do not exist here."""
        self._lock = threading.Lock()
        self._idle: list[Worker] = []

    def start(self, work: Work) -> bool:
        """Run `work` on an idle worker, else on a new one; return False if no thread can be started."""
        with self._lock:
            if self._idle:
                # The one that was busy last: after a busy time the others end.
                self._idle.pop().give(work)
                return True
        try:
            Worker(self, work).start()
        except RuntimeError:
            # The interpreter is shutting down (no new threads from CPython 3.12 on) or the process is out of threads.
            return False
        return True

    def add_idle(self, worker: Worker) -> bool:
        """Keep this worker for later work; return False if there are enough."""
        with self._lock:
            if len(self._idle) >= self.most_idle:
                return False
            worker.expect_work()
            self._idle.append(worker)
            return True

    def remove_idle(self, worker: Worker) -> None:
        """Do not give work to this worker any more. It may have been given some just now."""
        with self._lock:
            if worker in self._idle:
                self._idle.remove(worker)

    def is_idle(self, worker: Worker) -> bool:
        """Whether this worker has no work and may be given some."""
        return worker in self._idle


class Worker(threading.Thread):
    """A thread that does one piece of work after another, and ends when there has been none for a while."""

    def __init__(self, workers: Workers, work: Work) -> None:
        super().__init__(name=NAME, daemon=False)
        self._workers = workers
        self._work: Work | None = work
        # Locked while it waits. Not an event: Ctrl-C in the caller could leave the lock within an event locked.
        self._no_work = threading.Lock()

    @property
    def is_idle(self) -> bool:
        """Whether it waits for work."""
        return self._workers.is_idle(self)

    def run(self) -> None:
        while self._work is not None:
            self._do_work()
            self._wait_for_work()

    def give(self, work: Work) -> None:
        """Have an idle worker do this. The caller has taken it from the idle ones."""
        self._work = work
        self._no_work.release()

    def expect_work(self) -> None:
        """Called when it is about to become idle."""
        self._no_work.acquire(blocking=False)

    def _do_work(self) -> None:
        # In a function of its own, so that no frame of an idle thread refers to the work: it may refer to a token.
        work, self._work = self._work, None
        if work is not None:
            work()

    def _wait_for_work(self) -> None:
        if not threading.main_thread().is_alive() or not self._workers.add_idle(self):
            return
        ends_at, look = time.monotonic() + self._workers.idle_seconds, _FIRST_LOOK
        # It looks whether it is still idle: Ctrl-C may come after it was taken from the idle ones, and before its lock
        # was released. Then it has been given its work, or never will be.
        while self.is_idle and threading.main_thread().is_alive() and time.monotonic() < ends_at:
            self._no_work.acquire(timeout=look)
            look = min(2 * look, _LONGEST_LOOK)
        self._workers.remove_idle(self)


@functools.cache
def shared_workers() -> Workers:
    """The workers of this process. They are made at first use."""
    return Workers()
