"""Signing in from a program: the loopback listener, who may end the sign-in, and pasting (F57, F58, F59)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
import trio
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from support.canary.leaks import everything_in, leaks
from support.errors import raises
from support.limits import PATIENCE
from support.providers import acme
from support.scripted import ScriptedWorld
from support.token_endpoint import answer, pair
from support.waiting import busy_workers, settle

from blnk_auth import (
    BlnkAuthError,
    ConfigurationError,
    OAuthClient,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
    TokenSource,
)
from blnk_auth._protocol.http_messages import HttpRequest, HttpResponse
from blnk_auth._renewal import operations, single_flight, worker
from blnk_auth._sign_in import interactive
from blnk_auth._sign_in.loopback import listen

pytestmark = pytest.mark.real

ISSUER = "https://as.acme.test"
CODE = "c0de-of-alice"


def world(redirect_uri: str | None = "http://127.0.0.1/callback", **settings: Any) -> ScriptedWorld:
    return ScriptedWorld(acme(issuer=ISSUER), redirect_uri=redirect_uri, **settings)


class Attempt:
    """A sign-in under way on a thread of its own, and the browser in front of it."""

    def __init__(self, the_world: ScriptedWorld, **settings: Any) -> None:
        self.world = the_world
        self._urls: queue.Queue[str] = queue.Queue()
        self._pool = ThreadPoolExecutor(1)
        given = {"open_browser": False, "on_url": self._urls.put, "timeout": PATIENCE, **settings}
        self.result: Future[TokenSource] = self._pool.submit(
            lambda: the_world.client.authorize_interactively("alice", **given)
        )
        self.browser = httpx.Client(timeout=PATIENCE, trust_env=False)

    def __enter__(self) -> Self:
        self.result.add_done_callback(lambda _: self._urls.put(""))
        self.url = self._urls.get(timeout=PATIENCE)
        if not self.url:
            self.result.result()
        self.sent = {name: values[0] for name, values in parse_qs(urlsplit(self.url).query).items()}
        self.redirect_uri = self.sent["redirect_uri"]
        return self

    def __exit__(self, *_: object) -> None:
        self.browser.close()
        self._pool.shutdown(wait=True)

    def callback(self, **changes: str | None) -> str:
        """Where the browser is sent; None leaves a parameter out."""
        members = {"code": CODE, "state": self.sent["state"], "iss": ISSUER, **changes}
        return f"{self.redirect_uri}?{urlencode({k: v for k, v in members.items() if v is not None})}"

    def come_back(self, url: str | None = None) -> httpx.Response:
        """The browser follows the redirect to the end."""
        return self.browser.get(self.callback() if url is None else url, follow_redirects=True)

    def send(self, url: str) -> socket.socket:
        """A browser that has sent its request: the listener reads it before any that is sent later."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        target = url.partition(str(self.port))[2]
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
        return connection

    def follow(self, connection: socket.socket) -> httpx.Response:
        """It gets its answer, a redirect, and follows it."""
        with connection, connection.makefile("rb") as received:
            (location,) = [line for line in received.read().decode().splitlines() if line.startswith("location: ")]
        return self.browser.get(f"http://127.0.0.1:{self.port}{location.removeprefix('location: ')}")

    def source(self) -> TokenSource:
        return self.result.result(PATIENCE)

    def error(self) -> BaseException:
        error = self.result.exception(PATIENCE)
        assert error is not None
        return error

    @property
    def port(self) -> int:
        return urlsplit(self.redirect_uri).port or 0


_NOBODY_LISTENS = (errno.ECONNREFUSED, errno.EADDRNOTAVAIL, errno.ENETUNREACH)
"""The last two: without IPv6."""


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # A listener that accepts no connection takes no further one once its queue is full.
        probe.settimeout(1)
        return probe.connect_ex((host, port)) in _NOBODY_LISTENS


@contextlib.contextmanager
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


# --- coming back -----------------------------------------------------------------------------------------------------


def test_the_browser_comes_back_and_the_tokens_are_stored() -> None:
    """The code is exchanged with the verifier and redirect URI of this sign-in, and the page reports success."""
    with Attempt(world()) as attempt:
        attempt.world.server.will(pair(1))
        shown = attempt.come_back()
        source = attempt.source()
    (form,) = attempt.world.server.forms
    assert create_s256_code_challenge(form["code_verifier"]) == attempt.sent["code_challenge"]
    assert (form["code"], form["redirect_uri"]) == (CODE, attempt.redirect_uri)
    assert (source.subject, source.token().access_token) == ("alice", "at1")
    assert attempt.world.stored(source).token.refresh_token == "rt1"
    assert attempt.world.emitted() == ["signed_in"]
    assert shown.status_code == 200
    assert "You are signed in" in shown.text


def test_scope_and_parameters_reach_the_authorization_url() -> None:
    """As with start_authorization."""
    with Attempt(world(), scope="data:read", parameters={"provider_id": "7"}) as attempt:
        attempt.world.server.will(pair(1))
        attempt.come_back()
    assert (attempt.sent["scope"], attempt.sent["provider_id"]) == ("data:read", "7")


