"""What is read of an answer: decoded with a limit, and only if it is provably whole. And for how long it is read."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator

import pytest
from support.canary.leaks import leaks
from support.errors import raises
from support.limits import PATIENCE

from blnk_auth import ProtocolError
from blnk_auth._protocol.http_messages import NoResponse
from blnk_auth._transport.body import Body, read
from blnk_auth._transport.deadline import Deadline

DOCUMENT = json.dumps({"access_token": "at-1", "refresh_token": "rt-1"}).encode()


def raw_deflate(content: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(content) + encoder.flush()


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    "GZIP": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    " deflate ": raw_deflate,
}


def read_all(coding: str, *pieces: bytes, limit: int = 10_000, ends_with_connection: bool = False) -> bytes:
    return read(Body(coding, limit), iter(pieces), Deadline(60), ends_with_connection=ends_with_connection)


@pytest.mark.parametrize("coding", CODINGS)
def test_one_coding_or_none_is_understood(coding: str) -> None:
    """In pieces of any size."""
    encoded = CODINGS[coding](DOCUMENT)
    assert read_all(coding, encoded) == DOCUMENT
    assert read_all(coding, encoded[:10], encoded[10:11], encoded[11:]) == DOCUMENT


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip,identity", "br", "zstd", "chunked"])
def test_any_other_coding_is_not_an_answer(coding: str) -> None:
    """None was asked for. Packed twice, 7 kB become 4 GB."""
    with pytest.raises(NoResponse, match="Content-Encoding") as caught:
        Body(coding, 10_000)
    assert caught.value.sent is True


@pytest.mark.parametrize("coding", [coding for coding in CODINGS if coding not in ("", "identity")])
@pytest.mark.parametrize("cut", [1, 5, 12, -9, -1])
def test_a_compressed_body_that_is_cut_is_not_an_answer(coding: str, cut: int) -> None:
    """Although everything of it can be decoded."""
    with pytest.raises(NoResponse, match="compressed response is damaged or not complete"):
        read_all(coding, CODINGS[coding](DOCUMENT)[:cut])


@pytest.mark.parametrize(
    "body",
    [b"no gzip", gzip.compress(DOCUMENT) + b"x", gzip.compress(DOCUMENT) * 2],
    # Their bytes hold the time at which they were compressed.
    ids=["no gzip", "something after it", "twice"],
)
def test_a_damaged_compressed_body_is_not_an_answer(body: bytes) -> None:
    """Nor one with something behind its end."""
    with pytest.raises(NoResponse, match="damaged"):
        read_all("gzip", body)


def test_an_empty_body_needs_no_decoding() -> None:
    """As of a 204 that names a coding all the same."""
    assert read_all("gzip") == b""


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_the_limit_is_kept_while_decoding(coding: str) -> None:
    """A small answer cannot become a large one in memory: what is beyond the limit is never decoded."""
    bomb = CODINGS[coding](bytes(20_000_000))
    body = Body(coding, 10_000_000)
    assert len(bomb) < 20_100
    assert isinstance(body.add(bomb), ProtocolError)
    assert repr(body) == "<Body of 10000001 bytes>"


@pytest.mark.parametrize("size", [10_000, 10_001])
def test_the_limit_itself_passes(size: int) -> None:
    """Before decoding and after it."""
    for coding, encode in CODINGS.items():
        if size > 10_000:
            with raises(ProtocolError, shows=("10000 bytes", "max_answer_bytes")):
                read_all(coding, encode(b" " * size))
        else:
            assert len(read_all(coding, encode(b" " * size))) == size


@pytest.mark.parametrize("body", [DOCUMENT, b" [1, 2]\n", b"{}"])
def test_a_json_document_shows_its_own_end(body: bytes) -> None:
    """Servers without a length speak HTTP/1.0; a document that is cut does not parse."""
    assert read_all("", body, ends_with_connection=True) == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        DOCUMENT[:-1],
        b"access_token=at-1&refresh_token=rt-",
        b"<html>",
        b"12",
        b'"text"',
        b"null",
        b"[" * 9_000,
        b"\xff",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_only_the_connection_ended_may_be_cut(body: bytes) -> None:
    """Half a refresh token would replace the good one; an empty body would be a verdict."""
    with pytest.raises(NoResponse, match="ended with the connection") as caught:
        read_all("", body, ends_with_connection=True)
    assert caught.value.sent is True


def test_a_body_shows_nothing_of_itself() -> None:
    """Neither in its repr nor in the frames that its errors pass through."""
    body = Body("", 20)
    body.add(DOCUMENT[:20])
    assert leaks([repr(body)], ["at-1"]) == []
    with pytest.raises(ProtocolError) as caught:
        read_all("", DOCUMENT, limit=20)
    frames = [entry.frame.f_locals for entry in caught.traceback if "_transport" in str(entry.path)]
    assert frames
    assert leaks([repr(local) for frame in frames for name, local in frame.items() if name != "pieces"], ["rt-1"]) == []


# --- the deadline ----------------------------------------------------------------------------------------------------


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_time_is_up_when_it_is_up() -> None:
    """By the clock, also where no thread watches it; the request may have left."""
    clock = Clock()
    deadline = Deadline(30, clock=clock)
    clock.now += 29.9
    assert not deadline.has_passed
    clock.now += 0.2
    assert deadline.has_passed
    assert (deadline.missed().problem, deadline.missed().sent) == ("not complete within 30 seconds", True)


def test_a_process_that_was_paused_gets_time_to_read() -> None:
    """Late by more than a busy machine is: what arrived meanwhile is read. At most three times."""
    clock = Clock()
    deadline = Deadline(30, clock=clock)
    for late in (31.0, 100.0, 3600.0):
        clock.now += late
        assert not deadline.has_passed
        clock.now += 1.9
        assert not deadline.has_passed
    clock.now += 3600
    assert deadline.has_passed


def test_time_that_was_given_is_used_up() -> None:
    """Two seconds, and no more."""
    clock = Clock()
    deadline = Deadline(30, clock=clock)
    clock.now += 60
    assert not deadline.has_passed
    clock.now += 2.1
    assert deadline.has_passed


def test_what_was_complete_when_the_time_was_up_is_read() -> None:
    """The last piece ends the body; another one shows that it was not the last."""
    clock = Clock()

    def pieces(number: int) -> Iterator[bytes]:
        for _ in range(number):
            clock.now += 10.1
            yield b" "

    assert read(Body("", 100), pieces(3), Deadline(30, clock=clock), ends_with_connection=False) == b"   "
    with pytest.raises(NoResponse, match="not complete within 30 seconds"):
        read(Body("", 100), pieces(4), Deadline(30, clock=clock), ends_with_connection=False)


def test_a_body_that_the_deadline_cut_is_reported_as_late() -> None:
    """Not as one that ended with its connection."""
    clock = Clock()

    def pieces() -> Iterator[bytes]:
        yield b"access_token=at-1&refresh_"
        clock.now += 30.5

    with pytest.raises(NoResponse, match="not complete within 30 seconds"):
        read(Body("", 100), pieces(), Deadline(30, clock=clock), ends_with_connection=True)


def test_a_connection_is_cut_although_it_was_wrapped_since() -> None:
    """TLS makes another object of a socket; nothing was sent while the handshake lasted."""
    ours, theirs = socket.socketpair()
    cut = threading.Event()
    with theirs, Deadline(0.05) as deadline:
        deadline.watch(ours)
        wrapped = socket.socket(fileno=ours.detach())
        with wrapped:
            wrapped.settimeout(PATIENCE)
            assert wrapped.recv(1) == b""
            cut.set()
        assert deadline.has_passed
        assert deadline.nothing_was_sent
        assert deadline.missed().sent is False
        deadline.may_have_sent = True
        assert deadline.missed().sent is True
    assert cut.is_set()


def test_a_connection_that_is_watched_too_late_is_cut_immediately() -> None:
    """One that was opened while the time ran out."""
    ours, theirs = socket.socketpair()
    clock = Clock()
    deadline = Deadline(30, clock=clock)
    clock.now += 30.5
    assert deadline.has_passed
    with ours, theirs, deadline:
        deadline.watch(ours)
        ours.settimeout(PATIENCE)
        assert ours.recv(1) == b""
