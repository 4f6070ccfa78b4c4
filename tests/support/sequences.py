"""Draws a sequence diagram as SVG: who sends what to whom, from the top to the bottom.

Used by `diagrams`, for pages of the documentation. A picture is as wide as a page on a telephone can show with readable
letters, has its own white background for pages that are dark, and needs no script and no font from anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH = 500
MARGIN = 50
LINE = 16
CHARACTER = 6.6
"""About the width of one letter of the labels."""

HEAD = (
    "<style>text{font:13px sans-serif;fill:#1c2733}.name{font-weight:600}.number{font-size:11px;fill:#fff}"
    ".label{paint-order:stroke;stroke:#fff;stroke-width:5px;stroke-linejoin:round}"
    ".lane{stroke:#b9c4ce;stroke-width:1.2;stroke-dasharray:4 4}.box{fill:#dcebfa;stroke:#33475b;stroke-width:1.2}"
    ".note{fill:#fff6d6;stroke:#b59a3a;stroke-width:1}.end{fill:#fbe3e0;stroke:#9c3b2f;stroke-width:1.2}"
    ".trust{fill:#f3f8f1;stroke:#5d7d4f;stroke-width:1.4;stroke-dasharray:7 4}"
    ".arrow{stroke:#33475b;stroke-width:1.4;fill:none;marker-end:url(#tip)}.answer{stroke-dasharray:5 3}"
    ".dot{fill:#33475b}.card{fill:#fff;stroke:#d5dce3}</style>\n"
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0 8 4 0 8Z" fill="#33475b"/></marker></defs>\n'
)


class Step(NamedTuple):
    """One message, or one note.

    Attributes:
        source: The lane that it comes from.
        target: The lane that it is sent to. The same as `source`: a note, about what happens there.
        text: What is sent, or what happens.
        call: The call of the library to its store, its server or the API that this is; empty: it is not one. A test
            compares these with what the library does.
        is_answer: Whether it answers a message before it.
    """

    source: str
    target: str
    text: str
    call: str = ""
    is_answer: bool = False


def sequence(title: str, lanes: Sequence[str], steps: Sequence[Step]) -> str:
    """The SVG."""
    gap = (WIDTH - 2 * MARGIN) / (len(lanes) - 1)
    places = {lane: MARGIN + gap * number for number, lane in enumerate(lanes)}
    parts: list[str] = []
    top, number = 62.0, 0
    for step in steps:
        if step.source == step.target:
            drawn, top = _note(places[step.source], step.text, top)
        else:
            number += 1
            drawn, top = _arrow(places[step.source], places[step.target], step, number, top)
        parts.append(drawn)
    lines = [f'<path class="lane" d="M{x:.0f} 44V{top:.0f}"/>' for x in places.values()]
    heads = [box((x, 14, min(gap - 8, 92), 30), [lane], "box name") for lane, x in places.items()]
    return svg(title, top + 12, [*lines, *parts, *heads])


def svg(title: str, height: float, parts: Sequence[str]) -> str:
    """A whole picture of these parts, on a card."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">\n{HEAD}'
        f'<rect class="card" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="8"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def box(place: tuple[float, float, float, float], lines: Sequence[str], kind: str) -> str:
    """A rectangle with lines of text in its middle; its place: middle, top, width and height."""
    middle, top, width, height = place
    shape, _, style = kind.partition(" ")
    first = top + height / 2 + 4.5 - LINE * (len(lines) - 1) / 2
    rows = "".join(text(middle, first + LINE * number, line, style) for number, line in enumerate(lines))
    return (
        f'<rect class="{shape}" x="{middle - width / 2:.0f}" y="{top:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" rx="5"/>{rows}'
    )


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "middle") -> str:
    """A line of text."""
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(content)}</text>'


def number_at(x: float, y: float, number: int) -> str:
    """The number of an arrow, which pages refer to."""
    return f'<circle class="dot" cx="{x:.0f}" cy="{y:.0f}" r="8.5"/>{text(x, y + 4, str(number), "number")}'


def wrapped(content: str, width: float) -> list[str]:
    """The lines of a text that fit into a width."""
    lines = [""]
    for word in content.split():
        if lines[-1] and (len(lines[-1]) + 1 + len(word)) * CHARACTER > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _within(middle: float, width: float) -> float:
    """The middle of something of a width, moved so that it is inside the picture."""
    return min(max(middle, width / 2 + 6), WIDTH - width / 2 - 6)


def _note(x: float, content: str, top: float) -> tuple[str, float]:
    lines = wrapped(content, 190)
    width = max(len(line) for line in lines) * CHARACTER + 18
    height = LINE * len(lines) + 9
    return box((_within(x, width), top, width, height), lines, "note"), top + height + 12


def _arrow(start: float, end: float, step: Step, number: int, top: float) -> tuple[str, float]:
    lines = wrapped(step.text, max(abs(end - start) - 30, 225))
    width = max(len(line) for line in lines) * CHARACTER + 26
    left = _within((start + end) / 2, width) - width / 2
    y = top + LINE * len(lines) + 4
    direction = 1 if end > start else -1
    kind = "arrow answer" if step.is_answer else "arrow"
    labels = "".join(text(left + 24, top + 11 + LINE * row, line, "label", "start") for row, line in enumerate(lines))
    arrow = f'<path class="{kind}" d="M{start:.0f} {y:.0f}H{end - 2 * direction:.0f}"/>'
    return arrow + labels + number_at(left + 10, top + 7, number), y + 16
