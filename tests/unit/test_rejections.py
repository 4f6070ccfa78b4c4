"""Rejections that a renewal did not resolve: what they are remembered by, how long, and what is forgotten."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.limits import PATIENCE
from support.scripted import ScriptedWorld
from support.token_endpoint import pair
from support.waiting import settle

from blnk_auth import RenewalPolicy, Token, TokenSource
from blnk_auth._renewal.cached_token import CachedToken
from blnk_auth._renewal.rejections import MOST_CAUSES, Rejections, cause_of, in_words
from blnk_auth._renewal.schedule import NEVER_RENEWED

POLICY = RenewalPolicy(rejection_cooldown=10, max_rejection_cooldown=600)
BAD, GOOD = "GET /bad", "GET /good"


def cached(name: str, *, was_accepted: bool = False) -> CachedToken:
    made = CachedToken(Token(name), NEVER_RENEWED)
    made.was_accepted = was_accepted
    return made


def may_renew(rejections: Rejections, cause: str, now: float, token: str = "old") -> bool:
    return rejections.after_rejection(cached(token), cause, now, POLICY)[0]


# --- causes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "challenge", "cause"),
    [
        ("GET", "/ledgers", "", "GET /ledgers"),
        ("GET", "/ledgers/17/entries/18", "", "GET /ledgers/0/entries/0"),
        ("GET", "/v1/a1b22", "", "GET /v0/a0b0"),
        ("GET", "/x/6F9619FF-8B86-D011-B42D-00CF4FC964FF/y", "", "GET /x/0/y"),
        ("POST", "/ledgers", 'Bearer error="invalid_token"', "POST /ledgers"),
        ("POST", "/ledgers", "Bearer", "POST /ledgers"),
        (
            "GET",
            "/a",
            'Bearer error="invalid_token", scope="admin"',
            "challenge: bearer error=invalid_token scope=admin",
        ),
        (
            "GET",
            "/b",
            'Bearer error="invalid_token", scope="admin"',
            "challenge: bearer error=invalid_token scope=admin",
        ),
        ("GET", "/a", 'Bearer error="tenant_locked"', "challenge: bearer error=tenant_locked scope=None"),
    ],
)
def test_a_rejection_is_remembered_by_its_challenge_or_by_method_and_path(
    method: str, path: str, challenge: str, cause: str
) -> None:
    """The pages of one resource are one cause, and so are all endpoints that want the same scope."""
    assert cause_of(method, path, {"www-authenticate": challenge} if challenge else {}) == cause


def test_a_hostile_cause_is_short_and_is_not_logged() -> None:
    """A server that quotes the token in its challenge, or sends control characters, does not reach the log with it."""
    challenge = cause_of("GET", "/x", {"www-authenticate": 'Bearer scope="the-access-token' + "x" * 10_000 + '"'})
    assert len(challenge) == 300
    assert in_words(challenge) == "this challenge"
    assert in_words(cause_of("GET", "/a\n\u202eb", {})) == "GET /a??b"


# --- how long --------------------------------------------------------------------------------------------------------


def test_one_endpoint_that_always_rejects_does_not_keep_the_others_from_being_renewed() -> None:
    """The API accepts the renewed token elsewhere, so it is the endpoint that is wrong, not the token."""
    accepted = cached("new", was_accepted=True)
    rejections = Rejections().after_unresolved(cached("new"), BAD, 0, POLICY)
    assert not rejections.after_rejection(cached("new"), GOOD, 1, POLICY)[0]
    allowed, rejections = rejections.after_rejection(accepted, GOOD, 1, POLICY)
    assert allowed
    assert not may_renew(rejections, BAD, 1)
    assert may_renew(rejections, BAD, 10)


def test_a_token_that_is_accepted_nowhere_is_renewed_ever_more_rarely_for_any_endpoint() -> None:
    """An API that rejects everything costs no renewal for each of its endpoints: 10, 20, 40 ... 600 seconds."""
    rejections, now = Rejections(), 0.0
    for number, wait in enumerate((10, 20, 40, 80, 160, 320, 600, 600)):
        rejections = rejections.after_unresolved(cached("new"), f"GET /{'x' * number}", now, POLICY)
        assert not may_renew(rejections, "GET /elsewhere", now + wait - 0.5)
        now += wait
        assert may_renew(rejections, "GET /elsewhere", now)


def test_a_renewed_token_that_is_rejected_while_it_is_young_counts() -> None:
    """With a body that cannot be repeated nothing shows whether the renewal helped, except the next rejection."""
    rejections = Rejections().after_renewal(Token("1"), 100)
    assert rejections is not None
    allowed, rejections = rejections.after_rejection(cached("1", was_accepted=True), BAD, 101, POLICY)
    assert allowed
    assert set(rejections.unresolved) == {BAD}
    assert not may_renew(rejections, BAD, 110.5, "2")
    assert may_renew(rejections, BAD, 111, "2")


def test_a_token_that_has_served_for_a_while_is_renewed_when_it_is_rejected() -> None:
    """To revoke a token that worked is not a storm, and does not count."""
    rejections = Rejections().after_renewal(Token("new"), 100)
    assert rejections is not None
    for now, token in ((120, "new"), (101, "a newer one"), (99, "new")):
        assert rejections.after_rejection(cached(token, was_accepted=True), BAD, now, POLICY) == (True, rejections)


def test_an_api_that_rejects_each_new_token_once_is_asked_ever_more_rarely() -> None:
    """Each renewal seems to help, and the next call shows that it did not: 10, 20, 40 ... seconds."""
    rejections, renewed_at = Rejections(), list[int]()
    for now in range(400):
        allowed, rejections = rejections.after_rejection(
            cached(f"{len(renewed_at)}", was_accepted=True), BAD, now, POLICY
        )
        if allowed:
            renewed_at.append(now)
            after = rejections.after_renewal(Token(f"{len(renewed_at)}"), now)
            assert after is not None
            rejections = after.after_resolved(BAD)
    assert renewed_at == [0, 1, 11, 31, 71, 151, 311]


def test_a_resolved_rejection_is_forgotten_once_the_renewed_token_has_served() -> None:
    """The next rejection then starts at the shortest cool-down again."""
    rejections = Rejections().after_unresolved(cached("1"), BAD, 0, POLICY)
    rejections = rejections.after_unresolved(cached("2"), BAD, 10, POLICY).after_resolved(BAD)
    renewed = rejections.after_renewal(Token("3"), 30)
    assert renewed is not None
    _, rejections = renewed.after_rejection(cached("3", was_accepted=True), BAD, 69, POLICY)
    assert BAD in rejections.unresolved
    allowed, rejections = renewed.after_rejection(cached("3", was_accepted=True), BAD, 70, POLICY)
    assert allowed
    assert BAD not in rejections.unresolved


def test_what_is_remembered_is_bounded() -> None:
    """The causes that were rejected last stay."""
    rejections = Rejections()
    for number in range(MOST_CAUSES + 50):
        rejections = rejections.after_unresolved(cached("new", was_accepted=True), f"GET {number}", 0, POLICY)
    assert list(rejections.unresolved) == [f"GET {number}" for number in range(50, MOST_CAUSES + 50)]


def test_an_ordinary_renewal_forgets_the_replaced_token() -> None:
    """No token is kept alive by a memory of rejections, and an empty one is dropped."""
    rejections = Rejections().after_renewal(Token("new"), 0)
    assert rejections is not None
    assert rejections.after_renewal(None, 1) is None
    unresolved = rejections.after_unresolved(cached("new"), BAD, 0, POLICY).after_renewal(None, 1)
    assert unresolved is not None
    assert unresolved.replacement is None


# --- many callers ----------------------------------------------------------------------------------------------------


def renewed_after_rejection(source: TokenSource, cause: str = BAD) -> CachedToken | None:
    sent = source._current.cached
    assert sent is not None
    flight = source._current.replace(sent, "httpx", cause)
    return None if flight is None else flight.wait(PATIENCE)


def test_fifty_callers_of_one_rejected_renewal_count_once() -> None:
    """The burst is one rejection: the cool-down after it is the first, not the fiftieth, and one warning is emitted."""
    world = ScriptedWorld(policy=POLICY)
    source = world.signed_in()
    world.server.will(pair(1), pair(2))
    renewed = renewed_after_rejection(source)
    assert renewed is not None
    together = threading.Barrier(50)

    def rejected_again() -> None:
        together.wait(PATIENCE)
        source._current.note_retry(renewed, BAD, accepted=False)

    with ThreadPoolExecutor(50) as pool:
        for call in [pool.submit(rejected_again) for _ in range(50)]:
            call.result(PATIENCE)
    world.clock.advance(9.5)
    assert renewed_after_rejection(source) is None
    world.clock.advance(0.5)
    assert renewed_after_rejection(source) is not None
    settle()
    assert [event.name for event in world.events].count("rejection_unresolved") == 1


def test_an_unresolved_rejection_is_reported_once_with_its_endpoint() -> None:
    """Nothing is raised for it, so an event and the log name the endpoint."""
    world = ScriptedWorld(policy=POLICY)
    source = world.signed_in()
    world.server.will(pair(1), pair(2))
    for _ in range(2):
        renewed = renewed_after_rejection(source)
        assert renewed is not None
        source._current.note_retry(renewed, BAD, accepted=False)
        world.clock.advance(100)
    settle()
    (warned,) = [event for event in world.events if event.name == "rejection_unresolved"]
    assert BAD in warned.detail


def test_a_new_sign_in_forgets_what_was_rejected() -> None:
    """It may have other permissions."""
    world = ScriptedWorld(policy=POLICY)
    source = world.signed_in()
    world.server.will(pair(1), pair(3))
    renewed = renewed_after_rejection(source)
    assert renewed is not None
    source._current.note_retry(renewed, BAD, accepted=False)
    assert renewed_after_rejection(source) is None
    source.adopt(world.token(2))
    assert renewed_after_rejection(source) is not None
