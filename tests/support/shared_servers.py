"""One server of each kind for all tests of a run, whichever worker needs it first.

Used through the fixtures of tests/conftest.py: `redis_url`, `postgres_url` and `mariadb_url`. A URL in
BLNK_TEST_REDIS_URL, BLNK_TEST_POSTGRES_URL or BLNK_TEST_MARIADB_URL is used instead of starting the server. Under
pytest-xdist the first worker that needs a server starts it, and the last one to leave stops it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from support.server_processes import MariaDBServer, PostgresServer, RedisServer, Server

# --- a database of a test's own, on a server that others use too ------------------------------------------------------


@contextlib.contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """The URL of a new, empty database on the PostgreSQL or MariaDB server at `url`."""
    name = f"blnk_auth_{secrets.token_hex(6)}"
    administrator = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    force = " WITH (FORCE)" if administrator.dialect.name == "postgresql" else ""
    with administrator.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield administrator.url.set(database=name).render_as_string(hide_password=False)
    finally:
        with administrator.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}{force}"))


# --- shared by a run -------------------------------------------------------------------------------------------------


_started_here: list[subprocess.Popen[bytes]] = []


@contextlib.contextmanager
def shared(kind: str, factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the run's server: from the environment, else started by whichever worker comes first."""
    server, variable = _KINDS[kind]
    given = os.environ.get(variable)
    if given:
        yield given
        return
    with _counted(server, _root_of_the_run(factory)) as url:
        yield url


@contextlib.contextmanager
def _counted(kind: type[Server], root: Path) -> Iterator[str]:
    lock, state_file = filelock.FileLock(root / f"{kind.kind}.lock"), root / f"{kind.kind}.json"
    with lock:
        state = json.loads(state_file.read_text()) if state_file.exists() else _started(kind)
        state["users"] += 1
        state_file.write_text(json.dumps(state))
    try:
        yield state["url"]
    finally:
        with lock:
            state = json.loads(state_file.read_text())
            state["users"] -= 1
            state_file.write_text(json.dumps(state))
            if state["users"] == 0:
                state_file.unlink()
                _stop(state)


def _started(kind: type[Server]) -> dict[str, Any]:
    server = kind()
    server.start()
    assert server.process is not None
    # Python warns of a process that is forgotten while it runs.
    _started_here.append(server.process)
    return {"url": server.url, "pid": server.process.pid, "directory": str(server.directory), "users": 0}


def _stop(state: dict[str, Any]) -> None:
    # By its session, of which it is the leader: the worker that stops it is not always the one that started it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(state["pid"], signal.SIGKILL)
    shutil.rmtree(state["directory"], ignore_errors=True)


def _root_of_the_run(factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers of a pytest-xdist session have in common."""
    root = factory.getbasetemp()
    return root.parent if "PYTEST_XDIST_WORKER" in os.environ else root


_KINDS = {
    "redis": (RedisServer, "BLNK_TEST_REDIS_URL"),
    "postgres": (PostgresServer, "BLNK_TEST_POSTGRES_URL"),
    "mariadb": (MariaDBServer, "BLNK_TEST_MARIADB_URL"),
}
