"""Asynchronous stores as users write them: over one SQLite file, and over redis.asyncio.

Used by the tests of the adapter and by the contract. Each method is a coroutine that waits for something on the running
event loop, and a lock belongs to the task that took it. Importable in other processes.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import redis.asyncio
from redis.exceptions import WatchError

from blnk_auth.errors import Conflict, StoreError
from blnk_auth.stores._async_adapter import AsyncStoreAdapter, run
from blnk_auth.stores._sqlite import SQLiteStore
from blnk_auth.stores._token_store import Record, Version, to_json

LEASE = 4.0
"""Seconds after which the lock of a crashed holder is free; its holders here are done long before."""


class AsyncRedisStore:
    """Each record is a JSON list of its version and its data."""

    def __init__(self, url: str, namespace: str) -> None:
        self._redis = redis.asyncio.Redis.from_url(url)
        self._start = f"{namespace}/"

    async def load(self, key: str) -> Record | None:
        text = await self._redis.get(self._start + key)
        if text is None:
            return None
        version, data = json.loads(text)
        return Record(data, version)

    async def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        version, name = secrets.token_hex(8), self._start + key
        text = f'["{version}",{to_json(data)}]'
        async with self._redis.pipeline() as pipeline:
            await pipeline.watch(name)
            current = await pipeline.get(name)
            if (None if current is None else json.loads(current)[0]) != expected:
                raise Conflict(f"key {key!r} was written meanwhile")
            pipeline.multi()
            pipeline.set(name, text)
            try:
                await pipeline.execute()
            except WatchError:
                raise Conflict(f"key {key!r} was written meanwhile") from None
        return version

    async def delete(self, key: str) -> None:
        await self._redis.delete(self._start + key)

    async def aclose(self) -> None:
        await self._redis.aclose()

    @asynccontextmanager
    async def lock(self, key: str, *, timeout: float) -> AsyncIterator[None]:
        lock = self._redis.lock(f"lock/{self._start}{key}", timeout=LEASE, sleep=0.01)
        if not await lock.acquire(blocking_timeout=timeout):
            raise StoreError(f"the lock of key {key!r} was not free within {timeout:g} s")
        try:
            yield
        finally:
            await lock.release()

    async def keys(self, prefix: str = "") -> AsyncGenerator[str]:
        names = [name.decode() async for name in self._redis.scan_iter(match=f"{self._start}*", count=1000)]
        for key in sorted(name.removeprefix(self._start) for name in names):
            if key.startswith(prefix):
                yield key


class AdaptedRedisStore(AsyncStoreAdapter):
    """Can be closed, on the loop to which the connections belong."""

    def __init__(self, url: str, namespace: str) -> None:
        self._client = AsyncRedisStore(url, namespace)
        super().__init__(self._client)

    def close(self) -> None:
        run(self._client.aclose())


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
            lock = self._inner.lock(key, timeout=0)
            try:
                lock.__enter__()
                break
            except StoreError:
                if loop.time() >= give_up_at:
                    raise
            await asyncio.sleep(0.01)
        try:
            yield
        finally:
            assert asyncio.current_task() is owner, "left by another task than entered it"
            lock.__exit__(None, None, None)

    async def keys(self, prefix: str = "") -> AsyncGenerator[str]:
        for key in await asyncio.to_thread(lambda: list(self._inner.keys(prefix))):
            yield key


def open_adapted(path: Path) -> AsyncStoreAdapter:
    return AsyncStoreAdapter(AsyncSQLiteStore(path))
