"""Stores the sign-ins that were started and are not finished.

Used by the authorization code sign-in. What this file promises:

* Any process that shares the store may finish a sign-in that another one started.
* A sign-in is claimed by compare-and-set: if two requests have the same callback, only one can finish it.
* A record is stored under a hash of its `state`, so somebody who can only list the keys cannot finish a sign-in.
* Abandoned sign-ins are deleted later. Starting a sign-in never waits for that.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from .._renewal.proofs import Binding
from .._renewal.store_keys import Registration, sign_in_key
from .._renewal.stored_record import binding_of_data, binding_to_data
from ..errors import Conflict, SignInRequired, StoreError, is_number, is_text
from ..stores._calls import call_store, load_record, save_record
from ..stores._due import NEVER_DUE
from ..stores._token_store import Record, TokenStore, Version

PENDING_LIFETIME = 600.0
"""Seconds in which the user must come back. Authorization codes expire after 30 seconds to 10 minutes."""

_ADDED = ("resource", "scope", "grant_id", "expected")
"""Members that records of earlier versions do not have. They are left out where they are None."""

_MAX_SWEPT = 10_000
"""The most records that one sweep reads."""


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """A sign-in that was started.

    Attributes:
        subject: The subject of the grant.
        redirect_uri: The redirect URI that was sent; the code exchange must repeat it (RFC 6749 section 4.1.3).
        expires_at: From then on the callback is not accepted, in UTC epoch seconds.
        code_verifier: The verifier of PKCE (RFC 7636); None if the provider does not use PKCE.
        target: The party behind the server that the user was sent to; None if there is only one.
        resource: What the tokens are for (RFC 8707); None if that was not specified.
        scope: The scope that was asked for; None if the server decides.
        grant_id: The grant that the user was asked to change; None if that was not specified.
        expected: The members that the token response must have, because of what was asked for: `authorization_details`
            and `grant_id`, separated by spaces. None if there are none.
        dpop: The key that the tokens will be bound to (RFC 9449), or its thumbprint; None: they will not be bound.
    """

    subject: str
    redirect_uri: str
    expires_at: float
    code_verifier: str | None = field(repr=False)
    target: str | None = None
    resource: str | None = None
    scope: str | None = None
    grant_id: str | None = None
    expected: str | None = None
    dpop: Binding = None

    def to_data(self) -> dict[str, Any]:
        """The JSON object that is stored."""
        data: dict[str, Any] = {
            "subject": self.subject,
            "redirect_uri": self.redirect_uri,
            "expires_at": self.expires_at,
            "code_verifier": self.code_verifier,
            "target": self.target,
        }
        later = ((name, getattr(self, name)) for name in _ADDED)
        data |= {name: value for name, value in later if value is not None}
        return data if self.dpop is None else {**data, "dpop": binding_to_data(self.dpop)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> PendingSignIn:
        """Read the result of `to_data`. Raises `SignInRequired` if it cannot be read."""
        subject, redirect_uri, expires_at = (data.get(name) for name in ("subject", "redirect_uri", "expires_at"))
        further = [data.get(name) for name in ("code_verifier", "target", *_ADDED)]
        if not (is_text(subject) and is_text(redirect_uri) and is_number(expires_at)) or not all(
            each is None or is_text(each) for each in further
        ):
            raise _restart("the record of this sign-in cannot be read")
        try:
            dpop = None if data.get("dpop") is None else binding_of_data(data["dpop"])
        except ValueError:
            raise _restart("the record of this sign-in cannot be read") from None
        return replace(cls(subject, redirect_uri, expires_at, *further), dpop=dpop)


class Claim(NamedTuple):
    """A pending sign-in that this request alone may finish."""

    key: str
    version: Version
    pending: PendingSignIn


class PendingSignIns:
    """The pending sign-ins of one client. May be used from any thread; each method blocks on the store.

    Args:
        store: Where they are stored.
        registration: The client that started them.
    """

    def __init__(self, store: TokenStore, registration: Registration) -> None:
        self._store = store
        self._registration = registration

    def add(self, state: str, pending: PendingSignIn) -> None:
        """Store a sign-in that was started. Raises `StoreError`."""
        save_record(self._store, self._key(state), {**pending.to_data(), **NEVER_DUE}, expected=None)

    def claim(self, state: str | None, now: float) -> Claim:
        """Reserve a started sign-in, so that no other request can finish it.

        Raises:
            SignInRequired: The sign-in is unknown, used, expired, or claimed by another request.
            StoreError: The store fails.
        """
        if state is None:
            raise SignInRequired(
                "callback_url has no state, so that it is not known which sign-in it finishes",
                remedy="begin again with start_authorization(); if the server never sends state back, pass the one "
                "from the user's session as unechoed_state",
                reason="restart",
            )
        record = self._load(state)
        if record is None:
            raise _restart("the sign-in with the state of callback_url is unknown, expired or already finished")
        pending = PendingSignIn.from_data(record.data)
        if pending.expires_at <= now:
            raise _restart("the sign-in was started too long ago")
        key = self._key(state)
        try:
            claimed = {"claimed": True, "expires_at": pending.expires_at, **NEVER_DUE}
            version = save_record(self._store, key, claimed, expected=record.version)
        except Conflict:
            raise _restart("another request is finishing this sign-in already") from None
        return Claim(key, version, pending)

    def give_back(self, claim: Claim) -> bool:
        """Undo a claim, so that the same callback can be tried again. Returns whether that was possible."""
        try:
            save_record(self._store, claim.key, {**claim.pending.to_data(), **NEVER_DUE}, expected=claim.version)
        except StoreError:
            return False
        return True

    def sweep(self, now: float) -> None:
        """Delete the sign-ins that nobody finished in time; 10,000 are looked at. Never raises for a store that fails.

        It costs as much as listing the store's keys, which in a `FileStore` is one look at each file.
        """
        with suppress(StoreError):
            self.delete_expired(now, most=_MAX_SWEPT)

    def delete_expired(self, now: float, *, most: int | None = None) -> int:
        """Delete the sign-ins that nobody finished in time, and what requests noted of them.

        Raises `StoreError` if they cannot be listed.

        `most`: how many are looked at; None: all. Returns how many were deleted.
        """
        prefixes = (self._registration.sign_ins, self._registration.pending)
        found = itertools.chain.from_iterable(self._store.keys(prefix) for prefix in prefixes)
        keys = call_store("read", lambda: list(itertools.islice(found, most)))
        return sum(self._delete_if_expired(key, now) for key in keys)

    def _delete_if_expired(self, key: str, now: float) -> bool:
        # A record that cannot be read must not stop the others from being deleted.
        with suppress(StoreError):
            record = load_record(self._store, key)
            if record is not None and _expires_at(record.data) <= now:
                call_store("written", self._store.delete, key)
                return True
        return False

    def _load(self, state: str) -> Record | None:
        record = load_record(self._store, self._key(state))
        return None if record is None or record.data.get("claimed") else record

    def _key(self, state: str) -> str:
        return sign_in_key(self._registration, state)


def _restart(problem: str) -> SignInRequired:
    return SignInRequired(problem, remedy="begin again with start_authorization()", reason="restart")


def _expires_at(data: Mapping[str, Any]) -> float:
    value = data.get("expires_at")
    return float(value) if is_number(value) else 0.0
