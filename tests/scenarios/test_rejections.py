"""F30 to F39: what follows a rejection, a redirect, a foreign host, and what must never follow."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from typing import Any

import pytest
from support.clients import AIOHTTP, HERD, KINDS, Kind, through, through_every_client
from support.errors import raises
from support.limits import PATIENCE
from support.providers import acme_at
from support.sites import Received, Reply, Site, endless
from support.waiting import Hold
from support.worlds import NO_RENEWAL, World

from blnk_auth import BlnkAuthError, ConfigurationError, Provider, SignInRequired, TokenSource
from blnk_auth._request import rejection_body
from blnk_auth.testing import Fault, assert_renewed_once

INVALID_TOKEN = {"WWW-Authenticate": 'Bearer error="invalid_token"'}


@through_every_client
def test_f30_fifty_rejected_calls_renew_once_and_are_repeated_once(world: World, kind: Kind) -> None:
    """Fifty concurrent calls with a revoked token cause one renewal, are each sent at most twice, and all succeed."""
    alice = world.signed_in()
    world.sandbox.revoke_access_tokens()
    world.sandbox.token_latency = 0.2
    with kind.open(alice) as http:
        answers = http.herd(world.url)
    assert {answer.status for answer in answers} == {200}
    assert_renewed_once(world.sandbox)
    counts = world.sandbox.counts
    assert 1 <= counts.api_rejected <= HERD
    assert counts.api_requests == HERD + counts.api_rejected


@through_every_client
def test_f31_a_rejection_that_renewal_does_not_resolve_is_returned_unchanged(world: World, kind: Kind) -> None:
    """An API that keeps rejecting gets two requests and causes one renewal; the caller sees its answer."""
    rejection = Fault(status=401, body=b'{"error":"still no"}', headers={**INVALID_TOKEN, "X-Trace": "second"})
    world.sandbox.fail(Fault(status=401, headers=INVALID_TOKEN), rejection, at="api")
    with kind.open(world.signed_in()) as http:
        answer = http.get(world.url)
    assert (answer.status, answer.body) == (401, b'{"error":"still no"}')
    assert answer.headers["x-trace"] == "second"
    assert answer.headers["www-authenticate"] == INVALID_TOKEN["WWW-Authenticate"]
    assert_renewed_once(world.sandbox)
    assert world.sandbox.counts.api_requests == 2


@through_every_client
def test_f31_an_api_that_always_rejects_causes_no_storm(world: World, kind: Kind) -> None:
    """Once a renewal has resolved nothing, the next rejections cause none until the cool-down is over."""
    world.sandbox.fail(*[Fault(status=401, headers=INVALID_TOKEN)] * 100, at="api")
    with kind.open(world.signed_in()) as http:
        for _ in range(10):
            assert http.get(world.url).status == 401
        assert_renewed_once(world.sandbox)
        assert world.sandbox.counts.api_requests == 11
        world.clock.advance(11)
        assert http.get(world.url).status == 401
    assert world.renewals == (2, 2, 0)


USELESS_CHALLENGES = {
    "insufficient scope": (401, 'Bearer error="insufficient_scope", scope="data:write"'),
    "insufficient scope, forbidden": (403, 'Bearer error="insufficient_scope", scope="data:write"'),
    "invalid request": (401, 'Bearer error="invalid_request"'),
    "forbidden without a word": (403, ""),
    "Basic": (401, 'Basic realm="admin"'),
    "DPoP": (401, 'DPoP error="invalid_token", algs="ES256"'),
    "Negotiate": (401, "Negotiate YIIJvwYGKwYBBQUCoIIJ"),
    "several, none of them ours": (401, 'Negotiate, Basic realm="a, Bearer b", DPoP algs="ES256"'),
    "several, ours about the scope": (401, 'Basic realm="a", Bearer realm="b", error="insufficient_scope"'),
}


def renewed_elsewhere(world: World) -> None:
    """Another process renews alice's token; this one does not know it yet."""
    world.client().for_subject("alice").renew()


