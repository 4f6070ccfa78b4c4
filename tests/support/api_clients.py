"""The worlds of a test with somebody else's client: a sandbox and an API of any shape, or a provider in a mock only.

Used by tests/clients. Each client lives through the same two events, see `either_way`: its token expires, or the server
ends it before its time. Either must cost exactly one refresh, of which the client notices nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl

import pytest
from support.providers import API, TOKEN_ENDPOINT, acme
from support.sites import Received, Reply, Site
from support.worlds import World

from blnk_auth import MemoryStore, OAuthClient, Token, TokenSource
from blnk_auth.testing import Clock

Ending = Literal["expired", "rejected"]

either_way = pytest.mark.parametrize("ending", ["expired", "rejected"])


@dataclass(frozen=True)
class Story:
    """What a renewal cost: token requests, refreshes, spent refresh tokens that came back, and calls answered 401."""

    token_requests: int
    refreshes: int
    reuses: int
    rejections: int


RENEWED = {"expired": Story(1, 1, 0, 0), "rejected": Story(1, 1, 0, 1)}


class ClientWorld(World):
    """A sandbox with a user who signed in; `rejections` of APIs served here count with the sandbox's own."""

    rejections = 0

    def end(self, ending: Ending) -> None:
        """The access token is over: for both sides, or for the server alone."""
        if ending == "expired":
            self.expire()
        else:
            self.sandbox.revoke_access_tokens()

    @property
    def story(self) -> Story:
        return Story(*self.renewals, self.sandbox.counts.api_rejected + self.rejections)

    def accepts(self, authorization: str | None) -> bool:
        """Whether an Authorization header holds a token of the sandbox that is good now."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme == "Bearer" and self.sandbox._authorization_server.check(token) is not None:
            return True
        self.rejections += 1
        return False

    @contextmanager
    def api(self, answers: Callable[[Received], Any]) -> Iterator[Site]:
        """An API that answers in JSON, to anyone with a valid token."""

        def answer(request: Received) -> Reply:
            return Reply.json(answers(request)) if self.accepts(request.authorization) else Reply.rejected()

        with Site(answer) as site:
            yield site

    def alice_for(self, origin: str) -> TokenSource:
        """A user whose token may be sent to that origin."""
        return self.signed_in(api_origins=(origin,))


# --- a provider that exists in a mock only --------------------------------------------------------------------------

TOKEN_URL = TOKEN_ENDPOINT
API_URL = f"{API}/ledgers"

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


class MockedWorld:
    """The answers of its two endpoints, in a form for every mock library.

    `alice` signed in with the pair at0, rt0; a refresh demands the newest refresh token and issues the next pair.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self._newest = 0
        self._accepted = "at0"
        settings = {"store": MemoryStore(), "clock": self.clock}
        self.alice = OAuthClient(acme(), client_id="id", client_secret="s3cret", **settings).for_subject("alice")
        self.alice.adopt(Token("at0", refresh_token="rt0", expires_at=self.clock() + 3600))

    def end(self, ending: Ending) -> None:
        """The access token is over: for both sides, or for the API alone."""
        self._accepted = "the next one"
        if ending == "expired":
            self.clock.advance(3601)

    def token(self, body: bytes | str) -> Answer:
        form = dict(parse_qsl(body.decode() if isinstance(body, bytes) else body))
        if form.get("refresh_token") != f"rt{self._newest}":
            return _json(400, {"error": "invalid_grant"})
        self._newest += 1
        self._accepted = f"at{self._newest}"
        pair = {"access_token": self._accepted, "refresh_token": f"rt{self._newest}"}
        return _json(200, {**pair, "token_type": "Bearer", "expires_in": 3600})

    def api(self, authorization: str | None) -> Answer:
        if authorization == f"Bearer {self._accepted}":
            return _json(200, ["first"])
        status, headers, body = _json(401, {"error": "rejected"})
        return status, {**headers, "WWW-Authenticate": 'Bearer error="invalid_token"'}, body


def _json(status: int, value: object) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()
