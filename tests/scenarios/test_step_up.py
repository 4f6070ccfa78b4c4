"""What every client does when the API asks for a new sign-in: step-up, more scope, a consent that has ended."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.clients import HERD, Kind, through_every_client
from support.waiting import settle
from support.worlds import NO_RENEWAL, World, a_world

from blnk_auth import SignInRequired, Token
from blnk_auth.testing import Fault
from blnk_auth.testing.sandbox._flinks import fdx_error

CHALLENGES = {
    "more scope": (403, 'Bearer error="insufficient_scope", scope="data:write"'),
    "a stronger sign-in": (401, 'Bearer error="insufficient_user_authentication", acr_values="loa3", max_age="60"'),
}
ASKING = pytest.mark.parametrize(("status", "challenge"), CHALLENGES.values(), ids=CHALLENGES)


def asking(world: World, status: int, challenge: str, times: int = 1) -> None:
    """The API asks for more, this many times."""
    fault = Fault(status=status, body=b"as it was", headers={"WWW-Authenticate": challenge})
    world.sandbox.fail(*[fault] * times, at="api")


@ASKING
@through_every_client
def test_the_response_of_the_api_is_returned_and_reported_once(
    world: World, kind: Kind, status: int, challenge: str
) -> None:
    """Fifty concurrent calls: each gets the response, one event is emitted, and nothing is renewed."""
    asking(world, status, challenge, HERD)
    alice = world.signed_in()
    with kind.open(alice) as http:
        answers = http.herd(world.url)
        assert http.get(world.url).status == 200
    assert {(answer.status, answer.body) for answer in answers} == {(status, b"as it was")}
    settle()
    assert world.events.names.count("step_up_required") == 1
    assert world.renewals == NO_RENEWAL
    assert world.sandbox.counts.api_requests == HERD + 1
    assert alice.state == "fresh"
    assert world.stored(alice).demands is not None


@ASKING
@through_every_client
def test_an_error_is_raised_in_its_place(world: World, kind: Kind, status: int, challenge: str) -> None:
    """It is the client's own too, it has what to ask for, and the connection is free again."""
    asking(world, status, challenge, 2)
    alice = world.signed_in(step_up="raise")
    granted = alice.token().scope
    assert granted is not None
    with kind.open(alice, pool=1) as http:
        for _ in range(2):
            with pytest.raises(SignInRequired) as caught:
                http.get(world.url)
            assert isinstance(caught.value, kind.request_error)
            assert not isinstance(caught.value, kind.transport_error)
            assert str(caught.value.request.url) == world.url  # type: ignore[attr-defined]
        assert http.get(world.url).status == 200
    assert (caught.value.reason, caught.value.subject) == ("step_up", "alice")
    assert set(granted.split()) <= set((caught.value.scope or "").split())
    assert (caught.value.acr_values, caught.value.max_age) == (("loa3", 60) if status == 401 else (None, None))
    assert world.renewals == NO_RENEWAL
    settle()
    assert world.events.names.count("step_up_required") == 1


@through_every_client
def test_an_expired_token_is_renewed_before_more_is_asked_for(world: World, kind: Kind) -> None:
    """A 401 for the token, a renewal, and then a 403 for the scope: two requests, and the error of the second."""
    asking(world, 401, 'Bearer error="invalid_token"')
    asking(world, *CHALLENGES["more scope"])
    with kind.open(world.signed_in(step_up="raise"), pool=1) as http:
        with pytest.raises(SignInRequired) as caught:
            http.get(world.url)
        assert isinstance(caught.value, kind.request_error)
        assert http.get(world.url).status == 200
    assert world.renewals == (1, 1, 0)
    assert world.sandbox.counts.api_requests == 3


@through_every_client
def test_a_sign_in_in_another_process_answers_the_demand(world: World, kind: Kind) -> None:
    """The request is repeated with the new token, and nothing is reported."""
    alice = world.signed_in(step_up="raise")
    world.client().for_subject("alice").adopt(Token.from_response(world.sandbox.issue("alice"), now=world.clock()))
    asking(world, *CHALLENGES["more scope"])
    with kind.open(alice) as http:
        answer = http.post(world.url)
    assert answer.status != 403
    assert answer.token == world.stored(alice).token.access_token
    settle()
    assert "step_up_required" not in world.events.names
    assert world.renewals == NO_RENEWAL


