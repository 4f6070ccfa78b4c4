"""The world of one trial: a server, a client with marked secrets, a store that can be broken, and what is looked at.

Used by the rows of the canary. `look_at` adds what the trial searches afterwards; clients, sources, events and results
are added by themselves.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from support.stores.scripted import DelegatingStore
from support.waiting import settle

from blnk_auth import Event, MemoryStore, OAuthClient, Provider, RenewalPolicy, Token, TokenSource
from blnk_auth.stores import TokenStore
from blnk_auth.testing import Clock

from .faults import policy
from .marks import Secrets
from .server import Server
from .watch import Watch

CLIENT_ID = "client-of-the-canary"
REDIRECT_URI = "http://127.0.0.1/callback"


class BreakableStore(DelegatingStore):
    """A store whose calls raise an error with the data in its text."""

    def __init__(self, inner: TokenStore) -> None:
        super().__init__(inner)
        self.broken: tuple[str, ...] = ()
        self.error: Callable[[str], BaseException] = RuntimeError
        self.secrets: Secrets | None = None

    def _fail(self, verb: str, *given: object) -> None:
        if verb in self.broken:
            known = " ".join(secret for secret, _ in self.secrets or ())
            raise self.error(f"{verb} {given!r} {known}")

    def load(self, key: str) -> Any:
        self._fail("load", key)
        return super().load(key)

    def save(self, key: str, data: dict[str, Any], *, expected: Any) -> Any:
        self._fail("save", key, data)
        return super().save(key, data, expected=expected)

    def delete(self, key: str) -> None:
        self._fail("delete", key, self.inner.load(key))
        super().delete(key)

    def lock(self, key: str, *, timeout: float) -> Any:
        self._fail("lock", key, self.inner.load(key))
        return super().lock(key, timeout=timeout)

    def keys(self, prefix: str = "") -> Any:
        self._fail("keys", prefix)
        return super().keys(prefix)


class World:
    """One trial's. Entered once; leaving it closes everything that was opened through it."""

    def __init__(self, server: Server) -> None:
        self.secrets = Secrets()
        self.watch = Watch()
        self.clock = Clock()
        self.policy: RenewalPolicy = policy()
        self.events: list[Event] = []
        self.looked_at: list[object] = []
        self.stack = contextlib.ExitStack()
        self.server = server
        self._raised: Callable[[str], BaseException] | type[BaseException] | None = None
        self._is_broken = False
        self._on_event_raises = False
        self.store = BreakableStore(MemoryStore())
        self.store.secrets = self.secrets

    def __enter__(self) -> Self:
        self.server.begin(self.secrets, self.watch.dump_threads)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.released.set()
        self.stack.close()
        settle()

    # --- what a row works with ---------------------------------------------------------------------------------------

    @cached_property
    def directory(self) -> Path:
        """A directory of the trial's own."""
        made = Path(tempfile.mkdtemp(prefix="blnk-auth-canary-"))
        self.stack.callback(shutil.rmtree, made, ignore_errors=True)
        return made

    @cached_property
    def client_secret(self) -> str:
        """With characters that every encoding changes."""
        return self.secrets.new("client secret", '/+"<&%\\-')

    def fetch_secret(self) -> str:
        """A callable secret, which may be broken."""
        return self.fetched(self.client_secret)

    def fetched(self, value: Any) -> Any:
        """What a callable of the application's returns, which may be broken."""
        self.watch.dump_threads()
        if not self._is_broken:
            return value
        if self._raised is None:
            return [value]
        raise self._raised(f"no secret like {value}")

    def look_at(self, *values: Any) -> Any:
        """Search these too, when the operation is over; the first one, for the row to go on with."""
        self.looked_at += values
        return values[0]

    def provider(self, **settings: Any) -> Provider:
        """A plain provider at the server."""
        origin = self.server.origin
        endpoints = ("token", "authorization", "revocation", "device_authorization")
        given = {f"{each}_endpoint": f"{origin}/{each}" for each in endpoints}
        return self.look_at(Provider(**{"name": "acme", **given, "api_origins": (origin,), **settings}))

    def client(self, provider: Provider | None = None, **settings: Any) -> OAuthClient:
        """A client of the server, with a marked secret unless `settings` bring another proof."""
        given: dict[str, Any] = {
            "client_id": CLIENT_ID,
            "client_secret": self.fetch_secret if self.client_secret else None,
            "redirect_uri": REDIRECT_URI,
            "store": self.store,
            "policy": self.policy,
            "on_event": self._on_event,
            "clock": self.clock,
            **settings,
        }
        return self.look_at(OAuthClient(provider or self.provider(), **given))

    def _on_event(self, event: Event) -> None:
        self.events.append(event)
        if self._on_event_raises:
            raise RuntimeError("not now")

    def token(self, **changes: Any) -> Token:
        """A marked pair, which the server has issued now."""
        token = Token.from_response(self.server.issue(), now=self.clock()).replace(**changes)
        return self.look_at(token)

    def source(self, client: OAuthClient | None = None) -> TokenSource:
        """A source with a valid pair."""
        source = (client or self.client()).for_subject("alice")
        broken, self.store.broken = self.store.broken, ()
        source.adopt(self.token())
        self.store.broken = broken
        return self.look_at(source)

    def expired(self, client: OAuthClient | None = None) -> TokenSource:
        """A source whose access token has expired."""
        source = self.source(client)
        self.clock.advance(4000)
        return source

    def callback(self, url: str, **changes: str | None) -> str:
        """Where the browser comes back to, from the address that it was sent to; None leaves a parameter out."""
        sent = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        sent = self.server.pushed.get(sent.get("request_uri", ""), sent)
        self.secrets.add("state", sent["state"])
        members = {"code": self.secrets.new("authorization code"), "state": sent["state"], **changes}
        return f"{sent['redirect_uri']}?{urlencode({k: v for k, v in members.items() if v is not None})}"

    # --- what a failure does -----------------------------------------------------------------------------------------

    def policy_of(self, **changes: Any) -> RenewalPolicy:
        """A policy with short limits."""
        return policy(**changes)

    def break_store(self, verbs: tuple[str, ...], error: Callable[[str], BaseException]) -> None:
        """From now on these verbs raise."""
        self.store.broken, self.store.error = verbs, error

    def damage_records(self) -> None:
        """Each record that is saved from now on comes back with a member of the wrong type."""
        inner = self.store.inner
        original = inner.load

        def load(key: str) -> Any:
            record = original(key)
            if record is not None:
                text = json.dumps(record.data).replace('"expires_at"', '"expires_at": "soon", "was"')
                text = text.replace('"code_verifier"', '"code_verifier": 5, "was"')
                return type(record)(json.loads(text), record.version)
            return record

        inner.load = load  # type: ignore[method-assign]

    def break_callables(self, error: Callable[[str], BaseException] | None) -> None:
        """Callables raise this with the secret in its text; None: they return a list with the secret in it."""
        self._is_broken, self._raised = True, error

    def break_on_event(self) -> None:
        """The user's own callback raises. Its message is logged, and nothing that we had in hand."""
        self._on_event_raises = True

    def all_that_is_looked_at(self) -> Iterator[object]:
        """Values and events; of each event its error too."""
        yield from self.looked_at
        for event in self.events:
            yield event
            if event.error is not None:
                yield event.error
