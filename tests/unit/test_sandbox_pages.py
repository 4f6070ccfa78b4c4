"""The sandbox's landing page, its live events and its controls."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from support.limits import PATIENCE

from blnk_auth.testing import Clock, Fault, Sandbox
from blnk_auth.testing.sandbox._event_stream import MAX_LISTENERS

pytestmark = pytest.mark.real

NAMES = ("blnk_cloud", "blink", "flinks", "mcp")


class Listener:
    """A live page's connection: its events, one after another, and the latest state."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()
        self._state: dict[str, Any] | None = None

    def next(self) -> tuple[str, str, Any]:
        """The name, the id and the data of the next event."""
        members: dict[str, str] = {}
        for line in self._lines:
            if not line:
                return members["event"], members["id"], json.loads(members["data"])
            name, _, value = line.partition(": ")
            members[name] = value
        raise AssertionError("the stream has ended")

    def until(self, wanted: str) -> Any:
        """The data of the next event of this name."""
        while True:
            name, _, data = self.next()
            if name == "state":
                self._state = data
            if name == wanted:
                return data

    def state(self, reached: Any = lambda _state: True) -> Any:
        """The latest state if it fulfils the condition, else the first that does."""
        state = self._state or self.until("state")
        while not reached(state):
            state = self.until("state")
        return state


@contextmanager
def listening(http: httpx.Client, **headers: str | bytes) -> Iterator[Listener]:
    with http.stream("GET", "/_sandbox/events", headers=headers) as response:
        yield Listener(response)


def control(http: httpx.Client, action: str) -> httpx.Response:
    return http.post(f"/_sandbox/{action}")


def refresh(sandbox: Sandbox, http: httpx.Client, refresh_token: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return http.post("/oauth/token", data=form, auth=(sandbox.client_id, sandbox.client_secret))


def api(http: httpx.Client, answer: dict[str, Any]) -> int:
    return http.get("/data/ledgers", headers={"Authorization": f"Bearer {answer['access_token']}"}).status_code


# --- the landing page ------------------------------------------------------------------------------------------------


def blocks(page: str) -> list[str]:
    return [html.unescape(text) for text in re.findall("<pre[^>]*>(.*?)</pre>", page, re.DOTALL)]


def test_a_browser_at_the_root_is_sent_to_the_landing_page(sandbox: Sandbox, http: httpx.Client) -> None:
    """Everyone else gets what the provider answers there, which is a 401 at Blnk Cloud."""
    seen = http.get("/", headers={"Accept": "text/html,*/*"})
    assert (seen.status_code, seen.headers["location"]) == (302, "/_sandbox/")
    assert http.get("/").status_code == 401
    token = {"Authorization": f"Bearer {sandbox.issue()['access_token']}"}
    assert http.get("/", headers={"Accept": "text/html", **token}).status_code == 404
    assert sandbox.counts.api_requests == 2


@pytest.mark.parametrize("page", ["", "live"])
@pytest.mark.parametrize("personality", NAMES)
def test_the_pages_load_nothing_from_elsewhere(personality: str, page: str) -> None:
    """One style sheet and one script under a new nonce each time, and a policy that forbids the rest."""
    with Sandbox(personality) as sandbox:
        first, second = (httpx.get(f"{sandbox.origin}/_sandbox/{page}") for _ in range(2))
    assert first.status_code == 200
    policy = first.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in policy
    (nonce,) = set(re.findall("'nonce-([^']+)'", policy))
    assert first.text.count(f'nonce="{nonce}"') == 2
    assert nonce not in second.text
    assert re.findall("<(?:script|style|link)[^>]*>", first.text) == [
        '<link rel="icon" href="data:,">',
        f'<style nonce="{nonce}">',
        f'<script nonce="{nonce}">',
    ]
    assert not re.search(r"\son[a-z]+=|style=|innerHTML|javascript:", first.text)


def test_what_the_client_is_called_is_escaped() -> None:
    """A secret with markup in it is shown as it is, and runs nothing."""
    odd = "</pre><script>alert(1)</script>&\"'"
    with Sandbox(client_secret=odd) as sandbox:
        page = httpx.get(f"{sandbox.origin}/_sandbox/").text
    assert page.count("<script") == 1
    assert any(json.dumps(odd, ensure_ascii=False) in block for block in blocks(page))


@pytest.mark.parametrize("personality", NAMES)
def test_the_calls_of_the_page_run_in_a_shell(personality: str) -> None:
    """Each sample call with curl gets a token and data, as it is copied."""
    with Sandbox(personality) as sandbox:
        calls = [block for block in blocks(httpx.get(f"{sandbox.origin}/_sandbox/").text) if "curl" in block]
        for call in calls:
            done = subprocess.run(
                ["bash", "-euc", call], capture_output=True, text=True, timeout=PATIENCE, check=False, env=_no_proxy()
            )
            assert done.returncode == 0, done.stderr
            members = json.loads(done.stdout)
            assert not {"error", "type", "message"} & members.keys(), members
        assert sandbox.counts.api_requests == len(calls) == {"blnk_cloud": 3, "mcp": 2}.get(personality, 1)
        assert sandbox.counts.api_rejected == 0


@pytest.mark.parametrize("personality", NAMES)
def test_the_python_of_the_page_runs(personality: str, tmp_path: Any) -> None:
    """As it is copied: a browser opens, alice approves, and the API's answer is printed."""
    with Sandbox(personality, redirect_uri="http://127.0.0.1/callback") as sandbox:
        (program,) = (block for block in blocks(httpx.get(f"{sandbox.origin}/_sandbox/").text) if "import" in block)
        browser = tmp_path / "browser.py"
        browser.write_text(
            "import sys, urllib.request\n"
            "from blnk_auth.testing.sandbox import browser\n"
            "urllib.request.urlopen(browser.sign_in(sys.argv[1], subject='alice', approve=True)).read()\n"
        )
        opened = f"{sys.executable} {browser} %s"
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={**_no_proxy(), "BROWSER": opened},
        )
    assert done.returncode == 0, done.stderr
    assert ("'data'" if personality in ("blnk_cloud", "mcp") else "'accounts'") in done.stdout


