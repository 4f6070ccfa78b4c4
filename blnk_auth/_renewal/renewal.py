"""The renewal: lock, load, ask, save. Plain, linear, blocking code.

Used by `current_token`, on a worker thread that no caller can cancel. These invariants hold at every failure:

1. The server is asked only under the store's lock, and only after the stored pair has been read again under it.
2. A new pair is saved before anyone may use it. If saving fails, the pair stays in memory and is saved later. The key
   that a grant will be bound to is saved before the server sees it, and never replaced by a renewal.
3. A stored pair is replaced only by compare-and-set. An older pair never replaces a live one. If the store has a pair
   that this process has seen replaced, the store has lost a write: that pair is not sent to the server.
4. Only the server can end a grant. Before its refusal counts, the store is read again: another process may have saved
   a newer pair. The record of an ended grant is marked, never deleted.

Time, randomness, the store and the authorization server come in as `Ports`. This file starts no thread and opens no
connection.
"""

from __future__ import annotations

from collections.abc import Callable

from .._protocol.dpop_key import DpopKey
from .._protocol.requests import ServerRequest
from .._protocol.token_response import Judge, judge_token_response
from ..errors import (
    BlnkAuthError,
    Conflict,
    ProtocolError,
    SignInReason,
    SignInRequired,
    TemporarilyUnavailable,
)
from ..events import Event
from ..stores._token_store import Version
from ..token import Token
from .attempt import Attempt
from .authorization_grants import AuthorizationGrant, RefreshTokenGrant, refused, sign_in_required
from .cached_token import CachedToken
from .goal import Goal
from .loading_and_saving import StoredGrant
from .ports import Ports
from .predecessor import Predecessor, Stored
from .stored_record import GrantRecord
from .token_endpoint import TokenEndpoint

_NO_VERDICT: frozenset[SignInReason | None] = frozenset({"expired", "no_refresh_token"})
"""Reasons that a token and a clock show, and no server has given."""


