"""The MCP personality: a protected resource that describes its own sign-in, with its own authorization server.

Used by `Sandbox(personality="mcp")`. It promises what the Model Context Protocol requires of a server:

* the resource at `/mcp`, with its metadata (RFC 9728), and a challenge that names it;
* an authorization server with metadata (RFC 8414), PKCE with S256 only, `resource` (RFC 8707) in every request, `iss`
  (RFC 9207), and a new refresh token on every refresh;
* clients that identify themselves by a client ID metadata document, register themselves (RFC 7591), or are registered
  already: the sandbox's own client;
* `insufficient_scope` for the tool `create_ledger`, which needs `ledgers:write`.

It is also an API without MCP: a GET below `/mcp` returns ledgers as JSON. It never issues a token for another resource.

    Sandbox(personality="mcp")     # ProtectedResource(f"{sandbox.origin}/mcp")
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from ._answer import Answer
from ._authorization_page import AuthorizationPage
from ._authorization_request import AuthorizationRequest, AuthorizationRules
from ._authorization_server import AuthorizationServer
from ._blnk_mcp import respond
from ._endpoint import EndpointSpec
from ._extensions import Extension
from ._issued import Grant, OAuthError, RegisteredClient
from ._journal import RecordedRequest
from ._mcp_clients import AUTH_METHODS, GRANTS, McpClients
from ._sample_data import ID_FIELDS, Workspace
from ._token_request import authenticated_client, perform_grant, token_form

RESOURCE_PATH = "/mcp"

READ, WRITE = "ledgers:read", "ledgers:write"

_WELL_KNOWN = "/.well-known/oauth-protected-resource"
_OF_SERVER = "/.well-known/oauth-authorization-server"


class MCP:
    """The endpoints of the resource and of its authorization server, which have one origin.

    `origin` returns it, known once a port is bound; `count` adds one to the figure of that name; `clock` is in seconds.
    `on_issue` is called with the kind and the value of each secret that a client gets.
    """

    display_name = "an MCP server"
    default_scope = READ

    def __init__(
        self,
        server: AuthorizationServer,
        *,
        origin: Callable[[], str],
        count: Callable[[str], None],
        clock: Callable[[], float],
        on_issue: Callable[[str, str], object] = lambda _kind, _credential: None,
    ) -> None:
        self.extensions: Collection[Extension] = ()
        """Those that are on: there are no extensions for it."""
        self.requires_resource = True
        """Assign False for a server that does without the parameter `resource`, as many do."""
        self._server = server
        self._origin = origin
        self._count = count
        self.clients: McpClients = McpClients(server, clock=clock, scope=READ, on_issue=on_issue)
        """How clients become known to it, with switches."""
        self._page = AuthorizationPage(server, _Rules(self, server), issuer=origin)
        self._workspace = Workspace()

    @property
    def resource(self) -> str:
        """The resource's identifier, which is its URL."""
        return self._origin() + RESOURCE_PATH

    def endpoints(self) -> list[EndpointSpec]:
        """All endpoints. Everything else is not found, the other well-known places of a metadata document included."""
        return [
            EndpointSpec(_WELL_KNOWN + RESOURCE_PATH, "metadata", self._resource_metadata),
            EndpointSpec(_OF_SERVER, "metadata", self._server_metadata),
            EndpointSpec("/register", "registration", self._register),
            EndpointSpec("/authorize", "page", self._page.respond),
            EndpointSpec("/token", "token", self._token),
            EndpointSpec("/revoke", "revocation", self._revoke),
            EndpointSpec(RESOURCE_PATH, "api", self._mcp),
            EndpointSpec(f"{RESOURCE_PATH}/{{kind}}", "api", self._ledgers),
            EndpointSpec("/{path:path}", "page", _not_found),
        ]

    def issue(self, client: RegisteredClient, *, subject: str, scope: str, lifetime: float | None) -> dict[str, Any]:
        """The token response of a new grant, as if the user had just signed in."""
        return self._server.issue(client, subject=subject, scope=scope, lifetime=lifetime)

    def check_resource(self, members: Mapping[str, str]) -> None:
        """Raises `invalid_target` unless the request names this resource (RFC 8707 section 2)."""
        named = members.get("resource")
        if named != self.resource and (named is not None or self.requires_resource):
            raise OAuthError("invalid_target", f"resource must be {self.resource}")

    # --- metadata -------------------------------------------------------------------------------------------------

    def _resource_metadata(self, request: RecordedRequest) -> Answer:
        members = {
            "resource": self.resource,
            "resource_name": "A sandbox of blnk-auth",
            "authorization_servers": [self._origin()],
            "scopes_supported": [READ],
            "bearer_methods_supported": ["header"],
        }
        return Answer.json(200, members) if request.method == "GET" else _method_not_allowed("GET")

    def _server_metadata(self, request: RecordedRequest) -> Answer:
        origin = self._origin()
        members: dict[str, Any] = {
            "issuer": origin,
            "authorization_endpoint": f"{origin}/authorize",
            "token_endpoint": f"{origin}/token",
            "revocation_endpoint": f"{origin}/revoke",
            "response_types_supported": ["code"],
            "grant_types_supported": list(GRANTS),
            "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
            "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": [READ, WRITE, "offline_access"],
            "authorization_response_iss_parameter_supported": True,
            "client_id_metadata_document_supported": self.clients.takes_documents,
        }
        if self.clients.may_register:
            members["registration_endpoint"] = f"{origin}/register"
        return Answer.json(200, members) if request.method == "GET" else _method_not_allowed("GET")

    # --- authorization server ---------------------------------------------------------------------------------------

    def _register(self, request: RecordedRequest) -> Answer:
        if request.method != "POST":
            return _method_not_allowed("POST")
        if not self.clients.may_register:
            return _not_found(request)
        try:
            answer = self.clients.register(request.json)
        except OAuthError as refusal:
            return _refused(refusal)
        self._count("registrations")
        return Answer.json(201, answer)

    def _token(self, request: RecordedRequest) -> Answer:
        if request.method != "POST":
            return _method_not_allowed("POST")
        try:
            form = token_form(request)
            client = self._authenticated(request, form)
            self.check_resource(form)
            is_public = not client.client_secret
            offered = [each for each in GRANTS if each != "client_credentials" or not is_public]
            answer = perform_grant(
                self._server, client, {"scope": client.scope, **form}, offered=offered, count=self._count
            )
        except OAuthError as refusal:
            return _refused(refusal)
        return Answer.json(200, answer)

    def _authenticated(self, request: RecordedRequest, form: Mapping[str, str]) -> RegisteredClient:
        client = authenticated_client(self._server, request, form)
        self.clients.check_secret(client)
        return client

    def _revoke(self, request: RecordedRequest) -> Answer:
        if request.method != "POST":
            return _method_not_allowed("POST")
        try:
            form = token_form(request)
            client = self._authenticated(request, form)
            self._server.revoke_family(client, form.get("token", ""))
        except OAuthError as refusal:
            return _refused(refusal)
        self._count("revocations")
        return Answer.json(200, {})

    # --- resource -------------------------------------------------------------------------------------------------

    def _mcp(self, request: RecordedRequest) -> Answer:
        grant = self._grant_of(request)
        if isinstance(grant, Answer):
            return grant
        is_change = _called(request) == "create_ledger"
        return self._demand(grant, WRITE if is_change else READ) or respond(request, self._workspace)

    def _ledgers(self, request: RecordedRequest) -> Answer:
        grant = self._grant_of(request)
        if isinstance(grant, Answer):
            return grant
        kind = request.path.removeprefix(f"{RESOURCE_PATH}/")
        if kind not in ID_FIELDS:
            return _not_found(request)
        if request.method == "POST":
            return self._demand(grant, WRITE) or Answer.json(201, self._workspace.add(kind, request.json))
        return self._demand(grant, READ) or Answer.json(200, self._workspace.page(kind, {}))

    def _grant_of(self, request: RecordedRequest) -> Grant | Answer:
        """The grant of the access token of a request; otherwise the response that rejects it."""
        scheme, _, access_token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            # RFC 6750 section 3.1: a request without authentication gets no error code.
            return self._challenge(401, f'scope="{READ}"')
        state, grant = self._server.look_up(access_token.strip())
        if grant is None or state != "valid":
            return self._challenge(401, f'error="invalid_token", scope="{READ}"')
        return grant

    def _demand(self, grant: Grant, scope: str) -> Answer | None:
        """The response that asks for another scope; None if the grant has it."""
        if scope in grant.scope.split():
            return None
        self._count("step_ups")
        return self._challenge(403, f'error="insufficient_scope", scope="{scope}"')

    def _challenge(self, status: int, members: str) -> Answer:
        """RFC 9728 section 5.1."""
        document = f"{self._origin()}{_WELL_KNOWN}{RESOURCE_PATH}"
        challenge = f'Bearer {members}, resource_metadata="{document}"'
        return Answer.json(status, {"error": "Authorization is needed"}, {"www-authenticate": challenge})


