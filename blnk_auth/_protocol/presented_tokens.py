"""Tokens and assertions that others made and this client presents: RFC 7521, RFC 7523 section 2, RFC 8693 section 2.1.

Used by the authentication of a client, and by the grants that exchange a token or an assertion. What this file
promises:

* A callable is called again for each request, so that it can return the newest one.
* What cannot be sent raises an error that names the argument, before anything is sent.
* No error shows what was presented.

It never keeps what a callable returned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from ..errors import ConfigurationError, kind_of, redacted
from .callables import call_setting

PresentedToken = str | Callable[[], str]
"""A token or an assertion, or a callable that returns the current one."""

_LONGEST = 65_536
"""In characters. Longer ones are files that were mistaken for a token."""


def checked_presented(setting: PresentedToken, parameter: str) -> PresentedToken:
    """What a user passed, if it can be presented. Raises `ConfigurationError`. A callable is not called."""
    if callable(setting):
        return setting
    if not isinstance(setting, str):
        raise ConfigurationError(
            f"{parameter} must be a string, or a callable that returns one, not {kind_of(setting)}",
            parameter=parameter,
            remedy="pass it as its issuer wrote it, or a callable that fetches it for each request",
        )
    _check(setting, parameter, parameter)
    return setting


def presented(setting: PresentedToken, parameter: str) -> str:
    """What is presented in one request.

    Raises:
        ConfigurationError: A callable returned something that is not a token.
        BlnkAuthError: A callable raised it.
        TemporarilyUnavailable: A callable raised any other error.
    """
    if isinstance(setting, str):
        return setting
    returned = redacted(call_setting(parameter, setting))
    if not isinstance(returned, str):
        raise ConfigurationError(
            f"{parameter}: the callable must return a string, not {kind_of(returned)}",
            parameter=parameter,
            remedy="let it return the token alone, as its issuer wrote it; it must not be an async function",
        )
    _check(returned, parameter, f"{parameter}: what the callable returned")
    return returned


def fingerprint(*tokens: str) -> str:
    """A hash that identifies these tokens, and from which nobody can learn them."""
    joined = "\0".join(tokens)
    return hashlib.sha256(joined.encode()).hexdigest()


def same_callable(one: PresentedToken | None, other: PresentedToken | None) -> bool:
    """Whether two settings are the same one: the same object, or equal ones such as a method of the same object."""
    if one is other:
        return True
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - a user's object may compare itself in any way
        return False


def _check(token: str, parameter: str, what: str) -> None:
    # A JWT is letters, digits, dots, hyphens and underscores. SAML assertions and other tokens are ASCII as well.
    if not token:
        fault = "is empty"
    elif len(token) > _LONGEST:
        fault = f"has more than {_LONGEST} characters"
    elif token[-1:] in ("\n", "\r", " "):
        fault = "ends with a line break or a space, which no token does"
    elif not token.isascii() or not token.isprintable():
        fault = "has characters that no token has, such as a line break"
    else:
        return
    raise ConfigurationError(
        f"{what} {fault}",
        parameter=parameter,
        remedy="pass it as its issuer wrote it; what is read from a file often ends in a line break",
    )
