"""What is done with the body of a rejection, in httpx, httpx2 and requests.

Used by the auth classes. A provider may judge a rejection by its body (`Provider.reads_rejection_body`), and before a
request is repeated the rejected response must free its connection. The body may be endless, slow or broken, so what is
promised is:

* At most `MAX_REJECTION_BYTES` are read, for at most `MAX_REJECTION_SECONDS`.
* A response that is returned to the caller can still be read whole. Where its body breaks off, the caller meets the
  same error.
* After `discard` the connection is free again, or closed.

In httpx `response.close()` would not do: the client itself reads a response that is followed by another request, and
fails on a closed one.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import httpx
    import requests
    from urllib3.exceptions import HTTPError

MAX_REJECTION_BYTES = 16_384
"""How much of a rejection's body is read, to judge it and to free its connection."""

MAX_REJECTION_SECONDS = 5.0
"""How long its reading may take."""


class HttpxRejectionBody:
    """The body of a rejection in httpx or httpx2. A `Wait`, whose result is the body."""

    def __init__(self, package: Any, response: httpx.Response) -> None:
        self._package = package
        self._response = response
        self._stream: Any = response.stream
        self._rest: Any = None
        self._chunks: list[bytes] = []
        self._is_complete = False
        self._give_up_at = time.monotonic() + MAX_REJECTION_SECONDS

    def wait(self) -> bytes | None:
        """The decoded body; None if it is longer than the limit, slower than the limit, or breaks off."""
        if self._response.is_stream_consumed:
            return self._content()
        self._rest = iter(self._stream)
        try:
            for chunk in self._rest:
                if self._is_enough(chunk):
                    self._give_back()
                    return None
        except self._package.TransportError as error:
            self._rest = _BrokenOff(error)
            self._give_back()
            return None
        self._stream.close()
        return self._keep()

    async def wait_async(self) -> bytes | None:
        """As `wait`."""
        if self._response.is_stream_consumed:
            return self._content()
        self._rest = aiter(self._stream)
        try:
            async for chunk in self._rest:
                if self._is_enough(chunk):
                    self._give_back()
                    return None
        except self._package.TransportError as error:
            self._rest = _BrokenOff(error)
            self._give_back()
            return None
        await self._stream.aclose()
        return self._keep()

    def discard(self) -> None:
        """Free the connection, so that the request can be repeated, even through a pool of one."""
        if not self._was_taken():
            self.wait()
        if not self._is_complete:
            self._stream.close()
            self._response.stream = self._package.ByteStream(b"")

    async def adiscard(self) -> None:
        """As `discard`."""
        if not self._was_taken():
            await self.wait_async()
        if not self._is_complete:
            await self._stream.aclose()
            self._response.stream = self._package.ByteStream(b"")

    def _was_taken(self) -> bool:
        return self._is_complete or self._rest is not None

    def _is_enough(self, chunk: bytes) -> bool:
        self._chunks.append(chunk)
        return sum(map(len, self._chunks)) > MAX_REJECTION_BYTES or time.monotonic() > self._give_up_at

    def _content(self) -> bytes | None:
        # A response hook of the caller, or a mock transport, has read it already.
        self._is_complete = True
        return self._response.content

    def _give_back(self) -> None:
        self._response.stream = _resumed_stream_class(self._package)(self._chunks, self._rest, self._stream)

    def _keep(self) -> bytes | None:
        raw = b"".join(self._chunks)
        self._is_complete = True
        self._response.stream = self._package.ByteStream(raw)
        coding = self._response.headers.get("content-encoding")
        if not coding:
            return raw
        try:
            # The package's own decoders, on a response that nobody else sees.
            decoded: bytes = self._package.Response(200, headers={"Content-Encoding": coding}, content=raw).content
        except self._package.DecodingError:
            return None
        return decoded


class DiscardedBody:
    """A `Wait` that discards the body of a rejection."""

    def __init__(self, body: HttpxRejectionBody) -> None:
        self._body = body

    def wait(self) -> None:
        """Discard it, blocking the thread."""
        self._body.discard()

    async def wait_async(self) -> None:
        """Discard it, letting other tasks run."""
        await self._body.adiscard()


