"""The renewal, branch by branch, with a store and a server made of plain functions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.canary.leaks import everything_in, leaks
from support.errors import LOST_REFRESH, raises
from support.providers import acme
from support.stores.scripted import ScriptedStore
from support.token_endpoint import ScriptedServer, answer, pair, refusal

from blnk_auth._protocol.client_authentication import ClientCredentials
from blnk_auth._protocol.http_messages import Call, HttpRequest, HttpResponse, NoResponse
from blnk_auth._protocol.requests import build_code_exchange, build_revocation
from blnk_auth._renewal.attempt import Attempt
from blnk_auth._renewal.authorization_grants import ClientCredentialsGrant, RefreshTokenGrant
from blnk_auth._renewal.cached_token import CachedToken
from blnk_auth._renewal.goal import Goal
from blnk_auth._renewal.ports import Ports
from blnk_auth._renewal.proofs import Proofs
from blnk_auth._renewal.renewal import Renewal
from blnk_auth._renewal.revocation import revoke_tokens
from blnk_auth._renewal.schedule import UNUSABLE
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth._renewal.succession import succeed
from blnk_auth.errors import (
    BlnkAuthError,
    ConfigurationError,
    Conflict,
    ProtocolError,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
)
from blnk_auth.policy import RenewalPolicy
from blnk_auth.testing import Clock
from blnk_auth.token import Token

KEY = "token/acme/alice"
LATER = 10_000.0
"""Seconds after which every token here has expired."""


ONCE = RenewalPolicy(lost_answer_retries=0)
"""One request for each renewal; how often a lost answer is asked for again has tests of its own."""


class Scene:
    """One grant, its store and its server, with one trace of what happened to both."""

    def __init__(self, grant: RefreshTokenGrant | ClientCredentialsGrant | None = None) -> None:
        self.trace: list[str] = []
        self.clock = Clock()
        self.store = ScriptedStore(self.trace)
        self.server = ScriptedServer(self.trace)
        self.grant = RefreshTokenGrant("alice") if grant is None else grant
        self.provider = acme(revocation_endpoint="https://as.acme.test/revoke")
        self.credentials = ClientCredentials("id", "client-s3cret", "client_secret_basic")
        self.policy = ONCE
        self.proofs = Proofs()
        self.events: list[str] = []

    def token(self, number: int = 0, **changes: Any) -> Token:
        now = self.clock()
        made = Token(f"at{number}", refresh_token=f"rt{number}", expires_at=now + 3600, issued_at=now)
        return made.replace(**changes)

    def wait(self, seconds: float) -> None:
        self.trace.append(f"wait {seconds:g}")
        self.clock.advance(seconds)

    def renewal(self) -> Renewal:
        return Renewal(
            key=KEY,
            grant=self.grant,
            ports=Ports(
                store=self.store,
                transport=self.server,
                clock=self.clock,
                monotonic=self.clock,
                wait=self.wait,
                jitter_position=lambda: 0.5,
                policy=self.policy,
                proofs=self.proofs,
            ),
            attempt=lambda: Attempt(self.provider, self.credentials, None, self.clock()),
        )

    def run(self, seen: CachedToken | None = None, *, must_differ: bool = False, forced: bool = False) -> CachedToken:
        renewal = self.renewal()
        try:
            return renewal.run(Goal(seen, must_differ, forced))
        finally:
            self.events += [event.name for event in renewal.events]

    def look(self) -> CachedToken:
        stored = self.renewal().stored.load()
        assert stored is not None
        self.trace.clear()
        return stored.cached

    @property
    def sent_refresh_tokens(self) -> list[str]:
        return [form["refresh_token"] for form in self.server.forms]

    @property
    def stored(self) -> GrantRecord:
        return self.store.grant(KEY)


@pytest.fixture
def scene() -> Scene:
    """Alice's pair at0, rt0 is stored and fresh."""
    made = Scene()
    made.store.put(KEY, made.token())
    return made


@pytest.fixture
def expired(scene: Scene) -> Scene:
    """Alice's access token has expired; her refresh token has not."""
    scene.clock.advance(LATER)
    return scene


# --- what makes asking unnecessary -----------------------------------------------------------------------------------


def test_a_fresh_stored_token_needs_neither_the_lock_nor_the_server(scene: Scene) -> None:
    """A new process with a fresh token in the store reads it once and asks nobody."""
    assert scene.run().token.access_token == "at0"
    assert scene.trace == ["load"]


def test_the_order_is_load_lock_load_ask_save_unlock(expired: Scene) -> None:
    """Nothing is asked before the pair was read again under the lock, which is kept until the new one is saved."""
    expired.server.will(pair(1))
    assert expired.run().token.access_token == "at1"
    assert expired.trace == ["load", "lock", "load", "ask", "save", "unlock"]
    assert expired.stored.token.refresh_token == "rt1"
    assert expired.events == ["renewed"]


def test_what_another_process_renewed_while_we_waited_for_the_lock_is_adopted(expired: Scene) -> None:
    """The pair is read again under the lock (F42): the new pair of another process is used and the server is not
    asked.
    """
    seen = expired.look()
    expired.store.interfere("lock", lambda: expired.store.put(KEY, expired.token(1)))
    assert expired.run(seen).token.access_token == "at1"
    assert expired.server.requests == []
    assert expired.events == ["adopted"]


def test_another_processs_stale_but_valid_pair_is_enough_for_one_with_an_older_pair(scene: Scene) -> None:
    """A newer token in its advisory window spares the request; its own renewal is somebody else's errand."""
    seen = scene.look()
    scene.clock.advance(LATER)
    scene.store.put(KEY, scene.token(1, issued_at=scene.clock() - 3500, expires_at=scene.clock() + 100))
    assert scene.run(seen).token.access_token == "at1"
    assert scene.server.requests == []


def test_one_who_holds_the_stale_token_itself_renews_it(scene: Scene) -> None:
    """In the advisory window the holder of the stored token asks for the next one."""
    seen = scene.look()
    scene.clock.advance(3300)
    scene.server.will(pair(1))
    assert scene.run(seen).token.access_token == "at1"


