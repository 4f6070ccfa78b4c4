"""The page of standards has no empty cell, and each test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import failures

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "standards.md"
ANSWERS = ("met", "not met: ", "not met, ", "not a client's")
_TEST = re.compile(r"`([\w/]+\.py)` (test_\w+)")


def _rows() -> list[list[str]]:
    """The cells of each row, without the heads of the tables."""
    lines = PAGE.read_text("utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")]
    return [row for row in rows if row[0] not in ("Section", "---")]


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row[0][:40])
def test_a_row_has_an_answer_and_a_test_that_exists(row: list[str]) -> None:
    """If a test was renamed: name it here as it is called now."""
    section, answer, shown_by = row
    assert section
    assert answer.startswith(ANSWERS), "the answer is met, not met with its reason, or not a client's"
    named = _TEST.findall(shown_by)
    assert named, "no test is named"
    existing = {(path, name) for path, name, _ in failures.tests()}
    assert [each for each in named if each not in existing] == []


def test_the_tables_are_read() -> None:
    """A page whose rows were not found would pass."""
    assert len(_rows()) > 80
