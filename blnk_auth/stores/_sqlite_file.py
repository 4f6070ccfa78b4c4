"""Creates, opens and checks the file of a `SQLiteStore`, and shares it between threads, processes and forks.

Used by `SQLiteStore`, which reads and writes records through it. It promises:

* Once a transaction is committed, it is on disk and survives a power cut (write-ahead log, synchronous=FULL).
* The file is created with mode 0600, and directories for it with mode 0700. If an existing file has more permissions,
  they are removed.
* A file of another application or of another user is refused, and never changed.
* A forked child never uses its parent's connection. SQLite also records its file locks in process memory. A child that
  inherits that memory acts as if it had locks that it does not have, even on a connection that it opens itself. Another
  process may then delete the write-ahead log that the child has just committed to, and a rotated token would be lost
  after its `save` returned.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import threading
from collections.abc import Generator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import StoreError
from ._disk_room import with_reserved_room
from ._durable_file import sync_directory
from ._forks import pause_during_fork
from ._private_file import Access, create_file, make_directory, owner_if_other, tighten
from ._process_lock import process_lock
from ._sqlite_schema import MIGRATIONS, migrate, schema_version, transaction

BUSY_SECONDS = 30.0
"""Seconds to wait for another process that writes to the database. Its writes take milliseconds."""

_CHECKED_ON_OPENING = 8 * 1024 * 1024
"""Bytes up to which the whole database is checked when a store is made: some 8,000 records in 20 ms. A million would
take seconds, at each start of each process."""

_MOVE_ASIDE = (
    "restore it from a backup, or move the file aside and sign in again (`sqlite3 <file> .recover` may save records)"
)
_REINDEX = f"copy the file, then run `sqlite3 <file> REINDEX`, which keeps every record; if that fails, {_MOVE_ASIDE}"
_MAKE_WRITABLE = "make the file and its directory writable for this user, or choose another path"
_REMEDIES = {
    sqlite3.SQLITE_BUSY: f"another process had it locked for {BUSY_SECONDS:g} s; find it with lsof or fuser, end it",
    sqlite3.SQLITE_FULL: "free some disk space and try again",
    sqlite3.SQLITE_READONLY: _MAKE_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: _MAKE_WRITABLE,
    sqlite3.SQLITE_PERM: _MAKE_WRITABLE,
    sqlite3.SQLITE_IOERR: "check the disk and its free space, then try again",
    sqlite3.SQLITE_NOTADB: "choose another path, or move the file aside",
}
_WRITE_FAILED = frozenset((sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE))
_COMPANIONS = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class _Opened:
    connection: sqlite3.Connection
    pid: int
    file: tuple[int, int] | None


class SQLiteFile:
    """One database file and this process's connection to it. Safe to use from many threads.

    `path` is absolute. Raises `StoreError` wherever the file cannot be used.
    """

    def __init__(self, path: Path, access: Access) -> None:
        self._lock = threading.RLock()
        self._opened: _Opened | None = None
        self.path = path
        self._locks = self._beside("-locks")
        self._access = access
        pause_during_fork(self)

    def open_once(self) -> None:
        """Open the file, raise an error if it cannot be used, and close it again.

        It is closed, so that the workers of a server inherit no connection from a store that was made before the fork.
        uWSGI, for example, forks without running fork hooks.
        """
        with self.connected("opened") as connection:
            if self.path.stat().st_size <= _CHECKED_ON_OPENING:
                self.check_pages(connection)
            self._disconnect()

    def close(self) -> None:
        """Close the connection. A later use opens it again."""
        with self._lock:
            self._disconnect()

    @contextmanager
    def connected(self, purpose: str) -> Generator[sqlite3.Connection]:
        """This process's connection, for one thread at a time. `purpose` completes "cannot be ..." in messages."""
        with self._lock:
            try:
                yield self._current_connection()
            except UnicodeDecodeError:
                # SQLite's error quotes the content of a damaged file.
                failure = self.damaged("it has text that is not UTF-8", in_index=False)
            except (sqlite3.Error, OSError, UnicodeEncodeError) as error:
                raise self._failure(purpose, error) from error
            else:
                return
        raise failure

    def lock(self, name: str, purpose: str, timeout: float, *, for_record: bool = True) -> AbstractContextManager[None]:
        """An operating system lock on a file beside the database, with room for a record, see `_disk_room`.

        It is not a database transaction, so that all processes can read and write the database during a renewal.
        """
        return process_lock(
            self._lock_path(name), purpose=purpose, timeout=timeout, access=self._access, for_record=for_record
        )

    def changed_rows(self, name: str, statement: str, parameters: tuple[str | float | None, ...]) -> int:
        """Execute a statement for the record whose lock is `name`, in a transaction; the number of rows it changed."""

        def execute() -> int:
            with transaction(connection):
                return connection.execute(statement, parameters).rowcount

        with self.connected("written") as connection:
            return with_reserved_room(self._lock_path(name), execute, _is_no_room)

    def check_pages(self, connection: sqlite3.Connection) -> None:
        """Raise `StoreError` if the database is damaged. It reads all of it."""
        # Not quick_check. It takes half as long, but does not compare the index with the table: a record that is not in
        # the index would be reported as missing.
        [(verdict,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()
        if verdict != "ok":
            what = str(verdict).splitlines()[-1]
            raise self.damaged(what, in_index=" index " in what)

    def damaged(self, what: str, *, in_index: bool) -> StoreError:
        """The error for a damaged database. `in_index`: only its index is damaged, and can be rebuilt."""
        return StoreError(
            f"path {str(self.path)!r} cannot be used: the database is damaged ({what})",
            remedy=_REINDEX if in_index else _MOVE_ASIDE,
        )

    # --- opening -------------------------------------------------------------------------------------------------

    def _current_connection(self) -> sqlite3.Connection:
        opened = self._opened
        if opened is not None and opened.pid != os.getpid():
            raise StoreError(
                f"path {str(self.path)!r}: this process was forked, without Python's fork hooks, while the store was "
                "in use, so its file locks do not hold here",
                remedy="use the store only after the fork (uWSGI: lazy-apps)",
            )
        if opened is not None and opened.file != _identity(self.path):
            # The file was removed or replaced: records written through this connection would be lost.
            self._disconnect()
        if self._opened is None:
            self._opened = self._open()
        return self._opened.connection

    def _open(self) -> _Opened:
        parent = self.path.parent
        make_directory(parent, self._access)
        if not parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(parent))
        if not os.path.lexists(self.path):
            self._create()
        status = self.path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(
                f"path {str(self.path)!r} is a symlink, a directory or a device",
                parameter="path",
                remedy="pass the database file's own path",
            )
        self._access.refuse_other_owner(self.path, status)
        connection = _connect(self.path)
        try:
            self._prepare(connection)
            return _Opened(connection, os.getpid(), _identity(self.path))
        except BaseException:
            connection.close()
            raise

    def _create(self) -> None:
        """Make the database under another name, and move it into place. So an empty file is never a half-made database.

        A kill in between leaves the file with the other name, which the next call removes.
        """
        with self._set_up():
            if os.path.lexists(self.path):
                return
            for companion in ("", *_COMPANIONS):
                self._beside(f"-new{companion}").unlink(missing_ok=True)
            new = self._beside("-new")
            create_file(new, self._access)
            with closing(_connect(new)) as connection:
                connection.execute("PRAGMA journal_mode = WAL").fetchall()
                migrate(connection, self.path)
            # If a removed database left these files, SQLite would read them as parts of the new one.
            for companion in _COMPANIONS:
                self._beside(companion).unlink(missing_ok=True)
            new.replace(self.path)
            sync_directory(self.path.parent)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        was_in_use = self._locks.exists()
        if self._version(connection) < len(MIGRATIONS):
            with self._set_up():
                if was_in_use and self._version(connection) == 0:
                    raise StoreError(
                        f"path {str(self.path)!r} is empty, although {str(self._locks)!r} shows that it was in use",
                        remedy=(
                            "restore it from a backup, or, if nothing is lost, remove the empty file to start again"
                        ),
                    )
                # SQLite does not wait for other connections when it changes the journal mode: hence the lock.
                connection.execute("PRAGMA journal_mode = WAL").fetchall()
                migrate(connection, self.path)
        if self._access.is_checked:
            # Only after the check that the file is not another application's.
            for path in (self.path, *map(self._beside, _COMPANIONS)):
                with suppress(FileNotFoundError):
                    tighten(path)
        connection.execute("PRAGMA synchronous = FULL")
        # Without it, macOS reports data as written that a power cut can still lose.
        connection.execute("PRAGMA fullfsync = ON")
        # With it, reading a damaged page raises an error, and does not return a wrong record.
        connection.execute("PRAGMA cell_size_check = ON")
        with transaction(connection):
            # Raises if the file is read-only; BEGIN IMMEDIATE alone does not. A connection opened on a read-only file
            # stays read-only when the file is writable again, and a renewal would notice only at its save.
            connection.execute("DELETE FROM records WHERE 0")

    def _version(self, connection: sqlite3.Connection) -> int:
        with transaction(connection, "DEFERRED"):
            return schema_version(connection, len(MIGRATIONS), self.path)

    def _set_up(self) -> AbstractContextManager[None]:
        return self.lock("setup", f"the set-up of {str(self.path)!r}", BUSY_SECONDS, for_record=False)

    def _lock_path(self, name: str) -> Path:
        return self._locks / f"{name}.lock"

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def _disconnect(self) -> None:
        # A connection that the parent process opened must not even be closed here:
        # https://www.sqlite.org/howtocorrupt.html 2.6
        if self._opened is not None and self._opened.pid == os.getpid():
            self._opened.connection.close()
            self._opened = None

    # --- errors --------------------------------------------------------------------------------------------------

    def _failure(self, purpose: str, error: sqlite3.Error | OSError | UnicodeEncodeError) -> StoreError:
        if isinstance(error, UnicodeEncodeError):
            return StoreError(
                f"path {str(self.path)!r}: key {error.object!r} is not valid Unicode", remedy="use another key"
            )
        if isinstance(error, OSError):
            reason = error.strerror or type(error).__name__
            where = "" if error.filename in (None, str(self.path)) else f" at {str(error.filename)!r}"
            remedy = _MAKE_WRITABLE
        else:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            remedy = _REMEDIES.get(code, _MOVE_ASIDE)
            # The text of other errors may quote the content of the file.
            name = getattr(error, "sqlite_errorname", type(error).__name__)
            reason, where = str(error) if code in _REMEDIES else f"the database is damaged ({name})", ""
        owner = owner_if_other(self.path) if remedy == _MAKE_WRITABLE else ""
        return StoreError(f"path {str(self.path)!r} cannot be {purpose}{where}: {reason}{owner}", remedy=remedy)

    # --- forks ---------------------------------------------------------------------------------------------------

    def pause_before_fork(self) -> None:
        """Close the connection, and keep it closed until the fork is over."""
        self._lock.acquire()
        self._disconnect()

    def resume_after_fork(self) -> None:
        """Allow the connection again."""
        self._lock.release()


def _is_no_room(error: Exception) -> bool:
    # SQLite has a code for a full disk, but not for a used-up quota.
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_FULL or code in _WRITE_FAILED


def _connect(path: Path) -> sqlite3.Connection:
    # mode=rw: otherwise SQLite would create a file that was removed a moment ago, with mode 0644.
    return sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
