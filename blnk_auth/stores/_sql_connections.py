"""What a `SQLStore` connects with: an `Engine` of SQLAlchemy, made from a URL, with time limits; or that of the user.

Used by `_sql_database`. It promises that no error quotes the URL, which may have a password. It never connects. This
module needs SQLAlchemy.
"""

from __future__ import annotations

import functools
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from ..errors import ConfigurationError, is_text
from ._private_file import create_file
from ._sql_schema import SUPPORTED

_MOST_CONNECTIONS = 15
"""Of one process, as SQLAlchemy's default is. But it would keep five: sixteen threads that renew then connect again and
again, which costs more than the statements. All that were ever needed at the same time are kept."""

_CONNECT_SECONDS = 5
STATEMENT_SECONDS = 10
"""Seconds that one statement may take. The statements of a store touch one row and take milliseconds."""

MIGRATION_SECONDS = 3600
"""Seconds that a statement of a migration may take: an index of a million records takes some."""


def _time_limits(driver: str, seconds: int) -> dict[str, Any]:
    """The options of a driver by which its statements take at most so many seconds."""
    if driver in ("psycopg", "psycopg2"):
        return {
            "connect_timeout": _CONNECT_SECONDS,
            "tcp_user_timeout": seconds * 1000,
            "options": f"-c statement_timeout={seconds}s",
        }
    if driver in ("pymysql", "mysqldb"):
        return {"connect_timeout": _CONNECT_SECONDS, "read_timeout": seconds, "write_timeout": seconds}
    return {"timeout": 30} if driver == "pysqlite" else {}


_DIALECTS = "postgresql+psycopg, mariadb+pymysql, mysql+pymysql or sqlite"


def parsed(url: str | URL) -> URL:
    if not isinstance(url, str) or is_text(url):
        with suppress(ArgumentError, ValueError):
            return make_url(url)
    # Raised outside of the except clause, because SQLAlchemy's error quotes the URL, and so the password.
    raise ConfigurationError(
        "url_or_engine must be a SQLAlchemy URL or an Engine",
        parameter="url_or_engine",
        remedy="pass one, such as 'postgresql+psycopg://user:password@host/database'",
    )


def engine_for(url: URL, seconds: int = STATEMENT_SECONDS) -> Engine:
    """An `Engine` whose statements take at most so many seconds."""
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
    else:
        # The one that was used last is used next, so that the others may be closed by the server.
        options |= {"pool_size": _MOST_CONNECTIONS, "max_overflow": 0, "pool_use_lifo": True}
    try:
        limits = _time_limits(url.get_driver_name(), seconds)
        # Limits in the URL have precedence.
        limits = {name: value for name, value in limits.items() if name not in url.query}
        engine = create_engine(url, connect_args=limits, **options)
        # No ROLLBACK after each statement, which has been committed: half of all round trips of pymysql. The parameter
        # of create_engine that sets this exists from SQLAlchemy 2.0.43 on; earlier versions ignore it here.
        engine.dialect.skip_autocommit_rollback = True
        if url.get_backend_name() == "sqlite":
            event.listen(engine, "do_connect", _create_privately)
        if url.get_driver_name() == "psycopg":
            event.listen(engine, "do_connect", functools.partial(_connect_with_deadline, seconds))
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


def _connect_with_deadline(
    seconds: int, _dialect: Dialect, _record: object, args: list[Any], options: dict[str, Any]
) -> Any:
    """Connect psycopg with a time limit for each statement."""
    from ._psycopg_deadline import connect

    return connect(*args, seconds=seconds + 1, **options)


def refuse_unsupported(engine: Engine) -> None:
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
