"""Signing in as a new user does: real processes in a real terminal, the commands as the tutorial has them."""

from __future__ import annotations

import re
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pexpect
import pytest
from filelock import FileLock
from support.canary.leaks import leaks
from support.command_line import SECRET, CommandLine, browser_command, read_until, started
from support.limits import PATIENCE
from support.processes import free_port

from blnk_auth.testing.sandbox import Sandbox, browser

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "first-token.md"
PROMPT = "ready> "


def commands_of_the_tutorial() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", TUTORIAL.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@contextmanager
def terminal(command_line: CommandLine, **variables: str) -> Iterator[Any]:
    """A shell at a terminal, in which `blnk-auth` is installed, for somebody without a screen."""
    environment = {**command_line.install(), "TERM": "dumb", "PS1": PROMPT, **variables}
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        environment.pop(name, None)
    shell = pexpect.spawn(
        *("/bin/sh", ["-i"]),
        env=environment,
        cwd=str(command_line.directory),
        encoding="utf-8",
        timeout=PATIENCE,
        dimensions=(50, 200),
    )
    try:
        shell.expect_exact(PROMPT)
        yield shell
    finally:
        shell.close(force=True)


def finish(shell: Any, command: str) -> str:
    """Run a command at the prompt; what it showed."""
    shell.sendline(command)
    return shown(shell)


def shown(shell: Any) -> str:
    """The output until the prompt is back."""
    shell.expect_exact(PROMPT)
    text: str = shell.before
    return text


def status_of(shell: Any) -> int:
    return int(finish(shell, "echo status=$?").rpartition("status=")[2])


@pytest.fixture
def port_of_the_tutorial() -> Iterator[None]:
    """Port 8765, which the tutorial's client comes back to: for one run of the tests on this machine at a time."""
    with FileLock(Path(tempfile.gettempdir()) / "blnk-auth-tests-port-8765.lock"):
        yield


@pytest.mark.usefixtures("port_of_the_tutorial")
def test_the_tutorial_holds(offline: CommandLine) -> None:
    """A reader who types the tutorial's commands and gives its answers gets the API's answer in curl and Python."""
    port = free_port()
    init, login, status, curl, code, logout = (
        text.replace("8400", str(port)).rstrip() for text in commands_of_the_tutorial()
    )
    variables = {"BROWSER": browser_command(offline.directory)}
    with started("sandbox", "--port", str(port)) as (_, output), terminal(offline, **variables) as shell:
        printed = "".join(read_until(output, "  )"))
        answers = {
            "base_url": f"http://127.0.0.1:{port}",
            **{name: re.findall(rf"{name} +(\S+)", printed)[0] for name in ("client_id", "client_secret")},
        }
        shell.sendline(init)
        for question in ("provider", "base_url", "client_id", "client_secret", "redirect_uri", "scope", "subject"):
            shell.expect(rf"\n{question}.*: ")
            shell.sendline(answers.get(question, ""))
        assert "Next: blnk-auth login" in (asked := shown(shell))
        assert answers["client_secret"] not in asked

        shell.sendline(login)
        assert "me: signed in at Blnk Cloud" in shown(shell)
        assert "close" in (offline.directory / "page.html").read_text()
        assert re.search(r"me .*fresh", finish(shell, status))
        assert '"name": "Customer wallets"' in finish(shell, curl)
        *program, run = code.splitlines()
        for line in program:
            shell.sendline(line)
        shown(shell)
        assert "Fees and revenue" in finish(shell, run)
        assert "me: forgotten here" in finish(shell, logout)
        assert "nobody has signed in" in finish(shell, status)


def test_without_a_redirect_uri_the_usual_one_is_used(offline: CommandLine) -> None:
    """A server of RFC 8252 accepts any port of 127.0.0.1: nothing needs to be configured but the client."""
    with Sandbox(client_secret=SECRET, redirect_uri="http://127.0.0.1/callback") as sandbox:
        command_line = CommandLine(offline.directory, sandbox)
        command_line.discover()
        with terminal(command_line, BROWSER=browser_command(offline.directory)) as shell:
            shell.sendline("blnk-auth login")
            assert "alice: signed in at 127.0.0.1" in shown(shell)
        query = parse_qs(next(each.query for each in sandbox.requests if each.path == "/oauth/authorize"))
        assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/callback", query["redirect_uri"][0])


