"""What `AiohttpAuth` does around a response that is looked at: send the request once more if `attempts` decides so.

Used by `AiohttpAuth`. It promises:

* Our headers are in the request only while it is sent.
* A response that is not returned is released, also if the caller is cancelled.
* A request is repeated only if its body is in memory: aiohttp reads other bodies once, or on a thread that may still
  read when the body is sent again.

It decides nothing, and never follows a redirect.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.payload import BytesPayload

from .._renewal.cached_token import CachedToken
from .._renewal.credential import Credential, headers_to_attach
from ..errors import BlnkAuthError, ConfigurationError
from .after_rejection import ApiRejection
from .aiohttp_body import AiohttpRejectionBody
from .attempts import Attempts
from .before_sending import may_carry_token
from .blocking_and_async import arun
from .client_errors import as_client_error
from .followed_redirects import origin_of

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse


class Exchange:
    """One request, and what sends it. Made for each request, and never shared."""

    def __init__(self, credential: Credential, request: ClientRequest, handler: ClientHandlerType) -> None:
        self._credential = credential
        self._request = request
        self._handler = handler

    async def send(self, cached: CachedToken) -> ClientResponse:
        """Send it with this token, at most three times. Returns the response to the last attempt."""
        response, carried = await self._attempt(cached)
        return await self.after_response(response, cached, carried=carried)

    async def after_response(self, response: ClientResponse, sent: CachedToken, *, carried: bool) -> ClientResponse:
        """Send it again if that helps. Returns the response to the last attempt.

        Args:
            response: The response to the first attempt.
            sent: The token of the first attempt.
            carried: Whether the first attempt still had that token when it was sent: another middleware may replace it.

        Raises:
            BlnkAuthError: The request can be repeated, and there is no token to repeat it with.
        """
        attempts = Attempts(self._credential, sent, "httpx")
        while True:
            body = AiohttpRejectionBody(response, is_decoded=self._request.session.auto_decompress)
            try:
                cached = await arun(attempts.after_response(self._presented(response, body, carried=carried)))
                if cached is None or not may_carry_token(self._credential, origin_of(self._request), cached):
                    return response
                await body.discard()
                check_session(self._request)
            except BlnkAuthError as error:
                response.release()
                raise as_aiohttp_error(error, self._request) from None
            except BaseException:
                response.close()
                raise
            self._prepare_again(response)
            response, carried = await self._attempt(cached)

    async def _attempt(self, cached: CachedToken) -> tuple[ClientResponse, bool]:
        """The response to the request with this token, and whether it still had it when it was sent."""
        request = self._request
        try:
            own = headers_to_attach(self._credential, cached, request.method, _http_url(request))
        except BlnkAuthError as error:
            raise as_aiohttp_error(error, request) from None
        before = {name: request.headers.getall(name, ()) for name in own}
        request.headers.update(own)
        try:
            response = await self._handler(request)
            carried = request.headers.get(self._credential.rules.header_name) == cached.header
        finally:
            own.clear()
            for name, values in before.items():
                request.headers.popall(name, None)
                request.headers.extend((name, value) for value in values)
        return response, carried

    def _presented(self, response: ClientResponse, body: AiohttpRejectionBody, *, carried: bool) -> ApiRejection:
        request, rules = self._request, self._credential.rules
        return ApiRejection(
            request.method,
            _http_url(request),
            response.status,
            response.headers,
            request.url.path,
            carried_ours=carried,
            carried_proof=rules.proof is not None,
            is_replayable=lambda: _is_replayable(request.body),
            read_body=body,
        )

    def _prepare_again(self, rejected: ClientResponse) -> None:
        request = self._request
        if "Expect" in request.headers:
            # Wait for the API to ask for the body again: RFC 9110 section 10.1.1.
            request.update_expect_continue()
        if cookies := rejected.cookies:
            # Send a cookie of the rejection with the repeated request, as the auth classes of other packages do.
            jar = request.session.cookie_jar
            jar.update_cookies(cookies, rejected.url)
            request.update_cookies({n: c for n, c in jar.filter_cookies(request.url).items() if n in cookies})


def check_loop() -> None:
    """Raise `ConfigurationError` where no event loop of asyncio runs: what awaits there may be trio, or nothing."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            "a request of aiohttp was sent outside a running event loop of asyncio",
            remedy="await it in a coroutine that asyncio runs, for example with asyncio.run(main())",
        ) from None


def check_session(request: ClientRequest) -> None:
    """Raise `ConfigurationError` if the session was closed while its request waited. aiohttp fails on an assertion."""
    if request.session.closed:
        raise ConfigurationError(
            "the session was closed while a request of it waited for a token",
            remedy="close the session after its requests have ended, for example with async with",
        )


def as_aiohttp_error(error: BlnkAuthError, request: ClientRequest) -> BlnkAuthError:
    """The same error, which is also one of aiohttp."""
    return as_client_error(
        error,
        request.request_info,
        request_error=aiohttp.ClientError,
        transport_error=aiohttp.ClientConnectionError,
    )


def _http_url(request: ClientRequest) -> str:
    """The URL of a request. A WebSocket begins as a request over http: RFC 6455 section 1.3."""
    url = request.url
    return str(url.with_scheme({"ws": "http", "wss": "https"}[url.scheme]) if url.scheme in ("ws", "wss") else url)


def _is_replayable(body: Any) -> bool:
    """Whether a body can provably be sent again: it is empty, in memory, or consists of parts that are."""
    if isinstance(body, aiohttp.MultipartWriter):
        return all(_is_replayable(part) for part, _, _ in body)
    return isinstance(body, BytesPayload) or not body
