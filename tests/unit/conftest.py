"""No time limit for one example of a property; and a sandbox with a clock and a client, for its own tests.

pytest loads this file before it starts other processes, so what fixtures need is imported where they need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from support.limits import PATIENCE

if TYPE_CHECKING:
    import httpx

    from blnk_auth.testing import Clock, Sandbox

# A machine that is busy with something else must not fail a property, so an example has no time limit.
settings.register_profile("blnk_auth", deadline=None)
settings.load_profile("blnk_auth")


@pytest.fixture
def clock() -> Clock:
    from blnk_auth.testing import Clock

    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    from blnk_auth.testing import Sandbox

    with Sandbox(clock=clock) as running:
        yield running


@pytest.fixture
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    import httpx

    with httpx.Client(base_url=sandbox.origin, timeout=PATIENCE) as client:
        yield client
