"""The last renewal that failed: how long it is remembered, and when the store is read again."""

from __future__ import annotations

import math

import pytest

from blnk_auth import ConfigurationError, RenewalPolicy, TemporarilyUnavailable
from blnk_auth._renewal.failure import Failure

POLICY = RenewalPolicy(cooldown=10, max_cooldown=60, max_retry_after=3600)
OUTAGE = TemporarilyUnavailable("the server is down")


def failed(
    now: float, last: Failure | None = None, *, retry_after: float | None = None, must_renew_at: float = -math.inf
) -> Failure:
    error = OUTAGE.replace(retry_after=retry_after)
    return Failure.after(last, error, now, must_renew_at=must_renew_at, policy=POLICY, jitter_position=1.0)


@pytest.mark.parametrize(
    ("now", "retry_after", "must_renew_at", "until"),
    [
        (0, None, -math.inf, 10),
        (0, 100, -math.inf, 100),
        (0, 99_999, -math.inf, 3600),
        (0, None, 5, 5),
        (0, 3600, 5, 5),
        (0, None, 10, 10),
        (0, None, 50, 10),
        (0, None, math.inf, 10),
        (5, None, 5, 15),
        (6, 100, 5, 106),
    ],
)
def test_a_cool_down_ends_when_the_token_must_be_renewed_unless_it_began_later(
    now: float, retry_after: float | None, must_renew_at: float, until: float
) -> None:
    """A server that refuses early renewals, or was down for a moment, is asked when it matters."""
    failure = failed(now, retry_after=retry_after, must_renew_at=must_renew_at)
    assert failure.cooldown.until == until
    assert failure.error_at(now).fields()["retry_after"] == until - now


def test_failures_of_early_renewals_do_not_count_for_those_that_must_succeed() -> None:
    """The first failure after the moment waits the shortest time again."""
    early = failed(20, failed(0, must_renew_at=100), must_renew_at=100)
    assert early.cooldown.in_a_row == 2
    late = failed(100, early, must_renew_at=100)
    assert (late.cooldown.in_a_row, late.cooldown.until) == (1, 110)
    assert failed(110, late, must_renew_at=100).cooldown.in_a_row == 2


def test_the_store_is_read_again_once_a_second_at_most() -> None:
    """However many callers come; also if the clock was put back."""
    failure = failed(100)
    assert [failure.may_look(now) for now in (100, 100.9, 101, 99.9)] == [False, False, True, True]
    assert failure._replace(looked_at=101).is_same(failure)
    assert not failed(101, failure).is_same(failure)


def test_the_error_names_the_time_that_is_left() -> None:
    """Each caller gets a copy of its own; an error that is not temporary has no such time."""
    failure = failed(100)
    assert failure.error_at(104).fields()["retry_after"] == 6
    assert failure.error_at(104) is not failure.error
    wrong = Failure.after(
        None, ConfigurationError("no"), 0, must_renew_at=-math.inf, policy=POLICY, jitter_position=0.0
    )
    assert (wrong.cooldown.until, type(wrong.error_at(1))) == (5, ConfigurationError)
