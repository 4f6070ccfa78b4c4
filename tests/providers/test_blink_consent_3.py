"""bLink's Consent 3.0 and its permission mode: what `BLink` makes of them, and what is sent to the sandbox's bLink."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from support.canary.leaks import everything_in, leaks
from support.certificates import Certificates
from support.clients import HTTPX, Kind, through_every_client
from support.errors import raises
from support.providers import USER_AGENT
from support.sites import Reply, Site
from support.worlds import World

from blnk_auth import (
    BLink,
    Call,
    ConfigurationError,
    OAuthClient,
    Provider,
    SignInRequired,
    StaticToken,
    TemporarilyUnavailable,
    TokenSource,
)
from blnk_auth.provider import Purpose
from blnk_auth.providers import blink_permission_url
from blnk_auth.testing import Fault
from blnk_auth.testing.sandbox._blink import (
    BASE_PATH,
    DEFAULT_TARGET,
    PAR_PATH,
    PERMISSION_GRANT_TYPE,
    authorize_path,
    problem,
)
from blnk_auth.testing.sandbox._blink_permissions import GRACE_PERIOD

BASE = "https://api-qa.np.six-group.com/api/consent/v3"
CALL = Call("api", "alice", target="IIDX99999")
PSU = {"X-PSU-IP-Address", "X-PSU-User-Agent"}
ALWAYS = {"X-Correlation-ID", "X-CorAPI-Target-ID", "User-Agent"}


def provider(**settings: Any) -> Provider:
    usual: dict[str, Any] = {"base_url": BASE, "target_id": "IIDX99999", "user_agent": USER_AGENT, "username": "alice"}
    return BLink(**{**usual, **settings})


# --- Consent 3.0 ------------------------------------------------------------------------------------------------------


TWO: dict[str, Any] = {
    "pushed_authorization_request_endpoint": None,
    "requires_pushed_authorization_requests": False,
    "grant_management_actions": (),
    "pkce": False,
}
THREE: dict[str, Any] = {
    "pushed_authorization_request_endpoint": f"{BASE}/oauth/par",
    "requires_pushed_authorization_requests": True,
    "grant_management_actions": ("create", "merge", "replace"),
    "pkce": True,
}
PUSH = "https://six.test/as/push"


@pytest.mark.parametrize(
    ("settings", "expected", "parameters"),
    [
        pytest.param({}, TWO, {"username": "alice"}, id="by default"),
        pytest.param({"consent": "2.0"}, TWO, {"username": "alice"}, id="2.0"),
        pytest.param({"consent": "3.0"}, THREE, {}, id="3.0, by a guess"),
        pytest.param({"consent": "3.0", "username": None}, THREE, {}, id="3.0, without a username"),
        pytest.param(
            {"consent": "3.0", "pushed_authorization_request_endpoint": PUSH},
            {**THREE, "pushed_authorization_request_endpoint": PUSH},
            {},
            id="3.0, as given at onboarding",
        ),
    ],
)
def test_what_differs_between_the_versions_of_consent(
    settings: dict[str, Any], expected: dict[str, Any], parameters: dict[str, str]
) -> None:
    """PAR and PKCE are mandatory in 3.0, a grant is named by its id, and no username is sent."""
    made = provider(**settings)
    assert {name: getattr(made, name) for name in expected} == expected
    purposes: tuple[Purpose, ...] = ("authorization_code", "refresh_token")
    for purpose in purposes:
        assert made.token_parameters_of(CALL._replace(purpose=purpose), reserved=()) == parameters


def test_the_versions_share_what_they_have_in_common() -> None:
    """Above all the name and the environment, which are in the store key: a user stays signed in after the change."""
    two, three = provider(), provider(consent="3.0")
    for setting in ("name", "environment", "token_endpoint", "revocation_endpoint", "api_origins", "grants"):
        assert getattr(two, setting) == getattr(three, setting), setting
    assert {*two.token_headers_of(CALL)} == {*three.token_headers_of(CALL)} == ALWAYS | PSU


@pytest.mark.parametrize(
    ("parameter", "settings"),
    [
        ("pushed_authorization_request_endpoint", {"pushed_authorization_request_endpoint": f"{BASE}/oauth/par"}),
        (
            "pushed_authorization_request_endpoint",
            {"consent": "3.0", "pushed_authorization_request_endpoint": "http://six.test/par"},
        ),
        (
            "pushed_authorization_request_endpoint",
            {"consent": "3.0", "pushed_authorization_request_endpoint": "six.test/par"},
        ),
        ("base_url", {"consent": "3.0", "base_url": f"{BASE}/oauth/par"}),
        ("consent", {"consent": 3.0}),
        ("instance_id", {"instance_id": "i" * 65}),
        ("instance_id", {"instance_id": ""}),
        ("instance_id", {"instance_id": "one\r\nX-Evil: 1"}),
        ("instance_id", {"instance_id": 7}),
        ("permission_mode", {"permission_mode": "yes"}),
        ("psu_headers_for_api", {"permission_mode": True, "psu_headers_for_api": False}),
        ("psu_ip_address", {"permission_mode": True, "psu_ip_address": ""}),
        ("psu_user_agent", {"permission_mode": True, "psu_user_agent": None}),
    ],
)
def test_bad_input_is_named_immediately(parameter: str, settings: dict[str, Any]) -> None:
    """Before any request, by the argument that is wrong."""
    with raises(ConfigurationError, parameter=parameter):
        provider(**settings)


# --- headers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "token", "api"),
    [
        pytest.param({}, ALWAYS | PSU, ALWAYS | PSU, id="by default"),
        pytest.param({"psu_headers_for_api": False}, ALWAYS | PSU, ALWAYS, id="a module without PSU headers"),
        pytest.param({"permission_mode": True}, ALWAYS | PSU, ALWAYS | PSU, id="permission mode"),
        pytest.param(
            {"instance_id": "i" * 64, "psu_headers_for_api": False},
            ALWAYS | PSU | {"X-Instance-ID"},
            ALWAYS | {"X-Instance-ID"},
            id="an instance at a customer",
        ),
    ],
)
def test_which_headers_each_call_has(settings: dict[str, Any], token: set[str], api: set[str]) -> None:
    """Those that the client modules require are there unless they are switched off, and never without a value."""
    made = provider(**settings)
    assert {*made.token_headers_of(CALL)} == token
    assert {*made.api_headers_of(CALL)} == api
    assert all({**made.token_headers_of(CALL), **made.api_headers_of(CALL)}.values())


@through_every_client
def test_a_missing_psu_header_is_named_by_blink(blink: World, kind: Kind) -> None:
    """An application that switched them off for a module that requires them sees which one, and nothing is renewed."""
    source = blink.signed_in(client=blink.client(blink.provider(psu_headers_for_api=False)))
    answer = blink.get(kind, source, "/ais/v4/accounts")
    assert (answer.status, b"x-psu-ip-address" in answer.body) == (400, True)
    assert blink.token_requests == []


@through_every_client
def test_an_api_client_may_send_the_psu_headers_itself(blink: World, kind: Kind) -> None:
    """As generated clients do, whose functions have them as arguments: then they are switched off here."""
    source = blink.signed_in(client=blink.client(blink.provider(psu_headers_for_api=False)))
    own = {"X-PSU-IP-Address": "203.0.113.7", "X-PSU-User-Agent": "Firefox"}
    with blink.open(kind, source) as http:
        assert http.get(blink.url_of("/ais/v4/accounts"), headers=own).status == 200
    sent = blink.requests("/accounts")[0].headers
    assert (sent["x-psu-ip-address"], sent["x-psu-user-agent"]) == ("203.0.113.7", "Firefox")


@pytest.mark.parametrize("returned", ["", None, 7, "203.0.113.7\r\nX-Evil: 1"], ids=repr)
@pytest.mark.parametrize("parameter", ["psu_ip_address", "psu_user_agent"])
@pytest.mark.parametrize("permission_mode", [False, True])
def test_a_required_header_without_a_value_is_an_error(parameter: str, returned: Any, permission_mode: bool) -> None:
    """A web application whose callable finds no user address learns so before bLink refuses the request."""
    made = provider(permission_mode=permission_mode, **{parameter: lambda call: returned})
    with raises(ConfigurationError, parameter=parameter):
        made.api_headers_of(CALL)


# --- permissions ------------------------------------------------------------------------------------------------------


def test_in_permission_mode_no_username_is_needed_and_no_token_is_asked_for() -> None:
    """The tokens are bLink's: there is nothing that the client could ask the token endpoint for."""
    made = provider(permission_mode=True, username=None, authorization_endpoint="https://bank.test/authorize")
    assert (made.grants, made.authorization_endpoint) == ((), None)


