"""The tables of a `SQLiteStore`'s file, their version, and how a file of an earlier version is brought up to date.

Used by `SQLiteFile` when it opens the file. It promises that a migration is atomic. A file of another application, or
of a newer version, is refused and never changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import StoreError

APPLICATION_ID = 0x626C6E6B
"""Identifies a file of blnk_auth in SQLite's header: "blnk"."""

DUE_AT = "CASE WHEN due_version = version THEN due_at ELSE 0 END"
"""When a record is due: NULL is never, and 0 is not known. A process of an earlier version, which has the file open
while it is migrated, writes neither column, so the version of its record differs from `due_version`. Never change it,
because SQLite uses the index only for the same expression."""

MIGRATIONS: tuple[str, ...] = (
    # Not WITHOUT ROWID: rows of a kilobyte and more would fill that B-tree's inner pages, and spill over; measured, a
    # million records take 4.4 GB instead of 2.0, and a load takes three times as long.
    "CREATE TABLE records (key TEXT PRIMARY KEY NOT NULL, version TEXT NOT NULL, data TEXT NOT NULL)",
    "ALTER TABLE records ADD COLUMN due_at REAL",
    "ALTER TABLE records ADD COLUMN due_version TEXT",
    f"CREATE INDEX records_due ON records ({DUE_AT}, key)",
)
"""The statement that leads from each schema version to the next; SQLite's user_version counts how many were applied.
Only append to it, because the earlier ones were applied to users' files."""


def migrate(connection: sqlite3.Connection, path: Path, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """Apply the `migrations` that the database does not have yet, all or none.

    Raises `StoreError`, naming `path`, if it belongs to another application or has a newer schema.
    """
    with transaction(connection):
        for statement in migrations[schema_version(connection, len(migrations), path) :]:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


def schema_version(connection: sqlite3.Connection, newest: int, path: Path) -> int:
    """How many migrations were applied to the database; 0 for an empty file. Needs a transaction around it."""
    [(application_id,)] = connection.execute("PRAGMA application_id").fetchall()
    [(version,)] = connection.execute("PRAGMA user_version").fetchall()
    [(tables,)] = connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    if application_id != APPLICATION_ID and (application_id, version, tables) != (0, 0, 0):
        raise StoreError(
            f"path {str(path)!r} is a SQLite database of another application and was left as it is",
            parameter="path",
            remedy="choose another path",
        )
    if version > newest:
        raise StoreError(
            f"path {str(path)!r} was written by a newer blnk_auth (schema version {version}, this one knows {newest})",
            remedy="upgrade blnk_auth here, or choose another path",
        )
    return int(version)


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Generator[None]:
    """Commit what is done in the context, or roll it back if it raises."""
    # IMMEDIATE waits for other writers at the beginning. A transaction that starts to write later would fail instead.
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise
