"""The line of docs/how-to/workers.md by which a process of Celery's pool waits for its renewals before it ends."""

from __future__ import annotations

import gc
import re

import celery
from celery.signals import worker_process_shutdown
from docs.test_readme import HOW_TO


class _Client:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_celery_keeps_the_line_of_the_page() -> None:
    """Celery forgets a receiver that nothing else refers to, unless `weak` is False."""
    [line] = re.findall(
        r"`(celery\.signals\.worker_process_shutdown\.\S.*?)`", (HOW_TO / "workers.md").read_text("utf-8")
    )
    client = _Client()
    others = list(worker_process_shutdown.receivers)
    try:
        exec(line, {"celery": celery, "client": client})
        gc.collect()
        worker_process_shutdown.send(sender=None)
    finally:
        worker_process_shutdown.receivers = others
    assert client.closed == 1
