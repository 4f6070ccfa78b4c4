"""`RequestsAuth`: a token source as `auth=` of a `requests.Session` or a single call.

Used by users of requests, importable alone. It promises that the token is attached only to a request that may have it.
requests calls an auth object once, while it prepares a request; what follows the response is in
`_request.requests_hook`. It never sends a request itself.
"""

from __future__ import annotations

from typing import Any

import requests
from requests.auth import AuthBase

from ._renewal.cached_token import CachedToken
from ._renewal.credential import Source, credential_of
from ._request.before_sending import may_carry_token, token_to_send
from ._request.blocking_and_async import run
from ._request.client_errors import wrong_auth_class
from ._request.requests_hook import (
    ResponseHook,
    as_requests_error,
    attach_more,
    origin_of,
    unpickled_hook,
    was_attached,
)
from .errors import BlnkAuthError, constructor_clears_locals

__all__ = ["RequestsAuth", "unpickled_hook"]


@constructor_clears_locals
class RequestsAuth(AuthBase):
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

    def __init__(self, source: Source) -> None:
        self._source = source
        self._credential = credential = credential_of(source)
        self._header_name = credential.rules.header_name
        self._sends_more = credential.rules.has_api_headers or credential.rules.proof is not None
        # A prepared URL spells its origin in lower case and always has a path.
        self._listed = tuple(f"{origin}/" for origin in credential.rules.origins.listed)
        self._hook: ResponseHook | None = None

    def __repr__(self) -> str:
        return f"<RequestsAuth for {self._source!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._source,)

    def __call__(  # noqa: C901 - the hot path: each function less is time saved for every request
        self, request: requests.PreparedRequest
    ) -> requests.PreparedRequest:
        """Attach the token. Called by requests; blocks while a renewal is needed."""
        credential = self._credential
        try:
            is_listed = (request.url or "").startswith(self._listed)
        except AttributeError:
            # httpx too calls the object that is passed as `auth`; its URLs are not strings.
            raise wrong_auth_class("RequestsAuth", request) from None
        if not is_listed and not may_carry_token(credential, origin_of(request.url)):
            return request
        try:
            # A test with `in` would cost a third more.
            own = request.headers[self._header_name]
        except KeyError:
            own = None
        if own is not None and not was_attached(request, own):
            credential.report_withheld(None)
            return request
        # At this point it can only be our own header, which a traceback would show.
        own = None
        cached = credential.fresh() or self._token_when_ready(request)
        if not is_listed and not may_carry_token(credential, origin_of(request.url), cached):
            return request
        # `cached.header`, without the call.
        request.headers[self._header_name] = cached.prefix + cached.token.access_token
        hook = self._hook
        if hook is None or hook.sent is not cached:
            self._hook = hook = ResponseHook(credential, cached)
        if self._sends_more:
            hook = attach_more(credential, cached, request)
        hooks: list[Any] = request.hooks["response"]
        if hooks:
            # One for each prepared request, however often it is prepared.
            hooks[:] = [hook for hook in hooks if type(hook) is not ResponseHook]
        hooks.append(hook)
        return request

    def _token_when_ready(self, request: requests.PreparedRequest) -> CachedToken:
        try:
            return run(token_to_send(self._credential, "requests"))
        except BlnkAuthError as error:
            raise as_requests_error(error, request) from None