def test_a_rejected_fresh_token_is_renewed(scene: Scene) -> None:
    """A token that its API rejects is renewed although it has not expired."""
    scene.server.will(pair(1))
    assert scene.run(scene.look(), must_differ=True).token.access_token == "at1"


def test_a_rejected_token_is_not_renewed_if_another_process_has_done_so(scene: Scene) -> None:
    """A rejected token that is no longer the stored one is replaced by the stored one (F33)."""
    seen = scene.look()
    scene.store.put(KEY, scene.token(1))
    assert scene.run(seen, must_differ=True).token.access_token == "at1"
    assert scene.server.requests == []


def test_a_forced_renewal_asks_although_another_processs_token_is_fresh(scene: Scene) -> None:
    """`renew()` means asking the server, also if a fresh pair is stored, and with the stored pair."""
    seen = scene.look()
    scene.store.put(KEY, scene.token(1))
    scene.server.will(pair(2))
    assert scene.run(seen, must_differ=True, forced=True).token.access_token == "at2"
    assert scene.sent_refresh_tokens == ["rt1"]


def test_the_same_token_marked_as_ended_by_another_process_is_not_a_newer_token(scene: Scene) -> None:
    """A caller whose rejected token is marked as ended must sign in, and does not send the same token again."""
    seen = scene.look()
    scene.store.put(KEY, seen.token, ended="refused")
    with pytest.raises(SignInRequired):
        scene.run(seen, must_differ=True)
    assert scene.server.requests == []


# --- rotation --------------------------------------------------------------------------------------------------------


def test_rotation_twice_in_a_row_sends_each_refresh_token_once(expired: Scene) -> None:
    """Each renewal sends the refresh token of the one before it."""
    expired.server.will(pair(1), pair(2))
    cached = expired.run()
    expired.clock.advance(LATER)
    assert expired.run(cached).token.refresh_token == "rt2"
    assert expired.sent_refresh_tokens == ["rt0", "rt1"]
    assert expired.stored.token.refresh_token == "rt2"


@pytest.mark.parametrize("given", [{}, {"refresh_token": None}, {"refresh_token": ""}, {"refresh_token": 7}])
def test_f15_a_refresh_token_that_is_not_renewed_is_kept_twice_in_a_row(given: dict[str, Any]) -> None:
    """F15: an answer without a refresh token leaves the old one in force, and scope and unknown members too."""
    scene = Scene()
    kept = {"scope": "data:read", "extra": {"grant_id": "g1", "seen": 1}, "refresh_expires_at": scene.clock() + 9e6}
    scene.store.put(KEY, scene.token(0, **kept))
    cached: CachedToken | None = None
    for number in (1, 2):
        scene.clock.advance(LATER)
        scene.server.will(answer({"access_token": f"at{number}", "expires_in": 3600, "seen": number + 1, **given}))
        cached = scene.run(cached)
        assert cached.token.access_token == f"at{number}"
    assert scene.sent_refresh_tokens == ["rt0", "rt0"]
    stored = scene.stored.token
    assert (stored.access_token, stored.refresh_token, stored.scope) == ("at2", "rt0", "data:read")
    assert stored.extra == {"grant_id": "g1", "seen": 3}
    assert stored.refresh_expires_at == kept["refresh_expires_at"]


@pytest.mark.parametrize(
    ("given", "stated", "slides", "ends_at"),
    [
        (None, None, False, 1000.0),
        ("rt0", None, False, 1000.0),
        ("rt1", None, False, None),
        (None, None, True, None),
        ("rt0", None, True, None),
        ("rt1", None, True, None),
        (None, 2000.0, False, 2000.0),
        ("rt0", 2000.0, True, 2000.0),
        ("rt1", 2000.0, True, 2000.0),
    ],
)
def test_when_a_refresh_token_expires(
    given: str | None, stated: float | None, slides: bool, ends_at: float | None
) -> None:
    """One that stays keeps its end, repeated or not, unless each use puts it off; a successor does not inherit it."""
    old = Token("at0", refresh_token="rt0", refresh_expires_at=1000.0)
    renewed = succeed(Token("at1", refresh_token=given, refresh_expires_at=stated), old, slides=slides)
    assert (renewed.refresh_token, renewed.refresh_expires_at) == (given or "rt0", ends_at)


@pytest.mark.parametrize(
    "odd",
    [
        {"expires_in": "3600.5"},
        {"expires_in": "soon"},
        {"expires_in": None},
        {"token_type": None},
        {"token_type": "N_A"},
        {"scope": ["a", "b"]},
        {"scope": {"a": 1}},
        {"refresh_expires_in": []},
        {"grant_id": {"deep": [1, None, True]}},
        {"note": "\ud800"},
    ],
    ids=repr,
)
def test_odd_members_never_cost_the_pair(expired: Scene, odd: dict[str, Any]) -> None:
    """The rotated pair is saved, with anything else in the answer (promise 5, F16, F18)."""
    expired.server.will(pair(1, **odd))
    cached = expired.run()
    assert cached.version is not None
    assert (expired.stored.token.access_token, expired.stored.token.refresh_token) == ("at1", "rt1")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_a_number_that_json_cannot_express_never_costs_the_pair(expired: Scene, number: str) -> None:
    """An unknown member that no store can write as JSON does not keep the rotated pair out of the store (promise 5)."""
    body = b'{"access_token":"at1","refresh_token":"rt1","expires_in":3600,"quota":%s}' % number.encode()
    expired.server.will(HttpResponse(200, {}, body))
    cached = expired.run()
    assert cached.version is not None
    assert expired.stored.token.refresh_token == "rt1"


def test_an_access_token_that_no_header_can_carry_is_stored_and_not_used(expired: Scene) -> None:
    """Its refresh token may still be good, so the pair is kept; the access token counts as expired immediately."""
    expired.server.will(pair(1, access_token="at\r\nX-Evil: 1"))
    cached = expired.run()
    assert cached.schedule == UNUSABLE
    assert expired.stored.token.refresh_token == "rt1"


# --- answers that are lost -------------------------------------------------------------------------------------------

LOST = NoResponse("ReadTimeout", sent=True)


