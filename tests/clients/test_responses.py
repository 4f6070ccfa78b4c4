"""responses sees what requests sends, from any thread: the API call and the token request alike."""

from __future__ import annotations

import pytest
import requests
from support.api_clients import API_URL, TOKEN_URL, Ending, MockedWorld, either_way
from support.keep_alive import PAIR, RealWorld

from blnk_auth import RequestsAuth

responses = pytest.importorskip("responses")


@either_way
def test_the_mock_sees_the_token_request(ending: Ending) -> None:
    """Both endpoints are mocked; one token request is seen, and the API is called with the new token."""
    world = MockedWorld()
    with responses.RequestsMock() as mock, requests.Session() as session:
        mock.add_callback("POST", TOKEN_URL, lambda request: world.token(request.body))
        mock.add_callback("GET", API_URL, lambda request: world.api(request.headers.get("authorization")))
        session.auth = RequestsAuth(world.alice)
        assert session.get(API_URL).status_code == 200
        world.end(ending)
        assert session.get(API_URL).status_code == 200
        called = [call.request.url for call in mock.calls]
    assert called.count(TOKEN_URL) == 1
    assert called.count(API_URL) == (2 if ending == "expired" else 3)


def test_the_mock_sees_it_also_after_a_real_one() -> None:
    """A session of the library that has a connection is mocked as a new one is; without the mock, it connects again."""
    with RealWorld() as world, requests.Session() as session:
        session.auth = RequestsAuth(world.alice)
        assert session.get(world.api_url).status_code == 200
        for _ in range(2):
            world.expire()
            with responses.RequestsMock() as mock:
                mock.add("POST", world.token_url, body=PAIR)
                mock.add("GET", world.api_url)
                assert session.get(world.api_url).status_code == 200
        assert len(world.token_requests) == 1
        for _ in range(2):
            world.expire()
            assert session.get(world.api_url).status_code == 200
        assert len(world.token_requests) == 3
        assert world.token_requests[1] == world.token_requests[2]
