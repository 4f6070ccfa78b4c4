"""SQLStore against the contract on real PostgreSQL, MariaDB and SQLite, and what it promises beyond it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Dialect, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.engine import Engine
from sqlalchemy.schema import CreateTable
from support.canary.leaks import everything_in, leaks
from support.errors import raises
from support.limits import PATIENCE
from support.server_processes import MariaDBServer, PostgresServer, Server
from support.shared_servers import fresh_database
from support.stores.lease_contract import (
    LeaseStoreContract,
    check_a_dead_server_stops_renewals_only,
    check_a_server_that_dies_during_the_token_call_costs_no_pair,
)
from support.stores.workers import create_schema_when_told

from blnk_auth.errors import ConfigurationError, Conflict, StoreError
from blnk_auth.stores import DueEntry, SQLStore, _sql_errors, metadata
from blnk_auth.stores._psycopg_deadline import NoAnswerInTime, connect
from blnk_auth.stores._sql_connections import engine_for
from blnk_auth.stores._sql_migrations import MIGRATIONS, check_version, migrate
from blnk_auth.stores._token_store import TokenStore
from blnk_auth.testing.store_contract import run_processes

ROOT = Path(__file__).parents[2]
KINDS = ("postgresql", "mariadb", "sqlite")


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A new database with nothing in it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'tokens.db'}"
        return
    server = request.getfixturevalue("postgres_url" if request.param == "postgresql" else "mariadb_url")
    with fresh_database(server) as url:
        yield url


@pytest.fixture
def store(url: str) -> Iterator[SQLStore]:
    with SQLStore(url) as store:
        store.create_schema()
        yield store


@pytest.fixture
def raw(url: str) -> Iterator[Engine]:
    """A connection past the store."""
    engine = create_engine(url)
    yield engine
    engine.dispose()


def run(engine: Engine, statement: str, **values: Any) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement), values)


class SQLContract(LeaseStoreContract):
    @pytest.fixture
    def open_store(self, url: str, store: SQLStore) -> Callable[..., SQLStore]:
        return partial(SQLStore, url, lease=2.0)

    @pytest.fixture
    def store(self, url: str) -> Iterator[SQLStore]:
        with SQLStore(url, lease=2.0) as store:
            store.create_schema()
            yield store

    @pytest.fixture
    def run_out(self, raw: Engine) -> Callable[[str], None]:
        return lambda key: run(raw, "UPDATE blnk_auth_leases SET expires_at = 1")


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
class TestPostgreSQL(SQLContract):
    pass


@pytest.mark.parametrize("url", ["mariadb"], indirect=True)
class TestMariaDB(SQLContract):
    pass


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
class TestSQLite(SQLContract):
    # SQLite's locks do not survive a fork in the middle of another thread's statement. SQLiteStore sees to that.
    test_a_fork_amid_other_threads_writes_is_safe = None  # type: ignore[assignment]


# The schema


def test_missing_tables_are_an_error_with_the_remedy(url: str) -> None:
    """Before create_schema() the error of every verb names it."""
    with SQLStore(url) as store:
        for verb in (
            lambda: store.load("alice"),
            lambda: store.save("alice", {}, expected=None),
            lambda: store.delete("alice"),
            lambda: list(store.keys()),
            lambda: store.lock("alice", timeout=PATIENCE).__enter__(),
        ):
            with raises(StoreError, parameter="schema"):
                verb()


def test_the_schema_is_created_once(store: SQLStore) -> None:
    """Creating the schema again changes nothing."""
    store.save("alice", {"n": 1}, expected=None)
    store.create_schema()
    assert list(store.keys()) == ["alice"]


def test_four_processes_create_the_schema_at_the_same_time(url: str) -> None:
    """Any number of processes may create the schema at the same moment."""
    run_processes(4, create_schema_when_told, partial(SQLStore, url))
    with SQLStore(url) as store:
        store.save("alice", {}, expected=None)


def test_metadata_describes_what_is_created(store: SQLStore, raw: Engine) -> None:
    """A migration tool that reads `metadata` finds the tables as they are."""
    assert set(inspect(raw).get_table_names()) == set(metadata.tables)
    for name, table in metadata.tables.items():
        assert [column["name"] for column in inspect(raw).get_columns(name)] == [
            column.name for column in table.columns
        ]


@pytest.mark.parametrize("dialect", [psycopg.dialect(), mysql.dialect()], ids=("postgresql", "mysql"))
def test_the_documents_show_the_schema(dialect: Dialect) -> None:
    """The DDL in the how-to is what create_schema() runs."""
    shown = "".join((ROOT / "docs" / "how-to" / "use-postgresql-or-redis.md").read_text("utf-8").split())
    for table in metadata.sorted_tables:
        compiled = "".join(str(CreateTable(table).compile(dialect=dialect)).split())
        # Before SQLAlchemy 2.1, the order of the two options differs from run to run.
        assert compiled.replace("CHARSET=utf8mb4ENGINE=InnoDB", "ENGINE=InnoDBCHARSET=utf8mb4") in shown


FIRST_TABLES = {
    "postgresql": (
        (
            'CREATE TABLE blnk_auth_records (store_key TEXT COLLATE "C" NOT NULL, version TEXT COLLATE "C" NOT NULL, '
            "data TEXT NOT NULL, PRIMARY KEY (store_key))"
        ),
        (
            'CREATE TABLE blnk_auth_leases (store_key TEXT COLLATE "C" NOT NULL, owner TEXT COLLATE "C" NOT NULL, '
            "expires_at BIGINT NOT NULL, PRIMARY KEY (store_key))"
        ),
    ),
    "mysql": (
        (
            "CREATE TABLE blnk_auth_records (store_key VARBINARY(2048) NOT NULL, version VARBINARY(2048) NOT NULL, "
            "data LONGTEXT NOT NULL, PRIMARY KEY (store_key)) ENGINE=InnoDB CHARSET=utf8mb4"
        ),
        (
            "CREATE TABLE blnk_auth_leases (store_key VARBINARY(2048) NOT NULL, owner VARBINARY(2048) NOT NULL, "
            "expires_at BIGINT NOT NULL, PRIMARY KEY (store_key)) ENGINE=InnoDB CHARSET=utf8mb4"
        ),
    ),
    "sqlite": (
        (
            "CREATE TABLE blnk_auth_records (store_key TEXT NOT NULL, version TEXT NOT NULL, data TEXT NOT NULL, "
            "PRIMARY KEY (store_key))"
        ),
        (
            "CREATE TABLE blnk_auth_leases (store_key TEXT NOT NULL, owner TEXT NOT NULL, expires_at BIGINT NOT NULL, "
            "PRIMARY KEY (store_key))"
        ),
    ),
}
"""The tables as the first release made them, before there was a table with their version."""


@pytest.fixture
def first_tables(raw: Engine) -> None:
    """The tables of the time before there was a version, with a record in them."""
    for statement in FIRST_TABLES["mysql" if raw.dialect.name == "mariadb" else raw.dialect.name]:
        run(raw, statement)
    run(raw, "INSERT INTO blnk_auth_records (store_key, version, data) VALUES ('alice', 'v1', '{\"n\": 1}')")


def version_of(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return [number for (number,) in connection.execute(text("SELECT version FROM blnk_auth_schema")).fetchall()]


def uses(store: SQLStore) -> None:
    """Every verb works."""
    with store.lock("alice", timeout=PATIENCE):
        record = store.load("alice")
        assert record is not None
        store.save("alice", {"n": record.data["n"] + 1}, expected=record.version)
    store.save("bob", {}, expected=None)
    assert list(store.keys()) == ["alice", "bob"]
    store.delete("bob")


def test_tables_without_a_version_work_as_they_are(first_tables: None, url: str, raw: Engine) -> None:
    """What an earlier release made is used without a migration: the user in the URL may not be allowed one."""
    with SQLStore(url) as store:
        uses(store)
    assert "blnk_auth_schema" not in inspect(raw).get_table_names()


def test_tables_without_a_version_are_migrated(first_tables: None, url: str, raw: Engine) -> None:
    """`create_schema` gives them a version, keeps every record, and does nothing when called again."""
    with SQLStore(url) as store:
        store.create_schema()
        uses(store)
        store.create_schema()
        assert version_of(raw) == [len(MIGRATIONS)]
        record = store.load("alice")
        assert record is not None
        assert record.data == {"n": 2}


def test_the_index_of_due_records_is_made_by_the_migration(first_tables: None, url: str, raw: Engine) -> None:
    """Before it there is none, so every record is read; after it those records count as due until corrected."""
    with SQLStore(url) as store, SQLStore(url) as other:
        uses(store)
        assert store.due("", 9.0, limit=9) is None
        store.note_due([("alice", "v1", 5.0)])
        other.create_schema()
        # What a process saves that has not noticed yet counts as due.
        store.save("carol", {"due_at": 1e9}, expected=None)
        entries = [DueEntry(0.0, "alice", is_exact=False), DueEntry(0.0, "carol", is_exact=False)]
        assert other.due("", 9.0, limit=9) == entries
        store._database._asked_at = -1e9
        assert store.due("", 9.0, limit=9) == entries
        record = store.load("alice")
        assert record is not None
        store.note_due([("alice", record.version, 5.0)])
        assert store.due("a", 9.0, limit=9) == [DueEntry(5.0, "alice", is_exact=True)]
        store.save("carol", {"due_at": 6.0}, expected=getattr(store.load("carol"), "version", None))
        assert store.due("c", 9.0, limit=9) == [DueEntry(6.0, "carol", is_exact=True)]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_tables_in_another_schema_are_migrated(raw: Engine) -> None:
    """An `Engine` with a `schema_translate_map` changes the tables that it reads, and no others."""
    run(raw, "CREATE SCHEMA acme")
    engine = raw.execution_options(schema_translate_map={None: "acme"})
    with engine.connect() as connection:
        migrate(connection.execution_options(isolation_level="AUTOCOMMIT"), MIGRATIONS[:1])
    with SQLStore(engine) as store:
        store.save("alice", {"due_at": 5.0}, expected=None)
        store.create_schema()
        assert store.due("", 9.0, limit=9) == [DueEntry(0.0, "alice", is_exact=False)]
    assert inspect(raw).get_table_names() == []


@pytest.mark.parametrize("due_at", [None, 5e9], ids=["never due", "due later"])
def test_what_a_process_of_the_previous_version_saves_counts_as_due(
    store: SQLStore, raw: Engine, due_at: float | None
) -> None:
    """It knows no index: what it changes and what it adds is found until it was read."""
    store.save("alice", {"due_at": due_at}, expected=None)
    assert store.due("", 1e9, limit=9) == []
    run(raw, "UPDATE blnk_auth_records SET version = 'v2', data = '{}' WHERE store_key = 'alice'")
    run(raw, "INSERT INTO blnk_auth_records (store_key, version, data) VALUES ('bob', 'v1', '{}')")
    assert [(entry.due_at, entry.key) for entry in store.due("", 1e9, limit=9) or ()] == [(0.0, "alice"), (0.0, "bob")]


def test_four_processes_migrate_at_the_same_time(first_tables: None, url: str, raw: Engine) -> None:
    """Any number of processes may migrate the same tables at the same moment."""
    run_processes(4, create_schema_when_told, partial(SQLStore, url))
    assert version_of(raw) == [len(MIGRATIONS)]
    with SQLStore(url) as store:
        uses(store)


def test_a_newer_schema_is_refused(store: SQLStore, url: str, raw: Engine) -> None:
    """Tables of a newer release are neither used nor changed, and the error recommends an upgrade."""
    run(raw, "UPDATE blnk_auth_schema SET version = 99")
    with SQLStore(url) as other:
        for verb in (lambda: other.load("alice"), lambda: other.save("alice", {}, expected=None), other.create_schema):
            with raises(StoreError, shows="schema version 99"):
                verb()
    assert version_of(raw) == [99]


def add_a_column(connection: Connection) -> None:
    """What a later release may do; as every migration, it can be run again."""
    if "note" not in {column["name"] for column in inspect(connection).get_columns("blnk_auth_records")}:
        connection.execute(text("ALTER TABLE blnk_auth_records ADD COLUMN note INTEGER"))


def crash(connection: Connection) -> None:
    raise KeyboardInterrupt


LATER = (*MIGRATIONS, add_a_column)


def test_an_older_schema_is_migrated_before_it_is_used(store: SQLStore, raw: Engine) -> None:
    """A release that needs newer tables reports it; an interrupted migration is finished by the next one."""
    autocommit = raw.execution_options(isolation_level="AUTOCOMMIT")
    store.save("alice", {"n": 1}, expected=None)
    with autocommit.connect() as connection:
        with raises(StoreError, parameter="schema"):
            check_version(connection, LATER, usable_from=len(LATER))
        with pytest.raises(KeyboardInterrupt):
            migrate(connection, (*LATER, crash))
        assert version_of(raw) == [len(MIGRATIONS)]
    with autocommit.connect() as connection:
        migrate(connection, LATER)
        check_version(connection, LATER)
    assert version_of(raw) == [len(LATER)]
    assert "note" in {column["name"] for column in inspect(raw).get_columns("blnk_auth_records")}
    with raises(StoreError, shows=f"version {len(LATER)}"):
        SQLStore(raw).load("alice")


# The lock


def test_a_lease_that_nobody_took_is_not_lost(store: SQLStore, raw: Engine) -> None:
    """A holder that was paused, with nobody there to take its lease, continues and saves and deletes."""
    with store.lock("alice", timeout=PATIENCE):
        run(raw, "UPDATE blnk_auth_leases SET expires_at = 1")
        store.delete("alice")


def test_a_lock_leaves_no_row(store: SQLStore, raw: Engine) -> None:
    """While it is taken the row names host and process of its holder; afterwards no trace of the key is left."""
    with store.lock("alice", timeout=PATIENCE), raw.connect() as connection:
        [(owner,)] = connection.execute(text("SELECT owner FROM blnk_auth_leases")).fetchall()
        assert f"/{os.getpid()}/" in (owner.decode() if isinstance(owner, bytes) else owner)
    with raw.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM blnk_auth_leases")).scalar() == 0


def test_no_connection_is_kept_under_the_lock(url: str) -> None:
    """A pool of one connection is enough, since the lock holds none during the work."""
    engine = create_engine(url, pool_size=1, max_overflow=0, pool_timeout=5, hide_parameters=True)
    store = SQLStore(engine)
    store.create_schema()
    with store.lock("alice", timeout=PATIENCE):
        assert engine.pool.status().count("Checked out connections: 0") or "NullPool" in repr(engine.pool)
        store.save("alice", {}, expected=None)
    engine.dispose()


@pytest.mark.parametrize("url", ["postgresql", "mariadb"], indirect=True)
def test_connections_that_were_needed_at_the_same_time_are_kept(url: str) -> None:
    """Threads that renew do not connect again and again."""
    engine, made = engine_for(make_url(url)), list[object]()
    event.listen(engine, "connect", lambda connection, _record: made.append(connection))
    for _ in range(2):
        with ExitStack() as stack:
            for _ in range(15):
                stack.enter_context(engine.connect())
    engine.dispose()
    assert len(made) == 15


# Keys


def test_keys_are_read_page_by_page(store: SQLStore, raw: Engine) -> None:
    """Over more keys than a page holds, `keys` gives each once in order while others are written and deleted."""
    names = [f"k{number:04}" for number in range(1200)]
    with raw.begin() as connection:
        insert = text("INSERT INTO blnk_auth_records (store_key, version, data) VALUES (:key, 'v', '{}')")
        connection.execute(insert, [{"key": name} for name in [*names, "l"]])
    seen: list[str] = []
    for key in store.keys("k"):
        seen.append(key)
        if len(seen) % 100 == 0:
            store.delete(key)
            store.save(f"a{key}", {}, expected=None)
    assert seen == names


def test_the_longest_key_fits(store: SQLStore) -> None:
    """A key of 2,048 bytes works; a longer one is refused, not cut off."""
    longest = "ü" * 1024
    store.save(longest, {"n": 1}, expected=None)
    with store.lock(longest, timeout=PATIENCE):
        assert list(store.keys("ü")) == [longest]
    for verb in (store.load, store.delete):
        with raises(StoreError, shows="2049 bytes"):
            verb(f"{longest}x")


@pytest.mark.parametrize("key", ["\ud800", "nul \0"])
def test_a_key_that_no_database_keeps_is_refused(store: SQLStore, key: str) -> None:
    """A lone surrogate and a NUL character are refused by every verb."""
    for verb in (store.load, store.delete, lambda key: store.save(key, {}, expected=None), store.keys):
        with raises(StoreError, shows=repr(key)):
            list(verb(key) or ())


# Faults


@pytest.mark.parametrize("damage", ['{"access_token": "s3cr3t', '["s3cr3t"]', ""], ids=("cut short", "list", "empty"))
def test_an_unreadable_record_is_an_error_of_its_own(store: SQLStore, raw: Engine, damage: str) -> None:
    """It raises StoreError naming key and remedy and no secret; others work, and a delete heals it."""
    store.save("alice", {"n": 1}, expected=None)
    store.save("bob", {"n": 2}, expected=None)
    run(raw, "UPDATE blnk_auth_records SET data = :damage WHERE store_key = 'alice'", damage=damage)
    with raises(StoreError, parameter="record", key="alice") as raised:
        store.load("alice")
    assert "s3cr3t" not in str(raised.value)
    assert list(store.keys()) == ["alice", "bob"]
    store.delete("alice")
    store.save("alice", {"n": 3}, expected=None)


@pytest.mark.parametrize(
    ("url", "version"),
    [("sqlite", "CAST(x'733363723374FF' AS TEXT)"), ("mariadb", "x'733363723374FF'")],
    indirect=["url"],
)
def test_a_version_that_is_not_text_is_a_store_error(store: SQLStore, raw: Engine, version: str) -> None:
    """What a driver raises for bytes that are not UTF-8 quotes them, and so never leaves the store."""
    store.save("alice", {"n": 1}, expected=None)
    run(raw, f"UPDATE blnk_auth_records SET version = {version} WHERE store_key = 'alice'")
    with pytest.raises(StoreError) as raised:
        store.load("alice")
    assert not leaks(everything_in(raised.value), ["s3cr3t"])
    store.delete("alice")


def test_a_failed_save_shows_no_secret(store: SQLStore, raw: Engine) -> None:
    """What the database quotes of a row that it could not write is not passed on."""
    if raw.dialect.name == "sqlite":
        run(raw, "CREATE TRIGGER no BEFORE INSERT ON blnk_auth_records BEGIN SELECT RAISE(ABORT, 's3cr3t'); END")
    else:
        run(raw, "ALTER TABLE blnk_auth_records ADD CONSTRAINT no_secret CHECK (data NOT LIKE '%s3cr3t%')")
    # MariaDB's INSERT IGNORE turns the violation into a warning, so there an existing record is updated.
    version = store.save("bob", {}, expected=None) if raw.dialect.name != "sqlite" else None
    with raises(StoreError, shows=repr(store)) as raised:
        store.save("bob", {"access_token": "s3cr3t"}, expected=version)
    assert leaks([str(raised.value), repr(raised.value)], ["s3cr3t"]) == []
    assert raised.value.__context__ is None
    assert raised.value.__cause__ is None


def test_a_wrong_password_is_reported_without_it() -> None:
    """The error of a failed connection names the server and not the password."""
    with SQLStore("postgresql+psycopg://user:s3cr3t-word@127.0.0.1:1/none") as store:
        with raises(StoreError, remedy=_sql_errors._CONNECT, shows="127.0.0.1") as raised:
            store.load("alice")
        assert leaks([str(raised.value), repr(store), *everything_in(raised.value)], ["s3cr3t-word"]) == []


def test_an_interrupted_save_recognizes_itself(store: SQLStore, raw: Engine) -> None:
    """A save that is sent twice, as after a lost connection, is not a conflict with itself."""
    version = store.save("alice", {"n": 1}, expected=None)
    assert store._database.version("alice") == version
    with pytest.raises(Conflict):
        store.save("alice", {"n": 2}, expected=None)


_CUT_ALL_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
)


@pytest.mark.parametrize("url", ["postgresql", "mariadb"], indirect=True)
def test_a_connection_that_was_cut_is_replaced(store: SQLStore, raw: Engine) -> None:
    """Idle connections that a restart or a timeout has cut cost no error."""
    version = store.save("alice", {"n": 1}, expected=None)
    if raw.dialect.name == "postgresql":
        run(raw, _CUT_ALL_OTHERS)
    else:
        with raw.connect() as connection:
            mine = connection.execute(text("SELECT CONNECTION_ID()")).scalar()
            query = text("SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> :mine")
            for (number,) in connection.execute(query, {"mine": mine}).fetchall():
                connection.execute(text(f"KILL {number}"))
    store.save("alice", {"n": 2}, expected=version)


@pytest.mark.parametrize("server_type", [PostgresServer, MariaDBServer])
def test_a_server_that_is_killed(server_type: type[Server]) -> None:
    """Killed and restarted, it costs no valid token, no spent refresh token and no pair."""
    with server_type() as server:
        with SQLStore(server.url) as store:
            store.create_schema()
        check_a_dead_server_stops_renewals_only(SQLStore(server.url, lease=1.0), server)
        check_a_server_that_dies_during_the_token_call_costs_no_pair(SQLStore(server.url, lease=1.0), server)


# The parameters


def test_a_statement_that_is_not_answered_is_not_waited_for_without_end(postgres_url: str) -> None:
    """The connection is closed, since nobody knows whether the statement was executed. One in time works as ever."""
    where = make_url(postgres_url)
    parameters = {"host": where.host, "port": where.port, "user": where.username, "dbname": where.database}
    with connect(seconds=PATIENCE, **parameters) as connection:
        assert connection.execute("SELECT pg_sleep(0.2), 7").fetchall() == [("", 7)]
    connection = connect(seconds=0.2, **parameters)
    with pytest.raises(NoAnswerInTime):
        connection.execute("SELECT pg_sleep(600)")
    assert connection.closed


def test_it_is_a_token_store(store: SQLStore) -> None:
    """SQLStore has the five methods of the protocol."""
    assert isinstance(store, TokenStore)


def test_a_sqlite_file_is_private(tmp_path: Path) -> None:
    """A file that the store creates is for this user alone; one that is there keeps its permissions."""
    for name, mode in (("new.db", 0o600), ("shared.db", 0o664)):
        path = tmp_path / name
        if mode != 0o600:
            path.touch()
            path.chmod(mode)
        with SQLStore(f"sqlite:///{path}") as store:
            store.create_schema()
            store.save("alice", {"n": 1}, expected=None)
        assert path.stat().st_mode & 0o777 == mode


def url_from_a_vault() -> str:
    return "postgresql+psycopg://user:s3cr3t-word@127.0.0.1:1/none"


def url_from_a_closed_vault() -> str:
    raise RuntimeError("s3cr3t-word")


@pytest.mark.parametrize(
    "url",
    ["postgresql+psycopg://user:s3cr3t-word@127.0.0.1:1/none", "mysql+pymysql://127.0.0.1/none?password=s3cr3t-word"],
)
def test_a_password_is_in_no_pickle(url: str) -> None:
    """Using an unpickled store raises an error that names this and what to give instead."""
    pickled = pickle.dumps(SQLStore(url, lease=7))
    assert b"s3cr3t-word" not in pickled
    restored = pickle.loads(pickled)
    with raises(ConfigurationError, parameter="url_or_engine") as raised:
        restored.load("alice")
    assert raised.value.parameter == "url_or_engine"


def test_a_callable_gives_the_url_in_each_process(store: SQLStore, url: str) -> None:
    """It is called when the store is first used, and is what a pickle carries."""
    asked: list[str] = []

    def fetch() -> str:
        asked.append(url)
        return url

    with SQLStore(fetch) as lazy:
        assert asked == []
        lazy.save("alice", {"n": 1}, expected=None)
        with lazy.lock("alice", timeout=PATIENCE):
            assert list(lazy.keys()) == ["alice"]
        assert asked == [url]
    restored = pickle.loads(pickle.dumps(SQLStore(url_from_a_vault)))
    assert repr(restored) == "SQLStore(url_or_engine=<callable>)"
    with raises(StoreError, remedy=_sql_errors._CONNECT):
        restored.load("alice")


def test_a_callable_that_fails_is_a_store_error() -> None:
    """Its text, which may hold a secret, is not passed on."""
    with raises(StoreError, parameter="url_or_engine") as raised:
        SQLStore(url_from_a_closed_vault).load("alice")
    assert leaks(everything_in(raised.value), ["s3cr3t-word"]) == []


def test_a_wrong_order_of_keys_ends_the_listing(url: str, store: SQLStore, raw: Engine) -> None:
    """A database whose index returns keys in another order than the store's would give pages without end."""
    pages = iter([[("b",), ("c",)], [("a",), ("b",)]])
    store._database.keys_from = store._database.keys_after = lambda _key: next(pages)  # type: ignore[method-assign]
    listed = store.keys()
    assert [next(listed), next(listed)] == ["b", "c"]
    with raises(StoreError, shows=("REINDEX", "VARBINARY")):
        next(listed)


