"""`OAuthClient`: a registered client of one provider, and the door to its tokens."""

from __future__ import annotations

import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

from ._protocol.assertions import PrivateKey, SigningAlgorithm
from ._protocol.client_authentication import ClientAuthMethod, ClientCredentials, ClientSecret, choose_method
from ._protocol.origins import endpoint_origin
from ._protocol.requests import build_authorization_url, build_code_exchange
from ._renewal.authorization_grants import ClientCredentialsGrant, RefreshTokenGrant
from ._renewal.cached_token import CachedToken
from ._renewal.client_state import ClientState
from ._renewal.current_token import CurrentToken
from ._renewal.single_flight import Flight, run_on_worker
from ._sign_in.authorization_code import (
    PENDING_LIFETIME,
    AuthorizationRequest,
    Pasted,
    Pending,
    PendingSignIns,
    check,
    code_of,
    new_code_verifier,
    new_state,
    parse_callback,
)
from ._sign_in.device import DeviceAuthorization, DeviceSignIn, apoll, poll
from ._transport.network import Network
from .errors import ConfigurationError, redacted
from .events import Event, OnEvent
from .policy import RenewalPolicy
from .provider import Provider
from .source import TokenSource, source_of
from .stores._async_adapter import AsyncTokenStore, as_token_store
from .stores._memory import MemoryStore
from .stores._token_store import TokenStore

if TYPE_CHECKING:
    from ._sign_in.interactive import InteractiveSignIn


