"""F39: any body of a rejection is judged within limits, and delays and breaks nothing."""

from __future__ import annotations

import gzip
import itertools
import threading
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from importlib.metadata import version
from typing import Any

import httpx
import httpx2
import pytest
import requests
from packaging.version import Version
from requests.adapters import BaseAdapter
from support.clients import AIOHTTP, REQUESTS, Kind, through_every_client
from support.limits import PATIENCE
from support.sites import Reply, Site
from support.waiting import Hold, wait_until
from support.worlds import NO_RENEWAL, World

from blnk_auth import ApiAnswer, RequestsAuth, TokenSource
from blnk_auth._request import rejection_body
from blnk_auth._request.rejection_body import MAX_REJECTION_BYTES, HttpxRejectionBody
from blnk_auth.stores._timer import timer
from blnk_auth.testing import assert_renewed_once

INVALID_TOKEN = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
leaves_a_body = pytest.mark.filterwarnings(
    # On trio, httpx warns of its own generators whenever a streamed body is left before its end.
    "ignore:Exception ignored in. <async_generator object:pytest.PytestUnraisableExceptionWarning",
    "ignore:Async generator:ResourceWarning",
)


class Judge:
    """A provider's judge that sees bodies, and renews where the API asks for it in one."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = frozenset(statuses or {401})
        self.bodies: list[bytes | None] = []

    def __call__(self, answer: ApiAnswer) -> bool:
        self.bodies.append(answer.body)
        return answer.status_code == 401 or b"UNAUTHENTICATED" in (answer.body or b"")


def source_at(world: World, api: Site, judge: Judge) -> TokenSource:
    provider = world.acme(api.origin, rejection_statuses=judge.statuses, is_rejection=judge, reads_rejection_body=True)
    return world.signed_in(client=world.client(provider))


def replies(*given: Reply) -> Site:
    rest = iter(given)
    return Site(lambda _: next(rest, Reply(200, b"done")))


def packed(size: int, times: int = 1) -> bytes:
    """Zeros, compressed so many times."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(size >> 20)) + compressor.flush()
    return data if times == 1 else gzip.compress(data, 9)


@through_every_client
def test_f39_a_compressed_body_is_judged_as_it_reads(world: World, kind: Kind) -> None:
    """The judge sees the decoded body of a rejection, and the request is repeated."""
    judge, body = Judge(200), gzip.compress(b'{"error":"UNAUTHENTICATED"}')
    with replies(Reply(200, body, {"Content-Encoding": "gzip"})) as api:
        with kind.open(source_at(world, api, judge)) as http:
            assert http.get(api.origin).body == b"done"
        assert len(api.received) == 2
    assert judge.bodies == [b'{"error":"UNAUTHENTICATED"}', b"done"]
    assert_renewed_once(world.sandbox)


TWICE = packed(64 << 20, 2)
BOMBS = {
    "one coding": ("gzip", packed(12 << 20)),
    "two codings": ("gzip, gzip", TWICE),
    "two codings without a space": ("gzip,gzip", TWICE),
    "deflate": ("deflate", zlib.compress(bytes(12 << 20), 9)),
    "broken": ("gzip", b"\x1f\x8b\x08 no more"),
}


@pytest.mark.parametrize("bomb", BOMBS)
@through_every_client
def test_f39_a_compression_bomb_is_neither_judged_nor_unpacked(world: World, kind: Kind, bomb: str) -> None:
    """A rejection of a few kilobytes that unpacks to megabytes: no body for the judge, and the request is repeated."""
    judge, (coding, body) = Judge(), BOMBS[bomb]
    assert len(body) <= MAX_REJECTION_BYTES
    with (
        replies(Reply(401, body, {**INVALID_TOKEN, "Content-Encoding": coding})) as api,
        kind.open(source_at(world, api, judge), pool=1) as http,
    ):
        tracemalloc.start()
        try:
            answer = http.get(api.origin)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert (answer.status, answer.body) == (200, b"done")
        assert http.get(api.origin).status == 200
    # Before 3.14, aiohttp itself unpacks every response that arrives, and not only so much as is read.
    unpacks = kind == AIOHTTP and Version(version("aiohttp")) < Version("3.14")
    assert judge.bodies == [None]
    assert unpacks or peak < 10 << 20
    assert_renewed_once(world.sandbox)


