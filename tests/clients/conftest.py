from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.api_clients import ClientWorld

from blnk_auth.testing import Clock, Sandbox


@pytest.fixture
def world() -> Iterator[ClientWorld]:
    """A new sandbox, store and clock for each test."""
    clock = Clock()
    with Sandbox(clock=clock) as sandbox:
        yield ClientWorld(sandbox, clock)
