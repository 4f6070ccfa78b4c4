"""The verdict on the books of a run: whether every loss has an explanation, and what else must hold at the end.

Used by `run` after everything has been closed, and by tests on books that they write themselves. It reads only what is
in the run's directory, so it can be repeated on the logs of a run that failed: `python -m chaos.verdict DIRECTORY`.

1. Every second use of a refresh token, and every grant that ended, is explained by a fault (`explanations`).
2. No record is unreadable.
3. No call took longer than its deadline, and none ended with an error that is not typed.
4. Every grant that is alive works again after the run, in two processes.
5. No worker has a thread or a descriptor left, no store a lock, and no worker ended by itself.
6. In the second half of its life, no process grows: not in blocks, threads or descriptors; and in memory not twice.
"""

from __future__ import annotations

import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from chaos.books import Books, Line, read
from chaos.explanations import EXPLANATIONS, Reuse, explanation_of, reuses_of
from chaos.plan import API_TIMEOUT, GRANTS, LEASED, LOCK_TIMEOUT, REQUEST_DEADLINE, RESTORED, store_of, subject_of

WAIT = LOCK_TIMEOUT + REQUEST_DEADLINE + 5.0
"""Seconds that a caller waits for one renewal at most, by the workers' policy: the lock, the request, the save."""

API = 3 * API_TIMEOUT
"""Seconds of one request to the API: connecting, sending, receiving."""

CALL_DEADLINE = 2 * WAIT + 2 * API
"""A call waits for a renewal and sends its request; after a rejection it does both once more."""

MARGIN = 15.0
"""Seconds beyond that for a busy machine: callers wait for a thread, and for their turn on a loop."""

_GROWTH = {
    "kilobytes": (1.05, 8 * 1024),
    "blocks": (1.03, 10_000),
    "threads": (1.25, 8),
    "descriptors": (1.25, 16),
}
"""A process is flat if the median of its last quarter is at most this factor and this much above that of its third.

Memory is flat too if only its last quarter is above the one before it: a moment with many calls can raise it once, for
good, because the C library and Python keep what they had. A leak raises it again and again.
Blocks are what Python has allocated: measured, they vary by less than one in a hundred. A leak of one object in each
call would be some thousands in two minutes, and more than the tolerance in ten."""

_FEWEST_SIZES = 5
"""In a quarter of the life of a process; it is measured every two seconds."""


@dataclass
class Verdict:
    """What was found. `failures` is empty if all is well."""

    failures: list[str] = field(default_factory=list[str])
    figures: dict[str, int] = field(default_factory=dict[str, int])
    reuses: Counter[str] = field(default_factory=Counter[str])
    """By the name of the explanation."""

    losses: Counter[str] = field(default_factory=Counter[str])
    faults: dict[str, int] = field(default_factory=dict[str, int])

    def table(self) -> str:
        lines = ["", "  THE BOOKS", *_rows(self.figures), "", "  refresh tokens used twice"]
        lines += [*_rows(self.reuses), "", "  grants lost, by reason", *_rows(self.losses)]
        lines += ["", "  faults", *_rows(dict(sorted(self.faults.items()))), ""]
        if self.failures:
            shown = self.failures[:40]
            lines += [f"  {len(self.failures)} FAILURES", *(f"    {each}" for each in shown)]
        else:
            lines.append("  everything is explained, and everything works again")
        return "\n".join(lines)


def _rows(figures: dict[str, int]) -> list[str]:
    return [f"    {count:>8}  {name}" for name, count in figures.items()] or ["           0"]


UNEXPLAINED = "UNEXPLAINED"


def judge(directory: Path) -> Verdict:
    """The verdict on the run in this directory."""
    return judge_books(read(directory))


def judge_books(books: Books) -> Verdict:
    verdict = Verdict(faults=dict(books.faults))
    unexplained = _judge_reuses(books, verdict)
    _judge_losses(books, verdict, unexplained)
    for check in (_unreadable, _calls, _records, _sign_ins, _left_over, _processes, _flat):
        verdict.failures += check(books)
    _figures(books, verdict)
    return verdict


# --- grants -----------------------------------------------------------------------------------------------------------


def _judge_reuses(books: Books, verdict: Verdict) -> set[int]:
    """Returns the grants of which one was not explained."""
    unexplained: set[int] = set()
    verdict.reuses.update({each.name: 0 for each in EXPLANATIONS})
    verdict.reuses[UNEXPLAINED] = 0
    for reuse in reuses_of(books):
        explanation = explanation_of(books, reuse)
        verdict.reuses[UNEXPLAINED if explanation is None else explanation.name] += 1
        if explanation is None:
            unexplained.add(reuse.at["grant"])
            verdict.failures.append(f"reuse without an explanation: {_describe(books, reuse)}")
    for line in books.presented:
        if line["result"] == "unknown":
            verdict.failures.append(f"a refresh token that was never issued was presented: {line}")
    return unexplained


