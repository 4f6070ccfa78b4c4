"""What a parser costs: how the time grows with the text, and the most memory for one.

Used by the tests of parsers, and by the target `growth` of `make fuzz`. Time is this thread's CPU time, the least of
several runs, so that another load on the machine cannot make it longer by much. The limits leave a factor of four for
the rest, on both sides: a busy machine fails no linear parser, and no parser that grows with the square passes.
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

_TIMES = 16
"""How much shorter the text is with which the longest is compared: four doublings."""

_WORST_RATIO = 64.0
"""How much longer the longest may take: 2.8 times as long for each doubling. In theory it is 16 times as long where
time is linear, and 256 times where it grows with the square. In practice a long text also leaves the caches of the
processor, and beside other programs it does so earlier: up to 36 times was seen."""


def grows_too_fast(
    parse: Parse,
    make: Callable[[int], Any],
    longest: int,
    *,
    attempts: int = 8,
    clock: Callable[[], float] = time.thread_time,
) -> str | None:
    """Why the time for `make(longest)` is not linear, compared with a sixteenth of it; None if it is.

    Measured again before it is believed: each time with more runs, of which the shortest counts.
    """
    long, short = make(longest), make(longest // _TIMES)
    ratio, whole, part = 0.0, seconds(parse, long, 1, clock), math.inf
    for attempt in range(attempts):
        if whole < _MEASURABLE:
            return None
        runs = _RUNS * (attempt + 1)
        whole = min(whole, seconds(parse, long, runs, clock))
        # As much time for the short text as for the long one.
        part = min(part, seconds(parse, short, runs * _TIMES, clock))
        ratio = whole / max(part, 1e-7)
        if ratio < _WORST_RATIO:
            return None
    return f"{whole:.4f} s for {longest}, {ratio:.1f} times as long as for a {_TIMES}th of it"


def seconds(parse: Parse, value: Any, runs: int, clock: Callable[[], float] = time.thread_time) -> float:
    """The least CPU time of some runs."""
    least = math.inf
    enabled = gc.isenabled()
    gc.disable()
    try:
        for _ in range(runs):
            began_at = clock()
            parse(value)
            least = min(least, clock() - began_at)
    finally:
        if enabled:
            gc.enable()
    return least


def most_memory(parse: Parse, value: Any) -> int:
    """The bytes that Python allocates at most at the same time while a value is parsed, the value not counted."""
    tracemalloc.start()
    try:
        parse(value)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
