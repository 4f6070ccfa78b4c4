"""What the demo shows: the table, filling itself on a terminal, line by line elsewhere."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .figures import Act

_COLUMNS = (
    "calls",
    "failed",
    "tokens\nexpired",
    "tokens\nrevoked",
    "token\nrequests",
    "tokens\nreused",
    "longest\nwait",
)


class Screen:
    """Writes to standard output; without colours if NO_COLOR is set or nobody would see them."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)

    def say(self, text: str) -> None:
        """One sentence."""
        self._console.print(Text(text))

    @contextmanager
    def watch(self, acts: Sequence[Act]) -> Generator[None]:
        """Show how the acts get on while the context is open."""
        if not self._console.is_interactive:
            yield
            return
        with Live(get_renderable=lambda: _progress(acts), console=self._console, refresh_per_second=8, transient=True):
            yield

    def tell(self, act: Act) -> None:
        """Say that an act is over, where nobody can watch."""
        if not self._console.is_interactive:
            counts = act.books.counts
            self.say(f"{act.title}: {act.figures.calls} calls, {counts.token_requests} token requests, {act.verdict}")

    def sum_up(self, acts: Sequence[Act], whole: Act) -> None:
        """The table, finished."""
        self._console.print()
        self._console.print(_table(acts, whole))

    def conclude(self, complaints: Iterable[str], sign_ins: str) -> None:
        """The verdict."""
        complaints = list(complaints)
        for complaint in complaints:
            self._console.print(Text(f"off: {complaint}", style="bold red"))
        if not complaints:
            promise = "exactly one token request for each token that expired or was revoked"
            self._console.print(Text(f"Everything as promised: no call failed, {promise}, {sign_ins}.", style="green"))


def _progress(acts: Sequence[Act]) -> RenderableType:
    running = next((act for act in acts if not act.verdict), None)
    return Group(_table(acts), Text("" if running is None else f"{running.title}: {running.stage}"))


def _table(acts: Sequence[Act], whole: Act | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("act", no_wrap=True)
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    table.add_column("", no_wrap=True)
    for act in acts:
        table.add_row(*_cells(act), style=_style(act))
    if whole is not None:
        table.add_section()
        table.add_row(*_cells(whole), style="bold")
    return table


def _cells(act: Act) -> list[str | Text]:
    figures, counts, endings = act.figures, act.books.counts, act.books.endings
    if figures.calls == 0:
        return [act.title, *[""] * len(_COLUMNS), act.verdict]
    return [
        act.title,
        str(figures.calls),
        str(figures.failed),
        str(endings["expired"]),
        str(endings["revoked"]),
        str(counts.token_requests),
        str(counts.reuses),
        f"{figures.longest * 1000:.0f} ms",
        Text(act.verdict, style="green" if act.verdict == "ok" else ""),
    ]


def _style(act: Act) -> str:
    return {"": "dim", "ok": "", "off": "bold red"}[act.verdict]
