"""`AiohttpAuth`: a token source as a client middleware of an `aiohttp.ClientSession` or of a single call.

Used by users of aiohttp, importable alone. aiohttp calls a middleware for each hop of a redirect, for the handshake of
a WebSocket, and again if it repeats a request itself. This file promises:

* The headers that it attaches are in the request only while the request is sent. So neither a redirected request nor
  an error or a response that shows its request has them.
* A redirected request gets the token only if every redirect so far has stayed within the first request's origin.

It never reads a response that need not be looked at: what follows a rejection is in `_request.aiohttp_retry`.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from ._renewal.cached_token import CachedToken
from ._renewal.credential import Credential, Source, credential_of
from ._request.before_sending import may_carry_token, own_proof_error, token_to_send
from ._request.blocking_and_async import arun
from ._request.client_errors import wrong_auth_class
from ._request.followed_redirects import REDIRECT_STATUSES, FollowedRedirects, origin_of
from .errors import BlnkAuthError, clears_locals, constructor_clears_locals
from .errors._extras import import_failure

try:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
except ImportError as _error:
    raise import_failure("AiohttpAuth", "aiohttp", "aiohttp", _error, oldest="3.12.15") from _error

__all__ = ["AiohttpAuth"]

_WEB_SOCKET = {"http": "ws", "https": "wss"}


@constructor_clears_locals
class AiohttpAuth:
    """Sends a source's token with each request of a session: `ClientSession(middlewares=(AiohttpAuth(source),))`.

    Or pass it as `middlewares=` to a single call of aiohttp. The token is sent to the provider's API origins and
    nowhere else, also with the handshake of `ws_connect`. A request that has an `Authorization` header of its own keeps
    it. A rejected request is repeated once, with a renewed token, if its body is in memory: `json=`, bytes, text, a
    form of these. Otherwise the response is returned, and the next request carries the new token.

    With `OAuthClient(dpop=...)` each attempt has a proof of its own (RFC 9449), and a request is also repeated once if
    the API demands a nonce in it.

    May be shared between any number of sessions, event loops and tasks. A renewal runs on a thread of its own, through
    httpx: cancelling a request does not cancel it, and aiohttp's timeouts end only the waiting for it.

    The header is that of RFC 6750 section 2.1, unless a `StaticToken` names another. A rejection is read as section 3
    describes, unless the provider has a rule of its own.

    Args:
        source: Whose token is sent: a `TokenSource`, as `OAuthClient.for_subject` and `for_itself` return it, or a
            `StaticToken`.

    Raises:
        ConfigurationError: `source` is something else.
        BlnkAuthError: While a request is sent: there is no valid token. It is also an `aiohttp.ClientError` with
            `.request`, an `aiohttp.RequestInfo`; only `TemporarilyUnavailable` is also an
            `aiohttp.ClientConnectionError`.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._credential: Credential = credential_of(source)
        rules = self._credential.rules
        self._is_plain = not rules.sends_more
        self._noticed = rules.looked_at | REDIRECT_STATUSES
        self._redirects = FollowedRedirects()
        self._following = self._redirects.by_call
        # In the form of the parts of aiohttp's own URLs, so that no request's URL is converted to compare it.
        self._listed = {
            (scheme, o.host, o.port) for o in rules.always_permitted for scheme in (o.scheme, _WEB_SOCKET[o.scheme])
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self._source!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._source,)

    def __call__(
        self, request: ClientRequest, handler: ClientHandlerType | None = None
    ) -> Coroutine[Any, Any, ClientResponse]:
        """Send a request with the token, at most three times. Called by aiohttp, in the caller's task.

        Other tasks run while the token must be renewed. Cancelling the caller does not cancel the renewal.

        Args:
            request: The request, whose headers have the token while it is sent.
            handler: Sends it. None: another HTTP package calls, which has got this object as its `auth`.

        Returns:
            The response to the last attempt.

        Raises:
            ConfigurationError: Another HTTP package calls.
            BlnkAuthError: There is no valid token. It is also an `aiohttp.ClientError`, and has `.request`.
        """
        if handler is None:
            raise wrong_auth_class("AiohttpAuth", request)
        return self._send(request, handler)

    async def _send(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        cached, url, headers = self._credential.fresh(), request.url, request.headers
        if (
            cached is None
            or not self._is_plain
            or (url.scheme, url.raw_host, url.port) not in self._listed
            or "Authorization" in headers
            or (self._following and self._redirects.is_following(request))
        ):
            return await self._send_when_ready(request, handler)
        # `cached.header`, without the call.
        headers["Authorization"] = cached.prefix + cached.token.access_token
        try:
            response = await handler(request)
        except BaseException:
            headers.popall("Authorization", None)
            raise
        if response.status not in self._noticed:
            headers.popall("Authorization", None)
            cached.was_accepted = True
            return response
        carried = headers.popall("Authorization", None) == [cached.header]
        try:
            return await self._after_response(request, handler, response, cached, carried=carried)
        finally:
            # A traceback would show what the API has quoted in its headers.
            del response

    @clears_locals
    async def _send_when_ready(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """The same for all other requests: they may not have the token, wait for it, or have further headers."""
        cached = await self._token_for(request)
        if cached is None:
            response = await handler(request)
            self._redirects.note(request, response, None)
            return response
        from ._request.aiohttp_retry import Exchange

        response = await Exchange(self._credential, request, handler).send(cached)
        self._redirects.note(request, response, origin_of(request))
        return response

    @clears_locals
    async def _after_response(
        self,
        request: ClientRequest,
        handler: ClientHandlerType,
        response: ClientResponse,
        cached: CachedToken,
        *,
        carried: bool,
    ) -> ClientResponse:
        from ._request.aiohttp_retry import Exchange

        response = await Exchange(self._credential, request, handler).after_response(response, cached, carried=carried)
        self._redirects.note(request, response, origin_of(request))
        return response

    async def _token_for(self, request: ClientRequest) -> CachedToken | None:
        """The token for a request, once there is a valid one. None if the request may not have it."""
        credential, origin = self._credential, origin_of(request)
        url = None if self._redirects.is_following(request) else request.url
        if not self._redirects.may_follow(request, origin) or not may_carry_token(credential, origin, url=url):
            return None
        if credential.rules.header_name in request.headers:
            credential.report_withheld(None)
            return None
        from ._request.aiohttp_retry import as_aiohttp_error, check_loop, check_session

        try:
            check_loop()
            if "DPoP" in request.headers and credential.rules.proof is not None:
                raise own_proof_error()
            cached = await arun(token_to_send(credential, "httpx"))
            check_session(request)
        except BlnkAuthError as error:
            raise as_aiohttp_error(error, request) from None
        return cached if may_carry_token(credential, origin, cached, url=url) else None
