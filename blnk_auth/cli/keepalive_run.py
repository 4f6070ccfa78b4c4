"""Keeping grants alive that nobody uses: a renewal for each one that would die before a given time.

Any number of hosts may do so at once. Each goes through the grants in an order of its own, looks at a grant right
before renewing it, and renews it only if the token it saw is still the stored one once it has the store's lock. So a
due grant is renewed once, whoever comes first.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any

from ..client import OAuthClient
from ..errors import BlnkAuthError, ConfigurationError, SignInRequired, StoreError, TemporarilyUnavailable
from ..events import Event
from ..provider import Provider
from ..source import TokenSource
from ..token import Token
from .exit_status import CONFIGURATION, OK, SIGN_IN
from .stored_grants import dies_at, keys, source_at, stored

_YOUNG = 0.1
"""Share of its life in which a refresh token is young: renewing it again would gain nothing."""

_GIVE_UP_AFTER = 20
"""So many failures in a row are the server's or the store's, not a grant's."""

_LOOK_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """What to renew and how fast. `rate` is renewals a second, `horizon` and `idle_lifetime` are seconds.

    `idle_lifetime` is how long a refresh token lives unused; None leaves it to the provider, who may not know.
    """

    horizon: float
    idle_lifetime: float | None = None
    rate: float = 10.0
    workers: int = 4

    def at(self, provider: Provider) -> Plan:
        """This plan with the provider's own idle lifetime, unless it has one."""
        return replace(self, idle_lifetime=self.idle_lifetime or provider.refresh_idle_lifetime)

    def is_due(self, token: Token, now: float) -> bool:
        """Whether the refresh token dies within the horizon, and a renewal can gain something."""
        end = dies_at(token, self.idle_lifetime)
        if end is None or end - now > self.horizon:
            return False
        return token.issued_at is None or now - token.issued_at >= _YOUNG * (end - token.issued_at)


@dataclass(slots=True)
class Tally:
    """What came of it."""

    grants: int = 0
    looked_at: int = 0
    due: int = 0
    renewed: int = 0
    renewed_elsewhere: int = 0
    unknown: int = 0
    """Grants with a refresh token of which nobody says when it dies."""

    sign_in_required: list[str | None] = field(default_factory=list[str | None])
    expiring: list[str | None] = field(default_factory=list[str | None])
    """Renewed, and yet they die within the horizon: only a new sign-in helps."""

    failed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    gave_up: str | None = None

    @property
    def status(self) -> int:
        """The exit status, for cron."""
        if self.failed or self.gave_up:
            return CONFIGURATION
        return SIGN_IN if self.sign_in_required or self.expiring else OK


class Pace:
    """Spaces what passes evenly. Thread-safe."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._lock = threading.Lock()
        self._next_at = 0.0

    def delay(self, now: float) -> float:
        """Seconds that whoever comes at `now` has to wait."""
        with self._lock:
            at = max(self._next_at, now)
            self._next_at = at + self._interval
            return at - now


class Keeper:
    """One run over all grants of a client, whose `on_event` must be `note`."""

    def __init__(self, plan: Plan, clock: Callable[[], float] = time.time) -> None:
        self.tally = Tally()
        self.stop = threading.Event()
        self._plan = plan
        self._clock = clock
        self._pace = Pace(plan.rate)
        self._lock = threading.Lock()
        self._in_a_row: dict[type[BlnkAuthError], int] = {TemporarilyUnavailable: 0, StoreError: 0}
        self._renewals = 0

    def note(self, event: Event) -> None:
        """Count the renewals that were made here; all others were made elsewhere."""
        # `save_failed` too: the server has renewed, and the pair lives in memory until it is saved.
        if event.name == "renewed":
            with self._lock:
                self._renewals += 1

    def run(self, client: OAuthClient, on_progress: Callable[[int, int], object]) -> Tally:
        """Look after every grant; `on_progress` gets how many are done, of how many. Ctrl-C ends it in good order."""
        self._plan = self._plan.at(client.provider)
        found = list(keys(client))
        self.tally.grants = len(found)
        # In an order of our own, so that hosts that start at once do not wait for each other at every grant.
        random.shuffle(found)
        waiting = iter(found)
        try:
            self._work_in_parallel(client, waiting, lambda: on_progress(self.tally.looked_at, len(found)))
        finally:
            self._count_renewals()
        return self.tally

    def _work_in_parallel(self, client: OAuthClient, waiting: Iterator[str], on_progress: Callable[[], object]) -> None:
        with ThreadPoolExecutor(self._plan.workers, thread_name_prefix="blnk-auth keepalive") as pool:
            workers = [pool.submit(self._work, client, waiting) for _ in range(self._plan.workers)]
            try:
                while wait(workers, _LOOK_EVERY).not_done:
                    on_progress()
            finally:
                self.stop.set()
        on_progress()
        for worker in workers:
            worker.result()

    def _count_renewals(self) -> None:
        # Events are told after the waiters have been woken, by the threads of the renewals.
        for thread in threading.enumerate():
            if thread.name == "blnk-auth renewal":
                thread.join()
        self.tally.renewed = self._renewals
        self.tally.renewed_elsewhere -= self._renewals

    def _work(self, client: OAuthClient, waiting: Iterator[str]) -> None:
        while (key := self._next(waiting)) is not None:
            try:
                self._look_after(client, key)
            except BlnkAuthError as error:
                self._failed(key, error)

    def _next(self, waiting: Iterator[str]) -> str | None:
        with self._lock:
            return None if self.stop.is_set() else next(waiting, None)

    def _look_after(self, client: OAuthClient, key: str) -> None:
        source = source_at(client, key)
        grant = None if source is None else stored(client, source)
        with self._lock:
            self.tally.looked_at += 1
            self._in_a_row[StoreError] = 0
        if source is None or grant is None:
            return
        if grant.ended is not None:
            self._add(self.tally.sign_in_required, source.subject)
        elif self._plan.is_due(grant.token, self._clock()):
            self._renew(source, grant.token)
        elif grant.token.refresh_token is not None and dies_at(grant.token, self._plan.idle_lifetime) is None:
            with self._lock:
                self.tally.unknown += 1

    def _renew(self, source: TokenSource, seen: Token) -> None:
        if self.stop.wait(self._pace.delay(time.monotonic())):
            return
        with self._lock:
            self.tally.due += 1
        try:
            token = source.renew(rejected=seen)
        except SignInRequired as ended:
            if ended.reason != "missing":
                self._add(self.tally.sign_in_required, source.subject)
            return
        end = dies_at(token, self._plan.idle_lifetime)
        with self._lock:
            self._in_a_row[TemporarilyUnavailable] = 0
            self.tally.renewed_elsewhere += 1
        if end is not None and end == token.refresh_expires_at and end - self._clock() <= self._plan.horizon:
            self._add(self.tally.expiring, source.subject)

    def _add(self, subjects: list[str | None], subject: str | None) -> None:
        with self._lock:
            subjects.append(subject)

    def _failed(self, key: str, error: BlnkAuthError) -> None:
        """Count a failure, and stop where all others would fail alike: no server is helped by 100,000 of them."""
        with self._lock:
            self.tally.failed.append({"key": key, "error": str(error)})
            for kind in self._in_a_row:
                self._in_a_row[kind] += isinstance(error, kind)
            if isinstance(error, ConfigurationError) or max(self._in_a_row.values()) >= _GIVE_UP_AFTER:
                self.tally.gave_up = str(error)
                self.stop.set()
