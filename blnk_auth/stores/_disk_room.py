"""Room on disk for one record, reserved together with the lock of its key.

Used by the stores that keep files, through `process_lock`. A full disk can still be locked and read, so without this a
renewal would spend a refresh token whose successor cannot be saved. It promises that the holder
of the lock has room to save a record of the usual size, also if the disk becomes full before the save. It never waits
for the disk.

On Windows, free space is only looked at, since a locked file cannot be written through another handle. A file system
that compresses or copies on write may keep less than was reserved.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

RECORD_ROOM = 32 * 1024
"""Bytes: a file of that size, or the pages that SQLite writes for a record of some 20 kilobytes. Usual records have one
to four."""

_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
"""The disk is full, the user's quota is used up, or the process may not write larger files."""

_FILLING = bytes(RECORD_ROOM)


def is_no_room(error: BaseException) -> bool:
    """Whether an `OSError` means that there is no room."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM


def reserve_room(lock: Path) -> None:
    """Reserve room for a record in the lock file, whose lock the caller has. Removing the file frees it.

    Raises `OSError`, for which `is_no_room` holds if there is none.
    """
    if sys.platform == "win32":
        if shutil.disk_usage(lock.parent).free < RECORD_ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(lock))
        return
    # Written, because `posix_fallocate` takes real blocks, whose release takes milliseconds on some file systems. Here
    # most file systems count the room as taken immediately, and choose the blocks later, which is then never necessary.
    descriptor = os.open(lock, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        left = memoryview(_FILLING)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        # A network file system may report here that there is no room.
        os.close(descriptor)


def with_reserved_room(lock: Path, write: Callable[[], Result], is_no_room: Callable[[Exception], bool]) -> Result:
    """The result of `write`; if there is no room for it, it is called again with the room that was reserved.

    `lock` is the lock file of the key; a caller without the lock has reserved nothing. Raises what `write` raises.
    """
    try:
        return write()
    except Exception as error:
        if not is_no_room(error):
            raise
        with suppress(OSError):
            os.truncate(lock, 0)
    return write()