@through_every_client
def test_f31_a_stored_token_that_is_rejected_too_is_renewed(world: World, kind: Kind) -> None:
    """The server has revoked all access tokens, also the newer one of another process. The request is repeated once,
    with that one; the token is renewed, and the next request has it.
    """
    alice = world.signed_in()
    renewed_elsewhere(world)
    world.sandbox.revoke_access_tokens()
    with kind.open(alice) as http:
        first = http.get(world.url)
        assert world.sandbox.counts.api_requests == 2
        second = http.get(world.url)
    assert (first.status, second.status) == (401, 200)
    assert world.sandbox.counts.refreshes == 2
    assert "rejection_unresolved" not in world.events.names


@through_every_client
def test_f31_fifty_calls_whose_stored_token_is_rejected_too_renew_once(world: World, kind: Kind) -> None:
    """Each is sent at most twice, and all the calls that follow succeed."""
    alice = world.signed_in()
    renewed_elsewhere(world)
    world.sandbox.revoke_access_tokens()
    with kind.open(alice) as http:
        http.herd(world.url)
        assert world.sandbox.counts.api_requests <= 2 * HERD
        assert {answer.status for answer in http.herd(world.url)} == {200}
    assert world.sandbox.counts.refreshes == 2


@through_every_client
def test_f31_a_stored_token_that_is_accepted_costs_no_renewal(world: World, kind: Kind) -> None:
    """As at a server that ends the old access token when it issues a new one."""
    alice = world.signed_in()
    world.sandbox.revoke_access_tokens()
    renewed_elsewhere(world)
    assert world.get(kind, alice).status == 200
    assert world.sandbox.counts.refreshes == 1


@through_every_client
def test_f31_an_api_that_rejects_everything_costs_little_beside_a_process_that_renews(world: World, kind: Kind) -> None:
    """Each token of the other process is new here, and yet not every call renews."""
    rounds = 10
    world.sandbox.fail(*[Fault(status=401, headers=INVALID_TOKEN)] * 100, at="api")
    with kind.open(world.signed_in()) as http:
        for _ in range(rounds):
            renewed_elsewhere(world)
            assert http.get(world.url).status == 401
    assert world.sandbox.counts.refreshes <= rounds + 2
    assert world.sandbox.counts.api_requests <= 2 * rounds


@pytest.mark.parametrize(("status", "challenge"), USELESS_CHALLENGES.values(), ids=USELESS_CHALLENGES)
@through_every_client
def test_f32_a_challenge_that_renewal_cannot_meet_is_returned_unchanged(
    world: World, kind: Kind, status: int, challenge: str
) -> None:
    """A challenge for another scheme, or for more scope, causes no renewal and no second request."""
    headers = {"WWW-Authenticate": challenge} if challenge else {}
    with kind.open(world.signed_in()) as http:
        world.sandbox.fail(Fault(status=status, body=b"as it was", headers=headers), at="api")
        answer = http.get(world.url)
    assert (answer.status, answer.body) == (status, b"as it was")
    assert answer.headers.get("www-authenticate", "") == challenge
    assert world.renewals == NO_RENEWAL
    assert world.sandbox.counts.api_requests == 1


CURABLE_CHALLENGES = (
    'Bearer error="invalid_token"',
    "bearer error='invalid_token'",
    'Bearer realm="api"',
    'Basic realm="a", Bearer error="invalid_token"',
    'Negotiate, Bearer realm="x, y", error="invalid_token", error_description="it \\"ended\\""',
    "",
)


@pytest.mark.parametrize("challenge", CURABLE_CHALLENGES)
@through_every_client
def test_f32_a_challenge_that_renewal_can_meet_is_met(world: World, kind: Kind, challenge: str) -> None:
    """A Bearer challenge, among others too, or a bare 401, is answered with a renewed token."""
    headers = {"WWW-Authenticate": challenge} if challenge else {}
    with kind.open(world.signed_in()) as http:
        world.sandbox.fail(Fault(status=401, headers=headers), at="api")
        assert http.get(world.url).status == 200
    assert_renewed_once(world.sandbox)


