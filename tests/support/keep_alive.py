"""A server that answers more than once on a connection, in clear or over TLS, and knows which one each request took.

Used by the tests of kept connections. What it sends is written out as bytes, so that it can be wrong.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

from support.certificates import Certificates
from support.limits import PATIENCE
from support.providers import acme_at

from blnk_auth import MemoryStore, OAuthClient, RenewalPolicy, Token
from blnk_auth._protocol.http_messages import HttpRequest, HttpResponse, Package
from blnk_auth._transport.network import Network, transport_for
from blnk_auth.testing import Clock

PAIR = b'{"access_token": "at-1", "refresh_token": "rt-1", "token_type": "Bearer", "expires_in": 3600}'
PACKAGES: tuple[Package, ...] = ("httpx", "httpx2", "requests")
BODY = b"grant_type=refresh_token&refresh_token=rt-of-alice"

Sent = bytes | Iterator[bytes | float] | None
"""What the server sends: bytes, also one after the other with the seconds in between. None: it ends the connection."""

Answering = Callable[[int], Sent]
"""Takes the number of the request, counted from 0 over all connections."""


def whole(body: bytes = b"{}", *headers: str, status: str = "200 OK") -> bytes:
    """A response of HTTP/1.1 with a length."""
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers))
    return head.encode() + b"\r\n\r\n" + body


class KeepAliveServer:
    """Serves `answer` while the `with` block is open.

    Attributes:
        requests: The connection of each request, counted from 0.
        received: The head of each request.
        opened: The connections so far; `opened[n].close()` ends one.
    """

    def __init__(self, answer: Answering = lambda _: whole(), *, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.requests: list[int] = []
        self.received: list[bytes] = []
        self.opened: list[socket.socket] = []
        self.ended = threading.Semaphore(0)
        """Released once for each connection that has ended."""
        self._tls = tls
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._threads: list[threading.Thread] = []

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"

    def hang_up(self) -> None:
        """End all connections, as a server that is restarted, and wait until each has ended."""
        for connection in self.opened:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(PATIENCE)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        socket.create_connection(self._listener.getsockname()).close()
        self._threads[0].join(PATIENCE)
        self.hang_up()
        self._listener.close()

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, name="keep-alive server", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closing.is_set():
                connection.close()
                return
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with self._lock:
                number = len(self.opened)
                self.opened.append(connection)
            while self._one(connection, number):
                pass
        connection.close()
        self.ended.release()

    def _one(self, connection: socket.socket, number: int) -> bool:
        head = self._read(connection)
        if head is None:
            return False
        with self._lock:
            count = len(self.requests)
            self.requests.append(number)
            self.received.append(head)
        answer = self.answer(count)
        if answer is None:
            return False
        for piece in [answer] if isinstance(answer, bytes) else answer:
            if isinstance(piece, bytes):
                connection.sendall(piece)
            elif self._closing.wait(piece):
                return False
        return True

    @staticmethod
    def _read(connection: socket.socket) -> bytes | None:
        """The head of the next request, whose body is read too; None at the end of the connection."""
        received = b""
        while b"\r\n\r\n" not in received:
            if not (more := connection.recv(65536)):
                return None
            received += more
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        while len(body) < length:
            if not (more := connection.recv(65536)):
                return None
            body += more
        return head


class Steps:
    """A clock that a test moves, so that a machine that is busy closes no connection."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class RealWorld:
    """A server that issues a pair for each request, and a user whose token has expired. Use it in a `with` block."""

    def __init__(self) -> None:
        self._server = KeepAliveServer(lambda _: whole(PAIR))
        self._clock = Clock()

    def __enter__(self) -> Self:
        self._server.__enter__()
        self.token_url, self.api_url = f"{self._server.origin}/token", f"{self._server.origin}/api"
        client = OAuthClient(
            acme_at(self._server.origin), client_id="id", client_secret="s3cret", store=MemoryStore(), clock=self._clock
        )
        client._state.network.kept._clock = Steps()
        self.alice = client.for_subject("alice")
        self.alice.adopt(Token("at-0", refresh_token="rt-0", expires_at=1.0))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.__exit__(*exc_info)

    def expire(self) -> None:
        """The token of the user expires."""
        self._clock.advance(3601)

    @property
    def token_requests(self) -> list[int]:
        """The connection of each token request so far."""
        pairs = zip(self._server.requests, self._server.received, strict=True)
        return [connection for connection, head in pairs if head.startswith(b"POST /token")]


def network_for(certificates: Certificates, **settings: Any) -> Network:
    """How a server with these certificates is reached; limits of the policy are among the settings."""
    limits = {name: settings.pop(name) for name in list(settings) if hasattr(RenewalPolicy(), name)}
    network = Network(policy=RenewalPolicy(**limits), **{"verify": certificates.ca_file, **settings})
    network.kept._clock = Steps()
    return network


def send(package: Package, network: Network, origin: str) -> HttpResponse:
    """One token request."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return transport_for(package, network).send(HttpRequest("POST", f"{origin}/token", headers, BODY))
