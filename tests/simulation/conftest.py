"""What the simulation covered is told at the end of the run."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = [
        f"{report.nodeid.partition('::')[2]}: {text}"
        for report in terminalreporter.stats.get("passed", ())
        for name, text in report.user_properties
        if name == "explored"
    ]
    if told:
        terminalreporter.section("simulation")
        for line in told:
            terminalreporter.line(line)
