"""The sandbox in its other process, over HTTP: its switches, its books, and the person who signs in there."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

from ...testing.sandbox import person
from ..address import SandboxAddress
from .books import Books

_TIMEOUT = 10.0


class RemoteSandbox:
    """Talks to the sandbox at an address. Safe for any thread."""

    def __init__(self, address: SandboxAddress) -> None:
        self.address = address
        parts = urlsplit(address.origin)
        self._host, self._port = parts.hostname or "", parts.port

    def is_alive(self) -> bool:
        """Whether a sandbox is there and it is ours: another one would not know the client."""
        query = {
            "response_type": "code",
            "client_id": self.address.client_id,
            "redirect_uri": self.address.redirect_uri,
        }
        try:
            status, _ = self._exchange("GET", f"/oauth/authorize?{urlencode(query)}")
        except (OSError, HTTPException):
            return False
        return status == 200

    def sign_in(self, authorization_url: str, subject: str) -> str:
        """Play the person: consent, and return the URL that their browser is sent back to."""
        return person.sign_in(authorization_url, subject=subject, approve=True)

    def books(self) -> Books:
        """What happened since the sandbox started."""
        return Books.from_answer(self._control("GET", "superseded"))

    def set_lifetime(self, seconds: float) -> None:
        """How long the access tokens live that are issued from now on."""
        self._control("POST", f"lifetime?seconds={seconds}")

    def revoke_access_tokens(self) -> None:
        """Reject all access tokens issued so far; refreshing goes on to work."""
        self._control("POST", "revoke-access-tokens")

    def _control(self, method: str, target: str) -> dict[str, Any]:
        status, body = self._exchange(method, f"/_sandbox/{target}")
        if status != 200:
            raise HTTPException(f"the sandbox answered {status} to {method} /_sandbox/{target}")
        answer: dict[str, Any] = json.loads(body)
        return answer

    def _exchange(self, method: str, target: str) -> tuple[int, bytes]:
        connection = HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
        try:
            connection.request(method, target)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
