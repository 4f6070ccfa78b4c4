"""A store in one SQLite file: survives restarts, and is shared by the threads and processes of one machine.

Used by users with one machine; the default store of the `blnk-auth` command. It promises, in addition to what
`_token_store` promises:

* Once `save` returns, the record is on disk, and survives a power cut. For more about the file, see `_sqlite_file`.
* One unreadable record does not keep the others from being used. A damaged database is refused: a small one is checked
  as a whole when it is opened. Each page is checked when it is read. `check` checks everything.
* It never shows a record in an error, nor in a traceback with the local variables of this module.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ..errors import StoreError, clears_locals
from ..errors._pickling import public
from ._due import UNKNOWN, DueEntry, DueStore, saved_due_at
from ._pages import PAGE, keys_in_order, rows_in_order
from ._private_file import Access, absolute_path
from ._self_checking import Unreadable
from ._sqlite_file import SQLiteFile
from ._sqlite_schema import DUE_AT, transaction
from ._store_handle import PickledByArguments
from ._token_store import Record, Version, conflict, from_json, new_version, to_json, unreadable

_LOAD = "SELECT version, CAST(data AS BLOB) FROM records WHERE key = ?"
"""As bytes, because the error that SQLite raises for text that is not UTF-8 would quote the secrets."""

# Never `?1`: Python 3.14 raises an error for numbered placeholders with a sequence, and 3.12 warns of it.
_INSERT = "INSERT INTO records (version, data, due_at, due_version, key) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_UPDATE = "UPDATE records SET version = ?, data = ?, due_at = ?, due_version = ? WHERE key = ? AND version = ?"
_KEYS = f"SELECT key FROM records WHERE key {{}} ? ORDER BY key LIMIT {PAGE}"  # noqa: S608 - a comparison is filled in
_RECORDS = _KEYS.replace("key", "key, CAST(data AS BLOB)", 1)
# `substr`, so that SQLite does not look for the prefix in the index of the keys: nearly all keys may begin with it.
_DUE = f"SELECT {DUE_AT}, key FROM records WHERE {{}} AND substr(key, 1, ?) = ? ORDER BY {{}}key LIMIT ?"  # noqa: S608
_DUE_BEFORE = _DUE.format(f"{DUE_AT} < ?", f"{DUE_AT}, ")
_DUE_BETWEEN = _DUE.format(f"{DUE_AT} > ? AND {DUE_AT} < ?", f"{DUE_AT}, ")
_DUE_TOGETHER = _DUE.format(f"{DUE_AT} = ? AND key > ?", "")
_NOTE_DUE = "UPDATE records SET due_at = ?, due_version = version WHERE key = ? AND version = ?"


@public
@clears_locals
class SQLiteStore(PickledByArguments, DueStore):
    """Keeps tokens in one SQLite file. Safe to use from many threads and processes.

    A pickle carries the path and no records; a copy is the same store.

        with SQLiteStore("~/.local/state/acme/tokens.db") as store:
            client = OAuthClient(BlnkCloud(), client_id="id", store=store)

    What its methods do beyond `TokenStore`:

    * `save`: once it returns, the record is on disk, and survives a power cut.
    * `lock` excludes every thread and process that uses the file. The operating system frees it when the process that
      has it ends or crashes. On a full disk it raises `StoreError`; a caller that has the lock has room to save a
      record.
    * `keys` reads page by page: keys written or deleted during the iteration may or may not appear.

    Args:
        path: The database file. It may begin with `~`, and is created if it is missing.
        check_permissions: False accepts a file that other users may read, or that belongs to another user. Use it for a
            volume whose permissions you cannot set. If the group of the directory may write to it, the group may then
            also read and write the files that the store creates.

    Raises:
        ConfigurationError: `path` is not a path.
        StoreError: The file cannot be read and written, is a symlink, has other content, or belongs to another user.
    """

    def __init__(self, path: str | os.PathLike[str], *, check_permissions: bool = True) -> None:
        self._check_permissions = check_permissions
        self._file = SQLiteFile(*_file_of(path, check_permissions))
        self._file.open_once()

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self._file.path)!r})"

    def _arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        # The default is left out, so that earlier versions can read the pickle too.
        options = {} if self._check_permissions else {"check_permissions": False}
        return (str(self._file.path),), options

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        try:
            self.close()
        except Exception:
            # While Python exits, what `close` uses may be cleared, also `sys`. The connection is then closed as it
            # is freed.
            if not is_finalizing():
                raise

    def close(self) -> None:
        file = getattr(self, "_file", None)
        if file is not None:
            file.close()

    def load(self, key: str) -> Record | None:
        with self._file.connected("read") as connection:
            rows: list[tuple[object, bytes]] = connection.execute(_LOAD, (key,)).fetchall()
        if not rows:
            return None
        [(version, text)] = rows
        data = from_json(text)
        if data is not None and isinstance(version, str):
            return Record(data=data, version=version)
        raise self._not_json(key)

    def save(self, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
        text, version, due_at = to_json(data), new_version(), saved_due_at(data)
        if expected is None:
            changed = self._file.changed_rows(_lock_name(key), _INSERT, (version, text, due_at, version, key))
        else:
            changed = self._file.changed_rows(_lock_name(key), _UPDATE, (version, text, due_at, version, key, expected))
        if changed == 0:
            raise conflict(key)
        return version

    def delete(self, key: str) -> None:
        self._file.changed_rows(_lock_name(key), "DELETE FROM records WHERE key = ?", (key,))

    def lock(self, key: str, *, timeout: float) -> AbstractContextManager[None]:
        return self._file.lock(_lock_name(key), f"key {key!r} of {str(self._file.path)!r}", timeout)

    def keys(self, prefix: str = "") -> Iterator[str]:
        return keys_in_order(self._rows(_KEYS, prefix), prefix)

    def due(self, prefix: str, before: float, *, after: tuple[float, str] | None = None, limit: int) -> list[DueEntry]:
        of_prefix = (len(prefix), prefix)
        if after is None:
            return self._due(_DUE_BEFORE, before, *of_prefix, limit)
        due_at, key = after
        # In two parts, since SQLite would read the index from its beginning for `(due_at, key) > (?, ?)`.
        found = self._due(_DUE_TOGETHER, due_at, key, *of_prefix, limit) if due_at < before else []
        if len(found) < limit:
            found += self._due(_DUE_BETWEEN, due_at, before, *of_prefix, limit - len(found))
        return found

    def _due(self, query: str, *parameters: object) -> list[DueEntry]:
        with self._file.connected("read") as connection:
            rows: list[tuple[float, str]] = connection.execute(query, parameters).fetchall()
        return [DueEntry(due_at, key, due_at > UNKNOWN) for due_at, key in rows]

    def note_due(self, found: Sequence[tuple[str, str, float | None]]) -> None:
        with self._file.connected("written") as connection, transaction(connection):
            connection.executemany(_NOTE_DUE, [(due_at, key, version) for key, version, due_at in found])

    def repair_due(self, prefix: str) -> Iterator[int]:
        """Do nothing: the index is a part of the table, so it lacks no record.

        Args:
            prefix: What the keys of the records begin with.

        Returns:
            An iterator that is empty. It raises nothing.
        """
        return iter(())

    def check(self) -> Iterator[Unreadable]:
        """Read the whole database, and look for damage. Nothing is moved: a damaged record blocks only its own key.

        Returns:
            Everything that cannot be read. It raises nothing.
        """
        try:
            with self._file.connected("checked") as connection:
                self._file.check_pages(connection)
            yield from self._check_records()
        except StoreError as error:
            yield Unreadable(str(self._file.path), str(error))

    def _check_records(self) -> Iterator[Unreadable]:
        rows: Iterator[tuple[str, bytes]] = self._rows(_RECORDS, "")
        for key, text in rows:
            if from_json(text) is None:
                yield Unreadable(f"key {key!r}", str(self._not_json(key)), key=key)

    def _rows(self, query: str, start: str) -> Iterator[Any]:
        return rows_in_order(
            lambda key: self._page(query.format(">="), key),
            lambda key: self._page(query.format(">"), key),
            start,
            lambda: self._file.damaged("its index is out of order", in_index=True),
        )

    def _page(self, query: str, start: str) -> list[Any]:
        with self._file.connected("read") as connection:
            return connection.execute(query, (start,)).fetchall()

    def _not_json(self, key: str) -> StoreError:
        return unreadable(key, f"it is not a JSON object, in path {str(self._file.path)!r}")


def _lock_name(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _file_of(path: str | os.PathLike[str], check_permissions: bool) -> tuple[Path, Access]:
    if isinstance(path, (str, os.PathLike)) and os.fspath(path) == ":memory:":
        raise StoreError(
            "path ':memory:' would be a file of that name",
            parameter="path",
            remedy="to keep tokens in memory, use MemoryStore, whose URL is memory:",
        )
    file = absolute_path(path, "path", "tokens.db")
    if not file.name:
        raise StoreError(
            f"path {str(file)!r} is a directory", parameter="path", remedy="pass a file, such as 'tokens.db'"
        )
    return file, Access.of(file.parent, check_permissions=check_permissions)
