"""The rule of the demo's table: what turns it red."""

from __future__ import annotations

import httpx
import pytest

from blnk_auth.cli.address import SandboxAddress
from blnk_auth.cli.demo.books import Books, Ending, ending
from blnk_auth.cli.demo.figures import Act, Figures, Promise, total
from blnk_auth.cli.demo.remote import RemoteSandbox
from blnk_auth.testing import Clock, Counts, Sandbox
from blnk_auth.testing.sandbox._authorization_server import Superseded

EXPIRED = Superseded("alice", issued_at=100.0, expires_at=102.0, superseded_at=101.6, revoked=False)
REVOKED = Superseded("alice", issued_at=101.6, expires_at=103.6, superseded_at=101.7, revoked=True)
NEWBORN = Superseded("alice", issued_at=101.7, expires_at=103.7, superseded_at=101.8, revoked=False)


PROMISE = Promise(expired=1, revoked=1)


def act(
    *superseded: Superseded,
    promise: Promise = PROMISE,
    token_requests: int | None = None,
    calls: int = 10,
    failed: int = 0,
    **counts: int,
) -> Act:
    requests = len(superseded) if token_requests is None else token_requests
    books = Books(Counts(token_requests=requests, refreshes=len(superseded), **counts), superseded)
    return Act("httpx", promise, Figures(calls, failed, 0.01, "status 401" if failed else ""), books)


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


def test_one_token_request_for_each_token_that_ended_is_as_promised() -> None:
    """Nothing is off if each token request replaced a token that had expired or was revoked."""
    assert act(EXPIRED, REVOKED).complaints() == []
    assert act(EXPIRED, EXPIRED, REVOKED).complaints() == []


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (act(EXPIRED, REVOKED, NEWBORN), "needless renewals, of a token neither revoked nor in its last quarter: 1"),
        (act(EXPIRED, REVOKED, token_requests=3), "token requests: 3, for 2 tokens that ended"),
        (act(EXPIRED, REVOKED, reuses=1), "refresh tokens used twice: 1"),
        (act(EXPIRED, REVOKED, code_exchanges=1), "new sign-ins: 1"),
        (act(EXPIRED, REVOKED, failed=2), "2 of 10 calls failed, the first with status 401"),
        (act(EXPIRED, REVOKED, calls=0), "no call was made"),
        (act(REVOKED), "tokens that expired: 0, not 1"),
        (act(EXPIRED), "tokens that were revoked: 0, not 1"),
        (act(EXPIRED, EXPIRED, promise=Promise(expired=1, exactly=True)), "tokens that expired: 2, not 1"),
    ],
)
def test_each_figure_that_is_off_is_told(wrong: Act, complaint: str) -> None:
    """A second renewal for one expiry, a lost request, a reuse, a sign-in, a failure, a missing expiry: each is off."""
    [told] = wrong.complaints()
    assert complaint in told
    wrong.judge()
    assert wrong.verdict == "off"
    assert total([wrong], wrong.books).verdict == "off"


def test_the_total_adds_the_callers_figures_and_takes_the_longest_wait() -> None:
    """The last line has the sum of calls and failures and the longest wait of all."""
    acts = [act(EXPIRED, REVOKED), act(EXPIRED, REVOKED)]
    acts[1].figures.add(0, 0, 1.5, "")
    whole = total(acts, Books())
    assert (whole.figures.calls, whole.figures.failed, whole.figures.longest) == (20, 0, 1.5)


def test_a_call_that_raises_or_is_refused_has_failed() -> None:
    """An exception and a status other than 2xx count as failed calls, and the first one is kept to be told."""
    figures = Figures()
    with figures.call() as call:
        call.status = 201
    with figures.call() as call:
        call.status = 401
    with figures.call():
        raise TimeoutError("too slow")
    assert (figures.calls, figures.failed, figures.first_failure) == (3, 2, "status 401")


def test_books_since_an_earlier_look_hold_only_what_was_added() -> None:
    """The difference of two looks has the figures and the superseded tokens that came between them."""
    earlier = Books(Counts(token_requests=1, refreshes=1), (EXPIRED,))
    later = Books(Counts(token_requests=3, refreshes=3, reuses=1), (EXPIRED, REVOKED, NEWBORN))
    assert later.since(earlier) == Books(Counts(token_requests=2, refreshes=2, reuses=1), (REVOKED, NEWBORN))


def test_the_sandbox_tells_why_each_token_was_superseded() -> None:
    """Renewals of an expired, a revoked and a newborn token stand in the sandbox's books as what they are."""
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
        books = remote.books()
    assert [ending(token) for token in books.superseded] == ["expired", "revoked", "needless"]
    assert books.counts == sandbox.counts
