"""Renewals that are wrong on purpose, each in one way that a library of this kind has been wrong before.

Each overrides a method of the real `Renewal`, `StoredGrant`, `TokenEndpoint` or `CurrentToken`, or changes a rule of
the world; nothing is patched. The worlds they are put in are the smallest in which the mistake can show:
test_mutations.py checks that it does, and that the real code is right in the very same worlds.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Generator
from typing import Any

from simulation.process import COOLING_DOWN, PROVED, REPEATING, REVOKED, TOKEN, SimulatedToken
from simulation.world import FRESH, STALE, Setup

from blnk_auth._protocol.dpop_key import DpopKey
from blnk_auth._protocol.http_messages import HttpResponse
from blnk_auth._protocol.requests import ServerRequest
from blnk_auth._renewal.cached_token import CachedToken
from blnk_auth._renewal.goal import Goal
from blnk_auth._renewal.loading_and_saving import StoredGrant
from blnk_auth._renewal.predecessor import Predecessor, Stored
from blnk_auth._renewal.renewal import Renewal
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth._renewal.token_endpoint import TokenEndpoint
from blnk_auth._request.after_rejection import ApiRejection
from blnk_auth._request.attempts import Attempts
from blnk_auth.errors import BlnkAuthError, Conflict, SignInReason, SignInRequired, StoreError, TemporarilyUnavailable
from blnk_auth.stores._token_store import Version
from blnk_auth.token import Token

Build = Callable[[], ServerRequest]


class ReadsOnlyBeforeTheLock(StoredGrant):
    """The record that was read before the wait for the lock is used, and not read again."""

    first: Stored | None = None

    def load(self, known: CachedToken | None = None) -> Stored | None:
        self.first = self.first or super().load(known)
        return self.first


class NeverLocks(StoredGrant):
    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        yield


class SavesLater(StoredGrant):
    """Writes down what is to be saved."""

    unsaved: tuple[Token, Predecessor] | None = None

    def save(self, token: Token, predecessor: Predecessor) -> CachedToken:
        self.unsaved = token, predecessor
        return self.cache(GrantRecord(token), None, predecessor=predecessor)


class UnlocksBeforeSaving(Renewal):
    """The lock is taken for the token request only."""

    stored_grant_type = SavesLater

    def run(self, goal: Goal) -> CachedToken:
        cached = super().run(goal)
        assert isinstance(self.stored, SavesLater)
        return cached if self.stored.unsaved is None else StoredGrant.save(self.stored, *self.stored.unsaved)


class UsesBeforeSaving(StoredGrant):
    """The pair is handed out immediately, to be saved by the next call."""

    def save(self, token: Token, predecessor: Predecessor) -> CachedToken:
        return self.cache(GrantRecord(token), None, predecessor=predecessor)


class ForgetsTheUnsavedPair(StoredGrant):
    """A failed save fails the renewal."""

    def save(self, token: Token, predecessor: Predecessor) -> CachedToken:
        return self.replace(GrantRecord(token), predecessor)


class RenewsPastAnUnsavedPair(Renewal):
    def run(self, goal: Goal) -> CachedToken:
        return super().run(Goal(None, goal.must_differ, goal.forced))


class DropsTheRotatedRefreshToken(TokenEndpoint):
    def renew(self, build: Build, current: Token | None, *, repeats_lost: bool, key: DpopKey | None = None) -> Token:
        return super().renew(build, current, repeats_lost=repeats_lost, key=key).replace(refresh_token=None)


class KeepsTheOldRefreshToken(TokenEndpoint):
    def renew(self, build: Build, current: Token | None, *, repeats_lost: bool, key: DpopKey | None = None) -> Token:
        assert current is not None
        return (
            super()
            .renew(build, current, repeats_lost=repeats_lost, key=key)
            .replace(refresh_token=current.refresh_token)
        )


class WritesBlindly(StoredGrant):
    """Every write replaces the stored record, of any version: no compare-and-set."""

    def write(self, record: GrantRecord, expected: Version | None) -> Version:
        stored = self.load()
        return super().write(record, None if stored is None else stored.version)


class OverwritesALivePair(StoredGrant):
    """A conflict is overcome by writing again."""

    def _replace(self, record: GrantRecord, predecessor: Predecessor) -> CachedToken:
        try:
            return self.cache(record, self.write(record, predecessor.version))
        except Conflict:
            stored = self.load()
        assert stored is not None
        return self.cache(record, self.write(record, stored.version))


class BowsToAnEndedPair(StoredGrant):
    """Another process's mark, made because we had spent its token, is taken for the end of our new pair too."""

    def _replace(self, record: GrantRecord, predecessor: Predecessor) -> CachedToken:
        try:
            return self.cache(record, self.write(record, predecessor.version))
        except Conflict:
            stored = self.load()
        assert stored is not None
        return stored.cached


