"""The renewal: lock, load, ask, save. Plain, linear, blocking code.

Used by `current_token`, on a worker thread that no caller can cancel. These invariants hold at every failure:

1. Nothing is asked before the store's lock is taken and the stored pair has been read again under it.
2. A new pair is saved before anyone may use it. If saving fails, the pair stays in memory and is saved later.
3. A stored pair is replaced only by compare-and-set, and a live one never by an older one. One that this process has
   seen replaced is not presented: the store has lost a write.
4. Only the server's verdict ends a grant, and only after the store was read again for a pair that another process has
   saved meanwhile. The record is marked, never deleted.

Time, chance, the store and the authorization server come in as `Ports`: nothing here knows a thread or a socket.
"""

from __future__ import annotations

from collections.abc import Callable

from .._protocol.requests import ServerRequest
from .._protocol.token_response import Judge, judge_token_response
from ..errors import (
    BlnkAuthError,
    ConfigurationError,
    ProtocolError,
    SignInRequired,
    TemporarilyUnavailable,
)
from ..events import Event
from ..token import Token
from .authorization_grants import Attempt, AuthorizationGrant, sign_in_required
from .cached_token import CachedToken
from .goal import Goal
from .loading_and_saving import Predecessor, Stored, StoredGrant
from .ports import Ports
from .stored_record import GrantRecord
from .token_endpoint import TokenEndpoint


class Renewal:
    """Renews one grant, once. Blocking; for one thread.

    Args:
        key: The store key of the grant.
        grant: Whose token it is, and so how it is renewed.
        ports: The outside world.
        attempt: The registered client, at the moment when it is asked for.
        events: What happens is appended, to be emitted after all locks have been released; None: to a list of its own.
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
        self.stored: StoredGrant = self.stored_grant_type(
            key,
            grant.subject,
            attempt().provider,
            ports,
            lambda token: grant.is_renewable(token, attempt()),
            self.events,
        )
        self.endpoint: TokenEndpoint = self.token_endpoint_type(key, ports, self.events)

    def run(self, goal: Goal) -> CachedToken:
        """A token that meets the goal: one that another process has stored, else a new one. Raises `BlnkAuthError`."""
        unsaved = goal.known if goal.known is not None and goal.known.version is None else None
        if unsaved is None:
            # Most often another process has renewed already; reading needs no lock.
            found = self.find(goal)
            if found is not None:
                return found
        with self.stored.locked():
            if unsaved is not None:
                saved = self.stored.save_at_last(unsaved)
                # If another process has stored a pair meanwhile, that pair may meet the goal.
                goal = goal._replace(known=saved) if saved.token is unsaved.token else goal
            return self.run_locked(goal)

    def find(self, goal: Goal) -> CachedToken | None:
        """The stored token, if it meets the goal. Asks nobody and takes no lock. Raises `StoreError`."""
        known = goal.known
        stored = self.stored.load(known)
        if stored is None or not goal.is_met_by(stored.cached, self.ports.clock()):
            return None
        if known is not None and known.supersedes(stored.record.token):
            # The store has lost a write, which is made again under the lock.
            return None
        return self._adopt(stored.cached, goal)

    def run_locked(self, goal: Goal) -> CachedToken:
        """As `run`, for a caller that holds the lock."""
        stored = self.stored.load_newest(goal.known)
        for attempts_left in (2, 1, 0):
            if stored is not None and goal.is_met_by(stored.cached, self.ports.clock()):
                return self._adopt(stored.cached, goal)
            self._refuse_if_ended(stored, goal)
            if not attempts_left:
                break
            try:
                renewed = self._ask(None if stored is None else stored.record.token)
            except SignInRequired as verdict:
                again = self.stored.load_newest(goal.known if stored is None else stored.cached)
                if again is None or (stored is not None and again.record == stored.record):
                    raise self._end(verdict, again or stored) from None
                # Another process renewed without our lock (an expired lease, a store without one): judge that pair.
                stored = again
                continue
            return self.stored.save(renewed, Predecessor() if stored is None else stored.predecessor)
        raise TemporarilyUnavailable(
            "the token was renewed elsewhere each time it was to be renewed here, although the store's lock was taken",
            remedy="try again, and see that the store's lock excludes everyone who shares it",
        )

    def exchange(self, request: ServerRequest, judge: Judge = judge_token_response) -> CachedToken:
        """Exchange a code and store the grant. The code is used up: a pair that cannot be saved stays in memory."""
        cached = self.stored.put_or_keep(GrantRecord.signed_in(self.endpoint.exchange(request, judge)))
        self.endpoint.check_usable()
        return cached

    def _ask(self, current: Token | None) -> Token:
        # A client's own token is not used up by asking for another one.
        repeats_lost = self.grant.subject is None or self.attempt().provider.repeats_lost_refresh
        return self.endpoint.renew(
            lambda: self.grant.build_request(self.attempt(), current), current, repeats_lost=repeats_lost
        )

    def _adopt(self, found: CachedToken, goal: Goal) -> CachedToken:
        if goal.known is not None and goal.known.version != found.version:
            self.events.append(Event("adopted", self.stored.key, repr(found.token)))
        return found

    def _refuse_if_ended(self, stored: Stored | None, goal: Goal) -> None:
        """Send no request for a grant that is known to have ended: here, or in memory if marking it failed."""
        if stored is None:
            return
        ended, known = stored.record.ended, goal.known
        if ended is None and known is not None and known.version == stored.version:
            ended = known.ended
        if ended is not None:
            raise sign_in_required(ended, self.grant.subject)

    def _end(self, verdict: SignInRequired, stored: Stored | None) -> BlnkAuthError:
        """Mark the grant as ended, keep its record, and return the error to raise."""
        verdict = verdict.replace(subject=self.grant.subject)
        if self.grant.subject is None:
            return ConfigurationError(f"client_credentials: {verdict.problem}", **BlnkAuthError.fields(verdict))
        if stored is not None and verdict.reason == "refused":
            self.stored.mark_ended(stored, verdict.reason)
            self.stored.note_failure("sign_in_required", verdict)
        return verdict


def expired_on_arrival(renewed: CachedToken) -> BlnkAuthError:
    """The error for a new token that cannot be used."""
    issued_at = renewed.token.issued_at
    if issued_at is not None and issued_at < renewed.expires_at:
        return TemporarilyUnavailable(
            "the access token expired before the renewal ended: this machine was suspended in between",
            remedy="try again",
        )
    return ProtocolError(
        "the authorization server issued an access token that had expired already, or that no header can carry",
        remedy="it is stored, but cannot be used: check the server's clock and its expires_in",
    )
