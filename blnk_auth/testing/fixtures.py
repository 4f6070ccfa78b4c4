"""pytest fixtures: put `pytest_plugins = ["blnk_auth.testing.fixtures"]` into your top-level `conftest.py`.

    def test_renewal(sandbox, clock):
        response = sandbox.issue("alice")
        clock.advance(3601)             # the sandbox now rejects that access token

Used by pytest as a plugin. They promise a new sandbox for each test, and never share state between tests. They need the
extra `blnk-auth[sandbox]`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ._clock import Clock
from .sandbox import Sandbox


@pytest.fixture
def clock() -> Clock:
    """The clock of the `sandbox` fixture. It moves only by `clock.advance(seconds)`.

    Returns:
        A new clock for each test.
    """
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    """A running sandbox that plays Blnk Cloud: a new one for each test, stopped after it.

    Args:
        clock: The fixture of that name.

    Yields:
        The sandbox.
    """
    with Sandbox(clock=clock) as running:
        yield running
