"""What must hold in every schedule. Each function looks at one step, or at the end, and raises `Broken`.

1.  Spent once:
    No refresh token is spent twice. Excused are exactly those whose successor a fault kept out of the store: the answer
    was lost or late, the save failed, the process was killed in between, or the lock had ceased to exclude. A save has
    also failed if the store has another pair than expected, as after it lost a write, and cannot be read then.
    And one call presents the same refresh token again only after its answer was lost, as often as the policy allows,
    and while it still has the lock; never after it was suspended past the deadline of its request. Without exclusion
    also with the key that it finds in the store, if its own could not be stored.
2.  Never replaced by an older pair:
    No saved pair is replaced by an older one, in the server's order, and no pair of a sign-in by one of an earlier
    sign-in. The mark that a pair has ended is not taken off it.
3.  A token or a typed error:
    Every call ends with a valid token or with a typed error; with a token if there was no fault, or a new pair arrived.
    A pair is used only when it is saved, or when saving it has failed.
    `SignInRequired` is raised only after `invalid_grant`, and not if another process's newer pair was to be found.
    A remembered failure is not raised if another process's valid token was to be found, nor if it was one of an early
    renewal and the token must be renewed by now.
    If the API rejects every token issued so far, the next request carries one that was issued afterwards, unless a
    fault prevented it. This holds also if another process has stored a newer one, which is rejected too.
    Where lost answers are asked for again, and the server has a grace period, one that is lost fails no call.
4.  No deadlock:
    No deadlock, and no lock outlives its call.
5.  Asked only when due:
    The server is asked only about a token that is due, and never about one whose record is marked as ended.
    With 1 and 3 it follows: without faults, exactly one request for each expiry, from any number of callers.
6.  The newest pair is kept:
    The newest pair that arrived is in the store or in the memory of a living process, unless its process was killed.
7.  Ended only by a verdict:
    A renewal deletes no record, and marks one as ended only after the server refused that very generation.
8.  Everything heals:
    Everything heals if the server still accepts the newest pair: once the faults are over, every process gets a valid
    token with its next call and again after the next expiry. That pair is then in the store.
9.  A superseded pair is not presented:
    A process never presents a refresh token that it has seen replaced, also if the store has lost the newer pair.
10. Sent once more for its proof:
    A request is sent once more, at most, because the server wants a nonce in its proof. So each is sent at most twice
    for its nonce, and a request to an API at most three times in all: once more for a nonce and once more for a token.
11. Bound to one key:
    A grant is presented with no other key than the one that the server has bound it to. Excused is only a key that a
    fault kept out of the store, or took out of it.
12. A key is never replaced:
    A renewal never saves a pair with another key than the stored one, and never without it. The same is excused.
13. A demand for a nonce costs no grant:
    After a demand for a nonce no grant is marked as ended, and no user is asked to sign in. The call ends with a token,
    unless the nonce changes again before the second request, or a fault prevents it. An API's demand causes no renewal.

Without exclusion (a lost lease, a store without a lock) the rest holds, which is weaker: refresh tokens may be spent
twice (1), also without a fault, and ended grants asked about (5). At a server with a grace period two live pairs may
then exist, and no client can know the server's order. So 2 and 6 follow the number of renewals that led to a pair, and
between two pairs for one refresh token the order in which the answers arrived. At such a server an older pair may also
replace a newer one that has ended: it may be the one that lives.

Where the clocks of processes differ, all of them hold as they are, with two exceptions. Each process judges by its own
clock whether a token has expired (3) or is due (5). And without exclusion, either of two pairs for one refresh token
may stay.
"""

from __future__ import annotations

from collections.abc import Callable

from simulation.process import LIFETIME, PROVED, REJECTED, REVOKED, generation_of
from simulation.world import NONE, Happening, Setup, State, Worker, World, key_in, read

from blnk_auth.errors import BlnkAuthError, SignInRequired, StoreError, TemporarilyUnavailable
from blnk_auth.token import Token

INVARIANTS = {
    1: "spent once",
    2: "never replaced by an older pair",
    3: "a token or a typed error",
    4: "no deadlock",
    5: "asked only when due",
    6: "the newest pair is kept",
    7: "ended only by a verdict",
    8: "everything heals",
    9: "a superseded pair is not presented",
    10: "sent once more for its proof",
    11: "bound to one key",
    12: "a key is never replaced",
    13: "a demand for a nonce costs no grant",
}
"""Their names, as docs/explanation/renewal.md has them. Each complaint begins with the number."""

