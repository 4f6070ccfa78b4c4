from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from support.certificates import Certificates
from support.keep_alive import PACKAGES, network_for
from support.limits import PATIENCE
from support.worlds import SharedWorld, World

from blnk_auth import MemoryStore
from blnk_auth._protocol.http_messages import Package
from blnk_auth._request import rejection_body
from blnk_auth._transport.network import Network
from blnk_auth.testing import Clock, Sandbox


@pytest.fixture(autouse=True)
def patient_with_rejections(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, the body of a rejection may take longer than a user would wait for it."""
    monkeypatch.setattr(rejection_body, "MAX_REJECTION_SECONDS", PATIENCE)


@pytest.fixture
def world(blnk_sandbox: Sandbox, blnk_clock: Clock, blnk_store: MemoryStore) -> World:
    """The plugin's sandbox, store and clock, which are new for each test."""
    return World(blnk_sandbox, blnk_clock, store=blnk_store)


@pytest.fixture
def shared_world(tmp_path: Path) -> Iterator[SharedWorld]:
    """A world in real time whose store other processes can open."""
    with Sandbox() as sandbox:
        yield SharedWorld(sandbox, tmp_path / "tokens.db")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Making keys takes time, so one authority serves the whole run."""
    return Certificates(trustme.CA(), tmp_path_factory.mktemp("certificates"))


# Of the tests about connections to the token endpoint


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> Package:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=["clear", "tls"])
def tls(request: pytest.FixtureRequest, certificates: Certificates) -> ssl.SSLContext | None:
    return certificates.server(client_certificate=ssl.CERT_NONE) if request.param == "tls" else None


@pytest.fixture
def network(certificates: Certificates) -> Iterator[Network]:
    opened = network_for(certificates)
    yield opened
    opened.kept.close()
