"""`TokenSource`: which token a request gets, and when somebody waits. No sockets: the server is a function."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import pickle
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trio
from support.canary.leaks import everything_in, leaks
from support.errors import LOST_REFRESH, raises
from support.limits import PATIENCE
from support.providers import acme
from support.scripted import ScriptedWorld
from support.token_endpoint import answer, pair, refusal
from support.waiting import settle

from blnk_auth import (
    BlnkAuthError,
    BlnkCloud,
    ConfigurationError,
    OAuthClient,
    ProtocolError,
    RenewalPolicy,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
    Token,
    TokenSource,
)
from blnk_auth._protocol.http_messages import HttpRequest, HttpResponse, NoResponse
from blnk_auth._renewal.cached_token import CachedToken
from blnk_auth._renewal.single_flight import Flight
from blnk_auth.stores._memory import MemoryStore
from blnk_auth.testing import Clock

OUTAGE = HttpResponse(503, {}, b"")
CAUSE = "GET /"


@pytest.fixture
def world() -> ScriptedWorld:
    return ScriptedWorld()


def cached(source: TokenSource) -> CachedToken:
    """The token that a request would get immediately."""
    ready = source._current.ready(None)
    assert isinstance(ready, CachedToken)
    return ready


class Gate:
    """An answer that comes when it is let through."""

    def __init__(self, response: HttpResponse) -> None:
        self.response = response
        self.asked = threading.Event()
        self.open = threading.Event()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.asked.set()
        assert self.open.wait(PATIENCE)
        return self.response


# --- the hot path ----------------------------------------------------------------------------------------------------


def test_a_valid_token_costs_no_store_no_lock_and_no_thread(world: ScriptedWorld) -> None:
    """Promise 1: a fresh token is handed out as the same object, without touching the store."""
    source = world.signed_in()
    threads = threading.active_count()
    assert cached(source) is cached(source)
    assert source.token().access_token == "at0"
    assert world.store.trace == []
    assert threading.active_count() == threads


def test_the_header_is_bearer_and_the_token(world: ScriptedWorld) -> None:
    """RFC 6750 section 2.1, with a capital B."""
    assert cached(world.signed_in()).header == "Bearer at0"


# --- states ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elapsed", "state"),
    [(0, "fresh"), (2900, "fresh"), (3200, "stale"), (3589, "stale"), (3591, "expired"), (3600, "expired")],
)
def test_state_follows_the_clock(world: ScriptedWorld, elapsed: float, state: str) -> None:
    """An hour's token: valid, then to be renewed in the background, then to be waited for."""
    source = world.signed_in()
    world.clock.advance(elapsed)
    assert source.state == state


def test_state_without_a_record_is_missing(world: ScriptedWorld) -> None:
    """A subject that was never authorized."""
    assert world.client.for_subject("bob").state == "missing"


def test_state_after_a_verdict_is_sign_in_required(world: ScriptedWorld) -> None:
    """Also for another process that only sees the store, and while the last access token still works."""
    source = world.signed_in()
    world.server.will(refusal("invalid_grant"))
    with pytest.raises(SignInRequired):
        source.renew()
    assert source.state == "sign_in_required"
    other = ScriptedWorld(store=world.store, clock=world.clock)
    assert other.client.for_subject("alice").state == "sign_in_required"


@pytest.mark.parametrize("changes", [{"refresh_token": None}, {"refresh_expires_at": 1.0}], ids=repr)
def test_state_of_a_grant_that_nothing_can_renew_is_sign_in_required(
    world: ScriptedWorld, changes: dict[str, Any]
) -> None:
    """`expired` would mean that the next call waits for a renewal; here it can only ask for a sign-in."""
    source = world.signed_in(**changes)
    world.clock.advance(4000)
    with pytest.raises(SignInRequired):
        source.token()
    assert source.state == "sign_in_required"


def test_state_of_a_store_that_fails_is_a_store_error(world: ScriptedWorld) -> None:
    """Not knowing is not the same as missing."""
    source = world.signed_in()
    world.store.interfere("load", OSError("gone"))
    with pytest.raises(StoreError):
        _ = source.state


def test_state_of_an_unsaved_pair_is_that_of_the_pair(world: ScriptedWorld) -> None:
    """What lives in memory counts while the store cannot take it."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(pair(1))
    world.store.interfere("save", OSError("full"))
    source.token()
    assert source.state == "stale"


# --- before a request ------------------------------------------------------------------------------------------------


def test_f23_a_restart_renews_before_the_first_request(world: ScriptedWorld) -> None:
    """F23: a token that expired while nobody ran is renewed first, once, and then used."""
    world.signed_in()
    world.clock.advance(7200)
    world.server.will(pair(1))
    restarted = ScriptedWorld(store=world.store, clock=world.clock, token_http=world.server.http())
    source = restarted.client.for_subject("alice")
    assert source.token().access_token == source.token().access_token == "at1"
    assert len(world.server.requests) == 1


def test_in_the_advisory_window_nobody_waits(world: ScriptedWorld) -> None:
    """Promise 2: the current token is served while one renewal runs behind, and then the new one is."""
    source = world.signed_in()
    world.clock.advance(3300)
    gate = Gate(pair(1))
    world.server.will(gate)
    assert [source.token().access_token for _ in range(20)] == ["at0"] * 20
    assert gate.asked.wait(PATIENCE)
    assert source.token().access_token == "at0"
    gate.open.set()
    settle()
    assert source.token().access_token == "at1"
    assert len(world.server.requests) == 1


def test_f12_a_good_token_is_served_while_renewals_fail(world: ScriptedWorld) -> None:
    """F12: with 5 seconds left and the server down, the request is sent with the current token."""
    source = world.signed_in()
    world.clock.advance(3595)
    world.server.will(OUTAGE)
    assert source.token().access_token == "at0"
    assert source.token().access_token == "at0"
    assert len(world.server.requests) == 1
    assert world.stored(source).token.refresh_token == "rt0"


@pytest.mark.parametrize("left", [5, 300])
@pytest.mark.parametrize("verb", ["load", "lock"])
def test_a_good_token_is_served_while_the_store_fails(world: ScriptedWorld, verb: str, left: float) -> None:
    """A store that cannot be read or locked harms nobody who holds a good token."""
    source = world.signed_in()
    world.clock.advance(3600 - left)
    world.store.interfere(verb, OSError("gone"))
    assert source.token().access_token == "at0"
    assert world.emitted() == ["renewal_failed"]


def test_f12_when_the_token_has_expired_the_outage_is_reported(world: ScriptedWorld) -> None:
    """No token is left: `TemporarilyUnavailable`, with the time to try again; the grant is untouched."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(OUTAGE)
    with pytest.raises(TemporarilyUnavailable) as caught:
        source.token()
    assert caught.value.status_code == 503
    assert 0 < (caught.value.retry_after or 0) <= 1.0
    assert world.stored(source).token.refresh_token == "rt0"


