"""Signing in from inside a request: who is asked, who waits, how long, and what they get. Without a network or time."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from support.errors import must_show, raises
from support.limits import PATIENCE
from support.processes import in_forked_child
from support.providers import acme
from support.scripted import ScriptedWorld
from support.token_endpoint import pair, refusal
from support.waiting import Hold, settle, wait_until

from blnk_auth import (
    AuthorizationRequest,
    BlnkAuthError,
    ConfigurationError,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
    Token,
)
from blnk_auth._renewal.cached_token import CachedToken
from blnk_auth._renewal.client_state import ClientState
from blnk_auth._renewal.current_token import CurrentToken
from blnk_auth._renewal.store_keys import pending_key
from blnk_auth._resource.pending_requests import LEASE, SHARED_FOR, Asked, Begun, PendingRequest, PendingRequests
from blnk_auth._resource.request_sign_in import RequestSignIn
from blnk_auth._sign_in import interactive
from blnk_auth._sign_in.finish_authorization import finish_patiently
from blnk_auth._sign_in.interactive import InteractiveSignIn

Waits = Callable[[threading.Event, float], bool]


class Requests(ScriptedWorld):
    """The requests of one process that need a sign-in of alice. Time passes only where they wait for the user."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(acme(), **settings)
        self.source = self.client.for_subject("alice")
        self.waited: list[float] = []
        self.meanwhile: dict[int, Callable[[], object]] = {}
        """What happens during the wait with this number."""
        self.each_wait: Callable[[], object] = bool

    @property
    def current(self) -> CurrentToken:
        current = self.source._credential  # pyright: ignore[reportPrivateUsage]
        assert isinstance(current, CurrentToken)
        return current

    def process(self) -> Requests:
        """Another process with the same store and the same time."""
        other = Requests(store=self.store, clock=self.clock)
        other.store, other.clock = self.store, self.clock
        return other

    def wait(self, done: threading.Event, seconds: float) -> bool:
        """As long as the user has time: the clock moves, and nobody sleeps. A question is answered first."""
        self.waited.append(seconds)
        self.each_wait()
        self.meanwhile.pop(len(self.waited), bool)()
        self.clock.advance(seconds)
        return done.is_set()

    def how(self, ask: Any = None, timeout: float = 300.0, wait: Waits | None = None) -> RequestSignIn:
        return RequestSignIn(ask, timeout, wait=wait or self.wait)

    def sign_in(
        self, how: RequestSignIn, reason: str = "missing", scope: str | None = None, **further: Any
    ) -> CachedToken:
        return how.sign_in(self.current, reason=needed(reason, scope), package=None, scope=scope, **further)

    def required(
        self, how: RequestSignIn, reason: str = "missing", scope: str | None = None, **further: Any
    ) -> SignInRequired:
        with pytest.raises(SignInRequired) as caught:
            self.sign_in(how, reason, scope, **further)
        return caught.value

    def pending(self) -> PendingRequest:
        return PendingRequests(self.current.state, self.source.store_key).load()

    def finish(self, request: AuthorizationRequest | None, number: int = 1, **members: Any) -> None:
        """What a web application does with the callback."""
        assert request is not None
        self.server.will(pair(number, **members))
        self.client.finish_authorization(callback_of(request))


def needed(reason: Any, scope: str | None = None) -> SignInRequired:
    return SignInRequired("a sign-in is needed", reason=reason, subject="alice", scope=scope)


def callback_of(request: AuthorizationRequest, **changes: str) -> str:
    return "https://app.test/callback?" + urlencode({"code": "c0de", "state": request.state, **changes})


def query(request: AuthorizationRequest | None) -> dict[str, str]:
    assert request is not None
    return {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}


def until_done(done: threading.Event, _seconds: float) -> bool:
    """A wait for a question that is answered soon."""
    return done.wait(PATIENCE)


# --- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["Browser", "", 1, True, object()])
def test_what_asks_nobody_is_refused(how: Any) -> None:
    with raises(ConfigurationError, parameter="sign_in"):
        RequestSignIn(how)


async def ask_in_a_loop(_request: AuthorizationRequest) -> str:
    raise AssertionError("it is refused before anybody is asked")


def test_an_async_function_is_refused_before_anybody_is_asked() -> None:
    """The mistake of a program that is async itself: nothing would await what it returns."""
    how: Any = ask_in_a_loop
    with raises(ConfigurationError, parameter="sign_in", shows="asyncio.run"):
        RequestSignIn(how)


