"""Faults by name: each documented error of the providers, and what the library makes of it."""

from __future__ import annotations

import dataclasses

import pytest
from support.clients import HTTPX
from support.errors import raises
from support.worlds import World, a_world

from blnk_auth import BlnkAuthError, RenewalPolicy, TokenSource
from blnk_auth.testing import Fault
from blnk_auth.testing.sandbox._named_faults import FAULTS

PATIENT = RenewalPolicy(lost_answer_delay=0)
QUICK = dataclasses.replace(PATIENT, request_deadline=0.5, read_timeout=0.3, connect_timeout=0.3)
"""For what never answers: these faults take as long as the client waits."""

LATER, CONFIGURATION, SIGN_IN = "TemporarilyUnavailable", "ConfigurationError", "SignInRequired"

EVERYWHERE = {
    **dict.fromkeys(("no_response", "disconnect", "lost_response", "slow_body", "bad_gateway"), LATER),
    **dict.fromkeys(("unavailable", "rate_limited"), LATER),
    "not_json": "ProtocolError",
}
OAUTH = {
    "invalid_grant": SIGN_IN,
    **dict.fromkeys(("invalid_request", "unauthorized_client", "unsupported_grant_type"), CONFIGURATION),
    "invalid_scope": CONFIGURATION,
}
RENEWALS = {
    "blnk_cloud": {
        **EVERYWHERE,
        **OAUTH,
        # This client has no key.
        **dict.fromkeys(("invalid_client", "use_dpop_nonce", "invalid_dpop_proof"), CONFIGURATION),
    },
    "blink": {
        **EVERYWHERE,
        **OAUTH,
        **dict.fromkeys(("certificate_refused", "not_acceptable", "unsupported_media_type"), CONFIGURATION),
        **dict.fromkeys(("bank_unreachable", "bank_timeout"), LATER),
    },
    "flinks": {
        **EVERYWHERE,
        **OAUTH,
        "invalid_client": CONFIGURATION,
        **dict.fromkeys(("server_error", "temporarily_unavailable"), LATER),
        **dict.fromkeys(("access_denied", "upstream_expired"), SIGN_IN),
    },
    "mcp": {**EVERYWHERE, **OAUTH, **dict.fromkeys(("invalid_client", "invalid_target"), CONFIGURATION)},
}
"""By personality and name: the class of the error that a renewal raises."""

RENEWED = (200, 1)
"""The status that the caller gets, and the number of renewals: the rejection was answered with a new token."""

STEP_UP = {"insufficient_scope": (403, 0), "insufficient_user_authentication": (401, 0)}
"""A renewal makes no difference to these."""

API = {
    "blnk_cloud": {
        **STEP_UP,
        **dict.fromkeys(("authorization_required", "invalid_token"), RENEWED),
        # The key that Cloud has at Core is wrong, which no token of a user changes.
        **dict.fromkeys(("AUTH_MISSING_API_KEY", "AUTH_INVALID_API_KEY", "AUTH_EXPIRED_API_KEY"), (401, 0)),
        "AUTH_MISSING_PRINCIPAL": (401, 0),
        **dict.fromkeys(("AUTH_INSUFFICIENT_PERMISSIONS", "AUTH_UNKNOWN_RESOURCE"), (403, 0)),
        "GEN_RESOURCE_LOCKED": (423, 0),
        "GEN_RATE_LIMITED": (429, 0),
        "QUEUE_BACKPRESSURE": (503, 0),
    },
    "blink": {
        **STEP_UP,
        **dict.fromkeys(("EXPIRED_TOKEN", "INVALID_TOKEN"), RENEWED),
        "INSUFFICIENT_PRIVILEGES": (403, 0),
        **dict.fromkeys(("INVALID_PAYLOAD", "MALFORMED_PAYLOAD"), (400, 0)),
        "WRONG_METHOD": (405, 0),
        **dict.fromkeys(("TECHNICAL_ERROR", "RESOURCE_TOO_LARGE"), (500, 0)),
        "NOT_IMPLEMENTED": (501, 0),
    },
    "flinks": {
        **STEP_UP,
        **dict.fromkeys(("unauthorized", "forbidden"), RENEWED),
        "bad_request": (400, 0),
        "customer_not_authorized": (401, 0),
        "subscription_not_found": (403, 0),
        "account_not_found": (404, 0),
        "throttled": (429, 0),
        "internal_error": (500, 0),
        "maintenance": (503, 0),
    },
    "mcp": {**STEP_UP, "invalid_token": RENEWED},
}
"""By personality and name: the status that the caller gets, and the number of renewals."""


