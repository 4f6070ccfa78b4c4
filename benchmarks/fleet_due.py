"""Due grants of a large store: finding them, renewing them at the rate that was asked for, and the memory for it.

Used by fleet.py. What is measured:

* The first hundred due grants of 1,000, of 100,000 and of 1,000,000, of which one in two hundred is due, on each store
  that has an index. The records are written in bulk, past the store.
* `keepalive` over the largest SQLite file, at several rates and as fast as it can, with its default of four workers:
  how many renewals ended in each second, and when the first one did. The same over a whole file of 100,000 grants, of
  which one in twenty is due.
* How much the process grows while it keeps alive what the index finds, and while it reads every grant.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import multiprocessing
import os
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import redis
from stores import store_in_new_database

from blnk_auth import MemoryStore, OAuthClient, Provider, SQLiteStore
from blnk_auth.stores import RedisStore
from blnk_auth.stores._sql_schema import records as table
from blnk_auth.stores._token_store import to_json

NOW = 1_790_000_000.0
ONE_IN, OFTEN = 200, 20
"""One of so many grants ends within the horizon: in the stores for the due query, and in one of their own."""

HORIZON = 1800.0
"""Seconds. Shorter than the new tokens live, so that no renewed grant is due again."""

MOST_LISTED = 100
BATCH = 5000
"""How many records are written at a time."""

VERSION = "0123456789abcdef"
LARGEST = "largest.db"
FOREVER = 1e9
NAMESPACE = "bench"


def client(endpoint: str, store: Any, times: list[float] | None = None) -> OAuthClient:
    """A client for which it is always `NOW`. The moments at which its renewals ended are added to `times`."""

    def on_event(event: Any) -> None:
        if event.name == "renewed" and times is not None:
            times.append(time.perf_counter())

    provider = Provider(name="bench", token_endpoint=endpoint, api_origins=("https://api.example.com",))
    return OAuthClient(
        provider, client_id="id", client_secret="secret", store=store, on_event=on_event, clock=lambda: NOW
    )


def prefix_of(endpoint: str) -> str:
    """What the keys of the client's grants begin with."""
    return client(endpoint, MemoryStore()).for_subject("x").store_key.removesuffix("x")


Grant = tuple[str, float, str]
"""The key of a grant, when it is due, and its record."""


def grants(prefix: str, numbers: range, one_in: int = ONE_IN) -> Iterator[Grant]:
    """These grants. The due ones are spread over all keys."""
    return (_grant(prefix, number, one_in) for number in numbers)


def _grant(prefix: str, number: int, one_in: int) -> Grant:
    due_at = NOW + 60 + number % 1000 if number % one_in == 0 else NOW + HORIZON + 60 + number
    token = {
        "access_token": "a" * 100,
        "refresh_token": f"stored-{number:07}-".ljust(100, "r"),
        "token_type": "Bearer",
        "expires_at": NOW - 60,
        "issued_at": NOW - 86_400,
        "refresh_expires_at": due_at,
    }
    return f"{prefix}{number * 7919 % 1_000_003:07}", due_at, to_json({"schema": 1, "token": token, "due_at": due_at})


# --- filling stores --------------------------------------------------------------------------------------------------


def fill_sqlite(path: Path, some: Iterable[Grant]) -> None:
    rows = ((key, VERSION, text, due_at, VERSION) for key, due_at, text in some)
    with sqlite3.connect(path) as connection:
        connection.executemany(
            "INSERT INTO records (key, version, data, due_at, due_version) VALUES (?, ?, ?, ?, ?)", rows
        )
    connection.close()


def fill_sql(engine: Any, some: Iterable[Grant]) -> None:
    rows = [
        {"store_key": key, "version": VERSION, "data": text, "saved_due_at": due_at, "due_version": VERSION}
        for key, due_at, text in some
    ]
    with engine.begin() as connection:
        connection.execute(table.insert(), rows)


def fill_redis(connection: Any, some: Iterable[Grant]) -> None:
    with connection.pipeline(transaction=False) as pipeline:
        for key, due_at, text in some:
            pipeline.hset(f"{{{NAMESPACE}/{key}}}", mapping={"version": VERSION, "data": text})
            pipeline.zadd(f"{{{NAMESPACE}/}}:due", {f"{key}\0{VERSION}": due_at})
        pipeline.execute()


def empty_redis(connection: Any) -> None:
    while names := list(itertools.islice(connection.scan_iter(match=f"{{{NAMESPACE}/*", count=10_000), 10_000)):
        connection.unlink(*names)


# --- the due query ---------------------------------------------------------------------------------------------------


