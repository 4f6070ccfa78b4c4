"""A deadline for a whole exchange, however slowly its bytes drip.

HTTP clients bound each read, not their sum. When the time is up, the sockets of the exchange are shut down, which ends
a read that blocks on them in any thread.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

from .._protocol.http_messages import NoAnswer


class Deadline:
    """Cuts the watched sockets after `seconds`, unless left before."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.has_passed = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True
        self._timer.name = "blnk-auth deadline"

    @property
    def has_watched(self) -> bool:
        """Whether a connection was ever made."""
        return bool(self._sockets)

    def missed(self) -> NoAnswer:
        """The error once the time is up. By then the request was sent."""
        return NoAnswer(f"not complete within {self.seconds:g} seconds", sent=True)

    def watch(self, connection: socket.socket | None) -> None:
        """Cut this socket too when the time is up."""
        with self._lock:
            if connection is not None:
                self._sockets.append(connection)
            if self.has_passed:
                self._cut()

    def _pass(self) -> None:
        with self._lock:
            self.has_passed = True
            self._cut()

    def _cut(self) -> None:
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        # Without another thread to be had, the limits of each connection and each read remain.
        with contextlib.suppress(RuntimeError):
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