def test_a_lost_answer_is_asked_for_again_under_the_same_lock(expired: Scene) -> None:
    """Servers with a grace period issue the lost pair again; later than that the grant would be revoked."""
    expired.policy = RenewalPolicy()
    expired.server.will(LOST, LOST, pair(1))
    assert expired.run().token.access_token == "at1"
    assert expired.trace == ["load", "lock", "load", "ask", "wait 0.5", "ask", "wait 1", "ask", "save", "unlock"]
    assert expired.sent_refresh_tokens == ["rt0"] * 3
    assert expired.stored.token.refresh_token == "rt1"
    assert expired.events == ["renewal_failed", "renewal_failed", "renewed"]


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_lost_answer_is_asked_for_again_as_often_as_the_policy_allows(expired: Scene, retries: int) -> None:
    """After the last attempt `outcome_unknown` is true, and the record stays."""
    expired.policy = RenewalPolicy(lost_answer_retries=retries, lost_answer_delay=0)
    before = expired.store.texts
    expired.server.will(*[LOST] * (retries + 1))
    with pytest.raises(TemporarilyUnavailable) as caught:
        expired.run()
    assert caught.value.outcome_unknown
    assert len(expired.server.requests) == retries + 1
    assert expired.store.texts == before


@pytest.mark.parametrize(
    "failure",
    [
        NoResponse("ConnectError", sent=False),
        HttpResponse(503, {}, b""),
        HttpResponse(504, {}, b""),
        HttpResponse(429, {"retry-after": "1"}, b""),
        HttpResponse(200, {}, b"<html>"),
        refusal("invalid_grant"),
        refusal("invalid_client", 401),
    ],
    ids=str,
)
def test_only_a_lost_answer_is_asked_for_again(expired: Scene, failure: HttpResponse | Exception) -> None:
    """Every other failure has its answer, or spent nothing: the cool-down is there for it."""
    expired.policy = RenewalPolicy()
    expired.server.will(failure)
    with pytest.raises(BlnkAuthError):
        expired.run()
    assert len(expired.server.requests) == 1


def test_a_provider_without_a_grace_period_is_not_asked_again(expired: Scene) -> None:
    """`repeats_lost_refresh=False`: a second use of the refresh token would end the grant there."""
    expired.policy = RenewalPolicy()
    expired.provider = acme(repeats_lost_refresh=False)
    expired.server.will(LOST)
    with pytest.raises(TemporarilyUnavailable):
        expired.run()
    assert len(expired.server.requests) == 1


def test_the_clients_own_token_is_asked_for_again_with_any_setting_for_refreshes() -> None:
    """Nothing is used up by asking for it twice."""
    scene = Scene(ClientCredentialsGrant("client:admin"))
    scene.policy = RenewalPolicy()
    scene.provider = acme(repeats_lost_refresh=False)
    scene.server.will(LOST, answer({"access_token": "at1"}))
    assert scene.run().token.access_token == "at1"


def test_all_attempts_share_one_deadline_and_none_begins_with_less_than_five_seconds_of_it(expired: Scene) -> None:
    """So that callers that wait for the lock, or for the renewal, wait no longer than for one request."""
    expired.policy = RenewalPolicy(lost_answer_retries=10, lost_answer_delay=0.5)

    def time_out(_: HttpRequest) -> HttpResponse:
        expired.clock.advance(12)
        raise LOST

    expired.server.will(*[time_out] * 3)
    with pytest.raises(TemporarilyUnavailable):
        expired.run()
    assert expired.server.seconds == [30, 17.5, 4.5][:2]


def test_each_attempt_has_an_assertion_of_its_own(expired: Scene) -> None:
    """An assertion may be used once (RFC 7523 section 3): its `jti` and its times are made again."""
    expired.policy = RenewalPolicy()
    expired.credentials = ClientCredentials("id", "client-s3cret-of-32-characters-xx", "client_secret_jwt")
    expired.server.will(LOST, pair(1))
    expired.run()
    first, second = (form["client_assertion"] for form in expired.server.forms)
    assert first != second


def test_a_lock_that_excludes_nobody_is_reported_after_two_refusals(expired: Scene) -> None:
    """Each time another process stored a pair meanwhile, so no refusal is about the stored grant, which stays."""

    def another_pair(number: int) -> Callable[[HttpRequest], HttpResponse]:
        def refuse(_request: HttpRequest) -> HttpResponse:
            expired.store.put(KEY, expired.token(number, expires_at=expired.clock() - 1))
            return refusal("invalid_grant")

        return refuse

    expired.server.will(another_pair(5), another_pair(6))
    with raises(TemporarilyUnavailable, shows="lock"):
        expired.run(expired.look())
    assert [each["refresh_token"] for each in expired.server.forms] == ["rt0", "rt5"]
    assert (expired.stored.token.refresh_token, expired.stored.ended) == ("rt6", None)


def test_a_refusal_after_a_lost_answer_names_what_was_probably_lost(expired: Scene) -> None:
    """At a server without a grace period the rotated refresh token went with the answer."""
    expired.policy = RenewalPolicy()
    expired.server.will(LOST, refusal("invalid_grant"))
    with raises(SignInRequired, reason="refused", shows=LOST_REFRESH):
        expired.run()
    assert expired.stored.ended == "refused"


@pytest.mark.parametrize("second", [HttpResponse(503, {}, b""), NoResponse("ConnectError", sent=False)], ids=str)
def test_what_became_of_a_lost_answer_stays_unknown(expired: Scene, second: HttpResponse | Exception) -> None:
    """A repetition that did nothing does not make the attempt before it undone."""
    expired.policy = RenewalPolicy()
    expired.server.will(LOST, second)
    with pytest.raises(TemporarilyUnavailable) as caught:
        expired.run()
    assert caught.value.outcome_unknown


class Secrets:
    """A callable secret that takes as long as it is given, or fails."""

    def __init__(self, scene: Scene, *answers: float | Exception) -> None:
        self._scene = scene
        self._answers = list(answers)

    def __call__(self) -> str:
        given = self._answers.pop(0)
        if isinstance(given, Exception):
            raise given
        self._scene.clock.advance(given)
        return "client-s3cret"


