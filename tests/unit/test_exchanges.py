"""Tokens that are issued for another token (RFC 8693) or for an assertion (RFC 7523 section 2.1). No sockets."""

from __future__ import annotations

import base64
import gc
import json
import pickle
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.canary.leaks import leaks
from support.errors import raises
from support.providers import API, acme
from support.scripted import ScriptedWorld
from support.token_endpoint import answer, pair, refusal
from support.waiting import settle

from blnk_auth import (
    Auth,
    BlnkCloud,
    ConfigurationError,
    OAuthClient,
    ProtocolError,
    Provider,
    RenewalPolicy,
    SignInRequired,
    TemporarilyUnavailable,
    TokenSource,
)
from blnk_auth._protocol.setting_checks import USUAL_GRANTS
from blnk_auth._renewal.store_keys import parse_token_key

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"

LOST = httpx.ReadTimeout("lost")


@pytest.fixture
def world() -> ScriptedWorld:
    return ScriptedWorld()


def issued(number: int, **members: Any) -> Any:
    """A response with an access token and no refresh token, as to most exchanges."""
    made = {"access_token": f"at{number}", "token_type": "Bearer", "expires_in": 3600}
    return answer({**made, "issued_token_type": ACCESS_TOKEN, **members})


def exchanging(client: OAuthClient, subject_token: Any = "s3cret-subject-token", **changes: Any) -> TokenSource:
    return client.for_token_exchange(
        **{
            "subject_token": subject_token,
            "subject_token_type": ACCESS_TOKEN,
            **changes,
        }
    )


def asserting(client: OAuthClient, assertion: Any = "s3cret.assertion.sig", **changes: Any) -> TokenSource:
    return client.for_assertion(assertion=assertion, **changes)


BOTH = pytest.mark.parametrize("make", [exchanging, asserting])
PARAMETER = {exchanging: "subject_token", asserting: "assertion"}


class Numbered:
    """A callable that returns another text each time."""

    def __init__(self) -> None:
        self.called = 0

    def __call__(self) -> str:
        self.called += 1
        return f"presented.{self.called}"


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_an_exchange_sends_the_parameters_of_the_rfc(world: ScriptedWorld) -> None:
    """RFC 8693 section 2.1, with the client's authentication; what was not passed is not sent."""
    world.server.will(issued(1), issued(2))
    exchanging(world.client).token()
    source = exchanging(
        world.client,
        requested_token_type=ACCESS_TOKEN,
        scope=["read", "write"],
        resource="https://api.acme.test",
        audience="backend",
        actor_token=lambda: "actor",
        actor_token_type=ID_TOKEN,
    )
    assert source.token().access_token == "at2"
    assert world.server.forms == [
        {"grant_type": EXCHANGE, "subject_token": "s3cret-subject-token", "subject_token_type": ACCESS_TOKEN},
        {
            "grant_type": EXCHANGE,
            "subject_token": "s3cret-subject-token",
            "subject_token_type": ACCESS_TOKEN,
            "requested_token_type": ACCESS_TOKEN,
            "scope": "read write",
            "resource": "https://api.acme.test",
            "audience": "backend",
            "actor_token": "actor",
            "actor_token_type": ID_TOKEN,
        },
    ]
    assert world.server.requests[0].headers["authorization"].startswith("Basic ")


def test_an_assertion_is_sent_as_the_rfc_has_it(world: ScriptedWorld) -> None:
    """RFC 7523 section 2.1; `resource` is that of RFC 8707."""
    world.server.will(pair(1, refresh_token=None), pair(2, refresh_token=None))
    asserting(world.client).token()
    asserting(world.client, scope="read", resource="https://api.acme.test").token()
    assert world.server.forms == [
        {"grant_type": JWT_BEARER, "assertion": "s3cret.assertion.sig"},
        {
            "grant_type": JWT_BEARER,
            "assertion": "s3cret.assertion.sig",
            "scope": "read",
            "resource": "https://api.acme.test",
        },
    ]


