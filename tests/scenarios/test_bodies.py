"""F34 and its like: a request whose body cannot provably be sent again is never sent again.

The table has, for each kind of body and each client, whether a rejected request is repeated. In each case the
server never receives an empty or a short body, and no call ends with a 2xx for one.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from packaging.version import Version
from support.clients import AIOHTTP, Kind, rows, through_every_client, through_httpx
from support.worlds import World

from blnk_auth.testing import RecordedRequest, assert_renewed_once

PAYLOAD = b"0123456789" * 100
OFFSET = 300
REST = PAYLOAD[OFFSET:]


class OneShot:
    """An iterator that is not a generator: used up after the first pass, which HTTP clients do not notice."""

    def __init__(self) -> None:
        self._chunks = iter([PAYLOAD[:600], PAYLOAD[600:]])

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._chunks)


class AsyncOneShot:
    def __init__(self) -> None:
        self._chunks = iter([PAYLOAD[:600], PAYLOAD[600:]])

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


class Reiterable:
    """Begins again each time; no client can know."""

    def __iter__(self) -> Iterator[bytes]:
        return iter([PAYLOAD[:600], PAYLOAD[600:]])


class AsyncReiterable:
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield PAYLOAD[:600]
        yield PAYLOAD[600:]


class Unseekable(io.RawIOBase):
    """A stream that reports its position and cannot go back."""

    def __init__(self) -> None:
        self._inner = io.BytesIO(PAYLOAD)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(size)

    def __len__(self) -> int:
        return len(PAYLOAD)

    def tell(self) -> int:
        return self._inner.tell()

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation("seek")


class Encoder:
    """A multipart encoder, as in requests-toolbelt: it has a length and can be read, once."""

    def __init__(self) -> None:
        self._inner = io.BytesIO(PAYLOAD)
        self.len = len(PAYLOAD)

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(size)


def generator() -> Iterator[bytes]:
    yield PAYLOAD[:600]
    yield PAYLOAD[600:]


async def async_generator() -> AsyncIterator[bytes]:
    yield PAYLOAD[:600]
    yield PAYLOAD[600:]


def at_offset(file: Any) -> Any:
    file.seek(OFFSET)
    return file


@dataclass(frozen=True, slots=True)
class Body:
    """One line of the table. `make` is given a file that holds the payload and a stack that closes what it opens."""

    name: str
    make: Callable[[Path, ExitStack], dict[str, Any]]
    repeated: bool
    where: Callable[[Kind], bool]
    payload: bytes = PAYLOAD

    def __str__(self) -> str:
        return self.name


def requests_only(kind: Kind) -> bool:
    return kind.is_requests


def requests_itself(kind: Kind) -> bool:
    return kind.package == "requests"


def niquests_only(kind: Kind) -> bool:
    return kind.package == "niquests"


def httpx_any(kind: Kind) -> bool:
    return kind.is_httpx


def aiohttp_only(kind: Kind) -> bool:
    return kind == AIOHTTP


def httpx_sync(kind: Kind) -> bool:
    return httpx_any(kind) and not kind.is_async


def httpx_async(kind: Kind) -> bool:
    return httpx_any(kind) and kind.is_async


def httpx2_sync(kind: Kind) -> bool:
    """Only where httpx2 sends it itself: before 2.13 it announced the whole length of a file, as httpx does."""
    return kind == Kind("httpx2", "sync") and Version(version("httpx2")) >= Version("2.13")


def everywhere(kind: Kind) -> bool:
    return True


def form(content: Any) -> aiohttp.FormData:
    """A form of parts, one of which is a file."""
    made = aiohttp.FormData({"n": "1"})
    made.add_field("f", content, filename="payload")
    return made


def opened(path: Path, stack: ExitStack) -> Any:
    return stack.enter_context(path.open("rb"))


def pipe(stack: ExitStack) -> Any:
    reading, writing = os.pipe()

    def fill() -> None:
        with os.fdopen(writing, "wb") as end:
            end.write(PAYLOAD)

    filler = threading.Thread(target=fill)
    filler.start()
    stack.callback(filler.join)
    return stack.enter_context(os.fdopen(reading, "rb"))


BODIES = (
    # In memory: repeated everywhere.
    Body("json", lambda _, __: {"json": {"n": PAYLOAD.decode()}}, repeated=True, where=everywhere),
    Body("form", lambda _, __: {"data": {"n": PAYLOAD.decode()}}, repeated=True, where=everywhere),
    Body("bytes", lambda _, __: {"data": PAYLOAD}, repeated=True, where=requests_only),
    Body("text", lambda _, __: {"data": PAYLOAD.decode()}, repeated=True, where=requests_only),
    Body("bytes", lambda _, __: {"content": PAYLOAD}, repeated=True, where=httpx_any),
    Body("text", lambda _, __: {"content": PAYLOAD.decode()}, repeated=True, where=httpx_any),
    # requests holds these in memory, and rewinds a file to where it began.
    Body("multipart", lambda _, __: {"files": {"f": PAYLOAD}}, repeated=True, where=requests_only),
    Body("multipart file", lambda p, s: {"files": {"f": opened(p, s)}}, repeated=True, where=requests_only),
    Body("file", lambda p, s: {"data": opened(p, s)}, repeated=True, where=requests_only),
    Body("file, offset", lambda p, s: {"data": at_offset(opened(p, s))}, True, requests_only, REST),
    Body("BytesIO", lambda _, __: {"data": io.BytesIO(PAYLOAD)}, repeated=True, where=requests_only),
    Body("BytesIO, offset", lambda _, __: {"data": at_offset(io.BytesIO(PAYLOAD))}, True, requests_only, REST),
    # It cannot be known whether these may be read twice.
    Body("generator", lambda _, __: {"data": generator()}, repeated=False, where=requests_only),
    Body("one-shot iterator", lambda _, __: {"data": OneShot()}, repeated=False, where=requests_only),
    Body("iter(list)", lambda _, __: {"data": iter([PAYLOAD])}, repeated=False, where=requests_only),
    Body("map", lambda _, __: {"data": map(bytes, [PAYLOAD])}, repeated=False, where=requests_only),
    Body("re-iterable", lambda _, __: {"data": Reiterable()}, repeated=False, where=requests_only),
    Body("pipe", lambda _, s: {"data": pipe(s)}, repeated=False, where=requests_only),
    Body("unseekable", lambda _, __: {"data": Unseekable()}, repeated=False, where=requests_only),
    Body(
        "encoder",
        lambda _, __: {"data": Encoder()},
        repeated=False,
        where=requests_itself,
    ),
    # niquests reads it into memory.
    Body("encoder", lambda _, __: {"data": Encoder()}, repeated=True, where=niquests_only),
    Body("generator", lambda _, __: {"content": generator()}, repeated=False, where=httpx_sync),
    Body("one-shot iterator", lambda _, __: {"content": OneShot()}, repeated=False, where=httpx_sync),
    Body("iter(list)", lambda _, __: {"content": iter([PAYLOAD])}, repeated=False, where=httpx_sync),
    Body("map", lambda _, __: {"content": map(bytes, [PAYLOAD])}, repeated=False, where=httpx_sync),
    Body("list", lambda _, __: {"content": [PAYLOAD]}, repeated=False, where=httpx_sync),
    Body("re-iterable", lambda _, __: {"content": Reiterable()}, repeated=False, where=httpx_sync),
    Body("file", lambda p, s: {"content": opened(p, s)}, repeated=False, where=httpx_sync),
    Body("BytesIO", lambda _, __: {"content": io.BytesIO(PAYLOAD)}, repeated=False, where=httpx_sync),
    # httpx itself announces the whole length of a file that is sent from an offset, and fails.
    Body("file, offset", lambda p, s: {"content": at_offset(opened(p, s))}, False, httpx2_sync, REST),
    Body("pipe", lambda _, s: {"content": pipe(s)}, repeated=False, where=httpx2_sync),
    Body("async generator", lambda _, __: {"content": async_generator()}, repeated=False, where=httpx_async),
    Body("async one-shot iterator", lambda _, __: {"content": AsyncOneShot()}, repeated=False, where=httpx_async),
    Body("async re-iterable", lambda _, __: {"content": AsyncReiterable()}, repeated=False, where=httpx_async),
    # httpx rewinds to the beginning, not to where the caller was, and continues in silence if it cannot.
    Body("multipart", lambda _, __: {"files": {"f": PAYLOAD}}, repeated=False, where=httpx_any),
    Body("multipart file", lambda p, s: {"files": {"f": opened(p, s)}}, repeated=False, where=httpx_any),
    # aiohttp has these in memory.
    Body("bytes", lambda _, __: {"data": PAYLOAD}, repeated=True, where=aiohttp_only),
    Body("text", lambda _, __: {"data": PAYLOAD.decode()}, repeated=True, where=aiohttp_only),
    Body("text file", lambda _, __: {"data": io.StringIO(PAYLOAD.decode())}, repeated=True, where=aiohttp_only),
    Body("compressed", lambda _, __: {"data": PAYLOAD, "compress": True}, True, aiohttp_only, b""),
    Body("in chunks", lambda _, __: {"data": PAYLOAD, "chunked": True}, repeated=True, where=aiohttp_only),
    Body("100-continue", lambda _, __: {"data": PAYLOAD, "expect100": True}, repeated=True, where=aiohttp_only),
    Body("multipart", lambda _, __: {"data": form(PAYLOAD)}, repeated=True, where=aiohttp_only),
    # It reads these once, or on a thread that may still read when they are sent again.
    Body("multipart file", lambda p, s: {"data": form(opened(p, s))}, repeated=False, where=aiohttp_only),
    Body("file", lambda p, s: {"data": opened(p, s)}, repeated=False, where=aiohttp_only),
    Body("file, offset", lambda p, s: {"data": at_offset(opened(p, s))}, False, aiohttp_only, REST),
    Body("BytesIO", lambda _, __: {"data": io.BytesIO(PAYLOAD)}, repeated=False, where=aiohttp_only),
    Body("async generator", lambda _, __: {"data": async_generator()}, repeated=False, where=aiohttp_only),
    Body("async one-shot iterator", lambda _, __: {"data": AsyncOneShot()}, repeated=False, where=aiohttp_only),
    Body("async re-iterable", lambda _, __: {"data": AsyncReiterable()}, repeated=False, where=aiohttp_only),
)

over_the_table = pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(*row.values, body, id=f"{row.id}-{body}", marks=row.marks)
        for body in BODIES
        for row in rows(body.where)
    ],
)


@pytest.fixture
def payload_file(tmp_path: Path) -> Path:
    path = tmp_path / "payload"
    path.write_bytes(PAYLOAD)
    return path


def uploads(world: World) -> list[RecordedRequest]:
    """What arrived at the API, repeated or not."""
    return [request for request in world.sandbox.requests if request.path.startswith("/data/")]


@over_the_table
def test_f34_a_rejected_body_is_repeated_whole_or_not_at_all(
    world: World, kind: Kind, body: Body, payload_file: Path
) -> None:
    """A rejected request is repeated if its body is in memory or rewinds; else its 401 is returned."""
    alice = world.signed_in()
    world.sandbox.revoke_access_tokens()
    with kind.open(alice) as http, ExitStack() as stack:
        answer = http.post(world.url, **body.make(payload_file, stack))
        posts = uploads(world)
        assert [body.payload in request.body for request in posts] == [True] * (2 if body.repeated else 1)
        assert len({request.body_length for request in posts}) == 1
        assert answer.status == (201 if body.repeated else 401)
        if not body.repeated:
            assert b"expired token" in answer.body
        assert http.get(world.url).status == 200
    assert_renewed_once(world.sandbox)
    assert world.sandbox.counts.api_rejected == 1


@over_the_table
def test_f34_a_body_is_sent_once_if_the_token_was_renewed_first(
    world: World, kind: Kind, body: Body, payload_file: Path
) -> None:
    """With an expired token the renewal comes before the request, so every kind of body arrives, once and whole."""
    with kind.open(world.expired()) as http, ExitStack() as stack:
        assert http.post(world.url, **body.make(payload_file, stack)).status == 201
    assert [body.payload in request.body for request in uploads(world)] == [True]
    assert_renewed_once(world.sandbox)


@through_httpx
def test_f34_a_stream_of_the_callers_own_is_never_repeated(world: World, kind: Kind) -> None:
    """A request built on a stream object of the caller's own is sent once."""
    alice = world.signed_in()
    world.sandbox.revoke_access_tokens()
    base: Any = kind.module.AsyncByteStream if kind.is_async else kind.module.SyncByteStream

    class Own(base):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            yield PAYLOAD

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield PAYLOAD

    headers = {"Host": world.sandbox.origin.removeprefix("http://"), "Content-Length": str(len(PAYLOAD))}
    request = kind.module.Request("POST", world.url, stream=Own(), headers=headers)
    with kind.open(alice) as http:
        send = http.native.send
        response = http.portal.call(send, request) if kind.is_async else send(request)  # type: ignore[attr-defined]
    assert response.status_code == 401
    assert [request.body_length for request in uploads(world)] == [len(PAYLOAD)]
    assert_renewed_once(world.sandbox)


@through_every_client
def test_f34_a_rejected_request_without_a_body_is_repeated(world: World, kind: Kind) -> None:
    """GET, PUT and DELETE without a body are repeated, and the server sees no body."""
    alice = world.signed_in()
    with kind.open(alice) as http:
        for method in ("GET", "PUT", "DELETE"):
            world.sandbox.revoke_access_tokens()
            assert http.request(method, world.url).status == 200
    assert [request.body_length for request in uploads(world)] == [0] * 6