def test_a_slow_secret_takes_nothing_of_the_first_requests_time(expired: Scene) -> None:
    """The deadline is the request's own."""
    expired.policy = RenewalPolicy()
    expired.credentials = ClientCredentials("id", Secrets(expired, 60), "client_secret_basic")
    expired.server.will(pair(1))
    expired.run()
    assert expired.server.seconds == [30]


@pytest.mark.parametrize("second", [60.0, OSError("the vault is sealed")], ids=str)
def test_a_secret_that_is_not_there_for_the_repetition_leaves_the_answer_lost(
    expired: Scene, second: float | Exception
) -> None:
    """The caller hears that the answer was lost, which matters more."""
    expired.policy = RenewalPolicy()
    expired.credentials = ClientCredentials("id", Secrets(expired, 0, second), "client_secret_basic")
    expired.server.will(LOST)
    with pytest.raises(TemporarilyUnavailable) as caught:
        expired.run()
    assert caught.value.outcome_unknown
    assert len(expired.server.requests) == 1


@pytest.mark.parametrize("what", ["exchange", "revocation"])
def test_a_code_and_a_revocation_are_asked_for_once(scene: Scene, what: str) -> None:
    """A code is used up by its first use, and a second one may revoke the grant (RFC 6749 section 4.1.2)."""
    scene.policy = RenewalPolicy()
    scene.server.will(LOST)
    with pytest.raises(TemporarilyUnavailable):
        exchange(scene, scene.renewal()) if what == "exchange" else revoke(scene)
    assert len(scene.server.requests) == 1


# --- saving ----------------------------------------------------------------------------------------------------------


def test_f49_a_pair_that_cannot_be_saved_is_used_and_saved_by_the_next_run(expired: Scene) -> None:
    """F49: the token is handed out unsaved, the next run saves it, and the spent refresh token is not sent again."""
    expired.server.will(pair(1))
    expired.store.interfere("save", OSError(28, "No space left on device"))
    cached = expired.run(expired.look())
    assert (cached.token.access_token, cached.version) == ("at1", None)
    assert expired.stored.token.refresh_token == "rt0"
    assert expired.events == ["save_failed"]

    saved = expired.run(cached)
    assert saved.version is not None
    assert expired.stored.token.refresh_token == "rt1"
    assert expired.sent_refresh_tokens == ["rt0"]
    assert expired.events == ["save_failed", "saved"]


def test_a_pair_that_cannot_be_saved_for_long_is_neither_lost_nor_renewed(expired: Scene) -> None:
    """While the store fails, each run reports it and asks nothing; once it heals, the pair is saved."""
    expired.server.will(pair(1))
    expired.store.interfere("save", *[OSError("full")] * 3)
    cached = expired.run(expired.look())
    for _ in range(2):
        with pytest.raises(StoreError):
            expired.run(cached)
    assert expired.run(cached).version is not None
    assert expired.sent_refresh_tokens == ["rt0"]
    assert expired.stored.token.refresh_token == "rt1"


def test_an_unsaved_pair_that_expires_is_saved_first_and_renewed_with_its_own_refresh_token(expired: Scene) -> None:
    """The stored refresh token is spent; only the unsaved one may be sent."""
    expired.server.will(pair(1), pair(2))
    expired.store.interfere("save", OSError("full"))
    cached = expired.run(expired.look())
    expired.clock.advance(LATER)
    assert expired.run(cached).token.access_token == "at2"
    assert expired.sent_refresh_tokens == ["rt0", "rt1"]
    assert expired.stored.token.refresh_token == "rt2"


@pytest.mark.parametrize("forced", [False, True])
def test_a_rejected_unsaved_pair_is_saved_first_and_renewed_with_its_own_refresh_token(
    expired: Scene, forced: bool
) -> None:
    """A rejection and a renewal by hand send the unsaved refresh token, never the spent one that is stored."""
    expired.server.will(pair(1), pair(2))
    expired.store.interfere("save", OSError("full"))
    cached = expired.run(expired.look())
    assert expired.run(cached, must_differ=True, forced=forced).token.access_token == "at2"
    assert expired.sent_refresh_tokens == ["rt0", "rt1"]


def test_a_rejected_unsaved_pair_gives_way_to_another_processs_newer_one(expired: Scene) -> None:
    """If another process has stored a pair meanwhile, that pair replaces the rejected one; nothing is asked."""
    expired.server.will(pair(1))
    expired.store.interfere("save", OSError("full"))
    cached = expired.run(expired.look())
    expired.clock.advance(1)
    expired.store.put(KEY, expired.token(5))
    assert expired.run(cached, must_differ=True).token.access_token == "at5"
    assert len(expired.server.requests) == 1


def conflicting(scene: Scene, write: Callable[[], object]) -> CachedToken:
    """Renew while somebody without our lock writes before our save."""
    scene.server.will(pair(1))
    scene.store.interfere("save", write)
    return scene.run(scene.look())


def test_conflict_with_another_processs_valid_pair_of_our_age_leaves_it_and_adopts_it(expired: Scene) -> None:
    """A live pair that is not older than ours stays stored and is what we hold: both are good, one is enough."""
    cached = conflicting(expired, lambda: expired.store.put(KEY, expired.token(5)))
    assert cached.token.access_token == "at5"
    assert expired.stored.token.access_token == "at5"


def test_conflict_with_an_older_pair_replaces_it(expired: Scene) -> None:
    """A write that brings back an older pair does not cost us the newer one (F50)."""
    older = expired.token(5, issued_at=expired.clock() - 60)
    cached = conflicting(expired, lambda: expired.store.put(KEY, older))
    assert cached.token.access_token == "at1"
    assert cached.version is not None
    assert expired.stored.token.refresh_token == "rt1"


@pytest.mark.parametrize("backwards", [0.0, 60.0], ids=["clock stands", "clock was put back"])
def test_f50_a_rewrite_of_the_pair_we_just_spent_never_outlives_the_new_one(scene: Scene, backwards: float) -> None:
    """F50: who stores the spent pair once more, under another version, does not undo the rotation, by any clock."""
    scene.clock.advance(-backwards)
    spent = scene.stored.token
    scene.server.will(pair(1))
    scene.store.interfere("save", lambda: scene.store.put(KEY, spent))
    cached = scene.run(scene.look(), must_differ=True)
    assert cached.token.refresh_token == "rt1"
    assert scene.stored.token.refresh_token == "rt1"


