"""Blnk Cloud's personality: its paths, its encodings, its errors.

Used by `Sandbox(personality="blnk_cloud")`, the default. It promises what Blnk documents:

* form bodies, and Basic with the raw credentials (as `curl -u` sends them) or `client_secret_post`;
* a new refresh token on every refresh, and no revocation;
* `error` as a sentence at the API.

Where nothing is published, the RFC decides: error codes of RFC 6749 at the token endpoint, an RFC 6750 challenge at the
API. It never plays Blnk Core, except for the rejection that `core_rejects` switches on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from ._answer import Answer
from ._authorization_page import AuthorizationPage
from ._authorization_server import AuthorizationServer
from ._device import DEVICE_AUTHORIZATION_PATH, DEVICE_GRANT, DeviceFlow
from ._endpoint import EndpointSpec
from ._issued import CODE_CHALLENGE_METHODS, Grant, OAuthError, RegisteredClient
from ._journal import RecordedRequest
from ._sample_data import ID_FIELDS, Workspace
from ._token_request import authenticated_client, perform_grant, required, token_form

DEFAULT_SCOPE = "data:read data:write proxy:write"

_GRANTS = ("authorization_code", "refresh_token")
_FURTHER_GRANTS = (*_GRANTS, "client_credentials")

_REQUIRED = {"ledgers": ("name",), "transactions": ("amount", "currency", "source", "destination")}
"""The members that Core requires of a new record."""

_CORE_REJECTION: dict[str, Any] = {
    "error": "Invalid API key",
    "error_detail": {"code": "AUTH_INVALID_API_KEY", "message": "Invalid API key", "details": {}},
}


class BlnkCloud:
    """The endpoints of Blnk Cloud.

    `origin` returns the issuer and base URL, known once a port is bound; `count` adds one to the figure of that name.
    While `core_rejects` is true, the Core instance behind `/proxy` rejects Cloud's own key, also with a valid token.
    `device_flow` adds two grants that Blnk Cloud does not have: device codes and client credentials.
    """

    display_name = "Blnk Cloud"
    default_scope = DEFAULT_SCOPE

    def __init__(
        self,
        server: AuthorizationServer,
        *,
        origin: Callable[[], str],
        count: Callable[[str], None],
        device_flow: DeviceFlow | None = None,
    ) -> None:
        self.core_rejects = False
        self._server = server
        self._origin = origin
        self._count = count
        self._page = AuthorizationPage(server, issuer=origin)
        self._device_flow = device_flow
        self._workspace = Workspace()

    @property
    def has_device_flow(self) -> bool:
        """Whether it has the two grants that Blnk Cloud does not have."""
        return self._device_flow is not None

    def endpoints(self) -> list[EndpointSpec]:
        """All endpoints. The last one takes every other path: Blnk answers 401 to any."""
        return [
            EndpointSpec("/.well-known/oauth-authorization-server", "page", self._metadata),
            # Blnk serves the same bytes here, although it is not an OpenID provider.
            EndpointSpec("/.well-known/openid-configuration", "page", self._metadata),
            EndpointSpec("/oauth/authorize", "page", self._page.respond),
            EndpointSpec("/oauth/token", "token", self._token),
            *(() if self._device_flow is None else self._device_flow.endpoints()),
            EndpointSpec("/{path:path}", "api", self._api),
        ]

    def issue(self, client: RegisteredClient, *, subject: str, scope: str, lifetime: float | None) -> dict[str, Any]:
        """The token response of a new grant, as if the user had just signed in."""
        return self._server.issue(client, subject=subject, scope=scope, lifetime=lifetime)

    def _metadata(self, request: RecordedRequest) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return _method_not_allowed("GET")
        origin = self._origin()
        members: dict[str, Any] = {
            "issuer": origin,
            "authorization_endpoint": f"{origin}/oauth/authorize",
            "token_endpoint": f"{origin}/oauth/token",
            "response_types_supported": ["code"],
            "grant_types_supported": list(_GRANTS),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "code_challenge_methods_supported": list(CODE_CHALLENGE_METHODS),
            # Not in Blnk's document; RFC 9207 section 3 obliges a server that sends `iss`, as this one does.
            "authorization_response_iss_parameter_supported": True,
        }
        if self._device_flow is not None:
            members["device_authorization_endpoint"] = f"{origin}{DEVICE_AUTHORIZATION_PATH}"
            members["grant_types_supported"] = [*_FURTHER_GRANTS, DEVICE_GRANT]
        return Answer.json(200, members)

    # --- token endpoint -------------------------------------------------------------------------------------------

    def _token(self, request: RecordedRequest) -> Answer:
        if request.method != "POST":
            return _method_not_allowed("POST")
        try:
            form = token_form(request)
            client = authenticated_client(self._server, request, form)
            if self._device_flow is not None and form.get("grant_type") == DEVICE_GRANT:
                answer = self._device_flow.exchange(client, required(form, "device_code"))
            else:
                offered = _GRANTS if self._device_flow is None else _FURTHER_GRANTS
                asked = {"scope": DEFAULT_SCOPE, **form}
                answer = perform_grant(self._server, client, asked, offered=offered, count=self._count)
            return Answer.json(200, answer, {"pragma": "no-cache"})
        except OAuthError as refusal:
            members = {"error": refusal.error, "error_description": refusal.description}
            if refusal.error != "invalid_client":
                return Answer.json(400, members)
            return Answer.json(401, members, {"www-authenticate": 'Basic realm="blnk"'})

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
            case ["data", resource] if request.method == "GET" and resource in ID_FIELDS:
                return Answer.json(200, self._workspace.page(resource, dict(parse_qsl(request.query))))
            # Core's own lists, to which /proxy leads, are arrays.
            case ["proxy", resource] if request.method == "GET" and resource in ID_FIELDS:
                return Answer.json(200, self._workspace.all(resource))
            case ["data" | "proxy", resource, identifier] if request.method == "GET" and resource in ID_FIELDS:
                return self._record(resource, identifier)
            case ["proxy", "ledgers" | "transactions" as resource] if request.method == "POST":
                return self._create(resource, request)
            case ["proxy", _, *_] | ["data", _]:
                return _echo(request, grant)
            case [_, "filter"] if request.method == "POST":
                return _echo(request, grant)
            case _:
                return Answer.json(404, {"error": "Not found"})

    def _record(self, resource: str, identifier: str) -> Answer:
        record = self._workspace.find(resource, identifier)
        return Answer.json(404, {"error": "Not found"}) if record is None else Answer.json(200, record)

    def _create(self, resource: str, request: RecordedRequest) -> Answer:
        members = request.json
        if missing := next((name for name in _REQUIRED[resource] if not members.get(name)), None):
            return Answer.json(400, {"error": f"{missing} is required"})
        state = {"status": "QUEUED"} if resource == "transactions" else {}
        return Answer.json(201, self._workspace.add(resource, {**members, **state}))


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
