"""Processes that share one SQLite store and the grant of a protected resource: each refresh token is spent once.

The server is the sandbox's MCP personality, which rotates refresh tokens, and ends the grant when one comes twice.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.processes import Child

from blnk_auth.testing import Sandbox

CHILD = Path(__file__).parents[1] / "support" / "child_of_mcp_sandbox.py"
PROCESSES = 8
ROUNDS = 5
AGO = 3660.0
"""Seconds that the clock of a child moves before each request."""


def child(sandbox: Sandbox, tmp_path: Path, **settings: Any) -> Child:
    shared = {"url": f"{sandbox.origin}/mcp", "database": str(tmp_path / "tokens.db")}
    return Child(sys.executable, str(CHILD), json.dumps({**shared, **settings}))


@pytest.mark.deep
def test_eight_processes_spend_each_refresh_token_once(tmp_path: Path) -> None:
    """One registration, one sign-in, and one refresh for each expiry, regardless of who asks."""
    with Sandbox("mcp") as sandbox, ExitStack() as running:
        children = [running.enter_context(child(sandbox, tmp_path)) for _ in range(PROCESSES)]
        assert {each.says() for each in children} == {"ready"}
        for _ in range(ROUNDS):
            for each in children:
                each.go_on()
            assert [each.says() for each in children] == [200] * PROCESSES
        counts, resource = sandbox.counts, f"{sandbox.origin}/mcp"
    assert (counts.registrations, counts.code_exchanges) == (1, 1)
    assert (counts.refreshes, counts.reuses, counts.refused) == (ROUNDS - 1, 0, 0)
    assert {request.form["resource"] for request in sandbox.requests if request.path == "/token"} == {resource}


@pytest.mark.deep
@pytest.mark.parametrize("kill_at", ["answered POST /token", "saving token", "saved token"])
def test_only_a_kill_before_the_save_costs_a_sign_in(tmp_path: Path, kill_at: str) -> None:
    """The refresh token that the killed process has spent comes once more, and the user signs in again."""
    is_lost = kill_at != "saved token"
    with Sandbox("mcp") as sandbox:
        with child(sandbox, tmp_path, kill_at=kill_at) as killed:
            assert killed.says() == "ready"
            killed.go_on()
            assert killed.says() == 200
            killed.go_on()
            assert killed.ends() == -9
        with child(sandbox, tmp_path, ahead=AGO) as following:
            assert following.says() == "ready"
            for _ in range(2):
                following.go_on()
                assert following.says() == 200
        counts = sandbox.counts
    assert (counts.registrations, counts.code_exchanges, counts.reuses) == (1, 1 + is_lost, int(is_lost))
