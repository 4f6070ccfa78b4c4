"""Worker threads: where work runs that no caller can stop.

Used by `single_flight`. A worker is a short-lived, named, non-daemon thread: no caller's cancellation, event loop or
signal reaches it, and the interpreter waits for it at exit. It never waits behind other work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context

NAME = "blnk-auth renewal"


def start_worker(run: Callable[[], object], context: Context) -> bool:
    """Run this on a worker thread of its own, in the given context; False if no thread can be had."""
    worker = threading.Thread(target=context.run, args=(run,), name=NAME, daemon=False)
    try:
        worker.start()
    except RuntimeError:
        # The interpreter is shutting down (no new threads from CPython 3.12 on) or the process is out of threads.
        return False
    return True