def test_without_a_browser_the_address_is_pasted(blnk_auth_cli: CommandLine) -> None:
    """Over SSH nothing opens, not even the port, which may be somebody else's there: the pasted address signs in."""
    assert blnk_auth_cli.sandbox is not None
    port = urlsplit(blnk_auth_cli.sandbox.redirect_uri).port
    with socket.create_server(("127.0.0.1", port or 0)), terminal(blnk_auth_cli) as shell:
        shell.sendline("blnk-auth login --paste")
        shell.expect(r"http://\S+/oauth/authorize\?\S+")
        url = shell.after
        shell.expect("paste that page's address here:")
        shell.sendline(browser.sign_in(url, subject="alice", approve=True))
        output = shown(shell)
        assert "alice: signed in at Blnk Cloud" in output
        assert leaks([output], ["blnk_at_", "blnk_rt_"]) == []


@pytest.mark.parametrize("way", ["", "--paste"])
def test_the_wrong_address_is_asked_for_again(blnk_auth_cli: CommandLine, way: str) -> None:
    """A pasted address of another sign-in is refused, whether or not a browser might come back too; the next counts."""
    with terminal(blnk_auth_cli) as shell:
        shell.sendline(f"blnk-auth login {way}")
        shell.expect(r"http://\S+/oauth/authorize\?\S+")
        url = shell.after
        shell.expect("paste that page's address here:")
        shell.sendline("http://127.0.0.1/oauth/callback?code=x&state=y")
        shell.expect("Not that one: .*another sign-in")
        shell.sendline("0123456789abcdef")
        shell.expect("Not that one: it has no")
        shell.sendline(browser.sign_in(url, subject="alice", approve=True))
        assert "alice: signed in" in shown(shell)
        assert status_of(shell) == 0


@pytest.mark.parametrize("way", ["", "--paste"])
def test_an_address_longer_than_a_terminals_line_is_whole(blnk_auth_cli: CommandLine, way: str) -> None:
    """A terminal cuts a line after 4,095 bytes (macOS: 1,024). A cut code would be sent, and used up."""
    with terminal(blnk_auth_cli) as shell:
        shell.sendline(f"blnk-auth login {way}")
        shell.expect(r"http://\S+/oauth/authorize\?\S+")
        callback = browser.sign_in(shell.after, subject="alice", approve=True)
        shell.expect("paste that page's address here:")
        address, _, parameters = callback.partition("?")
        pasted = f"{address}?padding={'x' * 6000}&{parameters}"
        for start in range(0, len(pasted), 500):
            shell.send(pasted[start : start + 500])
        shell.sendline("")
        assert "alice: signed in" in shown(shell)


def test_a_typed_address_can_be_corrected(blnk_auth_cli: CommandLine) -> None:
    """The keys that erase a character and a line work, and afterwards the terminal is as it was before."""
    with terminal(blnk_auth_cli) as shell:
        before = finish(shell, "stty -a")
        shell.sendline("blnk-auth login --paste")
        shell.expect(r"http://\S+/oauth/authorize\?\S+")
        callback = browser.sign_in(shell.after, subject="alice", approve=True)
        shell.expect("paste that page's address here:")
        shell.send("nonsense\x15" + callback + "\u00e9x\x7f\x7f\r")
        assert "alice: signed in" in shown(shell)
        assert finish(shell, "stty -a") == before


def test_the_end_of_the_input_ends_the_wait(blnk_auth_cli: CommandLine) -> None:
    """Ctrl-D on an empty line, and an input that is closed, end `--paste` with one line."""
    ended = "blnk-auth: the input ended before a callback URL was pasted"
    with terminal(blnk_auth_cli) as shell:
        shell.sendline("blnk-auth login --paste")
        shell.expect("paste that page's address here:")
        shell.send("\x04")
        assert ended in shown(shell)
        assert ended in finish(shell, "blnk-auth login --paste < /dev/null")
        assert ended in finish(shell, "blnk-auth login --paste <&-")


