"""What niquests adds to requests: sessions whose requests are awaited.

Used by `requests_flow` and `requests_retry`. niquests calls an auth object in the same way for a `Session` and for an
`AsyncSession`, so at that moment nobody knows which of them sends the request. What this file promises:

* In an `AsyncSession` the event loop runs on while a token is renewed, and while a request is repeated.
* A `Session` that is used in the thread of an event loop gets its token too.
* A redirect that no hook has seen, as in a session with `multiplexed=True`, takes no header along that we attached.
  niquests itself removes `Authorization` for another host, and no other header.
* A request that `prepare_request` made for an `AsyncSession` by hand gets its token when it is sent. If the token must
  be renewed then, the event loop waits: niquests calls nothing that could be awaited.

It never decides anything.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from .._renewal.credential import Credential
from ..errors import BlnkAuthError
from .before_sending import may_carry_token, token_to_send
from .blocking_and_async import Waits, arun, run
from .client_packages import requests_like_package_of
from .niquests_body import AwaitedRejectionBody
from .requests_hook import ResponseHook, as_requests_error, attach_more, origin_of, unpickled_hook
from .requests_retry import after_response

if TYPE_CHECKING:
    import requests


def attach_later(credential: Credential, request: requests.PreparedRequest) -> None:
    """Attach the token when the request is sent: awaited by an `AsyncSession`, blocking in a `Session`."""
    later: Any = _Later(credential)
    prepared: Any = request
    # What niquests does itself with an auth object that is a coroutine function. A `Session` ignores it.
    prepared._asynchronous_auth, prepared._pending_async_auth = True, later.attach_in_task
    request.hooks["pre_request"].append(later)


class _Later:
    """Attaches the token to one request: once, by whichever of its two ways comes first."""

    __slots__ = ("_credential", "_is_attached")

    def __init__(self, credential: Credential) -> None:
        self._credential = credential
        self._is_attached = False

    async def attach_in_task(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Awaited by an `AsyncSession`, once the request is prepared."""
        await arun(self._attach(request))
        return request

    def __call__(self, request: requests.PreparedRequest, **_: object) -> None:
        """The hook before a request is sent, and before a redirected one is."""
        if self._is_attached:
            return
        vars(request).pop("_pending_async_auth", None)
        run(self._attach(request))

    def _attach(self, request: requests.PreparedRequest) -> Waits[None]:
        self._is_attached = True
        try:
            cached = yield from token_to_send(self._credential, requests_like_package_of(request).token_package)
        except BlnkAuthError as error:
            raise as_requests_error(error, request) from None
        if may_carry_token(self._credential, origin_of(request.url), cached, url=request.url):
            # Before those of the session.
            request.hooks["response"].insert(0, attach_more(self._credential, cached, request))

    def __reduce__(self) -> tuple[Any, ...]:
        # A response is pickled with its request; the refresh token must not be in the pickle.
        return partial, (unpickled_hook,)


def keep_from_copies(request: requests.PreparedRequest, names: tuple[str, ...]) -> None:
    """Leave these headers out of a redirected request, which is a copy, unless our hook has judged the redirect."""
    if names:
        vars(request)["copy"] = _Copying(request, names)


class _Copying:
    """The method `copy` of one request.

    Attributes:
        is_judged: Whether our hook has seen the response, and removed what must not follow it.
    """

    __slots__ = ("_names", "_request", "is_judged")

    def __init__(self, request: requests.PreparedRequest, names: tuple[str, ...]) -> None:
        self.is_judged = False
        self._request = request
        self._names = names

    def __call__(self) -> requests.PreparedRequest:
        copied = type(self._request).copy(self._request)
        if self.is_judged:
            keep_from_copies(copied, self._names)
        else:
            for name in self._names:
                copied.headers.pop(name, None)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._request, self._names)


def handle_in_task(hook: ResponseHook, response: requests.Response) -> None:
    """Have a response of an `AsyncSession` handled by the next hook, which the session awaits. Called in `hook`."""
    request = response.request
    hooks: list[Any] = request.hooks["response"]

    async def awaited(_: requests.Response, **kwargs: Any) -> requests.Response | None:
        # Each list has it once. The session is looking through this one, so nothing in it may move.
        hooks[at] = unpickled_hook
        request.hooks = {**request.hooks, "response": [*hooks[:at], *hooks[at + 1 :]]}
        return await arun(after_response(hook, response, kwargs, AwaitedRejectionBody))

    # The session looks through this very list, and comes to the new hook next.
    at = next(at for at, each in enumerate(hooks) if each is hook) + 1
    hooks.insert(at, awaited)
