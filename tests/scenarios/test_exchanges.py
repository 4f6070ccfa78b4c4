"""Tokens that are issued for another token or for an assertion, through every client, at the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.clients import HERD, HTTPX, Kind, through_every_client
from support.errors import raises
from support.worlds import World

from blnk_auth import ConfigurationError, TokenSource
from blnk_auth.testing import Clock, Sandbox

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"


@pytest.fixture
def world() -> Iterator[World]:
    clock = Clock()
    with Sandbox(clock=clock, extensions=("token_exchange", "jwt_bearer")) as sandbox:
        yield World(sandbox, clock)


def exchanged(world: World, **changes: object) -> TokenSource:
    """A source of tokens for the token of a user, who has another one each time."""

    def users_token() -> str:
        return str(world.sandbox.issue("alice")["access_token"])

    given = {"subject_token": users_token, "subject_token_type": ACCESS_TOKEN, **changes}
    return world.client(world.acme()).for_token_exchange(**given)  # type: ignore[arg-type]


def asserted(world: World) -> TokenSource:
    """A source of tokens for assertions, each of which is accepted once."""
    assertion = exchanged(world, requested_token_type=ID_JAG)
    return world.client(world.acme()).for_assertion(assertion=lambda: assertion.renew().access_token)


MADE = pytest.mark.parametrize("make", [exchanged, asserted])


@through_every_client
@MADE
def test_it_is_renewed_when_it_expires_and_when_it_is_rejected(world: World, kind: Kind, make: type) -> None:
    """As any other token: once each time, with a subject token or an assertion that is valid then."""
    source: TokenSource = make(world)
    with world.open(kind, source) as http:
        assert http.get(world.url).status == 200
        first = source.token()
        world.expire()
        assert http.get(world.url).status == 200
        second = source.token()
        world.sandbox.revoke_access_tokens()
        assert http.get(world.url).status == 200
    assert len({first.access_token, second.access_token, source.token().access_token}) == 3
    assert world.sandbox.counts.reuses == 0


@MADE
def test_a_herd_causes_one_exchange(world: World, make: type) -> None:
    """One for all threads, as for every grant."""
    source: TokenSource = make(world)
    with ThreadPoolExecutor(HERD) as pool:
        tokens = {token.access_token for token in pool.map(lambda _: source.token(), range(HERD))}
    assert len(tokens) == 1
    assert world.sandbox.counts.exchanges == (1 if make is exchanged else 2)


def test_a_refresh_token_is_used_and_rotates(world: World) -> None:
    """Then no token of the user is needed. After the server has ended the grant, another one is exchanged."""
    source = exchanged(world, scope="data:read offline_access", subject="alice")
    for _ in range(3):
        assert world.get(HTTPX, source).status == 200
        world.expire()
    counts = world.sandbox.counts
    assert (counts.exchanges, counts.refreshes, counts.reuses) == (1, 2, 0)
    world.sandbox.revoke_grant("alice")
    assert world.get(HTTPX, source).status == 200
    assert world.sandbox.counts.exchanges == 2


def test_an_unknown_target_and_an_expired_subject_token_are_named(world: World) -> None:
    """`invalid_target`, and for the subject token `invalid_request` (RFC 8693 section 2.2.2)."""
    with raises(ConfigurationError, error="invalid_target"):
        exchanged(world, resource="https://elsewhere.test").token()
    with raises(ConfigurationError, error="invalid_request", parameter="subject_token"):
        exchanged(world, subject_token="unknown").token()
    with raises(ConfigurationError, error="invalid_grant", parameter="assertion"):
        world.client(world.acme()).for_assertion(assertion="unknown").token()
    assert world.get(HTTPX, exchanged(world, resource=f"{world.sandbox.origin}/data")).status == 200


def test_an_assertion_is_never_sent_to_an_api(world: World) -> None:
    """It is for another authorization server: anyone who has it gets a token there."""
    source = exchanged(world, requested_token_type=ID_JAG)
    with raises(ConfigurationError, parameter="requested_token_type"):
        world.get(HTTPX, source)
    assert world.sandbox.counts.api_requests == 0
