"""The adapter of `support.clients` for aiohttp: concurrent calls are tasks of one event loop in a thread of its own.

`auth=` of a call becomes its middleware, and `timeout=` its total time. A middleware behind it records which headers
each attempt was sent with: `AiohttpAuth` removes its own afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
from anyio.from_thread import BlockingPortal, start_blocking_portal
from support.limits import PATIENCE

if TYPE_CHECKING:
    from support.clients import Settings


class AiohttpCalls:
    """A session, and the event loop it runs in."""

    def __init__(self, auth: Any, settings: Settings, enter: Callable[[Any], Any]) -> None:
        self._auth = auth
        self._settings = settings
        self.portal: BlockingPortal = enter(start_blocking_portal("asyncio"))
        self.native: aiohttp.ClientSession = self.portal.call(self._open)

    async def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=self._settings.pool, ssl=self._settings.verify or True)
        # By default the jar keeps no cookie of an IP address, such as that of this machine.
        jar = aiohttp.CookieJar(unsafe=True)
        return aiohttp.ClientSession(connector=connector, proxy=self._settings.proxy, cookie_jar=jar)

    def close(self) -> None:
        self.portal.call(self.native.close)

    async def send(self, method: str, url: str, **native: Any) -> aiohttp.ClientResponse:
        auth, total = native.pop("auth", self._auth), native.pop("timeout", PATIENCE)
        return await self.native.request(
            method,
            url,
            middlewares=(auth, record),
            timeout=aiohttp.ClientTimeout(total=total),
            allow_redirects=self._settings.follow,
            **native,
        )


async def record(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep the headers that the request was sent with."""
    response = await handler(request)
    vars(response)["sent"] = request.headers.copy()
    return response


def sent_with(response: aiohttp.ClientResponse) -> Mapping[str, str]:
    """The headers of the request that it answers."""
    sent: Mapping[str, str] = vars(response)["sent"]
    return sent
