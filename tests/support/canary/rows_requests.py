"""Rows: requests of the user's own through every HTTP client, with the token attached."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

import aiohttp
import httpx
import httpx2
import requests
import trio
from support.limits import PATIENCE
from support.sites import Reply

from blnk_auth import AiohttpAuth, Auth, Httpx2Auth, HttpxAuth, RequestsAuth, StaticToken

from .faults import ONE_OF_EACH, STORE, TOKEN_REQUEST
from .marks import ENCODINGS
from .server import Heard
from .table import add_row, row
from .world import World

_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here speaks TLS, and to load the platform's certificates takes longer than the rest of a trial."""

Send = Callable[[World, Any, str], object]


def by_requests(world: World, source: Any, url: str) -> object:
    """A session."""
    return _by_session(world, RequestsAuth(source), url)


def by_requests_with_auth(world: World, source: Any, url: str) -> object:
    """The same with the auth class of all clients."""
    return _by_session(world, Auth(source), url)


def _by_session(world: World, auth: Any, url: str) -> object:
    with requests.Session() as session:
        session.auth = world.look_at(auth)
        return world.look_at(session.get(url, timeout=PATIENCE, allow_redirects=True), session)


def _by(package: Any, auth: type) -> Send:
    def send(world: World, source: Any, url: str) -> object:
        with package.Client(auth=world.look_at(auth(source)), follow_redirects=True, verify=_TLS) as client:
            response = client.get(url)
            world.look_at(response, client)
            return response

    return send


def _by_async(package: Any, auth: type, run: Callable[..., Any]) -> Send:
    async def send(world: World, source: Any, url: str) -> object:
        async with package.AsyncClient(auth=world.look_at(auth(source)), follow_redirects=True, verify=_TLS) as client:
            response = await client.get(url)
            world.look_at(response, client)
            return response

    def begin(world: World, source: Any, url: str) -> object:
        return run(world, lambda: send(world, source, url))

    return begin


def by_aiohttp(world: World, source: Any, url: str) -> object:
    """A session, whose errors show the headers of their request."""

    async def send() -> object:
        auth = world.look_at(AiohttpAuth(source))
        async with aiohttp.ClientSession(middlewares=(auth,), raise_for_status=_unless_rejected) as session:
            response = await session.get(url)
            await response.read()
            # Not the response and the session themselves: a copy of them has a copy of the event loop.
            world.look_at(response.request_info, *(each.request_info for each in response.history))
            return response.status

    return _in_asyncio(world, send)


async def _unless_rejected(response: aiohttp.ClientResponse) -> None:
    """Raise the error. That of a rejection has the headers of the response, in which the API quotes everything."""
    if response.status != 401:
        response.raise_for_status()


def _in_asyncio(world: World, coroutine: Callable[[], Any]) -> object:
    async def main() -> object:
        asyncio.get_running_loop().set_exception_handler(world.watch.of_loop)
        return await coroutine()

    return asyncio.run(main(), debug=True)


CLIENTS: dict[str, tuple[str, Send]] = {
    "requests": ("RequestsAuth", by_requests),
    "httpx": ("HttpxAuth HttpxAuth.sync_auth_flow", _by(httpx, HttpxAuth)),
    "httpx2": ("Httpx2Auth Httpx2Auth.sync_auth_flow", _by(httpx2, Httpx2Auth)),
    "httpx in asyncio": ("HttpxAuth.async_auth_flow", _by_async(httpx, HttpxAuth, _in_asyncio)),
    "httpx2 in asyncio": ("Httpx2Auth.async_auth_flow", _by_async(httpx2, Httpx2Auth, _in_asyncio)),
    "Auth in requests": ("Auth", by_requests_with_auth),
    "Auth in httpx": ("Auth.sync_auth_flow", _by(httpx, Auth)),
    "Auth in httpx2 in asyncio": ("Auth.async_auth_flow", _by_async(httpx2, Auth, _in_asyncio)),
    "aiohttp": ("AiohttpAuth", by_aiohttp),
    "httpx in trio": ("", _by_async(httpx, HttpxAuth, lambda _, coroutine: trio.run(coroutine))),
}


def with_a_valid_token(world: World, send: Send) -> object:
    """The API answers, quotes, redirects, rejects, or cuts the connection."""
    return send(world, world.source(), f"{world.server.origin}/x")


