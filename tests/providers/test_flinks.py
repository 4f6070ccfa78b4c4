"""Flinks Outbound by its documentation, against the sandbox's Flinks, which refuses what Flinks would refuse."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.canary.leaks import everything_in, leaks
from support.clients import HTTPX, Kind, through_every_client
from support.errors import raises
from support.providers import DAY
from support.sites import Reply, Site
from support.worlds import World

from blnk_auth import ConfigurationError, Flinks, ProtocolError, SignInRequired, TemporarilyUnavailable, Token
from blnk_auth._protocol.http_messages import ApiAnswer
from blnk_auth.providers._flinks import FLINKS_PREPRODUCTION, FLINKS_PRODUCTION
from blnk_auth.testing import Fault
from blnk_auth.testing.sandbox._flinks import fdx_error, refusal, upstream_expired

FDX = "/api/fdx/5/accounts"
PARTNER = "/api/v1/recipients"


# --- what it is -----------------------------------------------------------------------------------------------------


def test_the_endpoints_are_the_documented_ones() -> None:
    """All on the host that was given; the documented ones are offered as constants."""
    made = Flinks(host=FLINKS_PRODUCTION)
    assert made.authorization_endpoint == "https://ob.flinksapp.com/api/v1/authorize"
    assert made.token_endpoint == "https://ob.flinksapp.com/api/v1/token"
    assert made.revocation_endpoint == "https://ob.flinksapp.com/api/v1/revoke"
    assert made.revocation == "connection"
    assert repr(made.origins) == "<AllowedOrigins https://ob.flinksapp.com>"
    assert (made.client_auth, made.token_body, made.pkce) == ("client_secret_post", "json", False)
    assert set(made.grants) == {"authorization_code", "refresh_token", "client_credentials"}
    assert Flinks(host=FLINKS_PREPRODUCTION).environment == "https://ob-preprod.flinksapp.dev"


@pytest.mark.parametrize(
    "host", ["https://ob.flinksapp.com", "https://ob.flinksapp.com/", "OB.flinksapp.com", "ob.flinksapp.com:443"]
)
def test_a_host_may_be_written_as_an_origin(host: str) -> None:
    """For a sandbox it must be, and for the rest it means the same."""
    assert Flinks(host=host).token_endpoint == "https://ob.flinksapp.com/api/v1/token"


@pytest.mark.parametrize(
    "host",
    [
        "",
        None,
        7,
        "ob.flinksapp.com/api/v1",
        "https://ob.flinksapp.com/api",
        "http://ob.flinksapp.com",
        "ob.flinksapp.com?x=1",
        "id:s3cret@ob.flinksapp.com",
        "ob flinksapp",
    ],
)
def test_a_bad_host_is_named(host: Any) -> None:
    """A host with a path, in clear, or none at all."""
    with raises(ConfigurationError, parameter="host") as caught:
        Flinks(host=host)
    assert "s3cret" not in str(caught.value)


def test_a_host_is_demanded() -> None:
    """Trap 35: one instance per country, so no default is safe."""
    with pytest.raises(TypeError, match="host"):
        Flinks()  # type: ignore[call-arg]


def test_a_single_string_of_origins_is_explained() -> None:
    """The commonest mistake: a missing comma."""
    with raises(ConfigurationError, parameter="api_origins"):
        Flinks(host=FLINKS_PRODUCTION, api_origins="https://mirror.test")


# --- token requests -------------------------------------------------------------------------------------------------


def test_signing_in_sends_what_flinks_demands(flinks: World) -> None:
    """State and scope, `provider_id` to choose the bank, and no challenge that nobody documented."""
    client = flinks.client(flinks.provider(authorization_parameters={"provider_id": "bank-1"}))
    query = parse_qs(urlsplit(client.start_authorization("alice", scope="ACCOUNT_BASIC").url).query)
    assert set(query) == {"response_type", "client_id", "redirect_uri", "state", "scope", "provider_id"}
    source = flinks.sign_in(client)
    assert flinks.stored(source).token.refresh_token is not None
    assert set(flinks.token_request.json) == {"grant_type", "code", "redirect_uri", "client_id", "client_secret"}


def test_a_scope_is_demanded_before_anybody_is_sent_there(flinks: World) -> None:
    """Flinks requires one with each authorization request."""
    with raises(ConfigurationError, parameter="scope"):
        flinks.client().start_authorization("alice")


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
def test_the_credentials_go_to_one_place(flinks: World, method: str) -> None:
    """In the JSON body by default, in the header on demand, never in both."""
    source = flinks.signed_in(client=flinks.client(flinks.provider(client_auth=method)))
    source.renew()
    sent = flinks.token_request
    assert sent.headers["content-type"] == "application/json"
    assert ("authorization" in sent.headers) is (method == "client_secret_basic")
    assert ("client_secret" in sent.json) is (method == "client_secret_post")
    assert sent.json["grant_type"] == "refresh_token"


@pytest.mark.parametrize("repeated", [True, False])
def test_the_redirect_uri_on_refresh_is_a_choice(flinks: World, repeated: bool) -> None:
    """Two pages of the documentation disagree."""
    client = flinks.client(flinks.provider(redirect_uri_on_refresh=repeated))
    flinks.signed_in(client=client).renew()
    assert ("redirect_uri" in flinks.token_request.json) is repeated


def test_the_client_gets_a_token_for_itself(flinks: World) -> None:
    """For the management endpoints, with the scope that only this grant may name."""
    source = flinks.client().for_itself(scope="client:admin")
    assert flinks.get(HTTPX, source, PARTNER).status == 200
    assert flinks.token_request.json["scope"] == "client:admin"
    assert flinks.stored(source).token.refresh_token is None
    assert flinks.sandbox.counts.client_credentials == 1


def test_the_refresh_token_never_changes(flinks: World) -> None:
    """No refresh answer repeats it; it is kept."""
    source = flinks.signed_in()
    first = flinks.stored(source).token.refresh_token
    for _ in range(3):
        flinks.expire()
        assert flinks.get(HTTPX, source).status == 200
        assert flinks.stored(source).token.refresh_token == first
    assert flinks.sandbox.counts.refreshes == 3


# --- lifetimes ------------------------------------------------------------------------------------------------------


def test_expires_in_zero_falls_back_to_the_jwt(flinks: World) -> None:
    """0 is the schema's default and means unknown; the JWT's `exp` is an unverified hint."""
    flinks.sandbox.personality.sends_expires_in = False
    source = flinks.signed_in()
    assert source.renew().expires_at == flinks.clock() + 299


def _jwt(claims: object) -> str:
    encoded = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{encoded}.c2ln"


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("members", "expires_in"),
    [
        ({"expires_in": 299, "access_token": "opaque"}, 299),
        ({"expires_in": "299", "access_token": _jwt({"exp": NOW + 7})}, "299"),
        ({"expires_in": 0, "access_token": _jwt({"exp": NOW + 300})}, 300),
        ({"access_token": _jwt({"exp": NOW + 300})}, 300),
        ({"expires_in": None, "access_token": _jwt({"exp": NOW + 300})}, 300),
        ({"expires_in": "soon", "access_token": _jwt({"exp": NOW + 300})}, 300),
        ({"expires_in": 0, "access_token": _jwt({"exp": str(NOW + 300)})}, 300),
        ({"expires_in": 0, "access_token": _jwt({"exp": NOW - 1})}, None),
        ({"expires_in": 0, "access_token": _jwt({"exp": None})}, None),
        ({"expires_in": 0, "access_token": _jwt({})}, None),
        ({"expires_in": 0, "access_token": _jwt([])}, None),
        ({"expires_in": 0, "access_token": "opaque"}, None),
        ({"expires_in": 0, "access_token": "a.b.c"}, None),
        ({"expires_in": 0, "access_token": "a.é.c"}, None),
        ({"expires_in": 0, "access_token": f"a.{base64.urlsafe_b64encode(b'[' * 9000).decode()}.c"}, None),
        ({"expires_in": 0, "access_token": 7}, None),
        ({"expires_in": 0}, None),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_how_long_a_token_lives(members: dict[str, Any], expires_in: Any) -> None:
    """Never "expired now", never eternal by accident, and never an exception."""
    read = Flinks(host=FLINKS_PRODUCTION).read_answer(members, NOW)
    assert read.get("expires_in") == expires_in
    assert read.get("access_token") == members.get("access_token")


def test_a_token_of_unknown_lifetime_is_used_until_it_is_rejected(flinks: World) -> None:
    """No renewal on every call."""
    flinks.sandbox.fail(Fault(rewrite=lambda members: {"access_token": members["access_token"], "expires_in": 0}))
    source = flinks.client().for_itself(scope="client:admin")
    for _ in range(3):
        assert flinks.get(HTTPX, source, PARTNER).status == 200
    assert len(flinks.token_requests) == 1


def test_thirty_idle_days_end_a_connection_and_a_renewal_puts_that_off(flinks: World) -> None:
    """Trap 38: known as `refresh_idle_lifetime`, so that a keep-alive can be planned."""
    assert flinks.provider().refresh_idle_lifetime == 30 * DAY
    source = flinks.signed_in()
    # As a program that kept its tokens elsewhere may have noted it.
    source.adopt(source.token().replace(refresh_expires_at=flinks.clock() + 30 * DAY))
    for _ in range(3):
        flinks.clock.advance(29 * DAY)
        assert source.renew().refresh_expires_at is None
    flinks.clock.advance(30 * DAY)
    with pytest.raises(SignInRequired):
        source.renew()
    assert flinks.stored(source).ended == "refused"


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "raised"),
    [
        ("invalid_client", 400, ConfigurationError),
        ("unauthorized_client", 400, ConfigurationError),
        ("unsupported_grant_type", 400, ConfigurationError),
        ("unsupported_response_type", 400, ConfigurationError),
        ("unsupported_token_type", 400, ConfigurationError),
        ("invalid_scope", 400, ConfigurationError),
        ("invalid_request", 400, ConfigurationError),
        ("invalid_grant", 400, SignInRequired),
        ("access_denied", 400, SignInRequired),
        ("server_error", 500, TemporarilyUnavailable),
        ("temporarily_unavailable", 503, TemporarilyUnavailable),
    ],
)
def test_each_error_of_the_table(flinks: World, error: str, status: int, raised: type[Exception]) -> None:
    """Only what ends the grant marks it; a wrong secret is a 400 here, and no reason to sign anybody in."""
    source = flinks.signed_in()
    flinks.sandbox.fail(refusal(error, status))
    with pytest.raises(raised) as caught:
        source.renew()
    assert type(caught.value) is raised
    assert caught.value.error == error
    assert (flinks.stored(source).ended is not None) is (raised is SignInRequired)


@pytest.mark.parametrize(
    "fault",
    [
        upstream_expired(400),
        upstream_expired(401),
        upstream_expired(403),
        refusal("TOKEN_EXPIRED_UPSTREAM", 403),
        Fault(status=403, body=b'{"message":"Forbidden"}'),
    ],
    ids=lambda fault: f"{fault.status} {fault.body[:20]!r}",
)
def test_a_refusal_without_a_known_error_means_sign_in(flinks: World, fault: Fault) -> None:
    """The token page: the tokens that Flinks itself holds have expired; the record is marked and kept."""
    source = flinks.signed_in()
    flinks.sandbox.fail(fault)
    with pytest.raises(SignInRequired):
        source.renew()
    assert flinks.stored(source).token.refresh_token is not None


@pytest.mark.parametrize(
    ("status", "raised"), [(400, ProtocolError), (401, ConfigurationError), (403, ConfigurationError)]
)
@pytest.mark.parametrize("body", [b"<html>blocked</html>", b"", b" \n"])
def test_an_answer_that_could_be_anybodys_ends_no_grant(
    flinks: World, body: bytes, status: int, raised: type[Exception]
) -> None:
    """A gateway's page, or nothing at all."""
    source = flinks.signed_in()
    flinks.sandbox.fail(Fault(status=status, body=body))
    with pytest.raises(raised):
        source.renew()
    assert flinks.stored(source).ended is None


