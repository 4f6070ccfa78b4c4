"""HTTP/2: many requests share one connection, and what is done to one of them must not harm the others.

Only what HTTP/2 does otherwise is here. In a thread, httpx and httpx2 send one request at a time over HTTP/2: their
connections may not be shared between threads (encode/httpx issue 3072), which is theirs to change.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trustme
from support.api_clients import ClientWorld
from support.certificates import Certificates
from support.clients import AIOHTTP, HERD, REQUESTS, Http, Kind, through_httpx, through_httpx_tasks
from support.http2_site import Http2Site
from support.limits import PATIENCE
from support.sites import Received, Reply, Site, endless
from support.waiting import Hold, cancel, wait_until

from blnk_auth import TokenSource
from blnk_auth._request import rejection_body
from blnk_auth.testing import Clock, Fault, Sandbox, assert_renewed_once

leaves_a_body = pytest.mark.filterwarnings(
    # On trio, httpx warns of its own generators whenever a streamed body is left before its end.
    "ignore:Exception ignored in. <async_generator object:pytest.PytestUnraisableExceptionWarning",
    "ignore:Async generator:ResourceWarning",
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(trustme.CA(), tmp_path_factory.mktemp("certificates"))


class Http2World(ClientWorld):
    """A sandbox, and an API over HTTP/2 that accepts its tokens."""

    def __init__(self, sandbox: Sandbox, clock: Clock, certificates: Certificates) -> None:
        super().__init__(sandbox, clock)
        self._certificates = certificates

    def revoke(self) -> None:
        """End the token at the server, long enough after the last time: no renewal is too much."""
        self.clock.advance(600)
        self.sandbox.revoke_access_tokens()

    @contextmanager
    def http2_api(
        self,
        answer: Callable[[Received], Reply] = lambda _: Reply(200, b"done"),
        *,
        rejection: Iterable[bytes] | bytes = b"rejected",
        **settings: Any,
    ) -> Iterator[Http2Site]:
        def respond(request: Received) -> Reply:
            if self.accepts(request.authorization):
                return answer(request)
            return Reply(401, rejection, {"WWW-Authenticate": 'Bearer error="invalid_token"'})

        with Http2Site(respond, self._certificates.server(client_certificate=ssl.CERT_NONE), **settings) as site:
            yield site

    def over_http2(self, kind: Kind, source: TokenSource) -> Http:
        trusted = ssl.create_default_context(cafile=self._certificates.ca_file)
        return kind.open(source, http2=True, verify=trusted)


@pytest.fixture
def world(blnk_sandbox: Sandbox, blnk_clock: Clock, certificates: Certificates) -> Http2World:
    return Http2World(blnk_sandbox, blnk_clock, certificates)


@pytest.mark.parametrize(("size", "times"), [(0, 5), (20_000, 5), (1_000_000, 20)])
@through_httpx
def test_rejections_leave_their_connection_usable(world: Http2World, kind: Kind, size: int, times: int) -> None:
    """More rejections than the connection has streams, or room for: each request is repeated, all on one connection."""
    with world.http2_api(rejection=b"x" * size, most_streams=3) as api:
        alice = world.alice_for(api.origin)
        with world.over_http2(kind, alice) as http:
            for _ in range(times):
                world.revoke()
                assert http.get(f"{api.origin}/data").body == b"done"
        assert [len(connection.streams) for connection in api.connections] == [2 * times]
    assert world.renewals == (times, times, 0)


@through_httpx
def test_a_rejection_without_headers_of_its_length_is_read_to_its_end(world: Http2World, kind: Kind) -> None:
    """A body that comes in pieces, and longer than what is judged, frees its stream too."""
    pieces = [b"x" * 8_000] * 5
    with world.http2_api(rejection=pieces, most_streams=2) as api:
        alice = world.alice_for(api.origin)
        with world.over_http2(kind, alice) as http:
            for _ in range(4):
                world.revoke()
                assert http.get(f"{api.origin}/data").body == b"done"
        assert [len(connection.streams) for connection in api.connections] == [8]


@leaves_a_body
@through_httpx
def test_a_rejection_without_an_end_reaches_the_caller(world: Http2World, kind: Kind) -> None:
    """Its stream cannot be freed, so the request is not repeated. The token is renewed, and the next request has it."""
    with world.http2_api(rejection=endless()) as api:
        alice = world.alice_for(api.origin)
        world.revoke()
        with world.over_http2(kind, alice) as http:
            streamed = http.stream(f"{api.origin}/data")
            assert streamed.status == 401
            assert_renewed_once(world.sandbox)
            streamed.close()
            assert http.get(f"{api.origin}/data").body == b"done"
        assert len(api.received) == 2
    assert_renewed_once(world.sandbox)


@through_httpx_tasks
def test_fifty_streams_that_meet_an_expiry_renew_once(world: Http2World, kind: Kind) -> None:
    """Fifty requests on one connection with an expired token cause one token request, and all are answered."""
    with world.http2_api() as api:
        alice = world.alice_for(api.origin)
        with world.over_http2(kind, alice) as http:
            # The connection is there before, so that all share it.
            assert http.get(f"{api.origin}/data").status == 200
            world.expire()
            world.sandbox.token_latency = 0.2
            assert [answer.status for answer in http.herd(f"{api.origin}/data")] == [200] * HERD
        assert [len(connection.streams) for connection in api.connections] == [1 + HERD]
    assert_renewed_once(world.sandbox)


@through_httpx_tasks
def test_fifty_streams_that_are_rejected_renew_once(world: Http2World, kind: Kind) -> None:
    """Fifty requests that are on one connection together and all rejected cause one token request, and are repeated."""
    together = threading.Barrier(HERD)

    def answer(request: Received) -> Reply:
        if not world.accepts(request.authorization):
            together.wait(PATIENCE)
            return Reply.rejected()
        return Reply(200, b"done")

    with Http2Site(answer, world._certificates.server(client_certificate=ssl.CERT_NONE)) as api:
        alice = world.alice_for(api.origin)
        with world.over_http2(kind, alice) as http:
            assert http.get(f"{api.origin}/data").status == 200
            world.revoke()
            assert [answer.body for answer in http.herd(f"{api.origin}/data")] == [b"done"] * HERD
        assert [len(connection.streams) for connection in api.connections] == [1 + 2 * HERD]
    assert_renewed_once(world.sandbox)


@through_httpx_tasks
def test_a_caller_who_leaves_during_the_renewal_harms_no_other_stream(world: Http2World, kind: Kind) -> None:
    """One of two rejected requests is cancelled while the token is renewed: the other is repeated."""
    with world.http2_api() as api, Hold() as renewing:
        alice = world.alice_for(api.origin)
        with world.over_http2(kind, alice) as http:
            assert http.get(f"{api.origin}/data").status == 200
            world.revoke()
            world.sandbox.fail(Fault(rewrite=renewing))
            stays = http.start("GET", f"{api.origin}/data")
            leaves = http.start("GET", f"{api.origin}/data")
            renewing.wait_until_reached()
            wait_until(lambda: len(api.received) == 3, "both requests were rejected")
            cancel(leaves)
            renewing.release()
            assert stays.result(PATIENCE).body == b"done"
            assert http.get(f"{api.origin}/data").body == b"done"
        assert len(api.connections) == 1
    assert_renewed_once(world.sandbox)


@through_httpx
def test_a_connection_that_ends_with_the_rejection_is_left(world: Http2World, kind: Kind) -> None:
    """The server announces the connection's end with the 401 (GOAWAY): the request is repeated on another one."""
    with world.http2_api(goes_away_after=2) as api:
        alice = world.alice_for(api.origin)
        with world.over_http2(kind, alice) as http:
            assert http.get(f"{api.origin}/data").status == 200
            world.revoke()
            assert http.get(f"{api.origin}/data").body == b"done"
        assert [len(connection.streams) for connection in api.connections] == [2, 1]
    assert_renewed_once(world.sandbox)


