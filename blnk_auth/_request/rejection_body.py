"""Reads or discards the body of a rejection, in httpx, httpx2 and requests.

Used by the auth classes. A provider may judge a rejection by its body (`Provider.reads_rejection_body`). Before a
request is repeated, the rejected response must free its connection. Its body may be endless, slow, broken, or a
compression bomb. What this file promises:

* At most `MAX_REJECTION_BYTES` are read and judged, counted after decoding. Two kinds of bodies are not judged: those
  with more than one content coding, and streams of events, whose reader would have to wait.
* The body of an error is read for at most `MAX_REJECTION_SECONDS`, even if the client's timeouts are longer. Other
  bodies (if 200 is a rejection status) are read with the client's timeouts.
* The caller can still read the whole body of a response that is returned. If the connection was lost in the body, the
  caller gets that error.
* After `discard` the connection is free again, or closed.
* Over HTTP/2, where other requests share the connection, at most `MAX_SHARED_BYTES` are read to free it, with the
  client's own read timeout: a shorter one would end the other requests too. If that is not enough, the response is
  returned to the caller, and the request is not repeated.

It never reads more than that. In httpx `response.close()` is not enough: when the auth flow sends another request, the
client reads the response before it, and fails if that one is closed.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self

from ..stores._timer import timer
from .resumed import BrokenOff, BrokenOffRaw, EndedRaw, ResumedRaw, read_some, resumed_stream_class

if TYPE_CHECKING:
    import httpx
    import requests

MAX_REJECTION_BYTES = 16_384
"""How much of a rejection's body is read, to judge it and to free its connection."""

MAX_REJECTION_SECONDS = 5.0
"""How long reading it may take."""

MAX_SHARED_BYTES = 1 << 20
"""How much of it is read over HTTP/2 to free its connection: httpcore does not cancel a stream that is closed early
(encode/httpcore issue 943), so it would use up one of the connection's streams, and a part of its window."""

_SHARED = (b"HTTP/2", b"HTTP/3")

_STREAMS = (
    *("text/event-stream", "application/x-ndjson", "application/jsonl", "application/json-seq"),
    *("application/grpc", "multipart/x-mixed-replace"),
)
"""Media types whose body callers read while it arrives."""


def may_be_judged(headers: Mapping[str, str]) -> bool:
    """Whether a body can be judged, by its headers."""
    is_stream = headers.get("content-type", "").strip().lower().startswith(_STREAMS)
    return not is_stream and "," not in headers.get("content-encoding", "") and not is_too_long(headers)


def is_too_long(headers: Mapping[str, str], limit: int = MAX_REJECTION_BYTES) -> bool:
    """Whether a response announces a body that is longer than `limit`."""
    length = headers.get("content-length", "").strip()
    return length.isdecimal() and (len(length) > len(str(limit)) or int(length) > limit)


