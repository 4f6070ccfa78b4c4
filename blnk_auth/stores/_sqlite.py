"""A store in one SQLite file: survives restarts, and is shared by the threads and processes of one machine.

What it promises beyond `base`:

* A `save` that returned is on the disk (write-ahead log, synchronous=FULL), also after a power cut.
* The file has mode 0600 from its first moment, the directories made for it 0700; an older, laxer file is tightened.
* A file that is not ours is refused and left as it was.
* One unreadable record does not keep the others from being used. A damaged database is refused: all of it is checked
  on opening if it is small, each page of it when it is read, and all of it by `check`.
* No database connection crosses a fork, see `_before_fork`.

The lock is an operating system lock on a file in the directory `<path>-locks`, not a database transaction: the database
stays readable and writable for everyone during a renewal.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import sqlite3
import stat
import threading
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from weakref import WeakSet

from ..errors import Conflict, StoreError
from ._check import Unreadable
from ._durable_file import sync_directory
from ._private_file import create_file, make_directory, tighten
from ._process_lock import process_lock
from ._token_store import Record, Version, from_json, to_json

APPLICATION_ID = 0x626C6E6B
"""Marks the file as ours in SQLite's header: "blnk"."""

MIGRATIONS: tuple[str, ...] = (
    # Not WITHOUT ROWID: rows of a kilobyte and more would fill that B-tree's inner pages, and spill over; measured, a
    # million records take 4.4 GB instead of 2.0, and a load takes three times as long.
    "CREATE TABLE records (key TEXT PRIMARY KEY NOT NULL, version TEXT NOT NULL, data TEXT NOT NULL)",
)
"""The statement that leads from each schema version to the next; SQLite's user_version counts how many were applied.
Append only: files in the field have the earlier ones behind them."""

_BUSY_SECONDS = 30.0
"""How long another process may hold the database for writing before we give up; its writes take milliseconds."""

_CHECKED_ON_OPENING = 8 * 1024 * 1024
"""Bytes up to which the whole database is checked when a store is made: some 8,000 records in 10 to 20 ms. A million
would take seconds, at each start of each process."""

_FIRST_KEYS = "SELECT key FROM records WHERE key >= ? ORDER BY key LIMIT 500"
_NEXT_KEYS = "SELECT key FROM records WHERE key > ? ORDER BY key LIMIT 500"

_FIRST_RECORDS = _FIRST_KEYS.replace("key", "key, CAST(data AS BLOB)", 1)
_NEXT_RECORDS = _NEXT_KEYS.replace("key", "key, CAST(data AS BLOB)", 1)

_MOVE_ASIDE = (
    "restore it from a backup, or move the file aside and sign in again (`sqlite3 <file> .recover` may save records)"
)
_MAKE_WRITABLE = "make the file and its directory writable for this user, or choose another path"
_REMEDIES = {
    sqlite3.SQLITE_BUSY: f"another process had it locked for {_BUSY_SECONDS:g} s; find it with lsof or fuser, end it",
    sqlite3.SQLITE_FULL: "free some disk space and try again",
    sqlite3.SQLITE_READONLY: _MAKE_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: _MAKE_WRITABLE,
    sqlite3.SQLITE_PERM: _MAKE_WRITABLE,
    sqlite3.SQLITE_IOERR: "check the disk and its free space, then try again",
    sqlite3.SQLITE_NOTADB: "choose another path, or move the file aside",
    sqlite3.SQLITE_CORRUPT: _MOVE_ASIDE,
}


@dataclass(frozen=True, slots=True)
class _Opened:
    connection: sqlite3.Connection
    pid: int
    file: tuple[int, int] | None