def _describe(books: Books, reuse: Reuse) -> str:
    grant, generation, start = reuse.at["grant"], reuse.at["generation"], books.began
    spends = "; ".join(
        f"request {each['request']} of {each['worker']} at {each['t'] - start:.3f} ({each['result']}, fault "
        f"{books.requests[each['request']]['fault'] or 'none'})"
        for each in reuse.spends
    )
    return (
        f"grant {grant} of {books.subject_of(grant)}, generation {generation}, presented by {reuse.at['worker']} at "
        f"{reuse.at['t'] - start:.3f} s in request {reuse.at['request']} (lock since {reuse.looked_at - start:.3f}, "
        f"successor stored at {reuse.stored_at - start:.3f}); spent by {spends}"
    )


def _judge_losses(books: Books, verdict: Verdict, unexplained: set[int]) -> None:
    """Every grant that ended by a reuse, and every subject whose grant does not work any more."""
    losses = verdict.losses
    for grant, end in books.ended.items():
        if end["why"] != "reuse":
            losses[f"ended by the {'provider' if end['why'] == 'server' else 'client'}"] += 1
        elif grant in unexplained:
            losses[UNEXPLAINED] += 1
        else:
            losses["ended by an explained reuse"] += 1
    for number in range(GRANTS):
        subject = subject_of(number)
        for proof in books.proofs.get(subject, ()):
            complaint = _complaint(books, subject, proof)
            if complaint is not None:
                losses[UNEXPLAINED] += 1
                verdict.failures.append(f"{subject} does not work: {complaint}")
        if len(books.proofs.get(subject, ())) != 2:
            verdict.failures.append(f"{subject} was not proved twice")


def _complaint(books: Books, subject: str, proof: Line) -> str | None:
    """Why this proof is one of a loss that is not explained; None if it works, or has an explained end."""
    if proof["result"] == "200 200":
        return None
    if proof["result"] != "SignInRequired":
        return f"{proof['result']} ({proof['reason']}) after {proof['tries']} tries"
    if proof["reason"] == "missing":
        # Only its own revocation deletes a record.
        asked = any(each["subject"] == subject and each["op"] == "client revokes" for each in books.calls)
        ended = any(end["why"] == "client" and books.subject_of(of) == subject for of, end in books.ended.items())
        return None if asked or ended else "its record has disappeared"
    record = books.audit["records"].get(subject)
    if record is None:
        return f"SignInRequired ({proof['reason']}), and there is no record"
    if record["grant"] in books.ended:
        # Whether that end is explained has been counted with the reuses.
        return None
    return f"SignInRequired ({proof['reason']}), but its grant {record['grant']} has not ended"


def _records(books: Books) -> Iterator[str]:
    """The record of each grant that is alive has its newest pair."""
    newest: dict[int, int] = defaultdict(int)
    for line in books.presented:
        if line["result"] == "rotated":
            newest[line["grant"]] = max(newest[line["grant"]], line["generation"] + 1)
    for subject, record in books.audit["records"].items():
        grant = record["grant"]
        if grant in books.ended:
            continue
        if record["ended"]:
            yield f"{subject}: the record is marked as ended ({record['ended']}), but its grant {grant} has not"
        if record["generation"] != newest[grant]:
            yield f"{subject}: generation {record['generation']} of grant {grant} is stored, {newest[grant]} is newest"


def _sign_ins(books: Books) -> Iterator[str]:
    """A sign-in that was reported as done is not replaced by the grant before it."""
    for call in books.calls:
        if call["op"] != "sign in" or call["failure"] or not call["result"]:
            continue
        signed_in = int(call["result"].split("-")[1])
        record = books.audit["records"].get(call["subject"])
        if record is None or record["grant"] >= signed_in or signed_in in books.ended:
            continue
        saves = [each for each in books.saves.get((signed_in, 0), ()) if not each["failure"]]
        if not saves and _stayed_in_memory(books, call):
            continue
        if _was_rolled_back(books, call["subject"], saves) or _met_another(books, call, record["grant"]):
            continue
        yield (
            f"{call['subject']}: signed in as grant {signed_in} at {call['t'] - books.began:.3f} s, and grant "
            f"{record['grant']}, which is older, is stored"
        )


def _was_rolled_back(books: Books, subject: str, saves: list[Line]) -> bool:
    """Whether a backup was put back that does not have what was saved then."""
    windows = [each for each in books.store_faults[store_of(subject)] if each.what == RESTORED]
    return any(each.since < save["t"] < each.until for each in windows for save in saves)


def _met_another(books: Books, call: Line, grant: int) -> bool:
    """Whether the user was signing in as that grant too at the same time: the one that is saved last stays."""
    return any(
        each["op"] == "sign in" and (each["result"] or "").startswith(f"r-{grant}-") and each["began"] < call["t"]
        for each in books.calls
        if each["subject"] == call["subject"] and call["began"] < each["t"]
    )


