from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from simulation import invariants
from simulation.invariants import INVARIANTS
from simulation.mutations import MUTATIONS
from simulation.process import COOLING_DOWN, PROVED, REJECTED, REPEATING, REVOKED, TOKEN
from simulation.scheduler import Violation, enumerate_schedules, explore, replay, wander
from simulation.world import FRESH, STALE, Lock, Server, Setup, World

Tell = Callable[[str, object], None]

SERVERS: tuple[Server, ...] = ("revokes", "single use", "grace")
LOCKS: tuple[Lock, ...] = ("exclusive", "lease", "none")
ONCE, REJECTED_LATER = (TOKEN,), (TOKEN, REJECTED)

# Each rule has a world here that takes a second at most: one or two processes, most of them with one call, and a fault
# at each step for the first rules, none for the others. The same worlds with a fault anywhere, two calls and more
# processes are among the deep ones. So is the world of the promise, three processes with two renewals each and one
# fault anywhere, which takes twenty seconds.
WORLDS: dict[str, Setup] = {
    "one fault": Setup(workers=2, calls=ONCE),
    "stale at first": Setup(workers=2, age=STALE, calls=ONCE),
    "rejected by the API": Setup(workers=2, age=FRESH, calls=REJECTED_LATER, faults=0),
    "every token rejected": Setup(workers=2, age=FRESH, calls=(TOKEN, REVOKED), expiries=0, faults=0),
    "lease, single use": Setup(lock="lease", server="single use", workers=2, calls=ONCE),
    "no lock, single use": Setup(lock="none", server="single use", workers=2, calls=ONCE, faults=0),
    "a new sign-in": Setup(signs_in=True, workers=2, calls=ONCE, faults=0),
    "asking again": Setup(policy=REPEATING, workers=2, calls=ONCE, faults=0),
    "asking again, grace": Setup(policy=REPEATING, server="grace", workers=2, calls=ONCE),
    "a lost write": Setup(loses_writes=True, workers=2, calls=ONCE),
    "clocks that differ": Setup(ahead=150, server="grace", workers=2, calls=ONCE, faults=0),
    "cooling down": Setup(policy=COOLING_DOWN, workers=2, faults=0),
    "a nonce": Setup(dpop="bound", nonces=1, workers=2, calls=ONCE, faults=0),
    "a nonce of an API": Setup(dpop="bound", nonces=1, workers=2, age=FRESH, calls=(PROVED,), expiries=0, faults=0),
    "bound by a renewal": Setup(dpop="not yet", workers=2, calls=ONCE, faults=0),
}

