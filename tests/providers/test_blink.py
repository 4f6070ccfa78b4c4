"""bLink by its documentation, against the sandbox's bLink, which refuses everything that bLink would refuse."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.canary.leaks import everything_in, leaks
from support.certificates import Certificates
from support.clients import HTTPX, Kind, through_every_client
from support.errors import raises
from support.providers import DAY, USER_AGENT
from support.waiting import settle
from support.worlds import World

from blnk_auth import (
    BLink,
    ConfigurationError,
    OAuthClient,
    Provider,
    SignInRequired,
    SQLiteStore,
    TemporarilyUnavailable,
    Token,
)
from blnk_auth.provider import ApiAnswer, Call, HttpResponse, Refusal
from blnk_auth.testing import Fault
from blnk_auth.testing.sandbox._blink import DEFAULT_TARGET, authorize_path, problem

FIVE_HEADERS = {"x-correlation-id", "user-agent", "x-corapi-target-id", "x-psu-ip-address", "x-psu-user-agent"}


def provider(**settings: Any) -> Provider:
    usual: dict[str, Any] = {
        "base_url": "https://api-qa.np.six-group.com/api/consent/v2",
        "target_id": "IIDX99999",
        "username": "alice",
        "user_agent": USER_AGENT,
    }
    return BLink(**{**usual, **settings})


# --- what it is -----------------------------------------------------------------------------------------------------


def test_the_endpoints_are_those_of_the_consent_module() -> None:
    """Token and revocation under the base URL, the authorization endpoint at the bank."""
    made = provider(authorization_endpoint="https://bank.test/authorize")
    base = "https://api-qa.np.six-group.com/api/consent/v2"
    assert (made.token_endpoint, made.revocation_endpoint) == (f"{base}/oauth/token", f"{base}/oauth/revoke")
    assert made.authorization_endpoint == "https://bank.test/authorize"
    assert repr(made.origins) == "<AllowedOrigins https://api-qa.np.six-group.com>"
    assert (made.client_auth, made.token_body, made.pkce) == ("tls_client_auth", "form", False)
    assert made.grants == ("authorization_code", "refresh_token")
    assert made.environment == "https://api-qa.np.six-group.com"


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("base_url", "api-qa.np.six-group.com/consent"),
        ("base_url", "http://api-qa.np.six-group.com"),
        ("base_url", "https://api-qa.np.six-group.com/?x=1"),
        ("base_url", ""),
        ("base_url", None),
        ("authorization_endpoint", "bank.test/authorize"),
        ("target_id", ""),
        ("target_id", "IIDX\r\nX: 1"),
        ("target_id", None),
        ("user_agent", ""),
        ("user_agent", "Acme\n1.0"),
        ("user_agent", "Ācme 1.0"),
        ("username", "u" * 65),
        ("username", ""),
        ("username", None),
        ("username", 7),
        ("psu_ip_address", "203.0.113.7\r\nX-Evil: 1"),
        ("psu_ip_address", ""),
        ("psu_user_agent", "Mozilla\x00"),
        ("psu_user_agent", None),
        ("consent", "4.0"),
        ("client_auth", "basic"),
        ("api_origins", "https://api.test"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_bad_input_is_named_immediately(parameter: str, value: Any) -> None:
    """Before any request: bLink would refuse each of these, or worse, take part of it for another header."""
    with raises(ConfigurationError, parameter=parameter):
        provider(**{parameter: value})


def test_a_rule_of_the_provider_is_explained() -> None:
    """Not only that a username is too long, but how long it may be, and by whose rule."""
    with raises(ConfigurationError, parameter="username"):
        provider(username="u" * 65)
    provider(username="u" * 64)


def test_nothing_is_guessed() -> None:
    """Trap 35: SIX documents no host, so none is built in."""
    with pytest.raises(TypeError, match="base_url"):
        BLink(target_id="IIDX99999", username="alice", user_agent=USER_AGENT)  # type: ignore[call-arg]


def test_a_secret_does_not_prove_anybody(blink: World) -> None:
    """As documented, a client secret is not supported: without a certificate the client cannot be made."""
    with raises(ConfigurationError, parameter="cert"):
        blink.client(blink.provider(client_auth="tls_client_auth"), client_secret="s3cret")


@pytest.mark.parametrize("value", ["u" * 65, "", None, 7])
def test_a_username_from_a_callable_is_checked_at_the_call(blink: World, value: Any) -> None:
    """A user without a usable e-banking name gets an error that names it, and no request is sent."""
    source = blink.signed_in(client=blink.client(blink.provider(username=lambda _subject: value)))
    blink.expire()
    with raises(ConfigurationError, parameter="username"):
        source.token()
    assert blink.token_requests == []


@pytest.mark.parametrize("parameter", ["username", "psu_ip_address", "psu_user_agent"])
def test_a_callable_that_fails_is_reported_by_its_own_name(blink: World, parameter: str) -> None:
    """By the parameter that the user wrote; no request is sent and no grant ended."""

    def look_up(_: object) -> str:
        raise KeyError("no database")

    source = blink.signed_in(client=blink.client(blink.provider(**{parameter: look_up})))
    blink.expire()
    with raises(TemporarilyUnavailable, parameter=parameter):
        source.token()
    assert source.state == "expired"
    assert blink.token_requests == []


@through_every_client
def test_a_callable_that_fails_is_reported_as_the_clients_own_error(blink: World, kind: Kind) -> None:
    """The look-up of a user that fails for one request fails that request, and can be caught like any other."""

    def address(call: Call) -> str:
        raise KeyError("no database")

    made = blink.provider(psu_ip_address=address)
    source = blink.signed_in(client=blink.client(made))
    with (
        blink.open(kind, source) as http,
        raises(TemporarilyUnavailable, parameter="psu_ip_address") as caught,
    ):
        http.get(blink.url_of())
    assert isinstance(caught.value, kind.request_error)


# --- tokens ---------------------------------------------------------------------------------------------------------


def test_the_code_exchange_has_what_blink_demands(blink: World) -> None:
    """Form, `client_id`, `username`, the five headers; neither a secret nor a challenge, and no second proof."""
    source = blink.sign_in(blink.client())
    sent = blink.token_request
    assert set(sent.form) == {"grant_type", "code", "redirect_uri", "client_id", "username"}
    assert (sent.form["username"], sent.form["client_id"]) == ("alice", blink.sandbox.client_id)
    assert sent.headers.keys() >= FIVE_HEADERS
    assert "authorization" not in sent.headers
    assert sent.headers["user-agent"] == USER_AGENT
    assert sent.headers["x-corapi-target-id"] == DEFAULT_TARGET
    assert (sent.headers["x-psu-ip-address"], sent.headers["x-psu-user-agent"]) == ("AUTO", "AUTO")
    assert blink.stored(source).token.expires_at == blink.clock() + DAY


def test_the_authorization_request_is_sent_to_the_bank_without_a_challenge(blink: World) -> None:
    """Consent 2.0 knows no PKCE; state is standard."""
    url = urlsplit(blink.client().start_authorization("alice").url)
    assert url.path == authorize_path()
    assert set(parse_qs(url.query)) == {"response_type", "client_id", "redirect_uri", "state"}


@through_every_client
@pytest.mark.parametrize("psu_headers_for_api", [True, False])
def test_requests_to_the_api_carry_the_headers_of_blink_too(
    blink: World, kind: Kind, psu_headers_for_api: bool
) -> None:
    """Target, correlation, User-Agent, and the PSU pair that most modules require, unless it is switched off."""
    made = blink.provider() if psu_headers_for_api else blink.provider(psu_headers_for_api=False)
    source = blink.signed_in(client=blink.client(made))
    assert blink.get(kind, source, "/ais/v6/healthcheck").status == 200
    headers = blink.requests("/healthcheck")[0].headers
    assert headers["user-agent"] == USER_AGENT
    psu = {"x-psu-ip-address", "x-psu-user-agent"}
    assert headers.keys() >= FIVE_HEADERS - psu
    assert headers.keys() & psu == (psu if psu_headers_for_api else set())
    assert headers["authorization"] == f"Bearer {source.token().access_token}"


@through_every_client
def test_the_psu_pair_describes_who_asks_the_api(blink: World, kind: Kind) -> None:
    """As for the token endpoint: a callable that sees the call."""
    asked: list[Call] = []

    def address(call: Call) -> str:
        asked.append(call)
        return "203.0.113.7"

    made = blink.provider(psu_ip_address=address, psu_user_agent="Mozilla/5.0")
    source = blink.signed_in(client=blink.client(made))
    assert blink.get(kind, source).status == 200
    headers = blink.requests("/accounts")[0].headers
    assert (headers["x-psu-ip-address"], headers["x-psu-user-agent"]) == ("203.0.113.7", "Mozilla/5.0")
    assert asked == [Call("api", "alice", target=DEFAULT_TARGET)]


@pytest.mark.parametrize("rotates", [True, False])
def test_it_works_whether_or_not_the_bank_rotates(blink: World, rotates: bool) -> None:
    """The field is in every answer; what it holds is the bank's affair."""
    blink.sandbox.rotates = rotates
    source = blink.signed_in()
    before = blink.stored(source).token.refresh_token
    for _ in range(3):
        blink.expire()
        assert blink.get(HTTPX, source).status == 200
    assert (blink.stored(source).token.refresh_token != before) is rotates
    assert (blink.sandbox.counts.refreshes, blink.sandbox.counts.reuses) == (3, 0)


