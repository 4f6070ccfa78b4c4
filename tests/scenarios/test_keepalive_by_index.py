"""Keepalive in a store with an index: only due grants are read, also if the index lacks something or is wrong."""

from __future__ import annotations

import gc
import json
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.errors import raises
from support.providers import DAY, acme
from support.scripted import ScriptedWorld
from support.token_endpoint import answer, pair

from blnk_auth import MemoryStore, OAuthClient, SQLiteStore, StoreError, TemporarilyUnavailable, Token
from blnk_auth._renewal.server_pause import ServerPause
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth.stores import DueEntry, Record
from blnk_auth.testing import Clock

FAST: dict[str, Any] = {"rate": 1e6, "workers": 2}


class Watched(SQLiteStore):
    """Writes down which keys are loaded; a test may let it fail after some."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.loaded: list[str] = []
        self.fails_after = 10**9
        self.before_load: Callable[[], object] = lambda: None

    def load(self, key: str) -> Record | None:
        self.before_load()
        self.loaded.append(key)
        return super().load(key)

    def due(self, prefix: str, before: float, *, after: tuple[float, str] | None = None, limit: int) -> list[DueEntry]:
        self.fails_after -= 1
        if self.fails_after < 0:
            raise StoreError("the disk is full", remedy="free some space")
        return super().due(prefix, before, after=after, limit=limit)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Watched]:
    with Watched(tmp_path / "tokens.db") as store:
        yield store


@pytest.fixture
def world(store: Watched) -> ScriptedWorld:
    return ScriptedWorld(acme(refresh_idle_lifetime=30 * DAY), store=store)


def give(world: ScriptedWorld, subject: str, *, idle: float = 0.0) -> str:
    source = world.client.for_subject(subject)
    source.adopt(world.token(1, issued_at=world.clock() - idle))
    return source.store_key


def test_only_due_grants_are_read(world: ScriptedWorld, store: Watched) -> None:
    """And a run that finds nothing due reads nothing."""
    for number in range(20):
        give(world, f"young{number}")
    due = [give(world, f"due{number}", idle=25 * DAY) for number in range(3)]
    store.loaded.clear()
    world.server.will(pair(7), pair(8), pair(9))
    report = world.client.keepalive(**FAST)
    assert (report.grants, report.looked_at, report.due, report.renewed) == (3, 3, 3, 3)
    assert set(store.loaded) == set(due)
    store.loaded.clear()
    assert world.client.keepalive(**FAST).grants == 0
    assert store.loaded == []


def test_shards_divide_what_is_due(world: ScriptedWorld) -> None:
    """Each due grant belongs to one of n parts."""
    for number in range(40):
        give(world, f"s{number}", idle=25 * DAY)
    world.server.will(*map(pair, range(40)))
    reports = [world.client.keepalive(shard=(part, 4), **FAST) for part in range(4)]
    assert sum(report.renewed for report in reports) == 40
    assert all(report.grants for report in reports)


def test_more_than_a_page_is_due(world: ScriptedWorld) -> None:
    """Also while the grants of the pages before are renewed, and so move in the index."""
    for number in range(1100):
        give(world, f"s{number}", idle=25 * DAY)
    world.server.will(*map(pair, range(1100)))
    report = world.client.keepalive(**FAST)
    assert (report.grants, report.renewed, report.failed) == (1100, 1100, [])


def test_records_of_an_earlier_version_are_read_once(world: ScriptedWorld, store: Watched) -> None:
    """Those that are due are renewed, and the entries of the others are corrected."""
    for subject, idle in (("old", 25 * DAY), ("young", DAY)):
        record = GrantRecord(world.token(1, issued_at=world.clock() - idle))
        store.save(world.client.for_subject(subject).store_key, record.to_data(), expected=None)
    world.server.will(pair(7))
    report = world.client.keepalive(**FAST)
    assert (report.looked_at, report.due, report.renewed) == (2, 1, 1)
    assert world.client.keepalive(**FAST).looked_at == 0


def test_an_idle_lifetime_that_is_passed_reads_every_grant(world: ScriptedWorld) -> None:
    """The index has the provider's. Afterwards it has the right entries, also if it had wrong ones."""
    give(world, "alice", idle=5 * DAY)
    key = give(world, "bob", idle=5 * DAY)
    record = world.client.store.load(key)
    assert record is not None
    world.client.store.save(key, {**record.data, "due_at": 9e9}, expected=record.version)
    assert [each.subject for each in world.client.due(world.clock() + 26 * DAY)] == ["alice"]
    report = world.client.keepalive(idle_lifetime=30 * DAY, **FAST)
    assert (report.grants, report.looked_at, report.due) == (2, 2, 0)
    assert [each.subject for each in world.client.due(world.clock() + 26 * DAY)] == ["alice", "bob"]


