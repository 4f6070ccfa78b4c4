"""Signing in with a device code (RFC 8628): what is asked, how often, and when it ends (F59)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio
from support.canary.leaks import everything_in, leaks
from support.errors import raises
from support.providers import acme
from support.scripted import ScriptedWorld
from support.token_endpoint import answer, pair, refusal

from blnk_auth import (
    BlnkAuthError,
    BlnkCloud,
    ConfigurationError,
    OAuthClient,
    ProtocolError,
    Provider,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
    TokenSource,
)
from blnk_auth._protocol.http_messages import HttpResponse, NoResponse
from blnk_auth._sign_in.device import DeviceAuthorization
from blnk_auth.cli.qr_code import terminal_qr_code
from blnk_auth.testing import Clock, Sandbox

ENDPOINT = "https://as.acme.test/device_authorization"
CODES: dict[str, Any] = {
    "device_code": "d3vice-code",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://as.acme.test/device",
    "verification_uri_complete": "https://as.acme.test/device?user_code=WDJB-MJHT",
    "expires_in": 600,
    "interval": 5,
}
PENDING = refusal("authorization_pending")


class Device:
    """A sign-in whose waiting moves the clock and is written down."""

    def __init__(self, *answers: Any, **members: Any) -> None:
        self.world = ScriptedWorld(acme(device_authorization_endpoint=ENDPOINT))
        self.world.server.will(answer({**CODES, **members}), *answers)
        self.waited: list[float] = []
        self.prompts: list[DeviceAuthorization] = []

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.world.clock.advance(seconds)

    def sign_in(self, **settings: Any) -> TokenSource:
        given: dict[str, Any] = {"on_prompt": self.prompts.append, "wait": self.wait, **settings}
        return self.world.client.authorize_device("alice", **given)


@pytest.mark.parametrize(("members", "known"), [({}, "a b"), ({"scope": "a"}, "a"), ({"scope": 7}, None)], ids=repr)
def test_a_scope_that_is_left_out_is_the_one_that_was_asked_for(members: dict[str, Any], known: str | None) -> None:
    """RFC 6749 section 5.1, which RFC 8628 section 3.5 refers to."""
    device = Device(pair(1, **members))
    assert device.sign_in(scope=["a", "b"]).token().scope == known


def test_the_code_is_asked_for_shown_and_exchanged() -> None:
    """The requests are those of RFC 8628 sections 3.1 and 3.4, and the tokens are stored."""
    device = Device(PENDING, pair(1))
    source = device.sign_in(scope="data:read")
    first, *polls = device.world.server.requests
    assert first.url == ENDPOINT
    assert device.world.server.forms[0] == {"client_id": "id", "scope": "data:read"}
    assert first.headers["authorization"].startswith("Basic ")
    assert {poll.url for poll in polls} == {"https://as.acme.test/token"}
    assert device.world.server.forms[1:] == 2 * [
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": "d3vice-code",
            "client_id": "id",
        }
    ]
    (shown,) = device.prompts
    assert (shown.user_code, shown.verification_uri) == ("WDJB-MJHT", "https://as.acme.test/device")
    assert shown.verification_uri_complete == CODES["verification_uri_complete"]
    assert shown.expires_at == device.world.clock() - 10 + 600
    assert (source.subject, source.token().access_token) == ("alice", "at1")
    assert device.world.stored(source).token.refresh_token == "rt1"
    assert device.world.emitted() == ["signed_in"]


@pytest.mark.parametrize(
    ("members", "answers", "waited"),
    [
        ({}, [], [5]),
        ({"interval": 1}, [PENDING], [1, 1]),
        ({"interval": "7"}, [PENDING], [7, 7]),
        ({"interval": None}, [PENDING], [5, 5]),
        ({"interval": "soon"}, [], [5]),
        ({"interval": -3}, [], [0]),
        ({}, [refusal("slow_down"), PENDING, refusal("slow_down"), PENDING], [5, 10, 10, 15, 15]),
        ({}, [NoResponse("x", sent=True), PENDING], [5, 10, 10]),
        ({}, [HttpResponse(503, {}, b""), HttpResponse(502, {}, b"<html>")], [5, 10, 20]),
        ({}, [HttpResponse(429, {"retry-after": "33"}, b"")], [5, 33]),
        ({}, [HttpResponse(503, {"retry-after": "999"}, b"")], [5, 60]),
        ({"interval": 90}, [HttpResponse(503, {}, b"")], [90, 90]),
        ({"interval": 0}, [HttpResponse(503, {}, b"")], [0, 1]),
    ],
)
def test_the_servers_pace_is_kept(members: dict[str, Any], answers: list[Any], waited: list[float]) -> None:
    """RFC 8628 section 3.5: the interval, 5 seconds more after each slow_down, doubled after an outage."""
    device = Device(*answers, pair(1), **members)
    assert device.sign_in().token().access_token == "at1"
    assert device.waited == waited


@pytest.mark.parametrize(
    ("given", "expected", "reason"),
    [
        (refusal("access_denied"), SignInRequired, "denied"),
        (refusal("expired_token"), SignInRequired, "restart"),
        (refusal("invalid_grant", error_description="d3vice-code is unknown"), SignInRequired, "refused"),
        (refusal("invalid_client", 401), ConfigurationError, None),
        (refusal("unsupported_grant_type"), ConfigurationError, None),
        (HttpResponse(200, {}, b"<html>"), ProtocolError, None),
    ],
    ids=str,
)
def test_a_verdict_ends_it(given: HttpResponse, expected: type[BlnkAuthError], reason: str | None) -> None:
    """Each with its type; nothing is stored, and no secret shows."""
    device = Device(PENDING, given)
    with pytest.raises(expected) as caught:
        device.sign_in()
    if isinstance(caught.value, SignInRequired):
        assert (caught.value.reason, caught.value.subject) == (reason, "alice")
    assert device.world.client.for_subject("alice").state == "missing"
    assert leaks(everything_in(caught.value), ["d3vice-code", "client-s3cret"]) == []


@pytest.mark.parametrize(
    ("members", "settings", "polls"),
    [({"expires_in": 20}, {}, 4), ({"expires_in": "12.5"}, {}, 2), ({}, {"timeout": 7}, 1), ({}, {"timeout": 0}, 0)],
)
def test_nobody_enters_the_code_and_it_ends(members: dict[str, Any], settings: dict[str, Any], polls: int) -> None:
    """When the code has expired, or earlier if asked to; no question is asked that comes too late."""
    device = Device(*polls * [PENDING], **members)
    with raises(SignInRequired, reason="restart", subject="alice") as caught:
        device.sign_in(**settings)
    assert (caught.value.reason, caught.value.subject) == ("restart", "alice")
    assert len(device.waited) == polls


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (refusal("invalid_client", 401), ConfigurationError),
        (refusal("invalid_scope"), ConfigurationError),
        (HttpResponse(404, {}, b""), ConfigurationError),
        (HttpResponse(503, {}, b""), TemporarilyUnavailable),
        (NoResponse("refused", sent=False), TemporarilyUnavailable),
        (HttpResponse(200, {}, b"<html>"), ProtocolError),
        *((answer({**CODES, name: None}), ProtocolError) for name in ("device_code", "user_code", "verification_uri")),
        (answer({**CODES, "expires_in": None}), ProtocolError),
        (answer({**CODES, "user_code": "A\x1b[2J"}), ProtocolError),
        (answer({**CODES, "user_code": 7}), ProtocolError),
        (answer({**CODES, "verification_uri": "javascript:alert(1)"}), ProtocolError),
        (answer({**CODES, "verification_uri": "http://as.acme.test/device"}), ProtocolError),
        (answer({**CODES, "verification_uri_complete": "https://as.acme.test/\x1b]0;x"}), ProtocolError),
    ],
    ids=str,
)
def test_without_a_usable_code_nothing_is_shown(given: Any, expected: type[BlnkAuthError]) -> None:
    """What could not be entered, or would control the terminal, is an error and not a prompt."""
    world, prompts = ScriptedWorld(acme(device_authorization_endpoint=ENDPOINT)), []
    world.server.will(given)
    with pytest.raises(expected):
        world.client.authorize_device("alice", on_prompt=prompts.append, wait=lambda _: None)
    assert prompts == []


def test_an_http_client_of_the_users_that_fails_is_a_typed_error() -> None:
    """Its hooks may raise anything: when the code is asked for, and at a poll, which is waited out."""
    world, prompts = ScriptedWorld(acme(device_authorization_endpoint=ENDPOINT)), []
    world.server.will(ZeroDivisionError("a hook of the user's"))
    with pytest.raises(TemporarilyUnavailable):
        world.client.authorize_device("alice", on_prompt=prompts.append, wait=lambda _: None)
    assert prompts == []
    device = Device(ZeroDivisionError("a hook of the user's"), pair(1))
    assert device.sign_in().token().access_token == "at1"


@pytest.mark.parametrize("name", ["user_code", "verification_uri", "verification_uri_complete"])
def test_text_of_the_server_is_bounded_before_it_is_shown(name: str) -> None:
    """Megabytes would flood a terminal, and no QR code has room for them."""
    world, prompts = ScriptedWorld(acme(device_authorization_endpoint=ENDPOINT)), []
    world.server.will(answer({**CODES, name: "https://as.acme.test/" + "x" * 3000}))
    with pytest.raises(ProtocolError) as caught:
        world.client.authorize_device("alice", on_prompt=prompts.append, wait=lambda _: None)
    assert len(str(caught.value)) < 300
    assert prompts == []


def test_the_old_name_of_the_address_is_understood() -> None:
    """Google calls it verification_url."""
    device = Device(pair(1), verification_uri=None, verification_url="https://google.test/device")
    device.sign_in()
    assert device.prompts[0].verification_uri == "https://google.test/device"


def test_a_provider_without_it_names_what_to_use() -> None:
    """Before any request."""
    world = ScriptedWorld()
    with raises(ConfigurationError, parameter="device_authorization_endpoint"):
        world.client.authorize_device("alice", on_prompt=print)
    assert world.server.requests == []


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("subject", ""), ("timeout", -1), ("timeout", "5"), ("timeout", float("nan")), ("on_prompt", None), ("wait", 5)],
)
def test_a_bad_parameter_is_named(parameter: str, value: Any) -> None:
    """Before any request."""
    device = Device()
    given: dict[str, Any] = {"subject": "alice", "on_prompt": print, parameter: value}
    with pytest.raises(ConfigurationError) as caught:
        device.world.client.authorize_device(given.pop("subject"), **given)
    assert caught.value.parameter == parameter
    assert device.world.server.requests == []


def test_an_endpoint_that_is_not_a_url_is_named() -> None:
    """Where the provider is made."""
    with raises(ConfigurationError, parameter="device_authorization_endpoint"):
        acme(device_authorization_endpoint="http://as.acme.test/device")


def test_tokens_that_cannot_be_saved_are_used_and_saved_later() -> None:
    """The device code is spent, so the pair must not be lost (promise 3)."""
    device = Device(pair(1))
    device.world.store.interfere("save", StoreError("full"))
    source = device.sign_in()
    assert source.token().access_token == "at1"
    assert device.world.emitted() == ["save_failed", "saved"]


def test_ctrl_c_while_waiting_ends_it() -> None:
    """Nothing is asked any more, and nothing is stored."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    device = Device()
    with pytest.raises(KeyboardInterrupt):
        device.sign_in(wait=interrupt)
    assert len(device.world.server.requests) == 1


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
@pytest.mark.parametrize("own_sleep", [True, False])
def test_the_async_twin_does_the_same(run: Callable[..., Any], own_sleep: bool) -> None:
    """On both loops, with their own sleep (of no time here) or a given one."""
    device = Device(PENDING, pair(1), interval=0)

    async def wait(seconds: float) -> None:
        device.wait(seconds)

    async def main() -> TokenSource:
        return await device.world.client.aauthorize_device(
            "alice", on_prompt=device.prompts.append, wait=None if own_sleep else wait
        )

    assert run(main() if run is asyncio.run else main).token().access_token == "at1"
    assert device.waited == ([] if own_sleep else [0, 0])
    assert len(device.prompts) == 1