def test_tokens_of_different_people_and_banks_are_kept_apart(blink: World) -> None:
    """A token is for one bank: the bank is part of the store key."""
    one = blink.client()
    other = blink.client(blink.provider(target_id="IIDX00001"))
    keys = {one.for_subject("alice").store_key, one.for_subject("bob").store_key, other.for_subject("alice").store_key}
    assert len(keys) == 3


def test_a_token_is_refused_at_another_bank(blink: World) -> None:
    """What the sandbox checks, so that a header mixed up would be seen."""
    token = Token.from_response(blink.sandbox.issue("alice"), now=blink.clock())
    elsewhere = blink.client(blink.provider(target_id="IIDX00001")).for_subject("alice")
    elsewhere.adopt(token)
    with blink.open(HTTPX, elsewhere) as http, pytest.raises(SignInRequired):
        http.get(blink.url_of())


BANKS = {"alice": "IIDX00001", "bob": "IIDX00002"}


def many_banks(blink: World, banks: dict[str, str]) -> Any:
    """A provider for people at several banks, each of which signs its people in by itself."""
    return blink.provider(
        target_id=lambda subject: banks[subject or ""],
        authorization_endpoint=lambda target: blink.sandbox.origin + authorize_path(target),
    )


@through_every_client
def test_one_client_serves_people_at_many_banks(blink: World, kind: Kind) -> None:
    """Each is sent to their own bank to sign in, and each call names the bank that issued the token it carries."""
    client = blink.client(many_banks(blink, BANKS))
    sources = {subject: blink.sign_in(client, subject) for subject in BANKS}
    blink.expire()
    for source in sources.values():
        assert blink.get(kind, source).status == 200
    settle()
    signed_in_at = [r.path.split("/")[2] for r in blink.sandbox.requests if r.path.startswith("/banks/")]
    assert set(signed_in_at) == set(BANKS.values())
    assert {key: source.store_key.rsplit("/", 1)[-1] for key, source in sources.items()} == BANKS
    named = [r.headers["x-corapi-target-id"] for r in (*blink.token_requests, *blink.requests("/accounts"))]
    assert sorted(named) == sorted(3 * list(BANKS.values()))


