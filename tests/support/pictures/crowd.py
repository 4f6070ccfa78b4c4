"""Draws what `fifty_threads` found: one SVG for each library, which can be read on a light and on a dark page.

Used by `python -m support.pictures` and by the test of the first page. The same figures make the same file.
"""

from __future__ import annotations

import re
from html import escape

from support.pictures.fifty_threads import THREADS, Figures, lines

WIDTH, HEIGHT = 460, 456
_GOOD, _BAD = "#4ade80", "#f87171"
_TOP, _BOTTOM, _LEFT, _NODE, _SERVER = 208, 336, 62, 236, 352
_MIDDLE = (_TOP + _BOTTOM) // 2

_FIGURES = re.compile(r"(\d+) token requests?, (\d+) with a spent refresh token, (\d+) failed calls?, the grant (\w+)")


def file_name(library: str) -> str:
    """Its name in docs/pictures/."""
    return f"fifty-threads-{library.replace('_', '-')}.svg"


def described(figures: Figures) -> str:
    """The figures in words, for those who do not see the picture; `read` takes them back."""
    return (
        f"{_counted(figures.token_requests, 'token request')}, {figures.reuses} with a spent refresh token, "
        f"{_counted(figures.failed_calls, 'failed call')}, the grant {'lives' if figures.goes_on else 'is revoked'}"
    )


def read(svg: str) -> Figures:
    """The figures that a picture states."""
    found = _FIGURES.search(svg)
    assert found is not None, "the picture states no figures"
    return Figures(int(found[1]), int(found[2]), int(found[3]), found[4] == "lives")


def title(svg: str) -> str:
    """The library, with its version if it has one, that a picture names."""
    found = re.search(r'class="title"[^>]*>([^<]+)<', svg)
    assert found is not None, "the picture names no library"
    return found[1]


def picture(library: str, named: str, figures: Figures) -> str:
    """The SVG. `named` is the title."""
    is_good = figures.goes_on and not figures.failed_calls
    colour = _GOOD if is_good else _BAD
    parts = [f'<text class="title" x="20" y="36">{escape(named)}</text>', *_code(library), *_fan(is_good)]
    parts.append(f'<text class="note" x="{_LEFT - 42}" y="{_BOTTOM + 24}">{THREADS} threads, one expired token</text>')
    parts += _verdict(figures)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(named)}: {described(figures)}">\n'
        "<style>text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#e2e8f0}"
        ".title{font:600 19px system-ui,sans-serif}.note{font:13px system-ui,sans-serif;fill:#94a3b8}"
        ".fact{font:600 16px system-ui,sans-serif}.same{fill:#94a3b8}"
        ".call{stroke:#64748b;stroke-width:.7}.dot{fill:#cbd5e1}"
        f".request{{stroke:{colour};fill:none}}.mark{{stroke:{colour};stroke-width:2.4;fill:none}}</style>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="12" fill="#111827"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _code(library: str) -> list[str]:
    """The lines that were run; those that both libraries share are paler."""
    code = lines(library)
    shared = code.index("")
    y = 68 + 20 * (3 - shared)
    drawn: list[str] = []
    for number, line in enumerate(code):
        kind = ' class="same"' if number > shared else ""
        y += 10 if not line else 20 if number else 0
        if line:
            drawn.append(f'<text{kind} x="20" y="{y}" xml:space="preserve">{escape(line, quote=False)}</text>')
    return drawn


def _fan(is_good: bool) -> list[str]:
    """A dot for each thread; their lines join in one auth object, or each leads to the server."""
    kind, end = ("call", _NODE) if is_good else ("request", _SERVER)
    step = (_BOTTOM - _TOP) / (THREADS - 1)
    heights = [_TOP + step * number for number in range(THREADS)]
    ways = "".join(f"M{_LEFT} {y:.1f}L{end} {_MIDDLE}" for y in heights)
    dots = "".join(f'<circle cx="{_LEFT}" cy="{y:.1f}" r="1.2"/>' for y in heights)
    drawn = [
        f'<path class="{kind}" d="{ways}" stroke-width=".7"/>',
        f'<g class="dot">{dots}</g>',
        f'<rect x="{_SERVER}" y="{_MIDDLE - 30}" width="94" height="60" rx="8" fill="#1f2937" stroke="#64748b"/>',
        f'<text class="note" x="{_SERVER + 47}" y="{_MIDDLE - 4}" text-anchor="middle">token</text>',
        f'<text class="note" x="{_SERVER + 47}" y="{_MIDDLE + 14}" text-anchor="middle">endpoint</text>',
    ]
    if is_good:
        drawn.insert(2, f'<path class="request" d="M{_NODE} {_MIDDLE}H{_SERVER - 2}" stroke-width="3"/>')
        drawn.append(f'<circle cx="{_NODE}" cy="{_MIDDLE}" r="25" fill="#1f2937" stroke="{_GOOD}" stroke-width="2"/>')
        drawn.append(f'<text x="{_NODE}" y="{_MIDDLE + 5}" text-anchor="middle">Auth</text>')
    return drawn


def _verdict(figures: Figures) -> list[str]:
    """Three lines, each with a tick or a cross."""
    reused = f", {_counted(figures.reuses, 'reuse')}" if figures.reuses else ""
    facts = {
        _counted(figures.token_requests, "token request") + reused: figures.token_requests == 1,
        _counted(figures.failed_calls, "failed call"): not figures.failed_calls,
        "alice stays signed in" if figures.goes_on else "grant revoked: alice must sign in again": figures.goes_on,
    }
    drawn: list[str] = []
    for number, (text, is_good) in enumerate(facts.items()):
        y = _BOTTOM + 56 + 22 * number
        shape = f"M21 {y - 5}l4 4 8-9" if is_good else f"M22 {y - 10}l9 9m0-9l-9 9"
        drawn.append(f'<path class="mark" d="{shape}"/><text class="fact" x="42" y="{y}">{text}</text>')
    return drawn


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
