"""What a run does, what fails in it, and when: a pure function of the seed and the number of minutes.

Used by `run`, which carries it out, and by the tests. The same seed gives the same plan on every machine. Which request
meets a fault, and how threads and processes take turns, is up to the machine: those are not in the plan.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

GRANTS = 1000
WORKERS = 4
"""Worker processes. Number 0 is stopped and resumed but never killed: its memory is what is measured."""

STORES = ("sqlite", "file", "redis", "postgres", "mariadb", "sealed")
"""`sealed` is an `EncryptedStore` over files. Grant i is in store i modulo six."""

CLIENTS = ("requests", "httpx", "httpx2", "httpx-async", "httpx2-async")

LIFETIME = 12.0
"""Seconds that access tokens live: short, so that most calls meet an expired one."""

GRACE = 20.0
"""Seconds for which a server with a grace period issues a lost pair again."""

LEASE = 4.0
"""Seconds after which the lock of a stopped holder is free, in the stores whose locks are leases."""

CONNECT_TIMEOUT, READ_TIMEOUT, REQUEST_DEADLINE, LOCK_TIMEOUT = 3.0, 5.0, 8.0, 10.0
"""Seconds, of the workers' policy: shorter than its defaults, so that a fault is over sooner."""

API_TIMEOUT = 5.0
"""Seconds, for each of connecting to the API, sending and receiving."""

LEASED = frozenset({"redis", "postgres", "mariadb"})
"""The stores whose locks are leases; the others' locks are the operating system's."""

TOKEN_FAULTS = {
    "slow": 10,
    "reset before": 5,
    "reset after": 5,
    "cut headers": 4,
    "cut body": 4,
    "closed soon": 8,
    "late": 3,
    "delayed request": 2,
    "error after": 2,
    "429": 5,
    "503": 5,
    "html": 2,
    "kill before": 2,
    "kill after": 4,
    "stop before": 2,
    "stop after": 3,
}
"""Faults of one request to the authorization server, by how often each is drawn. `server` has what each does."""

API_FAULTS = {"slow": 5, "reset before": 3, "reset after": 3, "cut headers": 3, "cut body": 3, "503": 3, "429": 2}

RESTORED = "restored"
"""A backup of all records is taken when the fault begins, and put back when it ends. In between the store works."""

STORE_FAULTS = {
    "sqlite": ("away", "full", "busy", "read-only", RESTORED),
    "file": ("away", "full", "read-only", RESTORED),
    "sealed": ("away", "full", "read-only", RESTORED),
    "redis": ("killed", "paused", "full", "read-only", RESTORED),
    "postgres": ("killed", "paused", "read-only", RESTORED),
    "mariadb": ("killed", "paused", "read-only", RESTORED),
}


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that happens `at` so many seconds after the start. `what` names it, `details` has the rest."""

    at: float
    what: str
    details: dict[str, Any] = field(default_factory=dict[str, Any])

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run."""

    seed: int
    seconds: float
    grace: tuple[bool, ...]
    """For each grant, whether the server has a grace period for it."""

    actions: tuple[Action, ...]
    """In the order of their times."""


def subject_of(number: int) -> str:
    return f"user-{number:04}"


def store_of(subject: str) -> str:
    """The store that has the grants of this subject."""
    return STORES[int(subject.removeprefix("user-")) % len(STORES)]


def make_plan(seed: int, minutes: float) -> Plan:
    """The plan for this seed."""
    seconds = minutes * 60
    # One source of chance for each kind, so that a change to one leaves the others as they were.
    grace = random.Random(f"{seed} grace")
    kinds = (_calls, _bursts, _sign_ins, _revocations, _token_faults, _api_faults, _outages, _stores, _clocks, _signals)
    actions = [each for kind in kinds for each in kind(random.Random(f"{seed} {kind.__name__}"), seconds)]
    actions.sort(key=lambda each: each.at)
    return Plan(seed, seconds, tuple(grace.random() < 0.5 for _ in range(GRANTS)), tuple(actions))


def _times(chance: random.Random, seconds: float, every: float) -> Iterator[float]:
    """Moments in the run, on average so many seconds apart."""
    at = chance.expovariate(1 / every)
    while at < seconds:
        yield round(at, 3)
        at += chance.expovariate(1 / every)


