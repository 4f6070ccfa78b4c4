"""Response bodies whose beginning has been read already, for a caller that reads them from the beginning.

Used by `rejection_body`, which reads the beginning of a body and then returns the response to the caller. It promises
that the caller gets every byte once, and the same error if the connection was lost in the body. It never reads ahead.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import httpx
    from urllib3.exceptions import HTTPError


@functools.cache
def resumed_stream_class(package: Any) -> Any:
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


class BrokenOff:
    """The rest of a body whose connection was lost: raises that error when the caller continues to read."""

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


class ResumedRaw:
    """A raw response that begins with what was read already."""

    def __init__(self, head: bytes, raw: Any) -> None:
        self._head = head
        self._raw = raw

    def stream(self, amount: int = 65536, decode_content: bool | None = None) -> Iterator[bytes]:
        head, self._head = self._head, b""
        if head:
            yield head
        # `raw.stream` cannot be used: it expects the beginning of a chunk here, and a part of the chunk has been read.
        while some := read_some(self._raw, amount, decode_content=decode_content):
            yield some

    def read(self, amount: int | None = None, decode_content: bool | None = None) -> bytes:
        head = self._head if amount is None else self._head[:amount]
        self._head = self._head[len(head) :]
        if amount is None or not head:
            return head + bytes(self._raw.read(amount, decode_content=decode_content))
        return head

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class BrokenOffRaw(ResumedRaw):
    """A raw response whose connection was lost. Its reader gets that error and does not take it for the end."""

    def __init__(self, head: bytes, raw: Any, error: HTTPError) -> None:
        super().__init__(head, raw)
        self._error = error

    def stream(self, amount: int = 65536, decode_content: bool | None = None) -> Iterator[bytes]:
        yield self._head
        raise self._error

    def read(self, amount: int | None = None, decode_content: bool | None = None) -> bytes:
        raise self._error


class EndedRaw(ResumedRaw):
    """A raw response of which nothing more can be read."""

    def stream(self, amount: int = 65536, decode_content: bool | None = None) -> Iterator[bytes]:
        return iter(())

    def read(self, amount: int | None = None, decode_content: bool | None = None) -> bytes:
        return b""


def read_some(raw: Any, amount: int, *, decode_content: bool | None) -> bytes:
    """The bytes that have arrived, at most `amount`. `read` would wait until all of them have arrived."""
    some: bytes = getattr(raw, "read1", raw.read)(amount, decode_content=decode_content)
    return some
