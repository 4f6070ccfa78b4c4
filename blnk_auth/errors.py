"""Every error this library raises, sorted by what the caller can do about it.

    BlnkAuthError                 the root: catch this to catch everything below
    ├── SignInRequired            a person must authorize again
    ├── TemporarilyUnavailable    try again later; nothing was lost
    ├── ConfigurationError        fix the registration, the URL, the certificate, the parameter
    ├── StoreError                the token store cannot be read, written or locked
    │   └── Conflict              compare-and-set: somebody else wrote the record first
    └── ProtocolError             the server's answer is no OAuth 2.0 answer

Rules of this file: a message names the parameter, what is wrong and what to do next, and never holds a secret.
Errors hold only plain values, so they can be pickled and compared by their fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class BlnkAuthError(Exception):
    """Root of all errors of this library.

    `error`, `error_description` and `error_uri` are the fields of RFC 6749 section 5.2 where the authorization server
    sent them, cleaned of secrets and control characters; `status_code` is the HTTP status of its answer.
    Each is None where there was none.
    """

    def __init__(
        self,
        message: str,
        *,
        error: str | None = None,
        error_description: str | None = None,
        error_uri: str | None = None,
        status_code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error = error
        self.error_description = error_description
        self.error_uri = error_uri
        self.status_code = status_code

    def __str__(self) -> str:
        return self.message

    def fields(self) -> dict[str, Any]:
        """The keyword arguments that build an equal error."""
        return {
            "error": self.error,
            "error_description": self.error_description,
            "error_uri": self.error_uri,
            "status_code": self.status_code,
        }

    def __reduce__(self) -> tuple[Any, ...]:
        # A shell raises a subclass that is also its HTTP client's error and carries the request, whose headers may
        # hold a token: what travels in a pickle is the plain error of this module.
        return _rebuild, (core_type(type(self)), self.message, self.fields())


class SignInRequired(BlnkAuthError):
    """A person must authorize again; no retry will help.

    `reason` is one of `missing` (nothing stored for this subject), `refused` (the server ended the grant),
    `expired` (the refresh token ran out), `no_refresh_token` (the access token ended and nothing can renew it),
    `denied` (the person said no) or `restart` (this sign-in attempt cannot be completed; begin a new one).
    `subject` is whose grant it is.
    """

    def __init__(self, message: str, *, reason: str, subject: str | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.reason = reason
        self.subject = subject

    def fields(self) -> dict[str, Any]:
        return {**super().fields(), "reason": self.reason, "subject": self.subject}


class TemporarilyUnavailable(BlnkAuthError):
    """The authorization server cannot answer now; the grant is untouched.

    `retry_after` is how many seconds to wait before another attempt is made, None if unknown.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.retry_after = retry_after

    def fields(self) -> dict[str, Any]:
        return {**super().fields(), "retry_after": self.retry_after}


class ConfigurationError(BlnkAuthError):
    """The client registration, an endpoint, a certificate or a parameter is wrong; fix it and run again."""


class StoreError(BlnkAuthError):
    """The token store cannot be read, written or locked; what it holds is untouched."""


class Conflict(StoreError):
    """Compare-and-set failed: the stored version is not the expected one."""


class ProtocolError(BlnkAuthError):
    """The server sent something that is no OAuth 2.0 answer; the grant is untouched."""


def own_copy(error: BlnkAuthError) -> BlnkAuthError:
    """An equal error without traceback and chain: a shared instance would gather everybody's frames."""
    return type(error)(error.message, **error.fields())


def core_type(error_type: type[BlnkAuthError]) -> type[BlnkAuthError]:
    """The class of this module that `error_type` is or derives from."""
    return next(base for base in error_type.__mro__ if base.__module__ == __name__)


def _rebuild(error_type: type[BlnkAuthError], message: str, fields: dict[str, Any]) -> BlnkAuthError:
    return error_type(message, **fields)


# --- secrets ---


class Redacted(str):
    """A string like any other, whose repr does not tell it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<redacted>"


class RedactedBytes(bytes):
    """The same for bytes, as of a PEM file."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<redacted>"


class RedactedDict(dict[str, Any]):
    """The same for a JWK."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<redacted>"


def redacted(value: Any) -> Any:
    """The same value, unreadable in a traceback: text, bytes, a mapping, or a tuple of these."""
    if isinstance(value, str):
        return Redacted(value)
    if isinstance(value, bytes):
        return RedactedBytes(value)
    items: Any = value
    if isinstance(value, tuple):
        return tuple(map(redacted, items))
    return RedactedDict(items) if isinstance(value, Mapping) else items
