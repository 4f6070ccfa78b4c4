"""The generated parts of the pages below `docs/reference`: `make snapshots` writes them again.

A part is what is between `<!-- generated: KIND NAME -->` and `<!-- end -->`. Everything else on a page is written by
hand, and stays. `tests/docs/test_reference.py` fails if a page has other words than this script would write, or lacks a
part.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from support.generated import commands, errors, events, policy, settings

PAGES = Path(__file__).parents[2] / "docs" / "reference"

PART = re.compile(r"(<!-- generated: (\w+)(?: ([^>]*?))? -->\n).*?(<!-- end -->)", re.DOTALL)


class Kind(NamedTuple):
    """Parts of one kind.

    Attributes:
        names: The names of all parts of this kind, each of which a page must have once.
        write: Makes the Markdown of one.
    """

    names: Callable[[], Iterable[str]]
    write: Callable[[str], str]


def _single(write: Callable[[], str]) -> Kind:
    """A kind with one part, which needs no name."""

    def with_name(_name: str) -> str:
        return write()

    return Kind(lambda: [""], with_name)


KINDS: dict[str, Kind] = {
    "options": _single(commands.shared),
    "command": Kind(commands.commands, commands.command),
    "settings": Kind(settings.tables, settings.keys),
    "policy": _single(policy.policy_fields),
    "event": Kind(events.names, events.event),
    "fields": _single(events.event_fields),
    "error": Kind(lambda: errors.CLASSES, errors.error_class),
    "answers": _single(errors.server_answers),
    "messages": Kind(lambda: errors.CLASSES, errors.error_messages),
    "causes": _single(errors.other_remedies),
}


def pages() -> Iterator[Path]:
    """The pages that have generated parts."""
    return (path for path in sorted(PAGES.glob("*.md")) if PART.search(path.read_text("utf-8")))


def written(text: str) -> str:
    """A page with its generated parts as they should be."""

    def part(match: re.Match[str]) -> str:
        return f"{match[1]}\n{KINDS[match[2]].write(match[3] or '')}\n\n{match[4]}"

    return PART.sub(part, text)


def parts(texts: Iterable[str]) -> list[tuple[str, str]]:
    """The kind and the name of each part that pages have, in order."""
    return [(match[2], match[3] or "") for text in texts for match in PART.finditer(text)]


if __name__ == "__main__":
    for page in pages():
        page.write_text(written(page.read_text("utf-8")), "utf-8")
        sys.stdout.write(f"{page.name} is written\n")