_DUE_AFTER = 75
"""Seconds after which a token may be renewed: the advisory window is a quarter of its lifetime."""

_EXPECTED_ERRORS = (SignInRequired, StoreError, TemporarilyUnavailable)


class Broken(AssertionError):
    """An invariant does not hold."""


def check_step(setup: Setup, before: State, happening: Happening, after: State) -> None:
    """Judge one happening in the step from `before` to `after`."""
    _CHECKS[happening.what](setup, before, happening, after)


def _presented(setup: Setup, before: State, happening: Happening, after: State) -> None:
    generation = happening.number
    bound = before.bound[before.line[generation]]
    is_bound_to = bound in (NONE, happening.key) or not before.unstored.isdisjoint((bound, happening.key))
    _hold(is_bound_to, f"11: refresh token {generation} is presented with key {happening.key}, and is bound to {bound}")
    if before.spent_at[generation] != NONE and before.exclusive:
        _hold(generation in before.orphans, f"1: refresh token {generation} is spent twice, and no fault explains it")
    if happening.worker == NONE:
        return
    _unproved(setup, before, happening, after)
    asked_for_nonce = before.workers[happening.worker].asked_for_nonce
    _hold(not asked_for_nonce, f"13: token {generation} is renewed because the API wants a nonce")
    worker = before.workers[happening.worker]
    if worker.presented == generation:
        was_lost = worker.repetitions < worker.lost_answers
        may_repeat = was_lost and worker.repetitions < setup.policy.lost_answer_retries
        # It had another key than the stored one, which another process has stored without its lock.
        may_repeat = may_repeat or (not before.exclusive and worker.presented_key in before.unstored - {happening.key})
        _hold(may_repeat, f"1: one call presents refresh token {generation} twice")
        has_lock = worker.holds_lock or not before.exclusive
        _hold(has_lock, f"1: refresh token {generation} is presented again without the lock")
        in_time = worker.suspended_after != generation
        _hold(in_time, f"1: refresh token {generation} is presented again after the deadline of the request")
    cached = worker.moment.cached
    if cached is not None:
        is_superseded = cached.supersedes(_pair(generation))
        _hold(not is_superseded, f"9: refresh token {generation} is presented by a process that saw it replaced")
    is_due = before.now - before.born_at[generation] >= _DUE_AFTER or (REJECTED in setup.calls and generation == 0)
    # Where clocks differ, each process judges by its own. And a token that the API rejects is due.
    is_due = is_due or setup.ahead != 0 or not {REVOKED, PROVED}.isdisjoint(setup.calls)
    _hold(is_due, f"5: token {generation} is renewed although it is fresh")
    if before.exclusive:
        stored, ended = read(before.record)
        _hold(ended is None or stored != generation, f"5: asked about {generation}, whose grant is known to have ended")


def _unproved(setup: Setup, before: State, happening: Happening, after: State) -> None:
    if happening.worker == NONE:
        return
    worker = before.workers[happening.worker]
    _hold(worker.unproved < 2, "10: a request is sent for the third time because of its nonce")


def _used(setup: Setup, before: State, happening: Happening, after: State) -> None:
    worker, key = before.workers[happening.worker], happening.key
    _hold(worker.api_unproved < 2, "10: a request to the API is sent for the third time because of its nonce")
    _hold(worker.api_requests < 3, "10: a request to the API is sent for the fourth time")
    bound = before.bound[before.line[happening.number]]
    was_bound_later = setup.dpop == "not yet" and happening.number == 0 and key == NONE
    is_bound_to = was_bound_later or key == bound or not before.unstored.isdisjoint((bound, key))
    _hold(is_bound_to, f"11: access token {happening.number} is used with key {key}, and is bound to {bound}")


def _saved(setup: Setup, before: State, happening: Happening, after: State) -> None:
    (old, had_ended), (new, ended) = read(happening.before), read(happening.after)
    key, replaced = key_in(happening.after), key_in(happening.before)
    is_kept = (
        replaced in (NONE, key) or after.line[new] != before.line[old] or not after.unstored.isdisjoint((key, replaced))
    )
    _hold(is_kept, f"12: the stored key {replaced} is replaced by {key}")
    proved = before.workers[happening.worker].unproved == 0
    _hold(proved or ended is None, f"13: generation {new} is marked as ended after a demand for a nonce")
    is_newer = _age(setup, after, new) >= _age(setup, after, old)
    if after.line[new] != before.line[old]:
        _hold(is_newer, f"2: sign-in {before.line[old]} is replaced by an earlier one")
    else:
        may_live = setup.server == "grace" and had_ended is not None
        _hold(is_newer or may_live, f"2: the saved generation {old} is replaced by the older {new}")
    _hold(new != old or had_ended is None or ended is not None, f"7: the mark that {old} has ended is taken off it")
    if ended is not None:
        _hold(new in before.refused, f"7: generation {new} is marked as ended, but the server never refused it")


