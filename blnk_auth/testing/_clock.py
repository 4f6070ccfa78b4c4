"""A clock that stands still until it is told to move, so that a test of expiry needs no waiting."""

from __future__ import annotations

import threading

DEFAULT_START = 1_800_000_000.0
"""A round number of UTC epoch seconds (15 January 2027): easy to recognise in a failing assertion."""


class Clock:
    """The current time in UTC epoch seconds, as a callable: a drop-in for `time.time`.

        clock = Clock()
        clock()             # 1800000000.0
        clock.advance(60)
        clock()             # 1800000060.0

    Safe to share between threads.
    """

    def __init__(self, start: float = DEFAULT_START) -> None:
        self._now = start
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock by `seconds`; a negative number moves it back, as a correction of the wall clock does."""
        with self._lock:
            self._now += seconds

    def __repr__(self) -> str:
        return f"<Clock {self._now!r}>"
