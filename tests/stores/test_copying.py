"""Copying and checking stores, and the commands that do it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sqlite3
import string
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.canary.leaks import leaks
from support.errors import raises
from support.stores.scripted import AsyncMemoryStore
from support.waiting import wait_until

from blnk_auth.cli.app import group
from blnk_auth.errors import ConfigurationError, StoreError
from blnk_auth.stores._async_adapter import AsyncStoreAdapter
from blnk_auth.stores._copying import check_store, copy_store
from blnk_auth.stores._encrypted import EncryptedStore
from blnk_auth.stores._file import FileStore
from blnk_auth.stores._memory import MemoryStore
from blnk_auth.stores._sql import SQLStore
from blnk_auth.stores._sqlite import SQLiteStore
from blnk_auth.stores._token_store import Record, Version

SECRET = "s3cr3t-value"


def contents(store: Any) -> dict[str, Any]:
    return {key: store.load(key).data for key in list(store.keys())}


def filled(store: Any, *names: str) -> Any:
    for name in names:
        store.save(name, {"token": f"{SECRET} {name}"}, expected=None)
    return store


def damage(directory: Path, key: str) -> None:
    path = next(path for path in directory.glob("*.json") if json.loads(path.read_text())["key"] == key)
    path.write_text(path.read_text()[:-9])


# The functions


def test_any_store_is_copied_to_any(tmp_path: Path) -> None:
    """Through a chain of all kinds that need no server, every record arrives as it was."""
    first = filled(MemoryStore(), "a", "ключ", "token/x/y")
    stores = [
        first,
        FileStore(tmp_path / "tokens"),
        SQLiteStore(tmp_path / "tokens.db"),
        EncryptedStore(MemoryStore(), keys=[b"k" * 32]),
        AsyncStoreAdapter(AsyncMemoryStore()),
    ]
    for source, target in itertools.pairwise(stores):
        report = copy_store(source, target)
        assert report.copied == sorted(contents(first))
        assert report.is_complete
        assert contents(target) == contents(first)


def test_an_asynchronous_store_is_copied_as_it_is() -> None:
    """Wherever a store is accepted, one with coroutines is; what is not a store is refused by the parameter's name."""
    source, target = AsyncMemoryStore(), MemoryStore()
    filled(AsyncStoreAdapter(source), "a", "b")
    assert copy_store(source, target).copied == ["a", "b"]
    assert check_store(source).sound == 2
    wrong: Any = "sqlite:///tokens.db"
    for act, parameter in (
        (lambda: copy_store(wrong, target), "source"),
        (lambda: copy_store(target, wrong), "target"),
        (lambda: check_store(wrong), "store"),
    ):
        with pytest.raises(ConfigurationError) as raised:
            act()
        assert raised.value.parameter == parameter


def test_ten_damaged_records_are_not_a_store_that_fails(tmp_path: Path) -> None:
    """Errors about single records never end a copy, however many follow each other."""
    keys = [f"{number:02}" for number in range(15)]
    source = EncryptedStore(inner := MemoryStore(), keys=[b"k" * 32])
    for key in keys:
        inner.save(key, {"plain": SECRET}, expected=None)
    source.save("z", {"n": 1}, expected=None)
    report = copy_store(source, MemoryStore())
    assert ([each.key for each in report.failed], report.copied) == (keys, ["z"])


def test_a_copy_reports_how_far_it_is() -> None:
    """`on_progress` hears of each record, and of how many there are."""
    heard: list[tuple[int, int]] = []
    copy_store(filled(MemoryStore(), "a", "b"), MemoryStore(), lambda done, total: heard.append((done, total)))
    assert heard == [(1, 2), (2, 2)]


def test_an_interrupted_copy_is_taken_up() -> None:
    """Repeated after an interruption, a copy does the rest and rewrites nothing."""
    source, target = filled(MemoryStore(), "a", "b", "c"), MemoryStore()

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_store(source, target, interrupt)
    before = [target.load(key) for key in ("a", "b")]
    report = copy_store(source, target)
    assert (report.equal, report.copied, report.is_complete) == (["a", "b"], ["c"], True)
    assert [target.load(key) for key in ("a", "b")] == before


def test_a_different_record_is_left_without_overwrite() -> None:
    """What the target has and the source has not is never touched; what differs only with `overwrite`."""
    source, target = filled(MemoryStore(), "a", "b"), MemoryStore()
    target.save("a", {"newer": True}, expected=None)
    target.save("z", {"theirs": True}, expected=None)
    report = copy_store(source, target)
    assert (report.different, report.copied, report.is_complete) == (["a"], ["b"], False)
    assert contents(target)["a"] == {"newer": True}
    assert copy_store(source, target, overwrite=True).is_complete
    assert contents(target) == {**contents(source), "z": {"theirs": True}}