class SQLiteStore:
    """Keeps tokens in the SQLite file `path`, which is created if missing. Safe to use from many threads and processes.

    `path` may begin with `~`. Raises `StoreError` if the file cannot be read and written, is a symlink, or is not ours.
    A pickle carries the path and no records; a copy is the same store.

        with SQLiteStore("~/.local/state/acme/tokens.db") as store:
            client = OAuthClient(BlnkCloud(), client_id="id", store=store)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._guard = threading.RLock()
        self._opened: _Opened | None = None
        self._path = _absolute(path)
        self._locks = self._beside("-locks")
        with _registry:
            _stores.add(self)
        with self._connected("opened") as connection:
            if self._path.stat().st_size <= _CHECKED_ON_OPENING:
                self._check_pages(connection)
            # Only to find out now what is wrong with it. Closed again, so that a store made before a pre-forking
            # server forks, as uWSGI does without running our fork hooks, carries nothing into its workers.
            self._disconnect()

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self._path)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self._path),)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. A later use opens it again: a renewal under way at this moment must still be saved."""
        with self._guard:
            self._disconnect()

    def load(self, key: str) -> Record | None:
        """The record under `key`, or None. Raises `StoreError` if it cannot be read."""
        with self._connected("read") as connection:
            # As bytes, because the error SQLite raises for text that is no UTF-8 would quote the secrets.
            query = "SELECT version, CAST(data AS BLOB) FROM records WHERE key = ?"
            rows = connection.execute(query, (key,)).fetchall()
        if not rows:
            return None
        [(version, text)] = rows
        data = from_json(text)
        if data is None:
            raise self._unreadable(key)
        return Record(data=data, version=version)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Durably replace the version `expected` (None: the key must not exist yet) and return the new version.

        Raises `Conflict` if the stored version is another, `StoreError` if it cannot be written.
        """
        text, version = to_json(data), secrets.token_hex(8)
        with self._connected("written") as connection, _transaction(connection):
            if expected is None:
                statement = "INSERT INTO records (version, data, key) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
                written = connection.execute(statement, (version, text, key))
            else:
                statement = "UPDATE records SET version = ?, data = ? WHERE key = ? AND version = ?"
                written = connection.execute(statement, (version, text, key, expected))
        if written.rowcount == 0:
            raise Conflict(f"key {key!r} was written by somebody else meanwhile", remedy="load it again, then decide")
        return version

    def delete(self, key: str) -> None:
        """Remove `key`; no error if there is none."""
        with self._connected("written") as connection, _transaction(connection):
            connection.execute("DELETE FROM records WHERE key = ?", (key,))

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        """Exclude every other thread and process that uses this file from `key` while the context is open.

        The operating system frees the lock when its holder dies. Not re-entrant.
        Raises `StoreError` on entry if the lock is not had within `timeout` seconds.
        """
        name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._process_lock(name, f"key {key!r} of {str(self._path)!r}", timeout)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The stored keys that begin with `prefix`, in ascending order.

        Read page by page: keys written or deleted during the iteration may or may not appear.
        """
        page = self._keys_page(_FIRST_KEYS, prefix)
        while page:
            for key in page:
                # Keys with one prefix lie together in the order, so the first other one ends them.
                if not key.startswith(prefix):
                    return
                yield key
            page = self._keys_page(_NEXT_KEYS, page[-1])

    def check(self) -> Iterator[Unreadable]:
        """What cannot be read; see `blnk_auth.stores._check`. Nothing is moved: each record is in nobody's way."""
        try:
            with self._connected("checked") as connection:
                self._check_pages(connection)
        except StoreError as problem:
            yield Unreadable(str(self._path), str(problem))
            return
        page = self._records_page(_FIRST_RECORDS, "")
        while page:
            for key, text in page:
                if from_json(text) is None:
                    yield Unreadable(f"key {key!r}", str(self._unreadable(key)))
            page = self._records_page(_NEXT_RECORDS, page[-1][0])

    def _records_page(self, query: str, start: str) -> list[tuple[str, bytes]]:
        with self._connected("read") as connection:
            return connection.execute(query, (start,)).fetchall()

    def _check_pages(self, connection: sqlite3.Connection) -> None:
        [(verdict,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
        if verdict != "ok":
            what = str(verdict).splitlines()[-1]
            raise StoreError(
                f"path {str(self._path)!r} cannot be used: the database is damaged ({what})", remedy=f"{_MOVE_ASIDE}"
            )

    def _keys_page(self, query: str, start: str) -> list[str]:
        with self._connected("read") as connection:
            return [key for (key,) in connection.execute(query, (start,)).fetchall()]

    def _process_lock(self, name: str, purpose: str, timeout: float) -> AbstractContextManager[None]:
        return process_lock(self._locks / f"{name}.lock", purpose=purpose, timeout=timeout)

    @contextmanager
    def _connected(self, purpose: str) -> Generator[sqlite3.Connection]:
        """This process's connection, for one thread at a time. `purpose` completes "cannot be ..." in messages."""
        with self._guard:
            try:
                yield self._current_connection()
            except (sqlite3.Error, OSError, UnicodeEncodeError) as error:
                raise self._failure(purpose, error) from error

    def _current_connection(self) -> sqlite3.Connection:
        opened = self._opened
        if opened is not None and opened.pid != os.getpid():
            raise StoreError(
                f"path {str(self._path)!r}: this process was forked, without Python's fork hooks, while "
                "the store was in use, so its file locks do not hold here",
                remedy="use the store only after the fork (uWSGI: lazy-apps)",
            )
        if opened is not None and opened.file != _identity(self._path):
            # Somebody removed or replaced the file: what we would write to the old one would be lost.
            self._disconnect()
        if self._opened is None:
            self._opened = self._open()
        return self._opened.connection

    def _open(self) -> _Opened:
        parent = self._path.parent
        make_directory(parent)
        if not parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(parent))
        if not os.path.lexists(self._path):
            self._create()
        if not stat.S_ISREG(self._path.lstat().st_mode):
            raise StoreError(
                f"path {str(self._path)!r} is a symlink, a directory or a device",
                remedy="give the database file's own path",
            )
        connection = _connect(self._path)
        try:
            self._prepare(connection)
            return _Opened(connection, os.getpid(), _identity(self._path))
        except BaseException:
            connection.close()
            raise

    def _create(self) -> None:
        """Make the database elsewhere and move it into place: an empty file there is then never one of ours, half made.

        A kill in between leaves the other file, which the next to come here removes.
        """
        with self._set_up():
            if os.path.lexists(self._path):
                return
            for companion in ("", "-wal", "-shm"):
                self._beside(f"-new{companion}").unlink(missing_ok=True)
            new = self._beside("-new")
            create_file(new)
            with closing(_connect(new)) as connection:
                connection.execute("PRAGMA journal_mode = WAL").fetchall()
                migrate(connection, self._path)
            # What a lost database left there would be read as if it belonged to the new one.
            for companion in ("-wal", "-shm"):
                self._beside(companion).unlink(missing_ok=True)
            new.replace(self._path)
            sync_directory(self._path.parent)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        was_in_use = self._locks.exists()
        if self._version(connection) < len(MIGRATIONS):
            with self._set_up():
                if was_in_use and self._version(connection) == 0:
                    raise StoreError(
                        f"path {str(self._path)!r} is empty, and was not: {str(self._locks)!r} is from its use. "
                        "Restore it from a backup",
                        remedy="or, if nothing is lost, remove the empty file to start anew",
                    )
                # SQLite does not wait its turn for a change of the journal mode: hence the lock.
                connection.execute("PRAGMA journal_mode = WAL").fetchall()
                migrate(connection, self._path)
        # Only now, when the file is known to be ours.
        tighten(self._path)
        for companion in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                tighten(self._beside(companion))
        connection.execute("PRAGMA synchronous = FULL")
        # macOS reports data as written that a power cut can still lose, unless asked for this.
        connection.execute("PRAGMA fullfsync = ON")
        # So that damage in a page is an error when it is met, not a record misread.
        connection.execute("PRAGMA cell_size_check = ON")
        with _transaction(connection):
            pass  # raises if the file is read-only, which SQLite otherwise tells only at the first save

    def _version(self, connection: sqlite3.Connection) -> int:
        with _transaction(connection, "DEFERRED"):
            return _schema_version(connection, len(MIGRATIONS), self._path)

    def _set_up(self) -> AbstractContextManager[None]:
        return self._process_lock("setup", f"the set-up of {str(self._path)!r}", _BUSY_SECONDS)

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)

    def _disconnect(self) -> None:
        # A connection of another process must not even be closed here: https://www.sqlite.org/howtocorrupt.html 2.6
        if self._opened is not None and self._opened.pid == os.getpid():
            self._opened.connection.close()
            self._opened = None

    def _unreadable(self, key: str) -> StoreError:
        return StoreError(
            f"path {str(self._path)!r}: the record under key {key!r} is not a JSON object",
            remedy=(
                "other records are not affected. Restore the file from a backup, or delete this "
                f"record (`delete({key!r})`) and sign in again"
            ),
        )

    def _failure(self, purpose: str, error: sqlite3.Error | OSError | UnicodeEncodeError) -> StoreError:
        if isinstance(error, UnicodeEncodeError):
            return StoreError(
                f"path {str(self._path)!r}: key {error.object!r} is not valid Unicode", remedy="use another key"
            )
        if isinstance(error, OSError):
            reason = error.strerror or type(error).__name__
            where = "" if error.filename in (None, str(self._path)) else f" at {str(error.filename)!r}"
            return StoreError(
                f"path {str(self._path)!r} cannot be {purpose}{where}: {reason}", remedy=f"{_MAKE_WRITABLE}"
            )
        code = getattr(error, "sqlite_errorcode", None)
        remedy = _MOVE_ASIDE if code is None else _REMEDIES.get(code & 0xFF, _MOVE_ASIDE)
        return StoreError(f"path {str(self._path)!r} cannot be {purpose}: {error}", remedy=remedy)

    def _pause(self) -> None:
        self._guard.acquire()
        _paused.append(self)
        self._disconnect()

    def _resume(self) -> None:
        self._guard.release()


