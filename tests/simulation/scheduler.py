"""Takes every step in every order, or follows one schedule.

`explore` walks depth first through all schedules of a world. States that are equal have equal futures, so each is
explored once: the number of schedules below it is remembered and added wherever it is reached again. The count is
therefore exact, and every schedule counted has been judged to its end. `enumerate_schedules` walks each schedule by
itself and remembers no state: it is slow, and shows that the shortcut leaves nothing out.

A broken invariant is raised as `Violation` with the schedule that led there; `replay` follows that schedule again.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from simulation.invariants import Broken, check_end, check_going_on, check_step
from simulation.world import Choice, Setup, State, World


class Violation(AssertionError):
    """An invariant is broken. `choices` is the schedule, for `replay`."""

    def __init__(self, complaint: str, choices: Iterable[Choice]) -> None:
        self.complaint = complaint
        self.choices = tuple(choices)
        steps = "\n".join(f"  {number:2}. {choice}" for number, choice in enumerate(self.choices, 1))
        super().__init__(f"{complaint}\n{steps}\nreplay(setup, {[tuple(each) for each in self.choices]!r})")


@dataclass(frozen=True, slots=True)
class Explored:
    """What an exploration covered."""

    schedules: int
    """Complete executions, no two alike, each judged to its end."""

    states: int
    steps: int
    ends: int
    runs: int
    """How often the real code was run: once for each history that a process can have."""

    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.schedules:,} schedules through {self.states:,} states by {self.steps:,} steps "
            f"to {self.ends:,} ends, {self.runs:,} runs of the real code, {self.seconds:.1f} s"
        )


def step(world: World, state: State, choice: Choice) -> State:
    """Take one step and judge it."""
    after, happenings = world.take(state, choice)
    for happening in happenings:
        check_step(world.setup, state, happening, after)
    return after


def explore(setup: Setup) -> Explored:
    """Every schedule of this world. Raises `Violation`."""
    world, started = World(setup), time.perf_counter()
    below: dict[tuple[object, ...], int] = {}
    path: list[Choice] = []
    steps = ends = 0

    def count(state: State) -> int:
        nonlocal steps, ends
        key = world.key(state)
        known = below.get(key)
        if known is not None:
            return known
        choices = _choices(world, state)
        total = 0
        for choice in choices:
            path.append(choice)
            steps += 1
            total += count(step(world, state, choice))
            path.pop()
        if not choices:
            ends += 1
            check_end(world, state)
            total = 1
        below[key] = total
        return total

    # Millions of live tuples, without any cycle: the collector would walk through them in vain.
    gc.disable()
    try:
        schedules = count(world.start())
    except Broken as broken:
        raise Violation(str(broken), path) from None
    finally:
        gc.enable()
    seconds = time.perf_counter() - started
    return Explored(schedules, len(below), steps, ends, world.processes.runs, seconds)


def enumerate_schedules(world: World) -> Iterator[State]:
    """The last state of every schedule, each walked by itself."""
    waiting, ends = [world.start()], set[tuple[int, ...]]()
    while waiting:
        state = waiting.pop()
        choices = _choices(world, state)
        waiting.extend(step(world, state, choice) for choice in choices)
        if not choices:
            if world.key(state) not in ends:
                check_end(world, state)
                ends.add(world.key(state))
            yield state


def wander(setup: Setup, *, schedules: int, seed: int) -> None:
    """Some schedules at random, for worlds that are too large to be explored. Raises `Violation`."""
    world, chance = World(setup), random.Random(seed)
    for _ in range(schedules):
        state, path = world.start(), list[Choice]()
        try:
            while choices := _choices(world, state):
                path.append(chance.choice(choices))
                state = step(world, state, path[-1])
            check_end(world, state)
        except Broken as broken:
            raise Violation(str(broken), path) from None


def replay(setup: Setup, choices: Iterable[tuple[int, str]]) -> State:
    """Follow one schedule. Raises `Violation` where it breaks an invariant, `ValueError` if it cannot be followed."""
    world = World(setup)
    state, path = world.start(), list[Choice]()
    try:
        for each in choices:
            choice = Choice(*each)
            if choice not in _choices(world, state):
                raise ValueError(f"after {len(path)} steps there is no step {choice}")
            path.append(choice)
            state = step(world, state, choice)
        if not _choices(world, state):
            check_end(world, state)
    except Broken as broken:
        raise Violation(str(broken), path) from None
    return state


def _choices(world: World, state: State) -> list[Choice]:
    """Every step that may come next: first those without a fault."""
    plain = world.plain_choices(state)
    if not plain:
        check_going_on(world, state)
    return plain + world.faults(state)