@through_every_client
def test_f33_a_late_rejection_of_an_older_token_renews_nothing(world: World, kind: Kind) -> None:
    """Calls that were sent with the old token and rejected after the new one came are repeated with the new one."""
    first_five, all_out = threading.Semaphore(5), threading.Barrier(6)
    with Hold() as late:

        def answer(_: Received) -> Reply:
            if first_five.acquire(blocking=False):
                all_out.wait(PATIENCE)
                late()
                return Reply.rejected()
            return Reply(200)

        with Site(answer) as api:
            alice = world.signed_in(api_origins=(api.origin,))
            old = alice.token().access_token
            with kind.open(alice) as http:
                calls = [http.start("GET", api.origin) for _ in range(5)]
                all_out.wait(PATIENCE)
                new = alice.renew().access_token
                late.release()
                answers = [call.result(PATIENCE) for call in calls]
    assert {(answer.status, answer.token) for answer in answers} == {(200, new)}
    assert api.authorizations == [f"Bearer {old}"] * 5 + [f"Bearer {new}"] * 5
    assert_renewed_once(world.sandbox)


@through_every_client
def test_f33_a_late_rejection_after_the_grant_has_ended_asks_for_a_sign_in(world: World, kind: Kind) -> None:
    """Of two calls that were rejected, the later finds that the grant has ended: its token is not sent once more."""
    both_out = threading.Barrier(2)
    with Hold() as late:

        def answer(request: Received) -> Reply:
            both_out.wait(PATIENCE)
            if request.path == "/late":
                late()
            return Reply.rejected()

        with Site(answer) as api:
            alice = world.signed_in(api_origins=(api.origin,))
            world.sandbox.revoke_grant("alice")
            with kind.open(alice) as http:
                calls = [http.start("GET", f"{api.origin}/{name}") for name in ("early", "late")]
                with pytest.raises(SignInRequired):
                    calls[0].result(PATIENCE)
                late.release()
                with pytest.raises(SignInRequired):
                    calls[1].result(PATIENCE)
    assert sorted(request.path for request in api.received) == ["/early", "/late"]
    assert world.renewals == (1, 0, 0)


@through_every_client
def test_f30_a_rejection_that_joins_a_failing_renewal_gets_its_failure(world: World, kind: Kind) -> None:
    """A stale token is sent while its renewal begins; if it is rejected and the renewal fails, the error is typed."""
    alice = world.signed_in()
    world.go_stale()
    world.sandbox.revoke_access_tokens()
    world.sandbox.token_latency = 0.2
    world.sandbox.fail(Fault(status=503))
    with kind.open(alice) as http, pytest.raises(BlnkAuthError) as caught:
        http.get(world.url)
    assert isinstance(caught.value, kind.transport_error)
    assert world.renewals == (1, 0, 0)


# F34, bodies that cannot be sent twice: test_bodies.py


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("foreign_status", [200, 401])
@through_every_client
def test_f35_a_redirect_to_another_port_carries_no_token(
    world: World, kind: Kind, status: int, foreign_status: int
) -> None:
    """After a redirect to another origin the token stays behind, and a rejection there renews nothing."""
    with Site(lambda _: Reply(foreign_status, b"foreign", INVALID_TOKEN)) as foreign:
        elsewhere = f"{foreign.origin}/elsewhere"
        with Site(lambda _: Reply.redirect(elsewhere, status)) as api:
            alice = world.signed_in(api_origins=(api.origin,))
            with kind.open(alice, follow=True) as http:
                answer = http.get(f"{api.origin}/start")
    assert (answer.status, answer.body, answer.history) == (foreign_status, b"foreign", (status,))
    assert foreign.authorizations == [None]
    assert len(api.received) == 1
    assert alice.token().access_token in (api.authorizations[0] or "")
    assert world.renewals == NO_RENEWAL


