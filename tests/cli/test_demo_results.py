"""The rule of the demo's table: what turns it red."""

from __future__ import annotations

import httpx
import pytest

from blnk_auth.cli.demo.remote_sandbox import RemoteSandbox
from blnk_auth.cli.demo.results import CallFigures, Expectation, Scenario, total
from blnk_auth.cli.demo.server_record import Ending, ServerRecord, ending
from blnk_auth.cli.sandbox_address import SandboxAddress
from blnk_auth.testing import Clock, Counts, Sandbox
from blnk_auth.testing.sandbox._issued import Superseded

EXPIRED = Superseded("alice", issued_at=100.0, expires_at=102.0, superseded_at=101.6, revoked=False)
REVOKED = Superseded("alice", issued_at=101.6, expires_at=103.6, superseded_at=101.7, revoked=True)
JUST_ISSUED = Superseded("alice", issued_at=101.7, expires_at=103.7, superseded_at=101.8, revoked=False)


EXPECTED = Expectation(expired=1, revoked=1)


def scenario(
    *superseded: Superseded,
    expected: Expectation = EXPECTED,
    token_requests: int | None = None,
    calls: int = 10,
    failed: int = 0,
    **counts: int,
) -> Scenario:
    requests = len(superseded) if token_requests is None else token_requests
    server_record = ServerRecord(Counts(token_requests=requests, refreshes=len(superseded), **counts), superseded)
    return Scenario("httpx", expected, CallFigures(calls, failed, 0.01, "status 401" if failed else ""), server_record)


@pytest.mark.parametrize(
    ("superseded_at", "revoked", "expected"),
    [
        (100.0, False, "needless"),
        (101.49, False, "needless"),
        (101.5, False, "expired"),
        (102.0, False, "expired"),
        (900.0, False, "expired"),
        (100.1, True, "revoked"),
        (900.0, True, "revoked"),
    ],
)
def test_a_token_may_be_replaced_in_its_last_quarter_or_once_revoked(
    superseded_at: float, revoked: bool, expected: Ending
) -> None:
    """Of a token that lives from 100 to 102, a renewal before 101.5 is needless, unless it was revoked."""
    assert ending(Superseded("alice", 100.0, 102.0, superseded_at, revoked)) == expected


def test_one_token_request_for_each_expired_token_is_as_promised() -> None:
    """Nothing is off if each token request replaced a token that had expired or was revoked."""
    assert scenario(EXPIRED, REVOKED).deviations() == []
    assert scenario(EXPIRED, EXPIRED, REVOKED).deviations() == []


@pytest.mark.parametrize(
    ("wrong", "deviation"),
    [
        (
            scenario(EXPIRED, REVOKED, JUST_ISSUED),
            "needless renewals, of a token neither revoked nor in its last quarter: 1",
        ),
        (scenario(EXPIRED, REVOKED, token_requests=3), "token requests: 3, for 2 tokens replaced"),
        (scenario(EXPIRED, REVOKED, reuses=1), "refresh tokens used twice: 1"),
        (scenario(EXPIRED, REVOKED, code_exchanges=1), "new sign-ins: 1"),
        (scenario(EXPIRED, REVOKED, failed=2), "2 of 10 calls failed, the first with status 401"),
        (scenario(EXPIRED, REVOKED, calls=0), "no call was made"),
        (scenario(REVOKED), "tokens that expired: 0, not 1"),
        (scenario(EXPIRED), "tokens that were revoked: 0, not 1"),
        (scenario(EXPIRED, EXPIRED, expected=Expectation(expired=1, exactly=True)), "tokens that expired: 2, not 1"),
    ],
)
def test_each_figure_that_is_off_is_reported(wrong: Scenario, deviation: str) -> None:
    """A second renewal for one expiry, a lost request, a reuse, a sign-in, a failure, a missing expiry: each is off."""
    [found] = wrong.deviations()
    assert deviation in found
    wrong.judge()
    assert wrong.verdict == "off"
    assert total([wrong], wrong.server_record).verdict == "off"


def test_the_total_adds_the_callers_figures_and_takes_the_longest_wait() -> None:
    """The last line has the sum of calls and failures and the longest wait of all."""
    scenarios = [scenario(EXPIRED, REVOKED), scenario(EXPIRED, REVOKED)]
    scenarios[1].figures.add(0, 0, 1.5, "")
    whole = total(scenarios, ServerRecord())
    assert (whole.figures.calls, whole.figures.failed, whole.figures.longest) == (20, 0, 1.5)


def test_a_call_that_raises_or_is_refused_has_failed() -> None:
    """An exception and a status other than 2xx count as failed calls, and the first one is kept."""
    figures = CallFigures()
    with figures.call() as call:
        call.status = 201
    with figures.call() as call:
        call.status = 401
    with figures.call():
        raise TimeoutError("too slow")
    assert (figures.calls, figures.failed, figures.first_failure) == (3, 2, "status 401")


def test_the_record_since_an_earlier_one_has_only_what_was_added() -> None:
    """The difference of two looks has the figures and the superseded tokens that came between them."""
    earlier = ServerRecord(Counts(token_requests=1, refreshes=1), (EXPIRED,))
    later = ServerRecord(Counts(token_requests=3, refreshes=3, reuses=1), (EXPIRED, REVOKED, JUST_ISSUED))
    assert later.since(earlier) == ServerRecord(Counts(token_requests=2, refreshes=2, reuses=1), (REVOKED, JUST_ISSUED))


@pytest.mark.real
def test_the_sandbox_records_why_each_token_was_superseded() -> None:
    """Renewals of an expired, a revoked and a just issued token are in the sandbox's record as what they are."""
    clock = Clock()
    with Sandbox(clock=clock, lifetime=100) as sandbox:
        address = SandboxAddress(sandbox.origin, sandbox.client_id, sandbox.client_secret, sandbox.redirect_uri)
        remote = RemoteSandbox(address)
        answer = sandbox.issue("alice")
        for change in (lambda: clock.advance(75), remote.revoke_access_tokens, lambda: clock.advance(74)):
            change()
            form = {"grant_type": "refresh_token", "refresh_token": answer["refresh_token"]}
            client = (sandbox.client_id, sandbox.client_secret)
            answer = httpx.post(f"{sandbox.origin}/oauth/token", data=form, auth=client).json()
        server_record = remote.server_record()
    assert [ending(token) for token in server_record.superseded] == ["expired", "revoked", "needless"]
    assert server_record.counts == sandbox.counts