def test_f17_a_token_without_a_lifetime_is_used(world: ScriptedWorld) -> None:
    """F17: after a renewal without `expires_in` the request proceeds, and the next one asks nobody."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(answer({"access_token": "at1"}))
    assert [source.token().access_token for _ in range(3)] == ["at1"] * 3
    world.clock.advance(3599)
    assert source.state == "fresh"
    world.clock.advance(2)
    assert source.state == "stale"


def test_a_refused_client_is_asked_to_check_its_registration(world: ScriptedWorld) -> None:
    """No user can sign in for the client's own token, so the error does not ask for one."""
    world.server.will(refusal("invalid_grant"))
    with raises(ConfigurationError, error="invalid_grant", shows="client_credentials") as caught:
        world.client.for_itself().token()
    assert "sign in" not in str(caught.value)


@pytest.mark.parametrize("lifetime", [0, -1, "0"])
def test_f20_a_token_that_expired_at_birth_is_one_clear_error(world: ScriptedWorld, lifetime: object) -> None:
    """F20: no loop: the next calls hear the same within the cool-down, and the rotated pair is kept."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(pair(1, expires_in=lifetime))
    for _ in range(5):
        with raises(ProtocolError, shows="expires_in"):
            source.token()
    assert len(world.server.requests) == 1
    assert world.stored(source).token.refresh_token == "rt1"


def test_an_access_token_that_no_header_can_carry_is_one_clear_error(world: ScriptedWorld) -> None:
    """Nothing is smuggled into a header, and the rotated pair is kept."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(pair(1, access_token="at1\r\nX-Evil: 1"))
    with raises(ProtocolError, shows="expires_in"):
        source.token()
    assert world.stored(source).token.refresh_token == "rt1"


def test_f21_a_60_second_token_is_renewed_at_most_twice_a_minute(world: ScriptedWorld) -> None:
    """F21: 1,200 calls over ten minutes cost at most two token requests in each."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(*[pair(number, expires_in=60) for number in range(1, 100)])
    for _ in range(10):
        before = len(world.server.requests)
        for _ in range(120):
            source.token()
            settle()
            world.clock.advance(0.5)
        assert 1 <= len(world.server.requests) - before <= 2


def test_f22_a_clock_that_was_put_back_does_not_prolong_a_cool_down(world: ScriptedWorld) -> None:
    """F22: a failure an hour ahead, by the clock of that time, does not stop renewals for that hour."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(OUTAGE, pair(1))
    with pytest.raises(TemporarilyUnavailable):
        source.token()
    world.clock.advance(-300)
    world.clock.advance(RenewalPolicy().max_cooldown)
    assert source.token().access_token == "at1"


# --- single flight ---------------------------------------------------------------------------------------------------


def test_f01_fifty_threads_cost_one_token_request(world: ScriptedWorld) -> None:
    """F01: fifty callers at the same time with an expired rotating token: one request, one answer for all."""
    source = world.signed_in()
    world.clock.advance(4000)
    gate = Gate(pair(1))
    world.server.will(gate)
    together = threading.Barrier(51)

    def call() -> str:
        together.wait(PATIENCE)
        return source.token().access_token

    with ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(call) for _ in range(50)]
        together.wait(PATIENCE)
        gate.open.set()
        assert {each.result(PATIENCE) for each in calls} == {"at1"}
    assert len(world.server.requests) == 1


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_f02_tasks_share_the_renewal_and_the_async_twins_do_the_same(
    world: ScriptedWorld, run: Callable[..., Any]
) -> None:
    """F02: atoken and arenew on either loop; the by-hand twins agree with the blocking ones."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(pair(1), pair(2))

    async def main() -> list[str]:
        first, second = await source.atoken(), await source.atoken()
        third = await source.arenew()
        await source.aadopt(world.token(9))
        fourth = await source.atoken()
        await source.aforget()
        return [each.access_token for each in (first, second, third, fourth)]

    assert run(main() if run is asyncio.run else main) == ["at1", "at1", "at2", "at9"]
    assert source.state == "missing"


def test_f11_fifty_waiters_of_a_failure_cost_one_attempt(world: ScriptedWorld) -> None:
    """F11: all get the same typed error from one attempt, and nobody makes another within the cool-down."""
    source = world.signed_in()
    world.clock.advance(4000)
    gate = Gate(OUTAGE)
    world.server.will(gate)
    together = threading.Barrier(51)

    def call() -> type[BaseException]:
        together.wait(PATIENCE)
        with pytest.raises(BlnkAuthError) as caught:
            source.token()
        return caught.type

    with ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(call) for _ in range(50)]
        together.wait(PATIENCE)
        gate.open.set()
        assert {each.result(PATIENCE) for each in calls} == {TemporarilyUnavailable}
    assert len(world.server.requests) == 1


class OvertakenClock:
    """Time as in another clock; from its third look on, one thread waits until it is let go."""

    def __init__(self, inner: Clock) -> None:
        self._inner = inner
        self.thread: int | None = None
        self.looks = 0
        self.waits = threading.Event()
        self.may_go_on = threading.Event()

    def __call__(self) -> float:
        if threading.get_ident() == self.thread:
            self.looks += 1
            if self.looks == 3:
                self.waits.set()
                assert self.may_go_on.wait(PATIENCE)
        return self._inner()

    def advance(self, seconds: float) -> None:
        self._inner.advance(seconds)


@pytest.mark.parametrize("elapsed", [4000, 3500, 3595], ids=["expired", "stale", "about to expire"])
def test_f11_who_is_overtaken_by_a_failure_makes_no_second_attempt(elapsed: float) -> None:
    """A caller that decided to renew just before another's renewal failed, and begins just after, asks nobody."""
    clock = OvertakenClock(Clock())
    world = ScriptedWorld(clock=clock)
    source = world.signed_in(issued_at=clock(), expires_at=clock() + 3600)
    clock.advance(elapsed)
    world.server.will(OUTAGE)

    def overtaken() -> Token:
        clock.thread = threading.get_ident()
        return source.token()

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(overtaken)
        assert clock.waits.wait(PATIENCE)
        with contextlib.suppress(TemporarilyUnavailable):
            source.token()
        settle()
        clock.may_go_on.set()
        if elapsed == 4000:
            with pytest.raises(TemporarilyUnavailable):
                late.result(PATIENCE)
        else:
            assert late.result(PATIENCE).access_token == "at0"
    settle()
    assert len(world.server.requests) == 1


