"""`OAuthClient`: a registered client of one provider, and where its tokens and sign-ins come from.

Used by every application. It checks what it is given and hands over: to `_sign_in` for sign-ins, to `TokenSource` for
tokens. It never reads a store or sends a request itself.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from ._protocol.assertions import PrivateKey, SigningAlgorithm
from ._protocol.client_authentication import ClientAuthMethod, ClientSecret
from ._renewal.authorization_grants import ClientCredentialsGrant
from ._renewal.client_settings import checked_state
from ._renewal.client_state import ClientState
from ._renewal.pickled_client import grant_of, settings_of, state_of
from ._sign_in.authorization_code import AuthorizationCodeSignIn, AuthorizationRequest
from ._sign_in.device import DeviceAuthorization, DeviceSignIn
from ._sign_in.interactive_settings import InteractiveSettings, Pasted
from ._sign_in.wanted_grant import WantedGrant
from .errors import ConfigurationError, clears_locals, redacted
from .events import OnEvent
from .policy import RenewalPolicy
from .provider import Provider
from .source import TokenSource, source_of
from .stores._async_adapter import AsyncTokenStore
from .stores._token_store import TokenStore

if TYPE_CHECKING:
    from ._sign_in.interactive import InteractiveSignIn

__all__ = ["OAuthClient"]


@clears_locals
class OAuthClient:
    """A client that is registered at one provider. Make one for each registration and keep it.

    May be used from any number of threads, event loops and tasks. Copying it gives the same client.

    Args:
        provider: The authorization server, and the API that its tokens are for.
        client_id: From the registration.
        client_secret: From the registration; a callable is asked for each request. None where there is none.
        redirect_uri: Where the provider sends users back to, as registered; needed only to sign in.
        store: Where tokens are kept, with methods that block or are all `async def` (`AsyncTokenStore`). None: in the
            memory of this process, which loses them when it exits.
        client_auth: `client_secret_basic`, `client_secret_post`, `client_secret_jwt`, `private_key_jwt`,
            `tls_client_auth`, `self_signed_tls_client_auth` or `none`. None: the provider's, or the best that both
            sides support where the provider lists what it supports.
        private_key: For `private_key_jwt`: a PEM, a JWK as a dict, a callable that returns today's, or a `Signer` for
            a key that stays in its hardware.
        key_id: The `kid` of assertions. None: the JWK's.
        signing_algorithm: The `alg` of assertions. None: the JWK's, else what fits the key and the provider's
            `assertion_algorithms`; HS256 for `client_secret_jwt`.
        policy: When to renew, and how long to wait. None: `RenewalPolicy()`.
        on_event: Called after something happened to a token, see `Event`. None: events are only logged.
        token_http: A `requests.Session`, `httpx.Client` or `httpx2.Client` for the authorization server. None: one of
            our own, from the HTTP package of the caller.
        cert: A client certificate for the authorization server: a file, or file, key file and optional password.
        verify: For the authorization server: True, a CA file, or an `ssl.SSLContext`.
        proxy: The URL of a proxy for the authorization server. None: as the environment specifies.
        clock: Returns UTC epoch seconds. None: `time.time`.

    Raises:
        ConfigurationError: An argument cannot work.
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
        clock: Callable[[], float] | None = None,
    ) -> None:
        client_secret, private_key, cert = redacted(client_secret), redacted(private_key), redacted(cert)
        if not isinstance(provider, Provider):
            remedy = "pass BlnkCloud(), Provider(name=..., ...) or Provider.discover(...)"
            raise ConfigurationError("provider must be a Provider", parameter="provider", remedy=remedy)
        self._share(
            checked_state(
                provider,
                client_id=client_id,
                client_secret=client_secret,
                redirect_uri=redirect_uri,
                store=store,
                client_auth=client_auth,
                private_key=private_key,
                key_id=key_id,
                signing_algorithm=signing_algorithm,
                policy=policy,
                on_event=on_event,
                token_http=token_http,
                cert=cert,
                verify=verify,
                proxy=proxy,
                clock=clock,
            )
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

    def for_subject(self, subject: str, *, resource: str | None = None) -> TokenSource:
        """The tokens of the grant that a user gave. Reads nothing yet; the same arguments get the same source.

        Where the provider's tokens are for one of several targets (bLink's banks), a callable that names it is asked
        here, and the source keeps to its answer: when the answer changes, the next call makes another source, with
        tokens of its own.

        Args:
            subject: The application's own lasting id of the user.
            resource: What the tokens are for (RFC 8707): an absolute URI. Each has a grant of its own, which is asked
                for with the same `resource`. None: the grant that was asked for without.

        Raises:
            ConfigurationError: An argument cannot work.
            TemporarilyUnavailable: That callable failed.
        """
        wanted = WantedGrant.checked(subject, resource=resource)
        return source_of(self._state.current_token(wanted.grant(self.provider.target_of(subject))))

    def for_itself(
        self,
        *,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
        audience: str | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> TokenSource:
        """The client's own tokens (client credentials, RFC 6749 section 4.4): one for each combination of arguments.

        Args:
            scope: Space-separated, or a list or tuple of scopes. None: the server decides.
            resource: What the token is for (RFC 8707): an absolute URI. None: not specified.
            audience: The same at servers that want an `audience` (Auth0). None: not specified.
            parameters: Further parameters of each token request. No secrets: they are part of the store key.

        Raises:
            ConfigurationError: An argument cannot work, or the provider does not offer this grant.
        """
        grant = ClientCredentialsGrant.checked(self.provider, scope, resource, audience, parameters)
        return source_of(self._state.current_token(grant))

    # --- signing in ----------------------------------------------------------------------------------------------

    def start_authorization(
        self,
        subject: str,
        *,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> AuthorizationRequest:
        """Begin a sign-in: send the user to the returned `url`, then pass the callback to `finish_authorization`.

        Any process that shares the store may finish it, once, within 10 minutes. Blocks on the store; for asyncio and
        trio: `astart_authorization`.

        Args:
            subject: The application's own lasting id of the user.
            scope: Space-separated, or a list or tuple of scopes. None: the server decides.
            resource: What the tokens are for (RFC 8707): an absolute URI, as for `for_subject`. None: not specified.
            parameters: Further parameters of the authorization request, such as Flinks' `provider_id`.

        Raises:
            ConfigurationError: There is no redirect_uri, the provider has no authorization endpoint, or an argument
                cannot work.
            StoreError: The store fails.
        """
        wanted = WantedGrant.checked(subject, scope, resource, parameters)
        return AuthorizationCodeSignIn(self._state).start(wanted, self.redirect_uri)

    async def astart_authorization(
        self,
        subject: str,
        *,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> AuthorizationRequest:
        """The same as `start_authorization`, for asyncio and trio."""
        wanted = WantedGrant.checked(subject, scope, resource, parameters)
        return await AuthorizationCodeSignIn(self._state).astart(wanted, self.redirect_uri)

    def finish_authorization(self, callback_url: str, *, unechoed_state: str | None = None) -> TokenSource:
        """Finish a sign-in: check the callback, exchange its code, save the tokens, return the user's source.

        Call it at once: codes live for seconds. Cancelling the caller does not cancel the exchange. A code is never
        sent twice. Blocks; for asyncio and trio: `afinish_authorization`.

        Args:
            callback_url: The whole URL that the browser came back to.
            unechoed_state: For a server that does not send `state` back: the one that was kept in the user's session.
                Never take it from the request. None: the callback must have it.

        Raises:
            SignInRequired: The user refused (`denied`), or must begin again (`restart`).
            TemporarilyUnavailable: The server cannot answer now; `remedy` says whether the same callback may be tried
                again.
            ConfigurationError: The registration or the request is wrong.
            ProtocolError: The callback or the server's response is not valid.
            StoreError: The store fails.
        """
        callback_url, unechoed_state = redacted(callback_url), redacted(unechoed_state)
        return source_of(AuthorizationCodeSignIn(self._state).finish(callback_url, unechoed_state))

    async def afinish_authorization(self, callback_url: str, *, unechoed_state: str | None = None) -> TokenSource:
        """The same as `finish_authorization`, for asyncio and trio."""
        callback_url, unechoed_state = redacted(callback_url), redacted(unechoed_state)
        return source_of(await AuthorizationCodeSignIn(self._state).afinish(callback_url, unechoed_state))

    def authorize_interactively(
        self,
        subject: str,
        *,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
        parameters: Mapping[str, str] | None = None,
        port: int | None = None,
        timeout: float = 300.0,
        open_browser: bool = True,
        listen: bool = True,
        pasted: Pasted | None = None,
        on_url: Callable[[str], object] | None = None,
        on_problem: Callable[[str], object] | None = None,
    ) -> TokenSource:
        """Sign a user in who sits at this machine, and return their source (RFC 8252): for programs and scripts.

        Listens on the host and path of the client's redirect_uri, which must be http on a loopback address, until the
        browser comes back. Blocks; for asyncio and trio: `aauthorize_interactively`. The callables are called on
        threads of their own. See docs/explanation/sign-in.md.

        Args:
            subject: The application's own lasting id of the user.
            scope: Space-separated, or a list or tuple of scopes. None: the server decides.
            resource: What the tokens are for (RFC 8707): an absolute URI, as for `for_subject`. None: not specified.
            parameters: Further parameters of the authorization request.
            port: The port to listen on. None: the one in redirect_uri; if it has none, any free one, as with 0.
            timeout: Seconds to wait for the user, at most 600.
            open_browser: Whether to open the address in the default browser.
            listen: False opens no port; then `pasted` is needed.
            pasted: For a browser on another machine: strings, or a callable that returns the next one or None. Each is
                tried as the address that the browser was sent to; the first right one counts, pasted or not. With it,
                any redirect_uri will do.
            on_url: Called with the address to open.
            on_problem: Called with what is wrong with a pasted string.

        Raises:
            SignInRequired: The user refused (`denied`), or did not come back in time (`restart`).
            ConfigurationError: An argument cannot work, or the port is in use.
            BlnkAuthError: As for `finish_authorization`.
        """
        settings = InteractiveSettings(port, timeout, open_browser, listen, pasted, on_url, on_problem)
        wanted = WantedGrant.checked(subject, scope, resource, parameters)
        return source_of(self._interactive(wanted, settings).run())

    async def aauthorize_interactively(
        self,
        subject: str,
        *,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
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
        settings = InteractiveSettings(port, timeout, open_browser, listen, pasted, on_url, on_problem)
        return source_of(
            await self._interactive(WantedGrant.checked(subject, scope, resource, parameters), settings).arun()
        )

    def authorize_device(
        self,
        subject: str,
        *,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
        on_prompt: Callable[[DeviceAuthorization], object],
        timeout: float | None = None,
        wait: Callable[[float], object] = time.sleep,
    ) -> TokenSource:
        """Sign a user in who has a browser on another device (RFC 8628), and return their source.

        Blocks until the user has decided; an outage of the server is waited out. For asyncio and trio:
        `aauthorize_device`.

        Args:
            subject: The application's own lasting id of the user.
            scope: Space-separated, or a list or tuple of scopes. None: the server decides.
            resource: What the tokens are for (RFC 8707): an absolute URI, as for `for_subject`. None: not specified.
            on_prompt: Called with the code and where to enter it; must show both.
            timeout: Seconds after which it ends. None: when the code expires.
            wait: Called with the seconds until the next poll.

        Raises:
            SignInRequired: The user refused (`denied`), or took too long (`restart`).
            ConfigurationError: The provider has no device_authorization_endpoint, or an argument cannot work.
            ProtocolError: A response of the server is not valid.
            TemporarilyUnavailable: No code could be obtained.
            StoreError: The store fails.
        """
        wanted = WantedGrant.checked(subject, scope, resource)
        return source_of(DeviceSignIn(self._state, wanted, on_prompt=on_prompt, timeout=timeout).run(wait))

    async def aauthorize_device(
        self,
        subject: str,
        *,
        scope: str | Sequence[str] | None = None,
        resource: str | None = None,
        on_prompt: Callable[[DeviceAuthorization], object],
        timeout: float | None = None,
        wait: Callable[[float], Awaitable[object]] | None = None,
    ) -> TokenSource:
        """The same as `authorize_device`, for asyncio and trio. `wait` None: the event loop's own sleep."""
        wanted = WantedGrant.checked(subject, scope, resource)
        return source_of(await DeviceSignIn(self._state, wanted, on_prompt=on_prompt, timeout=timeout).arun(wait))

    def _interactive(self, wanted: WantedGrant, settings: InteractiveSettings) -> InteractiveSignIn:
        # Its listener needs h11, which nothing else here does.
        from ._sign_in.interactive import InteractiveSignIn

        return InteractiveSignIn(self._state, wanted, settings)

    def __copy__(self) -> OAuthClient:
        return self

    def __deepcopy__(self, memo: object) -> OAuthClient:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return settings_of(self._state)

    def __setstate__(self, settings: dict[str, Any]) -> None:
        if "client_id" not in settings:
            from ._pickles import settings_of_client

            settings = settings_of_client(settings, self)
        self._share(settings["state"] if "state" in settings else state_of(settings))

    def _share(self, state: ClientState) -> None:
        """Be a client with this state, which sources of the same client have too."""
        self.redirect_uri: str | None = state.redirect_uri
        self._state = state
        state.shared_by(self, type(self)._with)

    @classmethod
    def _with(cls, state: ClientState) -> OAuthClient:
        (client := cls.__new__(cls))._share(state)
        return client

    def _source_of(self, grant: Mapping[str, Any]) -> TokenSource:
        """The source in a pickle. Named there: keep its name, and what its argument means."""
        return source_of(self._state.current_token(grant_of(grant)))
