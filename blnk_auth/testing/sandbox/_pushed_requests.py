"""The PAR endpoint (RFC 9126): a client pushes its authorization request, and sends the user with a `request_uri`.

Used by the personalities that have it. It promises that a `request_uri` is for the client that pushed, for one decision
of a user, and for one minute. It never takes a request that the authorization endpoint would refuse. Thread-safe.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from ._answer import Answer
from ._authorization_request import AuthorizationRules
from ._issued import OAuthError, RegisteredClient

REQUEST_URI_LIFETIME = 60.0
"""Seconds that a `request_uri` is valid; section 2.2 has examples between 5 and 600."""

_PREFIX = "urn:ietf:params:oauth:request_uri:"
_MOST_REQUESTS = 10_000


@dataclass(slots=True)
class _Pushed:
    members: dict[str, str]
    target: str | None
    expires_at: float
    used: bool = False


class PushedRequests:
    """The pushed requests of one personality. `clock` is in seconds; `count` adds one to a figure.

    `required` returns whether every authorization request must be pushed.
    """

    def __init__(
        self,
        rules: AuthorizationRules,
        *,
        clock: Callable[[], float],
        count: Callable[[str], None],
        required: Callable[[], bool],
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._count = count
        self._required = required
        self._lock = threading.Lock()
        self._requests: dict[str, _Pushed] = {}

    def push(self, client: RegisteredClient, members: dict[str, str], target: str | None = None) -> Answer:
        """The response to a request that this client has pushed; otherwise `OAuthError`."""
        if "request_uri" in members:
            # Section 2.1: "The request_uri authorization request parameter MUST NOT be provided".
            raise OAuthError("invalid_request", "request_uri must not be pushed")
        if members.get("client_id") != client.client_id:
            # Section 2.1: "as a required authorization request parameter, it is similarly required".
            raise OAuthError("invalid_request", "client_id is missing, or is not the client that authenticated")
        secrets_of_client = ("client_secret", "client_assertion", "client_assertion_type")
        asked = {name: value for name, value in members.items() if name not in secrets_of_client}
        self._rules.read(self._rules.client_of(asked), asked)
        request_uri = f"{_PREFIX}{secrets.token_urlsafe(24)}"
        with self._lock:
            self._requests[request_uri] = _Pushed(asked, target, self._clock() + REQUEST_URI_LIFETIME)
            if len(self._requests) > _MOST_REQUESTS:
                del self._requests[next(iter(self._requests))]
        self._count("pushed_requests")
        return Answer.json(
            201,
            {"request_uri": request_uri, "expires_in": int(REQUEST_URI_LIFETIME)},
            {"cache-control": "no-cache, no-store"},
        )

    def members_of(self, query: dict[str, str], target: str | None) -> dict[str, str]:
        """The request that `query` names by its `request_uri`, else `query` itself. Raises `OAuthError`."""
        if "request_uri" not in query:
            return query
        with self._lock:
            pushed = self._requests.get(query["request_uri"])
        # Section 7.3 and 4: a request_uri is for the client that pushed, and is used once.
        if pushed is None or pushed.members["client_id"] != query.get("client_id") or pushed.target != target:
            raise OAuthError("invalid_request_uri", "The request_uri is unknown, or another application's.")
        if pushed.used:
            self._count("request_uri_reuses")
            raise OAuthError("invalid_request_uri", "The request_uri was used before.")
        if self._clock() >= pushed.expires_at:
            raise OAuthError("invalid_request_uri", "The request_uri has expired.")
        return pushed.members

    def check(self, query: dict[str, str]) -> None:
        """Raises `invalid_request` where a request must be pushed and was not."""
        if self._required() and "request_uri" not in query:
            raise OAuthError("invalid_request", "The authorization request must be pushed (RFC 9126)")

    def use(self, query: dict[str, str]) -> None:
        """The request that `query` names is used: the user has decided."""
        with self._lock:
            pushed = self._requests.get(query.get("request_uri", ""))
            if pushed is not None:
                pushed.used = True
