"""The logs of a run, read back: the server's books, the fault log, what the workers wrote, and the audit.

Used by `explanations` and `verdict`. It only arranges what is written: by grant, by request, by process. All times are
seconds of the machine's monotonic clock, which every process shares.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

Line = dict[str, Any]


class Window(NamedTuple):
    """From when to when something lasted."""

    since: float
    until: float
    what: str = ""

    @property
    def seconds(self) -> float:
        return self.until - self.since

    def overlaps(self, since: float, until: float) -> bool:
        return self.since <= until and since <= self.until

    def overlap(self, since: float, until: float) -> float:
        """For how many seconds it overlaps that time."""
        return max(0.0, min(self.until, until) - max(self.since, since))


@dataclass
class Books:
    """Everything that is known of a run."""

    grants: dict[int, Line] = field(default_factory=dict[int, Line])
    """By number: its subject, its grace period, when it was issued."""

    requests: dict[int, Line] = field(default_factory=dict[int, Line])
    """By number: who asked, the fault that it met, whether and when its answer was sent."""

    presented: list[Line] = field(default_factory=list[Line])
    """Each time a refresh token was presented, in order, and with what result."""

    ended: dict[int, Line] = field(default_factory=dict[int, Line])
    """Why and when each grant ended, of those that did."""

    saves: dict[tuple[int, int], list[Line]] = field(default_factory=lambda: defaultdict(list))
    """By grant and generation: which process tried to store that pair, and how it went."""

    locked: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    """By process and subject: when it got the lock."""

    unsaved: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """Process and subject, of each pair that could not be saved when it arrived."""

    calls: list[Line] = field(default_factory=list[Line])
    sizes: dict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))
    """By process: its memory over time."""

    left: dict[str, Line] = field(default_factory=dict[str, Line])
    """By process: what it had not closed at its end."""

    proofs: dict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))
    """By subject: whether its grant worked after the run, as each process found."""

    killed: dict[str, float] = field(default_factory=dict[str, float])
    """By process: when it was killed."""

    pids: dict[str, int] = field(default_factory=dict[str, int])
    exits: dict[str, int] = field(default_factory=dict[str, int])
    """By process: the status with which it ended."""

    frozen: dict[str, list[Window]] = field(default_factory=lambda: defaultdict(list))
    """By process: when it was stopped by a signal."""

    stalled: dict[str, list[Window]] = field(default_factory=lambda: defaultdict(list))
    """By process, and `server`: when it did not run for any reason, as it noticed itself."""

    store_faults: dict[str, list[Window]] = field(default_factory=lambda: defaultdict(list))
    faults: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """How many faults of each kind there were."""

    began: float = 0.0
    healed: float = 0.0
    audit: Line = field(default_factory=dict[str, Any])

    def subject_of(self, grant: int) -> str:
        return str(self.grants[grant]["subject"])


def read(directory: Path) -> Books:
    """The books of the run in this directory."""
    books = Books()
    _read_books(books, _lines(directory / "books.jsonl"))
    _read_faults(books, _lines(directory / "faults.jsonl"))
    for path in sorted(directory.glob("worker-*.jsonl")):
        _read_worker(books, path.stem.removeprefix("worker-"), _lines(path))
    books.audit = json.loads((directory / "audit.json").read_text())
    for kind, count in books.audit["counts"].items():
        books.faults[kind] += count
    for worker, at in books.killed.items():
        # A process that was killed while it was stopped never resumed.
        books.frozen[worker] = [each._replace(until=min(each.until, at)) for each in books.frozen[worker]]
    return books


def _lines(path: Path) -> Iterator[Line]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            # The last line of a process that was killed may be cut.
            if line.endswith("\n"):
                yield json.loads(line)


def _read_books(books: Books, lines: Iterable[Line]) -> None:
    for line in lines:
        match line["what"]:
            case "granted":
                books.grants[line["grant"]] = line
            case "request":
                books.requests[line["request"]] = {**line, "sent": False, "answered": None}
            case "answered":
                books.requests[line["request"]].update(sent=line["sent"], answered=line["t"])
            case "presented":
                books.presented.append(line)
            case "ended":
                books.ended[line["grant"]] = line
            case "stalled":
                books.stalled["server"].append(Window(line["since"], line["until"]))
            case _:
                _read_signal(books, line)


def _read_signal(books: Books, line: Line) -> None:
    """A process that was killed, stopped or resumed, by the server or by the run."""
    match line["what"]:
        case "killed":
            books.killed.setdefault(line["worker"], line["t"])
        case "stopped":
            books.frozen[line["worker"]].append(Window(line["t"], float("inf")))
        case "resumed":
            # The first to resume it resumes it for good.
            books.frozen[line["worker"]] = [
                each._replace(until=min(each.until, line["t"])) if each.since <= line["t"] else each
                for each in books.frozen[line["worker"]]
            ]


def _read_faults(books: Books, lines: Iterable[Line]) -> None:
    breaking: dict[str, Line] = {}
    for line in lines:
        match line["what"]:
            case "began" | "healed":
                setattr(books, line["what"], line["t"])
            case "started":
                books.pids[line["worker"]] = line["pid"]
            case "exited":
                books.exits[line["worker"]] = line["status"]
            case "store breaks":
                breaking[line["store"]] = line
                books.faults[f"store {line['kind']}"] += 1
            case "store healed":
                broke = breaking.pop(line["store"], None)
                if broke is not None:
                    books.store_faults[line["store"]].append(Window(broke["t"], line["t"], broke["kind"]))
            case _:
                _count(books, line["what"])
                _read_signal(books, line)


def _count(books: Books, what: str) -> None:
    if what in ("killed", "stopped"):
        books.faults[f"process {what}"] += 1
    elif what in ("outage", "clock", "revoke access tokens", "revoke grant"):
        books.faults[what] += 1


def _read_worker(books: Books, worker: str, lines: Iterable[Line]) -> None:
    files: dict[str, Callable[[Line], object]] = {
        "save": lambda line: books.saves[line["grant"], line["generation"]].append(line),
        "locked": lambda line: books.locked[worker, line["key"].rpartition("/")[2]].append(line["t"]),
        "call": books.calls.append,
        "event": lambda line: line["name"] == "save_failed" and books.unsaved.add((worker, line["subject"])),
        "size": books.sizes[worker].append,
        "stalled": lambda line: books.stalled[worker].append(Window(line["since"], line["until"])),
        "proof": lambda line: books.proofs[line["subject"]].append(line),
        "left": lambda line: books.left.update({worker: line}),
    }
    for line in lines:
        files.get(line["what"], lambda _line: None)({**line, "worker": worker})