def test_a_connection_is_not_revoked_with_a_token_that_cannot_be_sent(flinks: World) -> None:
    """An expired token is renewed first; one of another type is kept, and the grant stays until it can be revoked."""
    source = flinks.signed_in()
    flinks.clock.advance(3600)
    flinks.sandbox.fail(Fault(rewrite=lambda answer: {**answer, "token_type": "mac"}))
    with raises(ConfigurationError, parameter="token_scheme"):
        source.revoke()
    assert flinks.stored(source).ended is None


def test_the_clients_own_token_is_never_a_matter_of_signing_in(flinks: World) -> None:
    """Nobody could."""
    flinks.sandbox.fail(upstream_expired(401))
    with raises(ConfigurationError, status_code=401, shows="client_credentials"):
        flinks.client().for_itself(scope="client:admin").token()


def test_an_error_carries_the_correlation_id(flinks: World) -> None:
    """Flinks' support asks for `ob-correlation-id`; the credentials are not quoted."""
    source = flinks.signed_in()
    fault = refusal("invalid_client")
    flinks.sandbox.fail(fault)
    with pytest.raises(ConfigurationError) as caught:
        source.renew()
    assert caught.value.correlation_id == fault.headers["ob-correlation-id"]
    secrets = [flinks.sandbox.client_secret, flinks.stored(source).token.refresh_token or "-"]
    assert leaks(everything_in(caught.value), secrets) == []


