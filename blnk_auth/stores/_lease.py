"""A lock across hosts that expires: if its holder crashes, it is free after a few seconds.

Used by `SQLStore` and `RedisStore`, which keep the leases on their server. It promises:

1. The threads of one process queue for a key here, so that only one thread at a time asks the server for a lease.
2. Each lease has a new owner name, which is never used again. It expires by the server's clock, not by ours.
3. While the holder works, a daemon thread renews the lease each time a third of it has passed, and sooner after a
   failure. It is started when the first third has passed, which is seldom. Between renewals, no connection is in use.
4. Only the owner of a lease renews it or gives it back. No other process ever ends it.
5. If a holder loses its lease, because it was paused for longer than the lease, leaving the context raises
   `StoreError`.

A lost lease cannot be prevented, so correctness must never depend on the lock alone. `save` names the version that it
replaces, so a save after a lost lease never replaces the pair of the next holder. `delete` names no version. Instead it
sends the result of `LeaseLocks.owner_here` to the server, as a fencing token.
"""

from __future__ import annotations

import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from ..errors import ConfigurationError, StoreError, is_number, quoted
from ._key_locks import KeyLocks
from ._timer import timer

LEASE_SECONDS = 10.0
"""The seconds that others wait after a holder crashed. It should be shorter than the policy's `lock_timeout`."""

_SHORTEST, _LONGEST = 0.1, 86_400.0
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.25
"""The most seconds between two attempts to take a lease. They grow, so that a long wait sends few requests."""

_RETRIES_IN_A_LEASE = 30
"""The least number of attempts to renew a lease during its length, if they fail."""


class Leases(Protocol):
    """Where leases are stored. A call that is repeated because its response was lost must have the same result.

    Every method may raise `StoreError`.
    """

    def take(self, key: str, owner: str) -> bool:
        """Lend the key to `owner` for the lease's time; False if another owner has it."""
        ...

    def renew(self, key: str, owner: str) -> bool:
        """Start the lease's time again; False if this owner no longer has it."""
        ...

    def give_back(self, key: str, owner: str) -> bool:
        """End the lease; False if this owner no longer had it."""
        ...

    def describe(self, key: str) -> str:
        """Where an operator can read the owner's name; completes "... shows who has it"."""
        ...


@dataclass(frozen=True, slots=True)
class _Holder:
    owner: str
    pid: int
    thread: int


class LeaseLocks:
    """Locks by key on top of `leases`, each of `lease` seconds. Safe to use from many threads, and across a fork.

    `lease` is a number of seconds that `checked_lease` has accepted.
    """

    def __init__(self, leases: Leases, lease: float) -> None:
        self._leases = leases
        self._lease = lease
        self._queues = KeyLocks()
        self._holders: dict[str, _Holder] = {}

    @contextmanager
    def hold(self, key: str, *, timeout: float) -> Generator[None]:
        """Exclude every other user of `leases` from `key` while the context is open. Not re-entrant.

        Raises `StoreError` on entry if the lease is not free within `timeout` seconds, and on leaving if it was lost.
        """
        deadline = time.monotonic() + max(timeout, 0.0)
        with self._queues.hold(key, timeout=timeout):
            holder = _Holder(_new_owner(), os.getpid(), threading.get_ident())
            self._take(key, holder.owner, deadline, timeout)
            self._holders[key] = holder
            try:
                with self._renewed(key, holder.owner):
                    yield
            except BaseException:
                # If the context raised an error, that one is raised, and not the error from giving back the lease.
                with suppress(StoreError):
                    self._give_back(key, holder)
                raise
            if not self._give_back(key, holder):
                raise lease_lost(key)

    def owner_here(self, key: str) -> str | None:
        """The owner name under which the calling thread has the lock of `key`; None if it does not have the lock."""
        holder = self._holders.get(key)
        here = (os.getpid(), threading.get_ident())
        return holder.owner if holder is not None and (holder.pid, holder.thread) == here else None

    def _take(self, key: str, owner: str, deadline: float, timeout: float) -> None:
        pause = _FIRST_PAUSE
        while not self._leases.take(key, owner):
            left = deadline - time.monotonic()
            if left <= 0:
                raise StoreError(
                    f"the lock of key {key!r} was not free within {timeout:g} s: another process has it, most likely "
                    "for a renewal that takes long",
                    remedy=f"{self._leases.describe(key)} shows who has it. Try again, or allow a longer timeout",
                )
            # With jitter, so that processes that were refused at the same time do not ask again at the same time.
            time.sleep(min(pause * random.uniform(0.5, 1.0), left))  # noqa: S311 - spreads attempts, protects nothing
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    @contextmanager
    def _renewed(self, key: str, owner: str) -> Generator[None]:
        renewer = _Renewer(self._leases, self._lease, key, owner)
        if not timer().add(renewer):
            renewer.start()
        try:
            yield
        finally:
            timer().discard(renewer)
            renewer.end()

    def _give_back(self, key: str, holder: _Holder) -> bool:
        if os.getpid() != holder.pid:
            # A forked child leaves the context too, but the lease is its parent's.
            return True
        self._holders.pop(key, None)
        return self._leases.give_back(key, holder.owner)


