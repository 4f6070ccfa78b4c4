"""A store in this process's memory.

Used by `OAuthClient` as its default store, and by tests. It promises everything that a store promises, while the
process runs. Its records end with the process, and no other process sees them: a forked child gets its own copy, and a
pickle never carries records, because they are secrets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..errors import clears_locals, redacted
from ..errors._pickling import public
from ._key_locks import KeyLocks
from ._simple import SimpleStore
from ._store_handle import PickledByArguments
from ._token_store import Record, Version, conflict, from_json, new_version, to_json


@public
@clears_locals
class MemoryStore(PickledByArguments, SimpleStore):
    """Keeps tokens in memory until the process ends. Safe to use from many threads.

    `lock` excludes the threads of this process. Use `SQLiteStore` to keep tokens across a restart, or to share them
    between processes. A pickle carries no records; a copy is the same store.
    """

    def __init__(self) -> None:
        # JSON text, so that a caller who changes a dict that it passed or received does not change the stored record.
        self._records: dict[str, tuple[Version, str]] = {}
        # Not the locks of `lock`, whose holder also saves. Locks by key, because these are free again after a fork.
        self._writers = KeyLocks()

    def __repr__(self) -> str:
        return f"<MemoryStore keys={len(self._records)}>"

    def load(self, key: str) -> Record | None:
        version, text = self._records.get(key, (None, ""))
        if version is None:
            return None
        return Record(data=from_json(text) or {}, version=version)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        text, written = redacted(to_json(data)), new_version()
        with self._writers.hold(key, timeout=math.inf):
            version, _ = self._records.get(key, (None, ""))
            if version != expected:
                raise conflict(key)
            self._records[key] = (written, text)
        return written

    def delete(self, key: str) -> None:
        with self._writers.hold(key, timeout=math.inf):
            self._records.pop(key, None)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """List the keys that are stored now.

        Args:
            prefix: What the keys begin with. The default, an empty text, lists all.

        Returns:
            The stored keys that begin with `prefix`, in ascending order of their code points. It raises nothing.
        """
        return iter(sorted(key for key in list(self._records) if key.startswith(prefix)))
