"""Blnk Cloud's personality: its paths, its encodings, its errors.

Used by `Sandbox(personality="blnk_cloud")`, the default. It promises what Blnk documents:

* form bodies, and Basic with the raw credentials (as `curl -u` sends them) or `client_secret_post`;
* a new refresh token on every refresh, and no revocation;
* `error` as a sentence at the API.

Where nothing is published, the RFC decides: error codes of RFC 6749 at the token endpoint, an RFC 6750 challenge at the
API. It never plays Blnk Core, except for the rejection that `core_rejects` switches on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import parse_qsl

from ._answer import Answer
from ._authorization_page import AuthorizationPage
from ._authorization_request import AuthorizationRules
from ._authorization_server import AuthorizationServer
from ._blnk_mcp import respond
from ._demands import Demands
from ._device import DEVICE_GRANT, DeviceGrant
from ._endpoint import EndpointSpec
from ._exchanges import Exchanges
from ._extensions import Extension
from ._grant_management import PATH as GRANTS_PATH
from ._grant_management import GrantManagement
from ._issued import ITSELF, Grant, OAuthError, RegisteredClient
from ._journal import RecordedRequest
from ._managed_grants import ManagedGrants
from ._metadata import PAR_PATH, TOKEN_PATH, metadata
from ._pushed_requests import PushedRequests
from ._sample_data import ID_FIELDS, Workspace
from ._token_binding import MTLS_PREFIX, TokenBinding
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
    `device_grant` adds two grants that Blnk Cloud does not have: device codes and client credentials. `extensions` add
    what Blnk Cloud does not have either. `grants`: those that clients manage. `is_public`: whether the client has no
    secret. `clock` is in seconds.
    """

    display_name = "Blnk Cloud"
    default_scope = DEFAULT_SCOPE

    def __init__(
        self,
        server: AuthorizationServer,
        *,
        origin: Callable[[], str],
        count: Callable[[str], None],
        clock: Callable[[], float],
        device_grant: DeviceGrant | None = None,
        extensions: Collection[Extension] = (),
        grants: ManagedGrants,
        is_public: bool,
    ) -> None:
        self.core_rejects = False
        self._server = server
        self._origin = origin
        self._count = count
        self.extensions = extensions
        """Those that are on."""
        self._device_grant = device_grant
        self._binding = TokenBinding(extensions, clock=clock, count=count)
        self._is_public = is_public
        exchanges = Exchanges(server, origin=origin, clock=clock)
        self._exchanged = exchanges.offered(extensions)
        self._has_mtls = "mtls" in extensions
        self._demands = Demands(clock=clock, count=count) if "step_up" in extensions else None
        self._managed_grants = grants if "grant_management" in extensions else None
        rules = AuthorizationRules(server, extensions=extensions, grants=self._managed_grants)
        self._pushed: PushedRequests | None = None
        if "par" in extensions:
            is_required = "par_required" in extensions
            self._pushed = PushedRequests(rules, clock=clock, count=count, required=lambda: is_required)
        self._page = AuthorizationPage(server, rules, issuer=origin, pushed=self._pushed)
        self._workspace = Workspace()

    @property
    def has_device_grant(self) -> bool:
        """Whether it has the two grants that Blnk Cloud does not have."""
        return self._device_grant is not None

    def endpoints(self) -> list[EndpointSpec]:
        """All endpoints. The last one takes every other path: Blnk answers 401 to any."""
        return [
            EndpointSpec("/.well-known/oauth-authorization-server", "page", self._metadata),
            # Blnk serves the same bytes here, although it is not an OpenID provider.
            EndpointSpec("/.well-known/openid-configuration", "page", self._metadata),
            EndpointSpec("/oauth/authorize", "page", self._page.respond),
            EndpointSpec(TOKEN_PATH, "token", self._token),
            *(() if self._device_grant is None else self._device_grant.endpoints()),
            *self._further_endpoints(),
            EndpointSpec("/mcp/{instance_id}", "api", self._mcp),
            EndpointSpec("/{path:path}", "api", self._api),
        ]

    def _further_endpoints(self) -> list[EndpointSpec]:
        further = [EndpointSpec(f"{MTLS_PREFIX}{TOKEN_PATH}", "token", self._token)] if self._has_mtls else []
        if self._pushed is not None:
            further.append(EndpointSpec(PAR_PATH, "par", self._push))
            further.append(EndpointSpec(f"{MTLS_PREFIX}{PAR_PATH}", "par", self._push))
        if self._managed_grants is not None:
            endpoint = GrantManagement(self._managed_grants, count=self._count, grant_of=self._grant_of)
            further.append(EndpointSpec(f"{GRANTS_PATH}/{{grant_id}}", "api", endpoint.respond))
        return further

    def issue(self, client: RegisteredClient, *, subject: str, scope: str, lifetime: float | None) -> dict[str, Any]:
        """The token response of a new grant, as if the user had just signed in."""
        return self._with_grant_id(self._server.issue(client, subject=subject, scope=scope, lifetime=lifetime))

    def _with_grant_id(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Grant Management for OAuth 2.0, section 5.4: a response for a user has the id of the grant."""
        if self._managed_grants is None or answer["token_type"] == "N_A":
            return answer
        grant = self._server.issued(answer["access_token"]).grant
        return answer if grant.subject == ITSELF else {**answer, "grant_id": grant.grant_id}

    def _metadata(self, request: RecordedRequest) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return _method_not_allowed("GET")
        return Answer.json(
            200,
            metadata(
                self._origin(),
                grants=self._grants,
                has_device_grant=self._device_grant is not None,
                extensions=self.extensions,
                proof_algorithms=self._binding.algorithms,
                is_public=self._is_public,
            ),
        )

    # --- token endpoint and PAR endpoint ----------------------------------------------------------------------------

    @property
    def _grants(self) -> tuple[str, ...]:
        """The grant types, beside that of device codes; clients manage grants with a token of their own."""
        has_further = self._device_grant is not None or self._managed_grants is not None
        return (*(_FURTHER_GRANTS if has_further else _GRANTS), *self._exchanged)

    def _token(self, request: RecordedRequest) -> Answer:
        if request.method != "POST":
            return _method_not_allowed("POST")
        try:
            form = token_form(request)
            client = self._authenticated(request, form)
            confirmation = self._binding.of_request(request, must_prove=True)
            if self._device_grant is not None and form.get("grant_type") == DEVICE_GRANT:
                answer = self._device_grant.exchange(client, required(form, "device_code"), confirmation)
            elif form.get("grant_type") in self._exchanged:
                answer = self._exchanged[form["grant_type"]](client, form, confirmation)
                self._count("exchanges")
            else:
                answer = perform_grant(
                    self._server,
                    client,
                    {"scope": DEFAULT_SCOPE, **form},
                    offered=self._grants,
                    count=self._count,
                    reads_details="rar" in self.extensions,
                    confirmation=confirmation,
                )
        except OAuthError as refusal:
            return self._binding.with_nonce(_refused(refusal), refusal)
        return self._binding.with_nonce(Answer.json(200, self._with_grant_id(answer), {"pragma": "no-cache"}))

    def _authenticated(self, request: RecordedRequest, form: dict[str, str]) -> RegisteredClient:
        """The client that authenticates by its secret, or where certificates are asked for by its certificate."""
        if not self._binding.asks_for_certificate(request):
            return authenticated_client(self._server, request, form)
        if request.certificate is None:
            raise OAuthError("invalid_client", "This endpoint needs a client certificate")
        if "authorization" in request.headers or "client_secret" in form:
            return authenticated_client(self._server, request, form)
        client = self._server.clients.find(form.get("client_id", ""))
        if client is None or client.client_id != request.certificate:
            raise OAuthError("invalid_client", "The certificate is another client's")
        return client

    def _push(self, request: RecordedRequest) -> Answer:
        if request.method != "POST":
            return _method_not_allowed("POST")
        # Only with PAR is there such an endpoint.
        assert self._pushed is not None  # noqa: S101
        try:
            form = token_form(request)
            client = self._authenticated(request, form)
            jkt = self._binding.of_request(request).jkt
            if jkt is not None and form.setdefault("dpop_jkt", jkt) != jkt:
                # RFC 9449 section 10.1: both name the key, so they must be the same.
                raise OAuthError("invalid_request", "dpop_jkt is not the key of the proof")
            return self._binding.with_nonce(self._pushed.push(client, form))
        except OAuthError as refusal:
            return self._binding.with_nonce(_refused(refusal), refusal)

    # --- API ------------------------------------------------------------------------------------------------------

    def _api(self, request: RecordedRequest) -> Answer:
        grant = self._grant_of(request)
        if isinstance(grant, Answer):
            return grant
        demand = None if self._demands is None else self._demands.demand(request, grant)
        return self._binding.with_nonce(demand or self._resource(request, grant))

    def _mcp(self, request: RecordedRequest) -> Answer:
        grant = self._grant_of(request)
        return grant if isinstance(grant, Answer) else self._binding.with_nonce(respond(request, self._workspace))

    def _grant_of(self, request: RecordedRequest) -> Grant | Answer:
        """The grant of the access token of a request; otherwise the response that rejects it."""
        authorization = request.headers.get("authorization")
        if authorization is None:
            return self._binding.rejection(None, "", "Authorization header is required")
        scheme, _, access_token = authorization.partition(" ")
        state, grant = self._server.look_up(access_token.strip())
        try:
            issued = None if grant is None else self._server.issued(access_token.strip())
            self._binding.check_use(request, scheme.lower(), access_token.strip(), issued)
        except OAuthError as refusal:
            return self._binding.rejection(refusal, scheme.lower(), refusal.description)
        if grant is None or state != "valid":
            invalid = OAuthError("invalid_token", "Invalid or expired token")
            return self._binding.rejection(invalid, scheme.lower(), invalid.description)
        return grant

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


def _refused(refusal: OAuthError) -> Answer:
    members = {"error": refusal.error, "error_description": refusal.description}
    if refusal.error != "invalid_client":
        return Answer.json(400, members)
    return Answer.json(401, members, {"www-authenticate": 'Basic realm="blnk"'})


def _method_not_allowed(allowed: str) -> Answer:
    return Answer.json(405, {"error": "Method not allowed"}, {"allow": allowed})
