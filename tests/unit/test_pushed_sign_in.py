"""Pushed authorization requests (RFC 9126), and what a sign-in that asked for more keeps of the answer. No sockets."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
import trio
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import JWKRegistry
from support.canary.leaks import leaks
from support.errors import raises
from support.providers import acme
from support.scripted import ScriptedWorld
from support.token_endpoint import answer, form, pair, refusal

from blnk_auth import (
    AuthorizationRequest,
    BlnkAuthError,
    Call,
    ConfigurationError,
    MemoryStore,
    ProtocolError,
    Provider,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
    Token,
)
from blnk_auth._protocol.http_messages import HttpResponse, NoResponse
from blnk_auth._sign_in.pending_sign_ins import PENDING_LIFETIME

ISSUER = "https://as.acme.test"
PAR = f"{ISSUER}/par"
REQUEST_URI = "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c"
DETAILS = {"type": "account_information", "actions": ["read_balances"]}


def pushing(**settings: Any) -> Provider:
    return acme(
        issuer=ISSUER,
        pushed_authorization_request_endpoint=PAR,
        requires_pushed_authorization_requests=True,
        **settings,
    )


@pytest.fixture
def world() -> ScriptedWorld:
    return ScriptedWorld(pushing())


def pushed(**members: Any) -> HttpResponse:
    """The answer of RFC 9126 section 2.2; None leaves a member out."""
    given = {"request_uri": REQUEST_URI, "expires_in": 60, **members}
    return answer({name: value for name, value in given.items() if value is not None}, 201)


def callback(start: AuthorizationRequest, **changes: str | None) -> str:
    parameters = {"code": "c0de-of-alice", "state": start.state, "iss": ISSUER, **changes}
    return "https://app.test/callback?" + urlencode({k: v for k, v in parameters.items() if v is not None})


# --- pushing ---------------------------------------------------------------------------------------------------------


def test_the_request_is_pushed_and_the_url_refers_to_it(world: ScriptedWorld) -> None:
    """RFC 9126 sections 2.1 and 4: all parameters in the body, with client authentication; two in the URL."""
    world.server.will(pushed())
    start = world.client.start_authorization("alice", scope="data:read", authorization_details=DETAILS, max_age=60)
    (request,), (form,) = world.server.requests, world.server.forms
    challenge = form.pop("code_challenge")
    assert (request.method, request.url) == ("POST", PAR)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["authorization"].startswith("Basic ")
    assert json.loads(form.pop("authorization_details")) == [DETAILS]
    assert form == {
        "response_type": "code",
        "client_id": "id",
        "redirect_uri": "https://app.test/callback",
        "scope": "data:read",
        "state": start.state,
        "code_challenge_method": "S256",
        "max_age": "60",
    }
    assert urlsplit(start.url)._replace(query="").geturl() == f"{ISSUER}/authorize"
    assert dict(parse_qsl(urlsplit(start.url).query)) == {"client_id": "id", "request_uri": REQUEST_URI}

    world.server.will(pair(1))
    source = world.client.finish_authorization(callback(start))
    assert create_s256_code_challenge(world.server.forms[1]["code_verifier"]) == challenge
    assert source.token().access_token == "at1"


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_the_async_twin_pushes_too(world: ScriptedWorld, run: Any) -> None:
    """On both loops."""
    world.server.will(pushed())

    async def main() -> str:
        return (await world.client.astart_authorization("alice")).url

    assert REQUEST_URI in parse_qs(urlsplit(run(main() if run is asyncio.run else main)).query)["request_uri"]


def test_an_endpoint_alone_is_an_offer() -> None:
    """Nothing is pushed unless the server demands it or the user asks for it."""
    world = ScriptedWorld(acme(pushed_authorization_request_endpoint=PAR))
    assert "code_challenge" in world.client.start_authorization("alice").url
    assert world.server.requests == []


def test_a_query_of_the_authorization_endpoint_is_kept() -> None:
    """RFC 6749 section 3.1."""
    world = ScriptedWorld(pushing(authorization_endpoint=f"{ISSUER}/authorize?tenant=a%26b"))
    world.server.will(pushed())
    query = dict(parse_qsl(urlsplit(world.client.start_authorization("alice").url).query))
    assert query == {"tenant": "a&b", "client_id": "id", "request_uri": REQUEST_URI}


@pytest.mark.parametrize(
    ("method", "members", "header"),
    [
        ("client_secret_basic", {"client_id"}, True),
        ("client_secret_post", {"client_id", "client_secret"}, False),
        ("client_secret_jwt", {"client_id", "client_assertion", "client_assertion_type"}, False),
        ("none", {"client_id"}, False),
    ],
)
def test_the_client_authenticates_as_at_the_token_endpoint(method: Any, members: set[str], header: bool) -> None:
    """RFC 9126 section 2: "The rules for client authentication as defined in [RFC6749] for token endpoint requests"."""
    secret = None if method == "none" else "client-s3cret-that-is-long-enough-for-hs256"
    world = ScriptedWorld(pushing(), client_auth=method, client_secret=secret)
    world.server.will(pushed())
    world.client.start_authorization("alice")
    (request,), (form,) = world.server.requests, world.server.forms
    assert {name for name in form if name.startswith("client_")} == members
    assert ("authorization" in request.headers) == header


def test_a_json_provider_gets_a_form() -> None:
    """RFC 9126 section 2.1 demands one, however token requests are written."""
    world = ScriptedWorld(pushing(token_body="json"))
    world.server.will(pushed())
    world.client.start_authorization("alice")
    assert world.server.forms[0]["response_type"] == "code"


def test_a_providers_own_headers_and_parameters_depend_on_the_call() -> None:
    """Its callables see the purpose, the subject and the target."""
    calls: list[Call] = []

    def headers(call: Call) -> dict[str, str]:
        calls.append(call)
        return {"X-Target": call.target or ""}

    world = ScriptedWorld(
        pushing(
            token_headers=headers,
            token_parameters={"audience": "of token requests", "tenant": "t"},
            authorization_parameters={"audience": "of sign-ins"},
            target=lambda _subject: "bank-7",
        )
    )
    world.server.will(pushed())
    world.client.start_authorization("alice")
    (form,) = world.server.forms
    assert world.server.requests[0].headers["x-target"] == "bank-7"
    assert (form["audience"], form["tenant"]) == ("of sign-ins", "t")
    assert [(call.purpose, call.subject, call.target) for call in calls] == [
        ("pushed_authorization_request", "alice", "bank-7")
    ]


def test_a_request_uri_cannot_be_pushed(world: ScriptedWorld) -> None:
    """RFC 9126 section 2.1: it "MUST NOT be provided"."""
    with raises(ConfigurationError, parameter="parameters"):
        world.client.start_authorization("alice", parameters={"request_uri": REQUEST_URI})
    assert world.server.requests == []
    assert world.store.texts == {}


@pytest.mark.parametrize(
    ("expires_in", "until"),
    [
        (60, 60.0),
        ("90", 90.0),
        (0.5, 0.5),
        (86_400, PENDING_LIFETIME),
        (1e300, PENDING_LIFETIME),
        (None, PENDING_LIFETIME),
        ("soon", PENDING_LIFETIME),
        (True, PENDING_LIFETIME),
    ],
)
def test_a_start_ends_with_the_earlier_of_both(world: ScriptedWorld, expires_in: Any, until: float) -> None:
    """With what the server keeps, or with what this client keeps."""
    world.server.will(pushed(expires_in=expires_in))
    assert world.client.start_authorization("alice").expires_at == world.clock() + until


def test_a_callback_is_accepted_after_the_request_uri_has_expired(world: ScriptedWorld) -> None:
    """It had to be opened in time. How long the user then takes at the server is another matter."""
    world.server.will(pushed(expires_in=60), pair(1))
    start = world.client.start_authorization("alice")
    world.clock.advance(PENDING_LIFETIME - 1)
    assert world.client.finish_authorization(callback(start)).token().access_token == "at1"


def test_every_start_pushes_its_own(world: ScriptedWorld) -> None:
    """RFC 9126 section 4: a client "MUST only use a request_uri value once"."""
    world.server.will(pushed(request_uri="urn:1"), pushed(request_uri="urn:2"))
    urls = [world.client.start_authorization("alice").url for _ in range(2)]
    assert [parse_qs(urlsplit(url).query)["request_uri"] for url in urls] == [["urn:1"], ["urn:2"]]


# --- a key of the sign-in's own --------------------------------------------------------------------------------------


def proof_in(headers: Any) -> tuple[str, dict[str, Any]]:
    """The thumbprint of the key (RFC 7638) and the claims of a DPoP proof."""
    header, claims, _ = headers["dpop"].split(".")
    read = [json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in (header, claims)]
    return JWKRegistry.import_key(read[0]["jwk"]).thumbprint(), read[1]


def test_the_code_is_bound_to_the_key_of_the_sign_in() -> None:
    """RFC 9449 section 10: `dpop_jkt` is in the URL, and the code is exchanged with that key."""
    world = ScriptedWorld(acme(issuer=ISSUER), dpop=True)
    first, second = (world.client.start_authorization("alice") for _ in range(2))
    named = [dict(parse_qsl(urlsplit(start.url).query))["dpop_jkt"] for start in (first, second)]
    assert named[0] != named[1]
    world.server.will(pair(1, token_type="DPoP"))
    world.client.finish_authorization(callback(second))
    assert proof_in(world.server.requests[0].headers)[0] == named[1]


def test_a_pushed_request_is_bound_too_and_may_be_asked_for_a_nonce() -> None:
    """RFC 9449 section 10.1. The second attempt has a proof and an assertion of its own."""
    secret = "client-s3cret-that-is-long-enough-for-hs256"
    world = ScriptedWorld(pushing(), dpop=True, client_auth="client_secret_jwt", client_secret=secret)
    world.server.will(answer({"error": "use_dpop_nonce"}, 400, dpop_nonce="n-1"), pushed())
    start = world.client.start_authorization("alice", authorization_details=DETAILS)
    one, two = (proof_in(request.headers) for request in world.server.requests)
    first, second = world.server.forms
    assert one[0] == two[0] == first["dpop_jkt"]
    assert (one[1].get("nonce"), two[1]["nonce"]) == (None, "n-1")
    assert one[1]["jti"] != two[1]["jti"]
    assert (two[1]["htm"], two[1]["htu"]) == ("POST", PAR)
    assert first.pop("client_assertion") != second.pop("client_assertion")
    assert first == second
    assert set(dict(parse_qsl(urlsplit(start.url).query))) == {"client_id", "request_uri"}

    world.server.will(pair(1, token_type="DPoP"))
    world.client.finish_authorization(callback(start))
    assert proof_in(world.server.requests[2].headers)[0] == one[0]


def test_a_client_without_a_key_names_none(world: ScriptedWorld) -> None:
    """Nor does it send a proof."""
    world.server.will(pushed())
    world.client.start_authorization("alice")
    assert "dpop_jkt" not in world.server.forms[0]
    assert "dpop" not in world.server.requests[0].headers


# --- refusals --------------------------------------------------------------------------------------------------------

_LOST = NoResponse("the connection was reset", sent=True)


@pytest.mark.parametrize(
    ("given", "error", "fields"),
    [
        (refusal("invalid_request"), ConfigurationError, {"error": "invalid_request", "status_code": 400}),
        (refusal("invalid_scope"), ConfigurationError, {"parameter": "scope"}),
        (refusal("invalid_target"), ConfigurationError, {"parameter": "resource"}),
        (refusal("invalid_authorization_details"), ConfigurationError, {"parameter": "authorization_details"}),
        (refusal("invalid_grant_id"), ConfigurationError, {"parameter": "grant_id"}),
        (refusal("unauthorized_client"), ConfigurationError, {"error": "unauthorized_client"}),
        (refusal("unsupported_response_type"), ConfigurationError, {}),
        (refusal("invalid_client", 401), ConfigurationError, {"error": "invalid_client", "status_code": 401}),
        # It does not concern a stored grant: the user is about to sign in.
        (refusal("invalid_grant"), ConfigurationError, {"error": "invalid_grant"}),
        (refusal("server_error", 500), TemporarilyUnavailable, {"outcome_unknown": False}),
        (refusal("temporarily_unavailable"), TemporarilyUnavailable, {}),
        (answer({}, 429, retry_after="7"), TemporarilyUnavailable, {"retry_after": 7.0}),
        (HttpResponse(413, {}, b""), ConfigurationError, {"status_code": 413}),
        (HttpResponse(405, {}, b""), ConfigurationError, {"status_code": 405}),
        (HttpResponse(404, {}, b"<html>"), ConfigurationError, {"status_code": 404}),
        (HttpResponse(302, {"location": "https://evil.test"}, b""), ConfigurationError, {"status_code": 302}),
        (HttpResponse(502, {}, b"<html>"), TemporarilyUnavailable, {"outcome_unknown": True}),
        (HttpResponse(200, {}, b"<html>"), ProtocolError, {}),
        (HttpResponse(201, {}, b""), ProtocolError, {}),
        (answer([], 201), ProtocolError, {}),
        (pushed(request_uri=None), ProtocolError, {}),
        (pushed(request_uri=""), ProtocolError, {}),
        (pushed(request_uri=7), ProtocolError, {}),
        (pushed(request_uri="\ud800"), ProtocolError, {}),
        (pushed(request_uri="x" * 5000), ProtocolError, {}),
        (pushed(expires_in=0), ProtocolError, {"parameter": "pushed_authorization_request_endpoint"}),
        (pushed(expires_in=-5), ProtocolError, {"parameter": "pushed_authorization_request_endpoint"}),
        (_LOST, TemporarilyUnavailable, {}),
    ],
    ids=repr,
)
def test_a_refusal_is_typed_and_nothing_is_stored(
    given: HttpResponse | Exception, error: type[BlnkAuthError], fields: dict[str, Any]
) -> None:
    """RFC 9126 section 2.3, at the moment of the start. A grant that the user already has stays as it is."""
    world = ScriptedWorld(pushing())
    source = world.signed_in()
    before = dict(world.store.texts)
    world.server.will(given)
    with raises(error, **fields) as caught:
        world.client.start_authorization("alice")
    assert type(caught.value) is error
    assert caught.value.remedy
    assert world.store.texts == before
    assert world.stored(source).ended is None
    assert len(world.server.requests) == 1


@pytest.mark.parametrize("given", [HttpResponse(404, {}, b""), HttpResponse(302, {}, b"")], ids=repr)
def test_a_remedy_names_the_endpoint_that_was_asked(world: ScriptedWorld, given: HttpResponse) -> None:
    """And not the token endpoint."""
    world.server.will(given)
    with raises(ConfigurationError, shows="pushed_authorization_request_endpoint") as caught:
        world.client.start_authorization("alice")
    assert "token_endpoint" not in str(caught.value)


def test_a_providers_verdict_on_a_refresh_ends_no_grant_here() -> None:
    """`judge_refusal` sees every refusal, and knows what one of a refresh means."""
    world = ScriptedWorld(pushing(judge_refusal=lambda _refusal: "sign_in"))
    source = world.signed_in()
    world.server.will(answer({"detail": "no"}, 403))
    with raises(ConfigurationError, status_code=403):
        world.client.start_authorization("alice")
    assert world.stored(source).ended is None


def test_a_refusal_shows_no_secret(world: ScriptedWorld) -> None:
    """A server may quote what was sent: the state, the secret."""

    def quoting(request: Any) -> HttpResponse:
        return refusal("invalid_request", error_description=f"bad: {form(request)['state'][:24]} client-s3cret")

    world.server.will(quoting)
    with raises(ConfigurationError) as caught:
        world.client.start_authorization("alice")
    assert leaks([str(caught.value), repr(caught.value)], ["client-s3cret", world.server.forms[0]["state"]]) == []


def test_a_request_that_was_pushed_and_cannot_be_stored_raises(world: ScriptedWorld) -> None:
    """A user is not sent away with a state that nobody will know."""
    world.server.will(pushed())
    world.store.interfere("save", OSError("full"))
    with pytest.raises(StoreError):
        world.client.start_authorization("alice")


@pytest.mark.parametrize(
    ("settings", "arguments", "parameter"),
    [
        ({"authorization_endpoint": None}, {}, "authorization_endpoint"),
        ({"requires_scope": True}, {}, "scope"),
    ],
)
def test_what_cannot_work_is_not_pushed(settings: dict[str, Any], arguments: dict[str, Any], parameter: str) -> None:
    """The server is not asked to keep a request that no user can be sent to."""
    world = ScriptedWorld(pushing(**settings))
    with raises(ConfigurationError, parameter=parameter):
        world.client.start_authorization("alice", **arguments)
    assert world.server.requests == []


# --- what the server answers through the browser ---------------------------------------------------------------------


def test_an_expired_request_uri_asks_to_begin_again(world: ScriptedWorld) -> None:
    """RFC 9101 section 7: `invalid_request_uri`. The next start pushes again."""
    world.server.will(pushed())
    start = world.client.start_authorization("alice")
    with raises(SignInRequired, reason="restart", error="invalid_request_uri", subject="alice"):
        world.client.finish_authorization(callback(start, code=None, error="invalid_request_uri"))


@pytest.mark.parametrize(
    "description",
    [
        "Pushed Authorization Request must be used",
        "PAR is required for this client",
        "only pushed authorization requests are accepted",
    ],
)
@pytest.mark.parametrize("provider", [acme, lambda **given: acme(pushed_authorization_request_endpoint=PAR, **given)])
def test_a_server_that_demands_pushed_requests_is_named(provider: Callable[..., Provider], description: str) -> None:
    """RFC 9126 section 5 registers no code for it: what there is are the server's words."""
    world = ScriptedWorld(provider(issuer=ISSUER))
    start = world.client.start_authorization("alice")
    with raises(
        ConfigurationError,
        parameter="pushed_authorization_request_endpoint",
        error="invalid_request",
        shows="requires_pushed_authorization_requests",
    ):
        world.client.finish_authorization(
            callback(start, code=None, error="invalid_request", error_description=description)
        )


