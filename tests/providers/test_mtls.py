"""Mutual TLS (RFC 8705): every request to the authorization server takes the alias of its endpoint.

Two real servers over TLS. The plain one asks for no certificate, and describes itself; the other one, which
`mtls_endpoint_aliases` names, refuses a handshake without a certificate.
"""

from __future__ import annotations

import base64
import json
import pickle
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
from support.certificates import Certificates
from support.clients import AIOHTTP, REQUESTS, Kind
from support.sites import Received, Reply, Site
from support.waiting import Events, settle

from blnk_auth import (
    ConfigurationError,
    OAuthClient,
    Provider,
    RenewalPolicy,
    RequestsAuth,
    SQLiteStore,
    Token,
    TokenSource,
)
from blnk_auth._protocol.access_token import is_certificate_bound
from blnk_auth._protocol.http_messages import HttpRequest, NoResponse, Package
from blnk_auth._transport.network import Network, transport_for

PATHS = {
    "token_endpoint": "/token",
    "revocation_endpoint": "/revoke",
    "device_authorization_endpoint": "/device",
    "pushed_authorization_request_endpoint": "/par",
}


@dataclass
class Server:
    """The two sites, and the settings of a client that trusts them."""

    plain: Site
    mtls: Site
    certificates: Certificates
    store: SQLiteStore

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "client_id": "id",
            "redirect_uri": "https://app.test/callback",
            "store": self.store,
            "verify": self.certificates.ca_file,
        }

    @property
    def cert(self) -> tuple[str, str]:
        return self.certificates.files("id")

    def discovered(self, **settings: Any) -> Provider:
        return Provider.discover(self.plain.origin, verify=self.certificates.ca_file, **settings)

    def client(self, provider: Provider, **settings: Any) -> OAuthClient:
        return OAuthClient(provider, **{**self.settings, "cert": self.cert, **settings})


def answered(request: Received) -> Reply:
    """What an authorization server answers."""
    if request.path == "/device":
        return Reply.json(
            {
                "device_code": "dc",
                "user_code": "uc",
                "verification_uri": "https://as.test/d",
                "expires_in": 600,
                "interval": 1,
            }
        )
    if request.path == "/par":
        return Reply.json({"request_uri": "urn:ietf:params:oauth:request_uri:1", "expires_in": 60}, 201)
    if request.path == "/revoke":
        return Reply(200)
    return Reply.json({"access_token": "at1", "token_type": "Bearer", "expires_in": 60, "refresh_token": "rt1"})


@pytest.fixture
def server(certificates: Certificates, tmp_path: Path) -> Iterator[Server]:
    mtls = Site(answered, tls=certificates.server(client_certificate=ssl.CERT_REQUIRED))

    def described(request: Received) -> Reply:
        if not request.path.startswith("/.well-known/"):
            return Reply.json({"error": "invalid_client", "error_description": "no certificate"}, 401)
        endpoints = {name: plain.origin + path for name, path in PATHS.items()}
        aliases = {name: mtls.origin + path for name, path in PATHS.items()}
        return Reply.json(
            {
                "issuer": plain.origin,
                "authorization_endpoint": f"{plain.origin}/authorize",
                "token_endpoint_auth_methods_supported": ["tls_client_auth"],
                "mtls_endpoint_aliases": aliases,
                **endpoints,
            }
        )

    plain = Site(described, tls=certificates.server(client_certificate=ssl.CERT_NONE))
    with plain, mtls:
        yield Server(plain, mtls, certificates, SQLiteStore(tmp_path / "tokens.db"))


def discovered_without(server: Server, _: Path) -> OAuthClient:
    return server.client(server.discovered())


def discovered_with(server: Server, _: Path) -> OAuthClient:
    return server.client(server.discovered(cert=server.cert))


def pickled(server: Server, _: Path) -> OAuthClient:
    again: OAuthClient = pickle.loads(pickle.dumps(server.client(server.discovered())))
    return again


def pickled_provider(server: Server, _: Path) -> OAuthClient:
    return server.client(pickle.loads(pickle.dumps(server.discovered())))


def with_session(server: Server, _: Path) -> OAuthClient:
    session = requests.Session()
    # Otherwise a bundle that the environment names would replace `verify`.
    session.trust_env = False
    session.verify, session.cert = server.certificates.ca_file, server.cert
    return server.client(server.discovered(), cert=None, verify=True, token_http=session)


