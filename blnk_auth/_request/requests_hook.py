"""The response hook of requests: what `RequestsAuth` does once a response has come.

Used by `RequestsAuth`, which appends a hook to each request that carries the token. requests calls it for every hop,
redirects included, so it acts only on a response to a request that carried our token to an allowed origin. It never
sends a request but the one repetition, through the adapter that sent the first attempt.
"""

from __future__ import annotations

import time
from functools import partial
from typing import IO, Any, cast

import requests
from requests.cookies import extract_cookies_to_jar
from requests.utils import rewind_body
from urllib3.util import parse_url

from .._protocol.origins import Origin, normalize
from .._renewal.cached_token import CachedToken
from .._renewal.credential import Credential
from ..errors import BlnkAuthError
from .after_rejection import ApiRejection, Retry, judge_retry, retry_after_rejection
from .before_sending import may_carry_token
from .client_errors import as_client_error
from .redirects import leads_to
from .rejection_body import RequestsRejectionBody
from .waits import run


class ResponseHook:
    """The response hook of the requests that carry one token. Immutable: they share it.

    Attributes:
        sent: The token that they carry.
    """

    __slots__ = ("_credential", "_further", "_header_name", "_rejection_statuses", "sent")
    sent: CachedToken

    def __init__(self, credential: Credential, sent: CachedToken, further: tuple[str, ...] = ()) -> None:
        self.sent = sent
        self._credential = credential
        self._header_name = credential.rules.header_name
        self._rejection_statuses = credential.rules.rejection_statuses
        # The names of the headers that were attached beside the token's, which differ from request to request.
        self._further = further

    def __call__(self, response: requests.Response, **kwargs: Any) -> requests.Response | None:
        if response.status_code not in self._rejection_statuses:
            self._note_accepted(response)
            if response.is_redirect:
                self._strip_before_redirect(response)
            return None
        body = RequestsRejectionBody(response)
        rejection = self._rejection(response, body)
        try:
            retry = run(retry_after_rejection(self._credential, self.sent, rejection, "requests"))
        except BlnkAuthError as error:
            body.discard()
            raise as_requests_error(error, response.request) from None
        if retry is None or not may_carry_token(self._credential, origin_of(response.request.url), retry.cached):
            return None
        body.discard()
        return self._retry(response, retry, kwargs)

    def _note_accepted(self, response: requests.Response) -> None:
        # Looked at once for each token. After a redirect to another origin the request did not carry it.
        if not self.sent.was_accepted and response.request.headers.get(self._header_name) == self.sent.header:
            self.sent.was_accepted = True

    def _retry(self, rejected: requests.Response, retry: Retry, kwargs: dict[str, Any]) -> requests.Response:
        request, newer = rejected.request, retry.cached
        rejected.request = _redacted_copy(request, self._header_name)
        # On the original object: the session follows redirects of the second response from that one.
        request.headers[self._header_name] = newer.header
        further = attach_api_headers(self._credential, request) if self._credential.rules.has_api_headers else ()
        retried = ResponseHook(self._credential, newer, (*self._further, *further))
        # Not in the same list: copies of this request share it, and they carry the token that they carried.
        hooks: list[Any] = [retried if hook is self else hook for hook in request.hooks["response"]]
        request.hooks = {**request.hooks, "response": hooks}
        _carry_cookies(request, rejected)
        if _position(request) is not None:
            rewind_body(request)
        began_at = time.perf_counter()
        response: requests.Response = rejected.connection.send(request, **kwargs)
        response.elapsed = rejected.elapsed.__class__(seconds=time.perf_counter() - began_at)
        response.history.append(rejected)
        rejection = None
        if response.status_code in self._rejection_statuses:
            rejection = retried._rejection(response, RequestsRejectionBody(response))
        elif response.is_redirect:
            retried._strip_before_redirect(response)
        run(judge_retry(self._credential, retry, rejection))
        return response

    def _rejection(self, response: requests.Response, body: RequestsRejectionBody) -> ApiRejection:
        request = response.request
        return ApiRejection(
            request.method or "GET",
            response.status_code,
            response.headers,
            request.path_url.partition("?")[0],
            carried_ours=(
                request.headers.get(self._header_name) == self.sent.header
                and self._credential.rules.permits(origin_of(request.url), self.sent.token)
            ),
            is_replayable=lambda: (
                _is_replayable(request) and not body.is_awaited and getattr(response, "connection", None) is not None
            ),
            read_body=body,
        )

    def _strip_before_redirect(self, response: requests.Response) -> None:
        """Remove our headers, unless the redirect leads to an allowed origin; see `redirects`."""
        target = leads_to(origin_of(response.request.url), response.headers.get("location", ""))
        if target is None or not self._credential.rules.permits(target, self.sent.token):
            for name in (self._header_name, *self._further):
                response.request.headers.pop(name, None)

    def __deepcopy__(self, memo: object) -> ResponseHook:
        # As the copy that requests itself makes of a request shares its hooks.
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # A response is pickled with its request, and must not take the refresh token along.
        return partial, (unpickled_hook,)