def test_a_prompt_shows_no_secret() -> None:
    """The device code is for us; the user code is for the user to see."""
    device = Device(pair(1))
    device.sign_in()
    assert leaks([repr(device.prompts[0])], ["d3vice-code"]) == []


# --- against the sandbox ---------------------------------------------------------------------------------------------


def _client(sandbox: Sandbox, clock: Clock, provider: Provider | None = None) -> OAuthClient:
    provider = provider or Provider.discover(sandbox.origin)
    return OAuthClient(
        provider,
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        client_auth="client_secret_basic",
        clock=clock,
    )


@pytest.mark.real
def test_f59_the_whole_flow_by_discovery() -> None:
    """F59: discovery finds the endpoint, the user enters the code on a page, the tokens renew like any others."""
    clock = Clock()
    with Sandbox(clock=clock, device_grant=True) as sandbox:
        client = _client(sandbox, clock)
        prompts: list[DeviceAuthorization] = []

        def wait(seconds: float) -> None:
            clock.advance(seconds)
            if clock() - started > 12:
                page = httpx.get(str(prompts[0].verification_uri_complete))
                assert prompts[0].user_code in page.text
                form = {"user_code": prompts[0].user_code.lower(), "subject": "alice", "decision": "approve"}
                assert "connected" in httpx.post(prompts[0].verification_uri, data=form).text

        started = clock()
        source = client.authorize_device("alice", on_prompt=prompts.append, wait=wait)
        assert source.token()
        clock.advance(4000)
        assert source.token()
        assert (sandbox.counts.device_exchanges, sandbox.counts.refreshes) == (1, 1)


