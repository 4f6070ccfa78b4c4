"""The scenarios of the conformance suite with eight processes on one SQLite store, and with a kill by -9 at each point.

* Eight processes register one client, ask one user, and exchange one code. The suite's server notices a second one,
  because it forgets the code challenge of the first.
* A kill between a response and the save of what it brought may cost one registration or one sign-in more; any other
  kill costs none. The next process with the same store continues and finishes.

`make test-deep` runs all of it. `make test-clients` runs some, which the seed of the day chooses; another one by the
variable `BLNK_AUTH_TEST_SEED`.
"""

from __future__ import annotations

import json
import os
import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.conformance import HERE, PACKAGES, SCENARIOS, Verdict, run_scenario

NEWEST = "2026-07-28"
PROCESSES = 8

SIGN_INS = {"scope-step-up": 2, "scope-retry-limit": 3, "authorization-server-migration": 2}
"""How often the user is asked, where it is not once: by another scope or server, and as often as is tried."""

REGISTRATIONS = {"authorization-server-migration": 2}
"""How many clients are registered, where it is not one: another server has another."""

WITHOUT_A_TOKEN = {name for name in SCENARIOS[NEWEST] if name.startswith("iss-")} - {
    "iss-supported",
    "iss-not-advertised",
}
"""No sign-in here leads to a token: the process that asked refuses the response, and those that waited need a user."""

FURTHER_ENDINGS = {
    **{name: {"ProtocolError", "SignInRequired"} for name in WITHOUT_A_TOKEN},
    # After three requests the server only answers that the test is over, which is not an error of this library.
    "scope-retry-limit": {"SignInRequired", ""},
}
"""What the processes print, where they do not all print the same: the class of an error, or nothing."""

CHANGING = ("authorization-server-migration", "scope-retry-limit")
"""Their servers change with each token that they see, and so cannot serve one run after another: each kill gets new
servers."""

KILLED = [name for name in SCENARIOS[NEWEST] if name not in CHANGING]

COSTS = {"POST register": "client", "authorized": "token"}
"""What a kill may cost once more, and the record that would have had its result."""

LATE_ENDINGS = {"scope-retry-limit": {(2, "")}}
"""How the next process may end too. After three requests that server only answers that the test is over."""

ASKED_AGAIN = {("scope-retry-limit", "authorized"): 1}
"""What the request of the next process may cost by itself: that API asks every request for more than it has."""

MOST_POINTS = 24
SECONDS = 280.0
"""For all runs of one scenario."""

SEED = int(os.environ.get("BLNK_AUTH_TEST_SEED", datetime.now(UTC).date().toordinal()))
SAMPLE = random.Random(SEED)

SAMPLED = [SAMPLE.choice(SCENARIOS[NEWEST]) for _ in range(3)]
SAMPLED_KILLS = [(SAMPLE.choice(KILLED), sorted(SAMPLE.sample(range(1, MOST_POINTS), 4))) for _ in range(3)]


def crossed(scenario: str, tmp_path: Path, **plan: Any) -> tuple[Verdict, dict[str, Any]]:
    """The judgement of the suite, and what the processes report."""
    verdict = run_scenario(
        NEWEST,
        scenario,
        [sys.executable, str(HERE / "crossing.py")],
        tmp_path / "results",
        timeout=SECONDS,
        CROSSING=json.dumps({"directory": str(tmp_path), **plan}),
    )
    assert verdict.said, f"seed {SEED}: {verdict.report}"
    return verdict, json.loads(verdict.said.splitlines()[-1])


# --- eight processes ------------------------------------------------------------------------------------------------


def check_together(scenario: str, package: str, tmp_path: Path) -> None:
    verdict, report = crossed(scenario, tmp_path, package=package, processes=PROCESSES)
    assert verdict.passed, f"seed {SEED}: {verdict.report}"
    endings = {said.partition(":")[0] for said in report["said"]}
    assert len(endings) == 1 or endings <= FURTHER_ENDINGS.get(scenario, set()), report["said"]
    assert verdict.count("client-registration") <= REGISTRATIONS.get(scenario, 1)
    if scenario not in WITHOUT_A_TOKEN:
        assert verdict.count("authorization-request") <= SIGN_INS.get(scenario, 1)