@through_every_client
def test_a_source_keeps_to_its_bank(blink: World, kind: Kind) -> None:
    """When `target_id` changes its answer, no token travels under another bank's id: not to the API, not to renew, and
    not to be revoked. The other bank's tokens are those of another source.
    """
    banks = dict(BANKS)
    client = blink.client(many_banks(blink, banks))
    source = blink.sign_in(client)
    with blink.open(kind, source) as http:
        banks["alice"] = "IIDX00003"
        assert http.get(blink.url_of()).status == 200
        blink.expire()
        assert http.get(blink.url_of()).status == 200
        other = client.for_subject("alice")
        assert (other.state, source.state) == ("missing", "fresh")
        make, parts = source.__reduce__()
        assert make(*parts) is source, "as a pickle brings it back"
    source.revoke()
    sent = [*blink.token_requests, *blink.requests("/accounts"), *blink.requests("/revoke")]
    assert len(sent) == 6
    assert {request.headers["x-corapi-target-id"] for request in sent} == {"IIDX00001"}


def test_the_banks_are_looked_up_on_a_worker(blink: World) -> None:
    """A look-up in a database may block: where a sign-in starts in a task, its event loop keeps running."""
    threads: list[threading.Thread] = []

    def target(_subject: str | None) -> str:
        threads.append(threading.current_thread())
        return DEFAULT_TARGET

    client = blink.client(blink.provider(target_id=target))
    start = asyncio.run(client.astart_authorization("alice"))
    assert f"/{DEFAULT_TARGET}/" in start.url
    assert threads
    assert threading.current_thread() not in threads


