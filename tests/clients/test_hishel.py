"""hishel caches below the auth flow, in an adapter of requests or a transport of httpx and httpx2."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from support.api_clients import RENEWED, ClientWorld, Ending, either_way

from blnk_auth import Httpx2Auth, HttpxAuth, RequestsAuth, TokenSource

hishel = pytest.importorskip("hishel")
pytest.importorskip("hishel.requests")
pytest.importorskip("hishel.httpx")
pytest.importorskip("hishel.httpx2")


@contextmanager
def over_requests(alice: TokenSource, storage: Any) -> Iterator[Any]:
    with requests.Session() as session:
        session.auth = RequestsAuth(alice)
        session.mount("http://", hishel.requests.CacheAdapter(storage=storage))
        yield session


@contextmanager
def over_httpx(alice: TokenSource, storage: Any) -> Iterator[Any]:
    with hishel.httpx.CacheClient(auth=HttpxAuth(alice), storage=storage) as http:
        yield http


@contextmanager
def over_httpx2(alice: TokenSource, storage: Any) -> Iterator[Any]:
    with hishel.httpx2.CacheClient(auth=Httpx2Auth(alice), storage=storage) as http:
        yield http


@either_way
@pytest.mark.parametrize("opened", [over_requests, over_httpx, over_httpx2])
def test_the_resolved_answer_is_kept(
    world: ClientWorld, ending: Ending, opened: Callable[..., Any], tmp_path: Path
) -> None:
    """What is fetched after the token's end is the API's answer, and comes from the cache the next time."""
    with (
        closing(hishel.SqliteStorage(database_path=tmp_path / "cache.db")) as storage,
        opened(world.signed_in(), storage) as http,
    ):
        assert http.get(world.url).status_code == 200
        world.end(ending)
        fetched = http.get(f"{world.url}?page=2")
        asked = world.sandbox.counts.api_requests
        cached = http.get(f"{world.url}?page=2")
    assert (fetched.status_code, cached.status_code) == (200, 200)
    assert cached.json() == fetched.json()
    assert world.sandbox.counts.api_requests == asked
    assert world.story == RENEWED[ending]


@pytest.mark.parametrize("opened", [over_requests, over_httpx, over_httpx2])
def test_each_user_needs_a_cache_of_their_own(world: ClientWorld, opened: Callable[..., Any], tmp_path: Path) -> None:
    """As the guide warns: the cache has the token, and does not look at the user of a request; two caches do."""
    users = [world.signed_in(name) for name in ("alice", "bob")]
    asked = []
    for files in (("shared.db", "shared.db"), ("alice.db", "bob.db")):
        before = world.sandbox.counts.api_requests
        for user, file in zip(users, files, strict=True):
            with (
                closing(hishel.SqliteStorage(database_path=tmp_path / file)) as storage,
                opened(user, storage) as http,
            ):
                assert http.get(world.url).status_code == 200
        asked.append(world.sandbox.counts.api_requests - before)
    assert asked == [1, 2]
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("alice.db*"))
    assert users[0].token().access_token.encode() in kept
