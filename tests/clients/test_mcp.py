"""The mcp client takes an `httpx2.AsyncClient` for its streamable HTTP transport; here against real MCP servers."""

from __future__ import annotations

import asyncio
import json

import httpx2
import pytest
from support.api_clients import RENEWED, ClientWorld, Ending, either_way
from support.how_to import run_program
from support.limits import PATIENCE
from support.mcp_server import serving_calculator
from support.worlds import ONE_RENEWAL

from blnk_auth import Auth, SignInRequired, TokenSource

mcp = pytest.importorskip("mcp")
streamable_http = pytest.importorskip("mcp.client.streamable_http")


async def call_around(world: ClientWorld, ending: Ending, alice: TokenSource, url: str, mode: str) -> None:
    """Two tool calls in one session, with the token's end between them."""
    async with (
        httpx2.AsyncClient(auth=Auth(alice), timeout=PATIENCE, trust_env=False) as http,
        mcp.Client(streamable_http.streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
        world.end(ending)
        assert (await client.call_tool("add", {"a": 2, "b": 2})).structured_content == {"result": 4}


@either_way
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_tool_is_called(world: ClientWorld, ending: Ending, mode: str) -> None:
    """A tool call after the token's expiry is answered in the same session; each expiry costs one refresh."""
    with serving_calculator(world.accepts) as url:
        asyncio.run(call_around(world, ending, world.alice_for(url.removesuffix("/mcp")), url, mode))
    assert world.renewals == ONE_RENEWAL
    assert bool(world.rejections) == (ending == "rejected")


@either_way
def test_the_mcp_server_of_blnk_is_called(world: ClientWorld, ending: Ending) -> None:
    """With the tools that Blnk documents, and a token of Blnk Cloud itself; the sandbox plays it."""
    url = f"{world.sandbox.origin}/mcp/instance_1"

    async def main() -> list[str]:
        async with (
            httpx2.AsyncClient(auth=Auth(world.signed_in()), timeout=PATIENCE, trust_env=False) as http,
            mcp.Client(streamable_http.streamable_http_client(url, http_client=http)) as blnk,
        ):
            assert [tool.name for tool in (await blnk.list_tools()).tools] == ["list_ledgers", "create_ledger"]
            await blnk.call_tool("create_ledger", {"name": "before"})
            world.end(ending)
            await blnk.call_tool("create_ledger", {"name": "after"})
            ledgers = json.loads((await blnk.call_tool("list_ledgers", {})).content[0].text)
            with pytest.raises(mcp.MCPError, match="needs a name"):
                await blnk.call_tool("create_ledger", {})
            return [ledger["name"] for ledger in ledgers]

    assert asyncio.run(main())[-2:] == ["before", "after"]
    assert world.story == RENEWED[ending]


def test_a_user_who_must_sign_in_again_is_in_the_group(world: ClientWorld) -> None:
    """The package runs its requests in a task group, so the error arrives in a group."""
    url = f"{world.sandbox.origin}/mcp/instance_1"

    async def main() -> None:
        async with (
            httpx2.AsyncClient(auth=Auth(world.client().for_subject("nobody")), trust_env=False) as http,
            mcp.Client(streamable_http.streamable_http_client(url, http_client=http)),
        ):
            pass

    with pytest.raises(ExceptionGroup) as failure:
        asyncio.run(main())
    assert failure.group_contains(SignInRequired)


@either_way
def test_the_programs_of_the_pages_go_on(
    world: ClientWorld, ending: Ending, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each runs before and after the token's end, with one renewal in all."""
    pytest.importorskip("fastmcp")
    auth, url = Auth(world.signed_in()), f"{world.sandbox.origin}/mcp/instance_1"
    for program in ("import mcp", "import Client"):
        run_program("mcp", program, asyncio=asyncio, auth=auth, url=url)
        if not world.story.refreshes:
            world.end(ending)
    run_program("mcp", "import mcp", auth=auth, url=url)
    assert capsys.readouterr().out.count('"Customer wallets"') == 3
    assert world.renewals == ONE_RENEWAL