def test_neither_code_nor_state_stays_in_the_address_bar() -> None:
    """The browser is redirected to a clean address; no page, header or cache keeps the secret one."""
    with Attempt(world()) as attempt:
        attempt.world.server.will(pair(1))
        first = attempt.browser.get(attempt.callback())
        assert attempt.browser.get(f"http://127.0.0.1:{attempt.port}/done/denied").status_code == 404
        page = attempt.browser.get(f"http://127.0.0.1:{attempt.port}{first.headers['location']}")
        attempt.source()
    assert (first.status_code, first.headers["location"], first.content) == (303, "/done/success", b"")
    for response in (first, page):
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert leaks([response.headers, response.text], [CODE, attempt.sent["state"], "at1", "rt1"]) == []


def test_a_user_who_refuses_sees_what_to_do() -> None:
    """The page reports that no access was given; the caller gets the typed error; no token is asked for."""
    with Attempt(world()) as attempt:
        shown = attempt.come_back(attempt.callback(code=None, error="access_denied"))
        error = attempt.error()
    assert shown.url.path == "/done/denied"
    assert "You did not give access" in shown.text
    assert "start again in the application" in shown.text
    assert isinstance(error, SignInRequired)
    assert (error.reason, error.subject) == ("denied", "alice")
    assert attempt.world.server.requests == []


def test_a_failed_exchange_is_shown_and_raised() -> None:
    """The page describes what the error describes, escaped, and what to do; an older grant stays in force."""
    the_world = world()
    old = the_world.signed_in()
    with Attempt(the_world) as attempt:
        the_world.server.will(answer({"error": "invalid_client", "error_description": "<b>bad</b>"}, 401))
        shown = attempt.come_back()
        error = attempt.error()
    assert shown.url.path == "/done/failed"
    assert "invalid_client: &lt;b&gt;bad&lt;/b&gt;" in shown.text
    assert "start again" in shown.text
    assert isinstance(error, ConfigurationError)
    assert old.token().access_token == "at0"


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_the_async_twin_does_the_same(run: Callable[..., Any]) -> None:
    """On both loops, which are free meanwhile: the browser is a task of the same loop."""
    the_world = world()
    the_world.server.will(pair(1))
    urls: queue.Queue[str] = queue.Queue()

    def be_the_browser(url: str) -> None:
        sent = parse_qs(urlsplit(url).query)
        query = urlencode({"code": CODE, "state": sent["state"][0]})
        httpx.get(f"{sent['redirect_uri'][0]}?{query}", follow_redirects=True, trust_env=False)
        urls.put(url)

    async def main() -> TokenSource:
        return await the_world.client.aauthorize_interactively("alice", open_browser=False, on_url=be_the_browser)

    source = run(main() if run is asyncio.run else main)
    assert source.token().access_token == "at1"
    assert urls.get(timeout=PATIENCE)


# --- F57: what must not end it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "somebody-elses"},
        {"state": None},
        {"state": ""},
        {"state": "ünï"},
        {"iss": "https://evil.test"},
        {"iss": ISSUER + "/"},
        {"code": None},
        {"state": "somebody-elses", "code": None, "error": "access_denied"},
        {"iss": "https://evil.test", "code": None, "error": "access_denied"},
    ],
    ids=repr,
)
def test_f57_an_answer_that_is_not_ours_ends_nothing(changes: dict[str, str | None]) -> None:
    """F57: it gets a page that names no state, no token is asked for, and the right answer still works."""
    with Attempt(world()) as attempt:
        stray = attempt.come_back(attempt.callback(**changes))
        assert stray.status_code == 400
        assert "This link is not valid here" in stray.text
        assert leaks([stray.text, stray.headers], [attempt.sent["state"], "somebody-elses", CODE]) == []
        assert attempt.world.server.requests == []
        attempt.world.server.will(pair(1))
        attempt.come_back()
        assert attempt.source().token().access_token == "at1"


def test_an_answer_without_the_promised_iss_ends_nothing() -> None:
    """RFC 9207 section 2.4: it may be another server's, and the right answer still works."""
    with Attempt(
        ScriptedWorld(acme(issuer=ISSUER, sends_iss=True), redirect_uri="http://127.0.0.1/callback")
    ) as attempt:
        assert attempt.come_back(attempt.callback(iss=None)).status_code == 400
        assert attempt.world.server.requests == []
        attempt.world.server.will(pair(1))
        attempt.come_back()
        assert attempt.source()


@pytest.mark.parametrize("name", ["state", "code", "iss"])
def test_f57_a_parameter_that_comes_twice_ends_nothing(name: str) -> None:
    """F57: which of the two is meant cannot be known."""
    with Attempt(world()) as attempt:
        url = f"{attempt.callback()}&{name}={attempt.sent['state']}"
        assert attempt.come_back(url).status_code == 400
        attempt.world.server.will(pair(1))
        attempt.come_back()
        assert attempt.source()


