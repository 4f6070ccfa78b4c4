"""What several unit tests share: a store and an authorization server made of plain functions, a client that talks to
them, and a search for secrets. Nothing here opens a socket.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import blnk_auth
from blnk_auth import OAuthClient, Provider, RenewalPolicy, Token, TokenSource
from blnk_auth._protocol.http_messages import HttpRequest, HttpResponse
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth.events import Event
from blnk_auth.stores._memory import MemoryStore
from blnk_auth.stores._token_store import Record, Version
from blnk_auth.testing import Clock

PACKAGE_DIRECTORY = str(Path(blnk_auth.__file__).parent)
TOKEN_ENDPOINT = "https://as.acme.test/token"
API = "https://api.acme.test"


Answer = HttpResponse | Exception | Callable[[HttpRequest], HttpResponse]


def answer(members: object, status: int = 200, **headers: str) -> HttpResponse:
    """A JSON answer of the token endpoint."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, named, json.dumps(members).encode())


def pair(number: int, **members: Any) -> HttpResponse:
    """The answer that issues the access token `at<number>` and the refresh token `rt<number>` for an hour."""
    issued = {
        "access_token": f"at{number}",
        "token_type": "Bearer",
        "expires_in": 3600,
        "refresh_token": f"rt{number}",
    }
    return answer({**issued, **members})


def refusal(error: str, status: int = 400, **members: Any) -> HttpResponse:
    """An error answer of RFC 6749 section 5.2."""
    return answer({"error": error, **members}, status)


class Server:
    """A token endpoint that gives the queued answers, one for each request; a request too many is an error."""

    def __init__(self, trace: list[str] | None = None) -> None:
        self.requests: list[HttpRequest] = []
        self.seconds: list[float | None] = []
        """How long each request might take."""
        self.trace: list[str] = [] if trace is None else trace
        self._answers: deque[Answer] = deque()

    def will(self, *answers: Answer) -> None:
        """Queue answers: a response, an exception to raise, or a function of the request."""
        self._answers.extend(answers)

    def send(self, request: HttpRequest, *, seconds: float | None = None) -> HttpResponse:
        self.seconds.append(seconds)
        self.requests.append(request)
        self.trace.append("ask")
        if not self._answers:
            raise AssertionError("one token request too many")
        given = self._answers.popleft()
        if isinstance(given, Exception):
            raise given
        return given if isinstance(given, HttpResponse) else given(request)

    @property
    def forms(self) -> list[dict[str, str]]:
        """The forms that were sent."""
        return [form(request) for request in self.requests]

    def http(self) -> httpx.Client:
        """An `httpx.Client` for `token_http=` whose every request comes here."""

        def handle(request: httpx.Request) -> httpx.Response:
            headers = {name.lower(): value for name, value in request.headers.items()}
            given = self.send(HttpRequest(request.method, str(request.url), headers, request.content))
            return httpx.Response(given.status_code, headers=dict(given.headers), content=given.body)

        return httpx.Client(transport=httpx.MockTransport(handle))


def form(request: HttpRequest) -> dict[str, str]:
    """The form in a request's body; a parameter that comes twice is an error."""
    pairs = list(httpx.QueryParams(request.body.decode()).multi_items())
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


class ScriptedStore(MemoryStore):
    """A MemoryStore that writes down what is asked of it, and lets a test interfere first."""

    def __init__(self, trace: list[str] | None = None) -> None:
        super().__init__()
        self.trace: list[str] = [] if trace is None else trace
        self._interferences: dict[str, deque[Callable[[], object] | None]] = {}

    def interfere(self, verb: str, *actions: Callable[[], object] | Exception | None) -> None:
        """Before the next calls of `verb` (load, save, delete, lock, unlock): run or raise these; None does nothing."""
        queue = self._interferences.setdefault(verb, deque())
        queue.extend(_raiser(action) if isinstance(action, Exception) else action for action in actions)

    @property
    def texts(self) -> dict[str, tuple[str, str]]:
        """Everything stored, byte for byte, with its version."""
        return dict(self._records)

    def put(self, key: str, token: Token, ended: str | None = None) -> Version:
        """Store a grant behind everybody's back."""
        record = super().load(key)
        data = GrantRecord(token, ended).to_data()
        return super().save(key, data, expected=None if record is None else record.version)

    def grant(self, key: str) -> GrantRecord:
        """The stored grant."""
        record = super().load(key)
        assert record is not None, "nothing is stored"
        return GrantRecord.from_data(record.data, key)

    def load(self, key: str) -> Record | None:
        self._called("load")
        return super().load(key)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        self._called("save")
        return super().save(key, data, expected=expected)

    def delete(self, key: str) -> None:
        self._called("delete")
        super().delete(key)

    @contextlib.contextmanager
    def lock(self, key: str, *, timeout: float) -> Iterator[None]:
        self._called("lock")
        with super().lock(key, timeout=timeout):
            yield
        self._called("unlock")

    def _called(self, verb: str) -> None:
        self.trace.append(verb)
        queue = self._interferences.get(verb)
        action = queue.popleft() if queue else None
        if action is not None:
            action()


