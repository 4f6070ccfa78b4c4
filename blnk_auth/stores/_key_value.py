"""Any backend of py-key-value (Redis, DynamoDB, MongoDB, S3, Vault and more) as a token store.

Used by users who have such a backend already. The backend can only get, put and delete; a token store needs more. So
without `lock_with` this store promises less than the others:

* compare-and-set and `lock` work only between the threads of this process. If two processes save one key at the same
  moment, one record is lost without an error. Both may renew the same grant, and a server that rotates refresh tokens
  may then end that grant.
* Durability, and the state after a crash, depend on the backend.

`lock_with` is another store that all processes share. It supplies both: `lock` is the lock of that store, and `save`
takes it while it compares and sets. Use a `FileStore` on one host, or a `RedisStore` for several. It never contains a
record.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

from ..errors import ConfigurationError, StoreError, clears_locals, kind_of
from ..errors._extras import NamedInAnnotations
from ..errors._pickling import public
from ._async_adapter import AsyncTokenStore, as_token_store, run
from ._calls import call_store
from ._entry_names import is_name, may_begin_with, name_of
from ._key_locks import KeyLocks
from ._simple import SimpleStore
from ._token_store import Record, TokenStore, Version, conflict, from_json, new_version, to_json, unreadable

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from key_value.aio import protocols as key_value
    from key_value.aio.protocols.key_value import AsyncEnumerateKeysProtocol
else:
    key_value = NamedInAnnotations("key_value.aio.protocols")

FORMAT = 1

_METHODS = ("get", "put", "delete")
_WRITING_SECONDS = 30.0
_CUT_AT = (1_000, 10_000)
"""The most keys that a backend of py-key-value lists. It cuts off the rest without an error, and no call returns it."""

_PAGE = 100


@public
@clears_locals
class KeyValueStore(SimpleStore):
    """Keeps tokens in a backend of py-key-value. Safe to use from many threads; with `lock_with` from many processes.

    A copy is the same store.

        store = KeyValueStore(DynamoDBStore(table_name="tokens"), lock_with=RedisStore("redis://localhost"))

    What its methods do beyond `TokenStore`:

    * `lock` is the lock of `lock_with`. Without one it excludes the other threads of this process, and no other
      process.
    * `keys` lists up to 1,000 records. It raises `StoreError` if the backend cannot list, or may list only a part.

    Args:
        store: An `AsyncKeyValue` of py-key-value. Its coroutines run on a private event loop, so do not use it
            elsewhere.
        lock_with: A store that supplies the lock. Every process that shares `store` must pass the same one. None: only
            one process uses `store`.
        collection: The collection of `store` to keep the records in.

    Raises:
        ConfigurationError: `store` is not a store of py-key-value, or `lock_with` is not a store.
    """

    def __init__(
        self,
        store: key_value.AsyncKeyValue,
        *,
        lock_with: TokenStore | AsyncTokenStore | None = None,
        collection: str = "blnk_auth",
    ) -> None:
        missing = [method for method in _METHODS if not callable(getattr(store, method, None))]
        if missing or isinstance(store, type):
            given = f"the class {store.__name__}" if isinstance(store, type) else kind_of(store)
            raise ConfigurationError(
                f"store must be a store of py-key-value, with get, put and delete, not {given}",
                parameter="store",
                remedy="make one with the package py-key-value-aio, such as key_value.aio.stores.memory.MemoryStore()",
            )
        self._store = store
        self._collection = collection
        self._lock_with = None if lock_with is None else as_token_store(lock_with, "lock_with")
        self._writers = KeyLocks()

    def __repr__(self) -> str:
        shared = "" if self._lock_with is None else f", lock_with={self._lock_with!r}"
        return f"KeyValueStore({type(self._store).__name__}{shared})"

    def load(self, key: str) -> Record | None:
        value = self._call("read", self._store.get(name_of(key), collection=self._collection))
        return None if value is None else _parsed(value, key)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        version = new_version()
        # The data is stored as text, because some backends change numbers, or refuse empty members.
        value = {"blnk_auth": FORMAT, "key": key, "version": version, "data": to_json(data)}
        with self._writing(key):
            current = self.load(key)
            if (None if current is None else current.version) != expected:
                raise conflict(key)
            self._call("written", self._store.put(name_of(key), value, collection=self._collection))
        return version

    def delete(self, key: str) -> None:
        with self._writing(key):
            self._call("written", self._store.delete(name_of(key), collection=self._collection))

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        if self._lock_with is not None:
            return self._lock_with.lock(key, timeout=timeout)
        return super().lock(key, timeout=timeout)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """List keys, up to 1,000.

        Args:
            prefix: What the keys begin with. The default, an empty text, lists all.

        Returns:
            The stored keys that begin with `prefix`, in ascending order of their code points.

        Raises:
            StoreError: The backend cannot list keys, or may have listed only some of them.
        """
        if not callable(getattr(self._store, "keys", None)):
            return super().keys(prefix)
        listing = cast("AsyncEnumerateKeysProtocol", self._store).keys(self._collection, limit=max(_CUT_AT))
        names: list[str] = self._call("listed", listing)
        if len(names) in _CUT_AT:
            raise StoreError(
                f"{self!r} may have more keys than its backend lists ({len(names)})",
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
        # Another lock than `lock(key)`, which the caller of `save` already has.
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
            f"the record under key {key!r} was written by a newer blnk_auth: format {written}, this one knows {FORMAT}",
            key=key,
            remedy="upgrade blnk_auth here",
        )
    data = from_json(text) if isinstance(text, str) else None
    if written != FORMAT or value.get("key") != key or not isinstance(version, str) or data is None:
        raise unreadable(key, "it was not written by blnk_auth, or is damaged")
    return Record(data=data, version=version)
