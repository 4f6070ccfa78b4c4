"""A real MCP server that accepts messages with a valid token, for the tests of MCP clients."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from support.limits import PATIENCE


def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


def protected(app: ASGIApp, accepts: Callable[[str | None], bool]) -> ASGIApp:
    """The app, for anyone with a valid token."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        authorization = dict(scope.get("headers", ())).get(b"authorization")
        if scope["type"] == "http" and not accepts(authorization and authorization.decode()):
            challenge = {"www-authenticate": 'Bearer error="invalid_token"'}
            await JSONResponse({"error": "rejected"}, 401, challenge)(scope, receive, send)
            return
        await app(scope, receive, send)

    return answer


@contextlib.contextmanager
def serving_calculator(accepts: Callable[[str | None], bool]) -> Iterator[str]:
    """The address of an MCP server with the tool `add`, for as long as the block is open."""
    from mcp.server.mcpserver import MCPServer

    tools = MCPServer("calculator")
    tools.tool()(add)
    with serving(lambda _: protected(tools.streamable_http_app(), accepts)) as origin:
        yield f"{origin}/mcp"


@contextlib.contextmanager
def serving(make_app: Callable[[str], ASGIApp]) -> Iterator[str]:
    """The origin of a server on loopback, whose app is made once its origin is known."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
        app = make_app(origin)
        config = uvicorn.Config(app, log_config=None, log_level="critical", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        # A request that arrives before it serves waits in the backlog.
        thread = threading.Thread(target=server.run, args=([listening],), name="mcp", daemon=True)
        thread.start()
        try:
            yield origin
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