def test_two_clients_on_one_store_renew_once(world: ScriptedWorld) -> None:
    """Two processes, so to speak: the second finds the first one's pair under the lock."""
    world.signed_in()
    other = ScriptedWorld(store=world.store, clock=world.clock, token_http=world.server.http())
    world.clock.advance(4000)
    world.server.will(pair(1))
    sources = [world.client.for_subject("alice"), other.client.for_subject("alice")]
    with ThreadPoolExecutor(2) as pool:
        assert {each.access_token for each in pool.map(TokenSource.token, sources)} == {"at1"}


def test_f09_each_scope_and_each_subject_has_a_token_of_its_own(world: ScriptedWorld) -> None:
    """F09: neither a scope nor a subject ever gets another's token."""
    for number in range(1, 4):
        world.server.will(answer({"access_token": f"at{number}", "expires_in": 60}))
    one, two, none = (world.client.for_itself(scope=scope) for scope in ("a", "a b", None))
    assert [source.token().access_token for source in (one, two, none)] == ["at1", "at2", "at3"]
    assert [form.get("scope") for form in world.server.forms] == ["a", "a b", None]
    keys = {source.store_key for source in (one, two, none, world.client.for_subject("a"))}
    assert len(keys) == 4


# --- failures and cool-downs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_hand", [False, True])
def test_f19_retry_after_is_obeyed(world: ScriptedWorld, by_hand: bool) -> None:
    """F19: 429 with 7 seconds: one request in 7 seconds for 100 calls, and each error has the seconds that are left."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(HttpResponse(429, {"retry-after": "7"}, b""), pair(1))
    ask = source.renew if by_hand else source.token
    with pytest.raises(TemporarilyUnavailable) as caught:
        ask()
    assert caught.value.retry_after == 7.0
    world.clock.advance(3)
    for _ in range(100):
        with pytest.raises(TemporarilyUnavailable) as caught:
            ask()
        assert caught.value.retry_after == 4.0
    assert len(world.server.requests) == 1
    world.clock.advance(4)
    assert ask().access_token == "at1"


def test_an_absurd_retry_after_is_capped(world: ScriptedWorld) -> None:
    """A server that demands a year is asked again after `max_retry_after`."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(HttpResponse(503, {"retry-after": "31536000"}, b""))
    with pytest.raises(TemporarilyUnavailable) as caught:
        source.token()
    assert caught.value.retry_after == RenewalPolicy().max_retry_after


def test_failures_in_a_row_are_spaced_ever_wider(world: ScriptedWorld) -> None:
    """Half to all of 1, 2, 4 ... 60 seconds; a success starts over."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(*[OUTAGE] * 8)
    waits: list[float] = []
    for _ in range(8):
        with pytest.raises(TemporarilyUnavailable) as caught:
            source.token()
        waits.append(caught.value.retry_after or 0)
        world.clock.advance(waits[-1])
    for wait, full in zip(waits, (1, 2, 4, 8, 16, 32, 60, 60), strict=True):
        assert full / 2 <= wait <= full
    world.server.will(pair(1), OUTAGE)
    source.token()
    world.clock.advance(4000)
    with pytest.raises(TemporarilyUnavailable) as caught:
        source.token()
    assert (caught.value.retry_after or 0) <= 1.0


def test_f55_one_subjects_failure_does_not_hold_up_another(world: ScriptedWorld) -> None:
    """F55: cool-downs belong to a grant, unless a Retry-After asks the client to wait."""
    alice, bob = world.signed_in("alice"), world.signed_in("bob")
    world.clock.advance(4000)
    world.server.will(HttpResponse(429, {}, b""), pair(1))
    with pytest.raises(TemporarilyUnavailable):
        alice.token()
    assert bob.token().access_token == "at1"


def test_a_configuration_error_cools_down_but_a_renewal_by_hand_tries_again(world: ScriptedWorld) -> None:
    """Requests do not hammer a server that refuses the client; after the configuration is fixed nobody has to wait."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(refusal("invalid_client", 401), pair(1))
    for _ in range(5):
        with raises(ConfigurationError, error="invalid_client", status_code=401):
            source.token()
    assert len(world.server.requests) == 1
    assert source.renew().access_token == "at1"
    assert source.token().access_token == "at1"


def test_a_lost_answer_is_mentioned_when_the_grant_then_turns_out_to_have_ended(world: ScriptedWorld) -> None:
    """The user who must sign in again learns why: the rotated token was lost with the answer."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(NoResponse("ReadTimeout", sent=True), refusal("invalid_grant"))
    with raises(TemporarilyUnavailable, outcome_unknown=True):
        source.token()
    world.clock.advance(60)
    of_the_server = {"error": "invalid_grant", "status_code": 400}
    with raises(SignInRequired, reason="refused", subject="alice", shows=LOST_REFRESH, **of_the_server):
        source.token()


def test_a_refresh_token_without_an_access_token_is_used_for_the_next_renewal(world: ScriptedWorld) -> None:
    """It is saved before the error is raised; the renewal after the cool-down sends it."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(answer({"refresh_token": "rt1"}), pair(2))
    with raises(ProtocolError, status_code=200, shows="access_token"):
        source.token()
    assert (world.stored(source).token.refresh_token, world.stored(source).ended) == ("rt1", None)
    world.clock.advance(60)
    assert source.token().access_token == "at2"
    assert [form["refresh_token"] for form in world.server.forms] == ["rt0", "rt1"]


