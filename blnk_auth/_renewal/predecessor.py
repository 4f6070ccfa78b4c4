"""What a new pair replaces in the store: what was stored when its renewal or its sign-in began.

Used by `loading_and_saving`, and by `renewal`, which passes it on. It promises that a renewed pair keeps what belongs
to the sign-in. It never reads or writes the store.
"""

from __future__ import annotations

from typing import NamedTuple

from .._protocol.demands import Demands
from ..errors import SignInReason
from ..stores._token_store import Version
from ..token import Token
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

    def successor(self, token: Token, ended: SignInReason | None = None, *, is_late: bool = False) -> GrantRecord:
        """The record of the new pair. `is_late`: it could not be saved in the renewal that it comes from."""
        if self.new_sign_in is not None:
            return GrantRecord(
                token, ended, self.new_sign_in, renewals=0, was_saved_late=is_late, replaces=self.sign_in
            )
        renewals = None if self.renewals is None else self.renewals + 1
        return GrantRecord(
            token,
            ended,
            self.sign_in,
            renewals=renewals,
            was_saved_late=is_late,
            replaces=self.replaces,
            demands=self.demands,
        )

    def was_spent_for(self, new: Token, found: Token) -> bool:
        """Whether `found` has the refresh token that was spent for `new`, or one before it.

        Another process wrote the old pair again, or the store has lost a write.
        """
        spent = None if self.token is None else self.token.refresh_token
        if found.refresh_token is None or found.refresh_token == new.refresh_token:
            return False
        return found.refresh_token == spent or hash(found.refresh_token) in self.superseded
