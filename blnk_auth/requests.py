"""`RequestsAuth`: a token source as `auth=` of a `requests.Session` or a single call.

requests calls an auth object once, while it prepares a request, and its response hook on every hop, redirects
included. So the hook acts only on an answer to a request that carried our token to an origin that may have it.
"""

from __future__ import annotations

import time
from typing import IO, Any, cast
from urllib.parse import urljoin

import requests
from requests.auth import AuthBase
from requests.cookies import extract_cookies_to_jar
from requests.utils import rewind_body
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from ._protocol.origins import Origin, normalize
from ._renewal.cached_token import CachedToken
from ._renewal.credential import Credential, Source, credential_of
from ._request.client_errors import as_client_error
from ._request.flow import (
    MAX_REJECTION_BYTES,
    MAX_REJECTION_SECONDS,
    ApiRejection,
    judge_retry,
    token_to_retry_with,
    token_to_send,
)
from ._request.waits import run
from .errors import BlnkAuthError


class RequestsAuth(AuthBase):
    """Set it as `session.auth`, or pass it as `auth=` to a single call; share it between any number of sessions.

    Sends the source's token to the provider's API origins and nowhere else, leaves a request alone that has an
    `Authorization` header of its own, and repeats a rejected request once with a renewed token if its body can be sent
    again: bytes, text, or a file that can seek. Raises a `BlnkAuthError` that is also a `requests.RequestException`.
    Thread-safe.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._credential = credential = credential_of(source)
        self._header_name = credential.rules.header_name
        self._has_api_headers = credential.rules.has_api_headers
        # A prepared URL spells its origin in lower case and always has a path.
        self._listed = tuple(f"{origin}/" for origin in credential.rules.origins.listed)
        self._hook: _ResponseHook | None = None

    def __repr__(self) -> str:
        return f"<RequestsAuth for {self._source!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._source,)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        credential = self._credential
        if not (request.url or "").startswith(self._listed) and not self._may_receive(request):
            return request
        try:
            # Asking with `in` costs a third more.
            own = request.headers[self._header_name]
        except KeyError:
            own = None
        if own is not None and not _was_attached(request, own):
            credential.report_withheld(None)
            return request
        try:
            held = credential.fresh() or run(token_to_send(credential, "requests"))
        except BlnkAuthError as error:
            raise _as_client_error(error, request) from None
        # `held.header`, without the call.
        request.headers[self._header_name] = held.prefix + held.record.token.access_token
        hook = self._hook
        if hook is None or hook.sent is not held:
            self._hook = hook = _ResponseHook(credential, held)
        if self._has_api_headers:
            hook = _ResponseHook(credential, held, _attach_api_headers(credential, request))
        hooks: list[Any] = request.hooks["response"]
        if hooks:
            # One for each prepared request, however often it is prepared.
            hooks[:] = [hook for hook in hooks if type(hook) is not _ResponseHook]
        hooks.append(hook)
        return request

    def _may_receive(self, request: requests.PreparedRequest) -> bool:
        origin = _origin(request.url)
        if not self._credential.rules.origins.permits(origin):
            self._credential.report_withheld(origin)
            return False
        return True


class _ResponseHook:
    """The response hook of the requests that carry one token. Immutable: they share it.

    `further` names the headers that were attached beside the token's, which differ from request to request.
    """

    __slots__ = ("_credential", "_further", "sent")

    def __init__(self, credential: Credential, sent: CachedToken, further: tuple[str, ...] = ()) -> None:
        self._credential = credential
        self.sent = sent
        self._further = further

    def __call__(self, response: requests.Response, **kwargs: Any) -> requests.Response | None:
        credential = self._credential
        if response.status_code not in credential.rules.rejection_statuses:
            if response.is_redirect:
                self._strip_before_redirect(response)
            return None
        sent, body = self.sent, _RejectionBody(response)
        try:
            newer = run(token_to_retry_with(credential, sent, self._rejection(response, body), "requests"))
        except BlnkAuthError as error:
            body.discard()
            raise _as_client_error(error, response.request) from None
        if newer is None:
            return None
        body.discard()
        return self._retry(response, newer, kwargs)

    def _retry(self, rejected: requests.Response, newer: CachedToken, kwargs: dict[str, Any]) -> requests.Response:
        request = rejected.request
        rejected.request = _for_the_record(request, self._credential.rules.header_name)
        # On the original object: the session follows redirects of the second answer from that one.
        further = _attach(self._credential, request, newer)
        retried = _ResponseHook(self._credential, newer, (*self._further, *further))
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
        if response.status_code in self._credential.rules.rejection_statuses:
            rejection = retried._rejection(response, _RejectionBody(response))
        elif response.is_redirect:
            retried._strip_before_redirect(response)
        run(judge_retry(self._credential, newer, rejection))
        return response

    def _rejection(self, response: requests.Response, body: _RejectionBody) -> ApiRejection:
        request = response.request
        return ApiRejection(
            response.status_code,
            response.headers,
            request.path_url.partition("?")[0],
            carried_ours=(
                request.headers.get(self._credential.rules.header_name) == self.sent.header
                and self._credential.rules.origins.permits(_origin(request.url))
            ),
            is_replayable=lambda: _is_replayable(request) and getattr(response, "connection", None) is not None,
            read_body=body,
        )

    def _strip_before_redirect(self, response: requests.Response) -> None:
        """Requests strips only `Authorization` before it follows a redirect to another host."""
        if self._leads_to_another_origin(response):
            for name in (self._credential.rules.header_name, *self._further):
                response.request.headers.pop(name, None)

    def _leads_to_another_origin(self, response: requests.Response) -> bool:
        try:
            target = _origin(urljoin(response.url, response.headers.get("location", "")))
        except (ValueError, HTTPError):
            # Not for us to complain of: the caller may not want to follow it.
            return True
        return not self._credential.rules.origins.permits(target)

    def __deepcopy__(self, memo: object) -> _ResponseHook:
        # As the copy that requests itself makes of a request shares its hooks.
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # A response is pickled with its request, and must not take the refresh token along.
        return _unpickled_passage, ()


def _unpickled_passage() -> Any:
    """In another process: the response is history there, and a request that is sent again is sent as it is."""
    return _leave_as_it_is


def _leave_as_it_is(*_: object, **__: object) -> None:
    return None


class _RejectionBody:
    """The body of a rejection, read up to a cap; the caller can still read all of it. See `Wait`."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self._head: bytes | None = None
        self._is_complete = False

    def wait(self) -> bytes | None:
        """The decoded body; None if it is longer than the cap, slower than the limit, or broken."""
        if self._head is None:
            self._read()
        return self._head if self._is_complete else None

    async def wait_async(self) -> bytes | None:
        """Requests only blocks."""
        return self.wait()

    def discard(self) -> None:
        """Free the connection, so that the request can be repeated, even through a pool of one."""
        self.wait()
        if not self._is_complete:
            self._response.raw.close()
            self._response.raw = _Ended(b"", self._response.raw)
        self._response.content  # noqa: B018 - reads what is in memory already, for the history
        self._response.close()

    def _read(self) -> None:
        raw, head = self._response.raw, bytearray()
        if getattr(self._response, "_content_consumed", False) or not hasattr(raw, "stream"):
            self._head, self._is_complete = self._response.content, True
            return
        give_up_at = time.monotonic() + MAX_REJECTION_SECONDS
        try:
            while len(head) <= MAX_REJECTION_BYTES and time.monotonic() < give_up_at:
                chunk = _read_some(raw, 1024, decode_content=True)
                head += chunk
                if not chunk:
                    self._is_complete = True
                    break
        except HTTPError as error:
            self._head, self._response.raw = bytes(head), _BrokenOff(bytes(head), raw, error)
            return
        self._head = bytes(head)
        self._response.raw = _Resumed(self._head, raw)


