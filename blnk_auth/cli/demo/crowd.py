"""50 callers at once, of every kind, with one token that has expired."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial

import httpx
import requests

from ...httpx import HttpxAuth
from ...requests import RequestsAuth
from .stage import CALL_TIMEOUT, Stage

CROWD = 50
_REQUESTS_THREADS = 15
_HTTPX_THREADS = 15
_TASKS = CROWD - _REQUESTS_THREADS - _HTTPX_THREADS

_LONG = 3600.0
"""Lifetime of the token that the crowd gets: it does not expire once more while they call."""

_LOOK_EVERY = 0.05


def play_crowd(stage: Stage) -> None:
    """Threads with requests, threads with httpx and tasks with httpx share one source and start together."""
    stage.say("until the token has expired")
    _wait_for_expiry(stage)
    stage.sandbox.set_lifetime(_LONG)
    stage.say(f"{CROWD} callers")
    with httpx.Client(auth=HttpxAuth(stage.source), timeout=CALL_TIMEOUT) as client:
        callers: list[Callable[[threading.Barrier], None]] = [partial(_tasks, stage)]
        callers += [partial(_by_requests, stage)] * _REQUESTS_THREADS
        callers += [partial(_by_httpx, stage, client)] * _HTTPX_THREADS
        together = threading.Barrier(len(callers))
        threads = [threading.Thread(target=caller, args=(together,)) for caller in callers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _wait_for_expiry(stage: Stage) -> None:
    """Looking at the state renews nothing. It is `expired` from the last twentieth of the lifetime on."""
    while stage.source.state in ("fresh", "stale"):
        time.sleep(_LOOK_EVERY)
    time.sleep(0.05 * stage.lifetime + _LOOK_EVERY)


def _by_requests(stage: Stage, together: threading.Barrier) -> None:
    with requests.Session() as session:
        session.auth = RequestsAuth(stage.source)
        together.wait()
        with stage.act.figures.call() as call:
            call.status = session.get(stage.url, timeout=CALL_TIMEOUT).status_code


def _by_httpx(stage: Stage, client: httpx.Client, together: threading.Barrier) -> None:
    together.wait()
    with stage.act.figures.call() as call:
        call.status = client.get(stage.url).status_code


def _tasks(stage: Stage, together: threading.Barrier) -> None:
    asyncio.run(_gather(stage, together))


async def _gather(stage: Stage, together: threading.Barrier) -> None:
    async with httpx.AsyncClient(auth=HttpxAuth(stage.source), timeout=CALL_TIMEOUT) as client:

        async def one() -> None:
            with stage.act.figures.call() as call:
                call.status = (await client.get(stage.url)).status_code

        # Nothing else runs on this loop yet, so it may be blocked.
        together.wait()
        await asyncio.gather(*(one() for _ in range(_TASKS)))
