"""How things are shown: times for people, JSON for scripts, and nothing that could steer a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

_ENDLESS = 10_000

_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def screen(*, stderr: bool = False) -> Console:
    """The terminal; without colours if NO_COLOR is set or nobody would see them. A file or a pipe folds no lines."""
    from rich.console import Console

    console = Console(highlight=False, stderr=stderr)
    if not console.is_terminal:
        console.width = _ENDLESS
    return console


def show_json(data: Any) -> None:
    """JSON on standard output."""
    click.echo(json.dumps(data, indent=2))


def span(seconds: float | None) -> str:
    """A length of time in its two largest units, as `3d 4h`; `over` if it is not positive, `unknown` if None."""
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
    """The text on one line, with a `?` for each character that a terminal might obey."""
    return "".join(character if character.isprintable() else "?" for character in text)
