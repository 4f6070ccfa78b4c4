"""The simulated world: some processes that share one grant, its record in a store, a lock, a server and a clock.

In some worlds the grant is bound to a key (DPoP), which the server judges with each proof, and the server demands its
nonce in each proof. The nonce may change at any moment.

A `State` is a value: everything there is at one moment. A `Choice` is one step that may come next, a fault included;
`plain_choices` and `faults` list them, `take` takes one. Nothing happens otherwise: between two steps of one process,
every other may take any number of steps. What a process does with the result of its step is the real code's decision,
see process.py. What must hold in every state is in invariants.py, who tries all the orders in scheduler.py.

The faults, of which at most `Setup.faults` happen in one schedule:

    any step        the process is killed: its lock is released, its memory lost; a new one makes the call again
                    the caller is cancelled: nobody waits for the result any more
                    the grant is revoked at the server (the user withdraws it)
    load, lock      fails                           save      fails, or is written and fails nevertheless
    unlock          fails, though the lock is free
    token request   never leaves; times out unprocessed; is answered 503; its answer is lost;
                    times out and reaches the server later, when nobody waits for it
    lease lock      is lost while it is taken: exclusion fails from here on; with `Setup.freezes`, because its holder
                    was suspended for longer than any deadline
    the store       loses the write that it confirmed last, with `Setup.loses_writes`
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

from simulation.process import (
    BEGIN,
    LIFETIME,
    POLICY,
    PROVED,
    REVOKED,
    SIGN_IN,
    TOKEN,
    Moment,
    Processes,
    Seen,
    SimulatedToken,
    Wish,
    first_record,
    generation_of,
    number_of_key,
)

from blnk_auth._protocol.dpop_key import DpopKey
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth.policy import RenewalPolicy
from blnk_auth.stores._token_store import from_json
from blnk_auth.token import Token

GRACE = 30
"""Seconds for which a spent refresh token still works at a server with a grace period. Far below LIFETIME."""

NOBODY, NONE = -1, -1
NOTHING = ("", NONE)
NOT_ASKED, REFUSED, BUSY, UNPROVED = -1, -2, -3, -4
"""What a process may be waiting for besides the number of the generation that was issued to it."""

FRESH, STALE, EXPIRED = 0, 80, LIFETIME
"""Ages of generation 0, which is in the store when a schedule begins."""


Server = Literal["revokes", "single use", "grace"]
Lock = Literal["exclusive", "lease", "none"]
Dpop = Literal["none", "bound", "not yet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One world to explore."""

    server: Server = "revokes"
    """What it does when a spent refresh token comes: revoke all, refuse it, or accept it for a while, then revoke."""

    lock: Lock = "exclusive"
    workers: int = 3
    calls: tuple[str, ...] = (TOKEN, TOKEN)
    """What each worker's callers want, one after the other."""

    age: int = EXPIRED
    expiries: int = 1
    """How often, at any moment, so much time passes that every token there is expires."""

    faults: int = 1
    signs_in: bool = False
    """Whether the first worker's first call is a new sign-in."""

    policy: RenewalPolicy = POLICY
    loses_writes: bool = False
    """Whether the store may lose its last write, as after a fail-over."""

    freezes: bool = False
    """Whether a holder whose lease is lost was suspended, past the deadline of its request too."""

    ahead: int = 0
    """Seconds by which the clock of the first worker is ahead of those of the store, the server and the others."""

    token_type: type[SimulatedToken] = SimulatedToken
    crash_frees_lock: bool = True
    shielded: bool = True
    """Whether a caller's cancellation stops at the flight, as it does."""

    dpop: Dpop = "none"
    """Whether the processes bind the grant to a key: not at all; it is bound when a schedule begins; or it is stored
    without a key, and its first renewal binds it."""

    nonces: int = 0
    """How many nonces the server demands, one after the other: each but the first one from any moment on."""