@BOTH
def test_a_callable_is_called_for_each_request_and_at_no_other_time(
    world: ScriptedWorld, make: Callable[..., TokenSource]
) -> None:
    """A file is rotated, and an assertion may be accepted once only."""
    presented = Numbered()
    source = make(world.client, presented)
    assert (presented.called, source.state) == (0, "missing")
    world.server.will(issued(1), issued(2))
    source.token()
    source.token()
    assert source.renew().access_token == "at2"
    sent = [form[PARAMETER[make]] for form in world.server.forms]
    assert sent == ["presented.1", "presented.2"]


def test_a_lost_response_is_asked_for_again_with_another_assertion() -> None:
    """The server may have seen the first one, and refuses its `jti` (RFC 7523 section 3)."""
    world = ScriptedWorld(policy=RenewalPolicy(lost_answer_retries=1, lost_answer_delay=0.001))
    world.server.will(LOST, issued(1))
    assert asserting(world.client, Numbered()).token().access_token == "at1"
    assert [form["assertion"] for form in world.server.forms] == ["presented.1", "presented.2"]


# --- whose token it is ------------------------------------------------------------------------------------------------


@BOTH
def test_a_text_is_identified_by_its_hash(world: ScriptedWorld, make: Callable[..., TokenSource]) -> None:
    """Each text has a token of its own, and none is in a key, a record or a repr."""
    first, second = make(world.client, "first-s3cret"), make(world.client, "second-s3cret")
    assert make(world.client, "first-s3cret") is first
    assert first.store_key != second.store_key
    world.server.will(issued(1), issued(2))
    assert (first.token().access_token, second.token().access_token) == ("at1", "at2")
    shown = [repr(first), first.store_key, repr(world.store.load(first.store_key))]
    assert leaks(shown, ["first-s3cret"]) == []
    assert first.subject is None


@BOTH
def test_a_named_party_has_one_token_for_everything_that_is_presented(
    world: ScriptedWorld, make: Callable[..., TokenSource]
) -> None:
    """The newest one is presented, also by a source that was made before."""
    alice = make(world.client, "alice-1", subject="alice")
    assert make(world.client, "alice-2", subject="alice") is alice
    bob = make(world.client, lambda: "bob-1", subject="bob")
    assert make(world.client, lambda: "bob-2", subject="bob") is bob
    world.server.will(issued(1), issued(2))
    assert (alice.token().access_token, bob.token().access_token) == ("at1", "at2")
    assert [form[PARAMETER[make]] for form in world.server.forms] == ["alice-2", "bob-2"]
    assert (alice.subject, bob.subject) == ("alice", "bob")
    assert [*world.client.subjects()] == []


@BOTH
def test_a_second_unnamed_callable_is_refused(world: ScriptedWorld, make: Callable[..., TokenSource]) -> None:
    """It may be for somebody else: also if nothing refers to the first source any more."""
    make(world.client, lambda: "alice's")
    gc.collect()
    with raises(ConfigurationError, parameter="subject"):
        make(world.client, lambda: "bob's")
    make(world.client, lambda: "bob's", scope="another")
    make(world.client, lambda: "bob's", subject="bob")


@BOTH
def test_an_equal_callable_is_the_same_one(world: ScriptedWorld, make: Callable[..., TokenSource]) -> None:
    """A method of one object is another object each time it is named."""

    class Platform:
        def token(self) -> str:
            return "presented"

    platform = Platform()
    assert make(world.client, platform.token) is make(world.client, platform.token)


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "s"},
        {"resource": "https://r.test"},
        {"audience": "a"},
        {"subject": "alice"},
        {"subject_token_type": ID_TOKEN},
        {"requested_token_type": ID_JAG},
        {"actor_token": "actor", "actor_token_type": ACCESS_TOKEN},
        {"actor_token": Numbered(), "actor_token_type": ACCESS_TOKEN},
    ],
    ids=[
        *("scope", "resource", "audience", "subject", "subject_token_type", "requested_token_type"),
        *("actor_token", "a callable actor_token"),
    ],
)
def test_each_combination_has_a_token_of_its_own(world: ScriptedWorld, changes: dict[str, Any]) -> None:
    """A token for one audience must not be sent where another one is wanted."""
    keys = {exchanging(world.client).store_key, exchanging(world.client, **changes).store_key}
    assert len(keys) == 2
    for key in keys:
        parsed = parse_token_key(key)
        assert parsed is not None