@through_every_client
def test_f35_a_redirect_within_the_origin_keeps_the_token_and_is_repeated(world: World, kind: Kind) -> None:
    """A rejection after a redirect within the API's origin is resolved with one renewal."""
    rejections = iter([Reply.rejected()])

    def answer(request: Received) -> Reply:
        return Reply.redirect("/new") if request.path == "/old" else next(rejections, Reply(200))

    with Site(answer) as api, kind.open(world.signed_in(api_origins=(api.origin,)), follow=True) as http:
        answer_ = http.get(f"{api.origin}/old")
    assert answer_.status == 200
    assert None not in api.authorizations
    assert answer_.token is not None
    assert api.authorizations[-1] == f"Bearer {answer_.token}"
    assert_renewed_once(world.sandbox)


@through_every_client
def test_f35_the_redirect_of_a_repeated_request_carries_the_new_token(world: World, kind: Kind) -> None:
    """When the repeated request is answered with a redirect, that hop carries the new token, not the rejected one."""
    rejections = iter([Reply.rejected()])

    def answer(request: Received) -> Reply:
        return next(rejections, Reply.redirect("/new")) if request.path == "/old" else Reply(200)

    with Site(answer) as api, kind.open(world.signed_in(api_origins=(api.origin,)), follow=True) as http:
        assert http.get(f"{api.origin}/old").status == 200
    old, *new = api.authorizations
    assert len(new) == 2
    assert len(set(new)) == 1
    assert old not in new
    assert_renewed_once(world.sandbox)


def redirected_provider(world: World, token_site: Site) -> Provider:
    return acme_at(token_site.origin, world.sandbox.origin, basic_encoding="raw")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@through_every_client
def test_f36_a_redirect_of_the_token_endpoint_is_refused(world: World, kind: Kind, status: int) -> None:
    """No secret follows a redirect of the token endpoint; the error is typed and names the parameter."""
    with (
        Site(lambda _: Reply(200)) as foreign,
        Site(lambda _: Reply.redirect(f"{foreign.origin}/token", status)) as token_site,
    ):
        alice = world.signed_in(client=world.client(redirected_provider(world, token_site)))
        world.expire()
        with kind.open(alice, follow=True) as http, raises(ConfigurationError, status_code=status) as caught:
            http.get(world.url)
    assert isinstance(caught.value, kind.request_error)
    assert not isinstance(caught.value, kind.transport_error)
    assert foreign.received == []
    assert len(token_site.received) == 1
    assert world.stored(alice).ended is None
    assert world.sandbox.counts.api_requests == 0


@through_every_client
def test_f37_an_authorization_header_of_the_users_own_is_left_alone(world: World, kind: Kind) -> None:
    """A request whose caller set Authorization is sent as it is, its rejection renews nothing, and an event reports
    it.
    """
    with kind.open(world.signed_in()) as http:
        for name in ("Authorization", "authorization"):
            answer = http.get(world.url, headers={name: "Bearer users-own"})
            assert answer.status == 401
            assert answer.token == "users-own"
        http.native.headers["AUTHORIZATION"] = "Basic dXNlcjpvd24="
        assert http.get(world.url).status == 401
    arrived = [request.headers["authorization"] for request in world.sandbox.requests]
    assert arrived == ["Bearer users-own", "Bearer users-own", "Basic dXNlcjpvd24="]
    assert world.renewals == NO_RENEWAL
    assert "header Authorization of its own" in world.events.wait_for("token_withheld", 3).detail
    assert "users-own" not in world.events.wait_for("token_withheld").detail


