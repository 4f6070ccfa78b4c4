"""Moving records from one store to another, and looking for those that cannot be read. Knows no terminal.

Nothing is deleted, and nothing overwritten unless asked: a copy that was interrupted is taken up by calling it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import Conflict, StoreError
from ._calls import call_store
from ._check import SelfChecking, Unreadable
from ._token_store import Record, TokenStore

_ALIKE = 10
"""How many keys in a row fail alike before that is taken for a failure of the store."""

OnProgress = Callable[[int, int], object]
"""Called with how many records are done, and of how many."""


@dataclass(slots=True)
class CopyReport:
    """What became of each record. `different` holds the keys under which the target has something else."""

    copied: list[str] = field(default_factory=list[str])
    equal: list[str] = field(default_factory=list[str])
    different: list[str] = field(default_factory=list[str])
    failed: list[Unreadable] = field(default_factory=list[Unreadable])

    @property
    def is_complete(self) -> bool:
        """Whether the target now holds all that the source holds."""
        return not self.different and not self.failed


@dataclass(slots=True)
class CheckReport:
    """How many records are sound, and what is not."""

    sound: int = 0
    unreadable: list[Unreadable] = field(default_factory=list[Unreadable])


def copy_store(
    source: TokenStore, target: TokenStore, on_progress: OnProgress | None = None, *, overwrite: bool = False
) -> CopyReport:
    """Copy every record of `source` into `target`, reading each back, and report.

    A record that the target holds already is skipped if it is equal, and otherwise left and reported as different,
    unless `overwrite`. So is one that changes in the source meanwhile: stop what renews tokens there first, for a pair
    renewed after its copy is spent in the target. What cannot be read is reported as failed, also where the source
    cannot tell its key. Raises `StoreError` if the source cannot list its keys, or for a failure of a whole store.
    """
    report, keys = CopyReport(failed=_found_by_itself(source)), call_store("listed", lambda: list(source.keys()))
    told = {each.problem for each in report.failed}
    for done, key in enumerate(keys, 1):
        try:
            _outcome(report, source, target, key, overwrite=overwrite).append(key)
        except StoreError as problem:
            _note(problem, key, report.failed, told)
        if on_progress is not None:
            on_progress(done, len(keys))
    return report


def check_store(store: TokenStore, on_progress: OnProgress | None = None) -> CheckReport:
    """Read every record of `store` and report what cannot be read.

    What is no record at all is moved aside by stores that can, so that it is in nobody's way; nothing is deleted.
    Raises `StoreError` if the store cannot list its keys, or fails as a whole.
    """
    report, keys = CheckReport(unreadable=_found_by_itself(store)), call_store("listed", lambda: list(store.keys()))
    told = {each.problem for each in report.unreadable}
    for done, key in enumerate(keys, 1):
        try:
            report.sound += call_store("read", store.load, key) is not None
        except StoreError as problem:
            _note(problem, key, report.unreadable, told)
        if on_progress is not None:
            on_progress(done, len(keys))
    return report


def _found_by_itself(store: TokenStore) -> list[Unreadable]:
    return call_store("checked", lambda: list(store.check())) if isinstance(store, SelfChecking) else []


def _note(problem: StoreError, key: str, noted: list[Unreadable], told: set[str]) -> None:
    if str(problem) in told:
        return
    if [each.problem for each in noted[-_ALIKE:]] == [str(problem)] * _ALIKE:
        # Word for word what befell the keys before: a server is down, its tables are missing. None will fare better.
        raise problem
    noted.append(Unreadable(f"key {key!r}", str(problem)))


def _outcome(report: CopyReport, source: TokenStore, target: TokenStore, key: str, *, overwrite: bool) -> list[str]:
    """The list of the report that `key` belongs to, once what is to be done for it is done. Raises `StoreError`."""
    record, found = call_store("read", source.load, key), call_store("read", target.load, key)
    if record is None:
        # Deleted since it was listed.
        return []
    if found is not None and found.data == record.data:
        return report.equal
    if found is not None and not overwrite:
        return report.different
    try:
        call_store("written", target.save, key, record.data, expected=None if found is None else found.version)
    except Conflict:
        return report.different
    return report.copied if _same(source, target, key, record) else report.different


def _same(source: TokenStore, target: TokenStore, key: str, copied: Record) -> bool:
    """Whether what was copied is in the target, and still in the source."""
    written, now = call_store("read", target.load, key), call_store("read", source.load, key)
    if written is None or written.data != copied.data:
        raise StoreError(
            f"the record under key {key!r} does not read back as it was written", remedy="check the target"
        )
    return now is not None and now.version == copied.version
