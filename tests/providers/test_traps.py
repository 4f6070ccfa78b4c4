"""The 39 traps that a naive implementation falls into, one test each, through the clients that they concern.

The numbers are those of the research note on the three providers.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import httpx
import pytest
import requests
from support.acme_server import Acme
from support.canary.leaks import everything_in, leaks
from support.certificates import Certificates
from support.clients import HTTPX, KINDS, REQUESTS, Kind, through_every_client
from support.errors import LOST_REFRESH, raises
from support.limits import PATIENCE
from support.providers import DAY, NAMES, USER_AGENT, acme_at
from support.sites import Reply, Site
from support.stores.scripted import DelegatingStore
from support.waiting import settle
from support.worlds import World, a_world

from blnk_auth import (
    BLink,
    BlnkCloud,
    ConfigurationError,
    Flinks,
    HttpxAuth,
    OAuthClient,
    ProtocolError,
    Provider,
    RenewalPolicy,
    RequestsAuth,
    SignInRequired,
    SQLiteStore,
    StaticToken,
    TemporarilyUnavailable,
    TokenSource,
)
from blnk_auth._protocol.http_messages import Call
from blnk_auth._renewal.worker import Worker, shared_workers
from blnk_auth.stores._token_store import Version
from blnk_auth.testing import Fault
from blnk_auth.testing.sandbox._blink import problem
from blnk_auth.testing.sandbox._flinks import fdx_error, refusal, upstream_expired

FIVE_HEADERS = {"x-correlation-id", "user-agent", "x-corapi-target-id", "x-psu-ip-address", "x-psu-user-agent"}
IP = ContextVar("IP", default="AUTO")


def rewritten(**members: Any) -> Fault:
    """The usual answer with these members; None leaves one out."""

    def rewrite(answer: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in {**answer, **members}.items() if value is not None}

    return Fault(rewrite=rewrite)


# --- token requests -------------------------------------------------------------------------------------------------


@through_every_client
def test_trap_01_each_provider_gets_its_own_body_encoding(world: World, kind: Kind) -> None:
    """JSON at Flinks, a form at the other two; each sandbox refuses the other encoding."""
    source = world.signed_in()
    world.expire()
    assert world.get(kind, source).status == 200
    expected = "application/json" if world.name == "flinks" else "application/x-www-form-urlencoded"
    assert world.token_request.headers["content-type"] == expected


@through_every_client
def test_trap_02_exactly_one_client_authentication(world: World, kind: Kind) -> None:
    """Basic for Blnk, nothing but the id for bLink, the body for Flinks; never two methods."""
    source = world.signed_in()
    world.expire()
    assert world.get(kind, source).status == 200
    sent = world.token_request
    members = {**sent.form, **sent.json}
    in_header, in_body, id_in_body = {
        "blnk_cloud": (True, False, False),
        "blink": (False, False, True),
        "flinks": (False, True, True),
    }[world.name]
    assert ("authorization" in sent.headers, "client_secret" in members) == (in_header, in_body)
    assert ("client_id" in members) is id_in_body
    assert "client_assertion" not in members


@through_every_client
def test_trap_03_provider_parameters_go_with_each_refresh(blink: World, kind: Kind) -> None:
    """It works on day one, and on day three as well."""
    source = blink.signed_in()
    for _ in range(2):
        blink.expire()
        assert blink.get(kind, source).status == 200
    assert len(blink.token_requests) == 2
    for sent in blink.token_requests:
        assert (sent.form["client_id"], sent.form["username"]) == (blink.sandbox.client_id, "alice")
        assert sent.headers.keys() >= FIVE_HEADERS
        assert sent.headers["user-agent"] == USER_AGENT


@through_every_client
def test_trap_04_the_token_call_carries_the_certificate(
    secure_blink: World, certificates: Certificates, kind: Kind
) -> None:
    """With any HTTP client of the user: the certificate given to `OAuthClient` is used at the token endpoint."""
    world = secure_blink
    tls = {"cert": certificates.files("CIDX12345"), "verify": certificates.ca_file}
    source = world.signed_in(client=world.client(world.provider(client_auth="tls_client_auth"), **tls))
    world.expire()
    assert world.get(kind, source).status == 200
    assert world.token_request.certificate == "CIDX12345"


def test_trap_05_environments_share_neither_certificates_nor_store_keys(certificates: Certificates) -> None:
    """Test and production differ in the host, the id and the certificate; their tokens in the key."""
    keys: set[str] = set()
    for environment, client_id in (("api-qa.np", "CIDX12345"), ("api", "CIDP12345")):
        provider = BLink(
            base_url=f"https://{environment}.six-group.test/consent",
            target_id="IIDX99999",
            username="alice",
            user_agent=USER_AGENT,
        )
        client = OAuthClient(provider, client_id="CIDX12345", cert=certificates.files(client_id))
        keys.add(client.for_subject("alice").store_key)
    assert len(keys) == 2
    assert any("api-qa.np.six-group.test" in key for key in keys)


@through_every_client
def test_trap_06_each_call_has_a_correlation_id_of_its_own(blink: World, kind: Kind) -> None:
    """The first call, the refresh and the replay; the sandbox refuses an id that it has seen."""
    source = blink.signed_in()
    blink.sandbox.revoke_access_tokens()
    assert blink.get(kind, source).status == 200
    ids = [request.headers["x-correlation-id"] for request in blink.sandbox.requests]
    assert len(ids) == len(set(ids)) == 3
    assert all(0 < len(each) <= 64 for each in ids)


@through_every_client
def test_trap_07_psu_headers_know_whether_a_user_is_present(
    blink: World, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh inside a user's request carries that user's address, on a worker that had another user's before; one in
    the background carries AUTO.
    """
    workers: list[Worker] = []

    def address(call: Call) -> str:
        # Also called for the user's request itself, on another thread.
        if isinstance(thread := threading.current_thread(), Worker):
            workers.append(thread)
        return "AUTO" if call.in_background else IP.get()

    # As long as a busy machine may take until the next request.
    monkeypatch.setattr(shared_workers(), "idle_seconds", PATIENCE)
    source = blink.signed_in(client=blink.client(blink.provider(psu_ip_address=address)))
    before = IP.set("203.0.113.7")
    try:
        for user in ("203.0.113.7", "198.51.100.9"):
            IP.set(user)
            blink.expire()
            assert blink.get(kind, source).status == 200
            settle()
        assert len(workers) == 2
        assert len(set(workers)) == 1
        # Into the advisory window: the token is used, and renewed in the background.
        blink.clock.advance(DAY - 300)
        assert blink.get(kind, source).status == 200
        blink.events.wait_for("renewed", 3)
    finally:
        IP.reset(before)
    sent = [request.headers["x-psu-ip-address"] for request in blink.token_requests]
    assert sent == ["203.0.113.7", "198.51.100.9", "AUTO"]


