"""RedisStore against the contract on a real server, and what it promises beyond it."""

from __future__ import annotations

import os
import pickle
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.cluster import RedisCluster
from redis.sentinel import Sentinel
from support.canary.leaks import everything_in, leaks
from support.errors import raises
from support.limits import PATIENCE
from support.processes import start_forked_child
from support.server_processes import RedisServer, make_cluster
from support.stores.lease_contract import (
    LeaseStoreContract,
    check_a_dead_server_stops_renewals_only,
    check_a_server_that_dies_during_the_token_call_costs_no_pair,
    forks_with_threads,
)
from support.waiting import wait_until

from blnk_auth import BlnkCloud, OAuthClient, Token
from blnk_auth.errors import ConfigurationError, Conflict, SignInRequired, StoreError
from blnk_auth.stores import _redis_server
from blnk_auth.stores._redis import RedisStore
from blnk_auth.stores._token_store import TokenStore
from blnk_auth.testing import Clock, Sandbox
from blnk_auth.testing.store_contract import AWKWARD_KEYS, LONG

NOW = 1_800_000_000


@pytest.fixture
def namespace() -> str:
    """Of this test alone, on a server that others use too."""
    return f"test-{secrets.token_hex(6)}"


@pytest.fixture
def raw(redis_url: str) -> Iterator[redis.Redis]:
    """A connection past the store."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def store(redis_url: str, namespace: str) -> Iterator[RedisStore]:
    with RedisStore(redis_url, namespace=namespace) as store:
        yield store


class TestRedisStore(LeaseStoreContract):
    @pytest.fixture
    def open_store(self, redis_url: str, namespace: str) -> Callable[..., RedisStore]:
        return partial(RedisStore, redis_url, namespace=namespace, lease=2.0)

    @pytest.fixture
    def run_out(self, raw: redis.Redis, namespace: str) -> Callable[[str], None]:
        return lambda key: raw.delete(f"{{{namespace}/{key}}}:lock")


# One round trip each


def calls_of(raw: redis.Redis, work: Callable[[], object]) -> dict[str, int]:
    """The commands that `work` has the server run, by the server's own count."""
    raw.config_resetstat()
    work()
    ours = {"cmdstat_config|resetstat", "cmdstat_info"}
    inside_of_scripts = {
        "cmdstat_zadd",
        "cmdstat_zrem",
        "cmdstat_hmget",
        "cmdstat_hget",
        "cmdstat_hset",
        "cmdstat_persist",
        "cmdstat_get",
        "cmdstat_set",
    }
    stats = {name: figures["calls"] for name, figures in raw.info("commandstats").items()}
    return {name: stats[name] for name in stats.keys() - ours - inside_of_scripts - {"cmdstat_del"}}


def test_load_and_save_take_one_round_trip_each_lock_and_unlock_too() -> None:
    """By the server's own count of commands, each verb is one, and the lock one to take and one to give back."""
    with RedisServer() as server, RedisStore(server.url) as store, server.client() as raw:
        version = store.save("alice", {"n": 1}, expected=None)
        store.load("alice")
        with store.lock("alice", timeout=PATIENCE):
            store.delete("bob")
        once = {"cmdstat_evalsha": 1}
        assert calls_of(raw, lambda: store.load("alice")) == once
        assert calls_of(raw, lambda: store.save("alice", {"n": 2}, expected=version)) == once
        assert calls_of(raw, lambda: store.delete("alice")) == once

        def lock() -> None:
            with store.lock("alice", timeout=PATIENCE):
                pass

        assert calls_of(raw, lock) == {"cmdstat_evalsha": 2}


def test_a_server_that_forgot_the_scripts_is_shown_them(store: RedisStore, raw: redis.Redis) -> None:
    """After a restart or a fail-over the scripts are unknown there, which nobody notices."""
    version = store.save("alice", {"n": 1}, expected=None)
    raw.script_flush()
    version = store.save("alice", {"n": 2}, expected=version)
    raw.script_flush()
    record = store.load("alice")
    assert record is not None
    assert (record.data, record.version) == ({"n": 2}, version)


# Records


