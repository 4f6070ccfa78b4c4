"""A store on py-key-value's disk backend that other processes can open too, with the locks of a FileStore."""

from __future__ import annotations

from pathlib import Path

from diskcache import Cache
from key_value.aio.stores.disk import DiskStore

from blnk_auth.stores import FileStore, KeyValueStore, TokenStore
from blnk_auth.stores._async_adapter import run


class DiskKeyValueStore(KeyValueStore):
    """Closes its backend, which is nobody else's: diskcache has a connection for each thread and leaves all open."""

    def __init__(self, directory: Path, *, lock_with: TokenStore | None = None) -> None:
        # As DiskStore makes it by itself.
        self._cache = Cache(directory=str(directory), eviction_policy="none")
        super().__init__(DiskStore(disk_cache=self._cache), lock_with=lock_with)

    def close(self) -> None:
        self._cache.close()
        run(self._close_there())

    async def _close_there(self) -> None:
        # On the private loop's thread, where all calls ran.
        self._cache.close()


def open_disk(directory: Path) -> DiskKeyValueStore:
    directory.mkdir(mode=0o700, exist_ok=True)
    return DiskKeyValueStore(directory / "cache", lock_with=FileStore(directory / "locks"))
