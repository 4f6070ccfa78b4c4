"""Renewals that are wrong on purpose, each in one way that a library of this kind has been wrong before.

Each overrides a method of the real `Renewal` or `CurrentToken`, or changes a rule of the world; nothing is patched. The
worlds they are put in are the smallest in which the mistake can show: test_mutations.py checks that it does, and that
the real code is right in the very same worlds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

from simulation.process import TOKEN, SimulatedToken
from simulation.world import Setup

from blnk_auth._protocol.http_messages import HttpResponse
from blnk_auth._protocol.requests import ServerRequest
from blnk_auth._renewal.cached_token import CachedToken, Predecessor
from blnk_auth._renewal.grant_record import GrantRecord
from blnk_auth._renewal.renewal import Renewal, RenewalGoal
from blnk_auth.errors import BlnkAuthError, Conflict, SignInRequired, StoreError, TemporarilyUnavailable
from blnk_auth.stores._token_store import Record, Version
from blnk_auth.token import Token


class ReadsOnlyBeforeTheLock(Renewal):
    """What was read before waiting for the lock is taken for the truth."""

    first: Record | None = None

    def _load(self) -> Record | None:
        self.first = self.first or super()._load()
        return self.first


class NeverLocks(Renewal):
    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        yield


class UnlocksBeforeSaving(Renewal):
    """The lock is held while asking only."""

    unsaved: tuple[GrantRecord, Predecessor] | None = None

    def run(self, goal: RenewalGoal) -> CachedToken:
        held = super().run(goal)
        return held if self.unsaved is None else super()._save(*self.unsaved)

    def _save(self, grant: GrantRecord, predecessor: Predecessor) -> CachedToken:
        self.unsaved = grant, predecessor
        return self._hold_grant(grant, None, predecessor=predecessor)


class UsesBeforeSaving(Renewal):
    """The pair is handed out at once, to be saved by the next call."""

    def _save(self, grant: GrantRecord, predecessor: Predecessor) -> CachedToken:
        return self._hold_grant(grant, None, predecessor=predecessor)


class ForgetsTheUnsavedPair(Renewal):
    """A failed save fails the renewal."""

    def _save(self, grant: GrantRecord, predecessor: Predecessor) -> CachedToken:
        return self._replace(grant, predecessor)


class RenewsPastAnUnsavedPair(Renewal):
    def run(self, goal: RenewalGoal) -> CachedToken:
        return super().run(RenewalGoal(None, goal.renewed_only, goal.forced))


class DropsTheRotatedRefreshToken(Renewal):
    def _ask(self, current: Token | None) -> Token:
        return super()._ask(current).replace(refresh_token=None)


class KeepsTheOldRefreshToken(Renewal):
    def _ask(self, current: Token | None) -> Token:
        assert current is not None
        return super()._ask(current).replace(refresh_token=current.refresh_token)


class WritesBlindly(Renewal):
    """Every write replaces whatever is there: no compare-and-set."""

    def _write(self, grant: GrantRecord, expected: Version | None) -> Version:
        record = self._load()
        return super()._write(grant, None if record is None else record.version)


class OverwritesALiveSibling(Renewal):
    """A conflict is overcome by writing again."""

    def _replace(self, grant: GrantRecord, predecessor: Predecessor) -> CachedToken:
        try:
            return self._hold_grant(grant, self._write(grant, predecessor.version))
        except Conflict:
            record = self._load()
        assert record is not None
        return self._hold_grant(grant, self._write(grant, record.version))


class BowsToAnEndedSibling(Renewal):
    """A sibling's mark, made because we had spent its token, is taken for the end of our new pair too."""

    def _replace(self, grant: GrantRecord, predecessor: Predecessor) -> CachedToken:
        try:
            return self._hold_grant(grant, self._write(grant, predecessor.version))
        except Conflict:
            record = self._load()
        assert record is not None
        return self._hold(record)