def test_a_background_renewal_without_an_access_token_is_not_repeated_immediately(world: ScriptedWorld) -> None:
    """The old access token is used on, the new refresh token is kept, and the cool-down spaces the attempts."""
    source = world.signed_in()
    world.clock.advance(3200)
    world.server.will(answer({"refresh_token": "rt1"}))
    assert [source.token().access_token for _ in range(5)] == ["at0"] * 5
    settle()
    assert [source.token().access_token for _ in range(5)] == ["at0"] * 5
    assert world.stored(source).token.refresh_token == "rt1"
    assert len(world.server.requests) == 1
    assert "renewal_failed" in world.emitted()


@pytest.mark.parametrize("token_type", ["DPoP", "mac", "N_A", "Zoho-oauthtoken"])
def test_a_token_of_a_type_that_cannot_be_sent_is_saved_and_not_used(world: ScriptedWorld, token_type: str) -> None:
    """RFC 6749 section 7.1. The grant lives, its rotated refresh token is kept, and the setting is named."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(pair(1, token_type=token_type))
    parameter = "dpop" if token_type == "DPoP" else "token_scheme"
    with raises(ConfigurationError, parameter=parameter, shows=token_type):
        source.token()
    stored = world.stored(source)
    assert (stored.token.refresh_token, stored.token.token_type, stored.ended) == ("rt1", token_type, None)
    # Nor does a process use it that finds it in the store.
    other = ScriptedWorld(store=world.store, clock=world.clock)
    other.server.will(pair(2))
    assert other.client.for_subject("alice").token().access_token == "at2"
    assert [form["refresh_token"] for form in other.server.forms] == ["rt1"]


@pytest.mark.parametrize("token_type", ["Zoho-oauthtoken", "zoho-OAuthToken", "Bearer", "bearer", None])
def test_a_token_of_the_providers_own_scheme_is_sent_under_it(token_type: str | None) -> None:
    """Whether the server names the scheme as the token's type, or Bearer, or nothing."""
    world = ScriptedWorld(acme(token_scheme="Zoho-oauthtoken"))
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(pair(1, token_type=token_type))
    assert source.token().access_token == "at1"
    assert cached(source).header == "Zoho-oauthtoken at1"


def test_extra_that_is_full_is_an_event_and_no_growth(world: ScriptedWorld) -> None:
    """A server that adds a member of a new name to each answer; the one from the sign-in stays."""
    source = world.signed_in(extra={"grant_id": "g1"})
    for number in range(1, 20):
        world.server.will(pair(number, **{f"request_{number}": "x" * 10_000}))
        source.renew()
    extra = world.stored(source).token.extra
    assert extra["grant_id"] == "g1"
    assert "request_19" in extra
    assert sum(len(str(value)) for value in extra.values()) < 70_000
    assert "odd_answer" in world.emitted()


class Unavailable(Exception):
    """What the user's secret manager raises."""


def sealed() -> str:
    raise Unavailable("the vault is sealed")


def test_a_callable_secret_that_fails_is_a_typed_error() -> None:
    """token() promises a BlnkAuthError: it names the parameter, and the grant is untouched."""
    world = ScriptedWorld(client_secret=sealed)
    source = world.signed_in()
    world.clock.advance(4000)
    with raises(BlnkAuthError, parameter="client_secret"):
        source.token()
    assert world.stored(source).token.refresh_token == "rt0"


def test_a_callable_secret_that_fails_does_not_drag_the_refresh_token_along() -> None:
    """Neither the error's chain nor the locals of our frames lead to the form that was being written (promise 8)."""
    world = ScriptedWorld(client_secret=sealed)
    source = world.signed_in(refresh_token="rt0-of-alice")
    world.clock.advance(4000)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which type is the test above
        source.token()
    assert leaks(everything_in(caught.value), ["rt0-of-alice"]) == []


def test_a_callable_secret_that_fails_harms_nobody_who_holds_a_good_token() -> None:
    """In the mandatory window too, the current token is served, and the failure is reported and cools down."""
    asked: list[int] = []

    def secret() -> str:
        asked.append(1)
        return sealed()

    world = ScriptedWorld(client_secret=secret)
    source = world.signed_in()
    world.clock.advance(3595)
    assert [source.token().access_token for _ in range(3)] == ["at0"] * 3
    assert len(asked) == 1
    assert world.emitted() == ["renewal_failed"]


# --- a remembered failure and the store ------------------------------------------------------------------------------


