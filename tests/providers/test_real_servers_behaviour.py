"""What real authorization servers were seen to do, F60 to F66: variations of the sandbox and of a plain server.

F67 is about keyrings, and is with the tests of stores.
"""

from __future__ import annotations

import base64
import itertools
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.acme_server import Acme
from support.clients import Kind, through_every_client
from support.errors import raises
from support.limits import PATIENCE
from support.providers import acme_at
from support.sites import Received, Reply, Site
from support.waiting import settle
from support.worlds import ONE_RENEWAL, World, a_world

from blnk_auth import (
    ConfigurationError,
    OAuthClient,
    ProtocolError,
    SignInRequired,
    TemporarilyUnavailable,
    Token,
)
from blnk_auth.provider import Refusal, Verdict
from blnk_auth.testing import Clock, Fault

NOW = 1_800_000_000.0


# --- F60 ------------------------------------------------------------------------------------------------------------


class Repeating:
    """A server that renews a token by giving the same one again, and an API that takes it from the n-th time on."""

    def __init__(self, rejections: int, *, is_herd: bool = False) -> None:
        self.token_requests = 0
        self._is_herd = is_herd
        self._rejections = rejections
        self._calls = itertools.count()
        self._all_there = threading.Barrier(rejections)
        self.site = Site(self._answer)

    def _answer(self, request: Received) -> Reply:
        if request.path == "/token":
            self.token_requests += 1
            members = {"access_token": "the-same-token", "refresh_token": "the-same-refresh-token", "expires_in": 3600}
            return Reply.json({"token_type": "Bearer", **members})
        if next(self._calls) >= self._rejections:
            return Reply.json({})
        if self._is_herd:
            # One that came later would rightly renew the newer token.
            self._all_there.wait(PATIENCE)
        return Reply.rejected()


@through_every_client
@pytest.mark.parametrize(("rejections", "status", "renewals"), [(1, 200, 1), (2, 401, 1)])
def test_f60_a_renewal_with_the_identical_token(kind: Kind, rejections: int, status: int, renewals: int) -> None:
    """The same string, issued later, is another token: one retry, and no loop."""
    server = Repeating(rejections)
    with server.site as site:
        client = OAuthClient(acme_at(site.origin), client_id="id", client_secret="s", clock=Clock())
        source = client.for_subject("alice")
        # Only the time of issue distinguishes the two.
        old = Token("the-same-token", refresh_token="the-same-refresh-token", issued_at=NOW - 9, expires_at=NOW + 3600)
        source.adopt(old)
        with kind.open(source) as http:
            assert http.get(site.origin).status == status
        assert server.token_requests == renewals


@through_every_client
def test_f60_a_herd_and_the_identical_token(kind: Kind) -> None:
    """All callers whose request was rejected share the one renewal."""
    server = Repeating(10, is_herd=True)
    with server.site as site:
        client = OAuthClient(acme_at(site.origin), client_id="id", client_secret="s", clock=Clock())
        source = client.for_subject("alice")
        # Only the time of issue distinguishes the two.
        old = Token("the-same-token", refresh_token="the-same-refresh-token", issued_at=NOW - 9, expires_at=NOW + 3600)
        source.adopt(old)
        with kind.open(source) as http:
            http.herd(site.origin, 10)
        assert server.token_requests == 1


# --- F61 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "raised"), [(400, ProtocolError), (403, ConfigurationError)])
@pytest.mark.parametrize("name", ["blnk_cloud", "blink"])
def test_f61_an_empty_refusal_ends_no_grant(name: str, status: int, raised: type[Exception]) -> None:
    """400 and 403 with nothing in them: a typed error, and the record is untouched."""
    with a_world(name) as world:
        source = world.signed_in()
        kept = world.stored(source)
        world.sandbox.fail(Fault(status=status))
        with pytest.raises(raised):
            source.renew()
        assert world.stored(source) == kept


