"""A token endpoint for many grants that keeps books, and kills who asks it at chosen moments.

Used by tests of the recipes that keep many grants alive. It rotates every refresh token, and ends a grant whose spent
token is presented, unless the grant has a grace period: then the last spent token gets the pair that replaced it again.
It runs on a thread of the test, so that the test reads its books. Only who asks for a chosen grant is killed.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs

from support.limits import PATIENCE

Moment = Literal["before", "after", "answered"]
"""When the process that asks is killed: before the rotation, before the answer is sent, or before it is read."""

ProcessOf = Callable[[int, int], int]

MOMENTS: tuple[Moment, ...] = ("before", "after", "answered")


@dataclass
class Books:
    """What happened at the endpoint, by the number of the grant.

    Attributes:
        generations: How often its refresh token was rotated.
        repeated: How often the grace period gave the same pair again.
        reuses: How often a spent token was presented, which ended the grant.
        ended: The grants that have ended.
        killed: Whose process was killed while it renewed them, in order.
        with_grace: The grants that have a grace period.
    """

    generations: Counter[int] = field(default_factory=Counter[int])
    repeated: Counter[int] = field(default_factory=Counter[int])
    reuses: Counter[int] = field(default_factory=Counter[int])
    ended: set[int] = field(default_factory=set[int])
    killed: list[int] = field(default_factory=list[int])
    with_grace: frozenset[int] = frozenset()

    def settled(self, numbers: Iterable[int]) -> set[int]:
        """Those of these grants that were renewed or have ended."""
        return {number for number in numbers if self.generations[number] or number in self.ended}


def refresh_token(number: int, generation: int = 0) -> str:
    """The refresh token of a grant after so many rotations."""
    return f"r-{number}-{generation}-" + "r" * 60


class FleetServer:
    """Answers every POST as a token endpoint. `url`: its token endpoint."""

    def __init__(self) -> None:
        self.books = Books()
        self.moments: dict[int, Moment] = {}
        """At which moment to kill who renews this grant; each once."""
        self.url = ""
        self.connections: set[asyncio.Transport] = set()

    def _answer(self, presented: str) -> tuple[int, dict[str, object]]:
        books = self.books
        _, number, generation, _ = presented.split("-", 3)
        grant, behind = int(number), books.generations[int(number)] - int(generation)
        if grant in books.ended:
            return 400, {"error": "invalid_grant"}
        if behind == 0:
            books.generations[grant] += 1
        elif behind == 1 and grant in books.with_grace:
            books.repeated[grant] += 1
        else:
            books.reuses[grant] += 1
            books.ended.add(grant)
            return 400, {"error": "invalid_grant"}
        current = books.generations[grant]
        pair = {"access_token": f"a-{grant}-{current}", "refresh_token": refresh_token(grant, current)}
        return 200, {**pair, "token_type": "Bearer", "expires_in": 3600}

    def respond(self, presented: str, asker: Callable[[], int], write: Callable[[bytes], None]) -> None:
        """Answer one request. `asker` finds the process that asks."""
        grant = int(presented.split("-", 2)[1])
        moment = self.moments.pop(grant, None)
        pid = 0 if moment is None else asker()
        if pid:
            # On a busy machine it would save this pair and be renewing another grant before it is killed.
            os.kill(pid, signal.SIGSTOP)
        if moment == "before":
            self._kill(pid, grant)
            return
        status, members = self._answer(presented)
        if moment == "after":
            self._kill(pid, grant)
            return
        body = json.dumps(members).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        write(head.encode() + body)
        if moment == "answered":
            self._kill(pid, grant)

    def _kill(self, pid: int, grant: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self.books.killed.append(grant)


class _Connection(asyncio.Protocol):
    """One connection: whole requests in, answers out."""

    def __init__(self, server: FleetServer, process_of: ProcessOf) -> None:
        self._server, self._process_of, self._received = server, process_of, b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._server.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if end and len(body) >= length:
            self._received = body[length:]
            presented = parse_qs(body[:length].decode())["refresh_token"][0]
            self._server.respond(presented, self._asker, self._transport.write)

    def _asker(self) -> int:
        ends = (self._transport.get_extra_info(end)[1] for end in ("peername", "sockname"))
        return self._process_of(*ends)


@contextmanager
def serving_fleet(process_of: ProcessOf) -> Generator[FleetServer]:
    """The server while the block lasts. `process_of` finds the asker by the two ports of its connection."""
    server, started = FleetServer(), threading.Event()
    loop = asyncio.new_event_loop()

    async def listen() -> asyncio.Server:
        make = functools.partial(_Connection, server, process_of)
        listening = await loop.create_server(make, "127.0.0.1", 0, backlog=1024)
        server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/token"
        return listening

    def run() -> None:
        asyncio.set_event_loop(loop)
        listening = loop.run_until_complete(listen())
        started.set()
        loop.run_forever()
        listening.close()
        for transport in server.connections:
            transport.abort()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(PATIENCE)
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
