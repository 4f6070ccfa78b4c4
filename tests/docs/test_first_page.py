"""The first page states what was run: its picture is drawn of a trial, and its table of the figures of `make bench`."""

from __future__ import annotations

import pytest
from support import comparison
from support.failures import listed
from support.pictures import PICTURES, crowd
from support.pictures.fifty_threads import LIBRARIES, Figures, figures, figures_apart

DRAWN = {library: (PICTURES / crowd.file_name(library)).read_text("utf-8") for library in LIBRARIES}


def test_fifty_threads_renew_once_as_the_picture_states() -> None:
    """One token request, no reuse, no failed call, and the grant lives."""
    assert figures("blnk_auth") == crowd.read(DRAWN["blnk_auth"]) == Figures(1, 0, 0, goes_on=True)


def test_the_same_lines_with_authlib_lose_the_grant_as_the_picture_states() -> None:
    """How many threads ask together depends on the machine; that a spent refresh token comes again does not.

    Nor does it help that each thread has a session of its own.
    """
    for seen in (figures("authlib"), figures_apart(), crowd.read(DRAWN["authlib"])):
        assert seen.token_requests == seen.reuses + 1 > 1
        assert seen.failed_calls > 0
        assert not seen.goes_on


@pytest.mark.parametrize("library", DRAWN)
def test_the_picture_shows_the_lines_that_are_run(library: str) -> None:
    """If they or the drawing have changed: make pictures."""
    svg = DRAWN[library]
    assert crowd.picture(library, crowd.title(svg), crowd.read(svg)) == svg


def test_the_comparison_is_the_one_that_was_measured() -> None:
    """After `make bench`: make pictures."""
    page = comparison.PAGE.read_text("utf-8")
    assert comparison.with_table(page) == page
    assert comparison.table() in page


def test_each_promise_of_the_comparison_holds_here_and_has_tests() -> None:
    """A row that we fail, or that only a benchmark shows, must not read as a promise.

    That the tests exist, tests/unit/test_failures.py shows.
    """
    rows = comparison.table().splitlines()[2:]
    assert len(rows) == len(comparison.ROWS) <= 10
    assert [row for row in rows if "| [✓ tests](" not in row] == []
    assert [number for number in comparison.ROWS if not listed()[number][1]] == []
