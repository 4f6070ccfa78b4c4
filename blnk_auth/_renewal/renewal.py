"""The renewal: lock, load, ask, save. Plain, linear, blocking code.

It runs on a worker thread that no caller can cancel, and it is written so that these hold whatever fails where:

1. Nothing is asked before the store's lock is had and the stored pair has been read again under it.
2. A new pair is saved before anyone may use it. If saving fails, the pair goes on in memory and is saved later.
3. A stored pair is replaced only by compare-and-set, and a live one never by an older one.
4. Only the server's verdict ends a grant, and only after another look whether a sibling has renewed meanwhile. The
   record is marked, never deleted.

Time, chance, the store and the authorization server come in as `Ports`; nothing here knows a thread or a socket.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import NamedTuple

from .._protocol.answers import Judge, judge_revocation_answer, judge_token_answer, no_answer
from .._protocol.http_messages import HttpRequest, HttpResponse, NoAnswer
from .._protocol.requests import ServerRequest
from ..errors import (
    BlnkAuthError,
    ConfigurationError,
    Conflict,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
)
from ..events import Event, EventName
from ..policy import RenewalPolicy
from ..stores._calls import call_store
from ..stores._token_store import Record, TokenStore, Version
from ..token import Token
from .authorization_grants import sign_in_required
from .cached_token import CachedToken, Predecessor, is_sendable
from .grant_record import GrantRecord
from .schedule import ALREADY_OVER, Before, before, window

_MOVED = 60.0
"""Seconds by which a renewal must put off the refresh token's end to count as doing so; servers round."""


class Ports(NamedTuple):
    """The outside world, as the renewal sees it."""

    store: TokenStore
    send: Callable[[HttpRequest], HttpResponse]
    clock: Callable[[], float]
    jitter_position: Callable[[], float]
    policy: RenewalPolicy


class RenewalGoal(NamedTuple):
    """What will do. `seen` is what this process holds; `renewed_only` says that being fresh is not enough, since the
    API rejected `rejected` (None: what is held) or the caller insists; `forced` that no sibling's token will do either.
    """

    seen: CachedToken | None
    renewed_only: bool = False
    forced: bool = False
    rejected: Token | None = None

    def is_met_by(self, held: CachedToken, now: float) -> bool:
        """Whether a token found in memory or in the store makes asking the server unnecessary."""
        if self.forced:
            return False
        is_newer = self._is_newer(held)
        due = before(held.window, now)
        if due is Before.USE:
            return is_newer or not self.renewed_only
        return is_newer and due is Before.USE_AND_RENEW

    def _is_newer(self, held: CachedToken) -> bool:
        if self.rejected is not None and held.record.token == self.rejected:
            return False
        # A sibling's mark that the grant has ended is another version, but no other token.
        seen = self.seen
        return seen is None or (held.version != seen.version and held.record.token != seen.record.token)


