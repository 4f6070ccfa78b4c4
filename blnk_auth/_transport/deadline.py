"""A deadline for a whole exchange with the authorization server, even if its bytes arrive slowly.

Used by both transports. HTTP clients limit the time of each read, but not of all reads together. When the time is up,
the timer shuts down the connections of the exchange. This ends a read that blocks on them in any thread, also while a
proxy answers CONNECT, and during the TLS handshake. It promises not to end an exchange because this process was
suspended (a stopped container, a paused virtual machine). If the timer acts much too late, no thread could read in the
meantime, and the exchange gets more time. It never decides whether a response is complete; `body` does.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from .._protocol.http_messages import NoResponse
from ..stores._timer import timer
from .addresses import AddressCheck

_LATE = 1.0
"""If the timer acts so many seconds late, the process was suspended. A busy machine delays it less."""

_EXTENSION = 2.0
"""Seconds that an exchange gets after the process was suspended: packets may have to be sent again."""

_MOST_EXTENSIONS = 3


class Deadline:
    """Shuts down the watched connections after `seconds`, unless the `with` block has ended before.

    Its methods may be called from any thread. If no thread can be started, connections are not shut down. Then
    `has_passed`, which is checked after each piece of a response, and the HTTP client's own timeouts apply.

    Args:
        seconds: How long the exchange may take.
        clock: Returns the seconds of a clock that is never set back.
        check: Judges the addresses that are connected to. None: any may be.
    """

    def __init__(
        self, seconds: float, *, clock: Callable[[], float] = time.monotonic, check: AddressCheck | None = None
    ) -> None:
        self._check: AddressCheck | None = check
        self.seconds: float = seconds
        self.may_have_sent: bool = False
        """Whether the request may have been sent, as far as the transport has reported."""
        self._clock: Callable[[], float] = clock
        self.due: float = clock() + seconds
        """When the time is up, by the clock."""
        self._is_over: bool = False
        self._extensions: int = 0
        self._lock: threading.Lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._has_watched: bool = False

    @property
    def has_passed(self) -> bool:
        """Whether the time is up."""
        with self._lock:
            if not self._is_over and self._clock() >= self.due and not self._extend():
                self._cut()
            return self._is_over

    @property
    def nothing_was_sent(self) -> bool:
        """Whether a connection was begun and the request has certainly not been sent on it."""
        return self._has_watched and not self.may_have_sent

    def missed(self) -> NoResponse:
        """The error once the time is up."""
        return NoResponse(f"not complete within {self.seconds:g} seconds", sent=not self.nothing_was_sent)

    def watch(self, connection: socket.socket | None, *, to_proxy: bool = False) -> None:
        """Shut down this connection when the time is up. To be called when it has just been opened, before TLS.

        `to_proxy`: whether it leads to a proxy, whose address is not judged.

        Raises:
            ConfigurationError: The address must not be connected to. The connection has been closed.
        """
        if connection is None:
            return
        if self._check is not None and not to_proxy:
            self._check.judge(connection)
        self._watch(connection)

    def _watch(self, connection: socket.socket) -> None:
        with self._lock, contextlib.suppress(OSError):
            # A duplicate is kept: wrapping a socket in TLS makes a new object, and the old one cannot be used any more.
            self._connections.append(_duplicate(connection))
            self._has_watched = True
            if self._is_over:
                self._cut()

    def watch_reused(self, connection: socket.socket) -> None:
        """Watch a connection that an earlier exchange has opened, before the request is sent on it.

        From now on the request counts as sent: if the server has closed the connection, nobody knows what it has read.
        """
        self.may_have_sent = True
        # Its address was judged when it was opened.
        self._watch(connection)

    def act(self) -> bool:
        """Called by the timer: shut down the connections, unless the process was suspended."""
        return not self.has_passed

    def end(self) -> bool:
        """Stop watching. Returns whether the connections were not shut down; they never will be from now on."""
        timer().discard(self)
        with self._lock:
            while self._connections:
                self._connections.pop().close()
            return not self._is_over

    def _extend(self) -> bool:
        now = self._clock()
        if now - self.due < _LATE or self._extensions == _MOST_EXTENSIONS:
            return False
        self._extensions += 1
        self.due = now + _EXTENSION
        return True

    def _cut(self) -> None:
        self._is_over = True
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        timer().add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def _duplicate(connection: socket.socket) -> socket.socket:
    """Another object for the connection. `connection.dup()` refuses if it uses TLS."""
    descriptor = socket.dup(connection.fileno())
    duplicate = socket.socket(connection.family, connection.type, connection.proto, fileno=descriptor)
    # Whether a connection blocks is a property of the connection, not of the object.
    duplicate.settimeout(connection.gettimeout())
    return duplicate
