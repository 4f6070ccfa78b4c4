"""Calling what a user gave as a callable: a secret, a key, a parameter, the target of a subject.

Used by providers and by the authentication of a client. Promises that any exception of the callable becomes an error
of this library that does not quote it, since its text may hold a secret. It never keeps what a callable returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..errors import BlnkAuthError, ConfigurationError, TemporarilyUnavailable

Value = TypeVar("Value")


def call_setting(parameter: str, setting: Callable[[], Value]) -> Value:
    """What a user's callable returns.

    Args:
        parameter: The name of the setting, for the error.
        setting: The callable.

    Raises:
        BlnkAuthError: The callable's own error of this library, as it is.
        ConfigurationError: A module could not be imported, which no later attempt changes.
        TemporarilyUnavailable: It raised anything else: a vault that is closed now may open again.
    """
    failure: BlnkAuthError
    try:
        return setting()
    except BlnkAuthError:
        raise
    except ImportError as error:
        missing = error.name or "a module"
        failure = ConfigurationError(
            f"{parameter}: the callable could not import {missing}",
            parameter=parameter,
            remedy="install it, or name it to the tool that packs the application",
        )
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's callable may raise anything, and end no thread
        failure = TemporarilyUnavailable(
            f"{parameter}: the callable raised {type(error).__name__}",
            parameter=parameter,
            remedy="try again later; if it lasts, correct the callable",
        )
    raise failure