def from_profile(server: Server, directory: Path) -> OAuthClient:
    cert, key = server.cert
    config = directory / "config.toml"
    config.write_text(
        f"""
[profiles.default]
provider = "discover"
issuer = "{server.plain.origin}"
client_id = "id"
redirect_uri = "https://app.test/callback"
verify = "{server.certificates.ca_file}"
cert = "{cert}"
cert_key = "{key}"
store = "sqlite:///{directory / "tokens.db"}"
"""
    )
    config.chmod(0o600)
    return OAuthClient.from_config(path=config)


WAYS: tuple[Callable[[Server, Path], OAuthClient], ...] = (
    *(discovered_without, discovered_with, pickled, pickled_provider, with_session, from_profile),
)
through_every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


def signed_in(client: OAuthClient) -> TokenSource:
    alice = client.for_subject("alice")
    alice.adopt(Token("at0", refresh_token="rt0"))
    return alice


@through_every_way
def test_every_request_takes_the_alias(
    server: Server, tmp_path: Path, way: Callable[[Server, Path], OAuthClient]
) -> None:
    """However the provider was discovered: the plain site gets the question for its metadata, and nothing else."""
    client = way(server, tmp_path)
    alice = signed_in(client)
    assert alice.renew().access_token == "at1"
    alice.revoke()
    signed_in(client)
    assert {request.path for request in server.mtls.received} == {"/token", "/revoke"}
    assert all(request.path.startswith("/.well-known/") for request in server.plain.received)


def test_a_device_sign_in_takes_the_alias(server: Server) -> None:
    """Both of its endpoints."""
    client = server.client(server.discovered())
    client.authorize_device("alice", on_prompt=lambda _: None)
    assert [request.path for request in server.mtls.received] == ["/device", "/token"]


def test_a_pushed_sign_in_takes_the_alias(server: Server) -> None:
    """RFC 9126 section 2.1: the client authenticates there as at the token endpoint. The user visits the plain one."""
    client = server.client(server.discovered(requires_pushed_authorization_requests=True))
    start = client.start_authorization("alice", scope="accounts")
    assert start.url.startswith(f"{server.plain.origin}/authorize")
    assert [request.path for request in server.mtls.received] == ["/par"]


def test_a_public_client_sends_its_certificate(server: Server) -> None:
    """RFC 8705 section 4: it does not authenticate, and its tokens are bound to the certificate all the same."""
    client = server.client(server.discovered(), client_auth="none")
    assert signed_in(client).renew().access_token == "at1"
    assert [request.path for request in server.mtls.received] == ["/token"]
    assert server.mtls.received[0].form["client_id"] == "id"


def test_each_alias_is_one_of_the_endpoints_that_are_used(server: Server) -> None:
    """So that a new endpoint gets its row here."""
    assert set(server.discovered().mtls_endpoint_aliases) == set(PATHS)


@through_every_way
def test_the_store_key_is_the_same_for_all(
    server: Server, tmp_path: Path, way: Callable[[Server, Path], OAuthClient]
) -> None:
    """A token is found again, whether or not a client has a certificate, and however the provider was made."""
    plain = OAuthClient(server.discovered(client_auth="client_secret_basic"), **server.settings, client_secret="s")
    assert way(server, tmp_path).for_subject("alice").store_key == plain.for_subject("alice").store_key


def test_an_endpoint_that_the_caller_names_is_used(server: Server) -> None:
    """Its alias in the metadata is not, neither by discovery with a certificate nor by the client."""
    own = f"{server.mtls.origin}/own/token"
    for made in (server.discovered(token_endpoint=own), server.discovered(token_endpoint=own, cert=server.cert)):
        client = server.client(made)
        assert client.provider.token_endpoint == own
        assert client.provider.revocation_endpoint == f"{server.mtls.origin}/revoke"


# --- a renewed certificate -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["requests", "httpx", "httpx2"])
def test_a_renewed_certificate_is_sent_without_a_restart(
    certificates: Certificates, tmp_path: Path, package: Package
) -> None:
    """The server accepts certificates of one authority. The client begins with one of another authority."""
    accepted, cert, key = trustme.CA(), tmp_path / "client.pem", tmp_path / "client.key"

    def issue(authority: trustme.CA) -> None:
        issued = authority.issue_cert("client.test")
        issued.cert_chain_pems[0].write_to_path(str(cert))
        issued.private_key_pem.write_to_path(str(key))

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificates.authority.issue_cert("127.0.0.1").configure_cert(tls)
    accepted.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED
    issue(trustme.CA())
    with Site(answered, tls=tls) as site:
        network = Network(RenewalPolicy(), verify=certificates.ca_file, cert=(str(cert), str(key)))
        request = HttpRequest("POST", f"{site.origin}/token", {}, b"")
        transport = transport_for(package, network)
        with pytest.raises((NoResponse, ConfigurationError)):
            transport.send(request)
        issue(accepted)
        assert transport.send(request).status_code == 200
        cert.write_bytes(cert.read_bytes()[:200])
        assert transport.send(request).status_code == 200


