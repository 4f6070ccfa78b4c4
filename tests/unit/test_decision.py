"""The decision after a response of the API, as a table."""

from __future__ import annotations

import itertools

import pytest

from blnk_auth._request.after_rejection import After, after

AFTER = {
    # renewal_helps, is_current, replayable
    (True, True, True): After.RENEW_AND_RETRY,
    (True, True, False): After.RENEW_ONLY,
    (True, False, True): After.RETRY_WITH_CURRENT,
}


@pytest.mark.parametrize("facts", list(itertools.product([True, False], repeat=3)))
def test_after_in_every_case(facts: tuple[bool, bool, bool]) -> None:
    """Promise 7: of the eight cases three call for something, all others let the response pass."""
    renewal_helps, is_current, replayable = facts
    decision = after(renewal_helps=renewal_helps, is_current=is_current, replayable=replayable)
    assert decision is AFTER.get(facts, After.ACCEPT)