class _BrokenOff:
    """What follows in a body that broke off: the error, for the caller who reads on."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __iter__(self) -> Self:
        return self

    def __aiter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        raise self._error

    async def __anext__(self) -> bytes:
        raise self._error


@functools.cache
def _resumed_stream_class(package: Any) -> Any:
    """A stream that begins with what was read already; the client accepts only classes of its own package."""
    bases: tuple[type[httpx.SyncByteStream], type[httpx.AsyncByteStream]]
    bases = package.SyncByteStream, package.AsyncByteStream

    class ResumedStream(*bases):  # type: ignore[misc]  # bases known at run time
        def __init__(self, chunks: list[bytes], rest: Any, stream: Any) -> None:
            self._chunks = chunks
            self._rest = rest
            self._stream = stream

        def __iter__(self) -> Iterator[bytes]:
            yield from self._chunks
            yield from self._rest

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in self._chunks:
                yield chunk
            async for chunk in self._rest:
                yield chunk

        def close(self) -> None:
            self._stream.close()

        async def aclose(self) -> None:
            await self._stream.aclose()

    return ResumedStream


class RequestsRejectionBody:
    """The body of a rejection in requests. A `Wait`, whose result is the body."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self._head: bytes | None = None
        self._is_complete = False

    def wait(self) -> bytes | None:
        """The decoded body; None if it is longer than the limit, slower than the limit, or breaks off."""
        if self._head is None:
            self._read()
        return self._head if self._is_complete else None

    async def wait_async(self) -> bytes | None:
        """As `wait`: requests only blocks."""
        return self.wait()

    def discard(self) -> None:
        """Free the connection, so that the request can be repeated, even through a pool of one."""
        self.wait()
        if not self._is_complete:
            self._response.raw.close()
            self._response.raw = _Ended(b"", self._response.raw)
        self._response.content  # noqa: B018 - reads what is in memory already, for the history
        self._response.close()

    def _read(self) -> None:
        from urllib3.exceptions import HTTPError

        raw, head = self._response.raw, bytearray()
        if getattr(self._response, "_content_consumed", False) or not hasattr(raw, "stream"):
            self._head, self._is_complete = self._response.content, True
            return
        give_up_at = time.monotonic() + MAX_REJECTION_SECONDS
        try:
            while len(head) <= MAX_REJECTION_BYTES and time.monotonic() < give_up_at:
                chunk = _read_some(raw, 1024, decode_content=True)
                head += chunk
                if not chunk:
                    self._is_complete = True
                    break
        except HTTPError as error:
            self._head, self._response.raw = bytes(head), _BrokenOffRaw(bytes(head), raw, error)
            return
        self._head = bytes(head)
        self._response.raw = _ResumedRaw(self._head, raw)


class _ResumedRaw:
    """A raw response that begins with what was read already."""

    def __init__(self, head: bytes, raw: Any) -> None:
        self._head = head
        self._raw = raw

    def stream(self, amount: int = 65536, decode_content: bool | None = None) -> Iterator[bytes]:
        head, self._head = self._head, b""
        if head:
            yield head
        # Not `raw.stream`: it reads a chunked body by itself and would find no beginning of a chunk here.
        while some := _read_some(self._raw, amount, decode_content=decode_content):
            yield some

    def read(self, amount: int | None = None, decode_content: bool | None = None) -> bytes:
        head = self._head if amount is None else self._head[:amount]
        self._head = self._head[len(head) :]
        if amount is None or not head:
            return head + bytes(self._raw.read(amount, decode_content=decode_content))
        return head

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class _BrokenOffRaw(_ResumedRaw):
    """A raw response whose reader meets the error that we met: read on, it would seem to have come to its end."""

    def __init__(self, head: bytes, raw: Any, error: HTTPError) -> None:
        super().__init__(head, raw)
        self._error = error

    def stream(self, amount: int = 65536, decode_content: bool | None = None) -> Iterator[bytes]:
        yield self._head
        raise self._error

    def read(self, amount: int | None = None, decode_content: bool | None = None) -> bytes:
        raise self._error


class _Ended(_ResumedRaw):
    """A raw response of which nobody wants to read more."""

    def stream(self, amount: int = 65536, decode_content: bool | None = None) -> Iterator[bytes]:
        return iter(())


def _read_some(raw: Any, amount: int, *, decode_content: bool | None) -> bytes:
    """What has come, up to `amount` bytes; `read` waits for all of them, however slowly they drip."""
    some: bytes = getattr(raw, "read1", raw.read)(amount, decode_content=decode_content)
    return some