def test_trap_08_basic_credentials_are_raw_for_blnk_and_encoded_by_the_rfc() -> None:
    """Blnk documents `curl -u`, which does not percent-encode; a plain provider follows RFC 6749 section 2.3.1."""
    odd = "p%2B+/ é:ü"
    with a_world("blnk_cloud", client_id="id +", client_secret=odd) as world:
        world.signed_in().renew()
        sent = base64.b64decode(world.token_request.headers["authorization"].removeprefix("Basic ")).decode()
    assert sent == f"id +:{odd}"
    with Acme() as acme:
        provider = acme_at(acme.origin)
        OAuthClient(provider, client_id="id +", client_secret=odd).for_itself().token()
        assert acme.token_requests[0].basic == ("id+%2B", "p%252B%2B%2F+%C3%A9%3A%C3%BC")


def test_trap_09_no_parameter_is_sent_where_it_is_not_wanted(flinks: World) -> None:
    """At Flinks `scope` belongs to client_credentials, `redirect_uri` to the code, and PKCE nowhere."""
    client = flinks.client()
    assert "code_challenge" not in client.start_authorization("alice", scope="ACCOUNT_BASIC").url
    flinks.sign_in(client).renew()
    client.for_itself(scope="client:admin").token()
    exchange, refresh, itself = (
        request.json.keys() - {"client_id", "client_secret"} for request in flinks.token_requests
    )
    assert exchange == {"grant_type", "code", "redirect_uri"}
    assert refresh == {"grant_type", "refresh_token"}
    assert itself == {"grant_type", "scope"}