class RevivesItsOwnEndedPair(StoredGrant):
    """Another process's mark on the very pair that is to be saved is overwritten."""

    def _replace(self, record: GrantRecord, predecessor: Predecessor) -> CachedToken:
        cached = super()._replace(record, predecessor)
        if cached.ended is None or cached.version is None:
            return cached
        return self.cache(record, self.write(record, cached.version))


class TakesATimeoutForAVerdict(TokenEndpoint):
    def send(self, request: ServerRequest, seconds: float | None = None) -> HttpResponse:
        try:
            return super().send(request, seconds)
        except TemporarilyUnavailable as failure:
            raise SignInRequired(failure.problem, reason="refused") from None


class TakesA503ForAVerdict(TokenEndpoint):
    def renew(self, build: Build, current: Token | None, *, repeats_lost: bool, key: DpopKey | None = None) -> Token:
        try:
            return super().renew(build, current, repeats_lost=repeats_lost, key=key)
        except TemporarilyUnavailable as failure:
            raise SignInRequired(failure.problem, reason="refused") from None


class AsksAgainAtOnce(TokenEndpoint):
    """A lost answer is answered by the same request once more."""

    def send(self, request: ServerRequest, seconds: float | None = None) -> HttpResponse:
        try:
            return super().send(request, seconds)
        except TemporarilyUnavailable:
            return super().send(request, seconds)


class DeletesOnInvalidGrant(StoredGrant):
    def mark_ended(self, stored: Stored, reason: SignInReason) -> None:
        self.delete()


class MarksBlindly(StoredGrant):
    """The mark replaces any stored record."""

    def mark_ended(self, stored: Stored, reason: SignInReason) -> None:
        newest = self.load()
        assert newest is not None
        super().mark_ended(stored._replace(version=newest.version), reason)


class NoLookAfterInvalidGrant(Renewal):
    def run_locked(self, goal: Goal) -> CachedToken:
        stored = self.stored.load()
        assert stored is not None
        if goal.is_met_by(stored.cached, self.ports.clock()):
            return self._adopt(stored.cached, goal)
        self._refuse_if_ended(stored, goal)
        try:
            token = self._ask(stored.record.token, None)
        except SignInRequired as verdict:
            raise self._mark_ended(verdict, stored) from None
        return self.stored.save(token, stored.predecessor)


class AsksAboutEndedGrants(Renewal):
    def _refuse_if_ended(self, stored: Stored | None, goal: Goal) -> None:
        return


class FailsWithTheUnlock(StoredGrant):
    """A lock that cannot be released takes the new pair down with it."""

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        try:
            with self.ports.store.lock(self.key, timeout=1.0):
                yield
        except RuntimeError:
            raise StoreError("the lock could not be released") from None


class _ForgetsOnFailure(SimulatedToken):
    """Every failure empties the memory, in which the only copy of a pair may be."""

    __slots__ = ()

    def _remember_failure(self, error: BlnkAuthError) -> Any:
        self.cached = None
        return super()._remember_failure(error)


class _SavesAnEndedPairForEver(SimulatedToken):
    """A pair that has ended is still taken for one that is yet to be saved."""

    __slots__ = ()

    def _remember_sign_in_required(self, error: SignInRequired) -> None:
        cached = self.cached
        super()._remember_sign_in_required(error)
        if cached is not None and cached.version is None and cached.ended is None:
            self.cached = self.renewal().stored.cache(GrantRecord(cached.token, error.reason), None)


