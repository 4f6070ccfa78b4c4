"""PostgreSQL with a standby that is promoted: what holds, and what the settings are for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from support.errors import must_show
from support.limits import PATIENCE
from support.relay import Relay
from support.replication import Primary, either, replicated
from support.shared_grant import World, world

from blnk_auth.stores import SQLStore

pytestmark = pytest.mark.deep


@pytest.fixture(name="world")
def _world() -> Iterator[World]:
    with world() as the_world:
        yield the_world


def store_at(url: str) -> partial[SQLStore]:
    """A lease that is over soon, as the lock of a holder that was killed must be."""
    return partial(SQLStore, url, lease=1.0)


def with_tables(url: str) -> partial[SQLStore]:
    with SQLStore(url) as store:
        store.create_schema()
    return store_at(url)


def wait_for_standby(primary: Primary) -> None:
    """Have commits wait for the standby from here on."""
    primary.set("synchronous_standby_names", "standby")
    primary.execute("CREATE TABLE waited_for ()")


@pytest.mark.parametrize("commit", ["on", "remote_apply"])
def test_with_synchronous_replication_the_promoted_standby_has_every_confirmed_pair(world: World, commit: str) -> None:
    """The URL names both hosts. Killed after a save, the primary takes nothing with it, and a process that knows
    nothing finds the pair at the standby. The store of the running program continues there.
    """
    with replicated(synchronous_commit=commit) as (primary, standby, _):
        open_store = with_tables(either(primary, standby))
        wait_for_standby(primary)
        process, other = world.signed_in(open_store), world.process(open_store)
        world.expire()
        known = process.token()
        primary.kill()
        assert process.token() == known
        standby.promote()
        assert other.token() == known
        world.expire()
        assert process.token() == other.token() != known
        assert world.costs() == (2, 0)
        assert "store_rolled_back" not in process.events.names + other.events.names


@pytest.mark.parametrize("commit", ["on", "local"], ids=["synchronous", "asynchronous"])
def test_a_primary_killed_between_rotation_and_save_costs_no_pair(world: World, commit: str) -> None:
    """The pair is used from memory, the error of others is typed until the standby is promoted, the lock of the killed
    session is free once its time is over, and then the pair is saved.
    """
    with replicated(synchronous_commit=commit) as (primary, standby, _):
        open_store = with_tables(either(primary, standby))
        wait_for_standby(primary)
        process, other = world.signed_in(open_store), world.process(open_store)
        primary.execute("SELECT pg_switch_wal()")
        world.expire()
        world.at_the_next_rotation(primary.kill)
        known = process.token()
        process.events.wait_for("save_failed")
        other.fails_with_store_error()
        standby.promote()
        world.clock.advance(120)
        assert process.token() == known
        process.events.wait_for("saved")
        assert other.token() == known
        assert world.costs() == (1, 0)


def test_with_asynchronous_replication_a_lost_pair_comes_back_from_who_knows_it(world: World) -> None:
    """The standby has the pair before the last. The process that renewed saves its own again and renews: no reuse."""
    with replicated() as (primary, standby, between):
        open_store = with_tables(either(primary, standby))
        process = world.signed_in(open_store)
        wait_for_standby(primary)
        primary.set("synchronous_standby_names", "")
        between.cut()
        world.expire()
        known = process.token()
        primary.kill()
        standby.promote()
        assert process.stored() != known
        assert process.token() == known
        world.expire()
        assert process.token() != known
        process.events.wait_for("store_rolled_back")
        assert world.costs() == (2, 0)


def test_with_asynchronous_replication_a_pair_that_nobody_knows_is_lost(world: World) -> None:
    """A process that was not running presents the spent refresh token: reuse, and a new sign-in resolves it."""
    with replicated() as (primary, standby, between):
        open_store = with_tables(either(primary, standby))
        process = world.signed_in(open_store)
        wait_for_standby(primary)
        primary.set("synchronous_standby_names", "")
        between.cut()
        world.expire()
        process.token()
        primary.kill()
        standby.promote()
        other = world.process(open_store)
        assert other.must_sign_in().reason == "refused"
        assert world.costs() == (1, 1)
        start = other.client.start_authorization("alice")
        other.client.finish_authorization(world.sandbox.sign_in(start.url))
        world.expire()
        assert other.token() == process.token()
        assert world.costs() == (2, 1)


def test_a_commit_that_waits_for_a_standby_is_not_waited_for_without_end(world: World) -> None:
    """Without its synchronous standby PostgreSQL lets a commit wait for ever. A renewal then fails in bounded time
    with an error that names the cause, before anything is sent, and continues by itself when the standby is back.
    """
    with replicated() as (primary, standby, _):
        open_store = with_tables(primary.url)
        wait_for_standby(primary)
        process = world.signed_in(open_store)
        before = process.token()
        standby.kill()
        assert process.token() == before
        world.expire()
        began_at = time.monotonic()
        must_show(process.fails_with_store_error(), "SyncRep")
        assert time.monotonic() - began_at < PATIENCE
        assert world.sandbox.counts.token_requests == 0
        standby.start()
        world.expire()
        assert process.token() != before
        assert world.costs() == (1, 0)


def test_a_standby_that_is_lost_during_a_renewal_costs_no_pair(world: World) -> None:
    """Nobody knows whether the save took effect: the pair is used from memory, and found to be saved later."""
    with replicated() as (primary, standby, _):
        open_store = with_tables(primary.url)
        wait_for_standby(primary)
        process, other = world.signed_in(open_store), world.process(open_store)
        world.expire()
        world.at_the_next_rotation(standby.kill)
        known = process.token()
        process.events.wait_for("save_failed")
        standby.start()
        world.clock.advance(120)
        assert process.token() == known
        process.events.wait_for("saved")
        assert other.token() == known
        assert world.costs() == (1, 0)


def test_an_address_that_leads_to_the_standby_before_it_is_promoted(world: World) -> None:
    """A name that moves too early: records are read, a renewal is refused with what to do, and works after the
    promotion, through the same pool of connections.
    """
    with replicated() as (primary, standby, _), Relay(primary.port) as address:
        open_store = with_tables(primary_url_at(primary, address))
        wait_for_standby(primary)
        process = world.signed_in(open_store)
        before = process.token()
        primary.kill()
        address.port = standby.port
        assert process.alice.state == "fresh"
        world.expire()
        must_show(process.fails_with_store_error(), "primary")
        assert world.sandbox.counts.token_requests == 0
        standby.promote()
        world.expire()
        assert process.token() != before
        assert world.costs() == (1, 0)


def primary_url_at(primary: Primary, address: Relay) -> str:
    return primary.url.replace(f":{primary.port}/", f":{address.own_port}/")


@pytest.mark.parametrize("commit", ["on", "off"])
def test_a_primary_that_is_killed_and_started_again(world: World, commit: str) -> None:
    """With synchronous_commit on every confirmed pair is there; with off the last ones may be lost, and come back from
    the process that knows them.
    """
    settings: dict[str, Any] = {"synchronous_commit": commit, "wal_writer_delay": "10s"}
    with Primary(**settings) as primary:
        process = world.signed_in(with_tables(primary.url))
        primary.execute("CHECKPOINT")
        world.expire()
        known = process.token()
        primary.kill()
        primary.start()
        was_lost = process.stored() != known
        assert not was_lost or commit == "off"
        world.expire()
        assert process.token() != known
        assert process.repaired_the_store(was_lost)
        assert world.costs() == (2, 0)