# --- token responses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [Fault(), rewritten(refresh_token=""), rewritten(refresh_token=7)], ids=["absent", "empty", "odd"]
)
def test_trap_10_a_refresh_token_that_does_not_come_is_kept(flinks: World, fault: Fault) -> None:
    """Flinks never repeats it; an empty string is as good as absent."""
    source = flinks.signed_in()
    kept = flinks.stored(source).token.refresh_token
    for _ in range(2):
        flinks.sandbox.fail(fault)
        source.renew()
    assert flinks.stored(source).token.refresh_token == kept is not None


class WatchedStore(DelegatingStore):
    """Reports, before each save, what is about to be saved."""

    def __init__(self, watch: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._watch = watch

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        self._watch(data)
        return super().save(key, data, expected=expected)


@through_every_client
def test_trap_11_a_new_pair_is_saved_before_the_request_is_repeated(blnk_cloud: World, kind: Kind) -> None:
    """Blnk always sends a new refresh token; a crash between save and replay must not lose the grant."""
    requests_at_save: list[int] = []
    blnk_cloud.store = WatchedStore(lambda _: requests_at_save.append(blnk_cloud.sandbox.counts.api_requests))
    source = blnk_cloud.signed_in()
    first = blnk_cloud.stored(source).token.refresh_token
    blnk_cloud.sandbox.revoke_access_tokens()
    assert blnk_cloud.get(kind, source).status == 200
    # The sign-in, then the renewal: after the rejected request, before its replay.
    assert requests_at_save == [0, 1]
    assert blnk_cloud.sandbox.counts.api_requests == 2
    assert blnk_cloud.stored(source).token.refresh_token not in (None, first)


@pytest.mark.parametrize("value", [0, None, "299", 299.0, "299.0", "soon", "0", True])
def test_trap_12_an_odd_expires_in_costs_no_refresh_on_each_call(flinks: World, value: Any) -> None:
    """0 and missing mean unknown, a string or a float is the number in it; otherwise the JWT is read."""
    source = flinks.signed_in()
    flinks.sandbox.fail(rewritten(expires_in=value))
    source.renew()
    for _ in range(3):
        assert flinks.get(HTTPX, source).status == 200
    assert len(flinks.token_requests) == 1
    assert flinks.stored(source).token.expires_at == flinks.clock() + 299


def test_trap_13_a_margin_never_eats_a_short_lifetime(flinks: World) -> None:
    """299 seconds: fresh at birth and for most of its life, renewed before its end."""
    source = flinks.signed_in()
    assert source.state == "fresh"
    flinks.clock.advance(220)
    assert source.state == "fresh"
    flinks.clock.advance(50)
    assert source.state == "stale"


@pytest.mark.parametrize("skew", [-3600.0, 3600.0, 40 * DAY])
def test_trap_14_a_wrong_clock_causes_no_loop(flinks: World, skew: float) -> None:
    """`exp` is by the server's clock, ours is off, and there is only `exp`: at most one refresh, for any number of
    uses.
    """
    flinks.sandbox.personality.sends_expires_in = False
    source = flinks.signed_in(client=flinks.client(clock=lambda: flinks.clock() + skew))
    with flinks.open(HTTPX, source) as http:
        assert [http.get(flinks.url_of()).status for _ in range(10)] == [200] * 10
    assert len(flinks.token_requests) <= 1


@through_every_client
def test_trap_15_a_lower_case_token_type_is_sent_as_bearer(blink: World, kind: Kind) -> None:
    """The comparison ignores case, and what we send does not depend on it."""
    source = blink.sign_in(blink.client())
    answer = blink.get(kind, source)
    assert answer.sent["authorization"] == f"Bearer {source.token().access_token}"
    assert "odd_answer" not in blink.events.names


def test_trap_16_unknown_members_survive_renewal_storage_and_restart(blink: World, tmp_path: Any) -> None:
    """`grant_id` of Consent 3.0; and a scope that a refresh leaves out is unchanged."""
    blink.sandbox.personality.consent = "3.0"
    provider = blink.provider(consent="3.0", username=None)
    with SQLiteStore(tmp_path / "tokens.db") as store:
        source = blink.signed_in(client=blink.client(provider, store=store))
        granted = source.token()
        blink.sandbox.fail(rewritten(grant_id=None, scope=None))
        source.renew()
        settle()
    with SQLiteStore(tmp_path / "tokens.db") as store:
        token = blink.client(provider, store=store).for_subject("alice").token()
    assert (token.extra["grant_id"], token.scope) == (granted.extra["grant_id"], "urn:blink:xs2a:ais")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=200, body=b"<html><body>Please log in to the proxy</body></html>"),
        Fault(status=200, body=b""),
        Fault(status=200, body=b"[]"),
        Fault(status=200, body=b'{"access_token":7,"refresh_token":null}'),
        Fault(status=200, body=b'{"token_type":"Bearer"}'),
    ],
    ids=["html", "empty", "array", "number", "missing"],
)
def test_trap_17_a_200_without_a_token_is_not_a_token(world: World, fault: Fault) -> None:
    """What is stored stays as it was."""
    source = world.signed_in()
    kept = world.stored(source)
    world.sandbox.fail(fault)
    with pytest.raises(ProtocolError):
        source.renew()
    assert world.stored(source) == kept


