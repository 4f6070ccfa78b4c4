"""The last renewal that failed, remembered so that not every caller tries again.

Used by `current_token`. What this file promises:

* While the cool-down lasts, this process sends no other renewal, and callers without a valid token get its error.
* Before they get it, the store is read again, at most once a second: another process or a user may have stored a token.
* A cool-down that began before `must_renew_at` ends at that moment: the server may refuse early renewals.

It never reads a clock and never makes a random number: the caller passes both as values.
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import BlnkAuthError, SignInRequired, TemporarilyUnavailable
from ..policy import RenewalPolicy
from .cooldown import Cooldown

_LOOK_EVERY = 1.0
"""Seconds between two looks at the store during a cool-down."""


class Failure(NamedTuple):
    """A renewal that failed. Immutable.

    Attributes:
        cooldown: How long no other renewal is tried.
        error: Why it failed.
        looked_at: When the store was last read, in UTC epoch seconds.
    """

    cooldown: Cooldown
    error: BlnkAuthError
    looked_at: float

    @classmethod
    def after(
        cls,
        last: Failure | None,
        error: BlnkAuthError,
        now: float,
        *,
        must_renew_at: float,
        policy: RenewalPolicy,
        jitter_position: float,
    ) -> Failure:
        """The failure to remember after a renewal failed.

        Args:
            last: The failure before it; None if the renewal before it succeeded.
            error: Why the renewal failed. Its `retry_after` is obeyed up to the policy's `max_retry_after`.
            now: UTC epoch seconds.
            must_renew_at: When the cached token must be renewed. Failures before that moment do not lengthen the
                cool-downs after it. Minus infinity if no token is cached.
            policy: The lengths of cool-downs.
            jitter_position: From 0 to 1: with 0 the cool-down has half of its length, with 1 the whole.
        """
        before = None if last is None else last.cooldown
        if before is not None and before.since < must_renew_at <= now:
            before = None
        retry_after = 0.0
        if isinstance(error, TemporarilyUnavailable) and error.retry_after is not None:
            retry_after = min(error.retry_after, policy.max_retry_after)
        cooldown = Cooldown.after(
            before,
            now,
            first=policy.cooldown,
            longest=policy.max_cooldown,
            jitter_position=jitter_position,
            at_least=retry_after,
        )
        if isinstance(error, SignInRequired):
            # A callable raised it, for what the grant presents. It is asked each time: the user may have signed in.
            cooldown = cooldown._replace(until=now)
        if now < must_renew_at < cooldown.until:
            cooldown = cooldown._replace(until=must_renew_at)
        return cls(cooldown, error.replace(), now)

    def is_active(self, now: float) -> bool:
        """Whether no other renewal is tried at `now`."""
        return self.cooldown.is_active(now)

    def is_same(self, other: Failure | None) -> bool:
        """Whether both are the same failure, even if the store has been read since."""
        return other is not None and self.cooldown == other.cooldown

    def may_look(self, now: float) -> bool:
        """Whether it is time to read the store again."""
        return not self.looked_at <= now < self.looked_at + _LOOK_EVERY

    def error_at(self, now: float) -> BlnkAuthError:
        """A copy of the error, to raise at `now`. Its `retry_after` is the time until the next attempt."""
        if isinstance(self.error, TemporarilyUnavailable):
            return self.error.replace(retry_after=max(self.cooldown.until - now, 0.0))
        return self.error.replace()
