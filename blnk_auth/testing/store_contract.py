"""The tests that every token store must pass, to be run by its author with plain pytest.

Subclass `StoreContract`, or `SharedStoreContract` if several processes may use the store at once, and give it one
fixture: `open_store`, a callable that opens a handle to the test's own, initially empty, data.

    # tests/test_my_store.py
    from functools import partial
    import pytest
    from .store_contract import SharedStoreContract, StoreContract
    from my_package import MyFileStore, MyStore

    class TestMyStore(StoreContract):
        @pytest.fixture
        def open_store(self):
            return MyStore

    class TestMyFileStore(SharedStoreContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            return partial(MyFileStore, tmp_path / "tokens")

For `SharedStoreContract` the callable is called many times, also in other processes: it must be picklable (a class, a
`functools.partial` of one, or a function of an importable module), and all its handles must show the same data.
A handle with a `close` method is closed after its test. A store that cannot list its keys sets `lists_keys = False`;
one that needs many milliseconds for a save may lower `increments`.
To see the values of a failed assertion, put this in your conftest.py:
`pytest.register_assert_rewrite("blnk_auth.testing.store_contract")`.
"""

# These are tests: an assertion is how they speak, and each says one thing about `store` in its docstring.
# ruff: noqa: S101

from __future__ import annotations

import itertools
import math
import multiprocessing
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import pytest

from ..client import OAuthClient
from ..errors import Conflict, StoreError
from ..providers._blnk_cloud import BlnkCloud
from ..source import TokenSource
from ..stores._token_store import TokenStore, Version
from ..token import Token

_Result = TypeVar("_Result")

OpenStore = Callable[[], TokenStore]

AWKWARD_KEYS = (
    "plain",
    "with space and\ttab",
    "../../etc/passwd",
    "a/b\\c:d*e?f",
    "100%_of'it\"`;--",
    "[glob]{brace}",
    "ключ·鍵·🔑",
    "Case",
    "case",
    "trailing.",
    "trailing. ",
    "CON",
    "e\u0301",
    "\u00e9",
    "k" * 500,
)
"""Keys that trip file names, SQL, globs, case-blind and Unicode-normalizing file systems. Each is a key of its own."""

NESTED_DATA: dict[str, Any] = {
    "text": 'ünï©ödé 鍵 🔑 \u0000 \u2028 " \\ / \n',
    "nothing": None,
    "yes": True,
    "no": False,
    "numbers": [0, -1, 2**53 + 1, 0.1, 1.0, -0.0, 1790000000.123456, 5e-324, 1.7976931348623157e308],
    "deep": {"list": [[], [{}], {"": {"a.b": [1, "2", None]}}], "empty": {}},
}

LONG = 60.0
"""Seconds that only a hang uses up."""

_SHORT = 0.2
_THREADS = 8
_PROCESSES = 4
_CROWD = 8


