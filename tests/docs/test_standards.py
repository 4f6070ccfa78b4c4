"""The page of standards has no empty cell, and each test that it names exists."""

from __future__ import annotations

import re

import pytest
from support.imports import PACKAGE
from support.prose import ROOT
from support.rows_of_tests import missing, rows

ANSWERS = ("met", "not met: ", "not met, ", "not a client's")
ROWS = [cells for _, cells in rows("reference/standards.md", "Section")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_a_row_has_an_answer_and_a_test_that_exists(row: list[str]) -> None:
    """If a test was renamed: name it here as it is called now."""
    section, answer, shown_by = row
    assert section
    assert answer.startswith(ANSWERS), "the answer is met, not met with its reason, or not a client's"
    assert missing(shown_by) == []


def test_the_tables_are_read() -> None:
    """A page whose rows were not found would pass."""
    assert len(ROWS) > 80


def test_every_rfc_that_the_code_cites_is_on_the_page() -> None:
    """A standard that was is newly followed gets its place on the page."""
    page = (ROOT / "docs" / "reference" / "standards.md").read_text("utf-8")
    cited = {
        number for path in PACKAGE.rglob("*.py") for number in re.findall(r"\bRFC (\d{4})\b", path.read_text("utf-8"))
    }
    assert {number for number in cited if not re.search(rf"\b{number}\b", page)} == set()
    assert len(cited) > 20
