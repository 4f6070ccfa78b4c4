"""Calling a store, whoever wrote it: whatever it raises arrives as a `StoreError`, and without the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ..errors import BlnkAuthError, StoreError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def call_store(
    done: str, call: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """The result of a call to a store. Raises `StoreError` (or another `BlnkAuthError` of the store's own)."""
    try:
        return call(*args, **kwargs)
    except BlnkAuthError:
        raise
    except Exception as error:  # noqa: BLE001 - a store of the user's may raise anything
        # Neither its text nor, by a chain, its frames: both may hold the data that was to be stored.
        why = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        failure = StoreError(f"the token store could not be {done} ({type(error).__name__}{why})")
    raise failure
