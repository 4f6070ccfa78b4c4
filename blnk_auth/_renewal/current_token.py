"""The token that this process uses for one grant, and everything that may change it.

Made by `ClientState`, one for each grant; the auth classes, `TokenSource` and the sign-ins hold it. What it promises:

* A valid token costs one attribute read and one clock read (`fresh`). No lock, no store, no thread.
* Everything else goes through at most one flight for each store key, in which the renewal runs on a worker thread.
* While a renewal may still succeed, its failure does not take away a token that is still good.
* A new sign-in, `adopt` and `forget` win over a renewal that began before them (`_epoch`).

It never sends a user's own request, and never holds a lock while anything waits.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from .._protocol.answer_errors import after_lost_answer
from .._protocol.http_messages import ApiAnswer, Call, Package, Purpose
from .._protocol.origins import Origin
from ..errors import (
    BlnkAuthError,
    ConfigurationError,
    SignInRequired,
    TemporarilyUnavailable,
)
from ..events import Event
from ..token import Token
from .authorization_grants import AuthorizationGrant
from .cached_token import CachedToken, is_sendable
from .cooldown import Cooldown
from .credential import RequestRules
from .goal import Goal
from .grant_record import GrantRecord, why_not_storable
from .rejections import Rejections, in_words
from .renewal import Renewal, expired_on_arrival
from .revocation import revoke_connection, revoke_tokens
from .schedule import Action
from .single_flight import Flight
from .store_keys import token_key

if TYPE_CHECKING:
    from .client_state import ClientState

State = Literal["missing", "fresh", "stale", "expired", "sign_in_required"]


class CurrentToken:
    """What this process knows of one grant. May be used from any number of threads, event loops and tasks at once."""

    __slots__ = (
        "__weakref__",
        "_clock",
        "_epoch",
        "_failure",
        "_rejections",
        "cached",
        "grant",
        "state",
    )

    def __init__(self, state: ClientState, grant: AuthorizationGrant) -> None:
        self.state: ClientState = state
        self.grant: AuthorizationGrant = grant
        self.cached: CachedToken | None = None
        self._clock = state.given_clock
        """None: `time.time`, looked up at each call; here and not by `state.clock`, which would cost a call more."""
        self._failure: Cooldown | None = None
        self._rejections: Rejections | None = None
        self._epoch = 0

    def __repr__(self) -> str:
        return f"<CurrentToken {self.store_key}>"

    @property
    def store_key(self) -> str:
        """The key of its record in the store. Holds no secret."""
        # Made each time it is asked for, which is seldom: a grant may be one of a hundred thousand that are idle.
        return token_key(self.state.registration, self.grant)

    # --- for requests: see `credential` --------------------------------------------------------------------------

    @property
    def rules(self) -> RequestRules:
        return self.state.rules

    @property
    def after_rejection(self) -> CurrentToken:
        return self

    def fresh(self) -> CachedToken | None:
        cached = self.cached
        return cached if cached is not None and (self._clock or time.time)() < cached.renew_at else None

    def ready(self, package: Package | None) -> CachedToken | Flight[CachedToken]:
        fresh = self.fresh()
        return self._ready_or_flight(self.cached, package) if fresh is None else fresh

    def api_headers(self) -> Mapping[str, str]:
        return self.state.provider.api_headers_of(self.call("api"))

    def report_withheld(self, origin: Origin | None) -> None:
        detail = why_withheld(origin, self.rules.header_name, "add it to the provider")
        self.state.emit([Event("token_withheld", self.store_key, detail)])

    def is_rejection(self, answer: ApiAnswer) -> bool:
        try:
            return self.state.provider.rejects_token(answer)
        except Exception as error:  # noqa: BLE001 - a provider's author may raise anything
            failure = type(error).__name__
        raise ConfigurationError(
            f"is_rejection of the provider raised {failure}", remedy="correct it there", parameter="is_rejection"
        )

    def is_current(self, cached: CachedToken) -> bool:
        current = self.cached
        return current is not None and current.is_same_token(cached)

    def replace(self, rejected: CachedToken, package: Package, cause: str) -> Flight[CachedToken] | None:
        now, failure = self.state.clock(), self._failure
        with self.state.installing:
            before = self._rejections or Rejections()
            may_renew, self._rejections = before.after_rejection(rejected, cause, now, self.state.policy)
        if not may_renew:
            self._warn_of_unresolved(cause, before)
            return None
        self._raise_if_cooling_down(now)
        return self._fly(Goal(rejected, must_differ=True), package, failure)

    def note_retry(self, cached: CachedToken, cause: str, *, accepted: bool) -> None:
        if not self.is_current(cached):
            return
        if accepted:
            cached.was_accepted = True
        with self.state.installing:
            before = self._rejections or Rejections()
            if accepted:
                self._rejections = before.after_resolved(cause)
            else:
                self._rejections = before.after_unresolved(cached, cause, self.state.clock(), self.state.policy)
        self._warn_of_unresolved(cause, before)

    def _warn_of_unresolved(self, cause: str, before: Rejections) -> None:
        """Emit, the first time, that renewals do not resolve the rejections of this cause."""
        rejections = self._rejections
        if rejections is not None and cause in rejections.unresolved and cause not in before.unresolved:
            detail = f"the API rejected a renewed token too, for {in_words(cause)}: check the permissions it needs"
            self.state.emit([Event("rejection_unresolved", self.store_key, detail)])

    # --- for users: see `TokenSource` ----------------------------------------------------------------------------

    def status(self) -> State:
        """See `TokenSource.state`. Reads the store."""
        cached = self.cached
        if cached is None or cached.version is not None:
            cached = self.renewal().stored.look()
        if cached is None:
            return "missing"
        if cached.ended is not None:
            return "sign_in_required"
        action = cached.schedule.action_at(self.state.clock())
        if action is Action.RENEW_FIRST:
            can_renew = self.grant.is_renewable(cached.token, self.state.attempt())
            return "expired" if can_renew else "sign_in_required"
        return "fresh" if action is Action.USE else "stale"

    def renew_by_hand(self, rejected: Token | None) -> CachedToken | Flight[CachedToken]:
        """See `TokenSource.renew`: the token that is wanted already, or the flight that brings it."""
        cached = self.cached
        if rejected is not None and cached is not None and cached.token != rejected:
            return self.ready(None)
        failure = self._failure
        if failure is not None and isinstance(failure.error, TemporarilyUnavailable):
            self._raise_if_cooling_down(self.state.clock())
        return self._fly(Goal(cached, must_differ=True, forced=rejected is None, rejected=rejected), None, failure)

    def other_than(self, before: CachedToken | None, landed: CachedToken) -> Token:
        """The renewed token.

        A renewal in the background that was joined and failed leaves its callers the old token: then its failure is
        raised, since a caller of `renew` wants another one.
        """
        failure = self._failure
        if landed is before and failure is not None and failure.error is not None:
            raise failure.error.replace()
        return landed.token

    # --- inside --------------------------------------------------------------------------------------------------

    def _ready_or_flight(
        self, cached: CachedToken | None, package: Package | None
    ) -> CachedToken | Flight[CachedToken]:
        now, failure = self.state.clock(), self._failure
        action = Action.RENEW_FIRST if cached is None else cached.schedule.action_at(now)
        if cached is not None and action is not Action.RENEW_FIRST:
            if action is Action.USE_AND_RENEW and not self._is_cooling_down(now):
                self._fly(Goal(cached), package, failure)
            return cached
        if cached is not None and now < cached.expires_at and self._is_cooling_down(now):
            return cached
        self._raise_if_cooling_down(now)
        return self._fly(Goal(cached), package, failure)

    def _fly(self, goal: Goal, package: Package | None, failure: Cooldown | None) -> Flight[CachedToken]:
        """The renewal under way, or a new one. `failure` is the last one that the caller knew of when it decided so."""
        in_background = (
            goal.known is not None and not goal.must_differ and self.state.clock() < goal.known.must_renew_at
        )
        renewal = self.renewal(package, in_background=in_background)
        return self.state.flights.join_or_start(
            self.store_key, lambda: self._renew_kept(renewal, goal, failure), lambda: self.state.emit(renewal.events)
        )

    def call(self, purpose: Purpose) -> Call:
        """One HTTP call for this grant."""
        return self.grant.call(purpose)

    def renewal(self, package: Package | None = None, *, in_background: bool = False) -> Renewal:
        """The renewal of this grant, through the given HTTP package."""
        state, grant = self.state, self.grant
        return Renewal(
            key=self.store_key,
            grant=grant,
            ports=state.ports(package),
            attempt=lambda: state.attempt(in_background=in_background),
        )

    def _renew_kept(self, renewal: Renewal, goal: Goal, failure: Cooldown | None) -> CachedToken:
        """`_renew`, during which a source that is asked for again has this current token."""
        self.state.keep(self, kept=True)
        try:
            return self._renew(renewal, goal, failure)
        finally:
            self.state.keep(self, kept=self._is_unsaved)

    def _renew(self, renewal: Renewal, goal: Goal, failure: Cooldown | None) -> CachedToken:
        """The work of a flight: on a worker thread, and never twice at once for one source."""
        current = self.cached
        if current is not None and current is not goal.known:
            if goal.is_met_by(current, self.state.clock()):
                return current
            # What the caller saw is history; what may not yet be saved must be.
            goal = goal._replace(known=current)
        if self._failure is not failure:
            try:
                self._raise_if_cooling_down(self.state.clock())
            except BlnkAuthError as error:
                # Another flight failed between the caller's look and this one's start.
                return self._old_token_or_raise(error, goal)
        epoch = self._epoch
        try:
            renewed = self._install_renewed(renewal.run(goal), epoch)
            renewal.endpoint.check_usable()
            if renewed.expires_at <= self.state.clock() and renewed.ended is None:
                raise expired_on_arrival(renewed)
        except Exception as error:  # noqa: BLE001 - sorted by _after_failure, which raises it again
            return self._after_failure(error, renewal, goal)
        self._failure = None
        self._remember_renewal(renewed, goal)
        return renewed

    def _remember_renewal(self, renewed: CachedToken, goal: Goal) -> None:
        after_rejection = goal.must_differ and not goal.forced
        if after_rejection or self._rejections is not None:
            with self.state.installing:
                remembered = self._rejections or Rejections()
                replacement = renewed.token if after_rejection else None
                self._rejections = remembered.after_renewal(replacement, self.state.clock())

    def _install_renewed(self, renewed: CachedToken, epoch: int) -> CachedToken:
        """Begin to use a renewed token, unless somebody signed in or forgot the grant since `epoch`."""
        with self.state.installing:
            if self._epoch == epoch:
                self._cache(renewed)
            return self.cached or renewed

    def _after_failure(self, error: Exception, renewal: Renewal, goal: Goal) -> CachedToken:
        """Remember a failure, and make do with what there is."""
        if not isinstance(error, BlnkAuthError):
            raise error
        lost = self._failure is not None and _is_outcome_unknown(self._failure.error)
        if isinstance(error, SignInRequired):
            self._remember_end(error)
            if error.reason == "refused" and lost:
                error = after_lost_answer(error)
        else:
            error = self._remember_failure(error)
            renewal.events.append(Event("renewal_failed", self.store_key, str(error), error.replace()))
        return self._old_token_or_raise(error, goal)

    def _old_token_or_raise(self, error: BlnkAuthError, goal: Goal) -> CachedToken:
        """A token that is still good, while it lasts and unless a newer one is needed; else the error."""
        cached = self.cached
        if cached is not None and not goal.must_differ and self.state.clock() < cached.expires_at:
            return cached
        raise error

    def _remember_end(self, error: SignInRequired) -> None:
        # Not a failure that passes with time: each call looks into the store whether somebody has signed in meanwhile.
        self._failure = None
        cached = self.cached
        if error.reason == "missing" or cached is None or cached.version is None:
            # A pair that could not be saved has been by now, or a sibling's stands there: the record says what holds.
            self._cache(None)
        elif cached.ended is None:
            ended = GrantRecord(cached.token, error.reason)
            self.cached = self.renewal().stored.cache(ended, cached.version)

    def _remember_failure(self, error: BlnkAuthError) -> BlnkAuthError:
        """Begin the cool-down that this failure causes, and return the error with its length."""
        policy, retry_after = self.state.policy, 0.0
        if isinstance(error, TemporarilyUnavailable) and error.retry_after is not None:
            retry_after = min(error.retry_after, policy.max_retry_after)
        begun = Cooldown.after(
            self._failure,
            self.state.clock(),
            first=policy.cooldown,
            longest=policy.max_cooldown,
            jitter_position=self.state.ports(None).jitter_position(),
            at_least=retry_after,
        )
        if isinstance(error, TemporarilyUnavailable):
            error = error.replace(retry_after=begun.until - begun.since)
        self._failure = begun._replace(error=error.replace())
        return error

    def _is_cooling_down(self, now: float) -> bool:
        return self._failure is not None and self._failure.is_active(now)

    def _raise_if_cooling_down(self, now: float) -> None:
        failure = self._failure
        if failure is None or failure.error is None or not failure.is_active(now):
            return
        if isinstance(failure.error, TemporarilyUnavailable):
            raise failure.error.replace(retry_after=failure.until - now)
        raise failure.error.replace()

    # --- operations on a worker thread ---------------------------------------------------------------------------

    def adopt(self, token: Token, events: list[Event]) -> None:
        """Store a token that was obtained elsewhere, whatever is stored. Raises `ConfigurationError`, `StoreError`."""
        now = self.state.clock()
        _check_adoptable(token)
        record = GrantRecord(token if token.issued_at is not None else token.replace(issued_at=now))
        self.install(self.renewal().stored.put(record))
        events.append(Event("signed_in", self.store_key, repr(token)))

    def install(self, cached: CachedToken) -> None:
        """Begin to use a token that was stored for a new sign-in."""
        self._start_over(cached)
        # A source that was made during the sign-in has another one.
        registered = self.state.current_token(self.grant)
        if registered is not self:
            registered._start_over(cached)

    def _start_over(self, cached: CachedToken | None) -> None:
        with self.state.installing:
            self._epoch += 1
            self._cache(cached)
            self._failure, self._rejections = None, None

    def _cache(self, cached: CachedToken | None) -> None:
        self.cached = cached
        self.state.keep(self, kept=self._is_unsaved)

    @property
    def _is_unsaved(self) -> bool:
        """Whether this has the only copy of a pair."""
        return self.cached is not None and self.cached.version is None

    def revoke(self, events: list[Event]) -> None:
        """Have the provider end the grant, then delete the record."""
        state, renewal = self.state, self.renewal()
        build = functools.partial(state.revocation, self.grant)
        if state.provider.revocation == "connection":
            revoke_connection(renewal, build)
        else:
            cached = self.cached
            revoke_tokens(renewal, build, cached if cached is not None and cached.version is None else None)
        self._start_over(None)
        events.append(Event("revoked", self.store_key))

    def forget(self, events: list[Event]) -> None:
        """Delete the record; the provider is not asked."""
        self.renewal().stored.forget()
        self._start_over(None)
        events.append(Event("forgotten", self.store_key))


def why_withheld(origin: Origin | None, header_name: str, how: str) -> str:
    """Why a request was sent without the token, and what to do: `how` names the setting to add an origin to."""
    if origin is None:
        return (
            f"the request has a header {header_name} of its own, which stays, and was sent without the token; if an "
            "SDK sets that header, configure it to omit it (docs/how-to/use-inside-api-clients.md)"
        )
    remedy = (
        f"if the token belongs there too, {how}: api_origins=({str(origin)!r},)"
        if origin.is_secure
        else "a token is sent over https only"
    )
    return f"{origin} is not one of the api_origins; the request was sent without the token; {remedy}"


def _check_adoptable(token: Token) -> None:
    """Raise `ConfigurationError` for what is not a token, or could not be read back from a store."""
    if not isinstance(token, Token):
        raise ConfigurationError(
            "token must be a Token", parameter="token", remedy="Token.from_response(...) makes one of a dict"
        )
    if not isinstance(token.access_token, str) or not is_sendable(token.access_token):
        raise ConfigurationError(
            "token.access_token is empty or has characters that no header can carry",
            parameter="token",
            remedy="pass the access token as the server issued it",
        )
    why = why_not_storable(token)
    if why is not None:
        raise ConfigurationError(
            f"the token cannot be stored ({why})",
            parameter="token",
            remedy="Token.from_response(...) makes one that can be stored",
        )


def _is_outcome_unknown(error: BlnkAuthError | None) -> bool:
    return isinstance(error, TemporarilyUnavailable) and error.outcome_unknown
