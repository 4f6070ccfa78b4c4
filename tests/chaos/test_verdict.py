"""What the verdict makes of books that are written by hand: each loss needs its fault, and each check can fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from chaos.books import Books, Window
from chaos.explanations import EXPLANATIONS
from chaos.plan import GRANTS, RESTORED, STORES, subject_of
from chaos.verdict import CALL_DEADLINE, MARGIN, UNEXPLAINED, Verdict, judge_books

_SQLITE, _REDIS = 0, 2
"""Grants of which one is in a store whose lock is the operating system's, and one in a store with leases."""


def quiet() -> Books:
    """The books of a run in which each grant was issued, renewed once and proved to work."""
    books = Books(healed=1000.0)
    books.audit = {"records": {}, "unreadable": [], "locks": {store: [] for store in STORES}, "counts": {}}
    for number in range(GRANTS):
        subject = subject_of(number)
        books.grants[number] = {"grant": number, "subject": subject, "grace": 0.0, "t": 0.0}
        books.audit["records"][subject] = {"grant": number, "generation": 1, "ended": None}
        books.proofs[subject] = [{"result": "200 200", "reason": "", "tries": 1}] * 2
        present(books, number, request=number, worker="1.0", at=10.0, result="rotated")
        saved(books, number, worker="1.0", at=10.1)
    return books


def present(books: Books, grant: int, *, request: int, worker: str, at: float, result: str, fault: str = "") -> None:
    """Generation 0 of a grant is presented, right after that process got the lock."""
    books.requests[request] = {"request": request, "t": at, "fault": fault, "sent": True, "answered": at + 0.01}
    books.presented.append(
        {"grant": grant, "generation": 0, "request": request, "worker": worker, "t": at, "result": result}
    )
    books.locked[worker, books.subject_of(grant)].append(at - 0.01)


def saved(books: Books, grant: int, *, worker: str, at: float, failure: str = "") -> None:
    """A process tries to store generation 1."""
    save = {"worker": worker, "grant": grant, "generation": 1, "began": at - 0.05, "t": at, "failure": failure}
    books.saves[grant, 1].append(save)


def reused(grant: int) -> Books:
    """The books of a run in which the pair of one grant was never stored, and another process presents the old one."""
    books = quiet()
    books.saves[grant, 1].clear()
    present(books, grant, request=5000, worker="2.0", at=20.0, result="reuse")
    books.ended[grant] = {"grant": grant, "why": "reuse", "t": 20.0}
    refused = {"result": "SignInRequired", "reason": "refused", "tries": 1}
    books.proofs[books.subject_of(grant)] = [refused] * 2
    return books


def delayed(books: Books) -> None:
    books.requests[5000]["fault"] = "delayed request"


def lost(books: Books) -> None:
    books.requests[_SQLITE].update(fault="cut body", sent=False)


def killed(books: Books) -> None:
    books.killed["1.0"], books.pids["1.0"] = 10.05, 77


def unsaved(books: Books) -> None:
    saved(books, _SQLITE, worker="1.0", at=10.1, failure="StoreError")
    books.store_faults["sqlite"].append(Window(9.5, 12.0, "full"))


def frozen(books: Books) -> None:
    books.frozen["1.0"].append(Window(10.02, 30.0))


def down(books: Books) -> None:
    books.store_faults["redis"].append(Window(9.0, 13.0, "paused"))


def stalled(books: Books) -> None:
    books.stalled["server"].append(Window(9.0, 13.0))


def restored(books: Books) -> None:
    saved(books, _SQLITE, worker="1.0", at=10.1)
    books.store_faults["sqlite"].append(Window(9.0, 15.0, RESTORED))


_FAULTS = {
    "request delayed in the network": (delayed, _SQLITE),
    "answer lost after rotation": (lost, _SQLITE),
    "killed between rotation and save": (killed, _SQLITE),
    "store could not be written after rotation": (unsaved, _SQLITE),
    "stopped for longer than the lease allows": (frozen, _REDIS),
    "store unreachable for longer than the lease allows": (down, _REDIS),
    "store restored from an older state": (restored, _SQLITE),
    "the machine was too busy": (stalled, _SQLITE),
}


def test_a_quiet_run_has_no_failure() -> None:
    """Nothing is reported where nothing happened."""
    assert judge_books(quiet()).failures == []


@pytest.mark.parametrize("name", [each.name for each in EXPLANATIONS])
def test_a_reuse_is_explained_by_its_fault(name: str) -> None:
    """Each explanation of the list covers what it is for, and counts the loss as explained."""
    fault, grant = _FAULTS[name]
    books = reused(grant)
    fault(books)
    verdict = judge_books(books)
    assert verdict.failures == []
    assert verdict.reuses[name] == 1
    assert verdict.losses["ended by an explained reuse"] == 1