class Interfering(MemoryStore):
    """Does something once, after its first save."""

    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self.then: Callable[[], object] | None = then

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        version = super().save(key, data, expected=expected)
        then, self.then = self.then, None
        if then is not None:
            then()
        return version


def test_a_record_renewed_meanwhile_is_reported() -> None:
    """A pair that rotates in the source while it is copied is reported as different: its copy is spent."""
    source = MemoryStore()
    version = source.save("a", {"n": 1}, expected=None)
    target = Interfering(lambda: source.save("a", {"n": 2}, expected=version))
    assert copy_store(source, target).different == ["a"]
    assert copy_store(source, target, overwrite=True).copied == ["a"]
    assert contents(target) == {"a": {"n": 2}}


def test_a_target_that_keeps_something_else_is_found_out() -> None:
    """Each record is read back: a target that does not keep what it was given is an error."""

    class Lossy(MemoryStore):
        def load(self, key: str) -> Record | None:
            record = super().load(key)
            return record and Record({**record.data, "token": "rounded"}, record.version)

    report = copy_store(filled(MemoryStore(), "a"), Lossy())
    assert [each.where for each in report.failed] == ["key 'a'"]
    assert report.failed[0].key == "a"
    assert not report.is_complete


def test_an_unreadable_record_does_not_stop_the_others(tmp_path: Path) -> None:
    """What cannot be read is reported, and all else is copied."""
    source = EncryptedStore(inner := MemoryStore(), keys=[b"k" * 32])
    filled(source, "a", "c")
    inner.save("b", {"token": SECRET}, expected=None)
    target = FileStore(tmp_path / "tokens")
    report = copy_store(source, target)
    assert (report.copied, [each.where for each in report.failed]) == (["a", "c"], ["key 'b'"])
    assert leaks([report], [SECRET]) == []


def test_what_the_source_cannot_even_list_makes_a_copy_incomplete(tmp_path: Path) -> None:
    """A damaged file has no key that could be listed; the copy reports it, now and when repeated, until it is
    mended.
    """
    source, target = filled(FileStore(tmp_path / "tokens"), "a", "b"), MemoryStore()
    damage(tmp_path / "tokens", "b")
    for copied in (["a"], []):
        report = copy_store(source, target)
        assert (report.copied, [each.moved_aside for each in report.failed]) == (copied, [True])
        assert not report.is_complete
    source.delete("b")
    assert copy_store(source, target).is_complete


def test_a_newer_record_is_reported_once(tmp_path: Path) -> None:
    """What a store finds by itself and then cannot load is one problem, in a check and in a copy."""
    source = filled(FileStore(tmp_path / "tokens"), "a")
    [path] = (tmp_path / "tokens").glob("*.json")
    path.write_text(path.read_text().replace('"blnk_auth":1', '"blnk_auth":9'))
    assert len(check_store(source).unreadable) == 1
    assert len(copy_store(source, MemoryStore()).failed) == 1


def test_a_store_that_fails_as_a_whole_is_reported_once() -> None:
    """A target that is down, or a source that stops, is not asked for each of a million keys."""

    class Down(MemoryStore):
        def load(self, key: str) -> Record | None:
            asked.append(key)
            raise StoreError(down)

    down = "the server is down"
    asked: list[str] = []
    keys = string.ascii_lowercase
    with raises(StoreError, problem=down):
        copy_store(filled(MemoryStore(), *keys), Down())
    with raises(StoreError, problem=down):
        check_store(filled(Down(), *keys))
    assert len(asked) < len(keys)


@pytest.mark.parametrize("keys", ["a", "ab"])
def test_a_small_store_fails_as_a_whole_too(tmp_path: Path, keys: str) -> None:
    """A target without its tables is an error, also where one or two records are all that there is to copy."""
    with closing(SQLStore(f"sqlite:///{tmp_path / 'tokens.db'}")) as target, raises(StoreError, parameter="schema"):
        copy_store(filled(MemoryStore(), *keys), target)


def test_a_sound_store_is_sound(tmp_path: Path) -> None:
    """Every record of a store without damage is counted, and nothing is reported."""
    for store in (MemoryStore(), FileStore(tmp_path / "tokens"), SQLiteStore(tmp_path / "tokens.db")):
        report = check_store(filled(store, "a", "b"))
        assert (report.sound, report.unreadable) == (2, [])


def test_check_reports_each_damage_once(tmp_path: Path) -> None:
    """In a file store the damaged record is moved aside; in a database it is reported once; all else is sound."""
    files, database = FileStore(tmp_path / "tokens"), SQLiteStore(tmp_path / "tokens.db")
    for store in (files, database):
        filled(store, "a", "b", "c")
    damage(tmp_path / "tokens", "b")
    with closing(sqlite3.connect(tmp_path / "tokens.db", isolation_level=None)) as connection:
        connection.execute("UPDATE records SET data = substr(data, 3) WHERE key = 'b'")
    for store, moved_aside in ((files, True), (database, False)):
        report = check_store(store)
        assert report.sound == 2
        assert [each.moved_aside for each in report.unreadable] == [moved_aside]
        assert leaks(report.unreadable, [SECRET]) == []
        with pytest.raises(StoreError):
            store.load("b")


