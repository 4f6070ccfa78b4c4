"""The reference page of the providers is up to date, and each of its cells has a test behind it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from support.provider_table import CONSENT, PAGE, PROVIDERS, ROWS, Difference, Row, render

TESTS = Path(__file__).parents[1]
OF_A_PROVIDER = (
    ("providers/test_blnk_cloud.py", "unit/test_blnk_cloud.py"),
    ("providers/test_blink.py", "providers/test_blink_consent_3.py"),
    ("providers/test_flinks.py",),
)
"""Where the tests of each provider are."""

OF_ALL = ("providers/test_cells.py", "providers/test_traps.py")


@cache
def named_in(file: str) -> frozenset[str]:
    """The names of the tests in a file."""
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return frozenset(name for name in names if name.startswith("test_"))


def test_the_page_is_made_of_the_values() -> None:
    """Run `python tests/support/provider_table.py` after a change."""
    assert PAGE.read_text("utf-8") == render()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.behaviour)
def test_each_cell_has_its_test(row: Row) -> None:
    """A test of that name, among those of that provider or the traps."""
    for names, files in zip(row.named(), OF_A_PROVIDER, strict=True):
        known = frozenset[str]().union(*map(named_in, (*files, *OF_ALL)))
        assert names
        assert set(names) <= known


@pytest.mark.parametrize("difference", CONSENT, ids=lambda difference: difference.behaviour)
def test_each_difference_of_consent_has_its_test(difference: Difference) -> None:
    """Among those of Consent 3.0."""
    assert difference.tests
    assert set(difference.tests.split()) <= named_in("providers/test_blink_consent_3.py")


def test_no_cell_is_empty_and_no_behaviour_comes_twice() -> None:
    """Every row describes all three."""
    assert len({row.behaviour for row in ROWS}) == len(ROWS) == 30
    assert all(len(row.values()) == len(PROVIDERS) and all(row.values()) for row in ROWS)


@pytest.mark.parametrize("number", range(60, 69))
def test_each_scenario_of_real_servers_has_its_test(number: int) -> None:
    """F60 to F68: what real servers were seen to do, by number."""
    files = ("providers/test_real_servers_behaviour.py", "real_server/test_life_cycle.py", "stores/test_keyring.py")
    assert [name for file in files for name in named_in(file) if name.startswith(f"test_f{number}_")]
