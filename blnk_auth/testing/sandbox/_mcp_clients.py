"""How clients become known to the authorization server of the MCP personality: by registering, or by a document.

Used by that personality. It promises the errors of RFC 7591 section 3.2.2, and that a client identified by a document
is as good as a registered one (draft-ietf-oauth-client-id-metadata-document). It never fetches a document: a sandbox
has no network. It takes those that a test has put into `documents`; any other https URL stands for a document that
allows what the client asks for.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from ._authorization_server import AuthorizationServer
from ._issued import OAuthError, RegisteredClient
from ._setting_checks import SettingError

AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post")

GRANTS = ("authorization_code", "refresh_token", "client_credentials")

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_MOST_STRINGS = 20


class McpClients:
    """The clients of one authorization server. `clock` is in seconds; `scope` is what a client gets by default.

    `on_issue` is called with the kind and the value of each secret that a client gets.
    """

    def __init__(
        self,
        server: AuthorizationServer,
        *,
        clock: Callable[[], float],
        scope: str,
        on_issue: Callable[[str, str], object],
    ) -> None:
        self.may_register = True
        """Assign False for a server without dynamic registration."""
        self.takes_documents = True
        """Assign False for a server that does not take client ID metadata documents."""
        self.documents: dict[str, Mapping[str, Any]] = {}
        """Client ID metadata documents by their URL, to be compared with what their clients ask for."""
        self.secret_lifetime: float = math.inf
        """Seconds until the secret of a client that registers from now on expires. Default: never."""
        self._server = server
        self._clock = clock
        self._scope = scope
        self._on_issue = on_issue
        self._secrets_expire_at: dict[str, float] = {}

    def register(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The response to a registration (RFC 7591 section 3.2.1); otherwise `OAuthError`."""
        uris = _redirect_uris(asked)
        _check_application_type(asked, uris)
        method = str(asked.get("token_endpoint_auth_method", "client_secret_basic"))
        if method not in AUTH_METHODS:
            raise OAuthError("invalid_client_metadata", f"token_endpoint_auth_method: use {', '.join(AUTH_METHODS)}")
        grants = _strings(asked.get("grant_types", ["authorization_code"]))
        if grants is None or not set(grants) <= set(GRANTS):
            raise OAuthError("invalid_client_metadata", f"grant_types: use {', '.join(GRANTS)}")
        client_id = f"mcp-{secrets.token_urlsafe(12)}"
        secret = "" if method == "none" else secrets.token_urlsafe(24)
        self._add(client_id, secret, uris, str(asked.get("scope") or self._scope))
        now = self._clock()
        answer: dict[str, Any] = {
            **asked,
            "client_id": client_id,
            "client_id_issued_at": int(now),
            "grant_types": grants,
        }
        answer |= {"token_endpoint_auth_method": method, "redirect_uris": uris}
        if secret:
            self._on_issue("client secret", secret)
            expires_at = now + self.secret_lifetime
            self._secrets_expire_at[client_id] = expires_at
            # Zero: it does not expire.
            answer |= {"client_secret": secret}
            answer |= {"client_secret_expires_at": 0 if math.isinf(expires_at) else math.ceil(expires_at)}
        return answer

    def forget(self) -> None:
        """Forget every client that has registered itself, as a server that has lost its database."""
        self._server.clients.remove(lambda client_id: client_id.startswith("mcp-"))

    def learn(self, client_id: str, redirect_uri: str) -> None:
        """Know the client that names this document, if it is one, and the server takes documents."""
        url = urlsplit(client_id)
        # The draft, section 3: an https URL that has a path.
        if self.takes_documents and url.scheme == "https" and url.path.strip("/") and not url.fragment:
            document = self.documents.get(client_id, {"client_id": client_id, "redirect_uris": [redirect_uri]})
            if document.get("client_id") == client_id:
                self._add(client_id, "", _redirect_uris(document), str(document.get("scope") or self._scope))

    def check_secret(self, client: RegisteredClient) -> None:
        """Raises `invalid_client` if the client's secret has expired."""
        if self._clock() >= self._secrets_expire_at.get(client.client_id, math.inf):
            raise OAuthError("invalid_client", "The client secret has expired; register again")

    def _add(self, client_id: str, secret: str, uris: Sequence[str], scope: str) -> None:
        try:
            first, *further = uris
            self._server.clients.add(RegisteredClient(client_id, secret, first, scope, tuple(further)))
        except SettingError as wrong:
            raise OAuthError("invalid_redirect_uri", str(wrong)) from None


def _redirect_uris(asked: Mapping[str, Any]) -> list[str]:
    uris = _strings(asked.get("redirect_uris"))
    if not uris:
        raise OAuthError("invalid_redirect_uri", "redirect_uris must be a list of URIs")
    for uri in uris:
        url = urlsplit(uri)
        if url.scheme == "http" and url.hostname not in _LOOPBACK:
            raise OAuthError("invalid_redirect_uri", f"{uri} must be https, or on loopback")
    return uris


def _strings(value: object) -> list[str] | None:
    """A list of strings that is not too long; None for anything else."""
    if not isinstance(value, list) or len(cast("list[object]", value)) > _MOST_STRINGS:
        return None
    items = cast("list[object]", value)
    strings = [each for each in items if isinstance(each, str)]
    return strings if len(strings) == len(items) else None


def _check_application_type(asked: Mapping[str, Any], uris: Sequence[str]) -> None:
    """By OpenID Connect Dynamic Client Registration section 2: https for the web, anything else for native ones."""
    kind = asked.get("application_type", "web")
    if kind not in ("web", "native"):
        raise OAuthError("invalid_client_metadata", "application_type must be web or native")
    if kind == "web" and any(urlsplit(uri).scheme != "https" for uri in uris):
        raise OAuthError("invalid_redirect_uri", "A web application must have https redirect URIs; this one is native")
    if kind == "native" and any(urlsplit(uri).scheme == "https" for uri in uris):
        raise OAuthError("invalid_redirect_uri", "A native application has no https redirect URI; this one is web")
