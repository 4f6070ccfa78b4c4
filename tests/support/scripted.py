"""The world of a unit test: a client whose token endpoint, store and clock the test scripts. Nothing opens a socket.

Used by tests/unit, and by others that need one client and no HTTP.
"""

from __future__ import annotations

from typing import Any

from support.providers import acme
from support.stores.scripted import ScriptedStore
from support.token_endpoint import ScriptedServer
from support.waiting import Events, settle

from blnk_auth import OAuthClient, Provider, RenewalPolicy, Token, TokenSource
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth.testing import Clock


class ScriptedWorld:
    """A client of a plain provider with a scripted server and store, a clock that does not move, and its events."""

    def __init__(self, provider: Provider | None = None, **settings: Any) -> None:
        self.clock = Clock()
        self.server = ScriptedServer()
        self.store = ScriptedStore()
        self.events = Events()
        given: dict[str, Any] = {
            "client_id": "id",
            "client_secret": "client-s3cret",
            "redirect_uri": "https://app.test/callback",
            "store": self.store,
            "token_http": self.server.http(),
            "on_event": self.events,
            "clock": self.clock,
            # Each request has one scripted answer; how often a lost one is asked for again has tests of its own.
            "policy": RenewalPolicy(lost_answer_retries=0),
            **settings,
        }
        self.client = OAuthClient(provider or acme(), **given)

    def signed_in(self, subject: str = "alice", **token: Any) -> TokenSource:
        """A source with the pair at0, rt0 stored, which lives for an hour unless there is a `token`."""
        source = self.client.for_subject(subject)
        source.adopt(self.token(0, **token))
        settle()
        self.events.clear()
        self.store.trace.clear()
        return source

    def another_process(self, *, ahead: float = 0.0) -> ScriptedWorld:
        """A client of the same provider with the same store, a memory of its own and a clock of its own."""
        clock = Clock(self.clock() + ahead)
        other = ScriptedWorld(acme(), store=self.store, clock=clock)
        other.store, other.clock = self.store, clock
        return other

    def token(self, number: int, **changes: Any) -> Token:
        """The token of `pair(number)`, received now."""
        now = self.clock()
        made = Token(
            f"at{number}", refresh_token=f"rt{number}", expires_at=now + 3600, issued_at=now, scope="data:read"
        )
        return made.replace(**changes)

    def stored(self, source: TokenSource) -> GrantRecord:
        """What the store holds for a source."""
        return self.store.grant(source.store_key)

    def emitted(self) -> list[str]:
        """The names of the events so far, once all workers have emitted theirs."""
        settle()
        return self.events.names
