"""What heals without anybody's help: lost answers, outages that others have overcome, refusals of early renewals, and
endpoints that reject every token.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from support.clients import Kind, through_every_client
from support.errors import LOST_REFRESH, raises
from support.providers import acme_at
from support.sites import Received, Reply, Site
from support.worlds import NO_RENEWAL, World

from blnk_auth import OAuthClient, RenewalPolicy, SignInRequired, TemporarilyUnavailable, Token
from blnk_auth.testing import Fault, assert_renewed_once

AT_ONCE = RenewalPolicy(lost_answer_delay=0)
INVALID_TOKEN = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


# --- a lost answer ---------------------------------------------------------------------------------------------------


@through_every_client
def test_a_lost_answer_is_asked_for_again_within_the_grace_period(kind: Kind) -> None:
    """A server that issues a lost pair again is asked in time; the caller notices nothing."""
    spent: dict[str, Reply] = {}

    def answer(request: Received) -> Reply:
        if request.path != "/token":
            return Reply(200)
        refresh_token = request.form["refresh_token"]
        if refresh_token not in spent:
            number = len(spent) + 1
            pair = {"access_token": f"at{number}", "refresh_token": f"rt{number}", "expires_in": 3600}
            spent[refresh_token] = Reply.json(pair)
            # Cut off: shorter than its length.
            return Reply(200, b"", {"Content-Length": "300"})
        return spent[refresh_token]

    with Site(answer) as site:
        provider = acme_at(site.origin)
        client = OAuthClient(provider, client_id="id", client_secret="client-s3cret", policy=AT_ONCE)
        source = client.for_subject("alice")
        source.adopt(Token("at0", refresh_token="rt0", expires_at=1.0))
        with kind.open(source) as http:
            assert http.get(f"{site.origin}/x").status == 200
        assert source.token().refresh_token == "rt1"
        assert [each.form["refresh_token"] for each in site.received if each.path == "/token"] == ["rt0", "rt0"]
        assert site.received[-1].authorization == "Bearer at1"


@through_every_client
def test_a_lost_answer_at_a_server_without_a_grace_period_asks_for_a_sign_in(world: World, kind: Kind) -> None:
    """There the repetition is a second use of the refresh token; the error names what was lost."""
    alice = world.expired(policy=AT_ONCE)
    world.sandbox.fail(Fault(disconnect=True, after_rotation=True))
    with kind.open(alice) as http, raises(SignInRequired, reason="refused", shows=LOST_REFRESH):
        http.get(world.url)
    assert world.renewals == (2, 1, 1)


@pytest.mark.parametrize("turned_off_by", ["policy", "provider"])
@through_every_client
def test_a_lost_answer_is_not_asked_for_again_where_that_is_turned_off(
    world: World, kind: Kind, turned_off_by: str
) -> None:
    """By the policy, or by a provider that revokes more than the grant for a second use."""
    by_provider = turned_off_by == "provider"
    provider = world.acme(repeats_lost_refresh=not by_provider)
    policy = RenewalPolicy(lost_answer_retries=2 if by_provider else 0, lost_answer_delay=0)
    alice = world.signed_in(client=world.client(provider, policy=policy))
    world.expire()
    world.sandbox.fail(Fault(disconnect=True, after_rotation=True))
    with kind.open(alice) as http, pytest.raises(TemporarilyUnavailable) as caught:
        http.get(world.url)
    assert caught.value.outcome_unknown
    assert_renewed_once(world.sandbox)


# --- a remembered failure --------------------------------------------------------------------------------------------


@through_every_client
def test_a_token_that_another_process_stores_is_found_during_a_cool_down(world: World, kind: Kind) -> None:
    """A worker that must come back in an hour uses its neighbour's token a second later."""
    alice = world.expired()
    world.sandbox.fail(Fault(status=429, headers={"Retry-After": "3600"}))
    with kind.open(alice) as http:
        with pytest.raises(TemporarilyUnavailable):
            http.get(world.url)
        neighbour = world.client().for_subject("alice")
        renewed = neighbour.token()
        with pytest.raises(TemporarilyUnavailable):
            http.get(world.url)
        world.clock.advance(1)
        assert http.get(world.url).status == 200
    assert alice.token() == renewed
    assert world.renewals == (2, 1, 0)


@through_every_client
def test_a_failed_early_renewal_is_forgotten_when_the_token_must_be_renewed(world: World, kind: Kind) -> None:
    """A server that refuses early renewals, with any `Retry-After`, costs no call."""
    alice = world.signed_in()
    world.go_stale()
    world.sandbox.fail(Fault(status=429, headers={"Retry-After": "3600"}))
    with kind.open(alice) as http:
        assert http.get(world.url).status == 200
        world.events.wait_for("renewal_failed")
        world.clock.advance(295)
        assert http.get(world.url).status == 200
    assert world.renewals == (2, 1, 0)


