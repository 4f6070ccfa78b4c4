"""The index of due records of `RedisStore`: an entry is a hint, the record decides, and a scan finds what it lacks."""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import redis
from redis.cluster import RedisCluster
from support.limits import PATIENCE
from support.processes import in_forked_child
from support.server_processes import RedisServer, make_cluster

from blnk_auth.stores import DueEntry, RedisStore, _redis_due
from blnk_auth.testing._due_contract import due_keys


@pytest.fixture
def namespace() -> str:
    return f"due-{secrets.token_hex(6)}"


@pytest.fixture
def raw(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def store(redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisStore]:
    """A store that repairs only when it is asked to: with so few records each first page would repair them all."""
    monkeypatch.setattr(_redis_due.DueIndex, "_repair_a_little", lambda *_: None)
    with RedisStore(redis_url, namespace=namespace) as store:
        yield store
        for key in list(store.keys()):
            store.delete(key)


def entries(store: RedisStore, raw: redis.Redis) -> dict[bytes, float]:
    return dict(raw.zrange(store._index.name, 0, -1, withscores=True))


def test_a_record_without_an_entry_is_found_by_a_repair(store: RedisStore, raw: redis.Redis) -> None:
    """As after a crash between record and entry in a cluster, or after the index was lost. Nothing else is changed."""
    store.save("alice", {"due_at": 5.0}, expected=None)
    store.save("bob", {"due_at": None}, expected=None)
    store.save("carol", {"due_at": 7.0}, expected=None)
    raw.zrem(store._index.name, *[member for member in entries(store, raw) if not member.startswith(b"carol")])
    assert due_keys(store) == ["carol"]
    assert sum(store.repair_due("")) == 2
    assert store.due("", 9.0, limit=9)[:2] == [DueEntry(0.0, "alice", False), DueEntry(0.0, "bob", False)]
    assert due_keys(store) == ["alice", "carol"]
    assert sum(store.repair_due("")) == 0


@pytest.mark.parametrize("due_at", [None, 5e9, 1.0], ids=["never due", "due later", "due"])
def test_what_a_process_of_the_previous_version_saves_counts_as_due(
    store: RedisStore, raw: redis.Redis, namespace: str, due_at: float | None
) -> None:
    """It writes the record alone: the entry is of another version then, or there is none."""
    store.save("alice", {"due_at": due_at}, expected=None)
    raw.hset(f"{{{namespace}/alice}}", mapping={"version": "v2", "data": "{}"})
    raw.hset(f"{{{namespace}/bob}}", mapping={"version": "v1", "data": "{}"})
    deque(store.repair_due(""), maxlen=0)
    found = store.due("", 1e9, limit=9)
    assert {entry.key for entry in found} == {"alice", "bob"}
    assert not any(entry.is_exact for entry in found)
    # The entry of the earlier version has been removed.
    assert due_keys(store, before=1e9) == ["alice", "bob"]


def test_an_entry_without_a_record_is_removed(store: RedisStore, raw: redis.Redis, namespace: str) -> None:
    """As after the server has removed the record because its time was over."""
    store.save("alice", {"due_at": 5.0}, expected=None)
    raw.delete(f"{{{namespace}/alice}}")
    assert store.due("", 9.0, limit=9) == []
    assert entries(store, raw) == {}


def test_each_first_page_repairs_a_little(
    redis_url: str, namespace: str, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a program that only asks what is due finds everything after some calls, and no call looks at many records."""
    monkeypatch.setattr(_redis_due, "_REPAIRED_A_LITTLE", 10)
    with RedisStore(redis_url, namespace=namespace) as store:
        keys = {f"k{number:03}" for number in range(200)}
        for key in keys:
            store.save(key, {"due_at": 5.0}, expected=None)
        raw.delete(store._index.name)
        found: list[int] = []
        while not found or found[-1] < len(keys):
            before = len(entries(store, raw))
            assert len(store.due("", 9.0, limit=1000)) == len(entries(store, raw))
            found.append(len(entries(store, raw)))
            # SCAN may return a few more than it was asked for, and none where other programs' names are.
            assert found[-1] - before <= 60
        assert set(due_keys(store)) == keys
        for key in keys:
            store.delete(key)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_repair_in_another_thread_holds_up_nobody(redis_url: str, namespace: str, raw: redis.Redis) -> None:
    """Neither a page of another thread, nor a child that is forked meanwhile, which begins a repair of its own."""
    parent, reading, go_on = os.getpid(), threading.Event(), threading.Event()
    with RedisStore(redis_url, namespace=namespace) as store:
        store.save("alice", {"due_at": 5.0}, expected=None)
        raw.delete(store._index.name)
        names = store._server_keys

        def key(name: bytes | str) -> str | None:
            if os.getpid() == parent:
                reading.set()
                assert go_on.wait(PATIENCE)
            return names.key(name)

        index = _redis_due.DueIndex(store._index.name, names.record, key, lambda: store._server)

        def page() -> list[str]:
            return [entry.key for entry in index.page("", 9.0, None, 9, names.pattern(""))]

        def in_child() -> None:
            assert any(page() == ["alice"] for _ in range(1000))

        thread = threading.Thread(target=lambda: deque(iter(page, ["alice"]), maxlen=0))
        thread.start()
        try:
            assert reading.wait(PATIENCE)
            assert page() == []
            in_forked_child(in_child)
        finally:
            go_on.set()
            thread.join(PATIENCE)
        assert not thread.is_alive()
        store.delete("alice")


def test_many_due_at_the_same_moment_are_paged_through(store: RedisStore, raw: redis.Redis) -> None:
    """By keys in the order of their code points, in pages of any size, also among entries of other clients."""
    names = [f"{prefix}/{number:04}" for number in range(700) for prefix in ("a", "ä", "b")]
    for name in names:
        raw.hset(store._server_keys.record(name), mapping={"version": "v", "data": "{}"})
    store.note_due([(name, "v", 5.0) for name in names])
    found: list[str] = []
    after = None
    while page := store.due("ä/", 6.0, after=after, limit=333):
        found += [entry.key for entry in page]
        after = (page[-1].due_at, page[-1].key)
    assert found == sorted(name for name in names if name[0] == "ä")


def test_a_write_of_the_index_that_fails_costs_no_record(store: RedisStore, raw: redis.Redis) -> None:
    """The record is saved and deleted all the same."""
    raw.set(store._index.name, "of another program")
    version = store.save("alice", {"n": 1}, expected=None)
    store.save("alice", {"n": 2}, expected=version)
    store.delete("alice")
    assert store.load("alice") is None
    raw.delete(store._index.name)


def test_a_cluster_has_an_index_too() -> None:
    """There the entry is written after the record; a plain client at a server with all slots does the same."""
    with ExitStack() as stack:
        servers = [stack.enter_context(RedisServer("--cluster-enabled", "yes")) for _ in range(2)]
        make_cluster(servers)
        alone = stack.enter_context(RedisServer("--cluster-enabled", "yes"))
        make_cluster([alone])
        client = stack.enter_context(RedisCluster(host="127.0.0.1", port=servers[0].port))
        for store in (RedisStore(client), stack.enter_context(RedisStore(alone.url))):
            versions = [store.save(key, {"due_at": 5.0}, expected=None) for key in "abcdefgh"]
            store.save("a", {"due_at": 7.0}, expected=versions[0])
            store.delete("b")
            assert due_keys(store) == [*"cdefgh", "a"]
            client_of_index = store._server.client
            client_of_index.delete(store._index.name)
            deque(store.repair_due(""), maxlen=0)
            assert due_keys(store, before=6.0) == [*"cdefgh"]
