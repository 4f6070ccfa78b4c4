"""What FileStore promises beyond the contract: its files, their modes, damage, kills, and Windows' sharing errors."""

from __future__ import annotations

import copy
import errno
import json
import os
import pickle
import resource
import select
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from support.canary.leaks import leaks
from support.errors import raises
from support.processes import in_forked_child, start_forked_child
from support.scripted import ScriptedWorld
from support.stores.kill_trial import check_that_kills_leave_old_or_new
from support.stores.workers import write_own_keys_in
from support.token_endpoint import answer

from blnk_auth.errors import Conflict, StoreError
from blnk_auth.stores import _process_lock
from blnk_auth.stores._durable_file import past_sharing_errors
from blnk_auth.stores._file import FileStore
from blnk_auth.stores._private_file import Access, make_directory
from blnk_auth.stores._record_text import FORMAT
from blnk_auth.stores._token_store import Record, TokenStore
from blnk_auth.testing.store_contract import SharedStoreContract, check_that_a_crowd_renews_once, run_processes

SECRET = "s3cr3t-value"


class TestFileStore(SharedStoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[[], TokenStore]:
        return partial(FileStore, tmp_path / "state" / "tokens")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


@pytest.fixture
def store(directory: Path) -> FileStore:
    return FileStore(directory)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def records(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.json"))


def loaded(store: TokenStore, key: str) -> Record:
    record = store.load(key)
    assert record is not None
    return record


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


# The files


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277])
def test_f48_only_this_user_may_read_what_it_creates(directory: Path, mask: int) -> None:
    """F48: under any umask records have mode 0600, and the directories 0700."""
    with umask(mask):
        store = FileStore(directory)
        version = store.save("alice", {}, expected=None)
        store.save("alice", {}, expected=version)
    assert [mode(path) for path in records(directory)] == [0o600]
    assert [mode(path) for path in (directory, directory / ".new", directory / ".locks")] == [0o700] * 3


def test_missing_parents_are_private(tmp_path: Path) -> None:
    """Every directory made on the way has mode 0700."""
    with umask(0o022):
        FileStore(tmp_path / "a" / "b" / "tokens")
    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "b")] == [0o700] * 2


def test_a_record_is_readable_json_with_its_key(directory: Path, store: FileStore) -> None:
    """A file has the format, the key, the version and the data, and there is nothing else beside it."""
    version = store.save("token/acme/subject/alice", {"n": 1}, expected=None)
    [path] = records(directory)
    assert path.name.startswith("token-")
    assert "alice" not in path.name
    assert json.loads(path.read_text()) == {
        "blnk_auth": FORMAT,
        "key": "token/acme/subject/alice",
        "version": version,
        "data": {"n": 1},
    }
    assert list((directory / ".new").iterdir()) == []


def test_keys_of_one_kind_open_no_other_files(directory: Path, store: FileStore) -> None:
    """Listing the sign-ins under way does not read every token: a file of another kind is not even opened."""
    store.save("authorization/acme/1", {}, expected=None)
    store.save("token/acme/alice", {}, expected=None)
    [other] = directory.glob("token-*.json")
    other.unlink()
    # To open this would wait for a writer, or be refused.
    other.symlink_to("/dev/zero")
    assert list(store.keys("authorization/acme/")) == ["authorization/acme/1"]


def test_f48_a_lax_directory_is_refused(directory: Path) -> None:
    """F48: a directory that others may enter is refused with the way to mend it, and left as it is."""
    directory.mkdir(0o755)
    directory.chmod(0o755)
    with raises(StoreError, parameter="check_permissions", shows=(str(directory), "mode 755", "chmod 700")):
        FileStore(directory)
    assert mode(directory) == 0o755
    FileStore(directory, check_permissions=False).save("alice", {}, expected=None)


def test_f48_a_lax_record_is_refused(directory: Path, store: FileStore) -> None:
    """F48: a record with mode 0644 is neither read nor replaced nor moved aside, until it is mended or accepted."""
    version = store.save("alice", {"n": 1}, expected=None)
    [path] = records(directory)
    path.chmod(0o644)
    for attempt in (lambda: store.load("alice"), lambda: store.save("alice", {}, expected=version)):
        with raises(StoreError, parameter="check_permissions", shows=(str(path), "mode 644", "chmod 600")):
            attempt()
    assert records(directory) == [path]
    assert loaded(FileStore(directory, check_permissions=False), "alice").data == {"n": 1}
    path.chmod(0o600)
    assert loaded(store, "alice").data == {"n": 1}