@through_every_client
def test_a_provider_that_refuses_early_renewals_is_not_asked_early(world: World, kind: Kind) -> None:
    """`earliest_renewal=30`: until then the token is used, and nobody asks."""
    provider = world.acme(earliest_renewal=30)
    alice = world.signed_in(client=world.client(provider))
    with kind.open(alice) as http:
        world.clock.advance(world.sandbox.lifetime - 31)
        assert http.get(world.url).status == 200
        assert (world.renewals, alice.state) == (NO_RENEWAL, "fresh")
        world.clock.advance(22)
        assert http.get(world.url).status == 200
    assert_renewed_once(world.sandbox)


# --- rejections ------------------------------------------------------------------------------------------------------


@through_every_client
def test_a_grant_that_is_revoked_in_the_advisory_window_raises_immediately(world: World, kind: Kind) -> None:
    """No call is repeated with the token that was rejected, and none gets a bare 401."""
    alice = world.signed_in()
    world.go_stale()
    world.sandbox.revoke_grant("alice")
    with kind.open(alice) as http:
        for _ in range(4):
            before = world.sandbox.counts.api_requests
            with pytest.raises(SignInRequired):
                http.get(world.url)
            assert world.sandbox.counts.api_requests - before <= 1
            world.clock.advance(0.5)
    assert world.sandbox.counts.token_requests == 1


class Endpoints:
    """An API of which `/bad` rejects every token, and every other path none but those that were revoked."""

    def __init__(self) -> None:
        self.issued = 0
        self.revoked: set[str] = set()

    def __call__(self, request: Received) -> Reply:
        if request.path == "/token":
            self.issued += 1
            return Reply.json({"access_token": f"at{self.issued}", "refresh_token": "rt", "expires_in": 86_400})
        is_bad = request.path.startswith("/bad") or request.authorization in self.revoked
        return Reply.rejected() if is_bad else Reply(200)


@through_every_client
def test_one_endpoint_that_rejects_every_token_leaves_the_others_renewed(kind: Kind, world: World) -> None:
    """It costs ever fewer renewals, and a token that is revoked elsewhere is renewed immediately."""
    endpoints = Endpoints()
    with Site(endpoints) as site:
        provider = acme_at(site.origin)
        source = world.client(provider).for_subject("alice")
        source.adopt(Token("at0", refresh_token="rt", expires_at=world.clock() + 86_400))
        with kind.open(source) as http:
            for number in range(30):
                assert http.get(f"{site.origin}/bad/{number}").status == 401
                assert http.get(f"{site.origin}/good").status == 200
                world.clock.advance(60)
            assert endpoints.issued <= 12
            endpoints.revoked.add(f"Bearer at{endpoints.issued}")
            assert http.get(f"{site.origin}/bad/0").status == 401
            assert http.get(f"{site.origin}/good").status == 200
    assert world.events.names.count("rejection_unresolved") == 1
    assert "GET /bad/0" in world.events.wait_for("rejection_unresolved").detail


def chunks() -> Iterator[bytes]:
    yield b"abc"


async def async_chunks() -> AsyncIterator[bytes]:
    yield b"abc"


@through_every_client
def test_a_body_that_cannot_be_repeated_causes_no_storm_at_an_api_that_always_rejects(world: World, kind: Kind) -> None:
    """Nothing is repeated, so only the next rejection shows that the renewal did not help."""
    world.sandbox.fail(*[Fault(status=401, headers=INVALID_TOKEN)] * 30, at="api")
    with kind.open(world.signed_in()) as http:
        for _ in range(20):
            body = async_chunks() if kind.is_async else chunks()
            assert http.post(world.url, **{kind.body_parameter: body}).status == 401
    assert world.sandbox.counts.api_requests == 20
    assert world.renewals == (2, 2, 0)


@through_every_client
def test_an_api_that_rejects_each_new_token_once_causes_no_storm(world: World, kind: Kind) -> None:
    """Each repetition is accepted, and each next call rejected."""
    world.sandbox.fail(*[Fault(status=401, headers=INVALID_TOKEN), Fault()] * 2, at="api")
    with kind.open(world.signed_in()) as http:
        assert [http.get(world.url).status for _ in range(2)] == [200, 200]
        world.sandbox.fail(*[Fault(status=401, headers=INVALID_TOKEN)] * 20, at="api")
        assert {http.get(world.url).status for _ in range(20)} == {401}
    assert world.renewals == (2, 2, 0)
