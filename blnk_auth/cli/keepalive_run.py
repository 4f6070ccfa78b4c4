"""One keepalive run: renews each grant whose refresh token would expire before a given time because it is not used.

Used by `blnk-auth keepalive`. What it promises:

* Any number of hosts may run it at the same time, and each due grant is renewed once. Every run reads the grants in its
  own random order, each immediately before it is renewed. It renews only if the token that it read is still the stored
  one once it has the store's lock.
* It stops after failures that would repeat for every other grant.

It never changes a grant other than by a renewal.
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
from .remedies import message_of
from .stored_grants import grant_keys, refresh_expiry, source_at, stored_record

_YOUNG = 0.1
"""The share of its lifetime in which a refresh token is young: renewing it again would gain nothing."""

_GIVE_UP_AFTER = 20
"""After so many failures in a row the cause is the server or the store, not a grant."""

_PROGRESS_INTERVAL = 0.1


@dataclass(frozen=True, slots=True)
class KeepaliveSettings:
    """What to renew and how fast.

    Attributes:
        horizon: Seconds. A grant is due if its refresh token expires within this time.
        idle_lifetime: Seconds after which an unused refresh token expires. None: the provider's, which may be unknown.
        rate: Renewals per second, at most.
        workers: Concurrent renewals, at most.
    """

    horizon: float
    idle_lifetime: float | None = None
    rate: float = 10.0
    workers: int = 4

    def for_provider(self, provider: Provider) -> KeepaliveSettings:
        """The same settings, with the provider's idle lifetime where there is none."""
        return replace(self, idle_lifetime=self.idle_lifetime or provider.refresh_idle_lifetime)

    def is_due(self, token: Token, now: float) -> bool:
        """Whether the refresh token expires within the horizon, and a renewal can postpone that."""
        end = refresh_expiry(token, self.idle_lifetime)
        if end is None or end - now > self.horizon:
            return False
        return token.issued_at is None or now - token.issued_at >= _YOUNG * (end - token.issued_at)

    def is_unknown(self, token: Token) -> bool:
        """Whether there is a refresh token that expires at an unknown time."""
        return token.refresh_token is not None and refresh_expiry(token, self.idle_lifetime) is None


@dataclass(slots=True)
class KeepaliveReport:
    """The result of a run.

    Attributes:
        grants: Grants in the store.
        looked_at: Grants that were read.
        due: Grants that had to be renewed.
        renewed: Grants that this run renewed.
        renewed_elsewhere: Due grants that another process renewed meanwhile.
        unknown: Grants whose refresh token expires at an unknown time.
        sign_in_required: Subjects who must sign in again; None is the client itself.
        expiring: Subjects whose grant was renewed and still expires within the horizon: only a new sign-in helps.
        failed: For each failure, the store key, the error, and whether it is unknown if the server renewed the token.
        gave_up: The failure that stopped the run; None if it reached every grant.
    """

    grants: int = 0
    looked_at: int = 0
    due: int = 0
    renewed: int = 0
    renewed_elsewhere: int = 0
    unknown: int = 0
    sign_in_required: list[str | None] = field(default_factory=list[str | None])
    expiring: list[str | None] = field(default_factory=list[str | None])
    failed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    gave_up: str | None = None

    @property
    def status(self) -> int:
        """The exit status, for cron."""
        if self.failed or self.gave_up:
            return CONFIGURATION
        return SIGN_IN if self.sign_in_required or self.expiring else OK


