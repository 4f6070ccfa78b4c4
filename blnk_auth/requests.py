"""`RequestsAuth`: a token source as `auth=` of a `requests.Session` or a single call.

Used by users of requests, importable alone. It promises the behaviour of `_request.requests_flow`, and never decides
anything itself.
"""

from __future__ import annotations

from requests.auth import AuthBase

from ._request.requests_flow import RequestsFlow
from ._request.requests_hook import unpickled_hook

__all__ = ["RequestsAuth", "unpickled_hook"]


class RequestsAuth(RequestsFlow, AuthBase):
    """Sends a source's token with each request of a session: `session.auth = RequestsAuth(source)`.

    Or pass it as `auth=` to a single call. The token is sent to the provider's API origins and nowhere else. A request
    that has an `Authorization` header of its own keeps it. A rejected request is repeated once, with a renewed token,
    if its body can be sent again: bytes, text, or a file that can seek. Otherwise the response is returned, and the
    next request carries the new token.

    With `OAuthClient(dpop=...)` each attempt has a proof of its own (RFC 9449), and a request is also repeated once if
    the API demands a nonce in it.

    May be shared between any number of sessions and threads.

    The header is that of RFC 6750 section 2.1, unless a `StaticToken` names another. A rejection is read as section 3
    describes, unless the provider has a rule of its own.

    Args:
        source: Whose token is sent: a `TokenSource`, as `OAuthClient.for_subject` and `for_itself` return it, or a
            `StaticToken`.

    Raises:
        ConfigurationError: `source` is something else.
        BlnkAuthError: While a request is sent: there is no valid token. It is also a `requests.RequestException` with
            `.request`; only `TemporarilyUnavailable` is also a `requests.ConnectionError`.
    """
