"""The fixtures of the pytest plugin under short names: `sandbox` and `clock`.

    pytest_plugins = ["blnk_auth.testing.fixtures"]     # in your top-level conftest.py

    def test_renewal(sandbox, clock):
        response = sandbox.issue("alice")
        clock.advance(3601)             # the sandbox now rejects that access token

Used by pytest as a plugin, where the test suite asks for it. It promises the same objects that `blnk_sandbox` and
`blnk_clock` are. It never defines a fixture of its own kind. It needs the extra `blnk-auth[sandbox]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ._clock import Clock
    from .sandbox import Sandbox

pytest_plugins: list[str] = [f"{__package__}.pytest_plugin"]


@pytest.fixture
def clock(blnk_clock: Clock) -> Clock:
    """The clock of the `sandbox` fixture. It moves only by `clock.advance(seconds)`.

    Args:
        blnk_clock: The fixture of that name.

    Returns:
        A new clock for each test.
    """
    return blnk_clock


@pytest.fixture
def sandbox(blnk_sandbox: Sandbox) -> Sandbox:
    """A running sandbox: a new one for each test, stopped after it.

    Args:
        blnk_sandbox: The fixture of that name.

    Returns:
        The sandbox.
    """
    return blnk_sandbox
