"""When a token is renewed, as tables of moments."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from blnk_auth import RenewalPolicy, Token
from blnk_auth._renewal.schedule import NEVER_RENEWED, UNUSABLE, Action, Schedule, schedule_of

BORN = 1_800_000_000.0
POLICY = RenewalPolicy()


ROUNDING = 1e-5
"""Seconds. Moments are far from zero, so their differences are not exact."""


def of(
    lifetime: float,
    *,
    jitter_position: float = 0.0,
    renewable: bool = True,
    policy: RenewalPolicy = POLICY,
    earliest: float | None = None,
) -> Schedule:
    """The schedule of a token issued at BORN, in seconds since then."""
    token = Token("at", expires_at=BORN + lifetime, issued_at=BORN)
    moments = schedule_of(
        token, policy, renewable=renewable, jitter_position=jitter_position, earliest_renewal=earliest
    )
    return Schedule(*(moment - BORN for moment in moments))


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
    assert tuple(of(lifetime)) == pytest.approx((earliest, must_renew_at, lifetime))
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
    assert tuple(of(3600, renewable=False)) == (3600, 3600, 3600)


def test_an_unknown_lifetime_is_assumed_for_renewing_and_never_for_waiting() -> None:
    """F16: unknown is not never: after the default lifetime it is renewed in the background."""
    assert schedule_of(Token("at", issued_at=BORN), POLICY, renewable=True, jitter_position=0.5) == Schedule(
        BORN + POLICY.default_lifetime, math.inf, math.inf
    )
    assert schedule_of(Token("at"), POLICY, renewable=True, jitter_position=0.5).renew_at == POLICY.default_lifetime
    assert schedule_of(Token("at", issued_at=BORN), POLICY, renewable=False, jitter_position=0.5) == NEVER_RENEWED


def test_without_a_birth_the_fixed_margins_apply() -> None:
    """A record of another library may know the end only."""
    moments = schedule_of(Token("at", expires_at=BORN), POLICY, renewable=True, jitter_position=0.0)
    assert tuple(moments) == (BORN - 600, BORN - 10, BORN)


def test_a_token_born_after_its_end_is_over() -> None:
    """The clock was put back between receiving and reading (F22)."""
    token = Token("at", expires_at=BORN, issued_at=BORN + 60)
    assert tuple(schedule_of(token, POLICY, renewable=True, jitter_position=0.5)) == (BORN, BORN, BORN)


# --- what holds for every policy and every token ---------------------------------------------------------------------

SHARES = st.floats(0, 1)
LIFETIMES = st.floats(0, 1e9)
POLICIES = st.builds(
    lambda leeway, share, mandatory, part, jitter: RenewalPolicy(
        advisory_leeway=leeway,
        advisory_fraction=share,
        mandatory_leeway=mandatory,
        mandatory_fraction=share * part,
        jitter=jitter,
    ),
    *(st.floats(0, 1e6), SHARES, st.floats(0, 1e6), SHARES, SHARES),
)
EARLIEST = st.none() | st.floats(0, 1e6)


@given(lifetime=LIFETIMES, position=SHARES, policy=POLICIES, earliest=EARLIEST, renewable=st.booleans())
def test_the_moments_are_in_order(
    lifetime: float, position: float, policy: RenewalPolicy, earliest: float | None, renewable: bool
) -> None:
    """Renewing begins before waiting does, and waiting before the expiry; neither before the token was issued."""
    moments = of(lifetime, jitter_position=position, renewable=renewable, policy=policy, earliest=earliest)
    assert -ROUNDING <= moments.renew_at <= moments.must_renew_at + ROUNDING
    assert moments.must_renew_at <= moments.expires_at + ROUNDING
    assert moments.expires_at == pytest.approx(lifetime, abs=ROUNDING)


@given(lifetime=LIFETIMES, position=SHARES, policy=POLICIES)
def test_most_of_a_lifetime_is_used(lifetime: float, position: float, policy: RenewalPolicy) -> None:
    """No token is renewed before `advisory_fraction` of its lifetime is left, nor `advisory_leeway` seconds."""
    moments = of(lifetime, jitter_position=position, policy=policy)
    left = moments.expires_at - moments.renew_at
    mandatory = min(policy.mandatory_leeway, policy.mandatory_fraction * lifetime)
    assert left <= max(policy.advisory_fraction * lifetime, mandatory) + ROUNDING
    assert left <= max(policy.advisory_leeway, mandatory) + ROUNDING


@given(lifetime=LIFETIMES, position=SHARES, policy=POLICIES, earliest=st.floats(0, 1e6))
def test_no_token_is_renewed_earlier_than_the_provider_allows(
    lifetime: float, position: float, policy: RenewalPolicy, earliest: float
) -> None:
    """Neither in the background nor with callers waiting."""
    moments = of(lifetime, jitter_position=position, policy=policy, earliest=earliest)
    assert moments.renew_at >= lifetime - earliest - ROUNDING
    assert moments.must_renew_at >= lifetime - earliest - ROUNDING


@given(lifetime=LIFETIMES, positions=st.tuples(SHARES, SHARES), policy=POLICIES)
def test_processes_spread_over_the_jitter_and_wait_at_the_same_moment(
    lifetime: float, positions: tuple[float, float], policy: RenewalPolicy
) -> None:
    """A later position begins later, by no more than the jitter's share of the window; nothing else differs."""
    earlier, later = (of(lifetime, jitter_position=each, policy=policy) for each in sorted(positions))
    window = min(policy.advisory_leeway, policy.advisory_fraction * lifetime)
    assert -ROUNDING <= later.renew_at - earlier.renew_at <= policy.jitter * window + ROUNDING
    assert earlier[1:] == later[1:]


@given(moments=st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3).map(sorted), times=st.tuples(*[st.floats()] * 2))
def test_time_only_makes_a_token_more_urgent(moments: list[float], times: tuple[float, float]) -> None:
    """Used, then renewed in the background, then waited for: never back."""
    urgency = [Action.USE, Action.USE_AND_RENEW, Action.RENEW_FIRST]
    assume(not any(map(math.isnan, times)))
    earlier, later = (urgency.index(Schedule(*moments).action_at(now)) for now in sorted(times))
    assert earlier <= later


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
