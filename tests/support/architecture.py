"""The picture of `docs/explanation/architecture.md`, drawn from the imports: `make snapshots` writes it again.

Each row is a layer of the test of import directions, the top one first. An arrow is an import. Left out, so that the
picture can be read, are those that other arrows imply, and all to the lowest row, which every layer uses.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

from support.imports import LAYERS, graph

FILE = Path(__file__).parents[2] / "docs" / "explanation" / "architecture.svg"

_WIDTH, _ROW, _BOX, _MARGIN, _TOP = 1120, 92, 34, 300, 24


def needed(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows that no chain of others implies."""
    reachable: dict[str, set[str]] = {}

    def all_below(node: str) -> set[str]:
        if node not in reachable:
            reachable[node] = set().union(*({each} | all_below(each) for each in arrows.get(node, ())))
        return reachable[node]

    return {
        node: {each for each in below if not any(each in all_below(other) for other in below - {each})}
        for node, below in arrows.items()
    }


def picture() -> str:
    """The SVG."""
    arrows, layers = graph(), tuple(reversed(LAYERS))
    places: dict[str, tuple[float, float, float]] = {}
    parts: list[str] = []
    for number, layer in enumerate(layers):
        top, row = _TOP + number * _ROW, in_order(layer.modules & arrows.keys(), arrows, places)
        for node, middle in zip(row, middles(row, number), strict=True):
            places[node] = (middle, top, width_of(node))
        for line, text in enumerate(wrapped(layer.reason)):
            parts.append(f'<text class="why" x="8" y="{top + 14 + 15 * line}">{escape(text)}</text>')
    for node, below in sorted(needed(arrows).items()):
        parts += [arrow(places[node], places[each]) for each in sorted(below - layers[-1].modules)]
    for node, (middle, top, width) in sorted(places.items()):
        kind = "private" if node.startswith("_") else "public"
        parts.append(
            f'<rect class="{kind}" x="{middle - width / 2:.0f}" y="{top}" width="{width:.0f}" height="{_BOX}" rx="6"/>'
            f'<text x="{middle:.0f}" y="{top + 22}" text-anchor="middle">{node}</text>'
        )
    height = _TOP + len(layers) * _ROW
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        'aria-label="Which modules of blnk_auth import which">\n'
        "<style>text{font:14px ui-monospace,monospace;fill:#1c2733}.why{font:12px sans-serif;fill:#5a6875}"
        "rect{stroke:#33475b;stroke-width:1.2}.public{fill:#dcebfa}.private{fill:#f3f4f6}"
        "path{stroke:#7b8a99;stroke-width:1.1;fill:none;marker-end:url(#tip)}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8Z" style="fill:#7b8a99;stroke:none;marker-end:none"/></marker></defs>\n'
        f'<rect width="{_WIDTH}" height="{height}" style="fill:#fff;stroke:none"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def middles(row: list[str], number: int) -> list[float]:
    """Where the nodes of a row are, with the same gap between any two, however long their names are."""
    room = _WIDTH - _MARGIN
    if len(row) == 1:
        # A node that is alone in its row is moved to a side, out of the way of the arrows.
        return [_MARGIN + room * (0.5, 0.68, 0.25)[number % 3]]
    gap = (room - sum(map(width_of, row))) / len(row)
    found, left = [], _MARGIN + gap / 2
    for node in row:
        found.append(left + width_of(node) / 2)
        left += width_of(node) + gap
    return found


def width_of(node: str) -> float:
    """The width of a node's box: about that of its name, in letters of 14 pixels."""
    return 8.5 * len(node) + 14


def in_order(
    row: set[str] | frozenset[str], arrows: dict[str, set[str]], places: dict[str, tuple[float, float, float]]
) -> list[str]:
    """The nodes of a row, each about below those that import it."""

    def middle(node: str) -> float:
        above = [place[0] for other, place in places.items() if node in arrows[other]]
        return sum(above) / len(above) if above else 0.0

    return sorted(row, key=lambda node: (middle(node), node))


def wrapped(text: str) -> list[str]:
    """The lines of a text, about forty characters long."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > 40:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def arrow(start: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    """From the lower edge of one box to the upper edge of another; within a row, around it."""
    x1, y1 = start[0], start[1] + _BOX
    x2, y2 = end[0], end[1] - 1
    if start[1] == end[1]:
        y2 = end[1] + _BOX + 1
        return f'<path d="M{x1:.0f} {y1}C{x1:.0f} {y1 + 30} {x2:.0f} {y1 + 30} {x2:.0f} {y2}"/>'
    bend = (y2 - y1) / 2
    return f'<path d="M{x1:.0f} {y1}C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2}"/>'


if __name__ == "__main__":
    FILE.write_text(picture(), "utf-8")
    sys.stdout.write(f"{FILE.name} is written\n")