def _age(setup: Setup, state: State, generation: int) -> tuple[int, ...]:
    """A pair is newer the greater this is."""
    line = state.line[generation]
    if setup.server != "grace" or state.exclusive:
        return line, generation
    # The server's order cannot be known. Where clocks differ, neither is the order of pairs for one refresh token.
    return line, state.depth[generation], 0 if setup.ahead else state.born_at[generation]


def _deleted(setup: Setup, before: State, happening: Happening, after: State) -> None:
    _hold(False, "7: a renewal deleted the record")


def _landed(setup: Setup, before: State, happening: Happening, after: State) -> None:
    result, worker = happening.result, happening.caller
    assert worker is not None
    _hold(not worker.holds_lock, "4: a call has ended and the lock is still taken")
    if worker.deserted:
        return
    if isinstance(result, Token):
        _token(setup, after, result, worker)
        # A nonce may have changed again before the second request: the one to the API, or the one for another token.
        is_revoked = generation_of(result) < worker.revoked_below and max(worker.api_unproved, worker.unproved) < 2
        _hold(
            not is_revoked or after.faults_left < setup.faults, f"3: {result!r} is used on, which the API has rejected"
        )
        return
    _hold(isinstance(result, BlnkAuthError), f"3: {result!r} is not a typed error")
    if worker.unproved:
        _hold(not isinstance(result, SignInRequired), f"13: {result!r} after a demand for a nonce")
        _hold(worker.unproved > 1 or after.faults_left < setup.faults, f"13: {result!r} after one demand for a nonce")
    _hold(isinstance(result, _EXPECTED_ERRORS), f"3: nothing here explains {result!r}")
    remembers = worker.faults_then != NONE
    no_fault = after.faults_left == setup.faults and setup.lock != "none" and not worker.aged and not remembers
    # The nonce has changed between the two requests.
    no_fault = no_fault and worker.unproved < 2
    _hold(not no_fault, f"3: {result!r} although nothing went wrong")
    # What came gave way to a sign-in, and that may have expired by then.
    gave_way = setup.signs_in and not after.exclusive
    _hold(not worker.renewed or worker.aged or gave_way, f"3: {result!r} although a new pair has arrived")
    _hold(not _was_rescued(setup, after, worker), f"3: {result!r}, but the lost answer was to be had again")
    if remembers and worker.faults_then == after.faults_left and not isinstance(result, SignInRequired):
        _hold(not worker.could_find or worker.aged, f"3: {result!r}, but another process's valid token was stored")
        asked = worker.presented != NONE
        _hold(asked or not worker.must_ask, f"3: {result!r}, but it is that of an early renewal")
    if isinstance(result, SignInRequired):
        _hold(result.reason == "refused" and bool(after.refused), f"3: {result!r}, but the grant has not ended")
        _hold(not worker.overlooked, f"3: {result!r}, but a newer pair of another process was in the store")


def _was_rescued(setup: Setup, after: State, worker: Worker) -> bool:
    """Whether the only faults were answers lost in this call, and the server would have issued the pair again."""
    faults = setup.faults - after.faults_left
    is_rescued = setup.server == "grace" and after.exclusive and not worker.aged and not after.revoked
    return is_rescued and 0 < faults == worker.lost_answers <= setup.policy.lost_answer_retries


def _token(setup: Setup, after: State, token: Token, caller: Worker) -> None:
    generation, cached = generation_of(token), caller.moment.cached
    is_sign_in = caller.signs_in and not caller.calls_made
    # A caller with a good token got it when the call began, and the renewal went on in the background.
    is_for_later = caller.revoked_below != 0
    had_it = caller.aged and (is_sign_in or is_for_later or (cached is not None and cached.token == token))
    had_it = had_it or setup.ahead != 0
    _hold(had_it or (token.expires_at or 0.0) > after.now, f"3: token {generation} has expired")
    if generation == caller.received and read(after.record)[0] < generation:
        explained = caller.spent in after.orphans or not after.exclusive
        explained = explained or (is_sign_in and after.faults_left < setup.faults)
        _hold(explained, f"3: generation {generation} is used before it is saved")


