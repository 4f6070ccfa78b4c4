"""A store in a PostgreSQL, MariaDB or MySQL database (or SQLite): shared by every host that reaches the database.

What it promises beyond `base`:

* Every verb is one statement in a transaction of its own. `save` is an UPDATE that names the version it replaces, so
  the database itself compares and sets; nothing is held between a load and a save.
* The lock is a row with an owner and an end by the database's clock, see `lease`. No connection is held meanwhile.
* What meets a deadlock or a connection that a restart has cut is repeated, a few times; a repeated save recognizes
  itself. All else is a `StoreError`, and none quotes a statement's parameters, because they hold the tokens.
* No connection crosses a fork.

For the files of one machine `SQLiteStore` is the better choice: it needs no SQLAlchemy, and its lock ends with its
holder's process.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any, Self, TypeVar

from ..errors import ConfigurationError, Conflict, StoreError
from ..errors._extras import import_failure
from ._forks import reset_in_child
from ._lease import LEASE_SECONDS, LeaseLocks, checked_lease, lease_lost
from ._token_store import Record, Version, from_json, to_json

try:
    from sqlalchemy import (
        URL,
        ColumnElement,
        Connection,
        Engine,
        Executable,
        create_engine,
        delete,
        exists,
        make_url,
        select,
        update,
    )
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
    from sqlalchemy.pool import NullPool
    from sqlalchemy.schema import CreateTable
    from sqlalchemy.sql.dml import Delete, Insert, Update

    from ._sql_errors import judge
    from ._sql_schema import MAX_KEY_BYTES, SUPPORTED, database_now, insert_if_missing, leases, metadata, records
except ImportError as error:
    raise import_failure("SQLStore", "sqlalchemy", "sql", error) from error

__all__ = ["SQLStore", "metadata"]

_Result = TypeVar("_Result")
_Write = Insert | Update | Delete

_ATTEMPTS = 5
_PAUSE = 0.05
_CONNECT_SECONDS = 5
_STATEMENT_SECONDS = 10
"""How long one statement may take before we give up; ours touch one row and take milliseconds."""

_PAGE = 500

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

_inherited: list[object] = []
"""Connection pools of our parent process: kept, because collecting them would say goodbye over its connections."""


class SQLStore:
    """Keeps tokens in the database at `url_or_engine`. Safe to use from many threads, processes and hosts.

    `url_or_engine`: a SQLAlchemy URL such as `"postgresql+psycopg://user:password@host/database"` or
    `"mariadb+pymysql://..."`, or an `Engine` of yours, made with `hide_parameters=True` so that its log shows no token.
    From a URL, connections have time limits, unless the driver is an unusual one; an engine brings its own.
    `lease`: seconds after which the lock of a crashed holder is free.
    Connects when first used. Raises `ConfigurationError` for anything that cannot work. A pickle carries the URL,
    password included, and no records; a copy is the same store.

        store = SQLStore("postgresql+psycopg://acme@db.internal/acme")
        store.create_schema()
        client = OAuthClient(BlnkCloud(), client_id="id", store=store)
    """

    def __init__(self, url_or_engine: str | URL | Engine, *, lease: float = LEASE_SECONDS) -> None:
        self._lease = checked_lease(lease)
        self._url = None if isinstance(url_or_engine, Engine) else _parsed(url_or_engine)
        self._engine = url_or_engine if isinstance(url_or_engine, Engine) else _engine_for(_parsed(url_or_engine))
        _refuse_unsupported(self._engine)
        # One statement, one transaction: also under REPEATABLE READ each sees what is stored now.
        # The row count of an INSERT is not kept without being asked for.
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT", preserve_rowcount=True)
        self._locks = LeaseLocks(_SQLLeases(self._write, self._engine.dialect.name, self._lease), self._lease)
        reset_in_child(self)

    def __repr__(self) -> str:
        # Without the query, where some drivers take a password too.
        return f"SQLStore({self._engine.url.set(query={}).render_as_string(hide_password=True)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._url is None:
            raise TypeError(
                "a SQLStore made from an engine cannot be pickled, because connections cannot travel to another "
                "process; make it from a URL, or make a new one there"
            )
        return _unpickled, (self._url.render_as_string(hide_password=False), self._lease)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections, unless the engine is yours. A later use connects again."""
        if self._url is not None:
            self._engine.dispose()

    def create_schema(self) -> None:
        """Create the two tables where they are missing. Any number of processes may do so at once."""
        self._perform("set up", _create_tables)

    def load(self, key: str) -> Record | None:
        """The record under `key`, or None. Raises `StoreError` if it cannot be read."""
        rows = self._rows(select(records.c.version, records.c.data).where(records.c.store_key == _checked(key)))
        if not rows:
            return None
        [(version, text)] = rows
        data = from_json(text)
        if data is None:
            raise StoreError(
                f"{self!r}: the record under key {key!r} is not a JSON object",
                remedy=(
                    f"other records are not affected. Restore it from a backup, or delete it (`delete({key!r})`) "
                    "and sign in again"
                ),
            )
        return Record(data=data, version=version)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Replace the version `expected` (None: the key must not exist yet) and return the new version.

        As durable as the database's commit. Raises `Conflict` if the stored version is another, `StoreError` if it
        cannot be written. If even whether it was written is unknown, that is a `StoreError` too.
        """
        text, version = to_json(data), secrets.token_hex(8)
        written = self._write(self._save_statement(_checked(key), expected).values(version=version, data=text))
        # A save whose first attempt was cut off after it took effect finds its own version.
        if not written and self._version(key) != version:
            raise Conflict(f"key {key!r} was written by somebody else meanwhile", remedy="load it again, then decide")
        return version

    def delete(self, key: str) -> None:
        """Remove `key`; no error if there is none.

        Raises `StoreError`, and removes nothing, if the calling thread held the key's lock and has lost it: what is
        stored may be a successor's.
        """
        statement = delete(records).where(records.c.store_key == _checked(key))
        owner = self._locks.owner_here(key)
        if owner is not None:
            statement = statement.where(exists().where(leases.c.store_key == key, leases.c.owner == owner))
        if not self._write(statement) and owner is not None and not self._is_held_by(key, owner):
            raise lease_lost(key)

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        """Exclude everyone else who shares the database from `key` while the context is open.

        The lock of a holder that died is free once its lease has run out. Not re-entrant. Raises `StoreError` on entry
        if the lock is not had within `timeout` seconds, and on leaving if it was lost meanwhile.
        """
        return self._locks.hold(_checked(key), timeout=timeout)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The stored keys that begin with `prefix`, in ascending order.

        Read page by page: keys written or deleted during the iteration may or may not appear.
        """
        page = self._keys_page(records.c.store_key >= _checked(prefix))
        while page:
            for key in page:
                # Keys with one prefix lie together in the order, so the first other one ends them.
                if not key.startswith(prefix):
                    return
                yield key
            page = self._keys_page(records.c.store_key > page[-1])

    def reset_after_fork(self) -> None:
        """Called in a forked child: its parent's connections are not to be used, nor to be closed."""
        _inherited.append(self._engine.pool)
        self._engine.dispose(close=False)

    def _save_statement(self, key: str, expected: Version | None) -> Insert | Update:
        if expected is None:
            return insert_if_missing(records, self._engine.dialect.name).values(store_key=key)
        return update(records).where(records.c.store_key == key, records.c.version == expected)

    def _version(self, key: str) -> Version | None:
        return next((row[0] for row in self._rows(select(records.c.version).where(records.c.store_key == key))), None)

    def _is_held_by(self, key: str, owner: str) -> bool:
        of_owner = select(leases.c.owner).where(leases.c.store_key == key, leases.c.owner == owner)
        return bool(self._rows(of_owner))

    def _keys_page(self, condition: ColumnElement[bool]) -> list[str]:
        query = select(records.c.store_key).where(condition).order_by(records.c.store_key).limit(_PAGE)
        return [key for (key,) in self._rows(query)]

    def _rows(self, statement: Executable) -> list[tuple[Any, ...]]:
        return self._perform("read", lambda connection: [tuple(row) for row in connection.execute(statement)])

    def _write(self, statement: _Write) -> int:
        """How many rows it changed."""
        return self._perform("written", lambda connection: connection.execute(statement).rowcount)

    def _perform(self, done: str, work: Callable[[Connection], _Result]) -> _Result:
        """The result of `work` on a connection. `done` completes "cannot be ..." in messages."""
        attempts_left = _ATTEMPTS
        while True:
            attempts_left -= 1
            try:
                with self._autocommit.connect() as connection:
                    return work(connection)
            except SQLAlchemyError as error:
                problem = judge(error, self._engine.url.password)
            # Not within the except clause: our error would hang on to that one, with the statement's parameters.
            if not problem.is_transient or not attempts_left:
                raise StoreError(f"{self!r} cannot be {done}: {problem.text}")
            time.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - spreads attempts, protects nothing


