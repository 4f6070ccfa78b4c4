"""The demo from beginning to end."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import click

from ...client import OAuthClient
from ...errors import BlnkAuthError, SignInRequired, StoreError
from ...source import TokenSource
from ...stores._sqlite import SQLiteStore
from .clients import CLIENT_ACTS
from .crowd import CROWD, play_crowd
from .figures import Act, Promise, total
from .host import SandboxProcess
from .remote import RemoteSandbox
from .restart import Restart, make_client
from .screen import Screen
from .stage import SUBJECT, Stage
from .state import StateDirectory


@dataclass(frozen=True, slots=True)
class Pace:
    """How long access tokens live, in seconds, and how many of them expire in the act of each client."""

    lifetime: float
    expiries: int


FULL = Pace(lifetime=2.0, expiries=2)
QUICK = Pace(lifetime=1.0, expiries=1)

Programme = list[tuple[Act, Callable[[Stage], None]]]


def run(state: StateDirectory, pace: Pace) -> int:
    """Play all acts; return the exit status. What this run leaves if it is killed, the next one goes on with."""
    _reach_loopback_directly()
    screen = Screen()
    with ExitStack() as stack:
        store = stack.enter_context(SQLiteStore(state.tokens))
        _exclude_others(stack, store, state)
        sandbox = SandboxProcess(state)
        screen.say(f"{'Started a' if sandbox.is_new else 'Found the'} sandbox at {sandbox.remote.address.origin}")
        sandbox.remote.set_lifetime(pace.lifetime)
        source = _obtain_grant(make_client(sandbox.remote.address, store), sandbox.remote, screen)
        complaints = _play(_programme(state, pace), source, sandbox.remote, pace, screen)
        sandbox.stop()
    state.clear()
    return 1 if complaints else 0


def _reach_loopback_directly() -> None:
    # Behind a corporate proxy HTTP clients would send requests for this machine there too.
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, ("127.0.0.1", os.environ.get(name))))


def _exclude_others(stack: ExitStack, store: SQLiteStore, state: StateDirectory) -> None:
    try:
        stack.enter_context(store.lock("demo", timeout=0))
    except StoreError as error:
        raise click.ClickException(
            f"another demo runs on {state.path}: wait for its end, or name another directory with --state-dir ({error})"
        ) from error


def _obtain_grant(client: OAuthClient, sandbox: RemoteSandbox, screen: Screen) -> TokenSource:
    """The grant that is stored, if it still works; otherwise the person signs in."""
    source = client.for_subject(SUBJECT)
    try:
        # Also to begin with a token of the lifetime that was just set.
        source.renew()
    except SignInRequired as verdict:
        if verdict.reason != "missing":
            screen.say(f"The grant from the run before has ended: {verdict}")
        start = client.start_authorization(SUBJECT)
        source = client.finish_authorization(sandbox.sign_in(start.url, SUBJECT))
        screen.say(f"{SUBJECT} signed in and allowed access")
    else:
        screen.say(f"Going on with the grant of {SUBJECT} from the run before: no sign-in")
    return source


def _programme(state: StateDirectory, pace: Pace) -> Programme:
    promise = Promise(expired=pace.expiries, revoked=1)
    return [
        *((Act(each.title, promise), each.play) for each in CLIENT_ACTS if each.is_possible),
        (Act(f"{CROWD} callers at once", Promise(expired=1, exactly=True)), play_crowd),
        (Act("restart", Promise(revoked=1, exactly=True)), Restart(state)),
    ]


def _play(programme: Programme, source: TokenSource, sandbox: RemoteSandbox, pace: Pace, screen: Screen) -> list[str]:
    acts = [act for act, _ in programme]
    first = before = sandbox.books()
    with screen.watch(acts):
        for act, play in programme:
            try:
                play(Stage(act, source, sandbox, before, pace.lifetime))
            except BlnkAuthError as error:
                act.figures.add(1, 1, 0.0, f"{type(error).__name__}: {error}")
            # From one look into the books to the next, so that no token request falls between two acts.
            after = sandbox.books()
            act.books, before = after.since(before), after
            act.judge()
            screen.tell(act)
    screen.sum_up(acts, total(acts, before.since(first)))
    _tell_left_out(screen)
    complaints = [complaint for act in acts for complaint in act.complaints()]
    screen.conclude(complaints, _sign_ins(before.counts.code_exchanges))
    return complaints


def _tell_left_out(screen: Screen) -> None:
    for each in CLIENT_ACTS:
        if not each.is_possible:
            screen.say(f"Left out: {each.title}, because {each.package} is not installed ({each.install})")


def _sign_ins(code_exchanges: int) -> str:
    return "one sign-in" if code_exchanges == 1 else f"{code_exchanges} sign-ins since the sandbox was started"
