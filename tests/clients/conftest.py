from __future__ import annotations

import pytest
from support.api_clients import ClientWorld

from blnk_auth.testing import Clock, Sandbox


@pytest.fixture
def world(blnk_sandbox: Sandbox, blnk_clock: Clock) -> ClientWorld:
    """A new sandbox, store and clock for each test."""
    return ClientWorld(blnk_sandbox, blnk_clock)