# --- the API --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "path", "body", "renewal_helps"),
    [
        (401, FDX, b'{"message":"Unauthorized"}', True),
        (403, FDX, b'{"message":"Forbidden"}', True),
        (401, FDX, b'{"message":"x","code":null}', True),
        (401, FDX, b"", True),
        (403, FDX, b"", False),
        (401, FDX, b"<html>", True),
        (403, FDX, b"<html>", False),
        (401, FDX, None, True),
        (403, FDX, None, False),
        (401, FDX, b'{"code":602,"message":"x","debugMessage":"x"}', False),
        (401, FDX, b'{"code":"602","message":"x"}', False),
        (403, FDX, b'{"code":403,"message":"Subscription not found"}', False),
        (401, FDX, b'{"message":"x","debugMessage":"x"}', False),
        (400, FDX, b'{"message":"Bad Request"}', False),
        (400, FDX, b"", False),
        (400, PARTNER, b'{"message":"Bad Request"}', True),
        (400, PARTNER + "/7", b"", True),
        (400, "/api/v1/providers", b"<html>", True),
        (400, "/api/v2/providers", None, True),
        (400, "/api/v1/token", b"", False),
    ],
)
def test_which_rejections_a_new_token_resolves(status: int, path: str, body: bytes | None, renewal_helps: bool) -> None:
    """401 and 403 without `code` at the data endpoints, 400 at the partner endpoints, nothing else."""
    provider = Flinks(host=FLINKS_PRODUCTION)
    assert status in provider.rejection_statuses
    assert provider.is_rejection(ApiAnswer(status, {}, path, body)) is renewal_helps


