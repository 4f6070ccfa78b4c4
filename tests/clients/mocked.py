"""A provider that exists in a mock only: what its two endpoints answer, in words that every mock library can say."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

from clients.world import Ending
from helpers import API, TOKEN_ENDPOINT, acme

from blnk_auth import MemoryStore, OAuthClient, Token
from blnk_auth.testing import Clock

TOKEN_URL = TOKEN_ENDPOINT
API_URL = f"{API}/ledgers"

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


class MockedWorld:
    """`alice` signed in with the pair at0, rt0; a refresh demands the newest refresh token and issues the next pair."""

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
