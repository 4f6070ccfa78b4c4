"""What SQLiteStore promises beyond the contract: its file, its schema, its locks, forks and faults."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.errors import raises
from support.limits import PATIENCE
from support.processes import in_forked_child, start_forked_child
from support.stores.kill_trial import check_that_kills_leave_old_or_new
from support.stores.workers import count_in_file, write_own_keys

from blnk_auth.errors import ConfigurationError, Conflict, StoreError
from blnk_auth.stores import DueEntry, FileStore, _sqlite_file
from blnk_auth.stores._private_file import tighten
from blnk_auth.stores._sqlite import _DUE_BEFORE, _DUE_BETWEEN, _DUE_TOGETHER, SQLiteStore
from blnk_auth.stores._sqlite_schema import APPLICATION_ID, MIGRATIONS, migrate
from blnk_auth.stores._token_store import TokenStore
from blnk_auth.testing.store_contract import check_that_a_crowd_renews_once, run_processes

forks_with_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    with SQLiteStore(path) as store:
        yield store


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def run_sql(path: Path, *statements: str) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
    return rows


def data_of(store: TokenStore, key: str) -> dict[str, object] | None:
    record = store.load(key)
    return record and record.data


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


# The file


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277])
def test_only_this_user_may_read_what_it_creates(tmp_path: Path, mask: int) -> None:
    """Under any umask the database and its companions have mode 0600."""
    path = tmp_path / "tokens.db"
    with umask(mask), SQLiteStore(path) as store:
        store.save("alice", {}, expected=None)
        assert {entry.name: mode(entry) for entry in tmp_path.iterdir() if entry.is_file()} == {
            "tokens.db": 0o600,
            "tokens.db-wal": 0o600,
            "tokens.db-shm": 0o600,
        }


def test_missing_directories_are_private(tmp_path: Path) -> None:
    """Every directory made for the file, and the one of its locks, has mode 0700; lock files have 0600."""
    path = tmp_path / "a" / "b" / "tokens.db"
    with umask(0o022), SQLiteStore(path) as store, store.lock("alice", timeout=PATIENCE):
        locks = path.with_name("tokens.db-locks")
        assert [mode(made) for made in (tmp_path / "a", tmp_path / "a" / "b", locks)] == [0o700] * 3
        assert [mode(lock) for lock in locks.iterdir()] == [0o600]


def test_an_existing_directory_is_left_as_it_is(tmp_path: Path) -> None:
    """The mode of a directory that was there before is not ours to change."""
    tmp_path.chmod(0o755)
    SQLiteStore(tmp_path / "tokens.db")
    assert mode(tmp_path) == 0o755


def test_a_lax_file_is_tightened(path: Path) -> None:
    """A database that others may read, its log included, is closed to them when it is opened, and keeps its records."""
    store = SQLiteStore(path)
    store.save("alice", {"n": 1}, expected=None)
    companions = [path, Path(f"{path}-wal"), Path(f"{path}-shm")]
    for file in companions:
        file.chmod(0o644)
    with SQLiteStore(path) as other:
        assert data_of(other, "alice") == {"n": 1}
        assert [mode(file) for file in companions] == [0o600] * 3


def test_an_empty_file_becomes_ours(path: Path) -> None:
    """A file made with `touch` is taken, and tightened."""
    path.touch(0o644)
    SQLiteStore(path).save("alice", {}, expected=None)
    assert mode(path) == 0o600


def test_a_lax_file_of_another_user_is_refused(tmp_path: Path) -> None:
    """What others may read and is not ours to tighten is an error, not a risk taken."""
    foreign = Path("/")
    if os.geteuid() == 0:
        foreign = tmp_path / "foreign"
        foreign.touch(0o644)
        os.chown(foreign, 65534, 65534)
    with raises(StoreError, parameter="check_permissions"):
        tighten(foreign)


def test_a_symlink_is_refused(tmp_path: Path) -> None:
    """A symlink is refused, and neither its target nor, if it dangles, anything else is created."""
    path, target = tmp_path / "link.db", tmp_path / "target.db"
    path.symlink_to(target)
    for _ in range(2):
        with raises(StoreError, parameter="path", shows="link.db"):
            SQLiteStore(path)
        assert not target.exists() or target.read_bytes() == b""
        target.touch()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link.db", "target.db"]


@pytest.mark.parametrize("where", ["", "file/tokens.db", "file/deeper/tokens.db"])
def test_a_path_that_cannot_be_is_refused(tmp_path: Path, where: str) -> None:
    """A directory, or a path below a regular file, raises StoreError that names the path and the remedy."""
    (tmp_path / "file").write_text("mine")
    with raises(StoreError, shows=str(tmp_path / where)):
        SQLiteStore(tmp_path / where)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_unwritable_place_is_refused() -> None:
    """Where nobody may create anything, StoreError reports it at construction."""
    with raises(StoreError, shows="/proc/nowhere/tokens.db", remedy=_sqlite_file._MAKE_WRITABLE):
        SQLiteStore("/proc/nowhere/tokens.db")


@pytest.mark.parametrize("odd", ["", ":memory:", "a\0b", "~nobody-of-this-name/tokens.db"])
def test_an_odd_path_is_refused(odd: str) -> None:
    """A path that SQLite would read in another way is refused with its name."""
    with raises(StoreError, parameter="path"):
        SQLiteStore(odd)


def test_the_home_directory_is_expanded(tmp_path: Path) -> None:
    """`~` is this user's home directory."""
    script = "from blnk_auth.stores._sqlite import SQLiteStore; SQLiteStore('~/state/tokens.db')"
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
    assert (tmp_path / "state" / "tokens.db").is_file()


