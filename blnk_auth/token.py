"""A token: the pair that a server issued, with what is known of its lifetime.

Used by every layer. What this file promises:

* Reading a server's response never raises because of a secondary member. `access_token` and `refresh_token` are taken
  first, and what is odd about the rest becomes a note. If a strange `expires_in` cost the pair, its user would have to
  sign in again.
* What was read can be stored: `extra` is bounded, and holds only what JSON can express.
* `Token.from_response` refuses what is ambiguous, because its caller can correct it.
* A token shows no secret in its repr. Time comes in as an argument; `Token.from_response` reads the clock by default.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, cast

from .errors import clears_locals, is_number, is_text
from .errors._json_size import json_size

__all__ = ["Token"]

_NO_EXTRA: Mapping[str, Any] = MappingProxyType({})

EXPIRY_MEMBERS = ("expires_at", "expiresAt", "expiry", "expiry_date", "expires_on")
"""Names in use for the expiry of the access token: authlib and requests-oauthlib, camel case, google-auth and Go,
Google's Node library, Microsoft."""

REFRESH_EXPIRY_MEMBERS = ("refresh_expires_at", "refresh_token_expires_at", "refreshTokenExpiresAt")
"""Names in use for the expiry of the refresh token: ours, and two of other libraries."""

_REFRESH_LIFETIME_MEMBERS = (
    "refresh_expires_in",
    "refresh_token_expires_in",
    "x_refresh_token_expires_in",
    "refreshTokenExpiresIn",
    "rt_expires_in",
)
"""Names in use for the refresh token's lifetime in seconds: Keycloak and most banks; Azure, Okta and LinkedIn; Intuit;
camel case; a short form."""

_EARLIEST_MILLISECONDS = 1e11
"""As seconds it would be in the year 5138."""
_LATEST_MILLISECONDS = 1e14

MOST_EXTRA = 65_536
"""About how many characters of JSON are kept of unknown members."""

_LONGEST_SCOPE = 16_384
_LONGEST_TYPE = 64


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """An access token with everything needed to use and renew it. Immutable; may be shared between threads and tasks.

    Attributes:
        access_token: What is sent to the API.
        token_type: RFC 6749 section 7.1. `Bearer` in this spelling, however the server wrote it; also where it sent
            none.
        expires_at: When the access token expires, in UTC epoch seconds. None: unknown, which does not mean never.
        refresh_token: What renews it. None: nothing can, except the client's own credentials.
        refresh_expires_at: When the refresh token expires, in UTC epoch seconds. None: unknown.
        scope: What was granted, space-separated. None: the server did not report it.
        issued_at: When the response arrived, in UTC epoch seconds. None: unknown.
        extra: Every member of the server's response that has no field here, kept through renewal and storage (bLink's
            `grant_id`, OpenID's `id_token`); at most about 64 KiB of it.
    """

    access_token: str
    token_type: str = "Bearer"
    expires_at: float | None = None
    refresh_token: str | None = None
    refresh_expires_at: float | None = None
    scope: str | None = None
    issued_at: float | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: _NO_EXTRA, hash=False)

    def __repr__(self) -> str:
        scope = "" if self.scope is None else f", scope {self.scope!r}"
        refresh = "with a refresh token" if self.refresh_token else "without a refresh token"
        return f"<Token expires {_readable(self.expires_at)}, {refresh}{scope}>"

    @property
    def expires_in(self) -> float | None:
        """Seconds until the access token expires, by this machine's clock; negative once it has. None: unknown."""
        return None if self.expires_at is None else self.expires_at - time.time()

    @property
    def is_expired(self) -> bool:
        """Whether the access token has expired, by this machine's clock. False also where its expiry is unknown."""
        return self.expires_at is not None and self.expires_at <= time.time()

    @classmethod
    @clears_locals
    def from_response(cls, response: Mapping[str, Any], *, now: float | None = None) -> Token:
        """Read a token response (RFC 6749 section 5.1), or a token dict that another library keeps.

        A dict of another library has the time of expiry: `expires_at` (authlib, requests-oauthlib), `expiry`
        (google-auth, Go), `expiry_date`, `expires_on` or `expiresAt`. It is preferred to `expires_in`, which counts
        from a moment that is past. It may be UTC epoch seconds or milliseconds, as a number or a string; an ISO 8601
        string with its offset; or a `datetime` with its time zone.

        Args:
            response: The members.
            now: When the response arrived, in UTC epoch seconds. None: this moment.

        Returns:
            The token.

        Raises:
            ValueError: There is no usable `access_token`, or a time of expiry cannot be read, or is ambiguous: a
                `datetime` or text without a time zone. No value is quoted.
        """
        if not isinstance(response, Mapping):
            raise ValueError(f"a token response must be a mapping, not {type(response).__name__}")
        token, _ = read_token(response, received_at=time.time() if now is None else now)
        expires_at = _expires_at_in(response, EXPIRY_MEMBERS)
        refresh_expires_at = _expires_at_in(response, REFRESH_EXPIRY_MEMBERS)
        if refresh_expires_at is not None:
            token = token.replace(refresh_expires_at=refresh_expires_at)
        if not any(response.get(member) is not None for member in EXPIRY_MEMBERS):
            return token
        return token.replace(expires_at=expires_at, issued_at=read_seconds(response.get("issued_at")))

    def to_dict(self) -> dict[str, Any]:
        """The token as a JSON object, as a store keeps it.

        Returns:
            The object, which `from_dict` reads back to an equal token. It contains the secrets in clear.
        """
        members = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "extra"}
        stored = {name: value for name, value in members.items() if value is not None}
        return {**stored, "extra": dict(self.extra)} if self.extra else stored

    @classmethod
    @clears_locals
    def from_dict(cls, stored: Mapping[str, Any]) -> Token:
        """Read what `to_dict` wrote.

        Args:
            stored: The JSON object.

        Returns:
            The token.

        Raises:
            ValueError: A member is missing or of the wrong type. No value is quoted.
        """
        if not isinstance(stored, Mapping):
            raise ValueError(f"a stored token must be a mapping, not {type(stored).__name__}")
        access_token = stored.get("access_token")
        if not isinstance(access_token, str) or not access_token:
            raise ValueError("access_token must be a non-empty string")
        extra = stored.get("extra")
        if extra is not None and not isinstance(extra, Mapping):
            raise ValueError("extra must be a mapping")
        return cls(
            access_token=access_token,
            token_type=_shared(_stored_text(stored, "token_type")) or "Bearer",
            expires_at=_stored_number(stored, "expires_at"),
            refresh_token=_stored_text(stored, "refresh_token"),
            refresh_expires_at=_stored_number(stored, "refresh_expires_at"),
            scope=_shared(_stored_text(stored, "scope")),
            issued_at=_stored_number(stored, "issued_at"),
            extra=MappingProxyType(dict(cast("Mapping[str, Any]", extra))) if extra else _NO_EXTRA,
        )

    def replace(self, **changes: Any) -> Token:
        """A changed copy.

        May be called from any thread.

        Args:
            **changes: The fields to change, by name.

        Returns:
            The copy.
        """
        return type(self)(**{**{f.name: getattr(self, f.name) for f in fields(self)}, **changes})

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled or copied, and the plain dict form is stable across versions.
        return type(self).from_dict, (self.to_dict(),)


