"""What all sources of one client share: its registration, store, limits and clock, and the flights under way.

Used by `OAuthClient`, which makes one, and by everything that acts for a grant of this client. There is one object for
each grant and process. It never waits under a lock.
"""

from __future__ import annotations

import random
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .._protocol.client_authentication import ClientCredentials
from .._protocol.http_messages import Package
from .._protocol.requests import ServerRequest, build_revocation
from .._transport.network import Network, transport_for
from ..events import Event, OnEvent, emit
from ..policy import RenewalPolicy
from ..stores._forks import reset_in_child
from ..stores._token_store import TokenStore
from .authorization_grants import Attempt, AuthorizationGrant
from .credential import RequestRules, Source, credential_of
from .current_token import CurrentToken
from .ports import Ports
from .single_flight import Flight, SingleFlight, run_on_worker
from .store_keys import Registration, parse_token_key

if TYPE_CHECKING:
    from ..provider import Provider

Result = TypeVar("Result")
AnySource = TypeVar("AnySource", bound=Source)

_SAVE_GRACE = 5.0
"""Seconds beyond its own deadlines that a renewal is waited for: parsing and saving."""

_SWEEP_INTERVAL = 60.0
"""Seconds between two looks for abandoned sign-ins: each lists the keys of the store."""


def _now() -> float:
    return time.time()


class ClientState:
    """What all sources of one client share. May be used from any thread or task.

    Attributes:
        provider: Where the client is registered.
        credentials: How it authenticates there.
        redirect_uri: Where users come back to after a sign-in; None if it has none.
        store: Where its records are.
        policy: Every number of the renewal.
        network: How the authorization server is reached.
        on_event: The user's callback for events; None if there is none.
        given_clock: The clock that was passed; None: `time.time`.
        clock: The time, in UTC epoch seconds.
        flights: The renewals under way, by store key.
        rules: What the request flow needs to know of every source.
        installing: A lock for the moment in which a current token changes what it remembers. Nothing waits under it.
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
    ) -> None:
        self.provider = provider
        self.credentials = credentials
        self.redirect_uri = redirect_uri
        self.store = store
        self.policy = policy
        self.network = network
        self.on_event = on_event
        # The default is looked up at each call, so that a test which replaces `time.time` moves the time here too.
        self.given_clock: Callable[[], float] | None = None if clock is time.time else clock
        self.clock: Callable[[], float] = self.given_clock or _now
        self.flights: SingleFlight = SingleFlight()
        self._sources: weakref.WeakValueDictionary[AuthorizationGrant, Source] = weakref.WeakValueDictionary()
        self._kept: dict[AuthorizationGrant, CurrentToken] = {}
        self._swept_at: float | None = None
        self.rules: RequestRules = RequestRules(
            provider.origins,
            has_api_headers=bool(provider.api_headers),
            rejection_statuses=provider.rejection_statuses,
            reads_rejection_body=provider.reads_rejection_body,
            wait_timeout=self.wait_timeout,
            host_suffixes=provider.api_host_suffixes,
            origins_for=provider.origins_for if provider.api_origins_from_token else None,
        )
        self.reset_after_fork()
        reset_in_child(self)

    def shared_by(self, client: object, make: Callable[[ClientState], object]) -> None:
        """Note the `OAuthClient` that has this state: a pickle of one of its sources holds it."""
        self._client: Callable[[], Any] = weakref.ref(client)
        self._make_client = make

    def client(self) -> Any:
        """That client; another one with this state, if nothing refers to it any more."""
        return self._client() or self._make_client(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: threads that have a lock, or a renewal under way, are not in it."""
        self._grants_lock = threading.Lock()
        self.installing: threading.Lock = threading.Lock()
        self._kept = {grant: current for grant, current in self._kept.items() if current.unsaved is not None}

    @property
    def registration(self) -> Registration:
        """What all store keys of this client begin with."""
        return Registration(self.provider.name, self.provider.environment, self.credentials.client_id)

    @property
    def wait_timeout(self) -> float:
        """The longest that a caller waits for a renewal, in seconds."""
        return self.policy.lock_timeout + self.policy.request_deadline + _SAVE_GRACE

    def current_token(self, grant: AuthorizationGrant) -> CurrentToken:
        """The current token of this grant: the one that its source has or that is kept, else a new one."""
        with self._grants_lock:
            source = self._sources.get(grant)
            if source is None:
                return self._kept.get(grant) or CurrentToken(self, grant)
            return cast("CurrentToken", credential_of(source))

    def source_of(self, current: CurrentToken, make: Callable[[CurrentToken], AnySource]) -> AnySource:
        """The source that users have of this grant, made by `make` if none has.

        It is shared by all who ask, and dropped when nothing refers to it.
        """
        with self._grants_lock:
            source = self._sources.get(current.grant)
            if source is None:
                source = self._sources[current.grant] = make(self._kept.get(current.grant) or current)
            return cast("AnySource", source)

    def keep(self, current: CurrentToken, *, kept: bool) -> None:
        """Keep a current token although nothing refers to its source any more, or no longer.

        Kept are those that have the only copy of a pair, and those that a renewal is changing.
        """
        with self._grants_lock:
            if kept:
                self._kept[current.grant] = current
            elif self._kept.get(current.grant) is current:
                del self._kept[current.grant]

    def ports(self, package: Package | None) -> Ports:
        """The outside world for one renewal: the token endpoint is reached by the caller's own HTTP package."""
        return Ports(
            store=self.store,
            transport=transport_for(package, self.network),
            clock=self.clock,
            monotonic=time.monotonic,
            wait=time.sleep,
            jitter_position=random.random,
            policy=self.policy,
        )

    def attempt(self, *, in_background: bool = False) -> Attempt:
        """This client, about to make an attempt."""
        return Attempt(self.provider, self.credentials, self.redirect_uri, self.clock(), in_background)

    def revocation(self, grant: AuthorizationGrant, token: str, hint: str) -> ServerRequest:
        """The request that revokes one token."""
        call = grant.call("revocation")
        return build_revocation(self.provider, self.credentials, token, hint, call=call, now=self.clock())

    def operate(self, work: Callable[[list[Event]], Result]) -> Flight[Result]:
        """Run an operation on a worker thread: cancelling the caller does not cancel it.

        `work` appends its events to the list that it is given. They are emitted once the waiters have been woken, also
        if the work raised.
        """
        events: list[Event] = []
        began_at = time.monotonic()
        return run_on_worker(lambda: work(events), lambda: self.emit(events, seconds=time.monotonic() - began_at))

    def is_time_to_sweep(self) -> bool:
        """Whether abandoned sign-ins should be looked for: about once a minute in each process."""
        now, last = self.clock(), self._swept_at
        if last is not None and last <= now < last + _SWEEP_INTERVAL:
            return False
        self._swept_at = now
        return True

    def wait_for(self, flight: Flight[Result]) -> Result:
        """Block until an operation has ended."""
        return flight.wait(self.wait_timeout)

    async def await_for(self, flight: Flight[Result]) -> Result:
        """Wait in a task until an operation has ended."""
        return await flight.wait_async(self.wait_timeout)

    def emit(self, events: Iterable[Event], *, seconds: float | None = None) -> None:
        """Log events and pass them to `on_event`, completed by whose token and which provider it is.

        `seconds`: how long the operation took that they are about.
        """
        for event in events:
            known = parse_token_key(event.store_key)
            subject = None if known is None else known[1].subject
            emit(self.on_event, replace(event, subject=subject, provider=self.provider.name, seconds=seconds))