@pytest.mark.parametrize(
    "body", [b'{"access_token":7,"refresh_token":"rt"}', b'{"refresh_token":"rt"}'], ids=["number", "missing"]
)
def test_trap_17_a_refresh_token_without_an_access_token_is_kept(world: World, body: bytes) -> None:
    """The one before it may be spent: it takes its place beside the old access token, and the call fails."""
    source = world.signed_in()
    kept = world.stored(source)
    world.sandbox.fail(Fault(status=200, body=body))
    with raises(ProtocolError, status_code=200, shows="access_token"):
        source.renew()
    assert world.stored(source) == replace(kept, token=kept.token.replace(refresh_token="rt", refresh_expires_at=None))


def jwt(claims: object) -> str:
    encoded = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{encoded}.c2ln"


@pytest.mark.parametrize("name", ["blnk_cloud", "blink"])
def test_trap_18_opaque_tokens_are_not_read(name: str) -> None:
    """What looks like a JWT that expired long ago lives for `expires_in`."""
    with a_world(name) as world:
        source = world.signed_in()
        world.sandbox.fail(rewritten(access_token=jwt({"exp": 1})))
        source.renew()
        assert world.stored(source).token.expires_at == world.clock() + world.sandbox.lifetime
        assert source.state == "fresh"


# --- deciding whether to refresh ------------------------------------------------------------------------------------


@pytest.fixture(params=["core", "602", "platform"])
def useless(request: pytest.FixtureRequest) -> Any:
    """A world whose API answers with a 401 that no token resolves: the world, the path, and the content of the body."""
    name = {"core": "blnk_cloud", "602": "flinks", "platform": "blink"}[request.param]
    with a_world(name) as world:
        if request.param == "core":
            world.sandbox.personality.core_rejects = True
            yield world, "/proxy/ledgers", "AUTH_INVALID_API_KEY"
        elif request.param == "602":
            world.sandbox.fail(fdx_error(602, 401), at="api")
            yield world, "/api/fdx/5/accounts", "602"
        else:
            world.sandbox.fail(problem("INVALID_TOKEN", source="PLATFORM", detail="certificate"), at="api")
            yield world, "/ais/v6/accounts", "certificate"


@through_every_client
def test_trap_19_a_401_that_no_token_resolves_causes_no_refresh(useless: Any, kind: Kind) -> None:
    """Core rejecting Cloud's key, FDX 602, the platform judging the certificate: to the caller, unchanged."""
    world, path, said = useless
    answer = world.get(kind, world.signed_in(), path)
    assert (answer.status, said in answer.body.decode()) == (401, True)
    assert world.token_requests == []
    assert world.sandbox.counts.api_requests == 1


