"""Many grants in one process: renewals a second, and what each store adds.

* Renewals of many grants by 16 threads, beside one pooled `httpx.Client` that sends the same requests from as many
  threads, in turn. The token endpoint answers immediately, in a process of its own. Over TLS too.
* The same with each store, beside the pooled client and the store's own durable save.
* Finding due grants, and keeping them alive: see fleet_due.py.

Renewals are given as a rate, which a busy machine changes, and as CPU time of this process, which it hardly does.
The servers are named as for stores.py, and the database blnk_auth_fleet is created and removed.

Run: python benchmarks/fleet.py [--quick]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import redis
import token_server
from fleet_due import due, empty_redis, memory, rates
from stores import store_in_new_database

from blnk_auth import MemoryStore, OAuthClient, Provider, SQLiteStore, Token, TokenSource
from blnk_auth.stores import FileStore, RedisStore

THREADS = 16
FORM = {"grant_type": "refresh_token", "scope": "data:read"}
CLIENT = ("bench-client", "bench-secret")
DATA: dict[str, Any] = {
    "schema": 1,
    "token": {
        "access_token": "a" * 100,
        "refresh_token": "r" * 100,
        "token_type": "Bearer",
        "expires_at": 1790000000.0,
        "issued_at": 1789996400.0,
    },
}

Work = Callable[[int], object]
"""Does one operation; it is given the number of the grant."""


def took(work: Work, each: range) -> tuple[float, float]:
    """Seconds, and seconds of CPU time, that each operation takes when 16 threads share them."""
    numbers, failures, count = iter(each), list[BaseException](), len(each)
    start = threading.Barrier(THREADS + 1)

    def run() -> None:
        start.wait()
        try:
            for number in numbers:
                work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    start.wait()
    began_at, used = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return (time.perf_counter() - began_at) / count, (time.process_time() - used) / count


def compared(ours: Work, bare: Work, *, grants: int, rounds: int) -> dict[str, float]:
    """Rates and CPU times of both, measured in turn, and the ratios of their medians."""
    numbers = range(grants)
    took(bare, numbers)
    took(ours, numbers)
    measured = [(*took(ours, numbers), *took(bare, numbers)) for _ in range(rounds)]
    wall, cpu, bare_wall, bare_cpu = (statistics.median(column) for column in zip(*measured, strict=True))
    return {
        "renewals_a_second": 1 / wall,
        "bare_a_second": 1 / bare_wall,
        "of_bare": bare_wall / wall,
        "cpu_ms": cpu * 1e3,
        "bare_cpu_ms": bare_cpu * 1e3,
        "cpu_of_bare": bare_cpu / cpu,
    }


class Posts:
    """The same requests from one pooled client, which does nothing but parse the answer."""

    def __init__(self, endpoint: str, verify: Any) -> None:
        limits = httpx.Limits(max_connections=THREADS, max_keepalive_connections=THREADS)
        self._client = httpx.Client(verify=verify, limits=limits, trust_env=False, auth=CLIENT)
        self._endpoint = endpoint
        self._name, self._serial = secrets.token_hex(8), itertools.count()

    def __call__(self, number: int) -> None:
        form = {**FORM, "refresh_token": f"bare-{self._name}-{next(self._serial)}-" + "r" * 70}
        self._client.post(self._endpoint, data=form).json()["access_token"]

    def close(self) -> None:
        self._client.close()


class Saves:
    """One durable save of each grant, under a key of its own."""

    def __init__(self, store: Any, grants: int) -> None:
        self._store = store
        self._versions = [store.save(f"raw/{number}", DATA, expected=None) for number in range(grants)]

    def __call__(self, number: int) -> None:
        self._versions[number] = self._store.save(f"raw/{number}", DATA, expected=self._versions[number])


def sources(endpoint: str, store: Any, verify: Any, grants: int) -> list[TokenSource]:
    """So many grants, each with a token that can be renewed."""
    provider = Provider(name="bench", token_endpoint=endpoint, api_origins=("https://api.example.com",))
    client = OAuthClient(provider, client_id=CLIENT[0], client_secret=CLIENT[1], store=store, verify=verify)
    made = [client.for_subject(f"subject-{number}") for number in range(grants)]
    for source in made:
        source.adopt(Token("a" * 100, "Bearer", time.time() + 3600, f"first-{secrets.token_hex(8)}-" + "r" * 78))
    return made


def renewals(endpoint: str, store: Any, verify: Any, *, grants: int, rounds: int, saves: bool = True) -> dict[str, Any]:
    """Renewals of so many grants in this store, beside bare requests, each with a save of the same store."""
    held = sources(endpoint, store, verify, grants)
    posts = Posts(endpoint, verify)
    save = Saves(store, grants) if saves else None

    def bare(number: int) -> None:
        posts(number)
        if save is not None:
            save(number)

    try:
        return compared(lambda number: held[number].renew(), bare, grants=grants, rounds=rounds)
    finally:
        posts.close()


@contextmanager
def stores(directory: Path) -> Generator[dict[str, Any]]:
    """Every store that this machine has, by name; those on servers need a URL in the environment."""
    with ExitStack() as stack:
        found: dict[str, Any] = {
            "SQLiteStore": SQLiteStore(directory / "fleet.db"),
            "FileStore": FileStore(directory / "fleet"),
        }
        for name in ("postgres", "mariadb"):
            if url := os.environ.get(f"BLNK_TEST_{name.upper()}_URL"):
                store, engine = stack.enter_context(store_in_new_database(url, "blnk_auth_fleet"))
                found[f"SQLStore ({engine.dialect.name})"] = store
        if url := os.environ.get("BLNK_TEST_REDIS_URL"):
            found["RedisStore"] = stack.enter_context(RedisStore(url, namespace="bench"))
            connection = stack.enter_context(redis.Redis.from_url(url))
            empty_redis(connection)
            stack.callback(empty_redis, connection)
        yield found


def measure(*, quick: bool) -> dict[str, Any]:
    """All figures of this section."""
    size = {"grants": 200, "rounds": 5} if quick else {"grants": 500, "rounds": 9}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with token_server.running(directory) as (plain, secure, authority):
            found = {
                "MemoryStore": renewals(plain, MemoryStore(), True, saves=False, **size),
                "MemoryStore, TLS": renewals(secure, MemoryStore(), authority, saves=False, **size),
            }
            if not quick:
                with stores(directory) as each:
                    found |= {label: renewals(plain, store, True, **size) for label, store in each.items()}
            found = {"renewals": found, "due": due(directory, plain, quick=quick)}
            found |= {"rates": rates(directory, plain, quick=quick), "memory": memory(directory, plain)}
            reused = httpx.get(plain, trust_env=False).text
    if reused != "0":
        raise RuntimeError(f"{reused} refresh tokens were used twice")
    return {"threads": THREADS, **size, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the memory store only, fewer grants")
    json.dump(measure(quick=parser.parse_args().quick), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
