"""Judging a resource server's answer: would a new token help?

Pure. RFC 6750 section 3.1: `invalid_token` calls for renewal; `insufficient_scope` and `invalid_request` do not, and
neither does a challenge for a scheme that we do not speak.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from .http_messages import ApiAnswer

_USELESS_ERRORS = frozenset({"insufficient_scope", "invalid_request"})

# bLink documents Bearer error='invalid_token'; RFC 9110 wants double quotes. Read both, and neither.
_PARAMETER = re.compile(
    r"""\s*(?P<name>[!#$%&*+\-.^_`|~0-9A-Za-z]+)\s*=\s*
        (?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>[^']*)'|(?P<bare>[^\s,"']*))\s*(?:,|$)""",
    re.VERBOSE,
)
_SCHEME = re.compile(r"[\s,]*(?P<scheme>[!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:[ \t]+|\s*,|\s*$)")
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*\s*(?:,|$)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a WWW-Authenticate header (RFC 9110 section 11.6.1); scheme and names in lower case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict[str, str])


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges in a WWW-Authenticate header, in order. Never raises: what cannot be read ends the list."""
    challenges: list[Challenge] = []
    position = 0
    while scheme := _SCHEME.match(header, position):
        challenge = Challenge(scheme["scheme"].lower())
        challenges.append(challenge)
        position = scheme.end()
        if not _PARAMETER.match(header, position) and (token68 := _TOKEN68.match(header, position)):
            position = token68.end()
        while parameter := _PARAMETER.match(header, position):
            value = parameter["double"] if parameter["double"] is not None else parameter["single"]
            value = parameter["bare"] if value is None else value
            challenge.parameters.setdefault(parameter["name"].lower(), re.sub(r"\\(.)", r"\1", value))
            position = parameter.end()
    return tuple(challenges)


def renewal_may_help(answer: ApiAnswer) -> bool:
    """Whether a new token could turn this answer around: a 401 that names no other remedy.

    A 401 without any challenge breaks RFC 9110, yet many APIs send it for an expired token, so it counts.
    """
    if answer.status_code != 401:
        return False
    header = answer.headers.get("www-authenticate", "")
    if not header.strip():
        return True
    errors = [each.parameters.get("error") for each in parse_challenges(header) if each.scheme == "bearer"]
    if "insufficient_scope" in header and "invalid_token" not in errors:
        # However badly it is written: no renewal widens a scope.
        return False
    return any(error not in _USELESS_ERRORS for error in errors)
