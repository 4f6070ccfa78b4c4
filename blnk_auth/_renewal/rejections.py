"""Rejections by the API that a renewal did not resolve, and how long they cause no other one. Pure: time comes in.

Used by `current_token`, one memory for each grant. An API that rejects every token must not cost a renewal for each
call, and one endpoint that does so must not keep the others from having their tokens renewed. What this file promises:

* A rejection is remembered by its cause: the challenge where it names one, else method and path.
* A rejection of a recently renewed token is counted, regardless of which caller sent the request: also with a
  body that cannot be sent again, and also if the API accepted it once in between. It is renewed, and the next one not.
* As long as nothing shows that the API accepts the current token at all, a rejection counts for every cause.
* A burst of rejections counts once. A memory has at most 256 causes.

It never judges whether a response is a rejection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from .._protocol.challenges import parse_challenges
from ..policy import RenewalPolicy
from ..token import Token
from .cached_token import CachedToken
from .cooldown import Cooldown

MOST_CAUSES = 256

_LONGEST_CAUSE = 300
"""Characters of a cause that are kept."""

_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_DIGITS = re.compile(r"[0-9]++")

_CHALLENGE = "challenge: "
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")

_EVERY_CAUSE = ""
"""The entry for rejections of a token that the API has not accepted anywhere."""


def cause_of(method: str, path: str, headers: Mapping[str, str]) -> str:
    """What a rejection is remembered by.

    Args:
        method: The method of the rejected request.
        path: The path of its URL. Digits and UUIDs are folded, so that the pages of one resource are one cause.
        headers: Of the response, looked up in lower case.
    """
    for challenge in parse_challenges(headers.get("www-authenticate", "")):
        error, scope = challenge.parameters.get("error"), challenge.parameters.get("scope")
        if scope or (error and error != "invalid_token"):
            return f"{_CHALLENGE}{challenge.scheme} error={error} scope={scope}"[:_LONGEST_CAUSE]
    return f"{method} {_DIGITS.sub('0', _UUID.sub('0', path))}"[:_LONGEST_CAUSE]


def in_words(cause: str) -> str:
    """A cause as it may be logged. The content of a challenge is left out: it may quote the token."""
    return "this challenge" if cause.startswith(_CHALLENGE) else _UNPRINTABLE.sub("?", cause)


class Unresolved(NamedTuple):
    """A cause whose rejections a renewal has not resolved.

    Attributes:
        cooldown: While it lasts, the cause leads to no renewal.
        was_resolved: Whether a renewal has resolved it since. It is forgotten once a renewed token has served for twice
            as long as the cool-down: until then it may be that the API rejects each new token once.
    """

    cooldown: Cooldown
    was_resolved: bool = False


class Rejections(NamedTuple):
    """What is remembered of one grant in one process. Immutable: each method returns what is remembered afterwards.

    Attributes:
        unresolved: By cause, the one that was counted last at the end.
        replacement: The token that the last renewal after a rejection brought.
        replaced_at: When it came, in UTC epoch seconds.
    """

    unresolved: Mapping[str, Unresolved] = MappingProxyType({})
    replacement: Token | None = None
    replaced_at: float = 0.0

    def after_rejection(
        self, rejected: CachedToken, cause: str, now: float, policy: RenewalPolicy
    ) -> tuple[bool, Rejections]:
        """Whether a rejection of the current token may cause a renewal, and what is remembered afterwards."""
        # What the API accepts elsewhere is not rejected because of the token.
        unresolved = self._without(_EVERY_CAUSE) if rejected.was_accepted else self
        if any(unresolved._is_cooling_down(each, now) for each in (cause, _EVERY_CAUSE)):
            return False, unresolved
        if unresolved._is_young(rejected.token, cause, now, policy):
            return True, unresolved.after_unresolved(rejected, cause, now, policy)
        known = unresolved.unresolved.get(cause)
        return True, unresolved._without(cause) if known is not None and known.was_resolved else unresolved

    def after_renewal(self, replacement: Token | None, now: float) -> Rejections | None:
        """After a renewal: the token that it brought if a rejection caused it, else None. None: nothing to remember."""
        if replacement is None and not self.unresolved:
            return None
        return self._replace(replacement=replacement, replaced_at=now)

    def after_resolved(self, cause: str) -> Rejections:
        """After the API accepted a renewed token where it had rejected the one before."""
        known = self.unresolved.get(cause)
        if known is None:
            return self
        return self._replace(unresolved={**self.unresolved, cause: known._replace(was_resolved=True)})

    def after_unresolved(self, rejected: CachedToken, cause: str, now: float, policy: RenewalPolicy) -> Rejections:
        """After the API rejected a token that had just been renewed."""
        counted = self._counted(cause, now, policy)
        return counted if rejected.was_accepted else counted._counted(_EVERY_CAUSE, now, policy)

    def _counted(self, cause: str, now: float, policy: RenewalPolicy) -> Rejections:
        last = self.unresolved.get(cause)
        if last is not None and last.cooldown.is_active(now):
            # The rest of a burst: fifty callers with one rejected token count once.
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
        """Whether a renewal after a rejection has brought this token less than two cool-downs ago."""
        known = self.unresolved.get(cause)
        last = policy.rejection_cooldown if known is None else known.cooldown.until - known.cooldown.since
        return token == self.replacement and 0 <= now - self.replaced_at < 2 * last
