"""What holds, beyond the contract of every shared store, for those whose lock is a lease that a server keeps.

A subclass gives the fixtures `open_store` (a picklable callable; `lease=` may be passed on) and `run_out`.
"""

from __future__ import annotations

import copy
import os
import pickle
import random
import select
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from support.errors import raises
from support.processes import in_forked_child, start_forked_child
from support.stores.workers import count_up_for_ever, hold_until_told, renew_when_told
from support.waiting import wait_until
from support.worlds import World, a_world

from blnk_auth import BlnkCloud, OAuthClient, Token, TokenSource
from blnk_auth.errors import Conflict, StoreError
from blnk_auth.testing import Clock, Fault, Sandbox
from blnk_auth.testing._contract_workers import LONG, one_process, processes, received
from blnk_auth.testing.store_contract import SharedStoreContract

forks_with_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
kills = pytest.mark.parametrize("kills", [15, pytest.param(200, marks=pytest.mark.deep)])

OpenStore = Callable[..., Any]


class LeaseStoreContract(SharedStoreContract):
    """Run against real servers."""

    @pytest.fixture
    def run_out(self) -> Callable[[str], None]:
        """Ends the lease of a key on the server, as its time would, unless it is renewed just then."""
        raise NotImplementedError

    # --- the lease

    def test_a_lost_lease_is_reported(self, open_store: OpenStore, run_out: Callable[[str], None]) -> None:
        """A holder whose lease ran out and was taken learns it when leaving, and does not free its successor's."""
        with open_store(lease=LONG) as one, open_store() as other, open_store() as third:
            successor = other.lock("alice", timeout=LONG)
            with loses_its_lock(one, "alice"):
                run_out("alice")
                successor.__enter__()
            with pytest.raises(StoreError), third.lock("alice", timeout=0):
                pass
            successor.__exit__(None, None, None)
            with third.lock("alice", timeout=0):
                pass

    def test_an_error_inside_matters_more(self, open_store: OpenStore, run_out: Callable[[str], None]) -> None:
        """An exception inside the context is not replaced by the one for the lost lease."""
        with open_store(lease=LONG) as one, open_store() as other:

            def fail_inside() -> None:
                with one.lock("alice", timeout=LONG):
                    run_out("alice")
                    with other.lock("alice", timeout=LONG):
                        raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                fail_inside()

    def test_a_save_under_a_lost_lease_replaces_no_successor(
        self, open_store: OpenStore, run_out: Callable[[str], None]
    ) -> None:
        """A holder that lost its lease cannot replace what was saved since it looked."""
        with open_store(lease=LONG) as one, open_store() as other:
            read = one.save("alice", {"n": 1}, expected=None)
            with loses_its_lock(one, "alice"):
                run_out("alice")
                with other.lock("alice", timeout=LONG):
                    newer = other.save("alice", {"n": 2}, expected=read)
                with pytest.raises(Conflict):
                    one.save("alice", {"n": 3}, expected=read)
            record = other.load("alice")
            assert (record.data, record.version) == ({"n": 2}, newer)

    def test_a_delete_under_a_lost_lease_removes_nothing(
        self, open_store: OpenStore, run_out: Callable[[str], None]
    ) -> None:
        """A holder that lost its lease cannot delete its successor's record; without a lock anybody may delete."""
        with open_store(lease=LONG) as one, open_store() as other:
            with loses_its_lock(one, "alice"):
                run_out("alice")
                with other.lock("alice", timeout=LONG):
                    other.save("alice", {"n": 2}, expected=None)
                    with raises(StoreError, key="alice"):
                        one.delete("alice")
            assert other.load("alice").data == {"n": 2}
            one.delete("alice")
            assert other.load("alice") is None

    def test_the_holder_deletes(self, open_store: OpenStore) -> None:
        """Under a lock that is not lost a delete works, also of nothing."""
        with open_store() as store, store.lock("alice", timeout=LONG):
            store.save("alice", {}, expected=None)
            store.delete("alice")
            store.delete("alice")
            assert store.load("alice") is None

    def test_a_lease_is_renewed_during_long_work(self, open_store: OpenStore) -> None:
        """A lock outlives its lease while its holder works: a thread renews it every third of its time (F43)."""
        renewals = threading.Semaphore(0)
        with open_store(lease=2.0) as one, open_store(lease=2.0) as other:
            leases = one._locks._leases
            renew = leases.renew

            def counted(key: str, owner: str) -> bool:
                is_renewed = renew(key, owner)
                renewals.release()
                return is_renewed

            leases.renew = counted
            with one.lock("alice", timeout=LONG):
                for _ in range(4):
                    assert renewals.acquire(timeout=LONG)
                with raises(StoreError, shows=("'alice'", other._locks._leases.describe("alice"))):
                    other.lock("alice", timeout=0).__enter__()

    def test_a_stopped_holder_loses_its_lease_and_gets_an_error(self, open_store: OpenStore) -> None:
        """A process that is paused longer than its lease keeps nobody waiting, and learns it when it continues."""
        # Only the holder's lease is short: the others must keep theirs on a busy machine.
        short = partial(open_store, lease=0.5)
        with open_store() as store, one_process(hold_until_told, short, "alice") as (process, pipe):
            assert received(pipe) == "locked"
            os.kill(process.pid, signal.SIGSTOP)
            with store.lock("alice", timeout=LONG):
                os.kill(process.pid, signal.SIGCONT)
                pipe.send("leave")
                assert "was lost" in received(pipe)
                with open_store() as third, pytest.raises(StoreError):
                    third.lock("alice", timeout=0).__enter__()

    def test_no_thread_is_left(self, open_store: OpenStore) -> None:
        """What renews a lease ends with it."""
        with open_store(lease=0.5) as store:
            # The lease may be lost on a machine that is busy for so long.
            with suppress(StoreError), store.lock("alice", timeout=LONG):
                wait_until(
                    lambda: "blnk-auth lease" in {thread.name for thread in threading.enumerate()},
                    "a thread renews the lease",
                )
            # A thread that was only just being started ends by itself.
            wait_until(
                lambda: "blnk-auth lease" not in {thread.name for thread in threading.enumerate()},
                "no thread renews the lease",
            )

    def test_short_work_needs_no_thread(self, open_store: OpenStore) -> None:
        """A lease that is given back before a third of it has passed is not renewed, and no thread waits to do so."""
        with open_store(lease=LONG) as store, store.lock("alice", timeout=LONG):
            assert "blnk-auth lease" not in {thread.name for thread in threading.enumerate()}

    # --- forks, pickles, copies

    def test_a_forked_child_has_connections_of_its_own(self, open_store: OpenStore) -> None:
        """A child forked from a process that uses the store reads and writes at the same time as its parent."""
        with open_store() as store:

            def write(key: str) -> None:
                version = None
                for number in range(50):
                    version = store.save(key, {"n": number}, expected=version)
                    assert store.load(key).data == {"n": number}

            write("before")
            child = start_forked_child(lambda: write("child"))
            write("parent")
            assert os.waitpid(child, 0)[1] == 0
            assert list(store.keys()) == ["before", "child", "parent"]
            store.delete("child")

    @forks_with_threads
    def test_a_child_forked_under_the_lock_does_not_free_it(self, open_store: OpenStore) -> None:
        """The lock stays with the process that took it, also if its child leaves the context."""
        with open_store() as store, open_store() as other:
            context = store.lock("alice", timeout=LONG)
            with context:
                in_forked_child(lambda: context.__exit__(None, None, None) and None)
                with pytest.raises(StoreError), other.lock("alice", timeout=0):
                    pass
            with other.lock("alice", timeout=0):
                pass

    @forks_with_threads
    def test_a_fork_amid_other_threads_writes_is_safe(self, open_store: OpenStore) -> None:
        """Children forked while threads save and hold locks can save and lock; the threads notice nothing."""
        stop = threading.Event()
        # Not while they connect: pymysql makes an SSL context for that, and OpenSSL's locks do not survive a fork.
        connected = threading.Barrier(4)
        with open_store() as store:

            def write(name: str) -> None:
                version = store.save(name, {}, expected=None)
                connected.wait(LONG)
                while not stop.is_set():
                    with store.lock(name, timeout=LONG):
                        version = store.save(name, {}, expected=version)

            def child(number: int) -> None:
                with store.lock(f"child {number}", timeout=LONG):
                    store.save(f"child {number}", {}, expected=None)

            with ThreadPoolExecutor(3) as threads:
                writers = [threads.submit(write, f"thread {number}") for number in range(3)]
                try:
                    connected.wait(LONG)
                    for number in range(5):
                        in_forked_child(partial(child, number))
                finally:
                    stop.set()
                for writer in writers:
                    writer.result(LONG)
            assert len(list(store.keys("child "))) == 5

    def test_a_pickle_carries_no_record(self, open_store: OpenStore) -> None:
        """A pickled store opens the same data elsewhere, with the same settings."""
        with open_store() as store:
            store.save("alice", {"access_token": "s3cr3t"}, expected=None)
            pickled = pickle.dumps(store)
            assert b"s3cr3t" not in pickled
            with pickle.loads(pickled) as restored:
                assert repr(restored) == repr(store)
                assert restored.load("alice").data == {"access_token": "s3cr3t"}
                assert pickle.dumps(restored) == pickled

    def test_a_copy_is_the_same_store(self, open_store: OpenStore) -> None:
        """Copying, deep or not, gives the store itself."""
        with open_store() as store:
            assert copy.copy(store) is store
            assert copy.deepcopy({"store": store})["store"] is store

    def test_a_closed_store_opens_again(self, open_store: OpenStore) -> None:
        """A renewal under way when the store is closed can still save."""
        with open_store() as store:
            store.save("alice", {"n": 1}, expected=None)
            store.close()
            assert store.load("alice").data == {"n": 1}

    # --- with everything around it

    @pytest.mark.deep
    def test_f40_eight_processes_renew_once_each_time(self, open_store: OpenStore) -> None:
        """Eight processes that find one rotating token expired cause one refresh and no reuse, ten times in a row."""
        clock = Clock()
        with Sandbox(clock=clock) as sandbox, open_store() as store:
            sandbox.token_latency = 0.3
            credentials = {"client_id": sandbox.client_id, "client_secret": sandbox.client_secret}
            client = OAuthClient(BlnkCloud(base_url=sandbox.origin), store=store, clock=clock, **credentials)
            client.for_subject("alice").adopt(Token.from_response(sandbox.issue("alice"), now=clock()))
            with processes(8, renew_when_told, open_store, sandbox.origin, credentials) as started:
                pipes = [pipe for _, pipe in started]
                assert [received(pipe) for pipe in pipes] == ["ready"] * 8
                for number in range(1, 11):
                    clock.advance(sandbox.lifetime + 1)
                    for pipe in pipes:
                        pipe.send(clock())
                    assert len({received(pipe) for pipe in pipes}) == 1
                    assert (sandbox.counts.refreshes, sandbox.counts.reuses) == (number, 0)

    @kills
    def test_f44_a_killed_writer_leaves_the_old_or_the_new(self, open_store: OpenStore, kills: int) -> None:
        """Whenever a writer is killed, the record is what it last reported as saved, or the one it was saving."""
        chance = random.Random(44)
        with open_store(lease=0.2) as store:
            store.save("counter", {"n": 0, "again": [0] * 500}, expected=None)
            for _ in range(kills):
                known = store.load("counter").data["n"]
                last = _killed_at_a_random_moment(partial(count_up_for_ever, store), chance) or known
                data = store.load("counter").data
                assert data["n"] in (last, last + 1)
                assert data["again"] == [data["n"]] * 500


