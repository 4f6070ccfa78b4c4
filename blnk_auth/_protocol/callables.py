"""Calls the callables that users pass for a secret, a key, a parameter or the target of a subject.

Used by providers and by the authentication of a client. It promises that any exception of the callable is raised as an
error of this library, without its text, which may contain a secret. It never keeps what a callable returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..errors import BlnkAuthError, ConfigurationError, TemporarilyUnavailable

Value = TypeVar("Value")


def call_setting(parameter: str, setting: Callable[[], Value]) -> Value:
    """Call a user's callable, and return its result.

    Args:
        parameter: The name of the setting, for the error.
        setting: The callable.

    Raises:
        BlnkAuthError: The callable raised it; it is passed on unchanged.
        ConfigurationError: The callable could not import a module, so trying again does not help.
        TemporarilyUnavailable: The callable raised any other error. A later call may succeed.
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
