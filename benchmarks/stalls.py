"""Steady traffic across repeated expiries: who waits for a renewal.

Tokens live 2 s and the token endpoint takes 200 ms. 16 threads, or 200 tasks, call a mocked API that takes 10 ms, again
and again. A call waited if it took half a token latency longer than the API. The hard-coded header, in the same run
and on the same machine, shows what the scheduler adds. Calls before the first expiry do not count: a process loads what
renewals need only once.

Run: python benchmarks/stalls.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
import time
from typing import Any

import peers
import server
from peers import Grant, Mock, Peer

LATENCY, LIFETIME, API = 0.2, 2.0, 0.01
PAUSE = {"threads": 0.05, "tasks": 0.5}
"""Seconds between two calls of one thread or task, so that the machine is not simply full."""

URL = f"{peers.MOCKED}/data"


class Tally:
    """What the calls of one run took."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.failed = 0
        self._counts_from = time.monotonic() + LIFETIME

    def add(self, took: float) -> None:
        if time.monotonic() > self._counts_from:
            self.took.append(took)

    def figures(self) -> dict[str, Any]:
        ordered = sorted(self.took)
        return {
            "calls": len(ordered),
            "p50_ms": ordered[len(ordered) // 2] * 1e3,
            "p99_ms": ordered[int(len(ordered) * 0.99)] * 1e3,
            "max_ms": ordered[-1] * 1e3,
            "waited": sum(took > API + LATENCY / 2 for took in ordered),
            "failed_calls": self.failed,
        }


def thread_traffic(peer: Peer, grant: Grant, seconds: float) -> Tally:
    """16 threads on one auth object."""
    caller, tally = peer.open(grant, Mock(API)), Tally()
    caller.request("GET", URL)
    until = time.monotonic() + LIFETIME + seconds

    def work() -> None:
        while time.monotonic() < until:
            began_at = time.perf_counter()
            try:
                caller.request("GET", URL)
            except Exception:
                tally.failed += 1
            tally.add(time.perf_counter() - began_at)
            time.sleep(PAUSE["threads"])

    crowd = [threading.Thread(target=work) for _ in range(16)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    return tally


async def task_traffic(peer: Peer, grant: Grant, seconds: float) -> Tally:
    """200 tasks on one auth object."""
    caller, tally = peer.open(grant, Mock(API)), Tally()
    await caller.request("GET", URL)
    until = time.monotonic() + LIFETIME + seconds

    async def work(number: int) -> None:
        await asyncio.sleep(PAUSE["tasks"] * number / 200)
        while time.monotonic() < until:
            began_at = time.perf_counter()
            try:
                await caller.request("GET", URL)
            except Exception:
                tally.failed += 1
            tally.add(time.perf_counter() - began_at)
            await asyncio.sleep(PAUSE["tasks"])

    await asyncio.gather(*(work(number) for number in range(200)))
    return tally


def measure_one(remote: server.Remote, peer: Peer, seconds: float) -> dict[str, Any]:
    pair = remote.begin(latency=LATENCY, lifetime=LIFETIME)
    grant = Grant.of(pair, remote.token_endpoint, expires_in=LIFETIME)
    traffic = task_traffic(peer, grant, seconds) if peer.is_async else None
    tally = thread_traffic(peer, grant, seconds) if traffic is None else asyncio.run(traffic)
    return {**tally.figures(), "token_requests": remote.control()["token"]}


def measure(*, quick: bool) -> dict[str, Any]:
    """All figures of this section, with each p99 over that of the hard-coded header in the same client."""
    seconds = 5.0 if quick else 8.0
    found: dict[str, Any] = {}
    with server.running() as remote:
        for peer in peers.PEERS:
            if (
                peer.open is None
                or peer.name in ("trivial auth", peers.FOR_ALL)
                or (quick and peer.name not in ("hard-coded header", "blnk_auth"))
            ):
                continue
            figures = found[peer.label] = measure_one(remote, peer, seconds)
            limit = found[f"hard-coded header ({peer.client})"]
            figures["p99_over_hard_coded"] = figures["p99_ms"] / limit["p99_ms"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only the hard-coded header and blnk_auth")
    json.dump(measure(quick=parser.parse_args().quick), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
