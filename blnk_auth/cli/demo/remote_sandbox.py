"""The sandbox in its other process, over HTTP: its controls, its record, and the user who signs in there.

Used by the demo. It promises that every request is bounded in time. It connects to loopback only, and never through a
proxy.
"""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

from ...testing.sandbox import browser
from ..sandbox_address import SandboxAddress
from .server_record import ServerRecord

_TIMEOUT = 10.0


class RemoteSandbox:
    """A sandbox in another process. Thread-safe.

    Attributes:
        address: Where it is, and the client that is registered there.
    """

    def __init__(self, address: SandboxAddress) -> None:
        self.address = address
        parts = urlsplit(address.origin)
        self._host, self._port = parts.hostname or "", parts.port

    def is_alive(self) -> bool:
        """Whether a sandbox answers there and is the right one: another one would not know the client."""
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
        """Act as the user: consent, and return the URL that the browser is redirected to."""
        return browser.sign_in(authorization_url, subject=subject, approve=True)

    def server_record(self) -> ServerRecord:
        """What has happened since the sandbox started."""
        return ServerRecord.from_answer(self._control("GET", "superseded"))

    def set_lifetime(self, seconds: float) -> None:
        """Set the lifetime of the access tokens that are issued from now on."""
        self._control("POST", f"lifetime?seconds={seconds}")

    def revoke_access_tokens(self) -> None:
        """Reject all access tokens issued so far; refresh tokens still work."""
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
