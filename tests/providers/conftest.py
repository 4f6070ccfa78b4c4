"""Worlds of the three providers, and certificates.

pytest loads this file before it starts other processes, so what fixtures need is imported where they need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.certificates import Certificates
    from support.worlds import World


def _world(personality: str) -> Iterator[World]:
    from support.worlds import a_world

    with a_world(personality) as world:
        yield world


@pytest.fixture
def blnk_cloud() -> Iterator[World]:
    yield from _world("blnk_cloud")


@pytest.fixture
def blink() -> Iterator[World]:
    yield from _world("blink")


@pytest.fixture
def flinks() -> Iterator[World]:
    yield from _world("flinks")


@pytest.fixture(params=["blnk_cloud", "blink", "flinks"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Each of the three providers in turn."""
    yield from _world(request.param)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """One authority for all: making keys takes time."""
    import trustme
    from support.certificates import Certificates

    return Certificates(trustme.CA(), tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def secure_blink(certificates: Certificates) -> Iterator[World]:
    """The bLink of the open network: over TLS, each client proved by its certificate."""
    from support.worlds import World

    from blnk_auth.testing import Clock, Sandbox

    clock = Clock()
    with Sandbox("blink", clock=clock, lifetime=86_400.0, tls=certificates.server(), client_id="CIDX12345") as sandbox:
        yield World(sandbox, clock, "blink", certificates)