@contextmanager
def loses_its_lock(store: Any, key: str) -> Iterator[None]:
    """Hold the lock, and fail unless leaving it reports that it was lost."""
    lock = store.lock(key, timeout=LONG)
    lock.__enter__()
    yield
    with raises(StoreError, key=key):
        lock.__exit__(None, None, None)


def _killed_at_a_random_moment(work: Callable[[int], None], chance: random.Random) -> int | None:
    """Fork a child that does `work(pipe)`, kill it, and return the last number that it wrote to the pipe."""
    read_end, write_end = os.pipe()
    child = start_forked_child(lambda: work(write_end))
    os.close(write_end)
    numbers = b""
    # It has begun; then up to so many seconds more, some of them spent waiting for the pipe.
    for seconds in (LONG, *(chance.uniform(0, 0.004) for _ in range(chance.randint(0, 4)))):
        if select.select([read_end], [], [], seconds)[0]:
            numbers += os.read(read_end, 8)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(read_end, 4096):
        numbers += more
    os.close(read_end)
    return int.from_bytes(numbers[-8:], "big") if numbers else None


# --- a server that stops ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grant:
    """Alice's grant at a sandbox, in a store whose server is going to be killed."""

    world: World
    source: TokenSource


@contextmanager
def alice_in(store: Any) -> Iterator[Grant]:
    with a_world() as world, store:
        world.store = store
        yield Grant(world, world.signed_in())


