"""An address behind which servers change: a TCP relay in the place of a virtual IP, a DNS name or a load balancer.

Used by the tests of fail-over. It counts messages in both directions, so that a test can act exactly between two of
them: kill the server, kill the client, lead the next connection elsewhere. It never looks into what it relays.

A message is what one `recv` returns. With a protocol of requests and answers, and messages as small as ours, that is
one request or one answer.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

from support.limits import PATIENCE


class Relay:
    """Relays every connection that it accepts to 127.0.0.1 at `port`, which a test may change at any time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connections = 0
        """How many it has accepted."""

        self.before_message: Callable[[int], object] = _nothing
        """Is called with the number of each message, from 0 on, before it is passed on. A message for which it returns
        False is not: both connections end.
        """

        self._count = 0
        self._counting = threading.Lock()
        self._changing = threading.Lock()
        self._is_cut = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: set[socket.socket] = {self._listener}
        self._threads: list[threading.Thread] = []
        self.own_port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.before_message = _nothing
        self.cut()
        for thread in tuple(self._threads):
            thread.join(PATIENCE)
        for each in self._sockets:
            each.close()

    def cut(self) -> None:
        """End all connections, and accept no other."""
        # The listener first: a replica connects again within microseconds.
        with self._changing:
            self._is_cut = True
            ending = (self._listener, *self._sockets)
        for each in ending:
            _end(each)

    @property
    def messages(self) -> int:
        """How many messages it has seen since `count_from_here`."""
        return self._count

    def count_from_here(self) -> None:
        """The next message has the number 0."""
        self._count = 0

    def _run(self, work: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=work, args=args, name="relay", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if not self._begins(client):
                    return
                try:
                    server = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
                except OSError:
                    _end(client)
                    continue
                self.connections += 1
                if not self._begins(server):
                    _end(client)
                    return
                server.settimeout(None)
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._run(self._pass_on, client, server)
                self._run(self._pass_on, server, client)

    def _begins(self, connection: socket.socket) -> bool:
        """Whether this connection may be used: not once all have been cut."""
        with self._changing:
            self._sockets.add(connection)
            is_cut = self._is_cut
        if is_cut:
            _end(connection)
        return not is_cut

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while message := source.recv(65_536):
                with self._counting:
                    number, self._count = self._count, self._count + 1
                if self.before_message(number) is False:
                    break
                target.sendall(message)
        # When one side has ended, so does the other.
        _end(source)
        _end(target)


def _nothing(number: int) -> None:
    """Lets every message pass."""


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
