"""What the tests of the stores run in other processes: importable there, unlike a test module."""

from __future__ import annotations

import ctypes
import os
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from blnk_auth.stores._process_lock import process_lock
from blnk_auth.stores._sqlite import SQLiteStore
from blnk_auth.stores._token_store import TokenStore


def in_forked_child(work: Callable[[], None], *, fork: Callable[[], int] = os.fork) -> None:
    """Run `work` in a forked child; fails if it raises there."""
    child = start_forked_child(work, fork=fork)
    assert os.waitpid(child, 0)[1] == 0, "the child failed; its traceback is on stderr"


def start_forked_child(work: Callable[[], None], *, fork: Callable[[], int] = os.fork) -> int:
    child = fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def fork_without_hooks() -> int:
    """Fork as a C program that embeds Python does, without `os.register_at_fork`."""
    return ctypes.PyDLL(None).fork()


def count_in_file(pipe: Connection, lock_file: Path, counter: Path, times: int) -> None:
    """Add 1 to the number in a plain file, which only the lock keeps from being lost."""
    pipe.send("ready")
    pipe.recv()
    for _ in range(times):
        with process_lock(lock_file, purpose="the counter", timeout=60):
            counter.write_text(str(int(counter.read_text()) + 1))


def write_own_keys(pipe: Connection, path: Path, times: int) -> None:
    """Open the store when told, then save, replace and delete records of this process's own."""
    write_own_keys_in(pipe, partial(SQLiteStore, path), times)


def write_own_keys_in(pipe: Connection, open_store: Callable[[], TokenStore], times: int) -> None:
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
