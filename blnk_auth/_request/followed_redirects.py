"""Which calls of an aiohttp session follow a redirect, and to which origin the token may follow it.

Used by `AiohttpAuth`, which aiohttp calls again for each hop. It promises that a redirect to another origin takes the
token away for the rest of the call, also if that origin is listed, and also if a further redirect leads back. It never
follows a redirect itself, and keeps nothing of a call that has ended.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from .._protocol.origins import Origin, normalize

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientResponse

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
"""The statuses that aiohttp follows."""


class FollowedRedirects:
    """The calls of which the last response was a redirect. May be shared between threads, event loops and tasks.

    The requests of one call have one timer, and those of two calls have two. aiohttp keeps the responses of a call
    until it returns. With the response, the entry here ends too.

    Attributes:
        by_call: By the `id` of the timer: a reference to the last redirect, the timer, and the origin of the first
            request; None instead of the origin if the redirected request may not have the token.
    """

    def __init__(self) -> None:
        self.by_call: dict[int, tuple[weakref.ref[ClientResponse], object, Origin | None]] = {}

    def is_following(self, request: ClientRequest) -> bool:
        """Whether a redirect has led to this request."""
        return id(_timer_of(request)) in self.by_call

    def may_follow(self, request: ClientRequest, origin: Origin) -> bool:
        """Whether a request to `origin` is the first of its call, or has been redirected within this origin only."""
        timer = _timer_of(request)
        entry = self.by_call.get(id(timer))
        return entry is None or entry[1] is not timer or entry[2] == origin

    def note(self, request: ClientRequest, response: ClientResponse, origin: Origin | None) -> None:
        """Note the response, if it is a redirect. `origin`: that of the request; None if it did not have the token."""
        if response.status in REDIRECT_STATUSES:
            timer = _timer_of(request)
            key = id(timer)
            ended: Any = partial(_forget, self.by_call, key)
            self.by_call[key] = weakref.ref(response, ended), timer, origin


def origin_of(request: ClientRequest) -> Origin:
    """The origin of a request's URL, as aiohttp connects to it."""
    url = request.url
    return normalize(url.scheme, url.raw_host or "", url.port)


def _forget(by_call: dict[int, Any], key: int, _: object) -> None:
    by_call.pop(key, None)


def _timer_of(request: ClientRequest) -> object:
    # Nothing public shows which requests belong to one call.
    return getattr(request, "_timer", None) or request
