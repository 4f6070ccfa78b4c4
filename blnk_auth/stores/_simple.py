"""The base class for a store whose author has only load, save and delete.

Used by authors of stores, and by `MemoryStore` and `KeyValueStore`. What it adds, and what it does not:

* `lock` excludes the threads of this process only. Processes and hosts that share the data may renew the same grant
  at the same time. The compare-and-set of `save` keeps the records whole, but a server that rotates refresh tokens may
  see one of them used twice and end the grant. Override `lock` if more than one process uses the store.
* `keys` raises: it does not know which keys exist. Override it if your backend can list them.

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
    """Supplies `lock`, for the threads of this process, and a `keys` that raises.

    A store is a handle to what it keeps, so copying one, deep or not, gives the same store.
    """

    _locks: KeyLocks

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        # Here rather than in `__init__`, which subclasses write without calling ours.
        store = super().__new__(cls)
        store._locks = KeyLocks()
        return store

    @abstractmethod
    def load(self, key: str) -> Record | None:
        """Read one record; see `TokenStore.load`."""

    @abstractmethod
    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Replace one version of a record by another; see `TokenStore.save`."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove a record; see `TokenStore.delete`."""

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        """Exclude the other threads of this process, and no other process, from `key` while the context is open.

        Args and errors are those of `TokenStore.lock`.
        """
        return self._locks.hold(key, timeout=timeout)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Raises `StoreError`: this class does not know which keys exist.

        Args:
            prefix: As for `TokenStore.keys`.
        """
        raise StoreError(
            f"{type(self).__name__} cannot list its keys",
            remedy=f"use a store that can, such as SQLiteStore, or write {type(self).__name__}.keys",
        )
