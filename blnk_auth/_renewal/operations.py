"""Running an operation on a worker thread, waiting for it, and emitting its events.

Used by everything that calls a store or the authorization server for a user: sources, sign-ins, renewals. What this
file promises:

* Cancelling the caller does not cancel the operation.
* The operation's events are emitted after its waiters have been woken, even if the operation raised an error.
* No caller waits longer than `wait_timeout`.
* While a callback gets an event, `ended_operation` is the operation that the event belongs to.

It never decides what an operation does.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import replace
from typing import TypeVar

from ..events import Event, OnEvent, emit
from .single_flight import Flight, Waiters, run_on_worker, waiters_of_ended_flight
from .store_keys import parse_token_key

Result = TypeVar("Result")

_MOST_NOTED = 100
"""Events that wait for the next operation to end. Each operation takes all of them."""


class EndedOperation:
    """All events of one operation, which a callback gets one by one, and who has waited for it.

    Attributes:
        events: In the order in which they happened.
        waiters: Who has waited; None if nobody has, or nobody watches.
        taken_by: The callbacks that have taken the whole operation at one of its events.
    """

    __slots__ = ("events", "taken_by", "waiters")

    def __init__(self, events: tuple[Event, ...], waiters: Waiters | None = None) -> None:
        self.events: tuple[Event, ...] = events
        self.waiters: Waiters | None = waiters
        self.taken_by: list[object] = []


_EMITTED: ContextVar[EndedOperation | None] = ContextVar("blnk_auth operation", default=None)


def ended_operation() -> EndedOperation | None:
    """The operation whose events are emitted now, in this thread; None outside a callback."""
    return _EMITTED.get()


class Operations:
    """Runs the operations of one client. May be used from any thread or task."""

    def __init__(self, *, provider: str, on_event: OnEvent | None, wait_timeout: float) -> None:
        self._provider = provider
        self._on_event = on_event
        self._wait_timeout = wait_timeout
        self._noted: deque[Event] = deque(maxlen=_MOST_NOTED)

    def begin(
        self, work: Callable[[list[Event]], Result], afterwards: Callable[[], object] | None = None
    ) -> Flight[Result]:
        """Run an operation on a worker thread.

        Args:
            work: The operation. It appends its events to the list that it is given.
            afterwards: Called on that thread, after the waiters have been woken and the events emitted; None if there
                is nothing left to do.

        Returns:
            The flight to wait for.
        """
        events: list[Event] = []
        began_at = time.monotonic()

        def finish() -> None:
            self.emit(events, seconds=time.monotonic() - began_at)
            if afterwards is not None:
                afterwards()

        return run_on_worker(lambda: work(events), finish)

    def wait_for(self, flight: Flight[Result]) -> Result:
        """Block until an operation has ended, and return its result."""
        return flight.wait(self._wait_timeout)

    async def await_for(self, flight: Flight[Result]) -> Result:
        """Wait in a task until an operation has ended, and return its result."""
        return await flight.wait_async(self._wait_timeout)

    def note(self, event: Event) -> None:
        """Keep an event that happens where none may be emitted, as under a lock of the store, for the next `emit`."""
        self._noted.append(event)

    def emit(self, events: Iterable[Event], *, seconds: float | None = None, may_warn: bool = True) -> None:
        """Add the subject and the provider to each event, log it, and pass it to `on_event`.

        Args:
            events: What happened.
            seconds: How long the operation took; None if that was not measured.
            may_warn: Whether these events may be logged as warnings; see `events.emit`.
        """
        noted = tuple(self._completed(event, seconds) for event in self._taken())
        completed = (*noted, *(self._completed(event, seconds) for event in events))
        if not completed:
            return
        emitted = _EMITTED.set(EndedOperation(completed, waiters_of_ended_flight()))
        try:
            for number, event in enumerate(completed):
                emit(self._on_event, event, may_warn=may_warn or number < len(noted))
        finally:
            _EMITTED.reset(emitted)

    def _completed(self, event: Event, seconds: float | None) -> Event:
        known = parse_token_key(event.store_key)
        subject = None if known is None else known[1].subject
        return replace(event, subject=subject, provider=self._provider, seconds=seconds)

    def _taken(self) -> Iterator[Event]:
        """The events that were noted; each is taken once."""
        while self._noted:
            try:
                yield self._noted.popleft()
            except IndexError:
                # Another thread has taken the last one.
                return
