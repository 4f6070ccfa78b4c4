"""Targets: what comes back at a sign-in. Callback URLs, requests to the loopback listener, pasted lines, pages."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from contextlib import suppress
from html.parser import HTMLParser
from urllib.parse import parse_qs, quote

import h11
from fuzz.strategies import BYTES, HOSTILE_TEXTS, TEXTS, URL_PIECES, edited, one_of_these, texts_of
from fuzz.target import Target, check_message, only_our_errors
from hypothesis import strategies as st
from support.providers import acme
from support.scripted import ScriptedWorld

from blnk_auth import BlnkAuthError, SignInRequired
from blnk_auth._sign_in.callback_url import check_callback, code_of, no_state, parse_callback
from blnk_auth._sign_in.interactive import InteractiveSignIn
from blnk_auth._sign_in.interactive_settings import InteractiveSettings
from blnk_auth._sign_in.listener_address import Address
from blnk_auth._sign_in.loopback import _Connections
from blnk_auth._sign_in.page import page
from blnk_auth._sign_in.wanted_grant import WantedGrant
from blnk_auth.cli import login, pasted_lines
from blnk_auth.cli.terminal import escaped, printable

PROVIDERS = (acme(issuer="https://as.acme.test", sends_iss=True), acme(), acme(issuer="https://other.test"))
CALLBACK = "https://app.test/callback"
PARAMETERS = ["code", "state", "iss", "error", "error_description", "error_uri", "x"]

_VALUES = one_of_these(
    ["c1", "s1", "https://as.acme.test", "access_denied", "server_error", "invalid_scope", "login_required"], TEXTS
)
_QUERIES = st.lists(st.tuples(st.sampled_from(PARAMETERS), _VALUES), max_size=5).map(
    lambda pairs: "&".join(f"{name}={quote(value, safe='', errors='replace')}" for name, value in pairs)
)
QUERIES = _QUERIES | _QUERIES.flatmap(lambda query: edited(query, URL_PIECES)) | texts_of(URL_PIECES)
CALLBACKS = (
    QUERIES.map(f"{CALLBACK}?".__add__)
    | texts_of(["?", "&", "=", "code", "state", *URL_PIECES])
    | st.sampled_from(HOSTILE_TEXTS)
)


def check_callback_url(callback_url: str) -> None:
    """It is read as its query has it, or refused; and no text of it reaches a terminal unfiltered."""
    with only_our_errors():
        callback = parse_callback(callback_url)
        read = parse_qs(callback_url.partition("?")[2].partition("#")[0], keep_blank_values=True)
        for name, value in (("code", callback.code), ("state", callback.state), ("iss", callback.issuer)):
            assert [value or ""] == read.get(name, [""])
        check_message(str(no_state(callback)))
        for provider in PROVIDERS:
            with only_our_errors():
                check_callback(callback, provider)
                assert callback.issuer in (None, provider.issuer) or provider.issuer is None
                assert code_of(callback, provider, subject="alice") == callback.code


def check_finished(callback_url: str) -> None:
    """A callback that anybody can make up ends no sign-in, and stores nothing."""
    world = ScriptedWorld()
    started = world.client.start_authorization("alice")
    before = dict(world.store.texts)
    with only_our_errors():
        world.client.finish_authorization(callback_url)
        raise AssertionError("a made-up callback was accepted")
    assert world.store.texts == before
    # The user's own still ends it.
    with only_our_errors():
        world.client.finish_authorization(f"{CALLBACK}?state={started.state}&error=access_denied")
    assert world.store.texts != before


# --- the listener ----------------------------------------------------------------------------------------------------


def check_loopback_request(head: bytes) -> None:
    """Anything that a program sends to the listener gets a whole HTTP response or none, and ends no sign-in."""
    asyncio.run(_converse(head))


async def _converse(head: bytes) -> None:
    loop = asyncio.get_running_loop()
    sign_in = _waiting(loop)
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    with ours, theirs:
        await loop.sock_sendall(theirs, head[:60_000])
        theirs.shutdown(socket.SHUT_WR)
        async with asyncio.TaskGroup() as group:
            await _Connections(group, sign_in._respond)._converse(ours)
        ours.close()
        received = bytearray()
        # What was not read of the request resets the connection, after the response.
        with suppress(ConnectionResetError):
            while some := await loop.sock_recv(theirs, 65_536):
                received += some
    assert not sign_in._callback.done(), "a made-up request ended the sign-in"
    if received:
        method = head.split(b" ", 1)[0]
        _check_response(bytes(received), b"HEAD" if method == b"HEAD" else b"GET")


def _waiting(loop: asyncio.AbstractEventLoop) -> InteractiveSignIn:
    """An interactive sign-in that waits for its callback on port 8123, and has no listener of its own."""
    settings = InteractiveSettings(
        port=None, timeout=60.0, open_browser=False, listen=True, pasted=(), on_url=str, on_problem=None
    )
    state = ScriptedWorld(redirect_uri="http://127.0.0.1:8123/callback").client._state
    sign_in = InteractiveSignIn(state, WantedGrant("alice", None), settings)
    sign_in._address = Address("127.0.0.1", 8123, "/callback", "")
    sign_in._expected_states = ["state-that-nobody-knows"]
    sign_in._callback, sign_in._result = loop.create_future(), loop.create_future()
    return sign_in


def _check_response(received: bytes, method: bytes) -> None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(received)
    connection.receive_data(b"")
    response = connection.next_event()
    assert isinstance(response, h11.Response), response
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Data), event


_TARGETS = st.builds("{}{}".format, one_of_these(["/callback?", "/", "/done/success"], texts_of(URL_PIECES)), QUERIES)
_HEADS = st.builds(
    lambda method, target, host, more: f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode(
        "utf-8", "surrogatepass"
    ),
    one_of_these(["GET"], st.sampled_from(["HEAD", "POST", "OPTIONS", "get", "", "G\x00T"])),
    _TARGETS,
    one_of_these(["127.0.0.1:8123", "localhost:8123", "[::1]:8123"], texts_of(URL_PIECES, 4)),
    st.sampled_from(
        ["", "Purpose: prefetch\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "x: " + "y" * 17_000]
    ),
)
HEADS = _HEADS | _HEADS.flatmap(lambda head: edited(head, BYTES)) | st.binary(max_size=60)


# --- the terminal ----------------------------------------------------------------------------------------------------


def check_pasted_line(value: tuple[bytes, bool]) -> None:
    """Any input is read in bounded lines until its end, and a line raises no error but ours."""
    typed, edits = value
    lines: list[str] = []
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr:
        stdin.write(typed)
        stdin.seek(0)
        former = pasted_lines._STDIN, pasted_lines._STDERR
        pasted_lines._STDIN, pasted_lines._STDERR = stdin.fileno(), stderr.fileno()
        try:
            while (line := pasted_lines.read_line(edits=edits)) is not None:
                lines.append(line)
            assert edits or os.read(stdin.fileno(), 1) == b"", "there was more to read"
        finally:
            pasted_lines._STDIN, pasted_lines._STDERR = former
    assert len(lines) <= typed.count(b"\n") + typed.count(b"\r") + typed.count(b"\x04") + 1
    for line in lines:
        assert len(line) <= 65_536
        with only_our_errors():
            parse_callback(line)
        assert printable(line).isprintable()
        assert escaped(line).isprintable()


# --- pages -----------------------------------------------------------------------------------------------------------


class _Reading(HTMLParser):
    """The tags of a page with their attributes, and the text of its paragraphs."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.problem = ""
        self._in_problem = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))
        self._in_problem = ("class", "problem") in attrs

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", []))
        self._in_problem = False

    def handle_data(self, data: str) -> None:
        if self._in_problem:
            self.problem += data


