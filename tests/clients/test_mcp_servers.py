"""MCP servers of the packages `mcp` and `fastmcp`, with authorization servers, and a client that has their URL.

Both packages have written the metadata, the registration, the authorization endpoint and the token endpoint; only the
users are made up: they approve everything. Refresh tokens rotate, and an old one is `invalid_grant`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from starlette.types import ASGIApp
from support.limits import PATIENCE
from support.mcp_server import add, serving

from blnk_auth import Auth, AuthorizationRequest, ClientMetadata, ProtectedResource, TokenSource

mcp = pytest.importorskip("mcp")
fastmcp = pytest.importorskip("fastmcp")
streamable_http = pytest.importorskip("mcp.client.streamable_http")
in_memory = pytest.importorskip("fastmcp.server.auth.providers.in_memory")
settings = pytest.importorskip("mcp.server.auth.settings")

SCOPES = ["add"]


class Users:
    """Who signs in: how often they were asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, authorization: AuthorizationRequest) -> str:
        self.asked += 1
        return httpx.get(authorization.url, trust_env=False).headers["location"]


def of_mcp(origin: str, provider: Any) -> ASGIApp:
    from mcp.server.mcpserver import MCPServer

    auth = settings.AuthSettings(
        issuer_url=origin,
        resource_server_url=f"{origin}/mcp",
        client_registration_options=_registration(),
        required_scopes=SCOPES,
        validate_token_resource=False,
    )
    server = MCPServer("calculator", auth=auth, auth_server_provider=provider)
    server.tool()(add)
    return server.streamable_http_app()


def of_fastmcp(_origin: str, provider: Any) -> ASGIApp:
    server = fastmcp.FastMCP("calculator", auth=provider)
    server.tool()(add)
    return server.http_app()


def _registration() -> Any:
    return settings.ClientRegistrationOptions(enabled=True, valid_scopes=SCOPES, default_scopes=SCOPES)


Served = Callable[[str, Any], ASGIApp]


@contextmanager
def running(served: Served) -> Iterator[tuple[str, Any]]:
    """The URL of a server, and what its authorization server remembers."""
    made: list[Any] = []

    def app(origin: str) -> ASGIApp:
        made.append(
            in_memory.InMemoryOAuthProvider(
                base_url=origin, client_registration_options=_registration(), required_scopes=SCOPES
            )
        )
        return served(origin, made[0])

    with serving(app) as origin:
        yield f"{origin}/mcp", made[0]


async def through_mcp(url: str, source: TokenSource) -> Any:
    async with (
        httpx2.AsyncClient(auth=Auth(source), timeout=PATIENCE, trust_env=False) as http,
        mcp.Client(streamable_http.streamable_http_client(url, http_client=http)) as client,
    ):
        return (await client.call_tool("add", {"a": 1, "b": 2})).structured_content


async def through_fastmcp(url: str, source: TokenSource) -> Any:
    async with fastmcp.Client(url, auth=Auth(source)) as client:
        return (await client.call_tool("add", {"a": 1, "b": 2})).structured_content


def source_at(url: str, users: Users, store: str) -> TokenSource:
    """As after a new start of the program."""
    api = ProtectedResource(url, store=store, client_metadata=ClientMetadata(client_name="Acme"))
    return api.for_subject("me", sign_in=users)


@pytest.mark.parametrize("through", [through_mcp, through_fastmcp])
@pytest.mark.parametrize("served", [of_mcp, of_fastmcp])
def test_a_client_that_knows_only_the_url_calls_a_tool(served: Served, through: Any, tmp_path: Path) -> None:
    """One registration and one sign-in, also after a restart; a token that is rejected is refreshed."""
    users, store = Users(), f"sqlite:///{tmp_path}/tokens.db"
    with running(served) as (url, provider):
        assert asyncio.run(through(url, source_at(url, users, store))) == {"result": 3}
        first = set(provider.refresh_tokens)
        assert asyncio.run(through(url, source_at(url, users, store))) == {"result": 3}
        assert set(provider.refresh_tokens) == first
        provider.access_tokens.clear()
        assert asyncio.run(through(url, source_at(url, users, store))) == {"result": 3}
        assert len(provider.refresh_tokens) == 1
        assert set(provider.refresh_tokens) != first
        assert len(provider.clients) == 1
    assert users.asked == 1


@pytest.mark.parametrize("served", [of_mcp, of_fastmcp])
def test_a_server_that_has_forgotten_its_clients_is_registered_at_again(served: Served, tmp_path: Path) -> None:
    """As after a restart of a server that keeps everything in memory: one more registration and sign-in."""
    users, store = Users(), f"sqlite:///{tmp_path}/tokens.db"
    with running(served) as (url, provider):
        assert asyncio.run(through_mcp(url, source_at(url, users, store))) == {"result": 3}
        for forgotten in (provider.clients, provider.access_tokens, provider.refresh_tokens):
            forgotten.clear()
        assert asyncio.run(through_mcp(url, source_at(url, users, store))) == {"result": 3}
        assert len(provider.clients) == 1
    assert users.asked == 2