@dataclass(slots=True)
class Renewal:
    """Renews the grant stored under `key`. `ask` builds the request that renews a token, or raises if nothing can."""

    key: str
    subject: str | None
    ports: Ports
    ask: Callable[[Token | None], ServerRequest]
    is_renewable: Callable[[GrantRecord], bool]
    events: list[Event] = field(default_factory=list[Event])
    """What happened, for the caller to tell once no lock is held."""

    def run(self, goal: RenewalGoal) -> CachedToken:
        """A token that meets the goal: a sibling's from the store, else a new one. Raises a `BlnkAuthError`."""
        unsaved = goal.seen if goal.seen is not None and goal.seen.version is None else None
        if unsaved is None:
            # Most often a sibling has renewed already; reading needs no lock.
            record = self._load()
            if record is not None and goal.is_met_by(held := self._hold(record), self.ports.clock()):
                return self._adopt(held, goal)
        with self._locked():
            if unsaved is not None:
                saved = self._save_at_last(unsaved)
                # If it is a sibling's that stands there now, it may be what was wanted.
                goal = goal._replace(seen=saved) if saved.record is unsaved.record else goal
            return self._renew_locked(goal)

    def look(self) -> CachedToken | None:
        """What is stored, without renewing anything."""
        record = self._load()
        return None if record is None else self._hold(record)

    def put(self, grant: GrantRecord) -> CachedToken:
        """Store a grant that was just obtained, whatever is stored."""
        with self._locked():
            record = self._load()
            version = self._write(grant, None if record is None else record.version)
        return self._hold_grant(grant, version)

    def forget(self) -> None:
        """Delete what is stored."""
        with self._locked():
            call_store("written", self.ports.store.delete, self.key)

    def revoke(self, build: Callable[[str, str], ServerRequest], unsaved: CachedToken | None = None) -> None:
        """Have the server end the grant, then delete what is stored. Nothing stored is nothing to revoke.

        The refresh token goes first: once it is gone nothing can be renewed, even if the second call fails. Of a pair
        that could not be saved the store holds only the spent predecessor, so `unsaved` goes before what is stored.
        """
        with self._locked():
            held = unsaved or self.look()
            if held is None:
                return
            token = held.record.token
            for value, hint in ((token.refresh_token, "refresh_token"), (token.access_token, "access_token")):
                if value is not None:
                    call = build(value, hint)
                    judge_revocation_answer(self._send(call), call, now=self.ports.clock())
            call_store("written", self.ports.store.delete, self.key)

    def revoke_connection(self, build: Callable[[str, str], ServerRequest]) -> None:
        """The same where the access token itself ends the grant: one that has expired is renewed first."""
        with self._locked():
            if self._load() is None:
                return
            held = self._renew_locked(RenewalGoal(None))
            try:
                self._revoke_with(held, build)
            except SignInRequired:
                # The access token was refused, not the grant: it had ended before its time, or nobody knew its time.
                self._revoke_with(self._renew_locked(RenewalGoal(None, forced=True)), build)
            call_store("written", self.ports.store.delete, self.key)

    def _revoke_with(self, held: CachedToken, build: Callable[[str, str], ServerRequest]) -> None:
        call = build(held.record.token.access_token, "access_token")
        judge_revocation_answer(self._send(call), call, now=self.ports.clock())

    def exchange(self, call: ServerRequest, judge: Judge = judge_token_answer) -> CachedToken:
        """Exchange a code and store the grant. The code is spent, so a failed save is kept in memory."""
        token, notes = judge(self._send(call), call, now=self.ports.clock())
        self.events.extend(Event("odd_answer", self.key, note) for note in notes)
        try:
            held = self.put(GrantRecord(token))
        except StoreError as failure:
            self._note_failure("save_failed", failure)
            return self._hold_grant(GrantRecord(token), None, predecessor=Predecessor())
        self.events.append(Event("signed_in", self.key, repr(token)))
        return held

    def _renew_locked(self, goal: RenewalGoal) -> CachedToken:
        record = self._load()
        for attempts_left in (2, 1, 0):
            held = None if record is None else self._hold(record)
            if held is not None and goal.is_met_by(held, self.ports.clock()):
                return self._adopt(held, goal)
            self._refuse_if_ended(held, goal)
            if not attempts_left:
                break
            try:
                token = self._ask(None if held is None else held.record.token)
            except SignInRequired as verdict:
                found = self._load()
                if found is None or (record is not None and found.version == record.version):
                    raise self._end(verdict, record, held) from None
                # Somebody renewed without our lock (an expired lease, a store without one): judge that pair.
                record = found
                continue
            if record is None:
                return self._save(GrantRecord(token), Predecessor())
            return self._save(
                GrantRecord(token), Predecessor(record.version, None if held is None else held.record.token)
            )
        raise TemporarilyUnavailable(
            "the token was renewed elsewhere each time it was to be renewed here, although the store's lock was held",
            remedy="try again, and see that the store's lock excludes everyone who shares it",
        )

    def _ask(self, current: Token | None) -> Token:
        call = self._build(current)
        token, notes = judge_token_answer(self._send(call), call, now=self.ports.clock())
        self.events.extend(Event("odd_answer", self.key, note) for note in notes)
        renewed = succeed(token, current, slides=call.provider.refresh_idle_lifetime is not None)
        self._warn_of_the_end(renewed, current)
        return renewed

    def _build(self, current: Token | None) -> ServerRequest:
        try:
            return self.ask(current)
        except BlnkAuthError as error:
            failure = error.replace()
        except Exception as error:  # noqa: BLE001 - a callable of the user's, as in a provider's parameters
            failure = TemporarilyUnavailable(f"a callable of the client or its provider raised {type(error).__name__}")
        # Raised here: the frames of the original hold the refresh token.
        raise failure

    def _warn_of_the_end(self, renewed: Token, current: Token | None) -> None:
        """Tell, while there is time, that the refresh token runs out at a moment which renewals do not put off."""
        ends_at, ended_at = renewed.refresh_expires_at, None if current is None else current.refresh_expires_at
        if ends_at is None or ended_at is None or ends_at > ended_at + _MOVED:
            return
        left = ends_at - self.ports.clock()
        if left <= self.ports.policy.refresh_warning:
            self.events.append(Event("refresh_token_expiring", self.key, f"sign in again within {left:.0f} seconds"))

    def _send(self, call: ServerRequest) -> HttpResponse:
        try:
            return self.ports.send(call.request)
        except NoAnswer as failure:
            raise no_answer(failure, call.purpose) from None
        except (BlnkAuthError, AssertionError):
            # An assertion is a mock's complaint, for its test to see.
            raise
        except Exception as error:  # noqa: BLE001 - an HTTP client of the user's, with hooks of theirs
            lost = NoAnswer(f"the HTTP client for the token endpoint raised {type(error).__name__}", sent=True)
        raise no_answer(lost, call.purpose)

    # --- the store -----------------------------------------------------------------------------------------------

    def _load(self) -> Record | None:
        return call_store("read", self.ports.store.load, self.key)

    def _write(self, grant: GrantRecord, expected: Version | None) -> Version:
        return call_store("written", self.ports.store.save, self.key, grant.to_data(), expected=expected)

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        lock = call_store("locked", self.ports.store.lock, self.key, timeout=self.ports.policy.lock_timeout)
        call_store("locked", lock.__enter__)
        try:
            yield
        finally:
            # A lock that cannot be released must not take a new pair down with it.
            try:
                call_store("unlocked", lock.__exit__, None, None, None)
            except StoreError as failure:
                self._note_failure("unlock_failed", failure)

    def _save(self, grant: GrantRecord, predecessor: Predecessor) -> CachedToken:
        """Save a new pair; it is held in any case."""
        try:
            held = self._replace(grant, predecessor)
        except StoreError as failure:
            self._note_failure("save_failed", failure)
            return self._hold_grant(grant, None, predecessor=predecessor)
        self.events.append(Event("renewed", self.key, repr(held.record.token)))
        return held

    def _save_at_last(self, unsaved: CachedToken) -> CachedToken:
        """Save the pair that could not be saved before. Raises `StoreError` if it still cannot be."""
        held = self._replace(unsaved.record, unsaved.predecessor or Predecessor())
        self.events.append(Event("saved", self.key, repr(held.record.token)))
        return held

    def _replace(self, grant: GrantRecord, predecessor: Predecessor) -> CachedToken:
        """Compare-and-set. If a sibling's live pair of at least our age stands there, it stays, and we hold that."""
        try:
            return self._hold_grant(grant, self._write(grant, predecessor.version))
        except Conflict:
            record = self._load()
        if record is None:
            if self.subject is not None:
                # Somebody forgot this grant meanwhile: the new pair must not bring it back.
                raise sign_in_required("missing", self.subject)
            return self._hold_grant(grant, self._write(grant, None))
        found = self._hold(record)
        lives = found.record.ended is None and not _is_older(found.record.token, grant.token, predecessor)
        if lives or found.record.token == grant.token:
            return found
        # An older pair, or a sibling's mark that its grant has ended, made because our renewal had spent its token.
        return self._hold_grant(grant, self._write(grant, record.version))

    def _note_failure(self, name: EventName, failure: BlnkAuthError) -> None:
        # A copy: the frames behind the original hold what was to be stored.
        self.events.append(Event(name, self.key, str(failure), failure.replace()))

    # --- verdicts ------------------------------------------------------------------------------------------------

    def _refuse_if_ended(self, held: CachedToken | None, goal: RenewalGoal) -> None:
        """Spend no request on a grant that is known to have ended, here or (if marking it failed) in memory."""
        if held is None:
            return
        seen = goal.seen
        known = held.record.ended or (seen.record.ended if seen is not None and seen.version == held.version else None)
        if known is not None:
            raise sign_in_required(known, self.subject)

    def _end(self, verdict: SignInRequired, record: Record | None, held: CachedToken | None) -> BlnkAuthError:
        """Mark the grant as ended, keep its record, and return the error to raise."""
        verdict = verdict.replace(subject=self.subject)
        if self.subject is None:
            return ConfigurationError(f"client_credentials: {verdict.problem}", **BlnkAuthError.fields(verdict))
        if record is None or held is None or verdict.reason != "refused":
            return verdict
        try:
            self._write(GrantRecord(held.record.token, verdict.reason), record.version)
        except StoreError as failure:
            self._note_failure("save_failed", failure)
        self._note_failure("sign_in_required", verdict)
        return verdict

    # --- holding -------------------------------------------------------------------------------------------------

    def _adopt(self, held: CachedToken, goal: RenewalGoal) -> CachedToken:
        if goal.seen is not None and goal.seen.version != held.version:
            self.events.append(Event("adopted", self.key, repr(held.record.token)))
        return held

    def _hold(self, record: Record) -> CachedToken:
        return self._hold_grant(GrantRecord.from_data(record.data, self.key), record.version)

    def _hold_grant(
        self, grant: GrantRecord, version: Version | None, *, predecessor: Predecessor | None = None
    ) -> CachedToken:
        return hold(grant, version, self.ports, renewable=self.is_renewable(grant), predecessor=predecessor)


