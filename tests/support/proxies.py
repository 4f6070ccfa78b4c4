"""An HTTP proxy, and every host there is behind one.

Used by tests of the environment's proxies, and by those that need a redirect from one host to another.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Self

from support.sites import BACKLOG, Answering, Received, Reply, Site


class Proxy:
    """An HTTP proxy; `requests` has what it was asked for, as in `CONNECT acme.test:443`.

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
    """Every host and port there is, reached through a proxy whose every way ends at a site of the test.

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