def test_a_save_sent_twice_does_not_conflict_with_itself(store: RedisStore, raw: redis.Redis) -> None:
    """redis-py repeats a command whose answer was lost: a save that took effect recognizes itself."""
    from blnk_auth.stores._redis_scripts import SAVE, TAKE

    def send(script: Any, name: str, *args: Any) -> Any:
        return raw.eval(script.text, 1, name, *args)

    assert [send(SAVE, "{twice}", "", "v1", "{}", "") for _ in range(2)] == [1, 1]
    assert [send(SAVE, "{twice}", "=v1", "v2", "{}", "") for _ in range(2)] == [1, 1]
    assert send(SAVE, "{twice}", "=v1", "v3", "{}", "") == 0
    assert [send(TAKE, "{twice}:lock", owner, 60_000) for owner in ("one", "one", "other")] == [1, 1, 0]
    raw.delete("{twice}", "{twice}:lock")


def test_an_empty_version_is_not_a_version(store: RedisStore) -> None:
    """A save that expects the version "" does not create a record."""
    with pytest.raises(Conflict):
        store.save("alice", {}, expected="")
    assert store.load("alice") is None


def test_namespaces_are_apart(redis_url: str, namespace: str) -> None:
    """Stores with different namespaces share a server and nothing else."""
    with ExitStack() as stack:
        names = (namespace, f"{namespace}:b", f"{namespace}.b")
        stores = [stack.enter_context(RedisStore(redis_url, namespace=name)) for name in names]
        for number, store in enumerate(stores):
            store.save("alice", {"n": number}, expected=None)
        assert [list(store.keys()) for store in stores] == [["alice"]] * 3
        with stores[0].lock("alice", timeout=PATIENCE), stores[1].lock("alice", timeout=0):
            pass


def test_locks_are_not_keys(store: RedisStore) -> None:
    """`keys` gives records, not locks, also for keys that look like a lock's name."""
    store.save("alice}:lock", {}, expected=None)
    with store.lock("alice", timeout=PATIENCE), store.lock("bob", timeout=PATIENCE):
        assert list(store.keys()) == ["alice}:lock"]
        assert store.load("alice") is None


def test_many_keys_are_all_found_once(store: RedisStore, raw: redis.Redis, namespace: str) -> None:
    """Over more keys than one SCAN gives, each comes once, in order."""
    names = [f"k{number:05}" for number in range(3000)]
    with raw.pipeline() as pipeline:
        for name in names:
            pipeline.hset(f"{{{namespace}/{name}}}", mapping={"version": "v", "data": "{}"})
        pipeline.execute()
    assert list(store.keys("k")) == names


@pytest.mark.parametrize("damage", ['{"access_token": "s3cr3t', '["s3cr3t"]', "", b"\xff"])
def test_an_unreadable_record_is_an_error_of_its_own(
    store: RedisStore, raw: redis.Redis, namespace: str, damage: str | bytes
) -> None:
    """It raises StoreError naming key and remedy and no secret; others work, and a delete heals it."""
    store.save("alice", {"n": 1}, expected=None)
    store.save("bob", {"n": 2}, expected=None)
    raw.hset(f"{{{namespace}/alice}}", "data", damage)
    with raises(StoreError, parameter="record", key="alice") as raised:
        store.load("alice")
    assert "s3cr3t" not in str(raised.value)
    assert list(store.keys()) == ["alice", "bob"]
    store.delete("alice")
    store.save("alice", {"n": 3}, expected=None)


def test_a_reply_that_is_not_text_is_an_error_of_its_own(
    store: RedisStore, raw: redis.Redis, redis_url: str, namespace: str
) -> None:
    """A version or a name with other bytes is a StoreError or left out, also through a client that decodes replies."""
    store.save("alice", {"n": 1}, expected=None)
    raw.hset(f"{{{namespace}/alice}}", "version", b"s3cr3t\xff")
    raw.hset(f"{{{namespace}/".encode() + b"\xff}", "version", "1")
    with raises(StoreError, parameter="record", key="alice"):
        store.load("alice")
    assert list(store.keys()) == ["alice"]
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        decoding = RedisStore(client, namespace=namespace)
        for verb in (lambda: decoding.load("alice"), decoding.keys):
            with raises(StoreError, shows="UTF-8") as raised:
                verb()
            assert not leaks(everything_in(raised.value), ["s3cr3t"])
    store.delete("alice")