DEEP_WORLDS: dict[str, Setup] = {
    "one fault, one call": Setup(calls=ONCE),
    "two faults": Setup(workers=2, calls=ONCE, faults=2),
    **{
        f"{name}, one fault": replace(WORLDS[name], faults=1)
        for name in (
            "rejected by the API",
            "a new sign-in",
            "clocks that differ",
            "cooling down",
            "every token rejected",
            "asking again",
            "a nonce",
            "bound by a renewal",
        )
    },
    **{f"one fault, {server}": Setup(server=server) for server in SERVERS},
    **{f"two faults, {server}": Setup(server=server, workers=2, faults=2) for server in SERVERS},
    "one fault, one call, grace": Setup(server="grace", calls=ONCE),
    "two faults, one call, grace": Setup(server="grace", workers=2, calls=ONCE, faults=2),
    **{f"lease, {server}": Setup(lock="lease", server=server, calls=ONCE) for server in SERVERS},
    **{f"lease, two calls, {server}": Setup(lock="lease", server=server, workers=2) for server in SERVERS},
    "lease, two faults": Setup(lock="lease", server="single use", workers=2, calls=ONCE, faults=2),
    **{f"no lock, {server}": Setup(lock="none", server=server, workers=2, faults=0) for server in SERVERS},
    **{f"no lock, one fault, {server}": Setup(lock="none", server=server, workers=2, calls=ONCE) for server in SERVERS},
    **{
        f"a new sign-in, lease, {server}": Setup(signs_in=True, lock="lease", server=server, workers=2)
        for server in SERVERS
    },
    "a new sign-in, two calls": Setup(signs_in=True, workers=2),
    "a new sign-in, three processes": Setup(signs_in=True, calls=ONCE),
    "a new sign-in, two faults": Setup(signs_in=True, workers=2, calls=ONCE, faults=2),
    "asking again, two calls": Setup(policy=REPEATING, workers=2),
    "asking again, two calls, grace": Setup(policy=REPEATING, server="grace", workers=2),
    "asking again, three processes, grace": Setup(policy=REPEATING, server="grace", calls=ONCE),
    "asking again, two faults, grace": Setup(policy=REPEATING, server="grace", workers=2, calls=ONCE, faults=2),
    "asking again, lease, single use": Setup(policy=REPEATING, lock="lease", server="single use", workers=2),
    "cooling down, three calls": Setup(policy=COOLING_DOWN, workers=2, calls=(TOKEN,) * 3, age=STALE),
    "cooling down, lease": Setup(policy=COOLING_DOWN, lock="lease", server="single use", workers=2, calls=ONCE),
    "a lost write, two calls": Setup(loses_writes=True, workers=2),
    "a lost write, a new sign-in": Setup(loses_writes=True, signs_in=True, workers=2),
    "a lost write, three processes": Setup(loses_writes=True, calls=ONCE),
    "lost writes, two faults": Setup(loses_writes=True, workers=2, calls=ONCE, faults=2),
    **{
        f"a lost write, lease, two faults, {server}": Setup(
            loses_writes=True, lock="lease", server=server, workers=2, calls=ONCE, faults=2
        )
        for server in SERVERS
    },
    **{
        f"clocks that differ by {ahead}, {lock}": Setup(ahead=ahead, lock=lock, server="grace", workers=2)
        for lock in ("exclusive", "lease")
        for ahead in (-150, 10)
    },
    "clocks that differ, two calls": Setup(ahead=150, server="grace", workers=2),
    "clocks that differ, three processes": Setup(ahead=10, server="grace", calls=ONCE),
    "clocks that differ, a new sign-in": Setup(ahead=150, signs_in=True, workers=2),
    "suspended, asking again, two faults": Setup(
        lock="lease", freezes=True, server="single use", policy=REPEATING, workers=2, calls=ONCE, faults=2
    ),
    "two expiries": Setup(workers=2, calls=(TOKEN,) * 3, expiries=2),
    "stale, two calls": Setup(workers=2, age=STALE),
    "stale, two faults": Setup(workers=2, age=STALE, faults=2),
    "every token rejected, grace": Setup(server="grace", workers=2, age=FRESH, calls=(TOKEN, REVOKED, TOKEN)),
    "rejected by the API, two faults": Setup(workers=2, age=FRESH, calls=REJECTED_LATER, faults=2),
    "nonces of an API": Setup(dpop="bound", nonces=2, workers=2, age=FRESH, calls=(PROVED,), expiries=0, faults=0),
    "nonce of an API, one fault": Setup(dpop="bound", nonces=1, workers=2, age=FRESH, calls=(PROVED,), expiries=0),
    "nonces": Setup(dpop="bound", nonces=2, workers=2, calls=ONCE),
    "bound by a renewal, two faults": Setup(dpop="not yet", workers=2, calls=ONCE, faults=2),
    "bound by a renewal, grace": Setup(dpop="not yet", server="grace", workers=2, calls=ONCE),
    "bound by a renewal, lease": Setup(dpop="not yet", lock="lease", server="single use", workers=2, calls=ONCE),
    "bound by a renewal, no lock": Setup(dpop="not yet", lock="none", workers=2, calls=ONCE, expiries=0),
}


@pytest.mark.parametrize("server", SERVERS)
def test_without_faults_each_expiry_costs_one_request(server: Server, record_property: Tell) -> None:
    """In any order of three processes' steps: one request for each expiry, and a valid token for every call."""
    setup = Setup(server=server, faults=0)
    record_property("explored", str(explore(setup)))


