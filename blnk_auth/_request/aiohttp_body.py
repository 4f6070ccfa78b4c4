"""Reads or discards the body of a rejection in aiohttp, as `rejection_body` does for the other packages.

Used by `aiohttp_retry`. It keeps the promises that are listed in `rejection_body`, in a way of its own: it waits until
the body has arrived, and reads it only if all of it is there. So a body that is too long or too slow is left as it is.
It never consumes a byte that the caller could not read afterwards.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol

from . import rejection_body
from .rejection_body import MAX_REJECTION_BYTES, is_too_long, may_be_judged

if TYPE_CHECKING:
    from aiohttp import ClientResponse

_LOOK_AGAIN = 0.05
"""Seconds after which the length of a body that is arriving is looked at again. aiohttp reports its end immediately."""


class AiohttpRejectionBody:
    """The body of a rejection in aiohttp. A `Wait`, whose result is the body."""

    def __init__(self, response: ClientResponse, *, is_decoded: bool) -> None:
        """`is_decoded`: whether the session decodes the bodies of its responses."""
        self._response = response
        self._is_readable = is_decoded or "content-encoding" not in response.headers
        self._give_up_at = time.monotonic() + rejection_body.MAX_REJECTION_SECONDS

    def wait(self) -> bytes | None:
        """None: only a coroutine can read it."""
        return None

    async def wait_async(self) -> bytes | None:
        """The decoded body; None if it is too long, too slow, breaks off, or cannot be judged."""
        response = self._response
        if not self._is_readable or not may_be_judged(response.headers):
            return None
        if not await self._has_arrived(is_limited=response.status >= 400):
            return None
        read = await response.read()
        # The response keeps what was read for `read`, `text` and `json`, but not for those who use `content`.
        loop = asyncio.get_running_loop()
        response.content = StreamReader(BaseProtocol(loop), 2 * MAX_REJECTION_BYTES, loop=loop)
        response.content.feed_data(read)
        response.content.feed_eof()
        return read

    async def discard(self) -> None:
        """Free the connection, so that the request can be repeated, even through a pool of one."""
        if not is_too_long(self._response.headers):
            await self._has_arrived(is_limited=True)
        # It closes a connection on which more of the body may come.
        self._response.release()

    async def _has_arrived(self, *, is_limited: bool) -> bool:
        """Wait for the end of the body. False if it is too long, breaks off, or does not come in time."""
        content, ended = self._response.content, asyncio.Event()
        content.on_eof(ended.set)
        while not content.is_eof():
            seconds = min(_LOOK_AGAIN, self._give_up_at - time.monotonic()) if is_limited else _LOOK_AGAIN
            if seconds <= 0 or content.exception() is not None or content.total_bytes > MAX_REJECTION_BYTES:
                return False
            try:
                async with asyncio.timeout(seconds):
                    await ended.wait()
            except TimeoutError:
                pass
        return content.exception() is None and content.total_bytes <= MAX_REJECTION_BYTES
