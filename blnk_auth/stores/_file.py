"""A store with one small JSON file for each key. It survives restarts, is shared by the processes of one machine, and
can be read with any editor.

Used by users who want to read the files themselves, and as the fallback of `KeyringStore`. It promises, in addition to
what `_token_store` promises:

* Once `save` returns, the record is on disk, and survives a power cut. A kill at any moment leaves either the old or
  the new record.
* Records have mode 0600 in a directory of mode 0700. A directory or file that has more permissions, belongs to another
  user, or is a symlink is refused; the error contains the remedy.
* A file that is not a record is renamed ("moved aside"). It is not treated as a missing record: `load` of its key
  raises `StoreError` until somebody restores the file or calls `delete`. The other records stay usable.
* A record written by a newer blnk_auth is refused. It is never changed.

The directory contains

    token-3f1c....json              a record, named after its key's kind and hash; the key is in it
    token-3f1c....json.unreadable   what was moved aside
    .new/                           records being written; what a kill left there is removed when a store is opened
    .locks/                         the locks of keys, while in use, and of writers
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import zlib
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

from ..errors import StoreError, clears_locals
from ..errors._pickling import public
from ._disk_room import is_no_room, with_reserved_room
from ._durable_file import past_sharing_errors, sync_directory, write_lock, write_new
from ._entry_names import is_name, may_begin_with, name_of
from ._private_file import Access, absolute_path, make_directory, owner_if_other
from ._process_lock import process_lock
from ._record_text import Damage, key_in, read_record, write_record
from ._self_checking import Unreadable
from ._store_handle import PickledByArguments
from ._token_store import Record, Version, conflict, new_version

_SUFFIX = ".json"
_ASIDE = ".json.unreadable"
_OTHERS = 0o077
_MOVED_BEFORE = (
    "is not a record of blnk_auth and was moved aside before; restore its record from a backup, or remove this file "
    "and sign in again"
)
_WRITERS = 16
"""How many saves of different keys may run at the same time; each has a lock file of its own."""


@public
@clears_locals
class FileStore(PickledByArguments):
    """Keeps tokens as JSON files in one directory. Safe to use from many threads and processes.

    A pickle carries the path and no records; a copy is the same store.

        client = OAuthClient(BlnkCloud(), client_id="id", store=FileStore("~/.local/state/acme/tokens"))

    What its methods do beyond `TokenStore`:

    * `save`: once it returns, the record is on disk, and survives a power cut.
    * `load`: a file that is not a record is moved aside and raises `StoreError`, until it is restored or deleted.
    * `delete` also removes the files that were moved aside for the key.
    * `lock` excludes every thread and process that uses the directory. The operating system frees it when the process
      that has it ends or crashes. On a full disk it raises `StoreError`; a caller that has the lock has room to save a
      record.
    * `keys` opens every record of the kind asked for, and leaves out unreadable files, which `check` reports. Beyond
      some ten thousand records, prefer `SQLiteStore`.

    Args:
        directory: Where the files are. It may begin with `~`, and is created if it is missing.
        check_permissions: False accepts a directory and files that other users may read, that belong to another user,
            or that are symlinks. Use it for a volume whose permissions you cannot set. If the group of the directory
            may write to it, the group may then also read and write the files that the store creates.

    Raises:
        ConfigurationError: `directory` is not a path.
        StoreError: The directory cannot be used, can be used by other users, or belongs to another user.
    """

    def __init__(self, directory: str | os.PathLike[str], *, check_permissions: bool = True) -> None:
        self._directory = absolute_path(directory, "directory", "tokens")
        self._new, self._locks = self._directory / ".new", self._directory / ".locks"
        self._write_locks = [self._locks / f"writer-{number}" for number in range(_WRITERS)]
        self._check_permissions = check_permissions
        self._access = Access.of(self._directory, check_permissions=check_permissions)
        with self._errors("opened", self._directory):
            self._prepare()
            self._sweep()

    def __repr__(self) -> str:
        return f"FileStore({str(self._directory)!r})"

    def _arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (str(self._directory),), {"check_permissions": self._check_permissions}

    def load(self, key: str) -> Record | None:
        path = self._path(key)
        with self._errors("read", path):
            found = self._read(path, key)
            if not isinstance(found, Damage):
                return found
            with self._write_lock(path):
                return self._current(path, key)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        path, version = self._path(key), new_version()
        text = write_record(key, version, data)
        with self._errors("written", path), self._write_lock(path):
            current = self._current(path, key)
            if (None if current is None else current.version) != expected:
                raise conflict(key)
            with_reserved_room(self._lock_path(key), lambda: self._write(path, text.encode("ascii")), is_no_room)
        return version

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._errors("deleted", path), self._write_lock(path):
            files = [each for each in (path, *_asides(path)) if _exists(each)]
            for each in files:
                past_sharing_errors(each.unlink)
            if files:
                sync_directory(self._directory)

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        purpose = f"key {key!r} of {str(self._directory)!r}"
        return process_lock(
            self._lock_path(key), purpose=purpose, timeout=timeout, access=self._access, for_record=True
        )

    def keys(self, prefix: str = "") -> Iterator[str]:
        with self._errors("listed", self._directory):
            found = [
                key
                for path in self._files(_SUFFIX)
                if may_begin_with(path.name, prefix) and (key := self._key_in(path)) is not None
            ]
        return iter(sorted(key for key in found if key.startswith(prefix)))

    def check(self) -> Iterator[Unreadable]:
        """Look for files that cannot be read, and move aside those that are not records. Deletes nothing.

        Returns:
            Everything that cannot be read, including files that were moved aside earlier.

        Raises:
            StoreError: The directory itself cannot be read. It may be raised during the iteration.
        """
        for aside in self._files(_ASIDE):
            if not _exists(_restored(aside)):
                yield Unreadable(str(aside), _MOVED_BEFORE, moved_aside=True)
        for path in self._files(_SUFFIX):
            try:
                with self._errors("read", path), self._write_lock(path):
                    self._current(path, None)
            except StoreError as error:
                yield Unreadable(str(path), str(error), moved_aside=not _exists(path), key=error.key)

    # --- reading -------------------------------------------------------------------------------------------------

    def _current(self, path: Path, key: str | None) -> Record | None:
        """Read the stored record under the write lock.

        No other process is writing the file then, so a damaged file will stay damaged, and is moved aside.
        """
        found = self._read(path, key)
        if not isinstance(found, Damage):
            return found
        aside = next(each for each in _asides(path, also_the_next=True) if not _exists(each))
        past_sharing_errors(lambda: path.replace(aside))
        sync_directory(self._directory)
        raise _was_moved_aside(aside, key, found.reason)

    def _read(self, path: Path, key: str | None) -> Record | Damage | None:
        """The record of `key`, or of any key if that is None."""
        try:
            return _parsed(past_sharing_errors(lambda: self._content(path)), path, key)
        except FileNotFoundError:
            aside = path.with_suffix(_ASIDE)
            if _exists(aside):
                raise _was_moved_aside(aside, key, "it is not a record of blnk_auth") from None
            return None

    def _key_in(self, path: Path) -> str | None:
        """The key of a record; None if the file is missing, unreadable or not a record, which `check` reports."""
        with suppress(OSError, StoreError):
            key = key_in(self._content(path))
            if key is not None and path.name == name_of(key) + _SUFFIX:
                return key
        return None

    def _content(self, path: Path) -> bytes:
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        if self._check_permissions:
            flags |= getattr(os, "O_NOFOLLOW", 0)
        with FileIO(os.open(path, flags)) as file:
            self._refuse(path, os.fstat(file.fileno()), stat.S_ISREG, "file", "600")
            return file.readall()

    # --- writing -------------------------------------------------------------------------------------------------

    def _write(self, path: Path, content: bytes) -> None:
        new = self._new / path.name
        write_new(new, content, self._access)
        past_sharing_errors(lambda: self._replace(new, path))
        sync_directory(self._directory)

    def _replace(self, new: Path, path: Path) -> None:
        new.replace(path)

    def _write_lock(self, path: Path) -> AbstractContextManager[None]:
        """Keep all other writers from `path` while the context is open. A directory that was removed is made again."""
        lock = self._write_locks[zlib.crc32(path.name.encode()) % _WRITERS]
        return write_lock(lock, path, self._prepare, self._access)

    def _prepare(self) -> None:
        existing = next((parent for parent in self._directory.parents if parent.exists()), None)
        is_new = not _exists(self._directory)
        make_directory(self._directory, self._access)
        self._refuse(self._directory, self._directory.lstat(), stat.S_ISDIR, "directory", "700")
        make_directory(self._new, self._access)
        make_directory(self._locks, self._access)
        for parent in self._directory.parents if is_new else ():
            sync_directory(parent)
            if parent == existing:
                break

    def _sweep(self) -> None:
        """Remove files that a killed process left half written. The write lock keeps other processes from the file."""
        with os.scandir(self._new) as entries:
            left = [entry.name for entry in entries]
        for name in left:
            with self._write_lock(self._directory / name), suppress(FileNotFoundError):
                (self._new / name).unlink()

    # --- files ---------------------------------------------------------------------------------------------------

    def _path(self, key: str) -> Path:
        return self._directory / f"{name_of(key)}{_SUFFIX}"

    def _lock_path(self, key: str) -> Path:
        return self._locks / f"{name_of(key)}.lock"

    def _files(self, suffix: str) -> list[Path]:
        """Our files, in order: those whose name is a record's name and then begins with `suffix`."""
        with os.scandir(self._directory) as entries:
            names = [entry.name for entry in entries]
        return [self._directory / name for name in sorted(names) if _is_ours(name, suffix)]

    def _refuse(self, path: Path, status: os.stat_result, is_kind: Any, kind: str, mode: str) -> None:
        """Raise `StoreError` if `path` is not of the expected kind, or not private."""
        if stat.S_ISLNK(status.st_mode) and self._check_permissions:
            raise _symlink(path)
        if not is_kind(status.st_mode) and not stat.S_ISLNK(status.st_mode):
            raise StoreError(f"{str(path)!r} is not a {kind}", remedy="choose another directory, or move it away")
        self._access.refuse_other_owner(path, status)
        if self._check_permissions and sys.platform != "win32" and status.st_mode & _OTHERS:
            raise StoreError(
                f"{str(path)!r} can be used by other users (mode {stat.S_IMODE(status.st_mode):o})",
                parameter="check_permissions",
                remedy=(
                    f"`chmod {mode}` it if no one has read it, or choose another directory. check_permissions=False "
                    "accepts it as it is"
                ),
            )

    @contextmanager
    def _errors(self, purpose: str, path: Path) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise self._failure(purpose, path, error) from error

    def _failure(self, purpose: str, path: Path, error: OSError) -> StoreError:
        if error.errno == errno.ELOOP:
            return _symlink(path)
        remedy = (
            "free some disk space and try again"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else f"make {str(self._directory)!r} a directory that this user may write to, or choose another"
        )
        reason = error.strerror or type(error).__name__
        owner = owner_if_other(path) if isinstance(error, PermissionError) else ""
        return StoreError(f"{str(path)!r} cannot be {purpose}: {reason}{owner}", remedy=remedy)