@pytest.mark.parametrize("description", [None, "redirect_uri is wrong", "par exemple"])
def test_another_invalid_request_names_it_as_a_possibility(description: str | None) -> None:
    """The server may have no words for it."""
    world = ScriptedWorld(acme(issuer=ISSUER))
    start = world.client.start_authorization("alice")
    with raises(ConfigurationError, parameter=None, shows="pushed_authorization_request_endpoint"):
        world.client.finish_authorization(
            callback(start, code=None, error="invalid_request", error_description=description)
        )


def test_a_request_that_was_pushed_is_not_to_be_pushed(world: ScriptedWorld) -> None:
    """The advice would be wrong."""
    world.server.will(pushed())
    start = world.client.start_authorization("alice")
    with raises(ConfigurationError, parameter=None) as caught:
        world.client.finish_authorization(
            callback(start, code=None, error="invalid_request", error_description="the pushed request has no scope")
        )
    assert "pushed_authorization_request_endpoint" not in str(caught.value)


# --- what was granted ------------------------------------------------------------------------------------------------

GRANTED = [{"type": "account_information", "actions": ["read_balances"], "identifier": "CH93-0076"}]


def test_what_was_granted_survives_renewals_stores_and_pickles() -> None:
    """`extra` has `grant_id` and `authorization_details` of the answer, until another answer has others."""
    world = ScriptedWorld(acme(issuer=ISSUER))
    start = world.client.start_authorization("alice", authorization_details=DETAILS, grant_management_action="create")
    world.server.will(pair(1, grant_id="g-1", authorization_details=GRANTED))
    source = world.client.finish_authorization(callback(start))
    expected = {"grant_id": "g-1", "authorization_details": GRANTED}
    assert source.token().extra == expected
    assert world.emitted() == ["signed_in"]

    world.server.will(pair(2))
    assert source.renew().extra == expected
    assert world.stored(source).token.extra == expected

    other = ScriptedWorld(acme(issuer=ISSUER), store=world.store, clock=world.clock)
    assert other.client.for_subject("alice").token().extra == expected

    narrowed = [{**GRANTED[0], "actions": []}]
    world.server.will(pair(3, authorization_details=narrowed))
    assert source.renew().extra == {"grant_id": "g-1", "authorization_details": narrowed}


