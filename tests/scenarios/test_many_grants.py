"""What a client does with all its grants: who has signed in, keeping them alive, and deleting those that have ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from support.errors import raises
from support.providers import DAY, acme
from support.scripted import ScriptedWorld
from support.stores.scripted import ScriptedStore
from support.token_endpoint import pair, refusal

from blnk_auth import ConfigurationError, KeepaliveReport, MemoryStore, OAuthClient, SignInRequired, SQLiteStore
from blnk_auth._renewal import due_grants
from blnk_auth._renewal.keepalive import KeepaliveRun
from blnk_auth._renewal.keepalive_settings import KeepaliveSettings
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth.stores import Record, _due


def own_grants(client: OAuthClient, world: ScriptedWorld, *subjects: str) -> None:
    for number, subject in enumerate(subjects):
        client.for_subject(subject).adopt(world.token(number))


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("", ["Zoe", "a b", "alice", "alice/2", "bob", "é"]),
        ("alice", ["alice", "alice/2"]),
        ("a ", ["a b"]),
        ("é", ["é"]),
        ("x", []),
    ],
)
def test_who_has_signed_in(prefix: str, found: list[str]) -> None:
    """Each subject once, ascending, with any characters; no other client's, and not the client itself."""
    world = ScriptedWorld()
    own_grants(world.client, world, "bob", "alice", "alice/2", "é", "a b", "Zoe")
    world.client.for_subject("alice", resource="https://api.test/two").adopt(world.token(7))
    other = OAuthClient(acme(), client_id="other", client_secret="s", store=world.store)
    other.for_subject("alice of another client").adopt(world.token(8))
    world.server.will(pair(9))
    world.client.for_itself().token()
    assert list(world.client.subjects(prefix)) == found

    async def in_a_task() -> list[str]:
        return [each async for each in world.client.asubjects(prefix)]

    assert anyio.run(in_a_task) == found


def test_a_grant_that_has_ended_is_listed_until_it_is_pruned() -> None:
    """A refused refresh token keeps its record, which `prune` deletes when the end is long ago."""
    world = ScriptedWorld()
    alice = world.signed_in("alice")
    own_grants(world.client, world, "bob")
    world.clock.advance(2 * DAY)
    world.server.will(refusal("invalid_grant"))
    with raises(SignInRequired, reason="refused"):
        alice.renew()
    ended_at = world.clock()
    assert list(world.client.subjects()) == ["alice", "bob"]
    world.clock.advance(DAY)
    assert world.client.prune(ended_at) == 0
    assert world.client.prune(ended_at + 1) == 1
    assert list(world.client.subjects()) == ["bob"]
    assert alice.state == "missing"


def test_what_prune_deletes_and_what_it_leaves() -> None:
    """Grants that nothing can renew any more, and sign-ins whose time is over; everything else stays."""
    world = ScriptedWorld()
    now = world.clock()
    kinds: dict[str, dict[str, Any]] = {
        "no refresh token": {"refresh_token": None},
        "refresh token expired": {"refresh_expires_at": now + 7200},
        "refresh token without an expiry": {},
        "unknown expiry": {"refresh_token": None, "expires_at": None},
    }
    for subject, changes in kinds.items():
        world.client.for_subject(subject).adopt(world.token(1, **changes))
    store = world.store
    earlier = {"schema": 1, "token": world.token(2).to_dict(), "ended": "refused"}
    store.save(world.client.for_subject("ended, by an earlier version").store_key, earlier, expected=None)
    broken = world.client.for_subject("broken").store_key
    store.save(broken, {"schema": 1}, expected=None)
    world.client.start_authorization("alice")
    world.clock.advance(DAY)
    assert world.client.prune(world.clock() - 1) == 4
    world.client.start_authorization("bob")
    assert list(world.client.subjects()) == ["broken", "refresh token without an expiry", "unknown expiry"]
    assert anyio.run(world.client.aprune, world.clock()) == 0
    assert len(list(store.keys("authorization/"))) == 1