class Choice(NamedTuple):
    """One step. `worker` is NOBODY for what happens by itself."""

    worker: int
    deed: str

    def __str__(self) -> str:
        return self.deed if self.worker == NOBODY else f"worker {self.worker}: {self.deed}"


class Worker(NamedTuple):
    """One process, and what an onlooker knows of it. Numbers are generations."""

    moment: Moment
    calls_made: int = 0
    answer: int = NOT_ASKED
    """What the server has answered and has not arrived yet."""

    holds_lock: bool = False
    spent: int = NONE
    """The generation whose refresh token it spent without having saved the successor yet."""

    received: int = NONE
    """That successor."""

    presented: int = NONE
    """The generation it asked the server with during the call under way."""

    presented_key: int = NONE
    """The key with which it asked."""

    overlooked: bool = False
    """A newer pair of another process was in the store when its request was refused, and when it looked again."""

    renewed: bool = False
    """A new pair has arrived during the call under way."""

    deserted: bool = False
    """The caller was cancelled."""

    aged: bool = False
    """The tokens have expired during the call under way."""

    signs_in: bool = False
    """Its first call is a sign-in."""

    elapsed: int = 0
    """Seconds for which it was suspended during the call under way."""

    suspended_after: int = NONE
    """The generation that it had presented before it was suspended."""

    lost_answers: int = 0
    """How many answers were lost during the call under way."""

    repetitions: int = 0
    """How often it has presented one refresh token again during the call under way."""

    faults_then: int = NONE
    """How many faults were left when the call under way began, where a failure was remembered."""

    ahead: int = 0
    """Seconds by which its clock is ahead."""

    revoked_below: int = 0
    """The call under way is a request to an API that rejects the tokens of all generations below this one."""

    could_find: bool = False
    """A failure was remembered then, and another process's valid token was in the store."""

    must_ask: bool = False
    """A failure of an early renewal was remembered then, and the token had to be renewed."""

    nonce: int = NONE
    """The nonce in the answer that has not arrived yet."""

    api_requests: int = 0
    """How often the request to the API was sent in the call under way."""

    api_unproved: int = 0
    """How often the API refused it for its nonce."""

    asked_for_nonce: bool = False
    """The last answer of the API was a demand for a nonce."""

    unproved: int = 0
    """How many requests in a row were refused for their nonce, in the call under way."""


class State(NamedTuple):
    """Everything there is at one moment."""

    now: int
    version: int
    """Of the record."""

    writes: int
    """How many there were: the next one makes another version."""

    before_last: tuple[str, int]
    """The record and the version that the last write replaced; only where it may be lost."""

    record: str
    spent_at: tuple[int, ...]
    """The server's generations: when each one's refresh token was spent, or NONE."""

    revoked: bool
    late: tuple[Wish, ...]
    """Requests on their way that nobody waits for."""

    expiries_left: int
    faults_left: int
    line: tuple[int, ...]
    """Which sign-in each generation descends from, counted."""

    depth: tuple[int, ...]
    """How many renewals of its sign-in have led to each generation."""

    born_at: tuple[int, ...]
    """When each generation arrived at a worker, or NONE."""

    orphans: frozenset[int]
    """Generations that a fault made look unspent: the only ones that may be spent twice."""

    lost: frozenset[int]
    """Generations that were in the memory of a killed process only."""

    refused: frozenset[int]
    """Generations whose presenter got `invalid_grant`."""

    exclusive: bool
    """Whether the lock has excluded so far."""

    nonce: int
    """The nonce that the server demands now, or NONE."""

    keys: int
    """How many DPoP keys there are."""

    bound: tuple[int, ...]
    """The key that the server has bound each sign-in to, or NONE."""

    unstored: frozenset[int]
    """Keys that a fault kept out of the store, or took out of it."""

    workers: tuple[Worker, ...]


