"""What the stores cost, each beside its own raw limit measured in the same run.

    python benchmarks/stores.py [redis] [postgresql] [mariadb] [--rounds N] [--records N]

Servers: BLNK_TEST_REDIS_URL, BLNK_TEST_POSTGRES_URL, BLNK_TEST_MARIADB_URL, for a user who may create databases. The
databases blnk_auth_small and blnk_auth_large, and in Redis the namespace `bench`, are created and removed.

* Redis: commands that the server counts for each verb, and times against the same commands outside of a script.
* SQL: each verb against its statement on the bare driver, committed; load times in a table of `--records` (1,000,000)
  against one of 1,000, any key of either at random.

Rounds are interleaved and the median of each is taken, since a machine's speed drifts; only ratios count.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from blnk_auth.stores.base import to_json
from blnk_auth.stores.redis import RedisStore
from blnk_auth.stores.sql import SQLStore
from blnk_auth.stores.sql_schema import records as table

DATA: dict[str, Any] = {
    "schema": 1,
    "token": {
        "access_token": "a" * 900,
        "refresh_token": "r" * 64,
        "token_type": "Bearer",
        "scope": "data:read",
        "expires_at": 1790000000.0,
        "issued_at": 1789996400.0,
    },
}
VERSION = "0123456789abcdef"
KEY = "blnk_cloud/live/client/subject/{:07}"

# Of psycopg and pymysql alike.
_SELECT = "SELECT version, data FROM blnk_auth_records WHERE store_key = %s"
_UPDATE = "UPDATE blnk_auth_records SET version = %s, data = %s WHERE store_key = %s"

Timed = Callable[[], object]


def seconds(work: Timed) -> float:
    """How long one call takes."""
    began_at = time.perf_counter()
    work()
    return time.perf_counter() - began_at


def compare(name: str, ours: Timed, raw: Timed, *, rounds: int) -> None:
    """Print the medians of both and their ratio, from interleaved calls after ten to warm up."""
    for _ in range(10):
        ours(), raw()
    pairs = [(seconds(ours), seconds(raw)) for _ in range(rounds)]
    a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"  {name:28}{a * 1e6:9.0f} us{b * 1e6:9.0f} us raw{a / b:8.2f}")


def url_in(name: str) -> str:
    """The URL in an environment variable."""
    url = os.environ.get(name)
    if url is None:
        sys.exit(f"{name}: give the URL of a server whose data may be lost")
    return url


# --- Redis -----------------------------------------------------------------------------------------------------------


def bench_redis(*, rounds: int) -> None:
    """Round trips and times of `RedisStore`."""
    url = url_in("BLNK_TEST_REDIS_URL")
    with (
        redis.Redis.from_url(url) as client,
        RedisStore(url, namespace="bench") as store,
    ):
        for name in client.scan_iter(match="{bench/*"):
            client.delete(name)
        print(f"Redis {client.info('server')['redis_version']}")
        state = {"version": store.save("alice", DATA, expected=None)}
        text = to_json(DATA)
        client.hset("{bench/raw}", mapping={"version": VERSION, "data": text})

        def save() -> None:
            state["version"] = store.save("alice", DATA, expected=state["version"])

        def lock() -> None:
            with store.lock("alice", timeout=1):
                pass

        lock(), store.load("alice")  # the server has not seen the scripts yet
        for verb, work, expected in (("load", lambda: store.load("alice"), 1), ("save", save, 1), ("lock", lock, 2)):
            trips = commands(client, work)
            print(f"  {verb:28}{trips:9} round trips")
            assert trips == expected
        compare(
            "load / HMGET",
            lambda: store.load("alice"),
            lambda: client.hmget("{bench/raw}", "version", "data"),
            rounds=rounds,
        )
        raw = {"version": VERSION, "data": text}
        compare("save / HSET", save, lambda: client.hset("{bench/raw}", mapping=raw), rounds=rounds)
        twice = lambda: (client.set("{bench/raw}:lock", "x", px=10_000), client.delete("{bench/raw}:lock"))  # noqa: E731
        compare("lock and unlock / SET, DEL", lock, twice, rounds=rounds)
        client.delete("{bench/raw}", "{bench/alice}")


def commands(client: Any, work: Timed) -> int:
    """How many scripts and other commands of its clients the server has run for `work`."""
    client.config_resetstat()
    work()
    figures = client.info("commandstats")
    ours = {"cmdstat_config|resetstat", "cmdstat_info"}
    # What a script calls is counted too, but costs no round trip.
    inside = {f"cmdstat_{name}" for name in ("hmget", "hget", "hset", "persist", "get", "set", "del")}
    return sum(figures[name]["calls"] for name in figures.keys() - ours - inside)


# --- SQL -------------------------------------------------------------------------------------------------------------


def bench_sql(url: str, *, rounds: int, records: int) -> None:
    """Times of `SQLStore`, and how they grow."""
    with store_in_new_database(url, "blnk_auth_small") as (small, engine):
        print(f"{engine.dialect.name}, driver {engine.dialect.driver}")
        against_the_driver(small, engine, rounds=rounds)
        fill(engine, 1000)
        with store_in_new_database(url, "blnk_auth_large") as (large, large_engine):
            fill(large_engine, records)
            growth(small, large, records=records, loads=rounds * 10)


@contextmanager
def store_in_new_database(url: str, name: str) -> Iterator[tuple[SQLStore, Engine]]:
    """A store with its tables in a database of its own, and an engine for the same, both dropped afterwards."""
    administrator = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    own_url = administrator.url.set(database=name)
    with administrator.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine = create_engine(own_url)
    try:
        with SQLStore(own_url) as store:
            store.create_schema()
            yield store, engine
    finally:
        engine.dispose()
        with administrator.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}")


def against_the_driver(store: SQLStore, engine: Engine, *, rounds: int) -> None:
    """Print each verb beside its statement on the bare driver."""
    state = {"version": store.save("alice", DATA, expected=None)}
    store.save("raw", DATA, expected=None)
    values = (VERSION, to_json(DATA), "raw")

    def save() -> None:
        state["version"] = store.save("alice", DATA, expected=state["version"])

    def lock() -> None:
        with store.lock("alice", timeout=1):
            pass

    with raw_connection(engine) as execute:
        compare("load / SELECT", lambda: store.load("alice"), lambda: execute(_SELECT, ("raw",)), rounds=rounds)
        compare("save / UPDATE, committed", save, lambda: execute(_UPDATE, values), rounds=rounds)
        twice = lambda: (execute(_UPDATE, values), execute(_UPDATE, values))  # noqa: E731
        compare("lock and unlock / 2 UPDATE", lock, twice, rounds=rounds)


@contextmanager
def raw_connection(engine: Engine) -> Iterator[Callable[[str, tuple[Any, ...]], Any]]:
    """Runs and commits one statement on the bare driver."""
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection

        def execute(statement: str, values: tuple[Any, ...]) -> Any:
            cursor = driver.cursor()
            cursor.execute(statement, values)
            rows = cursor.fetchall() if cursor.description else None
            cursor.close()
            driver.commit()
            return rows

        yield execute


def growth(small: SQLStore, large: SQLStore, *, records: int, loads: int) -> None:
    """Print the load times of both tables, any key of them at random, in turn."""
    chance = random.Random(1)
    times: list[tuple[float, float]] = []
    for number in range(loads + 1000):
        keys = KEY.format(chance.randrange(1000)), KEY.format(chance.randrange(records))
        pair = seconds(lambda key=keys[0]: small.load(key)), seconds(lambda key=keys[1]: large.load(key))
        if number >= 1000:
            times.append(pair)
    percentiles = [statistics.quantiles(column, n=100) for column in zip(*times, strict=True)]
    for name, at in (("load p50", 49), ("load p99", 98)):
        a, b = (column[at] for column in percentiles)
        print(f"  {name:12}1,000 records{a * 1e6:12.0f} us   {records:,} records{b * 1e6:9.0f} us{b / a:8.2f}")


def fill(engine: Engine, count: int) -> None:
    """Write that many records."""
    text = to_json(DATA)
    for first in range(0, count, 5000):
        numbers = range(first, min(first + 5000, count))
        rows = [{"store_key": KEY.format(number), "version": VERSION, "data": text} for number in numbers]
        with engine.begin() as connection:
            connection.execute(table.insert(), rows)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stores", nargs="*", default=["redis", "postgresql", "mariadb"])
    parser.add_argument("--rounds", type=int, default=1000, help="interleaved rounds of each pair (default 1000)")
    parser.add_argument("--records", type=int, default=1_000_000, help="size of the large table (default 1,000,000)")
    given = parser.parse_args()
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, {given.rounds} rounds"
    )
    for store in given.stores:
        if store == "redis":
            bench_redis(rounds=given.rounds)
        elif store in ("postgresql", "mariadb"):
            name = {"postgresql": "BLNK_TEST_POSTGRES_URL", "mariadb": "BLNK_TEST_MARIADB_URL"}[store]
            bench_sql(url_in(name), rounds=given.rounds, records=given.records)
        else:
            sys.exit(f"stores: {store!r} is none of redis, postgresql, mariadb")


if __name__ == "__main__":
    main()