def test_a_relative_path_stays_where_it_was(tmp_path: Path) -> None:
    """A change of the working directory does not move the store, nor its locks."""
    before = Path.cwd()
    (tmp_path / "elsewhere").mkdir()
    try:
        os.chdir(tmp_path)
        store = SQLiteStore("tokens.db")
        os.chdir(tmp_path / "elsewhere")
        with store.lock("alice", timeout=PATIENCE):
            store.save("alice", {}, expected=None)
    finally:
        os.chdir(before)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    store.close()


@pytest.mark.parametrize("content", [b"mine", b"not a database, but mine\n" * 100], ids=("short", "long"))
def test_a_file_that_is_not_a_database_is_left_alone(path: Path, content: bytes) -> None:
    """A file that is not a database is refused, with content and mode as they were and nothing put beside it."""
    path.write_bytes(content)
    path.chmod(0o644)
    with raises(StoreError, shows=str(path), remedy=_sqlite_file._REMEDIES[sqlite3.SQLITE_NOTADB]):
        SQLiteStore(path)
    assert path.read_bytes() == content
    assert mode(path) == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "statements",
    [("CREATE TABLE t (x)",), ("PRAGMA application_id = 7",), ("PRAGMA user_version = 1",)],
    ids=("table", "application_id", "user_version"),
)
def test_a_database_of_another_application_is_left_alone(path: Path, statements: tuple[str, ...]) -> None:
    """A database of another program, with any small difference, is refused and not changed by a byte."""
    run_sql(path, *statements)
    path.chmod(0o644)
    before = path.read_bytes()
    with raises(StoreError, parameter="path", shows=str(path)):
        SQLiteStore(path)
    assert path.read_bytes() == before
    assert mode(path) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_a_removed_file_is_made_again(path: Path, store: SQLiteStore) -> None:
    """After somebody removed the file, the store is empty, and what is saved then is on disk, not in the removed
    file.
    """
    version = store.save("alice", {"n": 1}, expected=None)
    for file in path.parent.glob("tokens.db*"):
        if file.is_file():
            file.unlink()
    with pytest.raises(Conflict):
        store.save("alice", {"n": 2}, expected=version)
    store.save("alice", {"n": 3}, expected=None)
    with SQLiteStore(path) as other:
        assert data_of(other, "alice") == {"n": 3}
    assert mode(path) == 0o600


def test_a_closed_store_opens_again(store: SQLiteStore) -> None:
    """A renewal that ends after `close` can still save."""
    store.close()
    store.close()
    store.save("alice", {"n": 1}, expected=None)
    assert data_of(store, "alice") == {"n": 1}


def test_the_context_lets_go_of_the_file(path: Path) -> None:
    """Leaving the context closes the database: its log is folded in and removed."""
    with SQLiteStore(path) as store:
        store.save("alice", {}, expected=None)
        assert Path(f"{path}-wal").exists()
    assert not Path(f"{path}-wal").exists()


def test_a_save_is_flushed_to_the_disk(path: Path, store: SQLiteStore) -> None:
    """The database writes ahead and waits for the disk at each commit."""
    assert run_sql(path, "PRAGMA journal_mode") == [("wal",)]
    with store._file.connected("read") as connection:
        assert connection.execute("PRAGMA synchronous").fetchall() == [(2,)]
        assert connection.execute("PRAGMA fullfsync").fetchall() == [(1,)]