@pytest.mark.parametrize(
    ("method", "path", "host", "status"),
    [
        ("GET", "/favicon.ico", None, 404),
        ("GET", "/", None, 404),
        ("GET", "/callback/", None, 404),
        ("GET", "/callbackx", None, 404),
        ("GET", "/CALLBACK", None, 404),
        ("GET", "/done/success", None, 404),
        ("GET", "/done/denied", None, 404),
        ("HEAD", "/callback", None, 405),
        ("POST", "/callback", None, 405),
        ("OPTIONS", "/callback", None, 405),
        ("GET", "/callback", "evil.test", 421),
        ("GET", "/callback", "127.0.0.1", 421),
        ("GET", "/callback", "localhost:1", 421),
        ("GET", "/callback", "127.0.0.1:{port}:1", 421),
        ("GET", "/callback", "127.0.0.1:{port}.evil.test", 421),
    ],
)
def test_f57_a_stray_hit_is_answered_and_ignored(method: str, path: str, host: str | None, status: int) -> None:
    """F57: favicons, link checkers, other paths, and a name that was made to point here, even with the right query."""
    with Attempt(world()) as attempt:
        url = attempt.callback().replace("/callback?", f"{path}?")
        headers = {} if host is None else {"Host": host.format(port=attempt.port)}
        assert attempt.browser.request(method, url, headers=headers).status_code == status
        assert attempt.world.server.requests == []
        attempt.world.server.will(pair(1))
        attempt.come_back()
        assert attempt.source()


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST:{port}"])
def test_any_name_of_this_machine_with_the_right_port_will_do(host: str) -> None:
    """A user who corrects the address by hand, or whose system resolves localhost to the other address, comes back."""
    with Attempt(world("http://localhost/callback")) as attempt:
        attempt.world.server.will(pair(1))
        named = {"Host": host.format(port=attempt.port)}
        location = attempt.browser.get(attempt.callback(), headers=named).headers["location"]
        attempt.browser.get(f"http://127.0.0.1:{attempt.port}{location}", headers=named)
        assert attempt.source()


def test_another_port_gets_a_page_that_describes_what_to_do() -> None:
    """As with `ssh -L 9000:localhost:8765`: the browser asks for a port that the sign-in does not have."""
    with Attempt(world()) as attempt:
        shown = attempt.browser.get(attempt.callback(), headers={"Host": "localhost:9000"})
        assert (shown.status_code, shown.headers["content-type"]) == (421, "text/html; charset=utf-8")
        assert "paste it into the application" in shown.text
        assert f"9000 instead of {attempt.port}" in shown.text
        attempt.world.server.will(pair(1))
        attempt.come_back()
        assert attempt.source()


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Purpose": "prefetch"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
        {"X-Purpose": "preview"},
        {"X-Moz": "prefetch"},
    ],
    ids=str,
)
def test_what_a_browser_fetches_ahead_uses_nothing_up(headers: dict[str, str]) -> None:
    """The page is for the request that the user makes, and so is the code."""
    with Attempt(world()) as attempt:
        ahead = attempt.browser.get(attempt.callback(), headers=headers)
        assert (ahead.status_code, ahead.headers["cache-control"]) == (503, "no-store")
        assert attempt.world.server.requests == []
        attempt.world.server.will(pair(1))
        shown = attempt.come_back()
        assert "You are signed in" in shown.text
        assert attempt.source()


def test_a_refusal_without_state_is_explained_and_ends_nothing() -> None:
    """On the page and where it is pasted; only a registered code is shown, and the right answer still works."""
    pasted: queue.Queue[str] = queue.Queue()
    problems: queue.Queue[str] = queue.Queue()
    with Attempt(world(), pasted=pasted.get, on_problem=problems.put) as attempt:
        refused = attempt.callback(state=None, code=None, error="access_denied", error_description="call 555")
        shown = attempt.come_back(refused)
        pasted.put(refused)
        for text in (shown.text, problems.get(timeout=PATIENCE)):
            assert "access_denied" in text
            assert "no state" in text
            assert "call 555" not in text
        assert shown.status_code == 400
        attempt.world.server.will(pair(1))
        attempt.come_back()
        assert attempt.source()
        pasted.put(attempt.callback())


def test_an_exchange_that_spent_nothing_is_repeated() -> None:
    """The browser comes back once, so nobody else could repeat it; the user sees the page of the success."""
    with Attempt(world()) as attempt:
        attempt.world.server.will(answer({}, 503, retry_after="0"), answer({}, 429, retry_after="0"), pair(1))
        assert attempt.come_back().url.path == "/done/success"
        assert attempt.source().token().access_token == "at1"
    assert [form["code"] for form in attempt.world.server.forms] == [CODE] * 3


@pytest.mark.parametrize(
    "given", [[answer({}, 503, retry_after="0")] * 4, [answer({}, 502)], [answer({}, 503, retry_after="31")]], ids=len
)
def test_an_outage_that_lasts_ends_the_sign_in(given: list[HttpResponse]) -> None:
    """After a few attempts, or immediately where the code may be spent or the server names too long a time."""
    with Attempt(world()) as attempt:
        attempt.world.server.will(*given)
        assert attempt.come_back().url.path == "/done/failed"
        error = attempt.error()
    assert isinstance(error, TemporarilyUnavailable)
    assert len(attempt.world.server.requests) == len(given)


