"""The world of a test with a sandbox: the provider that it plays, a registered client, and a user who has signed in.

Used by scenarios, the tests of the providers, and those of the stores that need a whole renewal. `store`, `events` and
`clock` belong to every client that a world makes. The clock moves only when the test moves it, except in `SharedWorld`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.certificates import Certificates
from support.clients import Answer, Http, Kind
from support.processes import Child
from support.providers import API_PATHS, LIFETIMES, SCOPES, acme_at, provider_at
from support.waiting import Events, settle

from blnk_auth import MemoryStore, OAuthClient, Provider, RenewalPolicy, SQLiteStore, StaticToken, Token, TokenSource
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth.stores._token_store import TokenStore
from blnk_auth.testing import Clock, RecordedRequest, Sandbox
from blnk_auth.testing.sandbox import mcp

LIFETIME = LIFETIMES["blnk_cloud"]

ONE_RENEWAL = (1, 1, 0)
NO_RENEWAL = (0, 0, 0)


class World:
    """A sandbox with the personality of a provider, and clients of that provider."""

    def __init__(
        self,
        sandbox: Sandbox,
        clock: Clock,
        name: str = "blnk_cloud",
        tls: Certificates | None = None,
        store: TokenStore | None = None,
    ) -> None:
        self.sandbox = sandbox
        self.name = name
        self.clock = clock
        self.tls = tls
        self.store: TokenStore = MemoryStore() if store is None else store
        self.events = Events()
        self.scope = SCOPES[name]

    # --- clients, and users who signed in

    def provider(self, **settings: Any) -> Provider:
        """The provider that the sandbox plays; `api_origins` are added to its own."""
        return provider_at(self.sandbox, self.name, **settings)

    def acme(self, *api_origins: str, **settings: Any) -> Provider:
        """A plain provider at the sandbox; its API is there too, or elsewhere."""
        return acme_at(
            self.sandbox.origin, *api_origins, token_endpoint=f"{self.sandbox.origin}/oauth/token", **settings
        )

    def client(
        self, provider: Provider | None = None, *, api_origins: tuple[str, ...] = (), **settings: Any
    ) -> OAuthClient:
        """A client with the sandbox's registration; bLink knows no secrets."""
        usual: dict[str, Any] = {
            "client_id": self.sandbox.client_id,
            "client_secret": None if self.name == "blink" else self.sandbox.client_secret,
            "redirect_uri": self.sandbox.redirect_uri,
            "store": self.store,
            "on_event": self.events,
            "clock": self.clock,
            # A lost answer is asked for again immediately: no test waits for it.
            "policy": RenewalPolicy(lost_answer_delay=0),
        }
        # Without any, those that the provider has at the sandbox.
        further = {"api_origins": api_origins} if api_origins else {}
        return OAuthClient(provider or self.provider(**further), **{**usual, **settings})

    def signed_in(self, subject: str = "alice", *, client: OAuthClient | None = None, **settings: Any) -> TokenSource:
        """The source of a user who signed in just now; of `client`, or of a new one with these settings."""
        source = (client or self.client(**settings)).for_subject(subject)
        source.adopt(Token.from_response(self.sandbox.issue(subject), now=self.clock()))
        return source

    def sign_in(self, client: OAuthClient, subject: str = "alice") -> TokenSource:
        """The source of a user who went through the sign-in page."""
        start = client.start_authorization(subject, scope=self.scope)
        return client.finish_authorization(self.sandbox.sign_in(start.url, subject=subject))

    def expired(self, **settings: Any) -> TokenSource:
        """The source of a user whose access token has expired and whose refresh token works."""
        source = self.signed_in(**settings)
        self.expire()
        return source

    # --- time

    def expire(self) -> None:
        """To the second after every access token so far has expired."""
        self.clock.advance(self.sandbox.lifetime + 1)

    def go_stale(self) -> None:
        """To the advisory window: the token still works and should be renewed."""
        self.clock.advance(self.sandbox.lifetime - 300)

    # --- requests of the API

    @property
    def url(self) -> str:
        """A resource that needs a token."""
        return self.url_of()

    def url_of(self, path: str | None = None) -> str:
        return self.sandbox.origin + (path or API_PATHS[self.name])

    def open(self, kind: Kind, source: TokenSource | StaticToken, **settings: Any) -> Http:
        """An HTTP client that carries the source's token; with a client certificate where the world has TLS."""
        verify = None if self.tls is None else self.tls.context(self.sandbox.client_id)
        return kind.open(source, verify=verify, **settings)

    def get(self, kind: Kind, source: TokenSource, path: str | None = None, **settings: Any) -> Answer:
        with self.open(kind, source, **settings) as http:
            return http.get(self.url_of(path))

    # --- what became of it

    def stored(self, source: TokenSource) -> GrantRecord:
        """What the store has for a source."""
        record = self.store.load(source.store_key)
        assert record is not None, "nothing is stored"
        return GrantRecord.from_data(record.data, source.store_key)

    @property
    def renewals(self) -> tuple[int, int, int]:
        """Token requests, refreshes that took effect, and spent refresh tokens that came back."""
        counts = self.sandbox.counts
        return counts.token_requests, counts.refreshes, counts.reuses

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
def a_world(name: str = "blnk_cloud", **settings: Any) -> Iterator[World]:
    """The world of one provider, with a new sandbox and store, and a clock that does not move."""
    clock = Clock()
    with Sandbox(name, clock=clock, lifetime=LIFETIMES[name], **settings) as sandbox:
        if isinstance(sandbox.personality, mcp.MCP):
            # The sources of a world name no resource.
            sandbox.personality.requires_resource = False
        yield World(sandbox, clock, name)


# --- a world that other processes share ------------------------------------------------------------------------------


class SystemClock(Clock):
    """Real time, which other processes share."""

    def __call__(self) -> float:
        return time.time()


class SharedWorld(World):
    """A sandbox in real time, and a store in a file."""

    def __init__(self, sandbox: Sandbox, path: Path) -> None:
        super().__init__(sandbox, SystemClock())
        self.path = path
        self.store = SQLiteStore(path)

    def expired(self, **settings: Any) -> TokenSource:
        """A user whose access token, by the record, expired a minute ago."""
        alice = self.client(**settings).for_subject("alice")
        issued = Token.from_response(self.sandbox.issue("alice"), now=time.time())
        alice.adopt(issued.replace(issued_at=time.time() - 3660, expires_at=time.time() - 60))
        return alice

    def child(self, role: str, kind: object, **settings: Any) -> Child:
        """A process that plays this role of `child.py`."""
        shared = {"origin": self.sandbox.origin, "path": str(self.path)}
        program = str(Path(__file__).with_name("child.py"))
        return Child(sys.executable, program, json.dumps({"role": role, "kind": str(kind), **shared, **settings}))


def sandbox_secret() -> str:
    """The sandbox's client secret, as a callable that a pickle can name."""
    return "sandbox-secret"