class _Resumed:
    """A raw response that begins with what was read already."""

    def __init__(self, head: bytes, raw: Any) -> None:
        self._head = head
        self._raw = raw

    def stream(self, amount: int = 65536, decode_content: bool | None = None) -> Any:
        head, self._head = self._head, b""
        if head:
            yield head
        # Not `raw.stream`: it reads a chunked body by itself and would find no beginning of a chunk here.
        while some := _read_some(self._raw, amount, decode_content=decode_content):
            yield some

    def read(self, amount: int | None = None, decode_content: bool | None = None) -> bytes:
        head = self._head if amount is None else self._head[:amount]
        self._head = self._head[len(head) :]
        if amount is None or not head:
            return head + bytes(self._raw.read(amount, decode_content=decode_content))
        return head

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class _BrokenOff(_Resumed):
    """A raw response whose reader meets the error that we met: read on, it would seem to have come to its end."""

    def __init__(self, head: bytes, raw: Any, error: HTTPError) -> None:
        super().__init__(head, raw)
        self._error = error

    def stream(self, amount: int = 65536, decode_content: bool | None = None) -> Any:
        yield self._head
        raise self._error

    def read(self, amount: int | None = None, decode_content: bool | None = None) -> bytes:
        raise self._error


class _Ended(_Resumed):
    """A raw response of which nobody wants to read more."""

    def stream(self, amount: int = 65536, decode_content: bool | None = None) -> Any:
        return iter(())


