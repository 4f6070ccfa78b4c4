"""The first blocks of the README, run as they are: each as a program of its own, beside the sandbox that it names.

Only the port is replaced, since another test may use the usual one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import CommandLine, browser_command
from support.limits import PATIENCE

from blnk_auth.cli.sandbox import DEFAULT_PORT, REDIRECT_URIS
from blnk_auth.testing.sandbox import Sandbox

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")

_BLOCK = re.compile(
    r"^\*\*(?P<title>[^*]+)\*\*.*?^```(?P<language>python|sh)\n(?P<source>.*?)^```$", re.MULTILINE | re.DOTALL
)

BLOCKS = {
    block["title"]: (block["language"], block["source"])
    for block in _BLOCK.finditer(README[: README.index("## Works with")])
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """What `blnk-auth sandbox --device` runs, on a free port; tests/cli/test_sandbox_command.py runs the command."""
    with Sandbox(redirect_uri=REDIRECT_URIS, device_grant=True) as running:
        yield running


@pytest.fixture(scope="module")
def described() -> Iterator[Sandbox]:
    """What `blnk-auth sandbox --personality mcp` runs, on a free port."""
    with Sandbox("mcp") as running:
        yield running


FROM_A_URL = "For an API that describes its own sign-in"


def test_there_are_five_blocks_of_at_most_six_lines() -> None:
    """For a user, a service, a terminal, a device, and an API whose URL is enough."""
    titles = ["For a user", "For a service", "From the terminal", "On a device without a browser", FROM_A_URL]
    assert list(BLOCKS) == titles
    lines = {title: [each for each in source.splitlines() if each.strip()] for title, (_, source) in BLOCKS.items()}
    assert {title: len(found) for title, found in lines.items() if len(found) > 6} == {}


@pytest.mark.real
@pytest.mark.parametrize("title", BLOCKS)
def test_it_runs_as_it_is(title: str, sandbox: Sandbox, described: Sandbox, tmp_path: Path) -> None:
    """It ends with the ledgers of the API on the screen."""
    language, source = BLOCKS[title]
    sandbox = described if title == FROM_A_URL else sandbox
    port = sandbox.origin.rpartition(":")[2]
    source = source.replace(f"127.0.0.1:{DEFAULT_PORT}", f"127.0.0.1:{port}")
    program = [sys.executable, "-u", "-c", source] if language == "python" else ["bash", "-e", "-c", source]
    command_line = CommandLine(tmp_path, None, {"BROWSER": browser_command(tmp_path), "BLNK_AUTH_SANDBOX_PORT": port})
    environment = command_line.install()
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        environment.pop(name, None)
    with subprocess.Popen(
        program, env=environment, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        if title == "On a device without a browser":
            address, _, user_code = running.stdout.readline().strip().partition(" ")
            assert address == f"{sandbox.origin}/device"
            sandbox.enter_user_code(user_code)
        output, errors = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, errors
    assert "Customer wallets" in output, output
