"""The table of the canary, and the one mechanism that runs a row of it.

A row is a function that does one operation in a `World` and returns what came of it:

    @row("TokenSource.renew", failures=TOKEN_REQUEST)
    def renewing(world: World) -> object:
        return world.source().renew()

It is tried once without a failure, when it must not raise, and once with each of its failures. `drives` lists the
public names that it runs: the first trial fails if one of them was not entered (`tracing`), and
`test_every_public_name.py` compares them with what is public. Everything that showed
meanwhile is searched for every secret of the world. `exceptions.py` lists what may show, and why.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from .exceptions import is_excepted
from .faults import FAILURES
from .marks import Found
from .server import Server
from .sinks import Shown, of_value
from .tracing import entered_names, not_entered
from .watch import Watch
from .world import World

Operation = Callable[[World], Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One operation, what it drives, and the failures that it meets."""

    name: str
    operation: Operation
    drives: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    further: tuple[str, ...] = ()
    raises: bool = False
    deep: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """One row with one of its failures, or with None."""

    row: Row
    failure: str | None
    is_deep: bool = False
    """Whether it is only tried in the deep run."""

    def __str__(self) -> str:
        return f"{self.row.name}-{self.failure or 'fails by itself' * self.row.raises or 'succeeds'}"


ROWS: list[Row] = []


class Options(TypedDict, total=False):
    """How a row is tried.

    Attributes:
        failures: Names in `FAILURES`, each tried once.
        further: More of them, which only the deep run tries.
        raises: Whether it fails by itself, as with a wrong argument, and so has no trial that succeeds.
        deep: Whether only the deep run tries it at all.
    """

    failures: Iterable[str]
    further: Iterable[str]
    raises: bool
    deep: bool


def row(drives: str, **options: Unpack[Options]) -> Callable[[Operation], Operation]:
    """Add an operation to the table; `drives` has the public names that it runs, space-separated."""

    def add(operation: Operation) -> Operation:
        add_row(operation.__name__.replace("_", " "), operation, drives, **options)
        return operation

    return add


def add_row(name: str, operation: Operation, drives: str, **options: Unpack[Options]) -> None:
    """The same for rows that are made in a loop."""
    usual = tuple(dict.fromkeys(options.get("failures", ())))
    further = tuple(each for each in dict.fromkeys(options.get("further", ())) if each not in usual)
    assert {*usual, *further} <= {*FAILURES}, f"{name}: {({*usual, *further}) - {*FAILURES}}"
    assert name not in {each.name for each in ROWS}, f"there are two rows with the name {name!r}"
    raises, deep = options.get("raises", False), options.get("deep", False)
    ROWS.append(Row(name, operation, tuple(drives.split()), usual, further, raises, deep))


def trials() -> list[Trial]:
    """Every trial of the table. Usually each row is tried without a failure, and with every twelfth of its failures.

    Each failure is tried with the first row that has it; the deep run tries all.
    """
    plain = [Trial(each, None, each.deep) for each in ROWS]
    pairs = [(each, failure) for each in ROWS for failure in each.failures]
    first = {failure: number for number, (_, failure) in reversed(list(enumerate(pairs)))}
    failing = [
        Trial(each, failure, is_deep=each.deep or not (number % 12 == 0 or first[failure] == number))
        for number, (each, failure) in enumerate(pairs)
    ]
    return plain + failing + [Trial(each, failure, is_deep=True) for each in ROWS for failure in each.further]


def leaks_of(trial: Trial, server: Server) -> list[str]:
    """Runs a trial; one line for each place where a secret showed that may not."""
    world = World(server)
    with world.watch(), world:
        if trial.failure is not None:
            FAILURES[trial.failure](world)
        with entered_names() as entered:
            result, error = _result_and_error(trial, world)
    if trial.failure is None and not trial.row.raises and error is not None:
        raise error
    assert error is not None or not trial.row.raises, "it did not raise"
    if trial.failure is None:
        unused = not_entered(trial.row.drives, entered)
        assert not unused, f"the row declares {' '.join(unused)} and does not run it"
    assert [*world.secrets], "there was no secret to look for"
    return leaks_in(world, [result, error])


def _result_and_error(trial: Trial, world: World) -> tuple[object, BaseException | None]:
    try:
        return _perform(trial.row.operation, world), None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return None, error


def _perform(operation: Operation, world: World) -> object:
    if not inspect.iscoroutinefunction(operation):
        return operation(world)

    async def run() -> object:
        asyncio.get_running_loop().set_exception_handler(world.watch.of_loop)
        return await operation(world)

    return asyncio.run(run(), debug=True)


def leaks_in(world: World, values: Iterable[object]) -> list[str]:
    """What the search finds in values, in all that the world looked at, and in all that was written meanwhile."""
    lines: dict[tuple[str, str], str] = {}
    known: dict[str, list[Found]] = {}
    for shown in _shown(world.watch, [*world.all_that_is_looked_at(), *values]):
        if shown.text not in known:
            known[shown.text] = world.secrets.found_in(shown.text)
        for found in known[shown.text]:
            if not is_excepted(shown.sink, found.kind):
                line = f"{found.kind} in {shown.sink} ({found.encoding}): ...{found.excerpt!r}"
                lines.setdefault((shown.sink, found.kind), line)
    return list(lines.values())


def _shown(watch: Watch, values: Iterable[object]) -> Iterator[Shown]:
    yield from watch.shown
    for value in values:
        with contextlib.suppress(StopIteration):
            yield from of_value(value)
