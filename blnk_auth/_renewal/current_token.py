"""The token that this process uses for one grant, and everything that may change it.

Used by the auth classes, `TokenSource` and the sign-ins; made by `ClientState`, one for each grant. What it promises:

* A valid token costs one attribute read and one clock read (`fresh`). No lock, no store, no thread.
* Renewals run on a worker thread, at most one at a time for each store key.
* If a renewal fails, a token that has not expired stays in use.
* A new sign-in, `adopt` and `forget` win over a renewal that began before them (`_epoch`).

It never sends a user's own request, and never waits while it has a lock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from .._protocol.http_messages import ApiAnswer, Package
from .._protocol.origins import Origin
from .._protocol.response_errors import after_lost_response
from ..errors import BlnkAuthError, SignInRequired, TemporarilyUnavailable
from ..events import Event
from ..token import Token
from .authorization_grants import AuthorizationGrant, GrantKey, grant_key, grant_of
from .cached_token import CachedToken
from .clocks import given_clock
from .credential import RequestRules, why_withheld
from .failure import Failure
from .goal import Goal
from .grant_token import TokenOfClient
from .presenting_grants import presents_another_text
from .rejections import Rejections, in_words, is_rejection
from .renewal import Renewal, expired_on_arrival
from .schedule import Action
from .single_flight import Flight
from .store_keys import token_key
from .stored_record import GrantRecord

if TYPE_CHECKING:
    from .client_state import ClientState
    from .sign_in_demands import SignInDemands

State = Literal["missing", "fresh", "stale", "expired", "sign_in_required"]


class CurrentToken(TokenOfClient):
    """What this process knows of one grant. May be used from any number of threads, event loops and tasks."""

    __slots__ = (
        "_clock",
        "_demands",
        "_epoch",
        "_failure",
        "_key",
        "_rejections",
        "cached",
        "state",
    )

    def __init__(self, state: ClientState, grant: AuthorizationGrant) -> None:
        self.state: ClientState = state
        self._key: GrantKey = grant_key(grant)
        """The grant is made of it when it is asked for: an idle one would take as much memory as the token."""
        self.cached: CachedToken | None = None
        self._clock = given_clock(state.clock)
        """None means `time.time`, looked up at each call. Using `state.clock` would cost one more function call."""
        self._failure: Failure | None = None
        self._rejections: Rejections | None = None
        self._demands: SignInDemands | None = None
        self._epoch = 0

    def __repr__(self) -> str:
        return f"<CurrentToken {self.store_key}>"

    @property
    def grant(self) -> AuthorizationGrant:
        """Whose token it is."""
        return grant_of(self._key)

    @grant.setter
    def grant(self, grant: AuthorizationGrant) -> None:
        """An equal one, with what is presented from now on; a new text cannot have been refused."""
        with self.state.sources.installing:
            before, self._key = self.grant, grant_key(grant)
            self._failure = None if presents_another_text(before, grant) else self._failure

    @property
    def store_key(self) -> str:
        """The key of its record in the store. It contains no secret."""
        # Built at each use, which is seldom, and not kept: there may be a hundred thousand idle grants.
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
        return self.state.provider.api_headers_of(self.grant.call("api"))

    def report_withheld(self, origin: Origin | None) -> None:
        detail = why_withheld(origin, self.rules.header_name, "add it to the provider")
        self.state.operations.emit([Event("token_withheld", self.store_key, detail)])

    def is_rejection(self, answer: ApiAnswer) -> bool:
        return is_rejection(self.state.provider, answer)

    def is_current(self, cached: CachedToken) -> bool:
        current = self.cached
        return current is not None and current.is_same_token(cached)

    def replace(
        self,
        rejected: CachedToken,
        package: Package,
        cause: str,
        answer: ApiAnswer | None = None,
        *,
        is_repeated: bool = True,
    ) -> Flight[CachedToken] | None:
        now, failure = self.state.clock(), self._failure
        with self.state.sources.installing:
            before = self._rejections or Rejections()
            may_renew, self._rejections = before.after_rejection(rejected, cause, now, self.state.policy)
        self._warn_of_unresolved(cause, before)
        goal = Goal(rejected, must_differ=True)
        return self._fly_unless_cooling_down(goal, package, failure, now) if may_renew else None

    def note_retry(self, cached: CachedToken, cause: str, *, accepted: bool) -> bool:
        if not self.is_current(cached):
            return False
        if accepted:
            cached.was_accepted = True
        with self.state.sources.installing:
            before = self._rejections or Rejections()
            if not accepted and before.replacement != cached.token:
                return True
            if accepted:
                self._rejections = before.after_resolved(cause)
            else:
                self._rejections = before.after_unresolved(cached, cause, self.state.clock(), self.state.policy)
        self._warn_of_unresolved(cause, before)
        return False

    @property
    def demands(self) -> SignInDemands:
        # Imported for responses with status 401 and 403 only.
        from .sign_in_demands import SignInDemands

        with self.state.sources.installing:
            if self._demands is None:
                self._demands = SignInDemands(self, self._install_instead)
            return self._demands

    def _install_instead(self, old: CachedToken, found: CachedToken | None) -> bool:
        """Begin to use what was found in the store, or saved there, if `old` is still the current one."""
        with self.state.sources.installing:
            if not self.is_current(old):
                return False
            self._cache(found)
            self._failure = None
        return True

    def _warn_of_unresolved(self, cause: str, before: Rejections) -> None:
        """Emit, the first time, that renewals do not resolve the rejections of this cause."""
        rejections = self._rejections
        if rejections is not None and cause in rejections.unresolved and cause not in before.unresolved:
            detail = f"the API rejected a renewed token too, for {in_words(cause)}: check the permissions it needs"
            if self.state.network.cert is not None:
                detail += ", and that the HTTP client has the certificate to which the token may be bound (RFC 8705)"
            self.state.operations.emit([Event("rejection_unresolved", self.store_key, detail)])

    # --- for users: see `TokenSource` ----------------------------------------------------------------------------

    def renew_by_hand(self, rejected: Token | None) -> CachedToken | Flight[CachedToken]:
        """See `TokenSource.renew`: a newer token if there is one already, else the flight that brings one."""
        cached, failure = self.cached, self._failure
        if rejected is not None and cached is not None and cached.token != rejected:
            return self.ready(None)
        goal = Goal(cached, must_differ=True, forced=rejected is None, rejected=rejected)
        if failure is not None and isinstance(failure.error, TemporarilyUnavailable):
            return self._fly_unless_cooling_down(goal, None, failure, self.state.clock())
        # Other failures need a correction. A user who has made it does not wait for the cool-down.
        return self._fly(goal, None, overlooked=failure)

    def other_than(self, before: CachedToken | None, landed: CachedToken) -> Token:
        """The renewed token, for a caller of `renew`, which must not return the old one.

        If that caller joined a renewal in the background that failed, the result is the old token: raise the failure.
        """
        failure = self._failure
        if before is not None and landed.is_same_token(before) and failure is not None:
            raise failure.error.replace()
        return landed.token

    # --- for sign-ins and operations -----------------------------------------------------------------------------

    @property
    def unsaved(self) -> CachedToken | None:
        """The pair that could not be saved, so that only this object has it; None if there is none."""
        cached = self.cached
        return cached if cached is not None and cached.version is None else None

    def renewal(
        self, package: Package | None = None, *, in_background: bool = False, events: list[Event] | None = None
    ) -> Renewal:
        """One renewal of this grant, which sends its requests through `package`."""
        return Renewal(
            key=self.store_key,
            grant=self.grant,
            ports=self.state.ports(package),
            attempt=lambda: self.state.attempt(in_background=in_background),
            events=events,
        )

    def start_over(self, cached: CachedToken | None) -> None:
        """Begin to use the token of a new sign-in; None means that nothing is stored any more.

        Failures and rejections of the grant before it are forgotten.
        """
        # If a source was made while the sign-in ran, it has a `CurrentToken` of its own.
        for each in {self, self.state.current_token(self.grant)}:
            each._start_over(cached)

    def _start_over(self, cached: CachedToken | None) -> None:
        with self.state.sources.installing:
            self._epoch += 1
            self._cache(cached)
            self._failure, self._rejections, self._demands = None, None, None

    # --- flights -------------------------------------------------------------------------------------------------

    def _ready_or_flight(
        self, cached: CachedToken | None, package: Package | None
    ) -> CachedToken | Flight[CachedToken]:
        now, failure = self.state.clock(), self._failure
        is_cooling_down = failure is not None and failure.is_active(now)
        action = Action.RENEW_FIRST if cached is None else cached.schedule.action_at(now)
        if cached is not None and action is not Action.RENEW_FIRST:
            if action is Action.USE_AND_RENEW and not is_cooling_down:
                self._fly(Goal(cached), package, overlooked=failure)
            return cached
        if cached is not None and now < cached.expires_at and is_cooling_down:
            return cached
        return self._fly_unless_cooling_down(Goal(cached), package, failure, now)

    def _fly_unless_cooling_down(
        self, goal: Goal, package: Package | None, failure: Failure | None, now: float
    ) -> Flight[CachedToken]:
        """The renewal that runs now, or a new one. During a cool-down, a new one only reads the store."""
        if failure is None or not failure.is_active(now):
            return self._fly(goal, package, overlooked=failure)
        under_way: Flight[CachedToken] | None = self.state.flights.under_way(self.store_key)
        if under_way is not None:
            return under_way
        if not failure.may_look(now):
            raise failure.error_at(now)
        self._failure = failure._replace(looked_at=now)
        return self._fly(goal, package, overlooked=None)

    def _fly(self, goal: Goal, package: Package | None, *, overlooked: Failure | None) -> Flight[CachedToken]:
        """The renewal that runs now, or a new one.

        `overlooked`: the failure whose cool-down is ignored. During that of a newer one, only the store is read.
        """
        known = goal.known
        in_background = known is not None and not goal.must_differ and self.state.clock() < known.must_renew_at
        renewal = self.renewal(package, in_background=in_background)
        began_at = time.monotonic()
        only_looks = self._failure is not None and not self._failure.is_same(overlooked)
        return self.state.flights.join_or_start(
            self.store_key,
            lambda: self._renew_kept(renewal, goal, overlooked),
            lambda: self.state.operations.emit(renewal.events, seconds=time.monotonic() - began_at),
            # With nothing cached, a stored token may be good enough: then the flight brings no new one.
            brings_another=(goal.must_differ or known is not None) and not only_looks,
            needs_another=goal.must_differ,
        )

    # --- on a worker thread, and never two at a time for one grant -----------------------------------------------

    def _renew_kept(self, renewal: Renewal, goal: Goal, overlooked: Failure | None) -> CachedToken:
        """`_renew`. While it runs, a source that is made for this grant gets this current token."""
        self.state.sources.keep(self, kept=True)
        try:
            return self._renew(renewal, goal, overlooked)
        finally:
            self.state.sources.keep(self, kept=self.unsaved is not None)

    def _renew(self, renewal: Renewal, goal: Goal, overlooked: Failure | None) -> CachedToken:
        current, failure, now = self.cached, self._failure, self.state.clock()
        if current is not None and current is not goal.known:
            if goal.is_met_by(current, now):
                return current
            # The caller saw an older token. The newer one may still have to be saved.
            goal = goal._replace(known=current)
        epoch = self._epoch
        if failure is not None and failure.is_active(now) and not failure.is_same(overlooked):
            found = self._find_stored(renewal, goal)
            if found is None:
                return self._old_token_or_raise(failure.error_at(now), goal)
            renewed = self._install_renewed(found, epoch)
        else:
            try:
                renewed = self._install_renewed(renewal.run(goal), epoch)
                renewal.endpoint.check_usable()
                if renewed.expires_at <= self.state.clock() and renewed.ended is None:
                    raise expired_on_arrival(renewed)
            except BlnkAuthError as error:
                return self._after_failure(error, renewal, goal)
        self._failure = None
        self._remember_renewal(renewed, goal, renewal.issued)
        return renewed

    def _find_stored(self, renewal: Renewal, goal: Goal) -> CachedToken | None:
        """The stored token, if another process or a new sign-in has stored one that meets the goal."""
        if self.unsaved is not None:
            # The store still has the older pair, whose refresh token is spent.
            return None
        try:
            return renewal.find(goal)
        except BlnkAuthError:
            return None

    def _install_renewed(self, renewed: CachedToken, epoch: int) -> CachedToken:
        """Begin to use a renewed token, unless the grant was replaced or forgotten since `epoch`."""
        with self.state.sources.installing:
            if self._epoch == epoch:
                self._cache(renewed)
            return self.cached or renewed

    def _cache(self, cached: CachedToken | None) -> None:
        self.cached = cached
        self.state.sources.keep(self, kept=self.unsaved is not None)

    def _remember_renewal(self, renewed: CachedToken, goal: Goal, issued: Token | None) -> None:
        # What another process had stored is not the answer to this rejection.
        replacement = renewed.token if goal.must_differ and not goal.forced and renewed.token == issued else None
        if replacement is not None or self._rejections is not None:
            with self.state.sources.installing:
                self._rejections = (self._rejections or Rejections()).after_renewal(replacement, self.state.clock())

    def _after_failure(self, error: BlnkAuthError, renewal: Renewal, goal: Goal) -> CachedToken:
        """Remember a failure, and continue with the current token if there is one."""
        self.state.pause.note(self.grant.target, error, self.state.clock(), early=renewal.is_early)
        if isinstance(error, SignInRequired) and self.grant.needs_user:
            error = self._remember_sign_in_required(error)
        else:
            error = self._remember_failure(error)
            renewal.events.append(Event("renewal_failed", self.store_key, str(error), error.replace()))
        return self._old_token_or_raise(error, goal)

    def _old_token_or_raise(self, error: BlnkAuthError, goal: Goal) -> CachedToken:
        """The cached token if it has not expired and the goal permits it; else raise the error."""
        cached = self.cached
        if cached is not None and not goal.must_differ and self.state.clock() < cached.expires_at:
            return cached
        raise error

    def _remember_sign_in_required(self, error: SignInRequired) -> SignInRequired:
        # No cool-down follows: each call reads the store, since the user may have signed in again in the meantime.
        failure, self._failure = self._failure, None
        cached = self.cached
        if error.reason == "missing" or cached is None or cached.version is None:
            # The unsaved pair has been saved by now, or another process has stored a pair: the store decides.
            self._cache(None)
        elif cached.ended is None:
            record = GrantRecord(cached.token, error.reason, dpop=cached.dpop)
            self._cache(self.renewal().stored.cache(record, cached.version, known=cached))
        last = None if failure is None else failure.error
        was_lost = isinstance(last, TemporarilyUnavailable) and last.outcome_unknown
        return after_lost_response(error) if was_lost and error.reason == "refused" else error

    def _remember_failure(self, error: BlnkAuthError) -> BlnkAuthError:
        """Begin the cool-down that this failure causes, and return the error with its length."""
        now, cached = self.state.clock(), self.cached
        self._failure = Failure.after(
            self._failure,
            error,
            now,
            must_renew_at=-math.inf if cached is None else cached.must_renew_at,
            policy=self.state.policy,
            jitter_position=self.state.ports(None).jitter_position(),
        )
        return self._failure.error_at(now)