class Happening(NamedTuple):
    """What an onlooker sees in a step: a refresh token presented, a record before and after, the result of a call."""

    what: Literal["presented", "unproved", "used", "saved", "deleted", "landed"]
    worker: int
    number: int = NONE
    key: int = NONE
    """That of the proof."""

    result: Token | BaseException | None = None
    caller: Worker | None = None
    before: str = ""
    after: str = ""


@cache
def read(text: str) -> tuple[int, str | None]:
    """The generation in a record's text, and why it ended; NONE if there is no record."""
    data = from_json(text)
    if data is None:
        return NONE, None
    grant = GrantRecord.from_data(data, "key")
    return generation_of(grant.token), grant.ended


@cache
def key_in(text: str) -> int:
    """The DPoP key in a record's text, or NONE."""
    data = from_json(text)
    binding = None if data is None else GrantRecord.from_data(data, "key").dpop
    return number_of_key(binding.public_jwk) if isinstance(binding, DpopKey) else NONE


_PLAIN = {
    "begin": "makes a call",
    "load": "loads",
    "save": "saves",
    "delete": "deletes",
    "lock": "locks",
    "unlock": "unlocks",
    "send": "asks the server",
    "exchange": "signs in",
    "wait": "waits",
    "api": "asks the API",
}
_NO_FAULTS = frozenset((*_PLAIN.values(), "answer arrives"))
_FAULTS: dict[str, tuple[str, ...]] = {
    "begin": (),
    "load": ("cannot load",),
    "save": ("cannot save", "saves, yet fails"),
    "delete": (),
    "lock": ("cannot lock",),
    "unlock": ("unlocks, yet fails",),
    "send": ("request never leaves", "request times out", "server answers 503", "request is late"),
    "exchange": (),
    "wait": (),
    "api": (),
}
ARRIVES, LOST, KILLED, DESERTED, LEASE_LOST = "answer arrives", "answer is lost", "killed", "deserted", "lease is lost"
SUSPENDED, WRITE_LOST = "is suspended and loses its lease", "the store loses its last write"
PAST_EVERY_DEADLINE = 1000
TIME_PASSES, LATE_ARRIVES, WITHDRAWN = "the tokens expire", "a late request arrives", "the user revokes the grant"
NONCE_CHANGES = "the server demands another nonce"