class NeverAsksAgain(TokenEndpoint):
    """A lost answer is left to the next caller, who comes after the grace period."""

    def renew(self, build: Build, current: Token | None, *, repeats_lost: bool, key: DpopKey | None = None) -> Token:
        return super().renew(build, current, repeats_lost=False, key=key)


class AsksAgainWithoutTheLock(Renewal):
    """A lost answer is asked for again after the lock was given back."""

    class token_endpoint_type(NeverAsksAgain):  # noqa: D106, N801 - the attribute that it is
        pass

    def run(self, goal: Goal) -> CachedToken:
        try:
            return super().run(goal)
        except TemporarilyUnavailable as failure:
            if not failure.outcome_unknown:
                raise
            return self.run_locked(goal)


class AsksAgainTooOften(TokenEndpoint):
    """Once more than the policy allows."""

    def _ask_until_answered(self, build: Build, current: Token | None, key: DpopKey | None, retries: int) -> Any:
        return super()._ask_until_answered(build, current, key, retries + 1)


class AsksAgainHoweverLate(TokenEndpoint):
    """Each attempt has a deadline of its own, also after the process was suspended."""

    def _ask_until_answered(self, build: Build, current: Token | None, key: DpopKey | None, retries: int) -> Any:
        self.ports = self.ports._replace(monotonic=lambda: 0.0)
        return super()._ask_until_answered(build, current, key, retries)


class TrustsAStoreThatLostAWrite(StoredGrant):
    """What the store has is taken for the newest pair, also if this process has seen it replaced."""

    def load_newest(self, known: CachedToken | None) -> Stored | None:
        return self.load(known)


class RenewalWinsOverASignIn(StoredGrant):
    """Of two pairs the one that was issued later stays, regardless of what was spent for it."""

    def _comes_after(self, ours: GrantRecord, predecessor: Predecessor, found: GrantRecord) -> bool:
        return super()._comes_after(
            dataclasses.replace(ours, sign_in=None), predecessor, dataclasses.replace(found, sign_in=None)
        )


class RenewalWinsOverAnUnsavedSignIn(StoredGrant):
    """A sign-in that could not be saved gives way to what was renewed meanwhile."""

    def _comes_after(self, ours: GrantRecord, predecessor: Predecessor, found: GrantRecord) -> bool:
        return predecessor.new_sign_in is None and super()._comes_after(ours, predecessor, found)


class TrustsTheClocks(StoredGrant):
    """Of two pairs of one sign-in the one that was issued later stays, by the clocks of two machines."""

    def _comes_after(self, ours: GrantRecord, predecessor: Predecessor, found: GrantRecord) -> bool:
        return super()._comes_after(dataclasses.replace(ours, renewals=None), predecessor, found)


class TakesALatePairForAnother(StoredGrant):
    """Of two pairs for one refresh token it does not matter which one was saved in time."""

    def _comes_after(self, ours: GrantRecord, predecessor: Predecessor, found: GrantRecord) -> bool:
        return super()._comes_after(dataclasses.replace(ours, was_saved_late=False), predecessor, found)


class _RaisesWithoutLooking(SimulatedToken):
    """A remembered failure is raised though another process has stored a token."""

    __slots__ = ()

    def _find_stored(self, renewal: Renewal, goal: Goal) -> None:
        return


class _CoolsDownPastTheExpiry(SimulatedToken):
    """The cool-down of an early renewal that failed outlives the token."""

    __slots__ = ()

    def _remember_failure(self, error: BlnkAuthError) -> BlnkAuthError:
        error = super()._remember_failure(error)
        assert self._failure is not None
        since = self._failure.cooldown.since
        self._failure = self._failure._replace(cooldown=self._failure.cooldown._replace(until=since + 1000))
        return error


class _RemembersWhatItDidNotRenew(SimulatedToken):
    """A stored token that is rejected as well is taken for a renewal that resolved nothing."""

    __slots__ = ()

    def _remember_renewal(self, renewed: CachedToken, goal: Goal, issued: Token | None) -> None:
        super()._remember_renewal(renewed, goal, renewed.token)


