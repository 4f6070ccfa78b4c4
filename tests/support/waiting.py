"""Waiting for what happens elsewhere: in another thread, in a server, in another process.

Used by tests instead of sleeping. Each wait ends as soon as its condition holds, and fails after `limits.PATIENCE` with
what it waited for.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from typing import Any, Self

import pytest
from support.limits import PATIENCE

from blnk_auth._renewal.single_flight import run_on_worker
from blnk_auth._renewal.worker import Worker, shared_workers
from blnk_auth.events import Event


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Poll until the condition holds: for what gives no signal, such as another process."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.01)


class Hold:
    """A place in a server or a store where work waits until the test lets it go on.

    hold = Hold()
    sandbox.fail(Fault(rewrite=hold))   # the answer waits, after the rotation
    ...
    hold.wait_until_reached()
    hold.release()
    """

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._released = threading.Event()

    def __call__(self, value: Any = None) -> Any:
        self.reached.set()
        assert self._released.wait(PATIENCE), "the test never released this hold"
        return value

    def wait_until_reached(self) -> None:
        assert self.reached.wait(PATIENCE), "nothing came to this hold"

    def release(self) -> None:
        self._released.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Events(list[Event]):
    """An `on_event` callback that remembers, and for which a test can wait."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.append(event)
            self._changed.notify_all()

    @property
    def names(self) -> list[str]:
        return [event.name for event in self]

    def wait_for(self, name: str, times: int = 1) -> Event:
        """The first event of that name, once there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.names.count(name) >= times, PATIENCE), f"no {name}: {self.names}"
        return next(event for event in self if event.name == name)


def cancel(call: Future[Any]) -> None:
    """Cancel a call of an asynchronous client, and wait until it has ended so."""
    assert call.cancel()
    with pytest.raises(CancelledError):
        call.result(PATIENCE)


_NEVER_STARTED: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def settle() -> None:
    """Wait until no renewal thread has work: events are emitted after the waiters have been woken."""
    begun_at = time.monotonic()
    while ours := [each for each in busy_workers() if each not in _NEVER_STARTED]:
        waited = time.monotonic() - begun_at
        if waited > 1 and not any(thread.is_alive() for thread in ours):
            # Ctrl-C kept them from starting, and Python 3.13 keeps listing them.
            _NEVER_STARTED.update(ours)
            return
        assert waited < PATIENCE, "a renewal hangs"
        time.sleep(0.001)


def busy_workers() -> list[Worker]:
    """The renewal threads that have work, or are only just starting."""
    return [thread for thread in threading.enumerate() if isinstance(thread, Worker) and not thread.is_idle]


@contextmanager
def no_idle_workers() -> Generator[None]:
    """Keeps every idle renewal thread busy, so that further work needs a new thread."""
    done = threading.Event()
    try:
        while any(shared_workers().is_idle(each) for each in threading.enumerate() if isinstance(each, Worker)):
            run_on_worker(lambda: done.wait(PATIENCE), lambda: None)
        yield
    finally:
        done.set()


@contextmanager
def out_of_threads() -> Generator[None]:
    """A process that can start no thread, and has no idle renewal thread either."""
    with no_idle_workers():
        before = threading.stack_size(2**45)
        try:
            yield
        finally:
            threading.stack_size(before)
