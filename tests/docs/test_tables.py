"""Tables of the pages: a row that a blank line parts from its head is shown as text with bars."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from support.prose import ROOT

PAGES = {path.relative_to(ROOT).as_posix(): path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))}

_CODE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"(?:^\|.*\n?)+", re.MULTILINE)
_RULE = re.compile(r"\|[ :|-]+\|")


def without_head(text: str) -> Iterator[str]:
    """The first row of each table whose second row is not a rule, or whose rows differ in their number of cells."""
    for table in _TABLE.findall(_CODE.sub("", text)):
        rows = [re.sub(r"`[^`]*`|\\\|", "", row) for row in table.splitlines()]
        is_ruled = len(rows) > 1 and _RULE.fullmatch(rows[1].strip())
        if not is_ruled or len({row.count("|") for row in rows}) > 1:
            yield table.splitlines()[0]


@pytest.mark.parametrize("name", PAGES)
def test_every_row_belongs_to_a_table_with_a_head(name: str) -> None:
    """And each row has as many cells as the head."""
    assert list(without_head(PAGES[name].read_text("utf-8"))) == []


@pytest.mark.parametrize("gap", ["\n", ""])
def test_a_row_without_a_head_is_found(gap: str) -> None:
    """One that a blank line parts from its table; not one in a block of code."""
    text = f"| a | b |\n| --- | --- |\n| 1 | 2 |\n{gap}| 3 | `4|4` |\n\n```\n| 5 |\n```\n"
    assert list(without_head(text)) == (["| 3 | `4|4` |"] if gap else [])