def _raiser(error: Exception) -> Callable[[], object]:
    def raise_it() -> None:
        raise error

    return raise_it


def acme(**settings: Any) -> Provider:
    """A plain provider."""
    given: dict[str, Any] = {
        "name": "acme",
        "token_endpoint": TOKEN_ENDPOINT,
        "authorization_endpoint": "https://as.acme.test/authorize",
        "api_origins": (API,),
        **settings,
    }
    return Provider(**given)


class World:
    """A client of a plain provider with a scripted server and store, a clock that stands still, and its events."""

    def __init__(self, provider: Provider | None = None, **settings: Any) -> None:
        self.clock = Clock()
        self.server = Server()
        self.store = ScriptedStore()
        self.events: list[Event] = []
        given: dict[str, Any] = {
            "client_id": "id",
            "client_secret": "client-s3cret",
            "redirect_uri": "https://app.test/callback",
            "store": self.store,
            "token_http": self.server.http(),
            "on_event": self.events.append,
            "clock": self.clock,
            # Each request has one scripted answer; how often a lost one is asked for again has tests of its own.
            "policy": RenewalPolicy(lost_answer_retries=0),
            **settings,
        }
        self.client = OAuthClient(provider or acme(), **given)

    def signed_in(self, subject: str = "alice", **token: Any) -> TokenSource:
        """A source with the pair at0, rt0 stored, an hour to live unless `token` says otherwise."""
        source = self.client.for_subject(subject)
        source.adopt(self.token(0, **token))
        settle()
        self.events.clear()
        self.store.trace.clear()
        return source

    def token(self, number: int, **changes: Any) -> Token:
        """The token of `pair(number)`, received now."""
        now = self.clock()
        made = Token(
            f"at{number}", refresh_token=f"rt{number}", expires_at=now + 3600, issued_at=now, scope="data:read"
        )
        return made.replace(**changes)

    def stored(self, source: TokenSource) -> GrantRecord:
        """What the store holds for a source."""
        return self.store.grant(source.store_key)

    def told(self) -> list[str]:
        """The names of the events so far, once all workers have told theirs."""
        settle()
        return [event.name for event in self.events]


_NEVER_STARTED: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def settle() -> None:
    """Wait until every renewal thread has ended: events are told after the waiters have been woken."""
    begun_at = time.monotonic()
    while ours := [each for each in _renewals() if each not in _NEVER_STARTED]:
        waited = time.monotonic() - begun_at
        if waited > 1 and not any(thread.is_alive() for thread in ours):
            # Ctrl-C kept them from starting, and Python 3.13 goes on listing them.
            _NEVER_STARTED.update(ours)
            return
        assert waited < 10, "a renewal hangs"
        for thread in ours:
            # One that is only just starting cannot be joined yet.
            with contextlib.suppress(RuntimeError):
                thread.join(10)


def _renewals() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "blnk-auth renewal"]


# --- looking for secrets ---------------------------------------------------------------------------------------------


def everything_in(error: BaseException) -> Iterator[str]:
    """All that an error could tell a log: texts, attributes, notes and our frames' locals, over the whole chain."""
    queue: list[BaseException] = [error]
    seen: set[int] = set()
    while queue:
        each = queue.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield f"{each!r} {each} {each.args!r} {vars(each)!r}"
        yield from _locals_of_ours(each)
        queue += [other for other in (each.__cause__, each.__context__) if other is not None]


def _locals_of_ours(error: BaseException) -> Iterator[str]:
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_filename.startswith(PACKAGE_DIRECTORY):
            for name, value in frame.f_locals.items():
                yield f"local {name} of {frame.f_code.co_qualname}: {_shown(value)}"
        trace = trace.tb_next


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:
        # An object whose making failed half-way, as debuggers show it too.
        return f"<{type(value).__name__}: {error!r}>"


def leaks(texts: Iterable[object], secrets: Iterable[str]) -> list[str]:
    """The texts that hold one of the secrets."""
    looked_for = tuple(secrets)
    assert looked_for
    return [text for text in map(str, texts) if any(secret in text for secret in looked_for)]


@contextlib.contextmanager
def no_secret_shown(secret: str) -> Iterator[None]:
    """The block raises, and no frame of ours that the error shows has the secret in a local variable."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - which error it is, other tests ask
        yield
    error = raised.value
    frames = [
        f"{frame.name}: {name} = {value}"
        for each in traceback_chain(error)
        for frame in traceback.TracebackException.from_exception(each, capture_locals=True).stack
        if frame.filename.startswith(PACKAGE_DIRECTORY)
        for name, value in (frame.locals or {}).items()
    ]
    assert not [frame for frame in frames if secret in frame]
    assert secret not in f"{error} {error!r}"


def traceback_chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and all that it is chained to."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