# --- an API that needs the certificate -------------------------------------------------------------------------------


def bound_token(**confirmation: str) -> str:
    """An access token that is a JWT, with this `cnf` (RFC 8705 section 3.1)."""
    claims = base64.urlsafe_b64encode(json.dumps({"cnf": confirmation}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{claims}.c2lnbmF0dXJl"


def rejecting(_: Received) -> Reply:
    return Reply.rejected()


@dataclass
class Api:
    """An API over TLS that rejects every token, and a client of the server whose tokens it wants."""

    site: Site
    client: OAuthClient
    events: Events

    def get(self, access_token: str, kind: Kind = REQUESTS, **settings: Any) -> list[str]:
        """What is reported of certificates after two rejected requests."""
        alice = self.client.for_subject("alice")
        alice.adopt(Token(access_token, refresh_token="rt0"))
        with kind.open(alice, **settings) as http:
            for _ in range(2):
                assert http.get(self.site.origin).status == 401
        settle()
        return [event.detail for event in self.events if event.name == "certificate_missing"]


@pytest.fixture
def api(server: Server, certificates: Certificates) -> Iterator[Api]:
    events = Events()
    with Site(rejecting, tls=certificates.server()) as site:
        provider = server.discovered(api_origins=(site.origin,))
        yield Api(site, server.client(provider, on_event=events), events)


def trusting(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates.ca_file)


def reported_by_session(api: Api, certificates: Certificates, access_token: str, **settings: Any) -> list[str]:
    """The same through a session of requests that has its own adapters, with these settings."""
    alice = api.client.for_subject("alice")
    alice.adopt(Token(access_token, refresh_token="rt0"))
    with requests.Session() as session:
        session.trust_env = False
        session.auth, session.verify = RequestsAuth(alice), certificates.ca_file
        for name, value in settings.items():
            setattr(session, name, value)
        for _ in range(2):
            assert session.get(api.site.origin).status_code == 401
    settle()
    return [event.detail for event in api.events if event.name == "certificate_missing"]


def test_a_session_that_lacks_the_certificate_is_reported_once(api: Api, certificates: Certificates) -> None:
    """The token shows that it is bound."""
    bound = bound_token(**{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"})
    (detail,) = reported_by_session(api, certificates, bound)
    assert "a token that is bound to the client's certificate" in detail


def test_a_token_that_shows_nothing_may_be_bound(api: Api, certificates: Certificates) -> None:
    """Reported after a renewal that did not help."""
    (detail,) = reported_by_session(api, certificates, "opaque")
    assert "a token that may be bound" in detail


def test_a_session_with_the_certificate_is_not_reported(api: Api, server: Server, certificates: Certificates) -> None:
    """The rejection has another cause."""
    assert not reported_by_session(api, certificates, bound_token(**{"x5t#S256": "x"}), cert=server.cert)


def test_what_cannot_be_seen_is_not_reported(api: Api, certificates: Certificates) -> None:
    """An adapter of the user's own may have a certificate, and so may a client of httpx or a session of aiohttp."""
    token = bound_token(**{"x5t#S256": "x"})
    assert not api.get(token, verify=trusting(certificates))
    for kind in (Kind("httpx", "sync"), Kind("httpx2", "asyncio"), AIOHTTP):
        assert not api.get(token, kind, verify=trusting(certificates))
    details = [event.detail for event in api.events if event.name == "rejection_unresolved"]
    assert details
    assert all("the certificate to which the token may be bound" in detail for detail in details)


@pytest.mark.parametrize(
    "token",
    [
        "opaque",
        "a.b.c",
        "a.!!!.c",
        bound_token(jkt="x"),
        bound_token(),
        f"a.{'x' * 70_000}.c",
        "ä.ö.ü",
        "..",
        "a.W10.c",
    ],
)
def test_other_tokens_show_no_binding(token: str) -> None:
    """Reading any of them raises nothing."""
    assert not is_certificate_bound(Token(token))
