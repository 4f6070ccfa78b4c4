"""Pictures of a terminal: `blnk-auth` as a user runs it, drawn as SVG by rich.

Used by `python -m support.pictures`. The commands run in /tmp/acme, which must not exist, so that no picture has a path
of the machine that made it; the sandbox listens at its usual port.
"""

from __future__ import annotations

import io
import re
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text
from support.command_line import SECRET, CommandLine
from support.limits import PATIENCE
from support.pictures import PORT

from blnk_auth.testing import Sandbox

COLUMNS, NARROW = 80, 68
"""Of a terminal; a picture of the narrow one can be read on a phone."""
_DIRECTORY = Path("/tmp/acme")
_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"

# Without the fonts that rich loads from the internet: what shows a picture must not ask another server for anything.
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code, monospace", _FONT
)


def status() -> str:
    """Three users: one with a fresh token, one whose grant has ended, and one who must sign in within days."""
    with _command_line() as command_line:
        client = command_line.client()
        hour = time.time() + 3630
        command_line.give(client, "alice", expires_at=hour)
        command_line.give(client, "bob", expires_at=hour, refresh_expires_at=time.time() + 5 * 86_430)
        command_line.give(client, "carol", expires_at=time.time() - 5)
        command_line.end(client, "carol")
        return _drawn(command_line, "status", NARROW)


def doctor() -> str:
    """A client whose secret is wrong; all else is well."""
    with _command_line() as command_line:
        command_line.variables["SANDBOX_SECRET"] = "of-another-client"
        return _drawn(command_line, "doctor", NARROW)


def demo() -> str:
    """The short demo, to its end."""
    with _command_line() as command_line:
        return _drawn(command_line, "demo --quick", COLUMNS, piped=True)


@contextmanager
def _command_line() -> Generator[CommandLine]:
    _DIRECTORY.mkdir()
    try:
        with Sandbox(client_secret=SECRET, redirect_uri="http://127.0.0.1/callback", port=PORT) as sandbox:
            command_line = CommandLine(_DIRECTORY, sandbox, {"XDG_STATE_HOME": str(_DIRECTORY / "state")})
            command_line.configure()
            yield command_line
    finally:
        _removed(_DIRECTORY)


def _removed(directory: Path) -> None:
    for path in sorted(directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    directory.rmdir()


def _drawn(command_line: CommandLine, arguments: str, columns: int, *, piped: bool = False) -> str:
    environment = {**command_line.install(), "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "60"}
    command = f"blnk-auth {arguments}"
    if piped:
        # On a terminal it shows its progress, which is not for a picture.
        shown = subprocess.run(
            command.split(), env=environment, cwd=_DIRECTORY, capture_output=True, timeout=PATIENCE, check=True
        ).stdout
    else:
        run: Any = pexpect.spawn(
            command, env=environment, cwd=str(_DIRECTORY), timeout=PATIENCE, dimensions=(60, columns)
        )
        shown = bytes(run.read())
    text = "\n".join(line.rstrip() for line in shown.decode().splitlines()).rstrip()
    console = Console(record=True, width=columns + 1, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text(f"$ {command}", style="bold"))
    console.print(Text.from_ansi(text))
    return console.export_svg(title="", theme=MONOKAI, code_format=_FORMAT, unique_id="t")
