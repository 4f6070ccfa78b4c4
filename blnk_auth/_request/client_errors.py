"""Converts our errors to errors of the HTTP package, so that a caller's `except` clauses still work.

Used by the auth classes. It promises that every error is also the package's request error and has `.request`. Only
`TemporarilyUnavailable` is also its transport error, so that a retry wrapper repeats only requests that may succeed
later. It never changes the error that was raised: it makes a new one.
"""

from __future__ import annotations

import functools
from typing import Any

from ..errors import BlnkAuthError, ConfigurationError, TemporarilyUnavailable, core_type

_FOR_AIOHTTP = "pass ClientSession(middlewares=(AiohttpAuth(source),))"


def as_client_error(
    error: BlnkAuthError, request: Any, *, request_error: type[Exception], transport_error: type[Exception]
) -> BlnkAuthError:
    """The same error, which is also an error of the HTTP package and names the request that could not be sent.

    Args:
        error: The error that was raised.
        request: The package's request.
        request_error: The package's error for a request that failed.
        transport_error: The package's error for a request that may succeed if it is repeated.
    """
    core = core_type(type(error))
    base = transport_error if issubclass(core, TemporarilyUnavailable) else request_error
    combined: Any = _combined_type(core, base)  # type: ignore[arg-type]  # typeshed: a class is not Hashable
    converted: BlnkAuthError = combined(error.problem, request=request, **error.fields())
    return converted


def wrong_auth_class(given: str, request: object) -> ConfigurationError:
    """The error for an auth class that was passed to an HTTP package that is not its own.

    Args:
        given: The name of the auth class.
        request: The request that the package passed to it.
    """
    package = _package_of(request)
    return ConfigurationError(
        f"{given} was passed to {package}, but is made for another package",
        parameter="auth",
        remedy=_FOR_AIOHTTP
        if package == "aiohttp"
        else f"pass Auth(source), which the clients of {_packages()} accept",
    )


def wrong_client(given: str, request: object) -> ConfigurationError:
    """The error for `Auth` that was passed to a client that takes it for a function, and would never renew.

    Args:
        given: The name of the auth class: `Auth`, or that of a subclass.
        request: The request that the client passed to it.
    """
    from .client_packages import CLIENT_PACKAGES

    package = _package_of(request)
    if any(package == each.name for each in CLIENT_PACKAGES):
        return ConfigurationError(
            f"{given} was passed to a client of another copy of {package} than the imported one",
            parameter="auth",
            remedy=f"make the client with the {package} that is imported now",
        )
    return ConfigurationError(
        f"{given} was passed to {package}, but is made for the clients of {_packages()}",
        parameter="auth",
        remedy=_FOR_AIOHTTP if package == "aiohttp" else "send the headers that source.headers(url) returns",
    )


def _package_of(request: object) -> str:
    return type(request).__module__.partition(".")[0]


def _packages() -> str:
    # Imported for such an error only: every auth class imports this module.
    from .client_packages import CLIENT_PACKAGES

    *others, last = (package.name for package in CLIENT_PACKAGES)
    return f"{', '.join(others)} and {last}"


@functools.cache
def _combined_type(core: Any, base: Any) -> Any:
    def __init__(self: Any, problem: str, *, request: object = None, **fields: Any) -> None:  # noqa: N807 - a method
        core.__init__(self, problem, **fields)
        self.request = request

    return type(core.__name__, (core, base), {"__init__": __init__, "__doc__": core.__doc__, "__module__": __name__})
