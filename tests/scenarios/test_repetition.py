"""A request that is repeated after a rejection leaves everything else as the caller's HTTP client would have it.

Its redirects, cookies, hooks, history and elapsed time, a body that breaks off, a response in a pickle.
"""

from __future__ import annotations

import io
import json
import pickle
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter
from support.clients import (
    AIOHTTP,
    REQUESTS,
    Http,
    Kind,
    through_every_client,
    through_httpx,
    through_requests_and_httpx,
    through_threads,
)
from support.providers import acme_at
from support.sites import Received, Reply, Site
from support.worlds import NO_RENEWAL, SharedWorld, World

from blnk_auth import BlnkAuthError, RequestsAuth, StaticToken, TokenSource
from blnk_auth.provider import PerCall
from blnk_auth.testing import assert_renewed_once

INVALID_TOKEN = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
PAYLOAD = b"0123456789" * 100
CUSTOMER = {"X-Customer": "a secret of its own"}


class Api:
    """Answers with these replies, one after another, then with 200."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = iter(replies)
        self.site = Site(lambda _: next(self._replies, Reply(200, b"done")))

    def __enter__(self) -> Site:
        return self.site.__enter__()

    def __exit__(self, *_: object) -> None:
        self.site.__exit__()


def sent(site: Site) -> list[tuple[str, str, bytes]]:
    return [(request.method, request.path, request.body) for request in site.received]


# --- redirects ---------------------------------------------------------------------------------------------------


def generated(kind: Kind) -> dict[str, Any]:
    """A body that cannot be sent twice."""

    def chunks() -> Iterator[bytes]:
        yield PAYLOAD

    async def achunks() -> Any:
        yield PAYLOAD

    return {kind.body_parameter: achunks() if kind.is_async else chunks()}


@pytest.mark.parametrize("body", ["bytes", "generator"])
@pytest.mark.parametrize("status", [301, 302, 303])
@through_every_client
def test_f34_what_was_done_before_a_redirect_is_not_done_again(
    world: World, kind: Kind, status: int, body: str
) -> None:
    """A POST that was accepted and answered with a redirect is not sent again because its GET was rejected."""
    with Api(Reply.redirect("/end", status), Reply.rejected()) as api:
        with kind.open(world.signed_in(api_origins=(api.origin,)), follow=True) as http:
            given = generated(kind) if body == "generator" else {"data": {"pay": "100"}}
            answer = http.post(f"{api.origin}/start", **given)
        assert (answer.status, answer.body) == (200, b"done")
        assert [(method, path) for method, path, _ in sent(api)] == [
            ("POST", "/start"),
            ("GET", "/end"),
            ("GET", "/end"),
        ]
        assert api.authorizations[2] not in api.authorizations[:2]
    assert_renewed_once(world.sandbox)


@pytest.mark.parametrize("status", [307, 308])
@through_every_client
def test_f34_a_body_that_followed_a_redirect_is_repeated_whole(world: World, kind: Kind, status: int) -> None:
    """Where a redirect keeps the method, the request that was rejected is the second: it is repeated with its body."""
    with Api(Reply.redirect("/end", status), Reply.rejected()) as api:
        with kind.open(world.signed_in(api_origins=(api.origin,)), follow=True) as http:
            assert http.post(f"{api.origin}/start", data={"pay": "100"}).status == 200
        assert sent(api) == [("POST", path, b"pay=100") for path in ("/start", "/end", "/end")]
    assert_renewed_once(world.sandbox)


def with_api_headers(world: World, api: Site, headers: PerCall = CUSTOMER) -> TokenSource:
    """Somebody at a provider that wants a header of its own with each request."""
    provider = world.acme(api.origin, api_headers=headers)
    return world.signed_in(client=world.client(provider))


@through_every_client
def test_f35_the_redirect_of_a_repeated_request_takes_no_header_elsewhere(world: World, kind: Kind) -> None:
    """When a repeated request is answered with a redirect to another host, neither token nor our headers go there."""
    with Site(lambda _: Reply(200)) as foreign, Api(Reply.rejected(), Reply.redirect(foreign.origin)) as api:
        with kind.open(with_api_headers(world, api), follow=True) as http:
            assert http.get(api.origin).status == 200
        assert [request.headers["x-customer"] for request in api.received] == ["a secret of its own"] * 2
        assert foreign.authorizations == [None]
        assert "x-customer" not in foreign.received[0].headers


@through_every_client
def test_f35_a_redirect_elsewhere_asks_for_no_headers_again(world: World, kind: Kind) -> None:
    """A callable is asked once for each attempt; what it would do on the way to another host harms nobody.

    In aiohttp a redirect within the origin is an attempt of its own.
    """
    made = iter([CUSTOMER] * (2 if kind == AIOHTTP else 1))
    with Site(lambda _: Reply(200)) as foreign, Api(Reply.redirect("/on"), Reply.redirect(foreign.origin)) as api:
        with kind.open(with_api_headers(world, api, lambda _: next(made)), follow=True) as http:
            assert http.get(api.origin).status == 200
        assert api.received[0].headers["x-customer"] == "a secret of its own"
        assert foreign.authorizations == [None]
        assert "x-customer" not in foreign.received[0].headers


@through_every_client
def test_f35_headers_with_other_names_in_each_attempt_stay_at_home(world: World, kind: Kind) -> None:
    """Neither those of the rejected attempt nor those of the repeated one go to another host."""
    made = iter([{"X-First": "1"}, {"X-Second": "2"}])
    with Site(lambda _: Reply(200)) as foreign, Api(Reply.rejected(), Reply.redirect(foreign.origin)) as api:
        with kind.open(with_api_headers(world, api, lambda _: next(made)), follow=True) as http:
            assert http.get(api.origin).status == 200
        assert api.received[0].headers["x-first"] == "1"
        assert api.received[1].headers["x-second"] == "2"
        assert {"x-first", "x-second"} & foreign.received[0].headers.keys() == set()


@pytest.mark.parametrize("location", ["http://a:b:c/", "https://exa mple/", "https://m\xc3\xbcnchen.test/", "mailto:x"])
def test_f35_a_location_that_is_not_a_url_is_for_the_caller_to_read(world: World, location: str) -> None:
    """In requests, who does not follow redirects gets the response, with any Location; httpx reads it."""
    with Api(Reply.redirect(location)) as api, REQUESTS.open(world.signed_in(api_origins=(api.origin,))) as http:
        assert http.get(api.origin).status == 302


@pytest.mark.parametrize("path", ["/direct", "/redirected"])
def test_f30_a_prepared_request_and_its_copies_are_repeated_each_time_they_are_sent(world: World, path: str) -> None:
    """In requests, one prepared long ago carries an old token; the retry of a copy changes nothing about it."""
    alice = world.signed_in()

    def answer(request: Received) -> Reply:
        if request.path == "/redirected":
            return Reply.redirect("/direct")
        return Reply(200) if request.authorization == f"Bearer {alice.token().access_token}" else Reply.rejected()

    with Site(answer) as api, requests.Session() as session:
        alice = world.signed_in(api_origins=(api.origin,))
        prepared = session.prepare_request(requests.Request("GET", f"{api.origin}{path}", auth=RequestsAuth(alice)))
        for _ in range(2):
            alice.renew()
            for each in (prepared.copy(), prepared, prepared.copy(), prepared):
                assert session.send(each).status_code == 200
    assert world.renewals == (2, 2, 0)


# --- a rejection whose body breaks off -----------------------------------------------------------------------------


def breaking_off() -> Iterator[bytes]:
    yield b'{"error":'
    raise ConnectionError


@pytest.mark.parametrize("reads_body", [False, True])
@through_every_client
def test_f39_a_rejection_whose_body_breaks_off_is_resolved_all_the_same(
    world: World, kind: Kind, reads_body: bool
) -> None:
    """The status and the challenge are enough: the request is repeated, and nobody sees the broken body."""
    with Api(Reply(401, breaking_off(), INVALID_TOKEN)) as api:
        provider = world.acme(api.origin, reads_rejection_body=reads_body)
        with kind.open(world.signed_in(client=world.client(provider)), pool=1) as http:
            assert http.get(api.origin).status == 200
            assert http.get(api.origin).status == 200
    assert_renewed_once(world.sandbox)


@through_every_client
def test_f39_a_rejection_whose_body_breaks_off_fails_for_who_must_read_it(world: World, kind: Kind) -> None:
    """A rejection that no token resolves is the caller's, with the client's own error where it breaks off."""
    basic = {"WWW-Authenticate": "Basic"}
    with Api(Reply(401, breaking_off(), basic)) as api, kind.open(world.signed_in(api_origins=(api.origin,))) as http:
        with pytest.raises(kind.request_error) as caught:
            http.get(api.origin)
        assert not isinstance(caught.value, BlnkAuthError)
        assert http.get(api.origin).status == 200
    assert world.renewals == NO_RENEWAL


class InMemory(BaseAdapter):
    """An adapter as tests write them: its responses have a file for a body."""

    def __init__(self, *statuses: int) -> None:
        super().__init__()
        self._statuses = iter(statuses)

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        response = requests.Response()
        response.status_code = next(self._statuses)
        response.raw, response.request, response.url = io.BytesIO(b"{}"), request, request.url or ""
        response.connection = self  # type: ignore[attr-defined]  # as requests' own adapter does
        return response

    def close(self) -> None:
        """Nothing is open."""


def test_f39_an_adapter_may_give_any_file_for_the_body_of_a_rejection(world: World) -> None:
    """In requests a body need not come from urllib3."""
    with REQUESTS.open(world.signed_in()) as http:
        http.native.mount("http://", InMemory(401, 200))
        answer = http.get(world.url)
    assert (answer.status, answer.body, answer.history) == (200, b"{}", (401,))
    assert_renewed_once(world.sandbox)


# --- cookies, hooks, history, elapsed ------------------------------------------------------------------------------


@through_every_client
def test_f39_cookies_of_both_answers_are_kept_and_the_authorization_servers_are_not(world: World, kind: Kind) -> None:
    """The jar holds what the API set, with the rejection too, which the repetition carries; and nothing else."""
    issued = world.sandbox.issue("alice")

    def token_endpoint(_: Received) -> Reply:
        return Reply(200, json.dumps(issued).encode(), {"Set-Cookie": "as=1"})

    rejected = Reply(401, b"", {**INVALID_TOKEN, "Set-Cookie": "rejected=1"})
    with Site(token_endpoint) as server, Api(rejected, Reply(200, b"", {"Set-Cookie": "accepted=1"})) as api:
        provider = acme_at(server.origin, api.origin)
        with kind.open(world.signed_in(client=world.client(provider))) as http:
            assert http.get(api.origin).status == 200
            assert cookies(http) == {"rejected": "1", "accepted": "1"}
            assert [request.headers.get("cookie") for request in api.received] == [None, "rejected=1"]
        assert ["cookie" in request.headers for request in server.received] == [False]


def cookies(http: Http) -> dict[str, str]:
    """What the client's jar has."""
    if http.kind == AIOHTTP:
        return {morsel.key: morsel.value for morsel in http.native.cookie_jar}
    return dict(http.native.cookies)