def test_a_grant_that_was_saved_by_a_clock_that_was_ahead_is_renewed(world: ScriptedWorld) -> None:
    """When it ends is not known: by its record it would be in a year."""
    give(world, "alice", idle=-365 * DAY)
    give(world, "bob", idle=-DAY / 2)
    world.server.will(pair(7))
    assert world.client.keepalive(**FAST).renewed == 1
    assert world.client.keepalive(**FAST).due == 0


@pytest.mark.parametrize(("days", "renewed", "renewed_later"), [(5, 2, 2), (365, 4, 2)])
def test_a_clock_that_is_set_back_during_a_run_loses_nothing(
    world: ScriptedWorld, store: Watched, days: int, renewed: int, renewed_later: int
) -> None:
    """What is not due by the wrong time stays as it is, and what was renewed then is renewed again, once."""
    for number in range(4):
        give(world, f"s{number}", idle=25 * DAY)
    world.server.will(*map(pair, range(7, 11)))
    jumps = iter([lambda: world.clock.advance(-days * DAY)])
    store.before_load = lambda: [jump() for jump in jumps] if len(world.server.requests) == 2 else None
    report = world.client.keepalive(rate=1e6, workers=1)
    assert (report.renewed, report.failed, report.sign_in_required, report.gave_up) == (renewed, [], [], None)
    world.clock.advance(days * DAY)
    world.server.will(*map(pair, range(11, 11 + renewed_later)))
    assert world.client.keepalive(**FAST).renewed == renewed_later
    assert world.client.keepalive(**FAST).due == 0


def test_a_clock_that_jumps_ahead_ends_no_grant(world: ScriptedWorld, store: Watched) -> None:
    """One whose end the server has reported looks expired then: nothing is sent for it, and its record stays."""
    give(world, "idle", idle=DAY)
    reported = world.client.for_subject("reported")
    reported.adopt(world.token(2, refresh_expires_at=world.clock() + 60 * DAY))
    before = store.load(reported.store_key)
    world.clock.advance(365 * DAY)
    world.server.will(pair(7), pair(8))
    report = world.client.keepalive(rate=1e6, workers=1)
    world.clock.advance(-365 * DAY)
    assert (report.renewed, report.sign_in_required, report.failed) == (1, ["reported"], [])
    assert store.load(reported.store_key) == before
    assert reported.renew().access_token == "at8"
    world.server.will(pair(9))
    assert world.client.keepalive(**FAST).renewed == 1
    assert world.client.keepalive(**FAST).due == 0


def test_a_store_that_fails_in_the_middle_ends_the_run(world: ScriptedWorld, store: Watched) -> None:
    """The report has what was renewed, and nobody is marked. A store that fails at first raises its error."""
    for number in range(600):
        give(world, f"s{number}", idle=25 * DAY)
    world.server.will(*map(pair, range(600)))
    store.fails_after = 2
    report = world.client.keepalive(**FAST)
    assert isinstance(report.gave_up, StoreError)
    assert 0 < report.renewed <= 500
    assert report.sign_in_required == []
    store.fails_after = 0
    with raises(StoreError):
        world.client.keepalive(**FAST)


class Lying(MemoryStore):
    """An index whose entries are what a test wants."""

    entries: Sequence[Any] = ()

    def due(self, prefix: str, before: float, *, after: Any = None, limit: int) -> Any:
        return list(self.entries)

    def note_due(self, found: Any) -> None:
        raise StoreError("it is read only", remedy="write to another")

    def repair_due(self, prefix: str) -> Iterator[int]:
        return iter(())


@pytest.mark.parametrize(
    "entries",
    [
        [DueEntry(1.0, "token/b", True), DueEntry(1.0, "token/a", True)],
        [DueEntry(1.0, "other/a", True)],
        [DueEntry(9e9, "token/acme/a", True)],
        [(1.0, "token/a")],
    ],
    ids=["out of order", "another prefix", "not due", "not an entry"],
)
def test_an_index_that_returns_nonsense_is_an_error(entries: list[Any]) -> None:
    """It would be paged through for ever."""
    store = Lying()
    world = ScriptedWorld(store=store)
    store.entries = entries
    with raises(StoreError):
        list(world.client.due(5.0))
    with raises(StoreError):
        world.client.keepalive(**FAST)


def test_one_retry_after_holds_for_all_grants(world: ScriptedWorld) -> None:
    """No other grant of the client is sent while it lasts; each fails with the time that is left."""
    for subject in ("alice", "bob"):
        give(world, subject)
    world.server.will(answer({}, 429, retry_after="60"))
    with raises(TemporarilyUnavailable, retry_after=60.0):
        world.client.for_subject("alice").renew()
    world.clock.advance(20)
    with raises(TemporarilyUnavailable, retry_after=40.0):
        world.client.for_subject("bob").renew()
    assert len(world.server.requests) == 1
    world.clock.advance(41)
    world.server.will(pair(7))
    assert world.client.for_subject("bob").renew().access_token == "at7"


