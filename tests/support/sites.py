"""A small real HTTP server for what the sandbox does not play: other origins, odd answers, TLS.

Used by scenarios and the tests of the providers. A `Site` is a thread for each connection, so that an answer may block:
a test holds it back with a `Hold` instead of sleeping.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it arrived. Header names are in lower case; `body` is the decoded body."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    origin: str = ""
    """In a proxied request in clear: the origin it is for."""
    peer: int = 0
    """The port that it came from."""

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def basic(self) -> tuple[str, str] | None:
        """The decoded Basic credentials, as they are between the colon."""
        scheme, _, encoded = (self.authorization or "").partition(" ")
        if scheme != "Basic":
            return None
        name, _, secret = b64decode(encoded).decode().partition(":")
        return name, secret


@dataclass(frozen=True, slots=True)
class Reply:
    """What a site answers; a body that is not bytes is sent chunk by chunk."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Reply:
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})

    @classmethod
    def redirect(cls, location: str, status: int = 302) -> Reply:
        return cls(status, b"", {"Location": location})

    @classmethod
    def rejected(cls, challenge: str = 'Bearer error="invalid_token"') -> Reply:
        return cls(401, b'{"error":"rejected"}', {"WWW-Authenticate": challenge})


Answering = Callable[[Received], Reply]


class AnyHttpSite:
    """What a site does with a request, whichever version of HTTP brings it."""

    def __init__(self, answer: Answering) -> None:
        self.received: list[Received] = []
        self._answer = answer

    @property
    def authorizations(self) -> list[str | None]:
        """The Authorization header of each request so far."""
        return [request.authorization for request in self.received]

    def answer(self, request: Received) -> Reply:
        self.received.append(request)
        return self._answer(request)


class Site(AnyHttpSite):
    """Serves `answer` on its own loopback origin while the `with` block is open.

    with Site(lambda request: Reply(200)) as site:
        httpx.get(site.origin)
        assert site.received[0].authorization is None
    """

    def __init__(
        self, answer: Answering, *, host: str = "127.0.0.1", name: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(answer)
        self._tls = tls
        self._name = name or (f"[{host}]" if ":" in host else host)
        self._http = _Server(host, self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), name="site", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._http.hang_up()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._name}:{self.port}"

    def secured(self, connection: socket.socket) -> socket.socket:
        """The connection as the site speaks on it."""
        return connection if self._tls is None else self._tls.wrap_socket(connection, server_side=True)


class _Server(ThreadingHTTPServer):
    request_queue_size = BACKLOG
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, site: Site) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._site = site
        self._open: set[socket.socket] = set()
        super().__init__((host, 0), lambda *args: _Handler(site, *args))

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks the name service for our name.
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            connection = self._site.secured(request)
        except OSError:
            request.close()
            return
        self._open.add(connection)
        try:
            super().process_request_thread(connection, client_address)
        finally:
            self._open.discard(connection)

    def hang_up(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is part of many tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, site: Site, *args: Any) -> None:
        self._site = site
        super().__init__(*args)

    def _serve(self) -> None:
        target = urlsplit(self.path)
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
        origin = f"{target.scheme}://{target.netloc}" if target.netloc else ""
        peer = self.client_address[1]
        request = Received(self.command, target.path, target.query, headers, self._body(), origin, peer)
        reply = self._site.answer(request)
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if isinstance(reply.body, bytes):
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in reply.body:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - http.server's names

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Not to stderr."""


def endless(chunk: bytes = b"x" * 4096) -> Iterator[bytes]:
    """A body without end."""
    while True:
        yield chunk