def _no_proxy() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


# --- live events -----------------------------------------------------------------------------------------------------


def test_a_listener_gets_the_state_and_then_each_change(sandbox: Sandbox, http: httpx.Client, clock: Clock) -> None:
    """Grants, figures, faults, time and requests, each as it changes."""
    answer = sandbox.issue("alice")
    with httpx.Client(base_url=sandbox.origin, timeout=PATIENCE) as page, listening(page) as live:
        assert live.response.headers["content-type"].startswith("text/event-stream")
        state = live.state()
        (grant,) = state["grants"]
        assert (grant["subject"], grant["access"], grant["refreshes"]) == ("alice", "valid", 0)
        assert grant["expires_at"] - state["now"] == 3600
        second = refresh(sandbox, http, answer["refresh_token"]).json()
        (entry,) = live.until("requests")
        assert (entry["method"], entry["path"], entry["status"], entry["note"]) == (
            *("POST", "/oauth/token", 200),
            "refresh_token",
        )
        assert live.state(lambda state: state["grants"][0]["refreshes"] == 1)["counts"]["refreshes"] == 1
        clock.advance(3600)
        live.state(lambda state: state["grants"][0]["access"] == "expired")
        assert api(http, second) == 401
        assert [(each["path"], each["status"]) for each in live.until("requests")] == [("/data/ledgers", 401)]
        sandbox.fail("invalid_grant", Fault(status=418))
        assert live.state(lambda state: state["faults"])["faults"] == [
            "invalid_grant (token)",
            "status 418 (token)",
        ]
        sandbox.rotates = False
        live.state(lambda state: not state["rotates"])


def test_a_fault_and_a_refusal_are_named(sandbox: Sandbox, http: httpx.Client) -> None:
    """What was asked for, the fault that was applied, the error; and a request that got no response."""
    sandbox.fail("invalid_grant", "disconnect")
    refresh(sandbox, http, "unknown")
    with pytest.raises(httpx.TransportError):
        refresh(sandbox, http, "unknown")
    refresh(sandbox, http, "unknown")
    with listening(http) as live:
        entries = live.until("requests")
    assert [(each["status"], each["note"]) for each in entries] == [
        (400, "refresh_token, fault invalid_grant, invalid_grant"),
        (None, "refresh_token, fault disconnect"),
        (400, "refresh_token, invalid_grant"),
    ]