def test_a_sign_in_while_prune_waits_for_the_lock_wins() -> None:
    """Prune reads the record again under the lock."""
    world = ScriptedWorld()
    alice = world.signed_in("alice", refresh_token=None)
    world.clock.advance(DAY)
    other = OAuthClient(acme(), client_id="id", client_secret="s", store=world.store, clock=world.clock)
    lock = world.store.lock

    def lock_late(key: str, *, timeout: float) -> Any:
        world.store.lock = lock  # type: ignore[method-assign]
        other.for_subject("alice").adopt(world.token(5))
        return lock(key, timeout=timeout)

    world.store.lock = lock_late  # type: ignore[method-assign]
    assert world.client.prune(world.clock()) == 0
    assert world.stored(alice).token.access_token == "at5"


def due_world(*subjects: str) -> ScriptedWorld:
    """A world in which each of these grants is due."""
    world = ScriptedWorld()
    for number, subject in enumerate(subjects):
        world.client.for_subject(subject).adopt(world.token(number, issued_at=world.clock() - 25 * DAY))
    return world


@pytest.mark.parametrize("is_async", [False, True], ids=["blocking", "async"])
def test_keepalive_renews_what_is_due_and_reports(is_async: bool) -> None:
    """The report counts; progress is called with how many were read, of how many."""
    world = due_world("alice", "bob")
    own_grants(world.client, world, "carol")
    world.server.will(pair(7), pair(8))
    calls: list[tuple[int, int | None]] = []
    settings: dict[str, Any] = {
        "idle_lifetime": 30 * DAY,
        "rate": 1e6,
        "on_progress": lambda looked_at, total: calls.append((looked_at, total)),
    }

    async def in_a_task() -> KeepaliveReport:
        return await world.client.akeepalive(**settings)

    report = anyio.run(in_a_task) if is_async else world.client.keepalive(**settings)
    counts = (report.grants, report.looked_at, report.due, report.renewed, report.renewed_elsewhere)
    assert counts == (3, 3, 2, 2, 0)
    assert (report.failed, report.gave_up, report.sign_in_required) == ([], None, [])
    assert calls[-1] == (3, 3)


def test_the_provider_knows_how_long_an_unused_refresh_token_lives() -> None:
    """Without `idle_lifetime` the provider's counts; where that is unknown, nothing is renewed, and it is counted."""
    world = due_world("alice")
    assert world.client.keepalive().unknown == 1
    known = OAuthClient(
        acme(refresh_idle_lifetime=30 * DAY),
        client_id="id",
        client_secret="s",
        store=world.store,
        clock=world.clock,
        token_http=world.server.http(),
    )
    world.server.will(pair(7))
    assert known.keepalive().renewed == 1


def test_a_failure_is_reported_with_its_error() -> None:
    """One grant that cannot be renewed stops no other."""
    world = due_world("alice")
    world.server.will(refusal("invalid_scope"))
    [failed] = world.client.keepalive(idle_lifetime=30 * DAY).failed
    assert failed.store_key == world.client.for_subject("alice").store_key
    assert isinstance(failed.error, ConfigurationError)


def test_shards_are_disjoint_and_complete() -> None:
    """Each grant belongs to one of n parts, on every host alike."""
    world = due_world(*[f"s{number}" for number in range(60)])
    grants = [world.client.keepalive(shard=(part, 4)).grants for part in range(4)]
    assert sum(grants) == 60
    assert min(grants) > 5
    settings = KeepaliveSettings(1.0, shard=(2, 4))
    assert [key for key in ("token/a", "token/b", "token/c", "token/d") if settings.has(key)] == ["token/d"]


def test_cancelling_akeepalive_ends_the_run() -> None:
    """The task ends immediately, and the run after the renewal that is under way."""
    world = due_world(*[f"s{number}" for number in range(30)])
    world.server.will(*[pair(number) for number in range(30)])
    ran = threading.Event()

    async def run() -> None:
        settings: dict[str, Any] = {"idle_lifetime": 30 * DAY, "rate": 0.01, "workers": 1}
        await world.client.akeepalive(on_progress=lambda *_counts: ran.set(), **settings)

    async def cancelled() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await anyio.to_thread.run_sync(ran.wait)
            tasks.cancel_scope.cancel()

    anyio.run(cancelled)
    assert len(world.server.forms) <= 2


