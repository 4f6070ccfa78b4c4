"""What only `AiohttpAuth` meets: websockets, sessions and event loops that end, other middlewares, early answers.

What it has in common with the other clients is in the tables of the other files here. What aiohttp itself does is
measured in test_aiohttp_middlewares.py.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientTimeout, web
from support.aiohttp_server import Server, serving
from support.canary.leaks import leaks
from support.errors import raises
from support.limits import PATIENCE
from support.waiting import Hold
from support.worlds import NO_RENEWAL, ONE_RENEWAL, World

from blnk_auth import (
    AiohttpAuth,
    ApiAnswer,
    Auth,
    ConfigurationError,
    Httpx2Auth,
    HttpxAuth,
    RequestsAuth,
    SignInRequired,
    TemporarilyUnavailable,
    TokenSource,
)
from blnk_auth._request import rejection_body
from blnk_auth.testing import Fault, assert_renewed_once

LIMIT = ClientTimeout(total=PATIENCE)
CHALLENGE = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run it in an event loop of its own."""

    async def limited() -> None:
        async with asyncio.timeout(PATIENCE):
            await main()

    asyncio.run(limited())


def session(source: TokenSource, *more: Any, **settings: Any) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(middlewares=(AiohttpAuth(source), *more), timeout=LIMIT, **settings)


def rejecting(times: int, then: Any = None) -> Any:
    """A server that rejects the token so many times, and then answers."""

    async def answer(server: Server, request: web.Request) -> web.StreamResponse:
        if len(server.requests) <= times:
            return web.json_response({"error": "expired"}, status=401, headers=CHALLENGE)
        return await then(server, request) if then else web.Response(text="done")

    return answer


# --- websockets ------------------------------------------------------------------------------------------------------


async def echo(_: Server, request: web.Request) -> web.StreamResponse:
    made = web.WebSocketResponse()
    await made.prepare(request)
    async for message in made:
        await made.send_str(f"echo {message.data}")
    return made


@pytest.mark.parametrize("scheme", ["ws", "http"])
@pytest.mark.parametrize("rejections", [0, 1])
def test_a_web_socket_has_the_token_in_its_handshake(world: World, rejections: int, scheme: str) -> None:
    """A 401 to the handshake renews the token, and the handshake is repeated. The socket then works."""

    async def main() -> None:
        async with serving(rejecting(rejections, echo)) as server:
            alice = world.signed_in(api_origins=(server.origin,))
            async with (
                session(alice) as http,
                http.ws_connect(f"{server.origin.replace('http', scheme, 1)}/live") as socket,
            ):
                await socket.send_str("hello")
                assert (await socket.receive()).data == "echo hello"
            token = (await alice.atoken()).access_token
            assert server.authorizations[-1] == f"Bearer {token}"
            assert len(set(server.authorizations)) == len(server.requests) == 1 + rejections

    run(main)
    assert world.renewals == (ONE_RENEWAL if rejections else NO_RENEWAL)


def test_a_web_socket_of_another_origin_gets_nothing(world: World) -> None:
    """Its 401 reaches the caller as aiohttp's own error, and renews nothing."""

    async def main() -> None:
        async with serving(rejecting(9)) as server, session(world.signed_in()) as http:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await http.ws_connect(server.origin)
            assert caught.value.status == 401
            assert server.authorizations == [None]

    run(main)
    assert world.renewals == NO_RENEWAL
    assert "token_withheld" in world.events.names


def test_a_handshake_after_an_expiry_has_the_new_token(world: World) -> None:
    """The token is renewed first, and an open socket is left alone."""

    async def main() -> None:
        async with serving(echo) as server:
            alice = world.signed_in(api_origins=(server.origin,))
            async with session(alice) as http, http.ws_connect(server.origin) as first:
                world.expire()
                async with http.ws_connect(server.origin) as second:
                    for socket in (first, second):
                        await socket.send_str("x")
                        assert (await socket.receive()).data == "echo x"
            assert len(set(server.authorizations)) == 2

    run(main)
    assert_renewed_once(world.sandbox)


# --- sessions and event loops that end -------------------------------------------------------------------------------


