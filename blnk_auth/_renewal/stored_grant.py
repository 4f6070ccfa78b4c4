"""The record of one grant in the store: reading it, locking it, and replacing it without losing a pair.

Used by `renewal` and `revocation`. What this file promises:

* A stored pair is replaced only by compare-and-set, and a live one never by an older one.
* A new pair that cannot be saved is not lost: it is returned as an unsaved `CachedToken`, to be saved later.
* Whatever a store raises arrives as a `StoreError`, which holds no data.

It never asks the authorization server.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._protocol.answers import is_usable_type
from ..errors import BlnkAuthError, Conflict, StoreError
from ..events import Event, EventName
from ..stores._calls import call_store, load_record, save_record
from ..stores._token_store import Record, Version
from ..token import Token
from .authorization_grants import sign_in_required
from .cached_token import CachedToken, Predecessor, is_sendable
from .grant_record import GrantRecord
from .ports import Ports
from .schedule import UNUSABLE, schedule_of

if TYPE_CHECKING:
    from ..provider import Provider


@dataclass(slots=True)
class StoredGrant:
    """One grant in the store. Blocking; for one operation on one thread.

    Attributes:
        key: The key of its record.
        subject: Whose grant it is; None for the client's own.
        provider: Which scheme precedes its tokens, and how early they may be renewed.
        ports: The outside world.
        is_renewable: Whether a token of this grant can be renewed.
        events: What happened, to be emitted when no lock is held any more.
    """

    key: str
    subject: str | None
    provider: Provider
    ports: Ports
    is_renewable: Callable[[Token], bool]
    events: list[Event]

    # --- reading -------------------------------------------------------------------------------------------------

    def load(self) -> Record | None:
        """The stored record as it is."""
        return load_record(self.ports.store, self.key)

    def read(self, stored: Record) -> CachedToken:
        """A stored record as it is cached in memory. Raises `StoreError` if it cannot be read."""
        return self.cache(GrantRecord.from_data(stored.data, self.key), stored.version)

    def look(self) -> CachedToken | None:
        """What is stored, as it is cached in memory; None if nothing is."""
        stored = self.load()
        return None if stored is None else self.read(stored)

    def cache(
        self, record: GrantRecord, version: Version | None, *, predecessor: Predecessor | None = None
    ) -> CachedToken:
        """A record as it is cached in memory. One whose grant has ended is used until its access token expires."""
        schedule = schedule_of(
            record.token,
            self.ports.policy,
            renewable=record.ended is None and self.is_renewable(record.token),
            jitter_position=self.ports.jitter_position(),
            earliest_renewal=self.provider.earliest_renewal,
        )
        if not (
            is_sendable(record.token.access_token)
            and is_usable_type(record.token.token_type, self.provider.token_scheme)
        ):
            schedule = UNUSABLE
        elif version is None:
            # Not saved yet: every call tries again in the background, spaced by the cool-down.
            schedule = schedule._replace(renew_at=-math.inf)
        return CachedToken(
            record.token,
            schedule,
            ended=record.ended,
            # One text for all tokens, of which there may be many.
            prefix=sys.intern(f"{self.provider.token_scheme} "),
            version=version,
            predecessor=predecessor,
        )

    # --- writing -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Exclude everyone who shares the store. Raises `StoreError` if the lock is not had in time."""
        lock = call_store("locked", self.ports.store.lock, self.key, timeout=self.ports.policy.lock_timeout)
        call_store("locked", lock.__enter__)
        try:
            yield
        finally:
            # A lock that cannot be released must not take a new pair down with it.
            try:
                call_store("unlocked", lock.__exit__, None, None, None)
            except StoreError as failure:
                self.note_failure("unlock_failed", failure)

    def write(self, record: GrantRecord, expected: Version | None) -> Version:
        """Save by compare-and-set. Raises `Conflict`, `StoreError`."""
        return save_record(self.ports.store, self.key, record.to_data(), expected=expected)

    def put(self, record: GrantRecord) -> CachedToken:
        """Save a grant that was just obtained, whatever is stored. Raises `StoreError`."""
        with self.locked():
            stored = self.load()
            return self.cache(record, self.write(record, None if stored is None else stored.version))

    def forget(self) -> None:
        """Delete the record. Raises `StoreError`."""
        with self.locked():
            self.delete()

    def delete(self) -> None:
        """Delete the record, for a caller that has the lock. Raises `StoreError`."""
        call_store("written", self.ports.store.delete, self.key)

    def save(self, record: GrantRecord, predecessor: Predecessor) -> CachedToken:
        """Save a new pair. If that fails, the pair is returned all the same: it goes on in memory."""
        try:
            cached = self.replace(record, predecessor)
        except StoreError as failure:
            self.note_failure("save_failed", failure)
            return self.cache(record, None, predecessor=predecessor)
        self.events.append(Event("renewed", self.key, repr(cached.token)))
        return cached

    def save_at_last(self, unsaved: CachedToken) -> CachedToken:
        """Save a pair that could not be saved before. Raises `StoreError` if it still cannot be."""
        cached = self.replace(GrantRecord(unsaved.token, unsaved.ended), unsaved.predecessor or Predecessor())
        self.events.append(Event("saved", self.key, repr(cached.token)))
        return cached

    def replace(self, record: GrantRecord, predecessor: Predecessor) -> CachedToken:
        """Compare-and-set. A live pair of another process that is not older stays, and is used."""
        try:
            return self.cache(record, self.write(record, predecessor.version))
        except Conflict:
            stored = self.load()
        if stored is None:
            if self.subject is not None:
                # The grant was forgotten meanwhile: the new pair must not bring it back.
                raise sign_in_required("missing", self.subject)
            return self.cache(record, self.write(record, None))
        found = self.read(stored)
        lives = found.ended is None and not _is_older(found.token, record.token, predecessor)
        if lives or found.token == record.token:
            return found
        # An older pair, or a mark that its grant has ended, which another process made because our renewal had spent
        # its refresh token.
        return self.cache(record, self.write(record, stored.version))

    def mark_ended(self, ended: GrantRecord, version: Version) -> None:
        """Store why a grant has ended. The token stays. A store that fails costs only the mark."""
        try:
            self.write(ended, version)
        except StoreError as failure:
            self.note_failure("save_failed", failure)

    def note_failure(self, name: EventName, failure: BlnkAuthError) -> None:
        """Add an event about a failure."""
        # A copy: the frames of the original hold what was to be stored.
        self.events.append(Event(name, self.key, str(failure), failure.replace()))


def _is_older(found: Token, new: Token, predecessor: Predecessor) -> bool:
    if predecessor.was_spent_for(new, found):
        return True
    return found.issued_at is not None and new.issued_at is not None and found.issued_at < new.issued_at