def test_a_code_is_entered_on_another_device(blnk_auth_cli: CommandLine) -> None:
    """`login --device` shows an address, a code, and a QR code where the terminal can; then it waits for the user."""
    with Sandbox(client_secret=SECRET, device_grant=True) as sandbox:
        command_line = CommandLine(blnk_auth_cli.directory, sandbox)
        command_line.discover()
        with terminal(command_line, PYTHONUTF8="1") as shell:
            shell.sendline("blnk-auth login --device")
            shell.expect_exact("▄▄▄▄▄")
            shell.expect(rf"On any device, open {sandbox.origin}/device and enter (\S+)\r")
            sandbox.enter_user_code(shell.match[1])
            assert "alice: signed in at 127.0.0.1" in shown(shell)


def test_what_was_granted_is_shown(blnk_auth_cli: CommandLine) -> None:
    """Open finance in a terminal: pushed, exact and managed; the next sign-in can change the grant."""
    details = '{"type": "account_information"}'
    create = f"--parameter grant_management_action=create --parameter 'authorization_details={details}'"
    redirect_uri = f"http://127.0.0.1:{free_port()}/oauth/callback"
    extensions = ("par_required", "rar", "grant_management")
    with Sandbox(client_secret=SECRET, redirect_uri=redirect_uri, extensions=extensions) as sandbox:
        command_line = CommandLine(blnk_auth_cli.directory, sandbox)
        command_line.discover()
        command_line.write(f'{command_line.file.read_text()}redirect_uri = "{redirect_uri}"\n')
        with terminal(command_line, BROWSER=browser_command(command_line.directory)) as shell:
            shown_first = finish(shell, f"blnk-auth login --json {create}")
            grant_id = re.search(r'"grant_id": "([^"]+)"', shown_first)
            assert grant_id is not None, shown_first
            assert '"account_information"' in shown_first
            merge = f"--parameter grant_management_action=merge --parameter grant_id={grant_id[1]}"
            assert f"grant_id: {grant_id[1]}" in finish(shell, f"blnk-auth login {merge}")
        assert sandbox.counts.pushed_requests == 2


def test_a_user_who_denies_access_ends_with_1(blnk_auth_cli: CommandLine) -> None:
    """Denied access ends with 1 and one line; nothing is stored."""
    with terminal(blnk_auth_cli, BROWSER=browser_command(blnk_auth_cli.directory, approve=False)) as shell:
        shell.sendline("blnk-auth login")
        assert "sign in with: blnk-auth login" in shown(shell)
        assert status_of(shell) == 1
    assert blnk_auth_cli.run("token").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "--paste"), "--device and --paste exclude each other"),
        (("--device", "--parameter", "a=b"), "--parameter has no meaning with --device"),
        (("--paste", "--port", "8765"), "--port has no meaning with --paste"),
        (("--parameter", "a"), "write it as NAME=VALUE"),
        (("--parameter", "authorization_details=payment"), "--parameter authorization_details must be JSON"),
        (("--parameter", 'authorization_details={"a": 1}'), "each must be a JSON object with a type"),
        (("--parameter", "max_age=soon"), "--parameter max_age must be a number of seconds"),
        (("--parameter", "grant_management_action=merge"), "name it with --parameter grant_id=..."),
        (("--timeout", "601s"), "is too short or too long; give 1s to 10m"),
        (("--device",), "--device: Blnk Cloud has no device_authorization_endpoint; leave it out, or use --paste"),
    ],
)
def test_options_that_cannot_be_are_refused(
    blnk_auth_cli: CommandLine, arguments: tuple[str, ...], message: str
) -> None:
    """Options that contradict each other or the provider end with 2 and that reason."""
    result = blnk_auth_cli.run("login", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize("way", ["", "--paste"])
def test_ctrl_c_while_waiting_ends_immediately(blnk_auth_cli: CommandLine, way: str) -> None:
    """Ctrl-C while it waits for the user ends with 130, in one line, without a traceback."""
    with terminal(blnk_auth_cli) as shell:
        shell.sendline(f"blnk-auth login {way}")
        shell.expect("paste that page's address here:")
        began = time.monotonic()
        shell.sendintr()
        text = shown(shell)
        assert time.monotonic() - began < 60
        assert "blnk-auth: interrupted; what was stored is still stored" in text
        assert "Traceback" not in text
        assert "Fatal" not in text
        assert status_of(shell) == 130
