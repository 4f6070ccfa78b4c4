"""A token: the pair a server issued, with what is known of its lifetime.

Rules of this file: reading is generous and never raises over a secondary member. `access_token` and `refresh_token`
are taken first; whatever is odd about the rest becomes a note, because a pair lost to a strange `expires_in` costs a
person a sign-in. Time comes in as an argument; no clock is read here except the default of `Token.from_response`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, cast

_NO_EXTRA: Mapping[str, Any] = MappingProxyType({})

_REFRESH_LIFETIME_MEMBERS = ("refresh_expires_in", "refresh_token_expires_in")
"""Names in use for the refresh token's lifetime in seconds: Keycloak and most banks, then Azure and Okta."""


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """An access token with everything needed to use and renew it. Immutable; safe to share between threads.

    Times are UTC epoch seconds. `expires_at` and `refresh_expires_at` are None when the server did not say, which means
    unknown, not never. `scope` is space-separated; None means the server did not say. `extra` keeps every member of
    the server's answer that has no field here, through renewal and storage (bLink's `grant_id`, OpenID's `id_token`).
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
        has_refresh = "yes" if self.refresh_token else "no"
        return f"<Token expires_at={self.expires_at!r} scope={self.scope!r} refresh_token={has_refresh}>"

    @classmethod
    def from_response(cls, response: Mapping[str, Any], *, now: float | None = None) -> Token:
        """Read a token endpoint's answer (RFC 6749 section 5.1), or a token dict kept by another library.

        `now` is when the answer arrived, in UTC epoch seconds; None means this moment. An `expires_at` member, which
        authlib and requests-oauthlib add to what they keep, wins over `expires_in`, whose starting point is then past.
        Raises `ValueError` if there is no usable `access_token`; nothing else about the answer raises.
        """
        received_at = time.time() if now is None else now
        stored_expiry = read_seconds(response.get("expires_at"))
        token, _ = read_token(response, received_at=received_at)
        if stored_expiry is None:
            return token
        issued_at = read_seconds(response.get("issued_at"))
        return token.replace(expires_at=stored_expiry, issued_at=issued_at)

    def to_dict(self) -> dict[str, Any]:
        """A JSON object that `from_dict` reads back to an equal token. It holds the secrets in clear."""
        stored = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        stored["extra"] = dict(self.extra)
        if not self.extra:
            del stored["extra"]
        return stored

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Token:
        """Read what `to_dict` wrote. Raises `ValueError` if a member is missing or of the wrong type."""
        access_token = stored.get("access_token")
        if not isinstance(access_token, str) or not access_token:
            raise ValueError("access_token must be a non-empty string")
        extra = stored.get("extra")
        if extra is not None and not isinstance(extra, Mapping):
            raise ValueError("extra must be an object")
        return cls(
            access_token=access_token,
            token_type=_optional(stored, "token_type", str) or "Bearer",
            expires_at=_optional(stored, "expires_at", float),
            refresh_token=_optional(stored, "refresh_token", str),
            refresh_expires_at=_optional(stored, "refresh_expires_at", float),
            scope=_optional(stored, "scope", str),
            issued_at=_optional(stored, "issued_at", float),
            extra=MappingProxyType(dict(cast("Mapping[str, Any]", extra))) if extra else _NO_EXTRA,
        )

    def replace(self, **changes: Any) -> Token:
        """A copy with the given fields changed."""
        return type(self)(**{**{f.name: getattr(self, f.name) for f in fields(self)}, **changes})

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled or copied, and the plain dict form is stable across versions.
        return type(self).from_dict, (self.to_dict(),)


def read_token(response: Mapping[str, Any], *, received_at: float) -> tuple[Token, tuple[str, ...]]:
    """The token in an answer received at `received_at`, and a note for each member that was odd.

    A lifetime counts from when we received the answer, by our own clock: the server's clock may be off.
    Raises `ValueError` if there is no usable `access_token`.
    """
    access_token = response.get("access_token")
    if not isinstance(access_token, str) or not access_token.strip():
        raise ValueError("access_token is missing or not a string")
    notes: list[str] = []
    refresh_token = response.get("refresh_token")
    if refresh_token is not None and not isinstance(refresh_token, str):
        notes.append("refresh_token is not a string and was ignored")
        refresh_token = None
    expires_in = _lifetime(response, "expires_in", notes)
    if response.get("expires_in") is None:
        notes.append("expires_in is missing, so how long the token lives is unknown")
    token = Token(
        access_token=access_token.strip(),
        token_type=_token_type(response.get("token_type"), notes),
        expires_at=None if expires_in is None else received_at + expires_in,
        # An empty string means "no new one", as at servers that always fill in the member.
        refresh_token=refresh_token.strip() or None if refresh_token else None,
        refresh_expires_at=_refresh_expiry(response, received_at, notes),
        scope=_scope(response.get("scope"), notes),
        issued_at=received_at,
        extra=_extra(response),
    )
    return token, tuple(notes)


def read_seconds(value: Any) -> float | None:
    """A number of seconds from JSON, as a number or as its decimal string; None if it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) else None


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
        # Keycloak says 0 for an offline session, which has no end.
        if lifetime:
            return received_at + lifetime
    return None


def _token_type(value: Any, notes: list[str]) -> str:
    # RFC 6749 section 7.1 has it case-insensitive; bLink sends `bearer`. We only ever attach Bearer tokens.
    if isinstance(value, str) and value.lower() == "bearer":
        return "Bearer"
    notes.append("token_type is not Bearer; the token is used as a Bearer token")
    return value if isinstance(value, str) and value else "Bearer"


def _scope(value: Any, notes: list[str]) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, list | tuple):
        notes.append("scope is a list and was joined with spaces")
        return " ".join(item for item in cast("Sequence[Any]", value) if isinstance(item, str)) or None
    notes.append("scope is neither a string nor a list and was ignored")
    return None


_KNOWN_MEMBERS = (frozenset(f.name for f in fields(Token)) - {"extra"}) | {"expires_in", *_REFRESH_LIFETIME_MEMBERS}


def _extra(response: Mapping[str, Any]) -> Mapping[str, Any]:
    unknown = {str(name): value for name, value in response.items() if name not in _KNOWN_MEMBERS}
    return MappingProxyType(unknown) if unknown else _NO_EXTRA


def _optional(stored: Mapping[str, Any], member: str, kind: type) -> Any:
    value = stored.get(member)
    if value is None:
        return None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"{member} is too large") from None
    if not isinstance(value, kind):
        raise ValueError(f"{member} must be a {kind.__name__}")
    return value
