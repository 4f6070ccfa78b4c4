"""What commands print beside their result: errors as JSON, the log, and what they wait for."""

from __future__ import annotations

import io
import json
import logging
import shutil
import subprocess
import threading
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
from support.canary.leaks import leaks
from support.command_line import SECRET, CommandLine, finish
from support.processes import free_port
from support.waiting import wait_until

from blnk_auth import ProtocolError, SignInRequired, StoreError, TemporarilyUnavailable
from blnk_auth.cli import terminal
from blnk_auth.cli.exit_status import failure_of
from blnk_auth.testing.sandbox import Fault


def error_of(line: str) -> dict[str, Any]:
    assert line.count("\n") == 1
    error: dict[str, Any] = json.loads(line)["error"]
    return error


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("token", "--json"),
            {
                "kind": "sign_in_required",
                "exit_status": 1,
                "reason": "missing",
                "subject": "alice",
                "remedy": "sign in with: blnk-auth login --subject alice",
            },
        ),
        (
            ("token", "--json", "--profile", "nobody"),
            {"kind": "configuration", "exit_status": 2, "parameter": "profile", "remedy": "it has: default"},
        ),
        (
            ("status", "--watch", "--json"),
            {"kind": "usage", "exit_status": 2, "remedy": "see: blnk-auth status --help"},
        ),
        (("tokne", "--json"), {"kind": "usage", "exit_status": 2, "remedy": "see: blnk-auth --help"}),
        (("store", "list", "sqllite:x", "--json"), {"kind": "configuration", "exit_status": 2, "parameter": "url"}),
    ],
)
def test_an_error_is_json_where_the_result_is(
    blnk_auth_cli: CommandLine, arguments: tuple[str, ...], expected: dict[str, Any]
) -> None:
    """One object on standard error, and nothing on standard output that a script could take for a result."""
    result = blnk_auth_cli.run(*arguments)
    assert result.stdout == ""
    error = error_of(result.stderr)
    assert expected.items() <= error.items()
    assert error["exit_status"] == result.exit_code
    assert error["problem"]


def test_a_server_that_is_down_is_data(blnk_auth_cli: CommandLine) -> None:
    """A script sees the HTTP status and when to try again."""
    blnk_auth_cli.give(blnk_auth_cli.client(), "alice", expires_at=1.0)
    assert blnk_auth_cli.sandbox is not None
    blnk_auth_cli.sandbox.fail(Fault(status=503, headers={"retry-after": "60"}), at="token")
    error = error_of(blnk_auth_cli.run("token", "--json").stderr)
    assert (error["kind"], error["status_code"], error["outcome_unknown"]) == ("temporarily_unavailable", 503, False)
    assert error["retry_after"] == pytest.approx(60)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SignInRequired("x", reason="denied"), "sign_in_required"),
        (TemporarilyUnavailable("x"), "temporarily_unavailable"),
        (StoreError("x", key="k"), "store"),
        (ProtocolError("x"), "protocol"),
    ],
)
def test_each_class_of_error_has_its_kind(error: Any, kind: str) -> None:
    """So that a script need not read words."""
    assert failure_of(error).members["kind"] == kind


def test_verbose_shows_each_exchange_without_a_secret(blnk_auth_cli: CommandLine) -> None:
    """Which request was sent, what came and what became of it; no token, no secret, nothing on standard output."""
    client = blnk_auth_cli.client()
    blnk_auth_cli.give(client, "alice", expires_at=1.0)
    before = client.for_subject("alice")
    result = blnk_auth_cli.run("renew", "--verbose")
    assert result.exit_code == 0
    assert "grant_type" not in result.stdout
    exchange, *events = result.stderr.splitlines()
    origin = blnk_auth_cli.sandbox.origin if blnk_auth_cli.sandbox else ""
    assert exchange.startswith(
        f"  POST {origin}/oauth/token (Authorization: Basic, grant_type=refresh_token, refresh_token): 200 in "
    )
    assert "access_token, token_type=Bearer, expires_in=3600" in exchange
    assert any(line.startswith("  renewed ") for line in events)
    secrets = [SECRET, before.token().access_token, "blnk_at_", "blnk_rt_"]
    assert leaks([result.stderr], secrets) == []
    assert blnk_auth_cli.run("renew").stderr == ""


