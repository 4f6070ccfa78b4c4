"""What a valid token costs for each request: the auth step alone, and a whole request over a mock transport.

The auth step is what the client runs between a request that is ready and its sending: the flow up to the request it
lets through (httpx, httpx2), or the call of the `AuthBase` (requests). Requests are made beforehand, alike for all.
Counted in instructions where `valgrind` is there; whole requests are timed as well, in interleaved rounds.

Run: python benchmarks/hot_path.py [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import instructions
import peers
from peers import Grant, Mock, Peer

URL = f"{peers.MOCKED}/data/accounts?instance_id=instance_1"
OURS_AND_LIMITS = ("hard-coded header", "trivial auth", "blnk_auth", peers.FOR_ALL)
PAIR = {"access_token": "a" * 43, "refresh_token": "r" * 43}


def grant() -> Grant:
    return Grant.of(PAIR, "https://as.example.com/token", expires_in=86_400)


def request_maker(client: str) -> Callable[[], Any]:
    """Makes requests as their client hands them to an auth step."""
    if client == "requests":
        return _requests_maker()
    if client == "aiohttp async":
        return _aiohttp_maker()
    package = peers.packaged(client.split(maxsplit=1)[0])
    headers = package.Client(verify=peers.shared_context(), trust_env=False).build_request("GET", URL).headers
    return functools.partial(package.Request, "GET", package.URL(URL), headers=headers)


def _requests_maker() -> Callable[[], Any]:
    import requests
    from requests.hooks import default_hooks

    template = requests.Session().prepare_request(requests.Request("GET", URL))

    def make() -> Any:
        made = template.copy()
        # A copy shares its hooks with the original; requests that a session prepares do not.
        made.hooks = default_hooks()
        return made

    return make


def _aiohttp_maker() -> Callable[[], Any]:
    import aiohttp
    import yarl

    return functools.partial(aiohttp.ClientRequest, "GET", yarl.URL(URL))


def step_case(peer: Peer | None, client: str) -> instructions.Case:
    """The auth step on so many requests; without a peer, only their making."""
    step = None if peer is None or peer.step is None else peer.step(grant())
    make = request_maker(client)

    async def run(times: int) -> None:
        made = [make() for _ in range(times)]
        if step is not None:
            for request in made:
                step(request)

    # In an event loop, because some auth classes ask for the current one.
    return lambda times: asyncio.run(run(times))


def whole_case(peer: Peer) -> instructions.Case:
    """So many whole requests, one after another."""
    if not peer.is_async:
        caller = peer.open(grant(), Mock())
        caller.request("GET", URL)

        def run(times: int) -> None:
            for _ in range(times):
                caller.request("GET", URL)

        return run

    async def arun(times: int) -> None:
        caller = peer.open(grant(), Mock())
        await caller.request("GET", URL)
        for _ in range(times):
            await caller.request("GET", URL)

    return lambda times: asyncio.run(arun(times))


def chosen(*, everybody: bool) -> list[Peer]:
    return [peer for peer in peers.PEERS if everybody or peer.name in OURS_AND_LIMITS]


def opened(*, everybody: bool) -> list[Peer]:
    """Those of which whole requests are measured."""
    return [peer for peer in chosen(everybody=everybody) if peer.open is not None]


def cases(part: str, *, everybody: bool) -> dict[str, instructions.Case]:
    """The cases of one part, by label; of the auth step, also the making of requests."""
    if part == "whole":
        return {peer.label: whole_case(peer) for peer in opened(everybody=everybody)}
    measured = [peer for peer in chosen(everybody=everybody) if peer.step is not None]
    made = {f"({client})": step_case(None, client) for client in {peer.client: None for peer in measured}}
    return {**made, **{peer.label: step_case(peer, peer.client) for peer in measured}}


def count_steps(*, everybody: bool) -> tuple[dict[str, float], dict[str, float]]:
    """Instructions of the auth step, by label; and what ours needs above the trivial class, see `above_trivial`."""
    counted = instructions.count(__file__, ["--part", "step", *(["--everybody"] if everybody else [])])
    empty = {label: value for label, value in counted.items() if label.startswith("(")}
    steps = {
        label: value - empty["(" + label.rpartition("(")[2]] for label, value in counted.items() if label not in empty
    }
    return steps, above_trivial(counted)


def above_trivial(counted: dict[str, float]) -> dict[str, float]:
    """What each of our classes needs above the trivial one, as a share of making and stepping through a request.

    `counted` includes the making, which takes many times as long as a trivial step and varies by more than that step
    has. It is the same for both classes, so that their difference does not contain it.
    """
    return {
        label: (value - counted[f"trivial auth {client}"]) / counted[f"hard-coded header {client}"]
        for label, value in counted.items()
        if label.startswith("blnk_auth")
        for client in ["(" + label.rpartition("(")[2]]
    }


def count_whole(*, everybody: bool) -> dict[str, float]:
    """Instructions of a whole request, by label."""
    return instructions.count(__file__, ["--part", "whole", *(["--everybody"] if everybody else [])])


def time_whole(*, everybody: bool, rounds: int, times: int) -> dict[str, dict[str, float]]:
    """Microseconds of a whole request, and the median of its ratio to the hard-coded header in the same round."""
    timed = {peer: _timed(whole_case(peer), times) for peer in opened(everybody=everybody)}
    spent: dict[Peer, list[float]] = {peer: [] for peer in timed}
    for _ in range(rounds + 1):
        for peer, run in timed.items():
            spent[peer].append(run())
    limits = {peer.client: spent[peer][1:] for peer in timed if peer.name == "hard-coded header"}
    return {
        peer.label: {
            "microseconds": statistics.median(took[1:]) * 1e6,
            "ratio": statistics.median(a / b for a, b in zip(took[1:], limits[peer.client], strict=True)),
        }
        for peer, took in spent.items()
    }


def _timed(case: instructions.Case, times: int) -> Any:
    def run() -> float:
        began_at = time.perf_counter()
        case(times)
        return (time.perf_counter() - began_at) / times

    return run


def ratios(figures: dict[str, float], over: str) -> dict[str, float]:
    """Each figure over that of `over` in the same client."""
    return {label: value / figures[f"{over} ({label.rpartition('(')[2]}"] for label, value in figures.items()}


def measure(*, quick: bool) -> dict[str, Any]:
    """All figures of this section."""
    found: dict[str, Any] = {
        "timed": time_whole(everybody=not quick, rounds=5 if quick else 15, times=50 if quick else 100)
    }
    if instructions.is_available():
        steps, above = count_steps(everybody=not quick)
        found["step"] = {"instructions": steps, "over_trivial": ratios(steps, "trivial auth"),
                         "over_hard_coded": ratios(steps, "hard-coded header"), "above_trivial": above}  # fmt: skip
        whole = count_whole(everybody=not quick)
        found["whole"] = {"instructions": whole, "over_hard_coded": ratios(whole, "hard-coded header")}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only the limits and blnk_auth")
    parser.add_argument("--part", choices=["step", "whole"], help=argparse.SUPPRESS)
    parser.add_argument("--everybody", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        few, many = (60, 660) if arguments.part == "step" else (2, 12)
        instructions.run_cases(cases(arguments.part, everybody=arguments.everybody), few=few, many=many)
        return
    json.dump(measure(quick=arguments.quick), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