def _readable(moment: float | None) -> str:
    """UTC epoch seconds as a date and time."""
    if moment is None:
        return "at an unknown time"
    try:
        return f"at {datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (TypeError, ValueError, OverflowError, OSError):
        # Beyond the years that a calendar has, or not a number.
        return f"at {moment!r}"


_KNOWN_MEMBERS = (frozenset(f.name for f in fields(Token)) - {"extra"}) | {
    "expires_in",
    *EXPIRY_MEMBERS,
    *REFRESH_EXPIRY_MEMBERS,
    *_REFRESH_LIFETIME_MEMBERS,
}


# --- reading what a server sent --------------------------------------------------------------------------------------


def read_token(response: Mapping[str, Any], *, received_at: float) -> tuple[Token, tuple[str, ...]]:
    """The token in a response received at `received_at`, and a note for each member that was odd.

    A lifetime counts from when we received the response, by our own clock: the server's clock may be wrong.
    Raises `ValueError` if there is no usable `access_token`.
    """
    access_token = response.get("access_token")
    if not is_text(access_token) or not access_token.strip():
        raise ValueError("access_token is missing or not a string")
    notes: list[str] = []
    token = Token(
        access_token=access_token.strip(),
        token_type=_token_type(response.get("token_type"), notes),
        expires_at=_expiry(response, received_at, notes),
        refresh_token=read_refresh_token(response, notes),
        refresh_expires_at=_refresh_expiry(response, received_at, notes),
        scope=_shared(_scope(response.get("scope"), notes)),
        issued_at=received_at,
        extra=_extra(response, notes),
    )
    return token, tuple(notes)


def read_refresh_token(response: Mapping[str, Any], notes: list[str]) -> str | None:
    """The refresh token in a response. None, null and an empty string mean that there is no new one."""
    refresh_token = response.get("refresh_token")
    if refresh_token is None:
        return None
    if not is_text(refresh_token):
        notes.append("refresh_token is not a string and was ignored")
        return None
    return refresh_token.strip() or None


