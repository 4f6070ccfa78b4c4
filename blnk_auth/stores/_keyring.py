"""A store in the operating system's keyring: Windows Credential Manager, macOS Keychain, Secret Service, KWallet.

Used by programs on a user's desktop. It promises, in addition to what `_token_store` promises:

* The keyring is tested when the store is made. A keyring that does not keep what is written to it, or keeps it in plain
  text, is refused. No other store is used instead, except `fallback`.
* A long token is split into entries that Windows accepts, and is replaced atomically.
* The lock belongs to the keyring, not to a configuration directory. It excludes every process of this user on this
  machine that uses the same service.

A keyring is for some tens of records. It cannot list keys, so this store lists them in one more entry, which grows with
each. This module never imports the package keyring before a store is made.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, cast

from platformdirs import user_runtime_path

from ..errors import ConfigurationError, StoreError, clears_locals, quoted
from ..errors._extras import NamedInAnnotations, needs_extra
from ..errors._pickling import public
from ._async_adapter import AsyncTokenStore, as_token_store
from ._entry_names import name_of
from ._keyring_entries import Entries, IncompleteText
from ._process_lock import process_lock
from ._record_text import read_record, write_record
from ._store_handle import PickledByArguments
from ._token_store import Record, TokenStore, Version, conflict, from_json, new_version, unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from keyring import backend as keyring_backend
else:
    keyring_backend = NamedInAnnotations("keyring.backend")

_INDEX = "index"
_USE_SECONDS = 30.0
"""How long other processes may use the keyring before we give up; each use takes milliseconds."""


@public
@clears_locals
class KeyringStore(PickledByArguments):
    """Keeps tokens in this user's keyring. Safe to use from many threads and processes.

    A pickle carries the arguments and no records; a copy is the same store.

        store = KeyringStore("acme", fallback=FileStore("~/.local/state/acme/tokens"))

    `lock` excludes every thread and process of this user that uses the service. The operating system frees it when the
    process that has it ends or crashes.

    Args:
        service: The name of your application, under which the keyring keeps the entries.
        backend: A keyring backend, which is used without checking that it is safe. None: the backend that the package
            `keyring` finds, if it is safe.
        fallback: A store to use where there is no usable keyring, as in a container. None: `StoreError` is raised
            there. A record that was stored in the fallback stays there, and is still found when a keyring is available
            again.

    Raises:
        ConfigurationError: The package `keyring` is missing, or `service` is not a name.
        StoreError: The keyring cannot be used, and no fallback is given.
    """

    def __init__(
        self,
        service: str,
        *,
        backend: keyring_backend.KeyringBackend | None = None,
        fallback: TokenStore | AsyncTokenStore | None = None,
    ) -> None:
        if not isinstance(service, str) or not service.strip():
            raise ConfigurationError(
                f"service must be a non-empty string, not {quoted(service)}",
                parameter="service",
                remedy="pass the name of your application",
            )
        self._service = service
        self._backend = backend
        self._fallback = None if fallback is None else as_token_store(fallback, "fallback")
        self._locks = _lock_directory(service)
        self._entries = self._usable_entries()

    def __repr__(self) -> str:
        where = "no keyring" if self._entries is None else self._entries.name
        beside = "" if self._fallback is None else f", fallback={self._fallback!r}"
        return f"<KeyringStore {self._service!r} in {where}{beside}>"

    def _arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self._service,), {"backend": self._backend, "fallback": self._fallback}

    def load(self, key: str) -> Record | None:
        if self._fallback is not None and (record := self._fallback.load(key)) is not None:
            return record
        if self._entries is None:
            return None
        with self._alone():
            return _load(self._entries, key, self._service)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        entries = self._entries
        if self._fallback is not None and (entries is None or self._fallback.load(key) is not None):
            return self._fallback.save(key, data, expected=expected)
        assert entries is not None  # noqa: S101 - without a keyring there is a fallback
        version = new_version()
        text = write_record(key, version, data)
        with self._alone():
            current = _load(entries, key, self._service)
            if (None if current is None else current.version) != expected:
                raise conflict(key)
            if current is None:
                self._list(entries, key)
            entries.write(name_of(key), text)
        return version

    def delete(self, key: str) -> None:
        if self._fallback is not None:
            self._fallback.delete(key)
        if self._entries is not None:
            with self._alone():
                self._entries.remove(name_of(key))
                self._unlist(self._entries, key)

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        return self._locked(key, timeout)

    @contextmanager
    def _locked(self, key: str, timeout: float) -> Generator[None]:
        ours = self._lock_file(name_of(key), f"key {key!r} of the keyring service {self._service!r}", timeout)
        if self._fallback is None:
            with ours:
                yield
        else:
            # Both locks, because another process may share only the keyring, or only the fallback.
            with ours, self._fallback.lock(key, timeout=timeout):
                yield

    def keys(self, prefix: str = "") -> Iterator[str]:
        found: set[str] = set() if self._fallback is None else set(self._fallback.keys(prefix))
        entries = self._entries
        if entries is not None:
            with self._alone():
                listed = [key for key in self._listed(entries) if key.startswith(prefix) and key not in found]
                # If the process is killed between listing a key and writing its record, the key is listed but has no
                # record.
                found.update(key for key in listed if entries.has(name_of(key)))
        return iter(sorted(found))

    # --- the keyring ---------------------------------------------------------------------------------------------

    def _usable_entries(self) -> Entries | None:
        try:
            entries = Entries(_system_keyring() if self._backend is None else self._backend, self._service)
            with self._alone():
                entries.probe()
        except StoreError:
            if self._fallback is None:
                raise
            return None
        return entries

    def _alone(self) -> AbstractContextManager[None]:
        """Exclude all other users of the keyring, readers too: many keyrings fail or crash under parallel requests."""
        return self._lock_file("turn", f"the keyring service {self._service!r}", _USE_SECONDS)

    def _lock_file(self, name: str, purpose: str, timeout: float) -> AbstractContextManager[None]:
        return process_lock(self._locks / f"{name}.lock", purpose=purpose, timeout=timeout)

    # --- the list of keys ----------------------------------------------------------------------------------------

    def _listed(self, entries: Entries) -> list[str]:
        try:
            text = entries.read(_INDEX)
        except IncompleteText:
            text = ""
        if text is None:
            return []
        keys = cast("list[object] | None", (from_json(text) or {}).get("keys"))
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise StoreError(
                f"the keyring entry {self._service + '/' + _INDEX!r}, which lists the keys, is damaged",
                remedy=(
                    "the records are not affected. Remove that entry with the keyring's own program: keys are then "
                    "listed again as they are stored"
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
    except IncompleteText:
        raise unreadable(key, f"parts of it are missing or altered, in the keyring service {service!r}") from None
    if text is None:
        return None
    found = read_record(text, key, f"the record under key {key!r} in the keyring service {service!r}")
    if isinstance(found, Record):
        return found
    raise unreadable(key, f"{found.reason}, in the keyring service {service!r}")


def _system_keyring() -> keyring_backend.KeyringBackend:
    with needs_extra("keyring", "keyring", needed_by="KeyringStore"):
        from ._system_keyring import system_keyring
    return system_keyring()


def _lock_directory(service: str) -> Path:
    """The directory of the locks: the same for all processes of this user on this machine, with any HOME.

    Raises `StoreError` if there is no such directory.
    """
    with warnings.catch_warnings():
        # Where no session manager made a runtime directory, there is a private one under the temporary directory.
        warnings.simplefilter("ignore")
        try:
            runtime = user_runtime_path("blnk_auth", appauthor=False)
        except OSError as error:
            raise StoreError(
                f"KeyringStore cannot create a directory for its locks: {error.strerror or error}",
                remedy="set XDG_RUNTIME_DIR to a directory that this user owns, with mode 0700",
            ) from error
    return runtime / "keyring" / hashlib.sha256(service.encode("utf-8", "surrogatepass")).hexdigest()[:16]
