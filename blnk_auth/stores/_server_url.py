"""The URL of a server, which may contain a password: how it is obtained, and when a pickle carries it.

Used by `SQLStore` and `RedisStore`. It promises that a pickle never carries a URL with a password. For a store that is
passed to another process, give a callable that returns the URL; it is called in each process, when the store is first
used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

from ..errors import BlnkAuthError, NotPickled, StoreError

Value = TypeVar("Value")

_SECRETS = ("pass", "pwd", "secret", "token", "key")
"""A parameter of the URL's query whose name contains one of these may be a secret."""


def may_hold_password(path: str) -> bool:
    """Whether the path of a server's URL may contain a password.

    It does in a misspelt URL, such as one with too many slashes, or one that was pasted into another.
    """
    return "@" in path or ":" in path


def pickled_url(url: str, parameter: str) -> str | NotPickled:
    """What to pickle for a store that was given `url` as `parameter`."""
    try:
        parts = urlsplit(url)
        names = [name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        has_secret = (
            parts.password is not None
            or (bool(parts.netloc) and may_hold_password(parts.path))
            or any(word in name for name in names for word in _SECRETS)
        )
    except ValueError:
        # A URL that cannot be read may contain anything.
        has_secret = True
    return NotPickled(parameter) if has_secret else url


def call_for(parameter: str, call: Callable[[], Value]) -> Value:
    """The result of a user's callable. An exception becomes a `StoreError`, without its text and frames.

    An error of this package is raised unchanged.
    """
    try:
        return call()
    except BlnkAuthError:
        raise
    except Exception as error:  # noqa: BLE001 - a callable of the user's may raise anything
        failure = StoreError(
            f"the callable given as {parameter} failed ({type(error).__name__})",
            parameter=parameter,
            remedy="check that the service behind it works",
        )
    raise failure
