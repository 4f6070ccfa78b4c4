"""`Httpx2Auth`: a token source as `auth=` of `httpx2.Client` and `httpx2.AsyncClient` (asyncio and trio).

Used by users of httpx2, importable alone. It promises the behaviour of `_request.httpx_flow`, and never decides
anything itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._request.httpx_flow import HttpxFlow
from .errors._extras import import_failure

try:
    import httpx2
except ImportError as _error:
    raise import_failure("Httpx2Auth", "httpx2", "httpx2", _error) from _error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

__all__ = ["Httpx2Auth"]


class Httpx2Auth(HttpxFlow, httpx2.Auth):
    """Sends a source's token with each request of an httpx2 client: `httpx2.Client(auth=Httpx2Auth(source))`.

    It is `HttpxAuth` for httpx2: the same origins may have the token, the same requests are repeated after a
    rejection, and it may be shared in the same way. Its errors are also httpx2's.

    May be shared between any number of clients, threads, event loops and tasks. The header is that of RFC 6750 section
    2.1, unless a `StaticToken` names another.

    Args:
        source: Whose token is sent: a `TokenSource`, as `OAuthClient.for_subject` and `for_itself` return it, or a
            `StaticToken`.

    Raises:
        ConfigurationError: `source` is something else.
        BlnkAuthError: While a request is sent: there is no valid token. It is also an `httpx2.RequestError` with
            `.request`; only `TemporarilyUnavailable` is also an `httpx2.TransportError`.
    """

    _httpx = httpx2
    _package = "httpx2"

    if TYPE_CHECKING:
        # The flow is annotated with the classes of httpx; here they are those of httpx2. For a type checker these are
        # unrelated classes, so each signature needs the ignore of mypy and that of pyright.
        def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
