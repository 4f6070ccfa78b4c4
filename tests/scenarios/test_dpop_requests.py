"""Requests with bound tokens, through every client, against a server that checks each proof by RFC 9449."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from support.clients import (
    HERD,
    Http,
    Kind,
    through_every_client,
    through_httpx,
    through_requests_and_httpx,
    through_tasks,
    through_threads,
)
from support.dpop_server import DpopServer, Refused, verified
from support.limits import PATIENCE
from support.providers import acme_at
from support.sites import Received, Reply, Site
from support.waiting import Events, Hold

from blnk_auth import ConfigurationError, OAuthClient, RequestsAuth, TokenSource
from blnk_auth.testing import Clock

PAYLOAD = b"0123456789" * 100
ASKS = 'DPoP error="use_dpop_nonce"'


@pytest.fixture
def server() -> Iterator[DpopServer]:
    with DpopServer() as server:
        yield server


def source_at(server: DpopServer, *further: str, **settings: Any) -> TokenSource:
    """A source of bound tokens, for the API of this server and further origins."""
    provider = acme_at(server.origin, server.origin, *further)
    given: dict[str, Any] = {"client_id": "id", "client_secret": "s3cret", "dpop": True, **settings}
    return OAuthClient(provider, **given).for_itself()


def rotating(server: DpopServer) -> None:
    """Every accepted request needs another nonce, and every response brings the next one."""
    counted = itertools.count(1)
    server.nonce = "n0"
    server.next_nonce = lambda _: f"n{next(counted)}"


def attempts(server: DpopServer) -> int:
    return len(server.api_requests)


def jtis(server: DpopServer) -> list[str]:
    return [verified(request.headers["dpop"])[1]["jti"] for request in server.api_requests if "dpop" in request.headers]


# --- proofs and nonces -----------------------------------------------------------------------------------------------


@through_every_client
def test_each_request_has_a_proof_of_its_own(server: DpopServer, kind: Kind) -> None:
    """For its method and URL, without the query, and for the token that it is sent with."""
    with kind.open(source_at(server)) as http:
        for path in ("/accounts?page=2", "/accounts?page=2", "/"):
            assert http.get(f"{server.origin}{path}").status == 200
        assert http.post(f"{server.origin}/pay", data={"amount": "1"}).status == 200
    assert server.refusals == []
    assert len(set(jtis(server))) == attempts(server) == 4
    assert server.issued == 1


@through_every_client
def test_a_rotating_nonce_costs_one_attempt_more_and_then_none(server: DpopServer, kind: Kind) -> None:
    """The first request learns the nonce; each response brings the next one."""
    rotating(server)
    with kind.open(source_at(server)) as http:
        assert [http.get(f"{server.origin}/x").status for _ in range(5)] == [200] * 5
    assert server.refusals == ["the nonce is None, not n0"]
    assert attempts(server) == 6
    assert server.issued == 1


@through_every_client
def test_fifty_callers_share_a_nonce_that_rotates(server: DpopServer, kind: Kind) -> None:
    """Each is sent at most twice, every attempt with a proof of its own, and nobody renews."""
    server.nonce = "n0"
    with kind.open(source_at(server)) as http:
        answers = http.herd(f"{server.origin}/x")
    assert {answer.status for answer in answers} == {200}
    assert attempts(server) <= 2 * HERD
    assert len(set(jtis(server))) == attempts(server)
    assert server.issued == 1


@through_every_client
def test_fifty_callers_with_an_expired_token_renew_it_once(server: DpopServer, kind: Kind) -> None:
    """The new token is bound to the same key."""
    clock = Clock()
    server.clock = clock
    source = source_at(server, clock=clock)
    with kind.open(source) as http:
        http.get(f"{server.origin}/x")
        clock.advance(3601)
        server.revoke_access_tokens()
        assert {answer.status for answer in http.herd(f"{server.origin}/x")} == {200}
    assert server.issued == 2
    assert server.refusals == []


@through_every_client
def test_a_streamed_response_and_a_nonce(server: DpopServer, kind: Kind) -> None:
    """The attempt that was refused frees its connection: the pool has one."""
    server.nonce = "n0"
    with kind.open(source_at(server), pool=1) as http:
        streamed = http.stream(f"{server.origin}/x")
        assert streamed.status == 200
        streamed.close()
    assert attempts(server) == 2


@through_every_client
def test_a_cookie_of_the_refusal_is_sent_with_the_repetition(server: DpopServer, kind: Kind) -> None:
    """As after a 401 that led to a renewal."""
    replies = iter([Reply(401, b"", {"WWW-Authenticate": ASKS, "DPoP-Nonce": "n1", "Set-Cookie": "a=b"})])
    server.answer = lambda _: next(replies, Reply(200))
    with kind.open(source_at(server)) as http:
        assert http.get(f"{server.origin}/x").status == 200
    assert [request.headers.get("cookie") for request in server.api_requests] == [None, "a=b"]


# --- at most three attempts ------------------------------------------------------------------------------------------


@through_every_client
def test_a_nonce_and_then_a_token(server: DpopServer, kind: Kind) -> None:
    """A server that looks at the nonce first. Three attempts, one renewal, three proofs."""
    source = source_at(server)
    source.token()
    server.revoke_access_tokens()
    server.nonce = "n0"
    with kind.open(source) as http:
        assert http.post(f"{server.origin}/x", data={"pay": "1"}).status == 200
    assert [request.body for request in server.api_requests] == [b"pay=1"] * 3
    assert len(set(jtis(server))) == 3
    assert server.issued == 2


@through_every_client
def test_a_token_and_then_a_nonce(server: DpopServer, kind: Kind) -> None:
    """A server whose nonce changes between the two. Three attempts, one renewal."""
    source = source_at(server)
    replies = iter(
        [
            Reply(401, b"", {"WWW-Authenticate": 'DPoP error="invalid_token"'}),
            Reply(401, b"", {"WWW-Authenticate": ASKS, "DPoP-Nonce": "n1"}),
        ]
    )
    server.answer = lambda _: next(replies, Reply(200))
    with kind.open(source) as http:
        assert http.get(f"{server.origin}/x").status == 200
    assert attempts(server) == 3
    assert server.issued == 2


def alternating(first: str, second: str) -> Callable[[Received], Reply]:
    challenges = itertools.cycle([first, second])
    counted = itertools.count()
    return lambda _: Reply(401, b"no", {"WWW-Authenticate": next(challenges), "DPoP-Nonce": f"n{next(counted)}"})


@pytest.mark.parametrize("challenges", [(ASKS, 'DPoP error="invalid_token"'), ('DPoP error="invalid_token"', ASKS)])
@through_every_client
def test_a_server_that_alternates_gets_three_attempts(
    server: DpopServer, kind: Kind, challenges: tuple[str, str]
) -> None:
    """The caller gets the third response. Ten requests cause a few renewals, and not one each."""
    server.answer = alternating(*challenges)
    with kind.open(source_at(server)) as http:
        assert http.get(f"{server.origin}/x").status == 401
        assert attempts(server) == 3
        for _ in range(9):
            assert http.get(f"{server.origin}/x").status == 401
    assert attempts(server) <= 30
    assert server.issued <= 4


# --- hostile nonces --------------------------------------------------------------------------------------------------


@through_every_client
def test_a_nonce_without_end_costs_one_more_attempt_and_no_renewal(server: DpopServer, kind: Kind) -> None:
    """The caller gets the second response, as it is. Neither is a rejection of the token."""
    counted = itertools.count()
    events = Events()
    server.answer = lambda _: Reply(401, b"another", {"WWW-Authenticate": ASKS, "DPoP-Nonce": f"n{next(counted)}"})
    with kind.open(source_at(server, on_event=events)) as http:
        for _ in range(3):
            answer = http.get(f"{server.origin}/x")
            assert (answer.status, answer.body) == (401, b"another")
    assert attempts(server) == 6
    assert server.issued == 1
    assert "rejection_unresolved" not in events.names


UNUSABLE_NONCES: dict[str, dict[str, str]] = {
    "no header": {},
    "empty": {"DPoP-Nonce": ""},
    "a space": {"DPoP-Nonce": "two words"},
    "a quote": {"DPoP-Nonce": 'with"quotes'},
    "not ASCII": {"DPoP-Nonce": "caf\xe9"},
    # aiohttp itself refuses a response with a header that is much longer.
    "8 KB": {"DPoP-Nonce": "n" * 8_000},
}


@pytest.mark.parametrize("headers", UNUSABLE_NONCES.values(), ids=UNUSABLE_NONCES)
@through_every_client
def test_a_nonce_that_cannot_be_used_is_not_sent(server: DpopServer, kind: Kind, headers: dict[str, str]) -> None:
    """The caller gets the response. It costs no attempt and no renewal, and the next request has no such nonce."""
    replies = iter([Reply(401, b"a nonce", {"WWW-Authenticate": ASKS, **headers})])
    server.answer = lambda _: next(replies, Reply(200))
    with kind.open(source_at(server)) as http:
        answer = http.get(f"{server.origin}/x")
        assert (answer.status, answer.body) == (401, b"a nonce")
        assert http.get(f"{server.origin}/x").status == 200
    assert attempts(server) == 2
    assert server.issued == 1
    assert "nonce" not in verified(server.accepted[-1])[1]


def generated(kind: Kind) -> dict[str, Any]:
    """A body that cannot be sent twice."""

    def chunks() -> Iterator[bytes]:
        yield PAYLOAD

    async def achunks() -> Any:
        yield PAYLOAD

    return {kind.body_parameter: achunks() if kind.is_async else chunks()}


@through_every_client
def test_a_body_that_cannot_be_sent_twice_is_not(server: DpopServer, kind: Kind) -> None:
    """The caller gets the 401; the next request has the nonce, and is sent once."""
    server.nonce = "n0"
    with kind.open(source_at(server)) as http:
        assert http.post(f"{server.origin}/x", **generated(kind)).status == 401
        assert http.post(f"{server.origin}/x", **generated(kind)).status == 200
    assert [request.body for request in server.api_requests] == [PAYLOAD] * 2
    assert server.issued == 1


# --- redirects -------------------------------------------------------------------------------------------------------


def redirecting(location: str, status: int = 302) -> Callable[[Received], Reply]:
    return lambda request: Reply.redirect(location, status) if request.path == "/old" else Reply(200, b"new")


@pytest.mark.parametrize("status", [302, 303, 307, 308])
@through_every_client
def test_a_redirect_within_the_origin_gets_a_proof_for_its_url(server: DpopServer, kind: Kind, status: int) -> None:
    """In requests and aiohttp at the first attempt. httpx follows it without a proof, so it is sent once more."""
    server.answer = redirecting("/new?a=b#c", status)
    rotating(server)
    with kind.open(source_at(server), follow=True) as http:
        answer = http.post(f"{server.origin}/old", data={"pay": "1"})
    assert (answer.status, answer.body) == (200, b"new")
    method = "POST" if status > 303 else "GET"
    [old, new] = [verified(proof)[1] for proof in server.accepted]
    assert (old["htm"], old["htu"]) == ("POST", f"{server.origin}/old")
    assert (new["htm"], new["htu"]) == (method, f"{server.origin}/new")
    lost = ["there is no proof"] if kind.is_httpx else []
    assert server.refusals == ["the nonce is None, not n0", *lost]
    assert server.issued == 1


@through_every_client
def test_a_redirect_elsewhere_takes_neither_token_nor_proof(server: DpopServer, kind: Kind) -> None:
    """Also where the API asks for a nonce there."""
    evil = {"WWW-Authenticate": ASKS, "DPoP-Nonce": "evil"}
    with Site(lambda _: Reply(401, b"foreign", evil)) as foreign:
        server.answer = redirecting(f"{foreign.origin}/x")
        with kind.open(source_at(server), follow=True) as http:
            answer = http.get(f"{server.origin}/old")
            assert http.get(f"{server.origin}/old").status == 401
        assert (answer.status, answer.body) == (401, b"foreign")
        assert foreign.authorizations == [None, None]
        assert all("dpop" not in request.headers for request in foreign.received)
    assert server.refusals == []
    assert server.issued == 1


@through_every_client
def test_a_redirect_to_another_allowed_origin_takes_no_proof(server: DpopServer, kind: Kind) -> None:
    """The HTTP clients strip the token there, and a proof is for one origin."""
    with Site(lambda _: Reply(200)) as other:
        server.answer = redirecting(f"{other.origin}/x")
        with kind.open(source_at(server, other.origin), follow=True) as http:
            assert http.get(f"{server.origin}/old").status == 200
        assert other.authorizations == [None]
        assert "dpop" not in other.received[0].headers


@pytest.mark.parametrize("back_to", ["the first origin", "itself"])
@through_every_client
def test_a_redirect_that_leaves_an_origin_may_lead_back_to_it(server: DpopServer, kind: Kind, back_to: str) -> None:
    """Without token and proof, which stay behind at the first redirect to another origin."""
    server.unchecked = ("/new",)

    def redirected_again(request: Received) -> Reply:
        origin = server.origin if back_to == "the first origin" else other.origin
        return Reply.redirect(f"{origin}/new") if request.path == "/x" else Reply(200, b"new")

    with Site(redirected_again) as other:
        server.answer = redirecting(f"{other.origin}/x")
        with kind.open(source_at(server, other.origin), follow=True) as http:
            answer = http.get(f"{server.origin}/old")
        assert (answer.status, answer.body) == (200, b"new")
        after_the_first = [*server.api_requests[1:], *other.received]
        assert len(after_the_first) == 2
        assert not any({"authorization", "dpop"} & request.headers.keys() for request in after_the_first)


@through_threads
def test_a_redirect_that_is_not_followed_can_be_followed_by_hand(server: DpopServer, kind: Kind) -> None:
    """As `response.next` of requests and `response.next_request` of httpx."""
    server.answer = redirecting("/new")
    with kind.open(source_at(server)) as http:
        not_followed = {"allow_redirects": False} if kind.is_requests else {}
        response = http.native.get(f"{server.origin}/old", **not_followed)
        following = response.next if kind.is_requests else response.next_request
        assert http.native.send(following).status_code == 200
    assert server.refusals == []


# --- what stays, what is refused, what is shown ----------------------------------------------------------------------


@through_every_client
def test_headers_of_the_users_own(server: DpopServer, kind: Kind) -> None:
    """An Authorization header stays, with its proof. A proof without one is a typed error, and nothing is sent."""
    with kind.open(source_at(server)) as http:
        http.get(f"{server.origin}/x", headers={"Authorization": "DPoP own", "DPoP": "own"})
        sent = server.api_requests[-1].headers
        assert (sent["authorization"], sent["dpop"]) == ("DPoP own", "own")
        with pytest.raises(ConfigurationError) as caught:
            http.get(f"{server.origin}/x", headers={"DPoP": "own"})
        assert caught.value.parameter == "headers"
        assert isinstance(caught.value, kind.request_error)
    assert attempts(server) == 1


@pytest.mark.parametrize("unchecked", [(), ("/old",), ("/old", "/new")], ids=str)
@through_requests_and_httpx
def test_no_proof_that_is_still_useful_is_shown(server: DpopServer, kind: Kind, unchecked: tuple[str, ...]) -> None:
    """Each proof in a response and in its history has been used up, except the one that the last request was sent with.

    Also where a proxy in front of the API answers the redirect, and leaves the proof unused.
    """
    server.unchecked = unchecked
    server.answer = redirecting("/new")
    server.nonce = "n0"
    shown: list[str] = []
    with kind.open(source_at(server), follow=True) as http:
        native = http.native
        if kind.is_async:
            response = http.portal.call(native.get, f"{server.origin}/old")  # type: ignore[attr-defined]
        else:
            response = native.get(f"{server.origin}/old")
    for each in response.history if "/new" in unchecked else (response, *response.history):
        shown += [proof for proof in [each.request.headers.get("DPoP")] if proof not in (None, "[redacted]")]
    assert response.status_code == 200
    assert len(response.history) >= 1
    assert set(shown) <= set(server.accepted)


def hooked(http: Http) -> list[int]:
    """The statuses that a response hook of the caller's own sees."""
    seen: list[int] = []

    def hook(response: Any, **_: object) -> None:
        seen.append(response.status_code)

    async def ahook(response: Any) -> None:
        hook(response)

    if http.kind.is_requests:
        http.native.hooks["response"].append(hook)
    else:
        http.native.event_hooks = {"response": [ahook if http.kind.is_async else hook]}
    return seen


