"""What all sources of one client share: its registration, store, limits and clock, and the renewals that run now.

Used by `OAuthClient`, which makes one, and by everything that acts for a grant of this client. It promises that every
attempt of every source uses the same settings. It never waits while it has a lock.
"""

from __future__ import annotations

import functools
import random
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._protocol.challenges import never_ends_consent
from .._protocol.client_authentication import ClientCredentials
from .._protocol.demands import DEMAND_STATUSES
from .._protocol.http_messages import Package
from .._transport.network import Network, transport_for
from ..events import Event, EventName, OnEvent
from ..policy import RenewalPolicy
from ..stores._token_store import TokenStore
from .attempt import Attempt
from .authorization_grants import AuthorizationGrant
from .clocks import clock_of
from .credential import OnDemand, RequestRules
from .current_token import CurrentToken
from .operations import Operations
from .ports import Ports
from .presenting_grants import presents_something
from .proofs import DpopSetting, Proofs
from .server_pause import ServerPause
from .sign_in_state import SignInState
from .single_flight import SingleFlight
from .sources import Sources
from .store_keys import Registration

if TYPE_CHECKING:
    from ..provider import Provider


_SAVE_GRACE = 5.0
"""Seconds that a caller waits beyond the deadlines of a renewal, for parsing the response and saving the token."""


def _note_certificate(operations: Operations, key: str, name: EventName, detail: str) -> None:
    operations.note(Event(name, key, detail))


class ClientState:
    """What all sources of one client share. May be used from any thread or task.

    Attributes:
        provider: Where the client is registered.
        credentials: How the client authenticates there.
        redirect_uri: Where the provider sends the browser after a sign-in; None if the client has no redirect URI.
        store: Where its records are stored.
        policy: Every number of the renewal.
        network: How the authorization server is reached.
        clock: Returns the time, in UTC epoch seconds.
        pause: How long the server asked this client to wait.
        flights: The renewals that run now, by store key.
        rules: What the request flow needs to know of every source.
        sources: The source and the current token of each grant.
        operations: Runs an operation on a worker thread and emits its events.
        sign_ins: What its sign-ins share.
    """

    def __init__(
        self,
        *,
        provider: Provider,
        credentials: ClientCredentials,
        redirect_uri: str | None,
        store: TokenStore,
        policy: RenewalPolicy,
        network: Network,
        on_event: OnEvent | None,
        clock: Callable[[], float] | None,
        step_up: OnDemand = "event",
        consent_ended: OnDemand = "event",
        dpop: DpopSetting = None,
    ) -> None:
        self.provider = provider
        self.credentials = credentials
        self.redirect_uri = redirect_uri
        self.store = store
        self.policy = policy
        self.network = network
        self.clock: Callable[[], float] = clock_of(clock)
        self.proofs: Proofs = Proofs(dpop, provider.dpop_algorithms, self.clock)
        self.pause: ServerPause = ServerPause(policy.max_retry_after)
        self.flights: SingleFlight = SingleFlight()
        self.sources: Sources = Sources()
        wait_timeout = policy.lock_timeout + policy.request_deadline + _SAVE_GRACE
        self.operations: Operations = Operations(provider=provider.name, on_event=on_event, wait_timeout=wait_timeout)
        self.sign_ins: SignInState = SignInState()
        self.rules: RequestRules = RequestRules(
            provider.origins,
            has_api_headers=bool(provider.api_headers),
            proof=self.proofs if self.proofs.are_wanted else None,
            rejection_statuses=provider.rejection_statuses,
            reads_rejection_body=provider.reads_rejection_body,
            judged_statuses=DEMAND_STATUSES,
            judges_consent=provider.ends_consent is not never_ends_consent,
            on_demand={"step_up": step_up, "consent_ended": consent_ended},
            wait_timeout=wait_timeout,
            host_suffixes=provider.api_host_suffixes,
            origins_for=provider.origins_for if provider.api_origins_from_token else None,
        )
        if network.cert is not None:
            # Not a method of this object, which the network would keep alive.
            report = functools.partial(_note_certificate, self.operations, self.registration.tokens)
            network.watch_certificate(self.clock, report)
            self.operations.emit(())

    def shared_by(self, client: object, make: Callable[[ClientState], object]) -> None:
        """Remember the `OAuthClient` that has this state: a pickle of one of its sources includes that client.

        Args:
            client: The client. Only a weak reference to it is kept.
            make: Makes another client with this state, for `client()`.
        """
        self._client: Callable[[], Any] = weakref.ref(client)
        self._make_client = make

    def client(self) -> Any:
        """The `OAuthClient` with this state. If it no longer exists, another one is made."""
        return self._client() or self._make_client(self)

    @property
    def registration(self) -> Registration:
        """What all store keys of this client begin with."""
        return Registration(self.provider.name, self.provider.environment, self.credentials.client_id)

    def current_token(self, grant: AuthorizationGrant) -> CurrentToken:
        """The current token of this grant: the same object for all callers. Raises as `Sources.presenting`."""
        if presents_something(grant):
            return self.sources.presenting(grant, lambda: CurrentToken(self, grant))
        return self.sources.current_token(grant, lambda: CurrentToken(self, grant))

    def ports(self, package: Package | None) -> Ports:
        """The `Ports` of one renewal. The token endpoint is called through `package`, the caller's HTTP package."""
        return Ports(
            store=self.store,
            transport=transport_for(package, self.network),
            clock=self.clock,
            monotonic=time.monotonic,
            wait=time.sleep,
            jitter_position=random.random,
            policy=self.policy,
            proofs=self.proofs,
            pause=self.pause,
        )

    def attempt(self, *, in_background: bool = False) -> Attempt:
        """The registered client and the current time, for one request to the authorization server."""
        return Attempt(self.provider, self.credentials, self.redirect_uri, self.clock(), in_background)
