"""Encrypts ("seals") data with AES-256-GCM, and decrypts ("opens") it.

Used by `EncryptedStore`, when a store is made: this module needs cryptography. It promises that sealed data is bound to
the key id and the record's key, and never opens with another. Nonces are random, so one encryption key may be used for
2**32 saves (NIST SP 800-38D section 8.3).
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ._token_store import from_json, to_json

FORMAT = 1

_NONCE_BYTES = 12


class Cipher:
    """One encryption key. Safe to use from many threads. `key_id` is stored beside the data that it seals."""

    def __init__(self, key_id: str, key: bytes) -> None:
        self.key_id: str = key_id
        self._aesgcm = AESGCM(key)

    def seal(self, key: str, data: dict[str, Any]) -> str:
        """The data of the record `key`, sealed, as text. Raises `StoreError` if it is not a JSON object."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._aesgcm.encrypt(nonce, to_json(data).encode("ascii"), self._associated(key))
        return base64.b64encode(sealed).decode("ascii")

    def open(self, key: str, sealed: object) -> dict[str, Any] | None:
        """The data that `seal` was given for `key`; None if it was altered, or sealed for another record."""
        if not isinstance(sealed, str):
            return None
        try:
            octets = base64.b64decode(sealed, validate=True)
            return from_json(self._aesgcm.decrypt(octets[:_NONCE_BYTES], octets[_NONCE_BYTES:], self._associated(key)))
        except (ValueError, binascii.Error, InvalidTag):
            return None

    def _associated(self, key: str) -> bytes:
        return f"blnk_auth\0{FORMAT}\0{self.key_id}\0{key}".encode("utf-8", "surrogatepass")
