"""Callers that leave while a user is asked, by cancellation, and a callable that would wait for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import trio
from support.clients import HTTPX
from support.limits import PATIENCE
from support.protected_site import ProtectedSite, Users
from support.waiting import Hold

from blnk_auth import Auth, BlnkAuthError, ProtectedResource, TokenSource


@pytest.fixture
def site() -> Iterator[ProtectedSite]:
    with ProtectedSite() as opened:
        yield opened


class SlowUsers(Users):
    """Users who take their time."""

    def __init__(self) -> None:
        super().__init__()
        self.hold = Hold()

    def __call__(self, request: Any) -> str:
        self.hold()
        return super().__call__(request)


async def leave_asyncio(source: TokenSource, url: str, hold: Hold) -> None:
    async with httpx.AsyncClient(auth=Auth(source), trust_env=False) as http:
        task = asyncio.create_task(http.get(url))
        await asyncio.to_thread(hold.wait_until_reached)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def leave_trio(source: TokenSource, url: str, hold: Hold) -> None:
    async with httpx.AsyncClient(auth=Auth(source), trust_env=False) as http, trio.open_nursery() as nursery:
        nursery.start_soon(http.get, url)
        await trio.to_thread.run_sync(hold.wait_until_reached)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_cancelled_caller_does_not_end_the_sign_in(site: ProtectedSite, library: str) -> None:
    """Its loop is closed, and the user signs in: the next request, in any loop or thread, has the token."""
    users = SlowUsers()
    source = ProtectedResource(site.url()).for_subject("me", sign_in=users)
    if library == "asyncio":
        asyncio.run(leave_asyncio(source, site.url(), users.hold))
    else:
        trio.run(leave_trio, source, site.url(), users.hold)
    users.hold.release()
    with HTTPX.open(source) as http:
        assert http.start("GET", site.url()).result(PATIENCE).status == 200
    assert users.asked == 1
    assert site.server.asked["token authorization_code"] == 1


def test_a_callable_that_sends_a_request_with_the_same_source_gets_an_error(site: ProtectedSite) -> None:
    """Immediately, and not when the time is over."""

    def ask(_request: Any) -> str:
        with HTTPX.open(source) as inner:
            return inner.get(site.url()).body.decode()

    source = ProtectedResource(site.url()).for_subject("me", sign_in=ask)
    with HTTPX.open(source) as http, pytest.raises(BlnkAuthError) as caught:
        http.get(site.url())
    assert caught.value.parameter == "sign_in"
    assert not site.requests_to("/mcp")[1:]
