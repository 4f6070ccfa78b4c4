"""Keepalive while the store or the authorization server fails: it ends early, loses little, and marks nobody."""

from __future__ import annotations

from typing import Any

import pytest
from support.errors import must_show, raises
from support.providers import DAY, acme
from support.scripted import ScriptedWorld
from support.stores.scripted import ScriptedStore
from support.token_endpoint import answer, form, pair

from blnk_auth import RenewalPolicy, StoreError, TemporarilyUnavailable
from blnk_auth._protocol.http_messages import HttpRequest, HttpResponse
from blnk_auth._renewal.authorization_grants import RefreshTokenGrant
from blnk_auth._renewal.keepalive import KeepaliveRun
from blnk_auth._renewal.keepalive_settings import KeepaliveSettings

FAST: dict[str, Any] = {"rate": 1e6, "workers": 1}
GRANTS = 60


class Failing(ScriptedStore):
    """Every call of one operation fails, from the moment at which a test names that operation."""

    broken: str | None = None

    def _called(self, verb: str) -> None:
        super()._called(verb)
        if verb == self.broken:
            raise StoreError("the disk is full", remedy="free some space")


@pytest.fixture
def store() -> Failing:
    return Failing()


@pytest.fixture
def world(store: Failing) -> ScriptedWorld:
    """In which many grants are due, and nobody waits before a pair is saved again."""
    policy = RenewalPolicy(lost_answer_retries=0, cooldown=0)
    world = ScriptedWorld(acme(refresh_idle_lifetime=30 * DAY), store=store, policy=policy)
    world.store = store
    for number in range(GRANTS):
        world.client.for_subject(f"s{number}").adopt(world.token(number, issued_at=world.clock() - 25 * DAY))
    world.server.will(*(pair(number) for number in range(100, 100 + GRANTS)))
    return world


@pytest.mark.parametrize("workers", [1, 4])
def test_a_pair_that_cannot_be_saved_ends_the_run(world: ScriptedWorld, store: Failing, workers: int) -> None:
    """Each worker risks one grant at most. Those are reported as failed, and saved as soon as the store works."""
    before, store.broken = store.texts, "save"
    report = world.client.keepalive(rate=1e6, workers=workers)
    spent = [form["refresh_token"] for form in world.server.forms]
    assert 1 <= len(spent) <= workers
    keys = {f"rt{number}": world.client.for_subject(f"s{number}").store_key for number in range(GRANTS)}
    assert sorted(each.store_key for each in report.failed) == sorted(keys[each] for each in spent)
    assert (report.renewed, report.renewed_elsewhere, report.sign_in_required) == (0, 0, [])
    assert isinstance(report.gave_up, StoreError)
    for error in (report.gave_up, *(each.error for each in report.failed)):
        must_show(error, "the disk is full")
    assert store.texts == before
    store.broken = None
    report = world.client.keepalive(**FAST)
    assert (report.renewed, report.failed, report.sign_in_required, report.gave_up) == (GRANTS, [], [], None)
    assert sorted(form["refresh_token"] for form in world.server.forms) == sorted(f"rt{each}" for each in range(GRANTS))


@pytest.mark.parametrize(("broken", "failed"), [("load", 20), ("lock", 20), ("save", 1)])
@pytest.mark.parametrize("young", [0, GRANTS])
def test_a_store_that_is_down_is_given_up(
    world: ScriptedWorld, store: Failing, broken: str, failed: int, young: int
) -> None:
    """After 20 failures in a row, also if grants that are not due are read meanwhile, as from a read-only replica."""
    for number in range(young):
        world.client.for_subject(f"young{number}").adopt(world.token(number))
    before, store.broken = store.texts, broken
    report = world.client.keepalive(**FAST)
    assert (len(report.failed), len(world.server.requests)) == (failed, broken == "save")
    assert isinstance(report.gave_up, StoreError)
    assert (report.renewed, report.sign_in_required, store.texts) == (0, [], before)


@pytest.mark.parametrize("failures", [1, 2])
def test_a_pair_that_is_saved_at_last_is_renewed(world: ScriptedWorld, store: Failing, failures: int) -> None:
    """It is tried again immediately and after the cool-down; the run continues, and has no failure to report."""
    full = StoreError("the disk is full", remedy="free some space")
    store.interfere("save", *[None] * 7, *[full] * failures)
    report = world.client.keepalive(**FAST)
    assert (report.renewed, report.failed, report.gave_up) == (GRANTS, [], None)
    assert len(world.server.requests) == GRANTS
    names = world.emitted()
    assert (names.count("save_failed"), names.count("saved"), names.count("renewed")) == (1, 1, GRANTS - 1)


def test_nothing_is_begun_while_a_pair_is_saved_again(world: ScriptedWorld, store: Failing) -> None:
    """Another worker waits until it is known whether the store can be written."""
    run = KeepaliveRun(world.client._state, KeepaliveSettings(7 * DAY, 30 * DAY, rate=1e6))
    was_free: list[bool] = []

    def fail() -> None:
        raise StoreError("the disk is full", remedy="free some space")

    def look() -> None:
        was_free.append(run._beginning.acquire(blocking=False))

    store.interfere("save", fail, look)
    current = world.client._state.current_token(RefreshTokenGrant("s0"))
    run._renew(current, world.token(0, issued_at=world.clock() - 25 * DAY))
    assert was_free == [False]


