"""The pages about workers, serverless functions and containers, with real servers and processes.

The programs and commands are those of the pages. A process is ended or frozen in the way that the page describes, and
the sandbox ends the whole grant if a spent refresh token comes back: `reuses == 0` means that no sign-in was lost.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import httpx
import pytest
from docs.test_readme import HOW_TO, python_blocks, run_files
from support.limits import PATIENCE
from support.processes import free_port
from support.waiting import wait_until

from blnk_auth import BlnkCloud, OAuthClient, Token
from blnk_auth.testing import Fault, Sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are stopped by signals")

LIFETIME = 36_000.0
ALMOST_OVER = 300.0
"""Seconds that are left of a token: by default it is renewed in the background now."""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(lifetime=LIFETIME) as running:
        yield running


def client_of(sandbox: Sandbox, directory: Path) -> OAuthClient:
    """A new client with the store that the processes of the test share."""
    return OAuthClient(
        BlnkCloud(base_url=sandbox.origin),
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        store=f"sqlite:///{directory / 'tokens.db'}",
    )


def sign_in(sandbox: Sandbox, directory: Path, subject: str, left: float) -> None:
    """Store a token for the subject, of whose lifetime this many seconds are left."""
    now = time.time()
    token = Token.from_response(sandbox.issue(subject))
    token = dataclasses.replace(token, issued_at=now - LIFETIME + left, expires_at=now + left)
    client_of(sandbox, directory).for_subject(subject).adopt(token)


def write_programs(page: str, directory: Path) -> None:
    blocks = python_blocks((HOW_TO / f"{page}.md").read_text("utf-8"))
    run_files([block for block in blocks if block.file is not None], directory)


def variables(sandbox: Sandbox, directory: Path) -> dict[str, str]:
    return {
        **os.environ,
        "BLNK_URL": sandbox.origin,
        "BLNK_CLIENT_ID": sandbox.client_id,
        "BLNK_CLIENT_SECRET": sandbox.client_secret,
        "TOKEN_STORE": f"sqlite:///{directory / 'tokens.db'}",
        "PYTHONUNBUFFERED": "1",
    }


# --- workers ---------------------------------------------------------------------------------------------------------


class WebServer:
    """The server that a command of the page starts, on a free port."""

    def __init__(self, program: str, directory: Path, environment: dict[str, str]) -> None:
        page = (HOW_TO / "workers.md").read_text("utf-8")
        [command] = re.findall(rf"^\$ ({program} .*)$", page, re.MULTILINE)
        self.port = free_port()
        self.log = ""
        where = ("--port", str(self.port)) if program == "uvicorn" else ("--bind", f"127.0.0.1:{self.port}")
        self.process = subprocess.Popen(
            [sys.executable, "-m", *shlex.split(command), *where],
            cwd=directory,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        wait_until(self._answers, "the server answers")
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log += line

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def get(self, subject: str) -> int:
        return httpx.get(f"http://127.0.0.1:{self.port}/ledgers/{subject}", timeout=PATIENCE).status_code


@pytest.mark.deep
@pytest.mark.parametrize("program", ["uvicorn", "gunicorn"])
def test_workers_renew_once_and_lose_nothing_when_they_are_ended(
    program: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Four workers, one of which renews in the background when all are ended: its pair is saved."""
    write_programs("workers", tmp_path)
    for subject, left in {"stale": ALMOST_OVER, "expired": -1.0}.items():
        sign_in(sandbox, tmp_path, subject, left)
    with WebServer(program, tmp_path, variables(sandbox, tmp_path)) as server, ThreadPoolExecutor(12) as callers:
        assert set(callers.map(server.get, ["expired"] * 12)) == {200}
        assert sandbox.counts.refreshes == 1
        # The server has rotated, and its answer takes a while.
        sandbox.fail(Fault(delay=5))
        wait_until(lambda: server.get("stale") == 200 and sandbox.counts.refreshes == 2, "it is renewed")
        server.process.send_signal(signal.SIGTERM)
    assert client_of(sandbox, tmp_path).for_subject("stale").renew().refresh_token is not None
    assert (sandbox.counts.refreshes, sandbox.counts.reuses) == (3, 0)


# --- serverless ------------------------------------------------------------------------------------------------------

RUNTIME = """
import json, sys
sys.path.insert(0, sys.argv[1])
from handler import handler
for line in sys.stdin:
    print(json.dumps(handler(json.loads(line), None)), flush=True)
"""


class Copy:
    """A copy of the function: frozen from each answer until the next event, as the platform does."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUNTIME, str(directory)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def __call__(self, subject: str) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(json.dumps({"user": subject}) + "\n")
        self.process.stdin.flush()
        status: int = json.loads(self.process.stdout.readline())["statusCode"]
        self.process.send_signal(signal.SIGSTOP)
        return status


@pytest.mark.deep
def test_frozen_copies_of_a_function_renew_once(sandbox: Sandbox, tmp_path: Path) -> None:
    """Nothing is under way while a copy is frozen; afterwards it takes over what the other one has renewed."""
    write_programs("serverless", tmp_path)
    sign_in(sandbox, tmp_path, "alice", ALMOST_OVER)
    with ExitStack() as stack:
        one, other = (stack.enter_context(Copy(tmp_path, variables(sandbox, tmp_path))) for _ in range(2))
        assert [copy("alice") for copy in (one, one, one, other, one)] == [200] * 5
        assert sandbox.counts.token_requests == 0
        sandbox.revoke_access_tokens("alice")
        assert [copy("alice") for copy in (other, one, other)] == [200] * 3
    assert (sandbox.counts.refreshes, sandbox.counts.reuses) == (1, 0)


# --- containers ------------------------------------------------------------------------------------------------------

IN_A_CONTAINER = """
from blnk_auth import KeyringStore, SQLiteStore
for make in (lambda: KeyringStore("acme"), lambda: SQLiteStore("/proc/tokens.db")):
    try:
        make()
    except Exception as error:
        print(error)
"""


def test_the_messages_in_a_container_are_those_of_the_page(sandbox: Sandbox, tmp_path: Path) -> None:
    """No home, no session bus, nothing to write to: each error has its remedy, and the commands work."""
    inside = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "PYTHONSAFEPATH")}
    inside["HOME"] = "/proc/nowhere"

    def run(*arguments: str, **further: str) -> str:
        finished = subprocess.run(
            [sys.executable, *arguments],
            env=inside | further,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    page = (HOW_TO / "containers.md").read_text("utf-8")
    shown = run("-c", IN_A_CONTAINER).splitlines()
    beginnings = ["there is no keyring here", "cannot lock the set-up of"]
    assert [line.startswith(beginning) for line, beginning in zip(shown, beginnings, strict=True)] == [True] * 2
    assert [beginning for beginning in beginnings if f"| `{beginning}" not in page] == []

    sign_in(sandbox, tmp_path, "alice", -1.0)
    values = {"CLIENT_ID": sandbox.client_id, "STORE": f"sqlite:///{tmp_path / 'tokens.db'}"}
    named = dict(re.findall(r"BLNK_AUTH_(\w+)=(\S+)", page)) | values
    named |= {"CLIENT_SECRET": sandbox.client_secret, "BASE_URL": sandbox.origin}
    [keepalive] = re.findall(r"^\$ blnk-auth (keepalive .*)$", page, re.MULTILINE)
    further = {f"BLNK_AUTH_{name}": value for name, value in named.items()}
    assert run("-m", "blnk_auth", *keepalive.split(), **further).startswith("1 of 1 grants read")