def test_conflict_with_another_processs_mark_of_the_end_replaces_the_mark(expired: Scene) -> None:
    """Another process was refused because our renewal had spent its token: our new pair replaces the mark."""
    spent = expired.stored.token
    cached = conflicting(expired, lambda: expired.store.put(KEY, spent, ended="refused"))
    assert cached.token.access_token == "at1"
    assert expired.stored.ended is None
    assert expired.stored.token.refresh_token == "rt1"


def test_conflict_with_a_deleted_record_does_not_bring_it_back(expired: Scene) -> None:
    """To forget a grant while it is renewed is intended."""
    with pytest.raises(SignInRequired) as caught:
        conflicting(expired, lambda: expired.store.delete(KEY))
    assert caught.value.reason == "missing"
    assert expired.store.texts == {}


def test_a_deleted_record_of_the_clients_own_token_is_written_again() -> None:
    """A client's own token can be had again at any time, so nothing forbids storing it."""
    scene = Scene(ClientCredentialsGrant(None))
    scene.store.put(KEY, scene.token(0, refresh_token=None))
    scene.clock.advance(LATER)
    cached = conflicting(scene, lambda: scene.store.delete(KEY))
    assert cached.version is not None
    assert scene.stored.token.access_token == "at1"


# --- sign-ins beside renewals ----------------------------------------------------------------------------------------


def sign_in(scene: Scene, token: Token) -> GrantRecord:
    """Somebody signs in, on another host: what is stored is replaced."""
    record, before = GrantRecord.signed_in(token), scene.store.load(KEY)
    scene.store.save(KEY, record.to_data(), expected=None if before is None else before.version)
    return record


@pytest.mark.parametrize("ahead", [-3600.0, 0.0, 3600.0], ids=["clock behind", "same clock", "clock ahead"])
def test_a_renewal_that_comes_back_past_a_lost_lock_leaves_a_new_sign_in_alone(expired: Scene, ahead: float) -> None:
    """The user signed in while the old grant was being renewed: the sign-in stays, with any clocks."""
    new = expired.token(7, issued_at=expired.clock() + ahead)
    cached = conflicting(expired, lambda: sign_in(expired, new))
    assert cached.token == new
    assert expired.stored.token == new


def test_an_unsaved_renewal_leaves_a_new_sign_in_alone(expired: Scene) -> None:
    """The same where the renewed pair could not be saved at first."""
    expired.server.will(pair(1))
    expired.store.interfere("save", OSError("full"))
    cached = expired.run(expired.look())
    new = expired.token(7, issued_at=expired.clock() - 3600)
    sign_in(expired, new)
    assert expired.run(cached).token == new
    assert expired.stored.token == new


@pytest.mark.parametrize("ahead", [-3600.0, 0.0, 3600.0], ids=["clock behind", "same clock", "clock ahead"])
@pytest.mark.parametrize("verb", ["lock", "load", "save"])
@pytest.mark.parametrize("renewed_meanwhile", [False, True])
def test_a_sign_in_that_could_not_be_saved_replaces_the_grant_before_it(
    scene: Scene, verb: str, ahead: float, renewed_meanwhile: bool
) -> None:
    """Also if that one was issued by a clock that was ahead, or is renewed elsewhere before the store works again."""
    old = sign_in(scene, scene.token(5, issued_at=scene.clock() + ahead))
    scene.server.will(pair(1))
    scene.store.interfere(verb, OSError("full"))
    cached = exchange(scene, scene.renewal())
    assert (cached.token.access_token, cached.version) == ("at1", None)
    if renewed_meanwhile:
        record = scene.store.load(KEY)
        assert record is not None
        renewed = GrantRecord(scene.token(6, issued_at=scene.clock() + ahead), sign_in=old.sign_in)
        scene.store.save(KEY, renewed.to_data(), expected=record.version)
    assert scene.run(cached).token.access_token == "at1"
    assert scene.stored.token.refresh_token == "rt1"


def test_a_sign_in_that_could_not_be_saved_leaves_a_later_sign_in_alone(scene: Scene) -> None:
    """The user signed in once more, elsewhere: the last sign-in is the one that counts."""
    sign_in(scene, scene.token(5))
    scene.server.will(pair(1))
    scene.store.interfere("save", OSError("full"))
    cached = exchange(scene, scene.renewal())
    later = sign_in(scene, scene.token(6))
    assert scene.run(cached).token == later.token
    assert scene.stored.token == later.token


def test_a_record_names_the_sign_in_it_descends_from_through_all_renewals_and_its_end() -> None:
    """Each sign-in has a name of its own, which every renewal keeps; it reveals nothing of the token."""
    scene = Scene()
    scene.server.will(pair(1), pair(2), refusal("invalid_grant"))
    exchange(scene, scene.renewal())
    name = scene.stored.sign_in
    assert name is not None
    assert "rt1" not in name
    scene.clock.advance(LATER)
    cached = scene.run()
    assert scene.stored.token.access_token == "at2"
    assert scene.stored.sign_in == name
    scene.clock.advance(LATER)
    with pytest.raises(SignInRequired):
        scene.run(cached)
    assert (scene.stored.ended, scene.stored.sign_in) == ("refused", name)


# --- a store that has lost a confirmed write -------------------------------------------------------------------------


def rolled_back(scene: Scene, renewals: int) -> CachedToken:
    """What a process knows that has renewed so often, in a store that is back where it was before."""
    known, first = scene.run(), scene.stored.token
    for number in range(1, renewals + 1):
        scene.clock.advance(LATER)
        scene.server.will(pair(number))
        known = scene.run(known)
    scene.store.put(KEY, first)
    scene.clock.advance(LATER)
    scene.events.clear()
    return known


@pytest.mark.parametrize("renewals", [1, 4])
def test_a_pair_that_the_store_has_lost_is_saved_again_and_renewed(scene: Scene, renewals: int) -> None:
    """The process that knows it presents its own refresh token, not the spent one, and reports the loss."""
    known = rolled_back(scene, renewals)
    scene.server.will(pair(9))
    assert scene.run(known).token.access_token == "at9"
    assert scene.sent_refresh_tokens[-1] == f"rt{renewals}"
    assert scene.events == ["store_rolled_back", "renewed"]


