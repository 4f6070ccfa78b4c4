"""Flinks Outbound's personality: one host for sign-in, tokens, and other banks' data in FDX form.

Used by `Sandbox(personality="flinks")`. It promises what Flinks documents:

* JSON bodies, and `invalid_client` as a 400;
* a refresh token that never changes, that no refresh response repeats and that expires after 30 idle days;
* access tokens of users that are JWTs, client credentials with `scope=client:admin`, and revocation as a DELETE with
  the access token;
* an API that reports "expired" as a 401 or 403 without `code`, or as a 400 at the partner endpoints.

Where nothing is published, credentials are read from the body or from Basic, and the tokens of client credentials are
opaque.

    Sandbox(personality="flinks", lifetime=299)     # Flinks(host=sandbox.origin)
"""

from __future__ import annotations

import base64
import json
import math
import secrets
import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl

from ._answer import Answer
from ._authorization_page import AuthorizationPage
from ._authorization_request import AuthorizationRules
from ._authorization_server import AuthorizationServer
from ._endpoint import EndpointSpec
from ._extensions import Extension
from ._faults import Fault
from ._issued import ITSELF, Grant, OAuthError, RegisteredClient
from ._journal import RecordedRequest
from ._sample_data import fdx_accounts, fdx_transactions
from ._token_request import authenticated_client, media_type, perform_grant

IDLE_LIFETIME = 30 * 86_400.0

_MANAGEMENT_SCOPE = "client:admin"
_PARTNER_PATHS = ("/api/v1/recipients", "/api/v1/providers", "/api/v2/providers")
_PAGE_SIZE = 2
"""Accounts on a page: so few that a client has to follow a link."""

_UPSTREAM = {"error_description": "The token that Flinks holds at the Data Provider has expired"}


def refusal(error: str, status: int = 400) -> Fault:
    """An error of the token endpoint on demand: `sandbox.fail(refusal("invalid_grant"))`.

    Args:
        error: The code, as RFC 6749 section 5.2 lists it.
        status: The HTTP status. Default: 400.

    Returns:
        The fault.
    """
    return _as_fault(Answer.json(status, {"error": error, "error_description": f"Made to fail with {error}"}))


def upstream_expired(status: int = 401) -> Fault:
    """The token endpoint refuses, without an OAuth code, because Flinks' own token at the bank has expired.

    Args:
        status: The HTTP status: 400, 401 or 403. Default: 401.

    Returns:
        The fault.
    """
    return _as_fault(Answer.json(status, _UPSTREAM))


def fdx_error(code: int, status: int, message: str = "Made to fail") -> Fault:
    """An error of the data endpoints on demand: `sandbox.fail(fdx_error(602, 401), at="api")`.

    Args:
        code: The error's code in the FDX specification.
        status: The HTTP status.
        message: The description. Default: that the error was made on demand.

    Returns:
        The fault.
    """
    return _as_fault(_traced(status, {"code": code, "message": message, "debugMessage": message}))


