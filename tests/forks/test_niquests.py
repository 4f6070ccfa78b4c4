"""What niquests has and requests does not: requests that are awaited, HTTP/2, and responses that come later.

The scenario tables go through niquests too: `make test-niquests`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import niquests
import pytest
import requests
import trustme
import urllib3
from support.api_clients import ClientWorld, Ending, either_way
from support.certificates import Certificates
from support.clients import HERD
from support.http2_site import Http2Site
from support.sites import Answering, Received, Reply, Site
from support.waiting import Hold

from blnk_auth import Auth, SignInRequired, StaticToken
from blnk_auth.testing import Clock, Fault, Sandbox, assert_renewed_once


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(trustme.CA(), tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def world(blnk_sandbox: Sandbox, blnk_clock: Clock) -> ClientWorld:
    return ClientWorld(blnk_sandbox, blnk_clock)


def http2_site(answer: Answering, certificates: Certificates, **settings: Any) -> Http2Site:
    return Http2Site(answer, certificates.server(client_certificate=ssl.CERT_NONE), **settings)


def http2_api(world: ClientWorld, certificates: Certificates, **settings: Any) -> Http2Site:
    def answer(request: Received) -> Reply:
        return Reply(200, b"done") if world.accepts(request.authorization) else Reply.rejected()

    return http2_site(answer, certificates, **settings)


async def in_session(auth: Auth, use: Callable[[Any], Awaitable[Any]], **settings: Any) -> Any:
    async with niquests.AsyncSession(**settings) as session:
        session.auth, session.trust_env = auth, False
        return await use(session)


@either_way
def test_a_session_in_the_thread_of_a_loop_gets_its_token(world: ClientWorld, ending: Ending) -> None:
    """As in a notebook: the session blocks, and nothing that should be awaited is left."""
    alice = world.signed_in()
    world.end(ending)

    async def main() -> int:
        with niquests.Session() as session:
            session.auth = Auth(alice)
            return session.get(world.url).status_code or 0

    assert asyncio.run(main()) == 200
    assert_renewed_once(world.sandbox)


@either_way
def test_a_request_that_was_prepared_by_hand_gets_its_token_when_it_is_sent(world: ClientWorld, ending: Ending) -> None:
    """Niquests awaits nothing between the two, so the loop waits; a rejection of it is awaited."""
    alice = world.signed_in()
    world.end(ending)

    async def use(session: niquests.AsyncSession) -> int:
        prepared = session.prepare_request(niquests.Request("GET", world.url))
        return (await session.send(prepared)).status_code or 0

    assert asyncio.run(in_session(Auth(alice), use)) == 200
    assert_renewed_once(world.sandbox)


def test_a_redirect_is_followed_with_one_renewal(world: ClientWorld) -> None:
    """The hook before sending is called for each redirect too, and acts once: the other origin gets no token."""
    with Site(lambda request: Reply(200, (request.authorization or "none").encode())) as elsewhere:

        def answer(request: Received) -> Reply:
            return Reply.redirect(elsewhere.origin) if world.accepts(request.authorization) else Reply.rejected()

        with Site(answer) as api:
            alice = world.alice_for(api.origin)
            world.expire()

            async def use(session: niquests.AsyncSession) -> bytes | None:
                return (await session.get(api.origin)).content

            assert asyncio.run(in_session(Auth(alice), use)) == b"none"
        assert len(api.received) == 1
    assert_renewed_once(world.sandbox)


def test_an_error_is_raised_where_the_request_is_awaited(world: ClientWorld) -> None:
    """It is also niquests' own, and names the request."""
    alice = world.expired()
    world.sandbox.fail("invalid_grant")

    async def use(session: niquests.AsyncSession) -> None:
        with pytest.raises(SignInRequired) as caught:
            await session.get(world.url)
        assert isinstance(caught.value, niquests.RequestException)
        assert isinstance(caught.value.request, niquests.PreparedRequest)

    asyncio.run(in_session(Auth(alice), use))


def test_a_cancelled_caller_leaves_a_renewal_that_ends_well(world: ClientWorld) -> None:
    """Cancelling the task that waits for the renewal does not cancel the renewal."""
    alice = world.expired()

    async def use(session: niquests.AsyncSession) -> int:
        with Hold() as renewing:
            world.sandbox.fail(Fault(rewrite=renewing))
            call = asyncio.create_task(session.get(world.url))
            await asyncio.to_thread(renewing.wait_until_reached)
            call.cancel()
            await asyncio.wait([call])
            assert call.cancelled()
            renewing.release()
        return (await session.get(world.url)).status_code or 0

    assert asyncio.run(in_session(Auth(alice), use)) == 200
    assert_renewed_once(world.sandbox)


def test_over_http2_rejections_leave_their_connection_usable(world: ClientWorld, certificates: Certificates) -> None:
    """More rejections than the connection has streams, all on one connection."""
    with http2_api(world, certificates, most_streams=3) as api, niquests.Session() as session:
        session.auth, session.trust_env = Auth(world.alice_for(api.origin)), False
        for _ in range(5):
            world.clock.advance(600)
            world.sandbox.revoke_access_tokens()
            assert session.get(f"{api.origin}/data", verify=certificates.ca_file).content == b"done"
        assert [len(connection.streams) for connection in api.connections] == [10]
    assert world.renewals == (5, 5, 0)


@either_way
def test_over_http2_fifty_tasks_renew_once(world: ClientWorld, certificates: Certificates, ending: Ending) -> None:
    """Fifty requests in an `AsyncSession` cause one token request, and all are answered."""
    with http2_api(world, certificates) as api:
        alice = world.alice_for(api.origin)

        async def use(session: niquests.AsyncSession) -> set[bytes | None]:
            async def call() -> bytes | None:
                return (await session.get(f"{api.origin}/data", verify=certificates.ca_file)).content

            assert await call() == b"done"
            world.end(ending)
            world.sandbox.token_latency = 0.2
            return set(await asyncio.gather(*[call() for _ in range(HERD)]))

        assert asyncio.run(in_session(Auth(alice), use)) == {b"done"}
    assert_renewed_once(world.sandbox)


