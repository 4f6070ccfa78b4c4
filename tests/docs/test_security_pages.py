"""The threat model and the security checklist: no empty cell, every test exists, and no requirement is left out."""

from __future__ import annotations

import re
from collections import Counter

from support.prose import ROOT
from support.rows_of_tests import missing, rows

HEAD = ("Threat", "What the library does", "Your part", "Shown by")
THREATS = [cells for section, cells in rows("explanation/security.md", "Threat") if section == "Threats"]
CHECKLIST = rows("explanation/security-checklist.md", "Requirement")
ANSWERS = ("met: ", "met for ", "the application's part", "not met: ", "not applicable")

RFC_9700 = {"2.1", "2.1.1", "2.1.2", "2.2.1", "2.2.2", "2.3", "2.4", "2.5", "2.6", *(f"4.{n}" for n in range(1, 18))}
RFC_8252 = {"6", "7.1", "7.2", "7.3", *(f"8.{n}" for n in range(1, 13)), "A:", "B:"}
ASVS = [
    f"V10.{section}.{number}"
    for section, requirements in enumerate((2, 3, 5, 16, 5, 2, 3), 1)
    for number in range(1, requirements + 1)
]
"""Each requirement of chapter V10 of OWASP ASVS 5.0.0, by how many each of its sections has."""


def numbers(document: str) -> list[str]:
    """The number at the beginning of each row about a document."""
    found = [cells[0] for section, cells in CHECKLIST if section.startswith(document)]
    return [re.sub(r"^(?:Appendix|5 and) ", "", each).split()[0] for each in found]


def test_a_threat_has_all_its_cells_and_tests_that_exist() -> None:
    """If a test was renamed: name it here as it is called now."""
    assert [row[0] for row in THREATS if len(row) != len(HEAD) or not all(row)] == []
    assert [(row[0], missing(row[-1])) for row in THREATS if missing(row[-1])] == []


def test_threats_are_numbered() -> None:
    """So that a report can name one; none is left out."""
    assert [row[0].split("**")[1] for row in THREATS] == [f"T{number}" for number in range(1, len(THREATS) + 1)]
    assert len(THREATS) > 15


def test_each_boundary_of_the_picture_has_its_row() -> None:
    """By the numbers of the arrows."""
    drawn = re.findall(r'class="number"[^>]*>(\d+)<', (ROOT / "docs/explanation/security-boundaries.svg").read_text())
    listed = [cells[0] for section, cells in rows("explanation/security.md") if section == "Where trust ends"]
    assert sorted(drawn) == [number for number in listed if number.isdigit()]
    assert len(drawn) == 7


def test_a_requirement_has_an_answer_and_tests_that_exist() -> None:
    """Only what does not concern a client may have no test."""
    for _, (requirement, answer, shown_by) in CHECKLIST:
        assert requirement
        assert answer.startswith(ANSWERS), requirement
        if shown_by == "not applicable":
            assert answer.startswith("not applicable: "), requirement
        else:
            assert missing(shown_by) == [], requirement


def test_no_requirement_is_left_out() -> None:
    """Every section of the two RFCs, and every number of ASVS once."""
    assert set(numbers("RFC 9700")) == RFC_9700
    assert set(numbers("RFC 8252")) == RFC_8252
    assert Counter(numbers("OWASP")) == Counter(ASVS)


def test_a_vulnerability_is_reported_as_the_project_describes() -> None:
    """The page repeats SECURITY.md, which is not on the site."""
    reporting = (ROOT / "SECURITY.md").read_text("utf-8").partition("## Reporting\n")[2].partition("\n## ")[0]
    page = (ROOT / "docs/explanation/security.md").read_text("utf-8")
    for phrase in ("Report a vulnerability", "blnk_auth.testing.Sandbox", "Never send a real token or client secret"):
        assert phrase in reporting
        assert phrase in page
