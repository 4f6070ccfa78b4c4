"""Cells of the reference table that no trap and no single provider's tests cover: each is tried at all three."""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

import pytest
from support.canary.leaks import leaks
from support.clients import Kind, through_every_client
from support.errors import raises
from support.providers import DAY
from support.worlds import World, a_world

from blnk_auth import (
    ApiAnswer,
    ConfigurationError,
    ProtocolError,
    Provider,
    SignInRequired,
    StaticToken,
    TemporarilyUnavailable,
)
from blnk_auth.testing import Fault
from blnk_auth.testing.sandbox._blink import problem

USUAL = frozenset("host accept accept-encoding connection user-agent authorization content-type content-length".split())
"""What any HTTP client sends with a token, or with a form."""

OF_BLINK = {"x-correlation-id", "x-corapi-target-id", "x-psu-ip-address", "x-psu-user-agent"}

EXPIRED = {
    "blnk_cloud": Fault(status=401, body=b'{"error":"Authorization header is required"}'),
    "blink": problem("EXPIRED_TOKEN"),
    "flinks": Fault(status=403, body=b'{"message":"Forbidden"}'),
}


def of_blink(
    name: str, *, source: Literal["PLATFORM", "PROVIDER"] = "PROVIDER", was_renewed: bool = False
) -> ApiAnswer:
    """A documented problem, as the API answers it."""
    fault = problem(name, source=source)
    headers = {header.lower(): value for header, value in fault.headers.items()}
    return ApiAnswer(fault.status or 401, headers, body=fault.body, was_renewed=was_renewed)


@through_every_client
def test_no_further_header_is_sent_than_in_the_table(world: World, kind: Kind) -> None:
    """Further headers, token and API: five at bLink, where User-Agent is one of them, none elsewhere."""
    source = world.signed_in()
    world.expire()
    assert world.get(kind, source).status == 200
    token, api = (request.headers.keys() - USUAL for request in world.sandbox.requests)
    assert (token, api) == ((OF_BLINK, OF_BLINK) if world.name == "blink" else (set(), set()))


def test_a_callback_with_another_state_is_refused(world: World) -> None:
    """`state`: always sent, always checked; nothing is exchanged, and the right answer still counts."""
    client = world.client()
    start = client.start_authorization("alice", scope=world.scope)
    callback_url = world.sandbox.sign_in(start.url)
    assert start.state in start.url
    with raises(SignInRequired, reason="restart"):
        client.finish_authorization(re.sub(r"state=[^&]+", "state=another", callback_url))
    assert world.token_requests == []
    assert client.finish_authorization(callback_url).state == "fresh"


@through_every_client
def test_the_token_type_is_sent_as_bearer(world: World, kind: Kind) -> None:
    """`token_type`: `Bearer` at two of them and `bearer` at bLink, which is not odd."""
    issued = world.sandbox.issue("alice")["token_type"]
    assert issued == ("bearer" if world.name == "blink" else "Bearer")
    source = world.signed_in()
    source.renew()
    assert world.get(kind, source).sent["authorization"] == f"Bearer {source.token().access_token}"
    assert "odd_answer" not in world.events.names


def test_how_long_an_unused_refresh_token_lives(world: World) -> None:
    """Refresh token expires after: 30 days without use where that is documented; elsewhere the server is asked."""
    is_known = world.name != "blnk_cloud"
    assert world.provider().refresh_idle_lifetime == (30 * DAY if is_known else None)
    source = world.signed_in()
    world.clock.advance(29.9 * DAY)
    source.renew()
    world.clock.advance(31 * DAY)
    if not is_known:
        assert source.renew().refresh_token is not None
        return
    with pytest.raises(SignInRequired):
        source.renew()
    assert world.sandbox.counts.token_requests == 2


@through_every_client
@pytest.mark.parametrize("status", [400, 402, 403, 404, 407, 409, 422, 423, 429, 500, 501, 502, 503])
def test_other_statuses_are_the_applications(world: World, kind: Kind, status: int) -> None:
    """Statuses of a rejection: any other passes untouched; so do those that do not report an expiry."""
    assert world.provider().rejection_statuses == ({400, 401, 403} if world.name == "flinks" else {401})
    said = b'{"code":1,"error":"invalid_token","message":"expired"}'
    world.sandbox.fail(Fault(status=status, body=said), at="api")
    answer = world.get(kind, world.signed_in())
    assert (answer.status, answer.body) == (status, said)
    assert world.token_requests == []


