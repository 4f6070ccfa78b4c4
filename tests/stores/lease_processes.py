"""What the tests of the stores with leases run in other processes: importable there, and light."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from blnk_auth import BlnkCloud, OAuthClient, StoreError

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
            with store.lock(key, timeout=60):
                pipe.send("held")
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
        with store.lock("counter", timeout=60):
            record = store.load("counter")
            number = record.data["n"] + 1
            store.save("counter", {"n": number, "again": [number] * 500}, expected=record.version)
            os.write(acknowledged, number.to_bytes(8, "big"))
