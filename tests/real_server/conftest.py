from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import trustme
from joserfc.jwk import RSAKey
from support.certificates import Certificates
from support.oidc_provider import RealServer
from support.oidc_provider_world import RealWorld, a_real_server

from blnk_auth.testing import Clock


@pytest.fixture(scope="session")
def shared_clock() -> Clock:
    """The server's clock and ours. It begins now, since the cookies of the sign-in pages carry dates."""
    return Clock(time.time())


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(trustme.CA(), tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "2026-01", "use": "sig"})


@pytest.fixture(scope="session")
def server(shared_clock: Clock, certificates: Certificates, key: RSAKey) -> Iterator[RealServer]:
    """One for all tests: starting it takes longer than a test, and each test signs in again."""
    with a_real_server(shared_clock, certificates, key) as running:
        yield running


@pytest.fixture
def world(server: RealServer, shared_clock: Clock, certificates: Certificates, key: RSAKey) -> RealWorld:
    # Also after a test that left them apart because it failed.
    server.set_clock(shared_clock())
    server.reset_counts()
    return RealWorld(server, shared_clock, certificates, key)
