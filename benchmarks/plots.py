"""The plots of the page of figures, as SVG. The same figures make the same file."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OURS, OTHERS = "#0b6e4f", "#9aa5b1"


@contextmanager
def _drawn(path: Path, title: str, *, height: float) -> Generator[Any]:
    """The axes of a plot, which is written when the block ends."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "blnk_auth"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, height))
    yield axes
    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=8)
    figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def bars(path: Path, figures: dict[str, float], title: str, *, log: bool = False) -> None:
    """A horizontal bar for each figure; ours have another colour."""
    labels = list(figures)[::-1]
    with _drawn(path, title, height=0.28 * len(labels) + 1) as axes:
        colours = [OURS if label.startswith("blnk_auth") else OTHERS for label in labels]
        axes.barh(labels, [figures[label] for label in labels], color=colours)
        if log:
            axes.set_xscale("log")


def curves(path: Path, found: dict[str, dict[str, dict[str, float]]], title: str, *, limit: float) -> None:
    """Milliseconds by the number of grants, a line for each store, and the most that it may be."""
    with _drawn(path, title, height=3.4) as axes:
        for marker, (store, sizes) in zip("os^Dv", found.items(), strict=False):
            axes.plot(
                [int(size) for size in sizes], [each["ms"] for each in sizes.values()], marker=marker, label=store
            )
        axes.axhline(limit, color=OTHERS, linestyle="--", label="target")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("grants", fontsize=8)
        axes.set_ylabel("ms", fontsize=8)
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
