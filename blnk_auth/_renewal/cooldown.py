"""How long to wait before another attempt, after one failure or several in a row.

Used by `failure` for renewals, by `rejections`, and by everything else that waits before another attempt. It promises
that a cool-down is bounded, and ends even if the clock is set back. It never reads a clock and never makes a random
number: the caller passes both as values.
"""

from __future__ import annotations

import math
from typing import NamedTuple

_MOST_DOUBLINGS = 32


def doubled(first: float, times: int, *, longest: float = math.inf) -> float:
    """How many seconds to wait: `first`, doubled this many `times`, and at most `longest`."""
    return min(first * 2.0 ** min(times, _MOST_DOUBLINGS), longest)


class Cooldown(NamedTuple):
    """No attempt is made from `since` until `until`. Immutable.

    Attributes:
        in_a_row: How many attempts have failed since the last success.
        since: When it began, in UTC epoch seconds.
        until: When it ends, in UTC epoch seconds.
    """

    in_a_row: int
    since: float
    until: float

    def is_active(self, now: float) -> bool:
        """Whether no attempt is made at `now`. If the clock was set back to before `since`, the cool-down is over."""
        return self.since <= now < self.until

    @classmethod
    def after(
        cls,
        last: Cooldown | None,
        now: float,
        *,
        first: float,
        longest: float,
        jitter_position: float = 1.0,
        at_least: float = 0.0,
    ) -> Cooldown:
        """The cool-down that begins with a failure at `now`.

        Args:
            last: The cool-down of the failure before it; None if the attempt before it succeeded.
            now: UTC epoch seconds.
            first: Seconds after the first failure. Each further failure doubles them.
            longest: The most seconds that doubling leads to.
            jitter_position: From 0 to 1: with 0 the cool-down has half of that length, with 1 the whole.
            at_least: The fewest seconds, such as the `Retry-After` that the server sent.
        """
        in_a_row = 1 if last is None else last.in_a_row + 1
        full = doubled(first, in_a_row - 1, longest=longest)
        return cls(in_a_row, now, now + max(full * (0.5 + 0.5 * jitter_position), at_least))
