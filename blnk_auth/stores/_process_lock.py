"""A lock between the threads and processes of one machine. The operating system frees it when its holder ends.

Used by the stores that keep files, and by `KeyringStore`. It promises that the lock file exists only while a thread or
process has or awaits it, so a million keys do not leave a million files. It is never a marker file, which would stay
locked for ever after a crash.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from ..errors import StoreError
from ._disk_room import is_no_room, reserve_room
from ._private_file import PRIVATE, Access, make_directory, owner_if_other, tighten

# Not `filelock.FileLock`, which uses a marker file where neither of these two works.
if sys.platform == "win32":
    _OSLock = filelock.WindowsFileLock
else:
    _OSLock = filelock.UnixFileLock

_POLL_SECONDS = 0.01


@contextmanager
def process_lock(
    path: Path, *, purpose: str, timeout: float, access: Access = PRIVATE, for_record: bool = False
) -> Generator[None]:
    """Lock the file `path` while the context is open. Not re-entrant.

    `purpose` completes "cannot lock ..." in messages. `timeout`: seconds to wait at most. `for_record`: the caller may
    save a record in the context, so room for it is reserved in the lock file, see `_disk_room`. The directory is made
    if it is missing. Raises `StoreError` on entry if the lock is not free in time, the file cannot be locked there, or
    there is no room for a record.
    """
    # A new object each time, without thread-local state. So threads exclude each other as processes do, and another
    # thread may close the context than the one that opened it.
    lock = _OSLock(path, mode=access.file_mode, poll_interval=_POLL_SECONDS, thread_local=False, fallback_to_soft=False)
    _acquire(lock, path, purpose, max(timeout, 0.0), access)
    try:
        if for_record:
            _reserve(path, purpose)
        yield
    finally:
        _release(lock, path)


def _acquire(lock: filelock.BaseFileLock, path: Path, purpose: str, timeout: float, access: Access) -> None:
    try:
        try:
            _acquire_in_directory(lock, path, timeout, access)
        except FileNotFoundError:
            # The directory was removed meanwhile. This happens to a user's runtime directory at the end of a session.
            _acquire_in_directory(lock, path, timeout, access)
    except filelock.Timeout:
        raise StoreError(
            f"cannot lock {purpose}: not free within {timeout:g} s. Another thread or process has {str(path)!r}, most "
            "likely for a renewal that takes long",
            remedy="try again, or find it with lsof or fuser and end it",
        ) from None
    except OSError as error:
        raise _failure(path, purpose, error) from error


def _reserve(path: Path, purpose: str) -> None:
    try:
        reserve_room(path)
    except OSError as error:
        raise _failure(path, purpose, error) from error


def _failure(path: Path, purpose: str, error: OSError) -> StoreError:
    reason = error.strerror or str(error)
    if is_no_room(error):
        return StoreError(
            f"cannot lock {purpose}: there is no room on its disk to save a record ({reason})",
            remedy="free some disk space and try again",
        )
    return StoreError(
        f"cannot lock {purpose} by the file {str(path)!r}: {reason}{owner_if_other(path)}",
        remedy=(
            "make its directory writable for this user, or keep the store on a local disk or another file system that "
            "supports locks"
        ),
    )


def _acquire_in_directory(lock: filelock.BaseFileLock, path: Path, timeout: float, access: Access) -> None:
    make_directory(path.parent, access)
    if access.is_checked:
        tighten(path.parent)
    lock.acquire(timeout=timeout)


def _release(lock: filelock.BaseFileLock, path: Path) -> None:
    # The file is removed before the lock is released. A process that waits for the lock of the removed file then gets
    # it, sees that the file no longer has a name, and starts again. A child forked meanwhile does not have the lock,
    # and must not remove the file.
    if sys.platform != "win32" and lock.is_locked:
        with suppress(OSError):
            path.unlink()
    lock.release()
