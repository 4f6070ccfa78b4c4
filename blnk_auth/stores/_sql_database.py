"""The database that a `SQLStore` uses: its engine, its statements, and which of them are repeated after an error.

Used by `SQLStore`, when a store is made: this module needs SQLAlchemy. It promises that every method is one statement
in a transaction of its own. A statement that meets a deadlock, a connection that was closed by a restart, or a server
that is no longer the primary, is repeated a few times, within seconds; a repeated save detects that the first attempt
took effect. Every other error is raised as `StoreError`, which never quotes a statement's parameters, because they
contain tokens. A forked child never uses its parent's connections.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    select,
    text,
    true,
    update,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.sql.dml import Delete, Insert, Update

from ..errors import StoreError
from ._forks import reset_in_child
from ._pages import PAGE
from ._server_url import may_hold_password
from ._sql_connections import MIGRATION_SECONDS, STATEMENT_SECONDS, engine_for, parsed, refuse_unsupported
from ._sql_errors import NO_TABLE, NOT_TEXT, is_read_only, judge
from ._sql_migrations import INDEX_FROM, check_version, migrate
from ._sql_schema import MAX_KEY_BYTES, MYSQL, ExactText, database_now, insert_if_missing, leases, records

_Result = TypeVar("_Result")
_Write = Insert | Update | Delete

_ATTEMPTS = 5
_PAUSE = 0.05
_ASK_VERSION_EVERY = 60.0
"""Seconds after which tables of an earlier version are looked at again: another process may have migrated them."""

_inherited: list[object] = []
"""Connection pools of the parent process. They are kept, because collecting them would close its connections."""


class Database:
    """The tables of a store in one database. Safe to use from many threads.

    Raises `ConfigurationError`, naming the parameter `url_or_engine`, for anything that cannot work. Connects when
    first used.
    """

    def __init__(self, url_or_engine: str | URL | Engine) -> None:
        self.url: URL | None = None
        if isinstance(url_or_engine, Engine):
            self._engine = url_or_engine
        else:
            self.url = parsed(url_or_engine)
            self._engine = engine_for(self.url)
        refuse_unsupported(self._engine)
        # One statement, one transaction: also under REPEATABLE READ each sees what is stored now. Without this option,
        # SQLAlchemy does not keep the row count of an INSERT.
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT", preserve_rowcount=True)
        self._version: int | None = None
        self._asked_at = 0.0
        reset_in_child(self)

    def __repr__(self) -> str:
        # Without the query, which has the password for some drivers.
        url = self._engine.url.set(query={})
        shown = url.set(database="***") if may_hold_password(url.database or "") else url
        return f"SQLStore({shown.render_as_string(hide_password=True)!r})"

    def close(self) -> None:
        """Close idle connections, unless the engine is the user's. A later use connects again."""
        if self.url is not None:
            self._engine.dispose()

    def create_schema(self) -> None:
        """Create the tables, or bring those of an earlier version up to date."""
        engine = self._engine if self.url is None else engine_for(self.url, MIGRATION_SECONDS)
        try:
            options = engine.execution_options(isolation_level="AUTOCOMMIT", preserve_rowcount=True)
            self._perform("set up", migrate, on=options)
        finally:
            if engine is not self._engine:
                engine.dispose()
        self._version = None

    def record(self, key: str) -> tuple[str, str] | None:
        """The version and the text of a record, or None."""
        rows = self._rows(select(records.c.version, records.c.data).where(records.c.store_key == key))
        return (rows[0][0], rows[0][1]) if rows else None

    def write(self, key: str, expected: str | None, version: str, content: str, due_at: float | None) -> bool:
        """Replace a version of a record, or create it where `expected` is None; False if another version is there."""
        if expected is None:
            statement: Insert | Update = insert_if_missing(records, self._dialect).values(store_key=key)
        else:
            statement = update(records).where(records.c.store_key == key, records.c.version == expected)
        statement = statement.values(version=version, data=content)
        indexed = statement.values(saved_due_at=due_at, due_version=version)

        def run(connection: Connection) -> int:
            return connection.execute(indexed if self._has_index else statement).rowcount

        if self._perform("written", run):
            return True
        # If the connection was lost after the first attempt took effect, the stored version is the one it wrote.
        return self.version(key) == version

    def version(self, key: str) -> str | None:
        """The stored version of a record, or None."""
        return next((row[0] for row in self._rows(select(records.c.version).where(records.c.store_key == key))), None)

    def delete(self, key: str, owner: str | None) -> bool:
        """Remove a record; False, removing nothing, if `owner` is given and no longer has the lease of the key."""
        statement = delete(records).where(records.c.store_key == key)
        if owner is None:
            self._changed(statement)
            return True
        has_lease = exists().where(leases.c.store_key == key, leases.c.owner == owner)
        if self._changed(statement.where(has_lease)):
            return True
        of_owner = select(leases.c.owner).where(leases.c.store_key == key, leases.c.owner == owner)
        return bool(self._rows(of_owner))

    def keys_from(self, key: str) -> list[tuple[str]]:
        """The first page of keys from `key` on, `key` included."""
        return self._keys(records.c.store_key >= key)

    def keys_after(self, key: str) -> list[tuple[str]]:
        """The first page of keys above `key`."""
        return self._keys(records.c.store_key > key)

    def _keys(self, condition: ColumnElement[bool]) -> list[tuple[str]]:
        return self._rows(select(records.c.store_key).where(condition).order_by(records.c.store_key).limit(PAGE))

    # --- due records ---------------------------------------------------------------------------------------------

    def due(self, prefix: str, before: float, after: tuple[float, str] | None, limit: int) -> list[Any] | None:
        """The next page of (due_at, key); None if the tables have no index."""
        due_at, key = records.c.due_at, records.c.store_key
        # A function, so that no database looks for the prefix in the index of the keys: nearly all may begin with it.
        length = len(prefix.encode() if self._dialect in MYSQL else prefix)
        has_prefix: ColumnElement[bool] = func.substr(key, 1, length, type_=ExactText()) == prefix
        # In a CASE: PostgreSQL expects very few rows of a comparison with a function, and would sort them instead of
        # reading the index in its order.
        has_prefix = case((has_prefix, true()), else_=false())
        in_order = select(due_at, key).where(has_prefix).order_by(due_at, key)

        def run(connection: Connection) -> list[Any] | None:
            if not self._has_index:
                return None
            if after is None:
                return _all(connection, in_order.where(due_at < before).limit(limit))
            # In two parts: for `(due_at, key) > (...)` not every database uses the index.
            found: list[Any] = []
            if after[0] < before:
                together = select(due_at, key).where(has_prefix, due_at == after[0], key > after[1]).order_by(key)
                found = _all(connection, together.limit(limit))
            if len(found) < limit:
                behind = in_order.where(due_at > after[0], due_at < before)
                found += _all(connection, behind.limit(limit - len(found)))
            return found

        return self._perform("read", run)

    def note_due(self, found: Sequence[tuple[str, str, float | None]]) -> None:
        """Write when records are due that have a version still."""
        noted = (
            update(records)
            .where(records.c.store_key == bindparam("of_key"), records.c.version == bindparam("of_version"))
            .values(saved_due_at=bindparam("noted"), due_version=records.c.version)
        )
        # Two processes that correct the same entries must not wait for each other: hence in one order.
        rows = [{"of_key": key, "of_version": version, "noted": due_at} for key, version, due_at in sorted(found)]

        def run(connection: Connection) -> None:
            if self._has_index and rows:
                # One transaction takes one flush of the log.
                _in_transaction(connection, noted, rows)

        self._perform("written", run)

    @staticmethod
    def checked(key: str) -> str:
        """`key`, if every supported database can keep it. Raises `StoreError`."""
        try:
            size = len(key.encode())
        except UnicodeEncodeError:
            size = -1
        if size < 0 or "\0" in key:
            raise StoreError(f"key {key!r} is not valid Unicode or has a NUL character", remedy="use another key")
        if size > MAX_KEY_BYTES:
            raise StoreError(
                f"key {key[:40]!r}... has {size} bytes, the most is {MAX_KEY_BYTES}", remedy="use a shorter key"
            )
        return key

    # --- leases --------------------------------------------------------------------------------------------------

    def take_lease(self, key: str, owner: str, microseconds: int) -> bool:
        """Give a lease to `owner`, unless another owner has it."""
        lent = {"owner": owner, "expires_at": database_now() + microseconds}
        if self._changed(insert_if_missing(leases, self._dialect).values(store_key=key, **lent)):
            return True
        has_run_out = leases.c.expires_at <= database_now()
        # Or this owner has it already: the reply to the first attempt was lost.
        free = has_run_out | (leases.c.owner == owner)
        return self._changed(update(leases).where(leases.c.store_key == key, free).values(**lent))

    def renew_lease(self, key: str, owner: str, microseconds: int) -> bool:
        """Start the time of a lease again; False if this owner no longer has it."""
        mine = update(leases).where(leases.c.store_key == key, leases.c.owner == owner)
        return self._changed(mine.values(expires_at=database_now() + microseconds))

    def end_lease(self, key: str, owner: str) -> bool:
        """Remove a lease and its row; False if this owner no longer had it."""
        return self._changed(delete(leases).where(leases.c.store_key == key, leases.c.owner == owner))

    # --- statements ----------------------------------------------------------------------------------------------

    @property
    def _dialect(self) -> str:
        return self._engine.dialect.name

    def _rows(self, statement: Executable) -> list[Any]:
        return self._perform("read", lambda connection: _all(connection, statement))

    def _changed(self, statement: _Write) -> bool:
        """Whether the statement changed a row."""
        return bool(self._perform("written", lambda connection: connection.execute(statement).rowcount))

    def _perform(self, done: str, work: Callable[[Connection], _Result], *, on: Engine | None = None) -> _Result:
        """The result of `work` on a connection. `done` completes "cannot be ..." in messages.

        `on`: the `Engine` for a migration; None for the usual one, whose tables must be usable.
        """
        attempts_left, ends_at = _ATTEMPTS, time.monotonic() + STATEMENT_SECONDS
        while True:
            attempts_left -= 1
            connected = False
            try:
                with (on or self._autocommit).connect() as connection:
                    connected = True
                    try:
                        if on is None:
                            self._ask_version(connection)
                        return work(connection)
                    except DBAPIError as error:
                        if is_read_only(error):
                            # A primary that was demoted keeps its connections: a new connection may lead to the current
                            # primary.
                            connection.invalidate()
                        raise
            except SQLAlchemyError as error:
                problem = judge(error, self._engine.url.password, connected=connected)
            except UnicodeDecodeError:
                # Raised by a driver, or by a column of bytes. It quotes the value that was read.
                problem = NOT_TEXT
            # Raised outside of the except clause, so that it is not chained to SQLAlchemy's error, which has the
            # statement's parameters. A statement that has used up its time is not repeated.
            if not problem.is_transient or not attempts_left or time.monotonic() >= ends_at:
                parameter = "schema" if problem.code in NO_TABLE else None
                raise StoreError(
                    f"{self!r} cannot be {done}: {problem.problem}", parameter=parameter, remedy=problem.remedy
                )
            time.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - spreads attempts, protects nothing

    def _ask_version(self, connection: Connection) -> None:
        """Read the version of the tables at first, and once a minute while they are of an earlier version."""
        now = time.monotonic()
        if self._version is None or (not self._has_index and now >= self._asked_at + _ASK_VERSION_EVERY):
            self._version, self._asked_at = check_version(connection), now

    @property
    def _has_index(self) -> bool:
        return self._version is not None and self._version >= INDEX_FROM

    def reset_after_fork(self) -> None:
        """Called in a forked child, which must neither use nor close its parent's connections."""
        _inherited.append(self._engine.pool)
        self._engine.dispose(close=False)


def _all(connection: Connection, statement: Executable) -> list[Any]:
    return [tuple(row) for row in connection.execute(statement)]


def _in_transaction(connection: Connection, statement: Update, rows: list[dict[str, Any]]) -> None:
    connection.execute(text("BEGIN IMMEDIATE" if connection.dialect.name == "sqlite" else "BEGIN"))
    try:
        connection.execute(statement, rows)
        connection.execute(text("COMMIT"))
    except BaseException:
        with suppress(SQLAlchemyError):
            connection.execute(text("ROLLBACK"))
        raise
