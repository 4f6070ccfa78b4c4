"""Docstrings in Google style, taken apart: the pages of the reference quote them.

Used by the modules beside it. It promises the words of the docstring, each entry on one line.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

_SECTION = re.compile(r"^(\w+):\n((?: {4}.*\n|\n)+)", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}\**(\w+): +(.*\n(?: {8,}.*\n)*)", re.MULTILINE)
_LIST = re.compile(r"^\* (.*\n(?: {2,}.*\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Docstring:
    """The parts of a docstring.

    Attributes:
        summary: Its first paragraph.
        paragraphs: The others, up to the first section, without the lists.
        items: The entries of its lists.
        entries: The entries of `Args:` or `Attributes:`, by name.
    """

    summary: str
    paragraphs: tuple[str, ...]
    items: tuple[str, ...]
    entries: dict[str, str]


def docstring_of(value: object) -> Docstring:
    """The docstring of a class or a function, taken apart."""
    text = inspect.cleandoc(value.__doc__ or "") + "\n"
    sections = {match[1]: match[2] for match in _SECTION.finditer(text)}
    entries = _ENTRY.findall(sections.get("Args", "") + sections.get("Attributes", ""))
    before = _SECTION.sub("", text)
    summary, *others = (_one_line(each) for each in re.split(r"\n{2,}", _LIST.sub("", before)) if each.strip())
    items = tuple(_one_line(each) for each in _LIST.findall(before))
    return Docstring(summary, tuple(others), items, {name: _one_line(each) for name, each in entries})


def _one_line(text: str) -> str:
    return " ".join(text.split())