def read_seconds(value: Any) -> float | None:
    """A number of seconds from JSON, as a number or as its decimal string; None if it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) else None


def _expiry(response: Mapping[str, Any], received_at: float, notes: list[str]) -> float | None:
    if response.get("expires_in") is not None:
        lifetime = _lifetime(response, "expires_in", notes)
        return None if lifetime is None else received_at + lifetime
    for member in EXPIRY_MEMBERS:
        if response.get(member) is None:
            continue
        expires_at = read_moment(response[member])
        if isinstance(expires_at, str):
            notes.append(f"{member} {expires_at} and was ignored")
        # A moment that is past already is due to a wrong clock rather than to the token.
        elif expires_at is not None and expires_at > received_at:
            return expires_at
    notes.append("expires_in is missing, so how long the token lives is unknown")
    return None


def _lifetime(response: Mapping[str, Any], member: str, notes: list[str]) -> float | None:
    value = response.get(member)
    if value is None:
        return None
    seconds = read_seconds(value)
    if seconds is None:
        notes.append(f"{member} is not a number of seconds and was ignored")
        return None
    return max(seconds, 0.0)


def _refresh_expiry(response: Mapping[str, Any], received_at: float, notes: list[str]) -> float | None:
    for member in _REFRESH_LIFETIME_MEMBERS:
        lifetime = _lifetime(response, member, notes)
        # Keycloak sends 0 for an offline session, which has no end.
        if lifetime:
            return received_at + lifetime
    return None


def _token_type(value: Any, notes: list[str]) -> str:
    # RFC 6749 section 7.1 has it case-insensitive; bLink sends `bearer`.
    if is_text(value) and value:
        return "Bearer" if value.lower() == "bearer" else value[:_LONGEST_TYPE]
    notes.append("token_type is missing or not a string; the token is used as a Bearer token")
    return "Bearer"


def _scope(value: Any, notes: list[str]) -> str | None:
    if isinstance(value, list | tuple):
        notes.append("scope is a list and was joined with spaces")
        value = " ".join(item for item in cast("Sequence[Any]", value) if isinstance(item, str))
    if value is None or value == "":
        return None
    if not is_text(value):
        notes.append("scope is neither a string nor a list and was ignored")
        return None
    if len(value) > _LONGEST_SCOPE:
        notes.append(f"scope is longer than {_LONGEST_SCOPE} characters and was ignored")
        return None
    return value


def _extra(response: Mapping[str, Any], notes: list[str]) -> Mapping[str, Any]:
    """The unknown members that a store can keep."""
    kept: dict[str, Any] = {}
    left, dropped = MOST_EXTRA, 0
    for name, value in response.items():
        if name in _KNOWN_MEMBERS:
            continue
        size = json_size({name: value}, most=MOST_EXTRA)
        if size is None or size > left:
            dropped += 1
            continue
        kept[name] = value
        left -= size
    if dropped:
        notes.append(f"{dropped} unknown members are too large, too deep or not JSON, and were dropped")
    return MappingProxyType(kept) if kept else _NO_EXTRA


# --- reading what another library, or this one, keeps ----------------------------------------------------------------


def _expires_at_in(response: Mapping[str, Any], members: Iterable[str]) -> float | None:
    for member in members:
        if response.get(member) is not None:
            moment = read_moment(response[member])
            if isinstance(moment, str):
                raise ValueError(f"{member} {moment}")
            return moment
    return None


def read_moment(value: Any) -> float | str | None:
    """UTC epoch seconds; None for the year 1, by which Go means never.

    If the value is not a time, a string that states what is wrong, to be written after the member's name.
    """
    seconds = read_seconds(value)
    if seconds is not None:
        if seconds < _EARLIEST_MILLISECONDS:
            return seconds
        if seconds < _LATEST_MILLISECONDS:
            return seconds / 1000
        return "is too large for a time in seconds or milliseconds"
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value.strip())
    if not isinstance(value, datetime):
        return "is not a time that can be read"
    if value.tzinfo is None:
        return "has no time zone, so its moment is unknown"
    return None if value.year == 1 else value.timestamp()


@functools.lru_cache(maxsize=64)
def _shared(text: str | None) -> str | None:
    """The same object for equal strings: there may be very many tokens, which have few types and scopes."""
    return text


def _stored_text(stored: Mapping[str, Any], member: str) -> str | None:
    value = stored.get(member)
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f"{member} must be a string")


def _stored_number(stored: Mapping[str, Any], member: str) -> float | None:
    value = stored.get(member)
    if value is None:
        return None
    if not is_number(value):
        raise ValueError(f"{member} must be a finite number")
    return float(value)
