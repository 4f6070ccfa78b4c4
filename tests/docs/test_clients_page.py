"""The page of clients answers the same questions for each client, with a test that exists in each row."""

from __future__ import annotations

import pytest
from support.clients import FORKS, REGULAR
from support.rows_of_tests import missing, rows

BUILT_ON_THEM = "What is built on them"
ROWS = rows("reference/clients.md", "Question")


@pytest.mark.parametrize(("client", "row"), ROWS, ids=lambda each: each if isinstance(each, str) else each[0])
def test_a_row_has_an_answer_and_a_test_that_exists(client: str, row: list[str]) -> None:
    """If a test was renamed: name it here as it is called now."""
    question, answer, shown_by = row
    assert question
    assert answer
    assert missing(shown_by) == []


def test_each_client_of_the_table_answers_every_question() -> None:
    """In the same order, so that two can be compared."""
    answered: dict[str, list[str]] = {}
    for client, (question, *_) in ROWS:
        answered.setdefault(client, []).append(question)
    assert len(answered.pop(BUILT_ON_THEM)) > 10
    assert set(answered) == {kind.package for kind in (*REGULAR, *FORKS)}
    assert len(answered["requests"]) > 20
    assert {tuple(questions) for questions in answered.values()} == {tuple(answered["requests"])}


def test_every_answer_was_tried() -> None:
    """What nobody has tried may not hold."""
    assert [(client, row[0]) for client, row in ROWS if "not tried" in row[1]] == []


@pytest.mark.parametrize("client", sorted({client for client, _ in ROWS}))
def test_what_does_not_hold_has_a_reason(client: str) -> None:
    """Or what to do instead."""
    short = [row[0] for of, row in ROWS if of == client and row[1] in ("in part", "does not hold")]
    assert short == []
