from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from scenarios.processes import SharedWorld
from scenarios.world import World

from blnk_auth.testing import Clock, Sandbox


@pytest.fixture
def world() -> Iterator[World]:
    """A new sandbox, store and clock for each test."""
    clock = Clock()
    with Sandbox(clock=clock) as sandbox:
        yield World(sandbox, clock)


@pytest.fixture
def shared_world(tmp_path: Path) -> Iterator[SharedWorld]:
    """A world in real time whose store other processes can open."""
    with Sandbox() as sandbox:
        yield SharedWorld(sandbox, tmp_path / "tokens.db")
