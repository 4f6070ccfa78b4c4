"""`HttpxAuth`: a token source as `auth=` of `httpx.Client` and `httpx.AsyncClient` (asyncio and trio)."""

from __future__ import annotations

import httpx

from ._request.httpx_flow import HttpxFlow


class HttpxAuth(HttpxFlow, httpx.Auth):
    """Pass it as `auth=` to an httpx client or to a single call; share it between any number of them.

    Sends the source's token to the provider's API origins and nowhere else, leaves a request alone that has an
    `Authorization` header of its own, and repeats a rejected request once with a renewed token if its body is held in
    memory. Raises a `BlnkAuthError` that is also an `httpx.RequestError`. Thread- and task-safe.
    """

    _httpx = httpx
    _package = "httpx"
