"""When a token is renewed, as tables of moments."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blnk_auth import RenewalPolicy, Token
from blnk_auth._renewal.schedule import NEVER_RENEWED, UNUSABLE, Action, Schedule, schedule_of

BORN = 1_800_000_000.0
POLICY = RenewalPolicy()


def of(
    lifetime: float, *, jitter_position: float = 0.0, renewable: bool = True, policy: RenewalPolicy = POLICY
) -> Schedule:
    """The window of a token born at BORN, in seconds since then."""
    token = Token("at", expires_at=BORN + lifetime, issued_at=BORN)
    due = schedule_of(token, policy, renewable=renewable, jitter_position=jitter_position)
    return Schedule(due.renew_at - BORN, due.must_renew_at - BORN, due.expires_at - BORN)


def astuple(due: Schedule) -> tuple[float, float, float]:
    return due.renew_at, due.must_renew_at, due.expires_at


@pytest.mark.parametrize(
    ("lifetime", "earliest", "latest", "must_renew_at"),
    [
        # lifetime, renew_at without and with all the jitter_position, must_renew_at
        (2, 1.5, 1.6, 1.9),
        (60, 45, 48, 57),
        (299, 224.25, 239.2, 289),
        (3600, 3000, 3120, 3590),
        (86400, 85800, 85920, 86390),
        (0, 0, 0, 0),
    ],
)
def test_windows_scale_with_the_lifetime(lifetime: float, earliest: float, latest: float, must_renew_at: float) -> None:
    """A quarter of the lifetime before its end, ten minutes at most, a fifth of that at random; 5 %, 10 s to wait."""
    assert astuple(of(lifetime)) == pytest.approx((earliest, must_renew_at, lifetime))
    assert of(lifetime, jitter_position=1.0).renew_at == pytest.approx(latest)


def test_trap_13_no_token_is_renewed_at_birth() -> None:
    """A fixed margin of 5 minutes would have a 299 second token expired at birth (trap 13)."""
    for lifetime in (1, 2, 60, 299, 3600, 86400):
        assert of(lifetime).action_at(0) is Action.USE


def test_f21_a_60_second_token_is_renewed_at_most_twice_a_minute() -> None:
    """F21: renewed as early as can be, each token still serves 45 seconds."""
    assert 60 / of(60, jitter_position=0.0).renew_at < 2


def test_a_token_that_nothing_renews_is_used_to_its_end() -> None:
    """Asking early would change nothing."""
    assert astuple(of(3600, renewable=False)) == (3600, 3600, 3600)


def test_an_unknown_lifetime_is_assumed_for_renewing_and_never_for_waiting() -> None:
    """F16: unknown is not never: after the default lifetime it is renewed behind the callers."""
    assert schedule_of(Token("at", issued_at=BORN), POLICY, renewable=True, jitter_position=0.5) == Schedule(
        BORN + POLICY.default_lifetime, math.inf, math.inf
    )
    assert schedule_of(Token("at"), POLICY, renewable=True, jitter_position=0.5).renew_at == POLICY.default_lifetime
    assert schedule_of(Token("at", issued_at=BORN), POLICY, renewable=False, jitter_position=0.5) == NEVER_RENEWED


def test_without_a_birth_the_fixed_margins_apply() -> None:
    """A record of another library may know the end only."""
    due = schedule_of(Token("at", expires_at=BORN), POLICY, renewable=True, jitter_position=0.0)
    assert astuple(due) == (BORN - 600, BORN - 10, BORN)


def test_a_token_born_after_its_end_is_over() -> None:
    """The clock was put back between receiving and reading (F22)."""
    token = Token("at", expires_at=BORN, issued_at=BORN + 60)
    assert astuple(schedule_of(token, POLICY, renewable=True, jitter_position=0.5)) == (BORN, BORN, BORN)


@given(lifetime=st.floats(0, 1e9), jitter_position=st.floats(0, 1), jitter=st.floats(0, 1), fraction=st.floats(0.05, 1))
def test_a_window_is_always_in_order(lifetime: float, jitter_position: float, jitter: float, fraction: float) -> None:
    """Renewing begins before waiting does, and waiting before the end; never before birth."""
    policy = RenewalPolicy(jitter=jitter, advisory_fraction=fraction)
    renew_at, must_renew_at, expires_at = astuple(of(lifetime, jitter_position=jitter_position, policy=policy))
    assert -1e-6 <= renew_at <= must_renew_at + 1e-6
    assert must_renew_at <= expires_at


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (-1e12, Action.USE),
        (99.999, Action.USE),
        (100, Action.USE_AND_RENEW),
        (199.999, Action.USE_AND_RENEW),
        (200, Action.RENEW_FIRST),
        (300, Action.RENEW_FIRST),
        (1e12, Action.RENEW_FIRST),
    ],
)
def test_before_at_the_boundaries(now: float, expected: Action) -> None:
    """Each moment belongs to what begins with it."""
    assert Schedule(100, 200, 300).action_at(now) is expected


def test_before_at_the_extremes() -> None:
    """A fixed key is always used, a dead token never."""
    assert NEVER_RENEWED.action_at(1e18) is Action.USE
    assert UNUSABLE.action_at(-1e18) is Action.RENEW_FIRST
