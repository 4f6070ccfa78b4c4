"""The demo from beginning to end: sandbox, sign-in, every scenario, verdict.

Used by the command `demo`. It promises that two demos never share a directory, and that a run that was killed can be
continued.
"""

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
from .client_scenarios import CLIENT_SCENARIOS
from .concurrent_callers import CALLERS, run_concurrent_callers
from .display import Display
from .remote_sandbox import RemoteSandbox
from .restart import Restart, make_client
from .results import Expectation, Scenario, total
from .sandbox_process import SandboxProcess
from .scenario import SUBJECT, ScenarioRun
from .state_directory import StateDirectory


@dataclass(frozen=True, slots=True)
class Tempo:
    """How long access tokens live, in seconds, and how many of them expire in the scenario of each client."""

    lifetime: float
    expiries: int


FULL = Tempo(lifetime=2.0, expiries=2)
QUICK = Tempo(lifetime=1.0, expiries=1)

Scenarios = list[tuple[Scenario, Callable[[ScenarioRun], None]]]


def run(state: StateDirectory, tempo: Tempo) -> int:
    """Run all scenarios; return the exit status. If this run is killed, the next one continues with what it left."""
    _reach_loopback_directly()
    display = Display()
    with ExitStack() as stack:
        store = stack.enter_context(SQLiteStore(state.tokens))
        _exclude_others(stack, store, state)
        sandbox = SandboxProcess(state)
        display.print_line(
            f"{'Started a' if sandbox.is_new else 'Found the'} sandbox at {sandbox.remote.address.origin}"
        )
        sandbox.remote.set_lifetime(tempo.lifetime)
        source = _obtain_grant(make_client(sandbox.remote.address, store), sandbox.remote, display)
        deviations = _run_all(_scenarios(state, tempo), source, sandbox.remote, tempo, display)
        sandbox.stop()
    state.clear()
    return 1 if deviations else 0


def _reach_loopback_directly() -> None:
    # Behind a corporate proxy HTTP clients would send requests for this machine there too.
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, ("127.0.0.1", os.environ.get(name))))


def _exclude_others(stack: ExitStack, store: SQLiteStore, state: StateDirectory) -> None:
    try:
        stack.enter_context(store.lock("demo", timeout=0))
    except StoreError as error:
        raise click.ClickException(
            f"another demo runs on {state.path}: wait until it has ended, or name another directory with --state-dir "
            f"({error.problem})"
        ) from error


def _obtain_grant(client: OAuthClient, sandbox: RemoteSandbox, display: Display) -> TokenSource:
    """The stored grant, if it still works; otherwise the user signs in."""
    source = client.for_subject(SUBJECT)
    try:
        # Renewed, so that the first token has the lifetime that was just set.
        source.renew()
    except SignInRequired as ended:
        if ended.reason != "missing":
            display.print_line(f"The grant of the previous run has ended: {ended.problem}")
        start = client.start_authorization(SUBJECT)
        source = client.finish_authorization(sandbox.sign_in(start.url, SUBJECT))
        display.print_line(f"{SUBJECT} signed in and allowed access")
    else:
        display.print_line(f"Continuing with the grant of {SUBJECT} from the previous run: no sign-in")
    return source


def _scenarios(state: StateDirectory, tempo: Tempo) -> Scenarios:
    expectation = Expectation(expired=tempo.expiries, revoked=1)
    return [
        *((Scenario(each.title, expectation), each.run) for each in CLIENT_SCENARIOS if each.is_possible),
        (Scenario(f"{CALLERS} callers together", Expectation(expired=1, exactly=True)), run_concurrent_callers),
        (Scenario("restart", Expectation(revoked=1, exactly=True)), Restart(state)),
    ]


def _run_all(
    scenarios_to_run: Scenarios, source: TokenSource, sandbox: RemoteSandbox, tempo: Tempo, display: Display
) -> list[str]:
    scenarios = [scenario for scenario, _ in scenarios_to_run]
    first = before = sandbox.server_record()
    with display.watch(scenarios):
        for scenario, run in scenarios_to_run:
            try:
                run(ScenarioRun(scenario, source, sandbox, before, tempo.lifetime))
            except BlnkAuthError as error:
                scenario.figures.add(1, 1, 0.0, f"{type(error).__name__}: {error}")
            # From one record to the next, so that no token request is lost between two scenarios.
            after = sandbox.server_record()
            scenario.server_record, before = after.since(before), after
            scenario.judge()
            display.print_end_of(scenario)
    display.sum_up(scenarios, total(scenarios, before.since(first)))
    _print_left_out(display)
    deviations = [deviation for scenario in scenarios for deviation in scenario.deviations()]
    display.conclude(deviations, _sign_ins(before.counts.code_exchanges))
    return deviations


def _print_left_out(display: Display) -> None:
    for each in CLIENT_SCENARIOS:
        if not each.is_possible:
            display.print_line(f"Left out: {each.title}, because {each.package} is not installed ({each.install})")


def _sign_ins(code_exchanges: int) -> str:
    return "one sign-in" if code_exchanges == 1 else f"{code_exchanges} sign-ins since the sandbox was started"
