"""pytest fixtures: put `pytest_plugins = ["blnk_auth.testing.fixtures"]` into your top-level `conftest.py`.

    def test_renewal(sandbox, clock):
        answer = sandbox.issue("alice")
        clock.advance(3601)             # the sandbox now rejects that access token

Used by pytest as a plugin. They need the extra `blnk-auth[sandbox]`, and never share state between tests.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ._clock import Clock
from .sandbox import Sandbox


@pytest.fixture
def clock() -> Clock:
    """The clock of the `sandbox` fixture; it moves only by `clock.advance(seconds)`."""
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    """A running sandbox with Blnk Cloud's personality: a new one for each test, stopped after it."""
    with Sandbox(clock=clock) as running:
        yield running
