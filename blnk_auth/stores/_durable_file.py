"""Replaces files atomically and durably: once a call returns, the new content is on disk.

Used by `FileStore`, by `SQLiteStore` for its new file, and by the command line for its own files. It promises that
every reader finds either the old or the new content, even after a power cut or a kill at any moment. To do so, it
writes a new file beside the old one, flushes it, moves it over the old one, and flushes the directory. It never writes
through a symlink.
"""

from __future__ import annotations

import os
import secrets
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
"""Seconds between the attempts, under two in all: a virus scanner or a backup closes the file within milliseconds."""

_WRITE_SECONDS = 30.0
"""Seconds to wait for another writer at most. A write takes milliseconds."""

_WRITE_POLL_SECONDS = 0.002

_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)

_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None) if sys.platform != "win32" else None


def past_sharing_errors(action: Callable[[], Result], pause: Callable[[float], object] = time.sleep) -> Result:
    """The result of `action`, which is repeated while Windows refuses it because another program has the file open.

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


def replace_file(path: Path, content: bytes, access: Access = PRIVATE) -> None:
    """Replace the file `path`, or create it. When this returns, the content is on disk.

    The new file is made beside it, under a name that no other thread or process uses; a kill may leave it behind.
    Raises `OSError`.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    write_new(new, content, access)
    try:
        past_sharing_errors(lambda: new.replace(path))
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    sync_directory(path.parent)


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
    # The mode "x" (O_EXCL) never writes through a symlink that somebody put there.
    file = FileIO(path, "x", opener=_private)
    if sys.platform != "win32":
        # The umask may have removed permissions.
        os.fchmod(file.fileno(), access.file_mode)
    return file


def sync(descriptor: int) -> None:
    """Wait until the written bytes are on disk."""
    # Without F_FULLFSYNC, macOS reports data as written that a power cut can still lose.
    if sys.platform != "win32" and _FULL_SYNC is not None:
        with suppress(OSError):
            fcntl.fcntl(descriptor, _FULL_SYNC)
            return
    os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Wait until the names in `directory` are on disk. Windows, which cannot open a directory, does this by itself."""
    if sys.platform == "win32":
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def write_lock(lock: Path, written: Path, prepare: Callable[[], object], access: Access = PRIVATE) -> Generator[None]:
    """Keep all other writers, threads and processes, from the file `written` while the context is open.

    `prepare` makes the directory of `lock` again if it was removed. The file `lock` is not removed afterwards, so that
    locking takes microseconds; `process_lock` would take a quarter of the time of a save. Raises `StoreError` if
    another process has been writing for 30 s.
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
            # The umask may have removed permissions. `chmod` fails if another user of the group made the file.
            with suppress(PermissionError):
                os.fchmod(descriptor, access.file_mode)
        _await_lock(descriptor, lock, written)
        try:
            yield
        finally:
            # Unlocked explicitly: a child forked meanwhile shares this descriptor, and would keep the file locked.
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
