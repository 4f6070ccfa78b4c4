"""SQLStore through a real PgBouncer that gives each transaction another connection, as the guide recommends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError
from support.errors import raises
from support.server_processes import PgBouncer
from support.shared_servers import fresh_database
from support.stores.pooled import PooledStore, open_through_pooler

from blnk_auth.errors import StoreError
from blnk_auth.stores import SQLStore, TokenStore, _sql_errors
from blnk_auth.stores._sql_errors import judge
from blnk_auth.testing.store_contract import SharedStoreContract


@pytest.fixture
def behind(postgres_url: str) -> Iterator[str]:
    """A database with the tables, which are made without the pooler."""
    with fresh_database(postgres_url) as url:
        with SQLStore(url) as store:
            store.create_schema()
        yield url


@pytest.fixture
def pooler(behind: str) -> Iterator[str]:
    """The URL of the pooler in front of it."""
    with PgBouncer(behind) as server:
        yield server.url


class TestThroughPgBouncer(SharedStoreContract):
    @pytest.fixture
    def open_store(self, pooler: str) -> Callable[[], TokenStore]:
        return partial(open_through_pooler, pooler)


def test_many_threads_lose_no_statement(pooler: str) -> None:
    """More connections than the pooler has behind it, each used many times."""
    with open_through_pooler(pooler) as store, ThreadPoolExecutor(6) as threads:

        def load(thread: int) -> None:
            for number in range(40):
                assert store.load(f"key {thread} {number}") is None

        for each in [threads.submit(load, number) for number in range(6)]:
            each.result()


def test_the_tables_are_made_through_it(postgres_url: str) -> None:
    """The migration holds its lock for the length of one transaction, which stays on one connection."""
    with fresh_database(postgres_url) as url, PgBouncer(url) as server, open_through_pooler(server.url) as store:
        store.create_schema()
        store.create_schema()
        store.save("alice", {}, expected=None)


def test_a_url_names_what_to_give_instead(pooler: str) -> None:
    """PgBouncer refuses the option by which a store from a URL limits the time of a statement."""
    with SQLStore(pooler) as store, raises(StoreError, remedy=_sql_errors._POOLER):
        store.load("alice")


def test_prepared_statements_are_named_as_the_cause(behind: str) -> None:
    """A SQLAlchemy engine that prepares statements meets connections where another client has prepared some of the
    same name.
    """
    # One connection behind it, so that each client is sure to meet what another has left there.
    with PgBouncer(behind, pool_size=1) as server, ExitStack() as stack:
        stores = [
            stack.enter_context(open_through_pooler(server.url, prepare_threshold=threshold)) for threshold in (0, 1, 5)
        ]
        with raises(StoreError, shows="42P05", remedy=_sql_errors._PREPARED):
            load_in_turn(stores, 8)


def load_in_turn(stores: list[PooledStore], times: int) -> None:
    for _ in range(times):
        for store in stores:
            store.load("alice")


def test_a_lost_prepared_statement_is_named_as_the_cause() -> None:
    """The other way round: the connection does not know what the client has prepared."""
    problem = judge(DBAPIError("SELECT", {}, psycopg.errors.InvalidSqlStatementName()))
    assert problem.code == "26000"
    assert problem.remedy == _sql_errors._PREPARED
