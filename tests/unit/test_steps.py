"""Steps: the same generator, driven by blocking or by awaiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import trio

from blnk_auth._renewal.single_flight import run_on_worker
from blnk_auth._request.waits import FlightWait, Step, Steps, atake, take

DRIVERS: dict[str, Callable[[Steps[Any]], Any]] = {
    "thread": take,
    "asyncio": lambda steps: asyncio.run(atake(steps)),
    "trio": lambda steps: trio.run(atake, steps),
}


@pytest.fixture(params=DRIVERS)
def drive(request: pytest.FixtureRequest) -> Callable[[Steps[Any]], Any]:
    return DRIVERS[request.param]


class Given:
    """A step that gives a value or raises an error."""

    def __init__(self, outcome: object) -> None:
        self.outcome = outcome

    def take(self) -> Any:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    async def atake(self) -> Any:
        return self.take()


def test_each_step_gets_its_result_and_the_end_is_returned(drive: Callable[[Steps[Any]], Any]) -> None:
    """Values go in, the return value comes out."""

    def steps() -> Steps[int]:
        one = yield Given(1)
        two = yield Given(2)
        return one + two

    assert drive(steps()) == 3


def test_without_a_step_nothing_is_driven(drive: Callable[[Steps[Any]], Any]) -> None:
    """A decision that needs no time takes none."""

    def steps() -> Steps[str]:
        return "at once"
        yield Given(0)

    assert drive(steps()) == "at once"


def test_an_error_of_a_step_is_raised_where_it_was_taken(drive: Callable[[Steps[Any]], Any]) -> None:
    """It can be handled there, and further steps taken."""

    def steps() -> Steps[str]:
        try:
            yield Given(ValueError("x"))
        except ValueError:
            return (yield Given("recovered"))
        return "not reached"

    assert drive(steps()) == "recovered"


def test_an_error_that_is_not_handled_leaves(drive: Callable[[Steps[Any]], Any]) -> None:
    """As itself."""

    def steps() -> Steps[None]:
        yield Given(KeyError("x"))

    with pytest.raises(KeyError):
        drive(steps())


def test_landing_is_a_step(drive: Callable[[Steps[Any]], Any]) -> None:
    """Waiting for a flight, in each manner."""

    def steps() -> Steps[int]:
        step: Step = FlightWait(run_on_worker(lambda: 42, lambda: None), 10.0)
        return (yield step)

    assert drive(steps()) == 42
