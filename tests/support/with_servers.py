"""Runs a command while Redis, PostgreSQL and MariaDB servers run, whose URLs it finds in its environment.

    PYTHONPATH=tests python -m support.with_servers python benchmarks/run.py

Used by `make bench`. The variables are those of `shared_servers`; one that is set already is left, and no server is
started for it. Unlike those of the tests, these servers write to the disk before they answer, as a token store wants
it. A server that is not installed is left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack

import pytest
from support.server_processes import MariaDBServer, PostgresServer, RedisServer, Server


class DurablePostgres(PostgresServer):
    def _command(self) -> list[str]:
        return [*super()._command(), "--fsync=on"]


class DurableMariaDB(MariaDBServer):
    def _command(self) -> list[str]:
        return [*super()._command(), "--innodb-flush-log-at-trx-commit=1"]


KINDS: tuple[type[Server], ...] = (RedisServer, DurablePostgres, DurableMariaDB)


def main(command: list[str]) -> int:
    """Run it. Returns its exit status."""
    with ExitStack() as stack:
        environment = dict(os.environ)
        for kind in KINDS:
            variable = f"BLNK_TEST_{kind.kind.upper()}_URL"
            if variable in environment:
                continue
            try:
                environment[variable] = stack.enter_context(kind()).url
            except pytest.skip.Exception as missing:
                sys.stderr.write(f"{missing}\n")
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
