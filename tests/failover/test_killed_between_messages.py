"""A database server, or its client, that is killed between any two messages of a renewal.

Every request of a renewal to its store, and every answer, passes through a relay. It kills one of the two before
a message is passed on: before the request reaches the server, and after the server has acted on it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from support.limits import PATIENCE
from support.processes import start_forked_child
from support.relay import Relay
from support.replication import MariaDB, Primary
from support.server_processes import RedisServer, Server
from support.shared_grant import Process, World, world
from support.waiting import wait_until

from blnk_auth.errors import StoreError
from blnk_auth.stores import RedisStore, SQLStore

pytestmark = [pytest.mark.deep, pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")]

Open = Callable[[], Any]
LEASE = 1.0


def mariadb() -> MariaDB:
    """As a token store needs it."""
    return MariaDB("--innodb-flush-log-at-trx-commit=1")


SERVERS: dict[str, tuple[Callable[[], Server], Callable[..., Any]]] = {
    "mariadb": (mariadb, SQLStore),
    "postgresql": (Primary, SQLStore),
    "redis": (RedisServer, RedisStore),
}


@pytest.fixture(name="world")
def _world() -> Iterator[World]:
    with world() as the_world:
        yield the_world


@pytest.fixture(params=SERVERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(kind: str) -> Iterator[Server]:
    with SERVERS[kind][0]() as running:
        yield running


@pytest.fixture
def address(server: Server) -> Iterator[Relay]:
    with Relay(server.port) as relay:
        yield relay


@pytest.fixture
def open_store(kind: str, server: Server, address: Relay) -> Open:
    """Opens the store through the relay."""
    url = server.url.replace(f":{server.port}", f":{address.own_port}")
    opens = partial(SERVERS[kind][1], url, lease=LEASE)
    if kind != "redis":
        with opens() as store:
            store.create_schema()
    return opens


def messages_of_a_renewal(address: Relay, renew: Callable[[], object]) -> int:
    """How many there are, as counted in one that nothing interrupts."""
    address.count_from_here()
    renew()
    return address.messages


@contextlib.contextmanager
def interrupted(address: Relay, number: int, kill: Callable[[], object], *, passes_on: bool = True) -> Iterator[None]:
    """`kill` is called before that message is passed on, if it is passed on at all."""

    def act(each: int) -> bool:
        if each != number:
            return True
        kill()
        return passes_on

    address.count_from_here()
    address.before_message = act
    yield
    address.before_message = lambda each: None


def test_a_server_killed_at_any_moment_costs_no_pair_and_no_call(
    world: World, server: Server, address: Relay, open_store: Open
) -> None:
    """The caller gets a token or a typed error. Once the server is back, the same program renews or saves without
    a restart, each expiry has cost one refresh, and no lock is left.
    """
    process = world.signed_in(open_store)
    world.expire()
    moments = messages_of_a_renewal(address, process.token)
    for number in range(moments):
        old = process.token()
        world.expire()
        refreshes = world.costs()[0]
        with interrupted(address, number, server.kill), contextlib.suppress(StoreError):
            process.token()
        server.start()
        found = process.stored()
        world.clock.advance(120)
        known = process.token()
        assert known != old
        assert found in (old, known)
        assert world.costs() == (refreshes + 1, 0), f"killed at message {number}"
        # One that could not be saved is saved in the background, and needs the lock for it.
        wait_until(lambda known=known: process.stored() == known, "the new pair is saved")
        with process.store.lock(process.alice.store_key, timeout=PATIENCE):
            pass


def test_a_client_killed_at_any_moment_leaves_the_old_pair_or_the_new_one(
    world: World, server: Server, address: Relay, open_store: Open
) -> None:
    """At any moment: the record is whole, its lock is free once the time of the lease is over, and the
    next process continues with what is stored. Only a pair that was rotated and not saved is lost, and is reported.
    """
    lost = 0
    process = world.signed_in(open_store)
    world.expire()
    # One that connects first, as each of those that are killed does.
    moments = messages_of_a_renewal(address, world.process(open_store).token)
    for number, passes_on in itertools.product(range(moments), (True, False)):
        # The lock of the one killed before is free by itself.
        with process.store.lock(process.alice.store_key, timeout=PATIENCE):
            old = process.token()
        world.expire()
        refreshes, reuses = world.costs()
        _renew_in_a_child(world, open_store, partial(interrupted, address, number, passes_on=passes_on))
        rotated = world.costs()[0] > refreshes
        found = process.stored()
        is_old = found == old
        assert is_old or rotated
        other = world.process(open_store)
        if is_old and rotated:
            assert other.must_sign_in().reason == "refused"
            assert world.costs()[1] == reuses + 1
            lost += 1
            process = world.signed_in(open_store)
            continue
        assert other.token() != old
        assert world.costs() == (refreshes + 1, reuses), f"killed at message {number}, {passes_on}"
        assert process.token() == other.token()
    assert 0 < lost < moments


def _renew_in_a_child(world: World, open_store: Open, killed: Callable[..., Any]) -> None:
    """Until `killed(kill)` calls the function that it is given."""
    reading, writing = os.pipe()

    def renew() -> None:
        os.read(reading, 1)
        Process(world, open_store()).token()

    child = start_forked_child(renew)
    with killed(lambda: os.kill(child, signal.SIGKILL)):
        os.write(writing, b"x")
        os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)