@pytest.mark.parametrize("first", ["http", "pasted"])
def test_f57_a_second_hit_does_nothing_and_sees_the_same_page(first: str) -> None:
    """F57: while the code is being exchanged; it is exchanged once."""
    arrived, go_on = threading.Event(), threading.Event()

    def exchange(_: HttpRequest) -> HttpResponse:
        arrived.set()
        assert go_on.wait(PATIENCE)
        return pair(1)

    pasted: queue.Queue[str | None] = queue.Queue()
    with Attempt(world(), pasted=pasted.get) as attempt:
        attempt.world.server.will(exchange)
        hits = []
        if first == "http":
            hits.append(attempt.send(attempt.callback()))
        else:
            pasted.put(attempt.callback())
        assert arrived.wait(PATIENCE)
        hits.append(attempt.send(attempt.callback(code="another")))
        # It comes after the second hit, and its answer proves that the second has been read.
        assert attempt.come_back(attempt.callback(state="x")).status_code == 400
        go_on.set()
        assert [attempt.follow(hit).url.path for hit in hits] == ["/done/success"] * len(hits)
        assert attempt.source().token().access_token == "at1"
        pasted.put(None)
    assert len(attempt.world.server.requests) == 1


# --- F58: the listener -----------------------------------------------------------------------------------------------


def test_f58_the_port_is_free_and_in_the_redirect_uri() -> None:
    """F58: two sign-ins at the same time get two ports, each on 127.0.0.1 only, and nothing listens afterwards."""
    with Attempt(world()) as one, Attempt(world()) as two:
        assert one.port != two.port
        assert one.redirect_uri == f"http://127.0.0.1:{one.port}/callback"
        assert not is_free(one.port)
        assert is_free(one.port, "127.0.0.2")
        assert is_free(one.port, "::1")
        for each in (one, two):
            each.world.server.will(pair(1))
            each.come_back()
            each.source()
            assert is_free(each.port)


def test_f58_a_registered_port_is_used_and_may_be_overruled() -> None:
    """F58: for servers that compare the redirect URI to the letter."""
    with taken() as port:
        pass
    with Attempt(world(f"http://127.0.0.1:{port}/callback?from=cli")) as attempt:
        assert attempt.redirect_uri == f"http://127.0.0.1:{port}/callback?from=cli"
        attempt.world.server.will(pair(1))
        attempt.come_back(attempt.callback().replace("cli?", "cli&"))
        assert attempt.source()
    with Attempt(world(f"http://127.0.0.1:{port}/callback"), port=0) as attempt:
        assert attempt.port != port
        attempt.world.server.will(pair(1))
        attempt.come_back()
        assert attempt.source()


def test_f58_the_first_free_port_of_those_that_the_server_knows_is_used() -> None:
    """F58: a client that was registered with several; if none is free, any other port, which most servers accept."""
    the_world = world()
    with taken() as first, taken() as second:
        the_world.client._state.sign_ins.loopback_ports = (first, second)
        with Attempt(the_world) as attempt:
            assert attempt.port not in (first, second)
            attempt.world.server.will(pair(1))
            attempt.come_back()
    with taken() as free:
        pass
    with taken() as first:
        the_world.client._state.sign_ins.loopback_ports = (first, free)
        with Attempt(the_world) as attempt:
            assert attempt.port == free
            attempt.world.server.will(pair(2))
            attempt.come_back()


def test_f58_a_port_in_use_is_named() -> None:
    """F58: immediately, before anything is stored or opened, and with what to do."""
    the_world = world()
    with taken() as port, raises(ConfigurationError, parameter="port"):
        the_world.client.authorize_interactively("alice", port=port, open_browser=False, on_url=print)
    assert the_world.store.texts == {}


def test_f58_nobody_comes_and_it_ends() -> None:
    """F58: after the time-out the listener is closed."""
    with Attempt(world(), timeout=0) as attempt:
        error = attempt.error()
    with raises(SignInRequired, reason="restart", shows="0 seconds"):
        raise error
    assert is_free(attempt.port)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_f58_localhost_is_served_on_both_of_its_addresses(host: str) -> None:
    """F58: a browser takes either; the name is the host it asks for."""
    with Attempt(world("http://localhost/callback")) as attempt:
        assert attempt.redirect_uri == f"http://localhost:{attempt.port}/callback"
        attempt.world.server.will(pair(1))
        url = attempt.callback().replace("localhost", host)
        named = {"Host": f"localhost:{attempt.port}"}
        location = attempt.browser.get(url, headers=named).headers["location"]
        attempt.browser.get(f"http://{host}:{attempt.port}{location}", headers=named)
        assert attempt.source()


