"""The mcp client takes an `httpx2.AsyncClient` for its streamable HTTP transport; here against a real MCP server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httpx2
import pytest
import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from support.api_clients import ClientWorld, Ending, either_way

from blnk_auth import Httpx2Auth

mcp = pytest.importorskip("mcp")
streamable_http = pytest.importorskip("mcp.client.streamable_http")
mcpserver = pytest.importorskip("mcp.server.mcpserver")


def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


@contextlib.asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Where uvicorn serves the app, on this very event loop."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="critical", timeout_graceful_shutdown=1))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


def call_store(app: ASGIApp, world: ClientWorld) -> ASGIApp:
    """The app, for anyone with a valid token."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if scope["type"] == "http" and not world.accepts(headers.get(b"authorization", b"").decode()):
            challenge = {"www-authenticate": 'Bearer error="invalid_token"'}
            await JSONResponse({"error": "rejected"}, 401, challenge)(scope, receive, send)
            return
        await app(scope, receive, send)

    return answer


@either_way
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_tool_is_called(world: ClientWorld, ending: Ending, mode: str) -> None:
    """A tool call after the token's expiry is answered in the same session; each expiry costs one refresh."""
    tools = mcpserver.MCPServer("calculator")
    tools.tool()(add)

    async def main() -> None:
        async with serving(call_store(tools.streamable_http_app(), world)) as origin:
            auth = Httpx2Auth(world.alice_for(origin))
            async with (
                httpx2.AsyncClient(auth=auth, timeout=20, trust_env=False) as http,
                mcp.Client(
                    streamable_http.streamable_http_client(f"{origin}/mcp", http_client=http), mode=mode
                ) as client,
            ):
                assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
                world.end(ending)
                assert (await client.call_tool("add", {"a": 2, "b": 2})).structured_content == {"result": 4}

    asyncio.run(main())
    assert world.renewals == (1, 1, 0)
    assert bool(world.rejections) == (ending == "rejected")
