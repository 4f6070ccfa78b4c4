"""`Httpx2Auth`: a token source as `auth=` of `httpx2.Client` and `httpx2.AsyncClient` (asyncio and trio)."""

from __future__ import annotations

from ._request.httpx_flow import HttpxFlow
from .errors import import_failure

try:
    import httpx2
except ImportError as error:
    raise import_failure("Httpx2Auth", "httpx2", "httpx2", error) from error


class Httpx2Auth(HttpxFlow, httpx2.Auth):
    """Pass it as `auth=` to an httpx2 client or to a single call; share it between any number of them.

    The same as `HttpxAuth`; its errors are also `httpx2.RequestError`s.
    """

    _httpx = httpx2
    _package = "httpx2"