@pytest.mark.parametrize(
    ("parameter", "arguments"),
    [
        ("subject_token", {"subject_token": None}),
        ("subject_token", {"subject_token": b"s3cret"}),
        ("subject_token", {"subject_token": "s3cret\n"}),
        ("subject_token_type", {"subject_token_type": "access_token"}),
        ("subject_token_type", {"subject_token_type": None}),
        ("requested_token_type", {"requested_token_type": ""}),
        ("subject", {"subject": " "}),
        ("subject", {"subject": 7}),
        ("resource", {"resource": "api"}),
        ("audience", {"audience": ""}),
        ("scope", {"scope": 7}),
        ("actor_token_type", {"actor_token": "s3cret"}),
        ("actor_token", {"actor_token_type": ACCESS_TOKEN}),
        ("actor_token", {"actor_token": 7, "actor_token_type": ACCESS_TOKEN}),
        ("actor_token_type", {"actor_token": "s3cret", "actor_token_type": "x"}),
    ],
    ids=str,
)
def test_a_wrong_argument_is_named(world: ScriptedWorld, parameter: str, arguments: dict[str, Any]) -> None:
    """Before anything is sent; no message has the token."""
    with raises(ConfigurationError, parameter=parameter) as caught:
        exchanging(world.client, **arguments)
    assert leaks([str(caught.value)], ["s3cret"]) == []


@BOTH
@pytest.mark.parametrize("returned", [None, b"s3cret", "", "s3cret\n"])
def test_a_callable_that_returns_no_token_is_named(
    world: ScriptedWorld, make: Callable[..., TokenSource], returned: Any
) -> None:
    """Nothing is sent."""
    with raises(ConfigurationError, parameter=PARAMETER[make]):
        make(world.client, lambda: returned).token()
    assert world.server.requests == []


@BOTH
def test_a_provider_that_lists_its_grants_must_list_this_one(make: Callable[..., TokenSource]) -> None:
    """By the default, nothing is known of a provider, and its server decides."""
    grant_type = EXCHANGE if make is exchanging else JWT_BEARER
    assert Provider(name="a", token_endpoint="https://a.test/t", api_origins=(API,)).grants == USUAL_GRANTS
    for provider in (BlnkCloud(), acme(grants=("client_credentials",))):
        with raises(ConfigurationError, parameter=f"for_{'token_exchange' if make is exchanging else 'assertion'}"):
            make(ScriptedWorld(provider).client)
    make(ScriptedWorld(acme(grants=(grant_type,))).client)


def test_a_token_at_one_of_several_targets_is_for_that_target() -> None:
    """The target is that of the subject, or of the client itself."""
    world = ScriptedWorld(acme(target=lambda subject: f"bank-of-{subject}"))
    assert "/exchange/alice/bank-of-alice;" in exchanging(world.client, subject="alice").store_key
    assert "/assertion//bank-of-None;" in asserting(world.client).store_key


# --- renewal ----------------------------------------------------------------------------------------------------------


@BOTH
def test_a_refresh_token_is_used_first(world: ScriptedWorld, make: Callable[..., TokenSource]) -> None:
    """RFC 8693 section 2.2.1: it is issued for the time when "the original credential is no longer valid"."""
    presented = Numbered()
    source = make(world.client, presented)
    world.server.will(pair(1, issued_token_type=ACCESS_TOKEN), pair(2), pair(3))
    source.token()
    source.renew()
    assert source.renew().access_token == "at3"
    assert presented.called == 1
    assert [form.get("refresh_token") for form in world.server.forms] == [None, "rt1", "rt2"]


@BOTH
def test_a_refused_refresh_token_is_replaced_by_presenting_again(
    world: ScriptedWorld, make: Callable[..., TokenSource]
) -> None:
    """The grant has not ended: what led to it can be presented again. The refused token is not kept."""
    source = make(world.client, Numbered())
    world.server.will(pair(1), refusal("invalid_grant"), issued(2))
    source.token()
    assert source.renew().access_token == "at2"
    assert [form["grant_type"].rpartition(":")[2] for form in world.server.forms][1:] == [
        "refresh_token",
        "token-exchange" if make is exchanging else "jwt-bearer",
    ]
    assert world.stored(source).token.refresh_token is None
    assert (source.state, world.emitted()) == ("fresh", ["renewed", "renewed"])