@pytest.mark.parametrize(("approve", "reason"), [(False, "denied"), (None, "restart")])
@pytest.mark.real
def test_f59_no_and_no_answer(approve: bool | None, reason: str) -> None:
    """F59: both end with the reason."""
    clock = Clock()
    with Sandbox(clock=clock, device_grant=True) as sandbox:

        def prompt(shown: DeviceAuthorization) -> None:
            if approve is not None:
                sandbox.enter_user_code(shown.user_code, approve=approve)

        with pytest.raises(SignInRequired) as caught:
            _client(sandbox, clock).authorize_device("alice", on_prompt=prompt, wait=clock.advance)
        assert caught.value.reason == reason


@pytest.mark.real
def test_the_sandbox_slows_down_who_asks_too_often() -> None:
    """A client that did not keep the pace would be slowed down: this one keeps it after each slow_down."""
    clock = Clock()
    with Sandbox(clock=clock, device_grant=True) as sandbox:
        waited: list[float] = []

        def hasty(seconds: float) -> None:
            waited.append(seconds)
            clock.advance(seconds if len(waited) > 3 else 1)
            if len(waited) == 5:
                sandbox.enter_user_code(prompts[0].user_code)

        prompts: list[DeviceAuthorization] = []
        source = _client(sandbox, clock).authorize_device("alice", on_prompt=prompts.append, wait=hasty)
        assert source.state == "fresh"
        assert waited == [5, 5, 10, 15, 15]


