"""The faults of the stores: while one lasts nothing can be written, and afterwards everything is as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.plan import RESTORED
from chaos.stores import Files, Redis, open_store
from support.limits import PATIENCE
from support.server_processes import RedisServer

from blnk_auth import EncryptedStore, StoreError


@pytest.mark.parametrize("kind", ["away", "full", "read-only"])
def test_a_disk_refuses_writes_until_it_is_healed(tmp_path: Path, kind: str) -> None:
    """Also where no file system may be mounted: there every fault moves the directory away."""
    disk = Files(tmp_path / "disk")
    try:
        (disk.directory / "before").write_text("kept")
        assert disk.break_(kind) == (kind if disk.disk.is_mounted else "away")
        with pytest.raises(OSError, match="directory|space|Read-only"):
            (disk.directory / "during").write_bytes(bytes(100_000))
        disk.heal()
        (disk.directory / "after").write_bytes(bytes(100_000))
        assert (disk.directory / "before").read_text() == "kept"
    finally:
        disk.close()


@pytest.mark.parametrize("name", ["sqlite", "file", "sealed"])
def test_a_store_of_files_is_restored_from_its_backup(tmp_path: Path, name: str) -> None:
    """Records are as they were when the fault began; one that was written since then was removed."""
    disk = Files(tmp_path / "disk")
    where = disk.directory / "tokens.db" if name == "sqlite" else disk.directory
    try:
        store = open_store(name, {name: str(where), "key": EncryptedStore.new_key()})
        version = store.save("alice", {"n": 1}, expected=None)
        assert disk.break_(RESTORED) == RESTORED
        store.save("alice", {"n": 2}, expected=version)
        store.save("bob", {"n": 3}, expected=None)
        disk.heal()
        found = store.load("alice")
        assert found is not None
        assert (found.data, found.version, list(store.keys())) == ({"n": 1}, version, ["alice"])
        store.save("alice", {"n": 4}, expected=version)
        assert list(getattr(store, "check", list)()) == []
    finally:
        disk.close()


def test_redis_is_restored_from_its_backup() -> None:
    """The same, and locks stay."""
    with RedisServer() as server:
        server.start()
        store, fault = open_store("redis", {"redis": server.url}), Redis(server)
        version = store.save("alice", {"n": 1}, expected=None)
        with store.lock("alice", timeout=PATIENCE):
            fault.break_(RESTORED)
            store.save("alice", {"n": 2}, expected=version)
            store.save("bob", {"n": 3}, expected=None)
            fault.heal()
        found = store.load("alice")
        assert found is not None
        assert (found.data, found.version, list(store.keys())) == ({"n": 1}, version, ["alice"])


def test_a_read_only_database_refuses_the_lock(tmp_path: Path) -> None:
    """Also for a process that has it open; what it has open already can still be read."""
    disk = Files(tmp_path / "disk")
    try:
        store = open_store("sqlite", {"sqlite": str(disk.directory / "tokens.db")})
        version = store.save("alice", {"n": 1}, expected=None)
        disk.break_("read-only")
        with pytest.raises(StoreError), store.lock("alice", timeout=0):
            pass
        disk.heal()
        with store.lock("alice", timeout=0):
            store.save("alice", {"n": 2}, expected=version)
    finally:
        disk.close()
