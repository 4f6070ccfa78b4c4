"""The modules here need packages that `make test-clients` installs in an environment of their own.

In another environment a module whose package is missing is skipped (`importorskip`), so that the others can be run by
hand. With CI=true a skip is a failure: tests/conftest.py sees to that.
"""

from __future__ import annotations

import pytest
import trustme
from support.api_clients import ClientWorld

from blnk_auth.testing import Clock, Sandbox


@pytest.fixture
def world(blnk_sandbox: Sandbox, blnk_clock: Clock) -> ClientWorld:
    """A new sandbox, store and clock for each test."""
    return ClientWorld(blnk_sandbox, blnk_clock)


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> trustme.CA:
    """The one certificate authority that gRPC channels of this process trust: gRPC reads it once."""
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    pytest.MonkeyPatch().setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(path))
    return authority
