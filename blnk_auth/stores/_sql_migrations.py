"""The version of `SQLStore`'s tables, and how the tables of an earlier version are brought up to date.

Used by `_sql_database`: `create_schema()` runs the migrations, and the first use of a store reads the version. It
promises that any number of processes may migrate at the same time: one process migrates, and the others wait until it
has finished. If a migration is interrupted, the next call completes it. Tables of a newer version are never changed.
This module needs SQLAlchemy.

The first release had no table `blnk_auth_schema`. Tables without it are those of version 1.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Column, Connection, Table, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement
from sqlalchemy.sql.compiler import DDLCompiler

from ..errors import StoreError
from ._sql_errors import NO_TABLE, judge
from ._sql_schema import MYSQL, insert_if_missing, leases, records, schema

Migration = Callable[[Connection], None]

_LOCK = "blnk_auth_schema"
_LOCK_SECONDS = 600
"""How long MySQL waits for another process that migrates. An index of a million records takes seconds."""


def _first_tables(connection: Connection) -> None:
    for table in (records, leases):
        _create(connection, table)


class _AddColumn(DDLElement):
    """An `ALTER TABLE` that, unlike a text, honours the `schema_translate_map` of an `Engine`."""

    def __init__(self, column: Column[Any]) -> None:
        self.column = column


@compiles(_AddColumn)
def _compile_add_column(element: _AddColumn, compiler: DDLCompiler, **_options: Any) -> str:
    table = compiler.preparer.format_table(element.column.table)
    return f"ALTER TABLE {table} ADD COLUMN {compiler.get_column_specification(element.column)}"


def _index_of_due_records(connection: Connection) -> None:
    translated: dict[str | None, str | None] = connection.get_execution_options().get("schema_translate_map") or {}
    schema_name = translated.get(None)
    present = {each["name"] for each in inspect(connection).get_columns(records.name, schema_name)}
    for column in (records.c.saved_due_at, records.c.due_version, records.c.due_at):
        if column.name not in present:
            connection.execute(_AddColumn(column))
    [index] = records.indexes
    if index.name not in {each["name"] for each in inspect(connection).get_indexes(records.name, schema_name)}:
        connection.execute(CreateIndex(index))


MIGRATIONS: tuple[Migration, ...] = (_first_tables, _index_of_due_records)
"""The change from each version to the next. Only append to it, because the earlier ones were applied to users' tables.
Each can be run again, because MySQL commits after every change of a table, so a crash may leave half of a migration."""

_WITHOUT_VERSION = 1

USABLE_FROM = 1
"""Tables from this version on work as they are. Those before `INDEX_FROM` have no index of due records."""

INDEX_FROM = 2


def migrate(connection: Connection, migrations: tuple[Migration, ...] = MIGRATIONS) -> None:
    """Create the tables, or bring those of an earlier version up to date. Raises `StoreError` for a newer version."""
    with _alone(connection):
        _create(connection, schema)
        version = _stored(connection) or 0
        _refuse_newer(version, len(migrations))
        for migration in migrations[version:]:
            migration(connection)
        if version < len(migrations):
            connection.execute(insert_if_missing(schema, connection.dialect.name).values(id=1, version=0))
            connection.execute(update(schema).where(schema.c.id == 1).values(version=len(migrations)))


def check_version(
    connection: Connection, migrations: tuple[Migration, ...] = MIGRATIONS, usable_from: int = USABLE_FROM
) -> int:
    """The version of the tables. Raises `StoreError` if this release cannot use them."""
    try:
        version = _stored(connection) or _WITHOUT_VERSION
    except DBAPIError as error:
        if judge(error).code not in NO_TABLE:
            raise
        version = _WITHOUT_VERSION
    _refuse_newer(version, len(migrations))
    if version < usable_from:
        raise StoreError(
            f"the tables of SQLStore have the schema version {version}, and this blnk_auth needs {usable_from}",
            parameter="schema",
            remedy="call create_schema() once, which keeps every record, or add the changes with your migrations",
        )
    return version


def _stored(connection: Connection) -> int | None:
    return connection.execute(select(schema.c.version).where(schema.c.id == 1)).scalar()


def _refuse_newer(version: int, newest: int) -> None:
    if version > newest:
        raise StoreError(
            f"the tables of SQLStore are from a newer blnk_auth (schema version {version}, this one knows {newest})",
            remedy="upgrade blnk_auth here; nothing was changed",
        )


def _create(connection: Connection, table: Table) -> None:
    # Not metadata.create_all: it checks first, and then fails if another process has created the table meanwhile.
    connection.execute(CreateTable(table, if_not_exists=True))


@contextmanager
def _alone(connection: Connection) -> Generator[None]:
    """Keep all other processes from migrating while the context is open. `connection` commits each statement."""
    name = connection.dialect.name
    if name in MYSQL:
        # MySQL has no transactions for changes of tables.
        if not _run(connection, f"SELECT GET_LOCK('{_LOCK}', {_LOCK_SECONDS})").scalar():
            raise StoreError(f"another process has been changing the tables for {_LOCK_SECONDS} s", remedy="try again")
        try:
            yield
        finally:
            with suppress(SQLAlchemyError):
                _run(connection, f"SELECT RELEASE_LOCK('{_LOCK}')")
        return
    _run(connection, "BEGIN IMMEDIATE" if name == "sqlite" else "BEGIN")
    try:
        if name == "postgresql":
            _run(connection, f"SELECT pg_advisory_xact_lock(hashtext('{_LOCK}'))")
        yield
        _run(connection, "COMMIT")
    except BaseException:
        with suppress(SQLAlchemyError):
            _run(connection, "ROLLBACK")
        raise


def _run(connection: Connection, statement: str) -> Any:
    return connection.execute(text(statement))
