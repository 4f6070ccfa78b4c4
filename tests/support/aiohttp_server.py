"""A loopback server in the event loop of the test, for what aiohttp's client does: websockets, early and lost answers.

Used by the tests of aiohttp. `Site` serves everything else: it needs no event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Serving = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Server:
    """What a server has received, and where it is. `bodies` has those that the handler has read."""

    origin: str = ""
    requests: list[web.Request] = field(default_factory=list[web.Request])
    bodies: list[bytes] = field(default_factory=list[bytes])

    @property
    def authorizations(self) -> list[str | None]:
        return [request.headers.get("Authorization") for request in self.requests]

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]

    async def read(self, request: web.Request) -> bytes:
        """The body of a request, which is kept."""
        self.bodies.append(await request.content.read())
        return self.bodies[-1]


@asynccontextmanager
async def serving(answer: Callable[[Server, web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[Server]:
    """A server on a port of its own while the context lasts."""
    server = Server()

    async def handle(request: web.Request) -> web.StreamResponse:
        server.requests.append(request)
        if request.headers.get("Expect") == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        return await answer(server, request)

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.origin = site.name if not site.name.endswith(":0") else f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()
