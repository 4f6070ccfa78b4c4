"""F40 and what belongs to it: processes that share one SQLite file renew once, also when one is killed in the middle.

The sandbox ends the whole grant when a spent refresh token comes back, so `reuses == 0` is what survival depends on.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from support.clients import HTTPX, KINDS, REQUESTS, Kind
from support.limits import PATIENCE
from support.waiting import Hold
from support.worlds import SharedWorld

from blnk_auth import SignInRequired
from blnk_auth.testing import Fault, assert_renewed_once


def test_f40_eight_processes_with_an_expired_token_renew_it_once(shared_world: SharedWorld) -> None:
    """Eight processes with all the clients there are cause one refresh and no reuse, and all get their answer."""
    shared_world.expired()
    shared_world.sandbox.token_latency = 0.3
    with ExitStack() as stack:
        children = [stack.enter_context(shared_world.child("one_call", kind)) for kind in KINDS]
        assert {child.says() for child in children} == {"ready"}
        for child in children:
            child.go_on()
        written = [child.says() for child in children]
    token = shared_world.stored(shared_world.client().for_subject("alice")).token.access_token
    assert written == [{"status": 200, "token": token}] * len(KINDS)
    assert_renewed_once(shared_world.sandbox)


BEFORE_THE_REQUEST = ("loading", "locking", "locked", "loading under the lock")
AFTER_THE_SAVE = ("saved", "unlocking")


@pytest.mark.parametrize("step", [*BEFORE_THE_REQUEST, *AFTER_THE_SAVE])
def test_f40_a_process_killed_at_any_other_step_costs_nothing(shared_world: SharedWorld, step: str) -> None:
    """Killed with -9 before the request or after the save, a process leaves everybody else with one refresh in all."""
    shared_world.expired()
    survivor = shared_world.client().for_subject("alice")
    with shared_world.child("one_call", HTTPX, halt_at=step) as child, HTTPX.open(survivor) as http:
        assert child.says() == "ready"
        child.go_on()
        assert child.says() == step
        calls = [http.start("GET", shared_world.url) for _ in range(5)]
        child.kill()
        assert {call.result(PATIENCE).status for call in calls} == {200}
    assert_renewed_once(shared_world.sandbox)
    assert survivor.state == "fresh"


def test_f40_a_process_killed_before_the_server_acts_costs_nothing(shared_world: SharedWorld) -> None:
    """Killed with -9 when its request has arrived and done nothing yet, a process costs one more request, no reuse."""
    shared_world.expired()
    shared_world.sandbox.fail(Fault(hang=True))
    survivor = shared_world.client().for_subject("alice")
    with shared_world.child("one_call", HTTPX) as child, HTTPX.open(survivor) as http:
        assert child.says() == "ready"
        child.go_on()
        shared_world.sandbox.wait_for_token_requests(1, PATIENCE)
        calls = [http.start("GET", shared_world.url) for _ in range(5)]
        child.kill()
        assert {call.result(PATIENCE).status for call in calls} == {200}
    assert shared_world.renewals == (2, 1, 0)


@pytest.mark.parametrize(("step", "kind"), [("asking", REQUESTS), ("saving", Kind("httpx", "asyncio"))], ids=str)
def test_f40_a_process_killed_with_the_only_copy_costs_one_sign_in_and_no_loop(
    shared_world: SharedWorld, step: str, kind: Kind
) -> None:
    """Killed with -9 between the rotation and the save, a process takes the new pair with it: nobody can get it back.

    What must hold then: one further request, whose refusal the record keeps, and one clear error for everybody.
    """
    shared_world.expired()
    survivor = shared_world.client().for_subject("alice")
    with ExitStack() as stack:
        child = stack.enter_context(shared_world.child("one_call", HTTPX, halt_at=step))
        http = stack.enter_context(kind.open(survivor))
        rotated = stack.enter_context(Hold())
        assert child.says() == "ready"
        if step == "asking":
            shared_world.sandbox.fail(Fault(rewrite=rotated))
        child.go_on()
        if step == "asking":
            rotated.wait_until_reached()
        else:
            assert child.says() == step
        child.kill()
        rotated.release()
        errors = http.results(shared_world.url, 5)
    assert {type(error).__name__ for error in errors} == {"SignInRequired"}
    assert {error.reason for error in errors if isinstance(error, SignInRequired)} == {"refused"}
    assert shared_world.renewals == (2, 1, 1)
    assert survivor.state == "sign_in_required"