def _parsed(text: bytes, path: Path, key: str | None) -> Record | Damage:
    own_key = key_in(text) if key is None else key
    if own_key is not None and path.name != name_of(own_key) + _SUFFIX:
        return Damage("it has the record of another key")
    return read_record(text, own_key or "", repr(str(path)))


def _was_moved_aside(aside: Path, key: str | None, reason: str) -> StoreError:
    restored = _restored(aside).name
    return StoreError(
        f"the record {restored!r} cannot be read: {reason}. It was moved to {str(aside)!r}",
        key=key,
        remedy=(
            f"other records are not affected. Restore it from a backup as {restored!r}, or delete this key from the "
            "store and sign in again"
        ),
    )


def _restored(aside: Path) -> Path:
    """The path to which the moved-aside record must be restored."""
    return aside.with_name(aside.name.partition(".")[0] + _SUFFIX)


def _symlink(path: Path) -> StoreError:
    return StoreError(
        f"{str(path)!r} is a symlink, whose target somebody else may choose",
        parameter="check_permissions",
        remedy="pass the directory's own path, or pass check_permissions=False",
    )


def _asides(path: Path, *, also_the_next: bool = False) -> Iterator[Path]:
    """The paths of the moved-aside copies of `path`, first to last; with `also_the_next`, the first free name too."""
    number = 1
    while True:
        aside = path.with_suffix(_ASIDE + ("" if number == 1 else f"-{number}"))
        if not _exists(aside):
            if also_the_next:
                yield aside
            return
        yield aside
        number += 1


def _is_ours(name: str, suffix: str) -> bool:
    stem, dot, rest = name.partition(".")
    return is_name(stem) and (dot + rest == suffix or (suffix == _ASIDE and (dot + rest).startswith(_ASIDE)))


def _exists(path: Path) -> bool:
    """Whether something has that name, even a symlink whose target is missing."""
    return os.path.lexists(path)
