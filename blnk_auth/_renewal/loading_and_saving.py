"""The record of one grant in the store: reading it, locking it, and replacing it without losing a pair.

Used by `renewal` and `revocation`. What this file promises:

* A stored pair is replaced only by compare-and-set. An older pair never replaces a live one (`_comes_after`).
* A renewal never replaces a sign-in that was made after the renewal began.
* A pair and the key that it is bound to are replaced together. A renewal never replaces a key.
* If the store has a pair that this process has seen replaced, the store has lost a write. That pair is not used, and
  the newer one is written again.
* A new pair that cannot be saved is not lost: it is returned as an unsaved `CachedToken`, to be saved later.
* Any exception of a store is raised as a `StoreError`, which contains no stored data.

It never sends a request to the authorization server.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from .._protocol.dpop import DPOP
from .._protocol.dpop_key import DpopKey
from .._protocol.token_response import is_dpop_type, is_not_applicable, is_usable_type
from ..errors import BlnkAuthError, Conflict, SignInReason, StoreError
from ..events import Event, EventName
from ..stores._calls import call_store, load_record, locked, save_record
from ..stores._due import DUE_AT
from ..stores._token_store import Record, Version
from ..token import Token
from .authorization_grants import sign_in_required
from .cached_token import CachedToken, UnsendableToken, is_sendable
from .ports import Ports
from .predecessor import Predecessor, Stored
from .schedule import UNUSABLE, schedule_of
from .stored_record import GrantRecord, sign_in_of

if TYPE_CHECKING:
    from ..provider import Provider


_MOST_SUPERSEDED = 4
"""How many hashes are kept: a store that fails over loses its last write, one restored from a snapshot a few more."""

_MOST_CONFLICTS = 2
"""How often a pair is compared again with what another process has stored meanwhile."""

_ROLLED_BACK = (
    "the store had an earlier pair of this grant than one that it had confirmed; the newer pair is saved again. If the "
    "store failed over or was restored, other grants may have lost their last pair: see "
    "docs/how-to/use-postgresql-or-redis.md"
)


class StoredGrant:
    """One grant in the store. Blocking; for one operation on one thread.

    Attributes:
        key: The key of its record.
        subject: Whose grant it is; None for the client's own.
        provider: Which scheme precedes its tokens, and how early they may be renewed.
        ports: The outside world.
        is_renewable: Whether a token of this grant can be renewed.
        events: What happened, to be emitted after all locks have been released.
    """

    def __init__(
        self,
        key: str,
        subject: str | None,
        provider: Provider,
        ports: Ports,
        is_renewable: Callable[[Token], bool],
        *,
        events: list[Event],
    ) -> None:
        self.key = key
        self.subject = subject
        self.provider = provider
        self.ports = ports
        self.is_renewable = is_renewable
        self.events = events

    # --- reading -------------------------------------------------------------------------------------------------

    def load(self, known: CachedToken | None = None) -> Stored | None:
        """The stored grant; None if nothing is stored. Raises `StoreError`, also for a record that cannot be read.

        `known`: the newest token of this grant that this process has seen; None if it has seen none.
        """
        stored = load_record(self.ports.store, self.key)
        if stored is None:
            return None
        record = GrantRecord.from_data(stored.data, self.key)
        return Stored(record, stored.version, self.cache(record, stored.version, known=known))

    def load_newest(self, known: CachedToken | None) -> Stored | None:
        """Like `load`, for a caller that has the lock. Also repeats a write of this process that the store has lost.

        A store loses a confirmed write when it fails over to a replica that is behind, or is restored from a backup.
        Its refresh token has then been spent already, and using it again could end the grant. Raises `StoreError`.
        """
        stored = self.load(known)
        if stored is None or known is None or not known.supersedes(stored.record.token):
            return stored
        # The new record has no `sign_in`: `known` may come from another sign-in than the stored record.
        # It has no `ended` either: a refusal that this process remembers may have been about the older pair.
        record = GrantRecord(known.token, dpop=known.dpop)
        version = self.write(record, stored.version)
        self.events.append(Event("store_rolled_back", self.key, _ROLLED_BACK))
        return Stored(record, version, self.cache(record, version, known=known))

    def key_of(self, record: GrantRecord) -> DpopKey | None:
        """The key that a grant is bound to; None if it is not bound. Raises as `Proofs.key_of`."""
        whose = "the client" if self.subject is None else f"subject {self.subject!r}"
        return self.ports.proofs.key_of(record.dpop, whose)

    def bind(self, stored: Stored, key: DpopKey) -> Stored:
        """Store the key that the next renewal will bind the grant to, before the server sees it.

        The server may then bind the refresh token to that key even if its response is lost. By compare-and-set all
        processes use one key. Raises `Conflict` if another process has stored something meanwhile. If the store fails
        otherwise, the key is stored together with the new pair.
        """
        record, version = dataclasses.replace(stored.record, dpop=key), stored.version
        try:
            version = self.write(record, version)
        except Conflict:
            raise
        except StoreError as failure:
            self.note_failure("save_failed", failure)
        return Stored(record, version, self.cache(record, version, known=stored.cached))

    def cache(
        self,
        record: GrantRecord,
        version: Version | None,
        *,
        predecessor: Predecessor | None = None,
        known: CachedToken | None = None,
    ) -> CachedToken:
        """The token of a record, as it is cached in memory. If its grant has ended, it is used until it expires.

        `predecessor` or `known` is what it replaces: from them it takes the hashes of spent refresh tokens. A
        `predecessor` is given by what writes the record.
        """
        before = predecessor or known
        schedule = schedule_of(
            record.token,
            self.ports.policy,
            renewable=record.ended is None and self.is_renewable(record.token),
            jitter_position=self.ports.jitter_position(),
            earliest_renewal=self.provider.earliest_renewal,
        )
        scheme, key, is_usable = self._usable(record)
        if not is_usable:
            schedule = UNUSABLE
        elif version is None:
            # Not saved yet: each call tries again in the background, but not during the cool-down.
            schedule = schedule._replace(renew_at=-math.inf)
        is_for_apis = not _is_only_presented(record.token)
        return (CachedToken if is_for_apis else UnsendableToken)(
            record.token,
            schedule,
            dpop=key,
            ended=record.ended,
            # There may be very many tokens: they share one string.
            prefix=sys.intern(f"{scheme} "),
            version=version,
            predecessor=predecessor if version is None else None,
            superseded=() if before is None else _superseded(record.token, before.token, before.superseded),
            written_here=predecessor is not None,
        )

    def _usable(self, record: GrantRecord) -> tuple[str, DpopKey | None, bool]:
        """The scheme of the token, the key that the grant is bound to, and whether the token may be sent."""
        token, scheme = record.token, self.provider.token_scheme
        try:
            key = self.key_of(record)
        except BlnkAuthError:
            # Raised when the token is needed: a pair that is saved now must not be lost for it.
            return scheme, None, False
        if key is not None and is_dpop_type(token.token_type):
            return DPOP, key, is_sendable(token.access_token)
        has_usable_type = is_usable_type(token.token_type, scheme) or _is_only_presented(token)
        return scheme, key, is_sendable(token.access_token) and has_usable_type

    # --- writing -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Take the store's lock for this grant. Raises `StoreError` if it is not free in time."""
        timeout = self.ports.policy.lock_timeout
        with locked(self.ports.store, self.key, timeout=timeout, note=self._note_unlocked):
            yield

    def _note_unlocked(self, failure: StoreError) -> None:
        self.note_failure("unlock_failed", failure)

    def write(self, record: GrantRecord, expected: Version | None) -> Version:
        """Save by compare-and-set. Raises `Conflict`, `StoreError`."""
        due_at = record.due_at(self.provider.refresh_idle_lifetime)
        return save_record(self.ports.store, self.key, {**record.to_data(), DUE_AT: due_at}, expected=expected)

    def put(self, record: GrantRecord) -> CachedToken:
        """Save a new sign-in, replacing any stored pair. Raises `StoreError`."""
        with self.locked():
            stored = load_record(self.ports.store, self.key)
            if stored is not None:
                record = dataclasses.replace(record, replaces=sign_in_of(stored.data))
            version = self.write(record, None if stored is None else stored.version)
            return self.cache(record, version, predecessor=Predecessor(token=self._token_of(stored)))

    def put_or_keep(self, record: GrantRecord) -> CachedToken:
        """Like `put`. If saving fails, the pair is still returned, and stays in memory until it can be saved."""
        predecessor = Predecessor(new_sign_in=record.sign_in, dpop=record.dpop, requested_scope=record.requested_scope)
        try:
            with self.locked():
                predecessor = self._before_sign_in(predecessor)
                record = predecessor.successor(record.token, record.ended)
                cached = self.cache(record, self.write(record, predecessor.version), predecessor=predecessor)
        except StoreError as failure:
            self.note_failure("save_failed", failure)
            if not predecessor.was_read:
                # The lock was not had. What this sign-in replaces may be known all the same.
                with contextlib.suppress(StoreError):
                    predecessor = self._before_sign_in(predecessor)
            return self.cache(record, None, predecessor=predecessor)
        self.events.append(Event("signed_in", self.key, repr(record.token)))
        return cached

    def _before_sign_in(self, predecessor: Predecessor) -> Predecessor:
        """With what is stored now, which a new sign-in replaces."""
        stored = load_record(self.ports.store, self.key)
        if stored is None:
            return predecessor._replace(was_read=True)
        return predecessor._replace(
            version=stored.version, token=self._token_of(stored), sign_in=sign_in_of(stored.data), was_read=True
        )

    def _token_of(self, stored: Record | None) -> Token | None:
        """The stored token. None if nothing is stored, or if the record cannot be read."""
        try:
            return None if stored is None else GrantRecord.from_data(stored.data, self.key).token
        except StoreError:
            return None

    def delete(self) -> None:
        """Delete the record, for a caller that has the lock. Raises `StoreError`."""
        call_store("written", self.ports.store.delete, self.key)

    def save(self, token: Token, predecessor: Predecessor) -> CachedToken:
        """Save a renewed pair. If saving fails, it is still returned, and stays in memory until it can be saved."""
        record = predecessor.successor(token)
        try:
            cached = self._replace(record, predecessor)
        except StoreError as failure:
            self.note_failure("save_failed", failure)
            return self.cache(record, None, predecessor=predecessor)
        self.events.append(Event("renewed", self.key, repr(cached.token)))
        return cached

    def save_at_last(self, unsaved: CachedToken) -> CachedToken:
        """Save a pair that could not be saved before. Raises `StoreError` if it still cannot be."""
        predecessor = unsaved.predecessor or Predecessor()
        record = predecessor.successor(unsaved.token, unsaved.ended, is_late=True)
        cached = self._replace(record, predecessor)
        self.events.append(Event("saved", self.key, repr(cached.token)))
        return cached

    def _replace(self, record: GrantRecord, predecessor: Predecessor) -> CachedToken:
        """Save by compare-and-set, and return the token to use from now on.

        If another process has stored a pair since this one read the store, the pair that comes later wins.
        """
        expected = predecessor.version
        for _ in range(_MOST_CONFLICTS):
            with contextlib.suppress(Conflict):
                return self.cache(record, self.write(record, expected), predecessor=predecessor)
            # Where the lock does not exclude, another process may store a pair between any two operations here.
            stored = self.load()
            if stored is None and self.subject is not None and predecessor.new_sign_in is None:
                # The grant was forgotten meanwhile: the new pair must not bring it back.
                raise sign_in_required("missing", self.subject)
            if stored is not None and not self._comes_after(record, predecessor, stored.record):
                return stored.cached
            expected = None if stored is None else stored.version
        return self.cache(record, self.write(record, expected), predecessor=predecessor)

    def _comes_after(self, ours: GrantRecord, predecessor: Predecessor, found: GrantRecord) -> bool:
        """Whether our new pair replaces one that another process has stored since we read the store.

        This depends on what was spent for it, and on clocks only where nothing else is known: they differ between
        machines, and may be set back.
        """
        if found.token == ours.token:
            return False
        if predecessor.was_spent_for(ours.token, found.token):
            return True
        if predecessor.new_sign_in is not None:
            # A sign-in comes after every renewal of the grant before it, and before a sign-in that was made later.
            if not predecessor.was_read:
                return found.sign_in != ours.sign_in
            return predecessor.version is not None and found.sign_in in (None, predecessor.sign_in)
        if found.sign_in is not None and found.sign_in != ours.sign_in:
            # The user has signed in meanwhile; or the store has lost our sign-in, and has the grant before it again.
            return found.sign_in == ours.replaces and found.replaces != ours.sign_in
        if found.ended is not None:
            # The server refused the stored pair after we had spent it.
            return True
        # Two live pairs of one sign-in.
        rank, found_rank = ours.rank, found.rank
        if rank is not None and found_rank is not None and rank != found_rank:
            return rank > found_rank
        # A server with a grace period issued both for one refresh token, and both were saved late or the lock did not
        # exclude; or a record is of an earlier version. Only the clocks are left: the one that was issued later wins.
        issued_at, found_at = ours.token.issued_at, found.token.issued_at
        return issued_at is not None and found_at is not None and found_at < issued_at

    def mark_ended(self, stored: Stored, reason: SignInReason) -> None:
        """Store why a grant has ended. The token stays. If the store fails, only this mark is missing."""
        try:
            ended = dataclasses.replace(stored.record, ended=reason, ended_at=self.ports.clock())
            self.write(ended, stored.version)
        except StoreError as failure:
            self.note_failure("save_failed", failure)

    def note_failure(self, name: EventName, failure: BlnkAuthError) -> None:
        """Add an event about a failure."""
        # A copy: the traceback of the original refers to the data that was to be stored.
        self.events.append(Event(name, self.key, str(failure), failure.replace()))


def _superseded(new: Token, old: Token | None, before: tuple[int, ...]) -> tuple[int, ...]:
    """`CachedToken.superseded` for the token `new` that replaces `old`. `before` is that of `old`."""
    # Only hashes are kept, since there may be very many grants. `hash` is random in each process and reveals nothing.
    spent = () if old is None or old.refresh_token is None else (hash(old.refresh_token),)
    newest = hash(new.refresh_token)
    return tuple(each for each in dict.fromkeys((*spent, *before)) if each != newest)[:_MOST_SUPERSEDED]


def _is_only_presented(token: Token) -> bool:
    """Whether a token exchange issued it, and it is not an access token (RFC 8693 section 2.2.1)."""
    return is_not_applicable(token.token_type) and "issued_token_type" in token.extra