def test_a_multiplexed_session_gets_the_rejection_and_then_the_new_token(
    world: ClientWorld, certificates: Certificates
) -> None:
    """The caller has the response before it arrives, so another one could not take its place."""
    with http2_api(world, certificates) as api, niquests.Session(multiplexed=True) as session:
        session.auth, session.trust_env = Auth(world.alice_for(api.origin)), False
        # Multiplexed only on a connection that is there already.
        first = session.get(f"{api.origin}/data", verify=certificates.ca_file)
        session.gather()
        assert first.status_code == 200
        world.sandbox.revoke_access_tokens()
        rejected = [session.get(f"{api.origin}/data", verify=certificates.ca_file) for _ in range(3)]
        assert all(each.lazy for each in rejected)
        session.gather()
        assert [(each.status_code, each.content) for each in rejected] == [(401, b'{"error":"rejected"}')] * 3
        assert session.get(f"{api.origin}/data", verify=certificates.ca_file).status_code == 200
    assert_renewed_once(world.sandbox)


def test_an_awaited_multiplexed_session_gets_the_rejection_and_then_the_new_token(
    world: ClientWorld, certificates: Certificates
) -> None:
    """The same where the responses are awaited."""
    with http2_api(world, certificates) as api:
        alice = world.alice_for(api.origin)

        async def use(session: niquests.AsyncSession) -> list[int | None]:
            statuses = []
            for is_over in (False, True, False):
                if is_over:
                    world.sandbox.revoke_access_tokens()
                response = await session.get(f"{api.origin}/data", verify=certificates.ca_file)
                await session.gather()
                statuses.append(response.status_code)
            return statuses

        assert asyncio.run(in_session(Auth(alice), use, multiplexed=True)) == [200, 401, 200]
    assert_renewed_once(world.sandbox)


@either_way
def test_requests_works_where_niquests_has_replaced_urllib3(world: ClientWorld, ending: Ending) -> None:
    """The request and the token request of a requests user, both through urllib3-future."""
    assert int(urllib3.__version__.rpartition(".")[2]) >= 900
    alice = world.signed_in()
    world.end(ending)
    with requests.Session() as session:
        session.auth = Auth(alice)
        assert session.get(world.url).status_code == 200
    assert_renewed_once(world.sandbox)


def test_a_multiplexed_session_takes_our_headers_along_no_redirect(
    world: ClientWorld, certificates: Certificates
) -> None:
    """No hook sees such a redirect, and niquests removes only `Authorization` for another host."""
    with http2_site(lambda _: Reply(200, b"done"), certificates) as elsewhere:

        def answer(request: Received) -> Reply:
            return Reply.redirect(f"{elsewhere.origin}/end") if request.path == "/start" else Reply(200, b"done")

        with http2_site(answer, certificates) as api, niquests.Session(multiplexed=True) as session:
            session.trust_env = False
            sent = {"verify": certificates.ca_file}
            for key in (
                StaticToken("a-key", api_origins=(api.origin,)),
                StaticToken("a-key", header="X-Api-Key", api_origins=(api.origin,)),
            ):
                session.auth = Auth(key)
                responses = [session.get(url, **sent) for url in (f"{elsewhere.origin}/", f"{api.origin}/start")]
                session.gather()
                assert [response.content for response in responses] == [b"done", b"done"]
    arrived = [request.headers for request in elsewhere.received if request.path == "/end"]
    assert ["authorization" in headers for headers in arrived] == [False, False]
    assert ["x-api-key" in headers for headers in arrived] == [False, False]
    assert [request.headers.get("x-api-key") for request in api.received] == [None, "a-key"]


def test_no_connection_of_urllib3_future_is_kept_for_token_requests(world: ClientWorld) -> None:
    """If a used connection is lost, it sends a request again by itself, and a refresh token would be sent twice."""
    client = world.client()
    alice = world.signed_in(client=client)
    with requests.Session() as session:
        session.auth = Auth(alice)
        for _ in range(2):
            world.expire()
            assert session.get(world.url).status_code == 200
            assert client._state.network.kept._idle == []
    assert world.renewals == (2, 2, 0)


def handshake(request: Received) -> Reply:
    """Accepts a websocket, and sends a text on it: RFC 6455 sections 4.2.2 and 5.2."""
    key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accepted = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accepted}
    return Reply(101, b"\x81\x05hello", headers)


@either_way
def test_a_handshake_of_a_websocket_has_a_valid_token(world: ClientWorld, ending: Ending) -> None:
    """It is renewed first, or the handshake is repeated after a rejection, as any request."""

    def answer(request: Received) -> Reply:
        return handshake(request) if world.accepts(request.authorization) else Reply.rejected()

    with Site(answer) as api:
        alice, url = world.alice_for(api.origin), api.origin.replace("http", "ws")

        async def use(session: niquests.AsyncSession) -> Any:
            extension: Any = (await session.get(url)).extension
            payload = await extension.next_payload()
            await extension.close()
            return payload

        world.end(ending)
        assert asyncio.run(in_session(Auth(alice), use)) == "hello"
        assert_renewed_once(world.sandbox)
        world.clock.advance(600)
        world.end(ending)
        with niquests.Session() as session:
            session.auth, session.trust_env = Auth(alice), False
            extension: Any = session.get(url).extension
            assert extension.next_payload() == "hello"
            extension.close()
    assert world.renewals == (2, 2, 0)