class _Rules(AuthorizationRules):
    """What an authorization request must have: PKCE with S256, and this resource."""

    def __init__(self, personality: MCP, server: AuthorizationServer) -> None:
        super().__init__(server, demanded=lambda: ("code_challenge",))
        self._personality = personality

    def client_of(self, members: Mapping[str, str]) -> RegisteredClient:
        """The client that asks, also one that is identified by a document."""
        self._personality.clients.learn(members.get("client_id", ""), members.get("redirect_uri", ""))
        return super().client_of(members)

    def read(self, client: RegisteredClient, members: Mapping[str, str]) -> AuthorizationRequest:
        """The request of this client; otherwise `OAuthError`."""
        self._personality.check_resource(members)
        asked = super().read(client, members)
        if asked.code_challenge is None or asked.code_challenge.method != "S256":
            raise OAuthError("invalid_request", "code_challenge_method must be S256")
        return asked


def _called(request: RecordedRequest) -> str:
    """The tool that a message calls; empty if it calls none."""
    match request.json:
        case {"method": "tools/call", "params": {"name": str(name)}}:
            return name
        case _:
            return ""


def _refused(refusal: OAuthError) -> Answer:
    members = {"error": refusal.error, "error_description": refusal.description}
    if refusal.error != "invalid_client":
        return Answer.json(400, members)
    return Answer.json(401, members, {"www-authenticate": 'Basic realm="mcp"'})


def _not_found(_request: RecordedRequest) -> Answer:
    return Answer.json(404, {"error": "Not found"})


def _method_not_allowed(allowed: str) -> Answer:
    return Answer.json(405, {"error": "Method not allowed"}, {"allow": allowed})