@through(lambda kind: not kind.is_requests)
def test_f37_two_authorization_headers_of_the_users_own_are_left_alone(world: World, kind: Kind) -> None:
    """A caller of httpx or aiohttp may repeat a header; what that is good for is the caller's business."""
    # aiohttp keeps the last of two that are spelled in different ways.
    second = "Authorization" if kind == AIOHTTP else "authorization"
    own = [("Authorization", "Bearer users-own"), (second, "Bearer another")]
    with Site(lambda _: Reply(200)) as api, kind.open(world.signed_in(api_origins=(api.origin,))) as http:
        assert http.get(api.origin, headers=own).status == 200
        assert http.get(api.origin, headers=[*own, ("Authorization", "Bearer third")]).status == 200
    assert api.authorizations == [
        "Bearer users-own, Bearer another",
        "Bearer users-own, Bearer another, Bearer third",
    ]


@pytest.mark.parametrize("foreign_status", [200, 401])
@through_every_client
def test_f38_an_absolute_url_elsewhere_gets_no_token(world: World, kind: Kind, foreign_status: int) -> None:
    """A request to an origin that is not the provider's is sent without the token, with an event that reports it."""
    alice = world.signed_in()
    with Site(lambda _: Reply(foreign_status, b"", INVALID_TOKEN)) as foreign, kind.open(alice) as http:
        answer = http.get(f"{foreign.origin}/data")
        assert answer.status == foreign_status
        assert http.get(world.url).status == 200
    assert foreign.authorizations == [None]
    assert foreign.origin in world.events.wait_for("token_withheld").detail
    assert world.renewals == NO_RENEWAL


@through_every_client
def test_f38_the_log_warns_once_why_a_request_went_without_the_token(
    world: World, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    """Who sees a bare 401 finds the reason in the log, without having asked for it, and not again for each request."""
    # A name of their own: the log remembers whose reasons it has, and ports come round again.
    source = world.signed_in(f"warned through {kind}")
    with Site(lambda _: Reply(401)) as foreign, kind.open(source) as http:
        for _ in range(3):
            assert http.get(f"{foreign.origin}/data").status == 401
            assert http.get(world.url, headers={"Authorization": "Bearer users-own"}).status == 401
    assert world.events.names.count("token_withheld") == 6
    logged = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(logged) == 2
    assert f"{foreign.origin} is not one of the api_origins; the request was sent without the token" in logged[0]
    assert "the request has a header Authorization of its own" in logged[1]
    assert "users-own" not in caplog.text


@through_every_client
def test_f38_a_grant_that_is_missing_fails_no_foreign_request(world: World, kind: Kind) -> None:
    """A request elsewhere does not even need a grant: no token is sought for it."""
    nobody = world.client().for_subject("nobody")
    with Site(lambda _: Reply(200)) as foreign, kind.open(nobody) as http:
        assert http.get(foreign.origin).status == 200
        with pytest.raises(BlnkAuthError):
            http.get(world.url)


# On trio, httpx warns of its own generators whenever a streamed body is left before its end, with or without us.
leaves_a_body = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <async_generator object:pytest.PytestUnraisableExceptionWarning",
    "ignore:Async generator:ResourceWarning",
)


@leaves_a_body
@pytest.mark.parametrize("body", ["none", "short", "endless"])
@through_every_client
def test_f39_a_pool_of_one_connection_never_deadlocks(world: World, kind: Kind, body: str) -> None:
    """With a single connection, a rejected request is renewed and repeated, however long the rejection's body is."""
    rejections = iter([rejection_with(body)])
    with Site(lambda _: next(rejections, Reply(200))) as api:
        alice = world.signed_in(api_origins=(api.origin,))
        with kind.open(alice, pool=1) as http:
            assert http.get(api.origin).status == 200
            assert http.get(api.origin).status == 200
    assert len(api.received) == 3
    assert_renewed_once(world.sandbox)


