"""The server of a chaos run: its books are what the verdict believes, and each fault does what its name promises."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from chaos.plan import TOKEN_FAULTS
from chaos.processes import ServerProcess
from support.limits import PATIENCE
from support.waiting import wait_until

_LOST = {"reset after", "cut headers", "cut body", "kill after"}
_REFUSED = {"429": 429, "503": 503}
_KEPT = {"slow", "late", "closed soon", "delayed request", "stop before", "stop after", "kill before"}


class World:
    """A server that several tests share, and its books since this one began."""

    def __init__(self, server: ServerProcess, books: Path) -> None:
        self.server, self._books = server, books
        self._begins_at = len(books.read_text().splitlines())
        self.asks = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        """The process that the server takes for the one that asks."""

    def issue(self, subject: str) -> str:
        [pair] = self.server.ask("issue", subjects=[subject])
        return str(pair["refresh_token"])

    def present(self, refresh_token: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        url = f"{self.server.origin}/as/1.0.{self.asks.pid}/token"
        return httpx.post(url, data=form, trust_env=False, timeout=PATIENCE)

    def books(self, what: str) -> list[dict[str, Any]]:
        lines = map(json.loads, self._books.read_text().splitlines()[self._begins_at :])
        return [line for line in lines if line["what"] == what]

    def close(self) -> None:
        self.asks.kill()
        self.asks.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, Path]]:
    """A server at which `user-0001` has a grace period, and nobody else, and its books."""
    directory = tmp_path_factory.mktemp("server")
    server = ServerProcess(directory, grace=["user-0001"])
    yield server, directory / "books.jsonl"
    server.close()


@pytest.fixture
def world(server: tuple[ServerProcess, Path]) -> Iterator[World]:
    world = World(*server)
    yield world
    world.close()


def test_a_spent_refresh_token_ends_the_grant(world: World) -> None:
    """Without a grace period the second use is refused, the whole grant ends, and the books have both."""
    first = world.issue("user-0000")
    second = world.present(first).json()["refresh_token"]
    assert world.present(first).json()["error"] == "invalid_grant"
    assert world.present(second).json()["error"] == "invalid_grant"
    assert [line["result"] for line in world.books("presented")] == ["rotated", "reuse", "refused"]
    [granted], [ended] = world.books("granted"), world.books("ended")
    assert (ended["grant"], ended["why"]) == (granted["grant"], "reuse")


def test_a_grace_period_repeats_the_pair_until_it_is_used(world: World) -> None:
    """A lost pair is issued again, with an access token of its own, until its successor has been used."""
    first = world.issue("user-0001")
    second, again = world.present(first).json(), world.present(first).json()
    assert again["refresh_token"] == second["refresh_token"]
    assert again["access_token"] != second["access_token"]
    assert world.present(second["refresh_token"]).status_code == 200
    assert world.present(first).json()["error"] == "invalid_grant"
    assert [line["result"] for line in world.books("presented")] == ["rotated", "repeated", "rotated", "reuse"]


@pytest.mark.parametrize("kind", sorted(TOKEN_FAULTS))
def test_each_fault_does_what_its_name_promises(world: World, kind: str) -> None:
    """Whether the request takes effect, what the client gets, and what happens to the process that asks."""
    token = world.issue("user-0000")
    world.server.ask("fault", on="token", kind=kind, seconds=0.05)
    try:
        status: int | None = world.present(token).status_code
    except httpx.TransportError:
        status = None
    # The client may have its answer before that line is written.
    wait_until(lambda: world.books("answered"), "the books have the answer")
    [request] = world.books("request")
    [answered] = world.books("answered")
    rotated = [line["result"] for line in world.books("presented")] == ["rotated"]
    assert request["fault"] == kind
    assert rotated == (kind in _LOST | _KEPT | {"error after"})
    assert answered["sent"] == (status is not None)
    expected = {"reset before": None, "html": 200, "error after": 502, **dict.fromkeys(_LOST), **_REFUSED}
    assert status == expected.get(kind, 200)
    if kind.startswith("kill"):
        assert world.asks.wait(PATIENCE) == -signal.SIGKILL
        return
    assert world.asks.poll() is None
    if kind.startswith("stop"):
        wait_until(lambda: world.books("resumed"), "it is resumed")
        assert [line["worker"] for line in world.books("stopped")] == ["1.0"]