@pytest.mark.parametrize("world", WORLDS)
def test_every_invariant_holds_in_every_schedule(world: str, record_property: Tell) -> None:
    """In any order of all steps, with any fault at any step, all invariants of invariants.py are kept."""
    explored = explore(WORLDS[world])
    record_property("explored", str(explored))
    assert explored.schedules >= 900


@pytest.mark.deep
@pytest.mark.parametrize("world", DEEP_WORLDS)
def test_every_invariant_holds_in_every_schedule_of_larger_worlds(world: str, record_property: Tell) -> None:
    """The same with more processes, calls, expiries and faults."""
    record_property("explored", str(explore(DEEP_WORLDS[world])))


@pytest.mark.deep
@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("server", SERVERS)
def test_every_invariant_holds_in_random_schedules_with_three_faults(server: Server, lock: Lock) -> None:
    """Three processes, three calls each, two expiries, three faults: too many to try all, so some at random."""
    setup = Setup(server=server, lock=lock, calls=(TOKEN,) * 3, expiries=2, faults=3)
    wander(setup, schedules=20_000, seed=1)


SMALL_WORLDS: dict[str, Setup] = {
    "no fault": Setup(workers=2, faults=0),
    **{f"one fault, {server}": Setup(server=server, workers=2, calls=ONCE, expiries=0) for server in SERVERS},
}
WALKED = [pytest.param(name, marks=[pytest.mark.deep] * (name != "one fault, grace")) for name in SMALL_WORLDS]


@pytest.mark.parametrize("world", WALKED)
def test_merging_equal_states_leaves_no_schedule_out(world: str, record_property: Tell) -> None:
    """Walking each schedule by itself, with nothing remembered, meets as many schedules and the same ends."""
    rules, explored = World(SMALL_WORLDS[world]), explore(SMALL_WORLDS[world])
    ends = Counter(rules.key(state) for state in enumerate_schedules(rules))
    record_property("explored", f"{ends.total():,} schedules one by one, {len(ends)} different ends")
    assert (explored.schedules, explored.ends) == (ends.total(), len(ends))


def test_a_schedule_is_replayed_step_by_step() -> None:
    """A schedule that breaks nothing leads where it leads, and one with an impossible step is refused."""
    calls = [(0, "makes a call"), (0, "loads"), (0, "locks"), (0, "loads"), (0, "asks the server")]
    state = replay(Setup(), calls)
    assert state.spent_at == (state.now, -1)
    with pytest.raises(ValueError, match="after 5 steps there is no step worker 1: unlocks"):
        replay(Setup(), [*calls, (1, "unlocks")])


def test_a_violation_lists_the_schedule() -> None:
    """The error of a broken invariant lists the steps in words and the choices for `replay`."""
    with pytest.raises(Violation) as found:
        explore(MUTATIONS["keeps the old refresh token"])
    text = str(found.value)
    assert text.startswith(
        "1: refresh token 0 is spent twice, and no fault explains it\n   1. worker 0: makes a call\n"
    )
    assert "replay(setup, [(0, 'makes a call'), (0, 'loads')" in text


PAGE = Path(__file__).parents[2] / "docs/explanation/renewal.md"


def test_the_page_names_every_invariant_and_no_other() -> None:
    """What it calls safe and live are the invariants of the code, and each complaint has the number of one."""
    section = PAGE.read_text("utf-8").partition("## What is safe")[2].partition("**What no client can prevent**")[0]
    named = [name for name in re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE) if name not in ("Invariant", "---")]
    assert sorted(named) == sorted(INVARIANTS.values())
    source = Path(invariants.__file__).read_text("utf-8")
    assert {int(number) for number in re.findall(r'f?"(\d+): ', source)} == set(INVARIANTS)
    assert [int(number) for number in re.findall(r"^(\d+)\. +", source, re.MULTILINE)] == list(INVARIANTS)