@through_every_client
@pytest.mark.parametrize("status", [401, 403])
def test_trap_20_a_403_without_code_and_a_partners_400_are_resolved(flinks: World, kind: Kind, status: int) -> None:
    """Refresh-on-401 alone would never fire there."""
    flinks.sandbox.personality.expired_status = status
    source = flinks.signed_in()
    itself = flinks.client().for_itself(scope="client:admin")
    itself.token()
    flinks.sandbox.revoke_access_tokens()
    assert flinks.get(kind, source).status == 200
    assert flinks.get(kind, itself, "/api/v1/recipients").status == 200
    assert (flinks.sandbox.counts.refreshes, flinks.sandbox.counts.client_credentials) == (1, 2)


@through_every_client
def test_trap_21_one_refresh_and_one_replay_and_no_more(world: World, kind: Kind) -> None:
    """The second rejection is returned to the caller untouched."""
    rejected = Fault(status=401, body=b'{"message":"no"}')
    world.sandbox.fail(rejected, rejected, rejected, at="api")
    answer = world.get(kind, world.signed_in())
    assert (answer.status, answer.body) == (401, b'{"message":"no"}')
    assert (world.sandbox.counts.api_requests, world.sandbox.counts.token_requests) == (2, 1)


@through_every_client
def test_trap_22_another_processs_token_is_taken_instead_of_a_refresh(world: World, kind: Kind) -> None:
    """The token that failed is not the one in the store: replay with that, and ask nobody."""
    source = world.signed_in()
    other = world.client().for_subject("alice")
    assert other is not source
    assert source.token() == other.token()
    world.sandbox.revoke_access_tokens()
    other.renew()
    assert world.get(kind, source).status == 200
    assert world.sandbox.counts.refreshes == 1
    assert world.events.wait_for("adopted")


@pytest.mark.parametrize("kind", [REQUESTS, HTTPX, KINDS[2], KINDS[3]], ids=str)
def test_trap_23_a_stampede_makes_one_token_call(world: World, kind: Kind) -> None:
    """Twenty parallel rejections; with Blnk's rotation a second refresh would end the family."""
    source = world.signed_in()
    world.sandbox.revoke_access_tokens()
    with world.open(kind, source) as http:
        assert {answer.status for answer in http.herd(world.url_of(), 20)} == {200}
    assert (world.sandbox.counts.token_requests, world.sandbox.counts.reuses) == (1, 0)


@pytest.mark.parametrize("kind", [REQUESTS, HTTPX], ids=str)
def test_trap_24_a_consumed_body_is_not_sent_again(blnk_cloud: World, kind: Kind) -> None:
    """A known expiry is renewed before; a rejection is returned to the caller, and the next request has the new
    token.
    """
    body = "data" if kind == REQUESTS else "content"
    source = blnk_cloud.signed_in()
    blnk_cloud.expire()
    with blnk_cloud.open(kind, source) as http:
        assert http.post(blnk_cloud.url_of(), **{body: iter([b"once"])}).status == 201
        blnk_cloud.sandbox.revoke_access_tokens()
        assert http.post(blnk_cloud.url_of(), **{body: iter([b"twice"])}).status == 401
        assert http.post(blnk_cloud.url_of(), **{body: iter([b"again"])}).status == 201
    assert [request.body_length for request in blnk_cloud.requests("/ledgers")] == [4, 5, 5]


@pytest.mark.parametrize(
    "fault", [Fault(status=504, after_rotation=True), Fault(disconnect=True, after_rotation=True)], ids=["504", "cut"]
)
@pytest.mark.parametrize("rotates", [False, True])
def test_trap_25_an_unknown_result_keeps_the_old_pair(blink: World, fault: Fault, rotates: bool) -> None:
    """Tried once, kept, and tried again later: it works, or the error describes how the grant was lost."""
    blink.sandbox.rotates = rotates
    source = blink.signed_in(client=blink.client(policy=RenewalPolicy(lost_answer_retries=0)))
    kept = blink.stored(source)
    blink.sandbox.fail(fault)
    with pytest.raises(TemporarilyUnavailable):
        source.renew()
    assert blink.stored(source) == kept
    assert len(blink.token_requests) == 1
    blink.clock.advance(120)
    if not rotates:
        assert source.renew().access_token != kept.token.access_token
        return
    with raises(SignInRequired, reason="refused", shows=LOST_REFRESH):
        source.renew()


