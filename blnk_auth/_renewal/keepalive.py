"""One keepalive run: renews each grant whose refresh token would expire before a given time because it is not used.

Used by `OAuthClient.keepalive` and `blnk-auth keepalive`. What it promises:

* Any number of hosts may run it at the same time, and each due grant is renewed once. Each is read immediately before
  it is renewed, and renewed only if that token is still the stored one once the run has the store's lock.
* A store's index is only a hint which grants to read. Memory does not grow with the number of grants, except by
  what the report lists: failures, and users who must sign in again.
* While the server asked this client to wait (`Retry-After`), nothing is sent. The run waits for at most ten minutes
  between two renewals that succeed, and stops if the server asks for more.
* The run stops after failures that would repeat for every other grant.
* A new pair that cannot be saved ends the run: each further renewal would spend another user's refresh token. With
  several workers, renewals that have begun by then are ended, and no other is begun.

It never changes a grant other than by a renewal.
"""

from __future__ import annotations

import itertools
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from ..errors import (
    BlnkAuthError,
    ConfigurationError,
    SignInRequired,
    StoreError,
    TemporarilyUnavailable,
)
from ..errors._pickling import public
from ..stores._calls import call_store, load_record
from ..stores._due import UNKNOWN, DueStore, Place, due_page, has_index, note_scan, saved_due_at
from ..token import Token
from .client_grants import grant_at
from .due_grants import note_due
from .grant_operations import save_again
from .keepalive_settings import CLOCK_AHEAD, KeepaliveSettings, RateLimit
from .server_pause import asked_to_wait
from .single_flight import Flight
from .stored_record import GrantRecord, refresh_expiry

if TYPE_CHECKING:
    from .client_state import ClientState
    from .current_token import CurrentToken

OnProgress = Callable[[int, int | None], object]

_Candidate = tuple[str, bool]
"""A store key, and whether its entry in the index describes the record."""

_GIVE_UP_AFTER = 20
"""After so many failures in a row the cause is the server or the store, not a grant."""

_LONGEST_WAIT = 600.0
"""Seconds since the last success for which the run continues although the server asks it to wait. The next run does the
rest: a server that is down and asks for an hour each time would keep this one for days."""

_Failing = Literal["reading", "renewing", "asking"]
"""What is counted as failing: the store while it is read, the store while a grant is renewed, or the server. Each of
them ends with a success of its own: a replica that cannot be written can be read all the same."""

_PROGRESS_INTERVAL = 0.1

_PAGE = 1_000
"""How many keys are listed at a time."""

_FAR = 1e18
"""After every moment at which a grant ends."""


@public
@dataclass(frozen=True, slots=True)
class KeepaliveFailure:
    """A grant that could not be renewed. Immutable.

    Attributes:
        store_key: The key of its record in the store.
        error: Why. `TemporarilyUnavailable.outcome_unknown`: the server may have renewed it although no answer came.
            `StoreError` that is also `KeepaliveReport.gave_up`: its new pair is only in the memory of this process.
    """

    store_key: str
    error: BlnkAuthError