class OAuthClient:
    """A client registered at one provider. Make one per registration and keep it; it may be shared by all threads.

    `client_id`, `client_secret`: from the registration; the secret may be a callable, asked afresh for each request.
    `redirect_uri`: where the provider sends people back to; needed only to sign in.
    `store`: where tokens live, with methods that block or are all `async def` (see `AsyncTokenStore`); None
    keeps them in this process's memory, which loses them at exit.
    `client_auth`: `client_secret_basic`, `client_secret_post`, `client_secret_jwt`, `private_key_jwt`,
    `tls_client_auth`, `self_signed_tls_client_auth` or `none`; None takes the provider's, or the best that both sides
    support where the provider says what it supports.
    `private_key` (for `private_key_jwt`): a PEM, a JWK as a dict, a callable that returns today's, or a `Signer` for a
    key that stays in its hardware. `key_id` (None: the JWK's) and `signing_algorithm` (None: the JWK's, else what fits
    the key and the provider's `assertion_algorithms`; HS256 for `client_secret_jwt`) go into the assertion.
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
        client_auth: ClientAuthMethod | None = None,
        private_key: PrivateKey | None = None,
        key_id: str | None = None,
        signing_algorithm: SigningAlgorithm | None = None,
        policy: RenewalPolicy | None = None,
        on_event: OnEvent | None = None,
        token_http: Any = None,
        cert: str | tuple[str, ...] | None = None,
        verify: Any = True,
        proxy: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        client_secret, private_key, cert = redacted(client_secret), redacted(private_key), redacted(cert)
        policy = RenewalPolicy() if policy is None else policy
        if not isinstance(policy, RenewalPolicy):
            raise ConfigurationError("policy must be a RenewalPolicy", parameter="policy")
        for parameter, value in (("on_event", on_event or _nothing), ("clock", clock)):
            if not callable(value):
                raise ConfigurationError(f"{parameter} must be callable", parameter=parameter)
        if not isinstance(provider, Provider):
            raise ConfigurationError(
                "provider must be a Provider, such as BlnkCloud() or Provider(name=..., ...)", parameter="provider"
            )
        if redirect_uri is not None:
            _check_redirect_uri(redirect_uri)
        self.redirect_uri = redirect_uri
        self._state = ClientState(
            provider=provider,
            credentials=ClientCredentials(
                client_id,
                client_secret,
                client_auth or _best_method(provider, private_key, client_secret, cert, token_http),
                provider.basic_encoding,
                private_key,
                key_id,
                signing_algorithm,
                provider.assertion_algorithms,
                has_certificate=cert is not None or token_http is not None or isinstance(verify, ssl.SSLContext),
            ),
            redirect_uri=redirect_uri,
            store=MemoryStore() if store is None else as_token_store(store),
            policy=policy,
            network=Network(policy=policy, verify=verify, cert=cert, proxy=proxy, client=token_http),
            on_event=on_event,
            clock=clock,
        )

    @classmethod
    def from_config(cls, profile: str = "default", path: str | PathLike[str] | None = None) -> OAuthClient:
        """The client that a profile of the configuration file describes, see `docs/reference/command-line.md`.

        `path` None is the file of the environment variable BLNK_AUTH_CONFIG, else of this user's configuration.
        Raises `ConfigurationError`, which names the file, the profile and the key.
        """
        from .config import load_profile

        return load_profile(profile, path).make(cls)

    @property
    def provider(self) -> Provider:
        """The provider it is registered at."""
        return self._state.provider

    @property
    def store(self) -> TokenStore:
        """Where its tokens live."""
        return self._state.store

    def __repr__(self) -> str:
        return f"<OAuthClient {self._state.credentials.client_id!r} of {self.provider.name}>"

    # --- whose token ---------------------------------------------------------------------------------------------

    def for_subject(self, subject: str) -> TokenSource:
        """The tokens of the grant that `subject` gave. Reads nothing yet; the same subject gets the same source.

        Where the provider's tokens are for one of several targets (bLink's banks), a callable that names it is asked
        here, and the source keeps to its answer: when the answer changes, the next call makes another source, with
        tokens of its own. Raises `TemporarilyUnavailable` if that callable fails.
        """
        return source_of(self._current(subject))

    def for_itself(self, *, scope: str | None = None) -> TokenSource:
        """The client's own tokens (client credentials, RFC 6749 section 4.4), one source for each `scope`.

        `scope` is space-separated; None lets the server decide. Raises `ConfigurationError` where the provider does
        not offer this grant.
        """
        if "client_credentials" not in self.provider.grants:
            raise ConfigurationError(
                f"for_itself: {self.provider.display_name} does not offer the client_credentials grant",
                parameter="for_itself",
                remedy="use for_subject()",
            )
        if scope is not None and not _is_text(scope):
            raise ConfigurationError("scope must be text: scopes separated by spaces, or None", parameter="scope")
        return source_of(
            self._state.current_token(ClientCredentialsGrant(scope or None, self.provider.target_of(None)))
        )

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
        return self._state.wait_for(self._start(subject, scope, parameters or {}, self.redirect_uri))

    async def astart_authorization(
        self, subject: str, *, scope: str | None = None, parameters: Mapping[str, str] | None = None
    ) -> AuthorizationRequest:
        """The same as `start_authorization`, for asyncio and trio."""
        return await self._state.await_for(self._start(subject, scope, parameters or {}, self.redirect_uri))

    def finish_authorization(self, callback_url: str, *, unechoed_state: str | None = None) -> TokenSource:
        """End a sign-in: check the answer, exchange its code, save the tokens, return the person's source.

        `callback_url` is the whole URL that the browser came back to. `unechoed_state` is for a server that does not
        send `state` back: pass the one you kept in the person's own session; never take it from the request.
        Raises `SignInRequired` if the person said no or must start again, `ProtocolError`, `ConfigurationError`,
        `TemporarilyUnavailable`. Codes live for seconds: call it at once. It cannot be interrupted half-way.
        """
        callback_url, unechoed_state = redacted(callback_url), redacted(unechoed_state)
        return self._state.wait_for(self._finish(callback_url, unechoed_state))

    async def afinish_authorization(self, callback_url: str, *, unechoed_state: str | None = None) -> TokenSource:
        """The same as `finish_authorization`, for asyncio and trio."""
        callback_url, unechoed_state = redacted(callback_url), redacted(unechoed_state)
        return await self._state.await_for(self._finish(callback_url, unechoed_state))

    def authorize_interactively(
        self,
        subject: str,
        *,
        scope: str | None = None,
        parameters: Mapping[str, str] | None = None,
        port: int | None = None,
        timeout: float = 300.0,
        open_browser: bool = True,
        listen: bool = True,
        pasted: Pasted | None = None,
        on_url: Callable[[str], object] | None = None,
        on_problem: Callable[[str], object] | None = None,
    ) -> TokenSource:
        """Sign a person in who sits at this machine, and return their source: RFC 8252, for programs and scripts.

        Listens on the host and path of the client's redirect_uri, which must be http on a loopback address, until the
        browser comes back. `port` None means the port in redirect_uri or, if it has none, any free one, as 0 does.
        `timeout` is in seconds, 600 at most. `on_url` is told the address to open; `open_browser` opens it as well.
        `pasted` (texts, or a callable that returns the next text or None) is for when the browser runs elsewhere: what
        it yields is tried as the address the browser was sent to, and the first right one wins, pasted or not;
        `on_problem` is told what is wrong with the others. With it, any redirect_uri will do, and `listen` False opens
        no port at all. These callables are called on threads of their own.
        Raises `SignInRequired` if the person said no or did not come back, `ConfigurationError` (also if the port is in
        use), `StoreError`, and what `finish_authorization` raises. See docs/explanation/sign-in.md.
        """
        sign_in = self._interactive(
            subject,
            scope,
            parameters,
            port=port,
            timeout=timeout,
            open_browser=open_browser,
            listen=listen,
            pasted=pasted,
            on_url=on_url,
            on_problem=on_problem,
        )
        return sign_in.run()

    async def aauthorize_interactively(
        self,
        subject: str,
        *,
        scope: str | None = None,
        parameters: Mapping[str, str] | None = None,
        port: int | None = None,
        timeout: float = 300.0,
        open_browser: bool = True,
        listen: bool = True,
        pasted: Pasted | None = None,
        on_url: Callable[[str], object] | None = None,
        on_problem: Callable[[str], object] | None = None,
    ) -> TokenSource:
        """The same as `authorize_interactively`, for asyncio and trio. Cancelling it ends the sign-in."""
        sign_in = self._interactive(
            subject,
            scope,
            parameters,
            port=port,
            timeout=timeout,
            open_browser=open_browser,
            listen=listen,
            pasted=pasted,
            on_url=on_url,
            on_problem=on_problem,
        )
        return await sign_in.arun()

    def authorize_device(
        self,
        subject: str,
        *,
        scope: str | None = None,
        on_prompt: Callable[[DeviceAuthorization], object],
        timeout: float | None = None,
        wait: Callable[[float], object] = time.sleep,
    ) -> TokenSource:
        """Sign a person in who has a browser on another device (RFC 8628), and return their source.

        `on_prompt` is told the code and where to enter it, and must show both; then the server is asked again and again
        until the person has decided. `timeout` in seconds ends it earlier than the server would. `wait` is called with
        the seconds between two questions.
        Raises `SignInRequired` if the person said no or took too long, `ConfigurationError` where the provider has no
        device_authorization_endpoint, `ProtocolError`, `StoreError`. An outage is waited out.
        """
        sign_in = self._device_sign_in(subject, scope, timeout)
        on_prompt(self._state.wait_for(run_on_worker(sign_in.begin, _nothing)))
        return source_of(poll(sign_in, wait))

    async def aauthorize_device(
        self,
        subject: str,
        *,
        scope: str | None = None,
        on_prompt: Callable[[DeviceAuthorization], object],
        timeout: float | None = None,
        wait: Callable[[float], Awaitable[object]] | None = None,
    ) -> TokenSource:
        """The same as `authorize_device`, for asyncio and trio. `wait` None is the event loop's own sleep."""
        sign_in = self._device_sign_in(subject, scope, timeout)
        on_prompt(await self._state.await_for(run_on_worker(sign_in.begin, _nothing)))
        return source_of(await apoll(sign_in, wait))

    def _current(self, subject: str) -> CurrentToken:
        subject = _named_subject(subject)
        return self._state.current_token(RefreshTokenGrant(subject, self.provider.target_of(subject)))

    def _device_sign_in(self, subject: str, scope: str | None, timeout: float | None) -> DeviceSignIn:
        return DeviceSignIn(self._state, self._current(subject), scope=scope, timeout=timeout)

    def _interactive(
        self, subject: str, scope: str | None, parameters: Mapping[str, str] | None, **settings: Any
    ) -> InteractiveSignIn:
        from ._sign_in.interactive import InteractiveSignIn

        _named_subject(subject)

        async def start(redirect_uri: str) -> AuthorizationRequest:
            return await self._state.await_for(self._start(subject, scope, parameters or {}, redirect_uri))

        return InteractiveSignIn(
            provider=self.provider,
            redirect_uri=self.redirect_uri,
            start=start,
            finish=self.afinish_authorization,
            patience=2 * self._state.wait_timeout,
            **settings,
        )

    def _start(
        self, subject: str, scope: str | None, parameters: Mapping[str, str], redirect_uri: str | None
    ) -> Flight[AuthorizationRequest]:
        subject = _named_subject(subject)
        if redirect_uri is None:
            raise ConfigurationError(
                "redirect_uri is missing",
                parameter="redirect_uri",
                remedy="give OAuthClient the one registered at the provider",
            )
        state = new_state()
        verifier = new_code_verifier() if self.provider.pkce else None

        def work() -> AuthorizationRequest:
            target = self.provider.target_of(subject)
            url = build_authorization_url(
                self.provider,
                self._state.credentials.client_id,
                redirect_uri=redirect_uri,
                scope=scope,
                state=state,
                code_verifier=verifier,
                parameters=parameters,
                target=target,
            )
            now = self._state.clock()
            self._pending.sweep(now)
            self._pending.add(state, Pending(subject, redirect_uri, now + PENDING_LIFETIME, verifier, target))
            return AuthorizationRequest(url, state, now + PENDING_LIFETIME)

        return run_on_worker(work, _nothing)

    def _finish(self, callback_url: str, unechoed_state: str | None) -> Flight[TokenSource]:
        callback = parse_callback(callback_url)
        check(callback, self.provider)
        state = callback.state if callback.state is not None else unechoed_state
        events: list[Event] = []

        def work() -> TokenSource:
            pending = self._pending.claim(state, self._state.clock())
            # Where the person was sent, even if a callable would name another target by now: its code is good there.
            current = self._state.current_token(RefreshTokenGrant(pending.subject, pending.target))
            current.install(self._exchange(current, pending, code_of(callback, subject=pending.subject), events))
            return source_of(current)

        return run_on_worker(work, lambda: self._state.emit(events))

    def _exchange(self, current: CurrentToken, pending: Pending, code: str, events: list[Event]) -> CachedToken:
        call = build_code_exchange(
            self.provider,
            self._state.credentials,
            code=code,
            redirect_uri=pending.redirect_uri,
            code_verifier=pending.code_verifier,
            call=current.call("authorization_code"),
            now=self._state.clock(),
        )
        exchange = current.renewal()
        try:
            return exchange.exchange(call)
        finally:
            events.extend(exchange.events)

    @property
    def _pending(self) -> PendingSignIns:
        return PendingSignIns(self.store, self._state.registration.sign_ins)

    def __copy__(self) -> OAuthClient:
        return self

    def __deepcopy__(self, memo: object) -> OAuthClient:
        return self


