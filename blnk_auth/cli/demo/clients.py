"""The acts of single clients: each is what a user would write, driven through expiries and a revocation.

The only line that differs from code without blnk_auth is the one with `auth`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import httpx
import requests

from ...httpx import HttpxAuth
from ...requests import RequestsAuth
from .stage import CALL_TIMEOUT, Stage


@dataclass(frozen=True, slots=True)
class ClientAct:
    """An act, and the package it needs with what installs it."""

    title: str
    play: Callable[[Stage], None]
    package: str = ""
    install: str = ""

    @property
    def is_possible(self) -> bool:
        """Whether its package is installed."""
        return not self.package or find_spec(self.package) is not None


def with_requests(stage: Stage) -> None:
    """A `requests.Session`."""
    with requests.Session() as session:
        session.auth = RequestsAuth(stage.source)
        stage.drive(lambda: session.get(stage.url, timeout=CALL_TIMEOUT).status_code)


def with_httpx(stage: Stage) -> None:
    """An `httpx.Client`."""
    _drive(httpx, HttpxAuth(stage.source), stage)


def with_httpx_on_asyncio(stage: Stage) -> None:
    """An `httpx.AsyncClient` on asyncio."""
    asyncio.run(_adrive(httpx, HttpxAuth(stage.source), stage, asyncio.sleep))


def with_httpx_on_trio(stage: Stage) -> None:
    """An `httpx.AsyncClient` on trio."""
    import trio

    trio.run(_adrive, httpx, HttpxAuth(stage.source), stage, trio.sleep)


def with_httpx2(stage: Stage) -> None:
    """An `httpx2.Client`."""
    import httpx2

    from ...httpx2 import Httpx2Auth

    _drive(httpx2, Httpx2Auth(stage.source), stage)


def with_httpx2_on_asyncio(stage: Stage) -> None:
    """An `httpx2.AsyncClient` on asyncio."""
    import httpx2

    from ...httpx2 import Httpx2Auth

    asyncio.run(_adrive(httpx2, Httpx2Auth(stage.source), stage, asyncio.sleep))


def with_blnk_sdk(stage: Stage) -> None:
    """The real Blnk SDK, which creates a ledger and lists them, turn by turn. It is given the session and no key."""
    from blnk_sdk import (  # type: ignore[import-untyped]
        Blnk,
        BlnkClientOptions,
        RequestsTransport,
        format_response,
    )
    from blnk_sdk.services import default_services_map  # type: ignore[import-untyped]

    session = requests.Session()
    session.auth = RequestsAuth(stage.source)
    options = BlnkClientOptions(base_url=f"{stage.origin}/proxy", timeout=CALL_TIMEOUT * 1000, logger=_Silent())
    numbers = itertools.count()
    with Blnk("", options, default_services_map(), format_response, RequestsTransport(session)) as blnk:

        def call() -> int:
            number = next(numbers)
            ledgers: Any = blnk.ledgers
            answer = ledgers.list() if number % 2 else ledgers.create({"name": f"Ledger {number}"})
            return int(answer.status)

        stage.drive(call)


CLIENT_ACTS = (
    ClientAct("requests", with_requests),
    ClientAct("httpx", with_httpx),
    ClientAct("httpx, asyncio", with_httpx_on_asyncio),
    ClientAct("httpx, trio", with_httpx_on_trio, "trio", "pip install trio"),
    ClientAct("httpx2", with_httpx2, "httpx2", "pip install 'blnk-auth[httpx2]'"),
    ClientAct("httpx2, asyncio", with_httpx2_on_asyncio, "httpx2", "pip install 'blnk-auth[httpx2]'"),
    ClientAct("Blnk SDK", with_blnk_sdk, "blnk_sdk", "pip install blnk-python"),
)


def _drive(package: Any, auth: Any, stage: Stage) -> None:
    with package.Client(auth=auth, timeout=CALL_TIMEOUT) as client:
        stage.drive(lambda: int(client.get(stage.url).status_code))


async def _adrive(package: Any, auth: Any, stage: Stage, sleep: Callable[[float], Any]) -> None:
    async with package.AsyncClient(auth=auth, timeout=CALL_TIMEOUT) as client:

        async def call() -> int:
            return int((await client.get(stage.url)).status_code)

        await stage.adrive(call, sleep)


class _Silent:
    """The SDK's log; without one it prints into the table."""

    def info(self, message: str, *meta: object) -> None: ...

    def error(self, message: str, *meta: object) -> None: ...

    def debug(self, message: str, *meta: object) -> None: ...
