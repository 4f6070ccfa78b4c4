"""What the simulation covered is told at the end of the run."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "deep: minutes of simulation; run with `pytest tests/simulation -m deep`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the deep tests out unless they are asked for: deselected, since they are not skipped for any lack."""
    if config.option.markexpr:
        return
    deep = [each for each in items if each.get_closest_marker("deep")]
    if deep:
        config.hook.pytest_deselected(items=deep)
        items[:] = [each for each in items if each not in deep]


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