class _Renewer:
    """Renews one lease while its holder works, on a thread of its own: the server may take long to answer.

    Attributes:
        due: When the timer starts the thread.
    """

    def __init__(self, leases: Leases, lease: float, key: str, owner: str) -> None:
        self._leases = leases
        self._lease = lease
        self._key = key
        self._owner = owner
        self._pid = os.getpid()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self.due: float = time.monotonic() + lease / 3

    def act(self) -> bool:
        """Called by the timer. Returns whether to call it again: no thread could be started."""
        try:
            self.start()
        except RuntimeError:
            self.due = time.monotonic() + self._retry_pause
            return True
        return False

    def start(self) -> None:
        """Begin to renew. Raises `RuntimeError` if no thread can be started."""
        self._thread = threading.Thread(
            target=self._run, args=(max(self.due - time.monotonic(), 0.0),), name="blnk-auth lease", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Stop renewing, and wait for a renewal that has begun."""
        if os.getpid() != self._pid:
            # In a child of a fork that thread does not exist, and it may have had the lock within the event.
            return
        self._done.set()
        if self._thread is not None:
            # RuntimeError: it is only just being started, and will find that there is nothing left to do.
            with suppress(RuntimeError):
                self._thread.join()

    def _run(self, pause: float) -> None:
        while not self._done.wait(pause):
            try:
                if not self._leases.renew(self._key, self._owner):
                    return
                pause = self._lease / 3
            except StoreError:
                # The server may be reachable again shortly before the lease runs out, so the pause does not grow. The
                # holder's own deadlines bound how often this happens.
                pause = self._retry_pause

    @property
    def _retry_pause(self) -> float:
        pause = max(self._lease / _RETRIES_IN_A_LEASE, _FIRST_PAUSE)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads attempts, protects nothing


def checked_lease(lease: float) -> float:
    """`lease` in seconds. Raises `ConfigurationError` if it is not a usable time."""
    if not is_number(lease) or not _SHORTEST <= lease <= _LONGEST:
        raise ConfigurationError(
            f"lease must be a number of seconds from {_SHORTEST:g} to {_LONGEST:g}, not {quoted(lease)}",
            parameter="lease",
            remedy=f"leave it out for {LEASE_SECONDS:g} s",
        )
    return float(lease)


def lease_lost(key: str) -> StoreError:
    """The error of a holder whose lease ran out and was taken by another process, or whose server forgot it."""
    return StoreError(
        f"the lock of key {key!r} was lost while it was in use: its lease ran out because this process, or its "
        "connection to the store, was paused. Nothing newer was overwritten",
        key=key,
        remedy="load the key again before you continue, and make the lease longer if this happens often",
    )


def _new_owner() -> str:
    # Host and process, for operators who look at the server to find out who has a lock. The rest makes it unique.
    return f"{socket.gethostname()[:64]}/{os.getpid()}/{secrets.token_hex(8)}"