def test_a_sign_in_ends_at_the_bank_where_it_began(blink: World) -> None:
    """The code is exchanged, and the tokens are kept, for the bank that the user was sent to."""
    banks = dict(BANKS)
    client = blink.client(many_banks(blink, banks))
    callback_url = blink.sandbox.sign_in(client.start_authorization("alice").url)
    banks["alice"] = "IIDX00003"
    source = client.finish_authorization(callback_url)
    assert source.store_key.endswith("/IIDX00001")
    assert blink.token_request.headers["x-corapi-target-id"] == "IIDX00001"
    assert blink.get(HTTPX, source).status == 200


@pytest.mark.parametrize("named", [None, "", "II\nDX"])
def test_a_user_without_a_bank_gets_a_clear_error(blink: World, named: Any) -> None:
    """For any value that the look-up returns for an unknown user; and nothing is sent."""
    client = blink.client(blink.provider(target_id=lambda _subject: named))
    with raises(ConfigurationError, parameter="target_id"):
        client.for_subject("carol")
    with raises(ConfigurationError, parameter="target_id"):
        client.start_authorization("carol")


def test_a_look_up_that_fails_is_reported_without_its_text(blink: World) -> None:
    """The directory of banks may be back in a moment."""
    client = blink.client(many_banks(blink, BANKS))
    with raises(TemporarilyUnavailable, parameter="target_id"):
        client.for_subject("carol")
    unknown = blink.client(blink.provider(authorization_endpoint={}.__getitem__))
    with raises(TemporarilyUnavailable, parameter="authorization_endpoint"):
        unknown.start_authorization("alice")
    for endpoint in ("http://bank.test/authorize", None):
        made: Any = blink.provider(authorization_endpoint=lambda _target, endpoint=endpoint: endpoint)
        with raises(ConfigurationError, parameter="authorization_endpoint"):
            blink.client(made).start_authorization("alice")


# --- tokens that are not renewed, see test_blink_consent_3.py for permission mode and Consent 3.0 ------------------


def test_a_client_that_does_not_renew_sends_no_refresh(blink: World) -> None:
    """It needs a new token from outside when its token expires."""
    source = blink.signed_in(client=blink.client(blink.provider(renewable=False)))
    assert blink.get(HTTPX, source).status == 200
    blink.clock.advance(DAY - 1)
    assert source.state == "fresh"
    blink.expire()
    with pytest.raises(SignInRequired) as caught:
        source.token()
    assert caught.value.reason == "no_refresh_token"
    assert blink.token_requests == []


# --- errors ---------------------------------------------------------------------------------------------------------


def refusal(status: int, source: str | None, document: dict[str, Any] | None, error: str | None = None) -> Refusal:
    headers = {} if source is None else {"x-corapi-source": source}
    return Refusal(HttpResponse(status, headers, b"" if document is not None else b"<html>"), document, error)