def test_repr_shows_no_password() -> None:
    """Neither the password in the URL nor one in its query is shown."""
    store = SQLStore("postgresql+psycopg://user:s3cr3t@db.test/name?sslpassword=s3cr3t")
    assert repr(store) == "SQLStore('postgresql+psycopg://user:***@db.test/name')"


def test_a_store_with_a_users_connections_is_not_pickled(tmp_path: Path) -> None:
    """The error names the reason, and what to do instead."""
    engine = create_engine(f"sqlite:///{tmp_path / 'tokens.db'}")
    with pytest.raises(TypeError, match="make it from a URL"):
        pickle.dumps(SQLStore(engine))
    engine.dispose()


def test_a_users_sqlalchemy_object_is_not_closed(tmp_path: Path) -> None:
    """Closing the store does not close what the user gave it."""
    engine = create_engine(f"sqlite:///{tmp_path / 'tokens.db'}")
    with SQLStore(engine) as store:
        store.create_schema()
    pool = engine.pool
    store.close()
    assert engine.pool is pool
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("tokens.db", "postgresql+psycopg://"),
        ("", "postgresql+psycopg://"),
        (None, "postgresql+psycopg://"),
        ("nosql://host/name", "nosql"),
        ("oracle+oracledb://host/name", "oracle"),
        ("mysql+mysqldb://host/name", "MySQLdb"),
        ("sqlite://", "MemoryStore"),
        ("sqlite:///:memory:", "MemoryStore"),
        ("sqlite+aiosqlite:///tokens.db", "aiosqlite"),
    ],
)
def test_a_url_that_cannot_work_is_refused_immediately(url: Any, shown: str) -> None:
    """The error names the parameter and what to give instead."""
    with raises(ConfigurationError, parameter="url_or_engine", shows=shown):
        SQLStore(url)


@pytest.mark.parametrize("lease", [0, -1, float("nan"), float("inf"), "10", None, True, 0.05])
def test_a_lease_that_is_not_a_time_is_refused(lease: Any) -> None:
    """The error names the parameter."""
    with raises(ConfigurationError, parameter="lease"):
        SQLStore("sqlite:///tokens.db", lease=lease)


def test_without_sqlalchemy_the_extra_is_named() -> None:
    """Where SQLAlchemy is not installed, the store can be imported, and the error of making one names the extra."""
    script = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "from blnk_auth import ConfigurationError, SQLStore\n"
        "from blnk_auth.stores import metadata\n"
        "try: SQLStore('sqlite:///tokens.db')\n"
        "except ConfigurationError as error: print(error)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run(
        [sys.executable, "-c", script], check=True, env=environment, capture_output=True, text=True
    )
    assert "pip install 'blnk-auth[sql]'" in finished.stdout
