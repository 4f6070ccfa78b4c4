"""What the stores that need no server cost, each beside its own raw limit, in interleaved rounds.

* SQLite: the same statement on a connection of the standard library with the same settings.
* File, saving: the same bytes written to a temporary file, which is synchronized and renamed. The rename is synchronized
  too, because a power cut may bring the spent pair back otherwise; the figures without that are beside it.
* File, loading: opened and read.

The large store has 1,000,000 records and needs 2 GB of temporary space.

Run: python benchmarks/embedded.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blnk_auth import MemoryStore, SQLiteStore
from blnk_auth.stores import FileStore
from blnk_auth.stores._durable_file import sync_directory

DATA: dict[str, Any] = {
    "schema": 1,
    "token": {"access_token": "a" * 1200, "refresh_token": "r" * 43, "expires_at": 1790000000.0},
}
TEXT = json.dumps(DATA)


def seconds(work: Callable[[], object]) -> float:
    began_at = time.perf_counter()
    work()
    return time.perf_counter() - began_at


def compared(pairs: dict[str, tuple[Callable[[], object], Callable[[], object]]], rounds: int) -> dict[str, Any]:
    """Microseconds of our operation and of the raw one, and the ratio of their medians."""
    found = {}
    for name, (ours, raw) in pairs.items():
        took = [(seconds(ours), seconds(raw)) for _ in range(rounds)]
        a, b = (statistics.median(column) * 1e6 for column in zip(*took, strict=True))
        found[name] = {"us": a, "raw_us": b, "ratio": a / b}
    return found


def saver(store: Any, key: str, data: dict[str, Any] = DATA) -> Callable[[], None]:
    """Saves one record again and again, each time over the version before."""
    version = store.save(key, data, expected=None)

    def save() -> None:
        nonlocal version
        version = store.save(key, data, expected=version)

    return save


def lock(store: Any) -> Callable[[], None]:
    def hold() -> None:
        with store.lock("token/key", timeout=5):
            pass

    return hold


def raw_connection(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE record (key TEXT PRIMARY KEY, version TEXT, data TEXT)")
    connection.execute("INSERT INTO record VALUES ('k', '0', ?)", (TEXT,))
    return connection


def sqlite_pairs(directory: Path) -> dict[str, Any]:
    store, raw = SQLiteStore(directory / "ours.db"), raw_connection(directory / "raw.db")
    save = saver(store, "token/key")
    return {
        "SQLiteStore load": (
            lambda: store.load("token/key"),
            lambda: json.loads(raw.execute("SELECT data, version FROM record WHERE key = 'k'").fetchone()[0]),
        ),
        "SQLiteStore save": (
            save,
            lambda: raw.execute(
                "UPDATE record SET data = ?, version = ? WHERE key = 'k'", (json.dumps(DATA), random.randbytes(8).hex())
            ),
        ),
        "SQLiteStore lock": (lock(store), lambda: flock(directory / "raw.lock")),
    }


def file_pairs(directory: Path) -> dict[str, Any]:
    store, raw = FileStore(directory / "files"), directory / "raw.json"
    save = saver(store, "token/key")
    replace(raw)
    sync = lambda: (replace(raw), sync_directory(directory))  # noqa: E731
    return {
        "FileStore load": (lambda: store.load("token/key"), lambda: json.loads(raw.read_bytes())),
        "FileStore save": (save, sync),
        "FileStore save, rename not synchronized": (save, lambda: replace(raw)),
        "FileStore lock": (lock(store), lambda: flock(directory / "raw.lock")),
    }


def memory_pairs() -> dict[str, Any]:
    store, raw = MemoryStore(), {"token/key": TEXT}
    save = saver(store, "token/key")
    return {
        "MemoryStore load": (lambda: store.load("token/key"), lambda: json.loads(raw["token/key"])),
        "MemoryStore save": (save, lambda: raw.__setitem__("token/key", json.dumps(DATA))),
    }


def replace(path: Path) -> None:
    """The replacement of a file by one that is on disk, with as little code as possible."""
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(json.dumps(DATA).encode())
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


def flock(path: Path) -> None:
    import fcntl

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def growth(directory: Path, records: int, loads: int) -> dict[str, Any]:
    """Load times of SQLite at 1,000 records and at many, any key of them at random, in turn."""
    small, large = (SQLiteStore(directory / f"{count}.db") for count in (1000, records))
    for store, count in ((small, 1000), (large, records)):
        first = store.save("token/0", DATA, expected=None)
        assert first
        _fill(directory / f"{count}.db", count)
        assert store.load(f"token/{count - 1}") is not None
    took = [(one_load(small, 1000), one_load(large, records)) for _ in range(loads)]
    cut = [statistics.quantiles(column, n=100) for column in zip(*took, strict=True)]
    return {"records": records, "p50_ratio": cut[1][49] / cut[0][49], "p99_ratio": cut[1][98] / cut[0][98]}


def one_load(store: SQLiteStore, count: int) -> float:
    key = f"token/{random.randrange(count)}"
    return seconds(lambda: store.load(key))


def _fill(path: Path, count: int) -> None:
    """Copies of the first record under other keys, for any columns of the table."""
    with sqlite3.connect(path) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our own table's name
            at = next((i for row in rows for i, value in enumerate(row) if value == "token/0"), None)
            if at is None:
                continue
            marks = ", ".join("?" * len(columns))
            copies = ((*rows[0][:at], f"token/{n}", *rows[0][at + 1 :]) for n in range(1, count))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", copies)  # noqa: S608 - as above


def measure(*, quick: bool) -> dict[str, Any]:
    """All figures of this section."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        pairs = {**memory_pairs(), **sqlite_pairs(directory), **file_pairs(directory)}
        return {
            "operations": compared(pairs, 100 if quick else 500),
            "growth": growth(directory, 10_000 if quick else 1_000_000, 500 if quick else 3000),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, 10,000 records")
    json.dump(measure(quick=parser.parse_args().quick), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