@through_httpx
def test_a_body_in_memory_is_repeated_and_a_stream_is_not(world: Http2World, kind: Kind) -> None:
    """As over HTTP/1.1: a body larger than the window is sent whole again, a generator is not sent again."""
    body = b"x" * 200_000
    with world.http2_api(lambda request: Reply(200, b"%d" % len(request.body))) as api:
        alice = world.alice_for(api.origin)
        with world.over_http2(kind, alice) as http:
            world.revoke()
            assert http.post(f"{api.origin}/data", content=body).body == b"200000"
            world.revoke()
            assert http.post(f"{api.origin}/data", content=streamed(kind, body)).status == 401
            assert http.get(f"{api.origin}/data").status == 200
        assert [len(request.body) for request in api.received] == [200_000, 200_000, 200_000, 0]
    assert world.renewals == (2, 2, 0)


def streamed(kind: Kind, body: bytes) -> Any:
    async def pieces() -> Any:
        yield body

    return pieces() if kind.is_async else iter([body])


@through_httpx
def test_the_names_of_our_headers_are_sent_in_lower_case(world: Http2World, kind: Kind) -> None:
    """RFC 9113 section 8.2: the token's header too, once, also in a repeated request."""
    with world.http2_api() as api:
        alice = world.alice_for(api.origin)
        world.revoke()
        with world.over_http2(kind, alice) as http:
            assert http.get(f"{api.origin}/data").status == 200
        names = api.connections[0].names
        assert "authorization" in names
        assert {name for name in names if name != name.lower()} == set()
        assert all(authorization and "," not in authorization for authorization in api.authorizations)


