"""How a command ends: its exit status, and one line on standard error with the problem and the remedy.

Used by every command. It promises that an error of the library, wrong usage and Ctrl-C never end in a traceback. With
`--json` the line is a JSON object; standard output never has an error, so that no script takes one for a result.
docs/reference/command-line.md lists the statuses and the members for users.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from ..config._settings import SECRETS
from ..errors import BlnkAuthError, ProtocolError, SignInRequired, StoreError, TemporarilyUnavailable
from .remedies import remedy_of
from .terminal import printable

OK = 0
SIGN_IN = 1
CONFIGURATION = 2
UNAVAILABLE = 3
CLIENT_ERROR = 4
SERVER_ERROR = 5
INTERRUPTED = 130

_KINDS = {
    SIGN_IN: "sign_in_required",
    CONFIGURATION: "configuration",
    UNAVAILABLE: "temporarily_unavailable",
    INTERRUPTED: "interrupted",
}

# An argument that click quotes, since it was typed in the wrong place: a long word with a digit or a capital letter.
_PERHAPS_A_SECRET = re.compile(r"(?<![^\s'\"(])(?=[^\s'\"()]*[0-9A-Z])[^\s'\"()]{12,}")
_BEGINNING = 8

# What click raises to show the help of a group that was called without a command; click 8.1 prints it by itself.
_IS_HELP: tuple[type[Exception], ...] = tuple(filter(None, [getattr(click.exceptions, "NoArgsIsHelpError", None)]))

_IN_WORDS = {"a valid integer range": "a whole number", "a valid float range": "a number", "a valid float": "a number"}
"""What click calls its types, and what everybody does."""

_JSON = f"{__name__}.json"
"""The key in a click context's `meta`: whether the arguments have `--json`."""


class Failure(Exception):
    """Ends the command with an exit status, and one line with the problem and the remedy.

    Args:
        problem: What is wrong.
        status: The exit status.
        remedy: What to do; None where `problem` contains it.
        kind: The `kind` of the JSON object; None: that of the status.
        data: Its further members.
    """

    def __init__(
        self,
        problem: str,
        status: int,
        *,
        remedy: str | None = None,
        kind: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(problem if remedy is None else f"{problem}; {remedy}")
        self.status = status
        self.members: dict[str, Any] = {
            "kind": kind or _KINDS.get(status, "configuration"),
            "exit_status": status,
            "problem": problem,
            "remedy": remedy,
            **(data or {}),
        }


def failure_of(error: BlnkAuthError, *, profile: str | None = None) -> Failure:
    """The failure of a command for an error of the library. `profile`: the name of the profile that was used."""
    data = _data_of(error)
    if isinstance(error, SignInRequired):
        remedy = f"sign in with: {sign_in_command(error.subject, profile)}"
        return Failure(error.problem, SIGN_IN, remedy=remedy, data=data)
    if isinstance(error, TemporarilyUnavailable):
        return Failure(error.problem, UNAVAILABLE, remedy=remedy_of(error), data=data)
    if isinstance(error, StoreError):
        return Failure(f"store: {error.problem}", CONFIGURATION, remedy=remedy_of(error), kind="store", data=data)
    kind = "protocol" if isinstance(error, ProtocolError) else None
    return Failure(error.problem, CONFIGURATION, remedy=remedy_of(error), kind=kind, data=data)


def _data_of(error: BlnkAuthError) -> dict[str, Any]:
    """The data of an error that are plain values, and known."""
    plain = {name: value for name, value in error.fields().items() if isinstance(value, str | int | float)}
    return {name: value for name, value in plain.items() if name != "remedy"}


def _failure_of_usage(error: click.UsageError) -> Failure:
    if isinstance(error, _IS_HELP):
        raise error
    problem = " ".join(error.format_message().split()).rstrip(".")
    for clicks, ours in _IN_WORDS.items():
        problem = problem.replace(clicks, ours)
    called = error.ctx or click.get_current_context()
    remedy = f"see: {called.command_path} --help"
    if isinstance(error, click.NoSuchOption) and (secret := _secret_of(error.option_name)) is not None:
        # click would propose options that look alike.
        problem = f"No such option {error.option_name!r}: other users of this machine can read a command line"
        remedy = f"set the variable BLNK_AUTH_{secret.upper()}, or {secret} in the profile"
    types = [parameter.type for parameter in called.command.params]
    choices = {str(choice) for each in types if isinstance(each, click.Choice) for choice in each.choices}
    shown = _PERHAPS_A_SECRET.sub(lambda found: _cut(found[0], choices), problem)
    return Failure(shown, CONFIGURATION, remedy=remedy, kind="usage")


def _secret_of(option: str) -> str | None:
    name = option.strip("-").replace("-", "_")
    return name if name in SECRETS else None


def _cut(word: str, choices: set[str]) -> str:
    if word.rstrip(",.?") in choices:
        return word
    return word if word.isupper() or word.startswith(("--", "/", ".")) else f"{word[:_BEGINNING]}..."


def sign_in_command(subject: str | None, profile: str | None = None) -> str:
    """The command that signs in. `profile`: its name, or the URL in its place."""
    is_url = profile is not None and "://" in profile
    chosen = {"profile": None if is_url or profile == "default" else profile, "subject": subject}
    options = (f"--{name} {shlex.quote(value)}" for name, value in chosen.items() if value)
    return " ".join(["blnk-auth login", *options, *([shlex.quote(str(profile))] if is_url else [])])


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
    _print(failure)
    raise click.exceptions.Exit(failure.status)


def note_json(arguments: list[str]) -> None:
    """Note whether errors are to be JSON. By the arguments themselves, since one that is wrong may come before."""
    click.get_current_context().meta[_JSON] = "--json" in arguments


def _print(failure: Failure) -> None:
    context = click.get_current_context(silent=True)
    if context is not None and context.meta.get(_JSON):
        click.echo(json.dumps({"error": failure.members}), err=True)
    else:
        click.echo(f"blnk-auth: {printable(' '.join(str(failure).split()))}", err=True)


def print_warning(problem: str, remedy: str) -> None:
    """Print a problem that does not end the command, in the form of those that do."""
    context = click.get_current_context(silent=True)
    if context is not None and context.meta.get(_JSON):
        click.echo(json.dumps({"warning": {"problem": problem, "remedy": remedy}}), err=True)
    else:
        click.echo(f"blnk-auth: {printable(problem)}; {printable(remedy)}", err=True)


def _encode_anything() -> None:
    # A terminal without UTF-8 shows an escape for a character that it lacks, instead of a traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