# The schema


def test_the_file_names_its_program(path: Path, store: SQLiteStore) -> None:
    """The header carries our application id and the number of migrations."""
    assert run_sql(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert run_sql(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]


def test_a_newer_schema_is_refused(path: Path) -> None:
    """A file written by a later release is refused with the advice to upgrade, and keeps its records and version."""
    with SQLiteStore(path) as store:
        store.save("alice", {"n": 1}, expected=None)
    run_sql(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with raises(StoreError, shows=(str(path), f"version {len(MIGRATIONS) + 1}")):
        SQLiteStore(path)
    assert run_sql(path, "SELECT key FROM records") == [("alice",)]
    assert run_sql(path, "PRAGMA user_version") == [(len(MIGRATIONS) + 1,)]


def test_an_older_schema_is_migrated(path: Path) -> None:
    """Only the migrations that a file lacks are applied, once, and its records stay."""
    with SQLiteStore(path) as store:
        store.save("alice", {"n": 1}, expected=None)
    later = (*MIGRATIONS, "ALTER TABLE records ADD COLUMN note TEXT", "UPDATE records SET note = 'migrated'")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, later)
        migrate(connection, path, later)
    assert run_sql(path, "SELECT key, data, note FROM records") == [("alice", '{"n":1}', "migrated")]
    assert run_sql(path, "PRAGMA user_version") == [(len(MIGRATIONS) + 2,)]


def test_a_file_of_the_first_version_gets_an_index(path: Path) -> None:
    """Its records stay, and count as due until they are saved again or corrected."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, MIGRATIONS[:1])
        connection.execute("INSERT INTO records (key, version, data) VALUES ('alice', 'v1', '{\"n\": 1}')")
    with SQLiteStore(path) as store:
        assert store.due("", 1.0, limit=9) == [DueEntry(0.0, "alice", is_exact=False)]
        store.note_due([("alice", "v1", 5.0)])
        assert store.due("", 5.0, limit=9) == []
        assert store.due("", 6.0, limit=9) == [DueEntry(5.0, "alice", is_exact=True)]
        assert data_of(store, "alice") == {"n": 1}


@pytest.mark.parametrize("due_at", [None, 5e9], ids=["never due", "due later"])
def test_what_a_process_of_the_first_version_saves_counts_as_due(
    path: Path, store: SQLiteStore, due_at: float | None
) -> None:
    """It had the file open before the migration, and knows no index: what it changes is found until it is read."""
    store.save("alice", {"due_at": due_at}, expected=None)
    assert store.due("", 1e9, limit=9) == []
    run_sql(path, "UPDATE records SET version = 'v2', data = '{}' WHERE key = 'alice'")
    run_sql(path, "INSERT INTO records (version, data, key) VALUES ('v1', '{}', 'bob')")
    assert [entry.key for entry in store.due("", 1e9, limit=9)] == ["alice", "bob"]


def test_due_records_are_found_without_reading_others(path: Path, store: SQLiteStore) -> None:
    """Each of the queries for a page uses the index, in its order: none sorts, and none reads the table."""
    store.save("alice", {"due_at": 1.0}, expected=None)
    for query, parameters in ((_DUE_BEFORE, (1,)), (_DUE_BETWEEN, (1, 2)), (_DUE_TOGETHER, (1, "k"))):
        with closing(sqlite3.connect(path)) as connection:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {query}", (*parameters, 1, "t", 9)).fetchall()
        [(*_, how)] = plan
        assert how.startswith("SEARCH records USING INDEX records_due")


def test_a_failed_migration_changes_nothing(path: Path) -> None:
    """If one migration fails, those before it are undone too and the file stays usable."""
    with SQLiteStore(path) as store:
        store.save("alice", {"n": 1}, expected=None)
    broken = (*MIGRATIONS, "DROP TABLE records", "no SQL")
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as connection,
        pytest.raises(sqlite3.OperationalError),
    ):
        migrate(connection, path, broken)
    with SQLiteStore(path) as store:
        assert data_of(store, "alice") == {"n": 1}


# Faults


@pytest.mark.parametrize(
    "damage",
    ['\'{"access_token": "s3cr3t\'', "'[\"s3cr3t\"]'", "x'ff733363723374'", "''", "7"],
    ids=("cut short", "list", "no UTF-8", "empty", "number"),
)
def test_an_unreadable_record_is_an_error_of_its_own(path: Path, store: SQLiteStore, damage: str) -> None:
    """It raises StoreError naming file, key and remedy and no secret; others work, and a delete heals it."""
    store.save("alice", {"n": 1}, expected=None)
    store.save("bob", {"n": 2}, expected=None)
    run_sql(path, f"UPDATE records SET data = CAST({damage} AS TEXT) WHERE key = 'alice'")
    with raises(StoreError, parameter="record", key="alice") as raised:
        store.load("alice")
    assert "s3cr3t" not in str(raised.value)
    assert raised.value.__context__ is None
    assert data_of(store, "bob") == {"n": 2}
    assert list(store.keys()) == ["alice", "bob"]
    store.delete("alice")
    store.save("alice", {"n": 3}, expected=None)


def test_a_full_disk_loses_nothing(store: SQLiteStore) -> None:
    """A save that finds no room raises StoreError with the remedy, and the former record stays."""
    version = store.save("alice", {"n": 1}, expected=None)
    with store._file.connected("read") as connection:
        connection.execute("PRAGMA max_page_count = 1").fetchall()
    with raises(StoreError, remedy=_sqlite_file._REMEDIES[sqlite3.SQLITE_FULL]):
        store.save("alice", {"big": "x" * 100_000}, expected=version)
    record = store.load("alice")
    assert record is not None
    assert (record.data, record.version) == ({"n": 1}, version)


def test_a_database_kept_locked_is_an_error(path: Path, store: SQLiteStore) -> None:
    """A save that waited in vain for another program's transaction names it as the cause; afterwards it works."""
    store.save("alice", {}, expected=None)
    with store._file.connected("read") as connection:
        connection.execute("PRAGMA busy_timeout = 1").fetchall()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with raises(StoreError, remedy=_sqlite_file._REMEDIES[sqlite3.SQLITE_BUSY]):
            store.save("bob", {}, expected=None)
        assert data_of(store, "alice") == {}
    store.save("bob", {}, expected=None)


def test_a_damaged_file_is_an_error(path: Path) -> None:
    """A database whose pages are overwritten raises StoreError with the remedy, not a crash or an empty store."""
    with SQLiteStore(path) as store:
        store.save("alice", {"big": "x" * 10_000}, expected=None)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    with raises(StoreError, shows=str(path), remedy=_sqlite_file._MOVE_ASIDE):
        SQLiteStore(path).load("alice")


def test_a_truncated_file_is_an_error(path: Path) -> None:
    """F44: a database that lost its end raises StoreError with the remedy, when it is made or when the end is read."""
    with SQLiteStore(path) as store:
        for number in range(50):
            store.save(f"key {number:02}", {"big": "x" * 5000}, expected=None)
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)
    with raises(StoreError, shows=str(path), remedy=_sqlite_file._MOVE_ASIDE):
        SQLiteStore(path)