@pytest.mark.deep
@through_httpx_tasks
def test_a_rejection_that_stalls_breaks_no_other_stream(
    world: Http2World, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that does not come is waited for as long as the client allows. If it comes late, the caller gets it."""
    monkeypatch.setattr(rejection_body, "MAX_REJECTION_SECONDS", 1.0)
    with Hold() as slow, Hold() as stalls:

        def answer(request: Received) -> Reply:
            if request.path == "/slow":
                slow()
            return Reply(200, b"done")

        def pieces() -> Iterator[bytes]:
            yield b"{"
            stalls()
            yield b"}"

        with world.http2_api(answer, rejection=pieces()) as api:
            alice = world.alice_for(api.origin)
            with world.over_http2(kind, alice) as http:
                others = http.start("GET", f"{api.origin}/slow")
                slow.wait_until_reached()
                world.revoke()
                rejected = http.start("GET", f"{api.origin}/data")
                stalls.wait_until_reached()
                with pytest.raises(TimeoutError):
                    rejected.result(rejection_body.MAX_REJECTION_SECONDS + 1)
                slow.release()
                assert others.result(PATIENCE).body == b"done"
                stalls.release()
                assert rejected.result(PATIENCE).status == 401
                assert http.get(f"{api.origin}/data").body == b"done"
            assert len(api.connections) == 1
    assert_renewed_once(world.sandbox)


@pytest.mark.parametrize("kind", [REQUESTS, AIOHTTP], ids=str)
def test_a_client_that_does_not_speak_it_uses_http_1(world: Http2World, certificates: Certificates, kind: Kind) -> None:
    """A server that prefers HTTP/2 answers requests and aiohttp over HTTP/1.1."""
    tls = certificates.server(client_certificate=ssl.CERT_NONE)
    tls.set_alpn_protocols(["h2", "http/1.1"])
    with Site(lambda request: Reply(200 if world.accepts(request.authorization) else 401), tls=tls) as api:
        with world.over_http2(kind, world.alice_for(api.origin)) as http:
            assert http.get(f"{api.origin}/data").status == 200
        assert len(api.received) == 1