@pytest.mark.parametrize(
    ("status", "source", "kind", "verdict"),
    [
        (400, "PLATFORM", "INVALID_PAYLOAD", "configuration"),
        (400, "PROVIDER", "INVALID_PAYLOAD", "configuration"),
        (400, "PROVIDER", "MALFORMED_PAYLOAD", "configuration"),
        (400, "PROVIDER", "INVALID_TOKEN", "sign_in"),
        (400, "PROVIDER", None, "sign_in"),
        (401, "PROVIDER", "EXPIRED_TOKEN", "sign_in"),
        (401, "PROVIDER", "INVALID_TOKEN", "sign_in"),
        (401, "provider", "INVALID_TOKEN", "sign_in"),
        (401, "PLATFORM", "INVALID_TOKEN", "configuration"),
        (401, "PLATFORM", None, "configuration"),
        (403, "PLATFORM", "INSUFFICIENT_PRIVILEGES", "configuration"),
        (403, "PROVIDER", "INSUFFICIENT_PRIVILEGES", None),
        (401, None, None, None),
        (404, "PROVIDER", "NOT_IMPLEMENTED", None),
        (406, "PROVIDER", None, "configuration"),
        (415, "PLATFORM", None, "configuration"),
        (501, "PROVIDER", "NOT_IMPLEMENTED", "configuration"),
        (500, "PROVIDER", "TECHNICAL_ERROR", None),
        (502, "PLATFORM", None, None),
        (504, "PLATFORM", None, None),
    ],
)
def test_who_answered_decides_who_is_at_fault(status: int, source: str | None, kind: str | None, verdict: Any) -> None:
    """The platform judges certificate and client, the bank the grant; None leaves it to the RFC."""
    document = {} if kind is None else {"type": f"/problems/{kind}"}
    assert provider().judge_refusal(refusal(status, source, document)) == verdict


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client", "invalid_request"])
def test_a_code_of_the_rfc_has_precedence(error: str) -> None:
    """A bank that speaks RFC 6749 is taken at its word."""
    assert provider().judge_refusal(refusal(400, "PROVIDER", {"error": error}, error)) is None


def test_a_page_in_the_banks_name_ends_no_grant(blink: World) -> None:
    """A gateway's page means nothing for the grant, with any header that it passes on."""
    source = blink.signed_in()
    page = Fault(status=401, body=b"<html>Access denied</html>", headers={"X-CorAPI-Source": "PROVIDER"})
    blink.sandbox.fail(page)
    with pytest.raises(ConfigurationError):
        source.renew()
    assert blink.stored(source).ended is None


def test_a_problem_is_reported_with_its_correlation_id_and_without_secrets(blink: World) -> None:
    """Support asks for the id; the detail describes what is wrong."""
    source = blink.signed_in()
    refresh_token = blink.stored(source).token.refresh_token or ""
    detail = f"username: must not be null; refresh_token {refresh_token} was sent"
    fault = problem("INVALID_PAYLOAD", detail=detail)
    named = Fault(
        status=400,
        body=fault.body,
        headers={**fault.headers, "X-Correlation-ID": "6f1e2b34-0000-4000-8000-1234567890ab"},
    )
    blink.sandbox.fail(named)
    with raises(
        ConfigurationError,
        correlation_id="6f1e2b34-0000-4000-8000-1234567890ab",
        shows=("username: must not be null", "6f1e2b34-0000-4000-8000-1234567890ab"),
    ) as caught:
        source.renew()
    assert leaks(everything_in(caught.value), [refresh_token]) == []


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateways_silence_leaves_the_result_unknown(blink: World, status: int) -> None:
    """The old pair is kept, and the next attempt succeeds if the bank did nothing."""
    source = blink.signed_in()
    kept = blink.stored(source)
    blink.sandbox.fail(problem("TECHNICAL_ERROR", status=status, source="PLATFORM"))
    with raises(TemporarilyUnavailable, outcome_unknown=True, status_code=status):
        source.renew()
    assert blink.stored(source) == kept
    blink.clock.advance(60)
    assert source.renew().refresh_token != kept.token.refresh_token