@through_every_client
def test_f39_a_rejection_that_is_returned_leaves_the_pool_usable(world: World, kind: Kind) -> None:
    """With a single connection, a rejection that is handed to the caller can be read whole, and the next call works."""
    rejections = iter([Reply(401, [b"a" * 10_000, b"b" * 10_000], {"WWW-Authenticate": "Basic"})])
    with (
        Site(lambda _: next(rejections, Reply(200))) as api,
        kind.open(world.signed_in(api_origins=(api.origin,)), pool=1) as http,
    ):
        assert http.get(api.origin).body == b"a" * 10_000 + b"b" * 10_000
        assert http.get(api.origin).status == 200
    assert world.renewals == NO_RENEWAL


@leaves_a_body
@through_every_client
def test_f39_a_renewal_that_fails_gives_the_connection_back(world: World, kind: Kind) -> None:
    """With a single connection, an error raised after the rejection, with its body unread, leaks no connection."""
    rejections = iter([rejection_with("short"), rejection_with("endless")])
    world.sandbox.fail(Fault(status=503), Fault(status=503))
    with Site(lambda _: next(rejections, Reply(200))) as api:
        alice = world.signed_in(api_origins=(api.origin,))
        with kind.open(alice, pool=1) as http:
            for _ in range(2):
                with pytest.raises(BlnkAuthError) as caught:
                    http.get(api.origin)
                assert isinstance(caught.value, kind.transport_error)
                del caught
                world.clock.advance(60)
            assert http.get(api.origin).status == 200


@leaves_a_body
def test_f39_a_rejection_that_drips_is_left_after_five_seconds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rejection whose body comes a byte at a time, without end, holds up the repeated request for no longer."""
    monkeypatch.setattr(rejection_body, "MAX_REJECTION_SECONDS", 5.0)
    alice = world.signed_in()
    world.sandbox.fail(*[Fault(status=401, headers=INVALID_TOKEN, drip=0.05)] * len(KINDS), at="api")
    with ExitStack() as stack:
        clients = [stack.enter_context(kind.open(alice, pool=1)) for kind in KINDS]
        calls = [http.start("GET", world.url) for http in clients]
        assert [call.result(PATIENCE).status for call in calls] == [200] * len(KINDS)


def rejection_with(body: str) -> Reply:
    bodies: dict[str, Any] = {"none": b"", "short": b'{"error":"no"}', "endless": endless()}
    return Reply(401, bodies[body], INVALID_TOKEN)


@through_every_client
def test_f39_history_shows_the_rejection_and_no_token(world: World, kind: Kind) -> None:
    """The response is marked as a second answer, except in aiohttp, whose history has redirects only."""
    alice = world.signed_in()
    world.sandbox.revoke_access_tokens()
    with kind.open(alice) as http:
        answer = http.get(world.url)
    assert answer.status == 200
    assert answer.history == (() if kind == AIOHTTP else (401,))
    assert answer.token == alice.token().access_token


def test_what_was_retried_is_distinguished_from_the_source(world: World) -> None:
    """`TokenSource.renew(rejected=...)` renews only if that token is still the current one."""
    alice: TokenSource = world.signed_in()
    old = alice.token()
    new = alice.renew(rejected=old)
    assert alice.renew(rejected=old) == new
    assert_renewed_once(world.sandbox)


@through_every_client
def test_a_token_that_was_accepted_is_renewed_after_a_rejection_elsewhere(world: World, kind: Kind) -> None:
    """An endpoint that rejects every token keeps no renewal from another one, once a request was accepted."""
    rejected: list[str | None] = []

    def answer(request: Received) -> Reply:
        if request.path == "/revoked" and not rejected:
            rejected.append(request.authorization)
        is_accepted = request.path != "/never" and request.authorization not in rejected
        return Reply(200) if is_accepted else Reply.rejected()

    with Site(answer) as api, kind.open(world.signed_in(api_origins=(api.origin,))) as http:
        statuses = [http.get(f"{api.origin}/{path}").status for path in ("never", "other", "revoked")]
    assert statuses == [401, 200, 200]
    assert world.renewals == (2, 2, 0)
