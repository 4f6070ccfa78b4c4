"""Our errors as errors of the HTTP package, so that a caller's `except` clauses go on to work.

Used by the auth classes. Every error is also the package's request error and has `.request`. Only
`TemporarilyUnavailable` is also its transport error, so that a retry wrapper repeats nothing but what may succeed
later.
"""

from __future__ import annotations

import functools
from typing import Any

from ..errors import BlnkAuthError, TemporarilyUnavailable, core_type


def as_client_error(
    error: BlnkAuthError, request: Any, *, request_error: type[Exception], transport_error: type[Exception]
) -> BlnkAuthError:
    """The same error, which is also an error of the HTTP package and names the request that could not be sent.

    Args:
        error: What was raised.
        request: The package's request.
        request_error: The package's error for a request.
        transport_error: The package's error for what may succeed when it is repeated.
    """
    core = core_type(type(error))
    base = transport_error if issubclass(core, TemporarilyUnavailable) else request_error
    combined: Any = _combined_type(core, base)  # type: ignore[arg-type]  # typeshed: a class is not Hashable
    converted: BlnkAuthError = combined(error.problem, **error.fields())
    converted.request = request  # type: ignore[attr-defined]  # the package's base class has it
    return converted


@functools.cache
def _combined_type(core: Any, base: Any) -> Any:
    return type(core.__name__, (core, base), {"__doc__": core.__doc__, "__module__": __name__})
