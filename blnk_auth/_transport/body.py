"""Reads the body of a response by the authorization server, and checks that it arrived whole.

Used by both transports. It promises that a body is returned only if it is provably complete: a length or a chunked
coding marks its end, or it is a JSON document, which shows its own end. Any other body could be only the beginning of a
response whose connection was lost, and half a refresh token would replace the good one. Bytes are counted while they
are decoded, so that a small response cannot become a large one in memory. It never decodes more than one content
coding.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator

from .._protocol.http_messages import NoResponse
from ..errors import ProtocolError
from .deadline import Deadline

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_RAW_DEFLATE = -15


class Body:
    """The part of a body that has arrived. For one thread. Its repr does not show it.

    Args:
        content_encoding: The header's value; empty or `identity`: none.
        limit: The most bytes that it may have, before and after decoding.

    Raises:
        NoResponse: The coding is unknown, or there is more than one. The request asked for no coding.
    """

    def __init__(self, content_encoding: str, limit: int) -> None:
        coding = content_encoding.strip().lower()
        if coding not in ("", "identity", *_WINDOW_BITS):
            raise NoResponse("the response has a Content-Encoding that is not known and was not asked for", sent=True)
        self._is_compressed: bool = coding in _WINDOW_BITS
        self._may_be_raw: bool = coding == "deflate"
        self._inflater = zlib.decompressobj(_WINDOW_BITS.get(coding, _RAW_DEFLATE))
        self._limit: int = limit
        self._encoded: int = 0
        self._decoded: bytearray = bytearray()

    def add(self, piece: bytes) -> Exception | None:
        """Add a piece that has arrived. Returns an error and does not raise it: the traceback would have the piece."""
        self._encoded += len(piece)
        try:
            self._decoded += self._inflated(piece) if self._is_compressed else piece
        except zlib.error:
            return _damaged()
        if max(self._encoded, len(self._decoded)) > self._limit:
            return ProtocolError(
                f"the authorization server's response is longer than {self._limit} bytes (policy max_answer_bytes)",
                remedy="check that the provider's endpoint is the right URL",
            )
        return None

    def whole(self, *, ends_with_connection: bool) -> bytes:
        """The whole body, to be called when nothing more arrives. Raises `NoResponse` if it may not be complete.

        `ends_with_connection`: whether only the end of the connection marks the end of the body.
        """
        if self._is_compressed and self._encoded and (not self._inflater.eof or self._inflater.unused_data):
            raise _damaged()
        if ends_with_connection and not self._is_json():
            raise NoResponse("the response ended with the connection, so that it may not be complete", sent=True)
        return bytes(self._decoded)

    def _inflated(self, piece: bytes) -> bytes:
        # One byte more than there is room for shows that it is too long.
        room = self._limit - len(self._decoded) + 1
        may_be_raw, self._may_be_raw = self._may_be_raw, False
        try:
            return self._inflater.decompress(piece, room)
        except zlib.error:
            if not may_be_raw:
                raise
        # Some servers send `deflate` without the zlib wrapper that RFC 9110 section 8.4.1.2 demands.
        self._inflater = zlib.decompressobj(_RAW_DEFLATE)
        return self._inflater.decompress(piece, room)

    def _is_json(self) -> bool:
        try:
            return isinstance(json.loads(self._decoded), dict | list)
        except (ValueError, RecursionError):
            return False

    def __repr__(self) -> str:
        return f"<Body of {len(self._decoded)} bytes>"


def read(body: Body, pieces: Iterator[bytes], deadline: Deadline, *, ends_with_connection: bool) -> bytes:
    """The body, if it is complete.

    If the time is up after a piece, the next piece is still asked for: if there is none, the body is complete.

    Args:
        body: Collects the pieces.
        pieces: The pieces that the HTTP client receives.
        deadline: The deadline of the exchange.
        ends_with_connection: Whether only the end of the connection marks the end of the body.

    Raises:
        ProtocolError: The body is longer than its limit.
        NoResponse: It is not complete, or cannot be decoded.
    """
    for piece in pieces:
        failure = body.add(piece)
        del piece
        if failure is not None:
            raise failure
        if deadline.has_passed:
            break
    if next(pieces, None) is not None:
        raise deadline.missed()
    try:
        return body.whole(ends_with_connection=ends_with_connection)
    except NoResponse:
        if deadline.has_passed:
            raise deadline.missed() from None
        raise


def _damaged() -> NoResponse:
    return NoResponse("the compressed response is damaged or not complete", sent=True)