@pytest.mark.parametrize(
    ("user_id", "target_id", "url"),
    [
        ("alice", "IIDX99999", f"{BASE}/permissions/IIDX99999/alice"),
        ("A-1.b", "IIDX99999", f"{BASE}/permissions/IIDX99999/A-1.b"),
        ("u" * 250, "IIDX99999", f"{BASE}/permissions/IIDX99999/{'u' * 250}"),
        ("alice", "II/DX?", f"{BASE}/permissions/II%2FDX%3F/alice"),
    ],
)
def test_where_a_permission_is_created(user_id: str, target_id: str, url: str) -> None:
    """`POST /permissions/{providerId}/{userId}`."""
    assert blink_permission_url(f"{BASE}/", target_id=target_id, user_id=user_id) == url


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(
            ("user_id", value)
            for value in ("", "u" * 251, ".", "..", "alice@acme", "alice/..", "a b", "zoë", "alice\n", None, 7)
        ),
        *(("target_id", value) for value in ("", "II\nDX", None)),
        *(("base_url", value) for value in ("six.test", f"{BASE}?x=1", None)),
    ],
    ids=repr,
)
def test_a_user_that_blink_would_refuse_is_named(parameter: str, value: Any) -> None:
    """Letters, digits, hyphens and dots, up to 250: an e-mail address is refused, and nothing is added to the path."""
    given: dict[str, Any] = {"base_url": BASE, "target_id": "IIDX99999", "user_id": "alice", parameter: value}
    with raises(ConfigurationError, parameter=parameter):
        blink_permission_url(given.pop("base_url"), **given)


