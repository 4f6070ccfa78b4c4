"""A store on py-key-value's disk backend that other processes can open too, with the locks of a FileStore."""

from __future__ import annotations

from pathlib import Path

from key_value.aio.stores.disk import DiskStore

from blnk_auth.stores._file import FileStore
from blnk_auth.stores._key_value import KeyValueStore


def open_disk(directory: Path) -> KeyValueStore:
    directory.mkdir(mode=0o700, exist_ok=True)
    return KeyValueStore(DiskStore(directory=directory / "cache"), lock_with=FileStore(directory / "locks"))
