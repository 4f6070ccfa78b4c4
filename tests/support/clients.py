"""One table of HTTP clients, each behind the same thin adapter, so that a scenario is written once.

An adapter is used from the test's thread. A synchronous client makes concurrent calls from threads, an asynchronous one
from tasks of a real event loop, asyncio or trio, in a thread of its own. The adapters translate and decide nothing.
Keyword arguments are the client's own, except `body`, see `Body`.
"""

from __future__ import annotations

import functools
import importlib
import os
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

import httpx  # noqa: F401 - before httpxyz, which would take its name
import pytest
import requests
from anyio.from_thread import BlockingPortal, start_blocking_portal
from requests.adapters import HTTPAdapter
from support.aiohttp_client import AiohttpCalls, sent_with
from support.limits import PATIENCE

from blnk_auth import AiohttpAuth, Auth, Httpx2Auth, HttpxAuth, RequestsAuth
from blnk_auth._renewal.credential import Source

Package = Literal["requests", "httpx", "httpx2", "aiohttp", "niquests", "httpxyz"]
Manner = Literal["sync", "asyncio", "trio"]

HERD = 50


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, in words that all clients share. `sent` are the headers of the request that it answers."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    history: tuple[int, ...]
    sent: Mapping[str, str] = field(repr=False)

    @property
    def token(self) -> str | None:
        """The access token that the last request carried."""
        return (self.sent.get("authorization") or "").removeprefix("Bearer ") or None


@dataclass(frozen=True, slots=True)
class Streamed:
    """A response whose body nobody has read yet."""

    status: int
    close: Callable[[], object]


class Http(Protocol):
    """An open HTTP client that carries `auth`."""

    kind: Kind
    native: Any
    """The package's own client or session."""

    def request(self, method: str, url: str, **native: Any) -> Answer: ...
    def start(self, method: str, url: str, **native: Any) -> Future[Answer]: ...
    def stream(self, url: str) -> Streamed: ...
    def get(self, url: str, **native: Any) -> Answer: ...
    def post(self, url: str, **native: Any) -> Answer: ...
    def herd(self, url: str, n: int = HERD) -> list[Answer]: ...
    def results(self, url: str, n: int = HERD) -> list[Answer | BaseException]: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc_info: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Kind:
    """A line of the table: an HTTP package, how it is run, and whether it carries the auth class of all clients.

    Two lines are equal if only their auth classes differ, since all else that a scenario asks is the same.
    """

    package: Package
    manner: Manner
    with_auth: bool = field(default=False, compare=False)
    """Whether it carries `Auth`, and not the auth class of its package."""

    def __str__(self) -> str:
        name = self.package if self.package in ("requests", "aiohttp") else f"{self.package}-{self.manner}"
        return f"Auth-{name}" if self.with_auth else name

    @property
    def is_async(self) -> bool:
        return self.manner != "sync"

    @property
    def is_httpx(self) -> bool:
        """Whether it is httpx, httpx2 or httpxyz, whose names are the same."""
        return self.package in ("httpx", "httpx2", "httpxyz")

    @property
    def is_requests(self) -> bool:
        """Whether it is requests or niquests, whose names are the same."""
        return self.package in ("requests", "niquests")

    @property
    def body_parameter(self) -> str:
        """What a body that is neither JSON nor a form is passed as."""
        return "content" if self.is_httpx else "data"

    @property
    def module(self) -> Any:
        return importlib.import_module(self.package)

    @property
    def request_error(self) -> type[Exception]:
        """What every error raised through the shell must also be."""
        names = {"requests": "RequestException", "niquests": "RequestException", "aiohttp": "ClientError"}
        error: type[Exception] = getattr(self.module, names.get(self.package, "RequestError"))
        return error

    @property
    def transport_error(self) -> type[Exception]:
        """What a retry wrapper repeats."""
        names = {"requests": "ConnectionError", "niquests": "ConnectionError", "aiohttp": "ClientConnectionError"}
        error: type[Exception] = getattr(self.module, names.get(self.package, "TransportError"))
        return error

    def open_natively(self, auth: Any) -> Any:
        """The package's own asynchronous client that carries `auth`, for a test that runs the event loop itself."""
        if self.package == "aiohttp":
            return self.module.ClientSession(middlewares=(auth,))
        if self.package == "niquests":
            from support.niquests_client import opened_natively

            return opened_natively(auth)
        return self.module.AsyncClient(auth=auth, trust_env=False, verify=False)

    async def status_of(self, native: Any, url: str) -> int:
        """The status of a GET through such a client."""
        if self.package == "aiohttp":
            async with native.get(url) as response:
                return int(response.status)
        return int((await native.get(url)).status_code)

    def auth(self, source: Source) -> Any:
        """The shell for this package."""
        if self.with_auth:
            return Auth(source)
        shells: dict[str, Callable[[Source], Any]] = {
            "requests": RequestsAuth,
            "httpx": HttpxAuth,
            "httpx2": Httpx2Auth,
            "aiohttp": AiohttpAuth,
            "niquests": Auth,
            "httpxyz": Auth,
        }
        return shells[self.package](source)

    def open(self, auth: Any, **settings: Any) -> Http:
        """A client that carries `auth` (a source, or a shell made before), with these `Settings`."""
        shell = auth if hasattr(auth, "_source") else self.auth(auth)
        if self.package == "requests":
            return _Requests(self, shell, Settings(**settings))
        if self.package == "aiohttp":
            return _Aiohttp(self, shell, Settings(**settings))
        if self.package == "niquests":
            from support.niquests_client import opened

            return opened(self, shell, Settings(**settings))
        adapter = _HttpxAsync if self.is_async else _Httpx
        return adapter(self, shell, Settings(**settings))


