"""Keyrings in memory: one that has the limits of Windows', and some that fail.

Used by the tests of KeyringStore and by the canary. They never ask a keyring of this machine; a real one is in
`secret_service`.
"""

from __future__ import annotations

import threading

from keyring.backend import KeyringBackend
from keyring.compat import properties
from keyring.errors import PasswordDeleteError

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