@BOTH
def test_an_expired_refresh_token_is_not_sent(world: ScriptedWorld, make: Callable[..., TokenSource]) -> None:
    """It would only be refused."""
    source = make(world.client, Numbered())
    world.server.will(pair(1, refresh_expires_in=4000), issued(2))
    source.token()
    world.clock.advance(5000)
    assert source.token().access_token == "at2"
    assert PARAMETER[make] in world.server.forms[1]


@BOTH
def test_another_process_uses_the_stored_token(world: ScriptedWorld, make: Callable[..., TokenSource]) -> None:
    """Processes that name the same party share one token, and one renewal."""
    world.server.will(issued(1))
    make(world.client, "one", subject="alice").token()
    other = world.another_process()
    assert make(other.client, "two", subject="alice").token().access_token == "at1"
    assert len(world.server.requests) == 1
    assert other.server.requests == []


# --- refusals ---------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("code", ["invalid_grant", "invalid_request"])
@pytest.mark.parametrize("subject", [None, "alice"])
def test_a_refused_token_is_a_configuration_error_that_names_it(
    world: ScriptedWorld, make: Callable[..., TokenSource], code: str, subject: str | None
) -> None:
    """RFC 8693 section 2.2.2 has `invalid_request` for a subject token that is "invalid for any reason"."""
    source = make(world.client, "s3cret-presented", subject=subject)
    world.server.will(refusal(code, error_description="s3cret-presented has expired"))
    with raises(ConfigurationError, parameter=PARAMETER[make], error=code) as caught:
        source.token()
    assert leaks([str(caught.value)], ["s3cret-presented"]) == []
    assert source.state == "missing"


@BOTH
def test_an_invalid_target_names_resource_and_audience(world: ScriptedWorld, make: Callable[..., TokenSource]) -> None:
    """RFC 8693 section 2.2.2, RFC 8707 section 2."""
    world.server.will(refusal("invalid_target"))
    with raises(ConfigurationError, error="invalid_target", shows="resource and audience"):
        make(world.client).token()


@BOTH
def test_a_refusal_ends_nothing(world: ScriptedWorld, make: Callable[..., TokenSource]) -> None:
    """The valid token is used on, and what is presented after the cool-down is accepted."""
    source = make(world.client, Numbered(), subject="alice")
    world.server.will(issued(1), refusal("invalid_grant"), issued(2))
    source.token()
    with raises(ConfigurationError, error="invalid_grant"):
        source.renew()
    assert (source.token().access_token, source.state) == ("at1", "fresh")
    assert world.stored(source).ended is None
    world.clock.advance(120)
    assert source.renew().access_token == "at2"


@BOTH
def test_another_text_is_presented_without_waiting_for_the_cool_down(
    world: ScriptedWorld, make: Callable[..., TokenSource]
) -> None:
    """The user has signed in again where it comes from."""
    world.server.will(refusal("invalid_grant"), issued(1))
    source = make(world.client, "old", subject="alice")
    for _ in range(2):
        with raises(ConfigurationError, error="invalid_grant"):
            source.token()
    assert make(world.client, "old", subject="alice") is source
    with raises(ConfigurationError, error="invalid_grant"):
        source.token()
    make(world.client, "new", subject="alice")
    assert source.token().access_token == "at1"


@BOTH
def test_a_sign_in_that_the_callable_needs_is_raised_as_it_is(
    world: ScriptedWorld, make: Callable[..., TokenSource]
) -> None:
    """Where it presents the token of another source, whose user must sign in. It is asked again each time."""
    needed = SignInRequired("sign in at the identity provider", reason="expired", subject="alice at the IdP")
    answers: list[Any] = [needed, needed, "presented"]

    def presented() -> str:
        given = answers.pop(0)
        if isinstance(given, SignInRequired):
            raise given
        return str(given)

    source = make(world.client, presented)
    for _ in range(2):
        with raises(SignInRequired, reason="expired", subject="alice at the IdP"):
            source.token()
    world.server.will(issued(1))
    assert source.token().access_token == "at1"
    assert world.emitted() == ["renewal_failed", "renewal_failed", "renewed"]


