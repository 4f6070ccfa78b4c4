from __future__ import annotations

import pytest
from simulation.mutations import MUTATIONS
from simulation.scheduler import Violation, explore, replay


@pytest.mark.parametrize("mistake", MUTATIONS)
def test_mistake_is_caught_by_a_schedule_that_can_be_replayed(mistake: str) -> None:
    """Every seeded mistake breaks an invariant, and replaying its schedule breaks it again in the same way."""
    with pytest.raises(Violation) as found:
        explore(MUTATIONS[mistake])
    with pytest.raises(Violation) as again:
        replay(MUTATIONS[mistake], found.value.choices)
    assert str(again.value) == str(found.value)