class RevivesItsOwnEndedPair(Renewal):
    """A sibling's mark on the very pair that is to be saved is overwritten."""

    def _replace(self, grant: GrantRecord, predecessor: Predecessor) -> CachedToken:
        held = super()._replace(grant, predecessor)
        if held.record.ended is None or held.version is None:
            return held
        return self._hold_grant(grant, self._write(grant, held.version))


class TakesATimeoutForAVerdict(Renewal):
    def _send(self, call: ServerRequest) -> HttpResponse:
        try:
            return super()._send(call)
        except TemporarilyUnavailable as failure:
            raise SignInRequired(str(failure), reason="refused") from None


class TakesA503ForAVerdict(Renewal):
    def _ask(self, current: Token | None) -> Token:
        try:
            return super()._ask(current)
        except TemporarilyUnavailable as failure:
            raise SignInRequired(str(failure), reason="refused") from None


class AsksAgainAtOnce(Renewal):
    """A lost answer is answered by the same request once more."""

    def _send(self, call: ServerRequest) -> HttpResponse:
        try:
            return super()._send(call)
        except TemporarilyUnavailable:
            return super()._send(call)


class DeletesOnInvalidGrant(Renewal):
    def _end(self, verdict: SignInRequired, record: Record | None, held: CachedToken | None) -> BlnkAuthError:
        self.ports.store.delete(self.key)
        return verdict


class MarksBlindly(Renewal):
    """The mark replaces whatever is there."""

    def _end(self, verdict: SignInRequired, record: Record | None, held: CachedToken | None) -> BlnkAuthError:
        return super()._end(verdict, self._load(), held)


class NoLookAfterInvalidGrant(Renewal):
    def _renew_locked(self, goal: RenewalGoal) -> CachedToken:
        record = self._load()
        assert record is not None
        held = self._hold(record)
        if goal.is_met_by(held, self.ports.clock()):
            return self._adopt(held, goal)
        self._refuse_if_ended(held, goal)
        try:
            token = self._ask(held.record.token)
        except SignInRequired as verdict:
            raise self._end(verdict, record, held) from None
        return self._save(GrantRecord(token), Predecessor(record.version, held.record.token))


class AsksAboutEndedGrants(Renewal):
    def _refuse_if_ended(self, held: CachedToken | None, goal: RenewalGoal) -> None:
        return


class FailsWithTheUnlock(Renewal):
    """A lock that cannot be released takes the new pair down with it."""

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        try:
            with self.ports.store.lock(self.key, timeout=1.0):
                yield
        except RuntimeError:
            raise StoreError("the lock could not be released") from None


class _ForgetsOnFailure(SimulatedToken):
    """Whatever fails empties the memory, in which the only copy of a pair may be."""

    __slots__ = ()

    def _remember_failure(self, error: BlnkAuthError) -> Any:
        self.cached = None
        return super()._remember_failure(error)


class _SavesAnEndedPairForEver(SimulatedToken):
    """A pair that has ended is still taken for one that is yet to be saved."""

    __slots__ = ()

    def _remember_end(self, error: SignInRequired) -> None:
        held = self.cached
        super()._remember_end(error)
        if held is not None and held.version is None and held.record.ended is None:
            self.cached = self.state.hold_ended(GrantRecord(held.record.token, error.reason), None)


def _with(renewal: type[Renewal], **setup: Any) -> Setup:
    token_type = type(renewal.__name__, (SimulatedToken,), {"__slots__": (), "renewal_type": renewal})
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
    "overwrites a live sibling": _with(OverwritesALiveSibling, server="grace"),
    "bows to an ended sibling": _with(BowsToAnEndedSibling, lock="lease", server="single use"),
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
    "a caller's cancellation reaches it": Setup(workers=2, calls=_ONCE, shielded=False),
    "a crash keeps the lock": Setup(workers=2, calls=_ONCE, crash_frees_lock=False),
}
