"""Checks that HTTP can carry the names and values that a user's setting, or a callable in it, gives.

Used by `Provider` and by the builders of requests. It promises that each check names the setting in its error, and that
everything is checked before anything is sent. If an HTTP client failed in the middle of a request instead, it would be
unknown whether the refresh token is spent. It never corrects a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from ..errors import ConfigurationError, is_text, kind_of, quoted

# RFC 9110 section 5.1: a token.
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

_OF_TOKEN_REQUEST = "grant_type client_id client_secret client_assertion client_assertion_type".split()
_OF_CLIENT_CREDENTIALS = (*_OF_TOKEN_REQUEST, "scope", "resource", "audience")

# RFC 3986 section 4.3, checked only for likely mistakes: it needs a scheme, and must not have spaces or a fragment.
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s#]+")

_LONGEST_DATE = 100

_A_STRING = "pass a string in valid Unicode, without lone surrogates"

_OF_AUTHORIZATION = (
    "response_type client_id redirect_uri scope state code_challenge code_challenge_method "
    # These prove the client, and never belong into a URL.
    "client_secret client_assertion client_assertion_type "
    # The key of each sign-in is made by the library (RFC 9449 section 10).
    "dpop_jkt"
).split()


def checked_parameters(made: Any, setting: str) -> Mapping[str, str]:
    """`made`, if it is a mapping of strings. Raises `ConfigurationError`."""
    if not isinstance(made, Mapping):
        raise ConfigurationError(
            f"{setting} must give a mapping of strings to strings, not {kind_of(made)}",
            parameter=setting,
            remedy="use a dict, such as {'name': 'value'}",
        )
    given = cast("Mapping[str, str]", made)
    for name, value in given.items():
        if not is_text(name):
            raise ConfigurationError(f"{setting}: a name {_fault(name)}", parameter=setting, remedy=_A_STRING)
        if not is_text(value):
            raise ConfigurationError(
                f"{setting}: the value of {name!r} {_fault(value)}", parameter=setting, remedy=_A_STRING
            )
    return given


def checked_headers(made: Any, setting: str) -> Mapping[str, str]:
    """`made`, if it is a mapping of headers that a request can carry. Raises `ConfigurationError`."""
    given = checked_parameters(made, setting)
    for name, value in given.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError(
                f"{setting}: {name!r} is not the name of an HTTP header",
                parameter=setting,
                remedy="use letters, digits and hyphens, such as 'X-Request-Id'",
            )
        if not value.isascii() or not value.isprintable():
            raise ConfigurationError(
                f"{setting}: the value of {name} must be printable ASCII without line breaks",
                parameter=setting,
                remedy="remove or encode the other characters",
            )
    return given


def checked_authorization_parameters(made: Any, setting: str) -> Mapping[str, str]:
    """`made`, as further parameters of an authorization request.

    Raises `ConfigurationError` also for a parameter that the request itself has.
    """
    return without_reserved(checked_parameters(made, setting), _OF_AUTHORIZATION, setting)


def checked_token_parameters(made: Any) -> Mapping[str, str]:
    """Further `parameters` of a client credentials request. Raises as `checked_authorization_parameters`."""
    return without_reserved(checked_parameters(made, "parameters"), _OF_CLIENT_CREDENTIALS, "parameters")


def checked_exchange_parameters(made: Any) -> Mapping[str, str]:
    """The `parameters` of a one-time exchange. Raises as `checked_authorization_parameters`, also if there are none."""
    given = without_reserved(checked_parameters(made, "parameters"), _OF_TOKEN_REQUEST, "parameters")
    if not any(given.values()):
        raise ConfigurationError(
            "parameters must name what is exchanged, with a value that is not empty",
            parameter="parameters",
            remedy="pass what the provider documents, such as {'permission_id': permission_id}",
        )
    return given


def joined_scope(scope: str | Sequence[str] | None) -> str | None:
    """A scope as it is sent, RFC 6749 section 3.3: space-separated. None or empty: none is sent.

    The one rule for every method that takes a scope. Raises `ConfigurationError` as `joined` does.
    """
    return joined(scope, "scope")


def joined(values: str | Sequence[str] | None, parameter: str) -> str | None:
    """A string, or a list or tuple of strings joined with spaces in this order. None or empty: none is sent.

    Raises `ConfigurationError` for anything else.
    """
    if values is None:
        return None
    parts = tuple(values) if isinstance(values, list | tuple) else (values,)
    wrong = [part for part in parts if not is_text(part)]
    if wrong:
        raise ConfigurationError(
            f"{parameter} must be a string of valid Unicode, or a list or tuple of these, not {quoted(wrong[0])}",
            parameter=parameter,
            remedy="pass 'first second' or ['first', 'second'], or leave it out for the server to decide",
        )
    return " ".join(cast("tuple[str, ...]", parts)) or None


def checked_resource(resource: str | None) -> str | None:
    """The resource of a token: an absolute URI without a fragment (RFC 8707 section 2). Raises `ConfigurationError`."""
    if resource is not None and not (is_text(resource) and _ABSOLUTE_URI.fullmatch(resource)):
        raise ConfigurationError(
            f"resource must be None, or an absolute URI without a fragment, not {quoted(resource)}",
            parameter="resource",
            remedy="pass what the provider documents, such as resource='https://api.example.com'",
        )
    return resource


def checked_audience(audience: str | None) -> str | None:
    """The audience that a token is for, by the name that the server uses. Raises `ConfigurationError`."""
    if audience is not None and not (is_text(audience) and audience.strip()):
        raise ConfigurationError(
            f"audience must be None, or a non-empty string, not {quoted(audience)}",
            parameter="audience",
            remedy="pass what the provider documents, or leave it out",
        )
    return audience


def without_reserved(made: Mapping[str, str], reserved: Iterable[str], setting: str) -> Mapping[str, str]:
    """`made`, if it has no name that the request itself uses. Raises `ConfigurationError`."""
    for name in reserved:
        if name in made:
            raise ConfigurationError(
                f"{setting} must not name {name!r}, which the request itself has",
                parameter=setting,
                remedy="leave it out",
            )
    return made


def read_http_date(value: str) -> float | None:
    """A moment in one of the three formats of RFC 9110 section 5.6.7, in UTC epoch seconds; None for anything else."""
    import email.utils
    from datetime import UTC

    try:
        moment = email.utils.parsedate_to_datetime(value[:_LONGEST_DATE])
        # It is in UTC, although the oldest of the three formats names no time zone.
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _fault(value: object) -> str:
    if not isinstance(value, str):
        return f"must be a string, not {kind_of(value)}"
    return "has characters that cannot be written as UTF-8"