def _stayed_in_memory(books: Books, call: Line) -> bool:
    """Whether a sign-in that could not be stored was not used any more, or by a process that was killed.

    The next call of that process stores it.
    """
    later = (
        each
        for each in books.calls
        if (each["worker"], each["subject"]) == (call["worker"], call["subject"])
        and each["began"] > call["t"]
        and not each["failure"]
    )
    was_kept = (call["worker"], call["subject"]) in books.unsaved
    return was_kept and (call["worker"] in books.killed or not any(later))


def _unreadable(books: Books) -> Iterator[str]:
    for each in books.audit["unreadable"]:
        yield f"unreadable: {each}"


# --- callers ----------------------------------------------------------------------------------------------------------


def _calls(books: Books) -> Iterator[str]:
    for call in books.calls:
        seconds, limit = call["t"] - call["began"], _limit(books, call)
        if seconds > limit:
            yield f"a {call['op']} took {seconds:.1f} s, and may take {limit:.1f}: {call}"
        if call["failure"].startswith("untyped"):
            yield f"an error that is not typed: {call}"


def _limit(books: Books, call: Line) -> float:
    """Its deadline, with the time for which its process or the server did not run meanwhile."""
    windows = [*books.stalled[call["worker"]], *books.stalled["server"]]
    return CALL_DEADLINE + MARGIN + sum(each.overlap(call["began"], call["t"]) for each in windows)


# --- what is left -----------------------------------------------------------------------------------------------------


def _left_over(books: Books) -> Iterator[str]:
    for worker, left in books.left.items():
        if left["threads"] or left["descriptors"]:
            yield f"worker {worker} has left: threads {left['threads']}, descriptors {left['descriptors']}"
    killed = {books.pids[worker] for worker in books.killed}
    for store, locks in books.audit["locks"].items():
        for lock in locks:
            # The lease of a killed process runs out; its row or key stays until somebody takes the lock.
            if store not in LEASED or int(lock.split("/")[-2]) not in killed:
                yield f"a lock is left in {store}: {lock}"


def _processes(books: Books) -> Iterator[str]:
    for worker, status in books.exits.items():
        if worker not in books.killed and (status != 0 or worker not in books.left):
            yield f"worker {worker} ended with status {status}, and nobody had killed it"


def _flat(books: Books) -> Iterator[str]:
    """In the second half of its life, a process grows in nothing: see `_GROWTH`."""
    for worker, lines in books.sizes.items():
        # During the chaos only: the proofs load every grant into every process.
        lived = [each for each in lines if each["t"] < books.healed]
        lived, quarter = lived[len(lived) % 4 :], len(lived) // 4
        if quarter < _FEWEST_SIZES:
            continue
        for what, (factor, more) in _GROWTH.items():
            second, third, last = (
                statistics.median(each[what] for each in lived[at * quarter : (at + 1) * quarter]) for at in (1, 2, 3)
            )
            rose, rose_before = last > third * factor + more, third > second * factor + more
            if rose and (rose_before or what != "kilobytes"):
                yield f"worker {worker} grew from {third:.0f} to {last:.0f} {what} in the second half of its life"


def _figures(books: Books, verdict: Verdict) -> None:
    results = Counter(line["result"] for line in books.presented)
    failed = [call for call in books.calls if call["failure"]]
    longest = max((call["t"] - call["began"] for call in books.calls), default=0.0)
    lines = books.sizes.get("0.0", [])
    sizes = [each["kilobytes"] for each in lines if each["t"] < books.healed] or [0]
    blocks = [each["blocks"] for each in lines if each["t"] < books.healed] or [0]
    verdict.figures = {
        "calls": len(books.calls),
        "calls that failed, with a typed error": len(failed),
        "seconds that the longest call took": round(longest),
        "token requests": len(books.requests),
        "renewals (rotations)": results["rotated"],
        "lost pairs issued again": results["repeated"],
        "sign-ins": len(books.grants) - GRANTS,
        "refresh tokens used twice, explained": sum(verdict.reuses.values()) - verdict.reuses[UNEXPLAINED],
        "refresh tokens used twice, unexplained": verdict.reuses[UNEXPLAINED],
        "grants lost, explained": sum(verdict.losses.values()) - verdict.losses[UNEXPLAINED],
        "grants lost, unexplained": verdict.losses[UNEXPLAINED],
        "grants that work after the run": sum(
            all(each["result"] == "200 200" for each in proofs) for proofs in books.proofs.values()
        ),
        "processes killed": len(books.killed),
        "kilobytes of worker 0, first": sizes[0],
        "kilobytes of worker 0, last": sizes[-1],
        "blocks of worker 0, in the middle": blocks[len(blocks) // 2],
        "blocks of worker 0, last": blocks[-1],
    }


if __name__ == "__main__":
    print(judge(Path(sys.argv[1])).table())  # noqa: T201
