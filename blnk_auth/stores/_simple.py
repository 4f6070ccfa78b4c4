"""The base class for a store whose author has only load, save and delete.

Used by authors of stores, and by `MemoryStore` and `KeyValueStore`. Its limits:

* `lock` excludes the threads of this process, and never another process. Processes and hosts that share the data may
  renew the same grant at the same time. The compare-and-set of `save` still protects the records, but a server that
  rotates refresh tokens may see a refresh token used twice, and end the grant. Override `lock` if more than one process
  uses the store.
* `keys` raises, because it does not know which keys exist. Override it if your backend can list them.

    class DictStore(SimpleStore):
        def load(self, key): ...
        def save(self, key, data, *, expected): ...
        def delete(self, key): ...

`blnk_auth.testing.store_contract` checks the result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Self

from ..errors import StoreError
from ..errors._pickling import public
from ._key_locks import KeyLocks
from ._store_handle import StoreHandle
from ._token_store import Record, Version


@public
class SimpleStore(StoreHandle, ABC):
    """A token store whose author writes only `load`, `save` and `delete`.

    It supplies `lock`, for the threads of this process, and a `keys` that raises. A store is only a handle to its data,
    so a copy, deep or not, is the same store. The three methods may be called from any thread, from several at the same
    time, and never on the thread of an event loop.
    """

    _locks: KeyLocks

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        # Not in `__init__`, because subclasses may write their own without calling this one.
        store = super().__new__(cls)
        store._locks = KeyLocks()
        return store

    @abstractmethod
    def load(self, key: str) -> Record | None:
        """Read one record. Written by the author of the store.

        Args:
            key: Whose record it is.

        Returns:
            The record under `key`, or None if there is none.

        Raises:
            StoreError: The record cannot be read, or is damaged: see `unreadable`.
        """

    @abstractmethod
    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Replace one version of a record by another. Written by the author of the store.

        Comparing and writing must be one atomic operation: no other thread, process or host may write the key in
        between.

        Args:
            key: Whose record it is.
            data: A JSON object; `to_json` makes text of it. It must not be changed.
            expected: The version to replace. None: the key must not exist yet.

        Returns:
            The version of what was written: see `new_version`.

        Raises:
            Conflict: The stored version is another one: see `conflict`.
            StoreError: The record cannot be written, or it is unknown whether it was written.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove a record, damaged or not. Written by the author of the store.

        Args:
            key: Whose record it is. If there is none, nothing happens.

        Raises:
            StoreError: The record cannot be removed.
        """

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        """Exclude the other threads of this process, and no other process, from `key` while the context is open.

        Args:
            key: Whose lock it is. It needs no record.
            timeout: Seconds to wait for the lock at most, counted from entering the context. 0 or less: do not wait.

        Returns:
            A context manager. Not re-entrant. It may be entered and left on different threads.

        Raises:
            StoreError: On entering, if the lock is not free in time.
        """
        return self._locks.hold(key, timeout=timeout)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """List keys. This class does not know which keys exist, so it raises; override it if your backend can list.

        Args:
            prefix: What the keys begin with. The default, an empty text, lists all.

        Returns:
            Nothing. A method that overrides this one returns the keys in ascending order of their code points.

        Raises:
            StoreError: Always.
        """
        raise StoreError(
            f"{type(self).__name__} cannot list its keys",
            remedy=f"use a store that can, such as SQLiteStore, or write {type(self).__name__}.keys",
        )