@pytest.mark.parametrize("timeout", [0, -1, 601, float("nan"), True, "300", None])
def test_a_time_that_cannot_be_waited_is_refused(timeout: Any) -> None:
    with raises(ConfigurationError, parameter="sign_in_timeout"):
        RequestSignIn(None, timeout)


# --- nobody is asked -------------------------------------------------------------------------------------------------


def test_without_sign_in_the_error_has_where_to_send_the_user() -> None:
    """And the application finishes it as any other sign-in."""
    world = Requests()
    error = world.required(world.how(), scope="data:read")
    assert (error.reason, error.subject) == ("missing", "alice")
    must_show(error, "error.authorization.url")
    assert query(error.authorization)["scope"] == "data:read"
    assert not world.waited
    world.finish(error.authorization)
    assert world.source.token().access_token == "at1"


def test_fifty_failing_threads_share_one_sign_in() -> None:
    world = Requests()
    how = world.how()
    together = threading.Barrier(50)

    def required(_number: int) -> SignInRequired:
        together.wait(PATIENCE)
        return world.required(how)

    with ThreadPoolExecutor(50) as pool:
        errors = list(pool.map(required, range(50)))
    assert len({error.authorization for error in errors}) == 1
    assert sum("/authorization/" in f"/{key}" for key in world.store.texts) == 1


def test_other_processes_get_the_same_for_five_minutes() -> None:
    """Then another one: the user has ten minutes for each."""
    world = Requests()
    first = world.required(world.how()).authorization
    world.clock.advance(SHARED_FOR - 1)
    assert world.process().required(world.how()).authorization == first
    world.clock.advance(1)
    second = world.process().required(world.how()).authorization
    assert second != first
    assert world.required(world.how()).authorization == second


@pytest.mark.parametrize("ended", ["finished", "refused"])
def test_a_sign_in_that_is_over_is_not_given_to_the_next(ended: str) -> None:
    """It was finished, and the grant has been forgotten since; or the user refused."""
    world = Requests()
    first = world.required(world.how()).authorization
    assert first is not None
    if ended == "finished":
        world.finish(first)
        world.source.forget()
    else:
        with pytest.raises(SignInRequired):
            world.client.finish_authorization(callback_of(first, error="access_denied", code=""))
    assert world.required(world.how()).authorization != first


@pytest.mark.parametrize(
    ("before", "now", "is_shared"),
    [
        (Asked("a b"), Asked("a"), True),
        (Asked("a b"), Asked("b a"), True),
        (Asked("a"), Asked("a b"), False),
        (Asked("a"), Asked(), True),
        (Asked(), Asked("a"), False),
        (Asked("a", "loa3"), Asked("a", "loa3"), True),
        (Asked("a", "loa2"), Asked("a", "loa3"), False),
        (Asked("a", "loa2"), Asked("a"), True),
        (Asked("a", None, 60), Asked("a", None, 60), True),
        (Asked("a", None, 60), Asked("a", None, 300), True),
        (Asked("a", None, 300), Asked("a", None, 60), False),
        (Asked("a"), Asked("a", None, 60), False),
    ],
)
def test_a_sign_in_is_shared_if_it_asks_for_enough(before: Asked, now: Asked, is_shared: bool) -> None:
    assert before.covers(now) is is_shared


def test_a_sign_in_that_asks_for_less_is_not_shared() -> None:
    world = Requests()
    first = world.required(world.how(), scope="a").authorization
    second = world.required(world.how(), scope="a b").authorization
    assert query(second)["scope"] == "a b"
    assert world.required(world.how(), scope="a").authorization == second != first


def test_a_sign_in_that_was_finished_meanwhile_is_used() -> None:
    """Another process has signed the user in: the store has the token, and nothing is begun."""
    world = Requests()
    other = world.process()
    other.source.adopt(other.token(7))
    assert world.sign_in(world.how()).token.access_token == "at7"
    assert world.pending() == PendingRequest()


