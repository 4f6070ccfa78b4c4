"""The grant management endpoint: a client queries and revokes its grants (Grant Management for OAuth 2.0, section 6).

Used by Blnk Cloud's personality with the extension "grant_management". It promises the statuses of section 6.6. It
never shows a token, and never another client's grant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._answer import Answer
from ._issued import ITSELF, Grant
from ._journal import RecordedRequest
from ._managed_grants import ManagedGrants

PATH = "/grants"

_SCOPES = {"GET": "grant_management_query", "DELETE": "grant_management_revoke"}
"""The scope of the client's own access token, by method (section 6.1)."""


class GrantManagement:
    """The endpoint. `count` adds one to a figure; `grant_of` returns the grant of a request's access token.

    If there is no valid access token, `grant_of` returns the response that rejects it.
    """

    def __init__(
        self,
        grants: ManagedGrants,
        *,
        count: Callable[[str], None],
        grant_of: Callable[[RecordedRequest], Grant | Answer],
    ) -> None:
        self._grants = grants
        self._count = count
        self._grant_of = grant_of

    def respond(self, request: RecordedRequest) -> Answer:
        """The response to `GET` or `DELETE` of one grant."""
        if request.method not in _SCOPES:
            return Answer.json(405, {"error": "Method not allowed"}, {"allow": ", ".join(_SCOPES)})
        own = self._grant_of(request)
        if isinstance(own, Answer):
            return own
        scope = _SCOPES[request.method]
        if own.subject != ITSELF or scope not in own.scope.split():
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
            return Answer.json(403, {"error": "insufficient_scope"}, {"www-authenticate": challenge})
        grant = self._grants.find(own.client_id, request.path.rpartition("/")[2])
        if grant is None:
            return Answer.json(404, {"error": "Not found"})
        if request.method == "GET":
            return Answer.json(200, _status(grant))
        grant.revoked = True
        self._count("revocations")
        return Answer(204)


def _status(grant: Grant) -> dict[str, Any]:
    return {
        "scopes": [{"scope": grant.scope}],
        "claims": [],
        "authorization_details": list(grant.authorization_details),
    }
