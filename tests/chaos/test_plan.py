"""The plan of a run: a pure function of its seed."""

from __future__ import annotations

from collections import Counter

from chaos.plan import API_FAULTS, STORE_FAULTS, STORES, TOKEN_FAULTS, make_plan

_OF_ALL = {(store, kind) for store, kinds in STORE_FAULTS.items() for kind in kinds}


def test_a_seed_always_gives_the_same_plan() -> None:
    """A run that failed can be repeated, action by action."""
    assert make_plan(7, 1.0) == make_plan(7, 1.0)
    assert make_plan(7, 1.0) != make_plan(8, 1.0)


def test_ten_minutes_have_every_fault() -> None:
    """Each fault of each list is drawn, and each store breaks in each of its ways, with any seed."""
    for seed in range(1, 11):
        actions = make_plan(seed, 10.0).actions
        assert {each.details["kind"] for each in actions if each.what == "token fault"} == set(TOKEN_FAULTS)
        assert {each.details["kind"] for each in actions if each.what == "api fault"} == set(API_FAULTS)
        broken = {(each.details["store"], each.details["kind"]) for each in actions if each.what == "store fault"}
        assert broken == _OF_ALL
        kinds = Counter(each.what for each in actions)
        assert min(kinds[what] for what in ("kill", "stop", "clock", "outage", "revoke grant", "client revokes")) > 3


def test_one_minute_breaks_every_store() -> None:
    """What runs in CI is short, and leaves no store out."""
    broken = {each.details["store"] for each in make_plan(1, 1.0).actions if each.what == "store fault"}
    assert broken == set(STORES)
