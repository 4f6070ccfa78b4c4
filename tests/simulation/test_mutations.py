from __future__ import annotations

from dataclasses import replace

import pytest
from simulation import mutations, test_simulation
from simulation.mutations import MUTATIONS
from simulation.process import SimulatedToken
from simulation.scheduler import Violation, explore, replay
from simulation.world import Setup

from blnk_auth._renewal.loading_and_saving import StoredGrant
from blnk_auth._renewal.renewal import Renewal
from blnk_auth._renewal.token_endpoint import TokenEndpoint
from blnk_auth._request.attempts import Attempts

FOUND_LATE = (
    *("revives its own ended pair", "remembers what it did not renew"),
    *("a renewal wins over a sign-in", "a renewal wins over an unsaved sign-in"),
)
"""Mistakes of which one schedule among a hundred thousand shows the first."""


@pytest.mark.parametrize(
    "mistake", [pytest.param(name, marks=[pytest.mark.deep] * (name in FOUND_LATE)) for name in MUTATIONS]
)
def test_mistake_is_caught_by_a_schedule_that_can_be_replayed(mistake: str) -> None:
    """Every seeded mistake breaks an invariant, and replaying its schedule breaks it again in the same way."""
    with pytest.raises(Violation) as found:
        explore(MUTATIONS[mistake])
    violation = found.value
    with pytest.raises(Violation) as again:
        replay(MUTATIONS[mistake], violation.choices)
    repeated = again.value
    assert str(repeated) == str(violation)


def corrected(setup: Setup) -> Setup:
    """The same world without the mistake."""
    return replace(setup, token_type=SimulatedToken, crash_frees_lock=True, shielded=True)


def named(world: Setup) -> str:
    return f"{world.lock} lock, {world.server}, {len(world.calls)} calls, {world.faults} faults"


EXPLORED = {*test_simulation.WORLDS.values(), *test_simulation.DEEP_WORLDS.values()}
"""What the tests of the simulation explore themselves."""


def is_large(world: Setup) -> bool:
    """A fault among one call of each process makes a world of 15,000 states, and two faults one of half a million."""
    return world.faults > 0


WORLDS = [
    pytest.param(world, id=named(world), marks=[pytest.mark.deep] if is_large(world) else [])
    for world in {corrected(setup): None for setup in MUTATIONS.values()}
    if world not in EXPLORED
]


@pytest.mark.parametrize("world", WORLDS)
def test_without_the_mistake_nothing_is_broken_in_its_world(world: Setup) -> None:
    """What catches the mistakes is the mistakes: in the very same worlds the real code is right."""
    assert explore(world).schedules > 1


MISTAKES = [
    each
    for each in vars(mutations).values()
    if isinstance(each, type) and issubclass(each, (Renewal, StoredGrant, TokenEndpoint, SimulatedToken, Attempts))
    if each.__module__ == mutations.__name__
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_overrides_what_is_there(mistake: type) -> None:
    """A method that was renamed is found here: its mistake would no longer be made."""
    own = {name for name, each in vars(mistake).items() if callable(each) and not name.startswith("__")}
    assert own <= set(dir(mistake.__base__))
