"""One sign-in from inside a request: has somebody signed in already, who asks the user, and what the request gets.

Used by `request_sign_in`, whose file states what is promised. Blocking code for a worker thread; each attempt is run
once. It never asks a user itself: `asking` does.
"""

from __future__ import annotations

import functools
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from .._protocol.demands import union_of_scopes
from .._protocol.http_messages import Package
from .._renewal.cached_token import CachedToken
from .._renewal.current_token import CurrentToken
from .._renewal.predecessor import Stored
from .._renewal.schedule import UNUSABLE
from .._renewal.single_flight import Flight
from .._sign_in.start_authorization import AuthorizationRequest, AuthorizationStart
from .._sign_in.wanted_grant import WantedGrant
from ..errors import SignInRequired, StoreError
from .asking import Asking, Question, SignIn
from .pending_requests import (
    LEASE,
    Asked,
    Begun,
    PendingRequest,
    PendingRequests,
    includes_scope,
    not_asked_again,
)
from .program_end import program_has_ended

_FIRST_LOOK, _LONGEST_LOOK = 0.25, 2.0
"""Seconds between two looks into the store while somebody asks the user: the first, then doubled, and at most."""


Ended = Callable[[PendingRequest, float], PendingRequest]
"""What becomes of the record when an attempt has ended, at a time in UTC epoch seconds."""


class HowToAsk(Protocol):
    """How a user is asked: what an attempt needs of `RequestSignIn`."""

    @property
    def how(self) -> SignIn: ...

    @property
    def timeout(self) -> float: ...

    @property
    def wait(self) -> Callable[[threading.Event, float], bool]: ...

    def ask(self, wanted: Question, make: Callable[[], Asking]) -> Asking:
        """The question for this that was not answered yet; else a new one, which is begun."""
        ...