class HttpxRejectionBody:
    """The body of a rejection in httpx or httpx2. A `Wait`, whose result is the body."""

    def __init__(self, package: Any, response: httpx.Response) -> None:
        self._package = package
        self._response = response
        self._stream: Any = response.stream
        self._rest: Any = None
        self._chunks: list[bytes] = []
        self._length = 0
        self._limit = MAX_REJECTION_BYTES
        self._is_complete = False
        self._is_shared = response.extensions.get("http_version") in _SHARED
        self._give_up_at = time.monotonic() + MAX_REJECTION_SECONDS

    def wait(self) -> bytes | None:
        """The decoded body; None if it is too long, too slow, breaks off, or cannot be judged."""
        if not self._response.is_stream_consumed and may_be_judged(self._response.headers):
            self._read(is_limited=self._response.is_error)
        return self._decoded()

    async def wait_async(self) -> bytes | None:
        """The same for a coroutine."""
        if not self._response.is_stream_consumed and may_be_judged(self._response.headers):
            await self._aread(is_limited=self._response.is_error)
        return self._decoded()

    def discard(self) -> bool:
        """Free the connection, so that the request can be repeated, even through a pool of one.

        False if that is impossible: the caller can still read the whole response.
        """
        if self._should_be_read():
            self._read(is_limited=True)
        if self._occupies_connection():
            return False
        if self._decoded() is None:
            self._stream.close()
            self._make_empty()
        return True

    async def adiscard(self) -> bool:
        """The same for a coroutine."""
        if self._should_be_read():
            await self._aread(is_limited=True)
        if self._occupies_connection():
            return False
        if self._decoded() is None:
            await self._stream.aclose()
            self._make_empty()
        return True

    def _should_be_read(self) -> bool:
        if not self._is_shared:
            is_begun = self._response.is_stream_consumed or self._rest is not None
            return not is_begun and not is_too_long(self._response.headers)
        self._limit = MAX_SHARED_BYTES
        return self._occupies_connection() and not is_too_long(self._response.headers, MAX_SHARED_BYTES)

    def _occupies_connection(self) -> bool:
        is_over = self._is_complete or self._response.is_stream_consumed or isinstance(self._rest, BrokenOff)
        return self._is_shared and not is_over

    def _read(self, *, is_limited: bool) -> None:
        with self._read_timeout(is_limited=is_limited):
            self._rest = iter(self._stream) if self._rest is None else self._rest
            try:
                for chunk in self._rest:
                    if self._is_enough(chunk):
                        return self._make_resumable()
            except self._package.TransportError as error:
                self._rest = BrokenOff(error)
                return self._make_resumable()
        self._stream.close()
        return self._make_whole()

    async def _aread(self, *, is_limited: bool) -> None:
        with self._read_timeout(is_limited=is_limited):
            self._rest = aiter(self._stream) if self._rest is None else self._rest
            try:
                async for chunk in self._rest:
                    if self._is_enough(chunk):
                        return self._make_resumable()
            except self._package.TransportError as error:
                self._rest = BrokenOff(error)
                return self._make_resumable()
        await self._stream.aclose()
        return self._make_whole()

    @contextlib.contextmanager
    def _read_timeout(self, *, is_limited: bool) -> Generator[None]:
        """Shorten the client's read timeout. The transport looks it up when it begins to read the body."""
        if not is_limited:
            yield
            return
        extensions = self._response.request.extensions
        timeouts: dict[str, float | None] | None = extensions.get("timeout")
        read = None if timeouts is None else timeouts.get("read")
        if read is None or not self._is_shared:
            read = MAX_REJECTION_SECONDS if read is None else min(read, MAX_REJECTION_SECONDS)
        extensions["timeout"] = {**(timeouts or {}), "read": read}
        try:
            yield
        finally:
            extensions["timeout"] = timeouts or {}

    def _is_enough(self, chunk: bytes) -> bool:
        self._chunks.append(chunk)
        self._length += len(chunk)
        return self._length > self._limit or time.monotonic() > self._give_up_at

    def _make_resumable(self) -> None:
        self._response.stream = resumed_stream_class(self._package)(self._chunks, self._rest, self._stream)

    def _make_whole(self) -> None:
        self._is_complete = True
        self._response.stream = self._package.ByteStream(b"".join(self._chunks))

    def _make_empty(self) -> None:
        """Leave nothing to read: the client reads the response before it sends the request again."""
        self._response.stream = self._package.ByteStream(b"")
        # The client must think that the body has not been read, even if the caller's response hook has read it.
        self._response.is_stream_consumed = self._response.is_closed = False

    def _decoded(self) -> bytes | None:
        if self._is_complete:
            return _decoded(self._package, self._response.headers.get("content-encoding"), b"".join(self._chunks))
        if not self._response.is_stream_consumed:
            return None
        try:
            # A response hook of the caller, or a mock transport, has read it already.
            return self._response.content
        except self._package.ResponseNotRead:
            return None


def _decoded(package: Any, coding: str | None, raw: bytes) -> bytes | None:
    """The body without its content coding; None if that is too long, broken, or of more than one coding."""
    if not coding:
        return raw
    if "," in coding:
        return None
    # Byte by byte: a decoder returns all output for its input at the same time, which may be very much.
    response: httpx.Response = package.Response(
        200,
        headers={b"Content-Encoding": coding.encode("utf-8", "replace")},
        content=(raw[i : i + 1] for i in range(len(raw))),
    )
    decoded = bytearray()
    try:
        for some in response.iter_bytes():
            decoded += some
            if len(decoded) > MAX_REJECTION_BYTES:
                return None
    except package.DecodingError:
        return None
    return bytes(decoded)


class DiscardableBody(Protocol):
    """The body of a rejection, in any package."""

    def discard(self) -> bool:
        """Free the connection, blocking the thread. Whether that was possible."""
        ...

    async def adiscard(self) -> bool:
        """The same for a coroutine."""
        ...