def was_attached(request: requests.PreparedRequest, header: str | bytes) -> bool:
    """Whether the header in the request is ours, from an earlier preparation of the same object."""
    hooks: list[Any] = request.hooks["response"]
    return any(header == hook.sent.header for hook in hooks if type(hook) is ResponseHook)


def attach_api_headers(credential: Credential, request: requests.PreparedRequest) -> tuple[str, ...]:
    """Add the headers that are sent beside the token, and return their names."""
    try:
        further = credential.api_headers()
    except BlnkAuthError as error:
        raise as_requests_error(error, request) from None
    request.headers.update(further)
    return tuple(further)


def origin_of(url: str | None) -> Origin:
    """The origin of a prepared URL, as requests' own parser reads it."""
    parts = parse_url(url or "")
    return normalize(parts.scheme or "", parts.host or "", parts.port)


def as_requests_error(error: BlnkAuthError, request: requests.PreparedRequest) -> BlnkAuthError:
    """The same error, which is also a `requests.RequestException` with `.request`."""
    return as_client_error(
        error, request, request_error=requests.RequestException, transport_error=requests.ConnectionError
    )


def unpickled_hook(response: requests.Response, **_: object) -> None:
    """The hook of a response that was pickled with its request: it does nothing, as the response is history."""


# Its public home, which a pickle names.
unpickled_hook.__module__ = __name__.partition("._")[0] + ".requests"


def _is_replayable(request: requests.PreparedRequest) -> bool:
    # A generator or iterator would be sent again empty, with a 200 for an answer.
    return request.body is None or isinstance(request.body, bytes | str) or _can_rewind(request)


def _can_rewind(request: requests.PreparedRequest) -> bool:
    position, body = _position(request), cast("IO[bytes]", request.body)
    if position is None:
        return False
    try:
        # Only trying shows it: a pipe has this method too, and so has a file that is closed by now.
        body.seek(position)
        return body.tell() == position
    except (OSError, ValueError):
        return False


def _position(request: requests.PreparedRequest) -> int | None:
    """Where a file body began; None if there is none to rewind."""
    position = getattr(request, "_body_position", None)
    return position if isinstance(position, int) and hasattr(request.body, "seek") else None


def _redacted_copy(request: requests.PreparedRequest, header_name: str) -> requests.PreparedRequest:
    """The request as the history shows it, without the rejected token."""
    copy = request.copy()
    copy.headers[header_name] = "[redacted]"
    return copy


def _carry_cookies(request: requests.PreparedRequest, rejected: requests.Response) -> None:
    """Send a cookie that came with the rejection along with the repetition, as `HTTPDigestAuth` does."""
    jar = getattr(request, "_cookies", None)
    if jar is not None and rejected.headers.get("set-cookie") and "Cookie" not in request.headers:
        extract_cookies_to_jar(jar, rejected.request, rejected.raw)
        request.prepare_cookies(jar)