def test_a_pair_that_the_store_has_lost_is_saved_before_anything_is_asked(scene: Scene) -> None:
    """If the server does not answer, other processes find it all the same."""
    known = rolled_back(scene, 1)
    scene.server.will(refusal("server_error", 500))
    with pytest.raises(TemporarilyUnavailable):
        scene.run(known)
    assert scene.stored.token == known.token


def test_the_mark_of_a_process_that_presented_the_spent_token_does_not_end_the_pair(scene: Scene) -> None:
    """A server that only refuses a spent token still honours the newer pair."""
    known = rolled_back(scene, 1)
    scene.store.put(KEY, scene.stored.token, ended="refused")
    scene.server.will(pair(9))
    assert scene.run(known).token.access_token == "at9"
    assert scene.sent_refresh_tokens[-1] == "rt1"


def test_a_pair_that_the_store_has_lost_and_the_server_refuses_is_ended_and_asked_for_once(scene: Scene) -> None:
    """It is no other process's pair, so it is not judged a second time."""
    known = rolled_back(scene, 1)
    scene.server.will(refusal("invalid_grant"))
    with pytest.raises(SignInRequired):
        scene.run(known)
    assert scene.stored == GrantRecord(known.token, "refused")


def test_a_refresh_token_that_stays_the_same_is_never_taken_for_a_lost_one(scene: Scene) -> None:
    """Servers without rotation: what is stored is what is known."""
    scene.clock.advance(LATER)
    scene.server.will(pair(1, refresh_token="rt0"))
    known = scene.run(scene.look())
    assert known.superseded == ()
    scene.clock.advance(LATER)
    scene.server.will(pair(2, refresh_token="rt0"))
    scene.run(known)
    assert "store_rolled_back" not in scene.events


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_f13_invalid_grant_marks_the_record_keeps_it_and_is_not_asked_again(expired: Scene) -> None:
    """F13: the verdict asks for a new sign-in, keeps the pair with a mark, and spends no second request."""
    before = expired.stored.token
    expired.server.will(refusal("invalid_grant", error_description="Token was revoked"))
    with pytest.raises(SignInRequired) as caught:
        expired.run(expired.look())
    assert (caught.value.reason, caught.value.subject, caught.value.error) == ("refused", "alice", "invalid_grant")
    assert caught.value.error_description == "Token was revoked"
    assert (expired.stored.token, expired.stored.ended) == (before, "refused")
    assert expired.events == ["sign_in_required"]
    with pytest.raises(SignInRequired):
        expired.run()
    assert len(expired.server.requests) == 1


def test_a_verdict_that_cannot_be_marked_is_still_the_verdict(expired: Scene) -> None:
    """A store that fails does not hide that the user must sign in again."""
    expired.server.will(refusal("invalid_grant"))
    expired.store.interfere("save", OSError("read-only"))
    with pytest.raises(SignInRequired):
        expired.run(expired.look())
    assert expired.events == ["save_failed", "sign_in_required"]


def meanwhile(scene: Scene, token: Token, then: HttpResponse) -> Callable[[HttpRequest], HttpResponse]:
    """An answer that comes after somebody without our lock has stored another pair."""

    def respond(request: HttpRequest) -> HttpResponse:
        scene.store.put(KEY, token)
        return then

    return respond


@pytest.mark.parametrize("must_differ", [False, True])
def test_f14_invalid_grant_after_another_process_renewed_adopts_its_pair(expired: Scene, must_differ: bool) -> None:
    """F14: the store is read again after the verdict, the other pair is used; nothing is marked and no event
    emitted.
    """
    expired.server.will(meanwhile(expired, expired.token(7), refusal("invalid_grant")))
    cached = expired.run(expired.look(), must_differ=must_differ)
    assert cached.token.access_token == "at7"
    assert expired.stored == GrantRecord(expired.token(7))
    assert len(expired.server.requests) == 1
    assert expired.events == ["adopted"]


def test_f14_another_processs_pair_that_has_expired_too_is_renewed_once(expired: Scene) -> None:
    """The newer pair is judged like any other: its own refresh token is sent, once."""
    stale = expired.token(7, expires_at=expired.clock() - 1)
    expired.server.will(meanwhile(expired, stale, refusal("invalid_grant")), pair(8))
    assert expired.run(expired.look()).token.access_token == "at8"
    assert expired.sent_refresh_tokens == ["rt0", "rt7"]
    assert expired.stored.token.refresh_token == "rt8"


def test_f14_two_refusals_end_the_pair_that_was_refused_last(expired: Scene) -> None:
    """There is no third look: the second verdict marks the pair it was about."""
    stale = expired.token(7, expires_at=expired.clock() - 1)
    expired.server.will(meanwhile(expired, stale, refusal("invalid_grant")), refusal("invalid_grant"))
    with pytest.raises(SignInRequired):
        expired.run(expired.look())
    assert expired.stored == GrantRecord(stale, "refused")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (refusal("server_error", 500), TemporarilyUnavailable),
        (refusal("invalid_grant", 500), TemporarilyUnavailable),
        (HttpResponse(503, {"retry-after": "7"}, b""), TemporarilyUnavailable),
        (HttpResponse(502, {}, b"<html>Bad gateway</html>"), TemporarilyUnavailable),
        (HttpResponse(200, {}, b"<html>Please log in to the hotel's network</html>"), ProtocolError),
        (HttpResponse(200, {}, b""), ProtocolError),
        (HttpResponse(200, {}, b'{"token_type":"Bearer"}'), ProtocolError),
        (HttpResponse(400, {}, b""), ProtocolError),
        (HttpResponse(403, {}, b""), ConfigurationError),
        (HttpResponse(302, {"location": "https://evil.test"}, b""), ConfigurationError),
        (refusal("invalid_client", 401), ConfigurationError),
        (refusal("invalid_client", 400), ConfigurationError),
        (refusal("invalid_request", 400), ConfigurationError),
        (refusal("Authorization header is required", 401), ConfigurationError),
        (NoResponse("ConnectError", sent=False), TemporarilyUnavailable),
        (NoResponse("ReadTimeout", sent=True), TemporarilyUnavailable),
        (ConfigurationError("the TLS certificate is not trusted"), ConfigurationError),
    ],
    ids=str,
)
def test_f12_only_a_verdict_touches_the_record(
    expired: Scene, given: HttpResponse | Exception, expected: type[BlnkAuthError]
) -> None:
    """F12, F61: an outage, a proxy's page or a wrong registration leaves the stored grant as it is, byte for byte."""
    before = expired.store.texts
    expired.server.will(given)
    with pytest.raises(BlnkAuthError) as caught:
        expired.run(expired.look())
    assert type(caught.value) is expected
    assert expired.store.texts == before
    assert expired.trace[-1] == "unlock"


