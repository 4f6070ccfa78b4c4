"""HTTP clients of one connection each, which are kept between two exchanges with the authorization server.

Used by both transports through `Network`. Opening a connection, with its TLS handshake, costs more than the rest of a
renewal. What this file promises:

* One exchange at a time uses a client, so that its deadline knows the socket before the request is sent.
* A client is kept only after a response that arrived whole, within its deadline, on a connection that is still open.
  After anything else it is closed, with all others of its origin: what ended one connection may have ended them all.
* A connection is used again only if nothing has arrived on it. Between two exchanges, bytes that arrive are the end of
  the connection, or belong to no request.
* An idle client is closed by the timer, also if nothing else happens. It is closed with its `Network`, and at exit.
* A forked child closes its copies of idle sockets. Nothing is sent on them: they are the parent's connections.

It never sends a request, and never repeats one.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from .._protocol.http_messages import Package
from ..stores._forks import reset_in_child
from ..stores._timer import timer
from .addresses import AddressRule
from .deadline import Deadline

MOST_IDLE_SECONDS = 1.5
"""How long a client may be idle. Most servers close idle connections after five seconds or more, few after two. Few
connections end in so short a time, so few requests are sent on one that the server is just closing."""

MOST_SECONDS = 60.0
"""How old a connection may become, so that a change of the server's address is noticed."""

MOST_IDLE = 16
"""How many idle clients are kept for each origin: what the threads of one process can use at a time."""