def test_a_key_of_another_program_is_not_touched(store: RedisStore, raw: redis.Redis, namespace: str) -> None:
    """Where a name is taken by something that is not a record, StoreError reports it and it stays."""
    raw.set(f"{{{namespace}/alice}}", "theirs")
    for verb in (lambda: store.load("alice"), lambda: store.save("alice", {}, expected=None)):
        with raises(StoreError, shows="WRONGTYPE", remedy=_redis_server._REMEDIES["WRONGTYPE"]):
            verb()
    assert raw.get(f"{{{namespace}/alice}}") == b"theirs"


def test_a_key_that_is_not_text_is_refused(store: RedisStore) -> None:
    """A lone surrogate is refused by every verb."""
    for verb in (store.load, store.delete, store.keys, lambda key: store.lock(key, timeout=PATIENCE).__enter__()):
        with raises(StoreError, shows=r"\ud800"):
            verb("\ud800")


# Expiry


def record(**token: Any) -> dict[str, Any]:
    return {"schema": 1, "token": {"access_token": "at", "refresh_token": "rt", **token}}


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (record(refresh_expires_at=NOW + 0.5, expires_at=NOW - 9), NOW * 1000 + 500),
        (record(refresh_expires_at=NOW, expires_at=None), NOW * 1000),
        (record(refresh_expires_at=NOW, expires_at=NOW + 60), (NOW + 60) * 1000),
        (record(refresh_expires_at=None, expires_at=NOW), -1),
        (record(refresh_expires_at=1e300), -1),
        (record(refresh_expires_at="soon"), -1),
        (record(refresh_expires_at=True), -1),
        ({"token": ["no", "mapping"]}, -1),
        ({}, -1),
    ],
)
def test_a_record_is_removed_when_its_tokens_are_of_no_use(
    redis_url: str, raw: redis.Redis, namespace: str, data: dict[str, Any], end: int
) -> None:
    """With expire_with_refresh_token the server forgets a record when refresh and access token have both run out."""
    with RedisStore(redis_url, namespace=namespace, expire_with_refresh_token=True) as store:
        store.save("alice", data, expected=None)
        assert raw.pexpiretime(f"{{{namespace}/alice}}") == end


def test_each_save_sets_the_expiry_again(redis_url: str, raw: redis.Redis, namespace: str) -> None:
    """A renewed pair lives as long as its own refresh token, and for ever if that has no end."""
    with RedisStore(redis_url, namespace=namespace, expire_with_refresh_token=True) as store:
        version = store.save("alice", record(refresh_expires_at=NOW), expected=None)
        version = store.save("alice", record(refresh_expires_at=NOW + 1), expected=version)
        assert raw.pexpiretime(f"{{{namespace}/alice}}") == (NOW + 1) * 1000
        store.save("alice", record(), expected=version)
        assert raw.pexpiretime(f"{{{namespace}/alice}}") == -1


def test_by_default_nothing_is_removed(store: RedisStore, raw: redis.Redis, namespace: str) -> None:
    """Without the option a record stays, with any tokens."""
    store.save("alice", record(refresh_expires_at=NOW), expected=None)
    assert raw.pexpiretime(f"{{{namespace}/alice}}") == -1


# Faults


def test_a_server_that_is_killed() -> None:
    """Killed and restarted, it costs no valid token, no spent refresh token and no pair."""
    with RedisServer() as server:
        check_a_dead_server_stops_renewals_only(RedisStore(server.url, lease=1.0), server)
        check_a_server_that_dies_during_the_token_call_costs_no_pair(RedisStore(server.url, lease=1.0), server)


def test_a_server_that_hangs_is_an_error_in_time() -> None:
    """A server that accepts and never answers is a StoreError after the time limits, for each verb and the lock."""
    with RedisServer() as server, RedisStore(f"{server.url}?socket_timeout=0.1") as store:
        store.save("alice", {}, expected=None)
        server.pause()
        for verb in (
            lambda: store.load("alice"),
            lambda: store.save("alice", {}, expected=None),
            lambda: store.lock("alice", timeout=30).__enter__(),
            lambda: list(store.keys()),
        ):
            with raises(StoreError, shows="Timeout", remedy=_redis_server._CONNECT):
                verb()
        server.resume()
        assert store.load("alice") is not None


