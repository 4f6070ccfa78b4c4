"""A store in this process's memory, with all a store's guarantees for as long as the process lives.

Nothing of it outlives the process, and no other process sees it: a forked child gets a copy of its own, and a pickle
carries no records, because they are secrets.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from typing import Any

from ..errors import Conflict
from ._key_locks import KeyLocks
from ._simple import SimpleStore
from ._token_store import Record, Version, from_json, to_json


class MemoryStore(SimpleStore):
    """Keeps tokens until the process ends. Safe to use from many threads.

    Use `SQLiteStore` to survive a restart or to share tokens between processes.
    """

    def __init__(self) -> None:
        # JSON text, so that what is stored cannot be changed through what was passed in or handed out.
        self._texts: dict[str, tuple[Version, str]] = {}
        # Apart from `lock`, whose holder saves too. By key, because these locks are free again after a fork.
        self._writers = KeyLocks()

    def __repr__(self) -> str:
        return f"<MemoryStore keys={len(self._texts)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), ()

    def load(self, key: str) -> Record | None:
        """The record under `key`, or None."""
        version, text = self._texts.get(key, (None, ""))
        if version is None:
            return None
        return Record(data=from_json(text) or {}, version=version)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Replace the version `expected` (None: the key must not exist yet) and return the new version.

        Raises `Conflict` if the stored version is another, `StoreError` if `data` is no JSON object.
        """
        text = to_json(data)
        with self._writers.hold(key, timeout=math.inf):
            version, _ = self._texts.get(key, (None, ""))
            if version != expected:
                raise Conflict(
                    f"key {key!r} was written by somebody else meanwhile", remedy="load it again, then decide"
                )
            new_version = secrets.token_hex(8)
            self._texts[key] = (new_version, text)
        return new_version

    def delete(self, key: str) -> None:
        """Remove `key`; no error if there is none."""
        with self._writers.hold(key, timeout=math.inf):
            self._texts.pop(key, None)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The keys of this moment that begin with `prefix`, in ascending order."""
        return iter(sorted(key for key in list(self._texts) if key.startswith(prefix)))