def test_f58_an_ipv6_redirect_uri_is_served_on_ipv6() -> None:
    """F58: and on nothing else."""
    with Attempt(world("http://[::1]/callback")) as attempt:
        assert attempt.redirect_uri.startswith(f"http://[::1]:{attempt.port}/")
        assert is_free(attempt.port)
        attempt.world.server.will(pair(1))
        attempt.come_back()
        assert attempt.source()


def test_only_loopback_can_be_listened_on() -> None:
    """The listener refuses any other address, in all cases."""
    with raises(ConfigurationError, parameter="redirect_uri"):
        listen("0.0.0.0", 0)


def test_silent_connections_delay_no_other() -> None:
    """Browsers connect in advance, and a local process may do worse: one that waits does not stop the next."""
    with Attempt(world()) as attempt, contextlib.ExitStack() as idle:
        for _ in range(10):
            connection = idle.enter_context(socket.create_connection(("127.0.0.1", attempt.port)))
            connection.sendall(b"GET /callback?co")
        attempt.world.server.will(pair(1))
        attempt.come_back()
        assert attempt.source()


def test_idle_connections_do_not_keep_the_browser_out() -> None:
    """32 are served at the same time; when there are more, the one that has been idle longest is closed."""
    with Attempt(world()) as attempt, contextlib.ExitStack() as idle:
        waiting = [
            idle.enter_context(socket.create_connection(("127.0.0.1", attempt.port), timeout=PATIENCE))
            for _ in range(40)
        ]
        assert attempt.browser.get(attempt.callback(state="x")).status_code == 400
        assert [connection.recv(1) for connection in waiting[:8]] == [b""] * 8
        attempt.world.server.will(pair(1))
        attempt.come_back()
        assert attempt.source()


def test_callbacks_under_way_are_not_closed_for_new_connections() -> None:
    """A request that has arrived keeps its place; one connection too many is closed instead."""
    arrived, go_on = threading.Event(), threading.Event()

    def exchange(_: HttpRequest) -> HttpResponse:
        arrived.set()
        assert go_on.wait(PATIENCE)
        return pair(1)

    with Attempt(world()) as attempt:
        attempt.world.server.will(exchange)
        hits = []
        # Each status is asked for after a hit, so that the hit has been read when it is answered.
        while _status(attempt) == 400:
            hits.append(attempt.send(attempt.callback()))
        assert arrived.wait(PATIENCE)
        assert len(hits) >= 32
        go_on.set()
        assert attempt.source()
        answers = [hit.recv(4096) for hit in hits[:31]]
        for hit in hits:
            hit.close()
    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 303"}


def _status(attempt: Attempt) -> int | None:
    try:
        return attempt.browser.get(attempt.callback(state="x")).status_code
    except httpx.TransportError:
        return None


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"GET /callback HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /callback HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
        (b"GET /callback HTTP/1.0\r\n\r\n", b"421"),
        (b"GET http://127.0.0.1/callback HTTP/1.1\r\nHost: x\r\n\r\n", b"421"),
        (b"GET /callback?" + b"x" * 20_000, b"431"),
    ],
    ids=["tls", "no host", "two hosts", "http/1.0", "absolute", "too long"],
)
def test_what_is_not_a_request_is_refused(sent: bytes, status: bytes) -> None:
    """Garbage gets a status and ends nothing."""
    with Attempt(world()) as attempt:
        with socket.create_connection(("127.0.0.1", attempt.port), timeout=PATIENCE) as connection:
            connection.sendall(sent)
            assert connection.recv(4096).split()[1] == status
        attempt.world.server.will(pair(1))
        attempt.come_back()
        assert attempt.source()


def test_a_browser_that_drops_its_connection_loses_nothing() -> None:
    """The code is exchanged although nobody waits for the answer, and the page may be asked for again."""
    with Attempt(world()) as attempt:
        attempt.world.server.will(pair(1))
        attempt.send(attempt.callback()).close()
        page = f"http://127.0.0.1:{attempt.port}/done/success"
        until_shown = iter(lambda: attempt.browser.get(page).status_code, 200)
        assert set(until_shown) <= {404}
        assert attempt.source().token().access_token == "at1"


# --- F59: pasting ----------------------------------------------------------------------------------------------------


def test_f59_a_pasted_url_wins_the_race() -> None:
    """F59: over SSH the browser's machine is another one; the listener is closed afterwards."""
    pasted: queue.Queue[str] = queue.Queue()
    with Attempt(world(), pasted=pasted.get) as attempt:
        attempt.world.server.will(pair(1))
        pasted.put(f"  {attempt.callback()}\n")
        assert attempt.source().token().access_token == "at1"
    assert is_free(attempt.port)


def test_f59_the_browser_wins_while_the_terminal_waits() -> None:
    """F59: a reader that never returns holds nobody up."""
    never: queue.Queue[str] = queue.Queue()
    with Attempt(world(), pasted=never.get) as attempt:
        attempt.world.server.will(pair(1))
        attempt.come_back()
        assert attempt.source()
        never.put("")


