"""A request that signs its user in with a real browser, at a server that the program has never seen before."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from browser.conftest import OpenBrowser
from browser.test_sign_in import check_page, decide
from support.processes import Child
from support.waiting import wait_until

from blnk_auth.testing import Sandbox

PROGRAM = Path(__file__).parents[1] / "support" / "child_in_browser.py"
OPENED = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2], 'utf-8')"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(personality="mcp") as running:
        yield running


def program(sandbox: Sandbox, directory: Path, *methods: str) -> Child:
    """The program, whose browser is this test: the address to open is written to the file `opened`."""
    opened = directory / "opened"
    script = directory / "open.py"
    script.write_text(OPENED, "utf-8")
    environment = {**os.environ, "BROWSER": f"{sys.executable} {script} {opened} %s"}
    database = str(directory / "tokens.db")
    return Child(sys.executable, str(PROGRAM), f"{sandbox.origin}/mcp", database, *methods, env=environment)


def address(directory: Path) -> str:
    """What the program opens in the browser."""
    opened = directory / "opened"
    wait_until(lambda: opened.exists() and opened.read_text("utf-8"), "an address to open")
    url = opened.read_text("utf-8")
    opened.unlink()
    return url


def test_a_request_signs_its_user_in_and_needs_no_second_sign_in(
    sandbox: Sandbox, open_browser: OpenBrowser, tmp_path: Path
) -> None:
    """Not after a restart either: only a request that needs more scope asks again, for both."""
    browser = open_browser()
    with program(sandbox, tmp_path, "GET", "GET") as first:
        decide(browser, address(tmp_path), "approve")
        check_page(browser, "You are signed in")
        assert first.says() == [200, 200]
        assert first.ends() == 0
    with program(sandbox, tmp_path, "GET") as restarted:
        assert restarted.says() == [200]
    assert not (tmp_path / "opened").exists()
    with program(sandbox, tmp_path, "GET", "POST", "POST", "GET") as widening:
        url = address(tmp_path)
        (scope,) = parse_qs(urlsplit(url).query)["scope"]
        assert {"ledgers:read", "ledgers:write"} <= set(scope.split())
        decide(browser, url, "approve")
        assert widening.says() == [200, 201, 201, 200]
    assert sandbox.counts.code_exchanges == 2
    assert sandbox.counts.reuses == 0


def test_a_user_who_refuses_ends_the_request(sandbox: Sandbox, open_browser: OpenBrowser, tmp_path: Path) -> None:
    """With an error that the program can show."""
    with program(sandbox, tmp_path, "GET") as refused:
        decide(open_browser(), address(tmp_path), "deny")
        assert refused.ends() != 0
    assert sandbox.counts.code_exchanges == 0
