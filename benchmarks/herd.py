"""A crowd meets an expired token whose refresh token rotates: how many renewals there are, and which calls fail.

64 threads, 1,000 tasks, or both at the same time on one auth object; and 8 processes on one stored token. The API is
mocked, since a connection pool under a thousand tasks would hide the auth; the token endpoint is real and takes its time.
The ideal is the same crowd with a valid token, plus one latency of the token endpoint.

Run: python benchmarks/herd.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peers
import server
from peers import Grant, Mock, Peer

LATENCY = 0.2
"""Seconds that the token endpoint takes."""

URL = f"{peers.MOCKED}/data"
STORED = ["blnk_auth", "requests-auth", "msal", "botocore"]
"""The libraries with a store of their own on requests; of the others, every process has its own copy of the token."""


def threads(caller: Any, number: int) -> tuple[float, int]:
    """Seconds until the last of so many threads has its answer, and how many of them failed."""
    barrier, failed = threading.Barrier(number + 1), []

    def call() -> None:
        barrier.wait()
        try:
            if caller.request("GET", URL) != 200:
                failed.append(1)
        except Exception:
            failed.append(1)

    crowd = [threading.Thread(target=call) for _ in range(number)]
    for thread in crowd:
        thread.start()
    barrier.wait()
    began_at = time.perf_counter()
    for thread in crowd:
        thread.join()
    return time.perf_counter() - began_at, len(failed)


async def tasks(caller: Any, number: int) -> tuple[float, int]:
    """The same for so many tasks of one event loop."""
    begin = asyncio.Event()

    async def call() -> int:
        await begin.wait()
        return int(await caller.request("GET", URL))

    crowd = [asyncio.create_task(call()) for _ in range(number)]
    await asyncio.sleep(0)
    began_at = time.perf_counter()
    begin.set()
    done = await asyncio.gather(*crowd, return_exceptions=True)
    return time.perf_counter() - began_at, sum(answer != 200 for answer in done)


Crowd = Callable[[Peer, Grant, Mock], tuple[float, int]]


def thread_crowd(number: int) -> Crowd:
    return lambda peer, grant, mock: threads(peer.open(grant, mock), number)


def task_crowd(number: int) -> Crowd:
    async def run(peer: Peer, grant: Grant, mock: Mock) -> tuple[float, int]:
        return await tasks(peer.open(grant, mock), number)

    return lambda peer, grant, mock: asyncio.run(run(peer, grant, mock))


def mixed_crowd(peer: Peer, grant: Grant, mock: Mock) -> tuple[float, int]:
    """32 threads with requests and 500 tasks with httpx2 share one source; only blnk_auth can."""
    import httpx2
    import requests

    from blnk_auth import Httpx2Auth, RequestsAuth

    source, session = peers.blnk_source(grant), requests.Session()
    session.auth = RequestsAuth(source)
    caller = peers.RequestsCaller(session, mock=mock)
    found: list[tuple[float, int]] = []
    sync = threading.Thread(target=lambda: found.append(threads(caller, 32)))

    async def run() -> tuple[float, int]:
        settings = peers.client_settings(httpx2, mock, is_async=True)
        sync.start()
        return await tasks(peers.AsyncHttpxCaller(httpx2.AsyncClient(auth=Httpx2Auth(source), **settings)), 500)

    took, failed = asyncio.run(run())
    sync.join()
    return max(took, found[0][0]), failed + found[0][1]


def measure_crowd(remote: server.Remote, peer: Peer, crowd: Crowd) -> dict[str, Any]:
    """One crowd with a valid token, then one with an expired token."""
    pair = remote.begin(latency=LATENCY)
    ideal, _ = crowd(peer, Grant.of(pair, remote.token_endpoint, expires_in=3600), Mock())
    pair = remote.begin(latency=LATENCY)
    seen: list[str] = []
    took, failed = crowd(peer, Grant.of(pair, remote.token_endpoint, expires_in=-5), Mock(seen=seen))
    happened = remote.control()
    accepted = remote.control(judge=seen)
    return {
        "token_requests": happened["token"],
        "reuses": happened["reuse"],
        "failed_calls": failed + sum(not good for good in accepted),
        "grant_revoked": happened["revoked"],
        "seconds": took,
        "over_ideal": took / (ideal + LATENCY),
        "over_latency": took / LATENCY,
    }


def measure_processes(remote: server.Remote, peer: Peer, number: int = 8) -> dict[str, Any]:
    """So many processes, one stored token, one call each."""
    pair = remote.begin(latency=LATENCY)
    with tempfile.TemporaryDirectory() as directory:
        grant = Grant.of(pair, remote.token_endpoint, expires_in=-5, directory=Path(directory))
        is_stored = peer.name in STORED
        if is_stored:
            peer.open(grant, None)
        given = {**pair, "directory": directory if is_stored else None, "api": f"{remote.origin}/api/data"}
        given |= {"endpoint": grant.token_endpoint, "label": peer.label, "stored": is_stored}
        command = [sys.executable, __file__, "--child", json.dumps(given)]
        children = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            for _ in range(number)
        ]
        ready = [child.stdout.readline() for child in children if child.stdout]
        for child in children:
            if child.stdin:
                child.stdin.write("go\n")
                child.stdin.flush()
        answers = [child.communicate(timeout=60)[0].strip() for child in children]
    happened = remote.control()
    return {
        "store": is_stored,
        "token_requests": happened["token"],
        "reuses": happened["reuse"],
        "failed_calls": sum(answer != "200" for answer in answers),
        "grant_revoked": happened["revoked"],
        "began": sum(line.strip() == "ready" for line in ready),
    }


def child(given: dict[str, Any]) -> None:
    """One of the processes: ready, then one call on a signal."""
    directory = Path(given["directory"]) if given["directory"] else None
    known = {"access_token": "", "refresh_token": ""} if given["stored"] else given
    caller = peers.named(given["label"]).open(
        Grant.of(known, given["endpoint"], expires_in=-5, directory=directory), None
    )
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        print(caller.request("GET", given["api"]))
    except Exception as error:
        print(type(error).__name__)


def measure(*, quick: bool) -> dict[str, Any]:
    """All figures of this section."""
    with server.running() as remote:
        chosen = peers.that_renew(quick=quick)
        of_threads = [peer for peer in chosen if not peer.is_async]
        of_tasks = [peer for peer in chosen if peer.is_async]
        ours = peers.named("blnk_auth (requests)")
        return {
            "latency": LATENCY,
            "64 threads": {peer.label: measure_crowd(remote, peer, thread_crowd(64)) for peer in of_threads},
            "1,000 tasks": {peer.label: measure_crowd(remote, peer, task_crowd(1000)) for peer in of_tasks},
            "32 threads and 500 tasks": {"blnk_auth (requests and httpx2 async)": measure_crowd(remote, ours, mixed_crowd)},
            "8 processes": {peer.label: measure_processes(remote, peer) for peer in chosen if peer.client == "requests"},
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only blnk_auth")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(json.loads(arguments.child))
    else:
        json.dump(measure(quick=arguments.quick), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