# The commands


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["store", *arguments])


@pytest.fixture
def files(tmp_path: Path) -> str:
    filled(FileStore(tmp_path / "tokens"), "a", "b\n\x1b[31m")
    return f"file://{tmp_path}/tokens"


def test_copy_copies_and_reports_it(tmp_path: Path, files: str) -> None:
    """`store copy` ends well, prints the counts, and shows no token; repeated it finds all equal."""
    target = f"sqlite:///{tmp_path}/tokens.db"
    said = run("copy", files, target)
    assert (said.exit_code, said.stdout) == (0, "2 copied and read back, 0 were equal already.\n")
    assert contents(SQLiteStore(tmp_path / "tokens.db")) == contents(FileStore(tmp_path / "tokens"))
    assert run("copy", files, target).stdout == "0 copied and read back, 2 were equal already.\n"


def test_copy_ends_badly_when_something_is_left(tmp_path: Path, files: str) -> None:
    """A different record makes the status 1 and is named; `--overwrite` replaces it; `--json` reports all of it."""
    SQLiteStore(tmp_path / "tokens.db").save("a", {"newer": SECRET}, expected=None)
    target = f"sqlite:///{tmp_path}/tokens.db"
    said = run("copy", files, target)
    assert said.exit_code == 1
    assert "Different in the target and left (--overwrite replaces them):\n  a\n" in said.stdout
    as_json = run("copy", files, target, "--json")
    assert as_json.exit_code == 1
    found = {"copied": 0, "equal": 1, "different": ["a"], "failed": [], "complete": False}
    assert json.loads(as_json.stdout) == found
    assert run("copy", files, target, "--overwrite").exit_code == 0
    assert SECRET not in said.stdout + as_json.stdout


def test_list_lists_keys_and_no_tokens(files: str) -> None:
    """`store list` gives one key in a line, with nothing in it that a terminal would act on."""
    assert run("list", files).stdout == "a\nb\\n\\x1b[31m\n"
    assert run("list", files, "--prefix", "b").stdout == "b\\n\\x1b[31m\n"
    assert json.loads(run("list", files, "--json").stdout) == {"keys": ["a", "b\n\x1b[31m"]}


def test_check_reports_and_deletes_nothing(tmp_path: Path, files: str) -> None:
    """`store check` ends with status 1 if anything cannot be read, names where it is now, and keeps it there."""
    assert run("check", files).stdout == "2 records can be read.\n"
    damage(tmp_path / "tokens", "a")
    said = run("check", files)
    assert said.exit_code == 1
    assert "1 records can be read.\nCannot be read:\n" in said.stdout
    assert "[moved aside]" in said.stdout
    found = json.loads(run("check", files, "--json").stdout)
    assert (found["sound"], [each["moved_aside"] for each in found["unreadable"]]) == (1, [True])
    assert len(list((tmp_path / "tokens").glob("*.unreadable"))) == 1
    assert SECRET not in said.stdout


def test_a_misspelt_source_is_not_an_empty_store(tmp_path: Path) -> None:
    """Copying from, listing or checking a file that does not exist is an error and creates none."""
    for arguments in (("copy", f"sqlite:///{tmp_path}/no.db", "memory:"), ("list", f"file://{tmp_path}/no")):
        said = run(*arguments)
        assert (said.exit_code, "there is no store at" in said.output) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real
def test_an_interrupted_command_is_taken_up(tmp_path: Path) -> None:
    """Ctrl-C ends `store copy` with status 130 and one line with how to continue; the same command then does."""
    filled(FileStore(tmp_path / "old"), *(f"{number:02}" for number in range(40)))
    arguments = ("copy", f"file://{tmp_path}/old", f"file://{tmp_path}/new")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    target = FileStore(tmp_path / "new")
    # It cannot come to an end before it is interrupted.
    with target._write_lock(target._path("39")):
        copying = subprocess.Popen(
            [sys.executable, "-m", "blnk_auth.cli", "store", *arguments],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: list(target.keys()), "a record is copied")
        copying.send_signal(signal.SIGINT)
        said = copying.communicate()[1]
    assert (copying.returncode, said) == (130, "blnk-auth: interrupted; run the same command again to copy the rest\n")
    done = len(list(target.keys()))
    assert 0 < done < 40
    assert run(*arguments).stdout == f"{40 - done} copied and read back, {done} were equal already.\n"
