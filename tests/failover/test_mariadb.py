"""MariaDB that is killed or demoted: what holds, and what the settings are for.

Kills between the messages of a renewal are in `test_killed_between_messages`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pymysql
import pytest
from support.errors import must_show
from support.relay import Relay
from support.replication import MariaDB
from support.shared_grant import World, world

from blnk_auth.stores import SQLStore

pytestmark = pytest.mark.deep


@pytest.fixture(name="world")
def _world() -> Iterator[World]:
    with world() as the_world:
        yield the_world


def execute(server: MariaDB, *statements: str) -> None:
    with pymysql.connect(host="127.0.0.1", port=server.port, user="root") as connection:
        for statement in statements:
            connection.query(statement)
        connection.commit()


def with_tables(url: str) -> partial[SQLStore]:
    with SQLStore(url) as store:
        store.create_schema()
    return partial(SQLStore, url, lease=1.0)


@pytest.mark.parametrize("flush", [1, 2, 0])
def test_a_server_that_is_killed_after_a_save(world: World, flush: int) -> None:
    """With innodb_flush_log_at_trx_commit at 1 or 2 a killed server has every confirmed pair. With 0 the last second
    may be lost, and comes back from the process that knows it.
    """
    with MariaDB("--innodb-flush-log-at-timeout=60") as server:
        process = world.signed_in(with_tables(server.url))
        # The sign-in is on disk; the setting holds for what follows.
        execute(server, f"SET GLOBAL innodb_flush_log_at_trx_commit = {flush}")
        world.expire()
        known = process.token()
        server.kill()
        server.start()
        was_lost = process.stored() != known
        assert not was_lost or flush == 0
        assert process.token() == known
        world.expire()
        assert process.token() != known
        assert process.repaired_the_store(was_lost)
        assert world.costs() == (2, 0)


def test_a_primary_that_was_made_read_only_is_left_for_the_new_one(world: World) -> None:
    """MariaDB demotes a primary without closing its connections. The store leaves them, and finds the server to which
    the address leads by then.
    """
    with MariaDB() as old, MariaDB() as new, Relay(old.port) as address:
        for server in (old, new):
            execute(server, "CREATE USER app", "GRANT ALL ON mysql.* TO app")
        url = f"mariadb+pymysql://app@127.0.0.1:{address.own_port}/mysql"
        process = world.signed_in(with_tables(url))
        before = process.token()
        execute(old, "SET GLOBAL read_only = ON")
        world.expire()
        must_show(process.fails_with_store_error(), "primary")
        assert world.sandbox.counts.token_requests == 0
        # What replication does.
        with with_tables(new.url.replace("root@", "app@"))() as replica:
            record = process.store.load(process.alice.store_key)
            replica.save(process.alice.store_key, record.data, expected=None)
        address.port = new.port
        world.expire()
        assert process.token() != before
        assert world.costs() == (1, 0)
