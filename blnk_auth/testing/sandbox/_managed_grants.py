"""The grants that clients refer to by `grant_id` (Grant Management for OAuth 2.0).

Used by the authorization requests that change one, and by the grant management endpoint. It promises bounded memory. It
never finds a grant that has ended, another client's, or one that a client got for itself. Thread-safe.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from ._issued import ITSELF, Grant, OAuthError, RegisteredClient

_REQUESTED = ("create", "merge", "replace")

ACTIONS = (*_REQUESTED, "query", "revoke")
"""The value of `grant_management_actions_supported`; the first three are for `grant_management_action`."""

_MOST_GRANTS = 200_000


class ManagedGrants:
    """The latest 200,000 grants of users."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._grants: dict[str, Grant] = {}

    def add(self, grant: Grant) -> None:
        """Remember a new grant."""
        if grant.subject == ITSELF:
            return
        with self._lock:
            self._grants[grant.grant_id] = grant
            if len(self._grants) > _MOST_GRANTS:
                del self._grants[next(iter(self._grants))]

    def find(self, client_id: str, grant_id: str) -> Grant | None:
        """The grant of this id, if it is this client's and has not ended."""
        with self._lock:
            grant = self._grants.get(grant_id)
        return None if grant is None or grant.client_id != client_id or grant.revoked else grant

    def to_change(self, client: RegisteredClient, members: Mapping[str, str]) -> tuple[str | None, Grant | None]:
        """The action of an authorization request, and the grant that it changes: sections 5.2 and 5.3.

        No grant: the request creates one. Raises `OAuthError` for a request against the rules.
        """
        action, grant_id = members.get("grant_management_action"), members.get("grant_id")
        if action is not None and action not in _REQUESTED:
            raise OAuthError("invalid_request", f"grant_management_action must be one of {', '.join(_REQUESTED)}")
        if action in (None, "create") and grant_id is not None:
            raise OAuthError("invalid_request", "grant_id is for grant_management_action merge and replace only")
        if action in (None, "create"):
            return action, None
        if not grant_id:
            raise OAuthError("invalid_request", f"grant_management_action {action} needs a grant_id")
        grant = self.find(client.client_id, grant_id)
        if grant is None:
            raise OAuthError("invalid_grant_id", "The grant_id is unknown, or the grant has ended")
        return action, grant