# --- errors ---------------------------------------------------------------------------------------------------------


BAD_CLIENT = {
    "blnk_cloud": Fault(status=401, body=b'{"error":"invalid_client"}'),
    "blink": problem("INSUFFICIENT_PRIVILEGES", source="PLATFORM", status=403),
    "flinks": refusal("invalid_client", 400),
}


def test_trap_26_a_wrong_secret_ends_no_grant(world: World) -> None:
    """400 at Flinks, 401 at Blnk, 403 by bLink's platform: configuration, and the record is as it was."""
    source = world.signed_in()
    kept = world.stored(source)
    world.sandbox.fail(BAD_CLIENT[world.name])
    with raises(ConfigurationError, shows=("client_id", "client_secret", "cert")):
        source.renew()
    assert world.stored(source) == kept
    world.clock.advance(120)
    source.renew()


def test_trap_27_a_refresh_token_may_end_silently(world: World) -> None:
    """Revoked in a dashboard, by a second consent, upstream: marked, kept, and sent once to the server."""
    source = world.signed_in()
    world.sandbox.revoke_grant("alice")
    if world.name == "flinks":
        world.sandbox.fail(upstream_expired(403))
    for _ in range(3):
        with pytest.raises(SignInRequired) as caught:
            source.renew()
        assert (caught.value.reason, caught.value.subject) == ("refused", "alice")
    assert world.stored(source).ended == "refused"
    assert world.stored(source).token.refresh_token is not None
    assert len(world.token_requests) == 1


def test_trap_28_prose_is_not_an_oauth_code(blnk_cloud: World) -> None:
    """Blnk's house style: a sentence where a code should be."""
    source = blnk_cloud.signed_in()
    prose = b'{"error":"Authorization header is required"}'
    blnk_cloud.sandbox.fail(Fault(status=401, body=prose))
    with pytest.raises(ConfigurationError) as caught:
        source.renew()
    assert caught.value.error is None
    assert caught.value.error_description == "Authorization header is required"
    assert blnk_cloud.stored(source).ended is None


@pytest.mark.parametrize("media_type", ["application/json", "application/problem+json", "text/html", ""])
@pytest.mark.parametrize("status", [400, 401, 403, 500, 502])
def test_trap_29_no_body_reaches_an_error(blink: World, media_type: str, status: int) -> None:
    """With any media type: a problem document is read, a page is not, and no token is quoted."""
    source = blink.signed_in()
    token = blink.stored(source).token
    secrets = [token.access_token, token.refresh_token or "", "a-token-issued-to-somebody-else-entirely"]
    quoting = {"type": "/problems/TECHNICAL_ERROR", "detail": " ".join(secrets)}
    body = json.dumps(quoting) if "json" in media_type else f"<html>{' '.join(secrets)}</html>"
    blink.sandbox.fail(Fault(status=status, body=body.encode(), headers={"Content-Type": media_type}))
    with pytest.raises((ConfigurationError, TemporarilyUnavailable, ProtocolError)) as caught:
        source.renew()
    assert leaks(everything_in(caught.value), secrets) == []
    assert "<html>" not in str(caught.value)


@through_every_client
@pytest.mark.parametrize(
    ("challenge", "renewals"),
    [
        ("Bearer error='invalid_token'", 1),
        ('Bearer error="invalid_token"', 1),
        ("Bearer error=invalid_token", 1),
        ("bearer realm='x', error='insufficient_scope'", 0),
    ],
)
def test_trap_30_challenges_in_any_quotes(blink: World, kind: Kind, challenge: str, renewals: int) -> None:
    """BLink documents single quotes; RFC 6750 wants double ones."""
    source = blink.signed_in()
    blink.sandbox.fail(Fault(status=401, headers={"WWW-Authenticate": challenge}), at="api")
    assert blink.get(kind, source).status == (200 if renewals else 401)
    assert blink.sandbox.counts.refreshes == renewals


