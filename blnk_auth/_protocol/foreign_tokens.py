"""The tokens that other libraries keep: dicts with the names of a token response, and httpx-auth's token cache. Pure.

Used by `migrate`. What this file promises:

* Nothing is guessed. A refresh token that cannot be read, and a time whose moment is not known, are errors.
* A text is read up to 1 MiB, also after it was decompressed.
* No error shows a key or a value.

It never imports the library that has written them.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, tzinfo
from typing import Any, cast

from ..errors import ConfigurationError, is_number, is_text, kind_of
from ..token import EXPIRY_MEMBERS, REFRESH_EXPIRY_MEMBERS, Token, read_moment, read_seconds, read_token
from .documents import read_json_object

_LONGEST = 1_048_576
"""Characters of a text that is read."""

_LATEST_SECONDS = 1e11
"""The year 5138. A larger number is in milliseconds."""

_ISSUE_MEMBERS = ("issued_at", "created_at", "obtained_at")

_NOT_OF_THE_TOKEN = frozenset(
    {
        *("client_id", "client_secret", "client_assertion", "client_assertion_type", "code_verifier", "password"),
        *("dpop_key", "created_at", "obtained_at"),
    }
)
"""Members that belong to the client or to a sign-in, and times that were read: not kept in `Token.extra`."""


def members_in(stored: object, wanted: str, *, may_be_compressed: bool = False) -> Mapping[str, Any]:
    """The object that was passed, as it is or as text. Raises `ConfigurationError`, which asks for what is `wanted`."""
    if isinstance(stored, Mapping):
        return cast("Mapping[str, Any]", stored)
    problem = f"must be a mapping or a text, not {kind_of(stored)}"
    if isinstance(stored, str | bytes):
        body = stored.encode("utf-8", "replace") if isinstance(stored, str) else bytes(stored)
        if len(body) > _LONGEST:
            problem = f"is longer than {_LONGEST} bytes"
        else:
            if may_be_compressed and not body.lstrip().startswith(b"{"):
                body = _inflated(body.strip())
            members = read_json_object(body)
            if members is not None:
                return members
            problem = "is not a JSON object"
    raise _unreadable(problem, f"pass {wanted}")


def _inflated(body: bytes) -> bytes:
    """The text of what is base64url-encoded DEFLATE without a header; empty if it is anything else, or too long."""
    with suppress(ValueError, zlib.error):
        padded = body.rstrip(b"=") + b"=" * (-len(body.rstrip(b"=")) % 4)
        inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        text = inflater.decompress(base64.b64decode(padded, altchars=b"-_", validate=True), _LONGEST)
        if inflater.eof:
            return text
    return b""


def tokens_in_cache(cache: Mapping[str, Any]) -> dict[str, Token]:
    """See `migrate.from_httpx_auth`. An entry is the access token, its expiry, and often the refresh token."""
    found: dict[str, Token] = {}
    for number, (key, entry) in enumerate(cache.items(), 1):
        if (
            not isinstance(key, str)
            or not isinstance(entry, list | tuple)
            or len(cast("list[Any]", entry)) not in (2, 3)
        ):
            raise _unreadable(
                f"has something else than [token, expiry, refresh token] as entry {number}",
                "pass the file of a JsonTokenFileCache as it is, without the entries that are not tokens",
            )
        access_token, expiry, *rest = cast("list[Any]", entry)
        refresh_token = rest[0] if rest else None
        members = {"access_token": access_token, "token_type": "Bearer", "refresh_token": refresh_token}
        found[key] = token_in({**members, "expiry": expiry}, place=f" in entry {number}")
    return found


def token_in(
    members: Mapping[str, Any], *, issued_at: float | None = None, zone: tzinfo | None = None, place: str = ""
) -> Token:
    """The token of a dict with the names of a token response. Raises `ConfigurationError`."""
    _check_pair(members, place)
    reader = _Times(members, zone, place)
    has_expiry, expires_at = reader.first(EXPIRY_MEMBERS)
    lifetime = None if has_expiry else members.get("expires_in")
    issued = _checked(issued_at)
    if issued is None:
        issued = reader.issue(expires_at, is_needed=lifetime is not None)
    if lifetime is not None:
        expires_at = _end_of(lifetime, issued)
    kept = {name: value for name, value in members.items() if name not in _NOT_OF_THE_TOKEN}
    token, _ = read_token(kept, received_at=0.0 if issued is None else issued)
    has_end, refresh_expires_at = reader.first(REFRESH_EXPIRY_MEMBERS)
    if not has_end and issued is not None:
        refresh_expires_at = token.refresh_expires_at
    return token.replace(expires_at=expires_at, issued_at=issued, refresh_expires_at=refresh_expires_at)


def _check_pair(members: Mapping[str, Any], place: str) -> None:
    access_token, refresh_token = members.get("access_token"), members.get("refresh_token")
    if not is_text(access_token) or not access_token.strip():
        raise _unreadable(
            f"has no access_token{place}, or it is not a string",
            "pass one token with the names of a token response: access_token, refresh_token, expires_at",
            member="access_token",
        )
    if refresh_token is not None and not is_text(refresh_token):
        # Without it the user would have to sign in again.
        raise _unreadable(
            f"has a refresh_token{place} that is not a string",
            "decode or decrypt it first; leave it out if there is no refresh token",
            member="refresh_token",
        )


class _Times:
    """Reads the times of one dict. `zone`: that of times which name none; None: they are refused."""

    def __init__(self, members: Mapping[str, Any], zone: tzinfo | None, place: str) -> None:
        self._members = members
        self._zone = zone
        self._place = place

    def first(self, names: Iterable[str]) -> tuple[bool, float | None]:
        """Whether one of these members is there, and its moment; None, by year 1, means never."""
        for name in names:
            if self._members.get(name) is not None:
                return True, self._moment(name)
        return False, None

    def issue(self, expires_at: float | None, *, is_needed: bool) -> float | None:
        """When the token was issued; None if that is not stored. Unreadable, it is an error only if it is needed."""
        try:
            found, moment = self.first(_ISSUE_MEMBERS)
        except ConfigurationError:
            if is_needed:
                raise
            found, moment = False, None
        if found:
            return moment
        # Both libraries compute the expiry from the lifetime when the response arrives.
        seconds = read_seconds(self._members.get("expires_in"))
        if expires_at is None or seconds is None or not 0 < seconds <= expires_at:
            return None
        return expires_at - seconds

    def _moment(self, name: str) -> float | None:
        value = self._members[name]
        if self._zone is not None:
            value = _in_zone(value, self._zone)
        moment = read_moment(value)
        if isinstance(moment, str):
            raise _unreadable(
                f"has {name}{self._place}, which {moment}",
                "store it in UTC epoch seconds, or as text with its offset, such as 2026-01-31T12:00:00+00:00; for "
                "times without an offset, pass timezone= to from_hand_written",
                member=name,
            )
        return moment


def _in_zone(value: Any, zone: tzinfo) -> Any:
    if isinstance(value, str) and read_seconds(value) is None:
        with suppress(ValueError):
            value = datetime.fromisoformat(value.strip())
    return value.replace(tzinfo=zone) if isinstance(value, datetime) and value.tzinfo is None else value


def _checked(issued_at: float | None) -> float | None:
    if issued_at is None or (is_number(issued_at) and 0 <= issued_at < _LATEST_SECONDS):
        return issued_at
    raise ConfigurationError(
        "issued_at must be UTC epoch seconds or None",
        parameter="issued_at",
        remedy="pass seconds as time.time() counts them, such as the modification time of the file",
    )


def _end_of(lifetime: Any, issued: float | None) -> float:
    """The expiry of a token for which only `expires_in` is stored."""
    seconds = read_seconds(lifetime)
    if seconds is None:
        raise _unreadable(
            "has expires_in, which is not a number of seconds", "leave it out, or store expires_at", member="expires_in"
        )
    if seconds <= 0:
        # It has expired, whenever it was issued.
        return issued or 0.0
    if issued is None:
        raise ConfigurationError(
            "stored has only expires_in, which counts from a moment that it does not have",
            parameter="issued_at",
            remedy="pass issued_at=, when the token arrived, such as the modification time of the file; 0 has the "
            "token renewed when it is first used",
        )
    return issued + seconds


def _unreadable(problem: str, remedy: str, *, member: str | None = None) -> ConfigurationError:
    return ConfigurationError(f"stored {problem}", parameter=member or "stored", remedy=remedy)