@pytest.mark.parametrize(
    "url", ["https://evil.test/authorize?state=x", "https://as.acme.test/authorize", "javascript:alert(1)?x", ""]
)
def test_a_record_sends_nobody_to_another_server(url: str) -> None:
    """Also if its state is that of a sign-in that was begun: somebody may have changed the record."""
    world = Requests()
    first = world.required(world.how()).authorization
    assert first is not None
    changed = AuthorizationRequest(url, first.state, first.expires_at)
    pending = PendingRequests(world.current.state, world.source.store_key)
    pending.change(lambda found, now: found.with_begun(Begun(changed, Asked(), now)))
    again = world.process().required(world.how()).authorization
    assert again is not None
    assert again.url.startswith("https://as.acme.test/authorize?")


def test_what_requests_noted_is_deleted_with_the_sign_ins_that_nobody_finished() -> None:
    """When nobody can need it any more."""
    world = Requests()
    world.required(world.how())
    key = pending_key(world.source.store_key)
    assert world.client.prune(0) == 0
    assert key in world.store.texts
    world.clock.advance(601)
    assert world.client.prune(0) == 2
    assert key not in world.store.texts


def test_a_record_that_cannot_be_read_counts_as_empty() -> None:
    world = Requests()
    key = pending_key(world.source.store_key)
    for data in ({"begun": 7}, {"asked_by": [], "asked_until": "x"}, {"begun": {"url": 1}}, {"widened_at": "x"}):
        record = world.store.load(key)
        world.store.save(key, data, expected=None if record is None else record.version)
        assert world.required(world.how()).authorization is not None


def test_a_client_without_a_redirect_uri_is_refused_by_its_name() -> None:
    world = Requests(redirect_uri=None)
    with raises(ConfigurationError, parameter="redirect_uri"):
        world.sign_in(world.how())


# --- a callable ------------------------------------------------------------------------------------------------------


def test_a_callable_gets_the_request_and_returns_the_callback() -> None:
    """On another thread than the caller's. Afterwards nobody has the record."""
    world, threads = Requests(), list[threading.Thread]()
    world.server.will(pair(1))

    def ask(request: AuthorizationRequest) -> str:
        threads.append(threading.current_thread())
        assert world.pending().is_asked(world.clock())
        return callback_of(request)

    assert world.sign_in(world.how(ask, wait=until_done), scope="data:read").token.access_token == "at1"
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon
    assert not world.pending().is_asked(world.clock())
    assert world.pending().failed_attempt is None
    assert world.stored(world.source).requested_scope == "data:read"
    assert world.source.token().access_token == "at1"


def test_a_callable_that_returns_none_gives_the_request_to_the_caller() -> None:
    world = Requests()
    error = world.required(world.how(lambda _request: None, wait=until_done))
    assert error.reason == "missing"
    world.finish(error.authorization)
    assert world.source.token().access_token == "at1"


def test_what_a_callable_raises_reaches_the_caller() -> None:
    """The error itself, and the record is free for the next request."""

    class NoScreenError(Exception):
        pass

    def ask(_request: AuthorizationRequest) -> str:
        raise NoScreenError

    world = Requests()
    with pytest.raises(NoScreenError):
        world.sign_in(world.how(ask, wait=until_done))
    assert not world.pending().is_asked(world.clock())
    world.server.will(pair(1))
    assert world.sign_in(world.how(callback_of, wait=until_done)).token.access_token == "at1"


@pytest.mark.parametrize("returned", [True, 5, b"https://app.test/callback", ["x"]])
def test_only_a_url_is_accepted(returned: Any) -> None:
    world = Requests()
    with raises(ConfigurationError, parameter="sign_in"):
        world.sign_in(world.how(lambda _request: returned, wait=until_done))


def test_a_user_who_refuses_is_an_error_of_that_kind() -> None:
    world = Requests()
    error = world.required(
        world.how(lambda request: callback_of(request, error="access_denied", code=""), wait=until_done)
    )
    assert (error.reason, error.error, error.subject) == ("denied", "access_denied", "alice")


def test_the_callback_of_another_user_is_refused() -> None:
    """It is finished, since it is a sign-in of this client, but alice's requests do not get bob's token."""
    world = Requests()
    bob = world.client.start_authorization("bob")
    world.server.will(pair(5))
    assert world.required(world.how(lambda _request: callback_of(bob), wait=until_done)).reason == "missing"
    assert world.client.for_subject("bob").state == "fresh"
    assert world.source.state == "missing"