def ending_world(**ends: float | None) -> ScriptedWorld:
    """A world in which the refresh tokens of these subjects expire so many seconds from now; None: not known."""
    world = ScriptedWorld()
    for number, (subject, end) in enumerate(ends.items()):
        refresh_expires_at = None if end is None else world.clock() + end
        world.client.for_subject(subject).adopt(world.token(number, refresh_expires_at=refresh_expires_at))
    return world


def subjects_due(client: OAuthClient, before: float, limit: int | None = 100) -> list[str | None]:
    found = [source.subject for source in client.due(before, limit)]

    async def in_a_task() -> list[str | None]:
        return [source.subject async for source in client.adue(before, limit)]

    # Again, since an index may have been corrected by now.
    assert sorted(map(str, anyio.run(in_a_task))) == sorted(map(str, found))
    return found


def test_what_ends_soon_is_found_in_order() -> None:
    """By the expiry of the refresh token, else of the access token; those that nothing ends or renews are left out."""
    world = ending_world(late=50 * DAY, soon=2 * DAY, sooner=DAY, unknown=None)
    world.client.for_subject("no refresh token").adopt(world.token(7, refresh_token=None))
    world.client.for_subject("nothing known").adopt(world.token(8, expires_at=None))
    world.signed_in("refused", refresh_expires_at=world.clock() + DAY)
    world.server.will(refusal("invalid_grant"))
    with raises(SignInRequired):
        world.client.for_subject("refused").renew()
    assert subjects_due(world.client, world.clock() + 30 * DAY) == ["unknown", "sooner", "soon"]
    assert subjects_due(world.client, world.clock() + 30 * DAY, 2) == ["unknown", "sooner"]
    assert subjects_due(world.client, world.clock() + 30 * DAY, None) == ["unknown", "sooner", "soon"]
    assert subjects_due(world.client, world.clock()) == []


@pytest.mark.parametrize("before", [10**30, 10**300, 1e300, -(10**30)], ids="{:.0e}".format)
def test_a_moment_that_no_database_can_count_to_is_a_moment(before: float, tmp_path: Path) -> None:
    """A whole number of any size: everything ends before it, or nothing."""
    world = ScriptedWorld(store=SQLiteStore(tmp_path / "tokens.db"))
    own_grants(world.client, world, "alice")
    assert subjects_due(world.client, before) == ["alice"] * (before > 0)
    assert world.client.prune(-abs(before)) == 0


def test_an_unused_refresh_token_expires_after_the_time_of_the_provider() -> None:
    """After its `refresh_idle_lifetime`, or at the end that the server has reported if that is earlier."""
    world = ScriptedWorld(acme(refresh_idle_lifetime=30 * DAY))
    world.client.for_subject("idle").adopt(world.token(1))
    world.client.for_subject("reported").adopt(world.token(2, refresh_expires_at=world.clock() + 5 * DAY))
    world.client.for_subject("far").adopt(world.token(3, refresh_expires_at=world.clock() + 500 * DAY))
    assert subjects_due(world.client, world.clock() + 6 * DAY) == ["reported"]
    assert subjects_due(world.client, world.clock() + 31 * DAY) == ["reported", "far", "idle"]


def test_a_renewed_grant_is_due_later_and_one_that_fails_hides_no_other(tmp_path: Path) -> None:
    """Each is returned once while it is renewed, also if its renewal fails; afterwards only that one is due."""
    world = ScriptedWorld(store=SQLiteStore(tmp_path / "tokens.db"))
    for number in range(5):
        token = world.token(number, refresh_expires_at=world.clock() + DAY)
        world.client.for_subject(f"s{number}").adopt(token)
    before = world.clock() + 2 * DAY
    later = {"refresh_expires_in": 90 * DAY}
    world.server.will(pair(10, **later), refusal("invalid_scope"), *(pair(number, **later) for number in (11, 12, 13)))
    failed: list[str | None] = []
    for source in world.client.due(before, None):
        try:
            source.renew()
        except ConfigurationError:
            failed.append(source.subject)
    assert failed == ["s1"]
    assert subjects_due(world.client, before) == ["s1"]


