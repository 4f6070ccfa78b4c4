"""What the tests of the stores run in other processes: importable there, unlike a test module, and light.

Each worker writes "ready" to its pipe and begins when something is sent to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from support.limits import PATIENCE

from blnk_auth import BlnkCloud, OAuthClient, StoreError
from blnk_auth.stores._process_lock import process_lock
from blnk_auth.stores._sqlite import SQLiteStore
from blnk_auth.stores._token_store import TokenStore

OpenStore = Callable[[], Any]


def renew_when_told(pipe: Connection, open_store: OpenStore, origin: str, credentials: dict[str, str]) -> None:
    """At each time received, ask for alice's token then, with a new client, and send its access token back."""
    pipe.send("ready")
    while (now := pipe.recv()) is not None:
        with open_store() as store:
            client = OAuthClient(BlnkCloud(base_url=origin), store=store, clock=lambda at=now: at, **credentials)
            pipe.send(client.for_subject("alice").token().access_token)


def hold_until_told(pipe: Connection, open_store: OpenStore, key: str) -> None:
    """Hold the lock until something is received, then send what leaving it raised."""
    with open_store() as store:
        try:
            with store.lock(key, timeout=PATIENCE):
                pipe.send("locked")
                pipe.recv()
        except StoreError as error:
            pipe.send(str(error))
        else:
            pipe.send("all is well")


def create_schema_when_told(pipe: Connection, open_store: OpenStore) -> None:
    pipe.send("ready")
    pipe.recv()
    with open_store() as store:
        store.create_schema()


def count_up_for_ever(store: Any, acknowledged: int) -> None:
    """Replace the record under the lock again and again, and write each new number to a pipe once it is saved."""
    while True:
        with store.lock("counter", timeout=PATIENCE):
            record = store.load("counter")
            number = record.data["n"] + 1
            store.save("counter", {"n": number, "again": [number] * 500}, expected=record.version)
            os.write(acknowledged, number.to_bytes(8, "big"))


def count_in_file(pipe: Connection, lock_file: Path, counter: Path, times: int) -> None:
    """Add 1 to the number in a plain file, which only the lock keeps from being lost."""
    pipe.send("ready")
    pipe.recv()
    for _ in range(times):
        with process_lock(lock_file, purpose="the counter", timeout=PATIENCE):
            counter.write_text(str(int(counter.read_text()) + 1))


def write_own_keys(pipe: Connection, path: Path, times: int) -> None:
    """Open the store on a signal, then save, replace and delete records of this process's own."""
    write_own_keys_in(pipe, partial(SQLiteStore, path), times)


def write_own_keys_in(pipe: Connection, open_store: OpenStore, times: int) -> None:
    """The same in any store."""
    pipe.send("ready")
    pipe.recv()
    store = open_store()
    for number in range(times):
        key = f"{os.getpid()}-{number}"
        version = store.save(key, {"n": number}, expected=None)
        store.save(key, {"n": number + 1}, expected=version)
        store.save(f"{key}-gone", {}, expected=None)
        store.delete(f"{key}-gone")
    close(store)


def close(store: TokenStore) -> None:
    """Let go of what the store holds, if it holds anything."""
    closing = getattr(store, "close", None)
    if closing is not None:
        closing()