def test_f12_any_exception_of_an_http_client_is_a_typed_error_without_its_text(expired: Scene) -> None:
    """Hooks of the user's may raise anything, after the server has acted too: the pair may be lost."""
    expired.server.will(KeyError("rt0 was in that form"))
    with raises(TemporarilyUnavailable, outcome_unknown=True) as caught:
        expired.run()
    assert "rt0" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("sent", [False, True])
def test_a_lost_answer_is_distinguished_from_a_request_that_never_left(expired: Scene, sent: bool) -> None:
    """Only if the request may have arrived may the server have renewed."""
    expired.server.will(NoResponse("timeout", sent=sent))
    with pytest.raises(TemporarilyUnavailable) as caught:
        expired.run()
    assert caught.value.outcome_unknown is sent


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"refresh_token": None}, "no_refresh_token"),
        ({"refresh_expires_at": LATER - 1}, "expired"),
        ({"refresh_expires_at": LATER}, "expired"),
    ],
)
def test_f25_a_grant_that_cannot_be_renewed_costs_no_request(changes: dict[str, Any], reason: str) -> None:
    """F25: without a refresh token, or with one that has run out, the user is asked and the server is not."""
    scene = Scene()
    relative = changes.get("refresh_expires_at")
    if relative is not None:
        changes = {"refresh_expires_at": scene.clock() + relative}
    scene.store.put(KEY, scene.token(0, **changes))
    before = scene.store.texts
    scene.clock.advance(LATER)
    with raises(SignInRequired, reason=reason, subject="alice"):
        scene.run()
    assert scene.store.texts == before


def test_a_subject_that_never_signed_in_costs_no_request() -> None:
    """Nothing stored is nothing to renew: the error names the subject and the remedy."""
    scene = Scene()
    with raises(SignInRequired, reason="missing", subject="alice") as caught:
        scene.run()
    assert caught.value.reason == "missing"


def test_somebody_who_signs_in_while_we_find_nothing_is_found_at_the_second_look() -> None:
    """`missing` is a verdict too: the store is read once more before it is spoken."""
    scene = Scene()
    scene.store.interfere("load", None, None, lambda: scene.store.put(KEY, scene.token(3)))
    assert scene.run().token.access_token == "at3"


def test_invalid_grant_for_the_clients_own_token_is_a_matter_of_configuration() -> None:
    """No user can sign in for a client: the error explains it and no record is marked."""
    scene = Scene(ClientCredentialsGrant("client:admin"))
    scene.server.will(refusal("invalid_grant"))
    with raises(ConfigurationError, error="invalid_grant", status_code=400) as caught:
        scene.run()
    assert caught.value.error == "invalid_grant"
    assert scene.store.texts == {}


def test_f24_the_clients_own_token_is_requested_again_and_saved() -> None:
    """F24: without any refresh token the grant is repeated, with its scope, and the token persists."""
    scene = Scene(ClientCredentialsGrant("client:admin"))
    scene.server.will(answer({"access_token": "at1", "expires_in": 60}), answer({"access_token": "at2"}))
    cached = scene.run()
    scene.clock.advance(60)
    assert scene.run(cached).token.access_token == "at2"
    assert scene.server.forms == [{"grant_type": "client_credentials", "scope": "client:admin"}] * 2
    assert scene.stored.token.access_token == "at2"


# --- a store that fails ----------------------------------------------------------------------------------------------


def test_without_the_lock_nothing_is_asked(expired: Scene) -> None:
    """A rotating token is not renewed by somebody who may not be alone."""
    expired.store.interfere("lock", StoreError("the lock was not had within 40 seconds"))
    with raises(StoreError, problem="the lock was not had within 40 seconds"):
        expired.run()
    assert expired.server.requests == []


def test_a_lock_that_cannot_be_released_does_not_cost_the_token(expired: Scene) -> None:
    """The new pair is saved and returned; the trouble with the lock is an event."""
    expired.server.will(pair(1))
    expired.store.interfere("unlock", OSError("gone"))
    assert expired.run().token.access_token == "at1"
    assert expired.stored.token.refresh_token == "rt1"
    assert expired.events == ["renewed", "unlock_failed"]


def test_a_lock_that_cannot_be_released_does_not_hide_the_servers_answer(expired: Scene) -> None:
    """The error that the caller gets is the one it can act on."""
    expired.server.will(HttpResponse(503, {}, b""))
    expired.store.interfere("unlock", OSError("gone"))
    with pytest.raises(TemporarilyUnavailable):
        expired.run()


class Strange(Exception):
    """An exception of a driver, of no class that we know, with the row in its text."""


@pytest.mark.parametrize("verb", ["load", "lock"])
@pytest.mark.parametrize(
    "odd", [Strange("row: rt0"), KeyError("rt0"), OSError(5, "Input/output error"), AssertionError("rt0")], ids=repr
)
def test_any_exception_of_a_store_is_a_store_error_without_its_text(expired: Scene, verb: str, odd: Exception) -> None:
    """The caller learns that the store failed and with which type of error, and nothing of what is stored."""
    expired.store.interfere(verb, odd)
    with raises(StoreError, shows=type(odd).__name__) as caught:
        expired.run()
    assert leaks([str(caught.value), repr(caught.value), caught.value.args], ["rt0"]) == []


def test_the_reason_that_the_operating_system_gives_is_reported(expired: Scene) -> None:
    """`No space left on device` helps, and holds no data."""
    expired.store.interfere("load", OSError(28, "No space left on device"))
    with raises(StoreError, shows="No space left on device"):
        expired.run()