class World:
    """The rules: which steps there are in a state, and what each leads to."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.processes = Processes(setup.token_type, setup.policy, None if setup.dpop == "none" else True)
        self._numbers: dict[object, int] = {}
        self._deeds = {
            "makes a call": self._begin,
            "loads": self._load,
            "saves": self._save,
            "deletes": self._delete,
            "locks": self._lock,
            "unlocks": self._unlock,
            "asks the server": self._ask,
            "signs in": self._sign_in,
            "waits": self._wait,
            "asks the API": self._ask_api,
            ARRIVES: self._arrive,
            LOST: self._lose,
            KILLED: self._kill,
            DESERTED: self._desert,
            LEASE_LOST: self._lose_lease,
            SUSPENDED: self._suspend,
            "cannot load": self._fail,
            "cannot lock": self._fail,
            "cannot save": self._fail_to_save,
            "saves, yet fails": self._save_and_fail,
            "unlocks, yet fails": self._unlock_and_fail,
            "request never leaves": self._not_sent,
            "request times out": self._time_out,
            "server answers 503": self._busy,
            "request is late": self._delay,
        }

    def start(self) -> State:
        """Generation 0 is stored, and every process has just started."""
        return State(
            now=self.setup.age,
            version=0,
            writes=0,
            before_last=NOTHING,
            record=first_record(0 if self.setup.dpop == "bound" else NONE),
            spent_at=(NONE,),
            revoked=False,
            late=(),
            expiries_left=self.setup.expiries,
            faults_left=self.setup.faults,
            line=(0,),
            depth=(0,),
            born_at=(0,),
            orphans=frozenset(),
            lost=frozenset(),
            refused=frozenset(),
            exclusive=self.setup.lock != "none",
            nonce=0 if self.setup.nonces else NONE,
            keys=1,
            bound=(0 if self.setup.dpop == "bound" else NONE,),
            unstored=frozenset(),
            workers=(
                Worker(self.processes.newborn, signs_in=self.setup.signs_in, ahead=self.setup.ahead),
                *(Worker(self.processes.newborn),) * (self.setup.workers - 1),
            ),
        )

    def key(self, state: State) -> tuple[int, ...]:
        """Equal for states from which the same can follow: workers are alike, so their order does not count."""
        numbers = self._numbers
        # Numbers for the parts, of which there are few, make small keys of states, of which there are millions.
        workers = sorted([numbers.setdefault(each, len(numbers)) for each in state.workers])
        return (numbers.setdefault(state[:-1], len(numbers)), *workers)

    def is_over(self, state: State) -> bool:
        """Whether every call has been made and nothing is on its way."""
        return not state.late and all(self._is_done(each) for each in state.workers)

    def plain_choices(self, state: State) -> list[Choice]:
        """Every step that may come next, without faults."""
        found = [Choice(NOBODY, LATE_ARRIVES)] if state.late else []
        for index, worker in enumerate(state.workers):
            if not self._is_done(worker):
                found += self.plain_step(state, index)
        if state.expiries_left and found:
            found.append(Choice(NOBODY, TIME_PASSES))
        if state.nonce + 1 < self.setup.nonces and found:
            found.append(Choice(NOBODY, NONCE_CHANGES))
        return found

    def plain_step(self, state: State, index: int) -> list[Choice]:
        """What the worker does if nothing fails; empty while it waits for the lock."""
        worker = state.workers[index]
        if worker.answer != NOT_ASKED:
            return [Choice(index, ARRIVES)]
        what = worker.moment.wish.what
        if what == "lock" and self.setup.lock != "none" and any(each.holds_lock for each in state.workers):
            return []
        return [Choice(index, _PLAIN[what])]

    def faults(self, state: State) -> list[Choice]:
        """Every fault that may come next."""
        if not state.faults_left or self.is_over(state):
            return []
        # A new sign-in after it would be another grant at the server.
        found = [] if state.revoked or self.setup.signs_in else [Choice(NOBODY, WITHDRAWN)]
        if state.before_last != NOTHING:
            found.append(Choice(NOBODY, WRITE_LOST))
        for index, worker in enumerate(state.workers):
            # A process that has just started may as well be killed: it starts again.
            if not self._is_done(worker) and worker.moment is not self.processes.newborn:
                found += [Choice(index, deed) for deed in self._mishaps(worker)]
        return found

    def _mishaps(self, worker: Worker) -> tuple[str, ...]:
        mishaps = (*_FAULTS[worker.moment.wish.what], KILLED) if worker.answer == NOT_ASKED else (LOST, KILLED)
        # When the caller leaves makes no difference to a renewal that does not notice: once for each call is enough.
        if len(worker.moment.history) == 1 or (worker.moment.history and not self.setup.shielded):
            mishaps += (DESERTED,) if not worker.deserted else ()
        if worker.holds_lock and self.setup.lock == "lease":
            mishaps += (SUSPENDED if self.setup.freezes else LEASE_LOST,)
        return mishaps

    def take(self, state: State, choice: Choice) -> tuple[State, list[Happening]]:
        """The state after a step, and what an onlooker has seen."""
        seen: list[Happening] = []
        if choice.worker == NOBODY:
            return self._happen(state, choice.deed, seen), seen
        if choice.deed not in _NO_FAULTS:
            state = state._replace(faults_left=state.faults_left - 1)
        return self._deeds[choice.deed](state, choice.worker, seen), seen

    def _is_done(self, worker: Worker) -> bool:
        return worker.calls_made >= len(self.setup.calls) and worker.moment.wish is BEGIN

    def _happen(self, state: State, deed: str, seen: list[Happening]) -> State:
        if deed == TIME_PASSES:
            workers = tuple(each._replace(aged=each.moment.wish is not BEGIN) for each in state.workers)
            return state._replace(now=state.now + LIFETIME, expiries_left=state.expiries_left - 1, workers=workers)
        if deed == WITHDRAWN:
            return state._replace(revoked=True, faults_left=state.faults_left - 1)
        if deed == WRITE_LOST:
            return self._lose_write(state)
        if deed == NONCE_CHANGES:
            return state._replace(nonce=state.nonce + 1)
        state, _ = self._serve(state._replace(late=state.late[1:]), state.late[0], NOBODY, seen)
        return state

    # --- what workers do -----------------------------------------------------------------------------------------

    def _go_on(self, state: State, index: int, came: Seen, seen: list[Happening], **changes: Any) -> State:
        """Let the real code go on with what came of its wish, up to its next wish or the end of the call."""
        worker = state.workers[index]
        came = came._replace(now=came.now + worker.ahead)
        if worker.elapsed:
            came = came._replace(elapsed=worker.elapsed)
        following = self.processes.go_on(worker.moment, came, self._call_of(worker))
        if isinstance(following, Moment) and following.wish.what == "key":
            # Nobody else sees it, so nothing can come between.
            made = came._replace(what="done", text="", number=state.keys, nonce=NONE)
            following = self.processes.go_on(following, made, self._call_of(worker))
            state = state._replace(keys=state.keys + 1)
        if isinstance(following, Moment):
            return _with(state, index, worker._replace(moment=following, **changes))
        worker = worker._replace(**changes)
        seen.append(Happening("landed", index, result=following.result, caller=worker))
        # What concerns the call is forgotten with it, so that alike states are equal.
        at_rest = Worker(
            following.rest,
            worker.calls_made + 1,
            NOT_ASKED,
            worker.holds_lock,
            worker.spent,
            worker.received,
            signs_in=worker.signs_in,
            ahead=worker.ahead,
        )
        return _with(state, index, at_rest)

    def _call_of(self, worker: Worker) -> str:
        if worker.signs_in and not worker.calls_made:
            return SIGN_IN
        calls = self.setup.calls
        return calls[worker.calls_made] if worker.calls_made < len(calls) else TOKEN

    def _begin(self, state: State, index: int, seen: list[Happening]) -> State:
        worker = state.workers[index]
        if self._call_of(worker) in (REVOKED, PROVED):
            issued = len(state.spent_at)
            return self._go_on(state, index, Seen("done", state.now, number=issued), seen, revoked_below=issued)
        cached, failure = worker.moment.cached, worker.moment.failure
        if failure is None or not self.setup.policy.cooldown:
            return self._go_on(state, index, Seen("done", state.now), seen)
        stored, ended = read(state.record)
        is_valid = ended is None and state.now < state.born_at[stored] + LIFETIME
        is_another = cached is None or (cached.version is not None and generation_of(cached.token) != stored)
        return self._go_on(
            state,
            index,
            Seen("done", state.now),
            seen,
            faults_then=state.faults_left,
            could_find=is_valid and is_another and failure.may_look(state.now),
            must_ask=cached is not None and failure.cooldown.since < cached.must_renew_at <= state.now,
        )

    def _sign_in(self, state: State, index: int, seen: list[Happening]) -> State:
        wish, now, issued = state.workers[index].moment.wish, state.now + 1, len(state.spent_at)
        if wish.nonce != state.nonce:
            unproved = state.workers[index].unproved + 1
            seen.append(Happening("unproved", index, key=wish.key))
            return self._go_on(state, index, _unproved(state.now, state.nonce), seen, unproved=unproved)
        state = state._replace(
            now=now,
            spent_at=(*state.spent_at, NONE),
            line=(*state.line, max(state.line) + 1),
            depth=(*state.depth, 0),
            born_at=(*state.born_at, now),
            bound=(*state.bound, wish.key),
        )
        done = Seen("done", now, number=issued, nonce=state.nonce)
        return self._go_on(state, index, done, seen, spent=NONE, received=issued, renewed=True, unproved=0)

    def _wait(self, state: State, index: int, seen: list[Happening]) -> State:
        state = state._replace(now=state.now + 1)
        return self._go_on(state, index, Seen("done", state.now), seen)

    def _ask_api(self, state: State, index: int, seen: list[Happening]) -> State:
        """An API judges a proof, and then an access token."""
        worker = state.workers[index]
        wish = worker.moment.wish
        seen.append(Happening("used", index, wish.number, wish.key))
        changes: dict[str, Any] = {"api_requests": worker.api_requests + 1, "asked_for_nonce": False}
        came = Seen("done", state.now, nonce=state.nonce)
        if wish.key != NONE and wish.nonce != state.nonce:
            came = _unproved(state.now, state.nonce)
            changes.update(api_unproved=worker.api_unproved + 1, asked_for_nonce=True)
        elif wish.number < worker.revoked_below:
            came = Seen("refused", state.now, "invalid_token", nonce=state.nonce)
        return self._go_on(state, index, came, seen, **changes)

    def _load(self, state: State, index: int, seen: list[Happening]) -> State:
        presented = state.workers[index].presented
        overlooked = presented in state.refused and _has_newer(state, presented)
        record = Seen("done", state.now, state.record, state.version)
        return self._go_on(state, index, record, seen, overlooked=overlooked)

    def _lock(self, state: State, index: int, seen: list[Happening]) -> State:
        return self._go_on(state, index, Seen("done", state.now), seen, holds_lock=self.setup.lock != "none")

    def _unlock(self, state: State, index: int, seen: list[Happening]) -> State:
        return self._go_on(state, index, Seen("done", state.now), seen, holds_lock=False)

    def _save(self, state: State, index: int, seen: list[Happening]) -> State:
        if state.workers[index].moment.wish.number != state.version:
            return self._go_on(state, index, Seen("conflict", state.now), seen)
        state = self._write(state, index, seen)
        return self._go_on(state, index, Seen("done", state.now, number=state.version), seen)

    def _write(self, state: State, index: int, seen: list[Happening]) -> State:
        worker = state.workers[index]
        text = worker.moment.wish.text
        seen.append(Happening("saved", index, before=state.record, after=text))
        if read(text)[0] == worker.received:
            state = _with(state, index, worker._replace(spent=NONE, received=NONE))
        before_last = (state.record, state.version) if self.setup.loses_writes else NOTHING
        number = state.writes + 1
        return state._replace(record=text, version=number, writes=number, before_last=before_last)

    def _delete(self, state: State, index: int, seen: list[Happening]) -> State:
        seen.append(Happening("deleted", index))
        return self._go_on(state._replace(record=""), index, Seen("done", state.now), seen)

    def _ask(self, state: State, index: int, seen: list[Happening]) -> State:
        wish = state.workers[index].moment.wish
        presented = wish.number
        state, answer = self._serve(state, wish, index, seen)
        worker = state.workers[index]
        if answer == UNPROVED:
            worker = worker._replace(answer=answer, nonce=state.nonce, unproved=worker.unproved + 1)
            return _with(state, index, worker)
        repetitions = worker.repetitions + 1 if worker.presented == presented else 0
        worker = worker._replace(answer=answer, presented=presented, repetitions=repetitions, nonce=state.nonce)
        worker = worker._replace(unproved=0, presented_key=wish.key)
        if answer >= 0:
            worker = worker._replace(spent=presented, received=answer)
        return _with(state, index, worker)

    def _serve(self, state: State, wish: Wish, index: int, seen: list[Happening]) -> tuple[State, int]:
        """The server judges a proof, and then a refresh token."""
        presented = wish.number
        if wish.nonce != state.nonce:
            seen.append(Happening("unproved", index, presented, wish.key))
            return state, UNPROVED
        seen.append(Happening("presented", index, presented, wish.key))
        line, spent_at = state.line[presented], state.spent_at[presented]
        if state.bound[line] not in (NONE, wish.key):
            return state, REFUSED
        in_grace = self.setup.server == "grace" and state.now - spent_at <= GRACE
        if not state.revoked and (spent_at == NONE or in_grace):
            first_spent_at = state.now if spent_at == NONE else spent_at
            spent = (*state.spent_at[:presented], first_spent_at, *state.spent_at[presented + 1 :], NONE)
            lines = (*state.line, line)
            bound = (*state.bound[:line], wish.key, *state.bound[line + 1 :])
            depth = (*state.depth, state.depth[presented] + 1)
            born_at = (*state.born_at, NONE)
            issued = len(state.spent_at)
            return state._replace(spent_at=spent, line=lines, depth=depth, born_at=born_at, bound=bound), issued
        revoked = state.revoked or self.setup.server != "single use"
        return state._replace(revoked=revoked), REFUSED

    def _arrive(self, state: State, index: int, seen: list[Happening]) -> State:
        worker, answer = state.workers[index], state.workers[index].answer
        # Time is seen to pass, so that records show which pair came first.
        state = state._replace(now=state.now + 1)
        changes = {"answer": NOT_ASKED, "nonce": NONE}
        if answer == UNPROVED:
            return self._go_on(state, index, _unproved(state.now, worker.nonce), seen, **changes)
        if answer >= 0:
            born_at = (*state.born_at[:answer], state.now, *state.born_at[answer + 1 :])
            arrived = Seen("done", state.now, number=answer, nonce=worker.nonce)
            return self._go_on(state._replace(born_at=born_at), index, arrived, seen, renewed=True, **changes)
        state = state._replace(refused=state.refused | {worker.presented})
        refusal = Seen("refused", state.now, "invalid_grant", nonce=worker.nonce)
        overlooked = _has_newer(state, worker.presented)
        return self._go_on(state, index, refusal, seen, overlooked=overlooked, **changes)

    # --- faults --------------------------------------------------------------------------------------------------

    def _fail(self, state: State, index: int, seen: list[Happening]) -> State:
        worker = state.workers[index]
        if worker.spent != NONE and worker.presented == worker.spent:
            # It looks which other pair is stored in the place of its own, and so cannot save that one now.
            state = state._replace(orphans=state.orphans | {worker.spent})
        return self._go_on(state, index, Seen("failed", state.now), seen)

    def _fail_to_save(self, state: State, index: int, seen: list[Happening]) -> State:
        worker = state.workers[index]
        if read(worker.moment.wish.text)[0] == worker.received:
            state = state._replace(orphans=state.orphans | {worker.spent})
        return self._fail(_without_key(state, worker.moment.wish.text, state.record), index, seen)

    def _save_and_fail(self, state: State, index: int, seen: list[Happening]) -> State:
        if state.workers[index].moment.wish.number == state.version:
            state = self._write(state, index, seen)
        else:
            state = _without_key(state, state.workers[index].moment.wish.text, state.record)
        return self._fail(state, index, seen)

    def _unlock_and_fail(self, state: State, index: int, seen: list[Happening]) -> State:
        return self._go_on(state, index, Seen("failed", state.now), seen, holds_lock=False)

    def _not_sent(self, state: State, index: int, seen: list[Happening]) -> State:
        return self._go_on(state, index, Seen("not sent", state.now), seen)

    def _time_out(self, state: State, index: int, seen: list[Happening]) -> State:
        presented, lost = state.workers[index].moment.wish.number, state.workers[index].lost_answers + 1
        changes = {"presented": presented, "lost_answers": lost, "unproved": 0}
        return self._go_on(state, index, Seen("lost", state.now), seen, **changes)

    def _busy(self, state: State, index: int, seen: list[Happening]) -> State:
        presented = state.workers[index].moment.wish.number
        return self._go_on(state, index, Seen("busy", state.now, "server_error"), seen, presented=presented)

    def _delay(self, state: State, index: int, seen: list[Happening]) -> State:
        wish = state.workers[index].moment.wish
        state = state._replace(late=tuple(sorted((*state.late, wish))), orphans=state.orphans | {wish.number})
        return self._time_out(state, index, seen)

    def _lose(self, state: State, index: int, seen: list[Happening]) -> State:
        worker = state.workers[index]
        if worker.answer >= 0:
            state = state._replace(orphans=state.orphans | {worker.spent})
            state = _with(state, index, worker._replace(spent=NONE, received=NONE))
        lost = worker.lost_answers + 1
        changes = {"answer": NOT_ASKED, "nonce": NONE, "lost_answers": lost, "unproved": 0}
        return self._go_on(state, index, Seen("lost", state.now), seen, **changes)

    def _kill(self, state: State, index: int, seen: list[Happening]) -> State:
        worker = state.workers[index]
        if worker.received != NONE:
            state = state._replace(orphans=state.orphans | {worker.spent}, lost=state.lost | {worker.received})
        holds_lock = worker.holds_lock and not self.setup.crash_frees_lock
        newborn = Worker(
            self.processes.newborn,
            worker.calls_made,
            holds_lock=holds_lock,
            signs_in=worker.signs_in,
            ahead=worker.ahead,
        )
        return _with(state, index, newborn)

    def _desert(self, state: State, index: int, seen: list[Happening]) -> State:
        state = _with(state, index, state.workers[index]._replace(deserted=True))
        if self.setup.shielded:
            return state
        return self._go_on(state, index, Seen("cancelled", state.now), seen, answer=NOT_ASKED)

    def _lose_lease(self, state: State, index: int, seen: list[Happening]) -> State:
        return _with(state._replace(exclusive=False), index, state.workers[index]._replace(holds_lock=False))

    def _suspend(self, state: State, index: int, seen: list[Happening]) -> State:
        state = self._lose_lease(state, index, seen)
        worker = state.workers[index]
        # Between its look at the clock and its request nothing can stop it.
        is_sending = worker.moment.wish.what == "send" and worker.answer == NOT_ASKED
        after = NONE if is_sending else worker.presented
        return _with(state, index, worker._replace(elapsed=PAST_EVERY_DEADLINE, suspended_after=after))

    def _lose_write(self, state: State) -> State:
        """The store forgets the write that it confirmed last, and reports nothing."""
        record, version = state.before_last
        forgotten, found = read(state.record)[0], read(record)[0]
        state = _without_key(state, state.record, record)
        state = state._replace(record=record, version=version, before_last=NOTHING, faults_left=state.faults_left - 1)
        if forgotten != found:
            # A process that does not know the newest may present one before it again.
            earlier = set(range(found, forgotten))
            state = state._replace(orphans=state.orphans | earlier, lost=state.lost | {forgotten})
        return state


def _unproved(now: int, nonce: int) -> Seen:
    """The server wants its nonce in the proof."""
    return Seen("refused", now, "use_dpop_nonce", nonce=nonce)


def _without_key(state: State, record: str, stored: str) -> State:
    """The store has the record `stored`, and a fault keeps the key of `record` out of it."""
    key = key_in(record)
    return state if key in (NONE, key_in(stored)) else state._replace(unstored=state.unstored | {key})


def _has_newer(state: State, generation: int) -> bool:
    stored, ended = read(state.record)
    return stored > generation and ended is None


def _with(state: State, index: int, worker: Worker) -> State:
    workers = state.workers
    # The last field; the same as _replace and three times as fast, which counts here.
    return State._make((*state[:-1], (*workers[:index], worker, *workers[index + 1 :])))
