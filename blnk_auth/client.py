"""`OAuthClient`: a registered client of one provider, and the door to its tokens."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any

from . import messages
from .assertion import PrivateKey
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
from .client_auth import ClientCredentials, ClientSecret, choose_method
from .engine import Engine
from .errors import ConfigurationError
from .events import Event, OnEvent
from .flight import Flight, launch
from .grants import ClientGrant, PersonGrant
from .held import HeldToken
from .hidden import hidden
from .origin import endpoint_origin
from .policy import RenewalPolicy
from .provider import Provider
from .source import TokenSource
from .stores.base import TokenStore
from .stores.bridge import AsyncTokenStore, as_token_store
from .stores.memory import MemoryStore
from .transport import Network
from .wire import Call


class OAuthClient:
    """A client registered at one provider. Make one per registration and keep it; it may be shared by all threads.

    `client_id`, `client_secret`: from the registration; the secret may be a callable, asked afresh for each request.
    `redirect_uri`: where the provider sends people back to; needed only to sign in.
    `store`: where tokens live, with methods that block or are all `async def` (see `blnk_auth.stores.bridge`); None
    keeps them in this process's memory, which loses them at exit.
    `client_auth`: `client_secret_basic`, `client_secret_post`, `client_secret_jwt`, `private_key_jwt`,
    `tls_client_auth`, `self_signed_tls_client_auth` or `none`; None takes the provider's, or the best that both sides
    support where the provider says what it supports.
    `private_key` (for `private_key_jwt`): a PEM, a JWK as a dict, a callable that returns today's, or a `Signer` for a
    key that stays in its hardware. `key_id` (None: the JWK's) and `signing_algorithm` (None: what fits the key; HS256
    for `client_secret_jwt`) go into the assertion.
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
        store: TokenStore | AsyncTokenStore | None = None,
        client_auth: str | None = None,
        private_key: PrivateKey | None = None,
        key_id: str | None = None,
        signing_algorithm: str | None = None,
        policy: RenewalPolicy | None = None,
        on_event: OnEvent | None = None,
        token_http: Any = None,
        cert: str | tuple[str, ...] | None = None,
        verify: Any = True,
        proxy: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        client_secret, private_key = hidden(client_secret), hidden(private_key)
        policy = RenewalPolicy() if policy is None else policy
        if not isinstance(policy, RenewalPolicy):
            raise ConfigurationError("policy must be a RenewalPolicy")
        for parameter, value in (("on_event", on_event or _nothing), ("clock", clock)):
            if not callable(value):
                raise ConfigurationError(f"{parameter} must be callable")
        if not isinstance(provider, Provider):
            raise ConfigurationError("provider must be a Provider, such as BlnkCloud() or Provider(name=..., ...)")
        if redirect_uri is not None:
            _check_redirect_uri(redirect_uri)
        self.redirect_uri = redirect_uri
        self._engine = Engine(
            provider=provider,
            credentials=ClientCredentials(
                client_id,
                client_secret,
                client_auth or _best_method(provider, private_key, client_secret, cert or token_http),
                provider.basic_encoding,
                private_key,
                key_id,
                signing_algorithm,
                has_certificate=cert is not None or token_http is not None or isinstance(verify, ssl.SSLContext),
            ),
            redirect_uri=redirect_uri,
            store=MemoryStore() if store is None else as_token_store(store),
            policy=policy,
            network=Network(policy=policy, verify=verify, cert=cert, proxy=proxy, client=token_http),
            on_event=on_event,
            clock=clock,
        )

    @property
    def provider(self) -> Provider:
        """The provider it is registered at."""
        return self._engine.provider

    @property
    def store(self) -> TokenStore:
        """Where its tokens live."""
        return self._engine.store

    def __repr__(self) -> str:
        return f"<OAuthClient {self._engine.credentials.client_id!r} of {self.provider.name}>"

    # --- whose token ---------------------------------------------------------------------------------------------

    def for_subject(self, subject: str) -> TokenSource:
        """The tokens of the grant that `subject` gave. Reads nothing yet; the same subject gets the same source."""
        return TokenSource.of(self._engine, PersonGrant(_named_subject(subject)))

    def for_itself(self, *, scope: str | None = None) -> TokenSource:
        """The client's own tokens (client credentials, RFC 6749 section 4.4), one source for each `scope`.

        `scope` is space-separated; None lets the server decide. Raises `ConfigurationError` where the provider does
        not offer this grant.
        """
        if "client_credentials" not in self.provider.grants:
            raise ConfigurationError(
                f"for_itself: {self.provider.name} does not offer the client_credentials grant; use for_subject()"
            )
        if scope is not None and not _is_text(scope):
            raise ConfigurationError("scope must be text: scopes separated by spaces, or None")
        return TokenSource.of(self._engine, ClientGrant(scope))

    # --- getting the grant ---------------------------------------------------------------------------------------

    def start_authorization(
        self, subject: str, *, scope: str | None = None, parameters: Mapping[str, str] | None = None
    ) -> AuthorizationRequest:
        """Begin a sign-in: send the person to the returned `url`, then hand the URL they come back to to
        `finish_authorization`, in this process or another that shares the store.

        `scope` is space-separated; None lets the server decide. `parameters` are further ones of this request, such as
        Flinks' `provider_id`. The answer is accepted for 10 minutes, once.
        Raises `ConfigurationError` without a redirect_uri or where nobody can sign in, and `StoreError`.
        """
        return self._engine.wait_for(self._start(subject, scope, parameters or {}))

    async def astart_authorization(
        self, subject: str, *, scope: str | None = None, parameters: Mapping[str, str] | None = None
    ) -> AuthorizationRequest:
        """The same as `start_authorization`, for asyncio and trio."""
        return await self._engine.await_for(self._start(subject, scope, parameters or {}))

    def finish_authorization(self, callback_url: str, *, unechoed_state: str | None = None) -> TokenSource:
        """End a sign-in: check the answer, exchange its code, save the tokens, return the person's source.

        `callback_url` is the whole URL that the browser came back to. `unechoed_state` is for a server that does not
        send `state` back: pass the one you kept in the person's own session; never take it from the request.
        Raises `SignInRequired` if the person said no or must start again, `ProtocolError`, `ConfigurationError`,
        `TemporarilyUnavailable`. Codes live for seconds: call it at once. It cannot be interrupted half-way.
        """
        callback_url, unechoed_state = hidden(callback_url), hidden(unechoed_state)
        return self._engine.wait_for(self._finish(callback_url, unechoed_state))

    async def afinish_authorization(self, callback_url: str, *, unechoed_state: str | None = None) -> TokenSource:
        """The same as `finish_authorization`, for asyncio and trio."""
        callback_url, unechoed_state = hidden(callback_url), hidden(unechoed_state)
        return await self._engine.await_for(self._finish(callback_url, unechoed_state))

    def _start(self, subject: str, scope: str | None, parameters: Mapping[str, str]) -> Flight[AuthorizationRequest]:
        subject, redirect_uri = _named_subject(subject), self.redirect_uri
        if redirect_uri is None:
            raise ConfigurationError("redirect_uri is missing; give OAuthClient the one registered at the provider")
        state = new_state()
        verifier = new_code_verifier() if self.provider.pkce else None

        def work() -> AuthorizationRequest:
            url = messages.build_authorization_url(
                self.provider,
                self._engine.credentials.client_id,
                redirect_uri=redirect_uri,
                scope=scope,
                state=state,
                code_verifier=verifier,
                parameters=parameters,
            )
            now = self._engine.clock()
            self._pending.sweep(now)
            self._pending.add(state, Pending(subject, redirect_uri, now + PENDING_LIFETIME, verifier))
            return AuthorizationRequest(url, state, now + PENDING_LIFETIME)

        return launch(work, _nothing)

    def _finish(self, callback_url: str, unechoed_state: str | None) -> Flight[TokenSource]:
        callback = parse_callback(callback_url)
        check(callback, issuer=self.provider.issuer)
        state = callback.state if callback.state is not None else unechoed_state
        events: list[Event] = []

        def work() -> TokenSource:
            pending = self._pending.claim(state, self._engine.clock())
            source = self.for_subject(pending.subject)
            source.install(self._exchange(source, pending, code_of(callback, subject=pending.subject), events))
            return source

        return launch(work, lambda: self._engine.tell(events))

    def _exchange(self, source: TokenSource, pending: Pending, code: str, events: list[Event]) -> HeldToken:
        call = messages.build_code_exchange(
            self.provider,
            self._engine.credentials,
            code=code,
            redirect_uri=pending.redirect_uri,
            code_verifier=pending.code_verifier,
            call=Call("authorization_code", pending.subject),
            now=self._engine.clock(),
        )
        exchange = source.renewal()
        try:
            return exchange.exchange(call)
        finally:
            events.extend(exchange.events)

    @property
    def _pending(self) -> PendingSignIns:
        return PendingSignIns(self.store, f"authorization/{self._engine.slot}/")

    def __copy__(self) -> OAuthClient:
        return self

    def __deepcopy__(self, memo: object) -> OAuthClient:
        return self


