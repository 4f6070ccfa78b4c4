"""Room on disk for one record, reserved together with the lock of its key.

Used by the stores that keep files, through `process_lock`. On a full disk, files can still be locked and read. So
without this, a renewal would spend a refresh token and then fail to save the new one. It promises that the holder of
the lock has room to save a record of the usual size, even if the disk becomes full before the save. It never waits for
the disk.

On Windows, it only checks the free space, because a locked file cannot be written through another handle. A file system
that compresses or copies on write may reserve less than was asked for.
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
    """Reserve room for a record in the lock file. The caller must have its lock. Removing the file frees the room.

    Raises `OSError`. `is_no_room` is true for it if there is no room.
    """
    if sys.platform == "win32":
        if shutil.disk_usage(lock.parent).free < RECORD_ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(lock))
        return
    # Bytes are written, because `posix_fallocate` takes real blocks, and to release them takes milliseconds on some
    # file systems. For written bytes, most file systems count the room as taken immediately, and choose the blocks
    # later. The file is removed before that is necessary.
    descriptor = os.open(lock, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        left = memoryview(_FILLING)
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        # A network file system may report here that there is no room.
        os.close(descriptor)


def with_reserved_room(lock: Path, write: Callable[[], Result], is_no_room: Callable[[Exception], bool]) -> Result:
    """Call `write` and return its result. If there is no room, free the reserved room and call `write` again.

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
