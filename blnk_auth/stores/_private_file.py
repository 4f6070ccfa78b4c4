"""Files and directories that only this user may read, whatever the umask says.

On Windows, access follows the directory's access control list, as for every file of the user's profile, and the
permission bits mean nothing: there these functions only create.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from ._key_locks import KeyLocks

_OTHERS = 0o077

_creating = KeyLocks()


def make_directory(directory: Path) -> None:
    """Create `directory` and its missing parents with mode 0700. What exists is left as it is."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        with suppress(FileExistsError):
            path.mkdir(0o700)
            # A umask may have taken away even this user's permissions.
            path.chmod(0o700)


def create_file(path: Path) -> None:
    """Create an empty file with mode 0600 from its first moment. What exists is left as it is, also a symlink."""
    # Threads one by one: POSIX drops a process's locks on a file when any of its descriptors is closed, so a thread
    # that opens the new file as a database must not do so before we have closed it here.
    with _creating.hold(str(path), timeout=math.inf):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        try:
            if sys.platform != "win32":
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)


def tighten(path: Path) -> None:
    """Take the group's and the others' permissions off `path`.

    Raises `PermissionError` if it is a symlink, whose target somebody else may choose, or belongs to another user.
    """
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise PermissionError(0, "it is a symbolic link", str(path))
    if sys.platform == "win32":
        return
    if not status.st_mode & _OTHERS:
        return
    if status.st_uid != os.geteuid():
        raise PermissionError(0, "other users may access it, and it belongs to another user", str(path))
    path.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS)