@pytest.mark.parametrize(
    ("settings", "code", "kind"),
    [
        ({"maxmemory": "1", "maxmemory-policy": "noeviction"}, "OutOfMemoryError", redis.exceptions.OutOfMemoryError),
        ({"min-replicas-to-write": "1"}, "NOREPLICAS", "NOREPLICAS"),
    ],
)
def test_a_refused_write_names_what_to_do(settings: dict[str, str], code: str, kind: Any) -> None:
    """The server's answer is reported by its code, with the remedy and without the data."""
    with RedisServer() as server, RedisStore(server.url) as store, server.client() as raw:
        for name, value in settings.items():
            raw.config_set(name, value)
        with raises(StoreError, shows=code, remedy=_redis_server._REMEDIES[kind]) as raised:
            store.save("alice", {"access_token": "s3cr3t"}, expected=None)
        assert leaks([str(raised.value), repr(raised.value)], ["s3cr3t"]) == []
        assert raised.value.__context__ is None


def test_a_wrong_password_is_reported_without_it() -> None:
    """The error of a failed log-in names it and shows no password, and neither does the store."""
    with RedisServer() as server, server.client() as raw:
        raw.config_set("requirepass", "right")
        url = server.url.replace("redis://", "redis://:s3cr3t-word@")
        with RedisStore(url) as store:
            with raises(StoreError, remedy=_redis_server._SIGN_IN) as raised:
                store.load("alice")
            assert leaks([repr(store), *everything_in(raised.value)], ["s3cr3t-word"]) == []
        with RedisStore(server.url) as store, raises(StoreError, remedy=_redis_server._SIGN_IN):
            store.load("alice")


@forks_with_threads
def test_a_fork_while_another_thread_is_at_the_pool(store: RedisStore) -> None:
    """redis-py's pool keeps its lock in the child for ever then; the store does not wait for it."""
    version = store.save("alice", {}, expected=None)
    locked, done = threading.Event(), threading.Event()

    def be_at_the_pool() -> None:
        with store._server.client.connection_pool._lock:
            locked.set()
            done.wait(LONG)

    thread = threading.Thread(target=be_at_the_pool)
    thread.start()
    locked.wait(LONG)
    child = start_forked_child(lambda: store.save("alice", {}, expected=version) and None)
    try:
        wait_until(lambda: os.waitpid(child, os.WNOHANG)[0] == child, "the child has ended")
    except AssertionError:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        done.set()
        thread.join()
    saved = store.load("alice")
    assert saved is not None
    assert saved.version != version


def test_a_server_that_forgot_the_last_pair_costs_one_sign_in(
    store: RedisStore, redis_url: str, raw: redis.Redis, namespace: str
) -> None:
    """After a fail-over that lost the last write, a process with the new pair uses it until it expires; another process
    spends what is stored, once, and must sign in; no other grant is touched.
    """
    clock = Clock()
    with Sandbox(clock=clock) as sandbox, RedisStore(redis_url, namespace=namespace) as elsewhere:

        def client(store: RedisStore) -> OAuthClient:
            known = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
            return OAuthClient(BlnkCloud(base_url=sandbox.origin), store=store, clock=clock, **known)

        here, there = client(store), client(elsewhere)
        for name in ("alice", "bob"):
            here.for_subject(name).adopt(Token.from_response(sandbox.issue(name), now=clock()))
        alice = here.for_subject("alice")
        record = f"{{{namespace}/{alice.store_key}}}"
        before = raw.hgetall(record)
        clock.advance(sandbox.lifetime + 1)
        renewed = alice.token()
        raw.hset(record, mapping=before)
        for _ in range(2):
            with pytest.raises(SignInRequired) as raised:
                there.for_subject("alice").token()
            assert raised.value.reason == "refused"
        assert sandbox.counts.reuses == 1
        assert alice.token() == renewed
        assert there.for_subject("bob").token().access_token


# Clients of the user's


