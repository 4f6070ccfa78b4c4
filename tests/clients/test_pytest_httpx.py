"""pytest-httpx's `httpx_mock` sees what httpx sends, from any thread: the API call and the token request alike."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from support.api_clients import API_URL, TOKEN_URL, Ending, MockedWorld, either_way
from support.keep_alive import PAIR, RealWorld

from blnk_auth import HttpxAuth

pytest.importorskip("pytest_httpx")


@either_way
@pytest.mark.httpx_mock(can_send_already_matched_responses=True)
def test_the_mock_sees_the_token_request(ending: Ending, httpx_mock: Any) -> None:
    """Both endpoints are mocked; one token request is seen, and the API is called with the new token."""
    world = MockedWorld()
    httpx_mock.add_callback(lambda request: _response(*world.token(request.content)), url=TOKEN_URL, method="POST")
    httpx_mock.add_callback(lambda request: _response(*world.api(request.headers.get("authorization"))), url=API_URL)
    with httpx.Client(auth=HttpxAuth(world.alice)) as http:
        assert http.get(API_URL).status_code == 200
        world.end(ending)
        assert http.get(API_URL).status_code == 200
    assert len(httpx_mock.get_requests(url=TOKEN_URL)) == 1
    assert len(httpx_mock.get_requests(url=API_URL)) == (2 if ending == "expired" else 3)


def test_the_mock_sees_it_also_after_a_real_one(request: pytest.FixtureRequest) -> None:
    """A client of the library that has a connection is mocked as a new one is."""
    with RealWorld() as world, httpx.Client(auth=HttpxAuth(world.alice)) as http:
        assert http.get(world.api_url).status_code == 200
        world.expire()
        httpx_mock = request.getfixturevalue("httpx_mock")
        httpx_mock.add_response(url=world.token_url, method="POST", content=PAIR)
        httpx_mock.add_response(url=world.api_url)
        assert http.get(world.api_url).status_code == 200
        assert len(httpx_mock.get_requests(url=world.token_url)) == 1
        assert len(world.token_requests) == 1


def _response(status: int, headers: dict[str, str], body: bytes) -> httpx.Response:
    return httpx.Response(status, headers=headers, content=body)
