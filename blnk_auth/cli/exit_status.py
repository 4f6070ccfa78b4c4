"""How a command ends: its exit status, and one line on standard error with the problem and the remedy.

Used by every command. It promises that an error of the library, wrong usage and Ctrl-C never end in a traceback.
docs/reference/command-line.md lists the statuses for users.
"""

from __future__ import annotations

import io
import re
import shlex
import sys
from collections.abc import Generator
from contextlib import contextmanager

import click

from ..errors import BlnkAuthError, SignInRequired, StoreError, TemporarilyUnavailable
from .remedies import message_of
from .terminal import printable

OK = 0
SIGN_IN = 1
CONFIGURATION = 2
UNAVAILABLE = 3
INTERRUPTED = 130

# An argument that click quotes, since it was typed in the wrong place: a long word with a digit or a capital letter.
_PERHAPS_A_SECRET = re.compile(r"(?<![^\s'\"(])(?=[^\s'\"()]*[0-9A-Z])[^\s'\"()]{12,}")
_BEGINNING = 8


class Failure(Exception):
    """Ends the command with an exit status, and one line with the problem and the remedy."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def failure_of(error: BlnkAuthError, *, profile: str | None = None) -> Failure:
    """The failure of a command for an error of the library. `profile`: the name of the profile that was used."""
    if isinstance(error, SignInRequired):
        return Failure(f"{error.problem}; sign in with: {sign_in_command(error.subject, profile)}", SIGN_IN)
    message = message_of(error)
    if isinstance(error, StoreError):
        message = f"store: {message}"
    return Failure(message, UNAVAILABLE if isinstance(error, TemporarilyUnavailable) else CONFIGURATION)


def _failure_of_usage(error: click.UsageError) -> Failure:
    problem = error.format_message().rstrip(".")
    if "\n" in problem:
        # The help of a group that was called without a command.
        raise error
    called = error.ctx or click.get_current_context()
    return Failure(f"{_PERHAPS_A_SECRET.sub(_cut, problem)}; see: {called.command_path} --help", CONFIGURATION)


def _cut(found: re.Match[str]) -> str:
    word = found[0]
    return word if word.isupper() or word.startswith(("--", "/", ".")) else f"{word[:_BEGINNING]}..."


def sign_in_command(subject: str | None, profile: str | None = None) -> str:
    """The command that signs in."""
    chosen = {"profile": None if profile == "default" else profile, "subject": subject}
    return " ".join(["blnk-auth login", *(f"--{name} {shlex.quote(value)}" for name, value in chosen.items() if value)])


@contextmanager
def reported() -> Generator[None]:
    """Convert every error of the library, wrong usage and Ctrl-C to one line and an exit status."""
    _encode_anything()
    try:
        yield
        return
    except Failure as known:
        failure = known
    except click.UsageError as error:
        failure = _failure_of_usage(error)
    except BlnkAuthError as error:
        failure = failure_of(error, profile=click.get_current_context().meta.get("profile"))
    except (KeyboardInterrupt, click.Abort):
        # A new line, below the question that was being asked.
        click.echo(err=True)
        failure = Failure("interrupted; what was stored is still stored", INTERRUPTED)
    click.echo(f"blnk-auth: {printable(' '.join(str(failure).split()))}", err=True)
    raise click.exceptions.Exit(failure.status)


def _encode_anything() -> None:
    # A terminal without UTF-8 shows an escape for a character that it lacks, instead of a traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
