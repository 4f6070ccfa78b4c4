"""A store in this process's memory, with all guarantees of a store for as long as the process lives.

Used as the default store of `OAuthClient`, and by tests. No record outlives the process, and no other process sees it:
a forked child gets a copy of its own, and a pickle carries no records, because they are secrets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..errors import clears_locals
from ..errors._pickling import public
from ._key_locks import KeyLocks
from ._simple import SimpleStore
from ._store_handle import PickledByArguments
from ._token_store import Record, Version, conflict, from_json, new_version, to_json


@public
@clears_locals
class MemoryStore(PickledByArguments, SimpleStore):
    """Keeps tokens until the process ends. Safe to use from many threads.

    Use `SQLiteStore` to survive a restart or to share tokens between processes.
    """

    def __init__(self) -> None:
        # JSON text, so that what is stored cannot be changed through what was passed in or returned.
        self._records: dict[str, tuple[Version, str]] = {}
        # Apart from `lock`, whose holder saves too. By key, because these locks are free again after a fork.
        self._writers = KeyLocks()

    def __repr__(self) -> str:
        return f"<MemoryStore keys={len(self._records)}>"

    def load(self, key: str) -> Record | None:
        """Read one record; see `TokenStore.load`."""
        version, text = self._records.get(key, (None, ""))
        if version is None:
            return None
        return Record(data=from_json(text) or {}, version=version)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Replace one version of a record by another; see `TokenStore.save`."""
        text, written = to_json(data), new_version()
        with self._writers.hold(key, timeout=math.inf):
            version, _ = self._records.get(key, (None, ""))
            if version != expected:
                raise conflict(key)
            self._records[key] = (written, text)
        return written

    def delete(self, key: str) -> None:
        """Remove a record; see `TokenStore.delete`."""
        with self._writers.hold(key, timeout=math.inf):
            self._records.pop(key, None)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The keys of this moment that begin with `prefix`, in ascending order; see `TokenStore.keys`."""
        return iter(sorted(key for key in list(self._records) if key.startswith(prefix)))