def test_a_session_that_is_closed_while_its_request_waits_is_a_typed_error(world: World) -> None:
    """The renewal continues, and the pair is saved."""
    alice = world.expired()

    async def main() -> None:
        http = session(alice)
        call = asyncio.create_task(http.get(world.url))
        await asyncio.to_thread(asking.wait_until_reached)
        await http.close()
        asking.release()
        with raises(ConfigurationError, shows=("the session was closed",)) as caught:
            await call
        assert isinstance(caught.value, aiohttp.ClientError)

    with Hold() as asking:
        world.sandbox.fail(Fault(rewrite=asking))
        run(main)
    assert alice.state == "fresh"
    assert_renewed_once(world.sandbox)


def test_a_session_that_is_closed_while_a_rejected_request_waits_is_a_typed_error(world: World) -> None:
    """Nothing is repeated."""

    async def main() -> None:
        async with serving(rejecting(1)) as server:
            http = session(world.signed_in(api_origins=(server.origin,)))
            world.sandbox.fail(Fault(rewrite=asking))
            call = asyncio.create_task(http.get(server.origin))
            await asyncio.to_thread(asking.wait_until_reached)
            await http.close()
            asking.release()
            with raises(ConfigurationError, shows=("the session was closed",)):
                await call
            assert len(server.requests) == 1

    with Hold() as asking:
        run(main)
    assert_renewed_once(world.sandbox)


def test_a_closed_session_renews_nothing(world: World) -> None:
    """Aiohttp itself refuses it, before it calls a middleware."""

    async def main() -> None:
        http = session(world.expired())
        await http.close()
        with pytest.raises(RuntimeError, match="Session is closed"):
            await http.get(world.url)

    run(main)
    assert world.renewals == NO_RENEWAL


def test_one_object_serves_sessions_of_many_event_loops(world: World) -> None:
    """It is made outside an event loop. Loops one after another, and four at the same time in four threads."""
    auth = AiohttpAuth(world.expired())

    async def main() -> None:
        async with aiohttp.ClientSession(middlewares=(auth,)) as http, http.get(world.url) as response:
            assert response.status == 200

    run(main)
    run(main)
    with ThreadPoolExecutor(4) as threads:
        for call in [threads.submit(run, main) for _ in range(4)]:
            call.result(PATIENCE)
    assert_renewed_once(world.sandbox)


def test_a_request_outside_an_event_loop_of_asyncio_is_a_typed_error(world: World) -> None:
    """A coroutine that is run by hand, as trio would."""

    async def made() -> ClientRequest:
        requests_of_call: list[ClientRequest] = []

        async def keep(request: ClientRequest, _: ClientHandlerType) -> ClientResponse:
            requests_of_call.append(request)
            raise ConnectionError

        async with aiohttp.ClientSession(middlewares=(keep,)) as http:
            with pytest.raises(aiohttp.ClientOSError):
                await http.get(world.url)
        return requests_of_call[0]

    async def never(_: ClientRequest) -> ClientResponse:
        raise AssertionError

    request = asyncio.run(made())
    with raises(ConfigurationError, shows=("event loop", "asyncio.run(main())")):
        AiohttpAuth(world.expired())(request, never).send(None)
    assert world.renewals == NO_RENEWAL


def test_the_total_time_of_a_call_ends_its_waiting_and_not_the_renewal(world: World) -> None:
    """The caller gets aiohttp's own time-out. The next call has the new token."""
    alice = world.expired()

    async def main() -> None:
        async with session(alice) as http:
            with pytest.raises(TimeoutError):
                await http.get(world.url, timeout=ClientTimeout(total=0.2))
            assert await asyncio.to_thread(asking.reached.wait, PATIENCE)
            asking.release()
            async with http.get(world.url) as response:
                assert response.status == 200

    with Hold() as asking:
        world.sandbox.fail(Fault(rewrite=asking))
        run(main)
    assert_renewed_once(world.sandbox)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
