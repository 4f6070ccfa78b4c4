"""`ProtectedResource`: an API that describes by itself how to sign in (RFC 9728), such as an MCP server.

Used by applications that know the URL of an API, and not its authorization server. Importable alone. It checks its
arguments and calls others: `_resource` learns of the API, `_sign_in` signs users in, `TokenSource` has their tokens. It
promises that nothing is asked before it is needed. It never reads a store or sends a request in the caller's task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from ._protocol.client_authentication import ClientAssertion, ClientAuthMethod, ClientSecret
from ._protocol.client_metadata import ClientMetadata
from ._protocol.http_values import checked_audience, checked_token_parameters, joined_scope
from ._protocol.signing import PrivateKey, SigningAlgorithm
from ._renewal.client_state import ClientState
from ._renewal.closing import ClosesConnections
from ._renewal.pickled_client import grant_of
from ._resource.asking import SignIn
from ._resource.pickled_resource import settings_of
from ._resource.request_sign_in import RequestSignIn
from ._resource.resource_exchanges import ResourceExchanges
from ._resource.resource_sign_ins import ResourceSignIns
from ._resource.resource_state import ResourceState
from ._resource.resource_token import ResourceToken
from ._resource.wanted_token import OfItself, OfPresented, OfSubject, WantedToken
from ._sign_in.wanted_grant import WantedGrant
from .errors import ConfigurationError, clears_locals, redacted
from .events import OnEvent
from .policy import RenewalPolicy
from .source import TokenSource
from .stores._async_adapter import AsyncTokenStore
from .stores._token_store import TokenStore

if TYPE_CHECKING:
    from ._renewal.presenting_grants import PresentingGrant

__all__ = ["ClientMetadata", "ProtectedResource", "SignIn"]


@clears_locals
class ProtectedResource(ClosesConnections, ResourceSignIns, ResourceExchanges):
    """An API that describes by itself how to sign in (RFC 9728). Make one for each API and keep it.

    It asks the API for its metadata when a token is first needed, and its authorization server for its own (RFC 8414).
    What it learns is kept in the store. Tokens are asked for with the API's own name for itself (`resource`, RFC 8707),
    and are sent to URLs within that name only. If the URL describes no sign-in, requests are sent without a token.

    May be used from any number of threads, event loops and tasks. Copying it gives the same object.

    Args:
        url: The URL of the API: https, or http on a loopback address.
        redirect_uri: Where servers send users back to. The default is for programs on the machine of their user
            (RFC 8252): any free port of it. None: no user signs in.
        store: As for `OAuthClient`: what was learned, the registered client, tokens and sign-ins are stored there.
        scope: What is asked for: space-separated, or a list or tuple of scopes. None: what the API asks for, else what
            it lists.
        client_id: The id of a client that was registered beforehand; or the https URL of a client ID metadata document.
            None: the client is registered dynamically (RFC 7591), where the server still permits that.
        client_secret: The secret of a client that was registered beforehand; as for `OAuthClient`.
        client_metadata: How the client describes itself when it is registered dynamically. None: `ClientMetadata()`.
        client_auth: How the client authenticates. None: the best that both sides support.
        private_key: This and the following are described at `OAuthClient`.
        client_assertion: An assertion that was signed elsewhere.
        key_id: The `kid` of assertions.
        signing_algorithm: The `alg` of assertions.
        dpop: Whether tokens are bound to a key (RFC 9449).
        policy: When to renew, and how long to wait.
        on_event: Called after something happened.
        token_http: The HTTP client for the metadata and the authorization server.
        cert: A client certificate for both.
        verify: How their certificates are checked.
        proxy: The URL of a proxy for both.
        clock: Returns UTC epoch seconds.

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def __init__(
        self,
        url: str,
        *,
        redirect_uri: str | None = "http://127.0.0.1/callback",
        store: TokenStore | AsyncTokenStore | str | None = None,
        scope: str | Sequence[str] | None = None,
        client_id: str | None = None,
        client_secret: ClientSecret = None,
        client_metadata: ClientMetadata | None = None,
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
    ) -> None:
        client_secret, private_key, cert = redacted(client_secret), redacted(private_key), redacted(cert)
        dpop, client_assertion = redacted(dpop), redacted(client_assertion)
        if client_metadata is not None and not isinstance(client_metadata, ClientMetadata):
            raise ConfigurationError(
                f"client_metadata must be a ClientMetadata, not {type(client_metadata).__name__}",
                parameter="client_metadata",
                remedy="pass ClientMetadata(client_name=...), or leave it out",
            )
        self._share(
            {
                "url": url,
                "redirect_uri": redirect_uri,
                "store": store,
                "scope": joined_scope(scope),
                "client_id": client_id,
                "client_secret": client_secret,
                "client_metadata": client_metadata,
                "client_auth": client_auth,
                "private_key": private_key,
                "client_assertion": client_assertion,
                "key_id": key_id,
                "signing_algorithm": signing_algorithm,
                "dpop": dpop,
                "policy": policy,
                "on_event": on_event,
                "token_http": token_http,
                "cert": cert,
                "verify": verify,
                "proxy": proxy,
                "clock": clock,
            }
        )

    @property
    def url(self) -> str:
        """The URL of the API."""
        return self._state.url

    @property
    def issuer(self) -> str | None:
        """The issuer of its authorization server, as that spells it. None: it was not learned yet in this process."""
        client = self._state.client
        return None if client is None else client.learned.issuer

    @property
    def store(self) -> TokenStore:
        """The store of everything that is kept."""
        return self._state.template.store

    def __repr__(self) -> str:
        return f"<ProtectedResource {self.url}>"

    # --- whose token -------------------------------------------------------------------------------------------------

    def for_subject(self, subject: str, *, sign_in: SignIn = None, sign_in_timeout: float = 300.0) -> TokenSource:
        """The tokens of the grant that a user gives. Asks nothing yet; the same arguments get the same source.

        If a request needs a sign-in, `sign_in` decides what happens. Nothing of the store is locked meanwhile. Other
        requests of this user wait for the same sign-in, in every process that shares the store.

        Args:
            subject: The application's own lasting id of the user.
            sign_in: None: `SignInRequired` is raised, with `authorization`: where to send the user. `browser`: the
                browser on this machine is opened. A callable is called on a worker thread with the
                `AuthorizationRequest`, and returns the callback URL; or None, which raises `SignInRequired`. What it
                raises reaches the caller.
            sign_in_timeout: Seconds that requests wait for the user.

        Returns:
            The source, to be passed to an auth class.

        Raises:
            ConfigurationError: An argument cannot work.
        """
        wanted = OfSubject(WantedGrant.checked(subject).subject)
        return self._source(wanted, RequestSignIn(sign_in, sign_in_timeout))

    def for_itself(
        self,
        *,
        scope: str | Sequence[str] | None = None,
        audience: str | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> TokenSource:
        """The client's own tokens (client credentials), as `OAuthClient.for_itself` describes.

        Args:
            scope: Space-separated, or a list or tuple of scopes. None: that of the `ProtectedResource`, else what the
                API asks for or lists.
            audience: As for `OAuthClient.for_itself`. The `resource` is always that of the API.
            parameters: Further parameters of each token request. No secrets: they are part of the store key.

        Returns:
            The source, to be passed to an auth class.

        Raises:
            ConfigurationError: An argument cannot work. That the server does not offer this grant is raised when a
                token is needed.
        """
        further = tuple(sorted(checked_token_parameters(parameters or {}).items()))
        return self._source(OfItself(joined_scope(scope), checked_audience(audience), further), None)

    def _source(self, wanted: WantedToken, sign_in: RequestSignIn | None) -> TokenSource:
        """The source of this token; the same one for the same arguments."""
        key = (wanted.key(), None if sign_in is None else (sign_in.how, sign_in.timeout))
        source = self._state.sources.get(key)
        if source is None:
            token = ResourceToken(self._state, wanted, sign_in, lambda: self._pickled_source(wanted, sign_in))
            source = self._state.sources.setdefault(key, TokenSource(token))
        return source

    # --- connections -------------------------------------------------------------------------------------------------

    def _close_connections(self) -> list[ClientState]:
        return self._state.close_connections()

    # --- copies and pickles ------------------------------------------------------------------------------------------

    def __copy__(self) -> ProtectedResource:
        return self

    def __deepcopy__(self, memo: object) -> ProtectedResource:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return settings_of(self._state)

    def __setstate__(self, settings: dict[str, Any]) -> None:
        self._share(settings)

    def _share(self, settings: Mapping[str, Any]) -> None:
        self._state = ResourceState(settings)

    def _pickled_source(self, wanted: WantedToken, sign_in: RequestSignIn | None) -> tuple[Any, ...]:
        further = {} if sign_in is None else {"sign_in": sign_in.how, "sign_in_timeout": sign_in.timeout}
        return self._source_of, ({**wanted.to_data(), **further},)

    def _source_of(self, arguments: Mapping[str, Any]) -> TokenSource:
        """The source in a pickle. Named there: keep its name, and what its argument means."""
        if "grant_type" in arguments:
            return self._source(OfPresented(cast("PresentingGrant", grant_of(arguments))), None)
        return self.for_subject(**arguments) if "subject" in arguments else self.for_itself(**arguments)