class StoreContract:
    """What holds for every store, whoever shares it."""

    lists_keys = True

    increments = 25
    """How often each of several threads or processes adds 1 to a common number."""

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Overridden by the store's author, see the module."""
        raise NotImplementedError("write the fixture `open_store`; the docstring of store_contract shows how")

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Generator[TokenStore]:
        with _handle(open_store) as store:
            yield store

    def test_a_key_never_saved_loads_as_none(self, store: TokenStore) -> None:
        """A key that was never saved loads as None."""
        assert store.load("alice") is None

    def test_what_was_saved_is_loaded(self, store: TokenStore) -> None:
        """The data saved and the version returned are what is loaded."""
        version = store.save("alice", {"n": 1}, expected=None)
        assert _loaded(store, "alice") == ({"n": 1}, version)

    def test_every_json_value_comes_back_exactly(self, store: TokenStore) -> None:
        """Text, numbers to the last bit, and nested values come back as they were."""
        store.save("alice", NESTED_DATA, expected=None)
        data, _ = _loaded(store, "alice")
        assert data == NESTED_DATA
        # Equality does not tell 1 from 1.0 from True, nor 0.0 from -0.0.
        assert repr(data["numbers"]) == repr(NESTED_DATA["numbers"])
        assert data["yes"] is True
        assert data["no"] is False

    def test_a_mebibyte_comes_back(self, store: TokenStore) -> None:
        """A record of 1 MiB is kept whole."""
        big = "0123456789abcdef" * 65536
        store.save("alice", {"big": big}, expected=None)
        assert _loaded(store, "alice")[0] == {"big": big}

    def test_replacing_needs_the_version_just_read(self, store: TokenStore) -> None:
        """A save that names the stored version replaces the data and gives a new version."""
        first = store.save("alice", {"n": 1}, expected=None)
        second = store.save("alice", {"n": 2}, expected=first)
        assert second != first
        assert _loaded(store, "alice") == ({"n": 2}, second)

    def test_creating_an_existing_key_is_a_conflict(self, store: TokenStore) -> None:
        """A save with expected=None on a key that exists raises Conflict and changes nothing."""
        version = store.save("alice", {"n": 1}, expected=None)
        with pytest.raises(Conflict):
            store.save("alice", {"n": 2}, expected=None)
        assert _loaded(store, "alice") == ({"n": 1}, version)

    def test_a_stale_version_is_a_conflict(self, store: TokenStore) -> None:
        """A save that names a version already replaced raises Conflict and changes nothing."""
        stale = store.save("alice", {"n": 1}, expected=None)
        current = store.save("alice", {"n": 2}, expected=stale)
        with pytest.raises(Conflict):
            store.save("alice", {"n": 3}, expected=stale)
        assert _loaded(store, "alice") == ({"n": 2}, current)

    def test_a_version_that_never_was_is_a_conflict(self, store: TokenStore) -> None:
        """A save that names a version never given raises Conflict and creates nothing."""
        with pytest.raises(Conflict):
            store.save("alice", {"n": 1}, expected="never-given")
        assert store.load("alice") is None

    def test_no_version_comes_twice(self, store: TokenStore) -> None:
        """No two states of a key share a version, not even equal data after a delete."""
        versions: list[Version] = []
        for _ in range(5):
            versions.append(store.save("alice", {"n": 1}, expected=None))
            versions.append(store.save("alice", {"n": 1}, expected=versions[-1]))
            store.delete("alice")
        assert len(set(versions)) == len(versions)

    def test_a_deleted_key_is_gone(self, store: TokenStore) -> None:
        """A deleted key loads as None, and may be created again."""
        store.save("alice", {"n": 1}, expected=None)
        store.delete("alice")
        assert store.load("alice") is None
        store.save("alice", {"n": 2}, expected=None)
        assert _loaded(store, "alice")[0] == {"n": 2}

    def test_deleting_twice_is_no_error(self, store: TokenStore) -> None:
        """Deleting a key that does not exist does nothing."""
        store.delete("alice")
        store.save("alice", {"n": 1}, expected=None)
        store.delete("alice")
        store.delete("alice")
        assert store.load("alice") is None

    def test_a_deleted_key_stays_deleted(self, store: TokenStore) -> None:
        """A writer that read before a delete gets Conflict: it cannot bring the record back."""
        version = store.save("alice", {"n": 1}, expected=None)
        store.delete("alice")
        with pytest.raises(Conflict):
            store.save("alice", {"n": 2}, expected=version)
        assert store.load("alice") is None

    def test_awkward_keys_stay_apart(self, store: TokenStore) -> None:
        """Any text serves as a key, and no two keys share a record."""
        for number, key in enumerate(AWKWARD_KEYS):
            store.save(key, {"n": number}, expected=None)
        assert [_loaded(store, key)[0] for key in AWKWARD_KEYS] == [{"n": n} for n in range(len(AWKWARD_KEYS))]
        for key in AWKWARD_KEYS:
            store.delete(key)
            assert store.load(key) is None

    def test_one_key_does_not_disturb_another(self, store: TokenStore) -> None:
        """Saving and deleting one key leaves data and version of the others alone."""
        kept = store.save("alice", {"n": 1}, expected=None)
        bob = store.save("bob", {"n": 2}, expected=None)
        store.save("bob", {"n": 3}, expected=bob)
        store.delete("bob")
        assert _loaded(store, "alice") == ({"n": 1}, kept)

    def test_keys_come_in_order(self, store: TokenStore) -> None:
        """`keys` gives every stored key once, in ascending order of code points."""
        assert self._keys(store, "", of=()) == []
        for key in reversed(AWKWARD_KEYS):
            store.save(key, {}, expected=None)
        assert self._keys(store, "", of=AWKWARD_KEYS) == sorted(AWKWARD_KEYS)

    def test_a_prefix_is_taken_literally(self, store: TokenStore) -> None:
        """`keys(prefix)` gives the keys that begin with the prefix; no character in it is a wildcard."""
        stored = ("a", "a%", "a%b", "a_", "a_b", "ab", "a*", "a?c", "a[b]", "A%", "b", "鍵", "鍵1")
        for key in stored:
            store.save(key, {}, expected=None)
        for prefix in ("a", "a%", "a_", "a*", "a?", "a[", "鍵", "none"):
            assert self._keys(store, prefix, of=stored) == sorted(k for k in stored if k.startswith(prefix))

    def test_what_was_saved_cannot_be_changed_from_outside(self, store: TokenStore) -> None:
        """Changing the dict that was saved, or one that was loaded, does not change what is stored."""
        data: dict[str, Any] = {"inner": {"n": 1}}
        store.save("alice", data, expected=None)
        data["inner"]["n"] = 2
        _loaded(store, "alice")[0]["inner"]["n"] = 3
        assert _loaded(store, "alice")[0] == {"inner": {"n": 1}}

    @pytest.mark.parametrize("data", [{"x": object()}, {"x": b""}, {"x": math.nan}], ids=("object", "bytes", "nan"))
    def test_data_that_is_no_json_is_refused(self, store: TokenStore, data: dict[str, Any]) -> None:
        """Data that JSON cannot hold raises StoreError, and what is stored stays."""
        version = store.save("alice", {"n": 1}, expected=None)
        with pytest.raises(StoreError):
            store.save("alice", data, expected=version)
        assert _loaded(store, "alice") == ({"n": 1}, version)

    def test_repr_shows_no_data(self, store: TokenStore) -> None:
        """Neither the store's repr nor a record's shows what is stored."""
        store.save("alice", {"access_token": "s3cr3t-value"}, expected=None)
        store.load("alice")
        assert "s3cr3t-value" not in f"{store!r} {store} {store.load('alice')!r}"

    def test_the_lock_excludes_another_thread(self, store: TokenStore) -> None:
        """While one thread holds a key's lock, another gets StoreError after its timeout, and the lock afterwards."""
        with store.lock("alice", timeout=LONG):
            waited = _in_thread(lambda: _seconds_until_refused(store, "alice", timeout=_SHORT))
        assert _SHORT * 0.9 <= waited < _SHORT + LONG / 6
        _in_thread(lambda: _lock_once(store, "alice"))

    def test_a_lock_not_had_at_once_can_be_refused_at_once(self, store: TokenStore) -> None:
        """A timeout of 0 tries once: it gets a free lock and is refused a held one."""
        with store.lock("alice", timeout=0):
            assert _in_thread(lambda: _seconds_until_refused(store, "alice", timeout=0)) < LONG / 6

    def test_the_lock_is_free_after_an_exception(self, store: TokenStore) -> None:
        """An exception inside the context passes through and frees the lock."""
        with pytest.raises(ZeroDivisionError), store.lock("alice", timeout=LONG):
            raise ZeroDivisionError
        _in_thread(lambda: _lock_once(store, "alice"))

    def test_the_lock_of_one_key_leaves_others_free(self, store: TokenStore) -> None:
        """Holding one key's lock does not keep anyone from another key's."""
        with store.lock("alice", timeout=LONG):
            for key in AWKWARD_KEYS:
                _in_thread(partial(_lock_once, store, key))

    def test_the_lock_does_not_keep_from_reading_and_writing(self, store: TokenStore) -> None:
        """The lock is between those who take it: others load, save and delete meanwhile."""
        with store.lock("alice", timeout=LONG):
            _in_thread(lambda: store.save("alice", {"n": 1}, expected=None))
            assert _in_thread(lambda: _loaded(store, "alice")[0]) == {"n": 1}
            _in_thread(lambda: store.delete("alice"))

    def test_threads_under_the_lock_lose_no_update(self, store: TokenStore) -> None:
        """Threads that load and save under the lock meet no conflict and lose nothing."""
        store.save("counter", {"n": 0}, expected=None)
        _in_threads(lambda: increment_under_lock(store, "counter", self.increments))
        assert _loaded(store, "counter")[0] == {"n": _THREADS * self.increments}

    def test_threads_without_the_lock_lose_no_update(self, store: TokenStore) -> None:
        """Threads that only compare and set, and begin again after a Conflict, lose nothing either."""
        store.save("counter", {"n": 0}, expected=None)
        _in_threads(lambda: increment_by_comparing(store, "counter", self.increments))
        assert _loaded(store, "counter")[0] == {"n": _THREADS * self.increments}

    def _keys(self, store: TokenStore, prefix: str, *, of: tuple[str, ...]) -> list[str]:
        """What `keys` gives; for a store that cannot list, that it says so, and what it would have given."""
        if self.lists_keys:
            return list(store.keys(prefix))
        with pytest.raises(StoreError):
            list(store.keys(prefix))
        return sorted(key for key in of if key.startswith(prefix))