# --- Consent 3.0 at the sandbox ---------------------------------------------------------------------------------------

FIVE = {name.lower() for name in ALWAYS | PSU}


@pytest.fixture
def three(blink: World) -> World:
    """The sandbox's bLink with Consent 3.0."""
    blink.sandbox.personality.consent = "3.0"
    return blink


def test_a_sign_in_is_pushed_through_the_platform(three: World) -> None:
    """With the five headers, for the user's bank; the browser carries nothing but the reference."""
    start = three.client().start_authorization("alice", scope=three.scope)
    (pushed,) = three.requests("/oauth/par")
    assert pushed.path == PAR_PATH
    assert pushed.headers.keys() >= FIVE
    assert pushed.headers["x-corapi-target-id"] == DEFAULT_TARGET
    assert pushed.form.keys() == {
        *("client_id", "response_type", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method")
    }
    assert pushed.form["code_challenge_method"] == "S256"
    url = urlsplit(start.url)
    assert (url.path, parse_qs(url.query).keys()) == (authorize_path(), {"client_id", "request_uri"})
    assert start.expires_at == three.clock() + 60


def test_tokens_have_a_grant_id_and_need_no_username(three: World) -> None:
    """S256 is mandatory, and the grant's id survives each renewal."""
    source = three.sign_in(three.client())
    exchange = three.token_request.form
    assert exchange.keys() == {"grant_type", "code", "redirect_uri", "client_id", "code_verifier"}
    grant_id = three.stored(source).token.extra["grant_id"]
    three.expire()
    assert source.token().extra["grant_id"] == grant_id
    assert three.token_request.form.keys() == {"grant_type", "refresh_token", "client_id"}


def test_a_user_who_signed_in_with_consent_2_stays_signed_in(blink: World) -> None:
    """The first refresh at the 3.0 endpoint upgrades the grant: the same record, which now has a `grant_id`."""
    source = blink.signed_in(client=blink.client(blink.provider(consent="2.0")))
    assert "grant_id" not in blink.stored(source).token.extra
    blink.sandbox.personality.consent = "3.0"
    upgraded = blink.client(blink.provider(consent="3.0")).for_subject("alice")
    assert upgraded.store_key == source.store_key
    grant_id = upgraded.renew().extra["grant_id"]
    blink.expire()
    assert blink.get(HTTPX, upgraded).status == 200
    assert blink.stored(upgraded).token.extra["grant_id"] == grant_id
    assert (blink.sandbox.counts.code_exchanges, blink.sandbox.counts.reuses) == (0, 0)


@pytest.mark.parametrize("action", ["merge", "replace"])
def test_a_grant_is_changed_by_its_id(three: World, action: str) -> None:
    """The id stays, and the tokens of the changed grant replace the former in the same record."""
    client = three.client()
    source = three.sign_in(client)
    grant_id = source.token().extra["grant_id"]
    start = client.start_authorization(
        "alice", scope="urn:blink:xs2a:pss", grant_management_action=action, grant_id=grant_id
    )
    changed = client.finish_authorization(three.sandbox.sign_in(start.url, subject="alice"))
    assert three.requests("/oauth/par")[-1].form["grant_id"] == grant_id
    assert changed is source
    assert source.token().extra["grant_id"] == grant_id
    expected = {"urn:blink:xs2a:pss"} | ({three.scope} if action == "merge" else set())
    assert set((source.token().scope or "").split()) == expected


def test_create_makes_another_grant(three: World) -> None:
    """As does a sign-in without an action."""
    client = three.client()
    first = three.sign_in(client).token().extra["grant_id"]
    start = client.start_authorization("alice", grant_management_action="create")
    second = client.finish_authorization(three.sandbox.sign_in(start.url, subject="alice")).token().extra["grant_id"]
    assert first != second


@pytest.mark.parametrize(
    ("parameter", "asked"),
    [
        ("grant_id", {"grant_management_action": "create", "grant_id": "g1"}),
        ("grant_id", {"grant_management_action": "merge"}),
        ("grant_id", {"grant_management_action": "replace"}),
        ("grant_management_action", {"grant_id": "g1"}),
        ("grant_management_action", {"grant_management_action": "query", "grant_id": "g1"}),
    ],
)
def test_the_rules_of_grant_management_are_checked_before_anything_is_pushed(
    three: World, parameter: str, asked: dict[str, str]
) -> None:
    """`merge` and `replace` need a `grant_id`, `create` must not have one, and without an action it is `create`."""
    with raises(ConfigurationError, parameter=parameter):
        three.client().start_authorization("alice", **asked)  # type: ignore[arg-type]
    assert three.requests("/oauth/par") == []


def test_another_users_grant_is_refused_by_the_bank(three: World) -> None:
    """With the parameter that is wrong; what is stored stays."""
    client = three.client()
    bob = three.sign_in(client, "bob").token().extra["grant_id"]
    alice = three.sign_in(client)
    start = client.start_authorization("alice", grant_management_action="merge", grant_id=bob)
    with raises(ConfigurationError, parameter="grant_id"):
        client.finish_authorization(three.sandbox.sign_in(start.url, subject="alice"))
    assert three.stored(alice).ended is None


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (problem("INVALID_PAYLOAD", source="PLATFORM"), ConfigurationError),
        (problem("INSUFFICIENT_PRIVILEGES", source="PLATFORM", status=401), ConfigurationError),
        (problem("INVALID_TOKEN", source="PROVIDER", status=400), ConfigurationError),
        (problem("TECHNICAL_ERROR", source="PLATFORM", status=502), TemporarilyUnavailable),
        (problem("TECHNICAL_ERROR", source="PLATFORM", status=503), TemporarilyUnavailable),
    ],
    ids=["payload", "certificate", "refused by the bank", "bank unreachable", "later"],
)
def test_a_push_that_fails_begins_nothing_and_ends_nothing(
    three: World, fault: Fault, kind: type[ConfigurationError | TemporarilyUnavailable]
) -> None:
    """For any answer of the platform or the bank, nobody is sent anywhere, and the user's grant is untouched."""
    client = three.client()
    source = three.sign_in(client)
    three.sandbox.fail(fault, at="par")
    before = list(three.store.keys("authorization/"))
    with pytest.raises(kind):
        client.start_authorization("alice")
    assert three.stored(source).ended is None
    assert list(three.store.keys("authorization/")) == before


