"""The stored form of a grant: a JSON object with the token and whether its grant still lives.

The object carries a schema version. A record of a newer schema, or a broken one, is a `StoreError` that names the key;
it is never taken for "nothing stored", because the next save would then destroy it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from ..errors import SignInReason, StoreError
from ..token import Token

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """A token and the standing of its grant. `ended` is None while the grant lives, else why it ended."""

    token: Token
    ended: SignInReason | None = None

    def to_data(self) -> dict[str, Any]:
        """The JSON object that is stored."""
        data: dict[str, Any] = {"schema": SCHEMA, "token": self.token.to_dict()}
        if self.ended is not None:
            data["ended"] = self.ended
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any], key: str) -> GrantRecord:
        """Read what `to_data` wrote. Raises `StoreError` if it is broken or of a newer schema."""
        schema = data.get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise StoreError(
                f"the record {key!r} was written by a newer blnk_auth (schema {schema}, this one reads {SCHEMA})",
                remedy="upgrade blnk_auth on this machine",
            )
        stored, ended = data.get("token"), data.get("ended")
        if schema != SCHEMA or not isinstance(stored, Mapping) or not isinstance(ended, str | None):
            raise _broken(key, "it is not a token record")
        try:
            # A reason that a later version may add is kept as it is.
            return cls(Token.from_dict(cast("Mapping[str, Any]", stored)), cast("SignInReason | None", ended))
        except ValueError as error:
            raise _broken(key, str(error)) from None


def _broken(key: str, why: str) -> StoreError:
    return StoreError(
        f"the record {key!r} cannot be read ({why})", remedy="restore it from a backup, or forget() and sign in again"
    )