def _best_method(provider: Provider, key: object, secret: object, certificate: object) -> str:
    if not provider.client_auth_supported:
        return provider.client_auth
    best = choose_method(
        provider.client_auth_supported,
        has_key=key is not None,
        has_certificate=certificate is not None,
        has_secret=bool(secret),
    )
    if best is None:
        raise ConfigurationError(
            f"client_auth: {provider.name} supports {', '.join(provider.client_auth_supported)}, and none of these can "
            "be done with what was given; pass client_secret, private_key or cert"
        )
    return best


def _named_subject(subject: str) -> str:
    if not _is_text(subject) or not subject.strip():
        raise ConfigurationError("subject is empty; pass your own lasting id of the person who gave the grant")
    return subject


def _is_text(value: object) -> bool:
    """Whether it is a string that can be written as UTF-8, as store keys are."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _check_redirect_uri(redirect_uri: str) -> None:
    scheme = redirect_uri.partition(":")[0].lower() if isinstance(redirect_uri, str) and ":" in redirect_uri else ""
    if not scheme or "#" in redirect_uri:
        raise ConfigurationError("redirect_uri must be an absolute URI without a fragment, as registered")
    if scheme in ("http", "https"):
        endpoint_origin(redirect_uri, "redirect_uri")


def _nothing() -> None:
    """Nothing to tell afterwards."""
