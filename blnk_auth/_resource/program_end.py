"""Whether the program has ended, for work that waits for a user, and the wait that notices it.

Used by the sign-ins from inside a request. Worker threads are not daemons, so that tokens are saved in any case, and
the interpreter waits for them at exit. It promises that a wait for a user does not delay that. It never ends a thread.
"""

from __future__ import annotations

import threading
import time

from .._renewal.worker import Worker

_SLICE = 0.1
"""Seconds after which a wait looks whether the program has ended."""


def program_has_ended() -> bool:
    """Whether nothing runs any more that could use a token: the interpreter waits for the workers only."""
    main = threading.main_thread()
    if main.is_alive():
        return False
    return all(each.daemon or each is main or isinstance(each, Worker) for each in threading.enumerate())


def wait_in_program(done: threading.Event, seconds: float) -> bool:
    """Wait for the event. Ends early if the program does."""
    ends_at = time.monotonic() + seconds
    while not done.wait(max(0.0, min(_SLICE, ends_at - time.monotonic()))):
        if time.monotonic() >= ends_at or program_has_ended():
            return False
    return True