def cases(table: dict[str, dict[str, object]]) -> list[tuple[str, str, object]]:
    return [(personality, name, wanted) for personality, names in table.items() for name, wanted in names.items()]


def signed_in(world: World, policy: RenewalPolicy = PATIENT) -> TokenSource:
    return world.signed_in(policy=policy)


@pytest.mark.parametrize(("personality", "name", "error"), cases(RENEWALS))
def test_what_a_renewal_makes_of_each_fault(personality: str, name: str, error: str) -> None:
    """Only a verdict about the grant asks for a new sign-in; everything else leaves the grant as it is."""
    with a_world(personality) as world:
        source = signed_in(world, QUICK if error == LATER else PATIENT)
        # As often as the library asks again after a lost response.
        world.sandbox.fail(*[name] * 3)
        with pytest.raises(BlnkAuthError) as raised:
            source.renew()
        assert type(raised.value).__name__ == error
        assert source.state == ("sign_in_required" if error == SIGN_IN else "fresh")


@pytest.mark.parametrize(("personality", "name", "wanted"), cases(API))
def test_what_a_request_makes_of_each_fault(personality: str, name: str, wanted: tuple[int, int]) -> None:
    """A rejection of the token is answered with one renewal; any other response reaches the caller as it is."""
    with a_world(personality) as world:
        source = signed_in(world)
        world.sandbox.fail(name)
        status = world.get(HTTPX, source).status
        assert (status, world.sandbox.counts.refreshes) == wanted


@pytest.mark.parametrize("personality", FAULTS)
def test_every_name_is_in_these_tables(personality: str) -> None:
    """At the kind of request that the name belongs to."""
    revocations = {name for name, each in FAULTS[personality].items() if each.at == "revocation"}
    renewals = {name for name, each in FAULTS[personality].items() if each.at == "token"}
    # The response is a success, which only a client that wanted DPoP refuses.
    assert renewals - {"answers_bearer"} == RENEWALS[personality].keys()
    assert {name for name, each in FAULTS[personality].items() if each.at == "api"} == API[personality].keys()
    assert revocations == ({"unsupported_token_type"} if personality == "flinks" else set())


def test_at_moves_a_fault_elsewhere(flinks: World) -> None:
    """`at` has precedence over where the provider documents the fault."""
    source = signed_in(flinks)
    flinks.sandbox.fail("unavailable", at="revocation")
    flinks.sandbox.fail("unavailable", Fault(status=418), at="api")
    assert [flinks.get(HTTPX, source).status for _ in range(3)] == [503, 418, 200]
    with pytest.raises(BlnkAuthError):
        source.revoke()


def test_faults_and_names_keep_their_order(blnk_cloud: World) -> None:
    """One for each request, named or not."""
    source = signed_in(blnk_cloud)
    blnk_cloud.sandbox.fail("unavailable", Fault(), "invalid_client")
    with raises(BlnkAuthError, status_code=503):
        source.renew()
    blnk_cloud.clock.advance(60)
    source.renew()
    with raises(BlnkAuthError, error="invalid_client"):
        source.renew()


def test_a_name_that_is_not_there(blink: World) -> None:
    """The similar names are proposed, else all are listed; then no fault is queued."""
    with pytest.raises(ValueError, match="'invalid_grnt' is not a fault of 'blink'; did you mean 'invalid_grant'"):
        blink.sandbox.fail("TECHNICAL_ERROR", "invalid_grnt")
    with pytest.raises(ValueError, match="known are: no_response, .*EXPIRED_TOKEN"):
        blink.sandbox.fail("QUEUE_BACKPRESSURE")
    assert blink.get(HTTPX, signed_in(blink)).status == 200


def test_faults_are_bounded(blnk_cloud: World) -> None:
    """Ten thousand may wait; a loop that never ends is an error."""
    blnk_cloud.sandbox.fail(*["unavailable"] * 10_000)
    with pytest.raises(ValueError, match="10000 wait already"):
        blnk_cloud.sandbox.fail("unavailable")
