"""Recognizes a response of the API that asks for a new sign-in: for more than the grant gives, or for a new consent.

Used by the request flow, through `_renewal`, and by the record of a grant, which remembers what was asked for. Pure.
What it promises:

* RFC 9470's `insufficient_user_authentication` and RFC 6750's `insufficient_scope` are recognized in a challenge for
  the scheme of the token, also in a malformed header. No renewal can meet such a demand.
* What is taken from a response is bounded, has only the characters that the RFCs allow, and contains no part of a
  secret.
* A provider's own response for a consent that has ended is judged by `Provider.ends_consent`.

It never decides what follows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast

from ..errors import is_number
from .challenges import Challenge, parse_challenges
from .http_messages import ApiAnswer
from .redaction import holds_piece

DEMAND_STATUSES = frozenset({401, 403})
"""The statuses of a response that may ask for a new sign-in (RFC 6750 section 3.1, RFC 9470 section 3)."""

_CODES = ("insufficient_user_authentication", "insufficient_scope")

# RFC 6749 section 3.3, for a scope and for RFC 9470's acr_values: words without quotes and backslashes.
_WORD = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")

_MOST_WORDS = 64
_LONGEST_WORD = 300
_MAX_AGE = re.compile(r"[0-9]{1,10}")


class Demand(NamedTuple):
    """What the API asks for. Immutable.

    Attributes:
        reason: As in `SignInRequired.reason`.
        error: The error code of the challenge; None for a consent that has ended.
        scope: The scope to ask for, space-separated; None if none is named.
        acr_values: The authentication contexts to ask for, space-separated; None if none is named.
        max_age: The longest age of the user's authentication, in seconds; None if none is named.
    """

    reason: Literal["step_up", "consent_ended"]
    error: str | None = None
    scope: str | None = None
    acr_values: str | None = None
    max_age: float | None = None


class Demands(NamedTuple):
    """What the API has asked for since the last sign-in, together. Immutable.

    Attributes:
        step_up: All that it asked for in step-up challenges; None: there was none.
        consent_ended: Whether it reported that the consent has ended.
    """

    step_up: Demand | None = None
    consent_ended: bool = False

    def including(self, demand: Demand) -> Demands:
        """These and one more: the union of the scopes, the last `acr_values`, and the shortest `max_age`."""
        if demand.reason == "consent_ended":
            return self._replace(consent_ended=True)
        before = self.step_up
        if before is None:
            return self._replace(step_up=demand)
        ages = [age for age in (before.max_age, demand.max_age) if age is not None]
        merged = demand._replace(
            scope=union_of_scopes(before.scope, demand.scope),
            acr_values=demand.acr_values or before.acr_values,
            max_age=min(ages, default=None),
        )
        return self._replace(step_up=merged)

    def to_data(self) -> dict[str, Any]:
        """The JSON object that a record stores."""
        data: dict[str, Any] = {"consent_ended": True} if self.consent_ended else {}
        if self.step_up is not None:
            members = self.step_up._asdict()
            data["step_up"] = {name: members[name] for name in _STORED if members[name] is not None}
        return data

    @classmethod
    def from_data(cls, data: object) -> Demands | None:
        """Read what `to_data` wrote. What cannot be read is left out; None if nothing is left."""
        if not isinstance(data, Mapping):
            return None
        stored = cast("Mapping[str, Any]", data)
        step_up = stored.get("step_up")
        found = cls(
            _stored_step_up(cast("Mapping[str, Any]", step_up)) if isinstance(step_up, Mapping) else None,
            stored.get("consent_ended") is True,
        )
        return found if found != cls() else None


_STORED = ("error", "scope", "acr_values", "max_age")


def step_up_in(answer: ApiAnswer, scheme: str, secrets: tuple[str, ...]) -> Demand | None:
    """What the challenge of a response asks for beyond the grant; None if it asks for nothing that a sign-in gives.

    Args:
        answer: The response.
        scheme: The scheme that the token was sent with, such as `Bearer`.
        secrets: The tokens of the grant. What contains a part of one is left out.
    """
    header = answer.headers.get("www-authenticate", "")
    if answer.status_code not in DEMAND_STATUSES or not any(code in header for code in _CODES):
        return None
    challenges = [each for each in parse_challenges(header) if each.scheme in (scheme.lower(), "bearer")]
    if any(each.parameters.get("error") == "invalid_token" for each in challenges):
        # A renewal comes first: the next response shows whether more is asked for.
        return None
    for code in _CODES:
        for challenge in challenges:
            if challenge.parameters.get("error") == code:
                return _demand(code, challenge, secrets)
    # In a malformed header no challenge with an error could be read, and only the code is known.
    is_malformed = all("error" not in each.parameters for each in parse_challenges(header))
    return Demand("step_up", _named_in(header)) if is_malformed else None


def union_of_scopes(*scopes: str | None) -> str | None:
    """The words of all scopes, each once, in the order of their first appearance; None if there is none."""
    words = dict.fromkeys(word for scope in scopes if scope is not None for word in scope.split())
    return " ".join([*words][:_MOST_WORDS]) or None


def _demand(code: str, challenge: Challenge, secrets: tuple[str, ...]) -> Demand:
    parameters = challenge.parameters
    max_age = parameters.get("max_age", "")
    return Demand(
        "step_up",
        code,
        _words(parameters.get("scope"), secrets),
        _words(parameters.get("acr_values"), secrets),
        float(max_age) if _MAX_AGE.fullmatch(max_age) else None,
    )


def _words(value: str | None, secrets: tuple[str, ...]) -> str | None:
    """The words of a parameter that can be sent with a sign-in."""
    words = [
        word for word in (value or "").split()[:_MOST_WORDS] if len(word) <= _LONGEST_WORD and _WORD.fullmatch(word)
    ]
    # Looking for secrets takes longer than the rest, and few APIs quote them.
    if holds_piece(" ".join(words), secrets):
        words = [word for word in words if not holds_piece(word, secrets)]
    return union_of_scopes(" ".join(words))


def _named_in(header: str) -> str:
    return next(code for code in _CODES if code in header)


def _stored_step_up(stored: Mapping[str, Any]) -> Demand:
    error, scope, acr_values = (
        value if isinstance(value := stored.get(name), str) else None for name in ("error", "scope", "acr_values")
    )
    max_age = stored.get("max_age")
    return Demand("step_up", error, scope, acr_values, max_age if is_number(max_age) else None)
