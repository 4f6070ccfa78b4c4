"""The process that the sandbox runs in: found if an earlier run left it, else started; it outlives this one."""

from __future__ import annotations

import subprocess
import time

import click

from ..address import SandboxAddress
from .child import environment, module_command
from .remote import RemoteSandbox
from .state import StateDirectory

_IDLE_EXIT = 300
"""Seconds without a request after which the sandbox ends by itself, so that no orphan stays."""

_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 10.0
_LOOK_EVERY = 0.02


class SandboxProcess:
    """The sandbox of one state directory. `is_new` says that this run started it."""

    def __init__(self, state: StateDirectory) -> None:
        self._state = state
        self._process: subprocess.Popen[bytes] | None = None
        self.remote = self._find() or self._start()

    @property
    def is_new(self) -> bool:
        return self._process is not None

    def stop(self) -> None:
        """Have it end, and wait until it has."""
        self._state.sandbox.unlink(missing_ok=True)
        give_up_at = time.monotonic() + _STOP_TIMEOUT
        while self.remote.is_alive() and time.monotonic() < give_up_at:
            time.sleep(_LOOK_EVERY)

    def _find(self) -> RemoteSandbox | None:
        address = SandboxAddress.load(self._state.sandbox)
        if address is None:
            return None
        remote = RemoteSandbox(address)
        return remote if remote.is_alive() else None

    def _start(self) -> RemoteSandbox:
        file = self._state.sandbox
        # Left by a sandbox that is dead, or on another machine.
        file.unlink(missing_ok=True)
        command = module_command("blnk_auth.cli", "sandbox", "--idle-exit", str(_IDLE_EXIT), "--state-file", str(file))
        with self._state.sandbox_errors.open("wb") as errors:
            # In a session, or on Windows a group, of its own: Ctrl-C in the terminal is for the demo alone.
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        return RemoteSandbox(self._await_address(self._process))

    def _await_address(self, process: subprocess.Popen[bytes]) -> SandboxAddress:
        give_up_at = time.monotonic() + _START_TIMEOUT
        while process.poll() is None and time.monotonic() < give_up_at:
            address = SandboxAddress.load(self._state.sandbox)
            if address is not None:
                return address
            time.sleep(_LOOK_EVERY)
        process.kill()
        said = self._state.sandbox_errors.read_text("utf-8", "replace").strip()
        raise click.ClickException(f"the sandbox did not start; it said: {said or 'nothing'}")
