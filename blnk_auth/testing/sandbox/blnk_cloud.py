"""Blnk Cloud's personality: its paths, its encodings, its errors.

What Blnk documents is done as documented: form body, Basic with the raw credentials (as `curl -u` sends them) or
`client_secret_post`, a new refresh token on every refresh, no revocation, `error` as a sentence at the API. Where
nothing is published, the RFC decides: error codes of RFC 6749 at the token endpoint, an RFC 6750 challenge at the API.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

from .authorization_server import (
    CODE_CHALLENGE_METHODS,
    AuthorizationServer,
    CodeChallenge,
    Grant,
    OAuthError,
    RefreshTokenReuse,
    RegisteredClient,
)
from .endpoint import Answer, EndpointSpec
from .journal import RecordedRequest
from .pages import consent_page, error_page

DEFAULT_SCOPE = "data:read data:write proxy:write"

_CORE_REJECTION: dict[str, Any] = {
    "error": "Invalid API key",
    "error_detail": {"code": "AUTH_INVALID_API_KEY", "message": "Invalid API key", "details": {}},
}


class BlnkCloud:
    """The endpoints of Blnk Cloud.

    `origin` tells the issuer and base URL, known once a port is bound; `count` adds one to the figure of that name.
    While `core_rejects` is true, the Core instance behind `/proxy` rejects Cloud's own key, whatever the token.
    """

    def __init__(self, server: AuthorizationServer, *, origin: Callable[[], str], count: Callable[[str], None]) -> None:
        self.core_rejects = False
        self._server = server
        self._origin = origin
        self._count = count
        self._ledgers: deque[dict[str, str]] = deque(maxlen=1000)

    def endpoints(self) -> list[EndpointSpec]:
        """Where everything is; the last line takes what the others leave, as Blnk answers 401 to any path."""
        return [
            EndpointSpec("/.well-known/oauth-authorization-server", "page", self._metadata),
            # Blnk serves the same bytes here, although it is no OpenID provider.
            EndpointSpec("/.well-known/openid-configuration", "page", self._metadata),
            EndpointSpec("/oauth/authorize", "page", self._authorize),
            EndpointSpec("/oauth/token", "token", self._token),
            EndpointSpec("/{path:path}", "api", self._api),
        ]

    def _metadata(self, request: RecordedRequest) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return _method_not_allowed("GET")
        origin = self._origin()
        members = {
            "issuer": origin,
            "authorization_endpoint": f"{origin}/oauth/authorize",
            "token_endpoint": f"{origin}/oauth/token",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "code_challenge_methods_supported": list(CODE_CHALLENGE_METHODS),
            # Not in Blnk's document; RFC 9207 section 3 obliges a server that sends `iss`, as this one does.
            "authorization_response_iss_parameter_supported": True,
        }
        return Answer.json(200, members)

    # --- authorization endpoint -----------------------------------------------------------------------------------

    def _authorize(self, request: RecordedRequest) -> Answer:
        """RFC 6749 section 4.1.2.1: an unknown client or redirect URI is told to the person, never redirected to."""
        if request.method not in ("GET", "POST"):
            return _method_not_allowed("GET, POST")
        try:
            query = _single_valued(request.query)
            client = self._requesting_client(query)
        except OAuthError as wrong:
            return error_page(wrong.description)
        try:
            code_challenge = _code_challenge(query)
        except OAuthError as wrong:
            return self._redirect(client, query, error=wrong.error, error_description=wrong.description)
        scope = query.get("scope") or client.scope
        if request.method == "GET":
            return consent_page(client_id=client.client_id, scope=scope, redirect_uri=client.redirect_uri)
        return self._decide(request.form, client, query, scope, code_challenge)

    def _requesting_client(self, query: dict[str, str]) -> RegisteredClient:
        client = self._server.client(query.get("client_id", ""))
        if client is None:
            raise OAuthError("invalid_request", "No application with this client_id is registered.")
        if query.get("redirect_uri") != client.redirect_uri:
            raise OAuthError("invalid_request", "The redirect_uri is not exactly the one this application registered.")
        return client

    def _decide(
        self,
        form: dict[str, str],
        client: RegisteredClient,
        query: dict[str, str],
        scope: str,
        code_challenge: CodeChallenge | None,
    ) -> Answer:
        decision, subject = form.get("decision"), form.get("subject", "").strip()
        if decision == "deny":
            return self._redirect(client, query, error="access_denied", error_description="The person said no")
        if decision != "approve" or not subject:
            return error_page("The form needs a name to sign in as, and a decision.")
        code = self._server.issue_code(client, subject=subject, scope=scope, code_challenge=code_challenge)
        return self._redirect(client, query, code=code)

    def _redirect(self, client: RegisteredClient, query: dict[str, str], **members: str) -> Answer:
        if "state" in query:
            members["state"] = query["state"]
        separator = "&" if "?" in client.redirect_uri else "?"
        location = f"{client.redirect_uri}{separator}{urlencode({**members, 'iss': self._origin()})}"
        return Answer(302, b"", {"location": location, "cache-control": "no-store", "referrer-policy": "no-referrer"})

    # --- token endpoint -------------------------------------------------------------------------------------------

    def _token(self, request: RecordedRequest) -> Answer:
        if request.method != "POST":
            return _method_not_allowed("POST")
        try:
            form = _token_form(request)
            client = self._authenticated_client(request, form)
            return Answer.json(200, self._grant(client, form), {"pragma": "no-cache"})
        except OAuthError as refusal:
            members = {"error": refusal.error, "error_description": refusal.description}
            if refusal.error != "invalid_client":
                return Answer.json(400, members)
            return Answer.json(401, members, {"www-authenticate": 'Basic realm="blnk"'})

    def _authenticated_client(self, request: RecordedRequest, form: dict[str, str]) -> RegisteredClient:
        authorization = request.headers.get("authorization")
        if authorization is None:
            return self._server.authenticate(form.get("client_id", ""), form.get("client_secret", ""))
        if "client_secret" in form:
            # RFC 6749 section 2.3: "The client MUST NOT use more than one authentication method in each request."
            raise OAuthError("invalid_request", "The client authenticated both by Basic and in the body")
        return self._server.authenticate(*_basic_credentials(authorization))

    def _grant(self, client: RegisteredClient, form: dict[str, str]) -> dict[str, Any]:
        match form.get("grant_type"):
            case "authorization_code":
                answer = self._server.exchange_code(
                    client,
                    code=_required(form, "code"),
                    redirect_uri=form.get("redirect_uri"),
                    code_verifier=form.get("code_verifier"),
                )
                self._count("code_exchanges")
                return answer
            case "refresh_token":
                return self._refresh(client, _required(form, "refresh_token"))
            case None:
                raise OAuthError("invalid_request", "grant_type is missing")
            case _:
                raise OAuthError("unsupported_grant_type", "Use authorization_code or refresh_token")

    def _refresh(self, client: RegisteredClient, refresh_token: str) -> dict[str, Any]:
        try:
            answer = self._server.refresh(client, refresh_token=refresh_token)
        except RefreshTokenReuse:
            self._count("reuses")
            raise
        self._count("refreshes")
        return answer

    # --- API ------------------------------------------------------------------------------------------------------

    def _api(self, request: RecordedRequest) -> Answer:
        authorization = request.headers.get("authorization")
        if authorization is None:
            return Answer.json(401, {"error": "Authorization header is required"})
        scheme, _, access_token = authorization.partition(" ")
        grant = self._server.check(access_token.strip()) if scheme.lower() == "bearer" else None
        if grant is None:
            challenge = {"www-authenticate": 'Bearer error="invalid_token"'}
            return Answer.json(401, {"error": "Invalid or expired token"}, challenge)
        return self._resource(request, grant)

    def _resource(self, request: RecordedRequest, grant: Grant) -> Answer:
        match request.path.strip("/").split("/"):
            case ["proxy", _, *_] if self.core_rejects:
                return Answer.json(401, _CORE_REJECTION)
            case ["proxy", "ledgers"] if request.method == "GET":
                return Answer.json(200, list(self._ledgers))
            case ["proxy", "ledgers"] if request.method == "POST":
                return self._create_ledger(request)
            case ["proxy", _, *_] | ["data", _]:
                return _echo(request, grant)
            case [_, "filter"] if request.method == "POST":
                return _echo(request, grant)
            case _:
                return Answer.json(404, {"error": "Not found"})

    def _create_ledger(self, request: RecordedRequest) -> Answer:
        try:
            name = json.loads(request.body)["name"]
        except (ValueError, TypeError, KeyError):
            return Answer.json(400, {"error": "name is required"})
        ledger = {"ledger_id": f"ldg_{secrets.token_hex(8)}", "name": str(name)}
        self._ledgers.append(ledger)
        return Answer.json(201, ledger)


def _echo(request: RecordedRequest, grant: Grant) -> Answer:
    members = {
        "subject": grant.subject,
        "method": request.method,
        "path": request.path,
        "body_length": request.body_length,
        "body_sha256": request.body_sha256,
    }
    return Answer.json(201 if request.method == "POST" else 200, members)


def _method_not_allowed(allowed: str) -> Answer:
    return Answer.json(405, {"error": "Method not allowed"}, {"allow": allowed})


def _single_valued(encoded: str) -> dict[str, str]:
    """The members of a query or form. RFC 6749 section 3.1: "parameters MUST NOT be included more than once"."""
    pairs = parse_qsl(encoded, keep_blank_values=True)
    members = dict(pairs)
    if len(members) != len(pairs):
        raise OAuthError("invalid_request", "A parameter of the request is repeated.")
    return members


def _code_challenge(query: dict[str, str]) -> CodeChallenge | None:
    if query.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "response_type must be code")
    if "code_challenge" not in query:
        return None
    method = query.get("code_challenge_method", "plain")
    if method not in CODE_CHALLENGE_METHODS:
        raise OAuthError("invalid_request", "code_challenge_method must be S256 or plain")
    if not 43 <= len(query["code_challenge"]) <= 128:
        raise OAuthError("invalid_request", "code_challenge must have 43 to 128 characters")
    return CodeChallenge(query["code_challenge"], method)


def _token_form(request: RecordedRequest) -> dict[str, str]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "The body must be application/x-www-form-urlencoded")
    return _single_valued(request.body.decode("utf-8", "replace"))


def _basic_credentials(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    try:
        client_id, colon, client_secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = client_id = client_secret = ""
    if scheme.lower() != "basic" or not colon:
        raise OAuthError("invalid_client", "The Authorization header holds no Basic credentials")
    return client_id, client_secret


def _required(form: dict[str, str], name: str) -> str:
    if not form.get(name):
        raise OAuthError("invalid_request", f"{name} is missing")
    return form[name]
