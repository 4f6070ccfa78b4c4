"""What `RequestsAuth` does after a response that is looked at: send the request once more if `attempts` decides so.

Used by `requests_hook`. It promises to send through the adapter that sent the first attempt, so that the caller's hooks
never see a rejection that was resolved. It decides nothing.
"""

from __future__ import annotations

import time
from typing import IO, Any, cast

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import extract_cookies_to_jar
from requests.utils import rewind_body

from .._renewal.cached_token import CachedToken
from ..errors import BlnkAuthError
from .after_rejection import ApiRejection
from .attempts import Attempts
from .before_sending import may_carry_token
from .blocking_and_async import run
from .rejection_body import RequestsRejectionBody
from .requests_hook import (
    ResponseHook,
    as_requests_error,
    attach_more,
    origin_of,
    proof_target,
    redacted_copy,
    replace_hook,
)

_CERTIFICATE_SETTINGS = frozenset({"cert_file", "key_file", "ssl_context"})
"""The settings of a pool that may bring a certificate."""


def after_response(hook: ResponseHook, response: requests.Response, kwargs: dict[str, Any]) -> requests.Response | None:
    """The response to the last attempt; None if it is this one.

    Args:
        hook: The hook of the answered request.
        response: The response to the first attempt.
        kwargs: What the session passed to its adapter.

    Raises:
        BlnkAuthError: The request can be repeated, and there is no token to repeat it with.
    """
    attempts, first = Attempts(hook.credential, hook.sent, "requests"), response
    while True:
        body = RequestsRejectionBody(response)
        presented = _presented(hook, response, body)
        presented.shows_no_certificate = _shows_no_certificate(response, kwargs)
        hook.proved = None
        try:
            cached = run(attempts.after_response(presented))
        except BlnkAuthError as error:
            body.discard()
            raise as_requests_error(error, response.request) from None
        if cached is None or not may_carry_token(hook.credential, origin_of(response.request.url), cached):
            break
        body.discard()
        hook, response = _repeat(hook, response, cached, kwargs)
    if response.is_redirect:
        hook.before_redirect(response)
    return None if response is first else response


def _repeat(
    hook: ResponseHook, rejected: requests.Response, cached: CachedToken, kwargs: dict[str, Any]
) -> tuple[ResponseHook, requests.Response]:
    request, rules = rejected.request, hook.credential.rules
    rejected.request = redacted_copy(request, hook.header_name, "DPoP")
    # Set on the original request and not on a copy: the session uses it when it follows redirects.
    request.headers[hook.header_name] = cached.header
    sends_more = rules.has_api_headers or rules.proof is not None
    retried = attach_more(hook.credential, cached, request) if sends_more else ResponseHook(hook.credential, cached)
    retried.further = (*hook.further, *retried.further)
    replace_hook(request, hook, retried)
    _carry_cookies(request, rejected)
    if _position(request) is not None:
        rewind_body(request)
    began_at = time.perf_counter()
    response: requests.Response = rejected.connection.send(request, **kwargs)
    response.elapsed = rejected.elapsed.__class__(seconds=time.perf_counter() - began_at)
    response.history = [*rejected.history, rejected]
    return retried, response


def _presented(hook: ResponseHook, response: requests.Response, body: RequestsRejectionBody) -> ApiRejection:
    request = response.request
    return ApiRejection(
        request.method or "GET",
        request.url or "",
        response.status_code,
        response.headers,
        request.path_url.partition("?")[0],
        carried_ours=(
            request.headers.get(hook.header_name) == hook.sent.header
            and hook.credential.rules.permits(origin_of(request.url), hook.sent.token)
        ),
        carried_proof=hook.proved == proof_target(request.method, request.url),
        is_replayable=lambda: (
            _is_replayable(request) and not body.is_awaited and getattr(response, "connection", None) is not None
        ),
        read_body=body,
    )


def _shows_no_certificate(response: requests.Response, kwargs: dict[str, Any]) -> bool:
    """Whether the connection certainly had no client certificate. Another class of adapter, or a proxy, may add one."""
    adapter: Any = getattr(response, "connection", None)
    return (
        type(adapter) is HTTPAdapter
        and (response.request.url or "").startswith("https:")
        and not kwargs.get("cert")
        and not kwargs.get("proxies")
        and not _CERTIFICATE_SETTINGS & adapter.poolmanager.connection_pool_kw.keys()
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


def _carry_cookies(request: requests.PreparedRequest, rejected: requests.Response) -> None:
    """Send a cookie of the rejection with the repeated request, as `HTTPDigestAuth` does."""
    jar = getattr(request, "_cookies", None)
    if jar is not None and rejected.headers.get("set-cookie") and "Cookie" not in request.headers:
        extract_cookies_to_jar(jar, rejected.request, rejected.raw)
        request.prepare_cookies(jar)