def test_one_client_pushes_for_each_users_bank(three: World) -> None:
    """The platform forwards the request to the bank that the header names, where the user then signs in."""
    banks = {"alice": "IIDX00001", "bob": "IIDX00002"}
    client = three.client(
        three.provider(
            target_id=lambda subject: banks[subject],
            authorization_endpoint=lambda target: three.sandbox.origin + authorize_path(target),
        )
    )
    for subject in banks:
        assert three.sign_in(client, subject).token().access_token
    pushed = [request.headers["x-corapi-target-id"] for request in three.requests("/oauth/par")]
    assert pushed == list(banks.values())


def test_the_certificate_proves_the_client_that_pushes(secure_blink: World, certificates: Certificates) -> None:
    """Mutual TLS, as at the token endpoint."""
    secure_blink.sandbox.personality.consent = "3.0"
    client = secure_blink.client(
        secure_blink.provider(client_auth="tls_client_auth"),
        cert=certificates.files("CIDX12345"),
        verify=certificates.ca_file,
    )
    secure_blink.sign_in(client)
    assert [request.certificate for request in secure_blink.requests("/oauth/par")] == ["CIDX12345"]


# --- permission mode at the sandbox -----------------------------------------------------------------------------------


def permit(world: World, user_id: str = "alice", target_id: str = DEFAULT_TARGET) -> str:
    """A new permission of this user, created as an application does it."""
    bank = world.provider(permission_mode=True, target_id=target_id)
    answer = httpx.post(
        blink_permission_url(world.sandbox.origin + BASE_PATH, target_id=target_id, user_id=user_id),
        headers=bank.api_headers_of(Call("api", user_id, target=target_id)),
    )
    assert answer.status_code == 201, answer.text
    permission_id: str = answer.json()["permissionId"]
    return permission_id


