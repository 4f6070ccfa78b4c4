"""Waits: the same generator, driven by blocking or by awaiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import trio

from blnk_auth._renewal.single_flight import run_on_worker
from blnk_auth._request.blocking_and_async import FlightWait, Wait, Waits, arun, run

DRIVERS: dict[str, Callable[[Waits[Any]], Any]] = {
    "thread": run,
    "asyncio": lambda waits: asyncio.run(arun(waits)),
    "trio": lambda waits: trio.run(arun, waits),
}


@pytest.fixture(params=DRIVERS)
def drive(request: pytest.FixtureRequest) -> Callable[[Waits[Any]], Any]:
    return DRIVERS[request.param]


class Given:
    """A wait that gives a value or raises an error."""

    def __init__(self, result: object) -> None:
        self.result = result

    def wait(self) -> Any:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    async def wait_async(self) -> Any:
        return self.wait()


def test_each_step_gets_its_result_and_the_end_is_returned(drive: Callable[[Waits[Any]], Any]) -> None:
    """Values go in, the return value comes out."""

    def waits() -> Waits[int]:
        one = yield Given(1)
        two = yield Given(2)
        return one + two

    assert drive(waits()) == 3


def test_without_a_step_nothing_is_driven(drive: Callable[[Waits[Any]], Any]) -> None:
    """A decision that needs no time takes none."""

    def waits() -> Waits[str]:
        return "at once"
        yield Given(0)

    assert drive(waits()) == "at once"


def test_an_error_of_a_step_is_raised_where_it_was_taken(drive: Callable[[Waits[Any]], Any]) -> None:
    """It can be handled there, and the wait can continue."""

    def waits() -> Waits[str]:
        try:
            yield Given(ValueError("x"))
        except ValueError:
            return (yield Given("recovered"))
        return "not reached"

    assert drive(waits()) == "recovered"


def test_an_error_that_is_not_handled_leaves(drive: Callable[[Waits[Any]], Any]) -> None:
    """As itself."""

    def waits() -> Waits[None]:
        yield Given(KeyError("x"))

    with pytest.raises(KeyError):
        drive(waits())


def test_landing_is_a_step(drive: Callable[[Waits[Any]], Any]) -> None:
    """Waiting for a flight, in each manner."""

    def waits() -> Waits[int]:
        step: Wait = FlightWait(run_on_worker(lambda: 42, lambda: None), 10.0)
        return (yield step)

    assert drive(waits()) == 42
