"""The stored record of a sign-in that requests wait for: who asks the user, until when, and where the user is sent.

Used by `request_sign_in`. One record for each grant, under `pending_key`. What this file promises:

* The record is changed by compare-and-set only, so that of all processes that share the store one asks the user.
* Who asks has the record for `LEASE` seconds, and extends that while the user is being asked. If that process is
  killed, others wait no longer than the lease, and one of them asks in its place. The clocks of hosts that share a
  store must agree to within a few seconds; if they do not, a user may be asked twice, and nothing else happens.
* A sign-in that was begun and that anybody may finish is shared for `SHARED_FOR` seconds.
* It is not a lock: nobody has the lock of the grant, or of this record, while a user is asked.

A record that cannot be read counts as empty: it holds nothing that cannot be made again. It never holds a token.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

from .._renewal.client_state import ClientState
from .._renewal.store_keys import pending_key, sign_in_key
from .._sign_in.start_authorization import AuthorizationRequest
from ..errors import Conflict, SignInRequired, is_number, is_text
from ..stores._calls import call_store, load_record, save_record
from ..stores._due import NEVER_DUE

LEASE = 30.0
"""Seconds for which a process has the record, if it does not extend that: as long as a killed one blocks the others."""

SHARED_FOR = 300.0
"""Seconds in which a sign-in that was begun is given to the next failing request too."""

COUNTED_WITHIN = 3600.0
MOST_WIDENED = 3
MOST_SIGNED_IN = 10
"""Within that many seconds: how often a user is asked for more than a grant gives, and how often one signs in at all.
An API that rejects each new token would otherwise ask the user with each request."""

_KEPT = 60.0
"""Seconds for which the last change can be read: those who wait look every two seconds."""

_MOST_CONFLICTS = 20
"""How often a change is tried again because another process has made one."""


class Asked(NamedTuple):
    """What a sign-in asks for.

    Attributes:
        scope: Space-separated; None lets the server decide.
        acr_values: How the user must authenticate (RFC 9470); None if that is not specified.
        max_age: Seconds since the user authenticated, at most; None if that is not specified.
    """

    scope: str | None = None
    acr_values: str | None = None
    max_age: float | None = None

    def covers(self, wanted: Asked) -> bool:
        """Whether a sign-in that asks for this is what somebody needs who wants `wanted`."""
        return (
            includes_scope(self.scope, wanted.scope)
            and wanted.acr_values in (None, self.acr_values)
            and (wanted.max_age is None or (self.max_age is not None and self.max_age <= wanted.max_age))
        )


def includes_scope(scope: str | None, wanted: str | None) -> bool:
    """Whether each word of `wanted` is in `scope`."""
    return set((wanted or "").split()) <= set((scope or "").split())


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that was begun, and that anybody who shares the store may finish.

    Attributes:
        request: Where the user is sent.
        asked: What it asks for.
        at: When it was begun, in UTC epoch seconds.
    """

    request: AuthorizationRequest
    asked: Asked
    at: float

    def is_shared(self, now: float) -> bool:
        """Whether it is young enough to be given to another request."""
        return self.at <= now < min(self.at + SHARED_FOR, self.request.expires_at)

    def to_data(self) -> dict[str, Any]:
        """The JSON object that is stored."""
        request = {"url": self.request.url, "state": self.request.state, "expires_at": self.request.expires_at}
        return {**request, "at": self.at, **{name: value for name, value in self.asked._asdict().items() if value}}

    @classmethod
    def from_data(cls, data: Any) -> Begun | None:
        """Read what `to_data` wrote; None if it cannot be read."""
        stored: Mapping[str, Any] = cast("Mapping[str, Any]", data) if isinstance(data, Mapping) else {}
        url, state, expires_at, at = (stored.get(name) for name in ("url", "state", "expires_at", "at"))
        if not (is_text(url) and is_text(state) and is_number(expires_at) and is_number(at)):
            return None
        scope, acr_values = (each if is_text(each := stored.get(name)) else None for name in ("scope", "acr_values"))
        max_age = stored.get("max_age")
        asked = Asked(scope, acr_values, max_age if is_number(max_age) else None)
        return cls(AuthorizationRequest(url, state, expires_at), asked, at)


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """What the record has. Immutable.

    Attributes:
        asked_by: Identifies the attempt that asks the user; None if nobody does.
        asked_until: Until when it has the record, in UTC epoch seconds.
        failed_attempt: The last attempt that ended without a sign-in; None if there was none.
        begun: The sign-in that was begun last, for anybody to finish; None if there was none.
        widened_at: When the user was last asked for more than the grant gave, in UTC epoch seconds.
        signed_in_at: When the user last signed in because of a request.
    """

    asked_by: str | None = None
    asked_until: float = 0.0
    failed_attempt: str | None = None
    begun: Begun | None = None
    widened_at: tuple[float, ...] = ()
    signed_in_at: tuple[float, ...] = ()

    def is_asked(self, now: float) -> bool:
        """Whether somebody asks the user now. A lease that is longer than any was written by a clock that is wrong."""
        return self.asked_by is not None and now < self.asked_until <= now + 2 * LEASE

    def is_asked_enough(self, now: float, *, widens: bool) -> bool:
        """Whether the user was asked as often as is permitted. `widens`: for more than the grant gives."""
        return len(_last_hour(self.signed_in_at, now)) >= MOST_SIGNED_IN or (
            widens and len(_last_hour(self.widened_at, now)) >= MOST_WIDENED
        )

    def claimed(self, attempt: str, now: float, *, widens: bool) -> PendingRequest:
        """With this attempt as the one that asks."""
        widened_at = _last_hour(self.widened_at, now)
        widened_at = (*widened_at, now) if widens else widened_at
        return replace(self, asked_by=attempt, asked_until=now + LEASE, widened_at=widened_at)

    def extended(self, now: float) -> PendingRequest:
        """With a lease that begins now."""
        return replace(self, asked_until=now + LEASE)

    def with_begun(self, begun: Begun) -> PendingRequest:
        """With another sign-in that anybody may finish."""
        return replace(self, begun=begun)

    def released(self, _now: float = 0.0) -> PendingRequest:
        """Without the attempt that has it, which has found a sign-in of somebody else."""
        return replace(self, asked_by=None, asked_until=0.0)

    def unasked(self, _now: float = 0.0, *, widens: bool) -> PendingRequest:
        """Without the attempt that has it, which has asked nobody. `widens`: as for its `claimed`."""
        return replace(self.released(), widened_at=self.widened_at[:-1] if widens else self.widened_at)

    def failed(self, _now: float = 0.0) -> PendingRequest:
        """Without the attempt that has it. It has brought no sign-in, and those who wait for it need not ask again."""
        return replace(self.released(), failed_attempt=self.asked_by)

    def signed_in(self, now: float) -> PendingRequest:
        """Without the attempt that has it: its user has signed in."""
        signed_in_at = (*_last_hour(self.signed_in_at, now), now)[-MOST_SIGNED_IN:]
        return replace(self.released(), signed_in_at=signed_in_at)

    def to_data(self, now: float) -> dict[str, Any]:
        """The JSON object that is stored. From its `expires_at` on it may be deleted."""
        ends = [now + _KEPT, self.asked_until]
        ends += [] if self.begun is None else [self.begun.request.expires_at]
        ends += [each + COUNTED_WITHIN for each in (*self.widened_at, *self.signed_in_at)]
        members = {
            "asked_by": self.asked_by,
            "asked_until": self.asked_until or None,
            "failed": self.failed_attempt,
            "begun": None if self.begun is None else self.begun.to_data(),
            "widened_at": [*self.widened_at] or None,
            "signed_in_at": [*self.signed_in_at] or None,
        }
        stored = {name: value for name, value in members.items() if value is not None}
        return {**stored, "expires_at": max(ends), **NEVER_DUE}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> PendingRequest:
        """Read what `to_data` wrote. What cannot be read is left out."""
        asked_by, failed = (each if is_text(each := data.get(name)) else None for name in ("asked_by", "failed"))
        asked_until = data.get("asked_until")
        return cls(
            asked_by,
            asked_until if is_number(asked_until) else 0.0,
            failed,
            Begun.from_data(data.get("begun")),
            _numbers(data.get("widened_at"))[-MOST_WIDENED:],
            _numbers(data.get("signed_in_at"))[-MOST_SIGNED_IN:],
        )


