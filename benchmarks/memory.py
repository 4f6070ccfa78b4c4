"""What cached tokens cost in memory, beyond the tokens' own strings.

Per subject with a cached token: 1,000, 10,000 and 100,000 of them. Per renewal under way. And a soak: renewals one
after another, in which nothing may grow. Bytes as `tracemalloc` counts them, which no other process disturbs.

Run: python benchmarks/memory.py [--quick]
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import threading
import time
import tracemalloc
from typing import Any

import peers
import server

from blnk_auth import OAuthClient, Provider, Token, TokenSource
from blnk_auth._renewal.credential import credential_of
from blnk_auth.stores._token_store import Record, Version

ENDPOINT = "http://127.0.0.1:9/token"


class FullStore:
    """A store that has a token for everybody and keeps none: what is measured is the process, not the store.

    Args:
        lengths: How many characters the access token and the refresh token have.
    """

    def __init__(self, lengths: tuple[int, int] = (1212, 55)) -> None:
        self._lengths = lengths

    def load(self, key: str) -> Record | None:
        now = time.time()
        access_token, refresh_token = (key[-12:].rjust(length, "x") for length in self._lengths)
        token = Token(access_token, "Bearer", now + 3600, refresh_token, issued_at=now)
        # As text, so that nothing of one record is shared with another.
        return Record(json.loads(json.dumps({"schema": 1, "token": token.to_dict()})), key[-16:])

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        return "2"

    def delete(self, key: str) -> None:
        pass

    def lock(self, key: str, *, timeout: float) -> Any:
        return threading.Lock()

    def keys(self, prefix: str = "") -> Any:
        return iter(())


def client(store: Any = None) -> OAuthClient:
    provider = Provider(name="bench", token_endpoint=ENDPOINT, api_origins=("https://api.example.com",))
    return OAuthClient(provider, client_id="id", client_secret="secret", store=store)


def own_strings(source: TokenSource) -> int:
    """The bytes of the strings that any program with this token has in memory: the token, and its subject."""
    token = source.token()
    return sum(sys.getsizeof(text) for text in (token.access_token, token.refresh_token, source.subject))


def per_subject(number: int, lengths: tuple[int, int] = (1212, 55)) -> dict[str, float]:
    """Bytes for each subject with a cached token, and how long finding one takes."""
    registered, sources = client(FullStore(lengths)), []
    registered.for_subject("warm").token()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for index in range(number):
        source = registered.for_subject(f"subject-{index}")
        source.token()
        sources.append(source)
    gc.collect()
    whole = (tracemalloc.get_traced_memory()[0] - before) / number
    tracemalloc.stop()
    strings = sum(map(own_strings, sources[:100])) / min(number, 100)
    return {"bytes": whole, "own_strings": strings, "above": whole - strings, "lookup_us": _lookup(registered, number)}


def _lookup(registered: OAuthClient, number: int) -> float:
    def thousand() -> float:
        began_at = time.perf_counter()
        for index in range(1000):
            registered.for_subject(f"subject-{index * 7919 % number}")
        return (time.perf_counter() - began_at) * 1e3

    gc.disable()
    best = min(thousand() for _ in range(5))
    gc.enable()
    return best


def per_flight(number: int = 50) -> float:
    """Bytes for each renewal under way, its thread's stack left out."""
    gate, started = threading.Event(), threading.Semaphore(0)

    class Waiting(FullStore):
        def load(self, key: str) -> Record | None:
            started.release()
            gate.wait()
            return super().load(key)

    registered = client(Waiting())
    # The first renewal imports what all of them need.
    gate.set()
    registered.for_subject("warm").token()
    gate.clear()
    started.acquire()
    sources = [registered.for_subject(f"subject-{index}") for index in range(number)]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    flights = [credential_of(source).ready("requests") for source in sources]
    for _ in sources:
        started.acquire()
    bytes_each = (tracemalloc.get_traced_memory()[0] - before) / len(flights)
    tracemalloc.stop()
    gate.set()
    for source in sources:
        source.token()
    return bytes_each


def soak(seconds: float) -> dict[str, int]:
    """Renewals one after another against a server that rotates; the interpreter's own count of memory blocks in use."""
    with server.running() as remote:
        pair = remote.begin()
        source = peers.blnk_source(peers.Grant.of(pair, remote.token_endpoint, expires_in=3600))
        _renew_for(source, seconds / 3)
        before = _blocks()
        renewals = _renew_for(source, seconds)
        return {"renewals": renewals, "blocks_before": before, "blocks_grown": _blocks() - before}


def _renew_for(source: TokenSource, seconds: float) -> int:
    """Renew again and again, and return how often."""
    renewals, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        source.renew()
        renewals += 1
    return renewals


def _blocks() -> int:
    gc.collect()
    return sys.getallocatedblocks()


def measure(*, quick: bool) -> dict[str, Any]:
    """All figures of this section."""
    numbers = (1_000,) if quick else (1_000, 10_000, 100_000)
    return {
        "per_subject": {str(number): per_subject(number) for number in numbers},
        "used_once": {"subjects": numbers[-1], **per_subject(numbers[-1], (100, 100))},
        "per_flight_bytes": per_flight(),
        "soak": soak(3 if quick else 60),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1,000 subjects only, a short soak")
    json.dump(measure(quick=parser.parse_args().quick), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