def permitted(world: World, permission_id: str, **settings: Any) -> StaticToken:
    bank = world.provider(permission_mode=True, username=None, **settings)
    return StaticToken(permission_id, header="Permission-ID", provider=bank, subject="alice")


@through_every_client
def test_a_permission_is_sent_with_everything_that_blink_requires(blink: World, kind: Kind) -> None:
    """The five headers, made for each call, and no token."""
    permission_id = permit(blink)
    source = permitted(blink, permission_id, psu_ip_address="203.0.113.7", instance_id="site-7")
    with blink.open(kind, source) as http:
        assert [http.get(blink.url_of()).status for _ in range(2)] == [200, 200]
    sent = [request.headers for request in blink.requests("/accounts")]
    for headers in sent:
        assert headers.keys() >= FIVE
        assert headers["permission-id"] == permission_id
        assert (headers["x-psu-ip-address"], headers["x-instance-id"]) == ("203.0.113.7", "site-7")
        assert "authorization" not in headers
    assert len({headers["x-correlation-id"] for headers in sent}) == 2
    assert blink.token_requests == []


@through_every_client
def test_a_permission_is_sent_to_blink_only(blink: World, kind: Kind) -> None:
    """Neither directly to another origin nor by a redirect there."""
    source = permitted(blink, permit(blink))
    own = {"permission-id", "x-corapi-target-id", "x-psu-ip-address", "x-correlation-id"}
    with Site(lambda _request: Reply(200)) as elsewhere, blink.open(kind, source, follow=True) as http:
        http.get(f"{elsewhere.origin}/direct")
        blink.sandbox.fail(Fault(status=302, headers={"location": f"{elsewhere.origin}/redirected"}), at="api")
        http.get(blink.url_of())
        arrived = {request.path: request.headers.keys() & own for request in elsewhere.received}
    assert arrived == {"/direct": set(), "/redirected": set()}