def _connect(path: Path) -> sqlite3.Connection:
    # mode=rw: SQLite would create a file that vanished just now anew with mode 0644.
    return sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def migrate(connection: sqlite3.Connection, path: Path, steps: tuple[str, ...] = MIGRATIONS) -> None:
    """Bring a database to the schema that `steps` leads to, wholly or not at all.

    Raises `StoreError`, naming `path`, if it is not ours or already beyond that schema.
    """
    with _transaction(connection):
        for step in steps[_schema_version(connection, len(steps), path) :]:
            connection.execute(step)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")


def _schema_version(connection: sqlite3.Connection, newest: int, path: Path) -> int:
    """How many migrations the database has behind it; 0 for an empty file. Needs a transaction around it."""
    [(application_id,)] = connection.execute("PRAGMA application_id").fetchall()
    [(version,)] = connection.execute("PRAGMA user_version").fetchall()
    [(tables,)] = connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    if application_id != APPLICATION_ID and (application_id, version, tables) != (0, 0, 0):
        raise StoreError(
            f"path {str(path)!r} is a SQLite database of another application and was left as it is",
            remedy="choose another path",
        )
    if version > newest:
        raise StoreError(
            f"path {str(path)!r} was written by a newer blnk_auth (schema version {version}, this one knows {newest})",
            remedy="upgrade blnk_auth here, or choose another path",
        )
    return int(version)


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Generator[None]:
    # IMMEDIATE waits for other writers at the beginning; a transaction that turns into a writer later fails instead.
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


