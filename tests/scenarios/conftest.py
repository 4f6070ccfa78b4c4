from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.worlds import SharedWorld, World, a_world

from blnk_auth.testing import Sandbox


@pytest.fixture
def world() -> Iterator[World]:
    """A new sandbox, store and clock for each test."""
    with a_world() as new:
        yield new


@pytest.fixture
def shared_world(tmp_path: Path) -> Iterator[SharedWorld]:
    """A world in real time whose store other processes can open."""
    with Sandbox() as sandbox:
        yield SharedWorld(sandbox, tmp_path / "tokens.db")
