"""respx sees what httpx sends, from any thread: the API call and the token request alike."""

from __future__ import annotations

import httpx
import pytest
from support.api_clients import API_URL, TOKEN_URL, Ending, MockedWorld, either_way
from support.keep_alive import PAIR, RealWorld

from blnk_auth import HttpxAuth

respx = pytest.importorskip("respx")


@either_way
def test_the_mock_sees_the_token_request(ending: Ending) -> None:
    """Both endpoints are mocked; one token request is seen, and the API is called with the new token."""
    world = MockedWorld()
    with respx.mock, httpx.Client(auth=HttpxAuth(world.alice)) as http:
        token = respx.post(TOKEN_URL).mock(side_effect=lambda request: response(*world.token(request.content)))
        api = respx.get(API_URL)
        api.mock(side_effect=lambda request: response(*world.api(request.headers.get("authorization"))))
        assert http.get(API_URL).status_code == 200
        world.end(ending)
        assert http.get(API_URL).status_code == 200
    assert token.call_count == 1
    assert api.call_count == (2 if ending == "expired" else 3)


def test_the_mock_sees_it_also_after_a_real_one() -> None:
    """A client of the library that has a connection is mocked as a new one is; without the mock, it connects again."""
    with RealWorld() as world, httpx.Client(auth=HttpxAuth(world.alice)) as http:
        assert http.get(world.api_url).status_code == 200
        for _ in range(2):
            world.expire()
            with respx.mock:
                token = respx.post(world.token_url).mock(return_value=httpx.Response(200, content=PAIR))
                respx.get(world.api_url).mock(return_value=httpx.Response(200))
                assert http.get(world.api_url).status_code == 200
            assert token.call_count == 1
        assert len(world.token_requests) == 1
        for _ in range(2):
            world.expire()
            assert http.get(world.api_url).status_code == 200
        assert len(world.token_requests) == 3
        assert world.token_requests[1] == world.token_requests[2]


def response(status: int, headers: dict[str, str], body: bytes) -> httpx.Response:
    return httpx.Response(status, headers=headers, content=body)