class DiscardedBody:
    """A `Wait` that discards the body of a rejection. Its result is whether the connection is free."""

    def __init__(self, body: DiscardableBody) -> None:
        self._body = body

    def wait(self) -> bool:
        """Discard it, blocking the thread."""
        return self._body.discard()

    async def wait_async(self) -> bool:
        """Discard it, letting other tasks run."""
        return await self._body.adiscard()


class RequestsRejectionBody:
    """The body of a rejection in requests. A `Wait`, whose result is the body.

    Attributes:
        is_awaited: Whether only a coroutine can read it, as with niquests' `AsyncSession`; then it is not read.
    """

    def __init__(self, package: Any, response: requests.Response) -> None:
        self._exceptions: Any = package.packages.urllib3.exceptions
        self.is_awaited = _is_coroutine_function(getattr(response.raw, "read", None))
        self._response = response
        self._head: bytes | None = None
        self._is_complete = False

    def wait(self) -> bytes | None:
        """The decoded body; None if it is too long, too slow, breaks off, or cannot be judged."""
        if self._head is None and not self.is_awaited and may_be_judged(self._response.headers):
            self._read(is_limited=self._response.status_code >= 400)
        return self._head if self._is_complete else None

    async def wait_async(self) -> bytes | None:
        """The same; requests always blocks."""
        return self.wait()

    def discard(self) -> bool:
        """Free the connection, so that the request can be repeated, even through a pool of one."""
        if self.is_awaited:
            return False
        headers = self._response.headers
        if self._head is None and "," not in headers.get("content-encoding", "") and not is_too_long(headers):
            self._read(is_limited=True)
        if not self._is_complete:
            self._response.raw.close()
            self._response.raw = EndedRaw(b"", self._response.raw)
        self._response.content  # noqa: B018 - reads what is in memory already, for the history
        self._response.close()
        return True

    async def adiscard(self) -> bool:
        """The same; requests always blocks."""
        return self.discard()

    def _read(self, *, is_limited: bool) -> None:
        raw, head = self._response.raw, bytearray()
        if getattr(self._response, "_content_consumed", False) or not hasattr(raw, "stream"):
            self._head, self._is_complete = self._response.content, True
            return
        limit = _ReadLimit(raw, self._exceptions.ReadTimeoutError, is_limited=is_limited)
        try:
            with limit:
                while len(head) <= MAX_REJECTION_BYTES and time.monotonic() < limit.due:
                    chunk = read_some(raw, 1024, decode_content=True)
                    head += chunk
                    if not chunk:
                        limit.raise_if_passed()
                        self._is_complete = True
                        break
        except self._exceptions.HTTPError as error:
            self._head, self._response.raw = bytes(head), BrokenOffRaw(bytes(head), raw, error)
            return
        self._head = bytes(head)
        self._response.raw = ResumedRaw(self._head, raw)


def _is_coroutine_function(function: Any) -> bool:
    # Imported for the first rejection only: programs should start quickly.
    import inspect

    return inspect.iscoroutinefunction(function)


class _ReadLimit:
    """Ends a read of a raw response that blocks for too long: the timer shuts down its socket."""

    def __init__(self, raw: Any, error: Any, *, is_limited: bool) -> None:
        self._error = error
        self.due: float = time.monotonic() + MAX_REJECTION_SECONDS
        self._raw = raw
        self._has_passed = False
        # Older versions of urllib3 have no `shutdown`. There the session's own timeout applies.
        self._can_cut = is_limited and hasattr(raw, "shutdown")

    def raise_if_passed(self) -> None:
        """Raise an error if the read was too slow. Otherwise, the end of the socket would look like the body's end."""
        if self._has_passed:
            raise self._error(self._raw, "", f"no more of it came within {MAX_REJECTION_SECONDS:g} seconds")

    def __enter__(self) -> Self:
        if self._can_cut:
            # If no thread can be started, the session's own timeout applies.
            timer().add(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._can_cut:
            timer().discard(self)

    def act(self) -> bool:
        """Called by the timer: end the read."""
        self._has_passed = True
        # The connection may have been returned to its pool a moment ago.
        with contextlib.suppress(ValueError, RuntimeError, OSError, AttributeError):
            self._raw.shutdown()
            if self._raw.version < 20:
                # urllib3-future's `shutdown` does nothing. Over HTTP/2, other requests share the socket.
                self._raw.connection.sock.shutdown(socket.SHUT_RDWR)
        return False
