"""On a full or read-only disk no refresh token is spent whose successor could not be saved: stores that keep files.

The disk is a real one where this user may mount one. Elsewhere, a limit on the size of files takes its place in the
tests that need no more than a write that fails.
"""

from __future__ import annotations

import contextlib
import resource
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from support.disks import Disk, can_be_mounted
from support.errors import raises
from support.processes import in_forked_child
from support.scripted import ScriptedWorld
from support.token_endpoint import HttpResponse, pair

from blnk_auth import EncryptedStore, FileStore, SQLiteStore, TokenStore
from blnk_auth._protocol.http_messages import HttpRequest
from blnk_auth.errors import StoreError
from blnk_auth.stores._disk_room import RECORD_ROOM

_KEY = EncryptedStore.new_key()
_STORES: dict[str, Callable[[Path], TokenStore]] = {
    "file": lambda directory: FileStore(directory / "tokens"),
    "sqlite": lambda directory: SQLiteStore(directory / "tokens.db"),
    "sealed": lambda directory: EncryptedStore(FileStore(directory / "tokens"), keys=[_KEY]),
}


class _SizeLimit:
    """A directory to whose files this process may not write, while it is `full`, beyond a few kilobytes."""

    def __init__(self, root: Path) -> None:
        self.directory = root

    @contextlib.contextmanager
    def full(self) -> Generator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (RECORD_ROOM // 2, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


class _RealDisk(Disk):
    @contextlib.contextmanager
    def full(self) -> Generator[None]:
        self.fill()
        try:
            yield
        finally:
            self.empty()


with tempfile.TemporaryDirectory() as _directory:
    _MOUNTS = can_be_mounted(Path(_directory) / "disk")
# A container may forbid mounting also to root, and a skip would be a failure there.
_DISKS = ["size limit", "disk"] if _MOUNTS else ["size limit"]


@pytest.fixture(params=_DISKS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[_SizeLimit | _RealDisk]:
    if request.param == "size limit":
        yield _SizeLimit(tmp_path)
    else:
        with _RealDisk(tmp_path / "disk", megabytes=2) as disk:
            yield disk


@pytest.fixture(params=_STORES)
def store(request: pytest.FixtureRequest, disk: _SizeLimit | _RealDisk) -> Iterator[TokenStore]:
    store = _STORES[request.param](disk.directory)
    yield store
    getattr(store, "close", lambda: None)()


def test_f48_nothing_is_sent_when_the_disk_is_full(disk: _SizeLimit | _RealDisk, store: TokenStore) -> None:
    """F48: the renewal fails before the refresh token is sent; once there is room it succeeds with the same one."""
    world = ScriptedWorld(store=store)
    alice = world.client.for_subject("alice")
    alice.adopt(world.token(0))
    world.clock.advance(3700)
    with disk.full(), raises(StoreError, remedy="free some disk space and try again"):
        alice.token()
    assert world.server.requests == []
    world.server.will(pair(1))
    world.clock.advance(120)
    assert alice.token().access_token == "at1"
    assert [form["refresh_token"] for form in world.server.forms] == ["rt0"]


def test_a_token_that_is_still_valid_is_used_while_the_disk_is_full(
    disk: _SizeLimit | _RealDisk, store: TokenStore
) -> None:
    """The call uses it, an event reports the renewal that failed, and nothing is sent."""
    world = ScriptedWorld(store=store)
    alice = world.client.for_subject("alice")
    alice.adopt(world.token(0))
    world.clock.advance(3590)
    with disk.full():
        assert alice.token().access_token == "at0"
        assert world.events.wait_for("renewal_failed").error is not None
    assert world.server.requests == []


def test_a_full_disk_can_still_be_read(disk: _SizeLimit | _RealDisk, store: TokenStore) -> None:
    """Another process finds the stored token, and uses it."""
    ScriptedWorld(store=store).client.for_subject("alice").adopt(ScriptedWorld().token(0))
    with disk.full():
        assert ScriptedWorld(store=store).client.for_subject("alice").token().access_token == "at0"


def test_a_lock_leaves_nothing(disk: _SizeLimit | _RealDisk, store: TokenStore) -> None:
    """Neither one that was had nor one that was refused for want of room leaves a file."""
    with store.lock("alice", timeout=0):
        pass
    with disk.full(), raises(StoreError, remedy="free some disk space and try again"), store.lock("alice", timeout=0):
        pass
    assert [path.name for path in disk.directory.rglob("*.lock")] == []


if _MOUNTS:

    @pytest.mark.parametrize("disk", ["disk"], indirect=True)
    def test_a_pair_is_saved_although_the_disk_becomes_full_meanwhile(disk: _RealDisk, store: TokenStore) -> None:
        """The holder of the lock has room: others may fill the disk between the request and the save."""
        world = ScriptedWorld(store=store)
        alice = world.client.for_subject("alice")
        alice.adopt(world.token(0))
        for number in range(1, 20):

            def fill_and_answer(_: HttpRequest, number: int = number) -> HttpResponse:
                disk.fill()
                return pair(number)

            world.server.will(fill_and_answer)
            assert alice.renew().access_token == f"at{number}"
            assert "save_failed" not in world.emitted()
            stored = store.load(alice.store_key)
            assert stored is not None
            assert stored.data["token"]["refresh_token"] == f"rt{number}"
            disk.empty()

    @pytest.mark.parametrize("disk", ["disk"], indirect=True)
    def test_what_was_reserved_is_free_again(disk: _RealDisk, store: TokenStore) -> None:
        """The room is taken while the lock is had, and not any longer."""
        store.save("alice", {"n": 1}, expected=None)
        before = disk.used()
        with store.lock("alice", timeout=0):
            assert disk.used() >= before + RECORD_ROOM
        assert disk.used() == before

    def test_a_connection_that_cannot_write_is_not_kept(tmp_path: Path) -> None:
        """A process that opened the database while it was read-only could lock it later, and never save in it."""
        with _RealDisk(tmp_path / "disk", megabytes=2) as disk, SQLiteStore(disk.directory / "tokens.db") as store:
            version = store.save("alice", {"n": 1}, expected=None)

            def in_another_process() -> None:
                with raises(StoreError, shows="readonly"):
                    SQLiteStore(disk.directory / "tokens.db")
                disk.unbind()
                SQLiteStore(disk.directory / "tokens.db").save("alice", {"n": 2}, expected=version)

            assert disk.bind()
            in_forked_child(in_another_process)
            assert store.load("alice") is not None