def _create_tables(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        # Not metadata.create_all, which looks first and then fails if somebody was faster.
        connection.execute(CreateTable(table, if_not_exists=True))


class _SQLLeases:
    """The leases in their table. A row lives as long as its lease is held, so no key stays behind."""

    def __init__(self, write: Callable[[_Write], int], dialect: str, lease: float) -> None:
        self._write = write
        self._dialect = dialect
        self._microseconds = round(lease * 1_000_000)

    def take(self, key: str, owner: str) -> bool:
        lent = {"owner": owner, "expires_at": database_now() + self._microseconds}
        if self._write(insert_if_missing(leases, self._dialect).values(store_key=key, **lent)):
            return True
        has_run_out = leases.c.expires_at <= database_now()
        # Or it is ours already: the answer to the first attempt was lost.
        free = has_run_out | (leases.c.owner == owner)
        return bool(self._write(update(leases).where(leases.c.store_key == key, free).values(**lent)))

    def renew(self, key: str, owner: str) -> bool:
        mine = update(leases).where(leases.c.store_key == key, leases.c.owner == owner)
        return bool(self._write(mine.values(expires_at=database_now() + self._microseconds)))

    def give_back(self, key: str, owner: str) -> bool:
        return bool(self._write(delete(leases).where(leases.c.store_key == key, leases.c.owner == owner)))

    def whereabouts(self, key: str) -> str:
        return f"the column owner of table {leases.name}"


def _parsed(url: str | URL) -> URL:
    with suppress(ArgumentError, ValueError):
        return make_url(url)
    # Outside of the except clause, because SQLAlchemy's error quotes the URL, and so the password.
    raise ConfigurationError(
        "url_or_engine must be an Engine or a SQLAlchemy URL, such as 'postgresql+psycopg://user:password@host/database'",
        parameter="url_or_engine",
    )


def _engine_for(url: URL) -> Engine:
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "hide_parameters": True}
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ConfigurationError(
                "url_or_engine names a database in memory",
                parameter="url_or_engine",
                remedy="use MemoryStore() for that",
            )
        # SQLite's file locks do not survive a fork with an open connection, so none stays open.
        options["poolclass"] = NullPool
    try:
        limits = _TIME_LIMITS.get(url.get_driver_name(), {})
        # What the URL says itself goes first.
        limits = {name: value for name, value in limits.items() if name not in url.query}
        return create_engine(url, connect_args=limits, **options)
    except NoSuchModuleError:
        problem = f"names the dialect {url.drivername!r}, which SQLAlchemy does not know; use {_DIALECTS}"
    except ModuleNotFoundError as missing:
        problem = f"needs the driver {missing.name}, which is not installed: pip install {missing.name}"
    except (SQLAlchemyError, TypeError) as error:
        problem = f"is not usable ({type(error).__name__}); compare it with the examples of SQLAlchemy"
    raise ConfigurationError(f"url_or_engine {problem}", parameter="url_or_engine")


_DIALECTS = "postgresql+psycopg, mariadb+pymysql, mysql+pymysql or sqlite"


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
                f"use a synchronous one, such as {_DIALECTS}. It does not block an event loop, "
                "because stores are called on a worker thread"
            ),
        )


def _checked(key: str) -> str:
    """`key`, if every supported database can keep it."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        size = -1
    if size < 0 or "\0" in key:
        raise StoreError(f"key {key!r} is not valid Unicode or holds a NUL character", remedy="use another key")
    if size > MAX_KEY_BYTES:
        raise StoreError(
            f"key {key[:40]!r}... has {size} bytes, the most is {MAX_KEY_BYTES}", remedy="use a shorter key"
        )
    return key


def _unpickled(url: str, lease: float) -> SQLStore:
    return SQLStore(url, lease=lease)
