"""Redis that comes back empty, older or as a replica that was promoted: what holds, and what the settings are for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from support.errors import must_show
from support.relay import Relay
from support.replication import promote, replica_of, restart, snapshot, wait_for_replica
from support.server_processes import RedisServer
from support.shared_grant import Process, World, world
from support.waiting import wait_until

from blnk_auth import Token
from blnk_auth.stores import RedisStore

pytestmark = pytest.mark.deep

# As a cache is often set up, and as a token store must not be.
NOTHING_ON_DISK = ("--appendonly", "no")


@pytest.fixture(name="world")
def _world() -> Iterator[World]:
    with world() as the_world:
        yield the_world


def store_at(port: int) -> partial[RedisStore]:
    """A lease that is over soon, as the lock of a holder that was killed must be."""
    return partial(RedisStore, f"redis://127.0.0.1:{port}/0", lease=1.0)


def renewed_by(process: Process, world: World) -> Token:
    """The next token, once the current one has expired."""
    world.expire()
    return process.token()


# --- a restart -------------------------------------------------------------------------------------------------------


def test_a_server_that_restarts_empty_costs_every_grant_a_sign_in_and_presents_nothing(world: World) -> None:
    """A cached token is used while it is valid; then the grant is missing, no refresh token is sent, and a sign-in
    resolves it.
    """
    with RedisServer(*NOTHING_ON_DISK) as server:
        process = world.signed_in(store_at(server.port))
        before = process.token()
        restart(server)
        assert process.token() == before
        assert process.alice.state == "missing"
        world.expire()
        assert process.must_sign_in().reason == "missing"
        assert world.sandbox.counts.token_requests == 0
        process.alice.adopt(Token.from_response(world.sandbox.issue("alice"), now=world.clock()))
        assert renewed_by(process, world) != before
        assert world.costs() == (1, 0)


@pytest.mark.parametrize("renewals", [1, 2, 4])
def test_a_server_that_restarts_from_an_old_snapshot_gets_the_pair_back_from_who_knows_it(
    world: World, renewals: int
) -> None:
    """The process that renewed since the snapshot saves its pair again, reports it, and renews: no reuse."""
    with RedisServer(*NOTHING_ON_DISK) as server:
        process = world.signed_in(store_at(server.port))
        snapshot(server)
        for _ in range(renewals):
            known = renewed_by(process, world)
        restart(server)
        assert process.stored() != known
        assert process.token() == known
        assert renewed_by(process, world) != known
        assert "docs/how-to/use-postgresql-or-redis.md" in process.events.wait_for("store_rolled_back").detail
        assert world.costs() == (renewals + 1, 0)


def test_what_no_process_knows_is_lost_with_the_snapshot_and_ends_in_a_sign_in(world: World) -> None:
    """A process that has not seen the lost pair presents the spent refresh token, and the server ends the grant. The
    process that knew the pair reports that the store was rolled back, and raises the same.
    """
    with RedisServer(*NOTHING_ON_DISK) as server:
        knowing = world.signed_in(store_at(server.port))
        snapshot(server)
        renewed_by(knowing, world)
        restart(server)
        other = world.process(store_at(server.port))
        world.expire()
        assert other.must_sign_in().reason == "refused"
        assert world.costs() == (1, 1)
        assert knowing.must_sign_in().reason == "refused"
        knowing.events.wait_for("store_rolled_back")
        assert world.costs() == (1, 1)


def test_a_new_sign_in_that_the_store_has_lost_comes_back(world: World) -> None:
    """The grant before it, which had ended, does not win over a sign-in that the process remembers."""
    with RedisServer(*NOTHING_ON_DISK) as server:
        process = world.signed_in(store_at(server.port))
        world.sandbox.revoke_grant("alice")
        world.expire()
        assert process.must_sign_in().reason == "refused"
        snapshot(server)
        start = process.client.start_authorization("alice")
        process.client.finish_authorization(world.sandbox.sign_in(start.url))
        known = process.token()
        restart(server)
        assert process.alice.state == "fresh"
        assert renewed_by(process, world) != known
        process.events.wait_for("store_rolled_back")
        assert world.costs() == (1, 0)


@pytest.mark.parametrize("fsync", ["always", "everysec"])
def test_with_an_append_only_file_a_killed_server_has_every_confirmed_pair(world: World, fsync: str) -> None:
    """A kill -9 loses nothing of what was confirmed, and the store of the running program reaches the new server."""
    with RedisServer("--appendfsync", fsync) as server:
        process, other = world.signed_in(store_at(server.port)), world.process(store_at(server.port))
        for number in range(1, 4):
            known = renewed_by(process, world)
            restart(server)
            assert other.token() == known
            assert world.costs() == (number, 0)


def test_a_power_cut_leaves_the_old_record_or_the_new_one_whole(world: World) -> None:
    """Wherever the append-only file ends, as after a power cut without `appendfsync always`: never a mixed record."""
    with RedisServer() as server:
        process = world.signed_in(store_at(server.port))
        old = process.stored()
        file = max((server.directory / "appendonlydir").glob("*.incr.aof"))
        before = file.stat().st_size
        new = renewed_by(process, world)
        server.kill()
        whole = file.read_bytes()
        seen = set[str]()
        for end in (*range(before, len(whole), (len(whole) - before) // 12), len(whole)):
            file.write_bytes(whole[:end])
            server.start()
            wait_until(lambda: process.stored() is not None, "the data are loaded")
            found = process.stored()
            assert found in (old, new)
            seen.add(found.access_token)
            server.kill()
        assert seen == {old.access_token, new.access_token}


# --- a replica that is promoted --------------------------------------------------------------------------------------


def test_a_promoted_replica_continues_where_the_master_ended(world: World) -> None:
    """With a replica in step nothing is lost, and a program that runs on finds the new master at the old address."""
    with RedisServer() as master, replica_of(master) as replica, Relay(master.port) as address:
        process, other = (world.signed_in(store_at(address.own_port)), world.process(store_at(address.own_port)))
        known = renewed_by(process, world)
        wait_for_replica(master, replica)
        master.kill()
        assert process.token() == known
        world.expire()
        process.fails_with_store_error()
        promote(replica)
        address.port = replica.port
        world.expire()
        assert other.token() == process.token() != known
        assert world.costs() == (2, 0)


def test_a_pair_that_no_replica_had_comes_back_from_who_knows_it(world: World) -> None:
    """Replication is asynchronous: a replica that was behind has the pair before, which is not presented."""
    with (
        RedisServer() as master,
        Relay(master.port) as between,
        replica_of(master, port=between.own_port) as replica,
        Relay(master.port) as address,
    ):
        process = world.signed_in(store_at(address.own_port))
        wait_for_replica(master, replica)
        between.cut()
        known = renewed_by(process, world)
        master.kill()
        promote(replica)
        address.port = replica.port
        assert process.stored() != known
        assert renewed_by(process, world) != known
        process.events.wait_for("store_rolled_back")
        assert world.costs() == (2, 0)


def test_a_master_killed_between_rotation_and_save_costs_no_pair(world: World) -> None:
    """The pair is used from memory, and saved at the promoted replica, which also has the lock until its time is
    over.
    """
    with RedisServer() as master, replica_of(master) as replica, Relay(master.port) as address:
        process, other = world.signed_in(store_at(address.own_port)), world.process(store_at(address.own_port))
        wait_for_replica(master, replica)
        world.expire()
        world.at_the_next_rotation(master.kill)
        known = process.token()
        process.events.wait_for("save_failed")
        promote(replica)
        address.port = replica.port
        world.clock.advance(120)
        assert process.token() == known
        process.events.wait_for("saved")
        assert other.token() == known
        assert world.costs() == (1, 0)


def wait_for_good_replicas(master: RedisServer, count: int) -> None:
    """Until the master counts so many replicas for min-replicas-to-write."""
    with master.client() as client:
        wait_until(lambda: client.info("replication")["min_slaves_good_slaves"] == count, f"{count} good replicas")


def test_too_few_replicas_stop_a_renewal_before_anything_is_sent(world: World) -> None:
    """With min-replicas-to-write a master without a replica in step refuses the lock, so no pair can be lost there."""
    settings = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "10")
    with RedisServer(*settings) as master, replica_of(master) as replica:
        wait_for_good_replicas(master, 1)
        process = world.signed_in(store_at(master.port))
        before = process.token()
        replica.kill()
        wait_for_good_replicas(master, 0)
        assert process.token() == before
        world.expire()
        must_show(process.fails_with_store_error(), "min-replicas-to-write")
        assert world.sandbox.counts.token_requests == 0
        replica.start()
        wait_for_good_replicas(master, 1)
        assert renewed_by(process, world) != before
        assert world.costs() == (1, 0)


def test_a_demoted_master_is_left_although_its_connections_stay(world: World) -> None:
    """A master that becomes a replica keeps its connections: the store leaves them for those of the new master."""
    with RedisServer() as master, replica_of(master) as replica, Relay(master.port) as address:
        process = world.signed_in(store_at(address.own_port))
        before = process.token()
        wait_for_replica(master, replica)
        promote(replica)
        with master.client() as client:
            client.replicaof("127.0.0.1", replica.port)
        world.expire()
        must_show(process.fails_with_store_error(), "master")
        address.port = replica.port
        world.expire()
        assert process.token() != before
        assert world.costs() == (1, 0)