@pytest.mark.parametrize("grant", [_SQLITE, _REDIS])
def test_a_reuse_without_a_fault_is_a_failure(grant: int) -> None:
    """A refresh token that was used twice for no reason is what the run is there to find."""
    verdict = judge_books(reused(grant))
    assert verdict.reuses[UNEXPLAINED] == verdict.losses[UNEXPLAINED] == 1
    assert "reuse without an explanation" in verdict.failures[0]


@pytest.mark.parametrize("fault", [lost, killed, unsaved])
def test_a_pair_that_was_in_the_store_explains_nothing(fault: Callable[[Books], None]) -> None:
    """A process that presents the old token although it could read the new one is at fault, also beside a fault."""
    books = reused(_SQLITE)
    fault(books)
    saved(books, _SQLITE, worker="3.0", at=15.0)
    assert judge_books(books).reuses[UNEXPLAINED] == 1


def test_a_pair_that_was_stored_again_after_the_restoration_explains_nothing() -> None:
    """A process that knew the newest pair has saved it over the backup before the old one was presented."""
    books = reused(_SQLITE)
    restored(books)
    saved(books, _SQLITE, worker="3.0", at=17.0)
    assert judge_books(books).reuses[UNEXPLAINED] == 1


def test_a_pair_that_the_backup_has_explains_nothing() -> None:
    """A backup that was taken after the save has the new pair."""
    books = reused(_SQLITE)
    saved(books, _SQLITE, worker="1.0", at=8.0)
    books.store_faults["sqlite"].append(Window(9.0, 15.0, RESTORED))
    assert judge_books(books).reuses[UNEXPLAINED] == 1


def test_a_process_that_varies_a_little_is_flat() -> None:
    """Half of the tolerance is not growth."""
    books = quiet()
    books.sizes["0.0"] = [{**_FLAT, "t": 2.0 * at, "blocks": 500_000 + 1_000 * (at % 3)} for at in range(200)]
    assert judge_books(books).failures == []


def test_a_stopped_process_keeps_a_lock_of_the_operating_system() -> None:
    """Only leases run out: a process that was stopped explains nothing in a store of files."""
    books = reused(_SQLITE)
    frozen(books)
    assert judge_books(books).reuses[UNEXPLAINED] == 1


def test_a_short_stop_does_not_end_a_lease() -> None:
    """A process that was stopped for less than a third of the lease still has its lock."""
    books = reused(_REDIS)
    books.frozen["1.0"].append(Window(10.02, 11.0))
    assert judge_books(books).reuses[UNEXPLAINED] == 1


def _unknown_token(books: Books) -> None:
    books.presented.append(
        {"grant": -1, "generation": -1, "request": 1, "worker": "1.0", "t": 5.0, "result": "unknown"}
    )


def _unreadable(books: Books) -> None:
    books.audit["unreadable"].append("file some/key: StoreError()")


def _call(books: Books, **more: Any) -> None:
    call = {
        "op": "call",
        "subject": subject_of(0),
        "worker": "1.0",
        "began": 0.0,
        "t": 1.0,
        "failure": "",
        "result": 200,
    }
    books.calls.append({**call, **more})


def _late_call(books: Books) -> None:
    _call(books, t=CALL_DEADLINE + MARGIN + 1)


def _untyped(books: Books) -> None:
    _call(books, failure="untyped KeyError: 'x'")


def _broken_proof(books: Books) -> None:
    books.proofs[subject_of(3)][0] = {"result": "TemporarilyUnavailable", "reason": "503", "tries": 9}


def _no_second_proof(books: Books) -> None:
    books.proofs[subject_of(3)] = books.proofs[subject_of(3)][:1]


def _no_reason_to_sign_in(books: Books) -> None:
    books.proofs[subject_of(3)] = [{"result": "SignInRequired", "reason": "refused", "tries": 1}] * 2


def _vanished(books: Books) -> None:
    books.proofs[subject_of(3)] = [{"result": "SignInRequired", "reason": "missing", "tries": 1}] * 2


def _old_record(books: Books) -> None:
    books.audit["records"][subject_of(3)]["generation"] = 0


def _marked(books: Books) -> None:
    books.audit["records"][subject_of(3)]["ended"] = "refused"


def _lost_sign_in(books: Books) -> None:
    books.grants[GRANTS] = {"grant": GRANTS, "subject": subject_of(3), "grace": 0.0, "t": 5.0}
    _call(books, op="sign in", subject=subject_of(3), result=f"r-{GRANTS}-0-abc")


