"""An MCP server that nobody has configured: the `mcp` package on both ends, and only the URL between them."""

from __future__ import annotations

import asyncio
import webbrowser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from support.limits import PATIENCE

from blnk_auth import Auth, ClientMetadata, ProtectedResource, SQLiteStore, TokenSource

mcp = pytest.importorskip("mcp")
streamable_http = pytest.importorskip("mcp.client.streamable_http")
mcp_authorization = pytest.importorskip("support.mcp_authorization")


@pytest.fixture(autouse=True)
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A browser of this machine, whose user agrees to everything."""
    with ThreadPoolExecutor(4) as pool:

        def open_url(url: str, *_: Any) -> bool:
            pool.submit(httpx.get, url, follow_redirects=True, timeout=PATIENCE, trust_env=False)
            return True

        monkeypatch.setenv("BROWSER", "yes")
        monkeypatch.setattr(webbrowser, "open", open_url)
        yield


async def add(url: str, source: TokenSource) -> object:
    async with (
        httpx2.AsyncClient(auth=Auth(source), timeout=PATIENCE, trust_env=False) as http,
        mcp.Client(streamable_http.streamable_http_client(url, http_client=http)) as client,
    ):
        return (await client.call_tool("add", {"a": 1, "b": 2})).structured_content


def api(url: str, tmp_path: Path, **settings: Any) -> ProtectedResource:
    return ProtectedResource(url, store=SQLiteStore(tmp_path / "tokens.db"), **settings)


def test_a_server_that_was_never_seen_is_signed_in_to_once(tmp_path: Path) -> None:
    """It registers the client and compares redirect URIs exactly. After a restart neither is needed again."""
    grants = mcp_authorization.Grants()
    metadata = ClientMetadata(client_name="Acme")
    with mcp_authorization.serving_protected_calculator(grants) as url:
        for _ in range(2):
            me = api(url, tmp_path, client_metadata=metadata).for_subject("me", sign_in="browser")
            assert asyncio.run(add(url, me)) == {"result": 3}
        me.renew()
        assert asyncio.run(add(url, me)) == {"result": 3}
    (client,) = grants.clients.values()
    assert (client.client_name, client.scope, client.application_type) == ("Acme", "calculate", "native")
    assert grants.redirect_uris == [str(uri) for uri in client.redirect_uris if str(uri) in grants.redirect_uris]
    assert len(grants.redirect_uris) == 1
    assert (grants.refreshes, grants.reuses) == (1, 0)


def test_a_server_that_has_forgotten_its_clients_registers_one_again(tmp_path: Path) -> None:
    """As after a restart of a server that keeps them in memory. The user signs in again, since tokens belong to it."""
    grants = mcp_authorization.Grants()
    with mcp_authorization.serving_protected_calculator(grants) as url:
        me = api(url, tmp_path).for_subject("me", sign_in="browser")
        assert asyncio.run(add(url, me)) == {"result": 3}
        first = set(grants.clients)
        for forgotten in (grants.clients, grants.access_tokens, grants.refresh_tokens):
            forgotten.clear()
        assert asyncio.run(add(url, me)) == {"result": 3}
    assert len(grants.clients) == 1
    assert not first & set(grants.clients)


def test_a_client_whose_secret_ends_is_registered_again(tmp_path: Path) -> None:
    """Before its end: the server's package refuses the token request of a client with an expired secret."""
    grants, ahead = mcp_authorization.Grants(), 0.0
    import time

    with mcp_authorization.serving_protected_calculator(grants, client_secret_expiry_seconds=3600) as url:
        one = api(url, tmp_path, clock=lambda: time.time() + ahead)
        assert asyncio.run(add(url, one.for_subject("one", sign_in="browser"))) == {"result": 3}
        assert asyncio.run(add(url, one.for_subject("two", sign_in="browser"))) == {"result": 3}
        assert len(grants.clients) == 1
        ahead = 3500.0
        assert asyncio.run(add(url, one.for_subject("three", sign_in="browser"))) == {"result": 3}
    assert len(grants.clients) == 2
