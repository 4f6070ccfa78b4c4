"""Runs `blnk-auth` as a real process, and ends the sandbox that a demo leaves behind when it is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

TIMEOUT = 120

# A shell that runs the tests in the background has processes ignore Ctrl-C, and children inherit that.
_MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from blnk_auth.cli import main; main()"
)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", _MAIN, *arguments]


def finish(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=TIMEOUT, check=False)


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """The running process and its standard output; killed at the end if it still runs."""
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


@contextmanager
def state_directory(path: Path) -> Iterator[Path]:
    """A directory for the state of demos; a sandbox that is left there ends, because its state file goes."""
    try:
        yield path
    finally:
        (path / "sandbox.json").unlink(missing_ok=True)


def read_until(output: IO[str], beginning: str) -> list[str]:
    """The lines up to the first with that beginning; it fails if the output ends before."""
    lines: list[str] = []
    for line in output:
        lines.append(line)
        if line.startswith(beginning):
            return lines
    raise AssertionError(f"no line begins with {beginning!r}: {lines}")
