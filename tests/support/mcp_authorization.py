"""A real MCP server that is its own authorization server, both made with the `mcp` package: for tests of its clients.

It registers clients dynamically, compares redirect URIs exactly, and rotates refresh tokens. A spent one ends nothing,
but is counted.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from starlette.types import ASGIApp
from support.mcp_server import add, serving


class Grants:
    """The provider that the package's endpoints ask: what was registered and issued, in memory."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}
        self.codes: dict[str, Any] = {}
        self.refresh_tokens: dict[str, Any] = {}
        self.access_tokens: dict[str, Any] = {}
        self.spent: set[str] = set()
        self.redirect_uris: list[str] = []
        """Where users were sent back to."""
        self.reuses = 0
        self.refreshes = 0

    async def get_client(self, client_id: str) -> Any:
        return self.clients.get(client_id)

    async def register_client(self, client_info: Any) -> None:
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: Any, params: Any) -> str:
        """Every user agrees."""
        from mcp.server.auth.provider import AuthorizationCode

        code = secrets.token_urlsafe()
        self.redirect_uris.append(str(params.redirect_uri))
        self.codes[code] = AuthorizationCode(
            code=code,
            scopes=params.scopes or [],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        return f"{params.redirect_uri}?{urlencode({'code': code, 'state': params.state})}"

    async def load_authorization_code(self, client: Any, authorization_code: str) -> Any:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(self, client: Any, authorization_code: Any) -> Any:
        del self.codes[authorization_code.code]
        return self._issue(client, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(self, client: Any, refresh_token: str) -> Any:
        self.reuses += refresh_token in self.spent
        return self.refresh_tokens.get(refresh_token)

    async def exchange_refresh_token(self, client: Any, refresh_token: Any, scopes: list[str]) -> Any:
        self.refreshes += 1
        self.spent.add(self.refresh_tokens.pop(refresh_token.token).token)
        return self._issue(client, scopes, refresh_token.resource)

    async def load_access_token(self, token: str) -> Any:
        return self.access_tokens.get(token)

    async def revoke_token(self, token: Any) -> None:
        self.access_tokens.pop(token.token, None)
        self.refresh_tokens.pop(token.token, None)

    def _issue(self, client: Any, scopes: list[str], resource: str | None) -> Any:
        from mcp.server.auth.provider import AccessToken, RefreshToken
        from mcp.shared.auth import OAuthToken

        access, refresh = secrets.token_urlsafe(), secrets.token_urlsafe()
        common: dict[str, Any] = {"client_id": client.client_id, "scopes": scopes, "resource": resource}
        self.access_tokens[access] = AccessToken(token=access, expires_at=int(time.time()) + 3600, **common)
        self.refresh_tokens[refresh] = RefreshToken(token=refresh, **common)
        scope = " ".join(scopes)
        return OAuthToken(access_token=access, expires_in=3600, refresh_token=refresh, scope=scope)


@contextlib.contextmanager
def serving_protected_calculator(grants: Grants, **registration: Any) -> Iterator[str]:
    """The address of an MCP server with the tool `add`, whose users sign in, for as long as the block is open.

    `registration`: arguments of the package's `ClientRegistrationOptions`.
    """
    from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
    from mcp.server.mcpserver import MCPServer

    def make_app(origin: str) -> ASGIApp:
        scopes = {"valid_scopes": ["calculate"], "default_scopes": ["calculate"]}
        settings = AuthSettings(
            issuer_url=origin,
            resource_server_url=f"{origin}/mcp",
            validate_token_resource=True,
            required_scopes=["calculate"],
            client_registration_options=ClientRegistrationOptions(enabled=True, **{**scopes, **registration}),
        )
        tools = MCPServer("calculator", auth=settings, auth_server_provider=grants)
        tools.tool()(add)
        return tools.streamable_http_app()

    with serving(make_app) as origin:
        yield f"{origin}/mcp"
