"""HTTP requests and responses as values, the same for all HTTP clients.

Used by every other part. `Call` and `ApiAnswer` are public: a provider's callables see them. What this file promises:

* Values are immutable by convention: the package never changes one.
* Their repr shows no header value and no body, since both may contain secrets.

They are plain classes and a named tuple because every auth class imports this module: `dataclasses` would take longer
than the rest of the import.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

from ..errors._pickling import public, public_in

Package = Literal["httpx", "httpx2", "requests"]
"""An HTTP package that a caller uses."""

Purpose = Literal[
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "token_exchange",
    "jwt_bearer",
    "device_code",
    "exchange",
    "pushed_authorization_request",
    "revocation",
    "api",
]
"""Why a request is sent: for a token by one of the grants, to begin a sign-in, for a revocation, or to the API."""


@public
class Call(NamedTuple):
    """Describes one HTTP call, so that a provider's parameters and headers can depend on it. Immutable.

    Made again for each attempt.

    Attributes:
        purpose: Why the request is sent.
        subject: The subject whose grant it is for; None for the client's own grant.
        in_background: True if no caller waits for it: the token is renewed before it expires.
        target: The party behind the server that the grant is for, such as a bank (`Provider.target`): the same in every
            call of one source. None if there is only one party.
    """

    purpose: Purpose
    subject: str | None = None
    in_background: bool = False
    target: str | None = None


class HttpRequest:
    """A request to the authorization server, ready to be sent.

    Attributes:
        method: Such as `POST`.
        url: The endpoint.
        headers: As they are sent; may hold secrets.
        body: As it is sent; may hold secrets.
        answer_limit: The most bytes that the body of the response may have. 0: the body is not read. None: as the
            policy specifies.
    """

    __slots__ = ("answer_limit", "body", "headers", "method", "url")
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    answer_limit: int | None

    def __init__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, *, answer_limit: int | None = None
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.answer_limit = answer_limit

    def __repr__(self) -> str:
        return f"<HttpRequest {self.method} {self.url}>"


@public_in("provider")
class HttpResponse:
    """A response of the authorization server that arrived whole.

    This library never changes one, so it may be shared between threads and tasks.

    Attributes:
        status_code: The HTTP status.
        headers: Names in lower case.
        body: Decoded from its content encoding; may hold secrets.
    """

    __slots__ = ("body", "headers", "status_code")
    status_code: int
    headers: Mapping[str, str]
    body: bytes

    def __init__(self, status_code: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status_code = status_code
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status_code}>"


@public
class ApiAnswer:
    """A response of the API, as `Provider.is_rejection` and `Provider.ends_consent` may judge it.

    This library never changes one, so it may be shared between threads and tasks.

    Attributes:
        status_code: The HTTP status.
        headers: Names in lower case.
        path: The path of the request's URL, without its query.
        body: None when it was not read: the provider does not ask for it, or it is longer than 16 KiB.
        scheme: How the token was sent: `"DPoP"` with a proof (RFC 9449); None: as the provider's `token_scheme`.
        was_renewed: Whether a renewal after such a rejection has not helped: the new token was rejected too.
    """

    __slots__ = ("body", "headers", "path", "scheme", "status_code", "was_renewed")
    status_code: int
    headers: Mapping[str, str]
    path: str
    body: bytes | None
    scheme: str | None
    was_renewed: bool

    def __init__(
        self,
        status_code: int,
        headers: Mapping[str, str],
        path: str = "/",
        body: bytes | None = None,
        *,
        scheme: str | None = None,
        was_renewed: bool = False,
    ) -> None:
        self.status_code = status_code
        self.headers = headers
        self.path = path
        self.body = body
        self.scheme = scheme
        self.was_renewed = was_renewed

    def __repr__(self) -> str:
        return f"<ApiAnswer {self.status_code} of {self.path}>"


class NoResponse(Exception):
    """No complete response arrived. A `Transport` raises it; users never see it.

    Attributes:
        problem: What happened. It contains no text of a server.
        sent: False only if it is certain that the request was not sent.
    """

    problem: str
    sent: bool

    def __init__(self, problem: str, *, sent: bool) -> None:
        super().__init__(problem)
        self.problem = problem
        self.sent = sent


class Transport(Protocol):
    """Carries one request to the authorization server. Blocking; called on a worker thread."""

    def send(self, request: HttpRequest, *, seconds: float | None = None) -> HttpResponse:
        """Send once, follow no redirect.

        Args:
            request: What is sent.
            seconds: The longest time for the whole exchange; None: the policy's `request_deadline`.

        Raises:
            NoResponse: No response arrived, or only a part of one.
            ConfigurationError: The server's certificate cannot be verified, or the client's certificate cannot be used.
        """
        ...
