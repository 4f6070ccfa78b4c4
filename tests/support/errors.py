"""Checking an error of the package by its data, not by its text.

Used by every test of an error of the package; `tests/unit/test_how_errors_are_tested.py` sees to it, and lists the few
files that look at wording. It never looks at how a message is worded: only at fields, and at the values that a message
must show. The words themselves are in `tests/data/error_messages.txt`, which tests/unit/test_error_messages.py checks.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from blnk_auth import BlnkAuthError
from blnk_auth._protocol import response_errors

LOST_REFRESH = response_errors._lost("refresh_token")
"""What an error shows if the request before it has probably spent the refresh token. Users need it to understand why;
no program can do anything about it, so no field has it."""

_Error = TypeVar("_Error", bound=BlnkAuthError)


@contextmanager
def raises(
    expected: type[_Error], *, shows: str | tuple[str, ...] = (), **fields: Any
) -> Generator[pytest.ExceptionInfo[_Error]]:
    """The block raises this error, with these values in its fields.

    with raises(ConfigurationError, parameter="client_id"): ...
    with raises(SignInRequired, reason="refused", subject="alice") as caught: ...
    with raises(StoreError, shows=(str(path), "chmod 700")): ...

    Args:
        expected: The class, or a base of it.
        shows: What the message must show to the one who reads it: a path, a key, a mode, a number, a code of the
            server, the name of an argument, a command. Never words of the message itself: these may be reworded.
        **fields: The fields, by name.
    """
    __tracebackhide__ = True
    with pytest.raises(expected) as caught:
        yield caught
    assert {name: getattr(caught.value, name) for name in fields} == fields, str(caught.value)
    must_show(caught.value, *((shows,) if isinstance(shows, str) else shows))


def must_show(error: BlnkAuthError, *values: str) -> None:
    """The message has these values; see `raises`."""
    __tracebackhide__ = True
    assert [each for each in values if each not in str(error)] == [], str(error)