@through_requests_and_httpx
def test_hooks_of_the_caller_see_what_they_see_of_a_rejected_token(server: DpopServer, kind: Kind) -> None:
    """In requests only the last response; httpx shows each."""
    server.nonce = "n0"
    with kind.open(source_at(server)) as http:
        seen = hooked(http)
        assert http.get(f"{server.origin}/x").status == 200
    assert seen == ([200] if kind.is_requests else [401, 200])


def test_a_prepared_request_that_is_sent_again_gets_another_proof(server: DpopServer) -> None:
    """Requests calls an auth object once for each prepared request. A proof that was used up is replaced."""
    session = requests.Session()
    session.auth = RequestsAuth(source_at(server))
    prepared = session.prepare_request(requests.Request("GET", f"{server.origin}/x"))
    assert [session.send(prepared).status_code for _ in range(3)] == [200] * 3
    assert server.refusals == ["the proof was used before"] * 2
    assert server.issued == 1


@through_httpx
def test_a_request_object_that_is_sent_again_gets_another_proof(server: DpopServer, kind: Kind) -> None:
    """Httpx calls an auth object each time."""
    with kind.open(source_at(server)) as http:
        request = http.native.build_request("GET", f"{server.origin}/x")
        for _ in range(3):
            if kind.is_async:
                http.portal.call(http.native.send, request)  # type: ignore[attr-defined]
            else:
                http.native.send(request)
    assert server.refusals == []
    assert attempts(server) == 3


