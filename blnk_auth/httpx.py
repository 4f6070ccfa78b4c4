"""`HttpxAuth`: a token source as `auth=` of `httpx.Client` and `httpx.AsyncClient` (asyncio and trio).

Used by users of httpx, importable alone. It promises the behaviour of `_request.httpx_flow`, and never decides
anything itself.
"""

from __future__ import annotations

import httpx

from ._request.httpx_flow import HttpxFlow

__all__ = ["HttpxAuth"]


class HttpxAuth(HttpxFlow, httpx.Auth):
    """Sends a source's token with each request of an httpx client: `httpx.Client(auth=HttpxAuth(source))`.

    Or pass it as `auth=` to a single call. The token is sent to the provider's API origins and nowhere else. A request
    that has an `Authorization` header of its own keeps it. A rejected request is repeated once, with a renewed token,
    if its body is in memory (`json=`, `data=`, bytes, text). Otherwise the response is returned, and the next request
    carries the new token.

    With `OAuthClient(dpop=...)` each attempt has a proof of its own (RFC 9449), and a request is also repeated once if
    the API demands a nonce in it.

    May be shared between any number of clients, threads, event loops and tasks.

    The header is that of RFC 6750 section 2.1, unless a `StaticToken` names another. A rejection is read as section 3
    describes, unless the provider has a rule of its own.

    Args:
        source: Whose token is sent: a `TokenSource`, as `OAuthClient.for_subject` and `for_itself` return it, or a
            `StaticToken`.

    Raises:
        ConfigurationError: `source` is something else.
        BlnkAuthError: While a request is sent: there is no valid token. It is also an `httpx.RequestError` with
            `.request`; only `TemporarilyUnavailable` is also an `httpx.TransportError`.
    """

    _httpx = httpx
    _package = "httpx"