class Renewal:
    """Renews one grant, once. Blocking; for one thread.

    Args:
        key: The store key of the grant.
        grant: Whose token it is, which also decides how it is renewed.
        ports: The store, the authorization server, clocks and randomness.
        attempt: Returns the registered client and the current time. Called again for each request.
        events: A list to which events are appended; the caller emits them after all locks have been released. None: the
            renewal makes its own list.
    """

    stored_grant_type = StoredGrant
    token_endpoint_type = TokenEndpoint

    def __init__(
        self,
        *,
        key: str,
        grant: AuthorizationGrant,
        ports: Ports,
        attempt: Callable[[], Attempt],
        events: list[Event] | None = None,
    ) -> None:
        self.grant = grant
        self.ports = ports
        self.attempt = attempt
        self.events: list[Event] = [] if events is None else events
        self.issued: Token | None = None
        """The token that the server has issued in this renewal; None if it was not asked, or issued none."""
        self.stored: StoredGrant = self.stored_grant_type(
            key,
            grant.subject if grant.needs_user else None,
            attempt().provider,
            ports,
            lambda token: grant.is_renewable(token, attempt()),
            events=self.events,
        )
        self._refused_version: Version | None = None
        """The version of the stored pair whose refresh token the server has refused; None: it has refused none."""
        self._needed_elsewhere = False
        """Whether a callable of the user's raised `SignInRequired`: what this grant presents is another grant's."""
        self.endpoint: TokenEndpoint = self.token_endpoint_type(key, ports, self.events)

    @property
    def is_early(self) -> bool:
        """Whether the token still works, so that no caller needs this renewal."""
        return self.attempt().in_background

    def run(self, goal: Goal) -> CachedToken:
        """Return a token that meets the goal: the stored one if it does, else a new one. Raises `BlnkAuthError`."""
        unsaved = goal.known if goal.known is not None and goal.known.version is None else None
        if unsaved is None:
            # Another process has often renewed already, and reading needs no lock.
            found = self.find(goal)
            if found is not None:
                return found
        with self.stored.locked():
            if unsaved is not None:
                saved = self.stored.save_at_last(unsaved)
                # If another process has stored a pair in the meantime, that pair may meet the goal.
                goal = goal._replace(known=saved) if saved.token is unsaved.token else goal
            return self.run_locked(goal)

    def find(self, goal: Goal) -> CachedToken | None:
        """Return the stored token if it meets the goal. Sends nothing and takes no lock. Raises `StoreError`."""
        known = goal.known
        stored = self.stored.load(known)
        if stored is None or not goal.is_met_by(stored.cached, self.ports.clock()):
            return None
        if known is not None and known.supersedes(stored.record.token):
            # The store has lost a write. `load_newest` repeats that write under the lock.
            return None
        return self._adopt(stored.cached, goal)

    def run_locked(self, goal: Goal) -> CachedToken:
        """Like `run`, for a caller that has the store's lock."""
        stored = self.stored.load_newest(goal.known)
        for attempts_left in (2, 1, 0):
            if stored is not None and goal.is_met_by(stored.cached, self.ports.clock()):
                return self._adopt(stored.cached, goal)
            self._refuse_if_ended(stored, goal)
            if not attempts_left:
                break
            if self.ports.pause is not None:
                self.ports.pause.check(self.grant.target, self.ports.clock(), early=self.is_early)
            try:
                stored, key = self._bound(stored)
                renewed = self._ask(stored, key)
            except Conflict:
                stored = self.stored.load_newest(None if stored is None else stored.cached)
                continue
            except SignInRequired as verdict:
                stored = self._after_refusal(verdict, stored, goal)
                continue
            predecessor = Predecessor() if stored is None else stored.predecessor
            return self.stored.save(renewed, predecessor._replace(dpop=key))
        raise TemporarilyUnavailable(
            "another process renewed the token during each attempt to renew it here, although this process had the "
            "store's lock",
            remedy="try again, and check that the store's lock excludes every process that shares the store",
        )

    def exchange(
        self,
        build: Callable[[], ServerRequest],
        judge: Judge = judge_token_response,
        *,
        key: DpopKey | None = None,
        requested_scope: str | None = None,
    ) -> CachedToken:
        """Exchange a code and store the grant. The code is then used up: if saving fails, the pair stays in memory.

        `build` makes the request; called again if the server refuses only the proof of `key`, the key that the grant
        will be bound to. None: it will not be bound. `requested_scope`: what the sign-in asked for; None: nothing.
        """
        token = self.endpoint.exchange(build, judge, key=key)
        cached = self.stored.put_or_keep(GrantRecord.signed_in(token, key, requested_scope))
        self.endpoint.check_usable()
        return cached

    def _bound(self, stored: Stored | None) -> tuple[Stored | None, DpopKey | None]:
        """The grant as it is asked for: with the key that it is bound to, or will be. None: it is not bound.

        Raises `Conflict` if another process has stored something since it was read.
        """
        key = None if stored is None else self.stored.key_of(stored.record)
        if key is not None:
            return stored, key
        key = self.ports.proofs.new_key()
        # Without a refresh token, nothing that the server binds is lost with the key.
        is_bound_first = stored is not None and self.grant.uses_refresh_token(stored.token, self.attempt())
        if key is None or stored is None or not is_bound_first:
            return stored, key
        return self.stored.bind(stored, key), key

    def _ask(self, stored: Stored | None, key: DpopKey | None) -> Token:
        current = None if stored is None else stored.token
        if current is not None and stored is not None and stored.version == self._refused_version:
            current = current.replace(refresh_token=None, refresh_expires_at=None)
        spends = current is not None and self.grant.uses_refresh_token(current, self.attempt())
        # Where no refresh token is spent, asking a second time is always safe.
        repeats_lost = not spends or self.attempt().provider.repeats_lost_refresh
        self.issued = self.endpoint.renew(lambda: self._build(current), current, repeats_lost=repeats_lost, key=key)
        return self.issued

    def _build(self, current: Token | None) -> ServerRequest:
        try:
            return self.grant.build_request(self.attempt(), current)
        except SignInRequired:
            self._needed_elsewhere = not self.grant.needs_user
            raise

    def _after_refusal(self, verdict: SignInRequired, stored: Stored | None, goal: Goal) -> Stored:
        """The pair to try next, after the server has refused to renew this one. Raises the error if there is none."""
        if self._needed_elsewhere:
            raise verdict.replace()
        again = self.stored.load_newest(goal.known if stored is None else stored.cached)
        if again is not None and (stored is None or not stored.record.is_same_as(again.record)):
            # Another process renewed at the same time (its lease expired, or the store has no lock): try its pair.
            return again
        if again is not None and self._may_ask_without(again):
            self._refused_version = again.version
            return again
        raise self._mark_ended(verdict, again or stored) from None

    def _may_ask_without(self, stored: Stored) -> bool:
        """Whether a token can be asked for without the refresh token, which the server has just refused."""
        is_new = stored.version != self._refused_version
        return not self.grant.needs_user and is_new and self.grant.uses_refresh_token(stored.token, self.attempt())

    def _adopt(self, found: CachedToken, goal: Goal) -> CachedToken:
        # What the API asked for is stored beside a token, which changes the version and not the token.
        known = goal.known
        if known is not None and known.version != found.version and not known.is_same_token(found):
            self.events.append(Event("adopted", self.stored.key, repr(found.token)))
        return found

    def _refuse_if_ended(self, stored: Stored | None, goal: Goal) -> None:
        """Raise `SignInRequired` for a grant that has ended. If marking the record failed, only memory knows that.

        What the token and the clock show is looked at again: the clock may have been wrong.
        """
        if stored is None:
            return
        ended, known = stored.record.ended, goal.known
        if ended is None and known is not None and known.version == stored.version:
            ended = None if known.ended in _NO_VERDICT else known.ended
        if ended is not None:
            raise sign_in_required(ended, self.grant.subject)

    def _mark_ended(self, verdict: SignInRequired, stored: Stored | None) -> BlnkAuthError:
        """Mark the grant of a user as ended, keep its record, and return the error to raise."""
        verdict = verdict.replace(subject=self.grant.subject)
        if not isinstance(self.grant, RefreshTokenGrant):
            return refused(self.grant, verdict)
        if stored is not None and verdict.reason == "refused":
            self.stored.mark_ended(stored, verdict.reason)
            self.stored.note_failure("sign_in_required", verdict)
        return verdict


def expired_on_arrival(renewed: CachedToken) -> BlnkAuthError:
    """The error to raise for a new token that has already expired when it arrives."""
    issued_at = renewed.token.issued_at
    if issued_at is not None and issued_at < renewed.expires_at:
        return TemporarilyUnavailable(
            "the access token expired before the renewal had ended, perhaps because this machine was suspended",
            remedy="try again",
        )
    return ProtocolError(
        "the authorization server issued an access token that had already expired, or that no header can carry",
        remedy="check the server's clock and the expires_in that it sends; the token was stored, but cannot be used",
    )