def test_what_was_granted_is_in_a_token_that_is_adopted_or_pickled() -> None:
    """As another library keeps it."""
    response = {"access_token": "at1", "expires_in": 60, "grant_id": "g-1", "authorization_details": GRANTED}
    world = ScriptedWorld()
    token = Token.from_response(response, now=world.clock())
    assert pickle.loads(pickle.dumps(token)).extra == token.extra
    source = world.client.for_subject("alice")
    source.adopt(token)
    assert source.token().extra == {"grant_id": "g-1", "authorization_details": GRANTED}
    assert world.stored(source).token.extra == token.extra


def test_the_grant_that_was_changed_keeps_its_id() -> None:
    """A server may leave out the id that the client sent; one that it does send wins."""
    for members, expected in (({}, "g-1"), ({"grant_id": "g-2"}, "g-2")):
        world = ScriptedWorld(acme(issuer=ISSUER))
        start = world.client.start_authorization("alice", grant_management_action="merge", grant_id="g-1")
        world.server.will(pair(1, **members))
        assert world.client.finish_authorization(callback(start)).token().extra["grant_id"] == expected


@pytest.mark.parametrize(
    ("arguments", "members", "events"),
    [
        ({"authorization_details": DETAILS}, {}, ["odd_answer", "signed_in"]),
        ({"authorization_details": DETAILS}, {"authorization_details": GRANTED}, ["signed_in"]),
        ({"grant_management_action": "create"}, {}, ["odd_answer", "signed_in"]),
        (
            {"grant_management_action": "create", "authorization_details": DETAILS},
            {},
            ["odd_answer"] * 2 + ["signed_in"],
        ),
        ({"grant_management_action": "create"}, {"grant_id": "g-1"}, ["signed_in"]),
        ({}, {}, ["signed_in"]),
    ],
    ids=repr,
)
def test_metadata_that_promises_what_the_server_does_not_do_is_reported(
    arguments: dict[str, Any], members: dict[str, Any], events: list[str]
) -> None:
    """The tokens are stored all the same: a user has signed in for them."""
    world = ScriptedWorld(acme(issuer=ISSUER))
    start = world.client.start_authorization("alice", **arguments)
    world.server.will(pair(1, **members))
    source = world.client.finish_authorization(callback(start))
    assert sorted(world.emitted()) == sorted(events)
    assert source.token().access_token == "at1"