def test_an_emptied_file_is_an_error(path: Path) -> None:
    """F44: a database cut to nothing is not taken for a new one, which would be to lose its records without a word."""
    with SQLiteStore(path) as store:
        store.save("alice", {"n": 1}, expected=None)
    os.truncate(path, 0)
    for _ in range(2):
        with raises(StoreError, shows=(str(path), f"{path}-locks")):
            SQLiteStore(path)
    path.unlink()
    assert list(SQLiteStore(path).keys()) == []


def test_a_removed_file_takes_its_log_with_it(path: Path) -> None:
    """A new database where one was removed does not read what the old one's write-ahead log left there."""
    store = SQLiteStore(path)
    store.save("alice", {"n": 1}, expected=None)
    leftover = {name: Path(f"{path}-{name}").read_bytes() for name in ("wal", "shm")}
    store.close()
    path.unlink()
    for name, content in leftover.items():
        Path(f"{path}-{name}").write_bytes(content)
    assert list(SQLiteStore(path).keys()) == []


def test_a_record_takes_little_more_than_its_own_size(path: Path) -> None:
    """Records of the size of a token pair share the pages; a page for each is three times as much,
    and makes a million of them slow to load.
    """
    data = {"access_token": "a" * 1200}
    with SQLiteStore(path) as store:
        for number in range(200):
            store.save(f"token/{number}", data, expected=None)
    assert path.stat().st_size < 200 * len(json.dumps(data)) * 2


