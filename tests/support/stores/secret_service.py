"""A real Secret Service without a desktop: gnome-keyring on a session bus of its own, with its login keyring open.

Used by the tests of KeyringStore. gnome-keyring has a bug: if it no longer knows a client for which it reads a
property, as one that was killed, it aborts (`invoke_get_property_in_idle_cb`, an assertion of GLib). On a busy machine
that has also happened, seldom, where no client was killed. A desktop starts the daemon again, and so does `restarted`,
on the same file: it replaces its file before it answers, so what a client knows to be saved is there. A test that meets
the bug begins again. `check` reports a daemon that has ended in any other way.

The bus starts nothing by itself: another daemon, which nobody unlocked, would be in the place of the one that ended.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import secretstorage
from jeepney.wrappers import DBusErrorResponse
from keyring.backends import SecretService
from secretstorage.exceptions import SecretStorageException
from support.limits import PATIENCE
from support.waiting import wait_until

from blnk_auth.stores._keyring import KeyringStore

_BUG = "invoke_get_property_in_idle_cb: assertion failed"

PROGRAMS = ("dbus-daemon", "gnome-keyring-daemon")

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir={directory}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


def missing_programs() -> list[str]:
    return [program for program in PROGRAMS if shutil.which(program) is None]


class Desktop:
    """The daemon, its file and its bus. Used by the process that made it only."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self._environment = environment
        self._log = home / "gnome-keyring.log"
        self._logged_before = 0
        """How much of the log is of daemons before this one, in bytes."""
        installed = shutil.which("gnome-keyring-daemon")
        assert installed is not None
        # A copy has no file capabilities: a container that may not lock memory refuses to start the original.
        self._program = shutil.copy(installed, home)
        self._daemon = self._started()

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return self._daemon.pid

    def is_there(self) -> bool:
        """Whether the daemon is on the bus, and has answered all that killed clients had asked.

        The bus knows that it ended before any client does. It answers in the order in which it was asked, so it has
        outlived every question before this one.
        """
        with closing(secretstorage.dbus_init()) as connection:
            try:
                if not secretstorage.check_service_availability(connection):
                    return False
                [*secretstorage.get_all_collections(connection)]
            except (DBusErrorResponse, SecretStorageException):
                return False
            return True

    def restarted(self) -> bool:
        """Start the daemon again if it has ended. False: it has not, and what failed did not fail because of it."""
        if self.is_there():
            return False
        self._daemon.wait(PATIENCE)
        self._daemon = self._started()
        return True

    def check(self) -> None:
        """Fail if the daemon has ended otherwise than by its bug."""
        assert self.is_there() or self._has_aborted(), f"gnome-keyring ended: {self._logged()}"

    def outlives(self, trial: Callable[[int], None]) -> None:
        """Run a trial, which gets its number from 0; again, if the daemon ended in it by its bug."""
        for number in range(10):
            try:
                return trial(number)
            except Exception:  # a test may see its end in any form
                if self.is_there() or not self._has_aborted():
                    raise
                self.restarted()
        raise AssertionError("gnome-keyring ended in each of ten trials")

    def _has_aborted(self) -> bool:
        return _BUG in self._logged()

    def _logged(self) -> str:
        return self._log.read_bytes()[self._logged_before :].decode("utf-8", "replace")

    def stop(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(PATIENCE)

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            self._logged_before = log.tell()
            daemon = subprocess.Popen(
                [self._program, "--foreground", "--unlock", "--components=secrets"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        assert daemon.stdin is not None
        daemon.stdin.write(b"password")
        daemon.stdin.close()
        wait_until(self.is_there, "gnome-keyring is on its bus")
        return daemon


@contextmanager
def secret_service() -> Iterator[Desktop]:
    """A Secret Service for this process and those that it starts, as a user's desktop has it."""
    with tempfile.TemporaryDirectory() as home:
        runtime = Path(home) / "run"
        runtime.mkdir(mode=0o700)
        configuration = Path(home) / "bus.conf"
        configuration.write_text(_BUS.format(directory=runtime))
        here = {"HOME": home, "XDG_RUNTIME_DIR": str(runtime), "XDG_DATA_HOME": f"{home}/data"}
        bus = subprocess.Popen(
            ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address=1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **here},
        )
        assert bus.stdout is not None
        here["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
        before = {name: os.environ.get(name) for name in here}
        os.environ.update(here)
        try:
            desktop = Desktop(Path(home), dict(os.environ))
            try:
                yield desktop
            finally:
                desktop.stop()
            assert bus.poll() is None, "the bus ended too soon"
        finally:
            _restore(before)
            bus.terminate()
            bus.wait(PATIENCE)
            bus.stdout.close()


def _restore(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def open_service(service: str) -> KeyringStore:
    """A store in the Secret Service of this moment's bus.

    Named outright, because the keyring package looks for a backend once in a process, which may be long before there
    is a bus.
    """
    return KeyringStore(service, backend=SecretService.Keyring())