def due_queries(
    store: Any, prefix: str, fill: Callable[[Iterable[Grant]], None], sizes: tuple[int, ...]
) -> dict[str, dict[str, float]]:
    """Milliseconds for the first hundred due grants, at each size of the store."""
    found, filled = {}, 0
    for size in sizes:
        for first in range(filled, size, BATCH):
            fill(grants(prefix, range(first, min(first + BATCH, size))))
        filled = size
        times = []
        for _ in range(30):
            began_at = time.perf_counter()
            entries = store.due(prefix, NOW + HORIZON, limit=MOST_LISTED)
            times.append(time.perf_counter() - began_at)
            if len(entries) != min(MOST_LISTED, size // ONE_IN) or not all(entry.is_exact for entry in entries):
                raise RuntimeError(f"{store!r} found {len(entries)} due grants among {size}")
        found[str(size)] = {"ms": statistics.median(times) * 1e3, "worst_ms": max(times) * 1e3}
    return found


def due(directory: Path, endpoint: str, *, quick: bool) -> dict[str, dict[str, dict[str, float]]]:
    """The due query of every store that has an index, and that this machine has. Leaves the file `LARGEST`."""
    sizes = (1000, 20_000) if quick else (1000, 100_000, 1_000_000)
    path, prefix = directory / LARGEST, prefix_of(endpoint)
    with SQLiteStore(path) as store:
        store.save("first", {"schema": 1, "due_at": None}, expected=None)
        found = {"SQLiteStore": due_queries(store, prefix, functools.partial(fill_sqlite, path), sizes)}
    for name in () if quick else ("postgres", "mariadb"):
        if url := os.environ.get(f"BLNK_TEST_{name.upper()}_URL"):
            with store_in_new_database(url, "blnk_auth_fleet") as (sql_store, engine):
                label = f"SQLStore ({engine.dialect.name})"
                found[label] = due_queries(sql_store, prefix, functools.partial(fill_sql, engine), sizes)
    if (url := os.environ.get("BLNK_TEST_REDIS_URL")) and not quick:
        with RedisStore(url, namespace=NAMESPACE) as redis_store, redis.Redis.from_url(url) as connection:
            empty_redis(connection)
            found["RedisStore"] = due_queries(redis_store, prefix, functools.partial(fill_redis, connection), sizes)
            empty_redis(connection)
    return found


# --- keepalive -------------------------------------------------------------------------------------------------------


def rates(directory: Path, endpoint: str, *, quick: bool) -> list[dict[str, float]]:
    """What each rate that is asked for makes of a part of the due grants, another one each time; and of a whole store."""
    parts = 4 if quick else 16
    asked = (50.0, FOREVER) if quick else (20.0, 100.0, 200.0, FOREVER)
    found = [_rate(directory / LARGEST, endpoint, rate, (part, parts)) for part, rate in enumerate(asked)]
    whole, size = directory / "whole.db", 2000 if quick else 100_000
    with SQLiteStore(whole) as store:
        store.save("first", {"schema": 1, "due_at": None}, expected=None)
    # Other refresh tokens than in the other file: the server finds those that are used twice.
    fill_sqlite(whole, grants(prefix_of(endpoint), range(2_000_000, 2_000_000 + size), OFTEN))
    return [*found, {"grants": size, **_rate(whole, endpoint, 200.0, (0, 1))}]


def _rate(path: Path, endpoint: str, rate: float, shard: tuple[int, int]) -> dict[str, float]:
    times: list[float] = []
    with SQLiteStore(path) as store:
        began_at = time.perf_counter()
        report = client(endpoint, store, times).keepalive(HORIZON, rate=rate, shard=shard)
    if report.renewed != report.due or report.failed or len(times) != report.due:
        raise RuntimeError(f"keepalive: {report}")
    times.sort()
    return {
        **({} if rate == FOREVER else {"asked": rate}),
        "renewed": report.renewed,
        "a_second": (len(times) - 1) / (times[-1] - times[0]),
        "most_in_a_second": max(bisect.bisect_left(times, each + 1) - i for i, each in enumerate(times)),
        "first_after": times[0] - began_at,
    }


def memory(directory: Path, endpoint: str) -> dict[str, dict[str, float]]:
    """How far the resident memory of a process rises above that before its run, by the largest of many samples."""
    if not Path("/proc/self/statm").exists():
        return {}
    context = multiprocessing.get_context("spawn")
    found = {}
    for label, settings in (
        ("what the index finds", {}),
        ("every grant is read", {"idle_lifetime": FOREVER}),
    ):
        ours, theirs = context.Pipe()
        process = context.Process(target=_grow, args=(directory / LARGEST, endpoint, settings, theirs))
        process.start()
        theirs.close()
        try:
            found[label] = ours.recv()
        finally:
            process.join()
    return found


def _grow(path: Path, endpoint: str, settings: dict[str, Any], pipe: Any) -> None:
    with SQLiteStore(path) as store:
        ours = client(endpoint, store)
        # What the first renewals import and keep is not counted.
        ours.keepalive(HORIZON, rate=FOREVER, shard=(63, 64), **settings)
        before, samples = _resident(), []
        report = ours.keepalive(HORIZON, rate=FOREVER, on_progress=lambda *_: samples.append(_resident()), **settings)
        pipe.send({
            "grants": report.grants,
            "looked_at": report.looked_at,
            "renewed": report.renewed,
            "failed": len(report.failed),
            "mb": (max(samples) - before) / 1e6,
        })  # fmt: skip


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