@pytest.mark.parametrize("number", range(len(SAMPLED)))
def test_eight_processes_pass_some_scenarios(number: int, tmp_path: Path) -> None:
    """Those that the seed of the day chooses."""
    check_together(SAMPLED[number], PACKAGES[number], tmp_path)


@pytest.mark.deep
@pytest.mark.parametrize(("number", "scenario"), [*enumerate(SCENARIOS[NEWEST])])
def test_eight_processes_pass_each_scenario(number: int, scenario: str, tmp_path: Path) -> None:
    """With one registration and one sign-in, through one HTTP package after the other."""
    check_together(scenario, PACKAGES[number % len(PACKAGES)], tmp_path)


# --- kills ----------------------------------------------------------------------------------------------------------


def times(points: list[str], what: str) -> int:
    return sum(_is(point, what) for point in points)


def lost(points: list[str], what: str, record: str) -> int:
    """1 if this happened, and the process was killed before the record of it was saved; else 0."""
    for point in reversed(points):
        if point == f"saved {record}":
            return 0
        if _is(point, what):
            return 1
    return 0


def _is(point: str, what: str) -> bool:
    return point == what or (
        what == "POST register" and point.startswith("answered POST") and point.endswith("/register")
    )


def check_kills(scenario: str, kills: list[int] | str, tmp_path: Path) -> None:
    _, report = crossed(scenario, tmp_path, package="httpx", kills=kills)
    for crossing in report["crossings"]:
        check_kill(scenario, report["usual"], crossing)


def ending(run: dict[str, Any]) -> tuple[int, str]:
    """The status of a process, and the class of the error that it printed."""
    return run["status"], run["said"].partition(":")[0]


def check_kill(scenario: str, usual: dict[str, Any], crossing: dict[str, Any]) -> None:
    killed, after = crossing["killed"], crossing["next"]
    where = f"seed {SEED}, {scenario}, killed at {crossing['kill_at']}: {killed['points']}, then {after}"
    assert killed["status"] in (-9, usual["status"]), where
    assert ending(after) in {ending(usual), *LATE_ENDINGS.get(scenario, ())}, where
    for what, record in COSTS.items():
        happened = times(killed["points"], what) + times(after["points"], what)
        explained = lost(killed["points"], what, record) + ASKED_AGAIN.get((scenario, what), 0)
        assert happened <= times(usual["points"], what) + explained, where


@pytest.mark.parametrize("number", range(len(SAMPLED_KILLS)))
def test_some_kills_cost_no_more_than_they_explain(number: int, tmp_path: Path) -> None:
    """Those that the seed of the day chooses."""
    check_kills(*SAMPLED_KILLS[number], tmp_path)


@pytest.mark.deep
@pytest.mark.parametrize("scenario", KILLED)
def test_each_kill_costs_no_more_than_it_explains(scenario: str, tmp_path: Path) -> None:
    """At every point of the scenario; the next process with the same store finishes."""
    check_kills(scenario, "all", tmp_path)


@pytest.mark.deep
@pytest.mark.parametrize("scenario", CHANGING)
def test_each_kill_costs_no_more_where_servers_change(scenario: str, tmp_path: Path) -> None:
    """At every point, each time with new servers: the next process continues with what is left of them."""
    _, report = crossed(scenario, tmp_path / "usual", package="httpx", kills=[])
    for kill_at in range(1, len(report["usual"]["points"]) + 1):
        _, killed = crossed(scenario, tmp_path / str(kill_at), package="httpx", kills=[kill_at], usual=False)
        check_kill(scenario, report["usual"], *killed["crossings"])


def test_the_books_notice_a_registration_that_no_kill_explains() -> None:
    """A kill explains one more only if it was between the response and the save."""
    answered, saved = "answered POST /register", "saved client"
    assert lost([answered], "POST register", "client") == 1
    assert lost([answered, "saving client"], "POST register", "client") == 1
    assert lost([answered, "saving client", saved], "POST register", "client") == 0
    assert lost([answered, saved, "answered POST /as/register"], "POST register", "client") == 1
    assert lost(["answered GET /register"], "POST register", "client") == 0
    assert lost(["authorized", "saving authorization"], "authorized", "token") == 1
