"""A fleet of grants, and the worker processes of a scheduler that keep them alive.

Used by tests of the recipes. The fleet is in the store that a recipe's profile names; the workers are real processes,
each in a session of its own, which are started again when they were killed, as a supervisor does. None is left
running: they end with the `with` block.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from support.fleet_server import FleetServer, refresh_token
from support.limits import PATIENCE
from support.providers import DAY

from blnk_auth import OAuthClient, Token
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth.stores._due import DUE_AT

IDLE_LIFETIME = 30 * DAY


def write_profile(directory: Path, server: FleetServer, store: str) -> Path:
    """The configuration file with the profile `acme`, which the recipes use."""
    file = directory / "config.toml"
    file.write_text(
        '[profiles.acme]\nprovider = "custom"\nname = "acme"\nclient_id = "id"\nclient_auth = "none"\n'
        f'token_endpoint = "{server.url}"\napi_origins = ["https://api.acme.test"]\n'
        f'refresh_idle_lifetime = {IDLE_LIFETIME:.0f}\nstore = "{store}"\n'
    )
    return file


def subject(number: int) -> str:
    return f"customer-{number:05}"


def fill(client: OAuthClient, numbers: Iterable[int], *, idle: float) -> None:
    """Grants that were last renewed `idle` seconds ago."""
    issued_at = time.time() - idle

    def save(number: int) -> None:
        token = Token("a", expires_at=issued_at + 3600, refresh_token=refresh_token(number), issued_at=issued_at)
        data = {**GrantRecord.signed_in(token).to_data(), DUE_AT: issued_at + IDLE_LIFETIME}
        client.store.save(client.for_subject(subject(number)).store_key, data, expected=None)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(save, numbers, chunksize=100))


@dataclass
class Workers:
    """The processes of a recipe.

    Attributes:
        environment: Of each process.
        directory: Where each runs.
    """

    directory: Path
    environment: dict[str, str]
    _running: list[tuple[list[str], subprocess.Popen[bytes]]] = field(
        default_factory=list[tuple[list[str], subprocess.Popen[bytes]]]
    )

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start `python -m` with these arguments; it is started again if it is killed."""
        process = self._start(list(command))
        self._running.append((list(command), process))
        return process

    def run(self, *command: str) -> None:
        """Run `python -m` with these arguments to its end."""
        process = self._start(list(command))
        assert process.wait(PATIENCE) == 0, self.log[-3000:]

    def restart_the_killed(self) -> None:
        for place, (command, process) in enumerate(self._running):
            if process.poll() == -signal.SIGKILL:
                self._running[place] = command, self._start(command)

    @property
    def are_done(self) -> bool:
        return all(process.poll() not in (None, -signal.SIGKILL) for _, process in self._running)

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def process_of(self, port: int, at: int) -> int:
        """The process of a worker whose connection leads from this port to the port `at`."""
        sessions, socket = {process.pid for _, process in self._running}, _socket(port, at)
        return next(pid for pid in _processes_of(sessions) if socket in _open_files(pid))

    def end(self) -> None:
        for _, process in self._running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.directory / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def _socket(port: int, at: int) -> str:
    """How an open file names the loopback connection between these ports."""
    ends = [f"0100007F:{port:04X}", f"0100007F:{at:04X}"]
    [inode] = [line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines() if line.split()[1:3] == ends]
    return f"socket:[{inode}]"


def _processes_of(sessions: set[int]) -> Generator[int]:
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            with suppress(ProcessLookupError):
                if os.getsid(int(each.name)) in sessions:
                    yield int(each.name)


def _open_files(pid: int) -> Generator[str]:
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield str(each.readlink())


@contextmanager
def working(directory: Path, **variables: str) -> Generator[Workers]:
    """The processes of a recipe, while the block lasts."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("BLNK_AUTH_")}
    # The recipe's module is in the directory, and `python -m` finds no other one there.
    path = os.pathsep.join([str(directory), *filter(None, [own.get("PYTHONPATH")])])
    workers = Workers(directory, {**own, "PYTHONPATH": path, **variables})
    try:
        yield workers
    finally:
        workers.end()
