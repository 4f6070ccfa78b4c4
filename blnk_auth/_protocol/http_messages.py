"""What goes over the wire, whichever HTTP client carries it.

Values only, and nobody changes one. Their repr shows no header value and no body, since both hold secrets. They are
plain classes because every shell imports this module: `dataclasses` would take longer than the rest of the import.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

Package = Literal["httpx", "httpx2", "requests"]
"""An HTTP package that a caller uses."""


Purpose = Literal["authorization_code", "refresh_token", "client_credentials", "device_code", "revocation", "api"]


class Call(NamedTuple):
    """One HTTP call, as a provider's parameters and headers may depend on it. Made anew for each attempt.

    `subject` is whose grant it is for, None for the client's own. `in_background` is True for a renewal that runs
    behind the callers, when nobody waits for it. `target` is the party behind the server that the grant is for, where
    there are several (`Provider.target`): the same in every call of one source.
    """

    purpose: Purpose
    subject: str | None = None
    in_background: bool = False
    target: str | None = None


class HttpRequest:
    """A request to the authorization server, ready to be sent."""

    __slots__ = ("body", "headers", "method", "url")

    def __init__(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"<HttpRequest {self.method} {self.url}>"


class HttpResponse:
    """The authorization server's answer: header names in lower case, the body decoded from its content encoding."""

    __slots__ = ("body", "headers", "status_code")

    def __init__(self, status_code: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status_code = status_code
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status_code}>"


class ApiAnswer:
    """What a provider may look at to judge a rejection by its API.

    `body` is None when it was not read: the provider did not ask for it, or it is longer than 16 KiB.
    """

    __slots__ = ("body", "headers", "path", "status_code")

    def __init__(
        self, status_code: int, headers: Mapping[str, str], path: str = "/", body: bytes | None = None
    ) -> None:
        self.status_code = status_code
        self.headers = headers
        self.path = path
        self.body = body

    def __repr__(self) -> str:
        return f"<ApiAnswer {self.status_code} of {self.path}>"


class NoAnswer(Exception):
    """No complete answer came. `sent` is False when it is certain that the request never left."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Transport(Protocol):
    """Carries one request to the authorization server. Blocking; called on a worker thread."""

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send once, follow no redirect. Raises `NoAnswer`, or `ConfigurationError` for a certificate that fails."""
        ...
