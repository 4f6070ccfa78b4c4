"""What a worker process notes about itself: its log, when it did not run, its size, and what it leaves open.

Used by `worker`. It never judges what it finds.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any


class Log:
    """Lines of JSON on standard output, whole ones also when the process is killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, what: str, **details: Any) -> None:
        line = json.dumps({"t": time.monotonic(), "what": what, **details}) + "\n"
        with self._lock:
            os.write(1, line.encode())


CALLER = "caller"
"""What the names of the threads begin with that call the API."""


def heartbeat(log: Log, stop: threading.Event) -> None:
    """Notes when the process did not run, and how large it is."""
    last = measured = time.monotonic()
    while not stop.wait(0.2):
        now = time.monotonic()
        if now - last > 1.0:
            log("stalled", since=last, until=now)
        if now - measured > 2.0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            log(
                "size",
                kilobytes=pages * os.sysconf("SC_PAGE_SIZE") // 1024,
                blocks=sys.getallocatedblocks(),
                # Without the pool of callers, which starts its threads as it needs them, up to its bound.
                threads=sum(not each.name.startswith(CALLER) for each in threading.enumerate()),
                descriptors=len(descriptors()),
            )
            measured = now
        last = now


def descriptors() -> dict[str, str]:
    """The open file descriptors of this process, and what each is."""
    found: dict[str, str] = {}
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found[each.name] = str(each.readlink())
    return found


def left_over(before: dict[str, str]) -> dict[str, Any]:
    """The threads and descriptors that are there and were not before. What is about to end gets some seconds for it."""
    mine = {"MainThread", "heartbeat"}
    give_up_at = time.monotonic() + 20.0
    while True:
        gc.collect()
        threads = sorted(each.name for each in threading.enumerate() if each.name not in mine)
        now = descriptors()
        opened = sorted(what for number, what in now.items() if before.get(number) != what and "/proc/" not in what)
        if not (threads or opened) or time.monotonic() > give_up_at:
            return {"threads": threads, "descriptors": opened}
        time.sleep(0.2)
