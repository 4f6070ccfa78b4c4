"""respx sees what httpx sends, from any thread: the API call and the token request alike."""

from __future__ import annotations

import httpx
import pytest
from support.api_clients import API_URL, TOKEN_URL, Ending, MockedWorld, either_way

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


def response(status: int, headers: dict[str, str], body: bytes) -> httpx.Response:
    return httpx.Response(status, headers=headers, content=body)