@pytest.mark.parametrize("consent_ended", ["event", "raise"])
@through_every_client
def test_flinks_reports_that_a_consent_has_ended(kind: Kind, consent_ended: Any) -> None:
    """Error 602 is never renewed; the refresh token is left alone."""
    with a_world("flinks") as flinks:
        flinks.sandbox.fail(*[fdx_error(602, 401)] * 3, at="api")
        alice = flinks.signed_in(consent_ended=consent_ended)
        with flinks.open(kind, alice) as http:
            for _ in range(3):
                if consent_ended == "event":
                    assert json.loads(http.get(flinks.url).body)["code"] == 602
                    continue
                with pytest.raises(SignInRequired) as caught:
                    http.get(flinks.url)
                assert (caught.value.reason, caught.value.subject) == ("consent_ended", "alice")
                assert caught.value.correlation_id
            assert http.get(flinks.url).status == 200
        settle()
        assert flinks.events.names.count("consent_ended") == 1
        assert flinks.renewals == NO_RENEWAL
        demands = flinks.stored(alice).demands
        assert demands is not None
        assert demands.consent_ended


@through_every_client
def test_blink_reports_it_after_a_renewal_that_did_not_help(kind: Kind) -> None:
    """`INVALID_TOKEN` is renewed once. After that it means that the consent has ended, also while none is renewed."""
    problem = json.dumps({"type": "/problems/INVALID_TOKEN", "title": "Invalid token"}).encode()
    headers = {"WWW-Authenticate": "Bearer error='invalid_token'", "X-CorAPI-Source": "PROVIDER"}
    fault = Fault(status=401, body=problem, headers={**headers, "Content-Type": "application/problem+json"})
    with a_world("blink") as blink:
        blink.sandbox.fail(*[fault] * 10, at="api")
        with blink.open(kind, blink.signed_in(consent_ended="raise")) as http:
            for _ in range(3):
                with pytest.raises(SignInRequired) as caught:
                    http.get(blink.url)
                assert caught.value.reason == "consent_ended"
        settle()
        assert blink.events.names.count("consent_ended") == 1
        assert blink.sandbox.counts.refreshes <= 2


@through_every_client
def test_another_problem_of_blink_ends_no_consent(kind: Kind) -> None:
    """An expired token that a renewal does not help against is reported as such."""
    problem = json.dumps({"type": "/problems/EXPIRED_TOKEN", "title": "Expired token"}).encode()
    headers = {"WWW-Authenticate": "Bearer error='invalid_token'", "X-CorAPI-Source": "PROVIDER"}
    with a_world("blink") as blink:
        blink.sandbox.fail(*[Fault(status=401, body=problem, headers=headers)] * 2, at="api")
        with blink.open(kind, blink.signed_in(consent_ended="raise")) as http:
            assert http.get(blink.url).status == 401
            assert http.get(blink.url).status == 200
        settle()
        assert "consent_ended" not in blink.events.names


# --- against an API that does it -------------------------------------------------------------------------------------


@through_every_client
def test_a_user_signs_in_again_until_the_api_is_content(kind: Kind) -> None:
    """The sandbox wants another scope, and then a stronger sign-in. What the error names is passed on as it is."""
    with a_world("blnk_cloud", extensions=("step_up",)) as cloud:
        client = cloud.client(step_up="raise")
        start = client.start_authorization("alice", scope="data:read")
        alice = client.finish_authorization(cloud.sandbox.sign_in(start.url, subject="alice"))
        asked: list[tuple[str | None, str | None, float | None]] = []
        with cloud.open(kind, alice) as http:
            for _ in range(3):
                assert http.get(cloud.url_of("/data/ledgers")).status == 200
                try:
                    status = http.request("POST", cloud.url_of("/proxy/ledgers"), json={"name": "x"}).status
                except SignInRequired as error:
                    asked.append((error.scope, error.acr_values, error.max_age))
                    again = client.start_authorization(
                        str(error.subject), scope=error.scope, acr_values=error.acr_values, max_age=error.max_age
                    )
                    client.finish_authorization(cloud.sandbox.sign_in(again.url, subject="alice"))
                else:
                    break
        assert status == 201
        assert asked == [("data:read proxy:write", None, None), ("data:read proxy:write", "mfa", 300)]
        assert cloud.sandbox.counts.refreshes == 0
        assert cloud.stored(alice).demands is None


@through_every_client
def test_a_token_with_a_proof_is_stepped_up_too(kind: Kind) -> None:
    """The challenge has the scheme of the token: DPoP (RFC 9449 section 7.1)."""
    with a_world("blnk_cloud", extensions=("step_up", "dpop")) as cloud:
        client = cloud.client(cloud.provider(), step_up="raise", dpop=True)
        start = client.start_authorization("alice", scope="data:read proxy:write")
        alice = client.finish_authorization(cloud.sandbox.sign_in(start.url, subject="alice"))
        with cloud.open(kind, alice) as http:
            assert http.get(cloud.url_of("/data/ledgers")).status == 200
            with pytest.raises(SignInRequired) as caught:
                http.request("POST", cloud.url_of("/proxy/ledgers"), json={"name": "x"})
        assert (caught.value.reason, caught.value.acr_values) == ("step_up", "mfa")
        assert cloud.sandbox.counts.refreshes == 0
