"""Real Redis, PostgreSQL, PgBouncer and MariaDB servers on free loopback ports, with throw-away data.

Used by `shared_servers`, and by tests that kill and restart a server of their own:

    with RedisServer() as server: ...

A program that is not installed skips the test, with the reason.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import psycopg
import pymysql
import pytest
import redis
from sqlalchemy import make_url
from support.limits import PATIENCE
from support.processes import free_port
from support.waiting import wait_until

_PLACES = ("/usr/sbin", "/usr/local/sbin", "/usr/libexec", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin"))))


def program(name: str) -> str:
    """Where a server program is; skips the test if it is not installed."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(reversed(_PLACES)))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


class Server(ABC):
    """A server process in a directory of its own. It keeps port and data through `kill()` and `start()`."""

    kind: ClassVar[str]

    def __init__(self) -> None:
        self._find_programs()
        self.directory = Path(tempfile.mkdtemp(prefix=f"blnk-auth-{self.kind}-"))
        self._own(self.directory)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._initialize()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    @abstractmethod
    def url(self) -> str:
        """For the store."""

    @abstractmethod
    def ping(self) -> None:
        """Raises unless the server answers."""

    @abstractmethod
    def _find_programs(self) -> None:
        """Skips the test if one is missing."""

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _initialize(self) -> None:
        """Make the data, if the server does not do so itself."""

    def start(self) -> None:
        """Start it, again if need be, and wait until it answers."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if self.process is None or self.process.poll() is not None:
                # PostgreSQL refuses to start for a moment after a kill, until the children of the former have exited.
                self.process = self._run(self._command())
            with contextlib.suppress(Exception):
                self.ping()
                return
            assert time.monotonic() < deadline, f"{self.kind} does not start:\n{self.log}"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def pause(self) -> None:
        """Have it answer nobody until `resume()`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")[-4000:]

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.directory / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                # MariaDB's temporary files: the directory of this machine may be closed to another user.
                env={**os.environ, "TMPDIR": str(self.directory)},
                start_new_session=True,
                **_as_nobody(),
            )

    def _finish(self, command: list[str]) -> None:
        assert self._run(command).wait(PATIENCE) == 0, self.log

    def _own(self, directory: Path) -> None:
        # The database servers refuse to run as root.
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(directory, nobody.pw_uid, nobody.pw_gid)


def _as_nobody() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


class RedisServer(Server):
    """Every write is on disk before it is answered, as a token store wants it."""

    kind = "redis"

    def __init__(self, *options: str) -> None:
        self._options = options
        super().__init__()

    def _find_programs(self) -> None:
        self._program = program("redis-server")

    def _initialize(self) -> None:
        pass

    def _command(self) -> list[str]:
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory), "--save", ""]
        return [self._program, *where, "--appendonly", "yes", "--appendfsync", "always", *self._options]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=PATIENCE)

    def ping(self) -> None:
        with redis.Redis(port=self.port, socket_timeout=1, retry=None) as client:
            client.ping()


class PostgresServer(Server):
    kind = "postgres"

    def _find_programs(self) -> None:
        self._initdb, self._program = program("initdb"), program("postgres")

    def _initialize(self) -> None:
        data = str(self.directory / "data")
        self._finish([self._initdb, "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"])

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "log_statement": "none",
            # Small, because a container's shared memory is; a kill of the process loses nothing without fsync.
            "shared_buffers": "16MB",
            "fsync": "off",
        }
        return [self._program, "-D", str(self.directory / "data"), *(f"--{k}={v}" for k, v in settings.items())]

    def kill(self) -> None:
        """With its children: one that survives for a moment still answers."""
        children: list[int] = []
        if self.process is not None:
            with contextlib.suppress(OSError):
                listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
                children = [int(pid) for pid in listed.split()]
        super().kill()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://tester@127.0.0.1:{self.port}/postgres"

    def ping(self) -> None:
        psycopg.connect(f"host=127.0.0.1 port={self.port} user=tester dbname=postgres connect_timeout=2").close()


class PgBouncer(Server):
    """In front of the PostgreSQL server at `behind`, with a pool of so many connections for each transaction."""

    kind = "pgbouncer"

    def __init__(self, behind: str, pool_size: int = 3) -> None:
        self._behind, self._pool_size = make_url(behind), pool_size
        super().__init__()

    def _find_programs(self) -> None:
        self._program = program("pgbouncer")

    def _initialize(self) -> None:
        behind = self._behind
        (self.directory / "pgbouncer.ini").write_text(
            f"[databases]\n{behind.database} = host={behind.host} port={behind.port} user={behind.username}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = {self._pool_size}\n"
        )

    def _command(self) -> list[str]:
        return [self._program, str(self.directory / "pgbouncer.ini")]

    @property
    def url(self) -> str:
        return self._behind.set(port=self.port).render_as_string(hide_password=False)

    def ping(self) -> None:
        psycopg.connect(
            host="127.0.0.1", port=self.port, user="tester", dbname=str(self._behind.database), connect_timeout=2
        ).close()


class MariaDBServer(Server):
    kind = "mariadb"

    def _find_programs(self) -> None:
        self._install, self._program = program("mariadb-install-db"), program("mariadbd")

    def _initialize(self) -> None:
        self._finish([
            *(self._install, "--no-defaults", f"--datadir={self.directory / 'data'}", "--skip-test-db"),
            *("--auth-root-authentication-method=normal", "--skip-name-resolve"),
        ])  # fmt: skip

    def _command(self) -> list[str]:
        return [
            *(self._program, "--no-defaults", f"--datadir={self.directory / 'data'}", "--bind-address=127.0.0.1"),
            *(f"--port={self.port}", f"--socket={self.directory / 'socket'}", "--skip-name-resolve"),
            *(f"--pid-file={self.directory / 'pid'}", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M"),
            "--innodb-flush-log-at-trx-commit=2",
        ]

    @property
    def url(self) -> str:
        return f"mariadb+pymysql://root@127.0.0.1:{self.port}/mysql"

    def ping(self) -> None:
        pymysql.connect(host="127.0.0.1", port=self.port, user="root", connect_timeout=2).close()


def make_cluster(servers: list[RedisServer]) -> None:
    """Divide the slots of a cluster among these servers, and wait until it is whole."""
    share = 16384 // len(servers)
    clients = [server.client() for server in servers]
    for number, client in enumerate(clients):
        client.execute_command("CLUSTER ADDSLOTSRANGE", number * share, (number + 1) * share - 1)
        client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
    for server in servers[1:]:
        clients[0].execute_command("CLUSTER MEET", "127.0.0.1", server.port)

    def is_whole() -> bool:
        infos = [client.execute_command("CLUSTER INFO") for client in clients]
        known = [info.get("cluster_known_nodes") for info in infos]
        return {info["cluster_state"] for info in infos} == {"ok"} and known == [str(len(servers))] * len(servers)

    wait_until(is_whole, "the cluster is whole")
    for client in clients:
        client.close()
