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
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Executable,
    create_engine,
    delete,
    event,
    exists,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.dml import Delete, Insert, Update

from ..errors import ConfigurationError, StoreError, is_text
from ._forks import reset_in_child
from ._pages import PAGE
from ._private_file import create_file
from ._server_url import may_hold_password
from ._sql_errors import NO_TABLE, NOT_TEXT, is_read_only, judge
from ._sql_migrations import check_version, migrate
from ._sql_schema import MAX_KEY_BYTES, SUPPORTED, database_now, insert_if_missing, leases, records

_Result = TypeVar("_Result")
_Write = Insert | Update | Delete

_ATTEMPTS = 5
_PAUSE = 0.05
_CONNECT_SECONDS = 5
_STATEMENT_SECONDS = 10
"""Seconds that one statement may take. The statements of a store touch one row and take milliseconds."""

_TIME_LIMITS: dict[str, dict[str, Any]] = {
    "psycopg": {
        "connect_timeout": _CONNECT_SECONDS,
        "tcp_user_timeout": _STATEMENT_SECONDS * 1000,
        "options": f"-c statement_timeout={_STATEMENT_SECONDS}s",
    },
    "pymysql": {
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _STATEMENT_SECONDS,
        "write_timeout": _STATEMENT_SECONDS,
    },
    "pysqlite": {"timeout": 30},
}
_TIME_LIMITS["psycopg2"] = _TIME_LIMITS["psycopg"]
_TIME_LIMITS["mysqldb"] = _TIME_LIMITS["pymysql"]

_DIALECTS = "postgresql+psycopg, mariadb+pymysql, mysql+pymysql or sqlite"

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
            self.url = _parsed(url_or_engine)
            self._engine = _engine_for(self.url)
        _refuse_unsupported(self._engine)
        # One statement, one transaction: also under REPEATABLE READ each sees what is stored now. Without this option,
        # SQLAlchemy does not keep the row count of an INSERT.
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT", preserve_rowcount=True)
        self._is_version_checked = False
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
        self._perform("set up", migrate, checks_version=False)

    def record(self, key: str) -> tuple[str, str] | None:
        """The version and the text of a record, or None."""
        rows = self._rows(select(records.c.version, records.c.data).where(records.c.store_key == key))
        return (rows[0][0], rows[0][1]) if rows else None

    def write(self, key: str, expected: str | None, version: str, text: str) -> bool:
        """Replace a version of a record, or create it where `expected` is None; False if another version is there."""
        if expected is None:
            statement: Insert | Update = insert_if_missing(records, self._dialect).values(store_key=key)
        else:
            statement = update(records).where(records.c.store_key == key, records.c.version == expected)
        if self._changed(statement.values(version=version, data=text)):
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
        return self._perform("read", lambda connection: [tuple(row) for row in connection.execute(statement)])

    def _changed(self, statement: _Write) -> bool:
        """Whether the statement changed a row."""
        return bool(self._perform("written", lambda connection: connection.execute(statement).rowcount))

    def _perform(self, done: str, work: Callable[[Connection], _Result], *, checks_version: bool = True) -> _Result:
        """The result of `work` on a connection. `done` completes "cannot be ..." in messages."""
        attempts_left, ends_at = _ATTEMPTS, time.monotonic() + _STATEMENT_SECONDS
        while True:
            attempts_left -= 1
            connected = False
            try:
                with self._autocommit.connect() as connection:
                    connected = True
                    try:
                        if checks_version and not self._is_version_checked:
                            check_version(connection)
                            self._is_version_checked = True
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

    def reset_after_fork(self) -> None:
        """Called in a forked child, which must neither use nor close its parent's connections."""
        _inherited.append(self._engine.pool)
        self._engine.dispose(close=False)


def _parsed(url: str | URL) -> URL:
    if not isinstance(url, str) or is_text(url):
        with suppress(ArgumentError, ValueError):
            return make_url(url)
    # Raised outside of the except clause, because SQLAlchemy's error quotes the URL, and so the password.
    raise ConfigurationError(
        "url_or_engine must be a SQLAlchemy URL or an Engine",
        parameter="url_or_engine",
        remedy="pass one, such as 'postgresql+psycopg://user:password@host/database'",
    )


def _engine_for(url: URL) -> Engine:
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "hide_parameters": True}
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ConfigurationError(
                "url_or_engine names a database in memory",
                parameter="url_or_engine",
                remedy="use MemoryStore for that, whose URL is memory:",
            )
        # SQLite's file locks do not survive a fork with an open connection, so none stays open.
        options["poolclass"] = NullPool
    try:
        limits = _TIME_LIMITS.get(url.get_driver_name(), {})
        # Limits in the URL have precedence.
        limits = {name: value for name, value in limits.items() if name not in url.query}
        engine = create_engine(url, connect_args=limits, **options)
        if url.get_backend_name() == "sqlite":
            event.listen(engine, "do_connect", _create_privately)
        if url.get_driver_name() == "psycopg":
            event.listen(engine, "do_connect", _connect_with_deadline)
        return engine
    except NoSuchModuleError:
        problem = f"names the dialect {url.drivername!r}, which SQLAlchemy does not know"
        remedy = f"use {_DIALECTS}"
    except ModuleNotFoundError as missing:
        problem = f"needs the driver {missing.name}, which is not installed"
        remedy = f"pip install {_DRIVER_PACKAGES.get(missing.name or '', missing.name)}"
    except (SQLAlchemyError, TypeError, ValueError) as error:
        problem = f"is not usable ({type(error).__name__})"
        remedy = "compare it with the examples of SQLAlchemy"
    raise ConfigurationError(f"url_or_engine {problem}", parameter="url_or_engine", remedy=remedy)


_DRIVER_PACKAGES = {"psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""Modules of drivers whose package has another name, or needs an extra to work where no library is installed."""


def _create_privately(_dialect: Dialect, _record: object, args: list[str], _options: dict[str, Any]) -> None:
    """Create a SQLite file for this user alone, before SQLite makes it readable for all. A file that exists is kept."""
    with suppress(OSError):
        create_file(Path(args[0]))


def _connect_with_deadline(_dialect: Dialect, _record: object, args: list[Any], options: dict[str, Any]) -> Any:
    """Connect psycopg with a time limit for each statement."""
    from ._psycopg_deadline import connect

    return connect(*args, seconds=_STATEMENT_SECONDS + 1, **options)


def _refuse_unsupported(engine: Engine) -> None:
    if engine.dialect.name not in SUPPORTED:
        raise ConfigurationError(
            f"url_or_engine is for {engine.dialect.name}, which is not supported",
            parameter="url_or_engine",
            remedy=f"use {_DIALECTS}",
        )
    if engine.dialect.is_async:
        raise ConfigurationError(
            f"url_or_engine has the asynchronous driver {engine.dialect.driver}",
            parameter="url_or_engine",
            remedy=(
                f"use a synchronous one, such as {_DIALECTS}. It does not block an event loop, because stores are "
                "called on a worker thread"
            ),
        )
