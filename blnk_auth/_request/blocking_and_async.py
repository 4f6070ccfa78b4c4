"""Logic that waits, written once for threads and tasks.

Used by the request flow and the auth classes. A generator yields each `Wait`, which can block or be awaited, and
returns its result. `run` drives it by blocking, `arun` by awaiting. Both promise to raise an exception of a wait inside
the generator. They never decide anything.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol, TypeVar

from .._renewal.single_flight import Flight

Result = TypeVar("Result")


class Wait(Protocol):
    """Something that takes time."""

    def wait(self) -> Any:
        """Do it, blocking the thread."""
        ...

    async def wait_async(self) -> Any:
        """Do it, letting other tasks run."""
        ...


Waits = Generator[Wait, Any, Result]


class FlightWait:
    """Waiting for a flight, at most `timeout` seconds."""

    __slots__ = ("_flight", "_timeout")

    def __init__(self, flight: Flight[Any], timeout: float) -> None:
        self._flight = flight
        self._timeout = timeout

    def wait(self) -> Any:
        return self._flight.wait(self._timeout)

    async def wait_async(self) -> Any:
        return await self._flight.wait_async(self._timeout)


def run(waits: Waits[Result]) -> Result:
    """Run it in this thread."""
    try:
        wait = next(waits)
        while True:
            try:
                found = wait.wait()
            except Exception as error:  # noqa: BLE001 - for the generator to handle
                wait = waits.throw(error)
            else:
                wait = waits.send(found)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a generator's return value is untyped at run time


async def arun(waits: Waits[Result]) -> Result:
    """Run it in this task."""
    try:
        wait = next(waits)
        while True:
            try:
                found = await wait.wait_async()
            except Exception as error:  # noqa: BLE001 - for the generator to handle
                wait = waits.throw(error)
            else:
                wait = waits.send(found)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a generator's return value is untyped at run time
