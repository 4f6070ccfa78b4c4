"""The six stores of a chaos run: how a process opens each, and how the run breaks and heals each.

`open_store` is used by the workers and by the audit after the run; the `Broken...` classes are used by `run`. A fault
lasts until `heal`, which may be called at any time and more than once.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import redis
from chaos.plan import LEASE, RESTORED
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from support.disks import Disk

from blnk_auth import EncryptedStore, FileStore, RedisStore, SQLiteStore, SQLStore
from blnk_auth.stores._token_store import TokenStore

MEGABYTES = 24
"""The size of the file system of each store of files."""


def open_store(name: str, settings: dict[str, str]) -> TokenStore:
    """The store of that name; `settings` are those of the run."""
    where = settings[name]
    if name == "sqlite":
        return SQLiteStore(where)
    if name == "file":
        return FileStore(where)
    if name == "sealed":
        return EncryptedStore(FileStore(where), keys=[settings["key"]])
    if name == "redis":
        return RedisStore(where, lease=LEASE)
    return SQLStore(where, lease=LEASE)


class Breakable:
    """What a store is made of, and what ends the fault that it has now."""

    _heal: Callable[[], None] | None = None

    def heal(self) -> None:
        heal, self._heal = self._heal, None
        if heal is not None:
            heal()


class Files(Breakable):
    """A small file system for a store of files, see `Disk`: not mounted, `full` and `read-only` do what `away` does."""

    def __init__(self, root: Path) -> None:
        self.disk = Disk(root, megabytes=MEGABYTES)
        self.directory = self.disk.directory
        self._database = self.directory / "tokens.db"

    def break_(self, kind: str) -> str:
        """Begin a fault; returns which one it is in the end."""
        self.heal()
        disk = self.disk
        if disk.is_mounted and kind == "full":
            disk.fill()
            self._heal = disk.empty
        elif kind == RESTORED:
            self._heal = self._restored()
        elif kind == "read-only" and self._database.exists() and disk.is_mounted and disk.bind():
            # Processes have the database open, and so it cannot be mounted read-only as a whole.
            self._heal = disk.unbind
        elif kind == "read-only" and disk.is_mounted and disk.remount("ro"):
            self._heal = lambda: self._until(lambda: disk.remount("rw"))
        elif kind == "busy":
            self._heal = self._busy()
        else:
            kind = "away"
            disk.exchange()
            self._heal = disk.exchange
        return kind

    def close(self) -> None:
        self.heal()
        self.disk.close()

    def _restored(self) -> Callable[[], None]:
        """Take a backup; returns what puts it back."""
        if self._database.exists():
            backup = sqlite3.connect(":memory:", check_same_thread=False)
            _copy_database(self._database, backup, to_backup=True)
            return lambda: _copy_database(self._database, backup, to_backup=False)
        taken: dict[Path, bytes] = {}
        for path in self.directory.glob("*.json"):
            with contextlib.suppress(FileNotFoundError):
                taken[path] = path.read_bytes()

        def put_back() -> None:
            for path in {*self.directory.glob("*.json"), *taken}:
                if path not in taken:
                    path.unlink(missing_ok=True)
                    continue
                # As a user would do it who is careful: whole files, private from their first moment.
                new = path.with_name("restored")
                new.touch(0o600)
                new.write_bytes(taken[path])
                new.replace(path)

        return put_back

    @staticmethod
    def _until(done: Callable[[], bool]) -> None:
        while not done():
            time.sleep(0.05)

    def _busy(self) -> Callable[[], None]:
        """Another program has the SQLite database locked for writing."""
        database = sqlite3.connect(self._database, timeout=5, isolation_level=None, check_same_thread=False)
        with contextlib.suppress(sqlite3.Error):
            database.execute("BEGIN IMMEDIATE").fetchall()

        def heal() -> None:
            with contextlib.suppress(sqlite3.Error):
                database.execute("ROLLBACK").fetchall()
            database.close()

        return heal


_COLUMNS = "store_key, version, data, saved_due_at, due_version"


def _copy_database(path: Path, backup: sqlite3.Connection, *, to_backup: bool) -> None:
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as database:
        source, target = (database, backup) if to_backup else (backup, database)
        source.backup(target)


class Database(Breakable):
    """One of the servers of `tests/support/server_processes.py`, and what can go wrong with it."""

    def __init__(self, server: Any) -> None:
        self.server = server

    def break_(self, kind: str) -> str:
        self.heal()
        if kind == "killed":
            self.server.kill()
            self._heal = self.server.start
        elif kind == "paused":
            self.server.pause()
            self._heal = self.server.resume
        elif kind == RESTORED:
            self._back_up()
            self._heal = self._restore
        else:
            self._set(kind, on=True)
            self._heal = lambda: self._set(kind, on=False)
        return kind

    def close(self) -> None:
        self.heal()
        self.server.__exit__()

    records = ""
    """The table of the records, where it is one."""

    def _set(self, kind: str, *, on: bool) -> None:
        raise NotImplementedError

    def _back_up(self) -> None:
        with _administrator(self.server.url) as connection:
            connection.execute(text(f"DROP TABLE IF EXISTS {self.records}_backup"))
            connection.execute(text(f"CREATE TABLE {self.records}_backup AS SELECT * FROM {self.records}"))

    def _restore(self) -> None:
        with _administrator(self.server.url) as connection:
            connection.execute(text("BEGIN"))
            connection.execute(text(f"DELETE FROM {self.records}"))
            # Not `*`: a generated column cannot be written.
            connection.execute(
                text(f"INSERT INTO {self.records} ({_COLUMNS}) SELECT {_COLUMNS} FROM {self.records}_backup")
            )
            connection.execute(text("COMMIT"))


class Redis(Database):
    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self._taken: dict[bytes, bytes] = {}

    def _back_up(self) -> None:
        with self.server.client() as client:
            self._taken = {key: client.dump(key) for key in _records_in(client)}

    def _restore(self) -> None:
        with self.server.client() as client, client.pipeline() as together:
            for key in _records_in(client):
                together.delete(key)
            for key, record in self._taken.items():
                if record is not None:
                    together.restore(key, 0, record)
            together.execute()

    def _set(self, kind: str, *, on: bool) -> None:
        with self.server.client() as client:
            if kind == "full":
                # Writes are refused, as they are when `maxmemory` is reached with `noeviction`.
                client.config_set("maxmemory", "1" if on else "0")
            elif on:
                # A replica refuses writes; this one's primary cannot be reached.
                client.execute_command("REPLICAOF", "127.0.0.1", "1")
            else:
                client.execute_command("REPLICAOF", "NO", "ONE")


def _records_in(client: redis.Redis) -> list[bytes]:
    return [key for key in client.scan_iter("{*") if not key.endswith(b":lock")]


class Postgres(Database):
    records = "blnk_auth_records"

    def _set(self, kind: str, *, on: bool) -> None:
        with _administrator(self.server.url) as connection:
            connection.execute(text(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if on else 'off'}"))
            connection.execute(text("SELECT pg_reload_conf()"))


class MariaDB(Database):
    records = "chaos.blnk_auth_records"

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        # Not root, who may write to a read-only server.
        with _administrator(server.url) as connection:
            connection.execute(text("CREATE DATABASE chaos"))
            connection.execute(text("CREATE USER chaos@'%' IDENTIFIED BY ''"))
            connection.execute(text("GRANT ALL ON chaos.* TO chaos@'%'"))
        self.url = server.url.replace("root@", "chaos@").replace("/mysql", "/chaos")

    def _set(self, kind: str, *, on: bool) -> None:
        with _administrator(self.server.url) as connection:
            connection.execute(text(f"SET GLOBAL read_only = {int(on)}"))


@contextlib.contextmanager
def _administrator(url: str) -> Generator[Any]:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


# --- what is left at the end ------------------------------------------------------------------------------------------


def locks_left(name: str, settings: dict[str, str]) -> list[str]:
    """What is left of the locks of a store: the names of lock files, or the owners of leases."""
    where = settings[name]
    if name in ("file", "sealed"):
        return [each.name for each in Path(where, ".locks").glob("*.lock")]
    if name == "sqlite":
        return [each.name for each in Path(f"{where}-locks").glob("*.lock")]
    if name == "redis":
        with redis.Redis.from_url(where) as client:
            owners = (client.get(key) for key in client.scan_iter("*:lock"))
            return [owner.decode() for owner in owners if owner is not None]
    with _administrator(where) as connection:
        return [str(owner) for (owner,) in connection.execute(text("SELECT owner FROM blnk_auth_leases"))]
