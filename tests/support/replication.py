"""Servers that fail over: a PostgreSQL primary with a standby, a Redis master with a replica, a MariaDB to kill.

Used by the tests of fail-over, beside `server_processes`, whose servers these are, with settings of a test's own. Each
is started for one test, on a free loopback port, with throw-away data.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import redis
from support.relay import Relay
from support.server_processes import MariaDBServer, PostgresServer, RedisServer, program
from support.waiting import wait_until

# --- PostgreSQL ------------------------------------------------------------------------------------------------------


class Primary(PostgresServer):
    """With settings, such as `synchronous_commit="on"`."""

    def __init__(self, **settings: str) -> None:
        self._settings = settings
        super().__init__()

    def _command(self) -> list[str]:
        return [*super()._command(), *(f"--{name}={value}" for name, value in self._settings.items())]

    def execute(self, statement: str) -> list[Any]:
        """Run one statement in a transaction of its own."""
        where = f"host=127.0.0.1 port={self.port} user=tester dbname=postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def set(self, name: str, value: str) -> None:
        """Change a setting while the server runs."""
        self.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        self.execute("SELECT pg_reload_conf()")
        wait_until(lambda: self.execute(f"SHOW {name}") == [(value,)], f"{name} is {value}")


class Standby(Primary):
    """A copy of `primary` that follows it, through `port`, by streaming replication until it is promoted."""

    def __init__(self, primary: Primary, port: int, **settings: str) -> None:
        self._primary, self._primary_port = primary, port
        super().__init__(**settings)

    def _initialize(self) -> None:
        where = f"host=127.0.0.1 port={self._primary_port} user=tester application_name=standby"
        copy = ["-X", "stream", "-c", "fast", "--no-sync", "-d", where]
        self._finish([program("pg_basebackup"), "-D", str(self.directory / "data"), "-R", *copy])

    def start(self) -> None:
        super().start()
        streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        wait_until(lambda: self._primary.execute(streaming) == [(1,)], "the standby follows the primary")

    def promote(self) -> None:
        """Become the primary, with what was received so far."""
        assert self.execute("SELECT pg_promote(true, 60)") == [(True,)]


@contextlib.contextmanager
def replicated(**settings: str) -> Iterator[tuple[Primary, Standby, Relay]]:
    """A primary with these settings, its standby, and what leads from one to the other: cut it to let one fall
    behind.
    """
    with (
        Primary(**settings) as primary,
        Relay(primary.port) as between,
        Standby(primary, between.own_port) as standby,
    ):
        yield primary, standby, between


def either(primary: Primary, standby: Standby) -> str:
    """The URL that leads to whichever of the two is the primary, as libpq and SQLAlchemy understand it."""
    hosts = "&".join(f"host=127.0.0.1:{server.port}" for server in (primary, standby))
    return f"postgresql+psycopg://tester@/postgres?{hosts}&target_session_attrs=read-write"


# --- Redis -----------------------------------------------------------------------------------------------------------


def replica_of(master: RedisServer, *options: str, port: int | None = None) -> RedisServer:
    """A server, not yet started, that follows `master`, through `port` if one is given."""
    quickly = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
    return RedisServer("--replicaof", "127.0.0.1", str(port or master.port), *quickly, *options)


def wait_for_replica(master: RedisServer, replica: RedisServer) -> None:
    """Until the replica has all that was written so far."""

    def is_in_step() -> bool:
        with master.client() as ours, replica.client() as theirs:
            info = theirs.info("replication")
            return (
                info.get("master_link_status") == "up"
                and info["slave_repl_offset"] >= ours.info("replication")["master_repl_offset"]
            )

    wait_until(is_in_step, "the replica is in step")


def promote(replica: RedisServer) -> None:
    with replica.client() as client:
        client.replicaof("NO", "ONE")
        wait_until(lambda: client.role()[0] in ("master", b"master"), "the replica is the master")


def snapshot(server: RedisServer) -> None:
    """Write the RDB file that the server starts from."""
    with server.client() as client:
        client.save()


def restart(server: RedisServer) -> None:
    """Kill it, start it again with what it finds on its disk, and wait until that is loaded."""
    server.kill()
    server.start()

    def is_loaded() -> bool:
        with server.client() as client, contextlib.suppress(redis.ConnectionError):
            return not client.info("persistence")["loading"]
        return False

    wait_until(is_loaded, "the data are loaded")


# --- MariaDB ---------------------------------------------------------------------------------------------------------


class MariaDB(MariaDBServer):
    """With settings, such as `"--innodb-flush-log-at-trx-commit=1"`."""

    def __init__(self, *settings: str) -> None:
        self._settings = settings
        super().__init__()

    def _command(self) -> list[str]:
        return [*super()._command(), *self._settings]
