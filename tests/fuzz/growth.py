"""What a parser costs: the time for twice and four times the input, and the most memory for one.

Used by `test_growth` and by the target `growth`. Time is this thread's CPU time, the least of several runs, so that
another load on the machine cannot make it longer by much.
"""

from __future__ import annotations

import gc
import math
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

Parse = Callable[[Any], object]

_RUNS = 3
_MEASURABLE = 0.004
"""Seconds of CPU time. What takes less at its longest cannot keep anybody waiting."""

_WORST_RATIO = 12.0
"""What grows with the square takes sixteen times as long for four times the input. What is linear may take eight times
as long, beside programs that use the same caches of the processor."""


def grows_too_fast(parse: Parse, make: Callable[[int], Any], longest: int, *, attempts: int = 8) -> str | None:
    """Why the time for `make(longest)` is not linear, compared with a quarter of it; None if it is.

    Measured again before it is believed: each time with more runs, of which the shortest counts. A busy machine makes
    the longer text slower than its length does, since the caches are shared.
    """
    ratio, whole, quarter = 0.0, math.inf, math.inf
    for attempt in range(attempts):
        whole = min(whole, seconds(parse, make(longest), _RUNS * (attempt + 1)))
        if whole < _MEASURABLE:
            return None
        quarter = min(quarter, seconds(parse, make(longest // 4), _RUNS * (attempt + 1)))
        ratio = whole / max(quarter, 1e-6)
        if ratio < _WORST_RATIO:
            return None
    return f"{whole:.4f} s for {longest}, {ratio:.1f} times as long as for a quarter of it"


def seconds(parse: Parse, value: Any, runs: int) -> float:
    """The least CPU time of some runs."""
    taken: list[float] = []
    enabled = gc.isenabled()
    gc.disable()
    try:
        for _ in range(runs):
            began_at = time.thread_time()
            parse(value)
            taken.append(time.thread_time() - began_at)
            if taken[0] < _MEASURABLE / 4:
                break
    finally:
        if enabled:
            gc.enable()
    return min(taken)


def most_memory(parse: Parse, value: Any) -> int:
    """The bytes that Python allocates at most at the same time while a value is parsed, the value not counted."""
    gc.collect()
    tracemalloc.start()
    try:
        parse(value)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
