"""`OAuthClient`: a registered client of one provider, and where its tokens and sign-ins come from.

Used by every application. It checks its arguments and calls others: `_sign_in` for sign-ins, exchanges and many
grants, `TokenSource` for tokens. It never reads a store or sends a request itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal

from ._protocol.client_authentication import ClientAssertion, ClientAuthMethod, ClientSecret
from ._protocol.signing import PrivateKey, SigningAlgorithm
from ._renewal.authorization_grants import ClientCredentialsGrant
from ._renewal.client_settings import checked_state
from ._renewal.client_state import ClientState
from ._renewal.closing import ClosesConnections
from ._renewal.pickled_client import grant_of, settings_of, shared_state
from ._sign_in.client_exchanges import ClientExchanges
from ._sign_in.client_many_grants import ClientManyGrants
from ._sign_in.client_sign_ins import ClientSignIns
from ._sign_in.wanted_grant import WantedGrant
from .errors import ConfigurationError, clears_locals, quoted, redacted
from .events import OnEvent
from .policy import RenewalPolicy
from .provider import Provider
from .source import TokenSource, source_of
from .stores._async_adapter import AsyncTokenStore
from .stores._token_store import TokenStore

__all__ = ["OAuthClient", "SigningAlgorithm"]


@clears_locals
class OAuthClient(ClosesConnections, ClientSignIns, ClientExchanges, ClientManyGrants):
    """A client that is registered at one provider. Make one for each registration and keep it.

    May be used from any number of threads, event loops and tasks. Copying it gives the same client. It keeps idle
    connections to the authorization server for 1.5 seconds; `with` and `async with` close them (see `close`).

    It is the client of RFC 6749 section 2, and authenticates as section 2.3 describes.

    Args:
        provider: The authorization server, and the API that its tokens are for.
        client_id: The id that the provider gave the client.
        client_secret: The secret that the provider gave the client, or a callable that returns it, which is called for
            each request. None: the client has no secret.
        redirect_uri: Where the provider sends users back to, as registered; needed only to sign in.
        store: Where tokens are stored: a store, with methods that block or are all `async def` (`AsyncTokenStore`), or
            the URL of one (`"sqlite:///tokens.db"`, see `open_store`). None: in the memory of this process, which loses
            them when it exits.
        client_auth: `client_secret_basic`, `client_secret_post`, `client_secret_jwt`, `private_key_jwt`,
            `tls_client_auth`, `self_signed_tls_client_auth` or `none`. None: the provider's, or the best that both
            sides support where the provider lists what it supports.
        private_key: For `private_key_jwt`: a PEM, a JWK as a dict, a callable that returns the current one, or a
            `Signer` for a key that never leaves its hardware.
        client_assertion: For `private_key_jwt`, in place of a key: a callable that returns an assertion about the
            client that was signed elsewhere (RFC 7521 section 4.2), such as a `KubernetesToken`. It is called for each
            request. None: the client signs by itself.
        key_id: The `kid` of assertions. None: that of the JWK.
        signing_algorithm: The `alg` of assertions. None: that of the JWK, else one that fits the key and the provider's
            `assertion_algorithms`; HS256 for `client_secret_jwt`.
        dpop: True binds the tokens of each grant to a key of their own (DPoP, RFC 9449), which is stored with them. Or
            one key for all grants: a PEM, a JWK, a `Signer` with `public_jwk`, or a callable that returns one of these.
            The callable is called once, because tokens stay bound to their key. None: tokens are not bound.
        policy: When to renew, and how long to wait. None: `RenewalPolicy()`.
        on_event: Called after something happened to a token, see `Event`. None: events are only logged.
        token_http: A `requests.Session`, `httpx.Client` or `httpx2.Client` for the authorization server. None: the
            library makes one, from the HTTP package of the caller.
        cert: A client certificate for the authorization server: a file, or file, key file and optional password.
        verify: For the authorization server: True, a CA file, or an `ssl.SSLContext`.
        proxy: The URL of a proxy for the authorization server. None: as the environment specifies.
        clock: Returns UTC epoch seconds. None: `time.time`.
        step_up: What follows when the API asks for more than a grant gives (RFC 9470, RFC 6750 `insufficient_scope`).
            There is always the event `step_up_required`. `event`: the caller gets the response of the API. `raise`:
            `SignInRequired` with the reason `step_up` in its place.
        consent_ended: The same for a response by which the provider reports that the user's consent has ended.

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
        store: TokenStore | AsyncTokenStore | str | None = None,
        client_auth: ClientAuthMethod | None = None,
        private_key: PrivateKey | None = None,
        client_assertion: ClientAssertion | None = None,
        key_id: str | None = None,
        signing_algorithm: SigningAlgorithm | None = None,
        dpop: PrivateKey | Literal[True] | None = None,
        policy: RenewalPolicy | None = None,
        on_event: OnEvent | None = None,
        token_http: Any = None,
        cert: str | tuple[str, ...] | None = None,
        verify: Any = True,
        proxy: str | None = None,
        clock: Callable[[], float] | None = None,
        step_up: Literal["event", "raise"] = "event",
        consent_ended: Literal["event", "raise"] = "event",
    ) -> None:
        client_secret, private_key, cert = redacted(client_secret), redacted(private_key), redacted(cert)
        dpop, client_assertion = redacted(dpop), redacted(client_assertion)
        if not isinstance(provider, Provider):
            remedy = "pass BlnkCloud(), Provider(name=..., ...) or Provider.discover(...)"
            problem = f"provider must be a Provider, not {quoted(provider)}"
            raise ConfigurationError(problem, parameter="provider", remedy=remedy)
        self._share(
            checked_state(
                provider,
                client_id=client_id,
                client_secret=client_secret,
                redirect_uri=redirect_uri,
                store=store,
                client_auth=client_auth,
                private_key=private_key,
                client_assertion=client_assertion,
                key_id=key_id,
                signing_algorithm=signing_algorithm,
                dpop=dpop,
                policy=policy,
                on_event=on_event,
                token_http=token_http,
                cert=cert,
                verify=verify,
                proxy=proxy,
                clock=clock,
                step_up=step_up,
                consent_ended=consent_ended,
            )
        )

    @classmethod
    def from_config(cls, profile: str = "default", path: str | PathLike[str] | None = None) -> OAuthClient:
        """The client that a profile of the configuration file describes, see `docs/reference/command-line.md`.

        Args:
            profile: The name of the profile.
            path: The file. None: that of the environment variable BLNK_AUTH_CONFIG, else of this user's configuration.

        Returns:
            The client, of the class that this is called on.

        Raises:
            ConfigurationError: Something in the file cannot work. The message names the file, the profile and the key.
        """
        from .config import load_profile

        return load_profile(profile, path).make(cls)

    @property
    def provider(self) -> Provider:
        """The provider it is registered at."""
        return self._state.provider

    @property
    def store(self) -> TokenStore:
        """The store of its tokens."""
        return self._state.store

    def __repr__(self) -> str:
        return f"<OAuthClient {self._state.credentials.client_id!r} of {self.provider.name}>"

    # --- whose token ---------------------------------------------------------------------------------------------

    def for_subject(self, subject: str, *, resource: str | None = None) -> TokenSource:
        """The tokens of the grant that a user gave. Reads nothing yet; the same arguments get the same source.

        If the provider's tokens are for one of several targets (bLink's banks), a callable that names the target is
        called here, and the source keeps its result. When the result changes, the next call makes another source, with
        tokens of its own.

        Args:
            subject: The application's own lasting id of the user.
            resource: What the tokens are for (RFC 8707): an absolute URI. Each has a grant of its own, which is asked
                for with the same `resource`. None: the grant that was asked for without.

        Returns:
            The source, to be passed to an auth class.

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

        Returns:
            The source, to be passed to an auth class.

        Raises:
            ConfigurationError: An argument cannot work, or the provider does not offer this grant.
        """
        grant = ClientCredentialsGrant.checked(self.provider, scope, resource, audience, parameters)
        return source_of(self._state.current_token(grant))

    # --- connections ---------------------------------------------------------------------------------------------

    def _close_connections(self) -> list[ClientState]:
        self._state.network.kept.close()
        return [self._state]

    def __copy__(self) -> OAuthClient:
        return self

    def __deepcopy__(self, memo: object) -> OAuthClient:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return settings_of(self._state)

    def __setstate__(self, settings: dict[str, Any]) -> None:
        self._share(shared_state(settings, self))

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
