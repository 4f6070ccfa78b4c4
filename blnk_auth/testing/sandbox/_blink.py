"""bLink's personality: an authenticating proxy in front of banks, which issue the tokens.

Used by `Sandbox(personality="blink")`. It promises what SIX documents for Consent 2.0, and for 3.0 where `consent` is
assigned:

* form bodies with `client_id` and `username` on both grants, and a client that is authenticated only by its
  certificate;
* five headers with every token call, of which `X-Correlation-ID` must never be repeated;
* `bearer` in lower case, codes with a lifetime of 30 seconds, refresh tokens that expire 30 days after their last use,
  and revocation of single tokens;
* problem documents (RFC 7807), challenges in single quotes, and `X-CorAPI-Source` to name the platform or the bank as
  the sender;
* permission mode: all five headers and `Permission-ID` with each request to the API, and no token;
* Consent 3.0: pushed requests and PKCE only, no `username`, grant management, and a permission is exchanged for tokens.

Where nothing is published, the RFC decides: a bank refuses a grant with an error code of RFC 6749. The path of the PAR
endpoint and the form of the exchange are invented.

    Sandbox(personality="blink")                # BLink(base_url=sandbox.origin + blink.BASE_PATH, client_auth="none",
    Sandbox(personality="blink", tls=context)   #       authorization_endpoint=sandbox.origin + blink.authorize_path())

The base paths are invented, since SIX assigns them at onboarding. The user's name is the e-banking `username`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Literal

from ._answer import Answer
from ._authorization_page import AuthorizationPage
from ._authorization_request import AuthorizationRules
from ._authorization_server import AuthorizationServer
from ._blink_modules import PSU_HEADERS, accounts_of, required_headers, submitted
from ._blink_permissions import Permissions
from ._endpoint import EndpointSpec
from ._extensions import Extension
from ._faults import Fault
from ._issued import Grant, OAuthError, RegisteredClient
from ._journal import RecordedRequest
from ._managed_grants import ManagedGrants
from ._pushed_requests import PushedRequests
from ._token_request import media_type, perform_grant, required, token_form

BASE_PATH = "/consent/v2"
"""The path of the consent module, which is appended to the origin in the base URL."""

PAR_PATH = f"{BASE_PATH}/oauth/par"

PERMISSION_GRANT_TYPE = "urn:blnk-auth:sandbox:permission"
"""The `grant_type` by which a client exchanges the permission `permission_id`: invented, since SIX publishes none."""

DEFAULT_TARGET = "IIDX99999"
"""The bank at which `Sandbox.issue` signs users in; any other id is another bank."""

CODE_LIFETIME = 30.0

IDLE_LIFETIME = 30 * 86_400.0
"""Seconds after which an unused refresh token expires; each use restarts them."""

ProblemSource = Literal["PLATFORM", "PROVIDER"]
"""Who responds, as `X-CorAPI-Source` names it: bLink itself, or the bank behind it."""

_PROBLEM = "application/problem+json"
_MAX_LENGTH = 64
_MOST_CORRELATION_IDS = 200_000
_TOKEN_HEADERS = (
    "x-correlation-id",
    "user-agent",
    "x-corapi-target-id",
    *PSU_HEADERS,
)
_API_HEADERS = _TOKEN_HEADERS[:3]

_STATUSES = {
    "INVALID_PAYLOAD": 400,
    "MALFORMED_PAYLOAD": 400,
    "EXPIRED_TOKEN": 401,
    "INVALID_TOKEN": 401,
    "INSUFFICIENT_PRIVILEGES": 403,
    "WRONG_METHOD": 405,
    "RESOURCE_TOO_LARGE": 500,
    "TECHNICAL_ERROR": 500,
    "NOT_IMPLEMENTED": 501,
}


def authorize_path(target: str = DEFAULT_TARGET) -> str:
    """The path of a bank's authorization endpoint. In reality each bank has its own host for that.

    Args:
        target: The bank's `target_id`. Default: `DEFAULT_TARGET`.

    Returns:
        The path, to be appended to `Sandbox.origin`.
    """
    return f"/banks/{target}/authorize"


def problem(name: str, *, source: ProblemSource = "PROVIDER", status: int | None = None, detail: str = "") -> Fault:
    """A documented error on demand: `sandbox.fail(problem("EXPIRED_TOKEN"), at="api")`.

    Args:
        name: The error's type, as api-reference/error-codes lists it.
        source: The sender, which `X-CorAPI-Source` names: the platform, or the provider, which is the bank.
        status: The HTTP status, for errors that have several (404 INSUFFICIENT_PRIVILEGES, 503 TECHNICAL_ERROR). None:
            the usual one.
        detail: The description for the developer. Default: empty.

    Returns:
        The fault.
    """
    answer = _problem(name, source=source, status=status, detail=detail)
    return Fault(status=answer.status, body=answer.body, headers=answer.headers)


class BLink:
    """The endpoints of bLink and of the banks behind it.

    `demands_certificate`: whether the connection is TLS, on which each client must show the certificate whose common
    name is its `client_id`. `count` adds one to the figure of that name. `clock` is in seconds. `grants`: those that a
    request of Consent 3.0 may change. `extensions` choose the version of the consent at the start.
    """

    display_name = "bLink"
    default_scope = "urn:blink:xs2a:ais"

    def __init__(
        self,
        server: AuthorizationServer,
        *,
        demands_certificate: bool,
        count: Callable[[str], None],
        clock: Callable[[], float],
        grants: ManagedGrants,
        extensions: Collection[Extension],
    ) -> None:
        self.consent: Literal["2.0", "3.0"] = "3.0" if "consent_3" in extensions else "2.0"
        """Assign "3.0" for pushed requests with PKCE, no username, and a `grant_id` in each response."""
        self.extensions = extensions
        """Those that are on."""
        self._server = server
        self._demands_certificate = demands_certificate
        self._count = count
        # A dict has an order: the oldest can be forgotten.
        self._correlation_ids: dict[str, None] = {}
        self._permissions = Permissions(clock)
        rules = AuthorizationRules(server, demanded=lambda: ("code_challenge",), grants=grants)
        self._pushed = PushedRequests(rules, clock=clock, count=count, required=lambda: True)
        self._pages = {
            "2.0": AuthorizationPage(server, AuthorizationRules(server), target_of=_bank_of),
            "3.0": AuthorizationPage(server, rules, target_of=_bank_of, pushed=self._pushed),
        }
        server.code_lifetime = CODE_LIFETIME
        server.refresh_idle_lifetime = IDLE_LIFETIME
        server.name_access_token = lambda _grant, _expires_at: f"at-{secrets.token_urlsafe(32)}"

    def endpoints(self) -> list[EndpointSpec]:
        """All endpoints."""
        return [
            EndpointSpec("/banks/{target}/authorize", "page", self._sign_in),
            EndpointSpec(PAR_PATH, "par", self._through_platform(self._push, _TOKEN_HEADERS)),
            EndpointSpec(f"{BASE_PATH}/oauth/token", "token", self._through_platform(self._token, _TOKEN_HEADERS)),
            EndpointSpec(
                f"{BASE_PATH}/oauth/revoke", "revocation", self._through_platform(self._revoke, _TOKEN_HEADERS)
            ),
            EndpointSpec(
                f"{BASE_PATH}/permissions/{{target}}/{{user_id}}",
                "api",
                self._through_platform(self._create_permission, _TOKEN_HEADERS),
            ),
            EndpointSpec("/{path:path}", "api", self._through_platform(self._api, _API_HEADERS)),
        ]

    def issue(self, client: RegisteredClient, *, subject: str, scope: str, lifetime: float | None) -> dict[str, Any]:
        """The token response of a new grant, as if the user had just signed in at `DEFAULT_TARGET`."""
        answer = self._server.issue(client, subject=subject, scope=scope, lifetime=lifetime, target=DEFAULT_TARGET)
        return self._with_grant_id(answer, self._server.issued(answer["access_token"]).grant)

    def _sign_in(self, request: RecordedRequest) -> Answer:
        return self._pages[self.consent].respond(request)

    # --- the platform ---------------------------------------------------------------------------------------------

    def _through_platform(
        self, answer: Callable[[RecordedRequest], Answer], headers: tuple[str, ...]
    ) -> Callable[[RecordedRequest], Answer]:
        """The same endpoint behind the platform, which checks each request first and adds headers to the response."""

        def respond(request: RecordedRequest) -> Answer:
            given = self._refuse(request, headers) or answer(request)
            echo = {"x-correlation-id": request.headers.get("x-correlation-id", ""), "pragma": "no-cache"}
            return Answer(given.status, given.body, {"cache-control": "no-store", **echo, **given.headers})

        return respond

    def _refuse(self, request: RecordedRequest, headers: tuple[str, ...]) -> Answer | None:
        for name in headers:
            value = request.headers.get(name, "")
            if not value or len(value) > (_MAX_LENGTH if name == "x-correlation-id" else 1000):
                return _payload(f"{name}: must not be null and not too long")
        correlation_id = request.headers["x-correlation-id"]
        if correlation_id in self._correlation_ids:
            return _payload("X-Correlation-ID: must identify one REST call")
        self._correlation_ids[correlation_id] = None
        if len(self._correlation_ids) > _MOST_CORRELATION_IDS:
            del self._correlation_ids[next(iter(self._correlation_ids))]
        if self._demands_certificate and self._server.clients.find(request.certificate or "") is None:
            return _problem(
                "INSUFFICIENT_PRIVILEGES", source="PLATFORM", status=401, detail="no certificate of a client"
            )
        return None

    def _read_form(self, request: RecordedRequest) -> dict[str, str] | Answer:
        """The form of a request by the client whose certificate the connection has."""
        if request.method != "POST":
            return _problem("WRONG_METHOD", source="PLATFORM")
        if media_type(request) != "application/x-www-form-urlencoded":
            return _problem("MALFORMED_PAYLOAD", source="PLATFORM", status=415)
        form = token_form(request)
        if "authorization" in request.headers or not form.keys().isdisjoint({"client_secret", "client_assertion"}):
            return _payload("OAuth Client Secret is not supported")
        if not form.get("client_id"):
            return _payload("client_id: must not be null")
        is_proved = not self._demands_certificate or request.certificate == form["client_id"]
        if self._server.clients.find(form["client_id"]) is None or not is_proved:
            return _problem(
                "INSUFFICIENT_PRIVILEGES", source="PLATFORM", status=401, detail="the certificate is another client's"
            )
        return form

    # --- the bank -------------------------------------------------------------------------------------------------

    def _token(self, request: RecordedRequest) -> Answer:
        try:
            form = self._read_form(request)
            if isinstance(form, Answer):
                return form
            username = form.get("username", "")
            if self.consent == "2.0" and not 0 < len(username) <= _MAX_LENGTH:
                return _payload("username: must not be null and have at most 64 characters")
            if self.consent == "3.0" and "username" in form:
                return _payload("username: is not a parameter of Consent 3.0")
            client = self._client_of(form)
            if self.consent == "3.0" and form.get("grant_type") == PERMISSION_GRANT_TYPE:
                return _from_bank(200, self._exchange_permission(client, request, required(form, "permission_id")))
            answer = perform_grant(
                self._server, client, form, offered=("authorization_code", "refresh_token"), count=self._count
            )
            grant = self._server.issued(answer["access_token"]).grant
            if not self._fits(grant, request, username):
                self._server.revoke_token(answer["access_token"])
                raise OAuthError("invalid_grant", "The grant is another user's, or at another bank")
        except OAuthError as refusal:
            return _from_bank(400, {"error": refusal.error, "error_description": refusal.description})
        return _from_bank(200, self._with_grant_id(answer, grant))

    def _fits(self, grant: Grant, request: RecordedRequest, username: str) -> bool:
        is_owner = self.consent == "3.0" or grant.subject == username
        return is_owner and grant.target == request.headers["x-corapi-target-id"]

    def _with_grant_id(self, answer: dict[str, Any], grant: Grant) -> dict[str, Any]:
        grant_id = {"grant_id": grant.grant_id} if self.consent == "3.0" else {}
        return {**answer, "token_type": "bearer", **grant_id}

    def _push(self, request: RecordedRequest) -> Answer:
        if self.consent == "2.0":
            return _problem("NOT_IMPLEMENTED", source="PLATFORM", status=404)
        try:
            form = self._read_form(request)
            if isinstance(form, Answer):
                return form
            pushed = self._pushed.push(self._client_of(form), form, request.headers["x-corapi-target-id"])
        except OAuthError as refusal:
            return _from_bank(400, {"error": refusal.error, "error_description": refusal.description})
        return replace(pushed, headers={**pushed.headers, "x-corapi-source": "PROVIDER"})

    def _client_of(self, form: Mapping[str, str]) -> RegisteredClient:
        client = self._server.clients.find(form["client_id"])
        # Looked up by _read_form a moment ago.
        assert client is not None  # noqa: S101
        return client

    def _exchange_permission(
        self, client: RegisteredClient, request: RecordedRequest, permission_id: str
    ) -> dict[str, Any]:
        permission = self._permissions.exchange(permission_id, request.headers["x-corapi-target-id"])
        answer = self._server.issue(client, subject=permission.user_id, scope=client.scope, target=permission.target)
        permission.grant = self._server.issued(answer["access_token"]).grant
        return self._with_grant_id(answer, permission.grant)

    def _revoke(self, request: RecordedRequest) -> Answer:
        try:
            form = self._read_form(request)
            if isinstance(form, Answer):
                return form
            self._server.revoke_token(required(form, "token"))
        except OAuthError as refusal:
            return _from_bank(400, {"error": refusal.error, "error_description": refusal.description})
        self._count("revocations")
        return Answer(200, b"", {"x-corapi-source": "PROVIDER"})

    # --- API ------------------------------------------------------------------------------------------------------

    def _api(self, request: RecordedRequest) -> Answer:
        # A client in permission mode sends these to every module.
        is_permitted = "permission-id" in request.headers
        for name in PSU_HEADERS if is_permitted else required_headers(request.path):
            if not request.headers.get(name):
                return _payload(f"{name}: must not be null")
        owner = self._permitted(request) if is_permitted else self._authorized(request)
        if isinstance(owner, Answer):
            return owner
        if request.method == "POST":
            members = submitted(request.path)
            return _problem("WRONG_METHOD", source="PROVIDER") if members is None else _from_bank(201, members)
        if request.method != "GET":
            return _problem("WRONG_METHOD", source="PROVIDER")
        if request.path.endswith("/healthcheck"):
            return _from_bank(200, {"headers": dict(request.headers)})
        members = accounts_of(request.path, owner, request.headers["x-corapi-target-id"])
        if members is None:
            return _problem("NOT_IMPLEMENTED", source="PROVIDER", status=404)
        return _from_bank(200, members)

    def _authorized(self, request: RecordedRequest) -> str | Answer:
        """Whose access token a request has; otherwise the response that rejects it."""
        scheme, _, access_token = request.headers.get("authorization", "").partition(" ")
        state, grant = self._server.look_up(access_token.strip())
        is_elsewhere = grant is None or grant.target != request.headers["x-corapi-target-id"]
        if scheme.lower() != "bearer" or state != "valid" or grant is None or is_elsewhere:
            return _rejection("EXPIRED_TOKEN" if state == "expired" else "INVALID_TOKEN")
        self._permissions.note_use(grant)
        return grant.subject

    def _permitted(self, request: RecordedRequest) -> str | Answer:
        """Whose permission a request has; otherwise the response that rejects it. bLink has the tokens."""
        target = request.headers["x-corapi-target-id"]
        permission = self._permissions.find(request.headers["permission-id"], target)
        if permission is None:
            return _problem("INSUFFICIENT_PRIVILEGES", source="PLATFORM", detail="no valid permission for this bank")
        return permission.user_id

    def _create_permission(self, request: RecordedRequest) -> Answer:
        if request.method != "POST":
            return _problem("WRONG_METHOD", source="PLATFORM")
        *_, target, user_id = request.path.split("/")
        permission = self._permissions.create(target, user_id)
        if permission is None:
            return _payload("userId: must have 1 to 250 letters, digits, hyphens and dots")
        return Answer.json(201, {"permissionId": permission.permission_id}, {"x-corapi-source": "PLATFORM"})


def _bank_of(request: RecordedRequest) -> str:
    return request.path.split("/")[2]


def _rejection(name: str) -> Answer:
    return _problem(name, source="PROVIDER", headers={"www-authenticate": "Bearer error='invalid_token'"})


def _payload(detail: str) -> Answer:
    return _problem("INVALID_PAYLOAD", source="PLATFORM", detail=detail)


def _problem(
    name: str,
    *,
    source: ProblemSource,
    status: int | None = None,
    detail: str = "",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    members = {"type": f"/problems/{name}", "title": name.replace("_", " ").lower(), "detail": detail, "instance": "/1"}
    named = {"content-type": _PROBLEM, "x-corapi-source": source, "content-language": "en", **(headers or {})}
    return Answer.json(_STATUSES[name] if status is None else status, members, named)


def _from_bank(status: int, members: Mapping[str, Any]) -> Answer:
    media = {"content-type": "application/json;charset=utf-8", "x-corapi-source": "PROVIDER"}
    return Answer.json(status, members, media)