@through_tasks
def test_a_cancelled_caller_leaves_nothing_behind(server: DpopServer, kind: Kind) -> None:
    """Cancelled while the repetition is on its way: the nonce is known, and the next request is sent once."""
    server.nonce = "n0"
    arrived = threading.Event()
    with Hold() as hold:

        def answer(_: Received) -> Reply:
            arrived.set()
            hold()
            return Reply(200)

        server.answer = answer
        with kind.open(source_at(server)) as http:
            call = http.start("GET", f"{server.origin}/x")
            assert arrived.wait(PATIENCE)
            call.cancel()
            hold.release()
            server.answer = lambda _: Reply(200)
            assert http.get(f"{server.origin}/x").status == 200
    assert attempts(server) == 3
    assert server.issued == 1


# --- without an auth object ------------------------------------------------------------------------------------------


def received(server: DpopServer, method: str, path: str, headers: dict[str, str]) -> Received:
    return Received(method, path, "", {name.lower(): value for name, value in headers.items()}, b"")


def test_headers_for_everything_that_takes_no_auth_object(server: DpopServer) -> None:
    """The proof is for the method that is named, or for GET."""
    source = source_at(server)
    url = f"{server.origin}/x?a=b"
    server.check_api(received(server, "GET", "/x", source.headers(url)))
    server.check_api(received(server, "POST", "/x", source.headers(url, method="POST")))
    server.check_api(received(server, "PUT", "/x", asyncio.run(source.aheaders(url, "PUT"))))
    with pytest.raises(Refused, match="htm is GET, not POST"):
        server.check_api(received(server, "POST", "/x", source.headers(url)))


def test_a_websocket_gets_a_proof_for_its_handshake(server: DpopServer) -> None:
    """The handshake is a GET, and its URI begins with http (RFC 6455 section 4.1)."""
    source = source_at(server)
    server.check_api(received(server, "GET", "/live", source.headers(f"{server.origin}/live".replace("http", "ws", 1))))