class Flinks:
    """The endpoints of Flinks Outbound. `count` adds one to the figure of that name."""

    display_name = "Flinks Outbound"
    default_scope = "ACCOUNT_BASIC TRANSACTIONS"

    def __init__(self, server: AuthorizationServer, *, origin: Callable[[], str], count: Callable[[str], None]) -> None:
        self.sends_expires_in = True
        """Assign False for `expires_in` 0, the schema's default: then only the JWT's `exp` has the expiry."""
        self.expired_status = 401
        """The status with which the data endpoints reject an expired access token: 401 or 403."""
        self.next_page_origin: str | None = None
        """The origin of pagination links; None is this one."""
        self.extensions: Collection[Extension] = ()
        """Those that are on: there are no extensions for Flinks."""
        self._server = server
        self._origin = origin
        self._count = count
        self._page = AuthorizationPage(server, AuthorizationRules(server, demanded=lambda: ("state", "scope")))
        server.rotates = False
        server.refresh_idle_lifetime = IDLE_LIFETIME
        server.name_access_token = _access_token

    def endpoints(self) -> list[EndpointSpec]:
        """All endpoints."""
        return [
            EndpointSpec("/api/v1/authorize", "page", self._page.respond),
            EndpointSpec("/api/v1/token", "token", self._token),
            EndpointSpec("/api/v1/revoke", "revocation", self._revoke),
            EndpointSpec("/{path:path}", "api", self._api),
        ]

    def issue(self, client: RegisteredClient, *, subject: str, scope: str, lifetime: float | None) -> dict[str, Any]:
        """The token response of a new grant, as if the user had just signed in."""
        return self._with_expires_in(self._server.issue(client, subject=subject, scope=scope, lifetime=lifetime))

    # --- token endpoint -------------------------------------------------------------------------------------------

    def _token(self, request: RecordedRequest) -> Answer:
        if request.method != "POST":
            return Answer.json(405, {"message": "Method not allowed"}, {"allow": "POST"})
        try:
            members = _json_members(request)
            client = authenticated_client(self._server, request, members)
            grants = ("authorization_code", "refresh_token", "client_credentials")
            answer = self._with_expires_in(
                perform_grant(self._server, client, members, offered=grants, count=self._count)
            )
        except OAuthError as refused:
            return Answer.json(400, {"error": refused.error, "error_description": refused.description}, _trace())
        if members["grant_type"] != "authorization_code":
            answer.pop("refresh_token", None)
        return Answer.json(200, answer, _trace())

    def _with_expires_in(self, answer: dict[str, Any]) -> dict[str, Any]:
        return answer if self.sends_expires_in else {**answer, "expires_in": 0}

    def _revoke(self, request: RecordedRequest) -> Answer:
        if request.method != "DELETE":
            return Answer.json(405, {"message": "Method not allowed"}, {"allow": "DELETE"})
        state, grant = self._server.look_up(_bearer(request))
        if state != "valid" or grant is None:
            return _traced(401, {"message": "Unauthorized"})
        self._server.revoke_grant(grant.subject)
        self._count("revocations")
        return Answer(204, b"", _trace())

    # --- API ------------------------------------------------------------------------------------------------------

    def _api(self, request: RecordedRequest) -> Answer:
        state, grant = self._server.look_up(_bearer(request))
        if request.path.startswith(_PARTNER_PATHS):
            if state != "valid" or grant is None or grant.subject != ITSELF:
                return _traced(400, {"message": "Bad Request"})
            return _traced(200, {"recipients": [], "method": request.method})
        if state == "ended":
            return _traced(401, {"code": 602, "message": "Customer not authorized", "debugMessage": "Consent revoked"})
        if state != "valid" or grant is None or grant.subject == ITSELF:
            return _traced(self.expired_status, {"message": "Unauthorized"})
        return self._data(request, fdx_accounts(grant.subject))

    def _data(self, request: RecordedRequest, accounts: list[dict[str, Any]]) -> Answer:
        match request.path.removeprefix("/api/fdx/5/").split("/"):
            case ["accounts"]:
                return self._page_of(accounts, request.query)
            case ["accounts", identifier, *rest]:
                account = next((each for each in accounts if each["accountId"] == identifier), None)
                if account is not None and not rest:
                    return _traced(200, {"depositAccount": account})
                if account is not None and rest == ["transactions"]:
                    return _traced(200, {"transactions": fdx_transactions(account)})
            case _:
                pass
        return _traced(404, {"code": 701, "message": "Account not found", "debugMessage": request.path})

    def _page_of(self, accounts: list[dict[str, Any]], query: str) -> Answer:
        offset = dict(parse_qsl(query)).get("offset", "0")
        begin = int(offset) if offset in ("1", "2") else 0
        end = begin + _PAGE_SIZE
        members: dict[str, Any] = {"accounts": accounts[begin:end], "page": {"totalElements": len(accounts)}}
        if end < len(accounts):
            address = f"{self.next_page_origin or self._origin()}/api/fdx/5/accounts?offset={end}"
            members["links"] = {"next": {"href": address}}
        return _traced(200, members)


def _json_members(request: RecordedRequest) -> dict[str, str]:
    if media_type(request) != "application/json" or not request.json:
        raise OAuthError("invalid_request", "The body must be a JSON object")
    members = {name: value for name, value in request.json.items() if isinstance(value, str)}
    is_for_itself = members.get("grant_type") == "client_credentials"
    if "scope" in members and not is_for_itself:
        raise OAuthError("invalid_request", "scope belongs to client_credentials only")
    if is_for_itself and members.get("scope") != _MANAGEMENT_SCOPE:
        raise OAuthError("invalid_scope", f"scope must be {_MANAGEMENT_SCOPE}")
    return members


def _bearer(request: RecordedRequest) -> str:
    scheme, _, access_token = request.headers.get("authorization", "").partition(" ")
    return access_token.strip() if scheme.lower() == "bearer" else ""


def _access_token(grant: Grant, expires_at: float) -> str:
    """A JWT for a user. Its key is random, because no client can verify Flinks' tokens either."""
    if grant.subject == ITSELF:
        return f"flinks-{secrets.token_urlsafe(32)}"
    claims = {"client_id": grant.client_id, "sub": grant.subject, "exp": math.ceil(expires_at), "jti": uuid.uuid4().hex}
    parts = (json.dumps({"alg": "HS256", "typ": "JWT"}), json.dumps(claims))
    encoded = [base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts]
    return ".".join((*encoded, secrets.token_urlsafe(32)))


def _traced(status: int, members: Mapping[str, Any]) -> Answer:
    return Answer.json(status, members, _trace())


def _trace() -> dict[str, str]:
    return {"ob-correlation-id": str(uuid.uuid4()), "ob-trace-id": secrets.token_hex(16)}


def _as_fault(answer: Answer) -> Fault:
    return Fault(status=answer.status, body=answer.body, headers={**answer.headers, **_trace()})
