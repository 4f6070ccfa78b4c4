"""A store in a PostgreSQL, MariaDB or MySQL database (or SQLite): shared by every host that reaches the database.

Used by users with several hosts. It promises, in addition to what `_token_store` promises:

* `save` is an UPDATE that names the version it replaces, so the database itself compares and sets; no transaction is
  open between a load and a save.
* The lock is a row with an owner, which expires by the database's clock, see `_lease`. While a thread has the lock, no
  connection is in use.
* The tables have a version: a release refuses tables of a newer one, and `create_schema` brings older ones up to date.

On one machine, prefer `SQLiteStore`: it does not need SQLAlchemy, and its lock is free as soon as the process that has
it ends. This module never imports SQLAlchemy before a store is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from ..errors import StoreError, clears_locals
from ..errors._extras import NamedInAnnotations, needs_extra
from ..errors._pickling import public
from ._due import UNKNOWN, DueEntry, DueStore, saved_due_at
from ._lease import LEASE_SECONDS, LeaseLocks, checked_lease, lease_lost
from ._pages import keys_in_order, rows_in_order
from ._server_url import call_for, pickled_url
from ._store_handle import PickledByArguments
from ._token_store import Record, Version, conflict, from_json, new_version, to_json, unreadable

if TYPE_CHECKING:
    import sqlalchemy

    from ._sql_database import Database
else:
    sqlalchemy = NamedInAnnotations("sqlalchemy")

__all__ = ["SQLStore"]


@public
@clears_locals
class SQLStore(PickledByArguments, DueStore):
    """Keeps tokens in a database. Safe to use from many threads, processes and hosts.

    Connects when first used. A pickle carries no records, and the URL only if it has no password. For a store that is
    passed to another process, give a callable that returns the URL. A copy is the same store.

        store = SQLStore("postgresql+psycopg://acme@db.internal/acme")
        store.create_schema()
        client = OAuthClient(BlnkCloud(), client_id="id", store=store)

    What its methods do beyond `TokenStore`:

    * `save` is as durable as the database's commit.
    * `lock` excludes everyone who shares the database. If a holder crashes, its lock is free once the lease has run
      out.
    * `delete` raises `StoreError` and removes nothing if the calling thread had the key's lock and has lost it, because
      the new holder of the lock may have written the record.
    * `keys` reads page by page: keys written or deleted during the iteration may or may not appear.

    Args:
        url_or_engine: A SQLAlchemy URL such as `"postgresql+psycopg://user:password@host/database"` or
            `"mariadb+pymysql://..."`, or your own `Engine`. Their logs never show a token. Connections made from a URL
            have time limits, unless the driver is an unusual one; an engine brings its own. Or a callable that returns
            the
            URL: it is called when the store is first used in a process.
        lease: Seconds after which the lock of a crashed holder is free, from 0.1 to 86,400.

    Raises:
        ConfigurationError: SQLAlchemy or the driver is missing, or a parameter cannot work.
    """

    def __init__(
        self,
        url_or_engine: str | sqlalchemy.URL | sqlalchemy.Engine | Callable[[], str | sqlalchemy.URL],
        *,
        lease: float = LEASE_SECONDS,
    ) -> None:
        self._lease = checked_lease(lease)
        with needs_extra("sql", "sqlalchemy", needed_by="SQLStore"):
            from ._sql_database import Database
        self._database_type = Database
        self._url: Callable[[], str | sqlalchemy.URL] | None = None
        self._opened: Database | None = None
        if callable(url_or_engine):
            self._url = url_or_engine
        else:
            self._opened = Database(url_or_engine)
        self._locks = LeaseLocks(_SQLLeases(self, self._lease), self._lease)

    @property
    def _database(self) -> Database:
        if self._opened is None:
            assert self._url is not None  # noqa: S101 - else it was opened when the store was made
            self._opened = self._database_type(call_for("url_or_engine", self._url))
        return self._opened

    def __repr__(self) -> str:
        return "SQLStore(url_or_engine=<callable>)" if self._opened is None else repr(self._opened)

    def _arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self._url is not None:
            return (self._url,), {"lease": self._lease}
        url = self._database.url
        if url is None:
            raise TypeError(
                "a SQLStore made from an engine cannot be pickled, because connections cannot travel to another "
                "process; make it from a URL, or make a new one there"
            )
        return (pickled_url(url.render_as_string(hide_password=False), "url_or_engine"),), {"lease": self._lease}

    def close(self) -> None:
        """Close idle connections. An engine that was passed to the store is not closed.

        May be called from any thread, and repeatedly. A later use connects again.
        """
        if self._opened is not None:
            self._opened.close()

    def create_schema(self) -> None:
        """Create the tables where they are missing, and bring those of an earlier version up to date.

        It keeps every record. Any number of processes may call it at the same time. The user in the URL needs the right
        to create tables.

        Raises:
            StoreError: The tables cannot be created, or were made by a newer version of this package.
        """
        self._database.create_schema()

    def load(self, key: str) -> Record | None:
        found = self._database.record(self._database.checked(key))
        if found is None:
            return None
        version, text = found
        data = from_json(text)
        if data is not None:
            return Record(data=data, version=version)
        raise unreadable(key, f"it is not a JSON object, in {self!r}")

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        version = new_version()
        if not self._database.write(self._database.checked(key), expected, version, to_json(data), saved_due_at(data)):
            raise conflict(key)
        return version

    def delete(self, key: str) -> None:
        if not self._database.delete(self._database.checked(key), self._locks.owner_here(key)):
            raise lease_lost(key)

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        return self._locks.hold(self._database.checked(key), timeout=timeout)

    def keys(self, prefix: str = "") -> Iterator[str]:
        database = self._database
        rows = rows_in_order(database.keys_from, database.keys_after, database.checked(prefix), self._out_of_order)
        return keys_in_order(rows, prefix)

    def due(
        self, prefix: str, before: float, *, after: tuple[float, str] | None = None, limit: int
    ) -> list[DueEntry] | None:
        """Find the next due records by the index.

        Args:
            prefix: What their keys begin with.
            before: UTC epoch seconds. Records that are due at this moment or later are not returned.
            after: The `due_at` and the key of the last entry of the page before. None: the first page.
            limit: How many entries are returned at most.

        Returns:
            The entries behind `after`, ascending by (due_at, key). None: the tables are of an earlier version, so every
            record is read until `create_schema` has been called.

        Raises:
            StoreError: The database cannot be read.
        """
        rows = self._database.due(self._database.checked(prefix), before, after, limit)
        return None if rows is None else [DueEntry(due_at, key, due_at > UNKNOWN) for due_at, key in rows]

    def note_due(self, found: Sequence[tuple[str, str, float | None]]) -> None:
        self._database.note_due([(self._database.checked(key), version, due_at) for key, version, due_at in found])

    def repair_due(self, prefix: str) -> Iterator[int]:
        """Do nothing: the index is a part of the table, so it lacks no record.

        Args:
            prefix: What the keys of the records begin with.

        Returns:
            An iterator that is empty. It raises nothing.
        """
        return iter(())

    def _out_of_order(self) -> StoreError:
        return StoreError(
            f"{self!r} cannot be read: the database returns keys in a wrong order",
            remedy=(
                "rebuild the index of blnk_auth_records (REINDEX, OPTIMIZE TABLE), and compare its columns with the "
                "documented ones: keys need the collation C, or VARBINARY"
            ),
        )


class _SQLLeases:
    """The leases in their table. A row exists as long as its lease, so no key stays behind."""

    def __init__(self, store: SQLStore, lease: float) -> None:
        self._store = store
        self._microseconds = round(lease * 1_000_000)

    def take(self, key: str, owner: str) -> bool:
        return self._database.take_lease(key, owner, self._microseconds)

    def renew(self, key: str, owner: str) -> bool:
        return self._database.renew_lease(key, owner, self._microseconds)

    def give_back(self, key: str, owner: str) -> bool:
        return self._database.end_lease(key, owner)

    @property
    def _database(self) -> Database:
        return self._store._database  # pyright: ignore[reportPrivateUsage] - a part of it

    def describe(self, key: str) -> str:
        return "the column owner of table blnk_auth_leases"
