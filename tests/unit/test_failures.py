"""The catalogue of known failures names the tests that there are, and nothing else."""

from __future__ import annotations

import pytest
from support.failures import FILE, PAGE, listed, page, shown

NUMBERS = [*(f"F{number:02}" for number in range(1, 69)), *(f"Trap {number:02}" for number in range(1, 40))]


def test_the_catalogue_is_complete() -> None:
    """F01 to F68 and the traps 01 to 39, each once, in order."""
    assert list(listed()) == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_each_failure_is_shown_by_the_tests_that_are_listed(number: str) -> None:
    """If tests were renamed or added: make snapshots."""
    text, tests = listed()[number]
    assert text.endswith(".")
    assert tests, "no test shows it"
    assert tests == shown()[number]


def test_no_test_names_a_failure_that_is_not_in_the_catalogue() -> None:
    """A number that does not exist is a slip."""
    assert sorted(shown().keys() - {*NUMBERS}) == []


def test_the_page_of_the_site_has_the_same_content() -> None:
    """Readers of the site have no file of the tests: make snapshots."""
    assert PAGE.read_text("utf-8") == page(FILE.read_text("utf-8"))