def test_a_code_that_is_certainly_unspent_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could send it again: the callable has returned."""
    monkeypatch.setattr("blnk_auth._sign_in.finish_authorization._PAUSES", (0.0,))
    world = Requests()
    world.server.will(raises_connect_error(), pair(1))
    assert world.sign_in(world.how(callback_of, wait=until_done)).token.access_token == "at1"


def raises_connect_error() -> Exception:
    import httpx

    return httpx.ConnectError("refused")


def test_a_callable_that_needs_itself_gets_an_error() -> None:
    """A request that it makes with the same source would wait for itself."""
    world = Requests()
    how: RequestSignIn | None = None

    def ask(_request: AuthorizationRequest) -> str | None:
        assert how is not None
        how.check_caller()
        return None

    how = world.how(ask, wait=until_done)
    how.check_caller()
    with raises(BlnkAuthError, parameter="sign_in"):
        world.sign_in(how)


def test_an_event_of_the_sign_in_may_use_the_source() -> None:
    """`on_event` is called after the callable has returned: it is not the callable."""
    world, errors = Requests(), list[BlnkAuthError]()
    how: RequestSignIn | None = None

    def ask_again(_event: object) -> None:
        assert how is not None
        try:
            how.check_caller()
        except BlnkAuthError as error:
            errors.append(error)

    world.client._state.operations._on_event = ask_again  # pyright: ignore[reportPrivateUsage]
    how = world.how(callback_of, wait=until_done)
    world.server.will(pair(1))
    world.sign_in(how)
    settle()
    assert not errors


def test_fifty_threads_ask_once() -> None:
    """In one flight; a caller that leaves ends nothing."""
    world, hold, asked = Requests(), Hold(), list[AuthorizationRequest]()
    world.server.will(pair(1))

    def ask(request: AuthorizationRequest) -> str:
        asked.append(request)
        hold()
        return callback_of(request)

    how = world.how(ask, wait=until_done)
    flights = [how.begin(world.current, reason=needed("missing"), package=None) for _ in range(50)]
    hold.wait_until_reached()
    with pytest.raises(TemporarilyUnavailable):
        flights[0].wait(0)
    hold.release()
    assert {flight.wait(PATIENCE).token.access_token for flight in flights} == {"at1"}
    assert len(asked) == 1


def test_other_attempts_of_the_process_wait_for_the_one_that_asks() -> None:
    """Here each attempt is one that does not know of the others, as in as many processes."""
    world, hold, asked = Requests(), Hold(), list[AuthorizationRequest]()
    world.server.will(pair(1))

    def ask(request: AuthorizationRequest) -> str:
        asked.append(request)
        hold()
        return callback_of(request)

    def patient(done: threading.Event, _seconds: float) -> bool:
        return done.wait(0.02)

    processes = [world, *(world.process() for _ in range(7))]
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(each.sign_in, each.how(ask, wait=patient)) for each in processes]
        hold.wait_until_reached()
        # The scripted server is the one of each process.
        for each in processes[1:]:
            each.server.will(pair(1))
        hold.release()
        tokens = {each.result(PATIENCE).token.access_token for each in found}
    assert tokens == {"at1"}
    assert len(asked) == 1


@pytest.mark.real
def test_a_forked_child_does_not_wait_for_the_thread_of_its_parent() -> None:
    """That thread does not exist in the child, which asks by itself."""
    world = Requests()
    ask, hold = stuck()
    how = world.how(ask)
    with hold:
        world.required(how)
        assert how._asking is not None  # pyright: ignore[reportPrivateUsage]

        def in_child() -> None:
            assert how._asking is None  # pyright: ignore[reportPrivateUsage]
            with how._lock:  # pyright: ignore[reportPrivateUsage]
                pass

        in_forked_child(in_child)
        hold.release()


@pytest.mark.real
@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="these always have a screen")
def test_without_a_browser_the_error_names_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a page that was never opened."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    world = Requests(redirect_uri="http://127.0.0.1/callback")
    with raises(ConfigurationError, parameter="sign_in"):
        world.sign_in(world.how("browser", wait=until_done))
    assert not world.pending().is_asked(world.clock())


def test_a_browser_needs_a_redirect_uri_of_this_machine() -> None:
    world = Requests()
    with raises(ConfigurationError, parameter="redirect_uri"):
        world.sign_in(world.how("browser", wait=until_done))
    assert not world.pending().is_asked(world.clock())


@pytest.mark.real
def test_a_request_that_continues_leaves_the_browser_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request finds the tokens in the store before the browser has got its page. The sign-in is counted."""
    world = Requests(redirect_uri="http://127.0.0.1/callback")
    opened: queue.Queue[str] = queue.Queue()
    stored, found = threading.Event(), threading.Event()

    async def finish(state: ClientState, callback_url: str) -> CurrentToken:
        current = await finish_patiently(state, callback_url)
        stored.set()
        assert await asyncio.to_thread(found.wait, PATIENCE)
        return current

    def come_back() -> httpx.Response:
        sent = {name: values[0] for name, values in parse_qs(urlsplit(opened.get(timeout=PATIENCE)).query).items()}
        callback = f"{sent['redirect_uri']}?{urlencode({'code': 'c0de', 'state': sent['state']})}"
        return httpx.get(callback, follow_redirects=True, timeout=PATIENCE, trust_env=False)

    def open_browser(url: str) -> bool:
        opened.put(url)
        return True

    monkeypatch.setattr(interactive, "finish_patiently", finish)
    monkeypatch.setattr(interactive, "_opened_in_browser", open_browser)
    world.server.will(pair(1))
    with ThreadPoolExecutor(1) as browser:
        page = browser.submit(come_back)
        how = world.how("browser", wait=lambda _done, _seconds: not stored.wait(PATIENCE))
        assert world.sign_in(how).token.access_token == "at1"
        assert len(world.pending().signed_in_at) == 1
        found.set()
        assert "You are signed in" in page.result(PATIENCE).text


