"""What an authorization request asks for, and whether the server takes it.

Used by the authorization endpoint and by the PAR endpoint, which check the same request by the same rules. It promises
an `OAuthError` for what a registered client got wrong. It never decides whether the client is a registered one with
this redirect URI: a user must see an error about that, and a client at the PAR endpoint gets it as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from ._authorization_details import Detail, read_details
from ._authorization_server import AuthorizationServer
from ._demands import acr_of
from ._extensions import Extension
from ._issued import CODE_CHALLENGE_METHODS, CodeChallenge, OAuthError, RegisteredClient, Terms
from ._managed_grants import ManagedGrants


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A checked authorization request. Immutable."""

    client: RegisteredClient
    redirect_uri: str
    state: str | None
    scope: str
    code_challenge: CodeChallenge | None
    terms: Terms


class AuthorizationRules:
    """The rules of one personality.

    `demanded` returns the parameters that are required beside those of RFC 6749. `extensions` are those that are on.
    `grants`: those that a request may change; None where there is no grant management.
    """

    def __init__(
        self,
        server: AuthorizationServer,
        *,
        demanded: Callable[[], Collection[str]] = tuple,
        extensions: Collection[Extension] = (),
        grants: ManagedGrants | None = None,
    ) -> None:
        self._server = server
        self._demanded = demanded
        self._extensions = extensions
        self._grants = grants

    def client_of(self, members: Mapping[str, str]) -> RegisteredClient:
        """The client that asks, which may be sent to the redirect URI; otherwise `invalid_request`."""
        client = self._server.clients.find(members.get("client_id", ""))
        if client is None:
            raise OAuthError("invalid_request", "No application with this client_id is registered.")
        if not client.may_be_sent_to(members.get("redirect_uri", "")):
            raise OAuthError("invalid_request", "The redirect_uri is not exactly the one this application registered.")
        return client

    def read(self, client: RegisteredClient, members: Mapping[str, str]) -> AuthorizationRequest:
        """The request of this client; otherwise `OAuthError`."""
        if members.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "response_type must be code")
        for name in self._demanded():
            if not members.get(name):
                raise OAuthError("invalid_request", f"{name} is missing")
        return AuthorizationRequest(
            client,
            members["redirect_uri"],
            members.get("state"),
            members.get("scope") or client.scope,
            _code_challenge(members),
            self._terms(client, members),
        )

    def _terms(self, client: RegisteredClient, members: Mapping[str, str]) -> Terms:
        details: tuple[Detail, ...] = ()
        action = grant = None
        if "rar" in self._extensions:
            details = read_details(members.get("authorization_details"))
        if self._grants is not None:
            action, grant = self._grants.to_change(client, members)
        dpop_jkt = members.get("dpop_jkt") if "dpop" in self._extensions else None
        if dpop_jkt is not None and not re.fullmatch("[A-Za-z0-9_-]{43}", dpop_jkt):
            raise OAuthError("invalid_request", "dpop_jkt must be the SHA-256 thumbprint of a key")
        max_age = members.get("max_age")
        if max_age is not None and not re.fullmatch("[0-9]{1,9}", max_age):
            raise OAuthError("invalid_request", "max_age must be a number of seconds")
        return Terms(details, action, grant, dpop_jkt, acr_of(members.get("acr_values", "")))


def _code_challenge(members: Mapping[str, str]) -> CodeChallenge | None:
    if "code_challenge" not in members:
        return None
    method = members.get("code_challenge_method", "plain")
    if method not in CODE_CHALLENGE_METHODS:
        raise OAuthError("invalid_request", "code_challenge_method must be S256 or plain")
    if not re.fullmatch("[A-Za-z0-9._~-]{43,128}", members["code_challenge"]):
        raise OAuthError("invalid_request", "code_challenge must have 43 to 128 characters of base64url")
    return CodeChallenge(members["code_challenge"], method)
