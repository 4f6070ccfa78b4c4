"""The examples of the how-to pages about other packages run with the real packages, which only this group installs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
from docs.test_readme import HOW_TO, OF_CLIENTS, environment, python_blocks, read_along
from support.command_line import browser_command
from support.feeds import serving_feed
from support.grpc_server import serving_rates
from support.how_to import MOST_LINES
from support.limits import PATIENCE
from support.sites import Received, Reply, Site

from blnk_auth.testing import Sandbox

SDKS_AND_CACHES = ("openai", "anthropic", "gql", "requests_cache", "hishel", "requests_toolbelt")
OF_TESTS = ("respx", "pytest_httpx", "responses", "freezegun", "time_machine")

MESSAGE = {"role": "assistant", "content": "hello yourself"}
COMPLETION = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": MESSAGE}],
}
ANSWERS: dict[str, Any] = {
    "/v1/chat/completions": COMPLETION,
    "/v1/messages": {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hello yourself"}],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
    "/graphql": {"data": {"ledgers": ["first"]}},
}


def is_ours(authorization: str | None) -> bool:
    """Whether it is a token of the sandbox, and nothing else that an SDK might send."""
    return (authorization or "").startswith("Bearer blnk_at_")


def gateway(request: Received) -> Reply:
    """Answers to a token of the sandbox only."""
    is_accepted = is_ours(request.authorization) and "x-api-key" not in request.headers
    return Reply.json(ANSWERS[request.path]) if is_accepted else Reply.rejected()


def read_page(name: str, directory: Path, *packages: str) -> str:
    """Run a page of docs/how-to from top to bottom; return what it showed."""
    for package in packages:
        pytest.importorskip(package)
    page = HOW_TO / f"{name}.md"
    return read_along(page.read_text("utf-8"), name=str(page), directory=directory)


def test_the_page_about_api_clients_runs(tmp_path: Path) -> None:
    """A reader who types its examples, in order, sees no error, and every example has called its API."""
    with Site(gateway) as site, environment({"GATEWAY_URL": site.origin}):
        read_page("use-inside-api-clients", tmp_path, *SDKS_AND_CACHES)
    paths = [request.path for request in site.received]
    assert paths == ["/v1/chat/completions", "/v1/chat/completions", "/v1/messages", *(["/graphql"] * 3)]


def test_the_page_about_blnk_cloud_runs(tmp_path: Path) -> None:
    """Its SDK and its MCP server show the same ledgers."""
    screen = read_page("blnk-cloud", tmp_path, "blnk_sdk", "mcp").split("were sent to: ")[1]
    *by_sdk, by_mcp = screen.splitlines()
    assert by_sdk == ["201", *(ledger["name"] for ledger in json.loads(by_mcp))]


def test_the_page_about_mcp_runs(tmp_path: Path) -> None:
    """At a server that it has never seen: one sign-in in the browser and one registration, also after a restart."""
    for package in ("mcp", "fastmcp"):
        pytest.importorskip(package)
    page = python_blocks((HOW_TO / "mcp.md").read_text("utf-8"))
    (tmp_path / "page.py").write_text("\n".join(block.source for block in page), "utf-8")
    with Sandbox("mcp") as sandbox:
        variables = {**os.environ, "MCP_URL": f"{sandbox.origin}/mcp", "BROWSER": browser_command(tmp_path)}
        for _ in range(2):
            finished = subprocess.run(
                [sys.executable, "page.py"],
                cwd=tmp_path,
                env=variables,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            assert finished.returncode == 0, finished.stderr
            assert finished.stdout.count('"Customer wallets"') == 2
        counts = sandbox.counts
    assert (counts.registrations, counts.code_exchanges, counts.reuses) == (1, 1, 0)


def test_the_page_about_grpc_runs(tmp_path: Path, ca: trustme.CA) -> None:
    """Each of its examples has called the API."""
    with serving_rates(ca, is_ours) as rates, environment({"RATES_TARGET": rates.target}):
        screen = read_page("grpc", tmp_path, "grpc")
    assert screen.count("b'EUR 1.08'") == 3


def test_the_page_about_pandas_and_polars_runs(tmp_path: Path) -> None:
    """Each of its examples has read the file."""
    rates = b"currency,rate\nEUR,1.08\nUSD,1.0\n"
    with (
        Site(lambda request: Reply(200, rates) if is_ours(request.authorization) else Reply.rejected()) as site,
        environment({"RATES_URL": f"{site.origin}/rates.csv"}),
    ):
        screen = read_page("pandas-and-polars", tmp_path, "fsspec", "pandas", "polars")
    assert screen.count("EUR") == 5


def test_the_page_about_websockets_runs(tmp_path: Path) -> None:
    """Each of its examples has opened a connection, and the loop a second one after the server closed the first."""
    with serving_feed(is_ours, closes=True) as feed, environment({"FEED_URL": feed.url}):
        screen = read_page("websockets", tmp_path, "aiohttp", "gql", "httpx_ws", "websockets")
    assert screen.split("were sent to: ")[1].split() == ["1", "2", "3", "4", "5", "6", "7"]


def test_the_recipes_for_mocks_and_moved_time_run(tmp_path: Path) -> None:
    """Each is a test module of its own, which pytest runs with the real packages and their plugins."""
    read_page("mock-and-travel", tmp_path, *OF_TESTS)
    assert len(list(tmp_path.glob("test_with_*.py"))) == len(OF_TESTS) + 1


@pytest.mark.parametrize("page", OF_CLIENTS, ids=lambda page: page.stem)
def test_a_program_has_at_most_twenty_lines(page: Path) -> None:
    """So that a reader sees all of it."""
    blocks = python_blocks(page.read_text("utf-8"))
    assert [block.line for block in blocks if len(block.source.splitlines()) > MOST_LINES] == []
