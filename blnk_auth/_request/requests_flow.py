"""What happens when requests calls an auth object, which it does once for each request that it prepares.

Used by `RequestsAuth` and `Auth`. It promises that the token is attached only to a request that may have it. What
follows the response is in `requests_hook`. It never sends a request itself, and imports requests only to handle a
request of requests.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .._renewal.cached_token import CachedToken
from .._renewal.credential import Source, credential_of
from ..errors import BlnkAuthError, ConfigurationError, constructor_clears_locals
from ..errors._extras import NamedInAnnotations
from .before_sending import may_carry_token, token_to_send
from .blocking_and_async import run
from .client_errors import wrong_auth_class
from .client_packages import requests_like_package_of
from .requests_hook import ResponseHook, as_requests_error, attach_more, origin_of, was_attached

if TYPE_CHECKING:
    import requests
else:
    requests = NamedInAnnotations("requests")


@constructor_clears_locals
class RequestsFlow:
    """What requests calls of `RequestsAuth` and `Auth`. May be shared between threads."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._credential = credential = credential_of(source)
        self._header_name = credential.rules.header_name
        self._sends_more = credential.rules.sends_more
        # A prepared URL spells its origin in lower case and always has a path.
        self._listed = tuple(f"{origin}/" for origin in credential.rules.always_permitted)
        self._hook: ResponseHook | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self._source!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._source,)

    def __call__(  # noqa: C901 - the hot path: each function less is time saved for every request
        self, request: requests.PreparedRequest, handler: object = None
    ) -> requests.PreparedRequest:
        """Attach the token. Called by requests; blocks while a renewal is needed.

        aiohttp calls a middleware with a second argument, and gets an error.
        """
        credential = self._credential
        try:
            is_listed = (request.url or "").startswith(self._listed)
        except AttributeError:
            # httpx too calls the object that is passed as `auth`; its URLs are not strings.
            raise self._wrong_client(request) from None
        if not is_listed and not may_carry_token(credential, origin_of(request.url), url=request.url):
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
        if cached is None:
            return request
        if not is_listed and not may_carry_token(credential, origin_of(request.url), cached, url=request.url):
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

    def _wrong_client(self, request: object) -> ConfigurationError:
        return wrong_auth_class(type(self).__name__, request)

    def _token_when_ready(self, request: requests.PreparedRequest) -> CachedToken | None:
        """The token, once it is valid.

        None if nothing is attached now: it will be later, so that an event loop can run until then; or the request is
        sent without a token.
        """
        if "pre_request" in request.hooks and _runs_in_event_loop():
            from .niquests_session import attach_later

            attach_later(self._credential, request)
            return None
        try:
            cached = run(token_to_send(self._credential, requests_like_package_of(request).token_package))
        except BlnkAuthError as error:
            raise as_requests_error(error, request) from None
        if cached.header is not None:
            return cached
        # One for each prepared request, however often it is prepared.
        hooks: list[Any] = request.hooks["response"]
        hooks[:] = [*(hook for hook in hooks if type(hook) is not ResponseHook), ResponseHook(self._credential, cached)]
        return None


def _runs_in_event_loop() -> bool:
    # Who has not imported asyncio runs in none.
    asyncio: Any = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None  # the public one raises
