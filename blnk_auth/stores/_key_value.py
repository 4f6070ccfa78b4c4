"""Any backend of py-key-value (Redis, DynamoDB, MongoDB, S3, Vault and more) as a token store.

Such a backend can get, put and delete, and nothing else that a token store needs. So by itself this store guarantees
less than the others:

* compare-and-set and `lock` hold among the threads of this process only. Of two processes that save one key at the same
  moment, one's record is lost without a word; both may renew the same grant, and a server that rotates refresh tokens
  may then end it.
* durability, and what a crash leaves, are the backend's.

`lock_with`, another store that all processes share, supplies both: `lock` is its lock, and a save holds it while it
compares and sets. A `FileStore` on the one host will do, or a `RedisStore` for many. Nothing of value is kept in it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

from ..errors import ConfigurationError, Conflict, StoreError
from ._async_adapter import AsyncTokenStore, as_token_store, run
from ._calls import call_store
from ._entry_names import is_name, may_begin_with, name_of
from ._key_locks import KeyLocks
from ._simple import SimpleStore
from ._token_store import Record, TokenStore, Version, from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from key_value.aio.protocols.key_value import AsyncEnumerateKeysProtocol, AsyncKeyValue

FORMAT = 1

_VERBS = ("get", "put", "delete")
_WRITING_SECONDS = 30.0
_CUT_AT = (1_000, 10_000)
"""Where the backends of py-key-value end a list of keys, without a word, and there is no way to ask for the rest."""

_PAGE = 100


class KeyValueStore(SimpleStore):
    """Keeps tokens in `store`, an `AsyncKeyValue` of py-key-value, under `collection`. Safe to use from many threads.

    `lock_with`: a store that every process which shares `store` has too; None means that only one process uses it. See
    the module for what that costs. The backend's coroutines run on the private loop of the async adapter, so
    make `store` for this alone. `keys` works if the backend can list, up to 1,000 records.

        store = KeyValueStore(DynamoDBStore(table_name="tokens"), lock_with=RedisStore("redis://localhost"))
    """

    def __init__(
        self,
        store: AsyncKeyValue,
        *,
        lock_with: TokenStore | AsyncTokenStore | None = None,
        collection: str = "blnk_auth",
    ) -> None:
        missing = [verb for verb in _VERBS if not callable(getattr(store, verb, None))]
        if missing or isinstance(store, type):
            raise ConfigurationError(
                "store must be a store of py-key-value (py-key-value-aio), with get, put and delete", parameter="store"
            )
        self._store = store
        self._collection = collection
        self._lock_with = None if lock_with is None else as_token_store(lock_with, "lock_with")
        self._writers = KeyLocks()

    def __repr__(self) -> str:
        shared = "" if self._lock_with is None else f", lock_with={self._lock_with!r}"
        return f"KeyValueStore({type(self._store).__name__}{shared})"

    def load(self, key: str) -> Record | None:
        """The record under `key`, or None. Raises `StoreError` if it cannot be read."""
        name = name_of(key)
        value = self._call("read", self._store.get(name, collection=self._collection))
        return None if value is None else _parsed(value, key)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Replace the version `expected` (None: the key must not exist yet) and return the new version.

        Raises `Conflict` if the stored version is another, `StoreError` if it cannot be written.
        """
        version, name = secrets.token_hex(8), name_of(key)
        # The data as text: some backends change numbers, or refuse empty members.
        value = {"blnk_auth": FORMAT, "key": key, "version": version, "data": to_json(data)}
        with self._writing(key):
            current = self.load(key)
            if (None if current is None else current.version) != expected:
                raise Conflict(
                    f"key {key!r} was written by somebody else meanwhile", remedy="load it again, then decide"
                )
            self._call("written", self._store.put(name, value, collection=self._collection))
        return version

    def delete(self, key: str) -> None:
        """Remove `key`; no error if there is none."""
        with self._writing(key):
            self._call("written", self._store.delete(name_of(key), collection=self._collection))

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        """The lock of `lock_with`; without one, exclude the other threads of this process and nobody else."""
        if self._lock_with is not None:
            return self._lock_with.lock(key, timeout=timeout)
        return super().lock(key, timeout=timeout)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The stored keys that begin with `prefix`, in ascending order. Raises `StoreError` if that is not known."""
        if not callable(getattr(self._store, "keys", None)):
            return super().keys(prefix)
        listing = cast("AsyncEnumerateKeysProtocol", self._store).keys(self._collection, limit=max(_CUT_AT))
        names: list[str] = self._call("listed", listing)
        if len(names) in _CUT_AT:
            raise StoreError(
                f"{self!r} may hold more keys than its backend lists ({len(names)})",
                remedy="use a store such as SQLStore",
            )
        wanted = [name for name in names if is_name(name) and may_begin_with(name, prefix)]
        return iter(sorted(key for key in self._keys_of(wanted) if key.startswith(prefix)))

    def _keys_of(self, names: list[str]) -> Iterator[str]:
        for start in range(0, len(names), _PAGE):
            page = names[start : start + _PAGE]
            values = self._call("listed", self._store.get_many(page, collection=self._collection))
            for value in values:
                if value is not None and isinstance(key := value.get("key"), str):
                    yield key

    def _writing(self, key: str) -> AbstractContextManager[None]:
        # Not the lock of the key itself, whose holder saves.
        if self._lock_with is not None:
            return self._lock_with.lock(f"writing/{key}", timeout=_WRITING_SECONDS)
        return self._writers.hold(key, timeout=_WRITING_SECONDS)

    def _call(self, done: str, call: Coroutine[Any, Any, Any]) -> Any:
        # Backends raise errors of their own, some with the value in them.
        return call_store(done, run, call)


def _parsed(value: dict[str, Any], key: str) -> Record:
    written, version, text = value.get("blnk_auth"), value.get("version"), value.get("data")
    if isinstance(written, int) and written > FORMAT:
        raise StoreError(
            f"the record under key {key!r} was written by a newer blnk_auth (format {written}, this "
            f"one knows {FORMAT})",
            remedy="upgrade blnk_auth here",
        )
    data = from_json(text) if isinstance(text, str) else None
    if written != FORMAT or value.get("key") != key or not isinstance(version, str) or data is None:
        raise StoreError(
            f"the record under key {key!r} was not written by blnk_auth, or is damaged",
            remedy=(
                f"other records are not affected. Restore it from a backup, or delete it (`delete({key!r})`) "
                "and sign in again"
            ),
        )
    return Record(data=data, version=version)
