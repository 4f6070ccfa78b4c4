"""A token endpoint without a socket: the test queues the answers, and reads the requests.

Used by unit tests, through `ScriptedWorld`. A request that the test did not expect is an error.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import httpx

from blnk_auth._protocol.http_messages import HttpRequest, HttpResponse

Answer = HttpResponse | Exception | Callable[[HttpRequest], HttpResponse]


def answer(members: object, status: int = 200, **headers: str) -> HttpResponse:
    """A JSON answer of the token endpoint."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, named, json.dumps(members).encode())


def pair(number: int, **members: Any) -> HttpResponse:
    """The answer that issues the access token `at<number>` and the refresh token `rt<number>` for an hour."""
    issued = {
        "access_token": f"at{number}",
        "token_type": "Bearer",
        "expires_in": 3600,
        "refresh_token": f"rt{number}",
    }
    return answer({**issued, **members})


def refusal(error: str, status: int = 400, **members: Any) -> HttpResponse:
    """An error answer of RFC 6749 section 5.2."""
    return answer({"error": error, **members}, status)


class ScriptedServer:
    """A token endpoint that gives the queued answers, one for each request; a request too many is an error."""

    def __init__(self, trace: list[str] | None = None) -> None:
        self.requests: list[HttpRequest] = []
        self.seconds: list[float | None] = []
        """How long each request might take."""
        self.trace: list[str] = [] if trace is None else trace
        self._answers: deque[Answer] = deque()

    def will(self, *answers: Answer) -> None:
        """Queue answers: a response, an exception to raise, or a function of the request."""
        self._answers.extend(answers)

    def send(self, request: HttpRequest, *, seconds: float | None = None) -> HttpResponse:
        self.seconds.append(seconds)
        self.requests.append(request)
        self.trace.append("ask")
        if not self._answers:
            raise AssertionError("one token request too many")
        given = self._answers.popleft()
        if isinstance(given, Exception):
            raise given
        return given if isinstance(given, HttpResponse) else given(request)

    @property
    def forms(self) -> list[dict[str, str]]:
        """The forms that were sent."""
        return [form(request) for request in self.requests]

    def http(self) -> httpx.Client:
        """An `httpx.Client` for `token_http=` whose every request comes here."""

        def handle(request: httpx.Request) -> httpx.Response:
            headers = {name.lower(): value for name, value in request.headers.items()}
            given = self.send(HttpRequest(request.method, str(request.url), headers, request.content))
            return httpx.Response(given.status_code, headers=dict(given.headers), content=given.body)

        return httpx.Client(transport=httpx.MockTransport(handle))


def form(request: HttpRequest) -> dict[str, str]:
    """The form in a request's body; a parameter that comes twice is an error."""
    pairs = list(httpx.QueryParams(request.body.decode()).multi_items())
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)
