"""Stores in memory in which a test watches, fails or delays one operation.

Used by unit tests and scenarios. A call with which a test does not interfere works as in a MemoryStore.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from blnk_auth import MemoryStore, Token
from blnk_auth._renewal.stored_record import GrantRecord
from blnk_auth.stores._token_store import Record, TokenStore, Version


class ScriptedStore(MemoryStore):
    """A MemoryStore that writes down what is asked of it, and lets a test interfere first."""

    def __init__(self, trace: list[str] | None = None) -> None:
        super().__init__()
        self.trace: list[str] = [] if trace is None else trace
        self._interferences: dict[str, deque[Callable[[], object] | None]] = {}

    def interfere(self, verb: str, *actions: Callable[[], object] | Exception | None) -> None:
        """Before the next calls of `verb` (load, save, delete, lock, unlock): run or raise these; None does nothing."""
        queue = self._interferences.setdefault(verb, deque())
        queue.extend(_raiser(action) if isinstance(action, Exception) else action for action in actions)

    @property
    def texts(self) -> dict[str, tuple[str, str]]:
        """Everything stored, byte for byte, with its version."""
        return dict(self._records)

    def put(self, key: str, token: Token, ended: str | None = None) -> Version:
        """Store a grant behind everybody's back."""
        record = super().load(key)
        data = GrantRecord(token, ended).to_data()
        return super().save(key, data, expected=None if record is None else record.version)

    def grant(self, key: str) -> GrantRecord:
        """The stored grant."""
        record = super().load(key)
        assert record is not None, "nothing is stored"
        return GrantRecord.from_data(record.data, key)

    def load(self, key: str) -> Record | None:
        self._called("load")
        return super().load(key)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        self._called("save")
        return super().save(key, data, expected=expected)

    def delete(self, key: str) -> None:
        self._called("delete")
        super().delete(key)

    @contextlib.contextmanager
    def lock(self, key: str, *, timeout: float) -> Iterator[None]:
        self._called("lock")
        with super().lock(key, timeout=timeout):
            yield
        self._called("unlock")

    def _called(self, verb: str) -> None:
        self.trace.append(verb)
        queue = self._interferences.get(verb)
        action = queue.popleft() if queue else None
        if action is not None:
            action()


def _raiser(error: Exception) -> Callable[[], object]:
    def raise_it() -> None:
        raise error

    return raise_it


class DelegatingStore:
    """A store in front of another; a test overrides the operation that interests it."""

    def __init__(self, inner: TokenStore | None = None) -> None:
        self.inner = inner or MemoryStore()

    def load(self, key: str) -> Any:
        return self.inner.load(key)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        return self.inner.save(key, data, expected=expected)

    def delete(self, key: str) -> None:
        self.inner.delete(key)

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        return self.inner.lock(key, timeout=timeout)

    def keys(self, prefix: str = "") -> Any:
        return self.inner.keys(prefix)


class AsyncMemoryStore:
    """A MemoryStore in `async def`; a test overrides what interests it."""

    def __init__(self) -> None:
        self.inner = MemoryStore()

    async def load(self, key: str) -> Record | None:
        return self.inner.load(key)

    async def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        return self.inner.save(key, data, expected=expected)

    async def delete(self, key: str) -> None:
        self.inner.delete(key)

    @contextlib.asynccontextmanager
    async def lock(self, key: str, *, timeout: float) -> AsyncIterator[None]:
        with self.inner.lock(key, timeout=0):
            yield

    async def keys(self, prefix: str = "") -> AsyncIterator[str]:
        for key in self.inner.keys(prefix):
            yield key
