"""The protocol of a token store: five methods and a record, and helpers for authors of stores.

Used by every store of this package, and by authors of other stores through `blnk_auth.stores`. A store is not a cache:
if a record is lost, a user must sign in again. So every store promises:

* `save` is a compare-and-set. It replaces only the version that the writer has read; a late writer gets `Conflict`.
* `lock` excludes everyone who shares the store (threads, processes, hosts). If its holder crashes, it becomes free.
* Bad input or a damaged record raises `StoreError` and loses nothing that was stored.

The data is a JSON object. A store never looks into it and never logs it: it contains secrets.
`blnk_auth.testing.store_contract` checks all of this against any store.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, cast, runtime_checkable

from ..errors import Conflict, StoreError, clears_locals
from ..errors._pickling import public

Version = str
"""Identifies one saved state of one key. Opaque; never used twice for the same key, not even after a delete."""


@public
@dataclass(frozen=True, slots=True)
class Record:
    """What `TokenStore.load` returns. Immutable.

    Attributes:
        data: The stored JSON object. The repr does not show it, because it contains secrets.
        version: The version to pass to `TokenStore.save` as `expected`.
    """

    data: dict[str, Any] = field(repr=False)
    version: str


@public
@runtime_checkable
class TokenStore(Protocol):
    """The methods that the author of a store writes.

    Every method may be called from any thread, and by several threads at the same time. All may block, since they are
    never called on the thread of an event loop. `AsyncTokenStore` is the same for `async def`; `SimpleStore` supplies
    `lock` and `keys`.
    """

    def load(self, key: str) -> Record | None:
        """Read one record.

        Args:
            key: Whose record it is.

        Returns:
            The record under `key`, or None if there is none.

        Raises:
            StoreError: The record cannot be read, or is damaged. A damaged record is never reported as missing.
        """
        ...

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Replace one version of a record by another. Once `save` returns, the record is as durable as the store is.

        Args:
            key: Whose record it is.
            data: A JSON object. The store neither changes nor keeps it.
            expected: The version to replace. None: the key must not exist yet.

        Returns:
            The version of what was written.

        Raises:
            Conflict: The stored version is another one. Nothing was written.
            StoreError: The record cannot be written, or it is unknown whether it was written.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove a record, damaged or not. If there is none, nothing happens.

        Args:
            key: Whose record it is.

        Raises:
            StoreError: The record cannot be removed.
        """
        ...

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        """Exclude every other user of this store from `key` while the context is open. Not re-entrant.

        Args:
            key: Whose lock it is. It needs no record.
            timeout: Seconds to wait for the lock at most, counted from entering the context. 0 or less: do not wait.

        Returns:
            A context manager. It may be entered and left on different threads.

        Raises:
            StoreError: On entering, if the lock is not free in time; on leaving, if it was lost meanwhile.
        """
        ...

    def keys(self, prefix: str = "") -> Iterator[str]:
        """List keys.

        Args:
            prefix: What the keys begin with. The default, an empty text, lists all.

        Returns:
            The stored keys that begin with `prefix`, in ascending order of their code points.

        Raises:
            StoreError: The keys cannot be listed. It may be raised during the iteration.
        """
        ...


@public
@clears_locals
def to_json(data: object) -> str:
    """The JSON text of a record's data, for stores that keep text.

    May be called from any thread.

    Args:
        data: What `TokenStore.save` was given.

    Returns:
        The text, in ASCII and on one line.

    Raises:
        StoreError: `data` is not a JSON object. The error does not show it.
    """
    text = _dumps(cast("object", data)) if isinstance(data, dict) else None
    if text is None:
        raise StoreError(
            "data must be a JSON object: a dict of strings, integers, finite floats, booleans, None, lists and dicts",
            parameter="data",
            remedy="convert other values before saving",
        )
    return text


@public
def from_json(text: str | bytes) -> dict[str, Any] | None:
    """The data in what `to_json` wrote.

    It raises nothing. Where another parser raises, it returns None, because `JSONDecodeError` carries the text and so
    the secrets.

    May be called from any thread.

    Args:
        text: The text, or its UTF-8 bytes.

    Returns:
        The JSON object, or None if the text is not one.
    """
    try:
        data: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", data) if isinstance(data, dict) else None


@public
def new_version() -> Version:
    """Make a version for `TokenStore.save` to return. May be called from any thread.

    Returns:
        16 random hexadecimal digits, which no earlier call has returned.
    """
    return secrets.token_hex(8)


@public
def conflict(key: str) -> Conflict:
    """Make the error to raise in `TokenStore.save` when the stored version is not the expected one.

    May be called from any thread.

    Args:
        key: The key that was to be saved.

    Returns:
        The error. The caller raises it.
    """
    return Conflict(
        f"key {key!r} was written by another thread or process meanwhile", key=key, remedy="load it again, then decide"
    )


@public
def unreadable(key: str, why: str) -> StoreError:
    """Make the error to raise in `TokenStore.load` when there is a record that cannot be used.

    May be called from any thread.

    Args:
        key: The key that was to be loaded.
        why: What is wrong with the record; completes "the record under key ... cannot be read: ". It must contain no
            secret: a parser's error, for example, may quote the record.

    Returns:
        The error. The caller raises it, outside of the `except` clause of an error that quotes the record.
    """
    return StoreError(
        f"the record under key {key!r} cannot be read: {why}",
        key=key,
        parameter="record",
        remedy=(
            f"other records are not affected. Restore it from a backup, or delete it (`delete({key!r})`) and sign in "
            "again"
        ),
    )


def _dumps(data: object) -> str | None:
    try:
        return json.dumps(data, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        return None