# --- time ------------------------------------------------------------------------------------------------------------


def stuck(asked: list[AuthorizationRequest] | None = None) -> tuple[Callable[[AuthorizationRequest], str], Hold]:
    """A callable whose user does nothing. `asked` gets what it was called with."""
    hold = Hold()

    def ask(request: AuthorizationRequest) -> str:
        if asked is not None:
            asked.append(request)
        hold()
        return callback_of(request)

    return ask, hold


def test_a_user_who_does_nothing_is_waited_for_in_vain() -> None:
    """Until the time is over. The record is looked at every two seconds, and is never free for another meanwhile."""
    world = Requests()
    ask, hold = stuck()
    is_asked = list[bool]()
    world.each_wait = lambda: is_asked.append(world.pending().is_asked(world.clock()))
    with hold:
        began = world.clock()
        error = world.required(world.how(ask))
        must_show(error, "300", "error.authorization.url")
        assert error.reason == "missing"
        assert error.authorization is not None
        assert world.clock() - began == pytest.approx(300)
        assert max(world.waited) == 2
        assert all(is_asked)
        assert len(is_asked) >= 150
        assert not world.pending().is_asked(world.clock())
        hold.release()


def test_who_comes_back_late_is_signed_in_for_the_next_request() -> None:
    world, asked = Requests(), list[AuthorizationRequest]()
    ask, hold = stuck(asked)
    how = world.how(ask)
    world.required(how)
    world.server.will(pair(1))
    # The next request waits for the same question: the user is not asked twice.
    world.meanwhile[len(world.waited) + 1] = lambda: (hold.release(), settle_asking(how))
    assert world.sign_in(how).token.access_token == "at1"
    assert len(asked) == 1


def settle_asking(how: RequestSignIn) -> None:
    asking = how._asking  # pyright: ignore[reportPrivateUsage]
    assert asking is not None
    assert asking.done.wait(PATIENCE)


def test_who_waits_gives_up_when_the_time_is_over() -> None:
    """And does not ask: somebody else does."""
    world = Requests()
    asked_by_another(world, until=1e12)
    error = world.required(world.how(refuse_to_ask, timeout=10))
    must_show(error, "10")
    assert sum(world.waited) == 10


def refuse_to_ask(_request: AuthorizationRequest) -> str:
    raise AssertionError("another process asks already")


def asked_by_another(world: Requests, until: float) -> None:
    """Another process asks, and continues until `until` (seconds from now), as it is seen from here."""
    pending = PendingRequests(world.current.state, world.source.store_key)
    ends_at = world.clock() + until

    def extend() -> None:
        if world.clock() < ends_at:
            pending.change(lambda found, now: found.claimed("another", now, widens=False))

    extend()
    world.each_wait = extend