def test_large_databases_are_not_checked_at_each_start(path: Path) -> None:
    """Beyond a size, opening looks at no record: damage there is an error of that record, and `check` finds it."""
    with SQLiteStore(path) as store:
        for number in range(3):
            store.save(f"key {number}", {"big": str(number) * 4_000_000}, expected=None)
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(content.index(b'{"big":"1'))
        file.write(b"\xff" * 64)
    with SQLiteStore(path) as store:
        assert data_of(store, "key 0") is not None
        with raises(StoreError, parameter="record", key="key 1"):
            store.load("key 1")
        assert [each.where for each in store.check()] == ["key 'key 1'"]


def test_check_reports_damaged_pages(path: Path, store: SQLiteStore) -> None:
    """`check` reports what is wrong with the database itself, and finds nothing wrong with a sound one."""
    store.save("alice", {"big": "x" * 10_000}, expected=None)
    assert list(store.check()) == []
    store.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    [found] = store.check()
    assert (found.where, found.moved_aside) == (str(path), False)


def with_an_index_out_of_order(path: Path) -> None:
    """Three records whose index has one bit changed, so that it is no longer in order; each page is sound by itself."""
    with SQLiteStore(path) as store:
        for key in ("token/a", "token/b", "token/zzz"):
            store.save(key, {"n": 1}, expected=None)
    run_sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    [(root,)] = run_sql(path, "SELECT rootpage FROM sqlite_master WHERE name LIKE 'sqlite_autoindex%'")
    [(size,)] = run_sql(path, "PRAGMA page_size")
    content = bytearray(path.read_bytes())
    at = content.index(b"token/zzz", (root - 1) * size)
    content[at + 6] ^= 0x20  # "z" becomes "Z", which is below "a"
    path.write_bytes(content)