def test_a_client_that_decodes_answers_will_do(raw: redis.Redis, redis_url: str, namespace: str) -> None:
    """A client made with decode_responses=True serves as well, and the store does not close it."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        with RedisStore(client, namespace=namespace) as store:
            version = store.save("鍵", {"n": 1}, expected=None)
            loaded = store.load("鍵")
            assert loaded is not None
            assert (loaded.data, loaded.version) == ({"n": 1}, version)
            assert list(store.keys()) == ["鍵"]
            with store.lock("鍵", timeout=PATIENCE):
                store.delete("鍵")
        assert client.ping()


def test_a_cluster_will_do() -> None:
    """On a cluster every awkward key's record and lock are in one slot, and keys are found on every master."""
    with ExitStack() as stack:
        servers = [stack.enter_context(RedisServer("--cluster-enabled", "yes")) for _ in range(2)]
        make_cluster(servers)
        client = stack.enter_context(RedisCluster(host="127.0.0.1", port=servers[0].port))
        store = stack.enter_context(RedisStore(client))
        for number, key in enumerate((*AWKWARD_KEYS, "}", "{}", "", "}{")):
            with store.lock(key, timeout=PATIENCE):
                version = store.save(key, {"n": number}, expected=None)
                store.save(key, {"n": number + 1}, expected=version)
                with pytest.raises(Conflict):
                    store.save(key, {}, expected=version)
        assert list(store.keys()) == sorted((*AWKWARD_KEYS, "}", "{}", "", "}{"))
        assert all(stack.enter_context(server.client()).dbsize() for server in servers)
        for key in list(store.keys()):
            with store.lock(key, timeout=PATIENCE):
                store.delete(key)
        assert list(store.keys()) == []


def test_a_single_client_at_a_cluster_names_what_to_do() -> None:
    """A plain client that meets a cluster gets an error that names the right client."""
    with RedisServer("--cluster-enabled", "yes") as one, RedisServer("--cluster-enabled", "yes") as other:
        make_cluster([one, other])
        with RedisStore(one.url) as store:
            failures = [_failure(lambda key=key: store.load(key)) for key in "abcdefgh"]
        assert "MovedError; the server is part of a cluster; give a redis.cluster.RedisCluster client" in " ".join(
            failures
        )


def _failure(work: Callable[[], object]) -> str:
    try:
        work()
    except StoreError as error:
        return str(error)
    return ""


def test_a_sentinel_will_do(tmp_path: Any) -> None:
    """A Sentinel's client follows the fail-over: the record is there, and compare-and-set still works."""
    with ExitStack() as stack:
        master = stack.enter_context(RedisServer())
        replica = stack.enter_context(RedisServer("--replicaof", f"127.0.0.1 {master.port}"))
        sentinel = stack.enter_context(SentinelServer(master.port))
        raw, admin = stack.enter_context(replica.client()), stack.enter_context(sentinel.client())
        wait_until(lambda: raw.info("replication")["master_link_status"] == "up", "the replica is in step")
        wait_until(lambda: admin.execute_command("SENTINEL MASTER", "main")["num-slaves"] == 1, "it is known")
        watcher = Sentinel([("127.0.0.1", sentinel.port)], socket_timeout=PATIENCE)
        store = RedisStore(stack.enter_context(watcher.master_for("main", socket_timeout=PATIENCE)), lease=1.0)
        version = store.save("alice", {"n": 1}, expected=None)
        with store.lock("alice", timeout=PATIENCE):
            version = store.save("alice", {"n": 2}, expected=version)
        wait_until(lambda: raw.hget("{blnk_auth/alice}", "version") == version.encode(), "it is replicated")
        with (
            RedisStore(replica.url) as other,
            raises(StoreError, remedy=_redis_server._REMEDIES[redis.exceptions.ReadOnlyError]),
        ):
            other.save("alice", {}, expected=version)
        admin.execute_command("SENTINEL FAILOVER", "main")
        wait_until(lambda: raw.role()[0] == b"master", "the replica was promoted")
        master.kill()
        wait_until(lambda: not _failure(lambda: store.load("alice")), "the client has found the new master")
        loaded = store.load("alice")
        assert loaded is not None
        assert (loaded.data, loaded.version) == ({"n": 2}, version)
        with store.lock("alice", timeout=PATIENCE):
            store.save("alice", {"n": 3}, expected=version)
        for closed in watcher.sentinels:
            closed.close()


class SentinelServer(RedisServer):
    kind = "sentinel"

    def __init__(self, master_port: int) -> None:
        self._master_port = master_port
        super().__init__()

    def _initialize(self) -> None:
        configuration = self.directory / "sentinel.conf"
        configuration.write_text(f"sentinel monitor main 127.0.0.1 {self._master_port} 1\n")
        self._own(configuration)

    def _command(self) -> list[str]:
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        return [self._program, str(self.directory / "sentinel.conf"), "--sentinel", *where]