def test_a_caller_cancelled_after_a_rejection_frees_its_connection(world: World) -> None:
    """The rejected response is closed, so that the only connection of the session serves the next call."""
    reported: list[Any] = []

    async def long(server: Server, _: web.Request) -> web.StreamResponse:
        is_rejected = len(server.requests) == 1
        return web.Response(body=b"x" * 4_000_000, status=401 if is_rejected else 200, headers=CHALLENGE)

    async def main() -> None:
        # In this mode aiohttp reports a response that nobody has closed.
        asyncio.get_running_loop().set_debug(True)
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        async with serving(long) as server:
            alice = world.signed_in(api_origins=(server.origin,))
            world.sandbox.fail(Fault(rewrite=asking))
            async with session(alice, connector=aiohttp.TCPConnector(limit=1)) as http:
                call = asyncio.create_task(http.get(server.origin))
                await asyncio.to_thread(asking.wait_until_reached)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                asking.release()
                async with http.get(server.origin) as response:
                    assert response.status == 200

    with Hold() as asking:
        run(main)
    assert reported == []
    assert_renewed_once(world.sandbox)


# --- redirects -------------------------------------------------------------------------------------------------------


def test_a_redirect_that_the_caller_follows_is_a_request_like_others(world: World) -> None:
    """The caller chose the URL, so another listed origin gets the token, and nothing of the call is kept."""

    async def main() -> None:
        async with serving(rejecting(0)) as other, serving(to(lambda: other.origin)) as server:
            alice = world.signed_in(api_origins=(server.origin, other.origin))
            auth = AiohttpAuth(alice)
            async with aiohttp.ClientSession(middlewares=(auth,), timeout=LIMIT) as http:
                async with http.get(server.origin, allow_redirects=False) as response:
                    location = response.headers["Location"]
                (await http.get(location)).release()
                (await http.get(server.origin)).release()
            sent = f"Bearer {(await alice.atoken()).access_token}"
            assert other.authorizations == [sent, None]
            del response
            gc.collect()
            assert auth._following == {}

    run(main)


