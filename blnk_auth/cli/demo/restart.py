"""The restart: a process that knows nothing but the SQLite file goes on with the grant, and those before it follow."""

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
from ..address import SandboxAddress
from .child import environment, module_command
from .figures import Figures
from .stage import CALL_TIMEOUT, SUBJECT, Stage
from .state import StateDirectory

_CALLS = 10
_CHILD_TIMEOUT = 120.0


def make_client(address: SandboxAddress, store: SQLiteStore) -> OAuthClient:
    """The registered client, as every process of an application makes it."""
    return OAuthClient(
        BlnkCloud(base_url=address.origin),
        client_id=address.client_id,
        client_secret=address.client_secret,
        redirect_uri=address.redirect_uri,
        store=store,
    )


@dataclass(frozen=True, slots=True)
class Restart:
    """The act. The token is revoked, so that all must come to a new one; only the child asks the server for it."""

    state: StateDirectory

    def __call__(self, stage: Stage) -> None:
        stage.revoke()
        stage.say("a new process with the SQLite file")
        self._in_a_child(stage.act.figures)
        stage.say("a new OAuthClient in this process")
        with SQLiteStore(self.state.tokens) as store:
            _call(make_client(stage.sandbox.address, store).for_subject(SUBJECT), stage.url, stage.act.figures)
        stage.say("the OAuthClient from before the restart")
        _call(stage.source, stage.url, stage.act.figures)

    def _in_a_child(self, figures: Figures) -> None:
        command = module_command("blnk_auth.cli.demo.restart", str(self.state.path))
        finished = subprocess.run(  # noqa: S603 - our own module
            command, env=environment(), capture_output=True, text=True, timeout=_CHILD_TIMEOUT, check=False
        )
        if finished.returncode != 0:
            last_line = (finished.stderr.strip().splitlines() or ["nothing"])[-1]
            figures.add(1, 1, 0.0, f"the new process ended with {finished.returncode} and said: {last_line}")
            return
        figures.add(*json.loads(finished.stdout))


def _call(source: TokenSource, url: str, figures: Figures) -> None:
    with httpx.Client(auth=HttpxAuth(source), timeout=CALL_TIMEOUT) as client:
        for _ in range(_CALLS):
            with figures.call() as call:
                call.status = client.get(url).status_code


def _main(state_path: str) -> None:
    """The child: prints its figures as JSON, for `Figures.add`."""
    state, figures = StateDirectory(Path(state_path)), Figures()
    address = SandboxAddress.load(state.sandbox)
    if address is None:
        raise SystemExit(f"{state.sandbox} does not say where the sandbox is")
    with SQLiteStore(state.tokens) as store:
        _call(make_client(address, store).for_subject(SUBJECT), f"{address.origin}/data/ledgers", figures)
    sys.stdout.write(json.dumps([figures.calls, figures.failed, figures.longest, figures.first_failure]))


if __name__ == "__main__":
    _main(sys.argv[1])
