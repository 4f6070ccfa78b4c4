"""Finds the problem and the remedy for each error of a database.

Used by `_sql_database`; needs SQLAlchemy. It promises a remedy for every error. It never quotes a statement:
SQLAlchemy's error text has the statement's parameters, and a driver's may have the row that could not be written. Both
contain tokens. So only the error's class and code are reported. The text is reported only while connecting, before any
statement was sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_LOCKED = "another session keeps the row or the table locked; find it and end it, then try again"
_READ_ONLY_REMEDY = "the database is read-only; let the url lead to the primary"
_NO_ANSWER = (
    "the database has accepted the statement and does not answer: look whether it is suspended, or waits for a "
    "synchronous standby (wait_event SyncRep in pg_stat_activity)"
)
_NO_ROOM = "make room on the database's disk, then try again"
_RIGHTS = (
    "grant the user SELECT, INSERT, UPDATE and DELETE on blnk_auth_records and blnk_auth_leases, and SELECT on "
    "blnk_auth_schema; create_schema() also needs the right to create tables"
)
_SIGN_IN = "check the user and the password in the url"
_NO_TABLE = "its tables are missing; call create_schema() once, or add them with your migrations"
_CONNECT = "check that the database runs and that the url leads to it"
_OTHER = "read the database's log for the cause"

_GUIDE = "as the how-to 'Keep tokens in PostgreSQL, MariaDB or Redis' shows"
_POOLER = (
    "most likely PgBouncer is in between, which refuses the option that limits the time of a statement; "
    f"pass an engine with connect_args={{'prepare_threshold': None}}, {_GUIDE}"
)
_PREPARED = (
    "a pooler such as PgBouncer is in between, where prepared statements get lost; pass an engine with "
    f"connect_args={{'prepare_threshold': None}}, {_GUIDE}"
)

NO_TABLE = frozenset(("42P01", "1146"))
"""The codes of PostgreSQL and MySQL for a table that does not exist. The first is used for SQLite too, which has no
code of its own."""

_READ_ONLY = frozenset(("25006", "1290", "1792", "1836"))

_REMEDIES = {
    # SQLSTATE of PostgreSQL
    **dict.fromkeys(("28000", "28P01"), _SIGN_IN),
    **dict.fromkeys(("55P03", "57014"), _LOCKED),
    "08007": _NO_ANSWER,
    "42501": _RIGHTS,
    "53100": _NO_ROOM,
    **dict.fromkeys(("42P05", "26000"), _PREPARED),
    # error numbers of MySQL and MariaDB
    "1045": _SIGN_IN,
    "1205": _LOCKED,
    **dict.fromkeys(("1044", "1142"), _RIGHTS),
    **dict.fromkeys(("1021", "1114"), _NO_ROOM),
    # of PostgreSQL, and of MySQL and MariaDB
    **dict.fromkeys(_READ_ONLY, _READ_ONLY_REMEDY),
    **dict.fromkeys(NO_TABLE, _NO_TABLE),
    # result codes of SQLite
    **dict.fromkeys(("SQLITE_BUSY", "SQLITE_LOCKED"), _LOCKED),
    "SQLITE_READONLY": "make the file and its directory writable for this user",
    "SQLITE_FULL": _NO_ROOM,
}

_TRANSIENT = {
    # A primary that was demoted: the next connection may lead to the current primary.
    *_READ_ONLY,
    # Deadlock, and serialization failure: https://www.postgresql.org/docs/current/errcodes-appendix.html
    *("40001", "40P01", "1213"),
    # Two processes created a table at the same moment, for which PostgreSQL's IF NOT EXISTS is not enough.
    *("23505", "42P07"),
}


_CODE_ATTRIBUTES = ("sqlstate", "pgcode", "sqlite_errorname")
"""Of psycopg, psycopg2 and sqlite3."""


@dataclass(frozen=True, slots=True)
class DatabaseProblem:
    """What is wrong and what to do, without a secret.

    `code`: the database's own code for it, empty if it has none. `is_transient`: the next attempt may work.
    """

    problem: str
    remedy: str
    code: str = ""
    is_transient: bool = False


NOT_TEXT = DatabaseProblem(
    "the database returned text that is not UTF-8",
    "a record was changed by another program: restore it from a backup, or delete it and sign in again",
)


def is_read_only(error: DBAPIError) -> bool:
    """Whether the server refused a write because it is not, or is no longer, the primary."""
    return _code(error) in _READ_ONLY


def judge(error: SQLAlchemyError, password: str | None = None, *, connected: bool = True) -> DatabaseProblem:
    """The problem and the remedy for an error. `password` is replaced where a driver quotes it."""
    if isinstance(error, PoolTimeoutError):
        return DatabaseProblem("no connection of the pool was free in time", "make the pool larger")
    if not isinstance(error, DBAPIError):
        return DatabaseProblem(type(error).__name__, _OTHER)
    code = _code(error)
    # Once connected, an error without a statement was raised while reading rows, and may quote them.
    if error.statement is None and not connected:
        text = _first_line(error)
        if password:
            text = text.replace(password, "***")
        remedy = _POOLER if "unsupported startup parameter" in text else _REMEDIES.get(code, _CONNECT)
        return DatabaseProblem(text, remedy, code)
    # After a lost connection the pool makes new ones; the first attempt may just have met a restarted database.
    is_transient = error.connection_invalidated or code in _TRANSIENT
    text = f"{type(error.orig).__name__} {code}".rstrip()
    return DatabaseProblem(text, _REMEDIES.get(code, _OTHER), code, is_transient)


def _code(error: DBAPIError) -> str:
    cause = error.orig
    # SQLite has no code for a missing table.
    if str(cause).startswith("no such table"):
        return "42P01"
    first = cause.args[0] if cause is not None and cause.args else None
    # MySQL's own numbers are more specific than its SQLSTATEs.
    if isinstance(first, int):
        return str(first)
    return next((str(getattr(cause, name)) for name in _CODE_ATTRIBUTES if getattr(cause, name, None)), "")


def _first_line(error: DBAPIError) -> str:
    cause = error.orig
    # MySQL's drivers give the number first.
    text = str(cause.args[-1] if cause is not None and cause.args else cause)
    return next(iter(text.strip().splitlines()), type(cause).__name__)