@BOTH
def test_a_callable_that_fails_costs_no_valid_token(world: ScriptedWorld, make: Callable[..., TokenSource]) -> None:
    """The platform is down, and the token still works."""
    working = [True]

    def presented() -> str:
        if not working[0]:
            raise OSError("s3cret is down")
        return "presented"

    source = make(world.client, presented)
    world.server.will(issued(1))
    source.token()
    working[0] = False
    world.clock.advance(3500)
    assert source.token().access_token == "at1"
    settle()
    world.clock.advance(100)
    with raises(TemporarilyUnavailable, parameter=PARAMETER[make]) as caught:
        source.token()
    assert leaks([str(caught.value)], ["s3cret"]) == []


# --- what is issued ---------------------------------------------------------------------------------------------------


def jwt_with(**claims: Any) -> str:
    """A JWT, as far as a client reads one."""
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({}, claims, "sig")
    )


def id_jag(world: ScriptedWorld, lifetime: float = 300.0) -> Any:
    """The response of an identity provider that issues an assertion for another server."""
    token = jwt_with(exp=world.clock() + lifetime)
    return answer({"access_token": token, "issued_token_type": ID_JAG, "token_type": "N_A"})


def test_what_is_not_an_access_token_is_returned_and_never_sent_to_an_api(world: ScriptedWorld) -> None:
    """RFC 8693 section 2.2.1: `token_type` is N_A. Its end is that of the JWT, where `expires_in` is missing."""
    source = exchanging(world.client, subject="alice", requested_token_type=ID_JAG)
    world.server.will(id_jag(world), id_jag(world, 900))
    token = source.token()
    assert (token.token_type, token.expires_at) == ("N_A", world.clock() + 300)
    assert (source.token(), source.state, len(world.server.requests)) == (token, "fresh", 1)
    sent: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    with httpx.Client(auth=Auth(source), transport=httpx.MockTransport(handle)) as api:
        with pytest.raises(ConfigurationError) as caught:
            api.get(API)
        assert isinstance(caught.value, httpx.RequestError)
    with raises(ConfigurationError, parameter="requested_token_type"):
        source.headers(API)
    assert sent == []
    world.clock.advance(301)
    assert source.token() != token


def test_it_is_the_same_after_a_restart(world: ScriptedWorld) -> None:
    """The stored record shows that it is not an access token."""
    world.server.will(id_jag(world))
    token = exchanging(world.client, subject="alice").token()
    again = exchanging(world.another_process().client, subject="alice")
    assert again.token() == token
    with raises(ConfigurationError, parameter="requested_token_type"):
        again.headers(API)


def test_a_refresh_token_beside_it_is_not_used(world: ScriptedWorld) -> None:
    """A refresh brings an access token, and not what was exchanged for."""
    world.server.will(
        answer({"access_token": "jag", "issued_token_type": ID_JAG, "token_type": "n_a", "refresh_token": "rt"}),
        id_jag(world),
    )
    source = exchanging(world.client)
    source.token()
    source.renew()
    assert "subject_token" in world.server.forms[1]


def test_a_token_of_another_type_than_was_asked_for_is_refused(world: ScriptedWorld) -> None:
    """An access token must not be presented where an assertion was meant to be."""
    world.server.will(issued(1))
    with raises(ProtocolError, parameter="requested_token_type"):
        exchanging(world.client, requested_token_type=ID_JAG).token()
    world.clock.advance(120)
    world.server.will(issued(2, issued_token_type=None))
    assert exchanging(world.client, requested_token_type=ID_JAG).token().access_token == "at2"


@pytest.mark.parametrize("token_type", ["N_A", "mac"])
def test_a_type_that_is_not_understood_is_refused_elsewhere(world: ScriptedWorld, token_type: str) -> None:
    """N_A has a meaning in a token exchange only."""
    world.server.will(pair(1, token_type=token_type, refresh_token=None))
    with raises(ConfigurationError, parameter="token_scheme"):
        asserting(world.client).token()


