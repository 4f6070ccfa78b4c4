"""Logic that waits, written once for threads and tasks.

A generator yields `Step`s, each of which can be taken in either manner, and returns its result. `take` drives it by
blocking, `atake` by awaiting; neither decides anything.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol, TypeVar

from .._renewal.single_flight import Flight

Result = TypeVar("Result")


class Step(Protocol):
    """Something that takes time."""

    def take(self) -> Any:
        """Take it, blocking the thread."""
        ...

    async def atake(self) -> Any:
        """Take it, letting other tasks run."""
        ...


Steps = Generator[Step, Any, Result]


class FlightWait:
    """Waiting for a flight."""

    __slots__ = ("_flight", "_timeout")

    def __init__(self, flight: Flight[Any], timeout: float) -> None:
        self._flight = flight
        self._timeout = timeout

    def take(self) -> Any:
        return self._flight.wait(self._timeout)

    async def atake(self) -> Any:
        return await self._flight.wait_async(self._timeout)


def take(steps: Steps[Result]) -> Result:
    """Run the steps in this thread."""
    try:
        step = next(steps)
        while True:
            try:
                taken = step.take()
            except Exception as error:  # noqa: BLE001 - for the generator to handle
                step = steps.throw(error)
            else:
                step = steps.send(taken)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a generator's return value is untyped at run time


async def atake(steps: Steps[Result]) -> Result:
    """Run the steps in this task."""
    try:
        step = next(steps)
        while True:
            try:
                taken = await step.atake()
            except Exception as error:  # noqa: BLE001 - for the generator to handle
                step = steps.throw(error)
            else:
                step = steps.send(taken)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a generator's return value is untyped at run time
