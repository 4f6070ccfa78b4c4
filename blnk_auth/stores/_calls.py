"""Calls to stores, including stores that others have written.

Used by all code that reads or writes a token store. It promises that any exception of a store is raised as a
`StoreError`, without the data that was to be stored, and that the value a store returns is checked before it is used.
It never retries.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Generator
from typing import Any, ParamSpec, TypeVar

from ..errors import BlnkAuthError, StoreError, clears_locals
from ._token_store import Record, TokenStore, Version

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_CHECK_THE_STORE = "run blnk_auth.testing.store_contract against this store, and correct it"


def call_store(
    done: str, call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """The result of a call to a store.

    `done` completes "the token store could not be ...". Raises `StoreError`, or another `BlnkAuthError` that the store
    itself raises. A `BaseException` that is not an `Exception` is converted too, for example the `CancelledError` of a
    store's own event loop, because the caller still has a token pair to save. Only Ctrl-C and `SystemExit` on the main
    thread are not converted, because they are meant for the program.
    """
    try:
        return call(*args, **kwargs)
    except BlnkAuthError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit) and _is_main_thread():
            raise
        # The error's text is left out, and it is not chained, because its text and its frames may contain the data that
        # was to be stored.
        why = f": {os.strerror(error.errno)}" if isinstance(error, OSError) and isinstance(error.errno, int) else ""
        failure = StoreError(
            f"the token store could not be {done} ({type(error).__name__}{why})",
            remedy="check what the store depends on, such as its server or its files, and try again",
        )
    raise failure


@clears_locals
def load_record(store: TokenStore, key: str) -> Record | None:
    """`store.load(key)`, checked. Raises `StoreError` also if it returns anything but a record or None."""
    record: Any = call_store("read", store.load, key)
    if record is None or (
        isinstance(record, Record) and isinstance(record.data, dict) and isinstance(record.version, str)
    ):
        return record
    problem = f"the token store's load returned {_described(record)}, not a Record (of a dict and a string) or None"
    raise StoreError(problem, key=key, remedy=_CHECK_THE_STORE)


@clears_locals
def save_record(store: TokenStore, key: str, data: dict[str, Any], *, expected: Version | None) -> Version:
    """`store.save(...)`, checked. Raises `StoreError` also if it returns anything but a version."""
    version: Any = call_store("written", store.save, key, data, expected=expected)
    if isinstance(version, str):
        return version
    raise StoreError(
        f"the token store's save returned {_described(version)}, not the new version as a string",
        key=key,
        remedy=_CHECK_THE_STORE,
    )


@contextlib.contextmanager
def locked(store: TokenStore, key: str, *, timeout: float, note: Callable[[StoreError], object]) -> Generator[None]:
    """Take the lock of `key`. Raises `StoreError` if it is not free in time.

    `note`: called if the lock cannot be released. That raises nothing, so that what was saved under it is not lost.
    """
    lock = call_store("locked", store.lock, key, timeout=timeout)
    # A lambda, so that `__enter__` is looked up inside `call_store`: a broken store may return something else.
    call_store("locked", lambda: lock.__enter__())  # noqa: PLW0108
    try:
        yield
    finally:
        try:
            call_store("unlocked", lock.__exit__, None, None, None)
        except StoreError as failure:
            note(failure)


def _described(value: Any) -> str:
    """What was returned, by its types only: it may contain tokens."""
    if isinstance(value, Record):
        return f"a Record of {type(value.data).__name__} and {type(value.version).__name__}"
    return f"a value of type {type(value).__name__}"


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
