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
from dataclasses import dataclass, field, replace

from . import messages
from .decision import ALREADY_OVER, Before, before, window
from .errors import BlnkAuthError, ConfigurationError, Conflict, SignInRequired, StoreError, TemporarilyUnavailable
from .events import Event
from .grants import sign_in_again
from .held import HeldToken, bearer
from .messages import TokenCall
from .policy import RenewalPolicy
from .record import Grant
from .stores.base import Record, TokenStore, Version
from .token import Token
from .wire import HttpRequest, HttpResponse, NoAnswer

_MOVED = 60.0
"""Seconds by which a renewal must put off the refresh token's end to count as doing so; servers round."""

ANSWER_LOST = "the authorization server may have renewed, but its answer was lost"


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world, as the renewal sees it."""

    store: TokenStore
    send: Callable[[HttpRequest], HttpResponse]
    clock: Callable[[], float]
    luck: Callable[[], float]
    policy: RenewalPolicy


@dataclass(frozen=True, slots=True)
class Goal:
    """What will do. `seen` is what the caller holds; `renewed_only` says that being fresh is not enough, since the
    server rejects it or the caller insists; `forced` that not even a sibling's newer token will do.
    """

    seen: HeldToken | None
    renewed_only: bool = False
    forced: bool = False

    def is_met_by(self, held: HeldToken, now: float) -> bool:
        """Whether a token found in memory or in the store makes asking the server unnecessary."""
        if self.forced:
            return False
        is_newer = self.seen is None or held.version != self.seen.version
        due = before(held.window, now)
        if due is Before.USE:
            return is_newer or not self.renewed_only
        return is_newer and due is Before.USE_AND_RENEW


@dataclass(slots=True)
class Renewal:
    """Renews the grant stored under `key`. `ask` builds the request that renews a token, or raises if nothing can."""

    key: str
    subject: str | None
    ports: Ports
    ask: Callable[[Token | None], TokenCall]
    is_renewable: Callable[[Grant], bool]
    events: list[Event] = field(default_factory=list[Event])
    """What happened, for the caller to tell once no lock is held."""

    def run(self, goal: Goal) -> HeldToken:
        """A token that meets the goal: a sibling's from the store, else a new one. Raises a `BlnkAuthError`."""
        unsaved = goal.seen if goal.seen is not None and goal.seen.version is None else None
        if unsaved is None:
            # Most often a sibling has renewed already; reading needs no lock.
            record = self._load()
            if record is not None and goal.is_met_by(held := self._hold(record), self.ports.clock()):
                return self._adopt(held, goal)
        with self._locked():
            if unsaved is not None:
                goal = Goal(self._save_at_last(unsaved), goal.renewed_only, goal.forced)
            return self._renew_locked(goal)

    def look(self) -> HeldToken | None:
        """What is stored, without renewing anything."""
        record = self._load()
        return None if record is None else self._hold(record)

    def put(self, grant: Grant) -> HeldToken:
        """Store a grant that was just obtained, whatever is stored."""
        with self._locked():
            record = self._load()
            with store_failures("written"):
                version = self.ports.store.save(
                    self.key, grant.to_data(), expected=None if record is None else record.version
                )
        return self._hold_grant(grant, version)

    def forget(self) -> None:
        """Delete what is stored."""
        with self._locked(), store_failures("written"):
            self.ports.store.delete(self.key)

    def revoke(self, build: Callable[[str, str], TokenCall]) -> None:
        """Have the server end the grant, then delete what is stored. Nothing stored is nothing to revoke.

        The refresh token goes first: once it is gone nothing can be renewed, even if the second call fails.
        """
        with self._locked():
            record = self._load()
            if record is None:
                return
            token = Grant.from_data(record.data, self.key).token
            for value, hint in ((token.refresh_token, "refresh_token"), (token.access_token, "access_token")):
                if value is not None:
                    call = build(value, hint)
                    messages.judge_revocation_answer(self._send(call), call, now=self.ports.clock())
            with store_failures("written"):
                self.ports.store.delete(self.key)

    def exchange(self, call: TokenCall) -> HeldToken:
        """Exchange an authorization code and store the grant. The code is spent, so a failed save is kept in memory."""
        token, notes = messages.judge_token_answer(self._send(call), call, now=self.ports.clock())
        self.events.extend(Event("odd_answer", self.key, note) for note in notes)
        try:
            held = self.put(Grant(token))
        except StoreError as failure:
            self.events.append(Event("save_failed", self.key, str(failure), failure))
            return self._hold_grant(Grant(token), None)
        self.events.append(Event("signed_in", self.key, repr(token)))
        return held

    def _renew_locked(self, goal: Goal) -> HeldToken:
        record = self._load()
        for last_chance in (False, True):
            held = None if record is None else self._hold(record)
            if held is not None and goal.is_met_by(held, self.ports.clock()):
                return self._adopt(held, goal)
            self._refuse_if_ended(held, goal)
            try:
                token = self._ask(None if held is None else held.grant.token)
            except SignInRequired as verdict:
                found = self._load()
                if not last_chance and found is not None and (record is None or found.version != record.version):
                    # Somebody renewed without our lock (an expired lease, a store without one): judge that pair.
                    record = found
                    continue
                raise self._end(verdict, record, held) from None
            return self._save(Grant(token), None if record is None else record.version)
        raise AssertionError("unreachable: the second look either returns or raises")

    def _ask(self, current: Token | None) -> Token:
        call = self.ask(current)
        token, notes = messages.judge_token_answer(self._send(call), call, now=self.ports.clock())
        self.events.extend(Event("odd_answer", self.key, note) for note in notes)
        renewed = succeed(token, current)
        self._warn_of_the_end(renewed, current)
        return renewed

    def _warn_of_the_end(self, renewed: Token, current: Token | None) -> None:
        """Tell, while there is time, that the refresh token runs out at a moment which renewals do not put off."""
        ends_at, ended_at = renewed.refresh_expires_at, None if current is None else current.refresh_expires_at
        if ends_at is None or ended_at is None or ends_at > ended_at + _MOVED:
            return
        left = ends_at - self.ports.clock()
        if left <= self.ports.policy.refresh_warning:
            self.events.append(Event("refresh_token_expiring", self.key, f"sign in again within {left:.0f} seconds"))

    def _send(self, call: TokenCall) -> HttpResponse:
        try:
            return self.ports.send(call.request)
        except NoAnswer as failure:
            lost = f"; {ANSWER_LOST}" if failure.sent else ""
            raise TemporarilyUnavailable(f"the authorization server gave no answer ({failure}){lost}") from None

    # --- the store -----------------------------------------------------------------------------------------------

    def _load(self) -> Record | None:
        with store_failures("read"):
            return self.ports.store.load(self.key)

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        with contextlib.ExitStack() as stack:
            with store_failures("locked"):
                lock = stack.enter_context(contextlib.ExitStack())
                lock.enter_context(self.ports.store.lock(self.key, timeout=self.ports.policy.lock_timeout))
            # A lock that cannot be released must not take a new pair down with it.
            stack.callback(self._unlock, lock.pop_all())
            yield

    def _unlock(self, lock: contextlib.ExitStack) -> None:
        try:
            with store_failures("unlocked"):
                lock.close()
        except StoreError as failure:
            self.events.append(Event("unlock_failed", self.key, str(failure), failure))

    def _save(self, grant: Grant, expected: Version | None) -> HeldToken:
        """Save a new pair; it is held in any case."""
        try:
            held = self._replace(grant, expected)
        except StoreError as failure:
            self.events.append(Event("save_failed", self.key, str(failure), failure))
            return self._hold_grant(grant, None, based_on=expected)
        self.events.append(Event("renewed", self.key, repr(held.grant.token)))
        return held

    def _save_at_last(self, unsaved: HeldToken) -> HeldToken:
        """Save the pair that could not be saved before. Raises `StoreError` if it still cannot be."""
        held = self._replace(unsaved.grant, unsaved.based_on)
        self.events.append(Event("saved", self.key, repr(held.grant.token)))
        return held

    def _replace(self, grant: Grant, expected: Version | None) -> HeldToken:
        """Compare-and-set. If a sibling's live pair of at least our age stands there, it stays, and we hold that."""
        with store_failures("written"):
            try:
                return self._hold_grant(grant, self.ports.store.save(self.key, grant.to_data(), expected=expected))
            except Conflict:
                record = self.ports.store.load(self.key)
            found = None if record is None else self._hold(record)
            if found is not None and found.grant.ended is None and not _is_later(grant, found.grant):
                return found
            if record is None and self.subject is not None:
                # Somebody forgot this grant meanwhile: the new pair must not bring it back.
                raise sign_in_again("missing", self.subject)
            # Else an older pair stands there, or a sibling's mark that the grant has ended, made because our renewal
            # had spent its token.
            now_expected = None if record is None else record.version
            return self._hold_grant(grant, self.ports.store.save(self.key, grant.to_data(), expected=now_expected))

    # --- verdicts ------------------------------------------------------------------------------------------------

    def _refuse_if_ended(self, held: HeldToken | None, goal: Goal) -> None:
        """Spend no request on a grant that is known to have ended, here or (if marking it failed) in memory."""
        if held is None:
            return
        seen = goal.seen
        known = held.grant.ended or (seen.grant.ended if seen is not None and seen.version == held.version else None)
        if known is not None:
            raise sign_in_again(known, self.subject)

    def _end(self, verdict: SignInRequired, record: Record | None, held: HeldToken | None) -> BlnkAuthError:
        """Mark the grant as ended, keep its record, and return the error to raise."""
        verdict.subject = self.subject
        if self.subject is None:
            return ConfigurationError(f"client_credentials: {verdict}", **BlnkAuthError.fields(verdict))
        if record is None or held is None or verdict.reason != "refused":
            return verdict
        try:
            with store_failures("written"):
                ended = Grant(held.grant.token, verdict.reason)
                self.ports.store.save(self.key, ended.to_data(), expected=record.version)
        except StoreError as failure:
            self.events.append(Event("save_failed", self.key, str(failure), failure))
        self.events.append(Event("sign_in_required", self.key, str(verdict), verdict))
        return verdict

    # --- holding -------------------------------------------------------------------------------------------------

    def _adopt(self, held: HeldToken, goal: Goal) -> HeldToken:
        if goal.seen is not None and goal.seen.version != held.version:
            self.events.append(Event("adopted", self.key, repr(held.grant.token)))
        return held

    def _hold(self, record: Record) -> HeldToken:
        return self._hold_grant(Grant.from_data(record.data, self.key), record.version)

    def _hold_grant(self, grant: Grant, version: Version | None, *, based_on: Version | None = None) -> HeldToken:
        return hold(grant, version, self.ports, renewable=self.is_renewable(grant), based_on=based_on)


