"""What one keepalive run renews, and how fast.

Used by `keepalive`. It promises that settings are checked when they are made, and that the parts of the grants (shards)
are the same on every host. It never reads a clock: the caller passes the time.
"""

from __future__ import annotations

import threading
import zlib
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigurationError, is_number, quoted
from ..token import Token
from .stored_record import refresh_expiry

MOST_WORKERS = 64

CLOCK_AHEAD = 86_400.0
"""Seconds by which the clock of a host may be ahead of this one without being wrong."""

_YOUNG = 0.1
"""The share of a refresh token's lifetime in which it is too new to be worth renewing."""


@dataclass(frozen=True, slots=True)
class KeepaliveSettings:
    """What to renew and how fast.

    Attributes:
        horizon: Seconds. A grant is due if its refresh token expires within this time.
        idle_lifetime: Seconds after which an unused refresh token expires. None: the provider's, which may be unknown.
        rate: Renewals per second, at most.
        workers: Concurrent renewals, at most.
        shard: The part of the grants to visit, counted from 0, and the number of parts.
    """

    horizon: float
    idle_lifetime: float | None = None
    rate: float = 10.0
    workers: int = 4
    shard: tuple[int, int] = (0, 1)

    @classmethod
    def checked(
        cls, horizon: float, idle_lifetime: float | None, rate: float, workers: int, shard: tuple[int, int]
    ) -> KeepaliveSettings:
        """From what the user of the library passed. Raises `ConfigurationError`."""
        for parameter, value in (("horizon", horizon), ("idle_lifetime", idle_lifetime), ("rate", rate)):
            if not (is_number(value) and value > 0) and not (value is None and parameter == "idle_lifetime"):
                unit = "renewals per second" if parameter == "rate" else "seconds"
                problem = f"{parameter} must be a positive number, not {quoted(value)}"
                raise _wrong(parameter, problem, f"pass a number of {unit}")
        if not _is_whole(workers) or not 1 <= workers <= MOST_WORKERS:
            problem = f"workers must be a whole number from 1 to {MOST_WORKERS}, not {quoted(workers)}"
            raise _wrong("workers", problem, "pass such a number")
        if not isinstance(shard, tuple) or len(shard) != 2 or not all(map(_is_whole, shard)):
            shown = ", ".join(map(quoted, shard[:3])) if isinstance(shard, tuple) else quoted(shard)
            problem = f"shard must be a tuple of two whole numbers, not {shown}"
            raise _wrong("shard", problem, "pass (0, 4) for the first of four parts")
        if not 0 <= shard[0] < shard[1]:
            problem = f"shard names part {shard[0]} of {shard[1]}, and there is no such part"
            raise _wrong("shard", problem, "count parts from 0: (0, 4) is the first of four and (3, 4) the last")
        return cls(horizon, idle_lifetime, rate, workers, shard)

    def is_due(self, token: Token, now: float) -> bool:
        """Whether the refresh token expires within the horizon, and a renewal can postpone that."""
        end = refresh_expiry(token, self.idle_lifetime)
        if end is not None and token.issued_at is not None and token.issued_at > now + CLOCK_AHEAD:
            # It was saved by a clock that was ahead, so when it ends is not known.
            return True
        if end is None or end - now > self.horizon:
            return False
        return token.issued_at is None or now - token.issued_at >= _YOUNG * (end - token.issued_at)

    def is_unknown(self, token: Token) -> bool:
        """Whether there is a refresh token that expires at an unknown time."""
        return token.refresh_token is not None and refresh_expiry(token, self.idle_lifetime) is None

    def has(self, key: str) -> bool:
        """Whether the grant with this store key belongs to this part. The same on every host and in every version."""
        part, parts = self.shard
        return zlib.crc32(key.encode("utf-8", "surrogatepass")) % parts == part


class RateLimit:
    """Spaces renewals evenly, at `rate` per second. Thread-safe."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._lock = threading.Lock()
        self._next_at = 0.0

    def delay(self, now: float) -> float:
        """Seconds that a renewal that is ready at `now` has to wait."""
        with self._lock:
            at = max(self._next_at, now)
            self._next_at = at + self._interval
            return at - now


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong(parameter: str, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(problem, parameter=parameter, remedy=remedy)
