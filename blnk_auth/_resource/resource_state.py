"""What all sources of one protected resource share: what was learned of it, and the client at its server.

Used by `ProtectedResource`, which makes one, and by the token of each source. What this file promises:

* The resource is asked, and a client is registered, by one worker thread at a time; all callers wait for it.
* A client has one state, so that a grant has one current token, even if two threads learn of it at the same time.
* A client at one issuer is never used at another. If the resource names another issuer, another client is made.
* What was learned and registered before stays in use where a server does not answer, or describes itself wrongly.

It never renews a token, and never asks a user.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .._protocol.http_messages import HttpRequest, HttpResponse, Package
from .._protocol.resource_metadata import ResourceChallenge
from .._renewal.cached_token import NoToken
from .._renewal.client_state import ClientState
from .._renewal.failure import Failure
from .._renewal.operations import Operations
from .._renewal.schedule import NEVER_RENEWED
from .._renewal.single_flight import Flight, SingleFlight
from .._renewal.store_keys import resource_key
from .._transport.addresses import AddressRule, Reach
from .._transport.metadata_fetch import MOST_SECONDS, MetadataFetch
from .._transport.network import transport_for
from ..errors import BlnkAuthError, ConfigurationError, TemporarilyUnavailable
from ..events import Event
from ..stores._calls import load_record
from ..stores._forks import reset_in_child
from ..token import Token
from .client_identity import ClientIdentity
from .dynamic_registration import Send
from .known import LIFETIME
from .learned import Learned
from .learning import learn
from .registered_client import RegisteredClient, state_at_server
from .registering import identify
from .resource_settings import ResourceSettings

if TYPE_CHECKING:
    from ..source import TokenSource

_ASK_AGAIN_EVERY = 60.0
"""Seconds between two looks at a resource that rejects tokens of the server that it named."""

_MOST_CLIENTS = 8
"""Clients of this resource that are kept, of all issuers that it has named."""

NO_TOKEN = NoToken(Token(""), NEVER_RENEWED)
"""What a request to a URL that is not a protected resource is sent with."""
NO_TOKEN.was_accepted = True


class ResourceState:
    """What all sources of one protected resource share. May be used from any thread or task.

    Args:
        given: The arguments of `ProtectedResource`, by name.

    Attributes:
        settings: The same, checked.
        url: The URL of the resource, as the user named it.
        template: What the states of all its clients share, see `ResourceSettings`.
        flights: What is done now on a worker thread, by what it is about.
        sources: The sources of the resource that are in use.
        client: The client that was used last. None: nothing was learned in this process yet.

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.settings: ResourceSettings = ResourceSettings(given)
        self.url: str = self.settings.url
        self.template: ClientState = self.settings.template
        self.flights: SingleFlight = SingleFlight()
        self.sources: weakref.WeakValueDictionary[object, TokenSource] = weakref.WeakValueDictionary()
        self.client: RegisteredClient | None = None
        self._clock: Callable[[], float] = self.template.clock
        self._clients: dict[tuple[str, str, object], RegisteredClient] = {}
        self._failure: Failure | None = None
        self._unprotected_until: float | None = None
        self._asked_again_at: float | None = None
        self._learned_from: tuple[ResourceChallenge, float] | None = None
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: another thread of the parent may have had the lock."""
        self._making = threading.Lock()

    @property
    def operations(self) -> Operations:
        """Runs what is done on a worker thread, and emits its events."""
        return self.template.operations

    @property
    def store_key(self) -> str:
        """The key of what was learned."""
        return resource_key(self.url)

    @property
    def wait_timeout(self) -> float:
        """The longest that learning, registering and renewing take together, in seconds."""
        return MOST_SECONDS + 2 * self.template.rules.wait_timeout

    def covers(self, url: str) -> bool:
        """Whether a URL is within the resource, so that it may have the token.

        The resource is what its document names, as long as that is not known: the URL that the user named. A path
        with dots that a server may resolve is not within it, nor is what only begins with the same characters. If the
        resource has a query, only URLs whose query begins with it are within it.
        """
        asked, resource = urlsplit(url), urlsplit(self.url if self.client is None else self.client.resource)
        path, within = asked.path, resource.path.rstrip("/")
        if resource.query and not f"{asked.query}&".startswith(f"{resource.query}&"):
            return False
        return path.rstrip("/") == within or (path.startswith(f"{within}/") and not _resolves_elsewhere(path))

    def close_connections(self) -> list[ClientState]:
        """Close the connections that are kept, which all clients of the resource share; return the clients' states."""
        self.template.network.kept.close()
        return [client.state for client in list(self._clients.values())]

    # --- for a caller, who must not wait -----------------------------------------------------------------------------

    def is_unprotected(self) -> bool:
        """Whether the resource has described no sign-in lately, so that requests need no token."""
        until = self._unprotected_until
        return until is not None and self.client is None and self._clock() < until

    def check_cooldown(self) -> None:
        """Raise the error of the last attempt, while it is too early for another one."""
        failure, now = self._failure, self._clock()
        if failure is not None and failure.is_active(now):
            raise failure.error_at(now)

    # --- on a worker thread ------------------------------------------------------------------------------------------

    def known_client(
        self,
        package: Package | None,
        *,
        challenge: ResourceChallenge | None = None,
        is_rejected: bool = False,
        other_than: ClientIdentity | None = None,
    ) -> RegisteredClient | None:
        """The client at the server that the resource names; learns and registers first if needed. Blocks.

        Args:
            package: The caller's HTTP package. None: one that is in use.
            challenge: What a rejection specifies of how to get a token.
            is_rejected: The resource rejects a token of the server that it named, and may name another one by now.
            other_than: A client that its server no longer knows.

        Returns:
            None: the URL is not a protected resource.

        Raises:
            BlnkAuthError: It cannot be learned, or no client can be registered.
        """
        again = is_rejected and self._may_ask_again()
        key = ("client", challenge, again, None if other_than is None else other_than.client_id)
        events: list[Event] = []
        flight: Flight[RegisteredClient | None] = self.flights.join_or_start(
            key,
            lambda: self._find(package, challenge, other_than, events, again=again),
            lambda: self.operations.emit(events),
        )
        return flight.wait(self.wait_timeout)

    def stored_client(self) -> RegisteredClient | None:
        """The client, if all that is needed of it is in memory or in the store. Raises `StoreError`."""
        if self.client is not None:
            return self.client
        try:
            learned = learn(self.url, fetch=_Offline(self.url), store=self.template.store, now=self._clock())
            return None if learned is None else self._client_of(learned, None, None, [], send=_unsent)
        except TemporarilyUnavailable:
            return None

    def may_learn_from(self, challenge: ResourceChallenge | None) -> bool:
        """Whether the rejection of a request without a token may be about one that has to be learned of.

        The same challenge leads to learning once a minute at most.
        """
        now, last = self._clock(), self._learned_from
        if challenge is None or (
            last is not None and last[0] == challenge and last[1] <= now < last[1] + _ASK_AGAIN_EVERY
        ):
            return False
        self._learned_from = challenge, now
        return True

    def _may_ask_again(self) -> bool:
        now, last = self._clock(), self._asked_again_at
        if last is not None and last <= now < last + _ASK_AGAIN_EVERY:
            return False
        self._asked_again_at = now
        return True

    def _find(
        self,
        package: Package | None,
        challenge: ResourceChallenge | None,
        other_than: ClientIdentity | None,
        events: list[Event],
        *,
        again: bool,
    ) -> RegisteredClient | None:
        try:
            learned = self._learn(package, challenge, events, again=again)
            found = None if learned is None else self._client_of(learned, package, other_than, events)
        except BlnkAuthError as error:
            self._remember(error)
            raise
        self._failure = None
        if found is None:
            self._unprotected_until = self._clock() + LIFETIME
            return None
        self.client = found
        return found

    def _remember(self, error: BlnkAuthError) -> None:
        if self.client is None:
            now = self._clock()
            self._failure = Failure.after(
                self._failure,
                error,
                now,
                must_renew_at=float("-inf"),
                policy=self.template.policy,
                jitter_position=self.template.ports(None).jitter_position(),
            )

    def _learn(
        self, package: Package | None, challenge: ResourceChallenge | None, events: list[Event], *, again: bool
    ) -> Learned | None:
        known, now = self.client, self._clock()
        before = self._stored() if known is None else known.learned
        reach: Reach = "public" if before is None else before.reach
        fetch = MetadataFetch(self.template.network, package, self.url, reach=reach)
        try:
            learned = learn(self.url, fetch=fetch, store=self.template.store, now=now, challenge=challenge, again=again)
        except BlnkAuthError:
            if known is None:
                raise
            # Its tokens may work although its documents cannot be read now.
            return known.learned
        if learned is None and known is not None:
            return known.learned
        self._report(learned, before, events)
        return learned

    def _stored(self) -> Learned | None:
        """What an earlier process has learned; None if that cannot be read."""
        record = load_record(self.template.store, self.store_key)
        return None if record is None else Learned.from_data(record.data)

    def _report(self, learned: Learned | None, before: Learned | None, events: list[Event]) -> None:
        if learned is None:
            detail = "the URL describes no sign-in (RFC 9728): requests to it are sent without a token"
            events.append(Event("not_protected", self.store_key, detail))
        elif before is None:
            events.append(Event("resource_learned", self.store_key, learned.issuer))
        elif before.issuer != learned.issuer:
            detail = f"{before.issuer} before, {learned.issuer} now"
            events.append(Event("issuer_changed", self.store_key, detail))

    def _client_of(
        self,
        learned: Learned,
        package: Package | None,
        other_than: ClientIdentity | None,
        events: list[Event],
        send: Send | None = None,
    ) -> RegisteredClient:
        known, now = self.client, self._clock()
        is_same = known is not None and _is_same_server(known.learned, learned)
        if known is not None and is_same and other_than is None and known.identity.is_usable(now):
            return known._replace(learned=learned)
        network = self.template.network.limited_to(AddressRule(learned.url, learned.reach))
        identity = identify(
            learned,
            self.settings.identity,
            send=send or transport_for(package, network).send,
            store=self.template.store,
            clock=self._clock,
            monotonic=time.monotonic,
            lock_timeout=self.template.policy.lock_timeout,
            events=events,
            other_than=other_than,
        )
        return self._registered(learned, identity)

    def _registered(self, learned: Learned, identity: ClientIdentity) -> RegisteredClient:
        """The client with this identity; it has one state, also if two threads have learned of it."""
        key = (learned.issuer, identity.client_id, identity.client_secret)
        with self._making:
            kept = self._clients.get(key)
            if kept is None or not _is_same_server(kept.learned, learned):
                state = state_at_server(learned, identity, self.settings)
                kept = self._clients[key] = RegisteredClient(learned, identity, state, self.settings.scope)
                for oldest in [*self._clients][:-_MOST_CLIENTS]:
                    del self._clients[oldest]
        return kept._replace(learned=learned, identity=identity)


