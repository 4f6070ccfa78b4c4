"""respx, responses and pytest-httpx see all that is learned of an API that describes its own sign-in, and the sign-in.

No name is looked up and nothing is connected to, so no address is judged.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import requests
from support.documents import ISSUER, OWN_DOCUMENT, RESOURCE, SERVER_DOCUMENT, resource_document, server_document

from blnk_auth import HttpxAuth, ProtectedResource, RequestsAuth

CHALLENGE = {"WWW-Authenticate": 'Bearer error="invalid_token", scope="read"'}
REGISTERED = {"client_id": "client1", "token_endpoint_auth_method": "none"}
TOKEN = {"access_token": "at1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt1"}

ASKED = [
    f"GET {OWN_DOCUMENT}",
    f"GET {RESOURCE}",
    f"GET {SERVER_DOCUMENT}",
    f"POST {ISSUER}/register",
    f"POST {ISSUER}/token",
    f"POST {RESOURCE}",
]
"""Everything that a first request needs, in order."""


class Mocked:
    """What the mocks answer; `asked` lists what they saw."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def answer(self, method: str, url: str, authorization: str | None) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(f"{method} {url}")
        if url == RESOURCE:
            return (200, {}, b"hello") if authorization == "Bearer at1" else (401, CHALLENGE, b"")
        found: dict[str, Any] = {
            OWN_DOCUMENT: resource_document(),
            SERVER_DOCUMENT: server_document(),
            f"{ISSUER}/register": REGISTERED,
            f"{ISSUER}/token": TOKEN,
        }
        status = 201 if url.endswith("/register") else 200
        return status, {"Content-Type": "application/json"}, json.dumps(found[url]).encode()


def sign_in(request: Any) -> str:
    """A user who gives access."""
    query = parse_qs(urlsplit(request.url).query)
    assert query["scope"] == ["read"]
    return f"{query['redirect_uri'][0]}?code=code1&state={query['state'][0]}"


def source() -> Any:
    return ProtectedResource(RESOURCE).for_subject("me", sign_in=sign_in)


def test_respx_sees_it() -> None:
    """Through httpx."""
    respx = pytest.importorskip("respx")
    mocked = Mocked()
    with respx.mock, httpx.Client(auth=HttpxAuth(source())) as http:
        respx.route().mock(side_effect=lambda request: _httpx_response(mocked, request))
        assert http.post(RESOURCE, json={}).status_code == 200
    assert mocked.asked == ASKED


@pytest.mark.httpx_mock(can_send_already_matched_responses=True)
def test_pytest_httpx_sees_it(request: pytest.FixtureRequest) -> None:
    """Through httpx."""
    pytest.importorskip("pytest_httpx")
    mocked, httpx_mock = Mocked(), request.getfixturevalue("httpx_mock")
    httpx_mock.add_callback(lambda each: _httpx_response(mocked, each))
    with httpx.Client(auth=HttpxAuth(source())) as http:
        assert http.post(RESOURCE, json={}).status_code == 200
    assert mocked.asked == ASKED


def test_responses_sees_it() -> None:
    """Through requests."""
    responses = pytest.importorskip("responses")
    mocked = Mocked()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock, requests.Session() as session:
        session.auth = RequestsAuth(source())
        for url in {each.partition(" ")[2] for each in ASKED}:
            for method in ("GET", "POST"):
                mock.add_callback(
                    method,
                    url,
                    callback=lambda each: mocked.answer(each.method, each.url, each.headers.get("authorization")),
                )
        assert session.post(RESOURCE, json={}).status_code == 200
    assert mocked.asked == ASKED


def _httpx_response(mocked: Mocked, request: httpx.Request) -> httpx.Response:
    status, headers, body = mocked.answer(request.method, str(request.url), request.headers.get("authorization"))
    return httpx.Response(status, headers=headers, content=body)
