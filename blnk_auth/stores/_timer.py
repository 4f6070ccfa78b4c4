"""One thread for this process that acts when the time of something has come.

Used by `deadline`, which cuts exchanges that take too long, by `kept_clients`, which closes idle connections, by
`rejection_body`, which does not wait for a body that never ends, and by `_lease`, which renews the leases of long work.
It is in the lowest package that all of them may import. It promises that the thread exists only while there is
something to wait for, that it never delays the exit of the interpreter, and that a forked child starts with nothing to
wait for. Nothing that it calls may block.
"""

from __future__ import annotations

import functools
import threading
import time
from typing import Protocol

from ._forks import reset_in_child

_LONGEST_WAIT = 3600.0
"""Seconds. A thread cannot wait for any number of them."""


class Timed(Protocol):
    """Something with a time at which it must act. Compared by identity."""

    @property
    def due(self) -> float:
        """When it must act, by `time.monotonic`."""
        ...

    def act(self) -> bool:
        """Do what is due, on the timer's thread. Returns whether there is a new `due`."""
        ...


class Timer:
    """Calls `act` of everything that was added, when it is due. May be used from any thread."""

    def __init__(self) -> None:
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: the thread of its parent does not exist here."""
        # It is reentrant: the garbage collector may call `discard` at any moment.
        self._changed = threading.Condition(threading.RLock())
        self._timed: set[Timed] = set()
        self._wakes_at: float = 0.0
        self._has_thread: bool = False

    def add(self, timed: Timed) -> bool:
        """Call `timed.act` when it is due. Returns False, and does nothing, if no thread can be started."""
        with self._changed:
            self._timed.add(timed)
            if timed.due < self._wakes_at:
                self._changed.notify()
            has_thread, self._has_thread = self._has_thread, True
        return has_thread or self._start(timed)

    def discard(self, timed: Timed) -> None:
        """Do not call `timed.act` any more, if it was added. A call that has begun is finished."""
        with self._changed:
            self._timed.discard(timed)
            if not self._timed:
                self._changed.notify()

    def _start(self, timed: Timed) -> bool:
        # Not under the lock: a finalizer that runs on the new thread may need it.
        has_started = False
        try:
            threading.Thread(target=self._run, name="blnk-auth timer", daemon=True).start()
            has_started = True
        except RuntimeError:
            # No thread can be started in an isolated sub-interpreter, or if the process has too many.
            pass
        finally:
            if not has_started:
                with self._changed:
                    self._has_thread = False
                    self._timed.discard(timed)
        return has_started

    def _run(self) -> None:
        due: list[Timed] | None = []
        try:
            while (due := self._wait()) is not None:
                while due:
                    timed = due.pop()
                    if timed.act():
                        self.add(timed)
        except BaseException:
            # A mistake in one object must not leave all others without a thread for ever: the next `add` starts one.
            # What is due at the same time as the mistaken one, too.
            with self._changed:
                self._timed.update(due or ())
                self._has_thread = False
            raise

    def _wait(self) -> list[Timed] | None:
        """Wait for the next that is due. Takes out all that are due and returns them; None if none is left at all."""
        with self._changed:
            if not self._timed:
                self._has_thread = False
                return None
            self._wakes_at = min(timed.due for timed in list(self._timed))
            left = self._wakes_at - time.monotonic()
            if left > 0:
                self._changed.wait(min(left, _LONGEST_WAIT))
            now = time.monotonic()
            due = [timed for timed in list(self._timed) if timed.due <= now]
            # Before they act: an object that is added again meanwhile stays.
            self._timed.difference_update(due)
            return due


@functools.cache
def timer() -> Timer:
    """The timer of this process. It is made at first use, when gevent has replaced the locks if it is used."""
    return Timer()
