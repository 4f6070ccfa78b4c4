"""uvicorn in a background thread, on its own socket; it starts and stops within milliseconds.

Used by `Sandbox`. It promises that after `stop` no connection is open. It never listens on anything but 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import socket
import ssl
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

HOST = "127.0.0.1"
BACKLOG = 2048
"""Connections that the kernel queues until they are accepted: a thousand clients may connect at the same time."""

_KEEP_ALIVE = 3600
"""Seconds. With a shorter time, a client could reuse a connection at the moment when it is closed."""

_STOP_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The certificate that a client has shown: its common name, and its `x5t#S256` (RFC 8705 section 3.1)."""

    common_name: str
    thumbprint: str


class HTTPServer:
    """Serves `app` on `HOST` from `start` to `stop`. Port 0 means any free one; the bound one is `port`.

    With `tls` it uses TLS, and asks for a client certificate if the context does.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        # The socket listens from here on: a client that connects before the server runs waits in the backlog.
        self._socket = _listen(port)
        self.port: int = self._socket.getsockname()[1]
        self._tls = tls
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self, app: ASGIApp) -> None:
        """Start the thread, and wait until it serves."""
        self._server = _Server(app, self._tls)
        self._thread = threading.Thread(target=self._run, args=(self._server,), name="blnk-auth-sandbox", daemon=True)
        self._thread.start()
        self._server.ready.wait()
        if not self._server.started:
            raise RuntimeError("the sandbox's HTTP server did not start; see the traceback above")

    def stop(self) -> None:
        """Close every connection, also those with a request under way, and wait until the thread has ended."""
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join(_STOP_TIMEOUT)
        self._socket.close()

    def cut(self, client: tuple[str, int]) -> None:
        """Close the connection that comes from this address. To be called on the server's own loop."""
        if self._server is not None:
            self._server.cut(client)

    def certificate_of(self, client: tuple[str, int]) -> ClientCertificate | None:
        """The certificate of the client at this address. To be called on the server's own loop."""
        return None if self._server is None or self._tls is None else self._server.certificate_of(client)

    def _run(self, server: _Server) -> None:
        try:
            server.run(sockets=[self._socket])
        finally:
            server.ready.set()


class _Server(uvicorn.Server):
    """uvicorn checks every 0.1 s whether to stop, and waits for busy connections; tests cannot wait for either."""

    def __init__(self, app: ASGIApp, tls: ssl.SSLContext | None) -> None:
        config = uvicorn.Config(
            app,
            # Fixed, so that the sandbox behaves in the same way with and without uvloop and httptools.
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE,
        )
        config.load()
        config.ssl = tls
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)

    def cut(self, client: tuple[str, int]) -> None:
        for transport in self._transports(client):
            transport.abort()

    def certificate_of(self, client: tuple[str, int]) -> ClientCertificate | None:
        for transport in self._transports(client):
            certificate: Mapping[str, Any] = transport.get_extra_info("peercert") or {}
            for name, value in itertools.chain.from_iterable(certificate.get("subject", ())):
                if name == "commonName":
                    encoded: bytes = transport.get_extra_info("ssl_object").getpeercert(True)
                    return ClientCertificate(str(value), _thumbprint(encoded))
        return None

    def _transports(self, client: tuple[str, int]) -> list[Any]:
        transports: list[Any] = [connection.transport for connection in list(self.server_state.connections)]
        return [transport for transport in transports if transport.get_extra_info("peername") == tuple(client)]

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready.set()
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        # One iteration of the loop, so that a request that waits for its client to disconnect sees it.
        await asyncio.sleep(0)
        running = list(self.server_state.tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _thumbprint(certificate: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(certificate).digest()).rstrip(b"=").decode()


def _listen(port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only for sockets that name TCP. With it, each response would take 40 ms: head
    # and body are written apart, and the second waits for the client's delayed acknowledgement of the first.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A sandbox that is started again on the same port need not wait for the old connections to time out. On Windows
        # the same option would let a second sandbox share the port of the first.
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(BACKLOG)
    except OSError as refused:
        listening.close()
        reason = f"port={port} on {HOST} cannot be used ({refused.strerror}); choose another, or 0 for any free one"
        raise OSError(refused.errno, reason) from refused
    return listening
