"""The worlds of the provider tests: a sandbox with a provider's personality, a registered client, and a person."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from helpers import settle
from scenarios.clients import Answer, Http, Kind
from scenarios.world import Events

from blnk_auth import BLink, BlnkCloud, Flinks, MemoryStore, OAuthClient, Provider, RenewalPolicy, Token, TokenSource
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth.stores._token_store import TokenStore
from blnk_auth.testing import Clock, RecordedRequest, Sandbox
from blnk_auth.testing.sandbox import blink

USER_AGENT = "Acme Moneymaker v2.0"
DAY = 86_400.0

NAMES = ("blnk_cloud", "blink", "flinks")
SCOPES = {"blnk_cloud": "data:read", "blink": "urn:blink:xs2a:ais", "flinks": "ACCOUNT_BASIC"}
_API_PATHS = {"blnk_cloud": "/data/ledgers", "blink": "/ais/v6/accounts", "flinks": "/api/fdx/5/accounts"}
_LIFETIMES = {"blnk_cloud": 3600.0, "blink": DAY, "flinks": 299.0}


def identity(subject: str | None) -> str:
    """In the sandbox the e-banking user has the person's own name."""
    return subject or ""


def provider_of(sandbox: Sandbox, name: str, **settings: Any) -> Provider:
    """The named provider, at the sandbox."""
    if name == "blnk_cloud":
        return BlnkCloud(base_url=sandbox.origin, **settings)
    if name == "flinks":
        return Flinks(host=sandbox.origin, **settings)
    usual: dict[str, Any] = {
        "base_url": sandbox.origin + blink.BASE_PATH,
        "authorization_endpoint": sandbox.origin + blink.authorize_path(),
        "target_id": blink.DEFAULT_TARGET,
        "user_agent": USER_AGENT,
        "username": identity,
        "client_auth": "none",
    }
    return BLink(**{**usual, **settings})


class ProviderWorld:
    """A sandbox with the personality `name`, and a client of the provider that it plays."""

    def __init__(self, sandbox: Sandbox, name: str, clock: Clock, tls: Certificates | None = None) -> None:
        self.sandbox = sandbox
        self.name = name
        self.clock = clock
        self.tls = tls
        self.store: TokenStore = MemoryStore()
        self.events = Events()
        self.scope = SCOPES[name]

    def provider(self, **settings: Any) -> Provider:
        return provider_of(self.sandbox, self.name, **settings)

    def client(self, provider: Provider | None = None, **settings: Any) -> OAuthClient:
        """A client with the sandbox's registration; bLink knows no secrets."""
        secret = None if self.name == "blink" else self.sandbox.client_secret
        usual: dict[str, Any] = {
            "client_id": self.sandbox.client_id,
            "client_secret": secret,
            "redirect_uri": self.sandbox.redirect_uri,
            "store": self.store,
            "on_event": self.events,
            "clock": self.clock,
            # A lost answer is asked for again at once: no test waits for it.
            "policy": RenewalPolicy(lost_answer_delay=0),
        }
        return OAuthClient(provider or self.provider(), **{**usual, **settings})

    def signed_in(self, subject: str = "alice", *, client: OAuthClient | None = None) -> TokenSource:
        """The source of a person who signed in just now, as though in the browser."""
        source = (client or self.client()).for_subject(subject)
        source.adopt(Token.from_response(self.sandbox.issue(subject), now=self.clock()))
        return source

    def sign_in(self, client: OAuthClient, subject: str = "alice") -> TokenSource:
        """The source of a person who went through the sign-in page."""
        start = client.start_authorization(subject, scope=self.scope)
        return client.finish_authorization(self.sandbox.sign_in(start.url, subject=subject))

    def open(self, kind: Kind, source: TokenSource, **settings: Any) -> Http:
        """An HTTP client that carries the source's token; with a client certificate where the world has TLS."""
        verify = None if self.tls is None else self.tls.context(self.sandbox.client_id)
        return kind.open(source, verify=verify, **settings)

    def get(self, kind: Kind, source: TokenSource, path: str | None = None, **settings: Any) -> Answer:
        with self.open(kind, source, **settings) as http:
            return http.get(self.url(path))

    def url(self, path: str | None = None) -> str:
        return self.sandbox.origin + (path or _API_PATHS[self.name])

    def expire(self) -> None:
        self.clock.advance(self.sandbox.lifetime + 1)

    def stored(self, source: TokenSource) -> GrantRecord:
        record = self.store.load(source.store_key)
        assert record is not None, "nothing is stored"
        return GrantRecord.from_data(record.data, source.store_key)

    def requests(self, path: str) -> list[RecordedRequest]:
        """The recorded requests whose path ends so."""
        settle()
        return [request for request in self.sandbox.requests if request.path.endswith(path)]

    @property
    def token_requests(self) -> list[RecordedRequest]:
        return self.requests("/token")

    @property
    def token_request(self) -> RecordedRequest:
        """The latest of them."""
        return self.token_requests[-1]


@contextmanager
def a_world(name: str, **settings: Any) -> Iterator[ProviderWorld]:
    """The world of one provider, with a clock that stands still."""
    clock = Clock()
    with Sandbox(name, clock=clock, lifetime=_LIFETIMES[name], **settings) as sandbox:
        yield ProviderWorld(sandbox, name, clock)


@dataclass(frozen=True)
class Certificates:
    """An authority for servers and clients alike, and what it issued, as files."""

    authority: trustme.CA
    directory: Path

    @property
    def ca_file(self) -> str:
        path = self.directory / "ca.pem"
        self.authority.cert_pem.write_to_path(str(path))
        return str(path)

    def server(self, *, client_certificate: ssl.VerifyMode = ssl.CERT_OPTIONAL) -> ssl.SSLContext:
        """For a server on 127.0.0.1 that asks its clients for a certificate."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(tls)
        self.authority.configure_trust(tls)
        tls.verify_mode = client_certificate
        return tls

    def files(self, client_id: str) -> tuple[str, str]:
        """The certificate and the key of a client."""
        cert, key = self.directory / f"{client_id}.pem", self.directory / f"{client_id}.key"
        if not key.exists():
            issued = self.authority.issue_cert("client.test", common_name=client_id)
            issued.cert_chain_pems[0].write_to_path(str(cert))
            issued.private_key_pem.write_to_path(str(key))
        return str(cert), str(key)

    def context(self, client_id: str) -> ssl.SSLContext:
        """What an HTTP client needs to talk to such a server as this client."""
        made = ssl.create_default_context(cafile=self.ca_file)
        made.load_cert_chain(*self.files(client_id))
        return made