def test_f59_what_is_pasted_wrongly_is_explained_and_can_be_pasted_again() -> None:
    """F59: each mistake is explained in a sentence without secrets; empty lines are passed over."""
    problems: queue.Queue[str] = queue.Queue()
    pasted: queue.Queue[str] = queue.Queue()
    with Attempt(world(), pasted=iter(pasted.get, None), on_problem=problems.put) as attempt:
        wrong = ["yes", attempt.callback(state="stale-state"), attempt.callback(iss="https://evil.test"), "\n"]
        for each in wrong:
            pasted.put(each)
        explained = [problems.get(timeout=PATIENCE) for _ in range(3)]
        assert "full URL" in explained[0]
        assert "another sign-in" in explained[1]
        assert "iss" in explained[2]
        assert leaks(explained, ["stale-state", CODE, attempt.sent["state"]]) == []
        attempt.world.server.will(pair(1))
        pasted.put(attempt.callback())
        assert attempt.source()
    assert problems.empty()


def test_f59_pasting_works_for_a_redirect_uri_elsewhere() -> None:
    """F59: nothing listens then, and the registered redirect URI is sent as it is."""
    pasted: queue.Queue[str] = queue.Queue()
    with Attempt(world("https://app.test/callback"), pasted=pasted.get) as attempt:
        assert attempt.redirect_uri == "https://app.test/callback"
        attempt.world.server.will(pair(1))
        pasted.put(attempt.callback())
        assert attempt.source()


def test_f59_no_port_need_be_opened_at_all() -> None:
    """F59: with `listen` False a port of another program does not matter, and the address is pasted."""
    pasted: queue.Queue[str] = queue.Queue()
    with taken() as port:
        redirect_uri = f"http://127.0.0.1:{port}/callback"
        with Attempt(world(redirect_uri), pasted=pasted.get, listen=False) as attempt:
            assert attempt.redirect_uri == redirect_uri
            attempt.world.server.will(pair(1))
            pasted.put(attempt.callback())
            assert attempt.source()


def test_f59_without_a_port_somebody_must_paste() -> None:
    """F59: nobody could come back from a sign-in that neither listens nor reads, so it does not begin."""
    with raises(ConfigurationError, parameter="listen"):
        world().client.authorize_interactively("alice", listen=False)


@pytest.mark.parametrize("pasted", [[], ["nonsense"], lambda: None], ids=["nothing", "nonsense", "closed"])
def test_f59_when_nothing_more_can_be_pasted_it_ends(pasted: Any) -> None:
    """F59: a closed terminal and no listener: nobody is left to wait for."""
    with Attempt(world("https://app.test/callback"), pasted=pasted) as attempt:
        error = attempt.error()
    with raises(SignInRequired, reason="restart"):
        raise error


def test_f59_a_closed_terminal_leaves_the_listener_alone() -> None:
    """F59: end of file is not the end of the sign-in while the browser may still come."""

    def closed() -> str:
        raise EOFError

    with Attempt(world(), pasted=closed) as attempt:
        attempt.world.server.will(pair(1))
        attempt.come_back()
        assert attempt.source()


def test_a_denial_can_be_pasted_too() -> None:
    """The error in the address counts like a code."""
    pasted: queue.Queue[str] = queue.Queue()
    with Attempt(world(), pasted=pasted.get) as attempt:
        pasted.put(attempt.callback(code=None, error="access_denied"))
        error = attempt.error()
    assert isinstance(error, SignInRequired)
    assert error.reason == "denied"


# --- ending it -------------------------------------------------------------------------------------------------------


def test_ctrl_c_ends_it_and_closes_the_listener() -> None:
    """KeyboardInterrupt immediately, no thread left behind, and no grant."""
    the_world, redirect_uris = world(), []

    def interrupt(url: str) -> None:
        redirect_uris.append(parse_qs(urlsplit(url).query)["redirect_uri"][0])
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        the_world.client.authorize_interactively("alice", open_browser=False, on_url=interrupt, timeout=PATIENCE)
    settle()
    assert is_free(urlsplit(redirect_uris[0]).port or 0)
    assert the_world.client.for_subject("alice").state == "missing"


class _CtrlC:
    """A trace function that presses Ctrl-C at the nth line which starts a sign-in or waits for it.

    `go_on` is set when the caller waits; `pressed_in` is the file of that line, None as long as it was not reached.
    """

    FILES = (interactive.__file__, operations.__file__, single_flight.__file__, worker.__file__)
    """All that run between the first line of the sign-in and its wait."""

    _WAITS = ("_wait_on_thread", "_wait_in_asyncio", "_wait_in_trio")

    def __init__(self, nth: int) -> None:
        self.lines_left = nth
        self.pressed_in: str | None = None
        self.go_on = threading.Event()
        self._last_lines: dict[FrameType, int] = {}

    def __call__(self, frame: FrameType, _event: str, _arg: object) -> Callable[..., Any] | None:
        caller = frame.f_back
        waits = caller is not None and caller.f_code.co_qualname in self._WAITS
        if waits and frame.f_code.co_qualname == "Event.wait":
            self.go_on.set()
        return self._at_line if frame.f_code.co_filename in self.FILES else None

    def _at_line(self, frame: FrameType, event: str, _arg: object) -> Callable[..., Any]:
        # A line that is reached again is the end of its `with` block, where CPython does not look for signals.
        if event == "line" and frame.f_lineno > self._last_lines.get(frame, 0):
            self._last_lines[frame] = frame.f_lineno
            self.lines_left -= 1
            if self.lines_left == 0:
                self.pressed_in = frame.f_code.co_filename
                raise KeyboardInterrupt
        return self._at_line


