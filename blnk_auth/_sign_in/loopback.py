"""The listener that a browser is sent back to: HTTP/1.1 on a loopback address and nothing else (RFC 8252 section 7.3).

h11 reads and writes the protocol; this file adds sockets and limits. One request for each connection, a head of at most
16 KiB, 10 seconds to send it, 32 connections at once, bodies unread. Nobody outside of this machine can connect.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import h11

from .._protocol.origins import is_loopback
from ..errors import ConfigurationError, redacted

_MOST_HEAD_BYTES = 16_384
_MOST_CONNECTIONS = 32
_DEADLINE = 10.0
"""Seconds for a request to arrive, and for its answer to be taken."""

_BACKLOG = 32
_LOCALHOST = ("127.0.0.1", "::1")
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Request:
    """What a connection asked for. `target` is the path with its query, where a code may stand."""

    method: str
    host: str
    target: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What it gets. `afterwards` is called once the answer has been handed over."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    afterwards: Callable[[], object] = lambda: None


Answerer = Callable[[Request], Awaitable[Answer]]


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on a loopback host, all on one port; for `localhost`, on both of its addresses.

    `port` 0 means any free one. Raises `ConfigurationError` if the port is taken, or the host is not this machine.
    """
    if not is_loopback(host):
        raise ConfigurationError(
            f"redirect_uri: {host!r} is not a loopback address, so nothing can listen there", parameter="redirect_uri"
        )
    for tries_left in reversed(range(1 if port else _TRIES)):
        try:
            return _listen_on_all(_LOCALHOST if host == "localhost" else (host,), port)
        except OSError as refused:
            # A port that is free on one address may be taken on the other; then any other one will do.
            if not tries_left or refused.errno != errno.EADDRINUSE:
                raise _cannot_listen(host, port, refused) from None
    raise AssertionError("the last try has returned or raised")


def _listen_on_all(addresses: tuple[str, ...], port: int) -> list[socket.socket]:
    listening: list[socket.socket] = []
    try:
        for address in addresses:
            try:
                listening.append(_listen(address, port))
            except OSError as refused:
                # A machine may have no IPv6, and its `localhost` only one address.
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
            f"port {port} on {host} is in use by another program (or another sign-in); end that one, "
            "pass another port that the provider accepts in redirect_uri (port=0 takes any free "
            "one), or open none and have the address pasted (listen=False",
            parameter="port",
            remedy="blnk-auth login --paste)",
        )
    return ConfigurationError(
        f"port {port} on {host} cannot be listened on ({refused.strerror})",
        parameter="port",
        remedy="pass another port",
    )


async def serve(listening: list[socket.socket], answer: Answerer) -> None:
    """Answer requests until cancelled; then every connection is closed."""
    busy: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as group:
        for each in listening:
            group.create_task(_accept(each, answer, group, busy))


async def _accept(
    listening: socket.socket, answer: Answerer, group: asyncio.TaskGroup, busy: set[asyncio.Task[None]]
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            connection, _ = await loop.sock_accept(listening)
        except OSError:
            # The client was gone already, or the process is out of files: neither may end the sign-in.
            await asyncio.sleep(0.05)
            continue
        if len(busy) >= _MOST_CONNECTIONS:
            connection.close()
            continue
        task = group.create_task(_converse(connection, answer))
        busy.add(task)
        task.add_done_callback(busy.discard)


async def _converse(connection: socket.socket, answer: Answerer) -> None:
    """One request, one answer. What goes wrong with a connection is nobody else's business."""
    wire = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD_BYTES)
    with connection, suppress(OSError, TimeoutError):
        request: Request | None = None
        try:
            async with asyncio.timeout(_DEADLINE):
                request = await _read(connection, wire)
        except h11.RemoteProtocolError as wrong:
            given = Answer(wrong.error_status_hint, {"content-type": "text/plain"}, b"This is no HTTP request.\n")
        else:
            if request is None:
                return
            given = await answer(request)
        wants_body = request is None or request.method != "HEAD"
        async with asyncio.timeout(_DEADLINE):
            await asyncio.get_running_loop().sock_sendall(connection, _written(wire, given, wants_body=wants_body))
            connection.shutdown(socket.SHUT_WR)
        given.afterwards()


async def _read(connection: socket.socket, wire: h11.Connection) -> Request | None:
    """The head of the request; None if the client left without one, as browsers do that connect in advance."""
    loop = asyncio.get_running_loop()
    while True:
        event = wire.next_event()
        if isinstance(event, h11.Request):
            # h11 has seen to it that HTTP/1.1 names one host; HTTP/1.0 may name none.
            host = dict(event.headers).get(b"host", b"")
            return Request(
                event.method.decode("ascii"), host.decode("latin-1"), redacted(event.target.decode("latin-1"))
            )
        if event is not h11.NEED_DATA:
            return None
        wire.receive_data(await loop.sock_recv(connection, 8192))


def _written(wire: h11.Connection, answer: Answer, *, wants_body: bool) -> bytes:
    headers = {**answer.headers, "content-length": str(len(answer.body)), "connection": "close"}
    sent = [wire.send(h11.Response(status_code=answer.status, headers=list(headers.items())))]
    if wants_body:
        sent.append(wire.send(h11.Data(data=answer.body)))
    sent.append(wire.send(h11.EndOfMessage()))
    return b"".join(part or b"" for part in sent)
