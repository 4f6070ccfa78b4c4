"""F56: with everything logged at DEBUG, through sign-in, renewal, rejection and every kind of failure, no secret shows.

The secrets are taken from the HTTP messages: every header, form and answer with credentials in it.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import httpx2
import pytest
import requests
from support.leaks import everything_in, leaks
from support.waiting import settle

from blnk_auth import (
    BlnkAuthError,
    BlnkCloud,
    Event,
    Httpx2Auth,
    HttpxAuth,
    OAuthClient,
    RenewalPolicy,
    RequestsAuth,
    SQLiteStore,
    Token,
)
from blnk_auth.testing import Clock, Fault, Sandbox
from blnk_auth.token import read_token

pytestmark = pytest.mark.real

SECRET = "cl1ent-s3cret/+of the sandbox"
CLIENTS = ("httpx", "httpx2", "requests")


def fetched_secret() -> str:
    return SECRET


class Session:
    """A signed-in user of one HTTP client, and everything that became visible meanwhile."""

    def __init__(self, sandbox: Sandbox, clock: Clock, name: str, directory: Any) -> None:
        self.sandbox, self.clock = sandbox, clock
        self.events: list[Event] = []
        self.errors: list[BlnkAuthError] = []
        self.seen: list[object] = []
        self.client = OAuthClient(
            BlnkCloud(base_url=sandbox.origin),
            client_id=sandbox.client_id,
            client_secret=fetched_secret,
            redirect_uri=sandbox.redirect_uri,
            store=SQLiteStore(directory / "tokens.db"),
            policy=RenewalPolicy(lost_answer_delay=0.0),
            on_event=self.events.append,
            clock=clock,
        )
        self.start = self.client.start_authorization("alice")
        self.callback = sandbox.sign_in(self.start.url)
        self.source = self.client.finish_authorization(self.callback)
        self.auth: Any = {"httpx": HttpxAuth, "httpx2": Httpx2Auth, "requests": RequestsAuth}[name](self.source)
        self.http: Any = {"httpx": httpx.Client, "httpx2": httpx2.Client, "requests": requests.Session}[name]()
        self.http.auth = self.auth
        self.secrets = {SECRET, self.start.state, parse_qs(urlsplit(self.callback).query)["code"][0]}

    def call(self) -> int | None:
        """One API call; its status, or None if it raised, and what raised is kept."""
        try:
            response = self.http.get(f"{self.sandbox.origin}/data/ledgers")
        except BlnkAuthError as error:
            self.errors.append(error)
            return None
        finally:
            settle()
            self.learn()
        self.seen += [response, *(each for each in response.history)]
        status: int = response.status_code
        return status

    def learn(self) -> None:
        """Every credential in the HTTP messages so far."""
        with contextlib.suppress(Exception):
            token = self.source.token()
            self.secrets |= {token.access_token, token.refresh_token or token.access_token}
        for request in self.sandbox.requests:
            self.secrets |= {
                value
                for name, value in request.form.items()
                if name in ("refresh_token", "code", "code_verifier", "client_secret")
            }
            self.secrets |= {request.headers.get("authorization", SECRET).partition(" ")[2] or SECRET}

    def shown(self) -> Iterator[object]:
        """All that a log, a debugger or a pickle could show."""
        for each in (self.client, self.source, self.auth, self.start, *self.seen, *self.events):
            yield repr(each)
            yield str(each)
            yield vars(each) if hasattr(each, "__dict__") and type(each).__module__.startswith("blnk_auth") else ""
        for error in self.errors:
            yield from everything_in(error)
            yield pickle.dumps(error)
            yield "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format())
        for event in self.events:
            if event.error is not None:
                yield from everything_in(event.error)
                yield pickle.dumps(event.error)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(clock=clock, client_secret=SECRET) as running:
        yield running


@pytest.fixture(params=CLIENTS)
def session(
    request: pytest.FixtureRequest, sandbox: Sandbox, clock: Clock, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> Iterator[Session]:
    caplog.set_level(logging.DEBUG)
    made = Session(sandbox, clock, request.param, tmp_path)
    yield made
    made.http.close()


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Every record, formatted and in its parts."""
    return [f"{record.getMessage()} {record.args!r} {record.exc_text}" for record in caplog.records] + [caplog.text]


