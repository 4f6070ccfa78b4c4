"""A keyring in memory that has the limits of Windows', and a real Secret Service without a desktop."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.backends import SecretService
from keyring.compat import properties
from keyring.errors import PasswordDeleteError
from support.limits import PATIENCE

from blnk_auth.stores._keyring import KeyringStore

WINDOWS_BYTES = 2560


class Killed(BaseException):
    """What a test raises where a process would be killed."""


class MemoryKeyring(KeyringBackend):
    """Refuses what the Windows Credential Manager refuses; may be killed before the next `lives` writes are over."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.lives: int | None = None
        self._guard = threading.Lock()

    @properties.classproperty
    def priority(self) -> float:
        raise RuntimeError("never to be found by the keyring package")

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if len(password.encode("utf-16-le")) > WINDOWS_BYTES:
            raise OSError(1783, "The stub received bad data")
        self._spend_a_life()
        with self._guard:
            self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._spend_a_life()
        with self._guard:
            if self.entries.pop((service, username), None) is None:
                raise PasswordDeleteError(service)

    def _spend_a_life(self) -> None:
        if self.lives is not None:
            if self.lives == 0:
                raise Killed
            self.lives -= 1


class BrokenKeyring(MemoryKeyring):
    """Raises what no keyring error is, in the calls that `broken` names."""

    def __init__(self, error: Exception, *broken: str) -> None:
        super().__init__()
        self.error = error
        self.broken = set(broken)

    def get_password(self, service: str, username: str) -> str | None:
        self._fail("get")
        return super().get_password(service, username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self._fail("set")
        super().set_password(service, username, password)

    def delete_password(self, service: str, username: str) -> None:
        self._fail("delete")
        super().delete_password(service, username)

    def _fail(self, verb: str) -> None:
        if verb in self.broken:
            raise self.error


class ForgetfulKeyring(MemoryKeyring):
    """Accepts everything and keeps nothing, as keyring's null backend does."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


# --- the real one ----------------------------------------------------------------------------------------------------

PROGRAMS = ("dbus-daemon", "gnome-keyring-daemon")


def missing_programs() -> list[str]:
    return [program for program in PROGRAMS if shutil.which(program) is None]


@contextmanager
def secret_service() -> Iterator[None]:
    """A session bus with gnome-keyring on it, its login keyring open, for this process and those it starts."""
    with tempfile.TemporaryDirectory() as home:
        runtime = Path(home) / "run"
        runtime.mkdir(mode=0o700)
        here = {"HOME": home, "XDG_RUNTIME_DIR": str(runtime), "XDG_DATA_HOME": f"{home}/data"}
        environment = {**os.environ, **here}
        bus = subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", "--print-address=1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert bus.stdout is not None
        here["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
        daemon = _unlocked_daemon(Path(home), {**environment, **here})
        before = {name: os.environ.get(name) for name in here}
        os.environ.update(here)
        try:
            yield
        finally:
            _restore(before)
            ended = [process.poll() for process in (daemon, bus)]
            for process in (daemon, bus):
                process.terminate()
                process.wait(PATIENCE)
                assert process.stdout is not None
                process.stdout.close()
            assert ended == [None, None], "gnome-keyring or its bus ended too soon"


def _unlocked_daemon(home: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    installed = shutil.which("gnome-keyring-daemon")
    assert installed is not None
    # A copy has no file capabilities: a container that may not lock memory refuses to start the original.
    copy = shutil.copy(installed, home)
    daemon = subprocess.Popen(
        [copy, "--foreground", "--unlock", "--components=secrets"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    assert daemon.stdin is not None
    assert daemon.stdout is not None
    daemon.stdin.write(b"password")
    daemon.stdin.close()
    # It prints where it listens once it does.
    daemon.stdout.readline()
    return daemon


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
