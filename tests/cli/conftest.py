from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.command_line import SECRET, CommandLine

from blnk_auth.testing.sandbox import Sandbox


@pytest.fixture
def blnk_auth_cli(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line with a profile for a running sandbox of Blnk Cloud."""
    with Sandbox(client_secret=SECRET) as sandbox:
        command_line = CommandLine(tmp_path, sandbox)
        command_line.configure()
        yield command_line


@pytest.fixture
def offline(tmp_path: Path) -> CommandLine:
    """The command line without a configuration and without a sandbox."""
    return CommandLine(tmp_path)
