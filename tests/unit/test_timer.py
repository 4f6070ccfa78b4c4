"""The thread that acts in time: when it exists, and what it waits for."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from support.limits import PATIENCE
from support.waiting import wait_until

from blnk_auth.stores import _timer as timer_module
from blnk_auth.stores._timer import Timer

FAR = 3e8
"""Seconds that no test waits for, and no thread can wait for in one piece."""


class Alarm:
    """Is due after so many seconds, then after each of `again`, and notes each time."""

    def __init__(self, seconds: float, *again: float) -> None:
        self.due = time.monotonic() + seconds
        self.acted = threading.Semaphore(0)
        self._again = list(again)

    def act(self) -> bool:
        assert time.monotonic() >= self.due
        has_more = bool(self._again)
        if has_more:
            self.due = time.monotonic() + self._again.pop(0)
        self.acted.release()
        return has_more


@pytest.fixture
def timer() -> Timer:
    return Timer()


def has_ended(timer: Timer) -> None:
    wait_until(lambda: not timer._has_thread, "the thread ends")
    assert timer._timed == set()


def test_what_is_due_acts_once_and_the_thread_ends(timer: Timer) -> None:
    """Also if it was due before."""
    for seconds in (0.01, -1.0):
        alarm = Alarm(seconds)
        assert timer.add(alarm)
        assert alarm.acted.acquire(timeout=PATIENCE)
        has_ended(timer)
        assert not alarm.acted.acquire(blocking=False)


def test_what_has_another_time_acts_again(timer: Timer) -> None:
    """As a deadline that is extended."""
    alarm = Alarm(0.0, 0.01, 0.0)
    assert timer.add(alarm)
    for _ in range(3):
        assert alarm.acted.acquire(timeout=PATIENCE)
    has_ended(timer)


def test_what_is_due_earlier_than_the_rest_does_not_wait_for_it(timer: Timer) -> None:
    """It wakes the thread; there is one thread for all."""
    late, early = Alarm(FAR), Alarm(0.05)
    assert timer.add(late)
    wait_until(lambda: timer._wakes_at == late.due, "the thread waits")
    assert timer.add(early)
    assert early.acted.acquire(timeout=PATIENCE)
    assert timer._timed == {late}
    timer.discard(late)
    has_ended(timer)
    assert not late.acted.acquire(blocking=False)


def test_what_was_never_added_can_be_discarded(timer: Timer) -> None:
    """An exchange may end twice."""
    timer.discard(Alarm(0.0))
    assert not timer._has_thread


def test_without_threads_nothing_is_added(timer: Timer) -> None:
    """The caller learns it; it works later, when a thread can be started."""
    alarm = Alarm(0.0)
    before = threading.stack_size(2**45)
    try:
        assert not timer.add(alarm)
    finally:
        threading.stack_size(before)
    has_ended(timer)
    assert timer.add(alarm)
    assert alarm.acted.acquire(timeout=PATIENCE)
    has_ended(timer)


def test_a_mistake_is_reported_and_does_not_end_the_timer_for_ever(
    timer: Timer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread ends with it; the next one takes care of what was left."""

    class Mistaken(Alarm):
        def act(self) -> bool:
            raise ZeroDivisionError

    reported: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda failure: reported.append(failure.exc_type))
    left = [Alarm(0.05), *(Alarm(0.0) for _ in range(50))]
    with timer._changed:  # so that all but one are due together, in any order
        for each in (Mistaken(0.0), *left):
            assert timer.add(each)
    wait_until(lambda: reported, "the mistake is reported")
    assert timer.add(Alarm(0.0))
    assert all(each.acted.acquire(timeout=PATIENCE) for each in left)
    has_ended(timer)
    assert reported == [ZeroDivisionError]


def test_a_finalizer_on_the_new_thread_may_use_the_timer(timer: Timer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The garbage collector may run there before the thread has reported that it has started."""
    ended: list[bool] = []

    class Starting(threading.Thread):
        def start(self) -> None:
            finalizer = threading.Thread(target=timer.discard, args=(Alarm(0.0),), daemon=True)
            finalizer.start()
            finalizer.join(PATIENCE)
            ended.append(not finalizer.is_alive())
            super().start()

    class Threading:
        Thread = Starting

        def __getattr__(self, name: str) -> Any:
            return getattr(threading, name)

    monkeypatch.setattr(timer_module, "threading", Threading())
    assert timer.add(Alarm(0.0))
    has_ended(timer)
    assert ended == [True]


def test_an_interrupt_while_the_thread_starts_leaves_nothing(timer: Timer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C reaches the caller, and the next one gets a thread."""

    class Interrupted(threading.Thread):
        def start(self) -> None:
            raise KeyboardInterrupt

    class Threading:
        Thread = Interrupted

        def __getattr__(self, name: str) -> Any:
            return getattr(threading, name)

    with monkeypatch.context() as patched:
        patched.setattr(timer_module, "threading", Threading())
        with pytest.raises(KeyboardInterrupt):
            timer.add(Alarm(FAR))
    has_ended(timer)
    alarm = Alarm(0.0)
    assert timer.add(alarm)
    assert alarm.acted.acquire(timeout=PATIENCE)
    has_ended(timer)


def test_a_forked_child_has_nothing_to_wait_for(timer: Timer) -> None:
    """Its parent's thread and exchanges do not exist there."""
    parents = Alarm(FAR)
    timer.add(parents)
    lock, timed = timer._changed, timer._timed
    timer.reset_after_fork()
    assert (timer._timed, timer._has_thread) == (set(), False)
    childs = Alarm(0.0)
    assert timer.add(childs)
    assert childs.acted.acquire(timeout=PATIENCE)
    has_ended(timer)
    # The thread of the parent, which this process has as well.
    with lock:
        timed.clear()
        lock.notify()