def watch(http: Http) -> list[int]:
    """The statuses that a response hook of the caller's own sees."""
    seen: list[int] = []

    def hook(response: Any, **_: object) -> None:
        seen.append(response.status_code)

    async def ahook(response: Any) -> None:
        seen.append(response.status_code)

    if http.kind.is_requests:
        http.native.hooks["response"].append(hook)
    else:
        http.native.event_hooks = {"response": [ahook if http.kind.is_async else hook]}
    return seen


@through_requests_and_httpx
def test_f39_hooks_of_the_callers_see_the_apis_answers_and_no_token_request(world: World, kind: Kind) -> None:
    """In requests the rejection has been dealt with before a hook of the caller's runs; httpx shows it both answers."""
    with Api(Reply.rejected()) as api, kind.open(world.signed_in(api_origins=(api.origin,))) as http:
        seen = watch(http)
        assert http.get(api.origin).status == 200
        assert seen == ([200] if kind.is_requests else [401, 200])
    assert_renewed_once(world.sandbox)


@through_requests_and_httpx
def test_f39_history_has_the_rejection_and_no_token_request(world: World, kind: Kind) -> None:
    """A response is marked as a second answer; in requests its history does not show the rejected token."""
    alice = world.signed_in()
    old = alice.token()
    world.sandbox.revoke_access_tokens()
    with kind.open(alice) as http:
        response = native_response(http, world.url)
    [rejected] = response.history
    assert (rejected.status_code, response.status_code) == (401, 200)
    assert old.access_token not in str([dict(each.request.headers) for each in (rejected, response)])
    assert b"refresh_token" not in rejected.content + response.content


