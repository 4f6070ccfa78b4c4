"""The world of a test against the real server: registered clients of every kind, and one clock for both sides."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, RSAKey
from support.certificates import Certificates
from support.oidc_provider import RealServer, sign_in
from support.waiting import Events

from blnk_auth import MemoryStore, OAuthClient, Provider, TokenSource
from blnk_auth.stores._token_store import TokenStore
from blnk_auth.testing import Clock

LIFETIME = 60
"""Seconds for which an access token is good."""

STEP = LIFETIME + 1
"""Seconds after which every access token issued so far is over."""

DAY = 86_400
LIFETIMES = {
    "AccessToken": LIFETIME,
    "ClientCredentials": LIFETIME,
    "AuthorizationCode": 30,
    "RefreshToken": DAY,
    "Grant": 30 * DAY,
    "IdToken": LIFETIME,
    "Interaction": 600,
    "Session": DAY,
}

REDIRECT_URI = "https://app.test/callback"
AWKWARD_SECRET = "p+ss w0rd:/?&=s3cret"
"""Form-encoded inside the Basic header it is something else than raw."""

CLIENT_NAME = "client.test"


@dataclass
class RealWorld:
    """`server` counts from 0 and shares `clock`; `store` and `events` belong to every client made here."""

    server: RealServer
    clock: Clock
    certificates: Certificates
    key: RSAKey = field(repr=False)
    store: TokenStore = field(default_factory=MemoryStore)
    events: Events = field(default_factory=Events)

    def provider(self, **settings: Any) -> Provider:
        """The server's own metadata."""
        return Provider.discover(self.server.issuer, **settings)

    def client(self, client_id: str = "basic", provider: Provider | None = None, **settings: Any) -> OAuthClient:
        usual: dict[str, Any] = {
            "client_secret": AWKWARD_SECRET if client_id == "basic" else None,
            "redirect_uri": REDIRECT_URI,
            "store": self.store,
            "on_event": self.events,
            "clock": self.clock,
        }
        return OAuthClient(provider or self.provider(), client_id=client_id, **{**usual, **settings})

    def sign_in(self, client: OAuthClient, subject: str = "alice") -> TokenSource:
        """The source of a user who used the server's pages."""
        start = client.start_authorization(subject, scope="openid")
        return client.finish_authorization(sign_in(start.url, subject))

    def signed_in(self, **settings: Any) -> TokenSource:
        """The same with the usual client, and all counters at 0."""
        source = self.sign_in(self.client(**settings))
        self.server.reset_counts()
        return source

    def expire(self) -> None:
        """On to the moment at which every access token issued so far is over, for both sides."""
        self.clock.advance(STEP)
        self.server.set_clock(self.clock())

    @property
    def api(self) -> str:
        """A protected resource: the UserInfo endpoint."""
        return f"{self.server.issuer}/me"

    @property
    def renewals(self) -> tuple[int, int, int]:
        """Token requests, refreshes that took effect, and spent refresh tokens that came back."""
        counts = self.server.counts
        return counts.token_requests, counts.refreshes, counts.reuses

    def is_active(self, token: str) -> bool:
        """The server's introspection response (RFC 7662) for a token."""
        answer = self.server.post("/token/introspection", ("inspector", "inspector-s3cret"), token=token)
        active: bool = answer.raise_for_status().json()["active"]
        return active


@contextmanager
def a_real_server(clock: Clock, certificates: Certificates, key: RSAKey) -> Iterator[RealServer]:
    tls = certificates.authority.issue_cert("127.0.0.1")
    pems = {
        "cert": "".join(blob.bytes().decode() for blob in tls.cert_chain_pems),
        "key": tls.private_key_pem.bytes().decode(),
        "ca": certificates.authority.cert_pem.bytes().decode(),
    }
    with RealServer(now=clock(), lifetimes=LIFETIMES, clients=_registrations(certificates, key), tls=pems) as server:
        yield server


def _registrations(certificates: Certificates, key: RSAKey) -> list[dict[str, Any]]:
    grants = ["authorization_code", "refresh_token", "client_credentials"]
    usual = {"redirect_uris": [REDIRECT_URI], "grant_types": grants}
    bound = {**usual, "tls_client_certificate_bound_access_tokens": True}
    # What FAPI 2.0 asks of every client. The server puts clients whose names begin with it under that profile.
    fapi = {"require_pushed_authorization_requests": True, "authorization_details_types": ["account_information"]}
    return [
        {**usual, "client_id": "basic", "client_secret": AWKWARD_SECRET},
        {
            **usual,
            "client_id": "signing",
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [key.as_dict(private=False)]},
        },
        {
            **bound,
            "client_id": "certified",
            "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_san_dns": CLIENT_NAME,
        },
        {
            **bound,
            "client_id": "self-signed",
            "token_endpoint_auth_method": "self_signed_tls_client_auth",
            "jwks": {"keys": [_certificate_as_jwk(certificates.files("self-signed")[0])]},
        },
        {
            **usual,
            **fapi,
            "client_id": "fapi-dpop",
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "PS256",
            "dpop_bound_access_tokens": True,
            "jwks": {"keys": [key.as_dict(private=False)]},
        },
        {
            **bound,
            **fapi,
            "client_id": "fapi-mtls",
            "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_san_dns": CLIENT_NAME,
        },
        {
            "client_id": "inspector",
            "client_secret": "inspector-s3cret",
            "redirect_uris": [],
            "response_types": [],
            "grant_types": ["client_credentials"],
        },
    ]


def _certificate_as_jwk(path: str) -> dict[str, Any]:
    """The public key of a certificate with the certificate beside it, as RFC 8705 section 2.2.2 registers it."""
    certificate = x509.load_pem_x509_certificate(Path(path).read_bytes())
    public = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
    return {**ECKey.import_key(public).as_dict(private=False), "x5c": [der]}
