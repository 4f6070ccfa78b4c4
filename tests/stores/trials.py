"""The trials that every store kept outside this process goes through: a crowd of renewing processes, and kill -9.

`open_store` is a callable that opens a handle to the same data each time; for the crowd it must be picklable.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from stores.store_processes import alice_of, close, renew_in_process, start_forked_child

from blnk_auth.stores.base import TokenStore
from blnk_auth.testing import Sandbox
from blnk_auth.testing.store_contract import run_processes
from blnk_auth.token import Token

OpenStore = Callable[[], TokenStore]

CROWD = 8
"""Processes that renew at once."""

PATIENCE = 60.0
"""Seconds that only a hang uses up."""


# --- one renewal for all ---------------------------------------------------------------------------------------------


def check_that_a_crowd_renews_once(open_store: OpenStore) -> None:
    """Eight processes with one expired, rotating token: one token request, no reuse, the same token for all."""
    with Sandbox() as sandbox:
        store = open_store()
        alice = alice_of(store, sandbox.origin)
        expired_at = time.time() - 60
        issued = Token.from_response(sandbox.issue("alice"), now=expired_at)
        alice.adopt(issued.replace(issued_at=expired_at - 3600, expires_at=expired_at))
        sandbox.token_latency = 0.2
        run_processes(CROWD, renew_in_process, open_store, sandbox.origin, issued.access_token)
        counts = sandbox.counts
        assert (counts.token_requests, counts.refreshes, counts.reuses) == (1, 1, 0)
        assert alice_of(store, sandbox.origin).token().access_token != issued.access_token
        assert sandbox.counts.token_requests == 1
        close(store)


# --- kill -9 ---------------------------------------------------------------------------------------------------------


def check_that_kills_leave_old_or_new(
    open_store: OpenStore, times: int, *, payload: str = "x" * 3000, seed: int = 4
) -> None:
    """A process that saves under the lock is killed at random moments; what it was saving is old or new, never torn.

    Afterwards the lock is free, and the next save works.
    """
    chance = random.Random(seed)
    confirmed = 0
    for _ in range(times):
        confirmed += _confirmed_before_the_kill(open_store, confirmed, payload, chance)
        store = open_store()
        with store.lock("alice", timeout=PATIENCE):
            record = store.load("alice")
        number = 0 if record is None else record.data["n"]
        assert number in (confirmed, confirmed + 1)
        assert record is None or record.data == {"n": number, "payload": payload}
        confirmed = number
        close(store)


def _confirmed_before_the_kill(open_store: OpenStore, start: int, payload: str, chance: random.Random) -> int:
    """How many saves the killed process knew to be done."""
    reading, writing = os.pipe()
    child = start_forked_child(lambda: _save_for_ever(open_store, start, payload, writing))
    os.close(writing)
    try:
        seen = sum(len(os.read(reading, 1)) for _ in range(chance.randrange(1, 4)))
        # The moment is the experiment: anywhere in the save that is under way.
        threading.Event().wait(chance.uniform(0, 0.003))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := os.read(reading, 4096):
            seen += len(more)
        return seen
    finally:
        os.close(reading)


def _save_for_ever(open_store: OpenStore, number: int, payload: str, done: int) -> None:
    store = open_store()
    with suppress(BrokenPipeError):
        while True:
            with store.lock("alice", timeout=PATIENCE):
                record = store.load("alice")
                number += 1
                data = {"n": number, "payload": payload}
                store.save("alice", data, expected=None if record is None else record.version)
                os.write(done, b".")