def failing(world: ScriptedWorld, failure: HttpResponse = OUTAGE) -> TokenSource:
    """Alice's source, whose renewal has just failed with a long cool-down."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(failure)
    with pytest.raises(BlnkAuthError):
        source.token()
    settle()
    world.store.trace.clear()
    return source


RETRY_IN_AN_HOUR = HttpResponse(429, {"retry-after": "3600"}, b"")


@pytest.mark.parametrize("failure", [RETRY_IN_AN_HOUR, refusal("invalid_client", 401)], ids=["outage", "configuration"])
def test_a_token_that_another_process_stores_ends_a_remembered_failure(failure: HttpResponse) -> None:
    """A worker does not go on failing for an hour beside a neighbour whose token is good."""
    world = ScriptedWorld(policy=RenewalPolicy(cooldown=60))
    source = failing(world, failure)
    with pytest.raises(BlnkAuthError):
        source.token()
    world.store.put(source.store_key, world.token(5))
    world.clock.advance(1)
    assert source.token().access_token == "at5"
    assert len(world.server.requests) == 1
    assert world.emitted() == ["renewal_failed", "adopted"]


def test_a_rejected_token_is_replaced_by_what_another_process_stores_though_a_failure_is_remembered(
    world: ScriptedWorld,
) -> None:
    """The same after a 401; the rejected token itself will not do."""
    source = world.signed_in()
    rejected = cached(source)
    world.server.will(RETRY_IN_AN_HOUR)
    flight = source._current.replace(rejected, "httpx", CAUSE)
    assert flight is not None
    with pytest.raises(TemporarilyUnavailable):
        flight.wait(PATIENCE)
    world.clock.advance(1)
    flight = source._current.replace(rejected, "httpx", CAUSE)
    assert flight is not None
    with pytest.raises(TemporarilyUnavailable):
        flight.wait(PATIENCE)
    world.store.put(source.store_key, world.token(5))
    world.clock.advance(1)
    flight = source._current.replace(rejected, "httpx", CAUSE)
    assert flight is not None
    assert flight.wait(PATIENCE).token.access_token == "at5"


def test_the_store_is_read_once_a_second_while_a_failure_is_remembered(world: ScriptedWorld) -> None:
    """Fifty callers a second cost one read, on a worker thread and without the lock, and nobody asks the server."""
    source = failing(world, RETRY_IN_AN_HOUR)
    for _ in range(3):
        for _ in range(50):
            with pytest.raises(TemporarilyUnavailable) as caught:
                source.token()
            settle()
        world.clock.advance(1)
    assert world.store.trace == ["load"] * 2
    assert caught.value.retry_after == 3598
    assert len(world.server.requests) == 1


@pytest.mark.parametrize("odd", [OSError("gone"), StoreError("gone")], ids=repr)
def test_a_store_that_fails_leaves_the_remembered_error(world: ScriptedWorld, odd: Exception) -> None:
    """The caller hears why there is no token, not that a look in passing failed."""
    source = failing(world, RETRY_IN_AN_HOUR)
    world.clock.advance(1)
    world.store.interfere("load", odd)
    with pytest.raises(TemporarilyUnavailable):
        source.token()


def test_the_stored_pair_that_was_spent_for_an_unsaved_one_ends_no_failure() -> None:
    """While saving fails, the store has the predecessor: it is not taken for another process's token."""
    world = ScriptedWorld(policy=RenewalPolicy(cooldown=60))
    source = world.signed_in()
    world.clock.advance(3300)
    world.server.will(pair(1))
    world.store.interfere("save", *[OSError("full")] * 2)
    source.renew()
    assert source.token().access_token == "at1"
    settle()
    world.clock.advance(1)
    flight = source._current.replace(cached(source), "httpx", CAUSE)
    assert flight is not None
    with pytest.raises(StoreError):
        flight.wait(PATIENCE)
    assert source.token().access_token == "at1"


def test_a_failed_early_renewal_does_not_keep_an_expired_token_from_being_renewed(world: ScriptedWorld) -> None:
    """A provider that refuses early renewals, or that was down, is asked again when the token must be renewed."""
    source = world.signed_in()
    world.clock.advance(3500)
    world.server.will(RETRY_IN_AN_HOUR, pair(1))
    assert source.token().access_token == "at0"
    assert world.emitted() == ["renewal_failed"]
    world.clock.advance(95)
    assert source.token().access_token == "at1"


# --- renew() beside other calls --------------------------------------------------------------------------------------


def test_renew_does_not_join_a_first_look_into_the_store(world: ScriptedWorld) -> None:
    """A keepalive that comes while the first caller still reads the store renews after it, with its own request."""
    world.signed_in()
    other = ScriptedWorld(store=world.store, clock=world.clock, token_http=world.server.http())
    source = other.client.for_subject("alice")
    looks, may_go_on = threading.Event(), threading.Event()

    def stand_still() -> None:
        looks.set()
        assert may_go_on.wait(PATIENCE)

    world.store.interfere("load", stand_still)
    world.server.will(pair(1))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(source.token)
        assert looks.wait(PATIENCE)
        renewed = [pool.submit(source.renew) for _ in range(1)]
        while not source._current.state.flights._waiting:
            assert not renewed[0].done()
        may_go_on.set()
        assert first.result(PATIENCE).access_token == "at0"
        assert renewed[0].result(PATIENCE).access_token == "at1"
    assert [form["refresh_token"] for form in world.server.forms] == ["rt0"]


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_f13_a_verdict_is_not_asked_for_twice(world: ScriptedWorld) -> None:
    """F13: SignInRequired with reason and subject, one request however many calls follow, and the record kept."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(refusal("invalid_grant"))
    for _ in range(5):
        with pytest.raises(SignInRequired) as caught:
            source.token()
        assert (caught.value.reason, caught.value.subject) == ("refused", "alice")
    assert len(world.server.requests) == 1
    assert world.stored(source).token.refresh_token == "rt0"
    assert world.emitted() == ["sign_in_required"]


def test_a_verdict_while_the_token_is_good_lets_it_be_used_to_its_end(world: ScriptedWorld) -> None:
    """In the advisory window the verdict is an event; requests go on until the access token expires."""
    source = world.signed_in()
    world.clock.advance(3300)
    world.server.will(refusal("invalid_grant"))
    assert source.token().access_token == "at0"
    settle()
    assert source.state == "sign_in_required"
    world.clock.advance(299)
    assert source.token().access_token == "at0"
    world.clock.advance(1)
    with pytest.raises(SignInRequired):
        source.token()
    assert len(world.server.requests) == 1


def test_a_rejected_token_of_an_ended_grant_asks_for_a_sign_in_each_time(world: ScriptedWorld) -> None:
    """After the verdict a further 401 is answered with SignInRequired, not with the same token once more."""
    source = world.signed_in()
    world.server.will(refusal("invalid_grant"))
    for _ in range(3):
        flight = source._current.replace(cached(source), "httpx", CAUSE)
        assert flight is not None
        with pytest.raises(SignInRequired):
            flight.wait(PATIENCE)
    assert len(world.server.requests) == 1


def test_a_new_sign_in_ends_the_verdict_also_in_another_process(world: ScriptedWorld) -> None:
    """The store is looked at again, so a process that was refused finds what another has stored since."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(refusal("invalid_grant"))
    with pytest.raises(SignInRequired):
        source.token()
    other = ScriptedWorld(store=world.store, clock=world.clock)
    other.client.for_subject("alice").adopt(world.token(5))
    assert source.token().access_token == "at5"


def test_f25_a_refresh_token_near_its_expiry_is_reported(world: ScriptedWorld) -> None:
    """F25: an event before; after its end SignInRequired without a wasted request."""
    end = world.clock() + 90_000
    source = world.signed_in(refresh_expires_at=end)
    world.clock.advance(4000)
    world.server.will(answer({"access_token": "at1", "expires_in": 3600}))
    source.token()
    assert "refresh_token_expiring" in world.emitted()
    world.clock.advance(90_000)
    with pytest.raises(SignInRequired) as caught:
        source.token()
    assert caught.value.reason == "expired"
    assert len(world.server.requests) == 1


