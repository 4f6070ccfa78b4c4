"""How long nothing is tried again after failures in a row. Pure: time and chance come in as values.

Used by `failure`, for renewals, by `rejections`, and by everything else that waits before another attempt. It promises
that a cool-down is bounded, and ends even if the clock is put back. It never reads a clock.
"""

from __future__ import annotations

import math
from typing import NamedTuple

_MOST_DOUBLINGS = 32


def doubled(first: float, times: int, *, longest: float = math.inf) -> float:
    """How long to wait after failures in a row: `first` seconds, doubled this many times, and at most `longest`."""
    return min(first * 2.0 ** min(times, _MOST_DOUBLINGS), longest)


class Cooldown(NamedTuple):
    """Nothing is tried again from `since` until `until`. Immutable.

    Attributes:
        in_a_row: How many failures there have been.
        since: When it began, in UTC epoch seconds.
        until: When it ends, in UTC epoch seconds.
    """

    in_a_row: int
    since: float
    until: float

    def is_active(self, now: float) -> bool:
        """Whether it lasts at `now`. A clock that was put back behind its beginning ends it."""
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
        """The next one in a row, `last` being the one before.

        It lasts `first` seconds, doubled each time up to `longest`. `jitter_position` (0 to 1) takes from half to all
        of that. `at_least`: what the server asked for.
        """
        in_a_row = 1 if last is None else last.in_a_row + 1
        full = doubled(first, in_a_row - 1, longest=longest)
        return cls(in_a_row, now, now + max(full * (0.5 + 0.5 * jitter_position), at_least))
