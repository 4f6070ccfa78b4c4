"""A small file system that a test can fill, make read-only, or take away.

Used by the tests of the stores that keep files, and by the chaos runs. Mounting one takes a privilege: where this user
may not, `is_mounted` is False, `directory` is a plain directory, and the disk can only be taken away.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Self

_HERE, _RENAME_EXCHANGE = -100, 2
"""Arguments of renameat2(2)."""


class Disk:
    """A file system of some megabytes below `root`, with one directory in it for a store."""

    def __init__(self, root: Path, *, megabytes: int) -> None:
        self._mount = root
        self._mount.mkdir(mode=0o700)
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(root)]
        self.is_mounted = shutil.which("mount") is not None and succeeds(command)
        self.directory = root / "store"
        self._away, self._ballast = root / "away", root / "ballast"
        self.directory.mkdir(mode=0o700)
        self._away.touch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmount it, also where a file is still open."""
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self._mount)], check=False)

    def fill(self) -> None:
        """Leave not one byte."""
        for size in (65536, 64):
            with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as ballast:
                while True:
                    ballast.write(bytes(size))

    def empty(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)

    def used(self) -> int:
        """Bytes in use."""
        return shutil.disk_usage(self._mount).used

    def remount(self, how: str) -> bool:
        """Make it `ro` or `rw`; False if a file stayed open for writing, as for the moment of a save."""
        command = ["mount", "-o", f"remount,{how}", str(self._mount)]
        for _ in range(20):
            if succeeds(command):
                return True
            time.sleep(0.05)
        return False

    def bind(self) -> bool:
        """Make the directory read-only for everyone who opens a file in it from now on; what is open stays as it is."""
        directory = str(self.directory)
        if not succeeds(["mount", "--bind", directory, directory]):
            return False
        if succeeds(["mount", "-o", "remount,bind,ro", directory]):
            return True
        self.unbind()
        return False

    def unbind(self) -> None:
        """Undo `bind`."""
        subprocess.run(["umount", "-l", str(self.directory)], check=False)

    def exchange(self) -> None:
        """Put a file in the place of the directory, or the directory back into its place: at one moment.

        A store that found nothing there in between would make a new, empty directory.
        """
        paths = (os.fsencode(self.directory), os.fsencode(self._away))
        if ctypes.CDLL(None, use_errno=True).renameat2(_HERE, paths[0], _HERE, paths[1], _RENAME_EXCHANGE) != 0:
            raise OSError(ctypes.get_errno(), "renameat2")


def succeeds(command: list[str]) -> bool:
    """Whether a command ends with status 0."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def can_be_mounted(root: Path) -> bool:
    """Whether this user may mount a file system."""
    with Disk(root, megabytes=1) as disk:
        return disk.is_mounted