@pytest.mark.parametrize("status", [500, 503])
def test_a_technical_error_is_not_a_verdict(blink: World, status: int) -> None:
    """Bounded retry, nothing lost."""
    source = blink.signed_in()
    blink.sandbox.fail(problem("TECHNICAL_ERROR", status=status))
    with pytest.raises(TemporarilyUnavailable):
        source.renew()
    assert blink.stored(source).ended is None


@pytest.mark.parametrize(
    ("answer", "renewal_helps"),
    [
        (ApiAnswer(401, {"www-authenticate": "Bearer error='invalid_token'", "x-corapi-source": "PROVIDER"}), True),
        (ApiAnswer(401, {"www-authenticate": "Bearer error='insufficient_scope'"}), False),
        (ApiAnswer(401, {"x-corapi-source": "PROVIDER"}), True),
        (ApiAnswer(401, {}), True),
        (ApiAnswer(401, {"x-corapi-source": "PLATFORM"}), False),
        (ApiAnswer(401, {"x-corapi-source": "platform", "www-authenticate": "Bearer error='invalid_token'"}), False),
        (ApiAnswer(403, {"x-corapi-source": "PROVIDER"}), False),
    ],
)
def test_which_rejections_a_new_token_resolves(answer: ApiAnswer, renewal_helps: bool) -> None:
    """A 401 by the bank, in single quotes or none; not one about the certificate, nor a 403."""
    assert provider().is_rejection(answer) is renewal_helps


@through_every_client
def test_an_expired_token_is_renewed_and_the_request_repeated(blink: World, kind: Kind) -> None:
    """/problems/EXPIRED_TOKEN, with the bank's clock ahead of our clock."""
    source = blink.signed_in()
    blink.sandbox.fail(problem("EXPIRED_TOKEN"), at="api")
    assert blink.get(kind, source).status == 200
    assert blink.sandbox.counts.refreshes == 1


@through_every_client
@pytest.mark.parametrize(
    ("status", "name"),
    [
        (403, "INSUFFICIENT_PRIVILEGES"),
        (404, "INSUFFICIENT_PRIVILEGES"),
        (500, "RESOURCE_TOO_LARGE"),
        (405, "WRONG_METHOD"),
    ],
)
def test_the_other_problems_go_to_the_caller(blink: World, kind: Kind, status: int, name: str) -> None:
    """They are the application's."""
    source = blink.signed_in()
    blink.sandbox.fail(problem(name, status=status), at="api")
    answer = blink.get(kind, source)
    assert (answer.status, name.encode() in answer.body) == (status, True)
    assert blink.token_requests == []


# --- the end --------------------------------------------------------------------------------------------------------


def test_revoking_is_one_post_for_each_token(blink: World) -> None:
    """The refresh token first; both with the five headers, each call with an id of its own."""
    source = blink.signed_in()
    token = blink.stored(source).token
    source.revoke()
    revocations = blink.requests("/revoke")
    assert [(r.form["token"], r.form["token_type_hint"]) for r in revocations] == [
        (token.refresh_token, "refresh_token"),
        (token.access_token, "access_token"),
    ]
    assert all(r.method == "POST" and r.headers.keys() >= FIVE_HEADERS for r in revocations)
    assert len({r.headers["x-correlation-id"] for r in revocations}) == 2
    assert source.state == "missing"
    assert blink.sandbox.counts.revocations == 2


def test_nothing_is_forgotten_before_the_provider_has_answered(blink: World) -> None:
    """A revocation of which one request fails can be tried again."""
    source = blink.signed_in()
    blink.sandbox.fail(Fault(), problem("TECHNICAL_ERROR", status=503), at="revocation")
    with pytest.raises(TemporarilyUnavailable):
        source.revoke()
    assert blink.stored(source).token.refresh_token is not None
    source.revoke()
    assert source.state == "missing"


