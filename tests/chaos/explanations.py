"""Which fault can explain that a refresh token was presented a second time: the whole list, with the reasons.

Used by `verdict`. A spent refresh token is presented again for one reason only: the process that presents it did not
find its successor in the store. So each explanation shows, from the logs, what kept the successor out of the store, or
out of sight; what they do not cover is unexplained. No other fault may end a grant: not the clock, not a refusal, not a
time-out before the request was sent.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

from chaos.books import Books, Line, Window
from chaos.plan import LEASE, LEASED, READ_TIMEOUT, RESTORED, store_of

SAVED_WITHIN = 40.0
"""Seconds in which a new pair is saved, or fails to be: reading the answer, waiting for the store, being stopped."""

_LOSING = frozenset({"reset after", "cut headers", "cut body", "late", "error after", "delayed request", "kill after"})
"""Faults of a request that took effect and whose answer the client did not get, or not in time."""

_LAPSES_AFTER = LEASE / 2
"""Seconds of a pause from which on a lease may run out. It is renewed every third of its time, so two thirds are left
when a pause begins at the worst moment. A sixth is for the call that renews it, and for the one that failed before."""

_PUT_BACK_WITHIN = 3.0
"""Seconds that it takes to put a backup back: a window ends when that is done."""


class Reuse(NamedTuple):
    """A spent refresh token that was presented again, and everything that led to it.

    Attributes:
        at: The presentation, as the books have it.
        spends: Those before it that took effect: the first rotated, further ones repeated the same pair.
        looked_at: When the process that presents it got the lock, after which it read the store.
        stored_at: When a pair that is newer than the presented one was first stored; infinite if it never was.
    """

    at: Line
    spends: list[Line]
    looked_at: float
    stored_at: float

    @property
    def was_in_the_store(self) -> bool:
        """Whether the process that presents it could have read a newer pair."""
        return self.stored_at < self.looked_at


class Explanation(NamedTuple):
    """A fault that can lead to the second use of a refresh token, and why no client can prevent it."""

    name: str
    reason: str
    covers: Callable[[Books, Reuse], bool]


def _delayed_request(books: Books, reuse: Reuse) -> bool:
    fault = books.requests[reuse.at["request"]]["fault"]
    return fault in ("delayed request", "stop before")


def _answer_lost(books: Books, reuse: Reuse) -> bool:
    def lost(spend: Line) -> bool:
        request = books.requests[spend["request"]]
        if request["fault"] == "stop before":
            # It took effect when the process ran again, which by then had given up.
            return not _tried_to_save(books, spend)
        return request["fault"] in _LOSING or (not request["sent"] and _took_too_long(request))

    return not reuse.was_in_the_store and all(map(lost, reuse.spends))


def _killed_before_saving(books: Books, reuse: Reuse) -> bool:
    def killed(spend: Line) -> bool:
        at = books.killed.get(spend["worker"])
        # What it had sent before it was killed still takes effect; what it receives it saves within its deadlines.
        in_time = at is not None and at <= min(reuse.at["t"], spend["t"] + SAVED_WITHIN)
        return in_time and not _tried_to_save(books, spend)

    return not reuse.was_in_the_store and any(map(killed, reuse.spends))


def _tried_to_save(books: Books, spend: Line) -> list[Line]:
    saves = books.saves.get((spend["grant"], spend["generation"] + 1), [])
    return [each for each in saves if each["worker"] == spend["worker"]]


def _store_failed(books: Books, reuse: Reuse) -> bool:
    """The process that has the new pair could not save it: it is in its memory only."""
    windows = [each for each in books.store_faults[_store(books, reuse)] if each.what != RESTORED]

    def failed(spend: Line) -> bool:
        return any(
            save["failure"] and any(each.overlaps(save["began"] - 1, save["t"] + 1) for each in windows)
            for save in _tried_to_save(books, spend)
        )

    return not reuse.was_in_the_store and any(map(failed, reuse.spends))


def _froze_past_lease(books: Books, reuse: Reuse) -> bool:
    return _is_leased(books, reuse) and any(
        each.seconds > _LAPSES_AFTER for worker in _involved(reuse) for each in _near(books.frozen[worker], reuse)
    )


def _store_down_past_lease(books: Books, reuse: Reuse) -> bool:
    windows = [each for each in _near(books.store_faults[_store(books, reuse)], reuse) if each.what != RESTORED]
    return _is_leased(books, reuse) and any(each.seconds > _LAPSES_AFTER for each in windows)


def _restored(books: Books, reuse: Reuse) -> bool:
    """The successor was in the store, and not in the backup that was put back over it; nobody stored it again."""

    def again(window: Window) -> bool:
        return any(
            window.until < save["t"] < reuse.looked_at
            for save in _saves_after(books, reuse.at["grant"], reuse.at["generation"])
        )

    return any(
        each.what == RESTORED
        and each.since < reuse.stored_at < each.until
        and reuse.looked_at > each.until - _PUT_BACK_WITHIN
        and not again(each)
        for each in books.store_faults[_store(books, reuse)]
    )


def _machine_stalled(books: Books, reuse: Reuse) -> bool:
    requests = [books.requests[spend["request"]] for spend in reuse.spends]
    took_too_long = any(_took_too_long(each) for each in requests if not each["fault"])
    windows = [each for who in (*_involved(reuse), "server") for each in _near(books.stalled[who], reuse)]
    return took_too_long or any(each.seconds > _LAPSES_AFTER for each in windows)


def _took_too_long(request: Line) -> bool:
    return (request["answered"] or float("inf")) - request["t"] > READ_TIMEOUT - 1


def _store(books: Books, reuse: Reuse) -> str:
    return store_of(books.subject_of(reuse.at["grant"]))


def _is_leased(books: Books, reuse: Reuse) -> bool:
    return _store(books, reuse) in LEASED


def _involved(reuse: Reuse) -> set[str]:
    return {reuse.at["worker"], *(spend["worker"] for spend in reuse.spends)}


def _near(windows: list[Window], reuse: Reuse) -> list[Window]:
    """Those that overlap the time in which one of the two had, or should have had, the lock."""
    since = min([reuse.looked_at, *(spend["t"] for spend in reuse.spends)]) - 2 * LEASE
    return [each for each in windows if each.overlaps(since, reuse.at["t"])]


EXPLANATIONS = (
    Explanation(
        "request delayed in the network",
        "The client had given up on this request when it took effect. It cannot be called back.",
        _delayed_request,
    ),
    Explanation(
        "killed between rotation and save",
        "The only process that had, or was about to receive, the new pair was killed before it could store it.",
        _killed_before_saving,
    ),
    Explanation(
        "answer lost after rotation",
        "The server rotated, and the answer with the new pair was cut, reset, replaced or late. Only a server with a "
        "grace period issues it again, and only while that lasts.",
        _answer_lost,
    ),
    Explanation(
        "store could not be written after rotation",
        "The new pair was in the memory of one process, and another one, or a later one, reads the old pair.",
        _store_failed,
    ),
    Explanation(
        "stopped for longer than the lease allows",
        "A lease is lent for a time. A process that did not run loses its lock, and the next one reads what the first "
        "has not yet replaced.",
        _froze_past_lease,
    ),
    Explanation(
        "store unreachable for longer than the lease allows",
        "The lease could not be renewed while its server was down or did not answer, so it ran out under its holder.",
        _store_down_past_lease,
    ),
    Explanation(
        "store restored from an older state",
        "A backup was put back that does not have the new pair. Only a process that knows it can save it again.",
        _restored,
    ),
    Explanation(
        "the machine was too busy",
        "As the two before, or an answer too late, but because this machine was busy: no fault of the plan.",
        _machine_stalled,
    ),
)


def explanation_of(books: Books, reuse: Reuse) -> Explanation | None:
    """The first that covers it; None if it is unexplained."""
    return next((each for each in EXPLANATIONS if each.covers(books, reuse)), None)


def reuses_of(books: Books) -> list[Reuse]:
    """Each time a spent refresh token was presented and refused for it."""
    found: list[Reuse] = []
    spends: dict[tuple[int, int], list[Line]] = {}
    for line in books.presented:
        pair = line["grant"], line["generation"]
        if line["result"] in ("rotated", "repeated"):
            spends.setdefault(pair, []).append(line)
        elif line["result"] == "reuse":
            found.append(Reuse(line, list(spends[pair]), _looked_at(books, line), _stored_at(books, *pair)))
    return found


def _looked_at(books: Books, line: Line) -> float:
    times = books.locked.get((line["worker"], books.subject_of(line["grant"])), [])
    before = bisect_right(times, line["t"])
    return times[before - 1] if before else line["t"]


def _stored_at(books: Books, grant: int, generation: int) -> float:
    return min((save["t"] for save in _saves_after(books, grant, generation)), default=float("inf"))


def _saves_after(books: Books, grant: int, generation: int) -> Iterator[Line]:
    """Each time that a newer pair of this grant was stored."""
    newest = max((number for of, number in books.saves if of == grant), default=generation)
    for number in range(generation + 1, newest + 1):
        yield from (save for save in books.saves.get((grant, number), ()) if not save["failure"])