@through_every_client
@pytest.mark.parametrize(("code", "status"), [(500, 500), (503, 503), (701, 404), (1207, 429), (703, 400), (501, 400)])
def test_application_errors_go_to_the_caller(flinks: World, kind: Kind, code: int, status: int) -> None:
    """Unchanged, and without a renewal."""
    source = flinks.signed_in()
    flinks.sandbox.fail(fdx_error(code, status), at="api")
    answer = flinks.get(kind, source)
    assert (answer.status, json.loads(answer.body)["code"]) == (status, code)
    assert flinks.token_requests == []


def test_a_consent_that_ended_is_not_resolved(flinks: World) -> None:
    """602 by the sandbox's own state: the caller gets the answer, the refresh token is left alone."""
    source = flinks.signed_in()
    flinks.sandbox.revoke_grant("alice")
    answer = flinks.get(HTTPX, source)
    assert (answer.status, json.loads(answer.body)["code"]) == (401, 602)
    assert flinks.token_requests == []


# --- the end --------------------------------------------------------------------------------------------------------


def test_revoking_is_a_delete_with_the_access_token(flinks: World) -> None:
    """No body, no client credentials; then the record is deleted."""
    source = flinks.signed_in()
    access_token = flinks.stored(source).token.access_token
    source.revoke()
    (request,) = flinks.requests("/revoke")
    assert (request.method, request.body) == ("DELETE", b"")
    assert request.headers["authorization"] == f"Bearer {access_token}"
    assert source.state == "missing"
    assert flinks.token_requests == []