def test_one_token_leads_to_another(world: ScriptedWorld) -> None:
    """Cross-app access: the identity provider's assertion is presented at the API's authorization server."""
    identity_provider = ScriptedWorld(acme(name="idp"), client_auth="none", client_secret=None)
    identity_provider.server.will(id_jag(identity_provider), id_jag(identity_provider, 301))
    assertion = exchanging(identity_provider.client, "id-token", subject="alice", requested_token_type=ID_JAG)
    source = asserting(world.client, lambda: assertion.renew().access_token, subject="alice")
    world.server.will(issued(1), issued(2))
    source.token()
    assert source.renew().access_token == "at2"
    first, second = world.server.forms
    assert [first["assertion"], second["assertion"]] == [
        jwt_with(exp=identity_provider.clock() + n) for n in (300, 301)
    ]


# --- with many grants, in pickles and by hand -------------------------------------------------------------------------


@BOTH
def test_keepalive_and_due_find_what_has_a_refresh_token(
    world: ScriptedWorld, make: Callable[..., TokenSource]
) -> None:
    """A process that knows only the store renews it too: nothing is presented for that."""
    world.server.will(pair(1, refresh_expires_in=86400))
    source = make(world.client, Numbered(), subject="alice")
    source.token()
    other = world.another_process(ahead=43_200)
    other.server.will(pair(2, refresh_expires_in=86400 * 30))
    assert [each.store_key for each in other.client.due(other.clock() + 86400)] == [source.store_key]
    report = other.client.keepalive()
    assert (report.due, report.renewed, report.failed) == (1, 1, [])


@BOTH
def test_keepalive_does_not_give_up_for_one_that_it_cannot_present(
    world: ScriptedWorld, make: Callable[..., TokenSource]
) -> None:
    """The refresh token is refused, and the process does not have what led to it. Other grants are renewed."""
    world.server.will(*(pair(number, refresh_expires_in=86400) for number in range(3)))
    for subject in ("alice", "bob", "carol"):
        make(world.client, Numbered(), subject=subject).token()
    other = world.another_process(ahead=43_200)
    other.server.will(
        refusal("invalid_grant"), *(pair(number, refresh_expires_in=86400 * 30) for number in range(3, 5))
    )
    report = other.client.keepalive(workers=1)
    assert (report.due, report.renewed, report.gave_up) == (3, 2, None)
    (failed,) = report.failed
    assert (type(failed.error), failed.error.parameter) == (ConfigurationError, PARAMETER[make])


@BOTH
def test_prune_deletes_what_has_expired(world: ScriptedWorld, make: Callable[..., TokenSource]) -> None:
    """Each text leaves a record. What can still be refreshed stays."""
    world.server.will(issued(1), pair(2))
    make(world.client, "one").token()
    kept = make(world.client, "two")
    kept.token()
    assert world.client.prune(ended_before=world.clock() + 3000) == 0
    assert world.client.prune(ended_before=world.clock() + 4000) == 1
    assert [*world.store.keys("token/")] == [kept.store_key]


def present() -> str:
    """What is presented, by a function that has a name."""
    return "presented"


@BOTH
def test_a_pickled_source_presents_by_the_name_of_its_callable(
    world: ScriptedWorld, make: Callable[..., TokenSource]
) -> None:
    """As a client's secret that a callable returns."""
    client = OAuthClient(acme(), client_id="id", client_secret=present)
    source = make(client, present)
    again = pickle.loads(pickle.dumps(source))
    assert again.store_key == source.store_key
    grant = again._current.grant
    assert grant.presented[0] is present


@BOTH
def test_a_pickled_text_is_missing_and_named(make: Callable[..., TokenSource]) -> None:
    """A pickle contains no secret: the stored token is used, and a renewal needs the text again."""
    client = OAuthClient(acme(), client_id="id", client_secret=present)
    source = make(client, "s3cret-text")
    pickled = pickle.dumps(source)
    assert b"s3cret-text" not in pickled
    again = pickle.loads(pickled)
    assert again.store_key == source.store_key
    with raises(ConfigurationError, parameter=PARAMETER[make]):
        again.renew()


@BOTH
def test_forget_and_revoke_work_as_for_every_source(world: ScriptedWorld, make: Callable[..., TokenSource]) -> None:
    """After that, a token is asked for again."""
    source = make(world.client, Numbered(), subject="alice")
    world.server.will(issued(1), issued(2))
    source.token()
    source.forget()
    assert (source.state, source.token().access_token) == ("missing", "at2")
