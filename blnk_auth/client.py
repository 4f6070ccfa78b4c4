"""`OAuthClient`: a registered client of one provider, and the door to its tokens."""

from __future__ import annotations

import random
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from . import messages
from .authorization import (
    PENDING_LIFETIME,
    AuthorizationRequest,
    Pending,
    PendingSignIns,
    check,
    code_of,
    new_code_verifier,
    new_state,
    parse_callback,
)
from .client_auth import ClientCredentials, ClientSecret
from .errors import ConfigurationError
from .events import Event, OnEvent, tell
from .flight import Flight, Flights, launch
from .fork import reset_in_child
from .grants import ClientGrant, PersonGrant
from .held import HeldToken
from .messages import TokenCall
from .origin import endpoint_origin
from .policy import RenewalPolicy
from .provider import Provider
from .record import Grant
from .renewal import Ports, hold
from .source import Package, TokenSource
from .stores.base import TokenStore, Version
from .stores.memory import MemoryStore
from .transport import Network, transport_for

Result = TypeVar("Result")

_SAVE_GRACE = 5.0
"""Seconds beyond its own deadlines that a renewal is waited for: parsing and saving."""


class OAuthClient:
    """A client registered at one provider. Make one per registration and keep it; it may be shared by all threads.

    `client_id`, `client_secret`: from the registration; the secret may be a callable, asked afresh for each request.
    `redirect_uri`: where the provider sends people back to; needed only to sign in.
    `store`: where tokens live; None keeps them in this process's memory, which loses them at exit.
    `client_auth`: `client_secret_basic`, `client_secret_post` or `none`; None takes the provider's.
    `verify` (True, a CA file, or an `ssl.SSLContext`), `cert` (file, or file, key file and optional password) and
    `proxy` (URL) are for the authorization server only; so is `token_http`, a `requests.Session`, `httpx.Client` or
    `httpx2.Client` to use instead of our own, which comes from the package of whoever needs the token.
    `policy`: when to renew and how long to wait. `on_event`: told what happened, see `blnk_auth.events.Event`.
    `clock`: the UTC epoch time in seconds.
    Raises `ConfigurationError` at once for anything that cannot work.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        client_id: str,
        client_secret: ClientSecret = None,
        redirect_uri: str | None = None,
        store: TokenStore | None = None,
        client_auth: str | None = None,
        policy: RenewalPolicy | None = None,
        on_event: OnEvent | None = None,
        token_http: Any = None,
        cert: str | tuple[str, ...] | None = None,
        verify: Any = True,
        proxy: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(provider, Provider):
            raise ConfigurationError("provider must be a Provider, such as BlnkCloud() or Provider(name=..., ...)")
        if redirect_uri is not None:
            _check_redirect_uri(redirect_uri)
        if store is not None and not isinstance(store, TokenStore):
            raise ConfigurationError("store must have load, save, delete, lock and keys, such as SQLiteStore(path)")
        self.provider = provider
        self.credentials = ClientCredentials(
            client_id, client_secret, client_auth or provider.client_auth, provider.basic_encoding
        )
        self.redirect_uri = redirect_uri
        self.store: TokenStore = MemoryStore() if store is None else store
        self.policy = policy or RenewalPolicy()
        self.on_event = on_event
        self.clock = clock
        self._network = Network(policy=self.policy, verify=verify, cert=cert, proxy=proxy, client=token_http)
        self._begin_life()

    def _begin_life(self) -> None:
        self.flights = Flights()
        self._sources: weakref.WeakValueDictionary[str, TokenSource] = weakref.WeakValueDictionary()
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork, where another thread may have held the lock for ever."""
        self._sources_lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<OAuthClient {self.credentials.client_id!r} of {self.provider.name}>"

    # --- whose token ---------------------------------------------------------------------------------------------

    def for_subject(self, subject: str) -> TokenSource:
        """The tokens of the grant that `subject` gave. Reads nothing yet; the same subject gets the same source."""
        return self.source(PersonGrant(_named_subject(subject)))

    def for_itself(self, *, scope: str | None = None) -> TokenSource:
        """The client's own tokens (client credentials, RFC 6749 section 4.4), one source for each `scope`.

        `scope` is space-separated; None lets the server decide. Raises `ConfigurationError` where the provider does
        not offer this grant.
        """
        if "client_credentials" not in self.provider.grants:
            raise ConfigurationError(
                f"for_itself: {self.provider.name} does not offer the client_credentials grant; use for_subject()"
            )
        return self.source(ClientGrant(scope))

    def source(self, grant: PersonGrant | ClientGrant) -> TokenSource:
        """The one source of a grant: all who use it share its renewals. It is dropped when nobody refers to it."""
        key = f"token/{self._slot}/{grant.slot}"
        with self._sources_lock:
            source = self._sources.get(key)
            if source is None:
                source = self._sources[key] = TokenSource(self, grant, key)
            return source

    @property
    def _slot(self) -> str:
        parts = (self.provider.name, self.provider.environment, self.credentials.client_id)
        return "/".join(quote(part, safe="") for part in parts)

    # --- getting the grant ---------------------------------------------------------------------------------------

    def start_authorization(self, subject: str, *, scope: str | None = None) -> AuthorizationRequest:
        """Begin a sign-in: send the person to the returned `url`, then hand the URL they come back to to
        `finish_authorization`, in this process or another that shares the store.

        `scope` is space-separated; None lets the server decide. The answer is accepted for 10 minutes, once.
        Raises `ConfigurationError` without a redirect_uri or where nobody can sign in, and `StoreError`.
        """
        return self.wait_for(self._start(subject, scope))

    async def astart_authorization(self, subject: str, *, scope: str | None = None) -> AuthorizationRequest:
        """The same as `start_authorization`, for asyncio and trio."""
        return await self.await_for(self._start(subject, scope))

    def finish_authorization(self, callback_url: str, *, unechoed_state: str | None = None) -> TokenSource:
        """End a sign-in: check the answer, exchange its code, save the tokens, return the person's source.

        `callback_url` is the whole URL that the browser came back to. `unechoed_state` is for a server that does not
        send `state` back: pass the one you kept in the person's own session; never take it from the request.
        Raises `SignInRequired` if the person said no or must start again, `ProtocolError`, `ConfigurationError`,
        `TemporarilyUnavailable`. Codes live for seconds: call it at once. It cannot be interrupted half-way.
        """
        return self.wait_for(self._finish(callback_url, unechoed_state))

    async def afinish_authorization(self, callback_url: str, *, unechoed_state: str | None = None) -> TokenSource:
        """The same as `finish_authorization`, for asyncio and trio."""
        return await self.await_for(self._finish(callback_url, unechoed_state))

    def _start(self, subject: str, scope: str | None) -> Flight[AuthorizationRequest]:
        subject, redirect_uri = _named_subject(subject), self.redirect_uri
        if self.provider.authorization_endpoint is None:
            raise ConfigurationError(f"{self.provider.name} has no authorization_endpoint, so no person can sign in")
        if redirect_uri is None:
            raise ConfigurationError("redirect_uri is missing; give OAuthClient the one registered at the provider")
        state = new_state()
        verifier = new_code_verifier() if self.provider.pkce else None

        def work() -> AuthorizationRequest:
            now = self.clock()
            self._pending.sweep(now)
            self._pending.add(state, Pending(subject, redirect_uri, now + PENDING_LIFETIME, verifier))
            url = messages.build_authorization_url(
                self.provider,
                self.credentials.client_id,
                redirect_uri=redirect_uri,
                scope=scope,
                state=state,
                code_verifier=verifier,
            )
            return AuthorizationRequest(url, state, now + PENDING_LIFETIME)

        return launch(work, _nothing)

    def _finish(self, callback_url: str, unechoed_state: str | None) -> Flight[TokenSource]:
        callback = parse_callback(callback_url)
        check(callback, issuer=self.provider.issuer)
        state = callback.state if callback.state is not None else unechoed_state
        events: list[Event] = []

        def work() -> TokenSource:
            pending = self._pending.claim(state, self.clock())
            source = self.for_subject(pending.subject)
            source.install(self._exchange(source, pending, code_of(callback), events))
            return source

        return launch(work, lambda: self.tell(events))

    def _exchange(self, source: TokenSource, pending: Pending, code: str, events: list[Event]) -> HeldToken:
        call = messages.build_code_exchange(
            self.provider,
            self.credentials,
            code=code,
            redirect_uri=pending.redirect_uri,
            code_verifier=pending.code_verifier,
        )
        exchange = source.renewal()
        try:
            return exchange.exchange(call)
        finally:
            events.extend(exchange.events)

    @property
    def _pending(self) -> PendingSignIns:
        return PendingSignIns(self.store, f"authorization/{self._slot}/")

    # --- for sources ---------------------------------------------------------------------------------------------

    @property
    def wait_timeout(self) -> float:
        """The longest that a caller waits for a renewal, in seconds."""
        return self.policy.lock_timeout + self.policy.request_deadline + _SAVE_GRACE

    def ports(self, package: Package | None) -> Ports:
        """The outside world for one renewal: the token endpoint is reached by the caller's own HTTP package."""
        return Ports(self.store, transport_for(package, self._network).send, self.clock, random.random, self.policy)

    def revocation(self, token: str, hint: str) -> TokenCall:
        """The request that revokes one token."""
        return messages.build_revocation(self.provider, self.credentials, token, hint)

    def operate(self, work: Callable[[], Iterable[Event]]) -> Flight[None]:
        """Run an operation where no cancellation reaches it, and tell its events afterwards."""
        events: list[Event] = []
        return launch(lambda: events.extend(work()), lambda: self.tell(events))

    def wait_for(self, flight: Flight[Result]) -> Result:
        """Block until an operation has ended."""
        return flight.wait(self.wait_timeout)

    async def await_for(self, flight: Flight[Result]) -> Result:
        """Wait in a task until an operation has ended."""
        return await flight.wait_async(self.wait_timeout)

    def tell(self, events: Iterable[Event]) -> None:
        """Log events and hand them to `on_event`."""
        for event in events:
            tell(self.on_event, event)

    def hold(self, ended: Grant, version: Version | None) -> HeldToken:
        """A grant that has ended, as held in memory: used until its access token expires."""
        return hold(ended, version, self.ports(None), renewable=False)

    # --- copying and forking -------------------------------------------------------------------------------------

    def __copy__(self) -> OAuthClient:
        return self

    def __deepcopy__(self, memo: object) -> OAuthClient:
        return self

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle carries: the configuration. Neither a secret nor anything of this process travels."""
        state = {**self.__dict__, "on_event": None, "_network": replace(self._network, client=None)}
        for of_this_process in ("flights", "_sources", "_sources_lock"):
            del state[of_this_process]
        if isinstance(self.credentials.client_secret, str):
            state["credentials"] = replace(self.credentials, client_secret=_not_pickled)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin_life()


def _named_subject(subject: str) -> str:
    if not isinstance(subject, str) or not subject.strip():
        raise ConfigurationError("subject is empty; pass your own lasting id of the person who gave the grant")
    return subject


def _check_redirect_uri(redirect_uri: str) -> None:
    scheme = urlsplit(redirect_uri).scheme if isinstance(redirect_uri, str) else ""
    if not scheme or "#" in redirect_uri:
        raise ConfigurationError("redirect_uri must be an absolute URI without a fragment, as registered")
    if scheme in ("http", "https"):
        endpoint_origin(redirect_uri, "redirect_uri")


def _not_pickled() -> str:
    raise ConfigurationError(
        "client_secret: a secret given as text is not carried in a pickle; give OAuthClient a callable that fetches it"
    )


def _nothing() -> None:
    """Nothing to tell afterwards."""
