"""How long to wait after failures in a row."""

from __future__ import annotations


def cooldown(failures: int, *, first: float, longest: float, jitter_position: float) -> float:
    """Seconds to wait after so many failures in a row: exponential, from half to all of it at random."""
    full = min(first * 2.0 ** min(failures - 1, 32), longest)
    return full * (0.5 + 0.5 * jitter_position)