def _until(holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up_at


def _sign_in_blocking(client: OAuthClient, **settings: Any) -> None:
    client.authorize_interactively("alice", **settings)


def _sign_in_on_asyncio(client: OAuthClient, **settings: Any) -> None:
    asyncio.run(client.aauthorize_interactively("alice", **settings))


def _sign_in_on_trio(client: OAuthClient, **settings: Any) -> None:
    trio.run(partial(client.aauthorize_interactively, "alice", **settings))


def _interrupted(sign_in: Callable[..., None], port: int, nth: int) -> str | None:
    """The file of the nth line, None if there was none; the sign-in is stuck in the store until the caller waits."""
    the_world, ctrl_c, stuck = world(), _CtrlC(nth), threading.Event()

    def hang() -> None:
        stuck.set()
        # Without a limit of its own: a sign-in that continues by itself would close the port. It is set below.
        ctrl_c.go_on.wait()

    the_world.store.interfere("save", hang)

    def give_up(_url: str) -> None:
        raise LookupError("the user gives up")

    before = sys.gettrace()
    sys.settrace(ctrl_c)
    try:
        sign_in(the_world.client, port=port, open_browser=False, on_url=give_up, timeout=PATIENCE)
    except KeyboardInterrupt:
        return ctrl_c.pressed_in
    except LookupError:
        return None
    finally:
        sys.settrace(before)
        # While the store still hangs, if the sign-in has come that far.
        try:
            _until(lambda: stuck.is_set() or not busy_workers())
            _until(lambda: is_free(port))
        finally:
            ctrl_c.go_on.set()
            settle()
        assert is_free(port)
    raise AssertionError("nobody has signed in")


@pytest.mark.parametrize("sign_in", [_sign_in_blocking, _sign_in_on_asyncio, _sign_in_on_trio])
def test_ctrl_c_at_any_moment_closes_the_port(sign_in: Callable[..., None]) -> None:
    """From the start of the worker to the end of the wait, at each line; nothing waits for the time-out.

    In a task too: trio raises KeyboardInterrupt at any line of one, and so does asyncio without `asyncio.run`.
    """
    with taken() as port:
        pass
    moments = list(itertools.takewhile(bool, (_interrupted(sign_in, port, nth) for nth in itertools.count(1))))
    assert set(moments) == set(_CtrlC.FILES)
    assert len(moments) > 30


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_cancelling_the_task_closes_the_listener(run: Callable[..., Any]) -> None:
    """No thread is left behind that waits for a browser."""
    the_world = world()
    redirect_uris: queue.Queue[str] = queue.Queue()

    def note(url: str) -> None:
        redirect_uris.put(parse_qs(urlsplit(url).query)["redirect_uri"][0])

    async def sign_in() -> None:
        await the_world.client.aauthorize_interactively("alice", open_browser=False, on_url=note, timeout=PATIENCE)

    async def on_asyncio() -> str:
        task = asyncio.create_task(sign_in())
        uri = await asyncio.to_thread(redirect_uris.get, timeout=PATIENCE)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return uri

    async def on_trio() -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sign_in)
            uri = await trio.to_thread.run_sync(lambda: redirect_uris.get(timeout=PATIENCE))
            nursery.cancel_scope.cancel()
        return uri

    uri = run(on_asyncio() if run is asyncio.run else on_trio)
    settle()
    assert is_free(urlsplit(uri).port or 0)