def stalled(hold: Hold, *beginning: bytes) -> Iterator[bytes]:
    """A body that begins, and then does not go on."""
    yield from beginning
    hold()
    yield b"too late"


@leaves_a_body
@pytest.mark.parametrize("is_judged", [False, True])
@through_every_client
def test_f39_a_rejection_whose_body_never_comes_is_left(
    world: World, kind: Kind, is_judged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is repeated soon, also for a caller who streams and set no timeout."""
    monkeypatch.setattr(rejection_body, "MAX_REJECTION_SECONDS", 0.3)
    with Hold() as hold, replies(Reply(401, stalled(hold, b"{"), INVALID_TOKEN)) as api:
        source = source_at(world, api, Judge()) if is_judged else world.signed_in(api_origins=(api.origin,))
        with kind.open(source, pool=1) as http:
            assert http.get(api.origin, timeout=None).body == b"done"
            assert http.get(api.origin, timeout=None).body == b"done"
        assert len(api.received) == 3
    assert_renewed_once(world.sandbox)


@leaves_a_body
@through_every_client
def test_f39_a_body_that_never_comes_fails_the_caller_who_reads_it(
    world: World, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A judged rejection that is returned all the same: its reader meets the client's own error, not a short body.

    In aiohttp, whose limits for reading are not shortened, that is the error of the caller's own time-out.
    """
    monkeypatch.setattr(rejection_body, "MAX_REJECTION_SECONDS", 0.3)
    judge = Judge(403)
    with (
        Hold() as hold,
        replies(Reply(403, stalled(hold, b"{"))) as api,
        kind.open(source_at(world, api, judge)) as http,
        pytest.raises((kind.request_error, TimeoutError)),
    ):
        http.get(api.origin, timeout=1 if kind == AIOHTTP else None)
    assert judge.bodies == [None]
    assert world.renewals == NO_RENEWAL


@leaves_a_body
@pytest.mark.parametrize(
    "media_type", ["text/event-stream", "text/event-stream; charset=utf-8", "Application/X-NDJSON"]
)
@through_every_client
def test_f39_a_stream_of_events_reaches_its_reader_as_it_comes(world: World, kind: Kind, media_type: str) -> None:
    """Where 200 is judged by its body, a stream is not: its beginning arrives before its end is sent."""
    judge = Judge(200)
    with Hold() as hold:
        events = Reply(200, stalled(hold, b"data: tick\n\n"), {"Content-Type": media_type})
        with replies(events) as api, kind.open(source_at(world, api, judge)) as http:
            began_at = time.monotonic()
            streamed = http.stream(api.origin)
            assert streamed.status == 200
            assert time.monotonic() - began_at < PATIENCE / 2
            streamed.close()
    assert judge.bodies == [None]


@through_every_client
def test_f39_a_slow_answer_that_is_judged_is_waited_for_by_the_clients_limits(
    world: World, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The body of a 200 may take its time: no limit of this library breaks it off."""
    monkeypatch.setattr(rejection_body, "MAX_REJECTION_SECONDS", 0.1)
    judge = Judge(200)
    with Hold() as hold:
        slow = Reply(200, stalled(hold, b"begun "), {})
        with replies(slow) as api, kind.open(source_at(world, api, judge)) as http:
            call = http.start("GET", api.origin)
            hold.wait_until_reached()
            with pytest.raises(TimeoutError):
                call.result(0.3)
            hold.release()
            assert call.result(PATIENCE).body == b"begun too late"
    assert world.renewals == NO_RENEWAL


@pytest.mark.parametrize("kind", [Kind("httpx", "sync"), Kind("httpx2", "sync")], ids=str)
def test_f39_a_hook_of_the_callers_may_have_read_a_rejection_piece_by_piece(world: World, kind: Kind) -> None:
    """A hook that iterates over the body leaves nothing to judge or to read, and the request is repeated."""
    judge, seen = Judge(), []

    def hook(response: Any) -> None:
        seen.append(b"".join(response.iter_raw()))

    with replies(Reply(401, b"expired", INVALID_TOKEN)) as api, kind.open(source_at(world, api, judge)) as http:
        http.native.event_hooks = {"response": [hook]}
        response = http.native.send(http.native.build_request("GET", api.origin), stream=True)
        assert response.status_code == 200
        assert [each.status_code for each in response.history] == [401]
    assert seen == [b"expired", b"done"]
    assert judge.bodies == [None]
    assert_renewed_once(world.sandbox)


@pytest.mark.parametrize("package", [httpx, httpx2])
def test_f39_a_body_of_many_small_pieces_costs_little(package: Any) -> None:
    """Four times as many pieces take about four times as long, not sixteen times."""

    def seconds(pieces: int) -> float:
        def read() -> float:
            content: Iterable[bytes] = itertools.repeat(b"x", pieces)
            response = package.Response(401, content=content, request=package.Request("GET", "https://api.acme.test"))
            began_at = time.process_time()
            assert HttpxRejectionBody(package, response).wait() == b"x" * pieces
            return time.process_time() - began_at

        return min(read() for _ in range(5))

    assert seconds(16_000) < 8 * seconds(4_000)


@through_every_client
def test_f39_a_body_that_announces_too_much_is_not_read(world: World, kind: Kind) -> None:
    """The judge gets no body, and the caller reads the whole of it."""
    judge, body = Judge(200), b"UNAUTHENTICATED" * 2_000
    with replies(Reply(200, body)) as api, kind.open(source_at(world, api, judge)) as http:
        assert http.get(api.origin).body == body
    assert judge.bodies == [None]


class AwaitedBody:
    """A body as in a session for asyncio, such as that of niquests, which takes `RequestsAuth` too."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    async def read(self, amount: int | None = None, **_: object) -> bytes:
        return self.body

    read1 = read

    async def stream(self, *_: object, **__: object) -> AsyncIterator[bytes]:
        yield self.body


class AwaitedAdapter(BaseAdapter):
    """Sends nothing: the first response rejects the token."""

    def __init__(self) -> None:
        super().__init__()
        self.authorizations: list[str] = []

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
        self.authorizations.append(str(request.headers["Authorization"]))
        response = requests.Response()
        response.status_code = 200 if len(self.authorizations) > 1 else 401
        response.request, response.url, response.raw = request, request.url or "", AwaitedBody(b"body")
        response._content, response._content_consumed = b"body", False
        response.connection = self  # type: ignore[attr-defined]  # as the adapters of requests do
        return response

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("is_judged", [False, True])
def test_f39_a_body_that_only_a_coroutine_can_read_is_left_alone(world: World, is_judged: bool) -> None:
    """The rejection is returned as it is, and the next request carries the renewed token."""
    judge = Judge()
    with replies() as api, requests.Session() as session:
        session.auth = RequestsAuth(source_at(world, api, judge) if is_judged else world.signed_in())
        adapter = AwaitedAdapter()
        url = api.origin if is_judged else world.url
        for expected in (401, 200):
            prepared = session.prepare_request(requests.Request("GET", url))
            response = adapter.send(prepared)
            for hook in prepared.hooks["response"]:
                assert hook(response) is None
            assert response.status_code == expected
    assert len(set(adapter.authorizations)) == 2
    assert judge.bodies == ([None] if is_judged else [])
    assert_renewed_once(world.sandbox)


@leaves_a_body
def test_f39_the_limit_of_a_rejection_ends_with_the_reading(world: World) -> None:
    """With requests it is the work of the timer that the whole process has, and not of a thread of its own."""
    with (
        Hold() as hold,
        replies(Reply(401, stalled(hold, b"begun "), INVALID_TOKEN)) as api,
        REQUESTS.open(world.signed_in(api_origins=(api.origin,))) as http,
    ):
        call = http.start("GET", api.origin)
        wait_until(lambda: _read_limits() == 1, "the body is being read")
        assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
        hold.release()
        assert call.result(PATIENCE).status == 200
    assert _read_limits() == 0


def _read_limits() -> int:
    return sum(isinstance(each, rejection_body._ReadLimit) for each in list(timer()._timed))
