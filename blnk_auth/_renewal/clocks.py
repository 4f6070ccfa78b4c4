"""The clock of a client: the one that the user passed, or that of the system.

Used by `ClientState`, by `CurrentToken`, which reads the system's clock without a call in between, and by pickles. It
promises that a clock of the user is returned as it was passed. It never reads a clock unless it is called for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def system_time() -> float:
    """The time, in UTC epoch seconds."""
    # `time.time` is looked up at each call: a test that replaces it then moves the time here too.
    return time.time()


def clock_of(given: Callable[[], float] | None) -> Callable[[], float]:
    """The clock for what the user passed; None and `time.time` are the system's."""
    return system_time if given is None or given is time.time else given


def given_clock(clock: Callable[[], float]) -> Callable[[], float] | None:
    """What the user passed for a clock of `clock_of`; None for the system's."""
    return None if clock is system_time else clock
