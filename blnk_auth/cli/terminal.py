"""How commands print: times for readers, JSON for scripts, tables and colours where the output is a terminal.

Used by every command. It promises that a text of a server or a store can never control the terminal (`printable`).
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

_UNFOLDED_WIDTH = 10_000

_PATIENCE = 1.0
"""Seconds for which a command may wait in silence."""

ITSELF = "(the client itself)"

_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def console(*, stderr: bool = False) -> Console:
    """The terminal, without colours if NO_COLOR is set or it is not a terminal. A file or a pipe folds no lines."""
    from rich.console import Console

    made = Console(highlight=False, stderr=stderr)
    if not made.is_terminal:
        made.width = _UNFOLDED_WIDTH
    return made


@contextmanager
def progress(doing: str, *, enabled: bool) -> Generator[Callable[[int, int | None], object]]:
    """A progress bar while the context is open: call what it yields with how many are done, of how many."""
    from rich.progress import Progress

    # On standard error, so that standard output can be piped; nothing if that is not a terminal.
    stderr = console(stderr=True)
    if not enabled or not stderr.is_terminal:
        # Before rich 15, a bar that is disabled ends with an empty line.
        yield lambda _done, _total: None
        return
    with Progress(console=stderr, transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def waiting(doing: str) -> Generator[None]:
    """While the context is open for more than a second: what the command waits for, on a terminal's standard error.

    Not with `--verbose`, whose lines show the same.
    """
    if not sys.stderr.isatty() or logging.getLogger("blnk_auth").isEnabledFor(logging.DEBUG):
        yield
        return
    over = threading.Event()

    def show() -> None:
        if not over.wait(_PATIENCE):
            with console(stderr=True).status(f"{doing} ..."):
                over.wait()

    # Its own thread, so that nothing is drawn, and rich not imported, unless it takes long.
    shown = threading.Thread(target=show, name="blnk-auth waiting", daemon=True)
    shown.start()
    try:
        yield
    finally:
        over.set()
        shown.join()


def print_json(data: Any) -> None:
    """Print JSON on standard output."""
    click.echo(json.dumps(data, indent=2))


def time_left(seconds: float | None) -> str:
    """A duration in its two largest units, such as `3d 4h`; `over` if it is less than a second, `unknown` if None."""
    if seconds is None:
        return "unknown"
    if seconds < 1:
        return "over"
    left = int(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
    return " ".join(filter(None, parts[:2]))


def printable(text: str) -> str:
    """The text on one line, with a `?` for each character that could control the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def escaped(text: str) -> str:
    """The text with an escape for each such character, also for lone surrogates: a key stays recognizable."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def subject_label(subject: str | None) -> str:
    """How a subject is shown; None is the client itself."""
    return ITSELF if subject is None else printable(subject)
