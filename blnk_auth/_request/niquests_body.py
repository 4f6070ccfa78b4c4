"""Reads or discards the body of a rejection in an `AsyncSession` of niquests, whose bodies are awaited.

Used by `niquests_session`. It promises what `rejection_body` promises, with the same limits. A body that stops in the
middle is left after `MAX_REJECTION_SECONDS`. It never blocks the event loop.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from . import rejection_body
from .rejection_body import MAX_REJECTION_BYTES, may_be_judged
from .resumed import ResumedRaw

if TYPE_CHECKING:
    import requests


class AwaitedRejectionBody:
    """The body of a rejection in an `AsyncSession`. A `Wait`, whose result is the body.

    Attributes:
        is_awaited: False: unlike `RequestsRejectionBody`, it can read a body that is awaited.
    """

    def __init__(self, package: Any, response: requests.Response) -> None:
        self.is_awaited = False
        self._package = package
        self._response: Any = response
        self._head: bytes | None = None
        self._is_complete = False

    def wait(self) -> bytes | None:
        """No body: only a coroutine can read it."""
        return None

    async def wait_async(self) -> bytes | None:
        """The decoded body; None if it is too long, too slow, breaks off, or cannot be judged."""
        if self._head is None and may_be_judged(self._response.headers):
            await self._read(is_limited=self._response.status_code >= 400)
        return self._head if self._is_complete else None

    def discard(self) -> bool:
        """Nothing: only a coroutine can read it."""
        return False

    async def adiscard(self) -> bool:
        """Free the connection, so that the request can be repeated, even through a pool of one."""
        response = self._response
        if self._head is None and may_be_judged(response.headers):
            await self._read(is_limited=True)
        if not self._is_complete:
            await response.raw.close()
        response._content, response._content_consumed = (self._head or b"") if self._is_complete else b"", True
        await response.close()
        if isinstance(response, self._package.AsyncResponse):
            # As niquests does itself with the responses of a history: their content is in memory.
            response.__class__ = self._package.Response
        return True

    async def _read(self, *, is_limited: bool) -> None:
        raw, head, error = self._response.raw, bytearray(), None
        if self._response._content_consumed:
            self._head, self._is_complete = self._response._content or b"", True
            return
        exceptions = self._package.packages.urllib3.exceptions
        seconds = rejection_body.MAX_REJECTION_SECONDS
        ends_at = time.monotonic() + seconds
        try:
            async with asyncio.timeout(seconds if is_limited else None):
                while len(head) <= MAX_REJECTION_BYTES and time.monotonic() < ends_at:
                    chunk = await raw.read1(1024, decode_content=True)
                    head += chunk
                    if not chunk:
                        self._is_complete = True
                        break
        except TimeoutError:
            error = exceptions.ReadTimeoutError(raw, "", f"no more of it came within {seconds:g} seconds")
        except exceptions.HTTPError as failure:
            error = failure
        self._head = bytes(head)
        self._response.raw = _AwaitedRaw(self._head, raw, error)


class _AwaitedRaw(ResumedRaw):
    """A raw response that begins with what was read already. Then comes the rest, or the error that ended it."""

    def __init__(self, head: bytes, raw: Any, error: Exception | None) -> None:
        super().__init__(head, raw)
        self._error = error

    if not TYPE_CHECKING:

        @property
        def __class__(self):  # noqa: ANN204 - typeshed has the type
            """What `isinstance` asks for: niquests reads only a raw response of its own class."""
            return type(self._raw)

        async def read(self, amount=None, decode_content=None):  # noqa: ANN001, ANN202 - awaited
            """All that is left, or at most `amount` bytes; a negative `amount` is what has arrived."""
            if self._error is not None:
                raise self._error
            size = None if amount is None or amount < 0 else amount
            head, self._head = (self._head, b"") if size is None else (self._head[:size], self._head[size:])
            if amount is not None and head:
                return head
            return head + await self._raw.read(amount, decode_content=decode_content)
