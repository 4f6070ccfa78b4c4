"""Links between the pages: each leads to a file and a heading, and those of docs/ stay in docs/, as in the wheel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.prose import ROOT

DOCS = ROOT / "docs"
PAGES = {path.relative_to(ROOT).as_posix(): path for path in (*ROOT.glob("*.md"), *DOCS.rglob("*.md"))}

_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
_PICTURES = {".png", ".svg"}
_CODE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def links(text: str) -> Iterator[tuple[str, str]]:
    """The file and the heading of each link that is not to another site; without the links of code blocks."""
    for target in _LINK.findall(_CODE.sub("", text)):
        if not re.match(r"[a-z]+:", target):
            file, _, heading = target.partition("#")
            yield file, heading


def anchors(text: str) -> set[str]:
    """The anchors that a heading gets where Markdown is shown: lower case, hyphens, no punctuation."""
    found: set[str] = set()
    for heading in _HEADING.findall(_CODE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return found


def broken(page: Path) -> list[str]:
    """Each link that leads nowhere, or from a page of docs/ to a file that the wheel does not have."""
    found: list[str] = []
    for file, heading in links(page.read_text("utf-8")):
        target = (page.parent / file).resolve() if file else page
        is_outside = page.is_relative_to(DOCS) and not target.is_relative_to(DOCS)
        is_missing = not target.exists()
        # The fragment of a picture chooses the theme that shows it.
        is_heading = bool(heading) and target.suffix not in _PICTURES
        if is_missing or is_outside or (is_heading and heading not in anchors(target.read_text("utf-8"))):
            found.append(f"{file}#{heading}" if heading else file)
    return found


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_page_and_a_heading(name: str) -> None:
    """A page outside docs/ is named as code: an installation has docs/ and nothing beside it."""
    assert broken(PAGES[name]) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """A file and a heading that do not exist; not those that do, nor code, nor another site."""
    page = tmp_path / "a.md"
    page.write_text(
        "# One, `two`\n[a](a.md#one-two) [b](b.md) [c](#three) [d](https://d.example)\n```\n[e](e.md)\n```\n"
    )
    assert broken(page) == ["b.md", "#three"]
