"""gql hands `auth=` on to requests, httpx or httpx2; `Auth` fits whichever it has found."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from support.api_clients import RENEWED, ClientWorld, Ending, either_way
from support.sites import Received, Site

from blnk_auth import AiohttpAuth, Auth, SignInRequired, TokenSource

gql = pytest.importorskip("gql")
exceptions = pytest.importorskip("gql.transport.exceptions")
over_requests = pytest.importorskip("gql.transport.requests")
over_aiohttp = pytest.importorskip("gql.transport.aiohttp")
over_httpx = pytest.importorskip("gql.transport.httpx")

QUERY = "query { ledgers }"


def answer(request: Received) -> dict[str, Any]:
    assert "ledgers" in json.loads(request.body)["query"]
    return {"data": {"ledgers": ["first"]}}


def transport(name: str, site: Site, alice: TokenSource) -> Any:
    if name == "requests":
        return over_requests.RequestsHTTPTransport(site.origin, auth=Auth(alice))
    return over_httpx.HTTPXTransport(site.origin, auth=Auth(alice))


@either_way
@pytest.mark.parametrize("name", ["requests", "httpx"])
def test_a_query_is_answered(world: ClientWorld, ending: Ending, name: str) -> None:
    """A query after the token's end is answered like the one before it."""
    with (
        world.api(answer) as site,
        gql.Client(transport=transport(name, site, world.alice_for(site.origin))) as session,
    ):
        assert session.execute(gql.gql(QUERY)) == {"ledgers": ["first"]}
        world.end(ending)
        assert session.execute(gql.gql(QUERY)) == {"ledgers": ["first"]}
    assert world.story == RENEWED[ending]


@either_way
@pytest.mark.parametrize("name", ["httpx", "aiohttp"])
def test_a_query_is_answered_on_an_event_loop(world: ClientWorld, ending: Ending, name: str) -> None:
    """The same through the asynchronous transports."""

    async def main(site: Site) -> None:
        alice = world.alice_for(site.origin)
        if name == "httpx":
            transport = over_httpx.HTTPXAsyncTransport(site.origin, auth=Auth(alice))
        else:
            session = {"middlewares": (AiohttpAuth(alice),)}
            transport = over_aiohttp.AIOHTTPTransport(site.origin, client_session_args=session)
        async with gql.Client(transport=transport) as session:
            for _ in range(2):
                assert await session.execute(gql.gql(QUERY)) == {"ledgers": ["first"]}
                if not world.story.refreshes:
                    world.end(ending)

    with world.api(answer) as site:
        asyncio.run(main(site))
    assert world.story == RENEWED[ending]


@pytest.mark.parametrize("name", ["requests", "httpx"])
def test_a_user_who_must_sign_in_again_is_the_cause(world: ClientWorld, name: str) -> None:
    """The package's own error, which has ours as its cause."""
    with world.api(answer) as site:
        nobody = world.client(api_origins=(site.origin,)).for_subject("nobody")
        with (
            gql.Client(transport=transport(name, site, nobody)) as session,
            pytest.raises(exceptions.TransportConnectionFailed) as failure,
        ):
            session.execute(gql.gql(QUERY))
    assert isinstance(failure.value.__cause__, SignInRequired)