# --- renew -----------------------------------------------------------------------------------------------------------


def test_renew_renews_a_fresh_token(world: ScriptedWorld) -> None:
    """By hand means now."""
    source = world.signed_in()
    world.server.will(pair(1))
    assert source.renew().access_token == "at1"
    assert source.token().access_token == "at1"


def test_renew_joins_the_renewal_under_way(world: ScriptedWorld) -> None:
    """One request, one token for both."""
    source = world.signed_in()
    world.clock.advance(4000)
    gate = Gate(pair(1))
    world.server.will(gate)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(source.token)
        assert gate.asked.wait(PATIENCE)
        second = pool.submit(source.renew)
        gate.open.set()
        assert first.result(PATIENCE) == second.result(PATIENCE)
    assert len(world.server.requests) == 1


def test_renew_never_passes_off_the_old_token_as_a_new_one(world: ScriptedWorld) -> None:
    """It joins a background renewal, which then fails: callers continue with the old token, renew() raises."""
    source = world.signed_in()
    world.clock.advance(3300)
    gate = Gate(OUTAGE)
    world.server.will(gate)

    async def main() -> None:
        assert (await source.atoken()).access_token == "at0"
        by_hand = asyncio.create_task(source.arenew())
        await asyncio.sleep(0)
        gate.open.set()
        with pytest.raises(TemporarilyUnavailable):
            await by_hand

    asyncio.run(main())


def test_renew_rejected_renews_the_current_token_only(world: ScriptedWorld) -> None:
    """`renew(rejected=token)` renews if that is still the current one, else returns the current one (F33)."""
    source = world.signed_in()
    first = source.token()
    world.server.will(pair(1))
    second = source.renew(rejected=first)
    assert second.access_token == "at1"
    assert source.renew(rejected=first) == second
    assert len(world.server.requests) == 1


def test_renew_rejected_renews_in_a_process_that_holds_nothing_yet(world: ScriptedWorld) -> None:
    """A new source reads the store: if the rejected token is the stored one, it is renewed."""
    world.signed_in()
    other = ScriptedWorld(store=world.store, clock=world.clock, token_http=world.server.http())
    rejected = world.token(0)
    world.server.will(pair(1))
    assert other.client.for_subject("alice").renew(rejected=rejected).access_token == "at1"


def test_renew_rejected_takes_what_another_process_has_stored(world: ScriptedWorld) -> None:
    """A process that holds nothing yet, asked to replace a token that is stored no more, asks nobody."""
    world.signed_in()
    other = ScriptedWorld(store=world.store, clock=world.clock)
    assert other.client.for_subject("alice").renew(rejected=world.token(8)).access_token == "at0"


def test_f60_the_same_string_again_is_another_token(world: ScriptedWorld) -> None:
    """F60: a server that issues the identical access token has renewed it; nobody loops."""
    source = world.signed_in()
    before = cached(source)
    world.clock.advance(1)
    world.server.will(pair(1, access_token="at0"))
    flight = source._current.replace(before, "httpx", CAUSE)
    assert flight is not None
    after = flight.wait(PATIENCE)
    assert after is not before
    assert source._current.is_current(after)
    assert after.token.refresh_token == "rt1"


# --- rejections ------------------------------------------------------------------------------------------------------


def rejected_once_more(world: ScriptedWorld, source: TokenSource) -> bool:
    """A 401, a renewal, and a 401 again; whether the renewal took place."""
    flight = source._current.replace(cached(source), "httpx", CAUSE)
    if flight is None:
        return False
    source._current.note_retry(flight.wait(PATIENCE), CAUSE, accepted=False)
    return True


def test_rejections_that_renewals_do_not_resolve_cause_ever_fewer_of_them() -> None:
    """Promise 7: no storm: after 10, 20, 40 ... seconds, up to the longest time of the policy."""
    world = ScriptedWorld(policy=RenewalPolicy(rejection_cooldown=10, max_rejection_cooldown=600))
    source = world.signed_in()
    world.server.will(*[pair(number, expires_in=86400) for number in range(1, 100)])
    for wait in (10, 20, 40, 80, 160, 320, 600, 600):
        assert rejected_once_more(world, source)
        world.clock.advance(wait - 0.5)
        assert not rejected_once_more(world, source)
        world.clock.advance(0.5)
    assert len(world.server.requests) == 8


def test_a_resolved_rejection_starts_over(world: ScriptedWorld) -> None:
    """One success, and the next rejection of a token that has served for a while is renewed immediately."""
    source = world.signed_in()
    world.server.will(pair(1), pair(2))
    assert rejected_once_more(world, source)
    source._current.note_retry(cached(source), CAUSE, accepted=True)
    world.clock.advance(world.client._state.policy.rejection_cooldown)
    assert rejected_once_more(world, source)


def test_late_rejections_of_old_tokens_count_for_nothing(world: ScriptedWorld) -> None:
    """F33: a rejection of a token that is no longer current changes nothing."""
    source = world.signed_in()
    old = cached(source)
    world.server.will(pair(1))
    source.renew()
    source._current.note_retry(old, CAUSE, accepted=False)
    assert source._current.replace(cached(source), "httpx", CAUSE) is not None
    settle()


