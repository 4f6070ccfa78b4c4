"""Files that are replaced wholly or not at all: the configuration file, and the address of a sandbox."""

from __future__ import annotations

import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from blnk_auth.stores._durable_file import replace_file


@pytest.mark.skipif(sys.platform == "win32", reason="permission bits have no effect there")
def test_only_this_user_can_read_the_file(tmp_path: Path) -> None:
    """With any umask, and also if the file that it replaces had more permissions."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o644)
    former = os.umask(0)
    try:
        replace_file(path, b"new")
    finally:
        os.umask(former)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    """The error is raised, the old content stays, and the unfinished file is removed."""
    path = tmp_path / "directory"
    path.mkdir()
    (path / "kept").touch()
    with pytest.raises(OSError, match="directory"):
        replace_file(path, b"new")
    assert [each.name for each in tmp_path.rglob("*")] == ["directory", "kept"]


def test_writers_at_the_same_time_do_not_mix(tmp_path: Path) -> None:
    """Each has an unfinished file of its own, so a reader finds the whole content of one of them."""
    path, contents = tmp_path / "file", [letter * 100_000 for letter in (b"a", b"b", b"c", b"d")]
    replace_file(path, contents[0])
    with ThreadPoolExecutor(len(contents)) as threads:
        writers = [threads.submit(replace_file, path, content) for content in contents * 5]
        while not all(writer.done() for writer in writers):
            assert path.read_bytes() in contents
    assert [writer.result() for writer in writers] == [None] * len(writers)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