def _best_method(provider: Provider, key: object, secret: object, cert: object, token_http: object) -> ClientAuthMethod:
    if not provider.client_auth_supported:
        return provider.client_auth
    best = choose_method(
        provider.client_auth_supported,
        has_key=key is not None,
        # A client of the user's own may have a certificate: worth trying where there is nothing else.
        has_certificate=cert is not None or (token_http is not None and key is None and not secret),
        has_secret=bool(secret),
    )
    if best is None:
        raise ConfigurationError(
            f"client_auth: {provider.display_name} supports "
            f"{', '.join(provider.client_auth_supported)}, and none of these can be done with what "
            "was given",
            parameter="client_auth",
            remedy="pass client_secret, private_key or cert",
        )
    return best


def _named_subject(subject: str) -> str:
    if not _is_text(subject) or not subject.strip():
        raise ConfigurationError(
            "subject must be text (UTF-8) that is not empty",
            parameter="subject",
            remedy="pass your own lasting id of the person who gave the grant",
        )
    return subject


def _is_text(value: object) -> bool:
    """Whether it is a string that can be written as UTF-8, as store keys are."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _check_redirect_uri(redirect_uri: str) -> None:
    scheme = redirect_uri.partition(":")[0].lower() if isinstance(redirect_uri, str) and ":" in redirect_uri else ""
    if not scheme or "#" in redirect_uri:
        raise ConfigurationError(
            "redirect_uri must be an absolute URI without a fragment, as registered", parameter="redirect_uri"
        )
    if scheme in ("http", "https"):
        endpoint_origin(redirect_uri, "redirect_uri")


def _nothing() -> None:
    """Nothing to tell afterwards."""
