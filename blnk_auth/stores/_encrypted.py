"""Encryption at rest, in front of any store: whoever reads the file, the database or its backup reads no token.

What it promises beyond the store it stands in front of:

* The data is sealed with AES-256-GCM, and the record's key with it: a record that is altered, or moved under another
  key, does not open. Keys, versions and sizes stay visible; an old record put back in its own place still opens.
* The first of `keys` writes, all of them read: to rotate, put a new one in front, call `reencrypt`, drop the old one.
* A record that does not open is a `StoreError` and is left as it is. A plain one is too: nobody who can write to the
  inner store can slip in a token of theirs.

Nonces are random: one key is good for 2**32 saves (NIST SP 800-38D section 8.3).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ..errors import BlnkAuthError, ConfigurationError, StoreError
from ..errors._extras import import_failure
from ._async_adapter import AsyncTokenStore, as_token_store
from ._check import SelfChecking, Unreadable
from ._token_store import Record, TokenStore, Version, from_json, to_json

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError as error:
    raise import_failure("EncryptedStore", "cryptography", "encrypted", error) from error

FORMAT = 1

Keys = Sequence[bytes | str]

_KEY_BYTES = 32
_NONCE_BYTES = 12
_LOCK_SECONDS = 60.0
"""How long `reencrypt` waits for a renewal that is under way."""


class EncryptedStore:
    """Keeps in `inner` what only the holder of one of `keys` can read. As safe to share as `inner` is.

    `keys`: newest first; each is 32 bytes, or their base64 text (`EncryptedStore.new_key()` makes one,
    `EncryptedStore.key_from_env` fetches one). Or a callable that returns such a list, as from a key management
    service: it is asked when a key is first needed, and again when a record names a key that is not known yet.
    A pickle carries no key: give a callable to a store that must cross processes.
    Raises `ConfigurationError` for what is no key.

        store = EncryptedStore(SQLiteStore("tokens.db"), keys=[EncryptedStore.key_from_env("TOKEN_KEY")])
    """

    def __init__(self, inner: TokenStore | AsyncTokenStore, *, keys: Keys | Callable[[], Keys]) -> None:
        self._inner = as_token_store(inner, "inner")
        self._source = keys
        self._ciphers: dict[str, AESGCM] = {}
        if not callable(keys):
            self._ciphers = _ciphers(keys)

    def __repr__(self) -> str:
        return f"EncryptedStore({self._inner!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self._inner, self._source if callable(self._source) else _not_pickled)

    def __copy__(self) -> EncryptedStore:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> EncryptedStore:
        return self

    @staticmethod
    def new_key() -> str:
        """A new random key as base64 text."""
        return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode("ascii")

    @staticmethod
    def key_from_env(name: str) -> str:
        """The base64 key in the environment variable `name`. Raises `ConfigurationError` if there is none."""
        text = os.environ.get(name)
        if text is None:
            raise ConfigurationError(
                f"the environment variable {name} is not set", remedy="EncryptedStore.new_key() makes a key"
            )
        _key_bytes(text, f"the environment variable {name}")
        return text

    def load(self, key: str) -> Record | None:
        """The record under `key`, opened, or None. Raises `StoreError` if it cannot be read or does not open."""
        record = self._inner.load(key)
        return None if record is None else Record(self._opened(key, record.data), record.version)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Seal `data` with the newest key, and save it as `inner` does."""
        return self._inner.save(key, self._sealed(key, data), expected=expected)

    def delete(self, key: str) -> None:
        """Remove `key`, whether it opens or not; no error if there is none."""
        self._inner.delete(key)

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        """The lock of `inner`."""
        return self._inner.lock(key, timeout=timeout)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The keys of `inner`, which are not encrypted."""
        return self._inner.keys(prefix)

    def close(self) -> None:
        """Close `inner`, if it can be closed."""
        close = getattr(self._inner, "close", None)
        if close is not None:
            close()

    def check(self) -> Iterator[Unreadable]:
        """What `inner` finds; see `blnk_auth.stores._check`."""
        if isinstance(self._inner, SelfChecking):
            yield from self._inner.check()

    def reencrypt(self, on_progress: Callable[[int, int], object] | None = None, *, encrypt_plain: bool = False) -> int:
        """Seal with the newest key whatever is sealed with an older one; return how many records that were.

        `on_progress` is called with how many records are done, and of how many. May run while the store is in use,
        and again after an interruption. `encrypt_plain` also seals records that are not encrypted yet: only for the
        one time that encryption is introduced. What cannot be opened is left, and named in a `StoreError` at the end.
        """
        names, rewritten, failures = list(self._inner.keys()), 0, list[str]()
        for done, key in enumerate(names, 1):
            try:
                rewritten += self._reencrypt(key, encrypt_plain)
            except StoreError as failure:
                failures.append(str(failure))
            if on_progress is not None:
                on_progress(done, len(names))
        if failures:
            raise StoreError(
                f"{len(failures)} of {len(names)} records are not re-encrypted", remedy=f"the first: {failures[0]}"
            )
        return rewritten

    def _reencrypt(self, key: str, encrypt_plain: bool) -> bool:
        record = self._inner.load(key)
        if record is None or (record.data.get("encrypted"), record.data.get("key_id")) == (FORMAT, self._newest()[0]):
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
        key_id, cipher = self._newest()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + cipher.encrypt(nonce, to_json(data).encode("ascii"), _associated(key_id, key))
        return {"encrypted": FORMAT, "key_id": key_id, "sealed": base64.b64encode(sealed).decode("ascii")}

    def _opened(self, key: str, data: dict[str, Any]) -> dict[str, Any]:
        written, key_id = data.get("encrypted"), data.get("key_id")
        if written is None:
            raise StoreError(
                f"the record under key {key!r} is not encrypted",
                remedy=(
                    "if it was stored before encryption was introduced, call "
                    "reencrypt(encrypt_plain=True) once, else find out who put it there"
                ),
            )
        if written != FORMAT or not isinstance(key_id, str):
            raise StoreError(
                f"the record under key {key!r} is encrypted in a format that this blnk_auth does not know",
                remedy="upgrade it",
            )
        cipher = self._cipher(key_id)
        if cipher is None:
            known = ", ".join(self._ciphers)
            raise StoreError(
                f"the record under key {key!r} is encrypted with the key {key_id!r}, none of keys ({known}): "
                "add that key at the end of keys. The record was left as it is"
            )
        opened = _decrypted(cipher, data.get("sealed"), _associated(key_id, key))
        if opened is None:
            raise StoreError(
                f"the record under key {key!r} does not open: it was altered, or moved there from another key. It was "
                f"left as it is: restore it from a backup, or delete it (`delete({key!r})`) and sign in again"
            )
        return opened

    # --- keys ----------------------------------------------------------------------------------------------------

    def _newest(self) -> tuple[str, AESGCM]:
        if not self._ciphers:
            self._ciphers = self._fetched()
        return next(iter(self._ciphers.items()))

    def _cipher(self, key_id: str) -> AESGCM | None:
        if key_id not in self._ciphers and callable(self._source):
            self._ciphers = self._fetched()
        return self._ciphers.get(key_id)

    def _fetched(self) -> dict[str, AESGCM]:
        assert callable(self._source)  # noqa: S101 - a list was taken over when the store was made
        try:
            keys = self._source()
        except BlnkAuthError:
            raise
        except Exception as error:  # noqa: BLE001 - a callable of the user's may raise anything
            # Without its text and frames, which may hold a key.
            failure = StoreError(
                f"keys: the callable failed ({type(error).__name__})", remedy="see that its service works"
            )
        else:
            return _ciphers(keys)
        raise failure


def _ciphers(keys: Keys) -> dict[str, AESGCM]:
    """By key id, newest first."""
    if isinstance(keys, (str, bytes)) or not keys:
        raise ConfigurationError(
            "keys must be a list of keys, newest first, with at least one",
            parameter="keys",
            remedy="see EncryptedStore",
        )
    octets = [_key_bytes(key, f"keys[{number}]") for number, key in enumerate(keys)]
    return {hashlib.sha256(b"blnk_auth key id\0" + each).hexdigest()[:8]: AESGCM(each) for each in octets}


def _key_bytes(key: bytes | str, where: str) -> bytes:
    octets = _from_base64(key) if isinstance(key, str) else key
    if not isinstance(octets, bytes) or len(octets) != _KEY_BYTES:
        raise ConfigurationError(
            f"{where} is no key: it must be {_KEY_BYTES} bytes or their base64 text",
            remedy="EncryptedStore.new_key() makes one",
        )
    return octets


def _associated(key_id: str, key: str) -> bytes:
    return f"blnk_auth\0{FORMAT}\0{key_id}\0{key}".encode("utf-8", "surrogatepass")


def _decrypted(cipher: AESGCM, sealed: object, associated: bytes) -> dict[str, Any] | None:
    octets = _from_base64(sealed) if isinstance(sealed, str) else None
    if octets is None or len(octets) <= _NONCE_BYTES:
        return None
    try:
        return from_json(cipher.decrypt(octets[:_NONCE_BYTES], octets[_NONCE_BYTES:], associated))
    except InvalidTag:
        return None


def _from_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return None


def _reopen(store_type: type[EncryptedStore], inner: TokenStore, keys: Callable[[], Keys]) -> EncryptedStore:
    return store_type(inner, keys=keys)


def _not_pickled() -> Keys:
    raise ConfigurationError(
        "keys: keys given as a list are not carried in a pickle",
        parameter="keys",
        remedy="give a callable that fetches them",
    )
