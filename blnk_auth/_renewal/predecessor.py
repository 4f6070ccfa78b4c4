"""What is stored of a grant, and what a new pair replaces there.

Used by `loading_and_saving`, and by the renewal, which passes what it has read on to what it saves. Pure values: this
file promises that the record of a new pair names where the pair comes from. It never reads a clock or a store.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from .._protocol.demands import Demands
from ..errors import SignInReason
from ..stores._token_store import Version
from ..token import Token
from .cached_token import CachedToken
from .proofs import Binding
from .stored_record import GrantRecord


class Predecessor(NamedTuple):
    """What was stored when a renewal or a sign-in began: its new pair replaces this.

    Attributes:
        version: The stored version; None if nothing was stored, or the store could not be read.
        token: The token whose refresh token was spent, or that a new sign-in replaces; None if there is none.
        sign_in: `GrantRecord.sign_in` of the stored record.
        renewals: `GrantRecord.renewals` of the stored record.
        replaces: `GrantRecord.replaces` of the stored record.
        demands: `GrantRecord.demands` of the stored record.
        new_sign_in: `GrantRecord.sign_in` of the new pair, if a sign-in brought it; None if a renewal did.
        was_read: For a new sign-in: whether the store could be read, so that it is known what the sign-in replaces.
        superseded: `CachedToken.superseded` of `token`.
        dpop: The key that the new pair is bound to; None if it is not bound. A renewal never replaces the key of the
            stored record, and a sign-in brings its own.
        requested_scope: `GrantRecord.requested_scope` of the stored record; for a new sign-in: its own.
    """

    version: Version | None = None
    token: Token | None = None
    sign_in: str | None = None
    renewals: int | None = None
    replaces: str | None = None
    new_sign_in: str | None = None
    was_read: bool = False
    superseded: tuple[int, ...] = ()
    demands: Demands | None = None
    dpop: Binding = None
    requested_scope: str | None = None

    def successor(self, token: Token, ended: SignInReason | None = None, *, is_late: bool = False) -> GrantRecord:
        """The record of the new pair. `is_late`: it could not be saved in the renewal that it comes from."""
        record = GrantRecord(token, ended, was_saved_late=is_late, dpop=self.dpop, requested_scope=self.requested_scope)
        if self.new_sign_in is not None:
            return replace(record, sign_in=self.new_sign_in, renewals=0, replaces=self.sign_in)
        renewals = None if self.renewals is None else self.renewals + 1
        return replace(record, sign_in=self.sign_in, renewals=renewals, replaces=self.replaces, demands=self.demands)

    def was_spent_for(self, new: Token, found: Token) -> bool:
        """Whether `found` has the refresh token that was spent for `new`, or one before it.

        Another process wrote the old pair again, or the store has lost a write.
        """
        spent = None if self.token is None else self.token.refresh_token
        if found.refresh_token is None or found.refresh_token == new.refresh_token:
            return False
        return found.refresh_token == spent or hash(found.refresh_token) in self.superseded


class Stored(NamedTuple):
    """What is stored of a grant.

    Attributes:
        record: As it is stored.
        version: The store's version of it.
        cached: As it is cached in memory.
    """

    record: GrantRecord
    version: Version
    cached: CachedToken

    @property
    def token(self) -> Token:
        """Its token."""
        return self.record.token

    @property
    def predecessor(self) -> Predecessor:
        """What a renewal of this pair replaces."""
        record = self.record
        return Predecessor(
            self.version,
            record.token,
            record.sign_in,
            record.renewals,
            record.replaces,
            superseded=self.cached.superseded,
            demands=record.demands,
            dpop=record.dpop,
            requested_scope=record.requested_scope,
        )
