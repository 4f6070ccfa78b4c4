"""The HTTP server to which the browser is redirected: HTTP/1.1 on a loopback address (RFC 8252 section 7.3).

Used by the interactive sign-in. h11 reads and writes the protocol; this file adds sockets and limits:

* It listens on loopback addresses only, so no other machine can connect.
* It accepts one request for each connection, with a head of at most 16 KiB, sent within 10 seconds, and 32 connections
  at a time. If there are more, the connection that has waited longest without sending its request is closed, so idle
  connections cannot keep the browser out.
* It never reads a request's body, and never decides what a request means: that is the caller's `respond`.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import h11

from .._protocol.origins import is_loopback
from ..errors import ConfigurationError, redacted

_MAX_HEAD_BYTES = 16_384
_MAX_CONNECTIONS = 32
_DEADLINE = 10.0
"""Seconds in which a request must arrive, and seconds in which the client must read the response."""

_BACKLOG = 32
_LOCALHOST = ("127.0.0.1", "::1")
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_PORT_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request.

    Attributes:
        method: As it was sent, such as `GET`.
        host: The `Host` header; empty if HTTP/1.0 sent none.
        target: The path with its query, which may contain a code.
        headers: By lower-case name.
    """

    method: str
    host: str
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False, default_factory=dict[str, str])


def _do_nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Response:
    """What is sent back.

    Attributes:
        status: The HTTP status.
        headers: Without `content-length` and `connection`, which are added.
        body: Sent unless the request was a HEAD.
        on_sent: Called once the response has been handed to the operating system.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    on_sent: Callable[[], object] = _do_nothing


Respond = Callable[[Request], Awaitable[Response]]
"""Decides the response to a request. It must not raise."""


# --- sockets ---------------------------------------------------------------------------------------------------------


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on a loopback host, all on one port.

    Args:
        host: A loopback address, or `localhost`, which means both 127.0.0.1 and ::1.
        port: 0 means any free port.

    Raises:
        ConfigurationError: The host is not a loopback address, or the port cannot be listened on.
    """
    if not is_loopback(host):
        raise ConfigurationError(
            f"redirect_uri: {host!r} is not a loopback address, so nothing can listen there",
            remedy="use http://127.0.0.1/callback or http://localhost/callback",
            parameter="redirect_uri",
        )
    addresses = _LOCALHOST if host == "localhost" else (host,)
    for attempts_left in reversed(range(1 if port else _PORT_ATTEMPTS)):
        try:
            return _listen_on_all(addresses, port)
        except OSError as refused:
            # A free port on one address may be in use on the other. Then another port is tried.
            if not attempts_left or refused.errno != errno.EADDRINUSE:
                raise _cannot_listen(host, port, refused) from None
    raise AssertionError("the last attempt has returned or raised")


def listen_on_first(host: str, ports: Iterable[int]) -> list[socket.socket]:
    """Like `listen`, on the first of these ports that is free. An empty list: none is."""
    for port in ports:
        with suppress(ConfigurationError):
            return listen(host, port)
    return []


def _listen_on_all(addresses: tuple[str, ...], port: int) -> list[socket.socket]:
    listening: list[socket.socket] = []
    try:
        for address in addresses:
            try:
                listening.append(_listen(address, port))
            except OSError as refused:
                # A machine may have no IPv6, and then its `localhost` has only one address.
                if not listening or refused.errno not in _NO_SUCH_ADDRESS:
                    raise
            port = listening[0].getsockname()[1]
    except OSError:
        for each in listening:
            each.close()
        raise
    return listening


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        # On Windows SO_REUSEADDR would let another process take the port from us; elsewhere it only skips the wait for
        # old connections to time out.
        exclusive: int | None = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR if exclusive is None else exclusive, 1)
        listening.bind((address, port))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def _cannot_listen(host: str, port: int, refused: OSError) -> ConfigurationError:
    if refused.errno == errno.EADDRINUSE:
        return ConfigurationError(
            f"port {port} on {host} is in use by another program, or by another sign-in",
            parameter="port",
            remedy=(
                "end that one, or pass another port that the provider accepts in redirect_uri (port=0 takes any free "
                "one), or open no port and have the address pasted (listen=False, blnk-auth login --paste)"
            ),
        )
    return ConfigurationError(
        f"port {port} on {host} cannot be listened on ({refused.strerror})",
        parameter="port",
        remedy="pass another port",
    )