def asked_by_another_ends(world: Requests, *, failed: bool) -> None:
    """That process has asked, and gives up the record during the first wait."""

    def release() -> None:
        world.each_wait = bool
        PendingRequests(world.current.state, world.source.store_key).change(
            PendingRequest.failed if failed else PendingRequest.released
        )

    world.meanwhile[1] = release


def test_a_process_that_is_killed_blocks_the_others_for_its_lease() -> None:
    """Half a minute after its last sign of life, one of them asks."""
    world = Requests()
    began = world.clock()
    asked_by_another(world, until=60)
    asked_at = list[float]()

    def ask(request: AuthorizationRequest) -> str:
        asked_at.append(world.clock() - began)
        return callback_of(request)

    world.server.will(pair(1))
    how = world.how(ask, wait=lambda done, seconds: done.wait(PATIENCE) if asked_at else world.wait(done, seconds))
    assert world.sign_in(how).token.access_token == "at1"
    assert 60 < asked_at[0] <= 60 + LEASE + 2


def test_a_sign_in_that_is_finished_elsewhere_ends_the_wait() -> None:
    """Of those who wait, and of the one that asks."""
    for asks_itself in (False, True):
        world = Requests()
        ask, hold = stuck()
        if not asks_itself:
            asked_by_another(world, until=1e12)
        other = world.process()
        world.meanwhile[3] = lambda other=other: other.source.adopt(other.token(7))
        with hold:
            assert world.sign_in(world.how(ask)).token.access_token == "at7"
            assert len(world.waited) == 3
            hold.release()


def test_who_waited_for_a_user_that_refused_does_not_ask_again() -> None:
    """The next request does."""
    world = Requests()
    asked_by_another(world, until=1e12)
    asked_by_another_ends(world, failed=True)
    world.required(world.how(refuse_to_ask))
    assert len(world.waited) == 1
    world.server.will(pair(1))
    assert world.sign_in(world.how(callback_of, wait=until_done)).token.access_token == "at1"


def test_a_lease_in_the_far_future_is_that_of_a_clock_that_is_wrong() -> None:
    assert PendingRequest("a", 1000.0 + LEASE).is_asked(1000.0)
    assert not PendingRequest("a", 1000.0).is_asked(1000.0)
    assert not PendingRequest("a", 1e9).is_asked(1000.0)


def test_a_store_that_fails_while_the_user_is_asked_ends_nothing() -> None:
    world = Requests()
    world.server.will(pair(1))
    hold = Hold()

    def ask(request: AuthorizationRequest) -> str:
        hold()
        return callback_of(request)

    def wait(done: threading.Event, _seconds: float) -> bool:
        hold.wait_until_reached()
        if world.waited:
            hold.release()
            return done.wait(PATIENCE)
        world.waited.append(0)
        world.store.interfere("load", StoreError("the store is away"))
        return False

    assert world.sign_in(world.how(ask, wait=wait)).token.access_token == "at1"


# --- what happens between two looks ----------------------------------------------------------------------------------


def test_nobody_is_asked_who_has_signed_in_before_the_claim() -> None:
    """Another process has finished the sign-in after this one has looked, and before it claims to ask the user."""
    world = Requests()
    other = world.process()
    # The first look, the pending record, the second look; then the record that is to be changed.
    world.store.interfere("load", None, None, None, lambda: other.source.adopt(other.token(7)))
    assert world.sign_in(world.how(refuse_to_ask)).token.access_token == "at7"
    assert not world.waited
    assert not world.pending().is_asked(world.clock())


def test_a_question_that_nobody_was_asked_is_not_counted() -> None:
    """There are three for each hour; here another process has the wider sign-in before the user is asked."""
    world = Requests()
    sent, other = signed_in_with(world, "a"), world.process()
    in_between = partial(other.client.start_authorization, "alice", scope="a c")
    world.store.interfere("load", None, None, None, lambda: other.finish(in_between(), 5))
    found = world.sign_in(world.how(refuse_to_ask), "step_up", "a c", rejected=sent)
    assert (found.token.access_token, world.pending().widened_at) == ("at5", ())


def test_the_last_question_that_is_permitted_is_waited_for() -> None:
    """Another process begins to ask for the third time within the hour, just before this one would have."""
    world = Requests()
    sent = signed_in_with(world, "a")
    other, pending = world.process(), PendingRequests(world.current.state, world.source.store_key)
    ask_again = partial(pending.change, lambda found, now: found.claimed("another", now, widens=True))
    for _ in range(2):
        ask_again()
        pending.change(PendingRequest.released)
    world.store.interfere("load", None, None, None, ask_again)
    world.meanwhile[1] = lambda: other.finish(other.client.start_authorization("alice", scope="a c"), 5)
    found = world.sign_in(world.how(refuse_to_ask), "step_up", "a c", rejected=sent)
    assert (found.token.access_token, len(world.waited)) == ("at5", 1)