def _unsaved_sign_in_that_was_used(books: Books) -> None:
    _lost_sign_in(books)
    books.unsaved.add(("1.0", subject_of(3)))
    _call(books, subject=subject_of(3), began=2.0, t=3.0)


def _threads_left(books: Books) -> None:
    books.left["1.0"] = {"threads": ["blnk-auth renewal"], "descriptors": []}


def _lock_file_left(books: Books) -> None:
    books.audit["locks"]["file"].append("abc.lock")


def _lease_left(books: Books) -> None:
    books.audit["locks"]["redis"].append("host/78/abc")


def _ended_by_itself(books: Books) -> None:
    books.exits["1.0"] = 1


_FLAT = {"kilobytes": 120_000, "blocks": 500_000, "threads": 20, "descriptors": 30}


def _grows(what: str) -> Callable[[Books], None]:
    """It grows all the time, and the others do not."""

    def wrong(books: Books) -> None:
        books.sizes["0.0"] = [{**_FLAT, "t": 2.0 * at, what: _FLAT[what] * (1 + at / 20)} for at in range(200)]

    return wrong


@pytest.mark.parametrize(
    "wrong",
    [
        _unknown_token,
        _unreadable,
        _late_call,
        _untyped,
        _broken_proof,
        _no_second_proof,
        _no_reason_to_sign_in,
        _vanished,
        _old_record,
        _marked,
        _lost_sign_in,
        _unsaved_sign_in_that_was_used,
        _threads_left,
        _lock_file_left,
        _lease_left,
        _ended_by_itself,
        *map(_grows, _FLAT),
    ],
)
def test_each_check_can_fail(wrong: Callable[[Books], None]) -> None:
    """Everything that must hold at the end is looked at."""
    books = quiet()
    wrong(books)
    assert judge_books(books).failures != []


@pytest.mark.parametrize(
    ("what", "is_reported"), [("kilobytes", False), *((each, True) for each in _FLAT if each != "kilobytes")]
)
def test_memory_may_rise_once(what: str, is_reported: bool) -> None:
    """It is kept after a moment with many calls. What Python has allocated, threads and descriptors come back."""
    books = quiet()
    books.sizes["0.0"] = [{**_FLAT, "t": 2.0 * at, what: _FLAT[what] * (1 if at < 150 else 2)} for at in range(200)]
    assert len(judge_books(books).failures) == is_reported


def test_a_sign_in_may_stay_in_the_memory_of_a_process_that_does_not_use_it() -> None:
    """It could not be stored when it was made, and is stored by the next call of that process."""
    books = quiet()
    _unsaved_sign_in_that_was_used(books)
    books.calls.pop()
    assert judge_books(books).failures == []


@pytest.mark.parametrize(("began", "is_reported"), [(0.5, False), (2.0, True)], ids=["at the same time", "one after"])
def test_of_two_sign_ins_at_the_same_time_either_may_stay(began: float, is_reported: bool) -> None:
    """The one that is saved last stays. One that ended before the other began is replaced by it."""
    books = quiet()
    _lost_sign_in(books)
    _call(books, op="sign in", subject=subject_of(3), result="r-3-0-abc", began=began, t=began + 1.0)
    assert len(judge_books(books).failures) == is_reported


def test_a_process_that_did_not_run_gets_more_time() -> None:
    """A call in a process that was stopped meanwhile is not past its deadline."""
    books = quiet()
    _late_call(books)
    books.stalled["1.0"].append(Window(10.0, 15.0))
    assert judge_books(books).failures == []


def test_the_lease_of_a_killed_process_may_be_left() -> None:
    """It runs out by itself."""
    books = quiet()
    killed(books)
    books.audit["locks"]["redis"].append("host/77/abc")
    assert judge_books(books).failures == []


def test_the_table_shows_figures_and_failures() -> None:
    """What is printed has both, and the first failures in full."""
    verdict = Verdict(failures=["something"], figures={"calls": 7})
    assert "7  calls" in verdict.table()
    assert "1 FAILURES" in verdict.table()
    assert "something" in verdict.table()


def test_a_request_that_took_effect_after_a_long_stop_explains_a_loss() -> None:
    """The process had given up when it ran again. If it tried to save the pair, it had the answer."""
    books = reused(_SQLITE)
    books.requests[_SQLITE].update(fault="stop before")
    assert judge_books(books).failures == []
    saved(books, _SQLITE, worker="1.0", at=10.1, failure="StoreError")
    assert judge_books(books).reuses[UNEXPLAINED] == 1