_CHECKS: dict[str, Callable[[Setup, State, Happening, State], None]] = {
    "presented": _presented,
    "unproved": _unproved,
    "used": _used,
    "saved": _saved,
    "deleted": _deleted,
    "landed": _landed,
}


def check_going_on(world: World, state: State) -> None:
    """Judge a state from which no step leads on without a fault."""
    stuck = [str(index) for index, each in enumerate(state.workers) if each.moment.wish.what != "begin"]
    _hold(world.is_over(state), f"4: deadlock of workers {', '.join(stuck)}")


def check_end(world: World, state: State) -> None:
    """Judge a schedule's last state, and whether all is well with what comes after it."""
    _hold(not any(each.holds_lock for each in state.workers), "4: a lock is taken at the end")

    def age(generation: int) -> tuple[int, ...]:
        return _age(world.setup, state, generation)

    arrived = (each for each, born_at in enumerate(state.born_at) if born_at != NONE and each not in state.lost)
    last, kept = max(arrived, key=age), max(_kept(state), key=age)
    _hold(age(kept) >= age(last), f"6: generation {last} is lost")
    is_known = all(_recognizes(state, index) for index in range(len(state.workers)) if _lost_a_write(state, index))
    bound = state.bound[state.line[kept]]
    is_known = is_known and (bound in (NONE, key_in(state.record)) or bound not in state.unstored)
    _check_healing(world, state, honoured=is_known and not state.revoked and state.spent_at[kept] == NONE)


def _kept(state: State) -> set[int]:
    """The generations in the store and in the memories of the processes."""
    cached = {generation_of(each.moment.cached.token) for each in state.workers if each.moment.cached is not None}
    return cached | {read(state.record)[0]} - {NONE}


def _check_healing(world: World, state: State, *, honoured: bool) -> None:
    pause = int(world.setup.policy.cooldown)
    if any(_lost_a_write(state, index) for index in range(len(state.workers))):
        # A process finds out when it must renew. One that does not know the pair may not come before it.
        pause += LIFETIME
    state = state._replace(now=state.now + pause)
    for _ in range(2):
        for index in _unsaved_first(state):
            state, result = _call(world, state, index)
            healed = isinstance(result, Token) or not honoured
            _hold(healed, f"8: worker {index}'s next call does not heal: {result!r}")
        state = state._replace(now=state.now + LIFETIME)
    if honoured:
        stored, ended = read(state.record)
        _hold(stored == len(state.spent_at) - 1 and ended is None, f"8: generation {stored} is in the store at last")


def _unsaved_first(state: State) -> list[int]:
    """A process with a pair that no other knows comes first: the others cannot know that their pair is spent."""
    return sorted(range(len(state.workers)), key=lambda index: -_unsaved(state, index))


def _unsaved(state: State, index: int) -> int:
    """The pair that a process has and the store has not: it could not be saved, or the store has lost it."""
    cached = state.workers[index].moment.cached
    if cached is None or not (cached.version is None or _lost_a_write(state, index)):
        return NONE
    return generation_of(cached.token)


def _recognizes(state: State, index: int) -> bool:
    """Whether a process has seen the pair that is stored replaced."""
    cached = state.workers[index].moment.cached
    return cached is not None and cached.supersedes(_pair(read(state.record)[0]))


def _pair(generation: int) -> Token:
    return Token(f"access-{generation}", refresh_token=f"refresh-{generation}")


def _lost_a_write(state: State, index: int) -> bool:
    """Whether the store has lost the pair that a process has in memory."""
    cached = state.workers[index].moment.cached
    if cached is None or cached.version is None:
        return False
    return generation_of(cached.token) in state.lost and generation_of(cached.token) > read(state.record)[0]


def _call(world: World, state: State, index: int) -> tuple[State, Token | BaseException | None]:
    """One more call of one worker, while nothing else happens."""
    while True:
        choices = world.plain_step(state, index)
        _hold(bool(choices), f"4: worker {index} waits for a lock that nobody will release")
        before = state
        state, happenings = world.take(state, choices[0])
        for happening in happenings:
            check_step(world.setup, before, happening, state)
            if happening.what == "landed":
                return state, happening.result


def _hold(holds: bool, complaint: str) -> None:
    if not holds:
        raise Broken(complaint)