def test_a_token_that_was_saved_at_last_or_has_ended_is_still_the_current_one(world: ScriptedWorld) -> None:
    """A saved token is still the same token: after a late rejection it is not sent again."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(pair(1), refusal("invalid_grant"))
    world.store.interfere("save", OSError("full"))
    source.token()
    unsaved = cached(source)
    settle()
    assert world.emitted() == ["save_failed", "saved"]
    assert cached(source) is not unsaved
    assert source._current.is_current(unsaved)
    with pytest.raises(SignInRequired):
        source.renew()
    assert source._current.is_current(unsaved)
    source.forget()
    assert not source._current.is_current(unsaved)


# --- adopt, forget, revoke -------------------------------------------------------------------------------------------


def test_adopt_replaces_the_stored_and_the_cached_token(world: ScriptedWorld) -> None:
    """A token obtained elsewhere is stored, used immediately, and announced."""
    source = world.signed_in()
    source.adopt(Token("at7", refresh_token="rt7", expires_at=world.clock() + 60))
    assert source.token().access_token == "at7"
    assert world.stored(source).token.issued_at == world.clock()
    assert world.emitted() == ["signed_in"]


def test_adopt_ends_a_verdict_and_a_cool_down(world: ScriptedWorld) -> None:
    """Earlier rejections mean nothing for a new grant."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(HttpResponse(429, {"retry-after": "600"}, b""))
    with pytest.raises(TemporarilyUnavailable):
        source.token()
    source.adopt(world.token(7))
    assert (source.token().access_token, source.state) == ("at7", "fresh")


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "at1",
        {"access_token": "at1", "expires_at": 1790000000.0},
        Token(None),  # type: ignore[arg-type]
        Token("at1", expires_at="1790000000"),  # type: ignore[arg-type]
        Token("at1", expires_at=float("nan")),
        Token("at1", refresh_token=7),  # type: ignore[arg-type]
        Token("at1", scope=["a", "b"]),  # type: ignore[arg-type]
        Token("at1", extra={"when": object()}),
        Token("at1", extra=None),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_adopt_of_what_is_not_a_token_is_refused_and_nothing_stored_is_lost(world: ScriptedWorld, bad: Any) -> None:
    """Promise 10: a dict of another library, or a token with a member of the wrong type, is named; the grant stays."""
    source = world.signed_in()
    before = world.store.texts
    with pytest.raises(ConfigurationError) as caught:
        source.adopt(bad)
    assert caught.value.parameter == "token"
    assert world.store.texts == before
    assert source.token().access_token == "at0"


@pytest.mark.parametrize("access_token", ["", "two words", "at1\r\nX-Evil: 1"])
def test_adopt_of_what_no_header_can_carry_is_refused_and_nothing_stored_is_lost(
    world: ScriptedWorld, access_token: str
) -> None:
    """Promise 10: the parameter is named; the grant stays."""
    source = world.signed_in()
    before = world.store.texts
    with raises(ConfigurationError, parameter="token"):
        source.adopt(Token(access_token))
    assert world.store.texts == before


def test_adopt_that_cannot_be_stored_raises_and_keeps_the_old_token(world: ScriptedWorld) -> None:
    """The caller still has the token and can try again."""
    source = world.signed_in()
    world.store.interfere("save", OSError("full"))
    with pytest.raises(StoreError):
        source.adopt(world.token(7))
    assert source.token().access_token == "at0"


def test_forget_deletes_under_the_lock(world: ScriptedWorld) -> None:
    """A renewal under way elsewhere ends before the record is deleted, so it cannot bring it back."""
    source = world.signed_in()
    source.forget()
    assert world.store.trace == ["lock", "delete", "unlock"]


def test_forget_is_local(world: ScriptedWorld) -> None:
    """The record is deleted, the token in memory too, and the provider gets no request."""
    source = world.signed_in()
    source.forget()
    assert source.state == "missing"
    with pytest.raises(SignInRequired) as caught:
        source.token()
    assert caught.value.reason == "missing"
    assert world.server.requests == []
    assert world.emitted() == ["forgotten"]


class DawdlingStore(MemoryStore):
    """A store whose lock is free again a moment before its holder continues."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.go_on = threading.Event()
        self.dawdles = False

    def lock(self, key: str, *, timeout: float) -> Any:
        inner, dawdles = super().lock(key, timeout=timeout), self.dawdles
        self.dawdles = False
        outer = self

        class Lock:
            def __enter__(self) -> None:
                inner.__enter__()

            def __exit__(self, *details: object) -> None:
                inner.__exit__(None, None, None)
                if dawdles:
                    outer.released.set()
                    assert outer.go_on.wait(PATIENCE)

        return Lock()


@pytest.mark.parametrize("then", ["forget", "adopt"])
def test_a_renewal_that_lands_late_does_not_undo_what_was_done_meanwhile(then: str) -> None:
    """Forgotten is forgotten, and a new sign-in stays, though a renewal that had already saved comes home after it."""
    store = DawdlingStore()
    world = ScriptedWorld(store=store)
    source = world.client.for_subject("alice")
    source.adopt(world.token(0))
    world.clock.advance(4000)
    world.server.will(pair(1))
    store.dawdles = True
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(source.token)
        assert store.released.wait(PATIENCE)
        if then == "forget":
            source.forget()
        else:
            source.adopt(world.token(7))
        store.go_on.set()
        renewing.exception(PATIENCE)
    if then == "forget":
        with pytest.raises(SignInRequired):
            source.token()
    else:
        assert source.token().access_token == "at7"


def test_revoke_calls_the_provider_then_forgets() -> None:
    """Both tokens, then the record; afterwards the user must sign in."""
    world = ScriptedWorld(acme(revocation_endpoint="https://as.acme.test/revoke"))
    source = world.signed_in()
    world.server.will(HttpResponse(200, {}, b""), HttpResponse(200, {}, b""))
    source.revoke()
    assert [form["token"] for form in world.server.forms] == ["rt0", "at0"]
    assert source.state == "missing"
    assert world.emitted() == ["revoked"]


def test_revoke_of_an_unsaved_pair_revokes_that_pair() -> None:
    """F64: what the store still holds is spent; the pair that lives is the one in memory."""
    world = ScriptedWorld(acme(revocation_endpoint="https://as.acme.test/revoke"))
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(pair(1), HttpResponse(200, {}, b""), HttpResponse(200, {}, b""))
    world.store.interfere("save", OSError("full"))
    source.token()
    source.revoke()
    assert [form["token"] for form in world.server.forms[1:]] == ["rt1", "at1"]
    assert source.state == "missing"


def test_revoke_at_blnk_cloud_names_where_to_revoke() -> None:
    """No endpoint: the dashboard is named, nothing is sent and nothing forgotten."""
    world = ScriptedWorld(BlnkCloud())
    source = world.signed_in()
    with raises(ConfigurationError, parameter="revocation_endpoint", shows="forget()"):
        source.revoke()
    assert source.state == "fresh"
    assert world.server.requests == []


def test_f64_a_revocation_that_fails_forgets_nothing() -> None:
    """F64: it can be tried again."""
    world = ScriptedWorld(acme(revocation_endpoint="https://as.acme.test/revoke"))
    source = world.signed_in()
    world.server.will(OUTAGE)
    with pytest.raises(TemporarilyUnavailable):
        source.revoke()
    assert world.stored(source).token.refresh_token == "rt0"
    assert source.token().access_token == "at0"


# --- saving later ----------------------------------------------------------------------------------------------------


def test_f49_a_pair_that_could_not_be_saved_is_saved_after_the_next_call(world: ScriptedWorld) -> None:
    """F49, promise 3: the request succeeds, an event reports it, the next call saves it, and nothing is spent twice."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(pair(1))
    world.store.interfere("save", OSError("full"))
    assert source.token().access_token == "at1"
    assert world.emitted() == ["save_failed"]
    assert source.token().access_token == "at1"
    assert world.emitted() == ["save_failed", "saved"]
    assert world.stored(source).token.refresh_token == "rt1"
    assert len(world.server.requests) == 1


