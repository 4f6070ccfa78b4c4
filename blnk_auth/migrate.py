"""Reads the tokens that other libraries have stored, so that nobody has to sign in again after a migration.

Used by applications, once: `adopt_once(source, from_authlib(stored))`. What this file promises:

* Each function is pure: it reads what it is passed, and neither a file nor another package.
* Nothing is guessed. A refresh token that cannot be read, and a time whose moment is not known, are errors.
* A text is read up to 1 MiB, also after it was decompressed. No error shows a value.
* `adopt_once` never replaces anything that is stored.

It never asks a server, and never changes what the other library has stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, cast

from ._protocol.foreign_tokens import members_in, token_in, tokens_in_cache
from ._renewal.credential import credential_of
from ._renewal.grant_operations import adopt_if_missing
from .errors import ConfigurationError, clears_locals, kind_of
from .source import TokenSource
from .token import Token

if TYPE_CHECKING:
    from ._renewal.grant_token import GrantToken
    from ._renewal.single_flight import Flight

__all__ = [
    "aadopt_once",
    "adopt_once",
    "from_authlib",
    "from_hand_written",
    "from_httpx_auth",
    "from_requests_auth",
    "from_requests_oauth2client",
    "from_requests_oauthlib",
]

# --- one function for each library -----------------------------------------------------------------------------------


@clears_locals
def from_authlib(stored: Mapping[str, Any] | str | bytes, *, issued_at: float | None = None) -> Token:
    """The token that authlib passes to `update_token`, or keeps as `session.token`.

    Pure; may be called from any thread or task. `expires_at` may be in UTC epoch seconds or, from 1e11 on, in
    milliseconds, as a number or as text; a text of ISO 8601; or a `datetime`. These two need a time zone.

    Args:
        stored: The dict, or its JSON text of at most 1 MiB. Of a database, what the model's `to_token()` returns.
        issued_at: When the response arrived, in UTC epoch seconds: needed for a dict that has only `expires_in`, which
            counts from then. 0: renew it when it is first used. None: as stored, or unknown.

    Returns:
        The token. Members that are not known, such as `id_token` and `userinfo`, are in `extra`; those of the client,
        such as `client_secret`, are left out.

    Raises:
        ConfigurationError: It is not such a dict, a token in it is not a string, or a time cannot be read or is
            ambiguous. No value is quoted.
    """
    members = members_in(stored, "the token dict, or its JSON text: that which authlib passes to update_token")
    return token_in(members, issued_at=issued_at)


@clears_locals
def from_requests_oauthlib(stored: Mapping[str, Any] | str | bytes, *, issued_at: float | None = None) -> Token:
    """The token that requests-oauthlib passes to `token_updater`, or keeps as `session.token`.

    Pure; may be called from any thread or task. Times are read as by `from_authlib`; a list of scopes is joined.

    Args:
        stored: The dict, or its JSON text of at most 1 MiB.
        issued_at: As for `from_authlib`.

    Returns:
        The token, as from `from_authlib`.

    Raises:
        ConfigurationError: As from `from_authlib`.
    """
    members = members_in(
        stored, "the token dict, or its JSON text: that which requests-oauthlib passes to token_updater"
    )
    return token_in(members, issued_at=issued_at)


@clears_locals
def from_httpx_auth(stored: Mapping[str, Any] | str | bytes) -> dict[str, Token]:
    """The tokens of httpx-auth's token cache: those of the file of a `JsonTokenFileCache`, or of `token_cache.tokens`.

    Pure; may be called from any thread or task. The cache knows neither a scope nor a token type: each token is used as
    a Bearer token.

    Args:
        stored: The text of the file, at most 1 MiB; or the mapping in it.

    Returns:
        Each token by its key, which is `state` of the auth object that it belongs to.

    Raises:
        ConfigurationError: It is not such a cache, or an entry of it cannot be read. No key and no value is quoted.
    """
    return tokens_in_cache(members_in(stored, "the text of the file of a JsonTokenFileCache, or the mapping in it"))


@clears_locals
def from_requests_auth(stored: Mapping[str, Any] | str | bytes) -> dict[str, Token]:
    """The tokens of requests-auth's token cache, which has the form of httpx-auth's: see `from_httpx_auth`.

    Pure; may be called from any thread or task.

    Args:
        stored: The text of the file, at most 1 MiB; or the mapping in it.

    Returns:
        Each token by its key, which is `state` of the auth object that it belongs to.

    Raises:
        ConfigurationError: As from `from_httpx_auth`.
    """
    return tokens_in_cache(members_in(stored, "the text of the file of a JsonTokenFileCache, or the mapping in it"))


@clears_locals
def from_requests_oauth2client(stored: Mapping[str, Any] | str | bytes, *, issued_at: float | None = None) -> Token:
    """The token that requests-oauth2client's `TokenSerializer` has written, or the dict of a `BearerToken`.

    Pure; may be called from any thread or task. The key of a `DPoPToken` is not in the result: pass it to the client,
    as `OAuthClient(dpop=...)`, which can then adopt the token.

    Args:
        stored: What `TokenSerializer().dumps(token)` returned, at most 1 MiB, also when decompressed; or
            `token.as_dict(with_expires_in=False)`, or its JSON text.
        issued_at: When `as_dict()` was called, in UTC epoch seconds, if it was called without `with_expires_in=False`:
            its `expires_in` counts from then. 0: renew it when it is first used. None: as stored, or unknown.

    Returns:
        The token, as from `from_authlib`.

    Raises:
        ConfigurationError: As from `from_authlib`.
    """
    wanted = "what TokenSerializer().dumps(token) returned, or token.as_dict(with_expires_in=False)"
    return token_in(members_in(stored, wanted, may_be_compressed=True), issued_at=issued_at)


@clears_locals
def from_hand_written(
    stored: Mapping[str, Any] | str | bytes,
    *,
    issued_at: float | None = None,
    timezone: tzinfo | None = None,
) -> Token:
    """The token that a program of your own has stored, as a dict with the names of a token response.

    Pure; may be called from any thread or task. The expiry is `expires_at` (or `expiresAt`, `expiry`, `expiry_date`,
    `expires_on`); else `expires_in`, which counts from `issued_at`, `created_at` or `obtained_at`. A time may be in UTC
    epoch seconds or, from 1e11 on, in milliseconds, as a number or as text; a text of ISO 8601; or a `datetime`.

    Args:
        stored: The dict, or its JSON text of at most 1 MiB. Members with other names are to be renamed first.
        issued_at: As for `from_authlib`.
        timezone: The time zone of each string and `datetime` that names none, such as `datetime.UTC` for those of
            `datetime.utcnow()`. None: they are refused.

    Returns:
        The token, as from `from_authlib`. Without an expiry it is used until the API rejects it.

    Raises:
        ConfigurationError: As from `from_authlib`; or `timezone` is not a `tzinfo`.
    """
    if timezone is not None and not isinstance(timezone, tzinfo):
        raise ConfigurationError(
            f"timezone must be a datetime.tzinfo or None, not {kind_of(timezone)}",
            parameter="timezone",
            remedy="pass datetime.UTC, zoneinfo.ZoneInfo('Europe/Zurich') or another time zone",
        )
    members = members_in(stored, "a dict with access_token, refresh_token and expires_at, or its JSON text")
    return token_in(members, issued_at=issued_at, zone=timezone)


# --- storing it ------------------------------------------------------------------------------------------------------


@clears_locals
def adopt_once(source: TokenSource, token: Token) -> bool:
    """Store a token as that of a grant, unless the store has a record of the grant. Blocks; else: `aadopt_once`.

    May be called from any thread, at each start of a program, and by many processes at a time: one of them stores the
    token, under the store's lock. Cancelling the caller does not cancel it. `TokenSource.adopt` would replace a pair
    that was renewed since the first import by the imported one, whose refresh token has been used. To replace a record
    all the same, call `source.forget()` first.

    Args:
        source: The grant, as `client.for_subject("alice")`.
        token: The token that one of the functions above returned.

    Returns:
        True: it was stored. False: something was stored already, which may also be a grant that has ended.

    Raises:
        ConfigurationError: `source` is not a `TokenSource`; or the token cannot be sent in a header or stored, or is
            bound to a key that the client does not have.
        StoreError: The store cannot be read or written.
    """
    current = _current_of(source)
    return current.operations.wait_for(_begin(current, token))


@clears_locals
async def aadopt_once(source: TokenSource, token: Token) -> bool:
    """The same as `adopt_once`, for asyncio and trio.

    May be called from any thread, in any task. Cancelling the caller does not cancel it.

    Args:
        source: The grant, as `client.for_subject("alice")`.
        token: The token that one of the functions above returned.

    Returns:
        True: it was stored. False: something was stored already.

    Raises:
        ConfigurationError: As from `adopt_once`.
        StoreError: The store cannot be read or written.
    """
    current = _current_of(source)
    return await current.operations.await_for(_begin(current, token))


def _current_of(source: TokenSource) -> GrantToken:
    if not isinstance(source, TokenSource):
        raise ConfigurationError(
            f"source must be a TokenSource, not {kind_of(source)}",
            parameter="source",
            remedy="pass client.for_subject(...), the grant that the token belongs to",
        )
    return cast("GrantToken", credential_of(source))


def _begin(current: GrantToken, token: Token) -> Flight[bool]:
    return current.operations.begin(lambda events: adopt_if_missing(current.resolved(), token, events))
