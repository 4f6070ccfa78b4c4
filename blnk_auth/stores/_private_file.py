"""Creates files and directories with safe permissions, and checks who owns them.

Used by every store that keeps files, and by the command line for its configuration. It promises that by default only
this user may read the files that are made here, with any umask. With `check_permissions=False`, a store may share its
files with a group, see `Access`. It never makes a file that all users can use.

On Windows, the directory's access control list decides about access, as for every file of the user's profile.
Permission bits have no effect there: these functions create files, and check nothing.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigurationError, StoreError, kind_of
from ._key_locks import KeyLocks

_OTHERS = 0o077
_GROUP_WRITES = 0o020

_creating = KeyLocks()


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use the files of one store.

    `is_checked`: refuse files that belong to another user, or that others may use. `with_group`: give the group the
    same rights as the user, for new files.
    """

    is_checked: bool = True
    with_group: bool = False

    @classmethod
    def of(cls, directory: Path, *, check_permissions: bool) -> Access:
        """The access for a store in `directory`, which need not exist yet.

        Without checks, new files are shared with the group if the group may write to the existing directory: that is
        how an administrator allows it. All other users have no access in either case.
        """
        if check_permissions or sys.platform == "win32":
            return cls(is_checked=check_permissions)
        try:
            existing = next(path for path in (directory, *directory.parents) if path.exists())
            return cls(is_checked=False, with_group=bool(existing.stat().st_mode & _GROUP_WRITES))
        except OSError:
            # This user may not enter it. Opening the store will report that.
            return cls(is_checked=False)

    @property
    def file_mode(self) -> int:
        """The mode of a new file."""
        return 0o660 if self.with_group else 0o600

    @property
    def directory_mode(self) -> int:
        """The mode of a new directory."""
        return 0o770 if self.with_group else 0o700

    def refuse_other_owner(self, path: Path, status: os.stat_result) -> None:
        """Raise `StoreError` if `path` belongs to another user, unless permissions are not checked.

        The owner of a file can read it, and change its permissions, at any time.
        """
        if self.is_checked and sys.platform != "win32" and status.st_uid != os.geteuid():
            raise StoreError(
                f"{str(path)!r} belongs to another user: {owner_of(status)}",
                parameter="check_permissions",
                remedy=(
                    "choose a path of your own, or run as that user. check_permissions=False accepts it, if that user "
                    "may have your tokens"
                ),
            )


PRIVATE = Access()
"""For this user alone."""


def owner_of(status: os.stat_result) -> str:
    """The owner of a file and the user of this process, for messages. Empty on Windows, which has no such numbers."""
    if sys.platform == "win32":
        return ""
    return (
        f"owner uid {status.st_uid}, group gid {status.st_gid}, mode {stat.S_IMODE(status.st_mode):o}; this process "
        f"runs as uid {os.geteuid()}, gid {os.getegid()}"
    )


def owner_if_other(path: Path) -> str:
    """For a message about denied access: ` (owner ...)` if another user owns `path`, otherwise an empty string.

    If `path` does not exist, the nearest existing directory above it is used.
    """
    for existing in (path, *path.parents):
        try:
            status = existing.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            # This user may not enter a directory above it: report the owner of that directory.
            continue
        if sys.platform == "win32" or status.st_uid == os.geteuid():
            return ""
        return f" ({str(existing)!r}: {owner_of(status)})"
    return ""


def make_directory(directory: Path, access: Access = PRIVATE) -> None:
    """Create `directory` and its missing parents. Existing directories are left as they are."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        with suppress(FileExistsError):
            path.mkdir(access.directory_mode)
            # The umask may have removed permissions. The set-group-ID bit, by which new files get the group of their
            # directory, is kept.
            path.chmod(access.directory_mode | path.stat().st_mode & stat.S_ISGID)


def create_file(path: Path, access: Access = PRIVATE) -> None:
    """Create an empty file, never with more permissions than `access` gives. An existing one is not changed."""
    # One thread at a time: POSIX removes a process's locks on a file when any of its descriptors is closed. So no other
    # thread may open the new file as a database before this descriptor is closed.
    with _creating.hold(str(path), timeout=math.inf):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, access.file_mode)
        except FileExistsError:
            return
        try:
            if sys.platform != "win32":
                os.fchmod(descriptor, access.file_mode)
        finally:
            os.close(descriptor)


def tighten(path: Path) -> None:
    """Remove the permissions of the group and of all others from `path`.

    Raises `PermissionError` if it is a symlink, whose target somebody else may choose, and `StoreError` if it belongs
    to another user.
    """
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise PermissionError(0, "it is a symbolic link", str(path))
    if sys.platform == "win32":
        return
    PRIVATE.refuse_other_owner(path, status)
    if status.st_mode & _OTHERS:
        path.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS)


def absolute_path(given: str | os.PathLike[str], parameter: str, example: str) -> Path:
    """The path that was passed to a store, made absolute, so that a later change of directory has no effect.

    Symlinks in its parents are resolved, so that every spelling leads to the same locks. A symlink at the path itself
    is not. Raises, naming `parameter`: `ConfigurationError` if `given` is not a path, `StoreError` if it leads nowhere.
    """
    given_at_all: object = given
    text: object = os.fspath(given) if isinstance(given_at_all, str | os.PathLike) else None
    if not isinstance(text, str):
        raise ConfigurationError(
            f"{parameter} must be a path, not {kind_of(given_at_all)}",
            parameter=parameter,
            remedy=f"pass one, such as {example!r}",
        )
    if text.lower().startswith(("sqlite:/", "file:/")):
        raise ConfigurationError(
            f"{parameter} must be a path, not a URL",
            parameter=parameter,
            remedy=f"pass the path alone, such as {example!r}",
        )
    if not text or "\0" in text:
        raise StoreError(
            f"{parameter} {text!r} is not a usable path", parameter=parameter, remedy=f"pass one, such as {example!r}"
        )
    try:
        expanded = Path(text).expanduser()
        return expanded.parent.resolve() / expanded.name
    except (RuntimeError, OSError, ValueError) as error:
        raise StoreError(
            f"{parameter} {text!r} leads nowhere: {error}",
            parameter=parameter,
            remedy="pass another path; one that begins with ~ needs a home directory",
        ) from error
