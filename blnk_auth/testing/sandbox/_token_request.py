"""What the token endpoints share: reading a form, Basic credentials, performing the requested grant.

Used by the personalities and the device endpoints. It promises the errors of RFC 6749 section 5.2. It never has a state
of its own: that is in the authorization server.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ._authorization_details import read_details
from ._authorization_page import single_valued
from ._authorization_server import AuthorizationServer
from ._issued import Confirmation, OAuthError, RefreshTokenReuse, RegisteredClient
from ._journal import RecordedRequest


def token_form(request: RecordedRequest) -> dict[str, str]:
    """The form of a token request; otherwise `invalid_request`."""
    if media_type(request) != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "The body must be application/x-www-form-urlencoded")
    return single_valued(request.body.decode("utf-8", "replace"))


def media_type(request: RecordedRequest) -> str:
    """The media type of the body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def authenticated_client(
    server: AuthorizationServer, request: RecordedRequest, members: Mapping[str, str]
) -> RegisteredClient:
    """The client that authenticates by Basic, with unencoded credentials, or in the body; never by both."""
    authorization = request.headers.get("authorization")
    if authorization is None:
        return server.clients.authenticate(members.get("client_id", ""), members.get("client_secret", ""))
    if "client_secret" in members:
        # RFC 6749 section 2.3: "The client MUST NOT use more than one authentication method in each request."
        raise OAuthError("invalid_request", "The client authenticated both by Basic and in the body")
    return server.clients.authenticate(*_basic_credentials(authorization))


def _basic_credentials(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    try:
        client_id, colon, client_secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = client_id = client_secret = ""
    if scheme.lower() != "basic" or not colon:
        raise OAuthError("invalid_client", "The Authorization header has no Basic credentials")
    return client_id, client_secret


def perform_grant(
    server: AuthorizationServer,
    client: RegisteredClient,
    members: Mapping[str, str],
    *,
    offered: Collection[str],
    count: Callable[[str], None],
    reads_details: bool = False,
    confirmation: Confirmation = Confirmation(),  # noqa: B008 - immutable
) -> dict[str, Any]:
    """The token response for the requested grant; otherwise `OAuthError`. `count` adds one to a figure.

    `reads_details`: whether `authorization_details` are understood (RFC 9396 section 6). `confirmation`: what the
    request proves, and the tokens are bound to.
    """
    grant_type = members.get("grant_type")
    if grant_type is None:
        raise OAuthError("invalid_request", "grant_type is missing")
    if grant_type not in offered:
        raise OAuthError("unsupported_grant_type", f"Use one of {', '.join(offered)}")
    details = read_details(members.get("authorization_details")) if reads_details else ()
    if grant_type == "client_credentials":
        scope = required(members, "scope")
        answer = server.issue_to_itself(client, scope=scope, authorization_details=details, confirmation=confirmation)
        figure = "client_credentials"
    elif grant_type == "refresh_token":
        try:
            answer = _refresh(server, client, members, details, confirmation)
        except RefreshTokenReuse:
            count("reuses")
            raise
        figure = "refreshes"
    else:
        answer, figure = _exchange_code(server, client, members, details, confirmation), "code_exchanges"
    count(figure)
    return answer


def required(members: Mapping[str, str], name: str) -> str:
    """The value of a parameter; `invalid_request` if it is missing or empty."""
    if not members.get(name):
        raise OAuthError("invalid_request", f"{name} is missing")
    return members[name]


def _exchange_code(
    server: AuthorizationServer,
    client: RegisteredClient,
    members: Mapping[str, str],
    details: tuple[dict[str, Any], ...],
    confirmation: Confirmation,
) -> dict[str, Any]:
    return server.exchange_code(
        client,
        code=required(members, "code"),
        redirect_uri=members.get("redirect_uri"),
        code_verifier=members.get("code_verifier"),
        authorization_details=details,
        confirmation=confirmation,
    )


def _refresh(
    server: AuthorizationServer,
    client: RegisteredClient,
    members: Mapping[str, str],
    details: tuple[dict[str, Any], ...],
    confirmation: Confirmation,
) -> dict[str, Any]:
    return server.refresh(
        client,
        refresh_token=required(members, "refresh_token"),
        authorization_details=details,
        confirmation=confirmation,
    )
