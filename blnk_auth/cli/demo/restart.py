"""The restart scenario: a new process that has only the SQLite file continues with the grant.

Used by the demo's run, and as a module by that new process. It promises that only the file connects the two. It never
signs in.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from ...client import OAuthClient
from ...httpx import HttpxAuth
from ...providers._blnk_cloud import BlnkCloud
from ...source import TokenSource
from ...stores._sqlite import SQLiteStore
from ..sandbox_address import SandboxAddress
from .child_process import environment, module_command
from .results import CallFigures
from .scenario import CALL_TIMEOUT, SUBJECT, ScenarioRun
from .state_directory import StateDirectory

_CALLS = 10
_CHILD_TIMEOUT = 120.0


def make_client(address: SandboxAddress, store: SQLiteStore) -> OAuthClient:
    """The registered client, made as every process of an application makes it."""
    return OAuthClient(
        BlnkCloud(base_url=address.origin),
        client_id=address.client_id,
        client_secret=address.client_secret,
        redirect_uri=address.redirect_uri,
        store=store,
    )


@dataclass(frozen=True, slots=True)
class Restart:
    """The scenario. The token is revoked, so everyone needs a new one; only the child requests it from the server."""

    state: StateDirectory

    def __call__(self, run: ScenarioRun) -> None:
        run.revoke()
        run.set_progress("a new process with the SQLite file")
        self._call_in_child_process(run.scenario.figures)
        run.set_progress("a new OAuthClient in this process")
        with SQLiteStore(self.state.tokens) as store:
            _call(make_client(run.sandbox.address, store).for_subject(SUBJECT), run.url, run.scenario.figures)
        run.set_progress("the OAuthClient from before the restart")
        _call(run.source, run.url, run.scenario.figures)

    def _call_in_child_process(self, figures: CallFigures) -> None:
        command = module_command("blnk_auth.cli.demo.restart", str(self.state.path))
        finished = subprocess.run(  # noqa: S603 - our own module
            command, env=environment(), capture_output=True, text=True, timeout=_CHILD_TIMEOUT, check=False
        )
        if finished.returncode != 0:
            last_line = (finished.stderr.strip().splitlines() or ["nothing"])[-1]
            figures.add(1, 1, 0.0, f"the new process ended with {finished.returncode}: {last_line}")
            return
        figures.add(*json.loads(finished.stdout))


def _call(source: TokenSource, url: str, figures: CallFigures) -> None:
    with httpx.Client(auth=HttpxAuth(source), timeout=CALL_TIMEOUT) as client:
        for _ in range(_CALLS):
            with figures.call() as call:
                call.status = client.get(url).status_code


def _main(state_path: str) -> None:
    """Run the child process: it prints its figures as JSON, for `CallFigures.add`."""
    state, figures = StateDirectory(Path(state_path)), CallFigures()
    address = SandboxAddress.load(state.sandbox)
    if address is None:
        raise SystemExit(f"{state.sandbox} does not have the address of a sandbox")
    with SQLiteStore(state.tokens) as store:
        _call(make_client(address, store).for_subject(SUBJECT), f"{address.origin}/data/ledgers", figures)
    sys.stdout.write(json.dumps([figures.calls, figures.failed, figures.longest, figures.first_failure]))


if __name__ == "__main__":
    _main(sys.argv[1])
