"""The end of the run reports what the simulation covered."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = [
        f"{report.nodeid.partition('::')[2]}: {text}"
        for report in terminalreporter.stats.get("passed", ())
        for name, text in report.user_properties
        if name == "explored"
    ]
    if lines:
        terminalreporter.section("simulation")
        for line in lines:
            terminalreporter.line(line)