def native_response(http: Any, url: str) -> Any:
    """The package's own response."""
    return http.portal.call(http.native.get, url) if http.kind.is_async else http.native.get(url)


@through_requests_and_httpx
def test_f39_elapsed_is_the_time_of_the_answer_that_is_returned(world: World, kind: Kind) -> None:
    """Neither the first attempt nor the renewal is counted."""
    alice = world.signed_in()
    world.sandbox.revoke_access_tokens()
    world.sandbox.token_latency = 0.3
    with kind.open(alice) as http:
        began_at = time.monotonic()
        elapsed = native_response(http, world.url).elapsed
    assert timedelta(0) < elapsed < timedelta(seconds=time.monotonic() - began_at - 0.29)


# --- pickled -------------------------------------------------------------------------------------------------------


@through_threads
def test_f52_a_pickled_response_takes_no_refresh_token_along(shared_world: SharedWorld, kind: Kind) -> None:
    """What pickles without our auth pickles with it, even over a store that does not, and has nothing from us in it."""
    alice = shared_world.signed_in()
    token = alice.token()
    with kind.open(alice) as http:
        pickled = pickle.dumps(native_response(http, shared_world.url))
    again = pickle.loads(pickled)
    assert again.status_code == 200
    assert (token.refresh_token or "?").encode() not in pickled
    assert shared_world.sandbox.client_secret.encode() not in pickled
    if kind.is_requests:
        with requests.Session() as session:
            assert session.send(again.request).status_code == 200


@through_httpx
def test_f52_a_response_to_a_request_with_our_headers_can_be_pickled(world: World, kind: Kind) -> None:
    """In httpx a key in a header of its own stays behind."""
    key = StaticToken("a-fixed-api-key", api_origins=(world.sandbox.origin,), header="X-Blnk-Key")
    with kind.open(key) as http:
        response = native_response(http, world.url)
    pickled = pickle.dumps(response)
    assert b"a-fixed-api-key" not in pickled
    assert pickle.loads(pickled).request.headers["host"] == response.request.headers["host"]


@through_requests_and_httpx
def test_f52_a_response_to_a_repeated_request_can_be_pickled(world: World, kind: Kind) -> None:
    """With its history, also if the rejection set a cookie; no refresh token is in it."""
    rejected = Reply(401, b"expired", {**INVALID_TOKEN, "Set-Cookie": "rejected=1"})
    with Api(rejected) as api, kind.open(world.signed_in(api_origins=(api.origin,))) as http:
        response = native_response(http, api.origin)
    again = pickle.loads(pickled := pickle.dumps(response))
    assert (again.status_code, [each.status_code for each in again.history]) == (200, [401])
    assert again.history[0].content == b"expired"
    assert b"refresh_token" not in pickled