def _some_subject(chance: random.Random) -> str:
    # A tenth of the grants has half of the traffic.
    number = chance.randrange(GRANTS // 10) if chance.random() < 0.5 else chance.randrange(GRANTS)
    return subject_of(number)


def _calls(chance: random.Random, seconds: float) -> Iterator[Action]:
    for at in _times(chance, seconds, every=0.08):
        where = {"subject": _some_subject(chance), "worker": chance.randrange(WORKERS)}
        yield Action(at, "call", {**where, "client": chance.choice(CLIENTS)})


def _bursts(chance: random.Random, seconds: float) -> Iterator[Action]:
    """Many callers of one grant at the same moment, in several processes."""
    for at in _times(chance, seconds, every=2.0):
        subject = _some_subject(chance)
        for _ in range(chance.randrange(4, 12)):
            where = {"subject": subject, "worker": chance.randrange(WORKERS)}
            yield Action(at, "call", {**where, "client": chance.choice(CLIENTS)})


def _sign_ins(chance: random.Random, seconds: float) -> Iterator[Action]:
    for at in _times(chance, seconds, every=2.0):
        where = {"subject": _some_subject(chance), "worker": chance.randrange(WORKERS)}
        yield Action(at, "sign in", {**where, "how": chance.choice(("code", "code", "adopt"))})


def _revocations(chance: random.Random, seconds: float) -> Iterator[Action]:
    for at in _times(chance, seconds, every=5.0):
        subject, draw = _some_subject(chance), chance.random()
        if draw < 0.6:
            yield Action(at, "revoke access tokens", {"subject": subject})
        elif draw < 0.8:
            yield Action(at, "revoke grant", {"subject": subject})
        else:
            yield Action(at, "client revokes", {"subject": subject, "worker": chance.randrange(WORKERS)})


def _drawn(chance: random.Random, kinds: dict[str, int]) -> str:
    return chance.choices(list(kinds), weights=list(kinds.values()))[0]


def _token_faults(chance: random.Random, seconds: float) -> Iterator[Action]:
    for at in _times(chance, seconds, every=1.5):
        kind = _drawn(chance, TOKEN_FAULTS)
        yield Action(at, "token fault", {"kind": kind, "seconds": round(_length(chance, kind), 3)})


def _length(chance: random.Random, kind: str) -> float:
    """How many seconds it takes, where that means something."""
    if kind in ("late", "delayed request"):
        # Beyond the read timeout, and partly beyond the deadline of all attempts.
        return chance.uniform(5.5, 10.0)
    if kind.startswith("stop"):
        # Around the length of a lease.
        return chance.choice((chance.uniform(0.5, 2.0), chance.uniform(LEASE + 1, 3 * LEASE)))
    if kind == "closed soon":
        # While the client still keeps the connection.
        return chance.uniform(0.0, 1.5)
    return chance.uniform(0.05, 2.0)


def _api_faults(chance: random.Random, seconds: float) -> Iterator[Action]:
    for at in _times(chance, seconds, every=1.0):
        kind = _drawn(chance, API_FAULTS)
        yield Action(at, "api fault", {"kind": kind, "seconds": round(chance.uniform(0.05, 2.0), 3)})


def _outages(chance: random.Random, seconds: float) -> Iterator[Action]:
    """The authorization server is overloaded for a while, and the wait that it demands is not the same each time."""
    for at in _times(chance, seconds, every=45.0):
        yield Action(at, "outage", {"seconds": round(chance.uniform(1.0, 6.0), 3), "status": chance.choice((429, 503))})


def _stores(chance: random.Random, seconds: float) -> Iterator[Action]:
    """For each store one fault after another, with time in between, so that a store works most of the time."""
    for store in STORES:
        at, kinds = chance.uniform(3.0, 20.0), list[str]()
        while at < seconds - 1.0:
            length = chance.choice((chance.uniform(0.3, 2.0), chance.uniform(2.0, 2.5 * LEASE)))
            # Each kind once before any comes again, so that none is left out.
            kinds = kinds or chance.sample(STORE_FAULTS[store], len(STORE_FAULTS[store]))
            yield Action(
                round(at, 3), "store fault", {"store": store, "kind": kinds.pop(), "seconds": round(length, 3)}
            )
            at += length + chance.uniform(15.0, 40.0)


def _clocks(chance: random.Random, seconds: float) -> Iterator[Action]:
    for at in _times(chance, seconds, every=15.0):
        offset = chance.choice((0.0, chance.uniform(-20, 20), chance.uniform(-7200, 7200)))
        yield Action(at, "clock", {"worker": chance.randrange(WORKERS), "offset": round(offset, 3)})


def _signals(chance: random.Random, seconds: float) -> Iterator[Action]:
    for at in _times(chance, seconds, every=12.0):
        if chance.random() < 0.5:
            yield Action(at, "kill", {"worker": chance.randrange(1, WORKERS)})
        else:
            length = chance.choice((chance.uniform(0.2, 2.0), chance.uniform(LEASE + 1, 3 * LEASE)))
            yield Action(at, "stop", {"worker": chance.randrange(WORKERS), "seconds": round(length, 3)})
