"""No operation shows a secret, whether it succeeds or fails (promise 8): every trial of the canary's table.

`tests/support/canary/table.py` describes how to add a row, and `exceptions.py` lists what may show, and why.
"""

from __future__ import annotations

import pytest
from support.canary.rows import trials
from support.canary.server import Server
from support.canary.table import Trial, leaks_of

TRIALS = [pytest.param(each, id=str(each), marks=[pytest.mark.deep] * each.is_deep) for each in trials()]


@pytest.mark.parametrize("trial", TRIALS)
def test_f56_nothing_shows(trial: Trial, server: Server) -> None:
    """Not in a log, a warning, an event, a repr, a copy, a pickle, a traceback with its variables, or any output."""
    assert leaks_of(trial, server) == []
