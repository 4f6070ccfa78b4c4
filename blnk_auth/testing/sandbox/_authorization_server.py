"""The authorization server's state: clients, codes, grants, tokens.

Used by the personalities. It promises that a method either does all of its work or raises `OAuthError` (RFC 6749
section 5.2), that one lock protects everything, and that time is read from the given clock. It never uses HTTP and
never waits.

Refresh tokens rotate on every use, unless `rotates` is False. One that is presented again after it was spent was
stolen or used by two processes; the server cannot know which, so it revokes the whole family (RFC 9700 section
4.14.2):

    "If a refresh token is compromised and subsequently used by both the attacker and the legitimate client, one of
    them will present an invalidated refresh token, which will inform the authorization server of the breach."
"""

from __future__ import annotations

import math
import secrets
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from ._authorization_details import granted_to, merged, part_of
from ._issued import (
    ITSELF,
    AccessState,
    AccessToken,
    Code,
    CodeChallenge,
    Confirmation,
    Grant,
    OAuthError,
    RefreshToken,
    RefreshTokenReuse,
    RegisteredClient,
    Superseded,
    Terms,
)
from ._registered_clients import RegisteredClients

Issued = TypeVar("Issued")

_UNBOUND = Confirmation()
_NO_TERMS = Terms()

_MOST_GRANTS_OF_ONE = 1000

_MOST_TOKENS = 200_000
"""Of each kind; the oldest are forgotten. A test never has so many, and a sandbox that runs for weeks stays small."""

CODE_LIFETIME = 60.0
"""Seconds an authorization code can be exchanged. RFC 6749 section 4.1.2 recommends at most ten minutes."""


