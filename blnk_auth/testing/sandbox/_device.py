"""Sign-in by device code, RFC 8628: issuing codes, the page where the user enters one, the exchange.

Used by Blnk Cloud's personality with `device_grant=True`. It promises the errors of RFC 8628 section 3.5. It never
waits: a client polls.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote

from ._answer import Answer
from ._authorization_server import AuthorizationServer
from ._endpoint import EndpointSpec
from ._issued import Confirmation, OAuthError, RegisteredClient
from ._journal import RecordedRequest
from ._pages import device_page, done_page, error_page
from ._token_request import authenticated_client, token_form

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
DEVICE_AUTHORIZATION_PATH = "/oauth/device_authorization"
_VERIFICATION_PATH = "/device"

INTERVAL = 5.0
"""Seconds that a client must wait between two polls; one that polls earlier must then wait 5 seconds longer."""

LIFETIME = 600.0
"""Seconds that a device code is valid."""

_CONSONANTS = "BCDFGHJKLMNPQRSTVWXZ"
"""RFC 8628 section 6.1: easy to type, and cannot spell words."""


@dataclass(slots=True)
class _Device:
    client: RegisteredClient
    user_code: str
    scope: str
    expires_at: float
    interval: float = INTERVAL
    asked_at: float | None = None
    subject: str | None = None
    denied: bool = False
    device_code: str = field(default_factory=lambda: secrets.token_urlsafe(32))


class DeviceGrant:
    """The devices that wait for a user. Thread-safe. `clock` is in seconds; `count` adds one to a figure."""

    def __init__(
        self,
        server: AuthorizationServer,
        *,
        clock: Callable[[], float],
        origin: Callable[[], str],
        count: Callable[[str], None],
        on_issue: Callable[[str, str], object],
    ) -> None:
        self._server = server
        self._clock = clock
        self._origin = origin
        self._count = count
        self._on_issue = on_issue
        self._lock = threading.Lock()
        self._devices: dict[str, _Device] = {}

    def endpoints(self) -> list[EndpointSpec]:
        """The endpoints: where codes are issued, and where the user enters one."""
        return [
            EndpointSpec(DEVICE_AUTHORIZATION_PATH, "page", self._authorize),
            EndpointSpec(_VERIFICATION_PATH, "page", self._verify),
        ]

    def decide(self, user_code: str, *, subject: str, approve: bool) -> None:
        """Approve or deny, as the user. Raises `ValueError` if there is no device that waits with this code."""
        with self._lock:
            waiting = [each for each in self._devices.values() if each.user_code == _typed(user_code)]
            if not waiting or waiting[0].expires_at <= self._clock():
                raise ValueError("user_code: no device waits with this code")
            waiting[0].subject, waiting[0].denied = subject, not approve

    def exchange(self, client: RegisteredClient, device_code: str, confirmation: Confirmation) -> dict[str, Any]:
        """The token response once the user has approved; otherwise one of the errors of RFC 8628 section 3.5.

        `confirmation`: what the request proves, and the tokens are bound to.
        """
        with self._lock:
            device = self._devices.get(device_code)
            if device is None or device.client is not client:
                raise OAuthError("invalid_grant", "The device code is unknown, or was used")
            self._check(device)
            del self._devices[device_code]
            subject = str(device.subject)
        self._count("device_exchanges")
        return self._server.issue(client, subject=subject, scope=device.scope, confirmation=confirmation)

    def _check(self, device: _Device) -> None:
        now, asked_at = self._clock(), device.asked_at
        device.asked_at = now
        if device.expires_at <= now:
            raise OAuthError("expired_token", "The device code has expired")
        if asked_at is not None and now - asked_at < device.interval:
            device.interval += 5.0
            raise OAuthError("slow_down", "The device polls too often")
        if device.denied:
            raise OAuthError("access_denied", "The user denied access")
        if device.subject is None:
            raise OAuthError("authorization_pending", "The user has not decided yet")

    def _authorize(self, request: RecordedRequest) -> Answer:
        if request.method != "POST":
            return Answer.json(405, {"error": "Method not allowed"}, {"allow": "POST"})
        try:
            form = token_form(request)
            client = authenticated_client(self._server, request, form)
        except OAuthError as refusal:
            status = 401 if refusal.error == "invalid_client" else 400
            return Answer.json(status, {"error": refusal.error, "error_description": refusal.description})
        code = "".join(secrets.choice(_CONSONANTS) for _ in range(8))
        device = _Device(client, code, form.get("scope") or client.scope, self._clock() + LIFETIME)
        with self._lock:
            self._devices[device.device_code] = device
        self._on_issue("device code", device.device_code)
        return Answer.json(200, self._members(device))

    def _members(self, device: _Device) -> dict[str, Any]:
        shown = f"{device.user_code[:4]}-{device.user_code[4:]}"
        address = f"{self._origin()}{_VERIFICATION_PATH}"
        return {
            "device_code": device.device_code,
            "user_code": shown,
            "verification_uri": address,
            "verification_uri_complete": f"{address}?user_code={quote(shown)}",
            "expires_in": int(LIFETIME),
            "interval": int(device.interval),
        }

    def _verify(self, request: RecordedRequest) -> Answer:
        if request.method == "GET":
            return device_page(user_code=parse_qs(request.query).get("user_code", [""])[0])
        form = request.form
        subject, decision = form.get("subject", "").strip(), form.get("decision")
        if not subject or decision not in ("approve", "deny"):
            return error_page("The form needs a code, a name to sign in as, and a decision.")
        try:
            self.decide(form.get("user_code", ""), subject=subject, approve=decision == "approve")
        except ValueError:
            return error_page("No device waits with this code. Check it, or let the device show a new one.")
        return done_page("The device is connected" if decision == "approve" else "The device got no access")


def _typed(user_code: str) -> str:
    """RFC 8628 section 6.1: case and separators that users type are ignored."""
    return "".join(character for character in user_code.upper() if character in _CONSONANTS)
