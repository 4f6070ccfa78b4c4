"""The page of standards has no empty cell, and each test that it names exists."""

from __future__ import annotations

import pytest
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
