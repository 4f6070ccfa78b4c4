"""The process that the sandbox runs in: the one that an earlier run left, else a new one.

Used by the demo's run. It promises that a sandbox runs, or an error. The process outlives the demo, and exits by itself
when it is not used; it is never killed unless it failed to start.
"""

from __future__ import annotations

import secrets
import subprocess
import time

import click

from ..sandbox_address import SandboxAddress
from .child_process import environment, module_command
from .remote_sandbox import RemoteSandbox
from .state_directory import StateDirectory

_IDLE_EXIT = 300
"""Seconds without a request after which the sandbox ends by itself, so that no process is left behind."""

_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 10.0
_POLL_INTERVAL = 0.02


class SandboxProcess:
    """The sandbox of one state directory.

    Attributes:
        remote: The sandbox, as this process talks to it.
    """

    def __init__(self, state: StateDirectory) -> None:
        self._state = state
        self._process: subprocess.Popen[bytes] | None = None
        self.remote: RemoteSandbox = self._running_one() or self._started_one()

    @property
    def is_new(self) -> bool:
        """Whether this run started it."""
        return self._process is not None

    def stop(self) -> None:
        """Make the sandbox end, and wait until it has ended."""
        self._state.sandbox.unlink(missing_ok=True)
        give_up_at = time.monotonic() + _STOP_TIMEOUT
        while self.remote.is_alive() and time.monotonic() < give_up_at:
            time.sleep(_POLL_INTERVAL)

    def _running_one(self) -> RemoteSandbox | None:
        address = SandboxAddress.load(self._state.sandbox)
        if address is None:
            return None
        remote = RemoteSandbox(address)
        return remote if remote.is_alive() else None

    def _started_one(self) -> RemoteSandbox:
        file = self._state.sandbox
        # Left by a sandbox that has ended, or by one on another machine.
        file.unlink(missing_ok=True)
        # Different for any two sandboxes: a token or an address of one is never valid at another.
        client = ("--client-id", f"sandbox-{secrets.token_hex(4)}", "--port", "0")
        secret = {"BLNK_AUTH_SANDBOX_CLIENT_SECRET": secrets.token_urlsafe(24)}
        until = ("--idle-exit", f"{_IDLE_EXIT}s", "--state-file", str(file))
        with self._state.sandbox_errors.open("wb") as errors:
            # In its own session (on Windows: process group), so that Ctrl-C in the terminal ends only the demo.
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                module_command("blnk_auth.cli", "sandbox", *client, *until),
                env={**environment(), **secret},
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
            time.sleep(_POLL_INTERVAL)
        process.kill()
        output = self._state.sandbox_errors.read_text("utf-8", "replace").strip()
        raise click.ClickException(f"the sandbox did not start; its output: {output or 'none'}")
