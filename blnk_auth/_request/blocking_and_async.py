"""Logic that waits, written once for threads and tasks.

Used by the request flow and the auth classes. The logic is a generator. It yields a `Wait` whenever it must wait, gets
the result of that wait, and returns its own result. `run` waits by blocking the thread, `arun` by awaiting in a task.
Both promise to raise an exception of a wait inside the generator. They never decide anything.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol, TypeVar

from .._renewal.single_flight import Flight

Result = TypeVar("Result")


class Wait(Protocol):
    """Something to wait for."""

    def wait(self) -> Any:
        """Wait for it, blocking the thread, and return its result."""
        ...

    async def wait_async(self) -> Any:
        """Wait for it in a task, while other tasks run, and return its result."""
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
    """Run the logic in this thread, and return its result."""
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
    """Run the logic in this task, and return its result."""
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