@dataclass(frozen=True, slots=True)
class Settings:
    """What a scenario asks of a client: the size of its pool, whether it follows redirects, whom it trusts."""

    pool: int = 100
    follow: bool = False
    verify: ssl.SSLContext | None = None
    proxy: str | None = None
    http2: bool = False


class Adapter:
    """What all adapters derive from the one way to start a call."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def start(self, method: str, url: str, **native: Any) -> Future[Answer]:
        raise NotImplementedError

    def request(self, method: str, url: str, **native: Any) -> Answer:
        return self.start(method, url, **native).result(PATIENCE)

    def get(self, url: str, **native: Any) -> Answer:
        return self.request("GET", url, **native)

    def post(self, url: str, **native: Any) -> Answer:
        return self.request("POST", url, **native)

    def herd(self, url: str, n: int = HERD) -> list[Answer]:
        return [call.result(PATIENCE) for call in [self.start("GET", url) for _ in range(n)]]

    def results(self, url: str, n: int = HERD) -> list[Answer | BaseException]:
        calls = [self.start("GET", url) for _ in range(n)]
        return [call.exception(PATIENCE) or call.result() for call in calls]


class Threaded(Adapter):
    """Concurrent calls are threads."""

    @functools.cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return self._stack.enter_context(ThreadPoolExecutor(2 * HERD))

    def start(self, method: str, url: str, **native: Any) -> Future[Answer]:
        return self._pool.submit(self.request, method, url, **native)


class _Requests(Threaded):
    def __init__(self, kind: Kind, auth: Any, settings: Settings) -> None:
        super().__init__(kind)
        self.native = self._stack.enter_context(requests.Session())
        self.native.auth = auth
        # Neither the machine's proxies nor its netrc file are part of a scenario.
        self.native.trust_env = False
        self._follow = settings.follow
        self.native.proxies = {"http": settings.proxy, "https": settings.proxy} if settings.proxy else {}
        for scheme in ("http://", "https://"):
            self.native.mount(scheme, _Adapting(settings.verify, pool_maxsize=settings.pool, pool_block=True))

    def request(self, method: str, url: str, **native: Any) -> Answer:
        return answer_of(self._send(method, url, **native))

    def stream(self, url: str) -> Streamed:
        response = self._send("GET", url, stream=True)
        return Streamed(response.status_code, response.close)

    def _send(self, method: str, url: str, **native: Any) -> requests.Response:
        return self.native.request(method, url, **{"allow_redirects": self._follow, "timeout": PATIENCE, **native})


class _Adapting(HTTPAdapter):
    def __init__(self, verify: ssl.SSLContext | None, **settings: Any) -> None:
        self._verify = verify
        super().__init__(**settings)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._verify)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return super().proxy_manager_for(*args, **kwargs, ssl_context=self._verify)


class _Httpx(Threaded):
    def __init__(self, kind: Kind, auth: Any, settings: Settings) -> None:
        super().__init__(kind)
        client = kind.module.Client(**_httpx_settings(kind, auth, settings))
        self.native = self._stack.enter_context(client)

    def request(self, method: str, url: str, **native: Any) -> Answer:
        return answer_of(self.native.request(method, url, **native))

    def stream(self, url: str) -> Streamed:
        response = self.native.send(self.native.build_request("GET", url), stream=True)
        return Streamed(response.status_code, response.close)


class _HttpxAsync(Adapter):
    """Concurrent calls are tasks of one event loop."""

    def __init__(self, kind: Kind, auth: Any, settings: Settings) -> None:
        super().__init__(kind)
        self.portal: BlockingPortal = self._stack.enter_context(start_blocking_portal(kind.manner))
        self.native = kind.module.AsyncClient(**_httpx_settings(kind, auth, settings))
        self._stack.callback(self.portal.call, self.native.aclose)

    def start(self, method: str, url: str, **native: Any) -> Future[Answer]:
        async def call() -> Answer:
            return answer_of(await self.native.request(method, url, **native))

        return self.portal.start_task_soon(call)

    def stream(self, url: str) -> Streamed:
        async def call() -> Any:
            return await self.native.send(self.native.build_request("GET", url), stream=True)

        response = self.portal.call(call)
        return Streamed(response.status_code, lambda: self.portal.call(response.aclose))


class _Aiohttp(Adapter):
    def __init__(self, kind: Kind, auth: Any, settings: Settings) -> None:
        super().__init__(kind)
        self._calls = AiohttpCalls(auth, settings, self._stack.enter_context)
        self._stack.callback(self._calls.close)
        self.native, self.portal = self._calls.native, self._calls.portal

    def start(self, method: str, url: str, **native: Any) -> Future[Answer]:
        async def call() -> Answer:
            response = await self._calls.send(method, url, **native)
            async with response:
                body = await response.read()
            statuses = tuple(earlier.status for earlier in response.history)
            return Answer(response.status, body, response.headers, statuses, sent_with(response))

        return self.portal.start_task_soon(call)

    def stream(self, url: str) -> Streamed:
        response = self.portal.call(self._calls.send, "GET", url)
        return Streamed(response.status, lambda: self.portal.call(response.__aexit__, None, None, None))


def _httpx_settings(kind: Kind, auth: Any, settings: Settings) -> dict[str, Any]:
    return {
        "auth": auth,
        "limits": kind.module.Limits(max_connections=settings.pool, max_keepalive_connections=settings.pool),
        "timeout": PATIENCE,
        "trust_env": False,
        "follow_redirects": settings.follow,
        "proxy": settings.proxy,
        "http2": settings.http2,
        # Made once: a context costs more than a scenario.
        "verify": settings.verify or _bare_context(),
    }


@functools.cache
def _bare_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def answer_of(response: Any) -> Answer:
    """The three packages name these alike."""
    return Answer(
        response.status_code,
        response.content,
        response.headers,
        tuple(earlier.status_code for earlier in response.history),
        response.request.headers,
    )


REQUESTS = Kind("requests", "sync")
HTTPX = Kind("httpx", "sync")
AIOHTTP = Kind("aiohttp", "asyncio")

FORKS = (
    Kind("niquests", "sync"),
    Kind("niquests", "asyncio"),
    Kind("httpxyz", "sync"),
    Kind("httpxyz", "asyncio"),
    Kind("httpxyz", "trio"),
)
"""They are tried in an environment of their own, since niquests replaces urllib3: `make test-clients`."""

REGULAR = (
    REQUESTS,
    HTTPX,
    Kind("httpx", "asyncio"),
    Kind("httpx", "trio"),
    Kind("httpx2", "sync"),
    Kind("httpx2", "asyncio"),
    Kind("httpx2", "trio"),
    AIOHTTP,
)

KINDS = FORKS if os.environ.get("BLNK_AUTH_TEST_FORKS") else REGULAR

# The forks have no other auth class.
WITH_AUTH = tuple(Kind(kind.package, kind.manner, with_auth=True) for kind in KINDS if kind not in (AIOHTTP, *FORKS))

_DEEP = ("httpx-trio", "httpx2-sync", "httpx2-asyncio", "Auth-httpx-sync", "Auth-httpx-asyncio", "Auth-httpx-trio")
_DEEP += ("Auth-httpx2-sync", "Auth-httpx2-asyncio", "Auth-httpx2-trio")
"""Tried in the deep run only. The classes of httpx2 run the code of those of httpx, and `Auth` that of the others; so
each package, each manner and both kinds of class are among the rest."""


def body_once(kind: Kind) -> Any:
    """A body that can be read once."""
    if not kind.is_async:
        return iter([b"a", b"b"])

    async def body() -> Any:
        yield b"a"
        yield b"b"

    return body()


def every(kind: Kind) -> bool:
    """For `rows`: each line of the table."""
    return True


def rows(wanted: Callable[[Kind], bool]) -> list[Any]:
    """The parameters of a test: each line of the table that is wanted, and then the same ones with `Auth`."""
    return [
        pytest.param(kind, id=str(kind), marks=pytest.mark.deep if str(kind) in _DEEP else ())
        for kind in (*KINDS, *WITH_AUTH)
        if wanted(kind)
    ]


def through(wanted: Callable[[Kind], bool]) -> pytest.MarkDecorator:
    """A decorator: run the test with each of these `rows`."""
    return pytest.mark.parametrize("kind", rows(wanted))


through_httpx = through(lambda kind: kind.is_httpx)
"""For what only httpx and httpx2 have: request objects, and a history with the rejection."""
through_requests_and_httpx = through(lambda kind: kind != AIOHTTP)
"""For what shows the request or the rejection: in aiohttp no response has them."""
through_every_client = through(every)
through_threads = through(lambda kind: not kind.is_async)
through_httpx_tasks = through(lambda kind: kind.is_httpx and kind.is_async)
through_tasks = through(lambda kind: kind.is_async)
