"""The responses that callers got, and whether a scenario is as promised.

Used by every scenario of the demo and by its display. It promises figures that threads can add to. It never calls the
sandbox.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .server_record import ServerRecord


@dataclass(slots=True)
class Call:
    """One call while it is made; the caller fills in the status of the response."""

    status: int = 0


@dataclass(slots=True)
class CallFigures:
    """The calls that were made, how many failed, and the longest duration of one, in seconds."""

    calls: int = 0
    failed: int = 0
    longest: float = 0.0
    first_failure: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def call(self) -> Generator[Call]:
        """Count what happens in the context as one call. It failed if it raises or its status is not 2xx."""
        call, failure, began_at = Call(), "", time.perf_counter()
        try:
            yield call
            if not 200 <= call.status < 300:
                failure = f"status {call.status}"
        except Exception as error:  # noqa: BLE001 - a call that raises anything is a failed call
            failure = f"{type(error).__name__}: {error}"
        self.add(1, int(bool(failure)), time.perf_counter() - began_at, failure)

    def add(self, calls: int, failed: int, longest: float, first_failure: str) -> None:
        """Add calls, also those of another process."""
        with self._lock:
            self.calls += calls
            self.failed += failed
            self.longest = max(self.longest, longest)
            self.first_failure = self.first_failure or first_failure


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must have happened in a scenario.

    Attributes:
        expired: How many tokens must have expired, at least.
        revoked: How many tokens must have been revoked, at least.
        exactly: Whether there must be no more of either, so that the number of token requests is known beforehand.
    """

    expired: int = 0
    revoked: int = 0
    exactly: bool = False


@dataclass(slots=True)
class Scenario:
    """One line of the table."""

    title: str
    expectation: Expectation
    figures: CallFigures = field(default_factory=CallFigures)
    server_record: ServerRecord = field(default_factory=ServerRecord)
    progress: str = ""
    """What is happening in it, for display."""
    verdict: str = ""
    """`ok` or `off` once it has ended."""

    def judge(self) -> None:
        """Set the verdict. Call it when the scenario has ended and `server_record` is set."""
        self.verdict = "off" if self.deviations() else "ok"

    def deviations(self) -> list[str]:
        """Each difference from what is expected, as one line; empty if there is none."""
        return [f"{self.title}: {deviation}" for deviation in (*self._of_callers(), *self._of_server())]

    def _of_callers(self) -> list[str]:
        figures = self.figures
        if figures.calls == 0:
            return ["no call was made"]
        if figures.failed:
            return [f"{figures.failed} of {figures.calls} calls failed, the first with {figures.first_failure}"]
        return []

    def _of_server(self) -> list[str]:
        counts, endings, expectation = self.server_record.counts, self.server_record.endings, self.expectation
        ended, needless = len(self.server_record.superseded), endings["needless"]
        found = {
            f"needless renewals, of a token neither revoked nor in its last quarter: {needless}": needless > 0,
            f"token requests: {counts.token_requests}, for {ended} tokens replaced": counts.token_requests != ended,
            f"refresh tokens used twice: {counts.reuses}": counts.reuses > 0,
            f"new sign-ins: {counts.code_exchanges}": counts.code_exchanges > 0,
            f"tokens that expired: {endings['expired']}, not {expectation.expired}": (
                self._differs(endings["expired"], expectation.expired)
            ),
            f"tokens that were revoked: {endings['revoked']}, not {expectation.revoked}": (
                self._differs(endings["revoked"], expectation.revoked)
            ),
        }
        return [deviation for deviation, is_true in found.items() if is_true]

    def _differs(self, figure: int, promised: int) -> bool:
        return figure != promised if self.expectation.exactly else figure < promised


def total(scenarios: list[Scenario], server_record: ServerRecord) -> Scenario:
    """The last line of the table. `server_record`: from before the first scenario to after the last."""
    whole = Scenario("total", Expectation(), server_record=server_record)
    whole.verdict = "ok" if all(scenario.verdict == "ok" for scenario in scenarios) else "off"
    for figures in (scenario.figures for scenario in scenarios):
        whole.figures.add(figures.calls, figures.failed, figures.longest, figures.first_failure)
    return whole
