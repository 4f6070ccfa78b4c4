"""Encrypts records before any other store saves them: a reader of the file, the database or a backup sees no token.

Used by users who must store tokens encrypted. It promises, in addition to the inner store's promises:

* The data is encrypted with AES-256-GCM and bound to the record's key: a record that is altered, or moved to another
  key, cannot be decrypted. Keys, versions, sizes and `due_at` stay readable, and a `due_at` that is altered is an
  error when its record is read. An old record that is restored under its own key can
  still be decrypted.
* Records are written with the first of `keys`, and read with any of them. To rotate, add a new key at the beginning,
  call `reencrypt`, and remove the old key.
* A record that cannot be decrypted raises `StoreError`, and is never changed. So does a record that is not encrypted: a
  user who can write to the inner store, but has no key, cannot add a token.

This module never imports cryptography before a store is made.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

from ..errors import ConfigurationError, NotPickled, StoreError, clears_locals, is_number, kind_of
from ..errors._extras import needs_extra
from ..errors._pickling import public
from ._async_adapter import AsyncTokenStore, as_token_store
from ._due import DUE_AT, UNKNOWN, DueEntry, DueStore
from ._self_checking import SelfChecking, Unreadable
from ._server_url import call_for
from ._store_handle import PickledByArguments
from ._token_store import Record, TokenStore, Version, unreadable

if TYPE_CHECKING:
    from ._sealing import Cipher

FORMAT = 1

Keys = Sequence[bytes | str]

_KEY_BYTES = 32
_LOCK_SECONDS = 60.0
"""How long `reencrypt` waits for a renewal that is under way."""


@public
@clears_locals
class EncryptedStore(PickledByArguments, DueStore):
    """Encrypts records and keeps them in another store. Safe to use from as many threads and processes as that store.

    A pickle carries no key that was given as bytes or text. For a store that is passed to another process, give a
    callable.

        store = EncryptedStore(SQLiteStore("tokens.db"), keys=[EncryptedStore.key_from_env("TOKEN_KEY")])

    What its methods do beyond `TokenStore`:

    * `load` raises `StoreError` also for a record that does not open, and for one that is not encrypted.
    * `save` seals the data with the newest key. It is as durable as `inner` is.
    * `delete` removes a record whether it opens or not.
    * `lock` and `keys` are those of `inner`. Keys are not encrypted.

    Args:
        inner: The store to keep the encrypted records in.
        keys: The keys, newest first; each is 32 bytes, or their base64 text (`EncryptedStore.new_key()` makes one,
            `EncryptedStore.key_from_env` reads one). Or a callable that returns such a list, for example from a key
            management service: it is called when a key is first needed, and again when a record names an unknown key.

    Raises:
        ConfigurationError: cryptography is missing, `inner` is not a store, or something in `keys` is not a key.
    """

    def __init__(self, inner: TokenStore | AsyncTokenStore, *, keys: Keys | Callable[[], Keys]) -> None:
        self._inner = as_token_store(inner, "inner")
        self._keys: Callable[[], Keys] | None = keys if callable(keys) else None
        self._ciphers: dict[str, Cipher] = {}
        self._cipher_type = _cipher_type()
        if not callable(keys):
            self._ciphers = self._ciphers_of(_list_of(keys))

    def __repr__(self) -> str:
        return f"EncryptedStore({self._inner!r})"

    def _arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        # Keys given as a list stay here: a pickle is not a place for secrets.
        return (self._inner,), {"keys": NotPickled("keys") if self._keys is None else self._keys}

    @staticmethod
    def new_key() -> str:
        """Make a new random key.

        Returns:
            32 random bytes as base64 text. Keep it where your other secrets are.
        """
        return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode("ascii")

    @staticmethod
    def key_from_env(name: str) -> str:
        """Read a key from the environment.

        Args:
            name: The name of the environment variable.

        Returns:
            The key as base64 text.

        Raises:
            ConfigurationError: The variable is not set, or its value is not a key.
        """
        if not name.isidentifier():
            # The value is not quoted, because it may be the key itself.
            raise ConfigurationError(
                "name must be the name of an environment variable",
                parameter="name",
                remedy="pass the name of the variable that has the key, such as 'TOKEN_KEY'",
            )
        text = os.environ.get(name)
        if text is None:
            raise ConfigurationError(
                f"the environment variable {name} is not set",
                parameter="name",
                remedy="set it to a key; EncryptedStore.new_key() makes one",
            )
        _key_bytes(text, f"the environment variable {name}", "name")
        return text

    def load(self, key: str) -> Record | None:
        record = self._inner.load(key)
        return None if record is None else Record(self._opened(key, record.data), record.version)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        return self._inner.save(key, self._sealed(key, data), expected=expected)

    def delete(self, key: str) -> None:
        self._inner.delete(key)

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        return self._inner.lock(key, timeout=timeout)

    def keys(self, prefix: str = "") -> Iterator[str]:
        return self._inner.keys(prefix)

    def due(
        self, prefix: str, before: float, *, after: tuple[float, str] | None = None, limit: int
    ) -> list[DueEntry] | None:
        """Find the next due records by the index of `inner`, as far as it has one.

        Args:
            prefix: What their keys begin with.
            before: UTC epoch seconds. Records that are due at this moment or later are not returned.
            after: The `due_at` and the key of the last entry of the page before. None: the first page.
            limit: How many entries are returned at most.

        Returns:
            The entries behind `after`, ascending by (due_at, key). None: `inner` has no index.

        Raises:
            StoreError: The index cannot be read.
        """
        inner = self._inner
        return inner.due(prefix, before, after=after, limit=limit) if isinstance(inner, DueStore) else None

    def note_due(self, found: Sequence[tuple[str, str, float | None]]) -> None:
        if isinstance(self._inner, DueStore):
            self._inner.note_due(found)

    def repair_due(self, prefix: str) -> Iterator[int]:
        return self._inner.repair_due(prefix) if isinstance(self._inner, DueStore) else iter(())

    def close(self) -> None:
        """Close `inner`, if it has a `close`. A later use opens it again."""
        close = getattr(self._inner, "close", None)
        if close is not None:
            close()

    def check(self) -> Iterator[Unreadable]:
        """Let `inner` look for damage, if it can. Records that do not open are found by `check_store`.

        Returns:
            Everything that `inner` cannot read.

        Raises:
            StoreError: `inner` cannot be read at all. It may be raised during the iteration.
        """
        if isinstance(self._inner, SelfChecking):
            yield from self._inner.check()

    def reencrypt(self, on_progress: Callable[[int, int], object] | None = None, *, encrypt_plain: bool = False) -> int:
        """Seal with the newest key every record that is sealed with an older one.

        May run while the store is in use, and again after an interruption. A record that cannot be opened stays as it
        is.

        Args:
            on_progress: Called after each record, with how many are done, and of how many. None: not called.
            encrypt_plain: True also seals records that are not encrypted yet. Use it once, when encryption is
                introduced.

        Returns:
            How many records were sealed again.

        Raises:
            StoreError: The keys cannot be listed; or, at the end, some records could not be opened or written.
        """
        keys, rewritten, failures = list(self._inner.keys()), 0, list[StoreError]()
        for done, key in enumerate(keys, 1):
            try:
                rewritten += self._reencrypt(key, encrypt_plain)
            except StoreError as failure:
                failures.append(failure)
            if on_progress is not None:
                on_progress(done, len(keys))
        if failures:
            raise StoreError(
                f"{len(failures)} of {len(keys)} records are not re-encrypted. The first: {failures[0].problem}",
                key=failures[0].key,
                remedy=failures[0].remedy,
            )
        return rewritten

    def _reencrypt(self, key: str, encrypt_plain: bool) -> bool:
        record = self._inner.load(key)
        newest = self._newest().key_id
        if record is None or (record.data.get("encrypted"), record.data.get("key_id")) == (FORMAT, newest):
            return False
        # Under the lock, so that no renewal under way finds its record changed.
        with self._inner.lock(key, timeout=_LOCK_SECONDS):
            record = self._inner.load(key)
            if record is None:
                return False
            is_plain = "encrypted" not in record.data
            data = record.data if is_plain and encrypt_plain else self._opened(key, record.data)
            self._inner.save(key, self._sealed(key, data), expected=record.version)
        return True

    # --- sealing -------------------------------------------------------------------------------------------------

    def _sealed(self, key: str, data: dict[str, Any]) -> dict[str, Any]:
        cipher = self._newest()
        sealed = {"encrypted": FORMAT, "key_id": cipher.key_id, "sealed": cipher.seal(key, data)}
        due_at = data.get(DUE_AT, UNKNOWN)
        # Outside too, for the index of `inner`. It is sealed with the rest, so that a change of it is noticed.
        return {DUE_AT: due_at, **sealed} if DUE_AT in data and (due_at is None or is_number(due_at)) else sealed

    def _opened(self, key: str, data: dict[str, Any]) -> dict[str, Any]:
        written, key_id = data.get("encrypted"), data.get("key_id")
        if written is None:
            raise StoreError(
                f"the record under key {key!r} is not encrypted",
                key=key,
                remedy=(
                    "if it was stored before encryption was introduced, call reencrypt(encrypt_plain=True) once, else "
                    "find out who wrote it"
                ),
            )
        if written != FORMAT or not isinstance(key_id, str):
            raise StoreError(
                f"the record under key {key!r} is encrypted in a format that this blnk_auth does not know",
                key=key,
                remedy="upgrade it",
            )
        cipher = self._cipher(key_id)
        if cipher is None:
            known = ", ".join(self._ciphers)
            raise StoreError(
                f"the record under key {key!r} is encrypted with the key {key_id!r}, which is not in keys ({known})",
                key=key,
                remedy="add that key at the end of keys; the record was left as it is",
            )
        opened = cipher.open(key, data.get("sealed"))
        if opened is None:
            raise unreadable(key, "it cannot be opened, because it was altered, or moved there from another key")
        # It may be missing outside: an earlier version has sealed the record again. Then it counts as due.
        if DUE_AT in data and (DUE_AT not in opened or opened[DUE_AT] != data[DUE_AT]):
            raise unreadable(key, f"its {DUE_AT} was altered")
        return opened

    # --- keys ----------------------------------------------------------------------------------------------------

    def _newest(self) -> Cipher:
        if not self._ciphers:
            self._ciphers = self._fetched()
        return next(iter(self._ciphers.values()))

    def _cipher(self, key_id: str) -> Cipher | None:
        if key_id not in self._ciphers and self._keys is not None:
            self._ciphers = self._fetched()
        return self._ciphers.get(key_id)

    def _fetched(self) -> dict[str, Cipher]:
        assert self._keys is not None  # noqa: S101 - keys given as a list were read when the store was made
        return self._ciphers_of(_list_of(call_for("keys", self._keys)))

    def _ciphers_of(self, keys: Keys) -> dict[str, Cipher]:
        """By key id, newest first."""
        ciphers: dict[str, Cipher] = {}
        for number, key in enumerate(keys):
            octets = _key_bytes(key, f"keys[{number}]", "keys")
            key_id = hashlib.sha256(b"blnk_auth key id\0" + octets).hexdigest()[:8]
            ciphers[key_id] = self._cipher_type(key_id, octets)
        return ciphers


def _cipher_type() -> type[Cipher]:
    with needs_extra("encrypted", "cryptography", needed_by="EncryptedStore"):
        from ._sealing import Cipher
    return Cipher


def _list_of(keys: Any) -> Keys:
    """The list that was given as `keys`. Raises `ConfigurationError` if it is not one."""
    if isinstance(keys, (str, bytes)) or not isinstance(keys, Sequence) or not keys:
        given = "an empty one" if isinstance(keys, Sequence) and not keys else kind_of(cast("object", keys))
        raise ConfigurationError(
            f"keys must be a list of at least one key, newest first, not {given}",
            parameter="keys",
            remedy="make a key with EncryptedStore.new_key(), store it with your other secrets, and pass keys=[key]",
        )
    return cast("Keys", keys)


def _key_bytes(key: bytes | str, where: str, parameter: str) -> bytes:
    octets = _from_base64(key) if isinstance(key, str) else key
    if not isinstance(octets, bytes) or len(octets) != _KEY_BYTES:
        raise ConfigurationError(
            f"{where} must be {_KEY_BYTES} bytes, or a string with their base64",
            parameter=parameter,
            remedy="EncryptedStore.new_key() makes one",
        )
    return octets


def _from_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return None