@pytest.mark.parametrize(
    ("asked", "answered", "known"),
    [
        ("a b", None, "a b"),
        (["a", "b"], None, "a b"),
        ("a b", "a", "a"),
        (None, None, None),
        (None, "a", "a"),
        # What cannot be read is not what was asked for.
        ("a b", 7, None),
    ],
)
def test_a_scope_that_is_left_out_is_the_one_that_was_asked_for(
    asked: str | list[str] | None, answered: Any, known: str | None
) -> None:
    """RFC 6749 section 5.1: "OPTIONAL, if identical to the scope requested by the client"."""
    world = ScriptedWorld(acme(issuer=ISSUER))
    start = world.client.start_authorization("alice", scope=asked)
    world.server.will(pair(1) if answered is None else pair(1, scope=answered))
    source = world.client.finish_authorization(callback(start))
    assert world.stored(source).token.scope == known


def test_a_sign_in_that_an_earlier_version_started_is_finished() -> None:
    """Its record has no newer member."""
    world = ScriptedWorld(acme(issuer=ISSUER))
    start = world.client.start_authorization("alice", scope="a", grant_management_action="merge", grant_id="g")
    (key,) = world.store.texts
    record = MemoryStore.load(world.store, key)
    assert record is not None
    earlier = {
        name: value for name, value in record.data.items() if name not in ("scope", "grant_id", "expected", "due_at")
    }
    assert len(earlier) == 5
    MemoryStore.save(world.store, key, earlier, expected=record.version)
    world.server.will(pair(1))
    assert world.client.finish_authorization(callback(start)).token().access_token == "at1"


@pytest.mark.parametrize("changes", [{"scope": 7}, {"grant_id": ["g"]}, {"expected": {}}], ids=repr)
def test_a_record_that_cannot_be_read_asks_to_begin_again(changes: dict[str, Any]) -> None:
    """Another program wrote there, or a later version."""
    world = ScriptedWorld(acme(issuer=ISSUER))
    start = world.client.start_authorization("alice")
    (key,) = world.store.texts
    record = MemoryStore.load(world.store, key)
    assert record is not None
    MemoryStore.save(world.store, key, {**record.data, **changes}, expected=record.version)
    with raises(SignInRequired, reason="restart"):
        world.client.finish_authorization(callback(start))
