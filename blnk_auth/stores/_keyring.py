"""A store in the operating system's keyring: Windows Credential Manager, macOS Keychain, Secret Service, KWallet.

What it promises beyond `base`:

* Only a keyring that keeps what is written to it is used: it is tried when the store is made, and one that keeps
  nothing, or plain text, is refused. Nothing else is used instead unless `fallback` names it.
* A long token is cut into entries that Windows accepts, and replaced wholly or not at all.
* The lock goes with the keyring, not with anybody's configuration directory: every process of this user on this
  machine that names the same service is excluded.

A keyring is for some tens of records: it lists no keys by itself, so an entry of ours does, which grows with them.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import warnings
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Self, cast

from platformdirs import user_runtime_path

from ..errors import ConfigurationError, Conflict, StoreError
from ._async_adapter import AsyncTokenStore, as_token_store
from ._entry_names import name_of
from ._keyring_entries import Entries, Torn, system_keyring
from ._process_lock import process_lock
from ._record_text import read_record, write_record
from ._token_store import Record, TokenStore, Version, from_json

if TYPE_CHECKING:
    from pathlib import Path

    from keyring.backend import KeyringBackend

_INDEX = "index"
_TURN_SECONDS = 30.0


class KeyringStore:
    """Keeps tokens in this user's keyring under the name `service`. Safe to use from many threads and processes.

    `backend`: a keyring backend to use instead of the one that the `keyring` package finds, taken as it is.
    `fallback`: a store to use where there is no usable keyring, as in a container; None means an error there. A record
    that was stored in the fallback stays there, and is found there, also when the keyring is back.
    Raises `StoreError` if the keyring cannot be used and no fallback is given. A copy is the same store.

        store = KeyringStore("acme", fallback=FileStore("~/.local/state/acme/tokens"))
    """

    def __init__(
        self,
        service: str,
        *,
        backend: KeyringBackend | None = None,
        fallback: TokenStore | AsyncTokenStore | None = None,
    ) -> None:
        if not isinstance(service, str) or not service.strip():
            raise ConfigurationError("service is empty", remedy="give the name of your application")
        self._service = service
        self._backend = backend
        self._fallback = None if fallback is None else as_token_store(fallback, "fallback")
        self._locks = _lock_directory(service)
        self._entries = self._usable_entries()

    def __repr__(self) -> str:
        where = "no keyring" if self._entries is None else self._entries.name
        beside = "" if self._fallback is None else f", fallback={self._fallback!r}"
        return f"<KeyringStore {self._service!r} in {where}{beside}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self._service, self._backend, self._fallback)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def load(self, key: str) -> Record | None:
        """The record under `key`, or None. Raises `StoreError` if it cannot be read."""
        if self._fallback is not None and (record := self._fallback.load(key)) is not None:
            return record
        if self._entries is None:
            return None
        with self._turn():
            return _load(self._entries, key, self._service)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Replace the version `expected` (None: the key must not exist yet) and return the new version.

        Raises `Conflict` if the stored version is another, `StoreError` if it cannot be written.
        """
        entries = self._entries
        if self._fallback is not None and (entries is None or self._fallback.load(key) is not None):
            return self._fallback.save(key, data, expected=expected)
        assert entries is not None  # noqa: S101 - without a keyring there is a fallback
        version = secrets.token_hex(8)
        text = write_record(key, version, data)
        with self._turn():
            current = _load(entries, key, self._service)
            if (None if current is None else current.version) != expected:
                raise Conflict(
                    f"key {key!r} was written by somebody else meanwhile", remedy="load it again, then decide"
                )
            if current is None:
                self._list(entries, key)
            entries.write(name_of(key), text)
        return version

    def delete(self, key: str) -> None:
        """Remove `key`; no error if there is none."""
        if self._fallback is not None:
            self._fallback.delete(key)
        if self._entries is not None:
            with self._turn():
                self._entries.remove(name_of(key))
                self._unlist(self._entries, key)

    @contextmanager
    def lock(self, key: str, *, timeout: float) -> Generator[None]:
        """Exclude every other thread and process of this user that uses this service from `key` while it is open.

        The operating system frees the lock when its holder dies. Not re-entrant.
        Raises `StoreError` on entry if the lock is not had within `timeout` seconds.
        """
        ours = self._lock_file(name_of(key), f"key {key!r} of the keyring service {self._service!r}", timeout)
        if self._fallback is None:
            with ours:
                yield
        else:
            # Both: others may share only the keyring, or only the fallback.
            with ours, self._fallback.lock(key, timeout=timeout):
                yield

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The stored keys that begin with `prefix`, in ascending order."""
        found: set[str] = set() if self._fallback is None else set(self._fallback.keys(prefix))
        entries = self._entries
        if entries is not None:
            with self._turn():
                listed = [key for key in self._listed(entries) if key.startswith(prefix) and key not in found]
                # A kill between listing and writing leaves a key that is listed and nothing else.
                found.update(key for key in listed if entries.has(name_of(key)))
        return iter(sorted(found))

    # --- the keyring ---------------------------------------------------------------------------------------------

    def _usable_entries(self) -> Entries | None:
        try:
            entries = Entries(system_keyring() if self._backend is None else self._backend, self._service)
            with self._turn():
                entries.probe()
        except StoreError:
            if self._fallback is None:
                raise
            return None
        return entries

    def _turn(self) -> AbstractContextManager[None]:
        """One at a time, reading too: keyrings answer many at once with errors of all kinds, or end."""
        return self._lock_file("turn", f"the keyring service {self._service!r}", _TURN_SECONDS)

    def _lock_file(self, name: str, purpose: str, timeout: float) -> AbstractContextManager[None]:
        return process_lock(self._locks / f"{name}.lock", purpose=purpose, timeout=timeout)

    # --- the list of keys ----------------------------------------------------------------------------------------

    def _listed(self, entries: Entries) -> list[str]:
        try:
            text = entries.read(_INDEX)
        except Torn:
            text = ""
        if text is None:
            return []
        keys = cast("list[object] | None", (from_json(text) or {}).get("keys"))
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise StoreError(
                f"the keyring entry {self._service + '/' + _INDEX!r}, which lists the keys, is damaged",
                remedy=(
                    "the records are not affected. Remove that entry with the keyring's own program: "
                    "keys are then listed anew as they are stored"
                ),
            )
        return cast("list[str]", keys)

    def _list(self, entries: Entries, key: str) -> None:
        keys = self._listed(entries)
        if key not in keys:
            entries.write(_INDEX, json.dumps({"keys": [*keys, key]}))

    def _unlist(self, entries: Entries, key: str) -> None:
        keys = self._listed(entries)
        if key in keys:
            entries.write(_INDEX, json.dumps({"keys": [each for each in keys if each != key]}))


def _load(entries: Entries, key: str, service: str) -> Record | None:
    try:
        text = entries.read(name_of(key))
    except Torn:
        raise _unreadable(key, service, "parts of it are missing or altered") from None
    if text is None:
        return None
    found = read_record(text, key, f"the record under key {key!r} in the keyring service {service!r}")
    if isinstance(found, Record):
        return found
    raise _unreadable(key, service, found.reason)


def _unreadable(key: str, service: str, reason: str) -> StoreError:
    return StoreError(
        f"the record under key {key!r} in the keyring service {service!r} cannot be read: {reason}. It was left as it "
        f"is, and other records are not affected. Delete it (`delete({key!r})`) and sign in again"
    )


def _lock_directory(service: str) -> Path:
    """Where every process of this user on this machine looks, whatever its configuration and home directories are."""
    with warnings.catch_warnings():
        # Where no session manager made a runtime directory, a private one under the temporary directory will do.
        warnings.simplefilter("ignore")
        try:
            runtime = user_runtime_path("blnk_auth", appauthor=False)
        except OSError as error:
            raise StoreError(
                f"no place for locks: {error.strerror or error}",
                remedy="set XDG_RUNTIME_DIR to a directory of mode 0700",
            ) from error
    return runtime / "keyring" / hashlib.sha256(service.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _reopen(
    store_type: type[KeyringStore], service: str, backend: KeyringBackend | None, fallback: TokenStore | None
) -> KeyringStore:
    return store_type(service, backend=backend, fallback=fallback)
