"""What the callers saw, and whether an act went as promised. Any thread may count."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .books import Books


@dataclass(slots=True)
class Call:
    """One call while it is made; whoever makes it fills in the status of its answer."""

    status: int = 0


@dataclass(slots=True)
class Figures:
    """Calls made, how many failed, and the longest that one took, in seconds."""

    calls: int = 0
    failed: int = 0
    longest: float = 0.0
    first_failure: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def call(self) -> Generator[Call]:
        """Count what is done in the context as one call. It failed if it raises or its status is not 2xx."""
        call, failure, began_at = Call(), "", time.perf_counter()
        try:
            yield call
            if not 200 <= call.status < 300:
                failure = f"status {call.status}"
        except Exception as error:  # noqa: BLE001 - whatever a call raises, it is a failed call
            failure = f"{type(error).__name__}: {error}"
        self.add(1, int(bool(failure)), time.perf_counter() - began_at, failure)

    def add(self, calls: int, failed: int, longest: float, first_failure: str) -> None:
        """Count calls, also those that another process made."""
        with self._lock:
            self.calls += calls
            self.failed += failed
            self.longest = max(self.longest, longest)
            self.first_failure = self.first_failure or first_failure


@dataclass(frozen=True, slots=True)
class Promise:
    """What an act must have gone through: so many tokens, at least, that expired and were revoked.

    `exactly`: and not one more, so that the number of token requests is known beforehand.
    """

    expired: int = 0
    revoked: int = 0
    exactly: bool = False


@dataclass(slots=True)
class Act:
    """One line of the table."""

    title: str
    promise: Promise
    figures: Figures = field(default_factory=Figures)
    books: Books = field(default_factory=Books)
    stage: str = ""
    """What is going on in it, for whoever watches."""
    verdict: str = ""
    """`ok` or `off` once it is over."""

    def judge(self) -> None:
        """To be called when it is over and its books are there."""
        self.verdict = "off" if self.complaints() else "ok"

    def complaints(self) -> list[str]:
        """What is off; empty if everything is as promised."""
        return [f"{self.title}: {complaint}" for complaint in (*self._of_callers(), *self._of_books())]

    def _of_callers(self) -> list[str]:
        figures = self.figures
        if figures.calls == 0:
            return ["no call was made"]
        if figures.failed:
            return [f"{figures.failed} of {figures.calls} calls failed, the first with {figures.first_failure}"]
        return []

    def _of_books(self) -> list[str]:
        counts, endings, promise = self.books.counts, self.books.endings, self.promise
        ended, needless = len(self.books.superseded), endings["needless"]
        found = {
            f"needless renewals, of a token neither revoked nor in its last quarter: {needless}": needless > 0,
            f"token requests: {counts.token_requests}, for {ended} tokens that ended": counts.token_requests != ended,
            f"refresh tokens used twice: {counts.reuses}": counts.reuses > 0,
            f"new sign-ins: {counts.code_exchanges}": counts.code_exchanges > 0,
            f"tokens that expired: {endings['expired']}, not {promise.expired}": (
                self._is_other(endings["expired"], promise.expired)
            ),
            f"tokens that were revoked: {endings['revoked']}, not {promise.revoked}": (
                self._is_other(endings["revoked"], promise.revoked)
            ),
        }
        return [complaint for complaint, is_true in found.items() if is_true]

    def _is_other(self, figure: int, promised: int) -> bool:
        return figure != promised if self.promise.exactly else figure < promised


def total(acts: list[Act], books: Books) -> Act:
    """The last line of the table. `books`: of the whole time from before the first act to after the last."""
    whole = Act("total", Promise(), books=books)
    whole.verdict = "ok" if all(act.verdict == "ok" for act in acts) else "off"
    for figures in (act.figures for act in acts):
        whole.figures.add(figures.calls, figures.failed, figures.longest, figures.first_failure)
    return whole
