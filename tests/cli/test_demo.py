"""The demo as a user runs it: real processes, real sockets, real expiries."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.command_line import CommandLine, command, finish, read_until, started, state_directory
from support.limits import PATIENCE

from blnk_auth import SQLiteStore
from blnk_auth.cli.demo.remote_sandbox import RemoteSandbox
from blnk_auth.cli.sandbox_address import SandboxAddress

DEAD = SandboxAddress("http://127.0.0.1:9", "sandbox-of-yesterday", "secret", "http://127.0.0.1:8765/oauth/callback")
WHOLE_DEMO = 4 * PATIENCE
"""Seconds. A demo starts three processes and waits for ten tokens to expire, so that it takes longer than one hang."""

LIFETIMES = (1.0, 5.0, 20.0)
"""Seconds. Where the machine is busy, a new token of one second may expire on its way to the API, and the demo shows a
call that failed. Then it is run again with tokens that live longer.
"""

COLOURS = re.compile(rb"\x1b\[(?:\d+;)*[349][0-7](?:;\d+)*m")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    with state_directory(tmp_path) as path:
        yield path


def sandbox_of(state: Path) -> RemoteSandbox:
    address = SandboxAddress.load(state / "sandbox.json")
    assert address is not None
    return RemoteSandbox(address)


def test_a_run_ends_well_with_a_table_and_leaves_nothing(state: Path) -> None:
    """The demo replaces the state of a dead sandbox, ends with 0 and a table without a failure, and cleans up."""
    for lifetime in LIFETIMES:
        DEAD.save(state / "sandbox.json")
        finished = whole_demo(state, lifetime)
        if finished.returncode == 0:
            break
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stderr == ""
    origin = re.search(r"Started a sandbox at (\S+)", finished.stdout)
    assert origin is not None
    assert not RemoteSandbox(SandboxAddress(origin[1], "", "", "")).is_alive()
    assert list(state.iterdir()) == []
    assert "\x1b" not in finished.stdout

    rows = {row[1]: row[2].split() for row in re.finditer(r"^ (\w.{18}) +(\d.* ok) *$", finished.stdout, re.MULTILINE)}
    named = {title.strip(): cells for title, cells in rows.items()}
    assert named.keys() >= {"requests", "httpx", "httpx, asyncio", "50 callers together", "restart", "total"}
    calls, failed, expired, revoked, token_requests, reused, *_ = named["total"]
    assert int(calls) > 100
    assert (failed, reused) == ("0", "0")
    assert int(token_requests) == int(expired) + int(revoked)
    assert named["50 callers together"][:6] == ["50", "0", "1", "0", "1", "0"]
    assert named["restart"][:6] == ["30", "0", "0", "1", "1", "0"]
    assert "Everything as promised" in finished.stdout
    assert "one sign-in" in " ".join(finished.stdout.split())


def test_a_killed_demo_continues_without_a_new_sign_in(state: Path) -> None:
    """Killed without warning, the demo finds its sandbox and its tokens again: there is one sign-in in all."""
    kill_demo_after(state, "requests:")
    assert_found(kill_demo_after(state, "requests:"))
    counts = sandbox_of(state).server_record().counts
    assert (counts.code_exchanges, counts.reuses) == (1, 0)


@pytest.mark.deep
def test_a_killed_demo_continues_to_the_end(state: Path) -> None:
    """Killed twice, later each time, it still ends well, and cleans up."""
    for lifetime in LIFETIMES:
        kill_demo_after(state, "requests:")
        assert_found(kill_demo_after(state, "httpx, asyncio:"))
        finished = whole_demo(state, lifetime)
        if finished.returncode == 0:
            break
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert_found(finished.stdout)
    assert "one sign-in." in " ".join(finished.stdout.split())
    assert list(state.iterdir()) == []


def kill_demo_after(state: Path, scenario: str) -> str:
    """What it printed until this scenario had ended."""
    with started("demo", "--quick", "--state-dir", str(state)) as (process, output):
        lines = read_until(output, scenario)
        process.kill()
        process.wait(PATIENCE)
    return "".join(lines)


def whole_demo(state: Path, lifetime: float) -> subprocess.CompletedProcess[str]:
    tempo = f"from blnk_auth.cli.demo import run; run.QUICK = run.Tempo(lifetime={lifetime}, expiries=1)"
    return finish("demo", "--quick", "--state-dir", str(state), patience=WHOLE_DEMO, before=tempo)


def assert_found(said: str) -> None:
    said = " ".join(said.split())
    assert "Found the sandbox" in said
    assert "Continuing with the grant of alice from the previous run: no sign-in" in said


def test_a_figure_that_is_off_ends_it_with_1(state: Path) -> None:
    """If somebody else spends the refresh token, calls fail and it is used twice; the demo reports it and ends with
    1.
    """
    with started("demo", "--quick", "--state-dir", str(state)) as (process, output):
        read_until(output, "requests:")
        steal_refresh_token(state)
        rest = output.read()
        assert process.wait(PATIENCE) == 1
    assert "refresh tokens used twice: 1" in rest
    assert "calls failed, the first with" in rest
    assert "Everything as promised" not in rest


def steal_refresh_token(state: Path) -> None:
    address = SandboxAddress.load(state / "sandbox.json")
    assert address is not None
    with SQLiteStore(state / "tokens.db") as store:
        [key] = store.keys("token/")
        record = store.load(key)
    assert record is not None
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token_in(record.data)}
    httpx.post(f"{address.origin}/oauth/token", data=form, auth=(address.client_id, address.client_secret))


def refresh_token_in(data: object) -> str:
    found = re.search(r"blnk_rt_[\w-]+", repr(data))
    assert found is not None
    return found[0]


def test_on_a_terminal_it_shows_the_table_live_and_ctrl_c_leaves_it_to_go_on(state: Path) -> None:
    """With NO_COLOR the table is redrawn, and has no colour; Ctrl-C ends the demo with 130 and keeps its state."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "NO_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    demo = command("demo", "--quick", "--state-dir", str(state))
    with subprocess.Popen(demo, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        try:
            while b"httpx, asyncio: until expiry 1 of 1" not in shown:
                shown += os.read(ours, 65536)
            process.send_signal(signal.SIGINT)
            while b"start the demo again and it continues" not in shown:
                shown += os.read(ours, 65536)
            assert process.wait(PATIENCE) == 130
        finally:
            process.kill()
            os.close(ours)
    assert b"\x1b[" in shown
    assert not COLOURS.search(shown)
    assert sandbox_of(state).is_alive()


def test_a_bundled_application_does_not_start_the_demo(
    offline: CommandLine, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within one executable there is no python to start, so the demo names where it runs instead of hanging."""
    monkeypatch.setattr("sys.frozen", True, raising=False)
    result = offline.run("demo", "--state-dir", str(state))
    assert result.exit_code == 2
    assert "run it from an installation" in result.stderr


def test_two_demos_do_not_share_a_directory(state: Path) -> None:
    """While one demo runs, another on the same directory ends with 1 and names what to do."""
    with SQLiteStore(state / "tokens.db") as store, store.lock("demo", timeout=0):
        finished = finish("demo", "--state-dir", str(state))
    assert finished.returncode == 1
    assert "name another directory with --state-dir" in finished.stderr


def test_another_sandbox_at_the_same_address_is_not_ours(state: Path) -> None:
    """A state file whose address is taken by a sandbox with another client counts as dead."""
    file = state / "sandbox.json"
    with started("sandbox", "--port", "0", "--state-file", str(file)) as (_, output):
        read_until(output, "  )")
        live = sandbox_of(state)
        assert live.is_alive()
        other = SandboxAddress(live.address.origin, "sandbox-of-yesterday", "secret", live.address.redirect_uri)
        assert not RemoteSandbox(other).is_alive()