def test_f49_while_the_store_fails_saving_is_tried_at_the_pace_of_the_cool_down(world: ScriptedWorld) -> None:
    """A hundred calls do not hammer a broken store, and all of them succeed."""
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(pair(1))
    world.store.interfere("save", *[OSError("full")] * 50)
    for _ in range(100):
        assert source.token().access_token == "at1"
        settle()
    assert world.store.trace.count("save") <= 3


def test_a_second_forced_renewal_spends_the_unsaved_refresh_token(world: ScriptedWorld) -> None:
    """Two renewals by hand, the first not saved: the second one sends the newer refresh token."""
    source = world.signed_in()
    world.server.will(pair(1), pair(2))
    world.store.interfere("save", OSError("full"))
    source.renew()
    assert source.renew().access_token == "at2"
    assert [form["refresh_token"] for form in world.server.forms] == ["rt0", "rt1"]


# --- identity, copying, pickling -------------------------------------------------------------------------------------


def test_the_same_subject_is_the_same_source_while_somebody_holds_it(world: ScriptedWorld) -> None:
    """All who use it share its renewals; a source that nobody holds is not kept for ever (promise 9)."""
    source = world.client.for_subject("alice")
    assert world.client.for_subject("alice") is source
    assert world.client.for_subject("bob") is not source
    seen = weakref.ref(source)
    del source
    gc.collect()
    assert seen() is None


def test_a_source_that_is_dropped_and_asked_for_during_a_renewal_gets_its_token(world: ScriptedWorld) -> None:
    """The renewal keeps the current token, so the next source neither reads the store nor renews a second time."""
    source = world.signed_in()
    world.clock.advance(4000)
    was_asked, went_on = threading.Event(), threading.Event()

    def wait_and_issue(_: object) -> HttpResponse:
        was_asked.set()
        assert went_on.wait(PATIENCE)
        return pair(1)

    world.server.will(wait_and_issue)
    flight = source._current.ready("httpx")
    assert isinstance(flight, Flight)
    assert was_asked.wait(PATIENCE)
    seen = weakref.ref(source)
    del source
    gc.collect()
    assert seen() is None
    again = world.client.for_subject("alice")
    went_on.set()
    flight.wait(PATIENCE)
    settle()
    world.store.trace.clear()
    assert again.token().access_token == "at1"
    assert world.store.trace == []


def test_f49_a_pair_that_could_not_be_saved_outlives_its_users(world: ScriptedWorld) -> None:
    """A source that a web handler has let go keeps its pair until that is saved, and no longer: the next one to ask
    for this subject gets it, and the old refresh token is not spent again.
    """
    source = world.signed_in()
    world.clock.advance(4000)
    world.server.will(pair(1))
    world.store.interfere("save", OSError("full"))
    source.token()
    settle()
    seen = weakref.ref(source)
    del source
    gc.collect()
    assert world.client.for_subject("alice").token().access_token == "at1"
    settle()
    assert [form["refresh_token"] for form in world.server.forms] == ["rt0"]
    assert [event.name for event in world.events] == ["save_failed", "saved"]
    gc.collect()
    assert seen() is None


def test_copies_are_the_source_itself(world: ScriptedWorld) -> None:
    """A second state beside the first would renew a second time (F52)."""
    source = world.signed_in()
    assert copy.copy(source) is source
    assert copy.deepcopy({"auth": source})["auth"] is source
    assert copy.deepcopy(world.client) is world.client


def test_f52_a_pickled_source_works_elsewhere_and_carries_no_secret() -> None:
    """F52: it finds its grant in the store; a secret given as a callable is asked for there."""
    client = OAuthClient(acme(), client_id="id", client_secret=fetched_secret)
    source = client.for_subject("alice")
    source.adopt(Token("at-of-alice", refresh_token="rt-of-alice"))
    pickled = pickle.dumps(source)
    assert leaks([pickled], ["at-of-alice", "rt-of-alice", "s3cret-of-client"]) == []
    restored = pickle.loads(pickled)
    assert restored.store_key == source.store_key
    assert restored.state == "missing"


def fetched_secret() -> str:
    return "s3cret-of-client"


def test_f52_a_secret_given_as_text_is_left_out_and_the_error_names_it() -> None:
    """The error in the other process names the parameter and the remedy."""
    client = OAuthClient(acme(), client_id="id", client_secret="s3cret-of-client")
    pickled = pickle.dumps(client.for_itself())
    assert b"s3cret-of-client" not in pickled
    with raises(ConfigurationError, parameter="client_secret"):
        pickle.loads(pickled).token()


def test_nothing_public_shows_a_secret(world: ScriptedWorld) -> None:
    """repr, str and vars of source, client, cached token and flight (promise 8)."""
    source = world.signed_in()
    world.server.will(pair(1))
    flight = source._current.replace(cached(source), "httpx", CAUSE)
    assert isinstance(flight, Flight)
    shown = [repr(each) for each in (source, world.client, cached(source), flight)] + [vars(world.client)]
    settle()
    assert leaks(shown, ["at0", "rt0", "client-s3cret"]) == []


def test_subject_and_store_key_are_readable(world: ScriptedWorld) -> None:
    """The key names provider, server and client, so that nothing is mixed up (trap 33)."""
    source = world.client.for_subject("a/b c")
    assert source.subject == "a/b c"
    assert source.store_key == "token/acme/https%3A%2F%2Fas.acme.test/id/subject/a%2Fb%20c"
    assert world.client.for_itself(scope="x y").store_key.endswith("/itself/x%20y")
    assert world.client.for_itself().subject is None