def test_an_index_out_of_order_is_damage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would list the same page for ever, and hide a record that is there."""
    with_an_index_out_of_order(path)
    with raises(StoreError, remedy=_sqlite_file._REINDEX):
        SQLiteStore(path)
    # A large database is not checked when it is opened.
    monkeypatch.setattr(_sqlite_file, "_CHECKED_ON_OPENING", 0)
    with SQLiteStore(path) as store:
        with raises(StoreError, remedy=_sqlite_file._REINDEX):
            list(store.keys("token/"))
        [found] = store.check()
        assert found.where == str(path)
    run_sql(path, "REINDEX")
    with SQLiteStore(path) as store:
        assert list(store.keys("token/")) == ["token/a", "token/b", "token/zzz"]
        assert data_of(store, "token/zzz") == {"n": 1}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file another user's")
def test_a_database_of_another_user_is_refused(path: Path) -> None:
    """Its owner could read it at any time, however private it is now; also root would write tokens for them."""
    with SQLiteStore(path) as store:
        store.save("alice", {"n": 1}, expected=None)
    os.chown(path, 65534, 65534)
    with raises(StoreError, parameter="check_permissions", shows="uid 65534"):
        SQLiteStore(path)
    with SQLiteStore(path, check_permissions=False) as accepted:
        assert data_of(accepted, "alice") == {"n": 1}
    os.chown(path, 0, 0)
    os.chown(f"{path}-locks", 65534, 65534)
    with SQLiteStore(path) as store, raises(StoreError, parameter="check_permissions"):
        store.lock("alice", timeout=PATIENCE).__enter__()


def test_a_group_shares_what_its_directory_allows(tmp_path: Path) -> None:
    """With check_permissions=False the group gets what is created if it may write to the directory; others never do."""
    for directory_mode, file_mode, locks_mode in ((0o2770, 0o660, 0o2770), (0o755, 0o600, 0o700)):
        directory = tmp_path / f"{directory_mode:o}"
        directory.mkdir()
        directory.chmod(directory_mode)
        path = directory / "tokens.db"
        with SQLiteStore(path, check_permissions=False) as store:
            store.save("alice", {"n": 1}, expected=None)
            with store.lock("alice", timeout=PATIENCE):
                assert {mode(each) for each in Path(f"{path}-locks").iterdir()} == {file_mode}
            assert (mode(path), mode(Path(f"{path}-wal"))) == (file_mode, file_mode)
            assert mode(Path(f"{path}-locks")) == locks_mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
@pytest.mark.parametrize("kind", ["database", "files"])
def test_two_users_of_a_group_share_a_store(kind: str) -> None:
    """As where a container platform gives each deployment another uid and one gid, and a volume for that group."""

    def open_store(path: str) -> SQLiteStore | FileStore:
        if kind == "database":
            return SQLiteStore(f"{path}/tokens.db", check_permissions=False)
        return FileStore(f"{path}/tokens", check_permissions=False)

    def use(path: str, uid: int) -> None:
        os.setgroups([])
        os.setgid(0)
        os.setuid(uid)
        store = open_store(path)
        with store.lock("alice", timeout=PATIENCE):
            record = store.load("alice")
            number = 0 if record is None else record.data["n"]
            store.save("alice", {"n": number + 1}, expected=record and record.version)

    # Not below pytest's own directories, which are closed to other users.
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o2775)
        for uid in (1_000_660_000, 1_000_670_000, 1_000_660_000):
            in_forked_child(partial(use, path, uid))
        store = open_store(path)
        assert data_of(store, "alice") == {"n": 3}
        store.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("check_permissions", [True, False])
def test_a_directory_that_is_closed_names_its_owner(check_permissions: bool) -> None:
    """Where a new uid meets the files of another one, the error names their owner and the user who asks."""

    def use(path: str) -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        for make in (
            lambda: SQLiteStore(f"{path}/a/t.db", check_permissions=check_permissions),
            lambda: FileStore(f"{path}/a/t", check_permissions=check_permissions),
        ):
            with raises(StoreError, shows=("uid 0", "gid 0", "mode 700", "uid 65534")):
                make()

    with tempfile.TemporaryDirectory() as path:
        in_forked_child(partial(use, path))


@pytest.mark.parametrize("path", [None, 7, b"tokens.db", object(), ["tokens.db"]])
def test_what_is_not_a_path_is_refused(path: Any) -> None:
    """The error names the parameter and what to give."""
    with raises(ConfigurationError, parameter="path") as raised:
        SQLiteStore(path)
    assert raised.value.parameter == "path"


def test_a_key_that_is_not_text_is_an_error(store: SQLiteStore) -> None:
    """A key with a lone surrogate raises StoreError that shows it."""
    with raises(StoreError, shows=r"'\ud800'"):
        store.load("\ud800")
    with store.lock("\ud800", timeout=PATIENCE):
        pass


# Many keys


def test_keys_are_read_page_by_page(store: SQLiteStore) -> None:
    """Over more keys than a page holds, `keys` gives each once in order while others are written and deleted."""
    with store._file.connected("written") as connection:
        rows = [(f"k{number:04}",) for number in range(1700)]
        connection.executemany("INSERT INTO records (key, version, data) VALUES (?, 'v', '{}')", [*rows, ("l",)])
    seen: list[str] = []
    for key in store.keys("k"):
        seen.append(key)
        store.delete(key)
        store.save(f"a{key}", {}, expected=None)
    assert seen == [key for (key,) in rows]
    assert list(store.keys("k")) == []


# Handles


def test_it_is_a_token_store(store: SQLiteStore) -> None:
    """SQLiteStore has the five methods of the protocol."""
    assert isinstance(store, TokenStore)


def test_a_pickle_carries_the_path_alone(path: Path, store: SQLiteStore) -> None:
    """A pickled store opens the same file elsewhere, and the pickle holds no record."""
    store.save("alice", {"access_token": "s3cr3t"}, expected=None)
    pickled = pickle.dumps(store)
    assert b"s3cr3t" not in pickled
    with pickle.loads(pickled) as restored:
        assert repr(restored) == repr(store) == f"SQLiteStore({str(path)!r})"
        assert data_of(restored, "alice") == {"access_token": "s3cr3t"}


def test_a_copy_is_the_same_store(store: SQLiteStore) -> None:
    """Copying, deep or not, gives the store itself."""
    assert copy.copy(store) is store
    assert copy.deepcopy({"store": store})["store"] is store


# Locks


def test_locks_leave_no_files_behind(path: Path, store: SQLiteStore) -> None:
    """A lock file exists while the lock is taken, one for each key, and not afterwards."""
    locks = Path(f"{path}-locks")
    for number in range(100):
        with store.lock(f"key {number}", timeout=PATIENCE):
            assert len(list(locks.iterdir())) == 1
    assert list(locks.iterdir()) == []


def test_a_busy_lock_names_what_to_do(path: Path, store: SQLiteStore) -> None:
    """The error of a lock not had names the key, the database and the lock file, and what to do."""
    with (
        store.lock("alice", timeout=PATIENCE),
        raises(StoreError, shows=("'alice'", str(path), "-locks/", "lsof")),
        store.lock("alice", timeout=0),
    ):
        pass


def test_a_lock_that_cannot_be_is_an_error(path: Path, store: SQLiteStore) -> None:
    """Where the lock's directory cannot be, StoreError reports it; nothing falls back to a weaker lock."""
    locks = Path(f"{path}-locks")
    locks.rmdir()
    locks.write_text("in the way")
    with raises(StoreError, shows=("'alice'", str(locks))), store.lock("alice", timeout=PATIENCE):
        pass