class SharedStoreContract(StoreContract):
    """What holds in addition for a store that several handles and processes share."""

    def test_data_survives_reopening(self, open_store: OpenStore) -> None:
        """What one handle saved, one opened after its end loads, in the same version."""
        with _handle(open_store) as store:
            version = store.save("alice", NESTED_DATA, expected=None)
        with _handle(open_store) as store:
            assert _loaded(store, "alice") == (NESTED_DATA, version)

    def test_two_handles_see_each_other(self, store: TokenStore, open_store: OpenStore) -> None:
        """A save through one handle is seen by the other at once, and makes the other's version stale."""
        with _handle(open_store) as other:
            stale = store.save("alice", {"n": 1}, expected=None)
            current = other.save("alice", {"n": 2}, expected=stale)
            assert _loaded(store, "alice") == ({"n": 2}, current)
            with pytest.raises(Conflict):
                store.save("alice", {"n": 3}, expected=stale)

    def test_the_lock_excludes_another_handle(self, store: TokenStore, open_store: OpenStore) -> None:
        """A lock taken through one handle keeps out the other."""
        with _handle(open_store) as other, store.lock("alice", timeout=LONG):
            _in_thread(lambda: _seconds_until_refused(other, "alice", timeout=_SHORT))

    def test_processes_under_the_lock_lose_no_update(self, store: TokenStore, open_store: OpenStore) -> None:
        """Processes that load and save under the lock meet no conflict and lose nothing."""
        store.save("counter", {"n": 0}, expected=None)
        run_processes(_PROCESSES, _increment_in_process, open_store, increment_under_lock, self.increments)
        assert _loaded(store, "counter")[0] == {"n": _PROCESSES * self.increments}

    def test_processes_without_the_lock_lose_no_update(self, store: TokenStore, open_store: OpenStore) -> None:
        """Processes that only compare and set, and begin again after a Conflict, lose nothing either."""
        store.save("counter", {"n": 0}, expected=None)
        run_processes(_PROCESSES, _increment_in_process, open_store, increment_by_comparing, self.increments)
        assert _loaded(store, "counter")[0] == {"n": _PROCESSES * self.increments}

    def test_the_lock_of_a_killed_process_is_free(self, store: TokenStore, open_store: OpenStore) -> None:
        """A process that holds the lock keeps others out, and frees it by dying without a word (F45)."""
        with _process(_hold_lock_in_process, open_store, "alice") as (process, pipe):
            assert _received(pipe) == "held"
            _seconds_until_refused(store, "alice", timeout=_SHORT)
            process.kill()
            process.join(LONG)
            _lock_once(store, "alice")

    def test_a_killed_writer_leaves_the_old_or_the_new_record(self, store: TokenStore, open_store: OpenStore) -> None:
        """A process killed at a random moment of saving leaves what it last knew as saved, or what it was saving."""
        store.save("alice", _numbered(0), expected=None)
        for delay in (0.0, 0.002):
            with _process(_save_for_ever_in_process, open_store, "alice") as (process, pipe):
                known = _received(pipe)
                # The moment is the experiment.
                time.sleep(delay)
                process.kill()
                process.join(LONG)
                with suppress(EOFError, OSError):
                    while True:
                        known = pipe.recv()
            assert _loaded(store, "alice")[0] in (_numbered(known), _numbered(known + 1))

    def test_eight_processes_renew_an_expired_token_once(self, open_store: OpenStore) -> None:
        """Processes that find one rotating token expired make one renewal, spend nothing twice, and get the same token.

        Needs the extra `blnk-auth[sandbox]`.
        """
        pytest.importorskip("blnk_auth.testing.sandbox", exc_type=ImportError)
        check_that_a_crowd_renews_once(open_store)