def test_the_grants_of_another_client_are_not_due() -> None:
    """Nor the client's own tokens, which no user gave."""
    world = ending_world(alice=DAY)
    other = OAuthClient(acme(), client_id="other", client_secret="s", store=world.store)
    other.for_subject("bob").adopt(world.token(8))
    world.server.will(pair(9, refresh_token=None))
    world.client.for_itself().token()
    assert subjects_due(world.client, world.clock() + 30 * DAY) == ["alice"]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_record_of_an_earlier_version_is_decided_by_what_it_has(kind: str, tmp_path: Path) -> None:
    """It has no `due_at`, so it is read; what cannot be read is due, so that its renewal raises the error."""
    store: Any = SQLiteStore(tmp_path / "tokens.db") if kind == "sqlite" else MemoryStore()
    world = ScriptedWorld(store=store)
    now = world.clock()
    for number, end in enumerate((5 * DAY, 500 * DAY, DAY)):
        record = GrantRecord(world.token(number, refresh_expires_at=now + end))
        store.save(world.client.for_subject(f"s{number}").store_key, record.to_data(), expected=None)
    store.save(world.client.for_subject("broken").store_key, {"schema": 1}, expected=None)
    # An index is corrected by that, and then has the grants in their order.
    in_order = ["broken", "s2", "s0"] if kind == "sqlite" else ["broken", "s0", "s2"]
    assert subjects_due(world.client, now + 30 * DAY) == in_order
    assert subjects_due(world.client, now + 3 * DAY) == ["broken", "s2"]


def test_each_call_after_an_upgrade_reads_a_bounded_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next calls continue, and read nothing twice. What the index describes is found by every call."""
    monkeypatch.setattr(due_grants, "_MOST_READ", 7)
    # Smaller than the bound, so that it holds for a call and not for a page.
    monkeypatch.setattr(_due, "PAGE", 3)
    loaded: list[str] = []

    class Watched(SQLiteStore):
        def load(self, key: str) -> Record | None:
            loaded.append(key)
            return super().load(key)

    with Watched(tmp_path / "tokens.db") as store:
        world = ScriptedWorld(store=store)
        end = world.clock() + DAY
        world.client.for_subject("new").adopt(world.token(1, refresh_expires_at=end))
        keys = [world.client.for_subject(f"s{number:02}").store_key for number in range(20)]
        for number, key in enumerate(keys):
            late = 500 * DAY * (number % 2)
            record = GrantRecord(world.token(number, refresh_expires_at=end + number + late))
            store.save(key, record.to_data(), expected=None)
        loaded.clear()
        due = [f"s{number:02}" for number in range(0, 20, 2)]
        for first, last in ((0, 7), (7, 14), (14, 20), (20, 20)):
            found = [source.subject for source in world.client.due(end + 30 * DAY, None)]
            assert sorted(map(str, found)) == ["new", *due[: (last + 1) // 2]]
            assert loaded == keys[first:last]
            loaded.clear()


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("before", each) for each in (None, "now", float("nan"), float("inf"), True)),
        *(("limit", each) for each in (0, -1, 1.5, "all", True)),
    ],
)
def test_a_wrong_argument_of_due_is_named(parameter: str, value: object) -> None:
    """Immediately, and not when the first source is needed."""
    world = ScriptedWorld()
    arguments: dict[str, Any] = {"before": 1.0, parameter: value}
    with raises(ConfigurationError, parameter=parameter):
        world.client.due(**arguments)
    assert world.store.trace == []


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("horizon", 0),
        ("horizon", "7d"),
        ("horizon", None),
        ("horizon", float("nan")),
        ("idle_lifetime", -1),
        ("horizon", float("inf")),
        ("rate", 0),
        ("rate", -1),
        ("rate", float("nan")),
        ("rate", float("inf")),
        ("rate", "10/s"),
        ("workers", 0),
        ("workers", 65),
        ("workers", True),
        ("workers", 1.5),
        ("shard", 4),
        ("shard", (4, 4)),
        ("shard", (-1, 4)),
        ("shard", (0, 0)),
        ("shard", (0, 1, 2)),
        ("shard", (0.0, 4)),
        ("shard", ("0", "4")),
    ],
)
def test_a_wrong_argument_of_keepalive_is_named(parameter: str, value: object) -> None:
    """Before anything is read or sent."""
    world = ScriptedWorld()
    arguments: dict[str, Any] = {parameter: value}
    with raises(ConfigurationError, parameter=parameter):
        world.client.keepalive(**arguments)
    assert world.store.trace == []


def test_a_rate_of_less_than_one_in_a_lifetime_waits() -> None:
    """No clock can wait as long as between two renewals. The first is sent, and the run can be ended."""
    world = due_world("alice", "bob")
    world.server.will(pair(7), pair(8))
    settings = KeepaliveSettings.checked(7 * DAY, 30 * DAY, 1e-300, 1, (0, 1))
    run = KeepaliveRun(world.client._state, settings)

    def end_after_the_first(_looked_at: int, _total: int | None) -> None:
        if run.report.renewed:
            run.stop()

    report = run.run(end_after_the_first)
    assert (report.renewed, report.failed, report.gave_up) == (1, [], None)


@pytest.mark.parametrize(
    "calls",
    [
        [lambda client: list(client.due(1.0)), lambda client: client.keepalive()],
        [lambda client: client.keepalive()],
        [lambda client: client.keepalive(idle_lifetime=DAY)],
    ],
    ids=["due and keepalive", "keepalive alone", "keepalive that reads every grant"],
)
def test_a_store_without_an_index_is_logged_once(
    calls: list[Callable[[OAuthClient], object]], request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    """For each kind of store, and not for each call: every record is read."""
    # A kind that no other test has.
    plain = type(f"Plain {request.node.name}", (ScriptedStore,), {})
    world = ScriptedWorld(store=plain())
    caplog.set_level(logging.INFO, logger="blnk_auth")
    own_grants(world.client, world, "alice", "bob")
    for _ in range(3):
        for call in calls:
            call(world.client)
    named = [record.getMessage() for record in caplog.records if "has no index" in record.getMessage()]
    assert named == [f"{plain.__name__} has no index of due grants: every record is read to find them"]


def test_a_store_with_an_index_is_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nor where every grant is read all the same, because the caller passed an idle lifetime."""
    world = ScriptedWorld(store=SQLiteStore(tmp_path / "tokens.db"))
    caplog.set_level(logging.INFO, logger="blnk_auth")
    world.client.keepalive()
    world.client.keepalive(idle_lifetime=DAY)
    assert "has no index" not in caplog.text


