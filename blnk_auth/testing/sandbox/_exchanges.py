"""Tokens that are issued for another token (RFC 8693) or for an assertion (RFC 7523 section 2.1).

Used by Blnk Cloud's personality with the extensions `token_exchange` and `jwt_bearer`. It promises the errors of both
RFCs: an unusable subject token is `invalid_request`, an unusable assertion `invalid_grant`, an unknown resource
`invalid_target`. It never accepts an assertion twice, and accepts only those that an exchange here issued.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ._authorization_server import AuthorizationServer
from ._extensions import Extension
from ._issued import Confirmation, Grant, OAuthError, RegisteredClient

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"

_TYPES = "urn:ietf:params:oauth:token-type:"
ACCESS_TOKEN = f"{_TYPES}access_token"
ID_JAG = f"{_TYPES}id-jag"

_ASSERTION_LIFETIME = 300.0
_MOST_ASSERTIONS = 10_000

_WITH_REFRESH_TOKEN = "offline_access"
"""The scope with which a response has a refresh token too."""


Exchange = Callable[[RegisteredClient, Mapping[str, str], Confirmation], dict[str, Any]]


class Exchanges:
    """Exchanges access tokens of this server for others, and for assertions; and assertions for access tokens.

    `origin` returns the issuer, below which every known resource is; `clock` is in seconds.
    """

    def __init__(self, server: AuthorizationServer, *, origin: Callable[[], str], clock: Callable[[], float]) -> None:
        self._server = server
        self._origin = origin
        self._clock = clock
        self._assertions: dict[str, tuple[str, str, str, float]] = {}

    def offered(self, extensions: Collection[Extension]) -> Mapping[str, Exchange]:
        """What performs each grant type that these extensions add."""
        grants: dict[str, Exchange] = {}
        if "token_exchange" in extensions:
            grants[TOKEN_EXCHANGE] = self.exchange
        if "jwt_bearer" in extensions:
            grants[JWT_BEARER] = self.present
        return grants

    def exchange(self, client: RegisteredClient, form: Mapping[str, str], confirmation: Confirmation) -> dict[str, Any]:
        """The response to a token exchange request."""
        grant = self._grant_of(form, "subject_token")
        if "actor_token" in form:
            self._grant_of(form, "actor_token")
        self._check_resource(form)
        wanted = form.get("requested_token_type", ACCESS_TOKEN)
        if wanted == ID_JAG:
            return self._assertion(client, grant, form)
        if wanted != ACCESS_TOKEN:
            raise OAuthError("invalid_request", f"requested_token_type {wanted} is not issued here")
        issued = self._issue(client, grant.subject, form.get("scope") or grant.scope, confirmation)
        return {**issued, "issued_token_type": ACCESS_TOKEN}

    def present(self, client: RegisteredClient, form: Mapping[str, str], confirmation: Confirmation) -> dict[str, Any]:
        """The response to a request with an assertion. It is used up, also if the request is refused."""
        subject, scope, client_id, expires_at = self._assertions.pop(form.get("assertion", ""), ("", "", "", 0.0))
        if client_id != client.client_id or self._clock() >= expires_at:
            raise OAuthError("invalid_grant", "The assertion is unknown, has expired, was used before, or is another's")
        self._check_resource(form)
        return self._issue(client, subject, form.get("scope") or scope, confirmation)

    def _grant_of(self, form: Mapping[str, str], parameter: str) -> Grant:
        kind, grant = form.get(f"{parameter}_type"), self._server.check(form.get(parameter, ""))
        if kind != ACCESS_TOKEN or grant is None:
            # RFC 8693 section 2.2.2: "The value of the error parameter MUST be the invalid_request error code."
            raise OAuthError("invalid_request", f"{parameter} must be a valid access token of this server")
        return grant

    def _check_resource(self, form: Mapping[str, str]) -> None:
        resource = form.get("resource")
        if resource is not None and not f"{resource}/".startswith(f"{self._origin()}/"):
            raise OAuthError("invalid_target", "The resource is unknown")

    def _issue(self, client: RegisteredClient, subject: str, scope: str, confirmation: Confirmation) -> dict[str, Any]:
        issued = self._server.issue(client, subject=subject, scope=scope, confirmation=confirmation)
        if _WITH_REFRESH_TOKEN not in scope.split():
            # The server never forgets what nobody has.
            del issued["refresh_token"]
        return issued

    def _assertion(self, client: RegisteredClient, grant: Grant, form: Mapping[str, str]) -> dict[str, Any]:
        now, scope = self._clock(), form.get("scope") or grant.scope
        claims = {
            "iss": self._origin(),
            "sub": grant.subject,
            "aud": form.get("audience") or self._origin(),
            "client_id": client.client_id,
            "scope": scope,
            "iat": int(now),
            "exp": int(now + _ASSERTION_LIFETIME),
            "jti": secrets.token_urlsafe(12),
        }
        # Its signature is random: it is looked up, and never verified.
        parts = [_encoded({"typ": "oauth-id-jag+jwt", "alg": "ES256"}), _encoded(claims), secrets.token_urlsafe(64)]
        assertion = ".".join(parts)
        self._assertions[assertion] = (grant.subject, scope, client.client_id, now + _ASSERTION_LIFETIME)
        if len(self._assertions) > _MOST_ASSERTIONS:
            del self._assertions[next(iter(self._assertions))]
        return {"access_token": assertion, "issued_token_type": ID_JAG, "token_type": "N_A", "scope": scope}


def _encoded(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