def test_a_pair_that_was_unsaved_before_is_saved_and_not_renewed_again(world: ScriptedWorld, store: Failing) -> None:
    """While it cannot be saved, nothing else is spent either."""
    for number in range(1, GRANTS):
        world.client.for_subject(f"s{number}").forget()
    source = world.client.for_subject("s0")
    store.broken = "save"
    source.renew()
    assert world.emitted()[-1] == "save_failed"
    report = world.client.keepalive(**FAST)
    assert ([each.store_key for each in report.failed], report.renewed) == ([source.store_key], 0)
    assert isinstance(report.gave_up, StoreError)
    store.broken = None
    assert world.client.keepalive(**FAST).renewed == 1
    assert world.client.keepalive(**FAST).due == 0
    assert len(world.server.requests) == 1
    assert world.stored(source).token.access_token == "at100"


def test_a_grant_that_is_forgotten_before_its_pair_is_saved_stays_forgotten(
    world: ScriptedWorld, store: Failing
) -> None:
    """Its pair is dropped, and no other grant is kept from being renewed."""

    def forget_and_fail() -> None:
        spent = world.server.forms[-1]["refresh_token"]
        [key] = [each for each in store.texts if store.grant(each).token.refresh_token == spent]
        store.delete(key)
        raise StoreError("the disk is full", remedy="free some space")

    store.interfere("save", forget_and_fail)
    report = world.client.keepalive(**FAST)
    assert (report.failed, report.gave_up) == ([], None)
    assert len(store.texts) == len(list(world.client.subjects())) == GRANTS - 1


@pytest.fixture
def waited(world: ScriptedWorld, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How many seconds each wait of a run has taken, for a clock that is advanced by it."""
    waits: list[float] = []

    def wait(_run: KeepaliveRun, seconds: float) -> bool:
        waits.append(seconds)
        world.clock.advance(seconds)
        return False

    monkeypatch.setattr(KeepaliveRun, "_wait", wait)
    return waits


def will_instead(world: ScriptedWorld, *answers: HttpResponse) -> None:
    world.server._answers.clear()
    world.server.will(*answers)


def busy(seconds: int) -> HttpResponse:
    return answer({}, 503, retry_after=str(seconds))


@pytest.mark.parametrize(("asked_for", "sent"), [(3600, 1), (601, 1), (600, 2), (250, 3), (200, 4)])
def test_a_server_that_asks_to_wait_for_long_ends_the_run(
    world: ScriptedWorld, store: Failing, waited: list[float], asked_for: int, sent: int
) -> None:
    """It waits for ten minutes at most, reports that, and marks nobody; a later run does the rest."""
    will_instead(world, *[busy(asked_for)] * sent)
    before = store.texts
    report = world.client.keepalive(**FAST)
    assert sum(waited) < 601
    assert (len(world.server.requests), report.renewed, report.sign_in_required) == (sent, 0, [])
    assert isinstance(report.gave_up, TemporarilyUnavailable)
    assert report.gave_up.retry_after == asked_for
    assert store.texts == before
    assert len(report.failed) <= 2  # a renewal is tried three times
    world.clock.advance(3600)
    world.server.will(*(pair(number) for number in range(100, 100 + GRANTS)))
    report = world.client.keepalive(**FAST)
    assert (report.renewed, report.failed, report.gave_up) == (GRANTS, [], None)


@pytest.mark.usefixtures("waited")
def test_a_run_that_begins_while_the_server_has_asked_to_wait_for_long_sends_nothing(world: ScriptedWorld) -> None:
    """It reports how long, and no grant as failed: none was tried."""
    will_instead(world, busy(3600))
    with raises(TemporarilyUnavailable):
        world.client.for_subject("s0").renew()
    world.clock.advance(1000)
    report = world.client.keepalive(**FAST)
    assert isinstance(report.gave_up, TemporarilyUnavailable)
    assert (report.gave_up.retry_after, report.failed, report.due) == (2600.0, [], 0)
    assert len(world.server.requests) == 1


def test_a_server_that_asks_to_wait_again_and_again_is_obeyed(world: ScriptedWorld, waited: list[float]) -> None:
    """As long as it renews between: each success begins the ten minutes again."""
    will_instead(world, *(each for number in range(GRANTS) for each in (busy(250), busy(250), pair(number))))
    report = world.client.keepalive(**FAST)
    assert (report.renewed, report.failed, report.gave_up) == (GRANTS, [], None)
    assert sum(waited) >= GRANTS * 500


def test_one_party_that_asks_to_wait_for_long_keeps_no_other_waiting(waited: list[float]) -> None:
    """Where several parties are behind one server, only the grants of this one fail."""

    def respond(request: HttpRequest) -> HttpResponse:
        return busy(3600) if form(request)["refresh_token"] == "rt0" else pair(100)

    provider = acme(refresh_idle_lifetime=30 * DAY, target=lambda subject: "bank0" if subject < "s5" else "bank1")
    world = ScriptedWorld(provider)
    for number in range(10):
        token = world.token(number // 5, issued_at=world.clock() - 25 * DAY)
        world.client.for_subject(f"s{number}").adopt(token)
    world.server.will(*[respond] * 6)
    report = world.client.keepalive(**FAST)
    assert (report.renewed, len(report.failed), report.gave_up) == (5, 5, None)
    assert len(world.server.requests) == 6
    assert max(waited) < 1