def check_a_dead_server_stops_renewals_only(store: Any, server: Any) -> None:
    """A valid token keeps working; a renewal fails with StoreError, asking nobody, until the server is back."""
    with alice_in(store) as alice:
        server.kill()
        before = alice.source.token()
        alice.world.clock.advance(10)
        assert alice.source.token() == before
        alice.world.expire()
        with raises(StoreError, shows="url"):
            alice.source.token()
        assert alice.world.sandbox.counts.token_requests == 0
        server.start()
        alice.world.clock.advance(120)
        assert alice.source.token() != before
        assert (alice.world.sandbox.counts.refreshes, alice.world.sandbox.counts.reuses) == (1, 0)


def check_a_server_that_dies_during_the_token_call_costs_no_pair(store: Any, server: Any) -> None:
    """The new pair is used from memory immediately, and is saved when the server is back; one refresh in all."""
    with alice_in(store) as alice:

        def kill(members: dict[str, Any]) -> dict[str, Any]:
            server.kill()
            return members

        alice.world.expire()
        alice.world.sandbox.fail(Fault(rewrite=kill))
        renewed = alice.source.token()
        alice.world.events.wait_for("save_failed")
        assert store_is_down(store, alice.source.store_key)
        server.start()
        alice.world.clock.advance(120)
        assert alice.source.token() == renewed
        alice.world.events.wait_for("saved")
        assert store.load(alice.source.store_key).data["token"]["access_token"] == renewed.access_token
        assert (alice.world.sandbox.counts.refreshes, alice.world.sandbox.counts.reuses) == (1, 0)


def store_is_down(store: Any, key: str) -> bool:
    try:
        store.load(key)
    except StoreError:
        return True
    return False