@public
@dataclass(slots=True)
class KeepaliveReport:
    """The result of a keepalive run. Read it when the run has ended: while it lasts, its threads change it.

    Its lists grow with what they contain. All else takes the same memory for any number of grants.

    Attributes:
        grants: Grants of this client that were found: those that are due by the store's index, or all of them in a
            store without one; of its shard, if there are several.
        looked_at: Grants that were read.
        due: Grants that had to be renewed.
        renewed: Grants that this process renewed.
        renewed_elsewhere: Due grants that another process renewed meanwhile.
        unknown: Grants that were read, and whose refresh token expires at an unknown time. They are not renewed.
        sign_in_required: Subjects who must sign in again; None is the client itself. A grant that had ended before is
            only found in a store without an index.
        expiring: Subjects whose grant was renewed and still expires within the horizon: only a new sign-in helps.
        failed: The grants that could not be renewed, or whose new pair could not be saved, with their errors.
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
    failed: list[KeepaliveFailure] = field(default_factory=list[KeepaliveFailure])
    gave_up: BlnkAuthError | None = None


class KeepaliveRun:
    """One run over the grants of a client. Made for one run; `stop` may be called from any thread.

    Args:
        state: The client.
        settings: What to renew and how fast.
        by_index: Whether to find due grants by the store's index, if it has one. False: every grant is read.
    """

    def __init__(self, state: ClientState, settings: KeepaliveSettings, *, by_index: bool = False) -> None:
        self.report: KeepaliveReport = KeepaliveReport()
        self._state = state
        self._settings = settings
        self._by_index = by_index
        self._rate_limit = RateLimit(settings.rate)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._finding = threading.Lock()
        self._beginning = threading.Lock()
        """Taken while a renewal is begun, and while a pair that could not be saved is saved again."""
        self._total: int | None = None
        self._in_a_row: dict[_Failing, int] = {"reading": 0, "renewing": 0, "asking": 0}
        self._waits_since: float | None = None
        """When the run first waited for the server after its last success, in UTC epoch seconds."""
        self._corrections: list[tuple[str, str, float | None]] = []

    def run(self, on_progress: OnProgress | None) -> KeepaliveReport:
        """Visit the grants. Blocking. `on_progress` receives how many were visited, of how many; None: not known yet.

        Ctrl-C stops the run after the renewals that are under way. Raises `StoreError` if no grant can be listed.
        """
        is_indexed = has_index(self._state.store)
        if not is_indexed:
            note_scan(self._state.store)
        candidates = self._found_by_index() if is_indexed and self._by_index else self._listed()
        # The first one is found here, so that a store that is down raises an error.
        first = list(itertools.islice(candidates, 1))
        self._work_in_parallel(itertools.chain(first, candidates), on_progress or (lambda _looked_at, _total: None))
        self._correct_index()
        return self.report

    def stop(self) -> None:
        """End the run after the renewals that are under way."""
        self._stopped.set()

    # --- which grants --------------------------------------------------------------------------------------------

    def _listed(self) -> Iterator[_Candidate]:
        """All grants, page by page."""
        store, prefix = self._state.store, self._state.registration.tokens
        keys: Iterator[str] = call_store("read", store.keys, prefix)
        while page := call_store("read", lambda: list(itertools.islice(keys, _PAGE))):
            yield from self._shuffled([(key, True) for key in page])
            self._correct_index()
        self._total = self.report.grants

    def _found_by_index(self) -> Iterator[_Candidate]:
        """The grants that are due by the index, then those that it lacks."""
        now, idle = self._state.clock(), self._state.provider.refresh_idle_lifetime
        yield from self._pages(now + self._settings.horizon, None)
        repairs = cast("DueStore", self._state.store).repair_due(self._state.registration.tokens)
        added = 0
        while (more := call_store("read", next, repairs, None)) is not None and not self._stopped.is_set():
            added += more
        if added:
            yield from self._pages(math.nextafter(UNKNOWN, 1.0), None)
        if idle is not None:
            # These were saved by a clock that was ahead: when they end is not known.
            yield from self._pages(_FAR, (now + idle + CLOCK_AHEAD, ""))
        self._total = self.report.grants

    def _pages(self, before: float, after: Place | None) -> Iterator[_Candidate]:
        while page := due_page(self._state.store, self._state.registration.tokens, before, after):
            after = page[-1].due_at, page[-1].key
            yield from self._shuffled([(entry.key, entry.is_exact) for entry in page])
            self._correct_index()

    def _correct_index(self) -> None:
        """Correct the entries of the records that were read and found not to be due."""
        with self._lock:
            corrections, self._corrections = self._corrections, []
        note_due(self._state, corrections)

    def _shuffled(self, page: list[_Candidate]) -> list[_Candidate]:
        """Those of this part, in a random order, so that hosts that start together do not wait for each other."""
        found = [each for each in page if self._settings.has(each[0])]
        self.report.grants += len(found)
        random.shuffle(found)
        return found

    def _next(self, candidates: Iterator[_Candidate]) -> _Candidate | None:
        with self._finding:
            if self._stopped.is_set():
                return None
            try:
                return next(candidates, None)
            except BlnkAuthError as error:
                self._give_up(error)
                return None

    # --- visiting them -------------------------------------------------------------------------------------------

    def _work_in_parallel(self, candidates: Iterator[_Candidate], on_progress: OnProgress) -> None:
        # Imported here: every program imports this module, and few keep grants alive.
        from concurrent.futures import ThreadPoolExecutor, wait

        with ThreadPoolExecutor(self._settings.workers, thread_name_prefix="blnk-auth keepalive") as pool:
            workers = [pool.submit(self._work, candidates) for _ in range(self._settings.workers)]
            try:
                while wait(workers, _PROGRESS_INTERVAL).not_done:
                    on_progress(self.report.looked_at, self._total)
            finally:
                self.stop()
        on_progress(self.report.looked_at, self._total)
        for worker in workers:
            worker.result()

    def _work(self, candidates: Iterator[_Candidate]) -> None:
        while (candidate := self._next(candidates)) is not None:
            failing: _Failing = "reading"
            try:
                due = self._due(*candidate)
                failing = "renewing"
                if due is not None:
                    self._renew(*due)
            except BlnkAuthError as error:
                self._record_failure(candidate[0], error, failing)

    def _due(self, key: str, is_exact: bool) -> tuple[CurrentToken, Token] | None:
        """Read a grant: what to renew, and the token that was read; None if it is not due."""
        grant = grant_at(self._state, key)
        stored = None if grant is None else load_record(self._state.store, key)
        record = None if stored is None else GrantRecord.from_data(stored.data, key)
        now = self._state.clock()
        with self._lock:
            self.report.looked_at += 1
            self._in_a_row["reading"] = 0
        if grant is None or stored is None or record is None:
            return None
        if record.ended is not None:
            self._add(self.report.sign_in_required, grant.subject)
        elif self._settings.is_due(record.token, now):
            return self._state.current_token(grant), record.token
        elif self._settings.is_unknown(record.token):
            with self._lock:
                self.report.unknown += 1
        due_at = record.due_at(self._state.provider.refresh_idle_lifetime)
        if not is_exact or saved_due_at(stored.data) != due_at:
            with self._lock:
                self._corrections.append((key, stored.version, due_at))
        return None

    def _renew(self, current: CurrentToken, seen: Token) -> None:
        if not self._may_send(current, self._rate_limit.delay(time.monotonic())):
            return
        with self._lock:
            self.report.due += 1
        for attempts_left in (2, 1, 0):
            try:
                self._renew_once(current, seen)
                return
            except TemporarilyUnavailable as error:
                left = error.retry_after if self._pause_left(current) else None
                if not attempts_left or left is None or not self._may_send(current, left):
                    raise

    def _may_send(self, current: CurrentToken, delay: float) -> bool:
        """Wait for so many seconds, and as long as the server asked this client to; False if the run has ended.

        If the server asks for too long, the run ends. If it is one of several parties, only this grant fails: raises
        `TemporarilyUnavailable`.
        """
        pause = self._pause_left(current)
        if pause and self._is_too_long(pause):
            error = asked_to_wait(pause)
            if current.grant.target is not None:
                raise error
            self._give_up(error)
            return False
        return not self._wait(max(delay, pause))

    def _wait(self, seconds: float) -> bool:
        """Wait. Returns whether the run has ended."""
        # A very low rate asks for more seconds than a thread can wait.
        return self._stopped.wait(min(seconds, threading.TIMEOUT_MAX))

    def _is_too_long(self, pause: float) -> bool:
        now = self._state.clock()
        with self._lock:
            if self._waits_since is None or self._waits_since > now:
                self._waits_since = now
            return now + pause - self._waits_since > _LONGEST_WAIT

    def _pause_left(self, current: CurrentToken) -> float:
        return self._state.pause.left(current.grant.target, self._state.clock(), early=True)

    def _renew_once(self, current: CurrentToken, seen: Token) -> None:
        subject = current.grant.subject
        # A pair that another operation of this process could not save: it is saved, and not renewed again.
        self._ensure_saved(current)
        with self._beginning:
            if self._stopped.is_set():
                return
            before, found = current.cached, current.renew_by_hand(seen)
        try:
            renewed = self._state.operations.wait_for(found) if isinstance(found, Flight) else found
            token = current.other_than(before, renewed)
        except SignInRequired as ended:
            if ended.reason != "missing":
                self._add(self.report.sign_in_required, subject)
            return
        finally:
            self._ensure_saved(current)
        end = refresh_expiry(token, self._settings.idle_lifetime)
        with self._lock:
            self._in_a_row["renewing"] = self._in_a_row["asking"] = 0
            self._waits_since = None
            if renewed.written_here:
                self.report.renewed += 1
            else:
                self.report.renewed_elsewhere += 1
        is_last = end is not None and end == token.refresh_expires_at
        if end is not None and is_last and end - self._state.clock() <= self._settings.horizon:
            self._add(self.report.expiring, subject)

    def _ensure_saved(self, current: CurrentToken) -> None:
        """Save the pair of this grant, if only memory has it. If that fails, end the run, and raise `StoreError`."""
        if current.unsaved is None:
            return
        why = ""
        with self._beginning:
            for seconds in (0.0, self._state.policy.cooldown):
                self._stopped.wait(seconds)
                try:
                    operation = self._state.operations.begin(lambda events: save_again(current, events))
                    self._state.operations.wait_for(operation)
                    return
                except BlnkAuthError as failure:
                    why = failure.problem
            unsaved = StoreError(
                "the grant was renewed, and its new token pair could not be saved, so that only the memory of this "
                f"process has it ({why})",
                remedy="make the store writable before the next run; if this process ends before the pair is saved, "
                "that user must sign in again, unless the server accepts the earlier refresh token once more",
            )
            self._give_up(unsaved)
        raise unsaved

    def _add(self, subjects: list[str | None], subject: str | None) -> None:
        with self._lock:
            subjects.append(subject)

    def _record_failure(self, key: str, error: BlnkAuthError, failing: _Failing) -> None:
        """Record a failure. Stop the run if every other grant would fail too."""
        with self._lock:
            self.report.failed.append(KeepaliveFailure(key, error.replace()))
            if isinstance(error, StoreError | TemporarilyUnavailable):
                self._in_a_row[failing if isinstance(error, StoreError) else "asking"] += 1
            is_general = max(self._in_a_row.values()) >= _GIVE_UP_AFTER
        grant = grant_at(self._state, key)
        # What a grant presents to the server in place of a user's sign-in is wrong for that grant alone.
        if is_general or (isinstance(error, ConfigurationError) and (grant is None or grant.needs_user)):
            self._give_up(error)

    def _give_up(self, error: BlnkAuthError) -> None:
        with self._lock:
            self.report.gave_up = self.report.gave_up or error.replace()
        self.stop()