def test_f48_symlinks_are_refused(tmp_path: Path, directory: Path) -> None:
    """F48: neither a symlinked directory, dangling or not, nor a symlinked record is followed."""
    elsewhere = tmp_path / "elsewhere"
    directory.symlink_to(elsewhere)
    for _ in range(2):
        with raises(StoreError, parameter="check_permissions", shows="check_permissions=False"):
            FileStore(directory)
        elsewhere.mkdir(0o700, exist_ok=True)
    assert list(elsewhere.iterdir()) == []
    directory.unlink()
    store = FileStore(directory)
    store.save("alice", {"n": 1}, expected=None)
    [path] = records(directory)
    path.rename(elsewhere / "moved.json")
    path.symlink_to(elsewhere / "moved.json")
    with raises(StoreError, parameter="check_permissions", shows="check_permissions=False"):
        store.load("alice")
    assert loaded(FileStore(directory, check_permissions=False), "alice").data == {"n": 1}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory another user's")
def test_f48_another_users_directory_is_refused(directory: Path) -> None:
    """F48: a directory that belongs to somebody else is refused, however private."""
    directory.mkdir(0o700)
    os.chown(directory, 65534, 65534)
    with raises(StoreError, parameter="check_permissions", shows="uid 65534"):
        FileStore(directory)


def test_what_is_not_a_directory_is_refused(directory: Path) -> None:
    """A file in the directory's place is an error that names it."""
    directory.write_text("")
    with raises(StoreError, shows=str(directory)):
        FileStore(directory)
    with raises(StoreError, parameter="directory"):
        FileStore("")


def test_f48_a_read_only_directory_is_an_error(tmp_path: Path, directory: Path) -> None:
    """F48: where nothing may be written a save raises StoreError with the remedy, and what is stored is still read."""
    store = FileStore(directory)
    version = store.save("alice", {"n": 1}, expected=None)

    def as_somebody() -> None:
        if os.geteuid() == 0:
            # The superuser may write anywhere.
            for path in (directory, *directory.rglob("*")):
                os.chown(path, 65534, 65534)
            # Up to the directory that pytest makes for this user alone.
            for parent in directory.parents[:4]:
                parent.chmod(0o711)
            os.setuid(65534)
        (directory / ".new").chmod(0o500)
        with raises(StoreError, shows=("Permission denied", str(directory))):
            store.save("alice", {"n": 2}, expected=version)
        assert loaded(store, "alice").data == {"n": 1}

    in_forked_child(as_somebody)


def test_f48_a_full_disk_loses_nothing(directory: Path, store: FileStore) -> None:
    """F48: a save that finds no room raises StoreError, the former record stays and no half file does."""
    version = store.save("alice", {"n": 1}, expected=None)

    def with_no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with raises(StoreError, shows="File too large"):
            store.save("alice", {"big": "x" * 5000}, expected=version)
        assert list((directory / ".new").iterdir()) == []

    in_forked_child(with_no_room)
    assert loaded(store, "alice") == Record({"n": 1}, version)


class FullDisk(FileStore):
    """A disk that is full while `is_full`."""

    is_full = False

    def _replace(self, new: Path, path: Path) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super()._replace(new, path)


def test_f48_the_request_continues_with_the_pair_in_memory(directory: Path) -> None:
    """F48: a rotation that cannot be stored is used from memory, and stored by a later call once there is room."""
    store = FullDisk(directory)
    world = ScriptedWorld(store=store)
    alice = world.client.for_subject("alice")
    alice.adopt(world.token(0))
    world.clock.advance(3700)
    store.is_full = True
    world.server.will(answer({"access_token": "at1", "refresh_token": "rt1", "expires_in": 3600}))
    assert alice.token().access_token == "at1"
    assert "save_failed" in world.emitted()
    assert "rt1" not in "".join(path.read_text() for path in records(directory))
    store.is_full = False
    world.clock.advance(120)
    assert alice.token().access_token == "at1"
    assert "saved" in world.emitted()
    assert ["rt1" in path.read_text() for path in records(directory)] == [True]
    assert len(world.server.requests) == 1