@pytest.mark.parametrize("personality", NAMES)
def test_no_event_has_a_whole_token_or_a_query(personality: str) -> None:
    """Tokens are shortened; queries, headers and bodies, in which codes and secrets are, are left out."""
    with Sandbox(personality) as sandbox, httpx.Client(base_url=sandbox.origin, timeout=PATIENCE) as http:
        answer = sandbox.issue("alice")
        token = answer["access_token"]
        http.get(f"/anything?code={token}", headers={"Authorization": f"Bearer {token}"})
        with listening(http) as live:
            shown = json.dumps([live.next(), live.next()])
    for secret in (token, answer["refresh_token"]):
        assert secret not in shown
        assert secret[-4:] in shown
        assert secret[8:16] not in shown


def test_a_listener_that_comes_back_gets_what_it_missed(sandbox: Sandbox, http: httpx.Client) -> None:
    """By the id of the last event that it got; the id of another sandbox counts as none."""
    for path in ("/data/a", "/data/b"):
        http.get(path)
    with listening(http) as live:
        _, last, _ = live.next()
        name, last, entries = live.next()
        assert (name, [each["path"] for each in entries]) == ("requests", ["/data/a", "/data/b"])
    http.get("/data/c")
    with listening(http, **{"Last-Event-ID": last}) as live:
        assert [each["path"] for each in live.until("requests")] == ["/data/c"]
    run = last.partition("-")[0].encode()
    for odd in (b"x-3", b"3", b"", run + b"-" + b"9" * 5000, run + b"-\xb2"):
        with listening(http, **{"Last-Event-ID": odd}) as live:
            assert len(live.until("requests")) == 3


def test_entries_and_listeners_are_bounded(sandbox: Sandbox, http: httpx.Client) -> None:
    """The latest 200 requests; sixteen pages, and the next gets an error with the reason, until one has closed."""
    for number in range(250):
        http.get(f"/data/{number}")
    with ExitStack() as pages:
        clients = [
            pages.enter_context(httpx.Client(base_url=sandbox.origin, timeout=PATIENCE)) for _ in range(MAX_LISTENERS)
        ]
        listeners = [pages.enter_context(listening(client)) for client in clients]
        entries = listeners[-1].until("requests")
        assert [each["path"] for each in entries] == [f"/data/{number}" for number in range(50, 250)]
        with http.stream("GET", "/_sandbox/events") as refused:
            assert refused.status_code == 503
            refused.read()
        assert "16 live pages are open already" in refused.json()["error"]
    while True:
        with http.stream("GET", "/_sandbox/events") as response:
            if response.status_code == 200:
                break


def test_the_sandbox_stops_while_pages_are_open() -> None:
    """A live page keeps nothing from ending."""
    with (
        Sandbox() as sandbox,
        httpx.Client(base_url=sandbox.origin, timeout=PATIENCE) as http,
        listening(http) as live,
    ):
        live.next()
        sandbox.__exit__(None, None, None)
        with pytest.raises(httpx.TransportError):
            live.until("never")


# --- controls --------------------------------------------------------------------------------------------------------


def test_each_button_does_what_it_is_called(sandbox: Sandbox, http: httpx.Client) -> None:
    """Expire and reject cost one renewal; after rotate the client's refresh token is spent; revoke ends the grant."""
    expired, rejected, rotated, revoked = (sandbox.issue(name) for name in ("a", "b", "c", "d"))
    for number, action in enumerate(("expire", "reject", "rotate", "revoke"), 1):
        assert control(http, f"{action}?grant={number}").status_code == 200
    assert [api(http, each) for each in (expired, rejected, rotated, revoked)] == [401, 401, 200, 401]
    assert [
        refresh(sandbox, http, each["refresh_token"]).status_code for each in (expired, rejected, rotated, revoked)
    ] == [200, 200, 400, 400]
    assert sandbox.counts.reuses == 1
    assert api(http, rotated) == 401


