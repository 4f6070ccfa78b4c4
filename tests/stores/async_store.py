"""An asynchronous store over one SQLite file: real waiting, tasks and processes, and the locks of a crash-safe store.

It is what a user's store over an asynchronous driver looks like from outside: each method is a coroutine that waits for
something on the running event loop, and the lock belongs to the task that took it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from blnk_auth.errors import StoreError
from blnk_auth.stores._async_adapter import AsyncStoreAdapter
from blnk_auth.stores._sqlite import SQLiteStore
from blnk_auth.stores._token_store import Record, Version


class AsyncSQLiteStore:
    """`SQLiteStore` in `async def`."""

    def __init__(self, path: Path) -> None:
        self._inner = SQLiteStore(path)
        self.loops: set[asyncio.AbstractEventLoop] = set()

    async def load(self, key: str) -> Record | None:
        self.loops.add(asyncio.get_running_loop())
        return await asyncio.to_thread(self._inner.load, key)

    async def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        return await asyncio.to_thread(self._inner.save, key, data, expected=expected)

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._inner.delete, key)

    @asynccontextmanager
    async def lock(self, key: str, *, timeout: float) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        owner, give_up_at = asyncio.current_task(), loop.time() + timeout
        while True:
            held = self._inner.lock(key, timeout=0)
            try:
                held.__enter__()
                break
            except StoreError:
                if loop.time() >= give_up_at:
                    raise
            await asyncio.sleep(0.01)
        try:
            yield
        finally:
            assert asyncio.current_task() is owner, "left by another task than entered it"
            held.__exit__(None, None, None)

    async def keys(self, prefix: str = "") -> AsyncGenerator[str]:
        for key in await asyncio.to_thread(lambda: list(self._inner.keys(prefix))):
            yield key


def open_adapted(path: Path) -> AsyncStoreAdapter:
    return AsyncStoreAdapter(AsyncSQLiteStore(path))