def hold(
    grant: Grant, version: Version | None, ports: Ports, *, renewable: bool, based_on: Version | None = None
) -> HeldToken:
    """A grant as held in memory. One that has ended is used until its access token expires."""
    due = window(grant.token, ports.policy, renewable=renewable and grant.ended is None, luck=ports.luck())
    header = bearer(grant.token.access_token)
    if header is None:
        due = ALREADY_OVER
    elif version is None:
        # Not saved yet: every call tries again behind its caller, spaced by the cool-down.
        due = replace(due, renew_at=-math.inf)
    return HeldToken(grant, due, header or "", version, based_on, due.renew_at)


def succeed(new: Token, old: Token | None) -> Token:
    """A new token with all that its answer left unsaid: absent means unchanged (RFC 6749 sections 5.1 and 6)."""
    if old is None:
        return new
    kept_refresh_token = new.refresh_token is None
    return new.replace(
        refresh_token=old.refresh_token if kept_refresh_token else new.refresh_token,
        refresh_expires_at=(
            old.refresh_expires_at if kept_refresh_token and new.refresh_expires_at is None else new.refresh_expires_at
        ),
        scope=new.scope or old.scope,
        extra={**old.extra, **new.extra} if old.extra else new.extra,
    )


def _is_later(ours: Grant, theirs: Grant) -> bool:
    if ours.token.issued_at is None or theirs.token.issued_at is None:
        return False
    return ours.token.issued_at > theirs.token.issued_at


@contextlib.contextmanager
def store_failures(done: str) -> Generator[None]:
    """Whatever a store raises leaves as a `StoreError`."""
    try:
        yield
    except BlnkAuthError:
        raise
    except Exception as error:  # noqa: BLE001 - a store of the user's may raise anything
        # Neither its text nor its frames: both may hold the data that was to be stored.
        why = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        raise StoreError(f"the token store could not be {done} ({type(error).__name__}{why})") from None
