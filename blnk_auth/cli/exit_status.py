"""How a command ends: the exit statuses, and one line on standard error for whatever went wrong.

Listed for users in docs/reference/command-line.md.
"""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Generator
from contextlib import contextmanager

import click

from ..errors import BlnkAuthError, SignInRequired, TemporarilyUnavailable
from .screen import printable

OK = 0
SIGN_IN = 1
CONFIGURATION = 2
UNAVAILABLE = 3
INTERRUPTED = 130


class Failure(Exception):
    """Ends the program with a status, and one line that says what is wrong and what to do."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def failure_of(error: BlnkAuthError, *, profile: str | None = None) -> Failure:
    """What the command line makes of an error of the library."""
    if isinstance(error, SignInRequired):
        return Failure(f"{cause(error)}; sign in with: {sign_in_command(error.subject, profile)}", SIGN_IN)
    return Failure(str(error), UNAVAILABLE if isinstance(error, TemporarilyUnavailable) else CONFIGURATION)


def _failure_of_usage(wrong: click.UsageError) -> Failure:
    problem = wrong.format_message().rstrip(".")
    if "\n" in problem:
        # The whole help of a group that was called without a command.
        raise wrong
    called = wrong.ctx or click.get_current_context()
    return Failure(f"{problem}; see: {called.command_path} --help", CONFIGURATION)


def cause(error: SignInRequired) -> str:
    """Why, without the remedy, which speaks to programmers."""
    return error.problem


def sign_in_command(subject: str | None, profile: str | None = None) -> str:
    """What to type to sign in."""
    chosen = {"profile": None if profile == "default" else profile, "subject": subject}
    return " ".join(["blnk-auth login", *(f"--{name} {shlex.quote(value)}" for name, value in chosen.items() if value)])


@contextmanager
def reported() -> Generator[None]:
    """Turn every error of the library into one line and a status, and Ctrl-C into an orderly end."""
    _encode_anything()
    try:
        yield
        return
    except Failure as known:
        failure = known
    except click.UsageError as wrong:
        failure = _failure_of_usage(wrong)
    except BlnkAuthError as error:
        failure = failure_of(error, profile=click.get_current_context().meta.get("profile"))
    except (KeyboardInterrupt, click.Abort):
        # Off the line of the question that was being asked.
        click.echo(err=True)
        failure = Failure("interrupted; what was stored is still stored", INTERRUPTED)
    click.echo(f"blnk-auth: {printable(' '.join(str(failure).split()))}", err=True)
    raise click.exceptions.Exit(failure.status)


def _encode_anything() -> None:
    # A terminal without UTF-8 shows an escape where it lacks a character, instead of a traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
