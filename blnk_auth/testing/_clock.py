"""A clock that moves only when a test moves it, so that a test of expiry does not wait.

Used by tests, as the `clock` of a client and of the sandbox. It promises that a test decides when a token expires. It
never reads the time of the machine.
"""

from __future__ import annotations

import threading

from ..errors._pickling import public

DEFAULT_START = 1_800_000_000.0
"""A round number of UTC epoch seconds (15 January 2027): easy to recognise in a failing assertion."""


@public
class Clock:
    """The current time in UTC epoch seconds, as a callable: a drop-in for `time.time`.

        clock = Clock()
        clock()             # 1800000000.0
        clock.advance(60)
        clock()             # 1800000060.0

    May be used from any thread.

    Args:
        start: The first time, in UTC epoch seconds. Default: 15 January 2027.
    """

    def __init__(self, start: float = DEFAULT_START) -> None:
        self._now = start
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock. May be called from any thread.

        Args:
            seconds: By how much. A negative number moves it back, like a correction of the wall clock.
        """
        with self._lock:
            self._now += seconds

    def __repr__(self) -> str:
        return f"<Clock {self._now!r}>"
