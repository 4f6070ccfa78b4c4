"""The latest grants, as the live page shows and changes them.

Used by the live page and the controls. It promises that a view has no whole token, and that a change takes effect for
the next request. It never keeps more than fifty grants. Thread-safe: the authorization server adds a grant under its
lock, and each change is one assignment.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ._authorization_server import AuthorizationServer
from ._issued import AccessState, Grant, OAuthError

MOST_GRANTS = 50


@dataclass(frozen=True, slots=True)
class GrantView:
    """A grant as the live page shows it: its latest tokens are shortened, so that none can be copied.

    `expires_at` is in seconds on the server's clock, None before the first token. `access` is the state of the access
    token, "none" before the first.
    """

    number: int
    subject: str
    scope: str
    target: str | None
    ended: bool
    refreshes: int
    access_token: str
    access: AccessState | Literal["none"]
    expires_at: float | None
    refresh_token: str


def shortened(token: str) -> str:
    """The first and the last characters of a token, which show whether two are the same."""
    return f"{token[:8]}\N{HORIZONTAL ELLIPSIS}{token[-4:]}" if token else ""


class RecentGrants:
    """The latest fifty grants. `clock` is the time by which tokens expire, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._grants: deque[Grant] = deque(maxlen=MOST_GRANTS)

    def add(self, grant: Grant) -> None:
        """Number a new grant, and keep it."""
        with self._lock:
            grant.number = next(self._numbers)
            self._grants.append(grant)

    def views(self) -> list[GrantView]:
        """The grants, newest first."""
        now = self._clock()
        return [_view(grant, now) for grant in reversed(self._all())]

    def expire(self, number: int) -> None:
        """Let the access tokens of a grant expire now. Raises `ValueError` if there is no such grant."""
        for issued in tuple(self._numbered(number).access_tokens):
            issued.expires_at = min(issued.expires_at, self._clock())

    def reject(self, number: int) -> None:
        """Reject the access tokens of a grant from now on. Raises `ValueError` if there is no such grant."""
        for issued in tuple(self._numbered(number).access_tokens):
            issued.revoked = True

    def revoke(self, number: int) -> None:
        """Revoke a grant with all that was issued for it. Raises `ValueError` if there is no such grant."""
        self._numbered(number).revoked = True

    def rotate(self, number: int, server: AuthorizationServer) -> None:
        """Use the refresh token of a grant, as a thief or another process would: the client's own is then spent.

        Raises `ValueError` if there is no such grant or no usable refresh token, or if refresh tokens do not rotate.
        """
        grant = self._numbered(number)
        client = server.clients.find(grant.client_id)
        if client is None or not server.rotates:
            raise ValueError("rotates: refresh tokens do not rotate here")
        try:
            server.refresh(client, refresh_token=grant.refresh_token)
        except OAuthError as refusal:
            raise ValueError(f"grant: {refusal.description}") from None

    def _all(self) -> list[Grant]:
        with self._lock:
            return list(self._grants)

    def _numbered(self, number: int) -> Grant:
        found = next((grant for grant in self._all() if grant.number == number), None)
        if found is None:
            raise ValueError(f"grant: {number} is not one of the latest {MOST_GRANTS} grants")
        return found


def _view(grant: Grant, now: float) -> GrantView:
    issued = grant.access_tokens[-1] if grant.access_tokens else None
    return GrantView(
        number=grant.number,
        subject=grant.subject,
        scope=grant.scope,
        target=grant.target,
        ended=grant.revoked,
        refreshes=grant.refreshes,
        access_token=shortened(grant.access_token),
        access="none" if issued is None else issued.state(now),
        expires_at=None if issued is None else issued.expires_at,
        refresh_token=shortened(grant.refresh_token),
    )
