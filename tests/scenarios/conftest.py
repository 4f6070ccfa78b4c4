from __future__ import annotations

from collections.abc import Iterator

import pytest
from scenarios.world import World

from blnk_auth.testing import Clock, Sandbox


@pytest.fixture
def world() -> Iterator[World]:
    """A new sandbox, store and clock for each test."""
    clock = Clock()
    with Sandbox(clock=clock) as sandbox:
        yield World(sandbox, clock)
