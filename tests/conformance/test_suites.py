"""The public conformance suites of the Model Context Protocol pass, through each HTTP package.

A scenario that must not pass is listed with the section that forbids it. The list is exact: a scenario on it that
passes fails its test, and so does a scenario of a suite that no table here has.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.conformance import CLIENT, PACKAGES, SCENARIOS, Verdict, listed_by, run_scenario

NOT_PASSED = {
    ("2025-11-25", "2025-03-26-oauth-metadata-backcompat"): (
        "RFC 8414 section 3.3: the issuer of the document MUST be identical to the one whose document was asked for, "
        'and otherwise "the data contained in the response MUST NOT be used". The document at the root names /oauth. '
        "The suite of the next revision names the root itself, and passes."
    ),
}
"""By revision and scenario: what forbids to do what it wants."""

REFUSED = {
    "resource-mismatch": "ConfigurationError",
    "metadata-issuer-mismatch": "ConfigurationError",
    "iss-supported-missing": "ProtocolError",
    "iss-wrong-issuer": "ProtocolError",
    "iss-unexpected": "ProtocolError",
    "iss-normalized": "ProtocolError",
    "2025-03-26-oauth-metadata-backcompat": "ConfigurationError",
}
"""By scenario: the error with which a client refuses what the server does wrong."""

AFTER_A_REFUSAL = ("client-registration", "authorization-request", "token-request")
"""What a client that has refused a server's metadata never does."""

ROWS = [(revision, scenario) for revision, scenarios in SCENARIOS.items() for scenario in scenarios]


def passes(verdict: Verdict, scenario: str) -> None:
    assert verdict.passed, verdict.report
    if scenario == "scope-retry-limit":
        # The server never accepts anything: the client gets its last response, or a typed error.
        assert verdict.said != "called the tool"
    elif scenario in REFUSED and scenario[:4] != "2025":
        assert verdict.said.startswith(f"{REFUSED[scenario]}: "), verdict
    else:
        assert verdict.said == "called the tool", verdict


@pytest.mark.parametrize("package", PACKAGES, ids="through_{}".format)
@pytest.mark.parametrize(("revision", "scenario"), ROWS)
def test_each_scenario_passes_or_is_forbidden(package: str, revision: str, scenario: str, tmp_path: Path) -> None:
    """The suite finds no failure and gives no warning; the client calls the tool, or refuses with a typed error."""
    verdict = run_scenario(revision, scenario, [sys.executable, str(CLIENT), package], tmp_path)
    if (revision, scenario) in NOT_PASSED:
        assert not verdict.passed, f"{scenario} passes now, so it must be removed from NOT_PASSED"
        assert verdict.said.startswith(f"{REFUSED[scenario]}: "), verdict
        assert verdict.saw("authorization-server-metadata"), "the client never saw what it refuses"
        assert not any(map(verdict.saw, AFTER_A_REFUSAL))
    else:
        passes(verdict, scenario)


@pytest.mark.parametrize("revision", SCENARIOS)
def test_the_tables_have_every_scenario_of_the_suites(revision: str) -> None:
    """As the suite itself lists them: a new version cannot bring one that nobody runs."""
    assert listed_by(revision) == set(SCENARIOS[revision])
    assert {scenario for _, scenario in NOT_PASSED} | REFUSED.keys() <= {scenario for _, scenario in ROWS}