# The parameters


def test_it_is_a_token_store(store: RedisStore) -> None:
    """RedisStore has the five methods of the protocol."""
    assert isinstance(store, TokenStore)


def test_repr_shows_no_password() -> None:
    """Neither the password in the URL nor one in its query is shown."""
    store = RedisStore("redis://user:s3cr3t@cache.test:6379/1?password=s3cr3t")
    assert repr(store) == "RedisStore('redis://cache.test:6379/1', namespace='blnk_auth')"
    assert "s3cr3t" not in repr(RedisStore(redis.Redis(password="s3cr3t")))


def test_a_store_with_a_client_is_not_pickled() -> None:
    """The error names the reason, and what to do instead."""
    with pytest.raises(TypeError, match="make it from a URL"):
        pickle.dumps(RedisStore(redis.Redis()))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("cache.test:6379", "redis://user:password@host:6379/0"),
        ("redis://:pass/word@cache.test", "redis://user:password@host:6379/0"),
        (None, "None"),
        (redis.asyncio.Redis(), "redis.asyncio.client.Redis"),
    ],
)
def test_what_cannot_work_is_refused_immediately(url: Any, shown: str) -> None:
    """The error names the parameter and what to give instead, and quotes nothing."""
    with raises(ConfigurationError, parameter="url_or_client", shows=shown) as raised:
        RedisStore(url)
    assert leaks([str(raised.value)], ["pass/word"]) == []
    assert raised.value.__context__ is None


@pytest.mark.parametrize("namespace", ["", "a/b", "{a}", "ä", "a b", None, "a" * 101])
def test_a_namespace_that_would_mix_is_refused(namespace: Any) -> None:
    """The error names the parameter and what it may hold."""
    with raises(ConfigurationError, parameter="namespace"):
        RedisStore("redis://cache.test", namespace=namespace)


def url_from_a_vault() -> str:
    return "redis://user:s3cr3t-word@127.0.0.1:1/0"


@pytest.mark.parametrize(
    "url", ["redis://user:s3cr3t-word@127.0.0.1:1/0", "redis://127.0.0.1:1/0?password=s3cr3t-word"]
)
def test_a_password_is_in_no_pickle(url: str) -> None:
    """Using an unpickled store raises an error that names this and what to give instead."""
    pickled = pickle.dumps(RedisStore(url, namespace="acme"))
    assert b"s3cr3t-word" not in pickled
    restored = pickle.loads(pickled)
    with raises(ConfigurationError, parameter="url_or_client") as raised:
        restored.load("alice")
    assert raised.value.parameter == "url_or_client"


def test_a_callable_gives_the_url_in_each_process(redis_url: str, namespace: str) -> None:
    """It is called when the store is first used, and is what a pickle carries."""
    with RedisStore(lambda: redis_url, namespace=namespace) as lazy:
        lazy.save("alice", {"n": 1}, expected=None)
        with lazy.lock("alice", timeout=PATIENCE):
            assert list(lazy.keys()) == ["alice"]
    restored = pickle.loads(pickle.dumps(RedisStore(url_from_a_vault, namespace="acme")))
    assert repr(restored) == "RedisStore(url_or_client=<callable>, namespace='acme')"
    with raises(StoreError, remedy=_redis_server._CONNECT):
        restored.load("alice")


@pytest.mark.parametrize("lease", [0, -1, float("nan"), float("inf"), "10", None, True, 0.05])
def test_a_lease_that_is_not_a_time_is_refused(lease: Any) -> None:
    """The error names the parameter."""
    with raises(ConfigurationError, parameter="lease"):
        RedisStore("redis://cache.test", lease=lease)


def test_without_redis_py_the_extra_is_named() -> None:
    """Where redis-py is not installed, the store can be imported, and the error of making one names the extra."""
    script = (
        "import sys; sys.modules['redis'] = None\n"
        "from blnk_auth import ConfigurationError, RedisStore\n"
        "try: RedisStore('redis://cache.test')\n"
        "except ConfigurationError as error: print(error)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    finished = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    assert "pip install 'blnk-auth[redis]'" in finished.stdout