def test_no_error_is_raised_for_who_has_signed_in_while_the_lock_was_not_free() -> None:
    """The sign-in that others were given was finished meanwhile: its record is deleted, and the grant is there."""
    world = Requests()
    other = world.process()
    world.store.interfere("lock", lambda: other.source.adopt(other.token(7)))
    assert world.sign_in(world.how()).token.access_token == "at7"
    assert world.pending().begun is None


def test_a_demand_for_more_does_not_wait_for_an_old_question() -> None:
    """Its callable has not returned yet, and asks for less; somebody has signed in elsewhere meanwhile."""
    world, asked = Requests(), list[AuthorizationRequest]()
    ask, hold = stuck(asked)

    def sign_in_elsewhere() -> None:
        other = world.process()
        other.finish(other.client.start_authorization("alice", scope="a"), 5)

    with hold:
        how = world.how(lambda request: callback_of(request) if asked else ask(request))
        world.meanwhile[1] = sign_in_elsewhere
        sent = world.sign_in(how, scope="a")
        assert sent.token.access_token == "at5"
        world.server.will(pair(6))
        how.wait = until_done
        assert world.sign_in(how, "step_up", "a c", rejected=sent).token.access_token == "at6"
        assert len(asked) == 1
        hold.release()


@pytest.mark.real
def test_nobody_waits_for_a_question_that_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of one request is over, and its listener is being closed while the next one asks: another browser."""
    world = Requests(redirect_uri="http://127.0.0.1/callback")
    opened, closing, closed = list[str](), threading.Event(), threading.Event()

    class SlowToStop(InteractiveSignIn):
        def run(self) -> CurrentToken:
            try:
                return super().run()
            finally:
                closing.set()
                assert closed.wait(PATIENCE)

    def open_browser(url: str) -> bool:
        opened.append(url)
        return True

    def wait(done: threading.Event, seconds: float) -> bool:
        if closing.is_set() and seconds > 2:
            # The second request waits for the end of the first question.
            closed.set()
            return done.wait(PATIENCE)
        return world.wait(done, seconds)

    monkeypatch.setattr(interactive, "InteractiveSignIn", SlowToStop)
    monkeypatch.setattr(interactive, "_opened_in_browser", open_browser)
    how = world.how("browser", 5.0, wait=wait)
    for number in (1, 2):
        world.each_wait = partial(wait_until, partial(is_longer, opened, number), "the browser is open")
        error = world.required(how)
        must_show(error, "nobody has signed in within 5 seconds")
        assert closing.wait(PATIENCE)
    assert len(opened) == 2


@pytest.mark.real
def test_an_error_of_the_request_closes_the_listener_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sign-in was finished elsewhere, and its token cannot be renewed now. Otherwise the program could not end."""
    world = Requests(redirect_uri="http://127.0.0.1/callback")
    other = world.process()
    monkeypatch.setattr(interactive, "_opened_in_browser", lambda _url: True)
    world.server.will(refusal("temporarily_unavailable", 503))
    world.meanwhile[1] = lambda: other.source.adopt(other.token(7, expires_at=world.clock() - 1))
    how = world.how("browser")
    with pytest.raises(TemporarilyUnavailable):
        world.sign_in(how)
    settle_asking(how)


def is_longer(opened: list[str], number: int) -> bool:
    return len(opened) >= number


# --- step-up ---------------------------------------------------------------------------------------------------------


def signed_in_with(world: Requests, scope: str, granted: str | None = None) -> CachedToken:
    """A grant of a sign-in that asked for this scope."""
    start = world.client.start_authorization("alice", scope=scope)
    world.finish(start, 0, **({} if granted is None else {"scope": granted}))
    cached = world.current.cached
    assert cached is not None
    return cached


def test_a_demand_is_asked_for_together_with_what_was_requested_before() -> None:
    """Requested, and not only granted; also by another process, which knows it from the store."""
    world = Requests()
    sent = signed_in_with(world, "a b", granted="a")
    for process in (world, world.process()):
        error = process.required(process.how(), "step_up", "a c", rejected=sent)
        assert error.reason == "step_up"
        assert error.scope == query(error.authorization)["scope"] == "a b c"