def test_an_event_about_a_store_that_failed_does_not_lead_to_the_data(expired: Scene) -> None:
    """What a callback finds in `event.error`, its chain and our frames included, holds no token (F56)."""
    expired.server.will(pair(1, refresh_token="rt1-of-some-length"))
    expired.store.interfere("save", Strange('INSERT {"refresh_token": "rt1-of-some-length"}'))
    renewal = expired.renewal()
    renewal.run(Goal(None))
    (failed,) = (event for event in renewal.events if event.name == "save_failed")
    assert failed.error is not None
    assert leaks([failed.detail, *everything_in(failed.error)], ["rt1-of-some-length"]) == []


@pytest.mark.parametrize(
    ("data", "parameter"),
    [
        ({"schema": 3, "token": {"access_token": "x"}}, None),
        ({"schema": 2, "token": {"access_token": "x"}}, "record"),
        ({"schema": 1, "token": {"access_token": ""}}, "record"),
        ({"schema": 1, "token": "at0"}, "record"),
        ({"schema": 1, "token": {"access_token": "x", "expires_at": "soon"}}, "record"),
        ({"quota": 7}, "record"),
        ({}, "record"),
    ],
    ids=json.dumps,
)
def test_a_record_that_cannot_be_read_is_an_error_and_stays(data: dict[str, Any], parameter: str | None) -> None:
    """A broken record, or one of a newer version, is never taken for nothing: it is named and left alone."""
    scene = Scene()
    scene.store.save(KEY, data, expected=None)
    before = scene.store.texts
    with raises(StoreError, key=KEY, parameter=parameter):
        scene.run()
    assert scene.store.texts == before
    assert scene.server.requests == []


def test_a_stored_number_beyond_a_float_is_an_error_that_names_the_record() -> None:
    """JSON has integers of any length; one in a record is a broken record, not a crash."""
    scene = Scene()
    scene.store.save(KEY, {"schema": 1, "token": {"access_token": "x", "expires_at": 10**400}}, expected=None)
    with raises(StoreError, parameter="record"):
        scene.run()


# --- putting, forgetting, revoking, exchanging -----------------------------------------------------------------------


@pytest.mark.parametrize("stored", [None, {"schema": 9}, {"schema": 1, "token": {"access_token": "old"}}])
def test_put_stores_a_new_grant_over_any_record(stored: dict[str, Any] | None) -> None:
    """A user who signed in again gets the new grant, also over a record that nobody can read."""
    scene = Scene()
    if stored is not None:
        scene.store.save(KEY, stored, expected=None)
    cached = scene.renewal().stored.put(GrantRecord(scene.token(1)))
    assert cached.version is not None
    assert scene.stored == GrantRecord(scene.token(1))


def revoke(scene: Scene) -> None:
    revoke_tokens(
        scene.renewal(),
        lambda token, hint: build_revocation(
            scene.provider, scene.credentials, token, hint, call=Call("revocation", "alice"), now=scene.clock()
        ),
    )


def test_revoke_ends_the_refresh_token_first_then_forgets(scene: Scene) -> None:
    """Both tokens are revoked, by their kinds (RFC 7009), before anything is deleted."""
    scene.server.will(HttpResponse(200, {}, b""), HttpResponse(200, {}, b""))
    revoke(scene)
    assert scene.trace == ["lock", "load", "ask", "ask", "delete", "unlock"]
    assert [(form["token"], form["token_type_hint"]) for form in scene.server.forms] == [
        ("rt0", "refresh_token"),
        ("at0", "access_token"),
    ]


def test_nothing_is_forgotten_if_the_provider_cannot_be_reached(scene: Scene) -> None:
    """A revocation that failed can be tried again."""
    before = scene.store.texts
    scene.server.will(HttpResponse(503, {}, b""))
    with pytest.raises(TemporarilyUnavailable):
        revoke(scene)
    assert scene.store.texts == before


def test_there_is_nothing_to_revoke_where_nothing_is_stored() -> None:
    """Revoking twice is not an error."""
    scene = Scene()
    revoke(scene)
    assert scene.server.requests == []


def exchange(scene: Scene, renewal: Renewal) -> CachedToken:
    call = build_code_exchange(
        scene.provider,
        scene.credentials,
        code="c0de",
        redirect_uri="https://app.test/cb",
        code_verifier="v" * 43,
        call=Call("authorization_code", "alice"),
        now=scene.clock(),
    )
    return renewal.exchange(lambda: call)


def test_a_code_is_exchanged_and_its_grant_stored() -> None:
    """The new grant is in the store before anyone may use it."""
    scene, renewal = Scene(), Scene().renewal()
    renewal = scene.renewal()
    scene.server.will(pair(1))
    assert exchange(scene, renewal).version is not None
    assert scene.trace == ["ask", "lock", "load", "save", "unlock"]
    assert [event.name for event in renewal.events] == ["signed_in"]


@pytest.mark.parametrize("verb", ["lock", "load", "save"])
def test_a_sign_in_that_cannot_be_saved_lives_on_and_replaces_the_old_grant_later(scene: Scene, verb: str) -> None:
    """The code is spent, so the pair is kept in memory and takes the place of the older record when the store heals."""
    scene.clock.advance(1)
    scene.server.will(pair(1))
    scene.store.interfere(verb, OSError("full"))
    renewal = scene.renewal()
    cached = exchange(scene, renewal)
    assert (cached.token.access_token, cached.version) == ("at1", None)
    assert [event.name for event in renewal.events] == ["save_failed"]
    assert scene.run(cached).version is not None
    assert scene.stored.token.refresh_token == "rt1"


def test_a_conflict_is_a_store_error_for_who_puts_a_grant_without_a_lock(scene: Scene) -> None:
    """Compare-and-set holds for new grants too: nobody's write is overwritten unseen."""
    scene.store.interfere("save", lambda: scene.store.put(KEY, scene.token(5)))
    with pytest.raises(Conflict):
        scene.renewal().stored.put(GrantRecord(scene.token(1)))
    assert scene.stored.token.access_token == "at5"
