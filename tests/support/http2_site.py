"""A real HTTP/2 server over TLS: one connection for many requests, which share its fate.

Used by scenarios over HTTP/2. It answers like `sites.Site`, each request in a thread of its own, so that an answer may
block. It shows what the client did with each connection, and can announce its end (GOAWAY).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame
from support.sites import Answering, AnyHttpSite, Received

ANSWERED_TOGETHER = 100


@dataclass(frozen=True, slots=True)
class Connection:
    """What a client did with one connection."""

    streams: list[int] = field(default_factory=list[int])
    """The ids of its requests."""
    names: set[str] = field(default_factory=set[str])
    """The names of the headers that it sent, as they arrived."""
    reset: list[int] = field(default_factory=list[int])
    """The ids of the requests that it cancelled."""


class Http2Site(AnyHttpSite):
    """Serves `answer` over HTTP/2 and TLS on its own loopback origin while the `with` block is open.

    Args:
        answer: Called for each request; may block.
        tls: The certificate of the server.
        most_streams: How many requests of one connection it answers together.
        goes_away_after: After the answer to this many requests of a connection it announces the connection's end, and
            answers no other request on it. None: never.
    """

    def __init__(
        self, answer: Answering, tls: ssl.SSLContext, *, most_streams: int = 100, goes_away_after: int | None = None
    ) -> None:
        tls.set_alpn_protocols(["h2"])
        super().__init__(answer)
        self.connections: list[Connection] = []
        self.most_streams = most_streams
        self.goes_away_after = goes_away_after
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._threads = ThreadPoolExecutor(ANSWERED_TOGETHER, "http2 site")
        self._thread = threading.Thread(target=self._loop.run_forever, name="http2 site", daemon=True)
        self._open: set[asyncio.Task[Any]] = set()
        self.port = 0

    def __enter__(self) -> Self:
        self._loop.set_default_executor(self._threads)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._threads.shutdown()
        self._loop.close()

    @property
    def origin(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)

    async def _hang_up(self) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        seen = Connection()
        self.connections.append(seen)
        try:
            await _Serving(self, seen, reader, writer).run()
        except (OSError, asyncio.CancelledError, ProtocolError):
            """The client has left, or the test is over."""
        finally:
            self._open.discard(task)
            writer.transport.abort()


class _Serving:
    """One connection."""

    def __init__(
        self, site: Http2Site, seen: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._site = site
        self._seen = seen
        self._reader = reader
        self._writer = writer
        self._peer: int = writer.get_extra_info("peername")[1]
        self._requests: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._answers: dict[int, asyncio.Task[None]] = {}
        self._moved = asyncio.Condition()
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        limits = {SettingCodes.MAX_CONCURRENT_STREAMS: site.most_streams}
        self._h2.local_settings = Settings(client=False, initial_values=limits)

    async def run(self) -> None:
        self._h2.initiate_connection()
        await self._flush()
        try:
            while data := await self._reader.read(65536):
                for event in self._h2.receive_data(data):
                    if isinstance(event, ConnectionTerminated):
                        return
                    await self._handle(event)
                await self._flush()
        finally:
            for answer in self._answers.values():
                answer.cancel()

    async def _handle(self, event: object) -> None:
        if isinstance(event, RequestReceived):
            headers = {str(name): str(value) for name, value in event.headers}
            self._seen.names.update(headers)
            self._requests[event.stream_id] = (headers, bytearray())
        elif isinstance(event, DataReceived):
            self._requests[event.stream_id][1].extend(event.data)
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self._begin(event.stream_id)
        elif isinstance(event, StreamReset):
            self._seen.reset.append(event.stream_id)
            if event.stream_id in self._answers:
                self._answers[event.stream_id].cancel()
        elif isinstance(event, WindowUpdated):
            async with self._moved:
                self._moved.notify_all()

    def _begin(self, stream: int) -> None:
        last = self._site.goes_away_after
        if last is not None and len(self._seen.streams) >= last:
            # Announced as the end: a client sends this request again, on another connection.
            return
        self._seen.streams.append(stream)
        headers, body = self._requests.pop(stream)
        path, _, query = headers.pop(":path").partition("?")
        method = headers.pop(":method")
        request = Received(method, path, query, headers, bytes(body), peer=self._peer)
        self._answers[stream] = asyncio.create_task(self._respond(stream, request))

    async def _respond(self, stream: int, request: Received) -> None:
        reply = await asyncio.to_thread(self._site.answer, request)
        headers = {name.lower(): value for name, value in reply.headers.items()}
        if isinstance(reply.body, bytes):
            headers["content-length"] = str(len(reply.body))
        with contextlib.suppress(ProtocolError, OSError):
            self._h2.send_headers(stream, [(":status", str(reply.status)), *headers.items()])
            await self._flush()
            async for chunk in _chunks(reply.body):
                await self._send(stream, chunk)
            self._h2.end_stream(stream)
            if self._seen.streams[-1] == stream and len(self._seen.streams) == self._site.goes_away_after:
                self._writer.write(self._h2.data_to_send() + self._farewell(stream))
            await self._flush()

    def _farewell(self, last_stream: int) -> bytes:
        # h2 itself would refuse to send anything after it.
        return GoAwayFrame(0, last_stream_id=last_stream, error_code=ErrorCodes.NO_ERROR).serialize()

    async def _send(self, stream: int, chunk: bytes) -> None:
        while chunk:
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if room == 0:
                async with self._moved:
                    await self._moved.wait()
                continue
            some, chunk = chunk[:room], chunk[room:]
            self._h2.send_data(stream, some)
            await self._flush()

    async def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
        await self._writer.drain()


async def _chunks(body: bytes | Iterable[bytes]) -> AsyncIterator[bytes]:
    """The body piece by piece; waiting for the next one blocks a thread, not the server."""
    if isinstance(body, bytes):
        yield body
        return
    pieces: Iterator[bytes] = iter(body)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
