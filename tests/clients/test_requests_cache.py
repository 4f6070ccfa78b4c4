"""requests-cache is between the caller and the network: it keeps the final answer, and no token."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from support.api_clients import RENEWED, ClientWorld, Ending, either_way

from blnk_auth import RequestsAuth, TokenSource

requests_cache = pytest.importorskip("requests_cache")


def session_of(world: ClientWorld) -> Any:
    session = requests_cache.CachedSession(backend="memory")
    session.auth = RequestsAuth(world.signed_in())
    return session


@either_way
def test_the_resolved_answer_is_kept(world: ClientWorld, ending: Ending) -> None:
    """After the token's end the API's answer is fetched once and then comes from the cache; the 401 is not in it."""
    with session_of(world) as session:
        assert session.get(world.url).status_code == 200
        world.end(ending)
        fetched = session.get(world.url, force_refresh=True)
        cached = session.get(world.url)
    assert (fetched.status_code, fetched.from_cache) == (200, False)
    assert (cached.status_code, cached.from_cache, cached.json()) == (200, True, fetched.json())
    assert world.story == RENEWED[ending]


def test_each_user_needs_a_cache_of_their_own(world: ClientWorld) -> None:
    """As the guide warns: a cache does not look at the user of a request, and two caches keep two users apart."""
    alice, bob = world.signed_in(), world.signed_in("bob")

    def asked(name: str, *users: TokenSource) -> int:
        before = world.sandbox.counts.api_requests
        for user in users:
            with requests_cache.CachedSession(name, backend="memory", match_headers=["Authorization"]) as session:
                session.get(world.url, auth=RequestsAuth(user))
        return world.sandbox.counts.api_requests - before

    with requests_cache.CachedSession(backend="memory", match_headers=["Authorization"]) as shared:
        answers = [shared.get(world.url, auth=RequestsAuth(user)) for user in (alice, bob)]
    assert [answer.from_cache for answer in answers] == [False, True]
    assert asked("of-alice", alice) + asked("of-bob", bob) == 2


@either_way
def test_no_token_is_in_the_cache(world: ClientWorld, ending: Ending) -> None:
    """Neither the old nor the new token is in the cache, the history of a repeated call included."""
    with session_of(world) as session:
        alice = session.auth._source
        tokens = [alice.token().access_token]
        session.get(world.url)
        world.end(ending)
        session.get(world.url, force_refresh=True)
        tokens.append(alice.token().access_token)
        kept = b"".join(pickle.dumps(response) for response in session.cache.responses.values())
    assert len(set(tokens)) == 2
    assert kept
    assert not [token for token in tokens if token.encode() in kept]