def check_that_a_crowd_renews_once(open_store: OpenStore) -> None:
    """Eight processes with one expired, rotating token: one token request, no reuse, the same token for all."""
    from .sandbox import Sandbox

    with Sandbox() as sandbox, _handle(open_store) as store:
        registered = sandbox.origin, sandbox.client_id, sandbox.client_secret
        alice = _alice(store, registered)
        expired_at = time.time() - 60
        issued = Token.from_response(sandbox.issue("alice"), now=expired_at)
        alice.adopt(issued.replace(issued_at=expired_at - 3600, expires_at=expired_at))
        sandbox.token_latency = 0.2
        run_processes(_CROWD, _renew_in_process, open_store, registered, issued.access_token)
        assert _alice(store, registered).token().access_token != issued.access_token
        counts = sandbox.counts
        assert (counts.token_requests, counts.refreshes, counts.reuses) == (1, 1, 0)


def increment_under_lock(store: TokenStore, key: str, times: int) -> None:
    """Add 1 to the number under `key`, `times` times, each under the key's lock."""
    for _ in range(times):
        with store.lock(key, timeout=LONG):
            data, version = _loaded(store, key)
            store.save(key, {"n": data["n"] + 1}, expected=version)


def increment_by_comparing(store: TokenStore, key: str, times: int) -> None:
    """Add 1 to the number under `key`, `times` times, by compare-and-set alone."""
    for _ in range(times):
        while True:
            data, version = _loaded(store, key)
            with suppress(Conflict):
                store.save(key, {"n": data["n"] + 1}, expected=version)
                break


