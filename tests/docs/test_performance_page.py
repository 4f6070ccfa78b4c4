"""docs/explanation/performance.md begins with what a user notices, and ends with the targets that are missed."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "performance.md").read_text("utf-8")


def test_what_a_user_notices_comes_first_and_what_was_missed_last() -> None:
    """Between the two are the tables."""
    sections = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert sections[0] == "What you notice"
    assert sections[-1] == "Targets, met and missed"
    assert {"A valid token", "A crowd on an expired token", "Steady traffic across expiries"} < {*sections[1:-1]}


def test_what_a_user_notices_is_a_list_of_measured_figures() -> None:
    """Each line has a number, and none is missing."""
    noticed = PAGE.partition("## What you notice\n")[2].partition("\n## ")[0].strip().splitlines()
    assert len(noticed) >= 5
    assert [line for line in noticed if not re.match(r"- \*\*.+\*\*: .*\d", line)] == []
