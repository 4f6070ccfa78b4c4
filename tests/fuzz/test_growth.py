"""What a parser of foreign text costs grows with the length of the text and no faster."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from fuzz.parsers import PARSERS, repeated
from support.growth import grows_too_fast, most_memory

PIECES: dict[str, tuple[str, str, str]] = {
    "letters": ("", "a", ""),
    "digits": ("", "9", ""),
    "brackets": ("", "[", ""),
    "JSON lists": ('{"a": [', "[],", "1]}"),
    "JSON members": ("{", '"expires_in": 1, ', '"access_token": "at1"}'),
    "JSON new members": ('{"access_token": "at1", "x": {', '"{}": 1, ', '"y": 1}}'),
    "deep JSON": ('{"access_token": "at1", "a": ', "[{}", ""),
    "a long number": ('{"access_token": "at1", "expires_in": ', "9", "}"),
    "a long string": ('{"access_token": "at1", "error_description": "', "x ", '"}'),
    "escapes": ('{"error": "x", "error_description": "', "\\\\", '"}'),
    "a long error": ('{"error": "', "a.", '"}'),
    "parameters": ("https://app.test/callback?", "error=a&", "state=s"),
    "one parameter": ("https://app.test/callback?error=", "%41", "&state=s"),
    "a challenge": ("Bearer ", 'a="b",', 'error="invalid_token"'),
    "an open quote": ('Bearer error="', '\\"', ""),
    "schemes": ("", "Bearer,", ""),
    "a host": ("https://", "a.", "test/x"),
    "a host in brackets": ("https://[", "f:", "]/x"),
    "a name that is not ASCII": ("https://", "ü.", "test"),
    "at signs": ("https://", "a@", "api.acme.test"),
    "slashes": ("", "/", ""),
    "references": ("", "${", "ACME_SECRET}"),
    "tags": ("", "<a>", ""),
    "surrogates": ("", "\ud800", ""),
    "a scheme": ("", "sqlit", ":"),
    "a key": ("token/", "%2F/", "subject/alice"),
}
"""Strings that have made some parser slow: what precedes, what is repeated, what follows."""


@pytest.mark.deep
@pytest.mark.parametrize("part", [1, 4])
@pytest.mark.parametrize("name", list(PARSERS))
def test_time_grows_linearly(name: str, part: int) -> None:
    """Twice the text takes about twice as long, with anything in it, up to the longest or a quarter of it."""
    parse, longest = PARSERS[name]
    slow = {
        which: why
        for which, piece in PIECES.items()
        if (why := grows_too_fast(parse, repeated(*piece), longest // part)) is not None
    }
    assert slow == {}


@pytest.mark.parametrize("part", [pytest.param(16, marks=pytest.mark.deep), 64])
@pytest.mark.parametrize("name", list(PARSERS))
def test_memory_stays_within_a_multiple_of_the_text(name: str, part: int) -> None:
    """At most 48 bytes for each character, which is what Python's smallest objects need, and 256 KiB."""
    parse, longest = PARSERS[name]
    parse("")
    greedy = {}
    for which in ("letters", "brackets", "JSON lists", "JSON new members", "deep JSON", "parameters", "a long string"):
        text = repeated(*PIECES[which])(longest // part)
        most = most_memory(parse, text)
        if most > 48 * len(text) + 2**18:
            greedy[which] = f"{most} bytes for {len(text)} characters"
    assert greedy == {}


def _squares(text: str) -> Any:
    return [text[:start].count("\0") for start in range(0, len(text), 4)]


def _backtracks(text: str) -> Any:
    return re.search(r"(a*)*b|a*a*a*c", text[:400]) if text.startswith("b") else re.search("a*c", text)


@pytest.mark.parametrize("parse", [_squares, _backtracks])
def test_what_grows_with_the_square_is_found(parse: Callable[[str], Any]) -> None:
    """The measurement itself, with the two usual causes: a copy for each position, and a pattern that backtracks."""
    assert grows_too_fast(parse, repeated(*PIECES["letters"]), 16_000, attempts=1) is not None
    assert grows_too_fast(len, repeated(*PIECES["letters"]), 16_000) is None


@pytest.mark.parametrize(
    ("cost", "is_found"),
    [
        (lambda n: n, False),
        (lambda n: n * math.log2(n), False),
        (lambda n: n * (3 if n > 1_000 else 1), False),
        (lambda n: n**1.45, False),
        (lambda n: n**1.55, True),
        (lambda n: n * n, True),
        (lambda n: n + 5 * n * n / 16_000, True),
    ],
    ids=["linear", "sorted", "out of the cache", "below the limit", "above the limit", "square", "square in part"],
)
def test_where_the_limit_is(cost: Callable[[int], float], is_found: bool) -> None:
    """The measurement itself, with a clock that only the cost moves: no load can move the limit."""
    now = 0.0

    def parse(text: str) -> None:
        nonlocal now
        now += cost(len(text)) / 1_000

    found = grows_too_fast(parse, lambda length: "a" * length, 16_000, clock=lambda: now)
    assert (found is not None) == is_found


def test_a_busy_moment_is_measured_again() -> None:
    """A parser that was slow for the long text is found only if it is slow each time."""
    now, runs = 0.0, 0

    def parse(text: str) -> None:
        nonlocal now, runs
        runs += 1
        now += len(text) / 1_000 * (1 if len(text) < 2_000 or runs > 100 else 20)

    assert grows_too_fast(parse, lambda length: "a" * length, 16_000, clock=lambda: now) is None
    runs = 0
    assert grows_too_fast(parse, lambda length: "a" * length, 16_000, attempts=1, clock=lambda: now) is not None


def test_what_keeps_too_much_is_found() -> None:
    """The measurement of memory, with a parser that keeps a copy for each tenth character."""
    assert most_memory(lambda text: [text[start:] for start in range(0, len(text), 10)], "a" * 20_000) > 48 * 20_000
    assert most_memory(str.upper, "a" * 20_000) < 48 * 20_000
