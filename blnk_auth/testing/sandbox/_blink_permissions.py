"""bLink's permissions: users' consents whose tokens bLink keeps, named by a PermissionId.

Used by bLink's personality. It promises what SIX documents: one valid permission for each user and bank, a new one
revokes the former, and with Consent 3.0 a permission is exchanged for tokens once. It then ends with the first request
that carries the new token, or a minute later. What SIX has not published is invented here: the bodies, and how the
exchange is asked for. It never contacts a bank. Thread-safe.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from ._issued import Grant, OAuthError

GRACE_PERIOD = 60.0
"""Seconds that a permission is still valid after its exchange."""

_USER_ID = re.compile(r"[a-zA-Z0-9\-.]{1,250}")
_MOST_PERMISSIONS = 10_000


@dataclass(slots=True)
class Permission:
    """What one user allowed at one bank. `ends_at` is None as long as no end is known."""

    permission_id: str
    target: str
    user_id: str
    ends_at: float | None = None
    exchanged: bool = False
    grant: Grant | None = None
    """The grant that it was exchanged for."""


class Permissions:
    """The latest 10,000 permissions. `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._permissions: dict[str, Permission] = {}

    def create(self, target: str, user_id: str) -> Permission | None:
        """A new permission, which revokes the former one of the same user; None for a user id that is not valid."""
        if not _USER_ID.fullmatch(user_id):
            return None
        made = Permission(str(uuid.uuid4()), target, user_id)
        with self._lock:
            for each in self._permissions.values():
                if (each.target, each.user_id) == (target, user_id):
                    each.ends_at = self._clock()
            self._permissions[made.permission_id] = made
            if len(self._permissions) > _MOST_PERMISSIONS:
                del self._permissions[next(iter(self._permissions))]
        return made

    def find(self, permission_id: str, target: str) -> Permission | None:
        """The valid permission of this id, if it is for this bank."""
        with self._lock:
            return self._valid(permission_id, target)

    def exchange(self, permission_id: str, target: str) -> Permission:
        """The valid permission of this id, which is exchanged now; otherwise `invalid_grant`."""
        with self._lock:
            found = self._valid(permission_id, target)
            if found is None:
                raise OAuthError("invalid_grant", "The permission is unknown, has ended, or is at another bank")
            if found.exchanged:
                raise OAuthError("invalid_grant", "The permission was exchanged before")
            found.exchanged, found.ends_at = True, self._clock() + GRACE_PERIOD
        return found

    def note_use(self, grant: Grant) -> None:
        """End the permission that was exchanged for this grant: the API has seen its token."""
        with self._lock:
            for each in self._permissions.values():
                if each.grant is grant:
                    each.ends_at = self._clock()

    def _valid(self, permission_id: str, target: str) -> Permission | None:
        found = self._permissions.get(permission_id)
        if found is None or found.target != target:
            return None
        return found if found.ends_at is None or self._clock() < found.ends_at else None
