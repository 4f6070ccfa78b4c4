"""One scenario for each HTTP client: code as a user writes it, called until tokens have expired and one was revoked.

Used by the demo's run. It promises that only the line with `auth` differs from code without blnk_auth. A scenario never
handles a token itself.
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
from .scenario import CALL_TIMEOUT, ScenarioRun


@dataclass(frozen=True, slots=True)
class ClientScenario:
    """A scenario of one client, the package that it needs, and the command that installs that package."""

    title: str
    run: Callable[[ScenarioRun], None]
    package: str = ""
    install: str = ""

    @property
    def is_possible(self) -> bool:
        """Whether its package is installed."""
        return not self.package or find_spec(self.package) is not None


def with_requests(run: ScenarioRun) -> None:
    """A `requests.Session`."""
    with requests.Session() as session:
        session.auth = RequestsAuth(run.source)
        run.drive(lambda: session.get(run.url, timeout=CALL_TIMEOUT).status_code)


def with_httpx(run: ScenarioRun) -> None:
    """An `httpx.Client`."""
    _drive(httpx, HttpxAuth(run.source), run)


def with_httpx_on_asyncio(run: ScenarioRun) -> None:
    """An `httpx.AsyncClient` on asyncio."""
    asyncio.run(_adrive(httpx, HttpxAuth(run.source), run, asyncio.sleep))


def with_httpx_on_trio(run: ScenarioRun) -> None:
    """An `httpx.AsyncClient` on trio."""
    import trio

    trio.run(_adrive, httpx, HttpxAuth(run.source), run, trio.sleep)


def with_httpx2(run: ScenarioRun) -> None:
    """An `httpx2.Client`."""
    import httpx2

    from ...httpx2 import Httpx2Auth

    _drive(httpx2, Httpx2Auth(run.source), run)


def with_httpx2_on_asyncio(run: ScenarioRun) -> None:
    """An `httpx2.AsyncClient` on asyncio."""
    import httpx2

    from ...httpx2 import Httpx2Auth

    asyncio.run(_adrive(httpx2, Httpx2Auth(run.source), run, asyncio.sleep))


def with_blnk_sdk(run: ScenarioRun) -> None:
    """The real Blnk SDK, which creates a ledger and lists them in alternation. It gets the session and no key."""
    from blnk_sdk import (  # type: ignore[import-untyped]
        Blnk,
        BlnkClientOptions,
        RequestsTransport,
        format_response,
    )
    from blnk_sdk.services import default_services_map  # type: ignore[import-untyped]

    session = requests.Session()
    session.auth = RequestsAuth(run.source)
    options = BlnkClientOptions(base_url=f"{run.origin}/proxy", timeout=CALL_TIMEOUT * 1000, logger=_Silent())
    numbers = itertools.count()
    with Blnk("", options, default_services_map(), format_response, RequestsTransport(session)) as blnk:

        def call() -> int:
            number = next(numbers)
            ledgers: Any = blnk.ledgers
            answer = ledgers.list() if number % 2 else ledgers.create({"name": f"Ledger {number}"})
            return int(answer.status)

        run.drive(call)


CLIENT_SCENARIOS = (
    ClientScenario("requests", with_requests),
    ClientScenario("httpx", with_httpx),
    ClientScenario("httpx, asyncio", with_httpx_on_asyncio),
    ClientScenario("httpx, trio", with_httpx_on_trio, "trio", "pip install trio"),
    ClientScenario("httpx2", with_httpx2, "httpx2", "pip install 'blnk-auth[httpx2]'"),
    ClientScenario("httpx2, asyncio", with_httpx2_on_asyncio, "httpx2", "pip install 'blnk-auth[httpx2]'"),
    ClientScenario("Blnk SDK", with_blnk_sdk, "blnk_sdk", "pip install blnk-python"),
)


def _drive(package: Any, auth: Any, run: ScenarioRun) -> None:
    with package.Client(auth=auth, timeout=CALL_TIMEOUT) as client:
        run.drive(lambda: int(client.get(run.url).status_code))


async def _adrive(package: Any, auth: Any, run: ScenarioRun, sleep: Callable[[float], Any]) -> None:
    async with package.AsyncClient(auth=auth, timeout=CALL_TIMEOUT) as client:

        async def call() -> int:
            return int((await client.get(run.url)).status_code)

        await run.adrive(call, sleep)


class _Silent:
    """A log for the SDK that drops everything; without one the SDK prints into the table."""

    def info(self, message: str, *meta: object) -> None: ...

    def error(self, message: str, *meta: object) -> None: ...

    def debug(self, message: str, *meta: object) -> None: ...
