"""Which rejections by the API a renewal did not resolve, and for how long they cause no further renewal.

Used by `current_token`, which has one `Rejections` for each grant. If an API rejects every token, the library must not
renew once for each call. If only one endpoint does so, rejections by the other endpoints must still cause renewals.
What this file promises:

* Each rejection has a cause: the response's challenge if it names an error or a scope, else the request's method and
  path.
* If the API rejects a token that a rejection had renewed a short time ago, one more renewal is made, and the cause gets
  a cool-down. While it lasts, rejections with this cause lead to no renewal. It does not matter which caller sent the
  request, whether its body can be sent again, or whether the API accepted the token for another request.
* Until the API has accepted the current token once, the cool-down is for every cause.
* Many rejections at the same time count once. At most 256 causes are remembered.

It never reads a clock. The provider decides whether a response is a rejection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from .._protocol.challenges import parse_challenges
from ..errors import ConfigurationError
from ..policy import RenewalPolicy
from ..token import Token
from .cached_token import CachedToken
from .cooldown import Cooldown

if TYPE_CHECKING:
    from .._protocol.http_messages import ApiAnswer
    from ..provider import Provider

MOST_CAUSES = 256

_LONGEST_CAUSE = 300
"""In characters; what is longer is cut off."""

_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_DIGITS = re.compile(r"[0-9]++")

_CHALLENGE = "challenge: "
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")

_EVERY_CAUSE = ""
"""The key of the cool-down for every cause, begun by a rejection of a token that the API has never accepted."""


def is_rejection(provider: Provider, answer: ApiAnswer) -> bool:
    """Whether a new token may resolve a response, by the provider. Raises `ConfigurationError` if its judge fails."""
    try:
        return provider.rejects_token(answer)
    except Exception as error:  # noqa: BLE001 - a provider's author may raise anything
        failure = type(error).__name__
    raise ConfigurationError(
        f"is_rejection of the provider raised {failure}", remedy="correct it there", parameter="is_rejection"
    )


def cause_of(method: str, path: str, headers: Mapping[str, str]) -> str:
    """The cause of a rejection, as a string.

    Args:
        method: The method of the rejected request.
        path: The path of its URL. Each number and each UUID in it becomes 0, so that `/users/1` and `/users/2` are one
            cause.
        headers: The headers of the response; their names must be in lower case.
    """
    for challenge in parse_challenges(headers.get("www-authenticate", "")):
        error, scope = challenge.parameters.get("error"), challenge.parameters.get("scope")
        if scope or (error and error != "invalid_token"):
            return f"{_CHALLENGE}{challenge.scheme} error={error} scope={scope}"[:_LONGEST_CAUSE]
    return f"{method} {_DIGITS.sub('0', _UUID.sub('0', path))}"[:_LONGEST_CAUSE]


def in_words(cause: str) -> str:
    """A cause in a form that may be logged. The content of a challenge is left out: it may quote the token."""
    return "this challenge" if cause.startswith(_CHALLENGE) else _UNPRINTABLE.sub("?", cause)


class Unresolved(NamedTuple):
    """A cause whose rejections a renewal did not resolve.

    Attributes:
        cooldown: While it lasts, rejections with this cause lead to no renewal.
        was_resolved: Whether a later renewal resolved it. The entry is still kept until a renewed token has been in use
            for twice the length of the cool-down: an API that rejects each new token once looks the same until then.
    """

    cooldown: Cooldown
    was_resolved: bool = False


class Rejections(NamedTuple):
    """What one process remembers of the rejections of one grant. Immutable: each method returns the new value.

    Attributes:
        unresolved: The unresolved causes. The one that was counted last is at the end.
        replacement: The token that the server issued in the last renewal after a rejection; None if there was none, or
            a token was found that another process had stored.
        replaced_at: When that token came, in UTC epoch seconds.
    """

    unresolved: Mapping[str, Unresolved] = MappingProxyType({})
    replacement: Token | None = None
    replaced_at: float = 0.0

    def after_rejection(
        self, rejected: CachedToken, cause: str, now: float, policy: RenewalPolicy
    ) -> tuple[bool, Rejections]:
        """Whether a rejection of the current token may cause a renewal, and the value to remember from now on."""
        # The API has accepted this token for another request, so the token as such is good.
        unresolved = self._without(_EVERY_CAUSE) if rejected.was_accepted else self
        if any(unresolved._is_cooling_down(each, now) for each in (cause, _EVERY_CAUSE)):
            return False, unresolved
        if unresolved._is_young(rejected.token, cause, now, policy):
            return True, unresolved.after_unresolved(rejected, cause, now, policy)
        known = unresolved.unresolved.get(cause)
        return True, unresolved._without(cause) if known is not None and known.was_resolved else unresolved

    def after_renewal(self, replacement: Token | None, now: float) -> Rejections | None:
        """The value to remember after a renewal; None if there is nothing to remember.

        `replacement`: the new token, if a rejection caused the renewal; else None.
        """
        if replacement is None and not self.unresolved:
            return None
        return self._replace(replacement=replacement, replaced_at=now)

    def after_resolved(self, cause: str) -> Rejections:
        """The value to remember after the API accepted a renewed token in place of a rejected one."""
        known = self.unresolved.get(cause)
        if known is None:
            return self
        return self._replace(unresolved={**self.unresolved, cause: known._replace(was_resolved=True)})

    def after_unresolved(self, rejected: CachedToken, cause: str, now: float, policy: RenewalPolicy) -> Rejections:
        """The value to remember after the API rejected a token that had just been renewed."""
        counted = self._counted(cause, now, policy)
        return counted if rejected.was_accepted else counted._counted(_EVERY_CAUSE, now, policy)

    def _counted(self, cause: str, now: float, policy: RenewalPolicy) -> Rejections:
        last = self.unresolved.get(cause)
        if last is not None and last.cooldown.is_active(now):
            # Many callers with the same rejected token count once.
            return self
        begun = Cooldown.after(
            None if last is None else last.cooldown,
            now,
            first=policy.rejection_cooldown,
            longest=policy.max_rejection_cooldown,
        )
        newest = [*self._without(cause).unresolved.items(), (cause, Unresolved(begun))][-MOST_CAUSES:]
        return self._replace(unresolved=dict(newest))

    def _without(self, cause: str) -> Rejections:
        if cause not in self.unresolved:
            return self
        return self._replace(unresolved={each: known for each, known in self.unresolved.items() if each != cause})

    def _is_cooling_down(self, cause: str, now: float) -> bool:
        known = self.unresolved.get(cause)
        return known is not None and known.cooldown.is_active(now)

    def _is_young(self, token: Token, cause: str, now: float, policy: RenewalPolicy) -> bool:
        """Whether a rejection led to this token, less than two cool-downs ago."""
        known = self.unresolved.get(cause)
        last = policy.rejection_cooldown if known is None else known.cooldown.until - known.cooldown.since
        return token == self.replacement and 0 <= now - self.replaced_at < 2 * last
