"""The examples of the how-to about API clients run with the real packages, which only this group installs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from docs.test_readme import MOCK_AND_TRAVEL, NEEDS_CLIENTS, environment, read_along
from support.sites import Received, Reply, Site

OF_API_CLIENTS = ("openai", "anthropic", "gql", "requests_cache", "hishel", "requests_toolbelt")
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


def gateway(request: Received) -> Reply:
    """Answers to a token of the sandbox, and to nothing else that an SDK might send."""
    is_ours = (request.authorization or "").startswith("Bearer blnk_at_") and "x-api-key" not in request.headers
    return Reply.json(ANSWERS[request.path]) if is_ours else Reply.rejected()


def test_the_examples_of_the_page_run(tmp_path: Path) -> None:
    """A reader who types them, in order, sees no error, and every example has called its API."""
    for package in OF_API_CLIENTS:
        pytest.importorskip(package)
    with Site(gateway) as site, environment({"GATEWAY_URL": site.origin}):
        read_along(NEEDS_CLIENTS.read_text("utf-8"), name=str(NEEDS_CLIENTS), directory=tmp_path)
    paths = [request.path for request in site.received]
    assert paths == ["/v1/chat/completions", "/v1/chat/completions", "/v1/messages", "/graphql"]


def test_the_recipes_for_mocks_and_moved_time_run(tmp_path: Path) -> None:
    """Each is a test module of its own, which pytest runs with the real packages and their plugins."""
    for package in OF_TESTS:
        pytest.importorskip(package)
    read_along(MOCK_AND_TRAVEL.read_text("utf-8"), name=str(MOCK_AND_TRAVEL), directory=tmp_path)
    assert len(list(tmp_path.glob("test_with_*.py"))) == len(OF_TESTS) + 1
