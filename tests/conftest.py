"""Fixtures that tests of several directories use; a watch over the tests of `make unit`; and with CI=true a skip is a
failure, because a machine that is there to run every test must not pass by leaving some out.

No test reads or writes the configuration and the data of the user who runs them.

Python's garbage collector leaves out what the collection of the tests has made: looking at all of it in each of its
runs took a quarter of the time of `make unit`.

The code that tests share is in tests/support; fixtures here and in the directories only hand it out.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator

import pytest
from support.quick import mark_the_contract, watched

# As users have it from the installed wheel; a checkout has no entry point.
pytest_plugins = ["blnk_auth.testing.pytest_plugin"]

_SKIP_IS_FAILURE = os.environ.get("CI") == "true"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts the tests in the background lets them, and every process that they start, ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis server that all tests of a run share."""
    yield from _shared("redis", tmp_path_factory)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server that all tests of a run share."""
    yield from _shared("postgres", tmp_path_factory)


@pytest.fixture(scope="session")
def mariadb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A MariaDB server that all tests of a run share."""
    yield from _shared("mariadb", tmp_path_factory)


def _shared(kind: str, factory: pytest.TempPathFactory) -> Iterator[str]:
    # Their drivers are imported for tests that need a server only.
    from support.shared_servers import shared

    with shared(kind, factory) as url:
        yield url


def pytest_configure(config: pytest.Config) -> None:
    """The processes of pytest-xdist inherit it."""
    if not hasattr(config, "workerinput"):
        home = tempfile.TemporaryDirectory(prefix="blnk-auth-tests-")
        config.add_cleanup(home.cleanup)
        os.environ.update({f"XDG_{kind}_HOME": f"{home.name}/{kind.lower()}" for kind in ("CONFIG", "DATA", "STATE")})


def pytest_itemcollected(item: pytest.Item) -> None:
    """Before markers are selected."""
    mark_the_contract(item)


def pytest_collection_finish() -> None:
    """Thousands of tests stay in memory until the end."""
    # Its plugin imports it at the end, and then misses what is frozen: it looks for who refers to trio's generator.
    import hypothesis  # noqa: F401

    gc.collect()
    gc.freeze()


def _forget_metadata() -> None:
    """A server of an earlier test may have had the port that one of this test gets."""
    discovery = sys.modules.get("blnk_auth._protocol.discovery")
    if discovery is not None:
        discovery._kept._documents.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Watch the tests that `make unit` runs: they open no socket and start no process."""
    _forget_metadata()
    with watched(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """The same. After the last test of a process its fixtures end too, which other tests have used: no test has caused
    that.
    """
    with watched(item):
        return (yield)


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