def _absolute(path: str | os.PathLike[str]) -> Path:
    given = os.fspath(path)
    if given == ":memory:":
        raise StoreError(
            "path ':memory:' would be a file of that name", remedy="to keep tokens in memory, use MemoryStore()"
        )
    if not given or "\0" in given:
        raise StoreError(
            f"path {given!r} names no file", remedy="give the path of the database file, such as 'tokens.db'"
        )
    # The directory's own symlinks are resolved, so that every spelling leads to the same locks, also after a chdir.
    try:
        expanded = Path(given).expanduser()
        return expanded.parent.resolve() / expanded.name
    except RuntimeError as error:
        raise StoreError(f"path {given!r} leads nowhere: {error}", remedy="give another path") from error


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


_registry = threading.Lock()
_stores: WeakSet[SQLiteStore] = WeakSet()
_paused: list[SQLiteStore] = []


def _before_fork() -> None:
    """Close every connection, and keep it closed until the fork is over.

    SQLite keeps its file locks in process memory too. A child that inherits them believes it holds locks that it does
    not hold, also for a connection that it opens itself, and another process may then delete the write-ahead log that
    the child has just committed to: a rotated token would be lost after its `save` returned.
    """
    _registry.acquire()
    for store in _stores:
        store._pause()  # pyright: ignore[reportPrivateUsage]


def _after_fork() -> None:
    while _paused:
        _paused.pop()._resume()  # pyright: ignore[reportPrivateUsage]
    # Not locked if something forked without calling `_before_fork` and then called this.
    if _registry.locked():
        _registry.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