def test_f61_unless_the_providers_own_rule_does(flinks: World) -> None:
    """Flinks documents 400 and 403 as the end of what it holds itself."""
    source = flinks.signed_in()
    flinks.sandbox.fail(Fault(status=403, body=b'{"message":"Forbidden"}'))
    with pytest.raises(SignInRequired):
        source.renew()
    assert flinks.stored(source).ended == "refused"


# --- F62 ------------------------------------------------------------------------------------------------------------

SPENT = Fault(status=400, body=b'{"error":"invalid_request","error_description":"refresh token already used"}')


def test_f62_a_spent_token_answered_with_invalid_request(blnk_cloud: World) -> None:
    """The error quotes the server; the grant is not ended by it, and nothing loops."""
    source = blnk_cloud.signed_in()
    blnk_cloud.sandbox.fail(SPENT)
    with raises(
        ConfigurationError, error="invalid_request", error_description="refresh token already used", status_code=400
    ):
        source.renew()
    assert len(blnk_cloud.token_requests) == 1
    assert blnk_cloud.stored(source).ended is None


def test_f62_it_can_be_configured_to_mean_sign_in(blnk_cloud: World) -> None:
    """One rule of the provider; the newer pair of another process is still looked for first."""

    def judge(refusal: Refusal) -> Verdict | None:
        return "sign_in" if refusal.error == "invalid_request" else None

    provider = blnk_cloud.acme(judge_refusal=judge)
    source = blnk_cloud.signed_in(client=blnk_cloud.client(provider))
    other = blnk_cloud.client(provider).for_subject("alice")
    blnk_cloud.sandbox.fail(SPENT)
    with raises(
        SignInRequired,
        reason="refused",
        subject="alice",
        error="invalid_request",
        error_description="refresh token already used",
        status_code=400,
    ):
        source.renew()
    assert blnk_cloud.stored(source).ended == "refused"
    with pytest.raises(SignInRequired):
        other.renew()
    assert len(blnk_cloud.token_requests) == 1


# --- F63 ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def dies_together(blnk_cloud: World) -> World:
    """A server whose refresh token expires with the access token."""
    blnk_cloud.sandbox._authorization_server.refresh_idle_lifetime = blnk_cloud.sandbox.lifetime
    return blnk_cloud


@through_every_client
def test_f63_steady_use_keeps_such_a_grant_alive(dies_together: World, kind: Kind) -> None:
    """Renewed ahead of expiry, in the background, for as long as somebody calls."""
    source = dies_together.signed_in()
    with dies_together.open(kind, source) as http:
        for round_ in range(4):
            dies_together.clock.advance(dies_together.sandbox.lifetime - 300)
            assert http.get(dies_together.url_of()).status == 200
            dies_together.events.wait_for("renewed", round_ + 1)
            settle()
    assert source.state == "fresh"


def test_f63_its_idle_expiry_is_reported_once(dies_together: World) -> None:
    """After that the server is not asked again."""
    source = dies_together.signed_in()
    dies_together.expire()
    for _ in range(3):
        with pytest.raises(SignInRequired):
            source.token()
    assert len(dies_together.token_requests) == 1
    assert dies_together.events.names.count("sign_in_required") == 1


# --- F64 ------------------------------------------------------------------------------------------------------------


class Revoking:
    """A server with RFC 7009; `linked`: whether revoking one token revokes the other."""

    def __init__(self, *, linked: bool) -> None:
        self.alive = {"at", "rt"}
        self.refuse: Reply | None = None
        self.asked: list[tuple[str, str]] = []
        self._linked = linked
        self.site = Site(self._answer)

    def _answer(self, request: Received) -> Reply:
        if self.refuse is not None:
            return self.refuse
        self.asked.append((request.form["token"], request.form["token_type_hint"]))
        # RFC 7009 section 2.2: an invalid token is not an error.
        self.alive -= {"at", "rt"} if self._linked else {request.form["token"]}
        return Reply(200)


