"""The pytest plugin of blnk_auth: a sandbox, a clock, a store and a client as fixtures, and three assertions.

    def test_an_expired_token_is_renewed(blnk_sandbox, blnk_client, blnk_clock, assert_renewed_once):
        alice = blnk_client.for_subject("alice")
        alice.adopt(Token.from_response(blnk_sandbox.issue("alice"), now=blnk_clock()))
        blnk_clock.advance(3601)
        assert httpx.get(f"{blnk_sandbox.origin}/data/ledgers", auth=Auth(alice)).status_code == 200
        assert_renewed_once(blnk_sandbox)

Used by pytest, which loads it where blnk_auth is installed. It promises a new sandbox, clock and store for each test,
and that nothing but this file is loaded until a test asks for a fixture. The sandbox needs the extra
`blnk-auth[sandbox]`; without it only the fixtures that use it fail, with an error that names the extra. It never
changes a test that asks for no fixture.

The entry point has the name of this module, so that `-p` or `pytest_plugins` may load it too, as in a checkout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .. import MemoryStore, OAuthClient
    from ._clock import Clock
    from .sandbox import Sandbox

MARKER = "blnk_sandbox"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, so that `--strict-markers` knows it."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(personality='blnk_cloud', **settings): the provider that the fixture blnk_sandbox plays, "
        "and further arguments of blnk_auth.testing.Sandbox, such as lifetime=60",
    )


@pytest.fixture
def blnk_clock() -> Clock:
    """The time of `blnk_sandbox` and of `blnk_client`. It moves only by `blnk_clock.advance(seconds)`.

    Returns:
        A new clock for each test.
    """
    from ._clock import Clock

    return Clock()


@pytest.fixture
def blnk_store() -> MemoryStore:
    """The store of `blnk_client`. Override this fixture to test with another one.

    Returns:
        A new and empty store for each test.
    """
    from .. import MemoryStore

    return MemoryStore()


@pytest.fixture
def blnk_sandbox(request: pytest.FixtureRequest, blnk_clock: Clock) -> Iterator[Sandbox]:
    """A running sandbox, which plays Blnk Cloud unless the marker of the same name chooses another provider.

        @pytest.mark.blnk_sandbox("flinks", lifetime=60)
        def test_a_short_token(blnk_sandbox): ...

    The marker takes the arguments of `Sandbox`, except `clock`. The marker of a test replaces that of its class.

    Args:
        request: The test that asks for it.
        blnk_clock: The fixture of that name.

    Yields:
        A new sandbox for each test, stopped after it.

    Raises:
        ImportError: The extra `blnk-auth[sandbox]` is missing.
        UsageError: The marker has `clock`.
    """
    from .sandbox import Sandbox

    marker = request.node.get_closest_marker(MARKER)
    arguments: tuple[Any, ...] = () if marker is None else marker.args
    settings: dict[str, Any] = {} if marker is None else dict(marker.kwargs)
    if "clock" in settings:
        raise pytest.UsageError(f"{MARKER}: clock is that of blnk_clock; override the fixture blnk_clock instead")
    with Sandbox(*arguments, clock=blnk_clock, **settings) as running:
        yield running


@pytest.fixture
def blnk_client(blnk_sandbox: Sandbox, blnk_store: MemoryStore, blnk_clock: Clock) -> OAuthClient:
    """The client that is registered at `blnk_sandbox`, with the provider that it plays.

    A request whose response was lost is repeated without a pause. For a sandbox with `tls=`, make your own client, one
    that trusts the sandbox's certificate.

    Args:
        blnk_sandbox: The fixture of that name.
        blnk_store: The fixture of that name.
        blnk_clock: The fixture of that name.

    Returns:
        A new client for each test.
    """
    from ._client import client_of

    return client_of(blnk_sandbox, store=blnk_store, clock=blnk_clock)


@pytest.fixture
def assert_renewed_once() -> Callable[..., None]:
    """The function `blnk_auth.testing.assert_renewed_once`, to be called with the sandbox."""
    from ._asserts import assert_renewed_once

    return assert_renewed_once


@pytest.fixture
def assert_no_reuse() -> Callable[[Sandbox], None]:
    """The function `blnk_auth.testing.assert_no_reuse`, to be called with the sandbox."""
    from ._asserts import assert_no_reuse

    return assert_no_reuse


@pytest.fixture
def assert_no_secret_in() -> Callable[[object, Sandbox], None]:
    """The function `blnk_auth.testing.assert_no_secret_in`, to be called with what is shown and the sandbox."""
    from ._asserts import assert_no_secret_in

    return assert_no_secret_in