def test_verbose_shows_an_exchange_that_failed(blnk_auth_cli: CommandLine) -> None:
    """A refusal with its code, and that no response came."""
    blnk_auth_cli.give(blnk_auth_cli.client(), "alice", expires_at=1.0)
    url = f"http://127.0.0.1:{free_port()}"
    blnk_auth_cli.variables["SANDBOX_SECRET"] = "wrong-s3cret"
    refused = blnk_auth_cli.run("renew", "-v").stderr
    assert ": 401 in " in refused
    assert "error=invalid_client" in refused
    blnk_auth_cli.configure("custom", name='"n"', token_endpoint=f'"{url}/token"', api_origins=f'["{url}"]')
    file = blnk_auth_cli.file
    file.write_text("\n".join(line for line in file.read_text().splitlines() if not line.startswith("base_url")))
    lost = blnk_auth_cli.run("token", "--itself", "-v").stderr
    assert f"POST {url}/token (Authorization: Basic, grant_type=client_credentials): no response after " in lost


def test_the_log_is_switched_off_again(blnk_auth_cli: CommandLine) -> None:
    """A command that ran leaves the logger as it was."""
    logger = logging.getLogger("blnk_auth")
    before = logger.level, list(logger.handlers)
    blnk_auth_cli.run("status", "--verbose")
    assert (logger.level, logger.handlers) == before


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_the_shell_accepts(shell: str, tmp_path: Path) -> None:
    """Nothing else is printed, and the shell, where it is installed, reads the script without an error."""
    finished = finish("completion", shell)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert f"_BLNK_AUTH_COMPLETE={shell}_complete" in finished.stdout
    program = shutil.which(shell)
    if program is not None:
        (tmp_path / "script").write_text(finished.stdout)
        subprocess.run([program, "-n", tmp_path / "script"], check=True, capture_output=True)


def test_bash_completes_commands_options_and_profiles(blnk_auth_cli: CommandLine) -> None:
    """As a user has it who typed the beginning and pressed Tab."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    environment = blnk_auth_cli.install()
    for typed, completed in (("req", "request"), ("token --hea", "--headers"), ("login --profile d", "default")):
        words = ["blnk-auth", *typed.split()]
        script = (
            'eval "$(blnk-auth completion bash)"\n'
            f"COMP_WORDS=({' '.join(words)}) COMP_CWORD={len(words) - 1}\n"
            f'_blnk_auth_completion blnk-auth {words[-1]}\necho "${{COMPREPLY[@]}}"'
        )
        printed = subprocess.run([bash, "-c", script], env=environment, capture_output=True, text=True, check=True)
        assert printed.stdout.strip() == completed


class Screen(io.StringIO):
    """What a terminal got."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(terminal, "_PATIENCE", 0.0)


def is_shown() -> bool:
    return "blnk-auth waiting" in {each.name for each in threading.enumerate()}


@pytest.mark.usefixtures("impatient")
def test_what_is_waited_for_is_shown_on_a_terminal() -> None:
    """A command that takes long shows it on standard error, and leaves nothing running."""
    screen = Screen()
    with redirect_stderr(screen), terminal.waiting("Renewing the token"):
        wait_until(lambda: "Renewing the token ..." in screen.getvalue(), "the line")
    assert not is_shown()


@pytest.mark.usefixtures("impatient")
def test_nothing_is_shown_with_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Its lines show the same, and a spinner would be drawn over them."""
    screen = Screen()
    with caplog.at_level(logging.DEBUG, "blnk_auth"), redirect_stderr(screen), terminal.waiting("Renewing the token"):
        assert not is_shown()
    assert screen.getvalue() == ""


@pytest.mark.usefixtures("impatient")
def test_a_pipe_gets_no_spinner(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard error that is not a terminal gets messages only."""
    with terminal.waiting("Renewing the token"):
        assert not is_shown()
    assert capsys.readouterr().err == ""
