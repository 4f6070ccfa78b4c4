"""Running an operation on a worker thread, waiting for it, and emitting its events.

Used by everything that reaches a store or the authorization server for a user: sources, sign-ins, renewals. It promises
that cancelling the caller does not cancel the operation, that its events are emitted once its waiters have been woken,
also if it raised, and that no caller waits longer than `wait_timeout`. It never decides what an operation does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from ..events import Event, OnEvent, emit
from .single_flight import Flight, run_on_worker
from .store_keys import parse_token_key

Result = TypeVar("Result")


class Operations:
    """One for each client. May be used from any thread or task."""

    def __init__(self, *, provider: str, on_event: OnEvent | None, wait_timeout: float) -> None:
        self._provider = provider
        self._on_event = on_event
        self._wait_timeout = wait_timeout

    def begin(
        self, work: Callable[[list[Event]], Result], afterwards: Callable[[], object] | None = None
    ) -> Flight[Result]:
        """Run an operation on a worker thread.

        Args:
            work: The operation. It appends its events to the list that it is given.
            afterwards: Called there when all waiters have been woken and the events emitted. None: nothing is.

        Returns:
            What to wait for.
        """
        events: list[Event] = []
        began_at = time.monotonic()

        def finish() -> None:
            self.emit(events, seconds=time.monotonic() - began_at)
            if afterwards is not None:
                afterwards()

        return run_on_worker(lambda: work(events), finish)

    def wait_for(self, flight: Flight[Result]) -> Result:
        """Block until an operation has ended."""
        return flight.wait(self._wait_timeout)

    async def await_for(self, flight: Flight[Result]) -> Result:
        """Wait in a task until an operation has ended."""
        return await flight.wait_async(self._wait_timeout)

    def emit(self, events: Iterable[Event], *, seconds: float | None = None) -> None:
        """Log events and pass them to `on_event`, completed by whose token and which provider it is.

        `seconds`: how long the operation took that they are about.
        """
        for event in events:
            known = parse_token_key(event.store_key)
            subject = None if known is None else known[1].subject
            emit(self._on_event, replace(event, subject=subject, provider=self._provider, seconds=seconds))
