"""The trial for a store outside this process, beyond the contract: hundreds of kill -9.

`open_store` is a callable that opens a handle to the same data each time.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

from support.processes import start_forked_child
from support.stores.workers import close

from blnk_auth.errors import StoreError
from blnk_auth.stores._token_store import Record, TokenStore

OpenStore = Callable[[], TokenStore]

PATIENCE = 60.0
"""Seconds that only a hang uses up."""


def check_that_kills_leave_old_or_new(
    open_store: OpenStore,
    times: int,
    *,
    payload: str = "x" * 3000,
    seed: int = 4,
    restarted: Callable[[], bool] = lambda: False,
) -> None:
    """A process that saves under the lock is killed at random moments; what it was saving is old or new, never torn.

    Afterwards the lock is free, and the next save works. `restarted` is called where a store fails: True if the server
    behind it did not survive the kill and has been started again, so that the store is asked once more.
    """
    chance = random.Random(seed)
    confirmed = 0
    for _ in range(times):
        seen, ended_by_the_kill = _saved_before_the_kill(open_store, confirmed, payload, chance)
        assert ended_by_the_kill or restarted(), "the process failed before it was killed; its traceback is on stderr"
        confirmed += seen
        try:
            record = _load_under_the_lock(open_store)
        except StoreError:
            if not restarted():
                raise
            record = _load_under_the_lock(open_store)
        number = 0 if record is None else record.data["n"]
        assert number in (confirmed, confirmed + 1)
        assert record is None or record.data == {"n": number, "payload": payload}
        confirmed = number


def _load_under_the_lock(open_store: OpenStore) -> Record | None:
    store = open_store()
    try:
        with store.lock("alice", timeout=PATIENCE):
            return store.load("alice")
    finally:
        close(store)


def _saved_before_the_kill(open_store: OpenStore, start: int, payload: str, chance: random.Random) -> tuple[int, bool]:
    """How many saves the killed process knew to be done, and whether it was the kill that ended it."""
    reading, writing = os.pipe()

    def save() -> None:
        # So that it ends with its parent, should that be killed.
        os.close(reading)
        _save_for_ever(open_store, start, payload, writing)

    child = start_forked_child(save)
    os.close(writing)
    try:
        seen = sum(len(os.read(reading, 1)) for _ in range(chance.randrange(1, 4)))
        # The moment is the experiment: anywhere in the save that is under way.
        threading.Event().wait(chance.uniform(0, 0.003))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        while more := os.read(reading, 4096):
            seen += len(more)
        return seen, os.WIFSIGNALED(status)
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
