"""The servers of the canary: its authorization server, and the databases whose URLs have marked passwords.

pytest loads this file before it starts other processes, so what fixtures need is imported where they need it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.canary.server import Server


@pytest.fixture(scope="session")
def databases(postgres_url: str, mariadb_url: str) -> Iterator[None]:
    """A Redis server of this process alone, whose users the trials change; a database on each of the shared servers."""
    from support.canary import rows_stores
    from support.server_processes import RedisServer
    from support.shared_servers import fresh_database

    with RedisServer() as redis, fresh_database(postgres_url) as postgres, fresh_database(mariadb_url) as mariadb:
        rows_stores.SERVERS.update(redis=redis.url, postgres=postgres, mariadb=mariadb)
        yield


@pytest.fixture(scope="session")
def server(databases: None) -> Iterator[Server]:
    """One for all trials: each begins with nothing."""
    from support.canary.server import Server

    server = Server()
    with server.site:
        yield server


@pytest.fixture(scope="module", autouse=True)
def _frozen() -> None:
    """When garbage is collected after a trial, the objects that were there before the first are left out."""
    gc.collect()
    gc.freeze()
