"""websockets takes headers; httpx-ws, httpx2 and aiohttp make the handshake with a client that renews by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest
from support.api_clients import ClientWorld, Ending, either_way
from support.feeds import Feed, serving_feed
from support.how_to import run_program
from support.sites import Reply, Site
from support.worlds import NO_RENEWAL, ONE_RENEWAL

from blnk_auth import TokenSource

websockets = pytest.importorskip("websockets")
blocking = pytest.importorskip("websockets.sync.client")
pytest.importorskip("aiohttp")
pytest.importorskip("httpx_ws")
pytest.importorskip("wsproto")

PAGE = "websockets"
THE_LOOP = "async def messages"


@pytest.fixture
def feed(world: ClientWorld) -> Iterator[Feed]:
    """A feed for everyone with a valid token of the sandbox."""
    with serving_feed(world.accepts) as feed:
        yield feed


@pytest.fixture
def alice(world: ClientWorld, feed: Feed) -> TokenSource:
    """A user whose token may be sent to the feed."""
    return world.alice_for(feed.origin)


def loop_over(alice: TokenSource, feed: Feed) -> Any:
    """The loop of the page, which does not wait between two connections."""
    return run_program(PAGE, THE_LOOP)["messages"](alice, feed.url, pause=0)


@either_way
def test_the_loop_continues_with_one_renewal(
    world: ClientWorld, feed: Feed, alice: TokenSource, ending: Ending
) -> None:
    """The server closes the connection; the next handshake has a renewed token, and the next message arrives."""
    feed.closes = True

    async def main() -> None:
        async with aclosing(loop_over(alice, feed)) as messages:
            assert await anext(messages) == "1"
            world.end(ending)
            assert await anext(messages) == "2"

    asyncio.run(main())
    assert world.renewals == ONE_RENEWAL
    assert world.rejections == (ending == "rejected")


@either_way
def test_many_loops_cost_one_renewal(world: ClientWorld, feed: Feed, alice: TokenSource, ending: Ending) -> None:
    """Ten connections that are closed at the same time connect again with the same new token."""
    feed.closes = True

    async def main() -> None:
        feeds = [loop_over(alice, feed) for _ in range(10)]
        await asyncio.gather(*map(anext, feeds))
        world.end(ending)
        await asyncio.gather(*map(anext, feeds))
        await asyncio.gather(*(messages.aclose() for messages in feeds))

    asyncio.run(main())
    assert world.renewals == ONE_RENEWAL
    assert len(set(feed.handshakes)) == 2


def test_an_open_connection_outlives_its_token(world: ClientWorld, feed: Feed, alice: TokenSource) -> None:
    """Nothing is renewed for a connection that stays open, also if its token has expired."""
    with blocking.connect(feed.url, additional_headers=alice.headers(feed.url)) as connection:
        assert connection.recv() == "1"
        world.expire()
        connection.send("still here")
        assert connection.recv() == "still here"
    assert world.renewals == NO_RENEWAL


def test_the_loop_ends_where_a_new_token_is_rejected_too(world: ClientWorld) -> None:
    """One renewal, two handshakes, and the caller gets the 401: no token would help."""

    async def main(feed: Feed) -> None:
        async with aclosing(loop_over(world.alice_for(feed.origin), feed)) as messages:
            with pytest.raises(websockets.InvalidStatus, match="401"):
                await anext(messages)

    with serving_feed(lambda _: False) as feed:
        asyncio.run(main(feed))
    assert world.renewals == ONE_RENEWAL
    assert len(feed.handshakes) == 2


def test_the_loop_takes_the_token_that_another_caller_renewed(world: ClientWorld) -> None:
    """While its handshake was under way, another caller has replaced the rejected token: no second renewal."""

    def accepts(authorization: str | None) -> bool:
        is_accepted = world.accepts(authorization)
        if not is_accepted:
            sources[0].renew()
        return is_accepted

    async def main(feed: Feed) -> None:
        sources.append(world.alice_for(feed.origin))
        world.end("rejected")
        async with aclosing(loop_over(sources[0], feed)) as messages:
            assert await anext(messages) == "1"

    sources: list[TokenSource] = []
    with serving_feed(accepts) as feed:
        asyncio.run(main(feed))
    assert world.renewals == ONE_RENEWAL


def test_the_loop_of_the_package_keeps_the_first_headers(world: ClientWorld, feed: Feed, alice: TokenSource) -> None:
    """So the page has a loop of its own: after an expiry this one connects with the expired token."""
    feed.closes = True

    async def main() -> None:
        seen = 0
        async for connection in websockets.connect(feed.url, additional_headers=await alice.aheaders(feed.url)):
            seen += 1
            assert await connection.recv() == str(seen)
            world.end("expired")

    with pytest.raises(websockets.InvalidStatus, match="401"):
        asyncio.run(main())
    assert world.renewals == NO_RENEWAL


def test_a_redirect_to_another_origin_has_no_token(world: ClientWorld, feed: Feed) -> None:
    """The package removes the header, so the token stays where it may be sent."""
    with Site(lambda _: Reply.redirect(feed.url)) as site:
        alice, url = world.alice_for(site.origin), site.origin.replace("http", "ws", 1)
        with (
            pytest.raises(websockets.InvalidStatus, match="401"),
            blocking.connect(url, additional_headers=alice.headers(url)),
        ):
            pass
    assert feed.handshakes == [None]


@either_way
@pytest.mark.parametrize("mark", ["import connect_ws", "http.websocket", "ws_connect"])
def test_the_client_renews_at_the_handshake(
    world: ClientWorld, feed: Feed, mark: str, ending: Ending, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two connections, with an expiry between them: both are accepted, and a rejected handshake is repeated."""
    alice = world.alice_for(feed.origin)
    for _ in range(2):
        run_program(PAGE, mark, alice=alice, url=feed.url, asyncio=asyncio)
        if world.renewals == NO_RENEWAL:
            world.end(ending)
    assert capsys.readouterr().out == "1\n2\n"
    assert world.renewals == ONE_RENEWAL
    assert world.rejections == (ending == "rejected")


def test_each_subscription_of_gql_begins_with_a_valid_token(
    world: ClientWorld, feed: Feed, alice: TokenSource, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program of the page, before and after an expiry."""
    pytest.importorskip("gql")
    for _ in range(2):
        run_program(PAGE, "WebsocketsTransport", alice=alice, url=feed.url, asyncio=asyncio)
        if world.renewals == NO_RENEWAL:
            world.expire()
    assert capsys.readouterr().out == "1\n2\n"
    assert world.renewals == ONE_RENEWAL
