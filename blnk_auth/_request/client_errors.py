"""Our errors, dressed as the HTTP client's own, so that a caller's `except` clauses go on to work.

Every error is also the client's request error and carries `.request`. Only `TemporarilyUnavailable` is also its
transport error, so that a retry wrapper repeats what may heal and nothing else.
"""

from __future__ import annotations

import functools
from typing import Any

from ..errors import BlnkAuthError, TemporarilyUnavailable, core_type


def as_client_error(
    error: BlnkAuthError, request: Any, *, request_error: type[Exception], transport_error: type[Exception]
) -> BlnkAuthError:
    """The same error, which is also one of the HTTP client's and names the request that could not be sent."""
    core = core_type(type(error))
    base = transport_error if issubclass(core, TemporarilyUnavailable) else request_error
    dressed_type: Any = _combined_type(core, base)  # type: ignore[arg-type]  # typeshed: a class is not Hashable
    dressed: BlnkAuthError = dressed_type(error.problem, **error.fields())
    dressed.request = request  # type: ignore[attr-defined]  # the client's base class has it
    return dressed


@functools.cache
def _combined_type(core: Any, base: Any) -> Any:
    return type(core.__name__, (core, base), {"__doc__": core.__doc__, "__module__": __name__})
