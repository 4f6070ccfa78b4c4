"""What aiohttp does with a client middleware, measured on the installed version: docs/explanation/aiohttp.md.

Nothing of this library takes part. `AiohttpAuth` relies on these facts; if a new version of aiohttp changes one, the
test of it fails. Where two versions differ, the test has what each one does.
"""

from __future__ import annotations

import asyncio
import io
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, ClientTimeout, web
from packaging.version import Version
from support.aiohttp_server import Server, serving
from support.limits import PATIENCE

VERSION = Version(aiohttp.__version__)
PAYLOAD = b"0123456789" * 100_000
LIMIT = ClientTimeout(total=PATIENCE)


class Recorder:
    """A middleware that passes every request on, and keeps what it saw."""

    def __init__(self, before: Callable[[ClientRequest], None] = lambda _: None) -> None:
        self.requests: list[ClientRequest] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []
        self._before = before

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        self.requests.append(request)
        self.headers.append(dict(request.headers))
        self._before(request)
        response = await handler(request)
        self.statuses.append(response.status)
        return response


async def twice(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Send each request twice, and return the second response."""
    (await handler(request)).release()
    return await handler(request)


async def ok(server: Server, request: web.Request) -> web.StreamResponse:
    await server.read(request)
    return web.Response(text="ok")


def redirecting(to: Callable[[], str], status: int = 302) -> Any:
    async def answer(server: Server, request: web.Request) -> web.StreamResponse:
        await server.read(request)
        return web.Response(status=status, headers={"Location": to()}) if request.path == "/start" else web.Response()

    return answer


# --- redirects -------------------------------------------------------------------------------------------------------


def test_each_hop_of_a_redirect_is_a_request_of_its_own() -> None:
    """The middleware is called for each, with new headers: what it set in the first request is not in the second."""

    def mark(request: ClientRequest) -> None:
        if request.url.path == "/start":
            request.headers["X-Set-By-Middleware"] = "1"

    async def main() -> None:
        seen = Recorder(mark)
        async with (
            serving(redirecting(lambda: "/end")) as server,
            aiohttp.ClientSession(middlewares=(seen,), timeout=LIMIT) as session,
            session.get(f"{server.origin}/start", headers={"X-Own": "1"}) as response,
        ):
            assert seen.statuses == [302, 200]
            assert seen.requests[0] is not seen.requests[1]
            assert ["X-Own" in headers for headers in seen.headers] == [True, True]
            assert ["X-Set-By-Middleware" in request.headers for request in server.requests] == [True, False]
            assert [each.status for each in response.history] == [302]

    asyncio.run(main())


def test_the_requests_of_one_call_have_one_timer_and_those_of_two_calls_have_two() -> None:
    """The only thing that shows which requests belong to one call. With a time-out, and without one."""

    async def main() -> None:
        for timeout in (LIMIT, ClientTimeout(total=None)):
            seen = Recorder()
            async with (
                serving(redirecting(lambda: "/end")) as server,
                aiohttp.ClientSession(middlewares=(seen,), timeout=timeout) as session,
            ):
                for _ in range(2):
                    (await session.get(f"{server.origin}/start")).release()
            timers = [request._timer for request in seen.requests]
            assert timers[0] is timers[1] is not timers[2] is timers[3]

    asyncio.run(main())


def test_which_headers_of_the_caller_follow_a_redirect_to_another_origin() -> None:
    """`Authorization` does not. `Cookie` and `Proxy-Authorization` do not since 3.13.4. Any other header does."""

    async def main() -> None:
        own = {"Authorization": "a", "Cookie": "b=c", "Proxy-Authorization": "d", "X-Api-Key": "e"}
        async with (
            serving(ok) as other,
            serving(redirecting(lambda: f"{other.origin}/end")) as server,
            aiohttp.ClientSession(timeout=LIMIT) as session,
        ):
            (await session.get(f"{server.origin}/start", headers=own)).release()
            followed = [name for name in own if name in other.requests[0].headers]
        assert followed == OTHERS_FOLLOW

    asyncio.run(main())


OTHERS_FOLLOW = ["Cookie", "Proxy-Authorization", "X-Api-Key"] if Version("3.13.4") > VERSION else ["X-Api-Key"]


# --- websockets ------------------------------------------------------------------------------------------------------


async def a_web_socket(_: Server, request: web.Request) -> web.StreamResponse:
    made = web.WebSocketResponse()
    await made.prepare(request)
    await made.close()
    return made


def test_the_handshake_of_a_web_socket_is_a_request_like_others() -> None:
    """A middleware of the session sees it, with a URL that begins with ws, and the response 101."""

    async def main() -> None:
        seen = Recorder()
        async with (
            serving(a_web_socket) as server,
            aiohttp.ClientSession(middlewares=(seen,), timeout=LIMIT) as session,
        ):
            async with session.ws_connect(f"{server.origin.replace('http', 'ws')}/live"):
                assert (seen.requests[0].url.scheme, seen.statuses) == ("ws", [101])
            with pytest.raises(TypeError, match="middlewares"):
                session.ws_connect(f"{server.origin}/live", middlewares=(seen,))  # type: ignore[call-overload]

    asyncio.run(main())


def test_a_handshake_can_be_sent_twice_with_the_same_key() -> None:
    """A middleware cannot change the key: `ws_connect` compares the response with the one that it chose."""

    async def main() -> None:
        async with serving(refusing_first) as server, aiohttp.ClientSession(middlewares=(again_after_401,)) as session:
            async with session.ws_connect(f"{server.origin}/live"):
                keys = [request.headers["Sec-WebSocket-Key"] for request in server.requests]
            assert len(keys) == 2
            assert keys[0] == keys[1]

    asyncio.run(main())


async def refusing_first(server: Server, request: web.Request) -> web.StreamResponse:
    return web.Response(status=401) if len(server.requests) == 1 else await a_web_socket(server, request)


async def again_after_401(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    response = await handler(request)
    if response.status != 401:
        return response
    response.release()
    return await handler(request)


# --- bodies ----------------------------------------------------------------------------------------------------------


async def chunks() -> AsyncIterator[bytes]:
    yield PAYLOAD[:600]
    yield PAYLOAD[600:]


def form(content: Any) -> aiohttp.FormData:
    made = aiohttp.FormData()
    made.add_field("f", content, filename="f")
    return made


BODIES: dict[str, tuple[Callable[[Path], dict[str, Any]], bool]] = {
    "bytes": (lambda _: {"data": PAYLOAD}, True),
    "text": (lambda _: {"data": PAYLOAD.decode()}, True),
    "json": (lambda _: {"json": PAYLOAD.decode()}, True),
    "form": (lambda _: {"data": {"n": PAYLOAD.decode()}}, True),
    "multipart": (lambda _: {"data": form(PAYLOAD)}, True),
    "compressed": (lambda _: {"data": PAYLOAD, "compress": True}, True),
    "100-continue": (lambda _: {"data": PAYLOAD, "expect100": True}, True),
    "file": (lambda path: {"data": path.open("rb")}, True),
    "BytesIO": (lambda _: {"data": io.BytesIO(PAYLOAD)}, True),
    "async generator": (lambda _: {"data": chunks()}, False),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("body", BODIES)
def test_which_bodies_are_sent_whole_by_a_second_call_of_the_handler(body: str, tmp_path: Path) -> None:
    """Those in memory, and files from where they began. An iterator is empty the second time, without an error."""
    make, is_whole = BODIES[body]
    path = tmp_path / "payload"
    path.write_bytes(PAYLOAD)

    async def main() -> None:
        async with serving(ok) as server, aiohttp.ClientSession(middlewares=(twice,), timeout=LIMIT) as session:
            async with session.post(server.origin, **make(path)) as response:
                assert response.status == 200
            first, second = server.bodies
            assert len(first) >= len(PAYLOAD)
            # The boundary of a multipart body is the same too.
            assert second == (first if is_whole else b"")

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
def test_a_response_may_come_while_the_body_is_still_sent() -> None:
    """Releasing it ends the sending, and the second call sends a body in memory from its beginning."""

    async def answer(server: Server, request: web.Request) -> web.StreamResponse:
        if len(server.requests) == 1:
            return web.Response(status=401, headers={"Connection": "close"})
        await server.read(request)
        return web.Response()

    async def main() -> None:
        long = PAYLOAD * 8
        connector = aiohttp.TCPConnector(limit=1)
        async with (
            serving(answer) as server,
            aiohttp.ClientSession(middlewares=(twice,), connector=connector, timeout=LIMIT) as session,
            session.post(server.origin, data=long) as response,
        ):
            assert response.status == 200
            assert server.bodies == [long]

    asyncio.run(main())


# --- what aiohttp does around the middlewares ------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "calls"), [("GET", 2), ("POST", 1)])
def test_a_request_on_a_lost_connection_is_repeated_through_the_middlewares(method: str, calls: int) -> None:
    """Only if its method is idempotent. The middleware gets another request object, of the same call."""

    async def losing_the_first(server: Server, request: web.Request) -> web.StreamResponse:
        await server.read(request)
        if len(server.requests) == 1:
            assert request.transport is not None
            request.transport.abort()
        return web.Response()

    async def main() -> None:
        seen = Recorder()
        async with (
            serving(losing_the_first) as server,
            aiohttp.ClientSession(middlewares=(seen,), timeout=LIMIT) as session,
        ):
            try:
                (await session.request(method, server.origin)).release()
            except aiohttp.ClientConnectionError:
                assert method == "POST"
        assert len(seen.requests) == calls
        assert len({id(request._timer) for request in seen.requests}) == 1

    asyncio.run(main())


def test_statuses_cookies_and_history_are_those_of_the_response_that_is_returned() -> None:
    """`raise_for_status` is applied after the middlewares. What they drop is in no jar and in no history."""

    async def answer(server: Server, _: web.Request) -> web.StreamResponse:
        number = len(server.requests)
        return web.Response(status=401 if number == 1 else 200, headers={"Set-Cookie": f"c{number}=1"})

    async def main() -> None:
        jar = aiohttp.CookieJar(unsafe=True)
        async with (
            serving(answer) as server,
            aiohttp.ClientSession(middlewares=(twice,), cookie_jar=jar, raise_for_status=True) as session,
            session.get(server.origin) as response,
        ):
            assert (response.status, response.history) == (200, ())
            assert [morsel.key for morsel in jar] == ["c2"]
            assert "Cookie" not in server.requests[1].headers

    asyncio.run(main())


def test_the_total_timeout_cancels_a_middleware_that_waits() -> None:
    """The middleware gets `CancelledError`, and the caller `TimeoutError`."""
    ended: list[BaseException] = []

    async def waiting(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            ended.append(error)
            raise
        return await handler(request)

    async def main() -> None:
        async with aiohttp.ClientSession(middlewares=(waiting,)) as session:
            with pytest.raises(TimeoutError):
                await session.get("http://127.0.0.1:1/", timeout=ClientTimeout(total=0.1))

    asyncio.run(main())
    assert [type(error) for error in ended] == [asyncio.CancelledError]


def test_a_response_that_is_not_released_keeps_its_connection() -> None:
    """A second call of the handler then waits for a connection, in a session that has only one."""
    dropped: asyncio.Queue[ClientResponse] = asyncio.Queue()

    async def again(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        dropped.put_nowait(await handler(request))
        return await handler(request)

    async def long(_: Server, __: web.Request) -> web.StreamResponse:
        return web.Response(body=PAYLOAD)

    async def main() -> None:
        connector = aiohttp.TCPConnector(limit=1)
        async with serving(long) as server, aiohttp.ClientSession(connector=connector, middlewares=(again,)) as session:
            call = asyncio.ensure_future(session.get(server.origin, timeout=LIMIT))
            first = await dropped.get()
            done, _ = await asyncio.wait({call}, timeout=0.3)
            assert not done
            first.close()
            async with await call as response:
                assert response.status == 200

    asyncio.run(main())


def test_a_session_that_is_closed_meanwhile_is_an_assertion() -> None:
    """Before the middlewares, a closed session is a `RuntimeError`. Behind them nothing looks."""

    async def closing(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        await request.session.close()
        return await handler(request)

    async def main() -> None:
        session = aiohttp.ClientSession(middlewares=(closing,))
        with pytest.raises(AssertionError):
            await session.get("http://127.0.0.1:1/")
        with pytest.raises(RuntimeError, match="Session is closed"):
            await session.get("http://127.0.0.1:1/")

    asyncio.run(main())


def test_an_error_shows_the_headers_of_its_request_as_they_are_now() -> None:
    """In its `repr` and its pickle. A header that a middleware removes after the response is in neither."""

    def removing(is_removed: bool) -> Callable[[ClientRequest, ClientHandlerType], Awaitable[ClientResponse]]:
        async def middleware(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
            request.headers["Authorization"] = "a-secret"
            response = await handler(request)
            if is_removed:
                del request.headers["Authorization"]
            return response

        return middleware

    async def refusing(_: Server, __: web.Request) -> web.StreamResponse:
        return web.Response(status=403)

    async def main() -> None:
        async with serving(refusing) as server, aiohttp.ClientSession(raise_for_status=True) as session:
            for is_removed in (True, False):
                with pytest.raises(aiohttp.ClientResponseError) as caught:
                    await session.get(server.origin, middlewares=(removing(is_removed),))
                shown = repr(caught.value)
                assert ("a-secret" in shown) is not is_removed
                assert "a-secret" not in str(caught.value)
            with pytest.raises(TypeError):
                pickle.dumps(caught.value)

    asyncio.run(main())
