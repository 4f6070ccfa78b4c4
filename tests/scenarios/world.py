"""The world of a scenario: a sandbox, a clock that moves only when told, and a person who has signed in."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import Any

from scenarios.servers import PATIENCE

from blnk_auth import BlnkCloud, MemoryStore, OAuthClient, Provider, RenewalPolicy, Token, TokenSource
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth.events import Event
from blnk_auth.stores._token_store import TokenStore, Version
from blnk_auth.testing import Clock, Sandbox

LIFETIME = 3600.0


class World:
    """What most scenarios begin with. `store`, `events` and `clock` belong to every client made here."""

    def __init__(self, sandbox: Sandbox, clock: Clock) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.store: TokenStore = MemoryStore()
        self.events = Events()

    def client(self, **settings: Any) -> OAuthClient:
        """A client registered at the sandbox; `api_origins` are added to the sandbox's own."""
        provider = BlnkCloud(base_url=self.sandbox.origin, api_origins=settings.pop("api_origins", ()))
        return self.client_of(settings.pop("provider", provider), **settings)

    def client_of(self, provider: Provider, **settings: Any) -> OAuthClient:
        """A client of any provider, with the sandbox's registration."""
        registration = {
            "client_id": self.sandbox.client_id,
            "client_secret": self.sandbox.client_secret,
            "redirect_uri": self.sandbox.redirect_uri,
        }
        # A lost answer is asked for again at once: no test waits for it.
        policy = RenewalPolicy(lost_answer_delay=0)
        ports = {"store": self.store, "on_event": self.events, "clock": self.clock, "policy": policy}
        return OAuthClient(provider, **{**registration, **ports, **settings})

    def signed_in(self, subject: str = "alice", **settings: Any) -> TokenSource:
        """The source of a person who signed in just now."""
        return self.sign_in(self.client(**settings), subject)

    def sign_in(self, client: OAuthClient, subject: str = "alice") -> TokenSource:
        source = client.for_subject(subject)
        source.adopt(Token.from_response(self.sandbox.issue(subject), now=self.clock()))
        return source

    def expired(self, **settings: Any) -> TokenSource:
        """The source of a person whose access token has run out and whose refresh token works."""
        source = self.signed_in(**settings)
        self.expire()
        return source

    def expire(self) -> None:
        self.clock.advance(self.sandbox.lifetime + 1)

    def go_stale(self) -> None:
        """To the advisory window: the token still works and should be renewed."""
        self.clock.advance(self.sandbox.lifetime - 300)

    def stored(self, source: TokenSource) -> GrantRecord:
        """What the store holds for a source."""
        record = self.store.load(source.store_key)
        assert record is not None, "nothing is stored"
        return GrantRecord.from_data(record.data, source.store_key)

    @property
    def url(self) -> str:
        return f"{self.sandbox.origin}/data/ledgers"

    @property
    def renewals(self) -> tuple[int, int, int]:
        """Token requests, refreshes that took effect, and spent refresh tokens that came back."""
        counts = self.sandbox.counts
        return counts.token_requests, counts.refreshes, counts.reuses


ONE_RENEWAL = (1, 1, 0)
NO_RENEWAL = (0, 0, 0)


class Events(list[Event]):
    """An `on_event` callback that remembers, and for which a test can wait."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        with self._changed:
            self.append(event)
            self._changed.notify_all()

    @property
    def names(self) -> list[str]:
        return [event.name for event in self]

    def wait_for(self, name: str, times: int = 1) -> Event:
        """The event of that name, once it has been told so many times."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.names.count(name) >= times, PATIENCE), f"no {name}: {self.names}"
        return next(event for event in self if event.name == name)


class DelegatingStore:
    """A store in front of another; a test overrides the verb that interests it."""

    def __init__(self, inner: TokenStore | None = None) -> None:
        self.inner = inner or MemoryStore()

    def load(self, key: str) -> Any:
        return self.inner.load(key)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        return self.inner.save(key, data, expected=expected)

    def delete(self, key: str) -> None:
        self.inner.delete(key)

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        return self.inner.lock(key, timeout=timeout)

    def keys(self, prefix: str = "") -> Any:
        return self.inner.keys(prefix)


def fetched_secret() -> str:
    """The sandbox's client secret, as a callable that a pickle can name."""
    return "sandbox-secret"