class _Offline:
    """Fetches nothing, so that only what is stored is found."""

    def __init__(self, url: str) -> None:
        self.addresses: AddressRule = AddressRule(url)

    def __call__(self, url: str) -> HttpResponse:
        raise _unasked()

    def probe(self, url: str) -> HttpResponse:
        raise _unasked()


def _unsent(_request: HttpRequest) -> HttpResponse:
    raise _unasked()


def _unasked() -> TemporarilyUnavailable:
    return TemporarilyUnavailable("no server is asked for this", remedy="send a request, which asks them")


def _is_same_server(known: Learned, learned: Learned) -> bool:
    """Whether both describe the same server in the same way, so that the client's state can stay."""
    same = replace(
        learned,
        scopes_supported=known.scopes_supported,
        challenge_scope=known.challenge_scope,
        was_challenged=known.was_challenged,
    )
    return replace(same, learned_at=known.learned_at, document=known.document) == known


def _resolves_elsewhere(path: str) -> bool:
    """Whether a server may take this path for another one: it has segments of dots, or characters that hide them."""
    decoded = path.lower().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace("\\", "/")
    return any(segment in (".", "..") for segment in decoded.split("/"))


def not_protected(url: str) -> ConfigurationError:
    """The error where a token is needed of a URL that is not a protected resource."""
    return ConfigurationError(
        f"{url} is not a protected resource: it describes no sign-in (RFC 9728)",
        parameter="url",
        remedy="check the URL, or use OAuthClient with the authorization server of the API",
    )
