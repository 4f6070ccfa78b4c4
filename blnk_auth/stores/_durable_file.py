"""Files that are replaced wholly or not at all, and are on disk when the call returns.

Used by `FileStore`. A new file is written beside the old one, flushed, moved over it, and the move is flushed too. So
every reader, also after a power cut or a kill at any moment, finds the old or the new content.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import TypeVar

from ..errors import StoreError
from ._private_file import PRIVATE, Access
from ._process_lock import process_lock

if sys.platform != "win32":
    import fcntl

Result = TypeVar("Result")

_SHARING_ERRORS = frozenset((5, 32, 33))
"""ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION."""

_SHARING_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between the attempts: a virus scanner or a backup lets go within milliseconds; together under two seconds."""

_WRITE_SECONDS = 30.0
"""How long another writer may take; it needs milliseconds."""

_WRITE_POLL_SECONDS = 0.002

_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)

_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None) if sys.platform != "win32" else None


def past_sharing_errors(action: Callable[[], Result], pause: Callable[[float], object] = time.sleep) -> Result:
    """The result of `action`, repeated while Windows refuses it because another program has the file open.

    Raises the `OSError` of the last attempt after about two seconds, and any other immediately.
    """
    for seconds in _SHARING_PAUSES:
        try:
            return action()
        except OSError as error:
            if getattr(error, "winerror", None) not in _SHARING_ERRORS:
                raise
        pause(seconds)
    return action()


def write_new(path: Path, content: bytes, access: Access = PRIVATE) -> None:
    """Create `path` and flush it to disk; a file left there by a crash is removed first."""
    try:
        file = _create(path, access)
    except FileExistsError:
        path.unlink()
        file = _create(path, access)
    try:
        with file:
            left = memoryview(content)
            while left:
                left = left[file.write(left) :]
            sync(file.fileno())
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _create(path: Path, access: Access) -> FileIO:
    # O_EXCL: never through a symlink that somebody put there.
    file = FileIO(path, "x", opener=_private)
    if sys.platform != "win32":
        # Whatever the umask says.
        os.fchmod(file.fileno(), access.file_mode)
    return file


def sync(descriptor: int) -> None:
    """Wait until the disk has what was written."""
    # macOS reports data as written that a power cut can still lose, unless asked for this.
    if sys.platform != "win32" and _FULL_SYNC is not None:
        with suppress(OSError):
            fcntl.fcntl(descriptor, _FULL_SYNC)
            return
    os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Wait until the disk has the names in `directory`. Windows, which cannot open one, does this by itself."""
    if sys.platform == "win32":
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def write_lock(lock: Path, written: Path, prepare: Callable[[], object], access: Access = PRIVATE) -> Generator[None]:
    """Write the file `written` one at a time, across threads and processes.

    `prepare` is called if the directory of `lock` is gone, to make it again.
    The file `lock` stays: unlike `process_lock`, this costs microseconds, not a quarter of a save.
    Raises `StoreError` if another process has been writing for 30 s.
    """
    if sys.platform == "win32":
        if not lock.parent.exists():
            prepare()
        with process_lock(lock, purpose=repr(str(written)), timeout=_WRITE_SECONDS, access=access):
            yield
        return
    try:
        descriptor = os.open(lock, _LOCK_FLAGS, access.file_mode)
    except FileNotFoundError:
        prepare()
        descriptor = os.open(lock, _LOCK_FLAGS, access.file_mode)
    try:
        if access.with_group:
            # Whatever the umask says. It fails where somebody else of the group made the file.
            with suppress(PermissionError):
                os.fchmod(descriptor, access.file_mode)
        _await_lock(descriptor, lock, written)
        try:
            yield
        finally:
            # Said outright: a child forked meanwhile has this open too, and would keep it locked.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def _await_lock(descriptor: int, lock: Path, written: Path) -> None:
    give_up_at = time.monotonic() + _WRITE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= give_up_at:
                raise StoreError(
                    f"cannot write {str(written)!r}: another process has been writing for {_WRITE_SECONDS:g} s",
                    remedy=f"find it with `fuser {lock}` and end it, then try again",
                ) from None
        time.sleep(_WRITE_POLL_SECONDS)