class RateLimit:
    """Spaces renewals evenly, at `rate` per second. Thread-safe."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._lock = threading.Lock()
        self._next_at = 0.0

    def delay(self, now: float) -> float:
        """Seconds that a renewal that is ready at `now` has to wait."""
        with self._lock:
            at = max(self._next_at, now)
            self._next_at = at + self._interval
            return at - now


class KeepaliveRun:
    """One run over all grants of a client. The client's `on_event` must be `count_renewal`."""

    def __init__(self, settings: KeepaliveSettings, clock: Callable[[], float] = time.time) -> None:
        self.report: KeepaliveReport = KeepaliveReport()
        self.stop: threading.Event = threading.Event()
        self._settings = settings
        self._clock = clock
        self._rate_limit = RateLimit(settings.rate)
        self._lock = threading.Lock()
        self._in_a_row: dict[type[BlnkAuthError], int] = {TemporarilyUnavailable: 0, StoreError: 0}
        self._renewals = 0

    def count_renewal(self, event: Event) -> None:
        """Count the renewals of this process; all others were made by other processes."""
        # A renewal whose save failed counts too: its pair is in memory until it is saved.
        if event.name == "renewed":
            with self._lock:
                self._renewals += 1

    def run(self, client: OAuthClient, on_progress: Callable[[int, int], object]) -> KeepaliveReport:
        """Visit every grant. `on_progress` receives how many were visited, of how many.

        Ctrl-C stops the run after the renewals that are under way.
        """
        self._settings = self._settings.for_provider(client.provider)
        found = list(grant_keys(client))
        self.report.grants = len(found)
        # In a random order, so that hosts that start together do not wait for each other at every grant.
        random.shuffle(found)
        waiting = iter(found)
        try:
            self._work_in_parallel(client, waiting, lambda: on_progress(self.report.looked_at, len(found)))
        finally:
            self._count_renewals()
        return self.report

    def _work_in_parallel(self, client: OAuthClient, waiting: Iterator[str], on_progress: Callable[[], object]) -> None:
        with ThreadPoolExecutor(self._settings.workers, thread_name_prefix="blnk-auth keepalive") as pool:
            workers = [pool.submit(self._work, client, waiting) for _ in range(self._settings.workers)]
            try:
                while wait(workers, _PROGRESS_INTERVAL).not_done:
                    on_progress()
            finally:
                self.stop.set()
        on_progress()
        for worker in workers:
            worker.result()

    def _count_renewals(self) -> None:
        # Events are emitted by the renewals' threads, after the callers were woken. One whose start was interrupted is
        # listed for ever, and never runs.
        for thread in threading.enumerate():
            if thread.name == "blnk-auth renewal" and thread.is_alive():
                thread.join()
        self.report.renewed = self._renewals
        self.report.renewed_elsewhere -= self._renewals

    def _work(self, client: OAuthClient, waiting: Iterator[str]) -> None:
        while (key := self._next(waiting)) is not None:
            try:
                self._visit(client, key)
            except BlnkAuthError as error:
                self._record_failure(key, error)

    def _next(self, waiting: Iterator[str]) -> str | None:
        with self._lock:
            return None if self.stop.is_set() else next(waiting, None)

    def _visit(self, client: OAuthClient, key: str) -> None:
        source = source_at(client, key)
        record = None if source is None else stored_record(client, source)
        with self._lock:
            self.report.looked_at += 1
            self._in_a_row[StoreError] = 0
        if source is None or record is None:
            return
        if record.ended is not None:
            self._add(self.report.sign_in_required, source.subject)
        elif self._settings.is_due(record.token, self._clock()):
            self._renew(source, record.token)
        elif self._settings.is_unknown(record.token):
            with self._lock:
                self.report.unknown += 1

    def _renew(self, source: TokenSource, seen: Token) -> None:
        if self.stop.wait(self._rate_limit.delay(time.monotonic())):
            return
        with self._lock:
            self.report.due += 1
        try:
            token = source.renew(rejected=seen)
        except SignInRequired as ended:
            if ended.reason != "missing":
                self._add(self.report.sign_in_required, source.subject)
            return
        end = refresh_expiry(token, self._settings.idle_lifetime)
        with self._lock:
            self._in_a_row[TemporarilyUnavailable] = 0
            self.report.renewed_elsewhere += 1
        if end is not None and end == token.refresh_expires_at and end - self._clock() <= self._settings.horizon:
            self._add(self.report.expiring, source.subject)

    def _add(self, subjects: list[str | None], subject: str | None) -> None:
        with self._lock:
            subjects.append(subject)

    def _record_failure(self, key: str, error: BlnkAuthError) -> None:
        """Record a failure, and stop where every other grant would fail too, rather than fail 100,000 times."""
        with self._lock:
            unknown = isinstance(error, TemporarilyUnavailable) and error.outcome_unknown
            self.report.failed.append({"key": key, "error": message_of(error), "outcome_unknown": unknown})
            for kind in self._in_a_row:
                self._in_a_row[kind] += isinstance(error, kind)
            if isinstance(error, ConfigurationError) or max(self._in_a_row.values()) >= _GIVE_UP_AFTER:
                self.report.gave_up = message_of(error)
                self.stop.set()
