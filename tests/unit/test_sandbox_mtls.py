"""The sandbox's tokens that are bound to a certificate (RFC 8705), by bare httpx: it is the oracle of others."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import trustme
from support.by_hand import CHALLENGE, VERIFIER, asked, bearer, code_for
from support.certificates import Certificates
from support.limits import PATIENCE
from support.proofs_by_hand import Prover

from blnk_auth.testing import Clock, Sandbox

pytestmark = pytest.mark.real

CLIENT = "sandbox-client"
API = "/data/ledgers"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(trustme.CA(), tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def sandbox(clock: Clock, certificates: Certificates) -> Iterator[Sandbox]:
    tls = certificates.server()
    with Sandbox(clock=clock, tls=tls, extensions=["mtls", "par", "dpop"], client_id=CLIENT) as running:
        yield running


@contextmanager
def connected(sandbox: Sandbox, certificates: Certificates, client_id: str | None) -> Iterator[httpx.Client]:
    """An HTTP client with the certificate of this client; None: without one."""
    if client_id is None:
        context = ssl.create_default_context(cafile=certificates.ca_file)
    else:
        context = certificates.context(client_id)
    with httpx.Client(base_url=sandbox.origin, verify=context, timeout=PATIENCE) as http:
        yield http


def exchange(sandbox: Sandbox, http: httpx.Client, path: str, *, secret: bool = False) -> httpx.Response:
    form = {
        "grant_type": "authorization_code",
        "code": code_for(sandbox, code_challenge=CHALLENGE),
        "redirect_uri": sandbox.redirect_uri,
        "code_verifier": VERIFIER,
        "client_id": CLIENT,
    }
    return http.post(path, data=form, auth=(CLIENT, sandbox.client_secret) if secret else None)


def error_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def test_the_metadata_has_the_aliases(sandbox: Sandbox, certificates: Certificates) -> None:
    """RFC 8705 sections 3.3 and 5: for each endpoint that the client calls."""
    with connected(sandbox, certificates, None) as http:
        announced = http.get("/.well-known/oauth-authorization-server").json()
    assert announced["tls_client_certificate_bound_access_tokens"] is True
    assert "tls_client_auth" in announced["token_endpoint_auth_methods_supported"]
    assert announced["mtls_endpoint_aliases"] == {
        "token_endpoint": f"{sandbox.origin}/mtls/oauth/token",
        "pushed_authorization_request_endpoint": f"{sandbox.origin}/mtls/oauth/par",
    }


@pytest.mark.parametrize("secret", [False, True])
def test_tokens_of_the_alias_are_bound_to_the_certificate(
    sandbox: Sandbox, certificates: Certificates, secret: bool
) -> None:
    """Whether the client authenticates by the certificate or by its secret; each refresh binds again."""
    with connected(sandbox, certificates, CLIENT) as http, connected(sandbox, certificates, None) as bare:
        answer = exchange(sandbox, http, "/mtls/oauth/token", secret=secret).json()
        assert answer["token_type"] == "Bearer"
        form = {"grant_type": "refresh_token", "refresh_token": answer["refresh_token"], "client_id": CLIENT}
        renewed = http.post("/mtls/oauth/token", data=form).json()
        for each in (answer, renewed):
            assert http.get(API, headers=bearer(each)).status_code == 200
            refused = bare.get(API, headers=bearer(each))
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith('Bearer error="invalid_token"')
        with connected(sandbox, certificates, "another") as another:
            assert another.get(API, headers=bearer(answer)).status_code == 401


def test_the_thumbprint_is_that_of_the_certificate(sandbox: Sandbox, certificates: Certificates) -> None:
    """`x5t#S256`, as recorded with each request."""
    with connected(sandbox, certificates, CLIENT) as http:
        http.get(API)
    file, _ = certificates.files(CLIENT)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(Path(file).read_text("ascii"))).digest()
    request = sandbox.requests[-1]
    assert request.certificate == CLIENT
    assert request.certificate_thumbprint == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_the_usual_endpoint_ignores_the_certificate(sandbox: Sandbox, certificates: Certificates) -> None:
    """A client that misses the alias has to use its secret, and its tokens are not bound."""
    with connected(sandbox, certificates, CLIENT) as http, connected(sandbox, certificates, None) as bare:
        assert error_of(exchange(sandbox, http, "/oauth/token")) == (401, "invalid_client")
        answer = exchange(sandbox, http, "/oauth/token", secret=True).json()
        assert bare.get(API, headers=bearer(answer)).status_code == 200


def test_a_wrong_certificate_is_refused(sandbox: Sandbox, certificates: Certificates) -> None:
    """None at all, or another client's."""
    with connected(sandbox, certificates, None) as http:
        assert error_of(exchange(sandbox, http, "/mtls/oauth/token", secret=True)) == (401, "invalid_client")
    with connected(sandbox, certificates, "another") as http:
        assert error_of(exchange(sandbox, http, "/mtls/oauth/token")) == (401, "invalid_client")
        assert error_of(http.post("/mtls/oauth/par", data=asked(sandbox))) == (401, "invalid_client")


def test_a_request_is_pushed_with_the_certificate(sandbox: Sandbox, certificates: Certificates) -> None:
    """At the alias; at the usual endpoint the certificate proves nothing."""
    with connected(sandbox, certificates, CLIENT) as http:
        assert http.post("/mtls/oauth/par", data=asked(sandbox)).status_code == 201
        assert error_of(http.post("/oauth/par", data=asked(sandbox))) == (401, "invalid_client")


def test_a_token_can_be_bound_to_both(sandbox: Sandbox, certificates: Certificates, clock: Clock) -> None:
    """A key and a certificate; then both are needed."""
    prover = Prover(clock())
    url = f"{sandbox.origin}/mtls/oauth/token"
    with connected(sandbox, certificates, CLIENT) as http, connected(sandbox, certificates, None) as bare:
        http.headers["DPoP"] = prover.proof("POST", url)
        answer = exchange(sandbox, http, url).json()
        assert answer["token_type"] == "DPoP"
        for client, status in ((http, 200), (bare, 401)):
            proof = prover.proof("GET", f"{sandbox.origin}{API}", access_token=answer["access_token"])
            headers = {"Authorization": f"DPoP {answer['access_token']}", "DPoP": proof}
            assert client.get(API, headers=headers).status_code == status


def test_certificates_need_tls() -> None:
    """The error names what is missing."""
    with pytest.raises(ValueError, match="^extensions 'mtls' needs tls"):
        Sandbox(extensions=["mtls"])