def test_a_removed_directory_comes_back(directory: Path, store: FileStore) -> None:
    """A store whose directory was removed is empty, and the next save makes it again, private."""
    store.save("alice", {"n": 1}, expected=None)
    shutil.rmtree(directory)
    assert store.load("alice") is None
    store.save("alice", {"n": 2}, expected=None)
    assert loaded(store, "alice").data == {"n": 2}
    assert mode(directory) == 0o700


# Damage


def of_another_key(text: str) -> str:
    return text.replace('"alice"', '"mallory"')


DAMAGES: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "zeros": lambda text: "\0" * len(text),
    "cut short": lambda text: text[:-20],
    "a list": lambda text: f"[{text}]",
    "foreign": lambda text: json.dumps({"token": SECRET}),
    "no format": lambda text: text.replace('"blnk_auth":1,', ""),
    "format zero": lambda text: text.replace('"blnk_auth":1', '"blnk_auth":0'),
    "no version": lambda text: text.replace('"version"', '"revision"'),
    "data no object": lambda text: text[: text.index('"data":')] + f'"data":"{SECRET}"}}',
    "another key's": of_another_key,
    "no key": lambda text: text.replace('"key":"alice"', '"key":7'),
}


def test_a_lock_directory_that_is_removed_in_between_comes_back(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the user's runtime directory is removed when the last session ends, between making it and locking in it."""
    made = iter([True])

    def removed_after(path: Path, access: Access) -> None:
        make_directory(path, access)
        if next(made, False):
            path.rmdir()

    monkeypatch.setattr(_process_lock, "make_directory", removed_after)
    with _process_lock.process_lock(directory / "locks" / "a", purpose="a test", timeout=1):
        assert (directory / "locks" / "a").exists()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_f44_a_damaged_record_is_moved_aside(directory: Path, store: FileStore, damage: Callable[[str], str]) -> None:
    """F44: it raises StoreError naming file and remedy, again and again, is never taken for missing or overwritten,
    keeps its bytes, and disturbs no other record; a delete heals it.
    """
    version = store.save("alice", {"access_token": SECRET}, expected=None)
    store.save("bob", {"n": 2}, expected=None)
    path = next(path for path in records(directory) if '"alice"' in path.read_text())
    damaged = damage(path.read_text())
    path.write_text(damaged)
    aside = path.with_name(path.name + ".unreadable")
    attempts = (
        lambda: store.load("alice"),
        lambda: store.load("alice"),
        lambda: store.save("alice", {}, expected=None),
        lambda: store.save("alice", {}, expected=version),
        lambda: FileStore(directory).load("alice"),
    )
    for attempt in attempts:
        with raises(StoreError, key="alice", shows=(str(path), str(aside))) as raised:
            attempt()
        assert not isinstance(raised.value, Conflict)
        assert leaks([raised.value, raised.value.__context__], [SECRET]) == []
    assert aside.read_text() == damaged
    assert not path.exists()
    assert list(store.keys()) == ["bob"]
    assert loaded(store, "bob").data == {"n": 2}
    store.delete("alice")
    assert not aside.exists()
    store.save("alice", {"n": 3}, expected=None)


def test_f44_a_damaged_record_may_be_restored(directory: Path, store: FileStore) -> None:
    """F44: the moved file put back in its place, mended, is loaded as before; a second damage overwrites no first."""
    version = store.save("alice", {"n": 1}, expected=None)
    [path] = records(directory)
    good = path.read_text()
    for damaged in ("first", "second"):
        path.write_text(damaged)
        path.chmod(0o600)
        with pytest.raises(StoreError):
            store.load("alice")
        path.write_text(good)
        path.chmod(0o600)
        assert loaded(store, "alice") == Record({"n": 1}, version)
    asides = sorted(directory.glob("*.unreadable*"))
    assert [aside.read_text() for aside in asides] == ["first", "second"]
    assert list(store.check()) == []
    store.delete("alice")
    assert list(directory.glob("*.json*")) == []


def test_a_newer_record_is_refused_and_left(directory: Path, store: FileStore) -> None:
    """A record of a later release is refused with the advice to upgrade, and stays where that release looks for it."""
    version = store.save("alice", {"n": 1}, expected=None)
    [path] = records(directory)
    newer = path.read_text().replace('"blnk_auth":1', '"blnk_auth":2')
    path.write_text(newer)
    for attempt in (lambda: store.load("alice"), lambda: store.save("alice", {}, expected=version)):
        with raises(StoreError, key="alice"):
            attempt()
    assert path.read_text() == newer


def test_check_reports_what_cannot_be_read(directory: Path, store: FileStore) -> None:
    """`check` moves damaged files aside and reports them, those moved before, and lax and newer ones."""
    for name in ("good", "damaged", "before", "lax", "newer"):
        store.save(name, {"token": SECRET}, expected=None)
    paths = {json.loads(path.read_text())["key"]: path for path in records(directory)}
    for name in ("damaged", "before"):
        paths[name].write_text(SECRET)
    with pytest.raises(StoreError):
        store.load("before")
    paths["lax"].chmod(0o644)
    paths["newer"].write_text(paths["newer"].read_text().replace('"blnk_auth":1', '"blnk_auth":9'))
    (directory / "notes.json").write_text("not ours")
    found = list(store.check())
    reported = {Path(each.where).name.partition(".")[0]: each.moved_aside for each in found}
    assert reported == {
        paths["damaged"].stem: True,
        paths["before"].stem: True,
        paths["lax"].stem: False,
        paths["newer"].stem: False,
    }
    assert leaks(found, [SECRET]) == []
    assert {path.name for path in directory.glob("*.json")} == {
        "notes.json",
        *(paths[name].name for name in ("good", "lax", "newer")),
    }
    assert [each.moved_aside for each in store.check() if each.moved_aside] == [True, True]


# Kills and crowds


@pytest.mark.parametrize("times", [15, pytest.param(200, marks=pytest.mark.deep)])
def test_f44_a_kill_leaves_the_old_or_the_new_record(directory: Path, times: int) -> None:
    """F44: kill -9 at random moments of saving leaves a readable record, no lock, and no other file."""
    check_that_kills_leave_old_or_new(partial(FileStore, directory), times)
    assert list((FileStore(directory)._directory / ".new").iterdir()) == []


def test_f44_what_a_kill_left_half_written_is_swept(directory: Path, store: FileStore) -> None:
    """F44: opening a store removes half-written files, but waits for a process that is still writing one."""
    store.save("alice", {}, expected=None)
    [path] = records(directory)
    left = directory / ".new" / path.name
    left.write_text(SECRET)
    reading, writing = os.pipe()

    def child() -> None:
        os.write(writing, b"begun")
        FileStore(directory)
        os.write(writing, b"swept")

    with store._write_lock(path):
        pid = start_forked_child(child)
        assert os.read(reading, 5) == b"begun"
        assert select.select([reading], [], [], 0.5)[0] == []
        assert left.exists()
    assert os.read(reading, 5) == b"swept"
    assert os.waitpid(pid, 0)[1] == 0
    assert not left.exists()
    os.close(reading)
    os.close(writing)


def test_a_half_written_file_does_not_prevent_a_save(directory: Path, store: FileStore) -> None:
    """A save works although an earlier one of that key was killed before its end, even over a symlink."""
    store.save("alice", {}, expected=None)
    [path] = records(directory)
    (directory / ".new" / path.name).symlink_to(directory / "elsewhere")
    store.save("alice", {"n": 2}, expected=loaded(store, "alice").version)
    assert loaded(store, "alice").data == {"n": 2}
    assert not (directory / "elsewhere").exists()


@pytest.mark.deep
def test_f40_eight_processes_renew_once_each_time(directory: Path) -> None:
    """F40: ten times in a row, eight processes that share an expired token make one renewal and spend none twice."""
    for _ in range(10):
        check_that_a_crowd_renews_once(partial(FileStore, directory))


def test_f46_processes_that_write_different_keys_lose_none(directory: Path, store: FileStore) -> None:
    """F46: every key that eight processes wrote at the same time is there, and no key that they deleted."""
    run_processes(8, write_own_keys_in, partial(FileStore, directory), 25)
    assert len(list(store.keys())) == 8 * 25


def test_f50_an_unrelated_update_does_not_undo_a_rotation(store: FileStore) -> None:
    """F50: a writer that read before a rotation gets Conflict, and the rotated pair stays."""
    stale = store.save("alice", {"refresh_token": "rt0", "quota": 1}, expected=None)
    store.save("alice", {"refresh_token": "rt1", "quota": 1}, expected=stale)
    with pytest.raises(Conflict):
        store.save("alice", {"refresh_token": "rt0", "quota": 2}, expected=stale)
    assert loaded(store, "alice").data == {"refresh_token": "rt1", "quota": 1}


# Windows


def sharing_error(code: int) -> OSError:
    error = PermissionError(errno.EACCES, "being used by another process")
    error.winerror = code  # type: ignore[attr-defined]
    return error


class SharedByWindows(FileStore):
    """Refuses the next replacements as Windows does while another program reads the file."""

    refusals: list[int]

    def _replace(self, new: Path, path: Path) -> None:
        if self.refusals:
            raise sharing_error(self.refusals.pop(0))
        super()._replace(new, path)


def test_f47_a_file_that_somebody_reads_is_replaced_a_little_later(directory: Path) -> None:
    """F47: winerror 5, 32 and 33 are met with patience, and the save succeeds."""
    store = SharedByWindows(directory)
    store.refusals = [5, 32, 33]
    version = store.save("alice", {"n": 1}, expected=None)
    assert store.refusals == []
    assert loaded(store, "alice") == Record({"n": 1}, version)


def test_f47_patience_has_an_end() -> None:
    """F47: after about two seconds of pauses the last error is raised; one that no pause resolves is raised
    immediately.
    """
    pauses: list[float] = []

    def refuse(code: int) -> None:
        raise sharing_error(code)

    with pytest.raises(PermissionError):
        past_sharing_errors(lambda: refuse(32), pauses.append)
    assert pauses == sorted(pauses)
    assert 1 < sum(pauses) < 3
    del pauses[:]
    with pytest.raises(PermissionError):
        past_sharing_errors(lambda: refuse(19), pauses.append)
    assert pauses == []


# Handles and locks


def test_a_pickle_carries_the_path_alone(directory: Path) -> None:
    """A pickled store opens the same directory elsewhere, with the same strictness, and holds no record."""
    store = FileStore(directory, check_permissions=False)
    store.save("alice", {"access_token": SECRET}, expected=None)
    directory.chmod(0o755)
    pickled = pickle.dumps(store)
    assert SECRET.encode() not in pickled
    restored = pickle.loads(pickled)
    assert repr(restored) == repr(store) == f"FileStore({str(directory)!r})"
    assert loaded(restored, "alice").data == {"access_token": SECRET}
    assert copy.deepcopy({"store": store})["store"] is store is copy.copy(store)


def test_locks_leave_no_files_behind(directory: Path, store: FileStore) -> None:
    """The lock file of a key exists while the lock is taken, and not afterwards."""
    for number in range(20):
        with store.lock(f"key {number}", timeout=1):
            assert len(list((directory / ".locks").glob("*.lock"))) == 1
    assert list((directory / ".locks").glob("*.lock")) == []


def test_a_child_forked_during_a_save_blocks_nobody(store: FileStore) -> None:
    """A child that inherited a writer's lock file open does not keep later saves waiting."""
    path = store._path("alice")
    reading, writing = os.pipe()
    with store._write_lock(path):
        pid = os.fork()
        if pid == 0:
            os.read(reading, 1)
            os._exit(0)
    try:
        store.save("alice", {}, expected=None)
    finally:
        os.write(writing, b".")
        assert os.waitpid(pid, 0)[1] == 0
        os.close(reading)
        os.close(writing)


def test_any_text_is_a_key(store: FileStore) -> None:
    """Even a key with a lone surrogate is saved, listed and loaded."""
    store.save("\ud800/x", {"n": 1}, expected=None)
    assert loaded(store, "\ud800/x").data == {"n": 1}
    assert list(store.keys("\ud800")) == ["\ud800/x"]