def with_an_expired_token(world: World, send: Send) -> object:
    """A renewal comes first."""
    return send(world, world.expired(), f"{world.server.origin}/x")


def with_a_rejected_token(world: World, send: Send) -> object:
    """A renewal and a repetition follow."""
    source = world.source()
    world.server.reject_token(source.token().access_token)
    return send(world, source, f"{world.server.origin}/x")


def with_a_token_endpoint_without_tls(world: World, send: Send) -> object:
    """With https to a server that speaks http: the handshake fails before anything is sent."""
    endpoint = world.server.origin.replace("http:", "https:") + "/token"
    source = world.expired(world.client(world.provider(token_endpoint=endpoint)))
    return send(world, source, f"{world.server.origin}/x")


def that_asks_for_a_new_sign_in(world: World, send: Send) -> object:
    """A challenge that quotes the token, in every encoding that a header carries. It becomes an event and an error."""

    def challenge(heard: Heard) -> Reply:
        quoted = (encode(secret) for encode in ENCODINGS.values() for secret in heard.secrets.values())
        words = " ".join(
            each for each in quoted if each.isascii() and each.isprintable() and not set(each) & set('"\\')
        )
        members = f'scope="more {words}", acr_values="{words}", max_age="5"'
        return Reply(403, b"", {"WWW-Authenticate": f'Bearer error="insufficient_scope", {members}'})

    world.server.faults["api"] = challenge
    source = world.source(world.client(step_up="raise", consent_ended="raise"))
    return send(world, source, f"{world.server.origin}/x")


def to_another_origin(world: World, send: Send) -> object:
    """Sent without the token."""
    return send(world, world.source(), world.server.origin.replace("127.0.0.1", "localhost"))


def to_an_api_that_is_down(world: World, send: Send) -> object:
    """The HTTP client's own error."""
    provider = world.provider(api_origins=("http://127.0.0.1:1",))
    return send(world, world.source(world.client(provider)), "http://127.0.0.1:1/x")


def with_a_fixed_key(world: World, send: Send) -> object:
    """In a header of another name."""
    key = StaticToken(world.secrets.new("API key"), api_origins=(world.server.origin,), header="X-Blnk-Key")
    return send(world, world.look_at(key), f"{world.server.origin}/x")


_API = tuple(f"api: {fault}" for fault in ("cut", "quotes it", "rejects it", "redirects"))

OPERATIONS: dict[Callable[[World, Send], object], tuple[str, ...]] = {
    with_a_valid_token: _API,
    with_an_expired_token: (*TOKEN_REQUEST, *STORE),
    with_a_rejected_token: TOKEN_REQUEST,
    with_a_token_endpoint_without_tls: (),
    that_asks_for_a_new_sign_in: STORE,
    to_another_origin: (),
    to_an_api_that_is_down: (),
    with_a_fixed_key: _API,
}
"""With the failures of each."""

_USUAL = {with_a_rejected_token: ONE_OF_EACH}
"""Instead of all of them, outside the deep run: the renewal after a rejection is the one after an expiry."""

_FAIL = (with_a_token_endpoint_without_tls, that_asks_for_a_new_sign_in, to_an_api_that_is_down)
_EVERY_TIME = ("requests", "httpx2 in asyncio")
"""What becomes of a token request does not depend on who sends the user's own: the others are in the deep run."""


def _rows() -> None:
    for name, (drives, send) in CLIENTS.items():
        for operation, failures in OPERATIONS.items():
            add_row(
                f"{name} {operation.__name__.replace('_', ' ')}",
                partial(_send, operation, send),
                drives if operation is with_a_valid_token else "",
                failures=_USUAL.get(operation, failures) if name in _EVERY_TIME else (),
                further=failures,
                raises=operation in _FAIL,
            )


def _send(operation: Callable[[World, Send], object], send: Send, world: World) -> object:
    return operation(world, send)


_rows()


@row("", failures=ONE_OF_EACH, further=TOKEN_REQUEST)
def a_request_of_requests_prepared_again(world: World) -> object:
    """It carries the token of before, which has expired."""
    source = world.source()
    auth = RequestsAuth(source)
    request = requests.Request("GET", f"{world.server.origin}/x").prepare()
    auth(request)
    world.clock.advance(4000)
    return world.look_at(repr(auth(request)), repr(request))
