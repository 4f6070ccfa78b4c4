"""Copies records from one store to another, and finds records that cannot be read.

Used by `blnk-auth store`, and by programs through `blnk_auth.stores`. It promises that a copy that was interrupted can
be continued by calling it again. It never deletes a record, overwrites one only with `overwrite=True`, and never
prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..errors import Conflict, StoreError, clears_locals
from ..errors._pickling import public
from ._async_adapter import AsyncTokenStore, as_token_store
from ._calls import call_store, load_record, save_record
from ._self_checking import SelfChecking, Unreadable
from ._token_store import Record, TokenStore

_FAILURES = 10
"""How many keys in a row may fail with an error that does not name a key. After that, the store itself has failed."""

OnProgress = Callable[[int, int], object]
"""Called with the number of records done and the number of all records. Its return value is ignored."""


@public
@dataclass(slots=True)
class CopyReport:
    """What `copy_store` did with each record.

    For one thread at a time.

    Attributes:
        copied: The keys that were written and read back.
        equal: The keys under which the target had the same data already.
        different: The keys under which the target has other data. That data was not changed.
        failed: What could not be read or written.
    """

    copied: list[str] = field(default_factory=list[str])
    equal: list[str] = field(default_factory=list[str])
    different: list[str] = field(default_factory=list[str])
    failed: list[Unreadable] = field(default_factory=list[Unreadable])

    @property
    def is_complete(self) -> bool:
        """Whether the target now has every record of the source."""
        return not self.different and not self.failed


@public
@dataclass(slots=True)
class CheckReport:
    """What `check_store` found.

    For one thread at a time.

    Attributes:
        sound: How many records can be read.
        unreadable: What cannot be read.
    """

    sound: int = 0
    unreadable: list[Unreadable] = field(default_factory=list[Unreadable])


@public
@clears_locals
def copy_store(
    source: TokenStore | AsyncTokenStore,
    target: TokenStore | AsyncTokenStore,
    on_progress: OnProgress | None = None,
    *,
    overwrite: bool = False,
) -> CopyReport:
    """Copy every record of `source` into `target`, and read each back.

    First stop every process that renews tokens in the source: if a pair is renewed after it was copied, the copy in the
    target is already spent. A record that the target already has is skipped if it is equal. If it differs, it is not
    changed, and is reported as different. So is a record that changes in the source during the copy. A record that
    cannot be read is reported as failed, even if the source does not know its key. It blocks, and may be called from
    any thread; call it on a worker thread where an event loop runs.

    Args:
        source: The store to read. It is not changed.
        target: The store to write.
        on_progress: Called after each record, with the number of records done and of all records. None: not called.
        overwrite: True replaces records of the target that differ. Default: False.

    Returns:
        What was done with each record.

    Raises:
        ConfigurationError: `source` or `target` is not a store.
        StoreError: The source cannot list its keys, or a whole store fails, for example because its server is down.
    """
    report = CopyReport()
    read, written = as_token_store(source, "source"), as_token_store(target, "target")

    def copy(key: str) -> None:
        _copy(report, read, written, key, overwrite=overwrite)

    _for_each_key(read, copy, report.failed, on_progress)
    return report


@public
@clears_locals
def check_store(store: TokenStore | AsyncTokenStore, on_progress: OnProgress | None = None) -> CheckReport:
    """Read every record of `store`, and report what cannot be read. Deletes nothing.

    Some stores then move aside data that is not a record, so that it does not block its key. It blocks, and may be
    called from any thread; call it on a worker thread where an event loop runs.

    Args:
        store: The store to read.
        on_progress: Called after each record, with the number of records done and of all records. None: not called.

    Returns:
        The number of records that can be read, and everything that cannot.

    Raises:
        ConfigurationError: `store` is not a store.
        StoreError: The store cannot list its keys, or fails as a whole.
    """
    report = CheckReport()
    read = as_token_store(store)

    def check(key: str) -> None:
        report.sound += load_record(read, key) is not None

    _for_each_key(read, check, report.unreadable, on_progress)
    return report


def _for_each_key(
    store: TokenStore, act: Callable[[str], None], failed: list[Unreadable], on_progress: OnProgress | None
) -> None:
    """Call `act` for every key, and add what fails to `failed`."""
    failed.extend(_found_by_itself(store))
    reported = {each.key for each in failed}
    keys: list[str] = call_store("listed", lambda: list(store.keys()))
    in_a_row = 0
    for done, key in enumerate(keys, 1):
        try:
            act(key)
            in_a_row = 0
        except StoreError as error:
            in_a_row = in_a_row + 1 if error.key is None else 0
            if in_a_row in (_FAILURES + 1, len(keys)):
                # A server is down, or its tables are missing: all other keys would fail, or all keys have.
                raise
            if key not in reported:
                failed.append(Unreadable(f"key {key!r}", str(error), key=key))
        if on_progress is not None:
            on_progress(done, len(keys))


def _found_by_itself(store: TokenStore) -> Iterable[Unreadable]:
    return call_store("checked", lambda: list(store.check())) if isinstance(store, SelfChecking) else ()


def _copy(report: CopyReport, source: TokenStore, target: TokenStore, key: str, *, overwrite: bool) -> None:
    """Copy one record, and add it to the report."""
    record, found = load_record(source, key), load_record(target, key)
    if record is None:
        return  # Deleted since the keys were listed.
    if found is not None and found.data == record.data:
        report.equal.append(key)
    elif found is not None and not overwrite:
        report.different.append(key)
    else:
        is_copied = _is_written(source, target, key, record, found)
        (report.copied if is_copied else report.different).append(key)


def _is_written(source: TokenStore, target: TokenStore, key: str, record: Record, found: Record | None) -> bool:
    """Write a record; whether it is now in the target, and unchanged in the source."""
    try:
        save_record(target, key, record.data, expected=None if found is None else found.version)
    except Conflict:
        return False
    written, now = load_record(target, key), load_record(source, key)
    if written is None or written.data != record.data:
        raise StoreError(
            f"the record under key {key!r} was read back with other data than was written",
            key=key,
            remedy="check the target",
        )
    return now is not None and now.version == record.version
