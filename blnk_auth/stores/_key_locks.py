"""One lock per key for the threads of this process.

Used by the stores, and by all code in which only one thread at a time may work on a key. It promises that a key uses
memory only while a thread has or awaits its lock, so a million idle keys use none. In a forked child every lock is
free, because the threads that had the locks do not exist there. It never excludes another process.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from ..errors import StoreError
from ._forks import reset_in_child


class _KeyLock:
    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0


class KeyLocks:
    """Locks by key, made for the first thread that needs one and removed after the last. Safe to use from many threads.

    `len()` is the number of keys that a thread has or awaits. A copy, or an unpickled object, has no lock taken.
    """

    def __init__(self) -> None:
        self.reset_after_fork()
        reset_in_child(self)

    def __len__(self) -> int:
        return len(self._in_use)

    def __reduce__(self) -> tuple[Any, ...]:
        return KeyLocks, ()

    @contextmanager
    def hold(self, key: str, *, timeout: float) -> Generator[None]:
        """Keep every other thread out of `key` while the context is open. Not re-entrant.

        `timeout`: seconds to wait at most; `math.inf` waits for ever. Raises `StoreError` on entry if the lock is not
        free in time.
        """
        with self._lock_of(key) as lock:
            if not lock.acquire(timeout=min(max(timeout, 0.0), threading.TIMEOUT_MAX)):
                raise StoreError(
                    f"the lock of key {key!r} was not free within {timeout:g} s: another thread of this process has "
                    "it, most likely for a renewal that takes long",
                    remedy="try again, or allow a longer timeout",
                )
            try:
                yield
            finally:
                lock.release()

    @contextmanager
    def _lock_of(self, key: str) -> Generator[threading.Lock]:
        with self._changing:
            key_lock = self._in_use.setdefault(key, _KeyLock())
            key_lock.users += 1
        try:
            yield key_lock.lock
        finally:
            with self._changing:
                key_lock.users -= 1
                # In a child forked meanwhile, the name may have been removed, or refer to a newer lock.
                if key_lock.users == 0 and self._in_use.get(key) is key_lock:
                    del self._in_use[key]

    def reset_after_fork(self) -> None:
        """Free every lock."""
        self._changing = threading.Lock()
        self._in_use: dict[str, _KeyLock] = {}