def test_a_symlinked_lock_directory_is_refused(path: Path, tmp_path: Path, store: SQLiteStore) -> None:
    """Lock files go to no place that somebody else chose."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(0o755)
    locks = Path(f"{path}-locks")
    locks.rmdir()
    locks.symlink_to(elsewhere)
    with raises(StoreError, shows=str(locks)), store.lock("alice", timeout=PATIENCE):
        pass
    assert mode(elsewhere) == 0o755


def test_a_lax_lock_directory_is_tightened(path: Path, store: SQLiteStore) -> None:
    """A lock directory that others may enter is closed to them."""
    locks = Path(f"{path}-locks")
    locks.chmod(0o777)
    with store.lock("alice", timeout=PATIENCE):
        assert mode(locks) == 0o700


def test_two_spellings_of_a_path_share_the_lock(tmp_path: Path) -> None:
    """A directory reached through a symlink leads to the same locks."""
    real, alias = tmp_path / "real", tmp_path / "alias"
    real.mkdir()
    alias.symlink_to(real)
    one, other = SQLiteStore(real / "tokens.db"), SQLiteStore(alias / "tokens.db")
    with one.lock("alice", timeout=PATIENCE), pytest.raises(StoreError), other.lock("alice", timeout=0):
        pass


def test_removing_lock_files_lets_no_two_in(tmp_path: Path) -> None:
    """Processes that fight for one lock, whose file each removes on leaving, never hold it at the same time."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    run_processes(6, count_in_file, tmp_path / "locks" / "one.lock", counter, 300)
    assert counter.read_text() == "1800"
    assert list((tmp_path / "locks").iterdir()) == []


# Processes


