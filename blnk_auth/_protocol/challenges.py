"""Decides whether a new token may resolve a rejection by an API.

Used by the request flow through `Provider.rejects_token`, and by providers that refine it. Pure. What it promises:

* By RFC 6750 section 3.1, a new token may help after `invalid_token`. It does not help after `insufficient_scope`,
  `invalid_request`, RFC 9470's `insufficient_user_authentication`, or a challenge for another scheme.
* By RFC 9449 section 7.1, a token that was sent with a proof is rejected by a challenge with the scheme DPoP. A new
  token does not help after `use_dpop_nonce` and `invalid_dpop_proof`: they are about the proof.
* Reading a header takes time linear in its length, even if the server is hostile. It never raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from .http_messages import ApiAnswer

_ABOUT_PROOF = frozenset({"use_dpop_nonce", "invalid_dpop_proof"})
"""Error codes that ask for another proof (RFC 9449 sections 7.1 and 9)."""

_OTHER_REMEDIES = _ABOUT_PROOF | {"insufficient_scope", "invalid_request", "insufficient_user_authentication"}
"""Error codes that ask for something else than a new token."""

_CLEAR_REMEDIES = ("insufficient_scope", "insufficient_user_authentication")
"""Error codes that are recognized anywhere in a malformed header."""

_LONGEST_HEADER = 16_384
"""In characters; the rest is not read. By default, servers send at most 8 or 16 KiB of headers."""

# Every quantifier is possessive: it never tries a part of the header twice.
# RFC 9110 wants double quotes, but bLink documents Bearer error='invalid_token'. Single quotes and no quotes are read
# too.
_PARAMETER = re.compile(
    r"""\s*+(?P<name>[!#$%&*+\-.^_`|~0-9A-Za-z]++)\s*+=\s*+
        (?:"(?P<double>(?:[^"\\]++|\\.)*+)"|'(?P<single>[^']*+)'|(?P<bare>[^\s,"']*+))\s*+(?:,|$)""",
    re.VERBOSE | re.DOTALL,
)
_SCHEME = re.compile(r"[\s,]*+(?P<scheme>[!#$%&'*+\-.^_`|~0-9A-Za-z]++)(?:[ \t]++|\s*+,|\s*+$)")
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]++=*+\s*+(?:,|$)")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Challenge(NamedTuple):
    """One challenge of a WWW-Authenticate header (RFC 9110 section 11.6.1).

    Attributes:
        scheme: In lower case.
        parameters: The parameters, with names in lower case. If a name comes twice, the first value counts.
    """

    scheme: str
    parameters: dict[str, str]


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges in a WWW-Authenticate header, in order. Never raises: what cannot be read ends the list."""
    header = header[:_LONGEST_HEADER]
    challenges: list[Challenge] = []
    position = 0
    while scheme := _SCHEME.match(header, position):
        challenge = Challenge(scheme["scheme"].lower(), {})
        challenges.append(challenge)
        position = scheme.end()
        if not _PARAMETER.match(header, position) and (token68 := _TOKEN68.match(header, position)):
            position = token68.end()
        while parameter := _PARAMETER.match(header, position):
            value = parameter["double"] if parameter["double"] is not None else parameter["single"]
            value = parameter["bare"] if value is None else value
            challenge.parameters.setdefault(parameter["name"].lower(), _ESCAPED.sub(r"\1", value))
            position = parameter.end()
    return tuple(challenges)


def renewal_may_help(answer: ApiAnswer) -> bool:
    """Whether the API may accept a new token after this rejection: a 401 that asks for nothing else."""
    return answer.status_code == 401 and names_no_other_remedy(answer)


def names_no_other_remedy(answer: ApiAnswer, scheme: str = "Bearer") -> bool:
    """Whether the challenge of a rejection, of any status, allows that a new token resolves it.

    `scheme` is how the token was sent, unless the answer names it. A 401 without any challenge breaks RFC 9110, yet
    many APIs send it for an expired token, so it counts.
    """
    header = answer.headers.get("www-authenticate", "")
    if not header.strip():
        return True
    errors = _errors(header, answer.scheme or scheme)
    if answer.scheme == "DPoP" and not errors:
        # Some APIs check the proof in a gateway, and the service behind it knows Bearer only.
        errors = _errors(header, "Bearer")
    if any(code in header for code in _CLEAR_REMEDIES) and "invalid_token" not in errors:
        # Also in a malformed header: a renewal cannot widen the scope or repeat a sign-in.
        return False
    return any(error not in _OTHER_REMEDIES for error in errors)


def refusal_of_proof(status: int, headers: Mapping[str, str]) -> str | None:
    """The code with which an API refuses a proof, and not the token (RFC 9449 section 7.1); None if it does not.

    `headers`: with names in lower case, or a mapping that ignores case.
    """
    if status != 401:
        return None
    codes = _errors(headers.get("www-authenticate", ""), "DPoP")
    return next((code for code in codes if code in _ABOUT_PROOF), None)


def _errors(header: str, scheme: str) -> list[str | None]:
    """What each challenge with this scheme names as the error."""
    return [each.parameters.get("error") for each in parse_challenges(header) if each.scheme == scheme.lower()]


def never_ends_consent(_answer: ApiAnswer) -> bool:
    """The default of `Provider.ends_consent`: no response reports that the consent has ended."""
    return False