class AuthorizationServer:
    """Issues codes and tokens, rotates refresh tokens, checks access tokens.

    `clock` returns the current time in seconds. `lifetime` is that of the access tokens issued from now on, in seconds;
    it and the settings below may be assigned at any time. `on_issue` is called with the kind and the value of each code
    and token.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        lifetime: float,
        on_grant: Callable[[Grant], object] = lambda _grant: None,
        on_issue: Callable[[str, str], object] = lambda _kind, _credential: None,
    ) -> None:
        self.lifetime: float = lifetime
        self.rotates: bool = True
        """Whether a refresh replaces the refresh token, and the old one is spent."""
        self.code_lifetime: float = CODE_LIFETIME
        self.refresh_idle_lifetime: float = math.inf
        """Seconds without use after which a refresh token expires."""
        self.clients: RegisteredClients = RegisteredClients()
        self.name_access_token: Callable[[Grant, float], str] = _opaque_access_token
        """Makes the access token of a grant that expires at the given time."""
        self._clock = clock
        self._on_grant = on_grant
        self._on_issue = on_issue
        self._lock = threading.Lock()
        self._grants: dict[str, deque[Grant]] = {}
        self._codes: dict[str, Code] = {}
        self._access_tokens: dict[str, AccessToken] = {}
        self._refresh_tokens: dict[str, RefreshToken] = {}
        self._superseded: deque[Superseded] = deque(maxlen=_MOST_TOKENS)

    def issue_code(
        self,
        client: RegisteredClient,
        *,
        subject: str,
        scope: str,
        code_challenge: CodeChallenge | None,
        target: str | None = None,
        redirect_uri: str | None = None,
        terms: Terms = _NO_TERMS,
    ) -> str:
        """A code for one exchange within `code_lifetime` seconds, by the client and redirect URI it was issued to.

        `redirect_uri` None is the registered one. Raises `invalid_grant_id` if the terms name another user's grant.
        """
        code = f"blnk_ac_{secrets.token_urlsafe(24)}"
        with self._lock:
            details = granted_to(subject, terms.authorization_details)
            granted = replace(terms, authorization_details=details)
            if terms.grant is not None and (terms.grant.subject, terms.grant.target) != (subject, target):
                raise OAuthError("invalid_grant_id", "The grant is another user's, or at another bank")
            grant = terms.grant or self._new_grant(client, subject, scope, target, granted)
            issued = Code(
                grant,
                client.redirect_uri if redirect_uri is None else redirect_uri,
                code_challenge,
                expires_at=self._clock() + self.code_lifetime,
                change=None if terms.grant is None else (scope, granted),
                dpop_jkt=terms.dpop_jkt,
            )
            _keep(self._codes, code, issued)
            self._on_issue("authorization code", code)
        return code

    def exchange_code(
        self,
        client: RegisteredClient,
        *,
        code: str,
        redirect_uri: str | None,
        code_verifier: str | None,
        authorization_details: tuple[dict[str, Any], ...] = (),
        confirmation: Confirmation = _UNBOUND,
    ) -> dict[str, Any]:
        """The token response for a code; otherwise `invalid_grant`. A failed attempt spends the code too.

        `authorization_details`: those of the grant that the access token is for; empty means all. `confirmation`: what
        the request proves, and the tokens are bound to. In the next methods too.
        """
        with self._lock:
            issued = self._codes.get(code)
            if issued is None or issued.grant.client_id != client.client_id:
                raise OAuthError("invalid_grant", "The authorization code is unknown")
            if issued.spent:
                # RFC 6749 section 4.1.2: "the authorization server MUST deny the request and SHOULD revoke (when
                # possible) all tokens previously issued based on that authorization code."
                issued.grant.revoked = True
                raise OAuthError("invalid_grant", "The authorization code was used before; its tokens are now revoked")
            issued.spent = True
            self._check_code(issued, redirect_uri, code_verifier)
            if issued.dpop_jkt not in (None, confirmation.jkt):
                # RFC 9449 section 10: "If they do not match, it MUST reject the request."
                raise OAuthError("invalid_grant", "The code is bound to another key (dpop_jkt)")
            if issued.change is not None:
                _change(issued.grant, *issued.change, now=self._clock())
            details = part_of(issued.grant.authorization_details, authorization_details)
            pair = self._new_pair(client, issued.grant, confirmation=confirmation)
            return {**pair, "authorization_details": list(details)} if details else pair

    def refresh(
        self,
        client: RegisteredClient,
        *,
        refresh_token: str,
        authorization_details: tuple[dict[str, Any], ...] = (),
        confirmation: Confirmation = _UNBOUND,
    ) -> dict[str, Any]:
        """The next pair of the family; if refresh tokens rotate, the presented one is spent. Else `invalid_grant`."""
        with self._lock:
            presented = self._usable(client, refresh_token)
            if not presented.confirmation.covers(confirmation):
                raise OAuthError("invalid_grant", "The refresh token is bound to another key or certificate")
            details = part_of(presented.grant.authorization_details, authorization_details)
            presented.used_at = self._clock()
            presented.spent = self.rotates
            presented.grant.refreshes += 1
            self._note_superseded(presented.access_token)
            same = None if self.rotates else refresh_token
            pair = self._new_pair(client, presented.grant, refresh_token=same, confirmation=confirmation)
            return {**pair, "authorization_details": list(details)} if details else pair

    def issue(
        self,
        client: RegisteredClient,
        *,
        subject: str,
        scope: str,
        lifetime: float | None = None,
        target: str | None = None,
        confirmation: Confirmation = _UNBOUND,
    ) -> dict[str, Any]:
        """The token response of a new grant. `lifetime`: of this access token, in seconds; None is the server's."""
        with self._lock:
            grant = self._new_grant(client, subject, scope, target)
            return self._new_pair(client, grant, lifetime=lifetime, confirmation=confirmation)

    def issue_to_itself(
        self,
        client: RegisteredClient,
        *,
        scope: str,
        authorization_details: tuple[dict[str, Any], ...] = (),
        confirmation: Confirmation = _UNBOUND,
    ) -> dict[str, Any]:
        """The response of the client credentials grant: an access token only (RFC 6749 section 4.4.3)."""
        with self._lock:
            grant = self._new_grant(client, ITSELF, scope, terms=Terms(authorization_details))
            return self._new_access_token(grant, self.lifetime, confirmation)[1]

    def check(self, access_token: str) -> Grant | None:
        """The grant of a valid access token; None if it is unknown, expired or revoked."""
        state, grant = self.look_up(access_token)
        return grant if state == "valid" else None

    def issued(self, access_token: str) -> AccessToken:
        """An access token of this server, valid or not. Raises `KeyError` for any other text."""
        with self._lock:
            return self._access_tokens[access_token]

    def look_up(self, access_token: str) -> tuple[AccessState, Grant | None]:
        """The state of an access token, and its grant."""
        with self._lock:
            issued = self._access_tokens.get(access_token)
            return ("unknown", None) if issued is None else (issued.state(self._clock()), issued.grant)

    @property
    def superseded(self) -> tuple[Superseded, ...]:
        """One for each refresh so far, oldest first."""
        with self._lock:
            return tuple(self._superseded)

    def revoke_access_tokens(self, subject: str | None = None) -> None:
        """Reject the access tokens issued so far, of `subject` or (None) of everyone; refresh tokens stay valid."""
        with self._lock:
            for issued in self._access_tokens.values():
                if subject is None or issued.grant.subject == subject:
                    issued.revoked = True

    def revoke_token(self, token: str) -> None:
        """Revoke this access or refresh token only (RFC 7009); an unknown one is ignored."""
        with self._lock:
            found = self._access_tokens.get(token) or self._refresh_tokens.get(token)
            if found is not None:
                found.revoked = True

    def revoke_family(self, client: RegisteredClient, token: str) -> None:
        """End the grant that this token belongs to, if it is this client's (RFC 7009 section 2.1)."""
        with self._lock:
            found = self._access_tokens.get(token) or self._refresh_tokens.get(token)
            if found is not None and found.grant.client_id == client.client_id:
                found.grant.revoked = True

    def revoke_grant(self, subject: str) -> None:
        """End every grant of `subject`: access tokens are rejected, refresh tokens get `invalid_grant`."""
        with self._lock:
            for grant in self._grants.get(subject, ()):
                grant.revoked = True

    def _usable(self, client: RegisteredClient, refresh_token: str) -> RefreshToken:
        presented = self._refresh_tokens.get(refresh_token)
        if presented is None or presented.grant.client_id != client.client_id:
            raise OAuthError("invalid_grant", "The refresh token is unknown")
        if presented.spent:
            presented.grant.revoked = True
            raise RefreshTokenReuse("invalid_grant", "The refresh token was used before; its family is now revoked")
        if presented.grant.revoked or presented.revoked:
            raise OAuthError("invalid_grant", "The grant is revoked")
        if self._clock() - presented.used_at >= self.refresh_idle_lifetime:
            raise OAuthError("invalid_grant", "The refresh token was idle for too long")
        return presented

    def _note_superseded(self, old: AccessToken) -> None:
        self._superseded.append(
            Superseded(old.grant.subject, old.issued_at, old.expires_at, self._clock(), old.revoked)
        )

    def _check_code(self, issued: Code, redirect_uri: str | None, code_verifier: str | None) -> None:
        if issued.grant.revoked:
            raise OAuthError("invalid_grant", "The grant is revoked")
        if self._clock() >= issued.expires_at:
            raise OAuthError("invalid_grant", "The authorization code has expired")
        if redirect_uri != issued.redirect_uri:
            raise OAuthError("invalid_grant", "redirect_uri is not the one of the authorization request")
        if issued.code_challenge is None:
            # RFC 9700 section 2.1.1: a code_verifier without a code_challenge is a downgrade and must be refused.
            if code_verifier is not None:
                raise OAuthError("invalid_grant", "code_verifier was sent, but no code_challenge had been")
        elif code_verifier is None or not issued.code_challenge.accepts(code_verifier):
            raise OAuthError("invalid_grant", "code_verifier does not fit the code_challenge")

    def _new_grant(
        self,
        client: RegisteredClient,
        subject: str,
        scope: str,
        target: str | None = None,
        terms: Terms = _NO_TERMS,
    ) -> Grant:
        now = self._clock()
        grant = Grant(client.client_id, subject, scope, target, terms.authorization_details, terms.acr, now)
        if subject not in self._grants:
            _keep(self._grants, subject, deque(maxlen=_MOST_GRANTS_OF_ONE))
        self._grants[subject].append(grant)
        self._on_grant(grant)
        return grant

    def _new_pair(
        self,
        client: RegisteredClient,
        grant: Grant,
        *,
        lifetime: float | None = None,
        refresh_token: str | None = None,
        confirmation: Confirmation,
    ) -> dict[str, Any]:
        issued, answer = self._new_access_token(grant, self.lifetime if lifetime is None else lifetime, confirmation)
        refresh_token = refresh_token or f"blnk_rt_{secrets.token_urlsafe(32)}"
        # RFC 9449 section 5: only the refresh tokens of public clients are bound. RFC 8705 section 4 likewise.
        bound_to = _UNBOUND if client.client_secret else confirmation
        _keep(self._refresh_tokens, refresh_token, RefreshToken(grant, issued, self._clock(), confirmation=bound_to))
        self._on_issue("refresh token", refresh_token)
        grant.refresh_token = refresh_token
        return {**answer, "refresh_token": refresh_token, "scope": grant.scope}

    def _new_access_token(
        self, grant: Grant, expires_in: float, confirmation: Confirmation
    ) -> tuple[AccessToken, dict[str, Any]]:
        now = self._clock()
        access_token = self.name_access_token(grant, now + expires_in)
        issued = AccessToken(grant, now, now + expires_in, confirmation=confirmation)
        _keep(self._access_tokens, access_token, issued)
        self._on_issue("access token", access_token)
        grant.access_token = access_token
        grant.access_tokens.append(issued)
        members: dict[str, Any] = {
            "access_token": access_token,
            "token_type": "Bearer" if confirmation.jkt is None else "DPoP",
            "expires_in": int(expires_in) if float(expires_in).is_integer() else expires_in,
            "scope": grant.scope,
        }
        if grant.authorization_details:
            members["authorization_details"] = list(grant.authorization_details)
        return issued, members


def _change(grant: Grant, scope: str, terms: Terms, *, now: float) -> None:
    """Merge with the grant, or replace it (Grant Management for OAuth 2.0, section 5.2)."""
    details = terms.authorization_details
    if terms.grant_management_action == "merge":
        added = [each for each in scope.split() if each not in grant.scope.split()]
        scope, details = " ".join([*grant.scope.split(), *added]), merged(grant.authorization_details, details)
    grant.scope, grant.authorization_details = scope, details
    grant.acr, grant.authenticated_at = terms.acr, now


def _keep(issued: dict[str, Issued], name: str, value: Issued) -> None:
    """Add what was issued, and forget the oldest if there are too many."""
    issued[name] = value
    if len(issued) > _MOST_TOKENS:
        del issued[next(iter(issued))]


def _opaque_access_token(_grant: Grant, _expires_at: float) -> str:
    return f"blnk_at_{secrets.token_urlsafe(32)}"
