"""Tables of a page whose rows name tests, written as `file` and name.

Used by the tests of such pages.
"""

from __future__ import annotations

import re
from pathlib import Path

from support import failures

DOCS = Path(__file__).parents[2] / "docs"

_TEST = re.compile(r"`([\w/]+\.py)` (test_\w+)")


def rows(page: str, *heads: str) -> list[tuple[str, list[str]]]:
    """The section and the cells of each row of a page, without the heads of the tables, which begin with these."""
    found: list[tuple[str, list[str]]] = []
    section = ""
    for line in (DOCS / page).read_text("utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| "):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            if cells[0] not in (*heads, "---"):
                found.append((section, cells))
    return found


def missing(shown_by: str) -> list[tuple[str, str]]:
    """The tests that a cell names and that do not exist. It must name one."""
    named = _TEST.findall(shown_by)
    assert named, "no test is named"
    existing = {(path, name) for path, name, _ in failures.tests()}
    return [each for each in named if each not in existing]
