"""One lock per key for the threads of this process.

A key costs memory only while somebody holds or awaits its lock, so a million idle keys cost nothing.
A forked child starts with every lock free: the threads that held them do not exist there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

from ..errors import StoreError


@dataclass(slots=True)
class _KeyLock:
    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


class KeyLocks:
    """Locks by key, made when first wanted and dropped with their last user. Safe to use from many threads.

    `len()` is the number of keys that somebody holds or awaits. A copy or an unpickled one is new, with all locks free.
    """

    def __init__(self) -> None:
        self._start_free()
        _all_key_locks.add(self)

    def __len__(self) -> int:
        return len(self._in_use)

    def __reduce__(self) -> tuple[Any, ...]:
        return KeyLocks, ()

    @contextmanager
    def hold(self, key: str, *, timeout: float) -> Generator[None]:
        """Keep every other thread out of `key` while the context is open. Not re-entrant.

        Raises `StoreError` on entry if the lock is not had within `timeout` seconds.
        """
        with self._lock_of(key) as lock:
            if not lock.acquire(timeout=min(max(timeout, 0.0), threading.TIMEOUT_MAX)):
                raise StoreError(
                    f"the lock of key {key!r} was not free within {timeout:g} s: another thread of this "
                    "process holds it, most likely for a renewal that takes long",
                    remedy="try again, or allow a longer timeout",
                )
            try:
                yield
            finally:
                lock.release()

    @contextmanager
    def _lock_of(self, key: str) -> Generator[threading.Lock]:
        with self._guard:
            key_lock = self._in_use.setdefault(key, _KeyLock())
            key_lock.users += 1
        try:
            yield key_lock.lock
        finally:
            with self._guard:
                key_lock.users -= 1
                # In a child forked meanwhile, the name may be gone or stand for a newer lock.
                if key_lock.users == 0 and self._in_use.get(key) is key_lock:
                    del self._in_use[key]

    def _start_free(self) -> None:
        self._guard = threading.Lock()
        self._in_use: dict[str, _KeyLock] = {}


_all_key_locks: WeakSet[KeyLocks] = WeakSet()


def _free_all_after_fork() -> None:
    for key_locks in list(_all_key_locks):
        key_locks._start_free()  # pyright: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_all_after_fork)