class SendsAThirdProof(TokenEndpoint):
    """A request is sent for its nonce until the server is content."""

    def _send_proven(self, request: ServerRequest, build: Build, key: DpopKey | None, ends_at: float) -> Any:
        with contextlib.suppress(TemporarilyUnavailable):
            return super()._send_proven(request, build, key, ends_at)
        return super()._send_proven(request, build, key, ends_at)


class GivesUpAtANonce(TokenEndpoint):
    """A demand for a nonce is taken for an answer."""

    def _send_proven(self, request: ServerRequest, build: Build, key: DpopKey | None, ends_at: float) -> Any:
        assert key is not None
        response = self.send(self._with_proof(request, key))
        self._observe(request, response)
        return request, response


class TakesANonceForAVerdict(GivesUpAtANonce):
    """A demand for a nonce is taken for a refusal of the grant."""

    def _send_proven(self, request: ServerRequest, build: Build, key: DpopKey | None, ends_at: float) -> Any:
        request, response = super()._send_proven(request, build, key, ends_at)
        if response.status_code == 400:
            raise SignInRequired("the grant has ended", remedy="sign in", reason="refused")
        return request, response


class MakesAKeyForEachRenewal(Renewal):
    """The key of a grant is that of its newest renewal."""

    def _bound(self, stored: Stored | None) -> tuple[Stored | None, DpopKey | None]:
        return stored, self.ports.proofs.new_key()


class StoresTheKeyWithThePair(StoredGrant):
    """The key that a renewal binds a grant to is stored after the server has seen it."""

    def bind(self, stored: Stored, key: DpopKey) -> Stored:
        return stored


class SavesAnotherKey(StoredGrant):
    """The new pair is saved with a key that is not the one that signed its proof."""

    def save(self, token: Token, predecessor: Predecessor) -> CachedToken:
        return super().save(token, predecessor._replace(dpop=self.ports.proofs.new_key()))


class DropsTheKey(StoredGrant):
    """The new pair is saved without its key."""

    def save(self, token: Token, predecessor: Predecessor) -> CachedToken:
        return super().save(token, predecessor._replace(dpop=None))


class ProvesAgainAndAgain(Attempts):
    """A request to an API is sent until the API is content with its nonce."""

    def _prove_again(self, response: ApiRejection, *, may_help: bool) -> CachedToken | None:
        return self.sent


class TriesAThirdToken(Attempts):
    """A request to an API is sent with another token as often as it is rejected."""

    def _count(self, response: ApiRejection) -> None:
        self._retry = None


def _requesting(mistake: type[Attempts], **setup: Any) -> Setup:
    """Two processes whose requests to an API make this mistake."""
    token_type = type(mistake.__name__, (SimulatedToken,), {"__slots__": (), "attempts_type": mistake})
    return Setup(token_type=token_type, workers=2, age=FRESH, dpop="bound", expiries=0, faults=0, **setup)


def _with(mistake: type[Renewal | StoredGrant | TokenEndpoint], **setup: Any) -> Setup:
    """Two processes whose renewals make this mistake."""
    renewal: type[Renewal]
    if issubclass(mistake, Renewal):
        renewal = mistake
    else:
        part = "stored_grant_type" if issubclass(mistake, StoredGrant) else "token_endpoint_type"
        renewal = type(mistake.__name__, (Renewal,), {part: mistake})
    token_type = type(mistake.__name__, (SimulatedToken,), {"__slots__": (), "renewal_type": renewal})
    return Setup(token_type=token_type, workers=2, **setup)


_ONCE = (TOKEN,)

