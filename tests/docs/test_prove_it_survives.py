"""The tests of the tutorial can fail: an application that keeps tokens in its memory does not survive a restart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.test_readme import ROOT, read_along

TUTORIAL = (ROOT / "docs" / "tutorial" / "prove-it-survives.md").read_text("utf-8")


@pytest.mark.deep
def test_without_a_common_store_the_tests_of_restarts_and_workers_fail(tmp_path: Path) -> None:
    """As the tutorial describes; every other test of it passes."""
    changed = TUTORIAL.replace("import SQLiteStore", "import MemoryStore").replace(
        'SQLiteStore(tmp_path / "tokens.db")', "MemoryStore()"
    )
    with pytest.raises(AssertionError, match="2 failed") as failure:
        read_along(changed, name="changed.md", directory=tmp_path)
    failed = re.findall(r"FAILED \S*::(\w+)", str(failure.value))
    # pytest names a failure twice if its options ask for more output.
    assert sorted({*failed}) == ["test_a_restart_costs_nothing", "test_two_workers_renew_once"]
