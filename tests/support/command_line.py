"""`blnk-auth` as a user runs it: in this process with `CommandLine`, or as a real process with `started` and `finish`.

Used by tests/cli. A configuration file and a store are a test's own; nothing is read from the user who runs the tests.
A real process is killed when its `with` block ends; the sandbox that a demo leaves behind ends with `state_directory`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from click.testing import CliRunner, Result
from support.limits import PATIENCE

from blnk_auth import OAuthClient, Token
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth.cli.app import group
from blnk_auth.testing.sandbox import Sandbox

SECRET = "sandbox-s3cret"


@dataclass
class CommandLine:
    """`blnk-auth` as a user has it: a directory, a file in it, a sandbox somewhere."""

    directory: Path
    sandbox: Sandbox | None = None
    variables: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def file(self) -> Path:
        return self.directory / "config.toml"

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the user who runs the tests."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("BLNK_AUTH_")}
        return {
            **own,
            "BLNK_AUTH_CONFIG": str(self.file),
            "XDG_DATA_HOME": str(self.directory / "data"),
            "SANDBOX_SECRET": SECRET,
            **self.variables,
        }

    def write(self, text: str, mode: int = 0o600) -> None:
        self.file.write_text(text, "utf-8")
        self.file.chmod(mode)

    def configure(self, provider: str = "blnk_cloud", **settings: str) -> None:
        """A profile for the sandbox; `settings` are TOML values."""
        assert self.sandbox is not None
        where = "host" if provider == "flinks" else "base_url"
        known = {
            "provider": f'"{provider}"',
            where: f'"{self.sandbox.origin}"',
            "client_id": f'"{self.sandbox.client_id}"',
            "client_secret": '"${SANDBOX_SECRET}"',
            "redirect_uri": f'"{self.sandbox.redirect_uri}"',
            "store": f'"sqlite:///{self.directory}/tokens.db"',
            "subject": '"alice"',
            **settings,
        }
        self.write("[profiles.default]\n" + "".join(f"{name} = {value}\n" for name, value in known.items()))

    def discover(self) -> None:
        """A profile that leaves all to the sandbox's metadata, for users with a device code."""
        assert self.sandbox is not None
        self.write(
            f'[profiles.default]\nprovider = "discover"\nissuer = "{self.sandbox.origin}"\nsubject = "alice"\n'
            f'client_id = "{self.sandbox.client_id}"\nclient_secret = "${{SANDBOX_SECRET}}"\n'
        )

    def run(self, *arguments: str, input: str | None = None, **variables: str | None) -> Result:  # noqa: A002
        unset = {name: None for name in os.environ if name.startswith("BLNK_AUTH_")}
        environment: Mapping[str, str | None] = {**unset, **self.environment, **variables}
        return CliRunner().invoke(group, arguments, input=input, env=environment, prog_name="blnk-auth")

    def client(self) -> OAuthClient:
        """The same client in code."""
        environment = dict(os.environ)
        os.environ.update(self.environment)
        try:
            return OAuthClient.from_config(path=self.file)
        finally:
            os.environ.clear()
            os.environ.update(environment)

    def give(self, client: OAuthClient, subject: str, *, idle: float = 0.0, **changes: Any) -> None:
        """A grant of `subject` that was last renewed `idle` seconds ago."""
        assert self.sandbox is not None
        token = Token.from_response(self.sandbox.issue(subject), now=time.time())
        client.for_subject(subject).adopt(token.replace(issued_at=time.time() - idle, **changes))

    def end(self, client: OAuthClient, subject: str) -> None:
        """Mark a grant as ended, as a renewal that was refused does."""
        key = client.for_subject(subject).store_key
        record = client.store.load(key)
        assert record is not None
        ended = GrantRecord(GrantRecord.from_data(record.data, key).token, "refused")
        client.store.save(key, ended.to_data(), expected=record.version)

    def install(self) -> dict[str, str]:
        """An environment for real processes in which `blnk-auth` and `python` are the ones under test."""
        programs = self.directory / "bin"
        programs.mkdir()
        for name, arguments in (("blnk-auth", "-m blnk_auth.cli"), ("python", "")):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            program.chmod(0o755)
        # Absolute, since the processes run elsewhere.
        path = os.pathsep.join(str(Path(part).resolve()) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep))
        searched = {"PYTHONPATH": path} if "PYTHONPATH" in os.environ else {}
        return {**self.environment, **searched, "PATH": f"{programs}:{os.environ['PATH']}"}


# --- a user's browser -------------------------------------------------------------------------------------------------

# The user approves, and is redirected to the address on this machine.
_BROWSER = """\
import sys, urllib.request
from blnk_auth.testing.sandbox import browser
callback = browser.sign_in(sys.argv[1], subject="alice", approve={approve})
page = urllib.request.urlopen(callback, timeout=60).read().decode()
open({page!r}, "w").write(page)
"""


def browser_command(directory: Path, *, approve: bool = True) -> str:
    """For the variable BROWSER: a user who signs in as alice."""
    script = directory / "user.py"
    script.write_text(_BROWSER.format(approve=approve, page=str(directory / "page.html")))
    return f'"{sys.executable}" "{script}" %s'


# --- as a process of its own ------------------------------------------------------------------------------------------

# A shell that runs the tests in the background has processes ignore Ctrl-C, and children inherit that.
_MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from blnk_auth.cli import main; main()"
)


def command(*arguments: str, before: str = "") -> list[str]:
    """The command line of a process that runs the statement `before` first."""
    return [sys.executable, "-c", f"{before}; {_MAIN}" if before else _MAIN, *arguments]


def finish(*arguments: str, patience: float = PATIENCE, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    whole = command(*arguments, before=before)
    return subprocess.run(whole, capture_output=True, text=True, timeout=patience, check=False)


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """The running process and its standard output; killed at the end if it still runs."""
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


@contextmanager
def state_directory(path: Path) -> Iterator[Path]:
    """A directory for the state of demos; a sandbox that is left there ends, because its state file is removed."""
    try:
        yield path
    finally:
        (path / "sandbox.json").unlink(missing_ok=True)


def read_until(output: IO[str], beginning: str) -> list[str]:
    """The lines up to the first with that beginning; it fails if the output ends before."""
    lines: list[str] = []
    for line in output:
        lines.append(line)
        if line.startswith(beginning):
            return lines
    raise AssertionError(f"no line begins with {beginning!r}: {lines}")
