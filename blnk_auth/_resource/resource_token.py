"""The token of a protected resource: learns whose server gives it, and from then on is that server's `CurrentToken`.

Used by `TokenSource` and the auth classes, in place of a `CurrentToken`. There is one for each resource, subject and
process. What this file promises:

* Learning, registering, renewing and signing in happen in one flight, for which all callers wait.
* Once a client is known, everything is done by an ordinary `CurrentToken`, so all its promises hold.
* A token of one issuer is never sent, and never renewed, after the resource has named another issuer.
* A URL that is not a protected resource gets no token: its requests are sent without one.

It never waits in a caller's thread or task, and it asks a user only where `sign_in` permits it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .._protocol.demands import DEMAND_STATUSES
from .._protocol.http_messages import Package
from .._protocol.origins import Origin
from .._renewal.cached_token import CachedToken
from .._renewal.credential import ProofOfPossession, RequestRules, credential_of, why_withheld
from .._renewal.current_token import CurrentToken
from .._renewal.single_flight import Flight
from ..errors import ConfigurationError, SignInRequired
from ..events import Event
from ..source import TokenSource, source_of
from ..token import Token
from .registered_client import RegisteredClient
from .resource_rejections import ResourceRejections
from .resource_state import NO_TOKEN, ResourceState, not_protected
from .wanted_token import WantedToken

if TYPE_CHECKING:
    from .._renewal.operations import Operations
    from .request_sign_in import RequestSignIn

Obtained = TypeVar("Obtained", CachedToken, CachedToken | None)
TokenOf = Callable[[CurrentToken], Flight[CachedToken] | Obtained]

_UNKNOWN_CLIENT = "invalid_client"
"""The error code of a server that no longer knows the client (RFC 6749 section 5.2)."""


class ResourceToken:
    """What this process knows of one token of a protected resource. May be used from any thread, event loop and task.

    Args:
        resource: What all sources of the resource share.
        wanted: Whose token it is.
        sign_in: Lets the user sign in from inside a request. None: it is the client's own token.
        pickled: Makes what a pickle of the source has.

    Attributes:
        current: The token at the server that was learned; None as long as none was.
        rules: Where it may be sent, and which responses are judged.
    """

    __slots__ = ("_kept", "_pickled", "_wanted", "current", "request_sign_in", "resource", "rules")

    def __init__(
        self,
        resource: ResourceState,
        wanted: WantedToken,
        sign_in: RequestSignIn | None,
        pickled: Callable[[], tuple[Any, ...]],
    ) -> None:
        self.resource: ResourceState = resource
        self._wanted: WantedToken = wanted
        self.current: CurrentToken | None = None
        self._kept: TokenSource | None = None
        """Keeps the current token the only one of its grant, for everything that asks its client for it."""
        self.request_sign_in: RequestSignIn | None = sign_in
        self._pickled = pickled
        self.rules: RequestRules = RequestRules(
            resource.template.rules.origins,
            covers=resource.covers,
            proof=_ResourceProofs(self) if resource.template.proofs.are_wanted else None,
            rejection_statuses=frozenset({401}),
            judged_statuses=DEMAND_STATUSES,
            wait_timeout=resource.wait_timeout + (0.0 if sign_in is None else sign_in.wait_timeout(resource.template)),
        )

    def __repr__(self) -> str:
        return f"<ResourceToken {self.store_key}>"

    # --- for users: see `TokenSource` --------------------------------------------------------------------------------

    @property
    def subject(self) -> str | None:
        return self._wanted.whose()

    @property
    def store_key(self) -> str:
        """The key of its record in the store; of what was learned, as long as that is not known."""
        return self.resource.store_key if self.current is None else self.current.store_key

    @property
    def operations(self) -> Operations:
        return self.resource.operations

    def resolved(self) -> CurrentToken:
        client = self.resource.known_client(None)
        if client is None:
            raise not_protected(self.resource.url)
        return self._use(client)

    def stored(self) -> CurrentToken | None:
        client = self.resource.stored_client()
        return None if client is None else self._use(client)

    def pickled(self) -> tuple[Any, ...]:
        return self._pickled()

    @property
    def cached(self) -> CachedToken | None:
        """The token in memory; None if there is none."""
        return None if self.current is None else self.current.cached

    def renew_by_hand(self, rejected: Token | None) -> Flight[CachedToken]:
        """See `TokenSource.renew`."""
        return self.fly(("renew", rejected), lambda: self._renew_by_hand(rejected))

    def other_than(self, before: CachedToken | None, landed: CachedToken) -> Token:
        """See `CurrentToken.other_than`."""
        return landed.token if self.current is None else self.current.other_than(before, landed)

    # --- for requests: see `credential` ------------------------------------------------------------------------------

    @property
    def after_rejection(self) -> ResourceRejections:
        return ResourceRejections(self)

    def fresh(self) -> CachedToken | None:
        current = self.current
        return None if current is None else current.fresh()

    def ready(self, package: Package | None) -> CachedToken | Flight[CachedToken]:
        current = self.current
        if current is not None:
            ready = current.ready(package)
            if not isinstance(ready, Flight):
                return ready
        elif self.resource.is_unprotected():
            return NO_TOKEN
        else:
            self.resource.check_cooldown()
        return self.fly("ready", lambda: self._ready(package))

    def api_headers(self) -> Mapping[str, str]:
        return {}

    def report_withheld(self, origin: Origin | None) -> None:
        detail = why_withheld(None, self.rules.header_name, "")
        if origin is not None:
            detail = (
                f"the URL is not within the resource {self.resource.url}; the request was sent without the token; if "
                "the token belongs there too, pass the URL that both have in common to ProtectedResource"
            )
        self.operations.emit([Event("token_withheld", self.store_key, detail)])

    # --- on a worker thread ------------------------------------------------------------------------------------------

    def fly(self, key: object, work: Callable[[], Any]) -> Flight[Any]:
        """Run `work` on a worker thread; callers with the same key share it."""
        if self.request_sign_in is not None:
            self.request_sign_in.check_caller()
        return self.resource.flights.join_or_start((self, key), work, _nothing)

    def _ready(self, package: Package | None) -> CachedToken:
        client = self.resource.known_client(package)
        if client is None:
            return NO_TOKEN
        waits_for_challenge = self._waits_for_challenge(client, package)
        try:
            return self.obtain(
                client, package, lambda current: current.ready(package), asks_user=not waits_for_challenge
            )
        except SignInRequired:
            if not waits_for_challenge:
                raise
            return NO_TOKEN

    def _waits_for_challenge(self, client: RegisteredClient, package: Package | None) -> bool:
        """Whether a request is sent without a token before a sign-in is begun, so that its challenge has the scope.

        "Use `scope` parameter from the initial `WWW-Authenticate` header in the 401 response, if provided" (MCP
        specification, Scope Selection Strategy): that is the challenge of this request, and `scopes_supported` is used
        only without one. A request that the API accepts without a token needs no sign-in at all.
        """
        needs_user = self.request_sign_in is not None
        return needs_user and package is not None and client.scope is None and not client.learned.was_challenged

    def _renew_by_hand(self, rejected: Token | None) -> CachedToken:
        client = self.resource.known_client(None)
        if client is None:
            raise not_protected(self.resource.url)
        return self.obtain(client, None, lambda current: current.renew_by_hand(rejected))

    def obtain(
        self, client: RegisteredClient, package: Package | None, token_of: TokenOf[Obtained], *, asks_user: bool = True
    ) -> CachedToken | Obtained:
        """The token of this client, after a sign-in where one is needed and permitted. Blocks; for a worker thread.

        If the server no longer knows the client, another one is registered, once.

        Args:
            client: The client at the server that the resource names.
            package: The caller's HTTP package.
            token_of: Returns the token, or the flight that brings it.
            asks_user: Whether a user may be asked to sign in.

        Raises:
            BlnkAuthError: There is no token.
        """
        try:
            return self._obtain_from(client, package, token_of, asks_user=asks_user)
        except ConfigurationError as error:
            if error.error != _UNKNOWN_CLIENT:
                raise
            failure = error.replace()
        another = self.resource.known_client(package, other_than=client.identity)
        if another is None or another.identity == client.identity:
            raise failure
        return self._obtain_from(another, package, token_of, asks_user=asks_user)

    def _obtain_from(
        self, client: RegisteredClient, package: Package | None, token_of: TokenOf[Obtained], *, asks_user: bool
    ) -> CachedToken | Obtained:
        current = self._use(client)
        rejected = current.cached
        try:
            found = token_of(current)
            return found.wait(current.rules.wait_timeout) if isinstance(found, Flight) else found
        except SignInRequired as error:
            if self.request_sign_in is None or not asks_user:
                raise
            reason = error.replace()
        scope = client.wanted_scope()
        return self.request_sign_in.sign_in(current, reason=reason, package=package, scope=scope, rejected=rejected)

    def _use(self, client: RegisteredClient) -> CurrentToken:
        """Be the token of this client from now on."""
        grant, current = self._wanted.grant(client), self.current
        if current is not None and current.state is client.state and current.grant == grant:
            return current
        source = source_of(client.state.current_token(grant))
        found = cast("CurrentToken", credential_of(source))
        self.current, self._kept = found, source
        return found


class _ResourceProofs:
    """Proves that the client has the key of its token, by the key and the nonces of the client that was learned."""

    def __init__(self, token: ResourceToken) -> None:
        self._token = token

    def prove(self, cached: CachedToken, method: str, url: str) -> Mapping[str, str]:
        proofs = self._of_client()
        return {} if proofs is None or cached.header is None else proofs.prove(cached, method, url)

    def observe(self, url: str, status_code: int, headers: Mapping[str, str]) -> bool:
        proofs = self._of_client()
        return proofs is not None and proofs.observe(url, status_code, headers)

    def _of_client(self) -> ProofOfPossession | None:
        current = self._token.current
        return None if current is None else current.state.rules.proof


def _nothing() -> None:
    """What is called after a flight: its parts emit their events themselves."""