def test_an_expired_access_token_is_renewed_to_revoke(flinks: World) -> None:
    """Trap 34: it takes a valid access token to end the connection."""
    source = flinks.signed_in()
    flinks.expire()
    source.revoke()
    assert (flinks.sandbox.counts.refreshes, flinks.sandbox.counts.revocations) == (1, 1)
    assert source.state == "missing"


def test_an_access_token_that_was_rejected_early_is_renewed_to_revoke(flinks: World) -> None:
    """It is valid by our clock, and not by the server's."""
    source = flinks.signed_in()
    flinks.sandbox.revoke_access_tokens()
    source.revoke()
    assert (flinks.sandbox.counts.refreshes, flinks.sandbox.counts.revocations) == (1, 1)
    assert source.state == "missing"


def test_a_revocation_that_is_refused_again_forgets_nothing(flinks: World) -> None:
    """Once more, not for ever."""
    source = flinks.signed_in()
    refused = Fault(status=401, body=b'{"message":"Unauthorized"}')
    flinks.sandbox.fail(refused, refused, at="revocation")
    with pytest.raises(SignInRequired):
        source.revoke()
    assert flinks.stored(source).token.refresh_token is not None
    assert flinks.sandbox.counts.refreshes == 1


def test_a_revocation_that_fails_for_now_forgets_nothing(flinks: World) -> None:
    """A 503 is no answer to rely on."""
    source = flinks.signed_in()
    flinks.sandbox.fail(Fault(status=503), at="revocation")
    with pytest.raises(TemporarilyUnavailable):
        source.revoke()
    assert source.state == "fresh"


# --- other hosts ----------------------------------------------------------------------------------------------------


@through_every_client
def test_a_page_on_another_host_gets_no_token_and_the_event_has_the_remedy(flinks: World, kind: Kind) -> None:
    """Samples show pagination links to another host: the request is sent without the token, and the event names what
    to do.
    """
    with Site(lambda _: Reply(401)) as elsewhere:
        flinks.sandbox.personality.next_page_origin = elsewhere.origin
        source = flinks.signed_in()
        with flinks.open(kind, source) as http:
            link = json.loads(http.get(flinks.url_of()).body)["links"]["next"]["href"]
            assert http.get(link).status == 401
        assert elsewhere.authorizations == [None]
    detail = flinks.events.wait_for("token_withheld").detail
    assert f"api_origins=('{elsewhere.origin}',)" in detail
    assert flinks.token_requests == []


def test_the_other_host_gets_it_once_it_is_allowed(flinks: World) -> None:
    """As the event recommends."""
    with Site(lambda _: Reply(200)) as elsewhere:
        client = flinks.client(flinks.provider(api_origins=(elsewhere.origin,)))
        source = flinks.signed_in(client=client)
        with flinks.open(HTTPX, source) as http:
            assert http.get(elsewhere.origin).status == 200
        assert elsewhere.authorizations == [f"Bearer {source.token().access_token}"]


def test_connections_are_kept_apart(flinks: World) -> None:
    """One token per connection and host; a partner's own token is another one."""
    client = flinks.client()
    elsewhere = flinks.client(Flinks(host=FLINKS_PREPRODUCTION))
    sources = (
        client.for_subject("a"),
        client.for_subject("b"),
        client.for_itself(scope="client:admin"),
        elsewhere.for_subject("a"),
    )
    assert len({source.store_key for source in sources}) == 4


def test_tokens_from_elsewhere_can_be_adopted(flinks: World) -> None:
    """A connection that another program made continues here."""
    source = flinks.client().for_subject("alice")
    source.adopt(Token.from_response(flinks.sandbox.issue("alice"), now=flinks.clock()))
    assert flinks.get(HTTPX, source).status == 200