def run_processes(count: int, target: Callable[..., None], *args: Any) -> None:
    """Run `target(pipe, *args)` in `count` fresh processes at once and wait; it fails if one of them does not end well.

    Each sends "ready" through its pipe, and waits for "go" there, so that they start together.
    """
    with _processes(count, target, *args) as started:
        for _, pipe in started:
            assert _received(pipe) == "ready"
        for _, pipe in started:
            pipe.send("go")
        for process, _ in started:
            process.join(LONG)
        assert [process.exitcode for process, _ in started] == [0] * count


def _increment_in_process(
    pipe: Connection, open_store: OpenStore, increment: Callable[[TokenStore, str, int], None], times: int
) -> None:
    with _handle(open_store) as store:
        pipe.send("ready")
        pipe.recv()
        increment(store, "counter", times)


def _save_for_ever_in_process(pipe: Connection, open_store: OpenStore, key: str) -> None:
    with _handle(open_store) as store:
        data, version = _loaded(store, key)
        for number in itertools.count(data["n"] + 1):
            version = store.save(key, _numbered(number), expected=version)
            pipe.send(number)


def _numbered(number: int) -> dict[str, Any]:
    # Long enough that a writer is often killed within it.
    return {"n": number, "again": [number] * 1000}


def _renew_in_process(pipe: Connection, open_store: OpenStore, registered: tuple[str, str, str], expired: str) -> None:
    with _handle(open_store) as store:
        alice = _alice(store, registered)
        pipe.send("ready")
        pipe.recv()
        assert alice.token().access_token != expired


def _alice(store: TokenStore, registered: tuple[str, str, str]) -> TokenSource:
    origin, client_id, client_secret = registered
    client = OAuthClient(BlnkCloud(base_url=origin), client_id=client_id, client_secret=client_secret, store=store)
    return client.for_subject("alice")


def _hold_lock_in_process(pipe: Connection, open_store: OpenStore, key: str) -> None:
    with _handle(open_store) as store, store.lock(key, timeout=LONG):
        pipe.send("held")
        pipe.recv()


@contextmanager
def _processes(count: int, target: Callable[..., None], *args: Any) -> Generator[list[tuple[BaseProcess, Connection]]]:
    # Spawned, because a forked child would inherit this process's handles, which a user's processes do not.
    context = multiprocessing.get_context("spawn")
    started: list[tuple[BaseProcess, Connection]] = []
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(target=target, args=(theirs, *args))
            process.start()
            theirs.close()
            started.append((process, ours))
        yield started
    finally:
        for process, pipe in started:
            process.kill()
            process.join()
            process.close()
            pipe.close()


@contextmanager
def _process(target: Callable[..., None], *args: Any) -> Generator[tuple[BaseProcess, Connection]]:
    with _processes(1, target, *args) as [only]:
        yield only


def _received(pipe: Connection) -> Any:
    assert pipe.poll(LONG), "the other process said nothing"
    return pipe.recv()


@contextmanager
def _handle(open_store: OpenStore) -> Generator[TokenStore]:
    store = open_store()
    try:
        yield store
    finally:
        close = getattr(store, "close", None)
        if close is not None:
            close()


def _loaded(store: TokenStore, key: str) -> tuple[dict[str, Any], Version]:
    record = store.load(key)
    assert record is not None, f"{key!r} is not in the store"
    return record.data, record.version


def _lock_once(store: TokenStore, key: str) -> None:
    with store.lock(key, timeout=LONG):
        pass


def _seconds_until_refused(store: TokenStore, key: str, *, timeout: float) -> float:
    start = time.monotonic()
    with pytest.raises(StoreError), store.lock(key, timeout=timeout):
        pytest.fail("the lock was given to two at once")
    return time.monotonic() - start


def _in_thread(work: Callable[[], _Result]) -> _Result:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result(LONG)


def _in_threads(work: Callable[[], None]) -> None:
    together = threading.Barrier(_THREADS)

    def run() -> None:
        together.wait(LONG)
        work()

    with ThreadPoolExecutor(_THREADS) as threads:
        for done in [threads.submit(run) for _ in range(_THREADS)]:
            done.result(LONG)
