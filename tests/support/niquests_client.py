"""niquests behind the adapters of `clients`: a `Session` with threads, an `AsyncSession` with the tasks of a loop.

Used by `clients.Kind`. niquests speaks like requests, and replaces urllib3, so it has an environment of its own.
"""

from __future__ import annotations

import ssl
from concurrent.futures import Future
from typing import Any

import niquests
from anyio.from_thread import BlockingPortal, start_blocking_portal
from support.clients import Adapter, Answer, Http, Kind, Settings, Streamed, Threaded, answer_of
from support.limits import PATIENCE


def opened(kind: Kind, auth: Any, settings: Settings) -> Http:
    """A session that carries `auth`."""
    return _Awaited(kind, auth, settings) if kind.is_async else _Blocking(kind, auth, settings)


def opened_natively(auth: Any) -> Any:
    """An `AsyncSession`, for a test that runs the event loop itself."""
    session = niquests.AsyncSession()
    session.auth, session.trust_env = auth, False
    return session


class _Blocking(Threaded):
    def __init__(self, kind: Kind, auth: Any, settings: Settings) -> None:
        super().__init__(kind)
        self.native = self._stack.enter_context(niquests.Session(pool_maxsize=settings.pool))
        self._settings = _set_up(self.native, auth, settings)

    def request(self, method: str, url: str, **native: Any) -> Answer:
        return answer_of(self.native.request(method, url, **{**self._settings, **native}))

    def stream(self, url: str) -> Streamed:
        response = self.native.request("GET", url, **{**self._settings, "stream": True})
        return Streamed(response.status_code or 0, response.close)


class _Awaited(Adapter):
    def __init__(self, kind: Kind, auth: Any, settings: Settings) -> None:
        super().__init__(kind)
        self.portal: BlockingPortal = self._stack.enter_context(start_blocking_portal("asyncio"))
        self.native = self.portal.call(self._opened, settings.pool)
        self._stack.callback(self.portal.call, self.native.close)
        self._settings = _set_up(self.native, auth, settings)

    async def _opened(self, pool: int) -> niquests.AsyncSession:
        return niquests.AsyncSession(pool_maxsize=pool)

    def start(self, method: str, url: str, **native: Any) -> Future[Answer]:
        async def call() -> Answer:
            return answer_of(await self.native.request(method, url, **{**self._settings, **native}))

        return self.portal.start_task_soon(call)

    def stream(self, url: str) -> Streamed:
        async def call() -> Any:
            return await self.native.request("GET", url, **{**self._settings, "stream": True})

        response = self.portal.call(call)
        return Streamed(response.status_code, lambda: self.portal.call(response.close))


def _set_up(native: Any, auth: Any, settings: Settings) -> dict[str, Any]:
    """Set up a session, and return what each of its requests is sent with."""
    native.auth = auth
    # Neither the machine's proxies nor its netrc file are part of a scenario.
    native.trust_env = False
    native.proxies = {"http": settings.proxy, "https": settings.proxy} if settings.proxy else {}
    return {"allow_redirects": settings.follow, "timeout": PATIENCE, "verify": _verified(settings.verify)}


def _verified(trusted: ssl.SSLContext | None) -> Any:
    """What niquests takes in place of a context: the certificates that it trusts."""
    if trusted is None or not trusted.check_hostname:
        return trusted is None
    return "".join(ssl.DER_cert_to_PEM_cert(each) for each in trusted.get_ca_certs(binary_form=True))
