from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import SECRET, CommandLine
from support.processes import free_port

from blnk_auth.testing.sandbox import Sandbox


@pytest.fixture
def blnk_auth_cli(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line with a profile for a running sandbox of Blnk Cloud."""
    # A redirect URI of the test's own: several may sign in at the same time.
    redirect_uri = f"http://127.0.0.1:{free_port()}/oauth/callback"
    with Sandbox(client_secret=SECRET, redirect_uri=redirect_uri) as sandbox:
        command_line = CommandLine(tmp_path, sandbox)
        command_line.configure()
        yield command_line


@pytest.fixture
def offline(tmp_path: Path) -> CommandLine:
    """The command line without a configuration and without a sandbox."""
    return CommandLine(tmp_path)
