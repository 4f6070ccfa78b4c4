"""An authorization server with an API, which knows every secret that it issued or was sent, and can quote them all.

Used by the canary's world. It answers under any path: what a request asks for shows in its form. Its tokens are marked.
A fault takes the place of an answer, for each request of one purpose, until the trial ends.
"""

from __future__ import annotations

import json
import ssl
import threading
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

from support.sites import Received, Reply, Site

from .marks import Secrets

Purpose = Literal["token", "device", "par", "revocation", "registration", "metadata", "api"]

_SENT = {
    "client_secret": "client secret",
    "client_assertion": "client assertion",
    "code": "authorization code",
    "code_verifier": "PKCE verifier",
    "refresh_token": "refresh token",
    "device_code": "device code",
    "token": "revoked token",
    "state": "state",
}

Fault = Callable[["Heard"], Reply]
"""Makes the answer to a request; raises to cut the connection."""


class Cut(Exception):
    """Raised by a fault: the connection is closed without an answer."""


class Heard:
    """A request, and the secrets in it."""

    def __init__(self, request: Received) -> None:
        self.request = request
        self.form = _form_of(request)
        self.secrets = {_SENT[name]: value for name, value in self.form.items() if name in _SENT and value}
        scheme, _, credential = (request.authorization or "").partition(" ")
        if scheme == "Basic":
            self.secrets["client secret"] = unquote(b64decode(credential).decode().partition(":")[2])
        elif credential:
            self.secrets["access token"] = credential

    @property
    def purpose(self) -> Purpose:
        """What it asks for."""
        if self.request.method == "GET":
            return "metadata" if "/.well-known/" in self.request.path else "api"
        if "grant_type" in self.form:
            return "token"
        if "response_type" in self.form:
            return "par"
        if self.request.path.endswith("/register"):
            return "registration"
        if "token" in self.form or "revoke" in self.request.path:
            return "revocation"
        return "device" if "device" in self.request.path else "api"


def _form_of(request: Received) -> dict[str, str]:
    if request.body.startswith(b"{"):
        return {name: value for name, value in json.loads(request.body).items() if isinstance(value, str)}
    return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))


class Server:
    """Entered once for all trials; `begin` starts one."""

    def __init__(self) -> None:
        self.site = Site(self._answer)
        self.released = threading.Event()
        """Set when the trial has ended: an answer that was delayed comes then, to nobody."""
        self.begin(Secrets(), lambda: None)

    def begin(self, secrets: Secrets, arrived: Callable[[], object]) -> None:
        """Forget all of the trial before. `arrived` is called for each request."""
        self.released.set()
        self.released = threading.Event()
        self.secrets = secrets
        self.heard: list[Heard] = []
        self.faults: dict[Purpose, Fault] = {}
        self.members: dict[str, Any] = {}
        """What replaces members of each token answer."""
        self.device_polls_pending = 1
        self.pushed: dict[str, dict[str, str]] = {}
        """What was pushed, by `request_uri`."""
        self._arrived = arrived
        self._rejected: set[str] = set()

    @property
    def origin(self) -> str:
        return self.site.origin

    def over_tls(self, tls: ssl.SSLContext) -> Site:
        """The same server under an https origin, to be entered by the caller."""
        return Site(self._answer, tls=tls)

    def reject_token(self, access_token: str) -> None:
        """Answer 401 to the API requests that carry it."""
        self._rejected.add(access_token)

    def issue(self) -> dict[str, Any]:
        """A token answer with marked tokens."""
        new = self.secrets.new
        issued = {
            "access_token": new("access token", "-/+."),
            "token_type": "Bearer",
            "expires_in": 3600,
            "refresh_token": new("refresh token", "/+=~"),
            "id_token": new("id token", "-_."),
            "scope": "read",
        }
        return {**issued, **self.members}

    def register(self) -> dict[str, Any]:
        """A registered client (RFC 7591) with marked secrets."""
        new = self.secrets.new
        secrets = {"client_secret": new("client secret", "/+=~"), "registration_access_token": new("access token")}
        return {"client_id": "registered-client", "token_endpoint_auth_method": "client_secret_post", **secrets}

    def _answer(self, request: Received) -> Reply:
        heard = Heard(request)
        self._arrived()
        for kind, secret in heard.secrets.items():
            self.secrets.add(kind, secret)
        self.heard.append(heard)
        fault = self.faults.get(heard.purpose)
        return self._usual(heard) if fault is None else fault(heard)

    def _usual(self, heard: Heard) -> Reply:
        purpose = heard.purpose
        if purpose == "token" and "device_code" in heard.form and self.device_polls_pending > 0:
            self.device_polls_pending -= 1
            return Reply.json({"error": "authorization_pending"}, 400)
        if purpose == "token":
            return Reply.json(self.issue())
        if purpose == "device":
            return Reply.json(self._device_authorization())
        if purpose == "par":
            request_uri = self.secrets.new("request_uri", "-_.")
            self.pushed[request_uri] = heard.form
            return Reply.json({"request_uri": request_uri, "expires_in": 60}, 201)
        if purpose == "metadata":
            kind, _, path = heard.request.path.partition("/.well-known/")[2].partition("/")
            return Reply.json(self.resource(path) if kind == "oauth-protected-resource" else self.metadata(path))
        if purpose in ("registration", "revocation"):
            return Reply.json(self.register(), 201) if purpose == "registration" else Reply(200)
        if heard.secrets.get("access token") in self._rejected:
            return Reply.rejected()
        return Reply.json({"balance": 1}, **{"Set-Cookie": "visited=yes"})

    def _device_authorization(self) -> Mapping[str, Any]:
        return {
            "device_code": self.secrets.new("device code"),
            "user_code": "WDJB-MJHT",
            "verification_uri": f"{self.origin}/device",
            "expires_in": 600,
            "interval": 0,
        }

    def metadata(self, tenant: str) -> dict[str, Any]:
        """RFC 8414: of the issuer with this path, of which there may be any number."""
        endpoints = ("authorization", "token", "revocation", "device_authorization")
        return {
            "issuer": f"{self.origin}/{tenant}".rstrip("/"),
            **{f"{each}_endpoint": f"{self.origin}/{each}" for each in endpoints},
            "registration_endpoint": f"{self.origin}/register",
            "code_challenge_methods_supported": ["S256"],
        }

    def resource(self, path: str) -> dict[str, Any]:
        """RFC 9728: of the resource with this path, of which there may be any number."""
        return {"resource": f"{self.origin}/{path}", "authorization_servers": [self.origin]}
