"""What a user's setting, or a callable of theirs, gives to be sent: names and texts that HTTP can carry.

Checked before anything is sent, since an HTTP client that fails half-way leaves open whether a refresh token was spent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from ..errors import ConfigurationError

_SURROGATE = re.compile("[\ud800-\udfff]")
# RFC 9110 section 5.1: a token.
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def checked_parameters(made: Any, setting: str) -> Mapping[str, str]:
    """The parameters in `made`. Raises `ConfigurationError`, which names the setting, if they are none."""
    if not isinstance(made, Mapping):
        raise ConfigurationError(
            f"{setting} must give a mapping of names to texts, not {type(made).__name__}", parameter=setting
        )
    given = cast("Mapping[str, str]", made)
    for name, value in given.items():
        if not _is_text(name):
            raise ConfigurationError(f"{setting}: a name {_fault(name)}", parameter=setting)
        if not _is_text(value):
            raise ConfigurationError(f"{setting}: the value of {name!r} {_fault(value)}", parameter=setting)
    return given


def checked_headers(made: Any, setting: str) -> Mapping[str, str]:
    """The headers in `made`. Raises `ConfigurationError`, which names the setting, if no request could carry them."""
    given = checked_parameters(made, setting)
    for name, value in given.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError(f"{setting}: {name!r} is not the name of an HTTP header", parameter=setting)
        if not value.isascii() or not value.isprintable():
            raise ConfigurationError(
                f"{setting}: the value of {name} must be printable ASCII without line breaks", parameter=setting
            )
    return given


def without(made: Mapping[str, str], reserved: Iterable[str], setting: str) -> Mapping[str, str]:
    """The same, if none of its names is among those that the request says itself; else `ConfigurationError`."""
    for name in reserved:
        if name in made:
            raise ConfigurationError(
                f"{setting} must not name {name!r}, which the request says itself",
                parameter=setting,
                remedy="leave it out",
            )
    return made


def _is_text(value: object) -> bool:
    # Asked for each header of each request, and what is ASCII has no surrogates.
    return isinstance(value, str) and (value.isascii() or _SURROGATE.search(value) is None)


def _fault(value: object) -> str:
    if not isinstance(value, str):
        return f"must be text, not {type(value).__name__}"
    return "has characters that cannot be written as UTF-8"
