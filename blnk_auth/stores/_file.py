"""A store of one small JSON file for each key: survives restarts, is shared by the processes of one machine, and can be
read with any editor.

What it promises beyond `base`:

* A `save` that returned is on the disk, also after a power cut; a kill at any moment leaves the old or the new record.
* Records have mode 0600 in a directory of mode 0700. A laxer one, or a symlink, is refused, with the way to mend it.
* A file that is no record is moved aside under another name. It is never taken for a missing one: its key raises
  `StoreError` until somebody restores the file or calls `delete`. The other records stay usable.
* A record written by a newer blnk_auth is refused and left as it is.

The directory holds

    token-3f1c....json              a record, named after its key's kind and hash; the key is in it
    token-3f1c....json.unreadable   what was moved aside
    .new/                           records being written; what a kill left there is swept when a store is opened
    .locks/                         the locks of keys, while held, and of writers
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
import zlib
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any, Self

from ..errors import Conflict, StoreError
from ._check import Unreadable
from ._durable_file import past_sharing_errors, sync_directory, turn, write_new
from ._entry_names import is_name, may_begin_with, name_of
from ._private_file import make_directory
from ._process_lock import process_lock
from ._record_text import Damage, key_in, read_record, write_record
from ._token_store import Record, Version

_SUFFIX = ".json"
_ASIDE = ".json.unreadable"
_OTHERS = 0o077
_MOVED_BEFORE = (
    "is no record of blnk_auth and was moved aside before; restore its record from a backup, or remove this file and "
    "sign in again"
)
_WRITERS = 16
"""How many saves of different keys may go on at once; each has a lock file of its own."""


class FileStore:
    """Keeps tokens as JSON files in `directory`, which is created if missing. Safe for many threads and processes.

    `directory` may begin with `~`. `check_permissions=False` accepts a directory and files that others may read, and
    symlinks: for a volume whose modes are not yours to set. A pickle carries the path and no records; a copy is the
    same store. `keys` opens every record of the kind asked for: beyond some ten thousand, prefer `SQLiteStore`.
    Raises `StoreError` if the directory cannot be used, or is open to others.

        client = OAuthClient(BlnkCloud(), client_id="id", store=FileStore("~/.local/state/acme/tokens"))
    """

    def __init__(self, directory: str | os.PathLike[str], *, check_permissions: bool = True) -> None:
        self._directory = _absolute(directory)
        self._new, self._locks = self._directory / ".new", self._directory / ".locks"
        self._turns = [self._locks / f"writer-{number}" for number in range(_WRITERS)]
        self._check_permissions = check_permissions
        with self._errors("opened", self._directory):
            self._prepare()
            self._sweep()

    def __repr__(self) -> str:
        return f"FileStore({str(self._directory)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), str(self._directory), self._check_permissions)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def load(self, key: str) -> Record | None:
        """The record under `key`, or None. Raises `StoreError` if it cannot be read."""
        path = self._path(key)
        with self._errors("read", path):
            found = self._read(path, key)
            if not isinstance(found, Damage):
                return found
            with self._turn(path):
                return self._current(path, key)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        """Durably replace the version `expected` (None: the key must not exist yet) and return the new version.

        Raises `Conflict` if the stored version is another, `StoreError` if it cannot be written.
        """
        path, version = self._path(key), secrets.token_hex(8)
        text = write_record(key, version, data)
        with self._errors("written", path), self._turn(path):
            current = self._current(path, key)
            if (None if current is None else current.version) != expected:
                raise Conflict(
                    f"key {key!r} was written by somebody else meanwhile", remedy="load it again, then decide"
                )
            new = self._new / path.name
            write_new(new, text.encode("ascii"))
            past_sharing_errors(lambda: self._replace(new, path))
            sync_directory(self._directory)
        return version

    def delete(self, key: str) -> None:
        """Remove `key`, also what was moved aside for it; no error if there is none."""
        path = self._path(key)
        with self._errors("deleted", path), self._turn(path):
            doomed = [each for each in (path, *_asides(path)) if _exists(each)]
            for each in doomed:
                past_sharing_errors(each.unlink)
            if doomed:
                sync_directory(self._directory)

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        """Exclude every other thread and process that uses this directory from `key` while the context is open.

        The operating system frees the lock when its holder dies. Not re-entrant.
        Raises `StoreError` on entry if the lock is not had within `timeout` seconds.
        """
        path = self._locks / f"{name_of(key)}.lock"
        return process_lock(path, purpose=f"key {key!r} of {str(self._directory)!r}", timeout=timeout)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The stored keys that begin with `prefix`, in ascending order; without those of unreadable files."""
        with self._errors("listed", self._directory):
            found = [
                key
                for path in self._files(_SUFFIX)
                if may_begin_with(path.name, prefix) and (key := self._key_in(path)) is not None
            ]
        return iter(sorted(key for key in found if key.startswith(prefix)))

    def check(self) -> Iterator[Unreadable]:
        """What cannot be read, after moving aside what is no record; see `blnk_auth.stores._check`."""
        for aside in self._files(_ASIDE):
            if _exists(_restored(aside)):
                continue
            yield Unreadable(str(aside), _MOVED_BEFORE, moved_aside=True)
        for path in self._files(_SUFFIX):
            try:
                with self._errors("read", path), self._turn(path):
                    self._current(path, None)
            except StoreError as problem:
                yield Unreadable(str(path), str(problem), moved_aside=not _exists(path))

    # --- reading -------------------------------------------------------------------------------------------------

    def _current(self, path: Path, key: str | None) -> Record | None:
        """What is stored, read in our turn: a file that is damaged now is moved aside, for nobody is writing it."""
        found = self._read(path, key)
        if not isinstance(found, Damage):
            return found
        aside = next(each for each in _asides(path, also_the_next=True) if not _exists(each))
        past_sharing_errors(lambda: path.replace(aside))
        sync_directory(self._directory)
        raise _unreadable(aside, found.reason)

    def _read(self, path: Path, key: str | None) -> Record | Damage | None:
        """The record of `key`, or of any key if that is None."""
        try:
            text = past_sharing_errors(lambda: self._content(path))
        except FileNotFoundError:
            aside = path.with_suffix(_ASIDE)
            if _exists(aside):
                raise _unreadable(aside, "it is no record of blnk_auth") from None
            return None
        return _parsed(text, path, key)

    def _key_in(self, path: Path) -> str | None:
        """The key of a record; None if the file is gone, unreadable or no record, which `check` tells."""
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

    def _replace(self, new: Path, path: Path) -> None:
        new.replace(path)

    def _turn(self, path: Path) -> AbstractContextManager[None]:
        """Nobody else writes `path` while this is open. A directory that was removed under us is made again."""
        return turn(self._turns[zlib.crc32(path.name.encode()) % _WRITERS], path, self._prepare)

    def _prepare(self) -> None:
        existing = next(parent for parent in self._directory.parents if parent.exists())
        is_new = not _exists(self._directory)
        make_directory(self._directory)
        self._refuse(self._directory, self._directory.lstat(), stat.S_ISDIR, "directory", "700")
        make_directory(self._new)
        make_directory(self._locks)
        for parent in self._directory.parents if is_new else ():
            sync_directory(parent)
            if parent == existing:
                break

    def _sweep(self) -> None:
        """Remove what a kill left half written. Whose turn it is has nobody else at work on that file."""
        with os.scandir(self._new) as entries:
            left = [entry.name for entry in entries]
        for name in left:
            with self._turn(self._directory / name), suppress(FileNotFoundError):
                (self._new / name).unlink()

    # --- files ---------------------------------------------------------------------------------------------------

    def _path(self, key: str) -> Path:
        return self._directory / f"{name_of(key)}{_SUFFIX}"

    def _files(self, suffix: str) -> list[Path]:
        """Our files, in order: those whose name is a record's name and then begins with `suffix`."""
        with os.scandir(self._directory) as entries:
            names = [entry.name for entry in entries]
        return [self._directory / name for name in sorted(names) if _is_ours(name, suffix)]

    def _refuse(self, path: Path, status: os.stat_result, is_kind: Any, kind: str, mode: str) -> None:
        """Raise `StoreError` for what is not of our kind or not private."""
        if stat.S_ISLNK(status.st_mode) and self._check_permissions:
            raise _symlink(path)
        if not is_kind(status.st_mode) and not stat.S_ISLNK(status.st_mode):
            raise StoreError(f"{str(path)!r} is no {kind}", remedy="choose another directory, or move it away")
        if not self._check_permissions or sys.platform == "win32":
            return
        if status.st_uid != os.geteuid():
            raise StoreError(
                f"{str(path)!r} belongs to another user (uid {status.st_uid})",
                remedy=(
                    "choose a directory of your own, or pass check_permissions=False if that user may have your tokens"
                ),
            )
        if status.st_mode & _OTHERS:
            raise StoreError(
                f"{str(path)!r} is open to other users (mode {stat.S_IMODE(status.st_mode):o}): `chmod "
                f"{mode}` it if nobody has read it, or choose another directory",
                remedy="check_permissions=False accepts it as it is",
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
        return StoreError(
            f"{str(path)!r} cannot be {purpose}: {error.strerror or type(error).__name__}", remedy=f"{remedy}"
        )


def _parsed(text: bytes, path: Path, key: str | None) -> Record | Damage:
    its_key = key_in(text) if key is None else key
    if its_key is not None and path.name != name_of(its_key) + _SUFFIX:
        return Damage("it holds the record of another key")
    return read_record(text, its_key or "", repr(str(path)))


def _unreadable(aside: Path, reason: str) -> StoreError:
    restored = _restored(aside).name
    return StoreError(
        f"the record {restored!r} cannot be read: {reason}. It was moved to {str(aside)!r}",
        remedy=(
            f"other records are not affected. Restore it from a backup as {restored!r}, or "
            "delete this key from the store and sign in again"
        ),
    )


def _restored(aside: Path) -> Path:
    """Where the record is expected that was moved aside."""
    return aside.with_name(aside.name.partition(".")[0] + _SUFFIX)


def _symlink(path: Path) -> StoreError:
    return StoreError(
        f"{str(path)!r} is a symlink, whose target somebody else may choose",
        remedy="give the directory's own path, or pass check_permissions=False",
    )


def _asides(path: Path, *, also_the_next: bool = False) -> Iterator[Path]:
    """Where copies of `path` were moved aside, first to last, and with `also_the_next` the first free name."""
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
    """Whether there is something of that name, were it a dangling symlink."""
    return os.path.lexists(path)


def _absolute(directory: str | os.PathLike[str]) -> Path:
    given = os.fspath(directory)
    if not given or "\0" in given:
        raise StoreError(f"directory {given!r} names no directory", remedy="give its path, such as 'tokens'")
    # The parents' own symlinks are resolved, so that every spelling leads to the same locks, also after a chdir.
    try:
        expanded = Path(given).expanduser()
        return expanded.parent.resolve() / expanded.name
    except RuntimeError as error:
        raise StoreError(f"directory {given!r} leads nowhere: {error}", remedy="give another path") from error


def _reopen(store_type: type[FileStore], directory: str, check_permissions: bool) -> FileStore:
    return store_type(directory, check_permissions=check_permissions)