@pytest.mark.parametrize(
    ("change", "status"),
    [("another bank", 403), ("a newer permission", 403), ("unknown", 403), ("no permission", 401)],
)
def test_a_permission_that_is_not_valid_is_the_applications_affair(blink: World, change: str, status: int) -> None:
    """Nothing is renewed and nothing repeated; the answer reaches the caller."""
    permission_id = permit(blink)
    settings: dict[str, Any] = {"target_id": "IIDX00001"} if change == "another bank" else {}
    if change == "a newer permission":
        permit(blink)
    source = permitted(
        blink, "3f2b9f0e-0000-4000-8000-000000000000" if change == "unknown" else permission_id, **settings
    )
    if change == "no permission":
        source = StaticToken(permission_id, provider=blink.provider(permission_mode=True))
    with blink.open(HTTPX, source) as http:
        assert http.get(blink.url_of()).status == status
    assert len(blink.requests("/accounts")) == 1


def test_permissions_of_several_users_and_banks_do_not_disturb_each_other(blink: World) -> None:
    """One valid permission for each user and bank."""
    first = permit(blink, "alice")
    permit(blink, "bob")
    permit(blink, "alice", "IIDX00001")
    with blink.open(HTTPX, permitted(blink, first)) as http:
        assert http.get(blink.url_of()).status == 200


def test_a_permission_is_shown_to_nobody(blink: World) -> None:
    """It is as good as a token for anyone who has the certificate."""
    permission_id = permit(blink)
    source = permitted(blink, permission_id, psu_ip_address=lambda call: "")
    with pytest.raises(ConfigurationError) as caught:
        source.headers(blink.url_of())
    assert leaks([repr(source), everything_in(caught.value)], [permission_id]) == []


# --- from a permission to tokens --------------------------------------------------------------------------------------


def exchange(client: OAuthClient, permission_id: str) -> TokenSource:
    return client.authorize_by_exchange(
        "alice", grant_type=PERMISSION_GRANT_TYPE, parameters={"permission_id": permission_id}
    )


def test_a_permission_is_exchanged_for_tokens_once(three: World) -> None:
    """They are kept like those of a sign-in, with the `grant_id`; no user is asked; the second call sends nothing."""
    permission_id = permit(three)
    client = three.client()
    source = exchange(client, permission_id)
    sent = three.token_request
    assert sent.headers.keys() >= FIVE
    assert sent.form.keys() == {"grant_type", "permission_id", "client_id"}
    assert three.get(HTTPX, source).status == 200
    three.expire()
    assert source.token().extra["grant_id"]
    with raises(SignInRequired, reason="restart"):
        exchange(client, permission_id)
    assert three.sandbox.counts.refreshes == 1
    assert len(three.token_requests) == 2


@pytest.mark.parametrize("by", ["the first call with the token", "the time"])
def test_the_permission_ends_after_the_exchange(three: World, by: str) -> None:
    """Requests that are under way with the permission still succeed for a short time."""
    permission_id = permit(three)
    source = exchange(three.client(), permission_id)
    with three.open(HTTPX, permitted(three, permission_id)) as http:
        assert http.get(three.url_of()).status == 200
        if by == "the time":
            three.clock.advance(GRACE_PERIOD)
        else:
            assert three.get(HTTPX, source).status == 200
        assert http.get(three.url_of()).status == 403


def test_a_lost_answer_is_not_asked_for_again(three: World) -> None:
    """The permission may be spent: sending it twice could end what the first exchange has issued."""
    permission_id = permit(three)
    client = three.client()
    three.sandbox.fail(Fault(after_rotation=True, disconnect=True))
    with raises(TemporarilyUnavailable, outcome_unknown=True, shows="start_authorization()"):
        exchange(client, permission_id)
    with raises(SignInRequired, reason="restart", subject="alice"):
        asyncio.run(
            client.aauthorize_by_exchange(
                "alice", grant_type=PERMISSION_GRANT_TYPE, parameters={"permission_id": permission_id}
            )
        )
    assert len(three.token_requests) == 1
    assert list(three.store.keys("token/")) == []


@pytest.mark.parametrize("why", ["another bank", "unknown", "revoked"])
def test_a_permission_that_is_not_valid_is_refused(three: World, why: str) -> None:
    """By the bank: the user signs in instead."""
    permission_id = permit(three, target_id="IIDX00001" if why == "another bank" else DEFAULT_TARGET)
    if why == "revoked":
        permit(three)
    with raises(SignInRequired, reason="refused", subject="alice"):
        exchange(three.client(), "unknown" if why == "unknown" else permission_id)