_TIMEOUT = re.compile(r"(?:^|[,\s])timeout\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)


class ClientKey(NamedTuple):
    """What must be equal for a client to be used again.

    Attributes:
        package: The HTTP package.
        origin: Scheme, host and port of the URL.
        tls: The TLS context, which is another one when the client's certificate has been renewed. None: the default.
        proxy: The proxy that the user named.
        environment: The values of the environment that name a proxy; None if they are not used.
        addresses: The rule that has judged the address of its connection; None: any address may be connected to.
    """

    package: Package
    origin: tuple[str, str]
    tls: ssl.SSLContext | None
    proxy: str | None
    environment: tuple[str | None, ...] | None
    addresses: AddressRule | None = None


class LentClient:
    """An HTTP client that one exchange uses.

    Attributes:
        key: For which exchanges it can be used.
        client: The package's client, with a method `close`.
    """

    __slots__ = ("_connection", "_idle_seconds", "_idle_since", "_opened_at", "client", "key")

    def __init__(self, key: ClientKey, client: Any, now: float) -> None:
        self.key = key
        self.client = client
        self._opened_at: float = now
        self._idle_since: float = now
        self._idle_seconds: float = 0.0
        self._connection: socket.socket | None = None

    def can_be_kept(self, connection: socket.socket | None, keep_alive: str) -> None:
        """To be called when the response has been read to its end, and closed.

        Args:
            connection: The only connection of the client; None if it is not known, or must not be used again.
            keep_alive: The header `Keep-Alive` of the response.
        """
        self._connection = connection
        named = _TIMEOUT.search(keep_alive)
        # Half of what the server names: it counts from an earlier moment, and the next request takes time to arrive.
        self._idle_seconds = min(MOST_IDLE_SECONDS, int(named[1]) / 2) if named else MOST_IDLE_SECONDS

    def put_back(self, now: float) -> None:
        """Begin to be idle."""
        self._idle_since = now

    def take(self) -> socket.socket | None:
        """The connection on which the next request will be sent; None if it cannot be used any more."""
        connection, self._connection = self._connection, None
        return connection if connection is not None and _is_silent(connection) else None

    def seconds_left(self, now: float) -> float:
        """How long it may remain idle. Also 0 if the clock was set back."""
        idle, age = now - self._idle_since, now - self._opened_at
        return 0.0 if idle < 0 else min(self._idle_seconds - idle, MOST_SECONDS - age)

    @property
    def is_open(self) -> bool:
        """Whether it has a connection that may be used again."""
        return self._connection is not None and self._connection.fileno() >= 0

    def close(self) -> None:
        """Close the client and its connection."""
        with contextlib.suppress(Exception):
            self.client.close()

    def forget(self) -> None:
        """Close this process's copy of the connection, which is its parent's. Nothing is sent."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                # Python sends nothing when it closes a socket, also with TLS.
                self._connection.close()


def _seconds() -> float:
    """The seconds of a clock that is never set back, and does not stop while the machine sleeps, where there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class KeptClients:
    """The clients that are kept for one `Network`. May be used from any thread.

    Args:
        clock: Returns the seconds of a clock that is never set back.
    """

    def __init__(self, clock: Callable[[], float] = _seconds) -> None:
        self.due: float = 0.0
        """When the timer looks for clients that have been idle for too long, by `time.monotonic`."""
        self._clock: Callable[[], float] = clock
        self._idle: list[LentClient] = []
        self._is_closed: bool = False
        # It is reentrant: the garbage collector may call `abandon` at any moment.
        self._lock = threading.RLock()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: the connections are the parent's."""
        self._lock = threading.RLock()
        idle, self._idle = self._idle, []
        for lent in idle:
            lent.forget()

    @contextlib.contextmanager
    def lend(self, key: ClientKey, make: Callable[[], Any], deadline: Deadline) -> Generator[LentClient]:
        """A client for one exchange: a kept one, else a new one from `make`.

        It is kept again if `can_be_kept` was called with a connection, and the deadline has not cut it.

        Args:
            key: What must be equal for a kept client.
            make: Makes a client. What it raises reaches the caller.
            deadline: The deadline of the exchange. It is made to watch the connection of a kept client.
        """
        lent = self._take(key, deadline) or LentClient(key, make(), self._clock())
        try:
            yield lent
        except BaseException:
            lent.close()
            self._close_those(lambda each: each.key.origin == key.origin)
            raise
        # The deadline must not cut the connection of the next exchange.
        if deadline.end() and lent.is_open and self._put_back(lent):
            return
        lent.close()

    def act(self) -> bool:
        """Close what has been idle for too long. Returns whether any client is left."""
        self._close_those(lambda _: False)
        with self._lock:
            left = [lent.seconds_left(self._clock()) for lent in self._idle]
            self.due = time.monotonic() + max(min(left, default=0.0), 0.0)
            return bool(left)

    def close(self) -> None:
        """Close all idle clients, and keep none from now on. Exchanges that run now end as usual. May be repeated."""
        self.abandon()
        timer().discard(self)

    def abandon(self) -> None:
        """The same as `close`, for a finalizer. The timer finds out by itself."""
        self._is_closed = True
        self._close_those(lambda _: True)

    def _take(self, key: ClientKey, deadline: Deadline) -> LentClient | None:
        while (lent := self._newest(key)) is not None:
            connection = lent.take()
            if connection is not None:
                deadline.watch_reused(connection)
                return lent
            lent.close()
        return None

    def _newest(self, key: ClientKey) -> LentClient | None:
        with self._lock:
            now = self._clock()
            for lent in reversed(self._idle):
                if lent.key == key and lent.seconds_left(now) > 0:
                    self._idle.remove(lent)
                    return lent
        return None

    def _put_back(self, lent: LentClient) -> bool:
        """Whether the client is kept."""
        now = self._clock()
        lent.put_back(now)
        with self._lock:
            if self._is_closed or lent.seconds_left(now) <= 0:
                return False
            self._idle.append(lent)
            same = [each for each in self._idle if each.key.origin == lent.key.origin]
            surplus = same[:-MOST_IDLE]
            self._idle = [each for each in self._idle if each not in surplus]
            is_first = len(self._idle) == 1
            if is_first:
                self.due = time.monotonic() + lent.seconds_left(now)
        for each in surplus:
            each.close()
        # Without a timer, nothing would ever close it.
        if is_first and not timer().add(self):
            self._close_those(lambda _: True)
        return True

    def _close_those(self, chosen: Callable[[LentClient], bool]) -> None:
        """Close the idle clients that are chosen, and all that have been idle for too long."""
        with self._lock:
            now = self._clock()
            ended = [lent for lent in self._idle if lent.seconds_left(now) <= 0 or chosen(lent)]
            self._idle = [lent for lent in self._idle if lent not in ended]
        for lent in ended:
            lent.close()


def _is_silent(connection: socket.socket) -> bool:
    """Whether the connection is open, and nothing has arrived on it that was not read."""
    if connection.fileno() < 0 or (isinstance(connection, ssl.SSLSocket) and connection.pending()):
        return False
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        return not poll.poll(0)
    return not select.select([connection], [], [], 0)[0]