def test_the_token_that_is_not_enough_is_replaced() -> None:
    world = Requests()
    sent = signed_in_with(world, "a")
    world.server.will(pair(1))
    found = world.sign_in(world.how(callback_of, wait=until_done), "step_up", "a c", rejected=sent)
    assert found.token.access_token == "at1"
    assert world.stored(world.source).requested_scope == "a c"
    assert world.source.token().access_token == "at1"


def test_a_valid_token_that_the_api_rejects_is_replaced_too() -> None:
    """Where nothing can renew it, only another sign-in helps: the stored token is not taken for one."""
    world = Requests()
    sent = signed_in_with(world, "a")
    world.server.will(pair(1))
    found = world.sign_in(world.how(callback_of, wait=until_done), "no_refresh_token", "a", rejected=sent)
    assert found.token.access_token == "at1"


def test_a_user_is_asked_for_more_three_times_an_hour() -> None:
    """By all processes together. Then the error is that of the API, until the hour is over."""
    world = Requests()
    sent = signed_in_with(world, "a")
    for number in range(1, 4):
        world.clock.advance(60)
        process = world if number % 2 else world.process()
        process.server.will(pair(number))
        how = process.how(callback_of, wait=until_done)
        sent = process.sign_in(how, "step_up", f"a c{number}", rejected=sent)

    error = world.required(world.how(refuse_to_ask), "step_up", "a d", rejected=sent)
    assert error.reason == "step_up"
    must_show(error, "3")
    world.clock.advance(3600 - 120)
    world.server.will(pair(9))
    assert world.sign_in(world.how(callback_of, wait=until_done), "step_up", "a d", rejected=sent)


def test_an_api_that_rejects_each_new_token_asks_no_more_than_ten_times_an_hour() -> None:
    """Also where the server refuses each refresh, or issues no refresh token."""
    world = Requests()
    for number in range(10):
        world.server.will(pair(number))
        world.sign_in(world.how(callback_of, wait=until_done))
        world.source.forget()
    error = world.required(world.process().how(refuse_to_ask))
    must_show(error, "10")
    assert error.reason == "missing"
    world.clock.advance(3600)
    world.server.will(pair(10))
    assert world.sign_in(world.how(callback_of, wait=until_done))


def test_a_sign_in_for_less_does_not_end_the_wait_of_a_demand_for_more() -> None:
    """The user is then asked for all of it."""
    world = Requests()
    sent = signed_in_with(world, "a")
    asked_by_another(world, until=1e12)

    def signs_in_for_b() -> None:
        other = world.process()
        other.finish(other.client.start_authorization("alice", scope="a b"), 5)
        asked_by_another_ends(world, failed=False)
        world.meanwhile.pop(1)()

    world.meanwhile[1] = signs_in_for_b
    asked = list[AuthorizationRequest]()

    def ask(request: AuthorizationRequest) -> str:
        asked.append(request)
        return callback_of(request)

    world.server.will(pair(6))
    how = world.how(ask, wait=lambda done, seconds: done.wait(PATIENCE) if asked else world.wait(done, seconds))
    assert world.sign_in(how, "step_up", "a c", rejected=sent).token.access_token == "at6"
    assert set(query(asked[0])["scope"].split()) == {"a", "b", "c"}


def test_how_the_user_must_authenticate_is_asked_for_too() -> None:
    world = Requests()
    sent = signed_in_with(world, "a")
    reason = needed("step_up", "a").replace(acr_values="loa3", max_age=60.0)
    with pytest.raises(SignInRequired) as caught:
        world.how().sign_in(world.current, reason=reason, package=None, scope="a", rejected=sent)
    asked = query(caught.value.authorization)
    assert (asked["acr_values"], asked["max_age"]) == ("loa3", "60")


def test_a_token_that_another_process_has_renewed_is_tried_first() -> None:
    """The API may accept it; no user is asked."""
    world = Requests()
    sent = signed_in_with(world, "a")
    other = world.process()
    other.source.adopt(Token("renewed", expires_at=world.clock() + 60))
    assert world.sign_in(world.how(refuse_to_ask), "step_up", "a c", rejected=sent).token.access_token == "renewed"