class PendingRequests:
    """The pending record of one grant. Its methods block on the store, and may be called from any thread.

    Args:
        state: The state of the client.
        grant_key: The store key of the grant.
    """

    def __init__(self, state: ClientState, grant_key: str) -> None:
        self._state = state
        self._key = pending_key(grant_key)

    def load(self) -> PendingRequest:
        """What is stored now. Raises `StoreError`."""
        record = load_record(self._state.store, self._key)
        return PendingRequest() if record is None else PendingRequest.from_data(record.data)

    def change(self, change: Callable[[PendingRequest, float], PendingRequest | None]) -> PendingRequest | None:
        """Change the record by compare-and-set.

        Args:
            change: Makes the new record of the stored one and the time; None: nothing is to be changed. It is called
                again if another process has changed the record meanwhile.

        Returns:
            The record as it is stored now; None if it was not to be changed.

        Raises:
            StoreError: The store fails, or others change the record all the time.
        """
        for attempts_left in range(_MOST_CONFLICTS - 1, -1, -1):
            record = load_record(self._state.store, self._key)
            now = self._state.clock()
            changed = change(PendingRequest() if record is None else PendingRequest.from_data(record.data), now)
            if changed is None:
                return None
            expected = None if record is None else record.version
            try:
                save_record(self._state.store, self._key, changed.to_data(now), expected=expected)
            except Conflict:
                if not attempts_left:
                    raise
                continue
            return changed
        return None

    def can_be_finished(self, begun: Begun) -> bool:
        """Whether nobody has finished this sign-in yet, or is finishing it. Raises `StoreError`."""
        record = load_record(self._state.store, sign_in_key(self._state.registration, begun.request.state))
        return record is not None and not record.data.get("claimed")

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Take the lock of this record, while a sign-in is begun. Raises `StoreError` if it is not free in time."""
        lock = call_store("locked", self._state.store.lock, self._key, timeout=self._state.policy.lock_timeout)
        call_store("locked", lambda: lock.__enter__())  # noqa: PLW0108  # looked up inside `call_store`
        try:
            yield
        finally:
            # The record is changed by compare-and-set, so a lock that was lost meanwhile does no harm.
            with contextlib.suppress(Exception):
                call_store("unlocked", lock.__exit__, None, None, None)


def _last_hour(times: tuple[float, ...], now: float) -> tuple[float, ...]:
    return tuple(each for each in times if now - COUNTED_WITHIN < each <= now)


def _numbers(value: Any) -> tuple[float, ...]:
    values = cast("Iterable[Any]", value) if isinstance(value, list) else ()
    return tuple(float(each) for each in values if is_number(each))


def not_asked_again(reason: SignInRequired, *, widens: bool) -> SignInRequired:
    """The error for a sign-in that the user was asked for often enough."""
    asked = f"was asked for more {MOST_WIDENED}" if widens else f"has signed in {MOST_SIGNED_IN}"
    return reason.replace(problem=f"{reason.problem}, and the user {asked} times within the last hour")