@pytest.mark.real
def test_the_sandbox_has_it_only_when_asked_to() -> None:
    """Blnk Cloud has no device code, and neither has its personality by default."""
    with Sandbox() as sandbox:
        metadata = httpx.get(f"{sandbox.origin}/.well-known/oauth-authorization-server").json()
        assert "device_authorization_endpoint" not in metadata
        with raises(ConfigurationError, parameter="device_authorization_endpoint"):
            _client(sandbox, Clock(), BlnkCloud(base_url=sandbox.origin)).authorize_device("alice", on_prompt=print)
        with pytest.raises(ValueError, match="device_grant"):
            sandbox.enter_user_code("WDJB-MJHT")
    with pytest.raises(ValueError, match="device_grant"):
        Sandbox("flinks", device_grant=True)


@pytest.mark.real
def test_a_device_code_serves_once_and_only_its_client() -> None:
    """As at a real server."""
    with (
        Sandbox(device_grant=True) as sandbox,
        httpx.Client(auth=(sandbox.client_id, sandbox.client_secret), base_url=sandbox.origin) as http,
    ):
        codes = http.post("/oauth/device_authorization", data={"scope": "data:read"}).json()
        sandbox.enter_user_code(codes["user_code"])
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": codes["device_code"]}
        assert http.post("/oauth/token", data=form).json()["scope"] == "data:read"
        assert http.post("/oauth/token", data=form).json()["error"] == "invalid_grant"
        assert http.post("/oauth/device_authorization", auth=("x", "y"), data={"scope": "a"}).status_code == 401


# --- the QR code -----------------------------------------------------------------------------------------------------


def test_a_qr_code_is_square_text() -> None:
    """Half a character high each module, so that a phone sees a square; short enough for a terminal."""
    lines = terminal_qr_code(CODES["verification_uri_complete"]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= 60
    assert len(lines) == (len(lines[0]) + 1) // 2
    assert set("".join(lines)) <= set(" ▀▄█")
    assert lines != terminal_qr_code("https://elsewhere.test/").splitlines()
    assert json.dumps(lines).isascii()


@pytest.mark.parametrize("length", [301, 3_000, 100_000])
def test_a_text_that_is_too_long_for_a_terminal_has_no_qr_code(length: int) -> None:
    """A server may send any address: it is shown as text, and nothing ends in a traceback."""
    assert terminal_qr_code("https://as.acme.test/" + "x" * length) is None