class SignInAttempt:
    """One sign-in of one request, and of all that wait with it in this process. For one thread.

    Args:
        how: How a user is asked.
        current: The current token of the grant.
        reason: Why a sign-in is needed.
        asked: What to ask for.
        package: The caller's HTTP package.
        rejected: The token that is not enough; None if the grant has none.
    """

    def __init__(
        self,
        how: HowToAsk,
        current: CurrentToken,
        reason: SignInRequired,
        asked: Asked,
        *,
        package: Package | None,
        rejected: CachedToken | None,
    ) -> None:
        self._how = how
        self._current = current
        self._state = current.state
        self._reason = reason
        self._asked = asked
        self._package: Package | None = package
        self._rejected = rejected if rejected is not None else current.cached
        self._widens = reason.reason == "step_up"
        self._before: Stored | None = None
        self._pending = PendingRequests(current.state, current.store_key)
        self._name = secrets.token_hex(8)
        self._waited = 0.0
        self._began_at = time.monotonic()
        self._pause = _FIRST_LOOK

    def run(self) -> CachedToken:
        """See `RequestSignIn.sign_in`."""
        found = self._signed_in(is_first=True)
        if found is not None:
            return found
        return self._give_to_the_application() if self._how.how is None else self._ask_or_wait()

    # --- somebody has signed in ----------------------------------------------------------------------------------

    def _signed_in(self, *, is_first: bool = False) -> CachedToken | None:
        """A token of a sign-in that was made meanwhile; None if there was none. Raises `StoreError`."""
        stored = self._look(is_first=is_first)
        return None if stored is None else self._use(stored)

    def _look(self, *, is_first: bool = False) -> Stored | None:
        """What is stored of a sign-in that was made since the last look; None if there was none. Raises `StoreError`.

        `is_first`: there was no look before.
        """
        stored = self._current.renewal(self._package).stored.load(self._rejected)
        if self._widens and stored is not None:
            scope = union_of_scopes(stored.record.requested_scope, self._asked.scope)
            self._asked = self._asked._replace(scope=scope)
        before, self._before = self._before, stored
        if stored is None or not self._is_usable(stored):
            return None
        if is_first:
            is_another = self._rejected is None or not stored.cached.is_same_token(self._rejected)
        else:
            is_another = before is None or _sign_in_of(before) != _sign_in_of(stored)
            if self._widens and not includes_scope(_scope_of(stored), self._reason.scope):
                is_another = False
        return stored if is_another else None

    def _is_usable(self, stored: Stored) -> bool:
        state, cached = self._state, stored.cached
        if stored.record.ended is not None or cached.schedule == UNUSABLE:
            return False
        if self._rejected is not None and self._rejected.supersedes(stored.token):
            return False
        return state.clock() < cached.expires_at or self._current.grant.is_renewable(stored.token, state.attempt())

    def _use(self, stored: Stored) -> CachedToken | None:
        """The token of this sign-in, as the current one of this process."""
        current = self._current
        if self._rejected is not None:
            current.demands.install(self._rejected, stored.cached)
        try:
            ready = current.ready(self._package)
            return ready.wait(self._state.rules.wait_timeout) if isinstance(ready, Flight) else ready
        except SignInRequired:
            # It has ended already, or only the store does not know yet that it has.
            return None

    # --- nobody may be asked -------------------------------------------------------------------------------------

    def _give_to_the_application(self) -> CachedToken:
        """Raise `SignInRequired` with where it can send the user: the same for all requests that fail now."""
        with self._pending.locked():
            begun = self._usable_begun(self._pending.load())
            # The sign-in that others were given may just have been finished.
            stored = self._look() if begun is None else None
            if begun is None and stored is None:
                begun = self._begin()
        found = None if stored is None else self._use(stored)
        if found is not None:
            return found
        raise self._required(None if begun is None else begun.request)

    def _usable_begun(self, pending: PendingRequest) -> Begun | None:
        """The sign-in that was begun before, if it can be finished, and asks for what is needed."""
        begun = pending.begun
        if begun is None or not (begun.is_shared(self._state.clock()) and begun.asked.covers(self._asked)):
            return None
        # Somebody who can write to the store must not choose where a user is sent.
        is_at_server = is_at_endpoint(begun.request.url, self._state.provider.authorization_endpoint)
        return begun if is_at_server and self._pending.can_be_finished(begun) else None

    def _begin(self) -> Begun:
        """Begin a sign-in, and note it for the others. For a caller that has the lock of the record."""
        state = self._state
        begun = Begun(AuthorizationStart(state, self._wanted(), state.redirect_uri).run(), self._asked, state.clock())
        self._pending.change(lambda pending, _now: pending.with_begun(begun))
        return begun

    def _wanted(self) -> WantedGrant:
        grant, asked = self._current.grant, self._asked
        return WantedGrant.of_authorization(
            self._state.provider,
            grant.subject or "",
            scope=asked.scope,
            resource=grant.resource,
            authorization_details=None,
            grant_management_action=None,
            grant_id=None,
            prompt=None,
            login_hint=None,
            acr_values=asked.acr_values,
            max_age=asked.max_age,
            claims=None,
            parameters=None,
        )

    # --- somebody is asked ---------------------------------------------------------------------------------------

    def _ask_or_wait(self) -> CachedToken:
        waits_for: str | None = None
        nothing = threading.Event()
        while True:
            pending = self._pending.load()
            # Read after the record: who asks stores the tokens before it gives up the record.
            found = self._signed_in()
            if found is not None:
                return found
            now = self._state.clock()
            if pending.is_asked(now):
                waits_for = pending.asked_by
            elif waits_for is not None and pending.failed_attempt == waits_for:
                raise self._required(problem="another thread or process has asked the user, who has not signed in")
            elif self._claim():
                return self._ask()
            self._look_again(nothing)

    def _claim(self) -> bool:
        """Whether it is this attempt that asks the user. Raises `SignInRequired` if that was done often enough."""

        def claimed(pending: PendingRequest, now: float) -> PendingRequest | None:
            # First, because the claim of another process may be the last one that is permitted: its user is asked now.
            if pending.is_asked(now):
                return None
            if pending.is_asked_enough(now, widens=self._widens):
                raise not_asked_again(self._reason, widens=self._widens)
            return pending.claimed(self._name, now, widens=self._widens)

        return self._pending.change(claimed) is not None

    def _ask(self) -> CachedToken:
        """Ask the user, for an attempt that has claimed that."""
        ended: Ended = functools.partial(PendingRequest.unasked, widens=self._widens)
        try:
            # Somebody may have signed in between the last look and the claim.
            found = self._signed_in()
            if found is not None:
                return found
            asking = self._how.ask(Question(self._current.store_key, self._asked), self._question)
            ended = PendingRequest.failed
            found = self._answer(asking)
            # Here or elsewhere: the tokens may be found in the store before the question itself has ended.
            ended = PendingRequest.signed_in
            return found
        finally:
            self._release(ended)

    def _question(self) -> Asking:
        if not callable(self._how.how):
            question = Question(self._current.store_key, self._asked)
            return Asking.in_browser(self._state, self._wanted(), self._how.timeout, question)
        with self._pending.locked():
            begun = self._usable_begun(self._pending.load()) or self._begin()
        question = Question(self._current.store_key, begun.asked)
        return Asking.of_callable(self._state, self._how.how, begun.request, question, asked_for=self._how)

    def _answer(self, asking: Asking) -> CachedToken:
        """Wait until the user has signed in, here or elsewhere."""
        found = self._wait_for(asking)
        if found is not None:
            return found
        try:
            current = asking.result()
        except SignInRequired as refused:
            # The application may have finished it by itself before the callable returned.
            found = self._signed_in()
            if found is None:
                raise self._refused(refused, asking) from None
            return found
        if current.store_key != self._current.store_key:
            raise self._required(problem="the sign-in that was finished is not the one that was begun")
        if current is not self._current:
            # The pair may be in memory only.
            self._current.start_over(current.cached)
        ready = self._current.ready(self._package)
        return ready.wait(self._state.rules.wait_timeout) if isinstance(ready, Flight) else ready

    def _wait_for(self, asking: Asking) -> CachedToken | None:
        """Wait until the question is answered; a token if somebody has signed in elsewhere meanwhile."""
        while not asking.done.is_set():
            try:
                self._look_again(asking.done, asking.request)
                found = None if asking.done.is_set() else self._look_while_asking()
            except BaseException:
                # Nobody would notice the end of the program for it any more.
                asking.stop()
                raise
            if found is not None:
                asking.stop()
                return found
        return None

    def _look_while_asking(self) -> CachedToken | None:
        """Look for a sign-in that was finished elsewhere, and keep the record. A store that fails ends nothing."""
        try:
            self._extend()
            return self._signed_in()
        except StoreError:
            return None

    def _extend(self) -> None:
        def extended(pending: PendingRequest, now: float) -> PendingRequest | None:
            if pending.asked_by != self._name or now + LEASE * 2 / 3 < pending.asked_until:
                return None
            return pending.extended(now)

        self._pending.change(extended)

    def _release(self, ended: Ended) -> None:
        def released(pending: PendingRequest, now: float) -> PendingRequest | None:
            return ended(pending, now) if pending.asked_by == self._name else None

        try:
            self._pending.change(released)
        except StoreError:
            # The lease ends by itself.
            return

    def _look_again(self, done: threading.Event, request: AuthorizationRequest | None = None) -> None:
        """Wait before the next look. Raises `SignInRequired` when the time is over, or the program ends.

        `request`: where this attempt has sent the user; None if it waits for another one.
        """
        waited = max(self._waited, time.monotonic() - self._began_at)
        left = self._how.timeout - waited
        if left <= 0:
            problem = f"nobody has signed in within {self._how.timeout:g} seconds"
            raise self._required(self._still_valid(request), problem=problem)
        pause = min(self._pause, left)
        self._pause = min(2 * self._pause, _LONGEST_LOOK)
        self._waited += pause
        if not self._how.wait(done, pause) and program_has_ended():
            raise self._required(self._still_valid(request), problem="the program ended before the user had signed in")

    # --- errors --------------------------------------------------------------------------------------------------

    def _refused(self, refused: SignInRequired, asking: Asking) -> SignInRequired:
        if refused.error is not None:
            # The user, or the server, has refused.
            return refused
        return self._required(self._still_valid(asking.request), problem=refused.problem)

    def _still_valid(self, request: AuthorizationRequest | None) -> AuthorizationRequest | None:
        return request if request is not None and self._state.clock() < request.expires_at else None

    def _required(
        self, authorization: AuthorizationRequest | None = None, *, problem: str | None = None
    ) -> SignInRequired:
        """The error to raise. `problem`: what has happened since the sign-in was needed; None: nothing."""
        reason = self._reason
        remedy = "sign the user in with start_authorization() and finish_authorization(), then send the request again"
        if authorization is not None:
            remedy = "send the user to error.authorization.url, and pass the callback URL to finish_authorization()"
        whole = reason.problem if problem is None else f"{reason.problem}, and {problem}"
        changes: dict[str, Any] = {"scope": self._asked.scope} if self._widens else {}
        return reason.replace(problem=whole, remedy=remedy, authorization=authorization, **changes)


def is_at_endpoint(url: str, endpoint: object) -> bool:
    """Whether a URL is the authorization endpoint, with a query."""
    before, mark, _ = url.partition("?")
    return bool(mark) and isinstance(endpoint, str) and before == endpoint.partition("?")[0]


def _sign_in_of(stored: Stored) -> object:
    """Identifies the sign-in of a record; for a record of an earlier version, its token."""
    return stored.record.sign_in or stored.token


def _scope_of(stored: Stored) -> str | None:
    """What the sign-in of a record asked for; what it got, where that is unknown."""
    return stored.record.requested_scope or stored.token.scope