@pytest.mark.parametrize(
    ("name", "answer", "ends"),
    [
        ("blnk_cloud", ApiAnswer(401, {}, body=b'{"error":"Invalid or expired token"}', was_renewed=True), False),
        ("blnk_cloud", ApiAnswer(403, {}, body=b'{"error_detail":{"code":"AUTH_UNKNOWN_RESOURCE"}}'), False),
        ("blink", of_blink("INVALID_TOKEN", was_renewed=True), True),
        ("blink", of_blink("INVALID_TOKEN"), False),
        ("blink", of_blink("EXPIRED_TOKEN", was_renewed=True), False),
        ("blink", of_blink("INVALID_TOKEN", source="PLATFORM", was_renewed=True), False),
        ("flinks", ApiAnswer(401, {}, body=b'{"code":602,"message":"Customer not authorized"}'), True),
        ("flinks", ApiAnswer(403, {}, body=b'{"code":602}'), True),
        ("flinks", ApiAnswer(401, {}, body=b'{"message":"expired"}', was_renewed=True), False),
        ("flinks", ApiAnswer(403, {}, body=b'{"code":403}'), False),
    ],
)
def test_which_answers_report_the_end_of_a_consent(name: str, answer: ApiAnswer, ends: bool) -> None:
    """The API reports that the consent has ended: only where the provider documents it."""
    with a_world(name) as world:
        assert world.provider().ends_consent(answer) is ends


@through_every_client
def test_an_expired_token_is_renewed_as_the_api_reports_it(world: World, kind: Kind) -> None:
    """The API rejects an expired token: in each provider's own way, and once is enough."""
    source = world.signed_in()
    world.sandbox.fail(EXPIRED[world.name], at="api")
    assert world.get(kind, source).status == 200
    assert world.sandbox.counts.refreshes == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_heal_is_tried_again(world: World, status: int) -> None:
    """Try later: the pair is kept, the result of 502 and 504 is unknown, and the next attempt works."""
    source = world.signed_in()
    kept = world.stored(source)
    world.sandbox.fail(Fault(status=status))
    with raises(TemporarilyUnavailable, status_code=status, outcome_unknown=status in (502, 504)):
        source.renew()
    assert world.stored(source) == kept
    world.clock.advance(120)
    assert source.renew().access_token != kept.token.access_token


def test_the_correlation_id_is_the_providers_own(world: World) -> None:
    """Correlation id in errors: the header that this provider's support asks for, and no other."""
    ids = {"X-Correlation-ID": "11111111-0000", "ob-correlation-id": "22222222-0000"}
    world.sandbox.fail(Fault(status=400, body=b'{"error":"invalid_client"}', headers=ids))
    expected = {"blnk_cloud": None, "blink": "11111111-0000", "flinks": "22222222-0000"}[world.name]
    with raises(ConfigurationError, correlation_id=expected, shows=expected or ()) as caught:
        world.signed_in().renew()
    assert leaks([str(caught.value)], [each for each in ids.values() if each != expected]) == []


def test_who_can_be_discovered(world: World) -> None:
    """Discovery: Blnk Cloud describes itself, the other two do not."""
    if world.name != "blnk_cloud":
        with raises(ProtocolError, parameter="issuer"):
            Provider.discover(world.sandbox.origin)
        return
    found, built_in = Provider.discover(world.sandbox.origin), world.provider()
    for name in ("issuer", "token_endpoint", "authorization_endpoint", "revocation_endpoint", "pkce"):
        assert getattr(found, name) == getattr(built_in, name), name
    # Metadata that lists no grant may leave it out by mistake, so it may be tried.
    assert set(built_in.grants) <= set(found.grants)
    assert built_in.client_auth in found.client_auth_supported


def test_another_environment_is_another_key(world: World) -> None:
    """Environment: by the host of the token endpoint, if all else is the same."""
    made = world.provider()
    elsewhere = dataclasses.replace(made, token_endpoint="https://live.example/token")
    keys = {world.client(provider).for_subject("alice").store_key for provider in (made, elsewhere)}
    assert len(keys) == 2


@through_every_client
def test_a_fixed_key_is_sent_and_never_renewed(world: World, kind: Kind) -> None:
    """Static key instead: where there is none, an API that refuses it has the last word."""
    key = StaticToken("blnk_fdb796a5", api_origins=(world.sandbox.origin,))
    with world.open(kind, key) as http:
        answer = http.get(world.url_of())
    assert answer.sent["authorization"] == "Bearer blnk_fdb796a5"
    assert answer.status in (400, 401)
    assert world.token_requests == []