MUTATIONS: dict[str, Setup] = {
    "reads only before the lock": _with(ReadsOnlyBeforeTheLock, faults=0),
    "never locks": _with(NeverLocks, faults=0),
    "unlocks before saving": _with(UnlocksBeforeSaving, faults=0),
    "uses before saving": _with(UsesBeforeSaving, faults=0),
    "forgets the unsaved pair": _with(ForgetsTheUnsavedPair),
    "renews past an unsaved pair": _with(RenewsPastAnUnsavedPair),
    "forgets on failure": Setup(token_type=_ForgetsOnFailure, workers=2, faults=2),
    "drops the rotated refresh token": _with(DropsTheRotatedRefreshToken, faults=0),
    "keeps the old refresh token": _with(KeepsTheOldRefreshToken, faults=0),
    "writes blindly": _with(WritesBlindly, lock="lease", server="grace"),
    "overwrites a live pair": _with(OverwritesALivePair, server="grace"),
    "bows to an ended pair": _with(BowsToAnEndedPair, lock="lease", server="single use"),
    "revives its own ended pair": _with(RevivesItsOwnEndedPair, faults=2),
    "saves an ended pair for ever": Setup(token_type=_SavesAnEndedPairForEver, workers=2, faults=2, server="grace"),
    "takes a timeout for a verdict": _with(TakesATimeoutForAVerdict),
    "takes a 503 for a verdict": _with(TakesA503ForAVerdict),
    "asks again at once": _with(AsksAgainAtOnce),
    "deletes on invalid_grant": _with(DeletesOnInvalidGrant),
    "marks blindly": _with(MarksBlindly, lock="lease", server="single use"),
    "no look after invalid_grant": _with(NoLookAfterInvalidGrant, lock="lease", server="single use"),
    "asks about ended grants": _with(AsksAboutEndedGrants),
    "fails with the unlock": _with(FailsWithTheUnlock),
    "never asks again": _with(NeverAsksAgain, server="grace", policy=REPEATING, calls=_ONCE),
    "asks again without the lock": _with(AsksAgainWithoutTheLock, server="grace", policy=REPEATING, calls=_ONCE),
    "asks again too often": _with(AsksAgainTooOften, server="grace", policy=REPEATING, calls=_ONCE, faults=2),
    "asks again however late": _with(
        AsksAgainHoweverLate, lock="lease", freezes=True, server="single use", policy=REPEATING, calls=_ONCE, faults=2
    ),
    "trusts a store that lost a write": _with(TrustsAStoreThatLostAWrite, loses_writes=True),
    "raises without looking": Setup(token_type=_RaisesWithoutLooking, workers=2, policy=COOLING_DOWN),
    "cools down past the expiry": Setup(
        token_type=_CoolsDownPastTheExpiry, workers=1, calls=(TOKEN,) * 3, policy=COOLING_DOWN, age=STALE
    ),
    "a renewal wins over a sign-in": _with(RenewalWinsOverASignIn, lock="lease", server="single use", signs_in=True),
    "a renewal wins over an unsaved sign-in": _with(RenewalWinsOverAnUnsavedSignIn, signs_in=True),
    "remembers what it did not renew": Setup(
        token_type=_RemembersWhatItDidNotRenew, workers=2, age=FRESH, calls=(TOKEN, REVOKED)
    ),
    "trusts the clocks": _with(TrustsTheClocks, server="grace", ahead=150),
    "takes a late pair for another": _with(TakesALatePairForAnother, server="grace", calls=_ONCE, ahead=10),
    "sends a third proof": _with(SendsAThirdProof, dpop="bound", nonces=2, calls=_ONCE, faults=0),
    "gives up at a nonce": _with(GivesUpAtANonce, dpop="bound", nonces=1, calls=_ONCE, faults=0),
    "takes a nonce for a verdict": _with(TakesANonceForAVerdict, dpop="bound", nonces=1, calls=_ONCE, faults=0),
    "makes a key for each renewal": _with(MakesAKeyForEachRenewal, dpop="bound", calls=_ONCE, faults=0),
    "stores the key with the pair": _with(StoresTheKeyWithThePair, dpop="not yet", server="grace", calls=_ONCE),
    "saves another key": _with(SavesAnotherKey, dpop="bound", calls=_ONCE, faults=0),
    "drops the key": _with(DropsTheKey, dpop="bound", calls=_ONCE, faults=0),
    "proves again and again": _requesting(ProvesAgainAndAgain, nonces=2, calls=(PROVED,)),
    "tries a third token": _requesting(TriesAThirdToken, nonces=1, calls=(TOKEN, PROVED)),
    "a caller's cancellation reaches it": Setup(workers=2, calls=_ONCE, shielded=False),
    "a crash keeps the lock": Setup(workers=2, calls=_ONCE, crash_frees_lock=False),
}
