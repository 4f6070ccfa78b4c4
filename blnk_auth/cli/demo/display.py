"""What the demo prints: on a terminal a table that is updated as it runs, elsewhere one line for each scenario.

Used by the demo's run. It promises the same figures in both. It never decides whether a scenario is as promised.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .results import Scenario

_COLUMNS = (
    "calls",
    "failed",
    "tokens\nexpired",
    "tokens\nrevoked",
    "token\nrequests",
    "tokens\nreused",
    "longest\nwait",
)


class Display:
    """Writes to standard output; without colours if NO_COLOR is set or the output is not a terminal."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)

    def print_line(self, text: str) -> None:
        """Print one sentence."""
        self._console.print(Text(text))

    @contextmanager
    def watch(self, scenarios: Sequence[Scenario]) -> Generator[None]:
        """Show the progress of the scenarios while the context is open."""
        if not self._console.is_interactive:
            yield
            return
        with Live(
            get_renderable=lambda: _progress(scenarios), console=self._console, refresh_per_second=8, transient=True
        ):
            yield

    def print_end_of(self, scenario: Scenario) -> None:
        """Print that a scenario has ended, where the table is not live."""
        if not self._console.is_interactive:
            calls, token_requests = scenario.figures.calls, scenario.server_record.counts.token_requests
            self.print_line(f"{scenario.title}: {calls} calls, {token_requests} token requests, {scenario.verdict}")

    def sum_up(self, scenarios: Sequence[Scenario], whole: Scenario) -> None:
        """Print the complete table."""
        self._console.print()
        self._console.print(_table(scenarios, whole))

    def conclude(self, deviations: Iterable[str], sign_ins: str) -> None:
        """Print the verdict, and every deviation."""
        deviations = list(deviations)
        for deviation in deviations:
            self._console.print(Text(f"off: {deviation}", style="bold red"))
        if not deviations:
            renewals = "exactly one token request for each token that expired or was revoked"
            self._console.print(Text(f"Everything as promised: no call failed, {renewals}, {sign_ins}.", style="green"))


def _progress(scenarios: Sequence[Scenario]) -> RenderableType:
    running = next((scenario for scenario in scenarios if not scenario.verdict), None)
    return Group(_table(scenarios), Text("" if running is None else f"{running.title}: {running.progress}"))


def _table(scenarios: Sequence[Scenario], whole: Scenario | None = None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("scenario", no_wrap=True)
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    table.add_column("", no_wrap=True)
    for scenario in scenarios:
        table.add_row(*_cells(scenario), style=_style(scenario))
    if whole is not None:
        table.add_section()
        table.add_row(*_cells(whole), style="bold")
    return table


def _cells(scenario: Scenario) -> list[str | Text]:
    figures, counts, endings = scenario.figures, scenario.server_record.counts, scenario.server_record.endings
    if figures.calls == 0:
        return [scenario.title, *[""] * len(_COLUMNS), scenario.verdict]
    return [
        scenario.title,
        str(figures.calls),
        str(figures.failed),
        str(endings["expired"]),
        str(endings["revoked"]),
        str(counts.token_requests),
        str(counts.reuses),
        f"{figures.longest * 1000:.0f} ms",
        Text(scenario.verdict, style="green" if scenario.verdict == "ok" else ""),
    ]


def _style(scenario: Scenario) -> str:
    return {"": "dim", "ok": "", "off": "bold red"}[scenario.verdict]