def hold(
    grant: GrantRecord,
    version: Version | None,
    ports: Ports,
    *,
    renewable: bool,
    predecessor: Predecessor | None = None,
) -> CachedToken:
    """A grant as held in memory. One that has ended is used until its access token expires."""
    due = window(
        grant.token, ports.policy, renewable=renewable and grant.ended is None, jitter_position=ports.jitter_position()
    )
    if not is_sendable(grant.token.access_token):
        due = ALREADY_OVER
    elif version is None:
        # Not saved yet: every call tries again behind its caller, spaced by the cool-down.
        due = due._replace(renew_at=-math.inf)
    return CachedToken(grant, due, version=version, predecessor=predecessor)


def succeed(new: Token, old: Token | None, *, slides: bool = False) -> Token:
    """A new token with all that its answer left unsaid: absent means unchanged (RFC 6749 sections 5.1 and 6).

    So is the end of a refresh token that stays, whether the answer repeats it or not; except where each use puts it off
    (`slides`): then nobody knows it, and to go by the old one would end a grant that lives.
    """
    if old is None:
        return new
    stays = new.refresh_token is None or new.refresh_token == old.refresh_token
    return new.replace(
        refresh_token=new.refresh_token or old.refresh_token,
        refresh_expires_at=new.refresh_expires_at or (old.refresh_expires_at if stays and not slides else None),
        scope=new.scope or old.scope,
        extra={**old.extra, **new.extra} if old.extra else new.extra,
    )


def _is_older(found: Token, new: Token, predecessor: Predecessor) -> bool:
    if predecessor.was_spent_for(new, found):
        return True
    return found.issued_at is not None and new.issued_at is not None and found.issued_at < new.issued_at