@pytest.mark.parametrize("rotates", [True, False])
def test_the_refresh_token_slides(blink: World, rotates: bool) -> None:
    """Its 30 days are counted from the last use: an end that was once noted does not outlive a renewal."""
    assert blink.provider().refresh_idle_lifetime == 30 * DAY
    blink.sandbox.rotates = rotates
    source = blink.signed_in()
    source.adopt(source.token().replace(refresh_expires_at=blink.clock() + 30 * DAY))
    for _ in range(3):
        blink.clock.advance(20 * DAY)
        assert source.token().refresh_expires_at is None
    blink.clock.advance(30 * DAY)
    with pytest.raises(SignInRequired):
        source.token()
    assert blink.stored(source).ended == "refused"


def test_a_second_consent_shows_as_a_failing_refresh(blink: World) -> None:
    """Some banks allow one token per contract: the client is not informed, and the record is marked and kept."""
    source = blink.signed_in()
    blink.sandbox.revoke_grant("alice")
    with pytest.raises(SignInRequired) as caught:
        source.renew()
    assert (caught.value.reason, caught.value.subject) == ("refused", "alice")
    assert blink.stored(source).ended == "refused"


# --- mutual TLS -----------------------------------------------------------------------------------------------------


@through_every_client
def test_the_certificate_proves_the_client(secure_blink: World, certificates: Certificates, kind: Kind) -> None:
    """At the token endpoint through our own client, at the API through the user's."""
    world = secure_blink
    client = world.client(
        world.provider(client_auth="tls_client_auth"), cert=certificates.files("CIDX12345"), verify=certificates.ca_file
    )
    source = world.sign_in(client)
    world.expire()
    assert world.get(kind, source).status == 200
    assert [request.certificate for request in world.token_requests] == ["CIDX12345"] * 2
    assert world.sandbox.counts.refreshes == 1


@pytest.mark.parametrize("shown", ["another client's", "none"])
def test_without_the_right_certificate_it_is_a_matter_of_configuration(
    secure_blink: World, certificates: Certificates, shown: str
) -> None:
    """401 by the platform: no reason to sign anybody in again, and the grant is untouched."""
    world = secure_blink
    cert = certificates.files("CIDX99999") if shown == "another client's" else None
    auth = "none" if cert is None else "tls_client_auth"
    client = world.client(world.provider(client_auth=auth), cert=cert, verify=certificates.ca_file)
    source = world.signed_in(client=client)
    with raises(ConfigurationError, error_description="no certificate of a client", status_code=401):
        source.renew()
    assert world.stored(source).ended is None


@through_every_client
def test_a_platform_401_at_the_api_causes_no_renewal(
    secure_blink: World, certificates: Certificates, kind: Kind
) -> None:
    """The user's own HTTP client lacks the certificate: a new token would not help."""
    world = secure_blink
    client = world.client(cert=certificates.files("CIDX12345"), verify=certificates.ca_file)
    source = world.signed_in(client=client)
    with kind.open(source, verify=certificates.context("CIDX99999")) as http:
        answer = http.get(world.url_of())
    assert (answer.status, answer.headers["x-corapi-source"]) == (401, "PLATFORM")
    assert world.token_requests == []


def test_a_record_survives_a_restart(blink: World, tmp_path: Any) -> None:
    """With a store on disk, another process continues where this one ended."""
    with SQLiteStore(tmp_path / "tokens.db") as store:
        blink.signed_in(client=blink.client(store=store))
    with SQLiteStore(tmp_path / "tokens.db") as store:
        source = blink.client(store=store).for_subject("alice")
        blink.expire()
        assert blink.get(HTTPX, source).status == 200
        settle()


def test_it_is_used_as_in_the_documentation() -> None:
    """The call of the contract, with nothing else."""
    made = BLink(
        base_url="https://api.test/consent",
        authorization_endpoint="https://bank.test/authorize",
        target_id="IIDX99999",
        username="e-banking user",
        user_agent="Acme 1.0",
    )
    assert OAuthClient(made, client_id="CIDX1", client_auth="none").provider is made