@through_every_client
@pytest.mark.parametrize("status", [406, 415, 501])
def test_trap_31_what_never_heals_is_not_tried_again(blink: World, kind: Kind, status: int) -> None:
    """Neither by us nor by a retry wrapper, which repeats the client's transport errors."""
    source = blink.signed_in()
    blink.expire()
    blink.sandbox.fail(Fault(status=status), Fault(status=status))
    with blink.open(kind, source) as http, pytest.raises(ConfigurationError) as caught:
        http.get(blink.url_of())
    assert isinstance(caught.value, kind.request_error)
    assert not isinstance(caught.value, kind.transport_error)
    assert len(blink.token_requests) == 1


# --- surroundings ---------------------------------------------------------------------------------------------------


@through_every_client
def test_trap_32_neither_token_nor_custom_headers_go_to_another_host(blink: World, kind: Kind) -> None:
    """After a redirect: HTTP libraries strip `Authorization` and nothing else."""
    with Site(lambda _: Reply(200)) as elsewhere:
        source = blink.signed_in()
        blink.sandbox.fail(Fault(status=302, headers={"Location": f"{elsewhere.origin}/x"}), at="api")
        assert blink.get(kind, source, follow=True).status == 200
        (request,) = elsewhere.received
    assert not [name for name in request.headers if name.startswith(("x-cor", "x-psu", "authorization"))]


@through_every_client
@pytest.mark.parametrize("status", [302, 307, 308])
def test_trap_32_the_token_endpoints_redirects_are_refused(world: World, kind: Kind, status: int) -> None:
    """A 307 would carry the body, secret included, to wherever it points."""
    with Site(lambda _: Reply(200)) as elsewhere:
        source = world.signed_in()
        world.expire()
        world.sandbox.fail(Fault(status=status, headers={"Location": f"{elsewhere.origin}/token"}))
        with world.open(kind, source, follow=True) as http, raises(ConfigurationError, status_code=status):
            http.get(world.url_of())
        assert elsewhere.received == []


def test_trap_33_targets_are_not_mixed(world: World) -> None:
    """One slot for each user; and for each bank or workspace, client and environment."""
    client, other = world.client(), world.client(client_id="another")
    sources = [client.for_subject("alice"), client.for_subject("bob"), other.for_subject("alice")]
    if world.name == "blink":
        sources.append(world.client(world.provider(target_id="IIDX00001")).for_subject("alice"))
    assert len({source.store_key for source in sources}) == len(sources)
    world.signed_in("alice")
    world.signed_in("bob")
    # Blnk's ledgers are the workspace's, the same for each user; this path answers with the user.
    path = "/data/whoami" if world.name == "blnk_cloud" else None
    answers = [world.get(HTTPX, client.for_subject(name), path).body.decode() for name in ("alice", "bob")]
    assert ["alice" in answers[0], "bob" in answers[1], "bob" in answers[0]] == [True, True, False]


def test_trap_34_each_provider_revokes_in_its_own_way(world: World) -> None:
    """Not at all at Blnk, twice at bLink, and at Flinks with an access token that must be alive."""
    source = world.signed_in()
    world.expire()
    if world.name == "blnk_cloud":
        with raises(ConfigurationError, parameter="revocation_endpoint", shows="forget()"):
            source.revoke()
        assert source.state == "expired"
        return
    source.revoke()
    methods = [request.method for request in world.requests("/revoke")]
    assert (methods, len(world.token_requests)) == ((["POST", "POST"], 0) if world.name == "blink" else (["DELETE"], 1))
    assert source.state == "missing"


def test_trap_35_no_host_is_built_in() -> None:
    """Self-hosted Clouds, bLink's networks, one Flinks for each country."""
    own = BlnkCloud(base_url="https://blnk.bank.test:8443")
    assert own.environment == "https://blnk.bank.test:8443"
    assert Flinks(host="ob.flinks.example").environment == "https://ob.flinks.example"
    for build, parameter in ((Flinks, "host"), (BLink, "base_url")):
        with pytest.raises(TypeError, match=parameter):
            build()