def test_keepalive_waits_as_long_as_the_server_asks(world: ScriptedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks again for the same grant when that time is over, and reports no failure."""
    for number in range(3):
        give(world, f"s{number}", idle=25 * DAY)
    waited: list[float] = []

    def wait(_run: Any, seconds: float) -> bool:
        waited.append(seconds)
        world.clock.advance(seconds)
        return False

    monkeypatch.setattr("blnk_auth._renewal.keepalive.KeepaliveRun._wait", wait)
    world.server.will(pair(5), answer({}, 503, retry_after="30"), pair(7), pair(8))
    report = world.client.keepalive(rate=1e6, workers=1)
    assert (report.renewed, report.failed, report.gave_up) == (3, [], None)
    assert max(waited) == 30.0
    assert len(world.server.requests) == 4


def test_a_pause_is_bounded_and_of_one_party() -> None:
    """By the policy, and by the clock: if it is set back, the pause is over."""
    pause = ServerPause(longest=100.0)
    pause.note("bank a", TemporarilyUnavailable("it is busy", remedy="wait", retry_after=1e9), 1000.0, early=False)
    assert [pause.left("bank a", now, early=False) for now in (1000.0, 1099.0, 1100.0, 999.0)] == [100.0, 1.0, 0.0, 0.0]
    assert pause.left("bank b", 1000.0, early=True) == 0.0
    pause.note("bank a", TemporarilyUnavailable("it is busy", remedy="wait", retry_after=5.0), 1010.0, early=False)
    assert pause.left("bank a", 1010.0, early=False) == 90.0
    for number in range(3000):
        busy = TemporarilyUnavailable("it is busy", remedy="wait", retry_after=50.0)
        pause.note(str(number), busy, 1010.0, early=False)
    assert len(pause._pauses) == 1000


def test_the_answer_to_an_early_renewal_holds_for_early_ones_only() -> None:
    """A renewal that a caller needs is sent all the same."""
    pause, busy = ServerPause(longest=100.0), TemporarilyUnavailable("too early", remedy="wait", retry_after=50.0)
    pause.note(None, busy, 1000.0, early=True)
    assert [pause.left(None, 1010.0, early=early) for early in (True, False)] == [40.0, 0.0]
    pause.note(None, busy, 1020.0, early=False)
    assert [pause.left(None, 1030.0, early=early) for early in (True, False)] == [40.0, 40.0]


def renewing(request: httpx.Request) -> httpx.Response:
    """Keeps nothing of what it is asked, unlike a `ScriptedServer`."""
    number = hash(request.content)
    members = {"access_token": f"at{number}", "refresh_token": f"rt{number}", "token_type": "Bearer", "expires_in": 300}
    return httpx.Response(200, json=members)


@pytest.mark.deep
@pytest.mark.parametrize(
    ("grants", "read", "most", "settings"),
    [(1_000_000, 500, 20_000_000, {}), (30_000, 30_000, 2_000_000, {"idle_lifetime": 30 * DAY})],
    ids=["by index", "reading all"],
)
def test_memory_does_not_grow_with_the_number_of_grants(
    tmp_path: Path, grants: int, read: int, most: int, settings: dict[str, Any]
) -> None:
    """Nor with that of renewals: after a run that renews half of what is due, the other half leaves nothing behind.

    By under 20 MB at a million grants of which 500 are due. Where every one is read, and its entry in the index is
    corrected, by less than their keys alone.
    """
    path, now, due = tmp_path / "tokens.db", Clock()(), 500
    http = httpx.Client(transport=httpx.MockTransport(renewing))
    client = OAuthClient(
        acme(refresh_idle_lifetime=30 * DAY),
        client_id="id",
        client_secret="s",
        store=SQLiteStore(path),
        clock=Clock(now),
        token_http=http,
    )
    key, ages = client.for_subject("NAME").store_key, (25 * DAY, DAY)
    texts = [json.dumps(GrantRecord(Token("a", refresh_token="r", issued_at=now - age)).to_data()) for age in ages]
    ends = [now - age + 30 * DAY for age in ages]
    step = grants // due
    rows = (
        (key.replace("NAME", f"s{each:07}"), "v", texts[each % step > 0], ends[each % step > 0], "v")
        for each in range(grants)
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        statement = "INSERT INTO records (key, version, data, due_at, due_version) VALUES (?, ?, ?, ?, ?)"
        connection.executemany(statement, rows)
    tracemalloc.start()
    try:
        first = client.keepalive(shard=(0, 2), **settings, **FAST)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        second = client.keepalive(shard=(1, 2), **settings, **FAST)
        gc.collect()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (first.renewed + second.renewed, first.looked_at + second.looked_at) == (due, read)
    # Less than a token for each of 250 renewals, or 3 bytes for each of 15,000 records.
    assert after - before < 40_000
    assert peak < most
