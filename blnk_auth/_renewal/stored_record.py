"""The stored form of a grant: a JSON object with the token, its origin, its key if it is bound to one, and its end.

Used by everything that reads or writes a grant. The object has a schema version. It promises that a record of a newer
schema, or a broken one, raises a `StoreError` that names the key. Such a record is never treated as "nothing stored",
because the next save would overwrite it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from .._protocol.demands import Demands
from .._protocol.dpop_key import DpopKey
from ..errors import SignInReason, StoreError, is_number
from ..stores._token_store import to_json
from ..token import Token
from .proofs import Binding

SCHEMA = 1

BOUND_SCHEMA = 2
"""Of a record with a DPoP key. A version that does not know DPoP refuses it, and so never renews it without a proof."""

_HASH_LENGTH = 16

_MOST_RENEWALS = 2**53
"""Beyond it a store that keeps JSON numbers as floats would change a count."""


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """What is stored of one grant. Immutable.

    Attributes:
        token: Its newest token.
        ended: Why the grant has ended; None while it has not.
        sign_in: Identifies the sign-in that the token comes from, through all renewals: a hash of the first token. None
            if that is unknown, as in records of earlier versions.
        ended_at: When the end was noted, in UTC epoch seconds. None: not ended, or noted by an earlier version.
        renewals: How many renewals of that sign-in have led to the token. None if that is unknown, as for `sign_in`.
        was_saved_late: Whether it could not be saved in the renewal that it comes from, and was saved afterwards.
        replaces: The `sign_in` of the grant that this sign-in replaced. None: there was none, or it is unknown.
        demands: What the API has asked for since that sign-in, and only another one gives. None: nothing.
        dpop: The key that its tokens are bound to (RFC 9449), or the thumbprint of the application's own key. None:
            they are not bound.
        requested_scope: The scope that the sign-in asked for, which may be more than it got. None: none was named, or
            it is unknown.
    """

    token: Token
    ended: SignInReason | None = None
    sign_in: str | None = field(default=None, compare=False)
    ended_at: float | None = field(default=None, compare=False)
    renewals: int | None = field(default=None, compare=False)
    was_saved_late: bool = field(default=False, compare=False)
    replaces: str | None = field(default=None, compare=False)
    demands: Demands | None = field(default=None, compare=False)
    dpop: Binding = None
    requested_scope: str | None = field(default=None, compare=False)

    @classmethod
    def signed_in(cls, token: Token, dpop: Binding = None, requested_scope: str | None = None) -> GrantRecord:
        """The record of a new sign-in, or of a token obtained elsewhere."""
        first = token.refresh_token or token.access_token
        name = hashlib.sha256(first.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
        return cls(token, sign_in=name, renewals=0, dpop=dpop, requested_scope=requested_scope)

    def is_same_as(self, found: GrantRecord) -> bool:
        """Whether `found` is this record, or was before a key was added to it that could not be stored."""
        return found in (self, replace(self, dpop=None))

    @property
    def rank(self) -> tuple[int, bool] | None:
        """Its place among the pairs of its sign-in, as far as that is known without a clock; None: not at all.

        More renewals have led to the newer pair. Of two pairs that were issued for one refresh token, the one that was
        saved in its own renewal is newer than the one that was saved late. For the renewals under the lock follow one
        another, and a later one would have found the pair of the earlier one in the store.
        """
        return None if self.renewals is None else (self.renewals, not self.was_saved_late)

    def to_data(self) -> dict[str, Any]:
        """The JSON object that is stored."""
        further = {
            "ended": self.ended,
            "sign_in": self.sign_in,
            "ended_at": self.ended_at,
            "renewals": self.renewals,
            "saved_late": self.was_saved_late or None,
            "replaces": self.replaces,
            "demands": None if self.demands is None else self.demands.to_data(),
            "dpop": None if self.dpop is None else binding_to_data(self.dpop),
            "requested_scope": self.requested_scope,
        }
        return {
            "schema": SCHEMA if self.dpop is None else BOUND_SCHEMA,
            "token": self.token.to_dict(),
            **{name: value for name, value in further.items() if value is not None},
        }

    def due_at(self, idle_lifetime: float | None) -> float | None:
        """When the grant ends unless it is renewed, in UTC epoch seconds. None: it has ended, or nothing can renew it.

        That is the expiry of its refresh token; where it is unknown, that of its access token. `idle_lifetime`: seconds
        after which an unused refresh token expires; None if that is unknown.
        """
        if self.ended is not None or self.token.refresh_token is None:
            return None
        end = refresh_expiry(self.token, idle_lifetime)
        return self.token.expires_at if end is None else end

    @classmethod
    def from_data(cls, data: Mapping[str, Any], key: str) -> GrantRecord:
        """Read what `to_data` wrote. Raises `StoreError` if it is broken or of a newer schema."""
        schema = data.get("schema")
        if isinstance(schema, int) and schema > BOUND_SCHEMA:
            raise StoreError(
                f"the record {key!r} was written by a newer blnk_auth (schema {schema}, this one reads {BOUND_SCHEMA})",
                remedy="upgrade blnk_auth on this machine",
                key=key,
            )
        stored, ended = data.get("token"), data.get("ended")
        if schema not in (SCHEMA, BOUND_SCHEMA) or not isinstance(stored, Mapping) or not isinstance(ended, str | None):
            raise _unreadable(key, "it is not a token record")
        try:
            token = Token.from_dict(cast("Mapping[str, Any]", stored))
            dpop = None if schema == SCHEMA else binding_of_data(data.get("dpop"))
        except ValueError as error:
            raise _unreadable(key, str(error)) from None
        # A later version may have written a reason that this one does not know: it is kept.
        ended_at = data.get("ended_at")
        return cls(
            token,
            cast("SignInReason | None", ended),
            sign_in_of(data),
            ended_at if is_number(ended_at) else None,
            _renewals_of(data),
            data.get("saved_late") is True,
            _text_of(data, "replaces"),
            Demands.from_data(data.get("demands")),
            dpop,
            _text_of(data, "requested_scope"),
        )


def refresh_expiry(token: Token, idle_lifetime: float | None) -> float | None:
    """When the refresh token expires if it is not used, in UTC epoch seconds; None if that is unknown.

    `idle_lifetime`: seconds after which an unused refresh token expires; None if that is unknown.
    """
    if token.refresh_token is None:
        return None
    idle = None if idle_lifetime is None or token.issued_at is None else token.issued_at + idle_lifetime
    return min((end for end in (idle, token.refresh_expires_at) if end is not None), default=None)


def binding_to_data(binding: DpopKey | str) -> dict[str, Any]:
    """As it is stored: the private key, or the thumbprint of a key that the application has given."""
    if isinstance(binding, str):
        return {"jkt": binding}
    jwk = binding.to_private_jwk()
    return {"jkt": binding.thumbprint} if jwk is None else {"jwk": jwk}


def binding_of_data(data: Any) -> DpopKey | str:
    """The inverse of `binding_to_data`. Raises `ValueError`."""
    if isinstance(data, Mapping):
        stored = cast("Mapping[str, Any]", data)
        jwk, thumbprint = stored.get("jwk"), stored.get("jkt")
        if isinstance(jwk, Mapping):
            return DpopKey.from_private_jwk(cast("Mapping[str, Any]", jwk))
        if isinstance(thumbprint, str):
            return thumbprint
    raise ValueError("its DPoP key cannot be read")


def sign_in_of(data: Mapping[str, Any]) -> str | None:
    """`GrantRecord.sign_in` of a stored object, even if the rest of that object cannot be read."""
    return _text_of(data, "sign_in")


def _text_of(data: Mapping[str, Any], member: str) -> str | None:
    value = data.get(member)
    return value if isinstance(value, str) else None


def _renewals_of(data: Mapping[str, Any]) -> int | None:
    renewals = data.get("renewals")
    # True is an int in Python, and in no count.
    is_count = type(renewals) is int and 0 <= renewals < _MOST_RENEWALS
    return renewals if is_count else None


def why_not_storable(token: Token) -> str | None:
    """Why reading the stored token back would not give an equal one; None if it would."""
    try:
        read_back = Token.from_dict(json.loads(to_json(token.to_dict())))
    except ValueError as error:
        return str(error)
    except (TypeError, StoreError):
        return "it has members that are not JSON"
    return None if read_back == token else "it has members that are not JSON"


def _unreadable(key: str, why: str) -> StoreError:
    return StoreError(
        f"the record {key!r} cannot be read ({why})",
        key=key,
        parameter="record",
        remedy="restore it from a backup, or forget() and sign in again",
    )
