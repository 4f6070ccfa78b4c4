"""How long nothing is tried again after failures in a row."""

from __future__ import annotations

import pytest

from blnk_auth._renewal.cooldown import Cooldown


@pytest.mark.parametrize(
    ("failures", "full"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (1_000, 60), (10**9, 60)]
)
def test_a_cool_down_doubles_up_to_its_longest(failures: int, full: float) -> None:
    """From half to all of it at random, and no overflow however many failures there are."""
    last = Cooldown(failures - 1, 0.0, 0.0) if failures > 1 else None
    for position, length in ((1.0, full), (0.0, full / 2)):
        begun = Cooldown.after(last, 100.0, first=1.0, longest=60.0, jitter_position=position)
        assert (begun.in_a_row, begun.since, begun.until) == (failures, 100.0, 100.0 + length)
