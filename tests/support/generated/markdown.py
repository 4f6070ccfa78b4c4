"""Markdown that the site and other readers show alike: what is quoted is escaped, and a cell is one line.

Used by the modules beside it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence


def escaped(text: str) -> str:
    """The text, shown as it is."""
    return re.sub(r"([\\`*_{}\[\]])", r"\\\1", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_CODE = re.compile(r"`[^`]+`")
_NAME = re.compile(
    r"\b\w+=\{[^}]*\}|https?://[^\s,;)]*[^\s,;.)]|\$\{\w+\}|(?<![\w-])--?[a-zA-Z][\w-]*|\b[A-Z]*[a-z0-9]+(?:_[a-z0-9]+)+\b(?:\(\))?"
    r"|\{\w+\}|\bkeyring:[\w/]+"
)
"""What is code in a help text: a URL, an option, a name with an underscore, a reference."""


def prose(text: str) -> str:
    """Help or a docstring, with names as code."""
    found: list[str] = []
    position = 0
    for match in [*_CODE.finditer(text), None]:
        end = len(text) if match is None else match.start()
        found.append(_with_names(text[position:end]))
        if match is not None:
            found.append(match[0])
            position = match.end()
    return "".join(found)


def _with_names(text: str) -> str:
    names = [f"`{name}`" for name in _NAME.findall(text)]
    parts = map(escaped, _NAME.split(text))
    return "".join(itertools.chain.from_iterable(zip(parts, [*names, ""], strict=True)))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; each cell is Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def listing(rows: Iterable[tuple[str, str]]) -> str:
    """A list of names, each with its meaning: unlike the cells of a table, no name is broken on a small screen."""
    return "\n".join(f"* {name}: {' '.join(text.split())}" for name, text in rows)


def codes(names: Iterable[str]) -> str:
    """Names as code, with commas."""
    return ", ".join(f"`{name}`" for name in names)
