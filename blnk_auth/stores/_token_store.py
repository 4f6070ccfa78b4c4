"""What a token store is: five verbs, a record, and the guarantees behind them.

A store is authoritative: losing a record costs a person a sign-in, so

* `save` is a compare-and-set. It replaces only the version the writer has read; a stale writer gets `Conflict`.
* `lock` excludes everyone who shares the store (threads, processes, hosts), and a crash of the holder releases it.
* bad input or a broken record raises `StoreError` and loses nothing that was stored.

The data is a JSON object. A store treats it as opaque and never logs it: it holds secrets.
`blnk_auth.testing.store_contract` checks all of this against any store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, cast, runtime_checkable

from ..errors import StoreError
from ..errors._pickling import public

Version = str
"""Names one saved state of one key. Opaque; never used twice for the same key, not even after a delete."""


@public
@dataclass(frozen=True, slots=True)
class Record:
    """What `load` returns: the stored JSON object and the version to hand back to `save`."""

    data: dict[str, Any] = field(repr=False)
    version: Version


@runtime_checkable
class TokenStore(Protocol):
    """The whole of what a store author writes. Every method may be called from any thread."""

    def load(self, key: str) -> Record | None:
        """The record under `key`, or None. Raises `StoreError` if it cannot be read."""
        ...

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Durably replace the version `expected` (None: the key must not exist yet) and return the new version.

        Raises `Conflict` if the stored version is another, `StoreError` if it cannot be written.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove `key`; no error if there is none."""
        ...

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        """Exclude every other user of this store from `key` while the context is open.

        Not re-entrant. Raises `StoreError` on entry if the lock is not had within `timeout` seconds.
        """
        ...

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The stored keys that begin with `prefix`, in ascending order."""
        ...


def to_json(data: object) -> str:
    """The JSON text of a record's data, for stores that keep text. Raises `StoreError` if it is no JSON object."""
    text = _dumps(cast("object", data)) if isinstance(data, dict) else None
    if text is None:
        raise StoreError(
            "data must be a JSON object: a dict holding only str, int, finite float, bool, None, list and dict",
            remedy="convert other values before saving",
        )
    return text


def from_json(text: str | bytes) -> dict[str, Any] | None:
    """The data in what `to_json` wrote, None if the text is no JSON object.

    It returns None where another parser raises, because `JSONDecodeError` carries the text and so the secrets.
    """
    try:
        data: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", data) if isinstance(data, dict) else None


def _dumps(data: object) -> str | None:
    try:
        return json.dumps(data, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return None
