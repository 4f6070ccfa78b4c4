"""Strings of any length in an operating system's keyring, each replaced atomically.

Used by `KeyringStore`. Windows keeps at most 2,560 bytes of UTF-16 in an entry, so a longer string is split into parts.
Two generations of parts, `a` and `b`, take turns. `write` first writes the parts of the generation that is not in use.
Then it writes the head, one entry that points to these parts. Then it removes the parts of the other generation. It
promises that a kill at any moment leaves either the old or the new string. Some unused parts may be left; the next long
string, or a removal, removes them. The head has a hash of the whole string, so parts of two strings are never combined.

Each entry has its own service name, `<service>/<name>`: if entries share a service name, the Windows backend renames
them. This module never imports the package keyring; `_system_keyring` finds the backend.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from ..errors import StoreError
from ._token_store import from_json

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

Result = TypeVar("Result")

SMALL = 1_200
"""UTF-16 units for each entry, below the 1,280 of the Windows Credential Manager."""

LARGE = 250_000
"""The same for keyrings that are known to accept far longer entries."""

_LARGE_BACKENDS = ("SecretService", "libsecret", "kwallet", "macOS")
_USER = "blnk_auth"
REMEDY = (
    "unlock the keyring or sign in to a desktop session, or choose another store (KeyringStore's fallback=, FileStore, "
    "EncryptedStore)"
)


@dataclass(frozen=True, slots=True)
class _Head:
    """The content of the entry of a long string: where its parts are."""

    parts: int
    generation: str
    digest: str


class _Backend(Protocol):
    """The methods of a backend that are used, with their types."""

    def get_password(self, service: str, username: str) -> str | None:
        """The string in an entry, or None."""
        ...

    def set_password(self, service: str, username: str, password: str) -> None:
        """Write an entry."""
        ...

    def delete_password(self, service: str, username: str) -> None:
        """Remove an entry."""
        ...


class IncompleteText(Exception):
    """Parts are missing or do not fit the hash: the string is damaged."""


class Entries:
    """The strings of one service in one keyring. Its caller makes one call at a time."""

    def __init__(self, backend: KeyringBackend, service: str) -> None:
        self._backend = cast("_Backend", backend)
        self._service = service
        module = type(backend).__module__
        is_large = module.startswith("keyring.backends.") and module.split(".")[2] in _LARGE_BACKENDS
        self._limit: int = LARGE if is_large else SMALL

    @property
    def name(self) -> str:
        """The backend, for messages."""
        return f"{type(self._backend).__module__}.{type(self._backend).__qualname__}"

    def probe(self) -> None:
        """Write, read and remove an entry. Raises `StoreError` unless that works."""
        name, text = f"probe-{secrets.token_hex(4)}", secrets.token_hex(16)
        self._put(name, text)
        found = self._get(name)
        self._remove(name)
        if found != text or self._get(name) is not None:
            raise StoreError(
                f"the keyring {self.name} does not keep what is written to it", remedy=REMEDY, parameter="backend"
            )

    def read(self, name: str) -> str | None:
        """The string, or None. Raises `IncompleteText` if it is damaged, `StoreError` if the keyring cannot be read."""
        first = self._get(name)
        head = None if first is None else _head(first)
        if head is None:
            return first
        parts: list[str] = []
        for number in range(head.parts):
            part = self._get(_part(name, head.generation, number))
            if part is None:
                # Stop at the first missing part: a damaged head may claim any number of parts.
                raise IncompleteText
            parts.append(part)
        text = "".join(parts)
        if _digest(text) != head.digest:
            raise IncompleteText
        return text

    def has(self, name: str) -> bool:
        """Whether there is a string, damaged or not."""
        return self._get(name) is not None

    def write(self, name: str, text: str) -> None:
        """Replace the string. Raises `StoreError`."""
        first = self._get(name)
        old = None if first is None else _head(first)
        if len(text) <= self._limit:
            self._put(name, text)
            generation = None
            if old is None:
                return
        else:
            generation = "b" if old is not None and old.generation == "a" else "a"
            pieces = [text[start : start + self._limit] for start in range(0, len(text), self._limit)]
            for number, piece in enumerate(pieces):
                self._put(_part(name, generation, number), piece)
            self._put(name, json.dumps({"parts": len(pieces), "generation": generation, "digest": _digest(text)}))
            self._remove_parts(name, generation, len(pieces))
        for other in {"a", "b"} - {generation}:
            self._remove_parts(name, other, 0)

    def remove(self, name: str) -> None:
        """Remove the string, if there is one. Raises `StoreError`."""
        self._remove(name)
        for generation in "ab":
            self._remove_parts(name, generation, 0)

    def _remove_parts(self, name: str, generation: str, start: int) -> None:
        end = start
        while self._get(_part(name, generation, end)) is not None:
            end += 1
        # The last part first. So if a kill leaves parts, the first ones are left, and counting from the first finds
        # them all.
        for number in reversed(range(start, end)):
            self._remove(_part(name, generation, number))

    # --- one entry -----------------------------------------------------------------------------------------------

    def _get(self, name: str) -> str | None:
        return self._ask("read", lambda: self._backend.get_password(self._target(name), _USER))

    def _put(self, name: str, text: str) -> None:
        self._ask("write", lambda: self._backend.set_password(self._target(name), _USER, str(text)))

    def _remove(self, name: str) -> None:
        # Backends differ in how they handle an entry that does not exist.
        if self._get(name) is not None:
            self._ask("remove", lambda: self._backend.delete_password(self._target(name), _USER))

    def _target(self, name: str) -> str:
        return f"{self._service}/{name}"

    def _ask(self, what: str, call: Callable[[], Result]) -> Result:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - backends let errors of D-Bus, ctypes and pywin32 through
            # Without the error's text and frames, which may contain the string that was to be stored.
            failure = StoreError(
                f"the keyring {self.name} could not {what} an entry ({type(error).__name__})",
                remedy=REMEDY,
                parameter="backend",
            )
        raise failure


def _part(name: str, generation: str, number: int) -> str:
    return f"{name}/{generation}{number}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _head(text: str) -> _Head | None:
    """The head in `text`; None if it is not a head, but a short string itself."""
    if len(text) > SMALL:
        return None
    members = from_json(text) or {}
    parts, generation, digest = members.get("parts"), members.get("generation"), members.get("digest")
    if isinstance(parts, int) and generation in ("a", "b") and isinstance(digest, str):
        return _Head(parts, generation, digest)
    return None
