"""What `RequestsAuth` does after a rejection: renew, and send the request once more.

Used by `requests_hook`. It promises to send a request at most once more, through the adapter that sent the first
attempt, so that the caller's hooks never see the rejection. It decides nothing: `after_rejection` does.
"""

from __future__ import annotations

import time
from typing import IO, Any, cast

import requests
from requests.cookies import extract_cookies_to_jar
from requests.utils import rewind_body

from ..errors import BlnkAuthError
from .after_rejection import ApiRejection, Retry, judge_retry, retry_after_rejection
from .before_sending import may_carry_token
from .blocking_and_async import run
from .rejection_body import RequestsRejectionBody
from .requests_hook import ResponseHook, as_requests_error, attach_api_headers, origin_of


def repeat_after_rejection(
    hook: ResponseHook, response: requests.Response, kwargs: dict[str, Any]
) -> requests.Response | None:
    """The response to the repeated request; None if this one is returned to the caller.

    Args:
        hook: The hook of the request that was rejected.
        response: The rejection.
        kwargs: What the session passed to its adapter.

    Raises:
        BlnkAuthError: The request can be repeated, and there is no token to repeat it with.
    """
    body = RequestsRejectionBody(response)
    rejection = _rejection(hook, response, body)
    try:
        retry = run(retry_after_rejection(hook.credential, hook.sent, rejection, "requests"))
    except BlnkAuthError as error:
        body.discard()
        raise as_requests_error(error, response.request) from None
    if retry is None or not may_carry_token(hook.credential, origin_of(response.request.url), retry.cached):
        return None
    body.discard()
    return _repeat(hook, response, retry, kwargs)


def _repeat(hook: ResponseHook, rejected: requests.Response, retry: Retry, kwargs: dict[str, Any]) -> requests.Response:
    request, credential = rejected.request, hook.credential
    rejected.request = _redacted_copy(request, hook.header_name)
    # Set on the original request and not on a copy: the session uses it when it follows redirects.
    request.headers[hook.header_name] = retry.cached.header
    further = attach_api_headers(credential, request) if credential.rules.has_api_headers else ()
    retried = ResponseHook(credential, retry.cached, (*hook.further, *further))
    # A new list, since copies of this request share the old one, and they still have the rejected token.
    hooks: list[Any] = [retried if each is hook else each for each in request.hooks["response"]]
    request.hooks = {**request.hooks, "response": hooks}
    _carry_cookies(request, rejected)
    if _position(request) is not None:
        rewind_body(request)
    began_at = time.perf_counter()
    response: requests.Response = rejected.connection.send(request, **kwargs)
    response.elapsed = rejected.elapsed.__class__(seconds=time.perf_counter() - began_at)
    response.history.append(rejected)
    rejection = None
    if retried.is_rejection_status(response.status_code):
        rejection = _rejection(retried, response, RequestsRejectionBody(response))
    else:
        retried.note_not_rejected(response)
    run(judge_retry(credential, retry, rejection, "requests"))
    return response


def _rejection(hook: ResponseHook, response: requests.Response, body: RequestsRejectionBody) -> ApiRejection:
    request = response.request
    return ApiRejection(
        request.method or "GET",
        response.status_code,
        response.headers,
        request.path_url.partition("?")[0],
        carried_ours=(
            request.headers.get(hook.header_name) == hook.sent.header
            and hook.credential.rules.permits(origin_of(request.url), hook.sent.token)
        ),
        is_replayable=lambda: (
            _is_replayable(request) and not body.is_awaited and getattr(response, "connection", None) is not None
        ),
        read_body=body,
    )


def _is_replayable(request: requests.PreparedRequest) -> bool:
    # A generator would be empty the second time, and the API might accept the empty body.
    return request.body is None or isinstance(request.body, bytes | str) or _can_rewind(request)


def _can_rewind(request: requests.PreparedRequest) -> bool:
    position, body = _position(request), cast("IO[bytes]", request.body)
    if position is None:
        return False
    try:
        # Try it: pipes and closed files have a `seek` too, but it fails.
        body.seek(position)
        return body.tell() == position
    except (OSError, ValueError):
        return False


def _position(request: requests.PreparedRequest) -> int | None:
    """The position at which a file body began; None if the body is not a file that can be rewound."""
    position = getattr(request, "_body_position", None)
    return position if isinstance(position, int) and hasattr(request.body, "seek") else None


def _redacted_copy(request: requests.PreparedRequest, header_name: str) -> requests.PreparedRequest:
    """The request as the history shows it, without the rejected token."""
    copy = request.copy()
    copy.headers[header_name] = "[redacted]"
    return copy


def _carry_cookies(request: requests.PreparedRequest, rejected: requests.Response) -> None:
    """Send a cookie of the rejection with the repeated request, as `HTTPDigestAuth` does."""
    jar = getattr(request, "_cookies", None)
    if jar is not None and rejected.headers.get("set-cookie") and "Cookie" not in request.headers:
        extract_cookies_to_jar(jar, rejected.request, rejected.raw)
        request.prepare_cookies(jar)