# --- connections -----------------------------------------------------------------------------------------------------


async def serve(listening: list[socket.socket], respond: Respond) -> None:
    """Respond to requests until cancelled; then every connection is closed."""
    async with asyncio.TaskGroup() as group:
        connections = _Connections(group, respond)
        for each in listening:
            group.create_task(connections.accept_from(each))


class _Connections:
    """The open connections of one server. `_reading` has those whose request has not arrived, the oldest first."""

    def __init__(self, group: asyncio.TaskGroup, respond: Respond) -> None:
        self._group = group
        self._respond = respond
        self._open: set[asyncio.Task[None]] = set()
        self._reading: dict[socket.socket, asyncio.Task[None]] = {}

    async def accept_from(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError:
                # The client has closed the connection, or the process has too many open files. Neither may end the
                # sign-in.
                await asyncio.sleep(0.05)
                continue
            if len(self._open) >= _MAX_CONNECTIONS and not self._close_oldest_idle():
                connection.close()
            else:
                self._add(connection)

    def _add(self, connection: socket.socket) -> None:
        task = self._group.create_task(self._converse(connection))
        self._open.add(task)
        self._reading[connection] = task

        def ended(task: asyncio.Task[None]) -> None:
            self._open.discard(task)
            self._reading.pop(connection, None)
            # Here and not in the task: a task that is cancelled before it has begun runs nothing at all.
            connection.close()

        task.add_done_callback(ended)

    def _close_oldest_idle(self) -> bool:
        """Make room for a new connection; whether that was possible.

        A program that holds idle connections must not keep the browser out. The browser sends its request as soon as it
        connects, so its connection is never the one that has waited longest.
        """
        oldest = next(iter(self._reading), None)
        if oldest is None:
            return False
        task = self._reading.pop(oldest)
        self._open.discard(task)
        return task.cancel()

    async def _converse(self, connection: socket.socket) -> None:
        """Read one request and send one response. A failure does not affect other connections."""
        protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
        with suppress(OSError, TimeoutError):
            request: Request | None = None
            try:
                async with asyncio.timeout(_DEADLINE):
                    request = await _read(connection, protocol)
            except h11.RemoteProtocolError as error:
                response = Response(
                    error.error_status_hint, {"content-type": "text/plain"}, b"This is not an HTTP request.\n"
                )
            else:
                if request is None:
                    return
                self._reading.pop(connection, None)
                response = await self._respond(request)
            wants_body = request is None or request.method != "HEAD"
            async with asyncio.timeout(_DEADLINE):
                sent = _encoded(protocol, response, wants_body=wants_body)
                await asyncio.get_running_loop().sock_sendall(connection, sent)
                connection.shutdown(socket.SHUT_WR)
            response.on_sent()


async def _read(connection: socket.socket, protocol: h11.Connection) -> Request | None:
    """The head of the request; None if the client sent none: some browsers connect in advance and disconnect."""
    loop = asyncio.get_running_loop()
    while True:
        event = protocol.next_event()
        if isinstance(event, h11.Request):
            # h11 has checked that HTTP/1.1 names one host; HTTP/1.0 may name none.
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
            target = redacted(event.target.decode("latin-1"))
            return Request(event.method.decode("ascii"), headers.get("host", ""), target, headers)
        if event is not h11.NEED_DATA:
            return None
        protocol.receive_data(await loop.sock_recv(connection, 8192))


def _encoded(protocol: h11.Connection, response: Response, *, wants_body: bool) -> bytes:
    headers = {**response.headers, "content-length": str(len(response.body)), "connection": "close"}
    sent = [protocol.send(h11.Response(status_code=response.status, headers=list(headers.items())))]
    if wants_body:
        sent.append(protocol.send(h11.Data(data=response.body)))
    sent.append(protocol.send(h11.EndOfMessage()))
    return b"".join(part or b"" for part in sent)