WRONG: dict[str, Callable[[Any], object]] = {
    "ended_before": lambda client: client.prune("yesterday"),
    "prefix": lambda client: client.subjects(7),
}


@pytest.mark.parametrize("parameter", WRONG)
def test_another_wrong_argument_is_named(parameter: str) -> None:
    """Immediately, and not when the result is first used."""
    with raises(ConfigurationError, parameter=parameter):
        WRONG[parameter](ScriptedWorld().client)


@pytest.mark.parametrize("url", ["sqlite:///{}/tokens.db", "file:///{}/tokens", "memory:"])
def test_a_store_is_accepted_as_a_url(url: str, tmp_path: Path) -> None:
    """As the command line takes it."""
    client = OAuthClient(acme(), client_id="id", client_secret="s", store=url.format(tmp_path))
    assert list(client.subjects()) == []


@pytest.mark.parametrize("store", ["tokens.db", "redsi://localhost", "", Path("tokens.db"), 7, MemoryStore], ids=repr)
def test_what_is_not_a_store_is_refused(store: Any) -> None:
    """With what to pass, and without the URL, which may have a password."""
    with raises(ConfigurationError, parameter="store") as caught:
        OAuthClient(acme(), client_id="id", client_secret="s", store=store)
    assert caught.value.remedy


def test_the_end_of_a_grant_is_stored_with_its_time() -> None:
    """And read back; a time that is not a number is as good as none."""
    record = GrantRecord(ScriptedWorld().token(1), "refused", ended_at=5.0)
    assert GrantRecord.from_data(record.to_data(), "k").ended_at == 5.0
    assert GrantRecord.from_data({**record.to_data(), "ended_at": "soon"}, "k").ended_at is None
