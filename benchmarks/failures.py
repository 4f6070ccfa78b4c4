"""What each library does in scenarios that lose users' sign-ins, measured; F01 and F40 are in `herd.py`.

Each library meets each scenario in a process of its own, which is ended when it hangs. `passed` is whether the library
did what the scenario demands; `what` describes what was seen.

Run: python benchmarks/failures.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import peers
import server
from peers import Grant, Peer

PATIENCE = 20.0
"""Seconds after which a library is taken to hang."""

Found = tuple[bool | None, str]
"""Whether the library passed, None where the scenario does not apply; and what was seen."""

Scenario = Callable[[server.Remote, Peer], Found]


def attempt(peer: Peer, caller: Any, *call: Any) -> str:
    """One call, as its status or the name of the exception."""
    try:
        return str(_loop().run(caller.request(*call)) if peer.is_async else caller.request(*call))
    except Exception as error:
        return type(error).__name__


@functools.cache
def _loop() -> asyncio.Runner:
    """The one event loop of this process: an httpx client must not change loops, even if its auth could."""
    return asyncio.Runner()


def opened(remote: server.Remote, peer: Peer, *, expires_in: float, **settings: Any) -> Any:
    pair = remote.begin(**settings)
    return peer.open(Grant.of(pair, remote.token_endpoint, expires_in=expires_in), None)


def at_once(peer: Peer, caller: Any, calls: list[tuple[Any, ...]]) -> list[str]:
    """Several calls at the same time, by threads or tasks."""
    if not peer.is_async:
        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(lambda call: attempt(peer, caller, *call), calls))

    async def run() -> list[Any]:
        return await asyncio.gather(*(caller.request(*call) for call in calls), return_exceptions=True)

    return [str(each) if isinstance(each, int) else type(each).__name__ for each in _loop().run(run())]


def f04(remote: server.Remote, peer: Peer) -> Found:
    """4 threads, each with an event loop, one auth object."""
    caller = opened(remote, peer, expires_in=-5, latency=0.2)
    if not peer.is_async:
        return None, "no event loops"

    def in_loop(_: int) -> str:
        try:
            return str(asyncio.run(caller.in_new_loop().request("GET", f"{remote.origin}/api/x")))
        except Exception as error:
            return type(error).__name__

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(in_loop, range(4)))
    requests = remote.control()["token"]
    return statuses == ["200"] * 4 and requests == 1, f"{requests} renewals; {summary(statuses)}"


def f05(remote: server.Remote, peer: Peer) -> Found:
    """10 requests of 0.3 s each at the same time."""
    caller = opened(remote, peer, expires_in=3600)
    began_at = time.perf_counter()
    statuses = at_once(peer, caller, [("GET", f"{remote.origin}/api/x?delay=0.3")] * 10)
    took = time.perf_counter() - began_at
    return took < 1.5 and statuses == ["200"] * 10, f"{took:.1f} s for 10 requests of 0.3 s"


def f07(remote: server.Remote, peer: Peer) -> Found:
    """The task that renews is cancelled 0.1 s into it."""
    caller = opened(remote, peer, expires_in=-5, latency=0.4)
    if not peer.is_async:
        return None, "no cancellation"

    async def run() -> str:
        task = asyncio.create_task(caller.request("GET", f"{remote.origin}/api/x"))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.6)
        try:
            return str(await caller.request("GET", f"{remote.origin}/api/x"))
        except Exception as error:
            return type(error).__name__

    status, happened = _loop().run(run()), remote.control()
    revoked = ", grant revoked" if happened["revoked"] else ""
    return status == "200" and happened["reuse"] == 0, f"next call {status}{revoked}"


def f12(remote: server.Remote, peer: Peer) -> Found:
    """The token endpoint answers 503 while the access token has 5 s left; later it answers again."""
    caller = opened(remote, peer, expires_in=5, fault="503")
    with_rest = attempt(peer, caller, "GET", f"{remote.origin}/api/x")
    caller = opened(remote, peer, expires_in=-5, fault="503")
    attempt(peer, caller, "GET", f"{remote.origin}/api/x")
    remote.control(fault=None)
    time.sleep(3)
    healed = attempt(peer, caller, "GET", f"{remote.origin}/api/x")
    return with_rest == healed == "200", f"with 5 s left {with_rest}; after the outage {healed}"


def f16(remote: server.Remote, peer: Peer) -> Found:
    """A renewal answered with `"expires_in": "3600.5"`."""
    caller = opened(remote, peer, expires_in=-5)
    remote.control(expires_in="3600.5")
    first = attempt(peer, caller, "GET", f"{remote.origin}/api/x")
    second = attempt(peer, caller, "GET", f"{remote.origin}/api/x")
    lost = ", rotation lost" if remote.control()["revoked"] else ""
    return first == second == "200" and not lost, f"{first}, then {second}{lost}"


def f30(remote: server.Remote, peer: Peer) -> Found:
    """The API rejects a token that has not expired, 50 calls at the same time."""
    caller = opened(remote, peer, expires_in=3600, latency=0.2)
    remote.control(expire=True)
    statuses = at_once(peer, caller, [("GET", f"{remote.origin}/api/x")] * 50)
    requests = remote.control()["token"]
    return requests == 1 and statuses == ["200"] * 50, f"{requests} renewals; {summary(statuses)}"


def f34(remote: server.Remote, peer: Peer) -> Found:
    """A body that can be read once meets a 401."""
    caller = opened(remote, peer, expires_in=3600)
    remote.control(expire=True)
    body: Any = _once() if peer.is_async else io.BytesIO(b"x" * 1000)
    status = attempt(peer, caller, "POST", f"{remote.origin}/api/x", body)
    bodies = remote.control()["bodies"]
    return all(length == 1000 for length in bodies), f"{status}; bodies of {bodies} bytes"


async def _once() -> Any:
    yield b"x" * 1000


def f35(remote: server.Remote, peer: Peer) -> Found:
    """The API redirects to another origin."""
    caller = opened(remote, peer, expires_in=3600)
    status = attempt(peer, caller, "GET", f"{remote.origin}/api/away")
    leaks = remote.control()["leaked"]
    return not leaks, f"{status}; " + ("token sent to another origin" if leaks else "not sent")


def f36(remote: server.Remote, peer: Peer) -> Found:
    """The token endpoint redirects to another origin with 307."""
    caller = opened(remote, peer, expires_in=-5, fault="redirect")
    status = attempt(peer, caller, "GET", f"{remote.origin}/api/x")
    leaks = len(remote.control()["leaked"])
    return not leaks, f"{status}; " + ("refresh token sent to another origin" if leaks else "refused")


def f38(remote: server.Remote, peer: Peer) -> Found:
    """The program calls another origin with the same client."""
    caller = opened(remote, peer, expires_in=3600)
    status = attempt(peer, caller, "GET", f"{remote.other_origin}/catch")
    leaks = remote.control()["leaked"]
    return not leaks, f"{status}; " + ("token sent to another origin" if leaks else "not sent")


SCENARIOS: dict[str, Scenario] = {
    "F04": f04, "F05": f05, "F07": f07, "F12": f12, "F16": f16, "F30": f30, "F34": f34, "F35": f35, "F36": f36, "F38": f38,
}  # fmt: skip


def summary(statuses: list[str]) -> str:
    """`48 x 200, 2 x ReadTimeout`."""
    return ", ".join(f"{statuses.count(status)} x {status}" for status in dict.fromkeys(statuses))


def child(given: dict[str, Any]) -> None:
    """One library in one scenario."""
    remote = server.Remote(given["port"], given["other_origin"])
    passed, what = SCENARIOS[given["scenario"]](remote, peers.named(given["label"]))
    print(json.dumps({"passed": passed, "what": what}), flush=True)


def in_process(scenario: str, peer: Peer) -> dict[str, Any]:
    """The scenario against a server of its own, in a process of its own."""
    with server.running() as remote:
        ports = {name: int(getattr(remote, name).rpartition(":")[2]) for name in ("origin", "other_origin")}
        given = {
            "scenario": scenario,
            "label": peer.label,
            "port": ports["origin"],
            "other_origin": ports["other_origin"],
        }
        command = [sys.executable, __file__, "--child", json.dumps(given)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            return {"passed": False, "what": f"hangs (ended after {PATIENCE:.0f} s)"}
    if done.returncode:
        return {"passed": False, "what": done.stderr.strip().splitlines()[-1][:120]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(*, quick: bool) -> dict[str, Any]:
    """What happened, by library and scenario."""
    chosen = peers.that_renew(quick=quick)
    return {peer.label: {scenario: in_process(scenario, peer) for scenario in SCENARIOS} for peer in chosen}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only blnk_auth")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(json.loads(arguments.child))
        # A library that left a thread behind must not keep the report waiting.
        os._exit(0)
    else:
        json.dump(measure(quick=arguments.quick), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
