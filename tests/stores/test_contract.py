"""The embedded stores, a minimal one on the base class, and the one that the guide shows, against the contract."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from blnk_auth.errors import Conflict
from blnk_auth.stores._memory import MemoryStore
from blnk_auth.stores._simple import SimpleStore
from blnk_auth.stores._sqlite import SQLiteStore
from blnk_auth.stores._token_store import Record, TokenStore, Version, from_json, to_json
from blnk_auth.testing.store_contract import SharedStoreContract, StoreContract


class DictStore(SimpleStore):
    """What an author writes who has only load, save and delete, and forgets super().__init__()."""

    def __init__(self) -> None:
        self._records: dict[str, tuple[Version, str]] = {}
        self._saving = self.lock

    def load(self, key: str) -> Record | None:
        if key not in self._records:
            return None
        version, text = self._records[key]
        return Record(data=from_json(text) or {}, version=version)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        text, version = to_json(data), secrets.token_hex(8)
        with self._saving(f"saving {key}", timeout=60):
            current = self.load(key)
            if (current and current.version) != expected:
                raise Conflict(f"key {key!r} was written meanwhile")
            self._records[key] = (version, text)
        return version

    def delete(self, key: str) -> None:
        self._records.pop(key, None)


def in_the_guide(name: str) -> Any:
    """What the Python blocks of the guide for authors of stores define under this name."""
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "write-a-store.md").read_text("utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", guide, re.DOTALL | re.MULTILINE):
        exec(block, names)
    return names[name]


TestMappingStore = in_the_guide("TestMappingStore")


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def open_store(self) -> Callable[[], TokenStore]:
        return MemoryStore


class TestSimpleStore(StoreContract):
    lists_keys = False

    @pytest.fixture
    def open_store(self) -> Callable[[], TokenStore]:
        return DictStore


class TestSQLiteStore(SharedStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], TokenStore]:
        return partial(SQLiteStore, tmp_path / "state" / "tokens.db")
