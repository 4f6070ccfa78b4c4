"""Pushed requests (RFC 9126) in a sign-in on this machine: the address that is shown does not expire."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from support.errors import raises
from support.limits import PATIENCE
from support.providers import acme
from support.scripted import ScriptedWorld
from support.token_endpoint import answer, pair, refusal

from blnk_auth import BlnkAuthError, ConfigurationError, SignInRequired, TemporarilyUnavailable, TokenSource
from blnk_auth._protocol.http_messages import HttpResponse

pytestmark = pytest.mark.real

ISSUER = "https://as.acme.test"


def world(**settings: Any) -> ScriptedWorld:
    provider = acme(
        issuer=ISSUER,
        pushed_authorization_request_endpoint=f"{ISSUER}/par",
        requires_pushed_authorization_requests=True,
        **settings,
    )
    return ScriptedWorld(provider, redirect_uri="http://127.0.0.1/callback")


def pushed(number: int) -> HttpResponse:
    return answer({"request_uri": f"urn:{number}", "expires_in": 5}, 201)


class Browser:
    """A user at this machine, who opens what `authorize_interactively` shows."""

    def __init__(self, the_world: ScriptedWorld, url: str, result: Future[TokenSource]) -> None:
        self.world, self.url, self.result = the_world, url, result
        self.http = httpx.Client(timeout=PATIENCE, trust_env=False)

    def open(self, **headers: str) -> httpx.Response:
        return self.http.get(self.url, headers=headers)

    def callback(self, number: int, **changes: str) -> str:
        """What the server answers to the request that was pushed as the given one, from 0."""
        form = self.world.server.forms[number]
        return f"{form['redirect_uri']}?{urlencode({'code': 'c0de', 'state': form['state'], 'iss': ISSUER, **changes})}"

    def come_back(self, number: int = 0, **changes: str) -> httpx.Response:
        return self.http.get(self.callback(number, **changes), follow_redirects=True)


@contextmanager
def signing_in(the_world: ScriptedWorld, **settings: Any) -> Iterator[Browser]:
    """A sign-in under way on a thread of its own."""
    urls: queue.Queue[str] = queue.Queue()
    given = {"open_browser": False, "on_url": urls.put, "timeout": PATIENCE, **settings}
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(lambda: the_world.client.authorize_interactively("alice", **given))
        result.add_done_callback(lambda _: urls.put(""))
        browser = Browser(the_world, urls.get(timeout=PATIENCE), result)
        with browser.http:
            yield browser
            result.exception(PATIENCE)


def test_the_request_is_pushed_when_the_browser_opens() -> None:
    """So the user may take longer than the server keeps a request."""
    the_world = world()
    with signing_in(the_world, scope="data:read", max_age=60) as browser:
        parts = urlsplit(browser.url)
        assert (parts.scheme, parts.hostname, parts.query) == ("http", "127.0.0.1", "")
        assert the_world.server.requests == []
        assert the_world.store.texts == {}
        the_world.clock.advance(3600)
        the_world.server.will(pushed(1), pair(1))
        opened = browser.open()
        assert opened.status_code == 303
        assert parse_qs(urlsplit(opened.headers["location"]).query) == {"client_id": ["id"], "request_uri": ["urn:1"]}
        assert opened.headers["referrer-policy"] == "no-referrer"
        form = the_world.server.forms[0]
        assert (form["scope"], form["max_age"]) == ("data:read", "60")
        shown = browser.come_back()
    assert "You are signed in" in shown.text
    assert browser.result.result().token().access_token == "at1"


def test_an_address_that_is_opened_again_works_again() -> None:
    """Each tab has a request of its own, since a `request_uri` is for one use; any of them may come back."""
    the_world = world()
    with signing_in(the_world) as browser:
        the_world.server.will(pushed(1), pushed(2), pair(1))
        assert [parse_qs(urlsplit(browser.open().headers["location"]).query)["request_uri"] for _ in range(2)] == [
            ["urn:1"],
            ["urn:2"],
        ]
        states = {form["state"] for form in the_world.server.forms}
        assert len(states) == 2
        browser.come_back(0)
    assert the_world.server.forms[2]["code_verifier"]
    assert browser.result.result().token().access_token == "at1"


def test_an_address_is_opened_a_few_times_only() -> None:
    """A program that follows it for ever must not make the client push for ever (promise 9)."""
    the_world = world()
    with signing_in(the_world) as browser:
        the_world.server.will(*map(pushed, range(10)), pair(1))
        statuses = [browser.open().status_code for _ in range(12)]
        browser.come_back(9)
    assert statuses == [303] * 10 + [400] * 2
    assert browser.result.result().token().access_token == "at1"


@pytest.mark.parametrize("way", ["another path", "a prefetch", "a POST", "another host", "a shorter path"])
def test_only_the_user_makes_the_client_push(way: str) -> None:
    """No page of another site, and no browser that looks ahead."""
    the_world = world()
    with signing_in(the_world) as browser:
        parts = urlsplit(browser.url)
        if way == "another path":
            response = browser.http.get(parts._replace(path="/begin/" + "x" * 22).geturl())
        elif way == "a shorter path":
            response = browser.http.get(parts._replace(path="/begin/").geturl())
        elif way == "a prefetch":
            response = browser.open(**{"Sec-Purpose": "prefetch"})
        elif way == "a POST":
            response = browser.http.post(browser.url)
        else:
            response = browser.open(Host="evil.test")
        assert response.status_code >= 400
        assert the_world.server.requests == []
        the_world.server.will(pushed(1), pair(1))
        browser.open()
        browser.come_back()
    assert browser.result.result().subject == "alice"


@pytest.mark.parametrize(
    ("given", "error", "fields"),
    [
        (refusal("invalid_scope"), ConfigurationError, {"parameter": "scope"}),
        (refusal("server_error", 503), TemporarilyUnavailable, {"status_code": 503}),
    ],
    ids=repr,
)
def test_a_request_that_is_refused_ends_the_sign_in(
    given: HttpResponse, error: type[BlnkAuthError], fields: dict[str, Any]
) -> None:
    """The caller gets the error, and the user a page."""
    the_world = world()
    with signing_in(the_world) as browser:
        the_world.server.will(given)
        shown = browser.open()
        with raises(error, **fields):
            browser.result.result(PATIENCE)
    assert shown.status_code == 200
    assert "Signing in did not begin" in shown.text
    assert "acme" in shown.text
    assert the_world.store.texts == {}


def test_a_second_tab_that_is_refused_does_not_end_the_first() -> None:
    """The user may be at the server already."""
    the_world = world()
    with signing_in(the_world) as browser:
        the_world.server.will(pushed(1), answer({}, 429), pair(1))
        assert browser.open().status_code == 303
        assert "did not begin" in browser.open().text
        browser.come_back(0)
    assert browser.result.result().token().access_token == "at1"


def test_an_address_that_is_opened_after_the_end_begins_nothing() -> None:
    """The user went back in the history of the browser."""
    the_world = world()
    late: list[int] = []

    def slowly(_request: Any) -> HttpResponse:
        late.append(browser.open().status_code)
        return pair(1)

    with signing_in(the_world) as browser:
        the_world.server.will(pushed(1), slowly)
        browser.open()
        browser.come_back()
    assert late == [400]
    assert len(the_world.server.requests) == 2


def test_a_callback_before_the_address_was_opened_is_nobodys() -> None:
    """There is no state yet that could be right."""
    the_world = world()
    with signing_in(the_world) as browser:
        callback = urlsplit(browser.url)._replace(path="/callback", query="code=c&state=&iss=" + ISSUER).geturl()
        assert browser.http.get(callback).status_code == 400
        assert browser.http.get(callback.replace("state=&", "")).status_code == 400
        the_world.server.will(pushed(1), pair(1))
        browser.open()
        browser.come_back()
    assert browser.result.result().subject == "alice"


def test_with_pasted_addresses_it_is_pushed_immediately() -> None:
    """The browser may be on another machine, which cannot reach the listener."""
    the_world = world()
    the_world.server.will(pushed(1), pair(1))
    pasted: queue.Queue[str] = queue.Queue()
    with signing_in(the_world, pasted=pasted.get) as browser:
        assert parse_qs(urlsplit(browser.url).query) == {"client_id": ["id"], "request_uri": ["urn:1"]}
        pasted.put(browser.callback(0))
    assert browser.result.result().token().access_token == "at1"


@pytest.mark.parametrize(
    ("settings", "parameter"),
    [({"authorization_endpoint": None}, "authorization_endpoint"), ({"requires_scope": True}, "scope")],
)
def test_what_cannot_work_is_raised_before_the_browser_opens(settings: dict[str, Any], parameter: str) -> None:
    """And not when the user is there."""
    shown: list[str] = []
    the_world = world(**settings)
    with raises(ConfigurationError, parameter=parameter):
        the_world.client.authorize_interactively("alice", open_browser=False, on_url=shown.append)
    assert shown == []
    assert the_world.server.requests == []


def test_an_address_that_nobody_opens_pushes_nothing() -> None:
    """The sign-in ends with its time."""
    the_world = world()
    with raises(SignInRequired, reason="restart"):
        the_world.client.authorize_interactively("alice", open_browser=False, on_url=str, timeout=0)
    assert the_world.server.requests == []
    assert the_world.store.texts == {}
