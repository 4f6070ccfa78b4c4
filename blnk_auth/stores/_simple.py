"""The base class for a store whose author has only load, save and delete.

What it adds, and what it does not:

* `lock` excludes the threads of this process only. Processes and hosts that share the data may renew the same grant
  at the same time; `save`'s compare-and-set keeps the records whole, but a server that rotates refresh tokens may see
  one of them spent twice and end the grant. Override `lock` if more than one process uses the store.
* `keys` says that the store cannot list its keys. Override it if yours can.

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
from ._key_locks import KeyLocks
from ._token_store import Record, Version


class SimpleStore(ABC):
    """Supplies `lock`, for the threads of this process, and a `keys` that says it cannot.

    A store is a handle to what it keeps, so copying one, deep or not, gives the same store.
    """

    _locks: KeyLocks

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        # Here rather than in `__init__`, which subclasses write without calling ours.
        store = super().__new__(cls)
        store._locks = KeyLocks()
        return store

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    @abstractmethod
    def load(self, key: str) -> Record | None:
        """See `TokenStore.load`."""

    @abstractmethod
    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """See `TokenStore.save`."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """See `TokenStore.delete`."""

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        """Exclude the other threads of this process, and nobody else, from `key` while the context is open."""
        return self._locks.hold(key, timeout=timeout)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Raises `StoreError`: nothing is known here about which keys exist."""
        raise StoreError(
            f"{type(self).__name__} cannot list its keys",
            remedy=f"use a store that can, such as SQLiteStore, or write {type(self).__name__}.keys",
        )