@pytest.mark.parametrize("linked", [True, False])
def test_f64_both_tokens_are_revoked_whether_or_not_one_takes_the_other_along(linked: bool) -> None:
    """The refresh token first: should the second call fail, nothing can be renewed any more."""
    server = Revoking(linked=linked)
    with server.site as site:
        provider = acme_at(site.origin, revocation_endpoint=f"{site.origin}/revoke")
        source = OAuthClient(provider, client_id="id", client_secret="s", clock=Clock()).for_subject("alice")
        source.adopt(Token("at", refresh_token="rt", expires_at=NOW + 3600))
        server.refuse = Reply(503)
        with pytest.raises(TemporarilyUnavailable):
            source.revoke()
        assert source.state == "fresh"
        server.refuse = None
        source.revoke()
        assert (server.alive, source.state) == (set(), "missing")
        assert server.asked == [("rt", "refresh_token"), ("at", "access_token")]


def test_f64_it_can_be_forgotten_without_the_provider() -> None:
    """On demand, and only then."""
    server = Revoking(linked=True)
    server.refuse = Reply(503)
    with server.site as site:
        provider = acme_at(site.origin, revocation_endpoint=f"{site.origin}/revoke")
        source = OAuthClient(provider, client_id="id", client_secret="s", clock=Clock()).for_subject("alice")
        source.adopt(Token("at", refresh_token="rt", expires_at=NOW + 3600))
        source.forget()
        assert (server.asked, source.state) == ([], "missing")


# --- F65, F66 -------------------------------------------------------------------------------------------------------


@pytest.fixture
def acme() -> Iterator[Acme]:
    with Acme() as server:
        yield server


@pytest.mark.parametrize(
    ("settings", "sent"), [({}, ("i+d", "a%2Bb%2Fc+%C3%BC%25")), ({"basic_encoding": "raw"}, ("i d", "a+b/c ü%"))]
)
def test_f65_both_encodings_of_basic_and_the_rfcs_by_default(
    acme: Acme, settings: dict[str, Any], sent: tuple[str, str]
) -> None:
    """oidc-provider and django-oauth-toolkit decode what they get, others compare it as it is."""
    client = OAuthClient(acme_at(acme.origin, **settings), client_id="i d", client_secret="a+b/c ü%")
    client.for_itself().token()
    assert acme.token_requests[0].basic == sent


@pytest.mark.parametrize("accepted", ["token_endpoint", "issuer"])
def test_f66_the_audience_a_server_accepts_can_be_selected(accepted: Any) -> None:
    """A server that accepts one audience only; the token endpoint's URL is the default."""
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    def answer(request: Received) -> Reply:
        claims = json.loads(base64.urlsafe_b64decode(request.form["client_assertion"].split(".")[1] + "=="))
        wanted = f"{site.origin}/token" if accepted == "token_endpoint" else site.origin
        if claims["aud"] != wanted:
            return Reply.json({"error": "invalid_client", "error_description": "wrong audience"}, 401)
        return Reply.json({"access_token": "at", "token_type": "Bearer", "expires_in": 3600})

    with Site(answer) as site:
        for audience in (None, "token_endpoint", "issuer"):
            settings = {} if audience is None else {"assertion_audience": audience}
            provider = acme_at(site.origin, issuer=site.origin, client_auth="private_key_jwt", **settings)
            source = OAuthClient(provider, client_id="id", private_key=key).for_itself()
            if (audience or "token_endpoint") == accepted:
                assert source.token().access_token == "at"
                continue
            with raises(
                ConfigurationError, error="invalid_client", error_description="wrong audience", status_code=401
            ):
                source.token()


# --- the figures ----------------------------------------------------------------------------------------------------


def test_two_renewals_in_a_row_reuse_nothing(world: World) -> None:
    """Each provider, ten expiries: one renewal for each."""
    source = world.signed_in()
    for _ in range(10):
        world.expire()
        world.sandbox.clear_record()
        source.token()
        counts = world.sandbox.counts
        assert (counts.token_requests, counts.refreshes, counts.reuses) == ONE_RENEWAL
