"""What the stores on servers cost, each beside its own raw limit, in interleaved rounds.

Servers: BLNK_TEST_REDIS_URL, BLNK_TEST_POSTGRES_URL, BLNK_TEST_MARIADB_URL, for a user who may create databases; one
that is not named is left out. The databases blnk_auth_small and blnk_auth_large, and in Redis the namespace `bench`, are
created and removed.

* Redis: the commands that the server counts for each verb, and times against the same commands outside of a script.
* SQL: each verb against its statement on the bare driver, committed; and load times in a table of 1,000,000 records
  against one of 1,000, any key of either at random.

Run: python benchmarks/stores.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from embedded import compared, saver, seconds
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from blnk_auth.stores import RedisStore, SQLStore
from blnk_auth.stores._sql_schema import records as table
from blnk_auth.stores._token_store import to_json

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


# --- Redis -----------------------------------------------------------------------------------------------------------


def measure_redis(url: str, *, rounds: int) -> dict[str, Any]:
    """Round trips and times of `RedisStore`."""
    with redis.Redis.from_url(url) as client, RedisStore(url, namespace="bench") as store:
        for name in client.scan_iter(match="{bench/*"):
            client.delete(name)
        client.hset("{bench/raw}", mapping={"version": VERSION, "data": to_json(DATA)})
        verbs = {"load": lambda: store.load("alice"), "save": saver(store, "alice", DATA), "lock": locker(store)}
        for work in verbs.values():
            work()  # the server has not seen the scripts yet
        found = {
            "server": f"Redis {client.info('server')['redis_version']}",
            "round_trips": {verb: commands(client, work) for verb, work in verbs.items()},
            "operations": compared(_beside_redis(client, verbs), rounds),
        }
        client.delete("{bench/raw}", "{bench/alice}")
        return found


def _beside_redis(client: Any, verbs: dict[str, Timed]) -> dict[str, tuple[Timed, Timed]]:
    raw = {"version": VERSION, "data": to_json(DATA)}
    return {
        "load / HMGET": (verbs["load"], lambda: client.hmget("{bench/raw}", "version", "data")),
        "save / HSET": (verbs["save"], lambda: client.hset("{bench/raw}", mapping=raw)),
        "lock and unlock / SET, DEL": (
            verbs["lock"],
            lambda: (client.set("{bench/raw}:lock", "x", px=10_000), client.delete("{bench/raw}:lock")),
        ),
    }


def locker(store: Any) -> Timed:
    """Locks Alice's record and unlocks it."""

    def lock() -> None:
        with store.lock("alice", timeout=1):
            pass

    return lock


def commands(client: Any, work: Timed) -> int:
    """How many scripts and other commands of its clients the server has run for `work`."""
    client.config_resetstat()
    work()
    figures = client.info("commandstats")
    ours = {"cmdstat_config|resetstat", "cmdstat_info"}
    # What a script calls is counted too, but costs no round trip.
    names = ("hmget", "hget", "hset", "persist", "get", "set", "del", "zadd", "zrem")
    inside = {f"cmdstat_{name}" for name in names}
    return sum(figures[name]["calls"] for name in figures.keys() - ours - inside)


# --- SQL -------------------------------------------------------------------------------------------------------------


def measure_sql(url: str, *, rounds: int, number: int) -> dict[str, Any]:
    """Times of `SQLStore`, and how they grow to a table of `number` records."""
    with store_in_new_database(url, "blnk_auth_small") as (small, engine):
        found = {"server": engine.dialect.name, "operations": beside_the_driver(small, engine, rounds=rounds)}
        fill(engine, 1000)
        with store_in_new_database(url, "blnk_auth_large") as (large, large_engine):
            fill(large_engine, number)
            found["growth"] = growth(small, large, number=number, loads=rounds * 10)
        return found


@contextmanager
def store_in_new_database(url: str, name: str) -> Iterator[tuple[SQLStore, Engine]]:
    """A store with its tables in a database of its own, and a SQLAlchemy engine for it, both dropped afterwards."""
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


def beside_the_driver(store: SQLStore, engine: Engine, *, rounds: int) -> dict[str, Any]:
    """Each verb beside its statement on the bare driver."""
    store.save("raw", DATA, expected=None)
    values = (VERSION, to_json(DATA), "raw")
    with raw_connection(engine) as execute:
        pairs: dict[str, tuple[Timed, Timed]] = {
            "save / UPDATE, committed": (saver(store, "alice", DATA), lambda: execute(_UPDATE, values)),
            "load / SELECT": (lambda: store.load("alice"), lambda: execute(_SELECT, ("raw",))),
            "lock and unlock / 2 UPDATE": (
                locker(store),
                lambda: (execute(_UPDATE, values), execute(_UPDATE, values)),
            ),
        }
        return compared(pairs, rounds)


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


def growth(small: SQLStore, large: SQLStore, *, number: int, loads: int) -> dict[str, float]:
    """How load times of the large table compare with those of the small, any key of them at random, in turn."""
    chance = random.Random(1)
    times: list[tuple[float, float]] = []
    for _ in range(loads + 1000):
        keys = KEY.format(chance.randrange(1000)), KEY.format(chance.randrange(number))
        times.append((seconds(lambda key=keys[0]: small.load(key)), seconds(lambda key=keys[1]: large.load(key))))
    few, many = (statistics.quantiles(column, n=100) for column in zip(*times[1000:], strict=True))
    return {"records": number, "p50_ratio": many[49] / few[49], "p99_ratio": many[98] / few[98]}


def fill(engine: Engine, count: int) -> None:
    """Write that many records."""
    text = to_json(DATA)
    for first in range(0, count, 5000):
        numbers = range(first, min(first + 5000, count))
        rows = [{"store_key": KEY.format(number), "version": VERSION, "data": text} for number in numbers]
        with engine.begin() as connection:
            connection.execute(table.insert(), rows)


def measure(*, quick: bool) -> dict[str, Any]:
    """All figures of this section, for the servers that the environment names."""
    rounds, number = (200, 10_000) if quick else (1000, 1_000_000)
    found: dict[str, Any] = {}
    if url := os.environ.get("BLNK_TEST_REDIS_URL"):
        found["redis"] = measure_redis(url, rounds=rounds)
    for name in ("postgres", "mariadb"):
        if url := os.environ.get(f"BLNK_TEST_{name.upper()}_URL"):
            found[name] = measure_sql(url, rounds=rounds, number=number)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, 10,000 records")
    json.dump(measure(quick=parser.parse_args().quick), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
