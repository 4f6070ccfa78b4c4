"""With CI=true a skip is a failure: a machine that is there to run every test must not pass by leaving some out."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest

_SKIP_IS_FAILURE = os.environ.get("CI") == "true"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the tests in the background lets them, and every process that they start, ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test, its fixtures included, into a failed one."""
    report = yield
    # An expected failure is also reported as skipped, but it did run, and a strict xfail cannot pass unseen.
    if _SKIP_IS_FAILURE and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a module skipped as a whole, as by `pytest.importorskip`, into a failed one."""
    report = yield
    if _SKIP_IS_FAILURE and report.skipped:
        _fail(report)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"With CI=true a skip is a failure. {reason}"
