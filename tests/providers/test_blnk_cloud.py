"""Blnk Cloud through the clients; its value is tested in unit/test_blnk_cloud.py."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.clients import HTTPX, Kind, through_every_client
from support.errors import raises
from support.providers import DAY
from support.sites import Reply, Site
from support.worlds import World

from blnk_auth import BlnkCloud, ConfigurationError, SignInRequired, StaticToken
from blnk_auth.testing import Fault


def test_signing_in_sends_s256_and_state(blnk_cloud: World) -> None:
    """PKCE is advertised and not described, so it is always sent; `iss` is checked."""
    client = blnk_cloud.client()
    query = parse_qs(urlsplit(client.start_authorization("alice").url).query)
    assert set(query) == {
        "response_type",
        "client_id",
        "redirect_uri",
        "state",
        "code_challenge",
        "code_challenge_method",
    }
    assert query["code_challenge_method"] == ["S256"]
    source = blnk_cloud.sign_in(client)
    sent = blnk_cloud.token_request
    assert set(sent.form) == {"grant_type", "code", "redirect_uri", "code_verifier"}
    assert blnk_cloud.stored(source).token.refresh_token is not None


def test_a_refresh_sends_the_refresh_token_and_nothing_else(blnk_cloud: World) -> None:
    """No scope and no redirect_uri are shown in the documentation."""
    blnk_cloud.signed_in().renew()
    assert set(blnk_cloud.token_request.form) == {"grant_type", "refresh_token"}


def test_each_refresh_brings_a_new_refresh_token(blnk_cloud: World) -> None:
    """And the old one is never used again."""
    source = blnk_cloud.signed_in()
    seen = {blnk_cloud.stored(source).token.refresh_token}
    for _ in range(5):
        source.renew()
        seen.add(blnk_cloud.stored(source).token.refresh_token)
    assert (len(seen), blnk_cloud.sandbox.counts.reuses) == (6, 0)


def test_a_refresh_token_that_stays_keeps_its_end(blnk_cloud: World) -> None:
    """Nothing shows that a use extends it here: its expiry stays as noted until the server names another."""
    blnk_cloud.sandbox.rotates = False
    source = blnk_cloud.signed_in()
    ends_at = blnk_cloud.clock() + 30 * DAY
    source.adopt(source.token().replace(refresh_expires_at=ends_at))
    assert source.renew().refresh_expires_at == ends_at
    blnk_cloud.clock.advance(30 * DAY)
    with pytest.raises(SignInRequired) as caught:
        source.token()
    assert caught.value.reason == "expired"


def test_nobody_signs_in_for_the_client_itself(blnk_cloud: World) -> None:
    """An older page speaks of client credentials; the metadata and the current pages do not."""
    with raises(ConfigurationError, parameter="for_itself"):
        blnk_cloud.client().for_itself()


@pytest.mark.parametrize(
    ("body", "raised"),
    [
        (b'{"error":"invalid_grant"}', SignInRequired),
        (b'{"error":"OAuth client has been revoked"}', ConfigurationError),
        (b"<html>", ConfigurationError),
        (b"", ConfigurationError),
    ],
)
def test_an_undocumented_refusal_ends_a_grant_only_by_its_code(
    blnk_cloud: World, body: bytes, raised: type[Exception]
) -> None:
    """What the token endpoint answers is not published: prose, a page and an empty body are not verdicts."""
    source = blnk_cloud.signed_in()
    blnk_cloud.sandbox.fail(Fault(status=401, body=body))
    with pytest.raises(raised):
        source.renew()
    assert (blnk_cloud.stored(source).ended is not None) is (raised is SignInRequired)


@through_every_client
def test_the_query_of_a_request_is_left_alone(blnk_cloud: World, kind: Kind) -> None:
    """`?instance_id=` is the application's own, also on the replay."""
    source = blnk_cloud.signed_in()
    blnk_cloud.sandbox.revoke_access_tokens()
    assert blnk_cloud.get(kind, source, "/data/ledgers?instance_id=instance_1").status == 200
    assert [request.query for request in blnk_cloud.requests("/ledgers")] == ["instance_id=instance_1"] * 2


@through_every_client
@pytest.mark.parametrize("header", ["Authorization", "X-Blnk-Key"])
def test_a_static_key_is_sent_to_its_origin_only(kind: Kind, header: str) -> None:
    """A Cloud API key as Bearer, Core's own header as it is; neither follows a redirect to another host."""
    with Site(lambda _: Reply(200)) as elsewhere, Site(lambda _: Reply.redirect(elsewhere.origin)) as core:
        key = StaticToken("blnk_fdb796a5", api_origins=(core.origin,), header=header)
        with kind.open(key, follow=True) as http:
            assert http.get(core.origin).status == 200
        sent = core.received[0].headers
        assert sent[header.lower()] == ("Bearer blnk_fdb796a5" if header == "Authorization" else "blnk_fdb796a5")
        assert header.lower() not in elsewhere.received[0].headers


def test_a_self_hosted_cloud_is_another_environment(blnk_cloud: World) -> None:
    """Its tokens have other keys in a shared store and are sent to its own host only."""
    own, hosted = blnk_cloud.client(), blnk_cloud.client(BlnkCloud())
    assert own.for_subject("alice").store_key != hosted.for_subject("alice").store_key


def test_a_core_401_is_read_from_a_stream_too(blnk_cloud: World) -> None:
    """The body that was looked at is still there for the caller."""
    blnk_cloud.sandbox.personality.core_rejects = True
    source = blnk_cloud.signed_in()
    with blnk_cloud.open(HTTPX, source) as http:
        native: Any = http.native
        with native.stream("GET", blnk_cloud.url_of("/proxy/ledgers")) as response:
            assert response.status_code == 401
            assert b"AUTH_INVALID_API_KEY" in response.read()
    assert blnk_cloud.token_requests == []
