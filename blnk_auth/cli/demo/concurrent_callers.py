"""The scenario of 50 concurrent callers, of three kinds, with one token that has expired.

Used by the demo's run. It promises that all callers start together; it never renews a token itself.
"""

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
from .scenario import CALL_TIMEOUT, ScenarioRun

CALLERS = 50
_REQUESTS_THREADS = 15
_HTTPX_THREADS = 15
_TASKS = CALLERS - _REQUESTS_THREADS - _HTTPX_THREADS

_LONG_LIFETIME = 3600.0
"""Lifetime, in seconds, of the token that the callers get: it does not expire again while they call."""

_POLL_INTERVAL = 0.05


def run_concurrent_callers(run: ScenarioRun) -> None:
    """Threads with requests, threads with httpx and tasks with httpx share one source and start together."""
    run.set_progress("until the token has expired")
    _wait_for_expiry(run)
    run.sandbox.set_lifetime(_LONG_LIFETIME)
    run.set_progress(f"{CALLERS} callers")
    with httpx.Client(auth=HttpxAuth(run.source), timeout=CALL_TIMEOUT) as client:
        callers: list[Callable[[threading.Barrier], None]] = [partial(_tasks, run)]
        callers += [partial(_by_requests, run)] * _REQUESTS_THREADS
        callers += [partial(_by_httpx, run, client)] * _HTTPX_THREADS
        together = threading.Barrier(len(callers))
        threads = [threading.Thread(target=caller, args=(together,)) for caller in callers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _wait_for_expiry(run: ScenarioRun) -> None:
    """Wait without a renewal: reading `state` renews nothing. It is `expired` in the last twentieth of the lifetime."""
    while run.source.state in ("fresh", "stale"):
        time.sleep(_POLL_INTERVAL)
    time.sleep(0.05 * run.lifetime + _POLL_INTERVAL)


def _by_requests(run: ScenarioRun, together: threading.Barrier) -> None:
    with requests.Session() as session:
        session.auth = RequestsAuth(run.source)
        together.wait()
        with run.scenario.figures.call() as call:
            call.status = session.get(run.url, timeout=CALL_TIMEOUT).status_code


def _by_httpx(run: ScenarioRun, client: httpx.Client, together: threading.Barrier) -> None:
    together.wait()
    with run.scenario.figures.call() as call:
        call.status = client.get(run.url).status_code


def _tasks(run: ScenarioRun, together: threading.Barrier) -> None:
    asyncio.run(_gather(run, together))


async def _gather(run: ScenarioRun, together: threading.Barrier) -> None:
    async with httpx.AsyncClient(auth=HttpxAuth(run.source), timeout=CALL_TIMEOUT) as client:

        async def one() -> None:
            with run.scenario.figures.call() as call:
                call.status = (await client.get(run.url)).status_code

        # Nothing else runs on this loop yet, so it may be blocked.
        together.wait()
        await asyncio.gather(*(one() for _ in range(_TASKS)))
