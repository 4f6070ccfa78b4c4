"""Worker threads, on which work runs that no caller can stop.

Used by `single_flight`. A worker is a short-lived, named, non-daemon thread. It promises that cancelling a caller,
closing an event loop or a signal does not stop the work, and that the interpreter waits for it at exit. Work never
queues behind other work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context

NAME = "blnk-auth renewal"


def start_worker(run: Callable[[], object], context: Context) -> bool:
    """Run `run` on a new worker thread, in the given context; return False if no thread can be started."""
    worker = threading.Thread(target=context.run, args=(run,), name=NAME, daemon=False)
    try:
        worker.start()
    except RuntimeError:
        # The interpreter is shutting down (no new threads from CPython 3.12 on) or the process is out of threads.
        return False
    return True
