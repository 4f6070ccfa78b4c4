from __future__ import annotations

from collections.abc import Iterator

import pytest
import trustme
from support.certificates import Certificates
from support.worlds import World, a_world

from blnk_auth.testing import Clock, Sandbox


@pytest.fixture
def blnk_cloud() -> Iterator[World]:
    with a_world("blnk_cloud") as world:
        yield world


@pytest.fixture
def blink() -> Iterator[World]:
    with a_world("blink") as world:
        yield world


@pytest.fixture
def flinks() -> Iterator[World]:
    with a_world("flinks") as world:
        yield world


@pytest.fixture(params=["blnk_cloud", "blink", "flinks"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Each of the three providers in turn."""
    with a_world(request.param) as each:
        yield each


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """One authority for all: making keys takes time."""
    return Certificates(trustme.CA(), tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def secure_blink(certificates: Certificates) -> Iterator[World]:
    """The bLink of the open network: over TLS, each client proved by its certificate."""
    clock = Clock()
    with Sandbox("blink", clock=clock, lifetime=86_400.0, tls=certificates.server(), client_id="CIDX12345") as sandbox:
        yield World(sandbox, clock, "blink", certificates)
