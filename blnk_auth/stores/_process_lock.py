"""A lock that threads and processes of one machine respect, and that the operating system frees when its holder dies.

The lock file exists only while somebody holds or awaits it, so a million keys leave no million files behind.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from ..errors import StoreError
from ._private_file import make_directory, tighten

# Named outright: where neither exists, `filelock.FileLock` is a marker file, which a crash leaves locked for ever.
if sys.platform == "win32":
    _OSLock = filelock.WindowsFileLock
else:
    _OSLock = filelock.UnixFileLock

_POLL_SECONDS = 0.01


@contextmanager
def process_lock(path: Path, *, purpose: str, timeout: float) -> Generator[None]:
    """Hold the lock file `path` while the context is open. Not re-entrant.

    `purpose` completes "cannot lock ..." in messages. The directory is made if missing, mode 0700; the file has 0600.
    Raises `StoreError` on entry if the lock is not had within `timeout` seconds or cannot exist there.
    """
    # A new object each time, with no thread-local state: threads exclude each other as processes do, and the context
    # may be closed by another thread than opened it.
    lock = _OSLock(path, mode=0o600, poll_interval=_POLL_SECONDS, thread_local=False, fallback_to_soft=False)
    _acquire(lock, path, purpose, max(timeout, 0.0))
    try:
        yield
    finally:
        _release(lock, path)


def _acquire(lock: filelock.BaseFileLock, path: Path, purpose: str, timeout: float) -> None:
    try:
        make_directory(path.parent)
        tighten(path.parent)
        lock.acquire(timeout=timeout)
    except filelock.Timeout:
        raise StoreError(
            f"cannot lock {purpose}: not free within {timeout:g} s. Another thread or process holds "
            f"{str(path)!r}, most likely for a renewal that takes long",
            remedy="try again, or find it with lsof or fuser and end it",
        ) from None
    except OSError as error:
        raise StoreError(
            f"cannot lock {purpose} by the file {str(path)!r}: {error.strerror or error}. Make its directory writable "
            "for this user, or keep the store on a local disk or another file system that supports locks"
        ) from error


def _release(lock: filelock.BaseFileLock, path: Path) -> None:
    # Removed while still held: whoever waits on the removed file sees, once it has the lock, that the file has no name
    # left, and starts over. A child forked meanwhile does not hold the lock and must not remove the file.
    if sys.platform != "win32" and lock.is_locked:
        with suppress(OSError):
            path.unlink()
    lock.release()