@pytest.mark.parametrize("times", [15, pytest.param(200, marks=pytest.mark.deep)])
def test_f44_a_kill_leaves_the_old_or_the_new_record(path: Path, times: int) -> None:
    """F44: kill -9 at random moments, its first opening included, leaves a readable record and no lock."""
    check_that_kills_leave_old_or_new(partial(SQLiteStore, path), times)
    assert run_sql(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.deep
def test_f40_eight_processes_renew_once_each_time(path: Path) -> None:
    """F40: ten times in a row, eight processes that share an expired token make one renewal and spend none twice."""
    for _ in range(10):
        check_that_a_crowd_renews_once(partial(SQLiteStore, path))


def test_f46_f54_eight_processes_create_and_write_at_the_same_time(path: Path) -> None:
    """F46, F54: eight processes open a file that does not exist and write to it in parallel, and none finds it
    locked.
    """
    run_processes(8, write_own_keys, path, 25)
    with SQLiteStore(path) as store:
        assert len(list(store.keys())) == 8 * 25
    assert run_sql(path, "PRAGMA integrity_check") == [("ok",)]
    assert run_sql(path, "PRAGMA journal_mode") == [("wal",)]


def test_a_forked_child_reads_and_writes(store: SQLiteStore) -> None:
    """A child forked while the store is in use reads and writes, and so does its parent afterwards."""
    first = store.save("alice", {"n": 1}, expected=None)

    def child() -> None:
        with store.lock("alice", timeout=PATIENCE):
            store.save("alice", {"n": 2}, expected=first)

    in_forked_child(child)
    assert data_of(store, "alice") == {"n": 2}
    store.save("bob", {}, expected=None)


def test_what_a_forked_child_saves_is_never_lost(path: Path, store: SQLiteStore) -> None:
    """A child's saves survive its parent's end and another process's visit, which once deleted the log under it."""
    store.save("alice", {"n": 1}, expected=None)
    to_child, to_parent = os.pipe(), os.pipe()

    def child() -> None:
        store.save("bob", {"n": 2}, expected=None)
        os.write(to_parent[1], b".")
        os.read(to_child[0], 1)
        store.save("carol", {"n": 3}, expected=None)

    pid = start_forked_child(child)
    os.read(to_parent[0], 1)
    store.close()
    run_processes(1, write_own_keys, path, 1)
    os.write(to_child[1], b".")
    assert os.waitpid(pid, 0)[1] == 0
    for end in (*to_child, *to_parent):
        os.close(end)
    with SQLiteStore(path) as fresh:
        assert data_of(fresh, "carol") == {"n": 3}


@forks_with_threads
def test_a_fork_amid_other_threads_writes_is_safe(store: SQLiteStore) -> None:
    """Children forked while threads save and hold locks can save and lock; the threads notice nothing."""
    stop = threading.Event()

    def write(name: str) -> None:
        version = None
        while not stop.is_set():
            with store.lock(name, timeout=60):
                version = store.save(name, {}, expected=version)

    def child(number: int) -> None:
        with store.lock(f"child {number}", timeout=60):
            store.save(f"child {number}", {}, expected=None)

    with ThreadPoolExecutor(3) as threads:
        writers = [threads.submit(write, f"thread {number}") for number in range(3)]
        try:
            for number in range(10):
                in_forked_child(partial(child, number))
        finally:
            stop.set()
        for writer in writers:
            writer.result()
    assert len(list(store.keys("child "))) == 10


def test_a_child_forked_under_the_lock_does_not_free_it(store: SQLiteStore) -> None:
    """The lock stays with the process that took it: a child that leaves the context takes nothing from its parent."""
    context = store.lock("alice", timeout=PATIENCE)
    with context:
        in_forked_child(lambda: context.__exit__(None, None, None) and None)
        with pytest.raises(StoreError), store.lock("alice", timeout=0):
            pass
    with store.lock("alice", timeout=0):
        pass


def test_a_store_not_yet_used_crosses_any_fork(path: Path, store: SQLiteStore) -> None:
    """A store made before a fork that runs no hooks works in the child.

    In a process without other threads. Where another one waits for the interpreter's lock during such a fork, any child
    hangs when it next releases that lock, since only Python's fork hook makes it again.
    """
    subprocess.run([sys.executable, "-c", _SAVED_BY_A_CHILD, str(path)], timeout=PATIENCE, check=True)
    assert data_of(store, "alice") == {"n": 1}


_SAVED_BY_A_CHILD = """
import ctypes, os, sys
from blnk_auth import SQLiteStore

store = SQLiteStore(sys.argv[1])
child = ctypes.PyDLL(None).fork()
if not child:
    store.save("alice", {"n": 1}, expected=None)
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""


def test_a_store_in_use_refuses_a_fork_without_hooks(path: Path, store: SQLiteStore) -> None:
    """Where its file locks cannot be trusted, the store raises an error instead of losing a token."""
    subprocess.run([sys.executable, "-c", _REFUSED_IN_A_CHILD, str(path)], timeout=PATIENCE, check=True)
    assert data_of(store, "alice") == {}


_REFUSED_IN_A_CHILD = """
import ctypes, os, sys
from blnk_auth import SQLiteStore, StoreError

store = SQLiteStore(sys.argv[1])
store.save("alice", {}, expected=None)
child = ctypes.PyDLL(None).fork()
if not child:
    try:
        store.load("alice")
    except StoreError as error:
        store.close()
        os._exit("lazy-apps" not in str(error))
    os._exit(2)
sys.exit(os.waitpid(child, 0)[1])
"""


def test_a_store_that_python_frees_last_ends_quietly(path: Path) -> None:
    """A store that outlives the modules it uses, as Python exits, prints no traceback."""
    result = subprocess.run(
        [sys.executable, "-c", _FREED_AFTER_ITS_MODULE, str(path)], timeout=PATIENCE, check=True, capture_output=True
    )
    assert result.stderr == b""


_FREED_AFTER_ITS_MODULE = """
import ctypes, sys, types
early = sys.modules["early"] = types.ModuleType("early")  # modules are emptied in the reverse order of their import

from blnk_auth.stores import SQLiteStore, _sqlite_file
early.store = SQLiteStore(sys.argv[1])
early.store.save("alice", {}, expected=None)
for module in (early, _sqlite_file):  # as an extension in C keeps a module
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(module))
"""


def test_the_contract_needs_no_http_client() -> None:
    """Importing the contract, and both stores, imports no HTTP client."""
    script = (
        "import sys, blnk_auth.testing.store_contract, blnk_auth.stores._memory, blnk_auth.stores._sqlite\n"
        "assert not {'httpx', 'httpx2', 'requests', 'authlib', 'starlette'} & sys.modules.keys()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)


def test_no_statement_has_numbered_placeholders() -> None:
    """`?1` works on 3.11, is a warning on 3.12 and an error on 3.14."""
    sources = (Path(_sqlite_file.__file__).parent).glob("_sqlite*.py")
    numbered = [
        path.name for path in sources for line in path.read_text().splitlines() if re.search(r"[(=] ?\?\d", line)
    ]
    assert numbered == []