def test_f56_nothing_shows_while_all_is_well(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """Sign-in, a call, an expiry, a rejected token, and a call again."""
    assert session.call() == 200
    session.clock.advance(4000)
    assert session.call() == 200
    session.sandbox.revoke_access_tokens("alice")
    assert session.call() == 200
    assert session.sandbox.counts.refreshes == 2
    assert len(session.secrets) >= 8
    assert leaks([*session.shown(), *logged(caplog)], session.secrets) == []


def quoting(status: int, body: str) -> Callable[[str], Fault]:
    """An answer that quotes what it was sent."""
    return lambda secrets: Fault(status, body.replace("<>", secrets).encode())


FAULTS: dict[str, Callable[[str], Fault]] = {
    "503": quoting(503, '{"error":"server_error","error_description":"<>"}'),
    "400": quoting(400, '{"error":"invalid_scope","error_description":"<>"}'),
    "401": quoting(401, '{"error":"<>"}'),
    "200 HTML": quoting(200, "<html><></html>"),
    "200 without an access token": quoting(200, '{"refresh_token":"<>"}'),
    "invalid_grant": quoting(400, '{"error":"invalid_grant","error_description":"<>"}'),
    "307": lambda secrets: Fault(307, f"<html>{secrets}</html>".encode(), {"location": "http://127.0.0.1/"}),
    "disconnect": lambda secrets: Fault(disconnect=True),
    "an answer that got lost": lambda secrets: Fault(disconnect=True, after_rotation=True),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["expired", "rejected"])
def test_f56_nothing_shows_when_a_renewal_fails(
    session: Session, caplog: pytest.LogCaptureFixture, fault: str, kind: str
) -> None:
    """A server that quotes what it was sent, a page in between, a connection that breaks."""
    session.call()
    token = session.source.token()
    # A lost answer is asked for again in the same renewal: twice more.
    times = 3 if fault == "disconnect" else 1
    session.sandbox.fail_token_requests(*[FAULTS[fault](f"{token.refresh_token} {token.access_token}")] * times)
    if kind == "expired":
        session.clock.advance(4000)
    else:
        session.sandbox.revoke_access_tokens("alice")
    assert session.call() is None
    assert len(session.errors) == 1
    assert leaks([*session.shown(), *logged(caplog)], session.secrets) == []


def test_f56_nothing_shows_when_the_server_is_down(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """Connection refused, with the last access token expired."""
    session.call()
    session.sandbox.__exit__(None, None, None)
    session.clock.advance(4000)
    assert session.call() is None
    assert leaks([*session.shown(), *logged(caplog)], session.secrets) == []


@pytest.mark.parametrize("name", CLIENTS)
def test_f56_nothing_shows_when_tls_fails(
    name: str, sandbox: Sandbox, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """With https to a server that speaks http: the handshake fails before anything is sent."""
    caplog.set_level(logging.DEBUG)
    client = OAuthClient(
        BlnkCloud(base_url=sandbox.origin.replace("http:", "https:")),
        client_id="id",
        client_secret=fetched_secret,
        clock=clock,
    )
    source = client.for_subject("alice")
    source.adopt(Token("at-of-alice-0123", refresh_token="rt-of-alice-0123", expires_at=clock() + 1, issued_at=clock()))
    clock.advance(4000)
    flight = source._current.ready(name)  # type: ignore[arg-type]
    with pytest.raises(BlnkAuthError) as caught:
        flight.wait(10)  # type: ignore[union-attr]
    settle()
    secrets = {"at-of-alice-0123", "rt-of-alice-0123", SECRET}
    assert leaks([*everything_in(caught.value), *logged(caplog)], secrets) == []


@pytest.mark.parametrize("auth", [HttpxAuth, Httpx2Auth, RequestsAuth])
def test_f56_an_auth_object_pickles_without_secrets_and_works_afterwards(auth: Any, tmp_path: Any) -> None:
    """F52: a `requests.Session` with one is sent to another process, which finds the grant in the store."""
    client = OAuthClient(
        BlnkCloud(), client_id="id", client_secret=fetched_secret, store=SQLiteStore(tmp_path / "tokens.db")
    )
    source = client.for_subject("alice")
    source.adopt(Token("at-of-alice-0123", refresh_token="rt-of-alice-0123", expires_at=time.time() + 3600))
    pickled = pickle.dumps(auth(source))
    assert leaks([pickled], [SECRET, "at-of-alice-0123", "rt-of-alice-0123"]) == []
    restored = pickle.loads(pickled)
    assert restored._source.token().access_token == "at-of-alice-0123"


def test_the_search_would_find_a_secret() -> None:
    """In a text, an attribute, the chain and a local of our frame: else the tests above could not fail."""
    inner = ValueError("s3cret-in-chain")
    try:
        raise BlnkAuthError("outer") from inner
    except BlnkAuthError as error:
        error.error_description = "s3cret-in-attribute"
        found = leaks(everything_in(error), ["s3cret-in-chain", "s3cret-in-attribute"])
    assert len(found) == 2
    with pytest.raises(ValueError, match="access_token") as caught:
        read_token({"refresh_token": "s3cret-in-local"}, received_at=0.0)
    assert leaks(everything_in(caught.value), ["s3cret-in-local"])
