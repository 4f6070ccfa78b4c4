"""How a lease is renewed while its holder works. Time is passed in: nothing sleeps, and no server is asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, cast

import pytest
from support.limits import PATIENCE
from support.processes import in_forked_child

from blnk_auth import StoreError
from blnk_auth.stores._lease import _Renewer

LEASE = 10.0
CALL = 0.1
"""Seconds of each call to the server, whether it succeeds or fails."""


@dataclass
class Server:
    """Keeps one lease, and cannot be reached from `away_at` until `back_at`. Also the event that ends the renewing."""

    away_at: float
    back_at: float
    ends_at: float = 100.0
    now: float = 0.0
    expires_at: float = LEASE
    calls: list[float] = field(default_factory=list[float])

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return self.now >= self.ends_at

    def renew(self, key: str, owner: str) -> bool:
        self.now += CALL
        self.calls.append(self.now)
        if self.away_at <= self.now < self.back_at:
            raise StoreError("cannot be reached", key=key)
        if self.now >= self.expires_at:
            return False
        self.expires_at = self.now + LEASE
        return True

    def take(self, key: str, owner: str) -> bool:
        raise NotImplementedError

    def give_back(self, key: str, owner: str) -> bool:
        raise NotImplementedError

    def describe(self, key: str) -> str:
        raise NotImplementedError


def renewed(server: Server) -> Server:
    """After a holder that works until `ends_at`."""
    renewer, done = _Renewer(server, LEASE, "key", "owner"), cast("Any", server)
    renewer._done = done
    renewer._run(LEASE / 3)
    return server


@pytest.mark.parametrize("away_at", [3.0, 3.4, 4.0, 6.6, 9.9])
@pytest.mark.parametrize("seconds", [0.5, 3.5, 5.5])
def test_an_outage_of_half_a_lease_does_not_end_it(away_at: float, seconds: float) -> None:
    """Whenever it begins: a renewal that failed is repeated long before the next one would be due."""
    server = renewed(Server(away_at, away_at + seconds))
    assert server.now >= server.ends_at
    assert server.expires_at > server.ends_at


def test_a_lease_is_renewed_every_third_of_its_time() -> None:
    """Also after an outage."""
    server = renewed(Server(20.0, 22.0))
    late = [each for each in server.calls if each > 24]
    assert all(3 < after - before < 4 for before, after in pairwise(late))


def test_an_outage_costs_the_server_few_calls() -> None:
    """With jitter, at most two for each thirtieth of a lease, until the holder has ended."""
    server = renewed(Server(0.0, 1000.0, ends_at=2 * LEASE))
    assert len(server.calls) <= 2 * 2 * 30


def test_a_lease_that_has_run_out_is_not_renewed_any_more() -> None:
    """The holder finds out when it gives it back."""
    server = renewed(Server(3.0, 15.0))
    assert server.now < 16
    assert server.expires_at == LEASE


@pytest.mark.real
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_the_thread_that_renews() -> None:
    """It may have been forked while that thread had the lock within the event by which its holder ends it."""
    renewer = _Renewer(Server(away_at=0.0, back_at=0.0), LEASE, "key", "owner")
    locked, go_on = threading.Event(), threading.Event()

    def be_in_the_event() -> None:
        with cast("Any", renewer._done)._cond:
            locked.set()
            go_on.wait(PATIENCE)

    thread = threading.Thread(target=be_in_the_event)
    thread.start()
    try:
        assert locked.wait(PATIENCE)
        in_forked_child(renewer.end)
    finally:
        go_on.set()
        thread.join(PATIENCE)
