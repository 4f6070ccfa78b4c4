"""An authorization server of any provider, with an API of its own: for `providers.acme_at`.

Used by scenarios and the tests of the providers that script what a token endpoint answers.
"""

from __future__ import annotations

import ssl
import threading
from collections import deque
from typing import Any, Self

from support.providers import acme_at
from support.sites import Received, Reply, Site

from blnk_auth import Provider


class Acme:
    """An authorization server at `/token` with an API at every other path.

    It offers refresh_token, without rotation, and client_credentials. `answers` are what the next token requests get
    instead of the usual, either a `Reply` or changes to the usual answer (a value of `None` removes the member).
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, name: str | None = None) -> None:
        self.site = Site(self._answer, tls=tls, name=name)
        self.answers: deque[Reply | dict[str, Any]] = deque()
        self.valid: set[str] = set()
        self.scopes: dict[str, str] = {}
        self._lock = threading.Lock()
        self._issued = 0

    def __enter__(self) -> Self:
        self.site.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.site.__exit__()

    @property
    def origin(self) -> str:
        return self.site.origin

    def provider(self, **settings: Any) -> Provider:
        """What a client needs to know of it."""
        return acme_at(self.origin, **settings)

    @property
    def token_requests(self) -> list[Received]:
        return [request for request in self.site.received if request.path == "/token"]

    @property
    def api_requests(self) -> list[Received]:
        return [request for request in self.site.received if request.path != "/token"]

    def issue(self, **changes: Any) -> dict[str, Any]:
        """A token answer; `changes` are members to replace, or with None to leave out."""
        with self._lock:
            self._issued += 1
            token = f"acme-access-token-{self._issued:04}"
        self.valid.add(token)
        usual = {"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": "read", **changes}
        return {name: value for name, value in usual.items() if value is not None}

    def _answer(self, request: Received) -> Reply:
        if request.path == "/token":
            return self._token(request)
        scheme, _, token = (request.authorization or "").partition(" ")
        if scheme != "Bearer" or token not in self.valid:
            return Reply.rejected()
        return Reply.json({"scope": self.scopes.get(token), "body_length": len(request.body)})

    def _token(self, request: Received) -> Reply:
        with self._lock:
            scripted = self.answers.popleft() if self.answers else {}
        if isinstance(scripted, Reply):
            return scripted
        answer = self.issue(**{"scope": request.form.get("scope"), **scripted})
        self.scopes[answer.get("access_token", "")] = request.form.get("scope", "")
        return Reply.json(answer)
