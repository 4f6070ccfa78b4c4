"""The authorization server of a chaos run: the sandbox's, with a grace period for some grants, and books.

Used by `server`. It names each token by its grant and generation, so that every log of a run can name it too, and
writes into the books what it issues, repeats, refuses and revokes.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from blnk_auth.testing.sandbox._authorization_server import AuthorizationServer
from blnk_auth.testing.sandbox._issued import (
    CodeChallenge,
    Confirmation,
    Grant,
    OAuthError,
    RefreshTokenReuse,
    RegisteredClient,
)

CLIENT = RegisteredClient("chaos", "chaos-secret", "http://127.0.0.1/callback", "all")

Note = Callable[..., None]
"""Writes one line into the books."""


def name_of(token: str) -> tuple[int, int]:
    """The grant and the generation of a refresh or access token of this server; (-1, -1) for any other text."""
    parts = token.split("-")
    if len(parts) == 4 and parts[0] in ("r", "a") and parts[1].isdigit() and parts[2].isdigit():
        return int(parts[1]), int(parts[2])
    return -1, -1


class BookkeepingServer(AuthorizationServer):
    """Rotates refresh tokens, and revokes the whole grant when a spent one is presented too late.

    `grace`: the seconds of the grace period of a subject's grants; 0 where there is none. Within it, a spent token is
    answered with the refresh token that replaced it, unless that one has been used as well.
    """

    def __init__(self, *, lifetime: float, grace: Callable[[str], float], note: Note) -> None:
        super().__init__(clock=time.time, lifetime=lifetime)
        self.clients.add(CLIENT)
        self.grants: list[Grant] = []
        self.generations: list[int] = []
        """For each grant, by number, how many pairs it has had."""
        self.ended: dict[int, str] = {}
        """Why each grant that has ended did: `server`, `client` or `reuse`."""
        self._grace = grace
        self._note = note
        self._successors: dict[str, tuple[float, dict[str, Any]]] = {}
        self._numbers: dict[int, int] = {}
        self.name_access_token = self._name_access_token

    # --- issuing -------------------------------------------------------------------------------------------------

    def _new_grant(self, client: RegisteredClient, subject: str, *rest: Any, **terms: Any) -> Grant:
        grant = super()._new_grant(client, subject, *rest, **terms)
        self._numbers[id(grant)] = len(self.grants)
        self.grants.append(grant)
        self.generations.append(0)
        self._note("granted", grant=len(self.grants) - 1, subject=subject, grace=self._grace(subject))
        return grant

    def _name_access_token(self, grant: Grant, _expires_at: float) -> str:
        number = self._numbers[id(grant)]
        return f"a-{number}-{self.generations[number]}-{secrets.token_hex(8)}"

    def _new_pair(self, client: RegisteredClient, grant: Grant, **kinds: Any) -> dict[str, Any]:
        number = self._numbers[id(grant)]
        named = f"r-{number}-{self.generations[number]}-{secrets.token_hex(8)}"
        pair = super()._new_pair(client, grant, **{**kinds, "refresh_token": named})
        self.generations[number] += 1
        return pair

    def code_for(self, subject: str, redirect_uri: str, challenge: str) -> str:
        """The code that a user who approves brings back."""
        pkce = CodeChallenge(challenge, "S256")
        return self.issue_code(CLIENT, subject=subject, scope="all", code_challenge=pkce, redirect_uri=redirect_uri)

    # --- refreshing ----------------------------------------------------------------------------------------------

    def present(self, refresh_token: str, **who: Any) -> dict[str, Any]:
        """As `refresh`, into the books. `who` names who presents it."""
        grant, generation = name_of(refresh_token)
        what = {"grant": grant, "generation": generation, **who}
        repeated = self._repeated(refresh_token)
        if repeated is not None:
            self._note("presented", result="repeated", **what)
            return repeated
        try:
            pair = self.refresh(CLIENT, refresh_token=refresh_token)
        except RefreshTokenReuse:
            self._note("presented", result="reuse", **what)
            self._end(grant, "reuse")
            raise
        except OAuthError:
            self._note("presented", result="refused" if grant >= 0 else "unknown", **what)
            raise
        self._successors[refresh_token] = time.monotonic(), pair
        self._note("presented", result="rotated", **what)
        return pair

    def _repeated(self, refresh_token: str) -> dict[str, Any] | None:
        spent_at, pair = self._successors.get(refresh_token, (0.0, None))
        number, _ = name_of(refresh_token)
        if pair is None or number in self.ended or pair["refresh_token"] in self._successors:
            return None
        if time.monotonic() - spent_at > self._grace(self.grants[number].subject):
            return None
        # The same refresh token; an access token that lives as long as its answer promises.
        return {**pair, **self._new_access_token(self.grants[number], self.lifetime, Confirmation())[1]}

    # --- ending --------------------------------------------------------------------------------------------------

    def end_grants_of(self, subject: str) -> None:
        """The provider ends every grant of a user."""
        self.revoke_grant(subject)
        for number, grant in enumerate(self.grants):
            if grant.subject == subject:
                self._end(number, "server")

    def end_by_client(self, token: str) -> None:
        """RFC 7009: the grant is revoked with its refresh token; an access token is revoked alone."""
        self.revoke_token(token)
        number, _ = name_of(token)
        if number >= 0 and token.startswith("r-"):
            self.grants[number].revoked = True
            self._end(number, "client")

    def _end(self, number: int, why: str) -> None:
        if number not in self.ended:
            self.ended[number] = why
            self._note("ended", grant=number, why=why)
