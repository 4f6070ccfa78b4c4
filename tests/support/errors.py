"""Checking an error of the package by its data, not by its text.

Used by every test of an error. The words of a message are checked in one place, tests/unit/test_error_messages.py, and
by tests whose subject is the message, such as those of the command line.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from blnk_auth import BlnkAuthError

_Error = TypeVar("_Error", bound=BlnkAuthError)


@contextmanager
def raises(expected: type[_Error], **fields: Any) -> Generator[pytest.ExceptionInfo[_Error]]:
    """The block raises this error, with these values in its fields.

    with raises(ConfigurationError, parameter="client_id"): ...
    with raises(SignInRequired, reason="refused", subject="alice") as caught: ...
    """
    __tracebackhide__ = True
    with pytest.raises(expected) as caught:
        yield caught
    assert {name: getattr(caught.value, name) for name in fields} == fields, str(caught.value)
