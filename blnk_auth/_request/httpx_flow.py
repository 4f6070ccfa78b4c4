"""The auth flow that httpx and httpx2 share: they drive it alike, and their classes are distinct.

Nothing is locked and no scope is open while a request is out, so a flow may be closed by any task at any time. The
token request is never yielded into the caller's client: there it would inherit hooks, redirects and cancellation.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

from .._protocol.http_messages import Package
from .._protocol.origins import normalize
from .._renewal.cached_token import CachedToken
from .._renewal.credential import Source, credential_of
from ..errors import BlnkAuthError
from .client_errors import as_client_error
from .flow import ApiRejection, judge_retry, token_to_retry_with, token_to_send
from .httpx_body import Discarding, RejectionBody
from .httpx_headers import unredirected
from .waits import Waits, arun, run

_MARK = "blnk_auth"
"""The key in a request's extensions of the token that we attached, to tell it from a header that the user set."""


class HttpxFlow:
    """What `HttpxAuth` and `Httpx2Auth` have in common; `_httpx` is the package, `_package` its name."""

    _httpx: Any
    _package: Package

    def __init__(self, source: Source) -> None:
        self._source = source
        self._credential = credential = credential_of(source)
        self._rejection_statuses = credential.rules.rejection_statuses
        self._is_plain = credential.rules.header_name == "Authorization" and not credential.rules.has_api_headers
        # As the package's own types spell them: compared for each request without parsing or decoding anything.
        self._header_name = credential.rules.header_name.lower().encode("ascii")
        self._listed = {
            (o.scheme, o.host.encode("ascii"), None if o.port == {"http": 80, "https": 443}[o.scheme] else o.port)
            for o in credential.rules.origins.listed
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self._source!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._source,)

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        sent = self._sign_at_once(request)
        if sent is None:
            if not self._may_sign(request):
                yield request
                return
            sent = run(self._sign(request))
        response = yield request
        if response.status_code not in self._rejection_statuses:
            return
        newer = run(self._sign_anew(request, sent, response))
        if newer is not None:
            # After redirects the last request: the first has had its effect, as a POST answered with 303.
            response = yield response.request
            run(self._judge(request, newer, response))

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        sent = self._sign_at_once(request)
        if sent is None:
            if not self._may_sign(request):
                yield request
                return
            sent = await arun(self._sign(request))
        response = yield request
        if response.status_code not in self._rejection_statuses:
            return
        newer = await arun(self._sign_anew(request, sent, response))
        if newer is not None:
            response = yield response.request
            await arun(self._judge(request, newer, response))

    def _sign_at_once(self, request: Any) -> CachedToken | None:
        """The hot path: a fresh token, for a request that may have it and has no such header yet.

        None for all other cases, in which the request stays as it is.
        """
        held, url = self._credential.fresh(), request.url
        if held is None or not self._is_plain or (url.scheme, url.raw_host, url.port) not in self._listed:
            return None
        headers = request.headers
        signed = self._httpx.Headers(headers)
        # `held.header`, without the call.
        signed["Authorization"] = held.prefix + held.record.token.access_token
        if len(signed) <= len(headers):
            # It took the place of the user's own. To look for that one first costs several times as much.
            return None
        request.headers = signed
        request.extensions[_MARK] = held
        return held

    def _sign(self, request: Any) -> Waits[CachedToken]:
        """Attach a token that may have to be waited for."""
        try:
            held = yield from token_to_send(self._credential, self._package)
        except BlnkAuthError as error:
            raise self._as_client_error(error, request) from None
        self._attach(request, held)
        return held

    def _sign_anew(self, request: Any, sent: CachedToken, response: Any) -> Waits[CachedToken | None]:
        """After a rejection: attach the token to repeat the request with; None if the response is for the caller."""
        body = RejectionBody(self._httpx, response)
        rejection = self._rejection(request, sent, response, body)
        try:
            newer = yield from token_to_retry_with(self._credential, sent, rejection, self._package)
        except BlnkAuthError as error:
            raise self._as_client_error(error, request) from None
        if newer is not None:
            yield Discarding(body)
            self._attach(response.request, newer)
            if response.cookies:
                # As with the package's DigestAuth, a cookie that came with the rejection goes with the repetition.
                self._httpx.Cookies(response.cookies).set_cookie_header(response.request)
        return newer

    def _judge(self, request: Any, sent: CachedToken, response: Any) -> Waits[None]:
        """After the second answer: note whether the newer token was accepted."""
        rejection = None
        if response.status_code in self._rejection_statuses:
            rejection = self._rejection(request, sent, response, RejectionBody(self._httpx, response))
        yield from judge_retry(self._credential, sent, rejection)

    def _may_sign(self, request: Any) -> bool:
        """Whether the request may have the token, and has no header of the user's own in its place."""
        credential, url = self._credential, request.url
        if (url.scheme, url.raw_host, url.port) not in self._listed:
            origin = normalize(url.scheme, url.raw_host.decode("ascii"), url.port)
            if not credential.rules.origins.permits(origin):
                credential.report_withheld(origin)
                return False
        for name, _ in request.headers.raw:
            if name.lower() == self._header_name and not self._was_attached(request):
                credential.report_withheld(None)
                return False
        return True

    def _was_attached(self, request: Any) -> bool:
        """Whether the header in the request is ours, from an earlier sending of the same request."""
        attached = request.extensions.get(_MARK)
        return attached is not None and attached.header == request.headers.get(self._credential.rules.header_name)

    def _attach(self, request: Any, held: CachedToken) -> None:
        credential = self._credential
        if self._is_plain:
            request.headers["Authorization"] = held.header
        else:
            try:
                further = {credential.rules.header_name: held.header, **credential.api_headers()}
            except BlnkAuthError as error:
                raise self._as_client_error(error, request) from None
            request.headers = unredirected(self._httpx, request.headers, further)
        request.extensions[_MARK] = held

    def _rejection(self, request: Any, sent: CachedToken, response: Any, body: RejectionBody) -> ApiRejection:
        answered = response.request
        return ApiRejection(
            response.status_code,
            response.headers,
            answered.url.path,
            carried_ours=(
                answered.headers.get(self._credential.rules.header_name) == sent.header
                and _origin(answered.url) == _origin(request.url)
            ),
            is_replayable=lambda: self._is_replayable(answered, request),
            read_body=body,
        )

    def _is_replayable(self, request: Any, original: Any) -> bool:
        # Only a body held in memory is: every other may be used up, and some then send nothing, without an error.
        # A redirect that keeps the method hands on the stream, and leaves the content with the original request.
        holder = original if request.stream is original.stream else request
        try:
            holder.content  # noqa: B018 - the property raises if there is more than bytes behind it
        except self._httpx.RequestNotRead:
            return False
        return True

    def _as_client_error(self, error: BlnkAuthError, request: Any) -> BlnkAuthError:
        return as_client_error(
            error, request, request_error=self._httpx.RequestError, transport_error=self._httpx.TransportError
        )


def _origin(url: Any) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