def read_page(provider: str, problem: str) -> _Reading:
    """The page of a failed sign-in, as a browser reads it."""
    reading = _Reading()
    reading.feed(page("failed", provider=provider, problem=problem).body.decode())
    reading.close()
    return reading


_ORDINARY = read_page("Acme", "x").tags


def check_page(value: tuple[str, str]) -> None:
    """A page has the same tags with any string on it, and shows that string."""
    provider, problem = value
    read = read_page(provider, problem or "x")
    assert read.tags == _ORDINARY
    if problem.isascii() and problem.isprintable():
        assert read.problem == (problem or "x")


def check_page_of_refusal(query: str) -> None:
    """A server's description in a callback is on the page as text, on one line."""
    with only_our_errors():
        callback = parse_callback(f"{CALLBACK}?{query}")
        try:
            code_of(callback, PROVIDERS[0], subject="alice")
        except BlnkAuthError as error:
            reading = read_page("Acme", str(error))
            assert reading.tags == _ORDINARY
            assert reading.problem == str(error)
            assert isinstance(error, SignInRequired) or error.parameter or error.remedy
            check_message(login.printable(str(error)))


TARGETS = (
    Target("callback_url", CALLBACKS, check_callback_url),
    Target("made_up_callback", CALLBACKS, check_finished),
    Target("loopback_request", HEADS, check_loopback_request),
    Target(
        "pasted_line",
        st.tuples(
            st.binary(max_size=60) | CALLBACKS.map(lambda text: text.encode("utf-8", "surrogatepass")), st.booleans()
        ),
        check_pasted_line,
        cost=4,
    ),
    Target("page", st.tuples(TEXTS, TEXTS), check_page),
    Target("page_of_refusal", QUERIES, check_page_of_refusal),
)
