"""An encrypted store that other processes can open too."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from pathlib import Path

from blnk_auth.stores._encrypted import EncryptedStore
from blnk_auth.stores._file import FileStore

KEY = base64.b64encode(b"k" * 32).decode()


def fetch_keys() -> list[str]:
    """What a key service would give."""
    return [KEY]


def open_encrypted(directory: Path) -> Callable[[], EncryptedStore]:
    return partial(_open, directory)


def _open(directory: Path) -> EncryptedStore:
    return EncryptedStore(FileStore(directory), keys=fetch_keys)