@pytest.mark.parametrize("hidden", [False, True], ids=["RFC 8414", "openid-configuration"])
def test_trap_36_blnks_openid_configuration_is_not_openid(blnk_cloud: World, hidden: bool) -> None:
    """The same bytes at both places: no key set, no id_token; what is built from them is plain OAuth.

    The list of grants is optional and often wrong, so `client_credentials` may be tried too.
    """
    metadata = httpx.get(f"{blnk_cloud.sandbox.origin}/.well-known/oauth-authorization-server").json()

    def answer(request: Any) -> Reply:
        gone = hidden and request.path.endswith("oauth-authorization-server")
        described = {**metadata, "issuer": site.origin, "token_endpoint": f"{site.origin}/oauth/token"}
        return Reply(401, b'{"error":"Authorization header is required"}') if gone else Reply.json(described)

    with Site(answer) as site:
        provider = Provider.discover(site.origin)
    assert provider.token_endpoint == f"{site.origin}/oauth/token"
    assert provider.revocation_endpoint is None
    assert (provider.pkce, provider.grants) == (True, ("authorization_code", "refresh_token", "client_credentials"))


@pytest.mark.parametrize("package", ["httpx", "requests"])
def test_trap_37_no_secret_is_shown_anywhere(world: World, package: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not in logs, events, reprs or the response's history, on any of the ways it could be looked at."""
    caplog.set_level(logging.DEBUG, logger="blnk_auth")
    source = world.signed_in()
    before = world.stored(source).token
    world.sandbox.revoke_access_tokens()
    response = _get(package, source, world.url_of())
    settle()
    assert response.status_code == 200
    assert not [each for each in response.history if "refresh_token" in each.text]
    after = world.stored(source).token
    secrets = [before.access_token, after.access_token, before.refresh_token or "", after.refresh_token or ""]
    key = StaticToken("blnk_static_key_1234", api_origins=("https://api.acme.test",), header="X-Blnk-Key")
    shown = [caplog.text, source, world.provider(), world.client(), repr(before), repr(key), *world.events]
    assert leaks(shown, [*secrets, world.sandbox.client_secret, "blnk_static_key_1234"]) == []


def _get(package: str, source: TokenSource, url: str) -> Any:
    if package == "httpx":
        return httpx.get(url, auth=HttpxAuth(source))
    return requests.get(url, auth=RequestsAuth(source), timeout=PATIENCE)


def test_trap_38_an_idle_grant_is_kept_alive_by_a_renewal(flinks: World) -> None:
    """One `renew()` within 30 days; the provider has the period, so that a keep-alive can be planned."""
    idle = flinks.provider().refresh_idle_lifetime
    assert (
        idle
        == flinks.client(
            BLink(base_url="https://a.test", target_id="I", username="u", user_agent="a", client_auth="none")
        ).provider.refresh_idle_lifetime
        == 30 * DAY
    )
    source = flinks.signed_in()
    for _ in range(3):
        flinks.clock.advance(idle - 60)
        source.renew()
    assert source.state == "fresh"


def test_trap_39_a_code_is_exchanged_immediately_and_only_once(blink: World) -> None:
    """30 seconds, single use: no detour before it, no retry after a lost answer."""
    client = blink.client()
    start = client.start_authorization("alice")
    callback_url = blink.sandbox.sign_in(start.url, subject="alice")
    blink.clock.advance(29)
    blink.sandbox.clear_record()
    client.finish_authorization(callback_url)
    assert [request.path.rsplit("/", 1)[-1] for request in blink.sandbox.requests] == ["token"]
    for late, fault, raised in ((0, Fault(disconnect=True), TemporarilyUnavailable), (30, Fault(), SignInRequired)):
        start = client.start_authorization("alice")
        callback_url = blink.sandbox.sign_in(start.url, subject="alice")
        blink.clock.advance(late)
        blink.sandbox.clear_record()
        blink.sandbox.fail(fault)
        with pytest.raises(raised):
            client.finish_authorization(callback_url)
        assert len(blink.token_requests) == 1


def test_every_trap_has_its_test() -> None:
    """All 39, by number."""
    numbers = {int(name.split("_")[2]) for name in globals() if name.startswith("test_trap_")}
    assert numbers == set(range(1, 40))
    assert len(NAMES) == 3