@pytest.mark.parametrize(
    ("action", "complaint"),
    [
        ("expire", "grant must be the number of a grant"),
        ("expire?grant=x", "grant must be the number of a grant"),
        (f"reject?grant={'9' * 5000}", "grant must be the number of a grant"),
        ("revoke?grant=7", "7 is not one of the latest 50 grants"),
        ("rotate?grant=7", "7 is not one of the latest 50 grants"),
        ("rotation?on=1", "on must be true or false"),
        ("fail?name=invalid_grnt", "did you mean 'invalid_grant' or "),
        ("lifetime?seconds=nan", "seconds must be a number of seconds"),
    ],
)
def test_a_control_that_cannot_be_done_is_an_error(http: httpx.Client, action: str, complaint: str) -> None:
    """With 400 and a message for a reader."""
    refused = control(http, action)
    assert refused.status_code == 400
    assert complaint in refused.json()["error"]


def test_faults_and_rotation_over_http(sandbox: Sandbox, http: httpx.Client) -> None:
    """A named fault waits, all can be cleared, and rotation can be turned off, after which Rotate is an error."""
    answer = sandbox.issue()
    control(http, "fail?name=unavailable")
    control(http, "fail?name=unavailable")
    assert refresh(sandbox, http, answer["refresh_token"]).status_code == 503
    control(http, "clear-faults")
    control(http, "rotation?on=false")
    assert refresh(sandbox, http, answer["refresh_token"]).json()["refresh_token"] == answer["refresh_token"]
    assert "do not rotate" in control(http, "rotate?grant=1").json()["error"]
    control(http, "rotation?on=true")
    assert refresh(sandbox, http, answer["refresh_token"]).json()["refresh_token"] != answer["refresh_token"]
    sandbox.revoke_grant("alice")
    assert "grant: The grant is revoked" in control(http, "rotate?grant=1").json()["error"]


def test_a_token_for_a_shell(sandbox: Sandbox, http: httpx.Client) -> None:
    """One line with the access token of a new grant; a GET, which a browser repeats at will, makes none."""
    token = control(http, "token?subject=bob").text.strip()
    assert http.get("/data/x", headers={"Authorization": f"Bearer {token}"}).json()["subject"] == "bob"
    assert http.get("/_sandbox/token").status_code == 405
    assert http.post("/_sandbox/events").status_code == 405


@pytest.mark.parametrize("path", ["/_sandbox/", "/_sandbox/live", "/_sandbox/events", "/_sandbox/counts"])
@pytest.mark.parametrize("host", ["evil.test", "evil.test:8400", "127.0.0.1.evil.test", "[::2]", "[", "", "10.0.0.1"])
def test_another_name_for_this_machine_is_refused(http: httpx.Client, path: str, host: str) -> None:
    """A site whose name leads to 127.0.0.1 (DNS rebinding) reads nothing."""
    refused = http.get(path, headers={"Host": host})
    assert refused.status_code == 421
    assert "sandbox-secret" not in refused.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9000", "[::1]:8400", "LOCALHOST"])
def test_any_loopback_name_is_accepted(http: httpx.Client, host: str) -> None:
    """With any port, which may be another one behind `ssh -L`."""
    assert http.get("/_sandbox/counts", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "{origin}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "{origin}"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
    ],
)
def test_another_site_cannot_press_a_button(
    sandbox: Sandbox, http: httpx.Client, headers: dict[str, str], status: int
) -> None:
    """A change comes from the sandbox's own page, or from a program that is not a browser."""
    answer = sandbox.issue()
    sent = {name: value.format(origin=sandbox.origin) for name, value in headers.items()}
    assert http.post("/_sandbox/revoke?grant=1", headers=sent).status_code == status
    assert api(http, answer) == (401 if status == 200 else 200)


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_what_was_issued_is_bounded(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest tokens are forgotten, so that a sandbox that runs for weeks stays small."""
    from blnk_auth.testing.sandbox import _authorization_server as module

    monkeypatch.setattr(module, "_MOST_TOKENS", 3)
    issued = [sandbox.issue(f"user-{number}")["access_token"] for number in range(5)]
    states = [sandbox._authorization_server.look_up(token)[0] for token in issued]
    assert states == ["unknown", "unknown", "valid", "valid", "valid"]
    assert len(sandbox._grants.views()) == 5
