"""What happens in requests after a response that is looked at: send the request once more if `attempts` decides so.

Used by `requests_hook`; for niquests, which has sessions whose requests are awaited, also by `niquests_session`. It
promises to send through the adapter that sent the first attempt, so that the caller's hooks never see a rejection that
was resolved. It decides nothing.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from .._renewal.cached_token import CachedToken
from ..errors import BlnkAuthError
from .after_rejection import ApiRejection
from .attempts import Attempts
from .before_sending import may_carry_token
from .blocking_and_async import Wait, Waits, run
from .client_packages import Imported, requests_like_package_of
from .rejection_body import DiscardableBody, DiscardedBody, RequestsRejectionBody
from .requests_hook import (
    ResponseHook,
    as_requests_error,
    attach_more,
    origin_of,
    proof_target,
    redacted_copy,
    replace_hook,
)

if TYPE_CHECKING:
    import requests

_CERTIFICATE_SETTINGS = frozenset({"cert_file", "key_file", "ssl_context"})
"""The settings of a pool that may bring a certificate."""


class RejectionBody(DiscardableBody, Wait, Protocol):
    """The body of a rejection, in requests or a fork of it.

    Attributes:
        is_awaited: Whether only a coroutine can read it, and this one cannot.
    """

    is_awaited: bool


def handle(hook: ResponseHook, response: requests.Response, kwargs: dict[str, Any]) -> requests.Response | None:
    """The response to the last attempt; None if it is this one, or if the next hook returns it."""
    if inspect.iscoroutinefunction(getattr(getattr(response, "connection", None), "send", None)):
        from .niquests_session import handle_in_task

        handle_in_task(hook, response)
        return None
    return run(after_response(hook, response, kwargs))


def after_response(
    hook: ResponseHook,
    response: requests.Response,
    kwargs: dict[str, Any],
    body_of: Callable[[Any, requests.Response], RejectionBody] = RequestsRejectionBody,
) -> Waits[requests.Response | None]:
    """The response to the last attempt; None if it is this one.

    Args:
        hook: The hook of the answered request.
        response: The response to the first attempt.
        kwargs: What the session passed to its adapter.
        body_of: Makes the body of a response, given the package and the response.

    Raises:
        BlnkAuthError: The request can be repeated, and there is no token to repeat it with.
    """
    package = requests_like_package_of(response.request)
    attempts, first = Attempts(hook.credential, hook.sent, package.token_package), response
    while True:
        body = body_of(package.module, response)
        presented = _presented(hook, response, body)
        presented.shows_no_certificate = _shows_no_certificate(package, response, kwargs)
        if kwargs.get("multiplexed"):
            # The caller has this response already, and another one would not reach the caller.
            presented.forbid_repetition()
        hook.proved = None
        try:
            cached = yield from attempts.after_response(presented)
        except BlnkAuthError as error:
            yield DiscardedBody(body)
            raise as_requests_error(error, response.request) from None
        if cached is None or not may_carry_token(hook.credential, origin_of(response.request.url), cached):
            break
        yield DiscardedBody(body)
        hook, response = yield from _repeat(package, hook, response, cached, kwargs)
    if response.is_redirect:
        hook.before_redirect(response)
    return None if response is first else response


def _repeat(
    package: Imported, hook: ResponseHook, rejected: requests.Response, cached: CachedToken, kwargs: dict[str, Any]
) -> Waits[tuple[ResponseHook, requests.Response]]:
    request, credential = rejected.request, hook.credential
    rejected.request = redacted_copy(request, hook.header_name, "DPoP")
    # Set on the original request and not on a copy: the session uses it when it follows redirects.
    request.headers[hook.header_name] = cached.prefix + cached.token.access_token
    more = credential.rules.sends_more
    retried = attach_more(credential, cached, request) if more else ResponseHook(credential, cached)
    retried.further = (*hook.further, *retried.further)
    replace_hook(request, hook, retried)
    _carry_cookies(package, request, rejected)
    if _position(request) is not None:
        package.module.utils.rewind_body(request)
    began_at = time.perf_counter()
    response: requests.Response = yield _Sending(rejected.connection, request, kwargs)
    response.elapsed = rejected.elapsed.__class__(seconds=time.perf_counter() - began_at)
    response.history = [*rejected.history, rejected]
    return retried, response


class _Sending:
    """A `Wait` that sends a request through an adapter. Its result is the response."""

    def __init__(self, adapter: Any, request: requests.PreparedRequest, kwargs: dict[str, Any]) -> None:
        self._adapter = adapter
        self._request = request
        self._kwargs = kwargs

    def wait(self) -> Any:
        """Send it, blocking the thread."""
        return self._adapter.send(self._request, **self._kwargs)

    async def wait_async(self) -> Any:
        """Send it, letting other tasks run."""
        return await self._adapter.send(self._request, **self._kwargs)


def _presented(hook: ResponseHook, response: requests.Response, body: RejectionBody) -> ApiRejection:
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


def _shows_no_certificate(package: Imported, response: requests.Response, kwargs: dict[str, Any]) -> bool:
    """Whether the connection certainly had no client certificate. Another class of adapter, or a proxy, may add one."""
    adapter: Any = getattr(response, "connection", None)
    return (
        type(adapter) is package.module.adapters.HTTPAdapter
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
    if position is None or inspect.iscoroutinefunction(body.seek):
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


def _carry_cookies(package: Imported, request: requests.PreparedRequest, rejected: requests.Response) -> None:
    """Send a cookie of the rejection with the repeated request, as `HTTPDigestAuth` does."""
    jar = getattr(request, "_cookies", None)
    if jar is not None and rejected.headers.get("set-cookie") and "Cookie" not in request.headers:
        package.module.cookies.extract_cookies_to_jar(jar, rejected.request, rejected.raw)
        request.prepare_cookies(jar)