def _read_some(raw: Any, amount: int, *, decode_content: bool | None) -> bytes:
    """What has come, up to `amount` bytes; `read` waits for all of them, however slowly they drip."""
    some: bytes = getattr(raw, "read1", raw.read)(amount, decode_content=decode_content)
    return some


def _attach(credential: Credential, request: requests.PreparedRequest, held: CachedToken) -> tuple[str, ...]:
    request.headers[credential.rules.header_name] = held.header
    return _attach_api_headers(credential, request) if credential.rules.has_api_headers else ()


def _attach_api_headers(credential: Credential, request: requests.PreparedRequest) -> tuple[str, ...]:
    """The names of the headers that go with the token, now that they do."""
    try:
        further = credential.api_headers()
    except BlnkAuthError as error:
        raise _as_client_error(error, request) from None
    request.headers.update(further)
    return tuple(further)


def _was_attached(request: requests.PreparedRequest, header: str | bytes) -> bool:
    """Whether the header in the request is ours, from an earlier preparation of the same object."""
    hooks: list[Any] = request.hooks["response"]
    return any(header == hook.sent.header for hook in hooks if type(hook) is _ResponseHook)


def _is_replayable(request: requests.PreparedRequest) -> bool:
    # A generator or iterator would be sent again empty, with a 200 for an answer.
    return request.body is None or isinstance(request.body, bytes | str) or _can_rewind(request)


def _can_rewind(request: requests.PreparedRequest) -> bool:
    position, body = _position(request), cast("IO[bytes]", request.body)
    if position is None:
        return False
    try:
        # Only trying tells: a pipe has this method too, and so has a file that is closed by now.
        body.seek(position)
        return body.tell() == position
    except (OSError, ValueError):
        return False


def _position(request: requests.PreparedRequest) -> int | None:
    """Where a file body began; None if there is none to rewind."""
    position = getattr(request, "_body_position", None)
    return position if isinstance(position, int) and hasattr(request.body, "seek") else None


def _for_the_record(request: requests.PreparedRequest, header_name: str) -> requests.PreparedRequest:
    """The request as the history shows it: which token was rejected is nobody's business."""
    record = request.copy()
    record.headers[header_name] = "[redacted]"
    return record


def _carry_cookies(request: requests.PreparedRequest, rejected: requests.Response) -> None:
    """Let a cookie that came with the rejection travel with the retry, as `HTTPDigestAuth` does."""
    jar = getattr(request, "_cookies", None)
    if jar is not None and rejected.headers.get("set-cookie") and "Cookie" not in request.headers:
        extract_cookies_to_jar(jar, rejected.request, rejected.raw)
        request.prepare_cookies(jar)


def _origin(url: str | None) -> Origin:
    parts = parse_url(url or "")
    return normalize(parts.scheme or "", parts.host or "", parts.port)


def _as_client_error(error: BlnkAuthError, request: requests.PreparedRequest) -> BlnkAuthError:
    return as_client_error(
        error, request, request_error=requests.RequestException, transport_error=requests.ConnectionError
    )