def to(location: Callable[[], str]) -> Any:
    async def answer(_: Server, __: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": location()})

    return answer


def test_a_rejection_after_a_redirect_is_repeated_at_that_hop(world: World) -> None:
    """The first request is not sent again, and both hops have the token."""

    async def answer(server: Server, request: web.Request) -> web.StreamResponse:
        if request.path == "/start":
            return web.Response(status=307, headers={"Location": "/end"})
        await server.read(request)
        return web.Response(status=401, headers=CHALLENGE) if len(server.requests) == 2 else web.Response()

    async def main() -> None:
        async with serving(answer) as server:
            alice = world.signed_in(api_origins=(server.origin,))
            async with session(alice) as http, http.post(f"{server.origin}/start", json={"a": 1}) as response:
                assert response.status == 200
            assert server.paths == ["POST /start", "POST /end", "POST /end"]
            assert server.bodies == [b'{"a": 1}'] * 2
            assert server.authorizations[0] == server.authorizations[1] != server.authorizations[2]

    run(main)
    assert_renewed_once(world.sandbox)


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
def test_a_rejection_that_comes_while_the_body_is_still_sent_is_resolved(world: World) -> None:
    """A long body in memory is sent again from its beginning, through a pool of one connection."""
    long = b"0123456789" * 800_000

    async def answer(server: Server, request: web.Request) -> web.StreamResponse:
        if len(server.requests) == 1:
            return web.Response(status=401, headers={**CHALLENGE, "Connection": "close"})
        await server.read(request)
        return web.Response()

    async def main() -> None:
        async with serving(answer) as server:
            alice = world.signed_in(api_origins=(server.origin,))
            async with (
                session(alice, connector=aiohttp.TCPConnector(limit=1)) as http,
                http.post(server.origin, data=long) as response,
            ):
                assert response.status == 200
            assert server.bodies == [long]

    run(main)
    assert_renewed_once(world.sandbox)


def test_a_repeated_body_is_asked_for_again(world: World) -> None:
    """With `expect100`, each attempt waits for the API to ask for its body (RFC 9110 section 10.1.1)."""
    had_been_asked: list[bool] = []

    async def look(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        assert request._continue is not None
        had_been_asked.append(request._continue.done())
        return await handler(request)

    async def once(server: Server, _: web.Request) -> web.StreamResponse:
        # Closed, because older versions use the connection again although the body was not sent (limits.md).
        is_rejected = len(server.requests) == 1
        headers = {**CHALLENGE, "Connection": "close"}
        return web.Response(status=401, headers=headers) if is_rejected else web.Response()

    async def main() -> None:
        async with serving(once) as server:
            alice = world.signed_in(api_origins=(server.origin,))
            async with session(alice, look) as http, http.post(server.origin, data=b"x", expect100=True) as response:
                assert response.status == 200

    run(main)
    assert had_been_asked == [False, False]


def test_a_streamed_body_and_a_streamed_response_are_left_alone(world: World) -> None:
    """Sent and read piece by piece."""

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d" % number

    async def reflecting(server: Server, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for byte in await server.read(request):
            await response.write(bytes([byte]))
        return response

    async def main() -> None:
        async with serving(reflecting) as server:
            alice = world.signed_in(api_origins=(server.origin,))
            async with session(alice) as http, http.post(server.origin, data=pieces()) as response:
                assert b"".join([piece async for piece in response.content.iter_any()]) == b"012"

    run(main)


class Judge:
    """A provider's judge that sees bodies."""

    def __init__(self) -> None:
        self.bodies: list[bytes | None] = []

    def __call__(self, answer: ApiAnswer) -> bool:
        self.bodies.append(answer.body)
        return False


READERS: dict[str, Callable[[ClientResponse], Awaitable[bytes]]] = {
    "read": lambda response: response.read(),
    "content": lambda response: response.content.read(),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("size", [0, 10, rejection_body.MAX_REJECTION_BYTES, 400_000])
@pytest.mark.parametrize("auto_decompress", [True, False])
def test_a_body_that_was_judged_can_still_be_read_in_every_way(
    world: World, size: int, reader: str, auto_decompress: bool
) -> None:
    """Also one that is too long to be judged. A body that the session does not decode is not judged."""
    judge, body = Judge(), b"x" * size

    async def answer(_: Server, __: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=401, headers=None if auto_decompress else {"Content-Encoding": "gzip"})

    async def main() -> None:
        async with serving(answer) as server:
            provider = world.acme(server.origin, is_rejection=judge, reads_rejection_body=True)
            alice = world.signed_in(client=world.client(provider))
            async with session(alice, auto_decompress=auto_decompress) as http, http.get(server.origin) as response:
                assert await READERS[reader](response) == body

    run(main)
    is_judged = auto_decompress and size <= rejection_body.MAX_REJECTION_BYTES
    assert judge.bodies == [body if is_judged else None]


# --- other middlewares -----------------------------------------------------------------------------------------------


async def three_times(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """A middleware that repeats a failed request, as users write them."""
    for _ in range(2):
        response = await handler(request)
        if response.status < 500:
            return response
        response.release()
    return await handler(request)


@pytest.mark.parametrize("is_outside", [True, False])
def test_a_middleware_that_repeats_fits_on_both_sides(world: World, is_outside: bool) -> None:
    """Each attempt has the token of that moment, and no header of an attempt before."""

    async def unavailable(server: Server, _: web.Request) -> web.StreamResponse:
        return web.Response(status=503 if len(server.requests) < 3 else 200)

    async def main() -> None:
        async with serving(unavailable) as server:
            auth = AiohttpAuth(world.signed_in(api_origins=(server.origin,)))
            both = (three_times, auth) if is_outside else (auth, three_times)
            async with (
                aiohttp.ClientSession(middlewares=both, timeout=LIMIT) as http,
                http.get(server.origin) as response,
            ):
                assert response.status == 200
            assert len(server.authorizations) == 3
            assert len(set(server.authorizations)) == 1

    run(main)
    assert world.renewals == NO_RENEWAL


def test_the_headers_of_a_request_are_the_callers_again_after_it_was_sent(world: World) -> None:
    """Also one whose name a header of the provider has: it was sent in its place."""
    left: list[list[str]] = []

    async def look(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        response = await handler(request)
        left.append([f"{name}: {value}" for name, value in request.headers.items() if name[0] in "AX"])
        return response

    async def main() -> None:
        async with serving(rejecting(1)) as server:
            provider = world.acme(server.origin, api_headers={"X-Customer": "provider"})
            auth = AiohttpAuth(world.signed_in(client=world.client(provider)))
            async with aiohttp.ClientSession(middlewares=(look, auth), timeout=LIMIT) as http:
                own = {"X-Customer": "caller", "X-Other": "1", "Accept": "a", "Accept-Encoding": "b"}
                async with http.get(server.origin, headers=own) as response:
                    assert response.status == 200
            assert [request.headers["X-Customer"] for request in server.requests] == ["provider"] * 2

    run(main)
    assert sorted(left[0]) == ["Accept-Encoding: b", "Accept: a", "X-Customer: caller", "X-Other: 1"]


def test_a_header_that_another_middleware_replaced_is_not_ours(world: World) -> None:
    """A 401 to it renews nothing."""

    async def replace(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        request.headers["Authorization"] = "Basic b3du"
        return await handler(request)

    async def main() -> None:
        async with serving(rejecting(9)) as server:
            alice = world.signed_in(api_origins=(server.origin,))
            async with session(alice, replace) as http, http.get(server.origin) as response:
                assert response.status == 401
            assert server.authorizations == ["Basic b3du"]

    run(main)
    assert world.renewals == NO_RENEWAL


def test_a_kept_connection_that_was_lost_is_repeated_with_the_token(world: World) -> None:
    """Aiohttp repeats the request itself, and calls the middleware again."""

    async def losing_the_first(server: Server, request: web.Request) -> web.StreamResponse:
        if len(server.requests) == 1:
            assert request.transport is not None
            request.transport.abort()
        return web.Response()

    async def main() -> None:
        async with serving(losing_the_first) as server:
            alice = world.signed_in(api_origins=(server.origin,))
            async with session(alice) as http, http.get(server.origin) as response:
                assert response.status == 200
            assert len(server.authorizations) == 2
            assert len(set(server.authorizations)) == 1

    run(main)


def test_a_rejection_that_was_resolved_raises_nothing(world: World) -> None:
    """Also where the session raises for every status of an error."""

    async def main() -> None:
        async with serving(rejecting(1)) as server:
            alice = world.signed_in(api_origins=(server.origin,))
            async with session(alice, raise_for_status=True) as http, http.get(server.origin) as response:
                assert (response.status, response.history) == (200, ())

    run(main)
    assert_renewed_once(world.sandbox)


# --- secrets and errors ----------------------------------------------------------------------------------------------


def test_no_error_and_no_response_shows_the_token(world: World) -> None:
    """Neither `repr`, nor a traceback with local variables, nor the headers of the request, here or in the history."""
    shown: list[str] = []

    async def answer(_: Server, request: web.Request) -> web.StreamResponse:
        if request.path == "/start":
            return web.Response(status=302, headers={"Location": "/end"})
        if request.path == "/lost":
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=int(request.query.get("status", "200")))

    async def show_error(call: Awaitable[object]) -> None:
        with pytest.raises(aiohttp.ClientError) as caught:
            await call
        whole = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        shown.extend([repr(caught.value), "".join(whole.format())])

    async def main() -> None:
        async with serving(answer) as server:
            alice = world.signed_in(api_origins=(server.origin,))
            tokens = [await alice.atoken()]
            async with session(alice) as http:
                for path in ("/end", "/start", "/end?status=403", "/end?status=401"):
                    async with http.get(f"{server.origin}{path}") as response:
                        shown.extend(repr((each, each.request_info)) for each in (response, *response.history))
                await show_error(http.get(f"{server.origin}/end?status=403", raise_for_status=True))
                await show_error(http.get(f"{server.origin}/start", max_redirects=1))
                await show_error(http.post(f"{server.origin}/lost"))
                await show_error(http.ws_connect(f"{server.origin}/end"))
            tokens.append(await alice.atoken())
            assert len(set(server.authorizations)) == 2
            assert None not in server.authorizations
            assert leaks(shown, [token.access_token for token in tokens]) == []

    run(main)
    assert len(shown) == 13


@pytest.mark.parametrize(
    ("fault", "error", "base", "is_transport"),
    [
        (Fault(status=400, body=b'{"error":"invalid_grant"}'), SignInRequired, aiohttp.ClientError, False),
        (Fault(status=503), TemporarilyUnavailable, aiohttp.ClientConnectionError, True),
    ],
)
def test_an_error_is_also_aiohttps(world: World, fault: Fault, error: Any, base: Any, is_transport: bool) -> None:
    """It has the request, and aiohttp does not repeat it: only what a lost connection raises is repeated."""
    alice = world.expired()
    world.sandbox.fail(fault)

    async def main() -> None:
        async with session(alice) as http:
            with pytest.raises(error) as caught:
                await http.get(world.url)
        assert isinstance(caught.value, base)
        assert isinstance(caught.value, aiohttp.ClientConnectionError) is is_transport
        assert str(caught.value.request.url) == world.url

    run(main)
    assert world.sandbox.counts.token_requests <= 2
    assert world.sandbox.counts.api_requests == 0


# --- wrong combinations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth_class", [Auth, HttpxAuth, Httpx2Auth, RequestsAuth])
def test_another_auth_class_as_a_middleware_is_refused(world: World, auth_class: Any) -> None:
    """The error names what to write, and nothing is sent."""

    async def main() -> None:
        async with aiohttp.ClientSession(middlewares=(auth_class(world.signed_in()),)) as http:
            with raises(ConfigurationError, parameter="auth", shows=("middlewares=(AiohttpAuth(source),)",)):
                await http.get(world.url)

    run(main)
    assert world.sandbox.counts.api_requests == 0


@pytest.mark.parametrize("package", ["requests", "httpx", "httpx2"])
def test_the_middleware_as_auth_of_another_package_is_refused(world: World, package: str) -> None:
    """The error names `Auth`, and nothing is sent."""
    auth: Any = AiohttpAuth(world.signed_in())
    with raises(ConfigurationError, parameter="auth", shows=(f"AiohttpAuth was passed to {package},", "Auth(source)")):
        if package == "requests":
            requests.get(world.url, auth=auth, timeout=PATIENCE)
        else:
            {"httpx": httpx, "httpx2": httpx2}[package].get(world.url, auth=auth, trust_env=False)
    assert world.sandbox.counts.api_requests == 0


@pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning")
def test_aiohttp_itself_refuses_the_middleware_as_its_auth(world: World) -> None:
    """It asks for a `BasicAuth` before it calls anything, and nothing is sent."""

    async def main() -> None:
        auth: Any = AiohttpAuth(world.signed_in())
        async with aiohttp.ClientSession() as http:
            with pytest.raises(TypeError, match="BasicAuth"):
                await http.get(world.url, auth=auth)

    run(main)
    assert world.sandbox.counts.api_requests == 0


def test_aiohttp_itself_refuses_the_middleware_without_its_comma(world: World) -> None:
    """Parentheses alone make no tuple. The error of aiohttp names the class, and nothing is sent."""

    async def main() -> None:
        middlewares: Any = AiohttpAuth(world.signed_in())
        async with aiohttp.ClientSession(middlewares=middlewares) as http:
            with pytest.raises(TypeError, match="AiohttpAuth"):
                await http.get(world.url)

    run(main)
    assert world.sandbox.counts.api_requests == 0


OLD = """
import sys, types
sys.path.insert(0, {directory!r})
try:
    import blnk_auth.aiohttp
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        ("3.11.18", "AiohttpAuth needs aiohttp 3.12.15 or newer, and 3.11.18 is installed; pip install --upgrade"),
        ("3.14.5", "AiohttpAuth needs the package aiohttp, which is installed but cannot be imported"),
        (None, "AiohttpAuth needs the package aiohttp, which is not installed; pip install 'blnk-auth[aiohttp]'"),
    ],
)
def test_an_aiohttp_without_middlewares_is_an_import_error(tmp_path: Path, version: str | None, shown: str) -> None:
    """The error names the extra, the version that is needed, and the one that is there."""
    if version is not None:
        (tmp_path / "aiohttp").mkdir()
        (tmp_path / "aiohttp" / "__init__.py").write_text("")
        described = tmp_path / f"aiohttp-{version}.dist-info"
        described.mkdir()
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: aiohttp\nVersion: {version}\n")
        hidden = ""
    else:
        hidden = "import importlib.util as u, importlib.metadata as m\nfind = u.find_spec\n"
        hidden += "u.find_spec = lambda name, *a: None if name == 'aiohttp' else find(name, *a)\n"
        hidden += "def version(name): raise m.PackageNotFoundError(name)\nm.version = version\n"
        hidden += "sys.modules['aiohttp'] = None\n"
    program = OLD.format(directory=str(tmp_path)).replace("try:", f"{hidden}try:", 1)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(shown), done.stderr
