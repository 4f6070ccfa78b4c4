"""The body of a rejection in httpx and httpx2: read up to a cap, then given back to the caller or thrown away.

A 401 may be endless (an event stream, a proxy gone wrong), and an unread one holds its connection. `response.close()`
is not the way out: the client itself reads a response that is followed by another request, and fails on a closed one.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

from .flow import MAX_REJECTION_BYTES, MAX_REJECTION_SECONDS


class RejectionBody:
    """Reads the body of `response`, whose classes are those of the package `httpx`. See `Wait`."""

    def __init__(self, httpx: Any, response: Any) -> None:
        self._httpx = httpx
        self._response = response
        self._stream = response.stream
        self._rest: Any = None
        self._chunks: list[bytes] = []
        self._is_complete = False
        self._give_up_at = time.monotonic() + MAX_REJECTION_SECONDS

    def wait(self) -> bytes | None:
        """The decoded body; None if it is longer than the cap, slower than the limit, or breaks off.

        The caller can still read it, and meets the same error where it broke off.
        """
        if self._response.is_stream_consumed:
            return self._content()
        self._rest = iter(self._stream)
        try:
            for chunk in self._rest:
                if self._is_enough(chunk):
                    self._give_back()
                    return None
        except self._httpx.TransportError as error:
            self._rest = _BrokenOff(error)
            self._give_back()
            return None
        self._stream.close()
        return self._keep()

    async def wait_async(self) -> bytes | None:
        if self._response.is_stream_consumed:
            return self._content()
        self._rest = aiter(self._stream)
        try:
            async for chunk in self._rest:
                if self._is_enough(chunk):
                    self._give_back()
                    return None
        except self._httpx.TransportError as error:
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
            self._response.stream = self._httpx.ByteStream(b"")

    async def adiscard(self) -> None:
        if not self._was_taken():
            await self.wait_async()
        if not self._is_complete:
            await self._stream.aclose()
            self._response.stream = self._httpx.ByteStream(b"")

    def _was_taken(self) -> bool:
        return self._is_complete or self._rest is not None

    def _is_enough(self, chunk: bytes) -> bool:
        self._chunks.append(chunk)
        return sum(map(len, self._chunks)) > MAX_REJECTION_BYTES or time.monotonic() > self._give_up_at

    def _content(self) -> bytes | None:
        # A response hook of the caller, or a mock transport, has read it already.
        self._is_complete = True
        content: bytes = self._response.content
        return content

    def _give_back(self) -> None:
        self._response.stream = _resumed_stream_class(self._httpx)(self._chunks, self._rest, self._stream)

    def _keep(self) -> bytes | None:
        raw = b"".join(self._chunks)
        self._is_complete = True
        self._response.stream = self._httpx.ByteStream(raw)
        coding = self._response.headers.get("content-encoding")
        if not coding:
            return raw
        try:
            # The package's own decoders, on a response that nobody else sees.
            decoded: bytes = self._httpx.Response(200, headers={"Content-Encoding": coding}, content=raw).content
        except self._httpx.DecodingError:
            return None
        return decoded


class _BrokenOff:
    """What follows in a body that broke off: the error, for whoever reads on."""

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


class Discarding:
    """A wait that throws a rejection's body away."""

    def __init__(self, body: RejectionBody) -> None:
        self._body = body

    def wait(self) -> None:
        self._body.discard()

    async def wait_async(self) -> None:
        await self._body.adiscard()


@functools.cache
def _resumed_stream_class(httpx: Any) -> Any:
    """A stream that begins with what was read already; it must be one of the package's own kind."""

    class ResumedStream(httpx.SyncByteStream, httpx.AsyncByteStream):  # type: ignore[misc]  # bases known at run time
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
