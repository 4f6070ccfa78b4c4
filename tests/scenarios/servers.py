"""Small real servers for what the sandbox does not play: other origins, odd answers, TLS, a proxy.

A `Site` is a thread for each connection, so that an answer may block: a test holds it back with an event instead of
sleeping. `Acme` is an authorization server with an API of its own, for the plain `Provider`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

BACKLOG = 2048
PATIENCE = 20.0
"""Seconds after which a wait in a test is a hang."""


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
    """What a site answers; a body that is no bytes is sent chunk by chunk."""

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


class Site:
    """Serves `answer` on its own loopback origin while the `with` block is open.

    with Site(lambda request: Reply(200)) as site:
        httpx.get(site.origin)
        assert site.received[0].authorization is None
    """

    def __init__(
        self, answer: Answering, *, host: str = "127.0.0.1", name: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.received: list[Received] = []
        self._answer = answer
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

    @property
    def authorizations(self) -> list[str | None]:
        """The Authorization header of each request so far."""
        return [request.authorization for request in self.received]

    def answer(self, request: Received) -> Reply:
        self.received.append(request)
        return self._answer(request)

    def dress(self, connection: socket.socket) -> socket.socket:
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
            dressed = self._site.dress(request)
        except OSError:
            request.close()
            return
        self._open.add(dressed)
        try:
            super().process_request_thread(dressed, client_address)
        finally:
            self._open.discard(dressed)

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
            self.wfile.write(reply.body)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in reply.body:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - http.server's names

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


class Hold:
    """A place in a server or a store where work waits until the test lets it go on.

    hold = Hold()
    sandbox.fail_token_requests(Fault(rewrite=hold))   # the answer waits, after the rotation
    ...
    hold.reached.wait()
    hold.release()
    """

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._released = threading.Event()

    def __call__(self, value: Any = None) -> Any:
        self.reached.set()
        assert self._released.wait(PATIENCE), "the test never released this hold"
        return value

    def wait_until_reached(self) -> None:
        assert self.reached.wait(PATIENCE), "nothing came to this hold"

    def release(self) -> None:
        self._released.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Acme:
    """An authorization server at `/token` with an API at every other path.

    It offers refresh_token, without rotation, and client_credentials. `answers` are what the next token requests get
    instead of the usual, either a `Reply` or changes to the usual answer (a value of `None` removes the member).
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, name: str | None = None) -> None:
        self.site = Site(self._answer, tls=tls, name=name)
        self.answers: deque[Reply | dict[str, Any]] = deque()
        self.valid: set[str] = set()
        self.scopes: dict[str, str] = {}
        self._lock = threading.Lock()
        self._issued = 0

    def __enter__(self) -> Self:
        self.site.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.site.__exit__()

    @property
    def origin(self) -> str:
        return self.site.origin

    @property
    def token_requests(self) -> list[Received]:
        return [request for request in self.site.received if request.path == "/token"]

    @property
    def api_requests(self) -> list[Received]:
        return [request for request in self.site.received if request.path != "/token"]

    def issue(self, **changes: Any) -> dict[str, Any]:
        """A token answer; `changes` are members to replace, or with None to leave out."""
        with self._lock:
            self._issued += 1
            token = f"acme-access-token-{self._issued:04}"
        self.valid.add(token)
        usual = {"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": "read", **changes}
        return {name: value for name, value in usual.items() if value is not None}

    def _answer(self, request: Received) -> Reply:
        if request.path == "/token":
            return self._token(request)
        scheme, _, token = (request.authorization or "").partition(" ")
        if scheme != "Bearer" or token not in self.valid:
            return Reply.rejected()
        return Reply.json({"scope": self.scopes.get(token), "body_length": len(request.body)})

    def _token(self, request: Received) -> Reply:
        with self._lock:
            scripted = self.answers.popleft() if self.answers else {}
        if isinstance(scripted, Reply):
            return scripted
        answer = self.issue(**{"scope": request.form.get("scope"), **scripted})
        self.scopes[answer.get("access_token", "")] = request.form.get("scope", "")
        return Reply.json(answer)


class Proxy:
    """An HTTP proxy; `requests` says what it was asked for, as in `CONNECT acme.test:443`.

    `route` may send a tunnel (a target is given) or a request in clear (None) elsewhere than where it is for.
    """

    def __init__(self, route: Callable[[str | None], tuple[str, int]] | None = None) -> None:
        self.requests: list[str] = []
        self.targets: dict[int, str] = {}
        """Of each tunnel, by the port that it leaves from."""
        self._route = route or _address
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._ends: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, name="proxy", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._listening, *self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._ends.append(client)
                threading.Thread(target=self._serve, args=(client,), name="proxied", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = client.recv(65536)
            if not chunk:
                return
            head += chunk
        method, target, _ = head.decode().split(" ", 2)
        self.requests.append(f"{method} {target}")
        is_tunnel = method == "CONNECT"
        server = socket.create_connection(self._route(target if is_tunnel else None))
        self._ends.append(server)
        if is_tunnel:
            self.targets[server.getsockname()[1]] = target
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            server.sendall(head)
        threading.Thread(target=_pump, args=(server, client), name="proxied back", daemon=True).start()
        _pump(client, server)


def _address(target: str | None) -> tuple[str, int]:
    host, _, port = (target or "").rpartition(":")
    return host.strip("[]"), int(port)


class Everywhere:
    """Every host and port there is, reached through a proxy whose every way ends at a site of ours.

    `tls` must have a certificate for the hosts. `answer` may be assigned at any time. `arrived` has each request with
    the origin that it was for, as the client spelled it.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.arrived: list[tuple[str, Received]] = []
        self.answer: Answering = lambda _: Reply(200)
        self._secure = Site(self._answer, tls=tls)
        self._clear = Site(self._answer)
        self._proxy = Proxy(lambda target: ("127.0.0.1", (self._secure if target else self._clear).port))

    @property
    def proxy_url(self) -> str:
        return self._proxy.url

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for part in (self._secure, self._clear, self._proxy):
                stack.enter_context(part)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _answer(self, request: Received) -> Reply:
        origin = request.origin or f"https://{self._proxy.targets[request.peer]}"
        self.arrived.append((origin, request))
        return self.answer(request)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)


def endless(chunk: bytes = b"x" * 4096) -> Iterator[bytes]:
    """A body without end."""
    while True:
        yield chunk