def test_ctrl_c_during_the_exchange_keeps_what_the_server_issued() -> None:
    """The code is spent: the tokens are stored, and the next start finds them (no half-saved grant)."""
    the_world = world()

    def exchange(_: HttpRequest) -> HttpResponse:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return pair(1)

    the_world.server.will(exchange)

    def browse(url: str) -> None:
        sent = parse_qs(urlsplit(url).query)
        with contextlib.suppress(httpx.HTTPError):
            query = urlencode({"code": CODE, "state": sent["state"][0]})
            httpx.get(f"{sent['redirect_uri'][0]}?{query}", trust_env=False, timeout=PATIENCE)

    with pytest.raises(KeyboardInterrupt):
        the_world.client.authorize_interactively("alice", open_browser=False, on_url=browse, timeout=PATIENCE)
    settle()
    assert the_world.client.for_subject("alice").token().access_token == "at1"


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("redirect_uri", "settings", "named"),
    [
        (None, {}, "redirect_uri"),
        ("https://app.test/callback", {}, "redirect_uri"),
        ("http://127.0.0.1/cb", {"port": -1}, "port"),
        ("http://127.0.0.1/cb", {"port": 65536}, "port"),
        ("http://127.0.0.1/cb", {"port": "80"}, "port"),
        ("http://127.0.0.1/cb", {"port": True}, "port"),
        ("http://127.0.0.1/cb", {"timeout": -1}, "timeout"),
        ("http://127.0.0.1/cb", {"timeout": 601}, "timeout"),
        ("http://127.0.0.1/cb", {"timeout": float("nan")}, "timeout"),
        ("http://127.0.0.1/cb", {"timeout": None}, "timeout"),
        ("http://127.0.0.1/cb", {"on_url": "print"}, "on_url"),
        ("http://127.0.0.1/cb", {"on_problem": 7}, "on_problem"),
        ("http://127.0.0.1/cb", {"pasted": 7}, "pasted"),
    ],
)
def test_a_bad_parameter_is_named_immediately(redirect_uri: str | None, settings: dict[str, Any], named: str) -> None:
    """Before anything listens or is stored."""
    the_world = world(redirect_uri)
    with raises(ConfigurationError, parameter=named):
        the_world.client.authorize_interactively("alice", **{"open_browser": False, "on_url": print, **settings})
    assert the_world.store.texts == {}


@pytest.mark.parametrize("subject", ["", None])
def test_a_sign_in_for_nobody_is_refused(subject: Any) -> None:
    """The caller must name the subject of the grant."""
    with raises(ConfigurationError, parameter="subject"):
        world().client.authorize_interactively(subject, open_browser=False, on_url=print)


def test_nobody_to_show_the_url_to_is_refused() -> None:
    """Without a browser and without on_url nobody could ever come."""
    with raises(ConfigurationError, parameter="on_url"):
        world().client.authorize_interactively("alice", open_browser=False, timeout=PATIENCE)


def test_a_store_that_cannot_be_written_ends_it() -> None:
    """A user is not sent away with a state that nobody will know."""
    the_world = world()
    the_world.store.interfere("save", OSError("full"))
    with pytest.raises(StoreError):
        the_world.client.authorize_interactively("alice", open_browser=False, on_url=print)


@pytest.mark.parametrize("which", ["on_url", "pasted", "on_problem"])
def test_a_callable_that_raises_ends_it(which: str) -> None:
    """An exception of the user's own code is raised where the caller waits."""

    def fail(*_: object) -> str:
        raise LookupError("of the user's own")

    settings: dict[str, Any] = {"on_url": lambda _: None, "pasted": iter(["nonsense"]), which: fail}
    with pytest.raises(LookupError, match="of the user's own"):
        world().client.authorize_interactively("alice", open_browser=False, timeout=PATIENCE, **settings)


@pytest.mark.parametrize("given", [answer({}, 503, retry_after="999"), pair(1)], ids=["outage", "success"])
def test_f56_no_secret_shows_in_what_is_raised(given: HttpResponse) -> None:
    """Our frames' locals included (promise 8)."""
    expected = TemporarilyUnavailable if given.status_code == 503 else None
    with Attempt(world()) as attempt:
        attempt.world.server.will(given)
        attempt.come_back()
        error = attempt.result.exception(PATIENCE)
    assert type(error) is (expected or type(None))
    if isinstance(error, BlnkAuthError):
        assert leaks(everything_in(error), [CODE, attempt.sent["state"]]) == []


# --- the browser -----------------------------------------------------------------------------------------------------

_PROGRAM = """
import sys
from blnk_auth import BlnkCloud, OAuthClient
from blnk_auth.errors import BlnkAuthError
from blnk_auth.testing import Sandbox
with Sandbox(redirect_uri="http://127.0.0.1/callback") as sandbox:
    client = OAuthClient(BlnkCloud(base_url=sandbox.origin), client_id=sandbox.client_id,
                         client_secret=sandbox.client_secret, redirect_uri=sandbox.redirect_uri)
    try:
        source = client.authorize_interactively("alice", timeout=60)
    except BlnkAuthError as error:
        print(type(error).__name__, error)
    else:
        print(source.state)
"""

_BROWSER = """
import sys, httpx
from urllib.parse import urlsplit
from blnk_auth.testing.sandbox import browser
back = browser.sign_in(sys.argv[1], subject="alice", approve=True)
httpx.get(back, follow_redirects=True, trust_env=False)
"""


def _run_program(environment: dict[str, str]) -> str:
    inherited = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
    finished = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return finished.stdout.strip()


def test_the_default_browser_is_opened(tmp_path: Any) -> None:
    """With the environment variable BROWSER, as people on a server have it, and through the whole flow."""
    browser = tmp_path / "browser.py"
    browser.write_text(_BROWSER, "utf-8")
    assert _run_program({"BROWSER": f"{sys.executable} {browser} %s"}) == "fresh"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="these always have a screen")
def test_without_a_screen_no_text_browser_takes_the_terminal() -> None:
    """Nothing is opened, and the error describes how to show the address."""
    assert "on_url is missing" in _run_program({})
