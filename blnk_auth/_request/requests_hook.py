"""The response hook of requests, which handles each response to a request with our token.

Used by `RequestsAuth`, which appends a hook to each request with the token. requests calls it for every response, also
for redirects. It promises to act only on a response to a request that carried our token to an allowed origin. The first
rejection imports `requests_retry`, which handles rejections. It never sends a request itself.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import requests
from urllib3.util import parse_url

from .._protocol.origins import Origin, normalize
from .._renewal.cached_token import CachedToken
from .._renewal.credential import Credential
from ..errors import BlnkAuthError
from .client_errors import as_client_error


class ResponseHook:
    """The response hook of the requests with one token. Immutable, since they share it.

    Attributes:
        credential: Supplied the token.
        sent: The token in the requests.
        header_name: The name of the header with the token.
        further: The names of the other headers that we attached, which differ from request to request.
    """

    __slots__ = ("_rejection_statuses", "credential", "further", "header_name", "sent")
    credential: Credential
    sent: CachedToken
    header_name: str
    further: tuple[str, ...]

    def __init__(self, credential: Credential, sent: CachedToken, further: tuple[str, ...] = ()) -> None:
        self.credential = credential
        self.sent = sent
        self.header_name = credential.rules.header_name
        self.further = further
        self._rejection_statuses = credential.rules.rejection_statuses

    def __call__(self, response: requests.Response, **kwargs: Any) -> requests.Response | None:
        """Act on a response; None leaves it as it is. Called by requests; blocks while a renewal is needed."""
        if response.status_code in self._rejection_statuses:
            from .requests_retry import repeat_after_rejection

            return repeat_after_rejection(self, response, kwargs)
        self.note_not_rejected(response)
        return None

    def note_not_rejected(self, response: requests.Response) -> None:
        """After a response that is not a rejection: note it, and strip our headers before a redirect elsewhere."""
        # Done once for each token. After a redirect to another origin, the answered request did not have the token.
        if not self.sent.was_accepted and response.request.headers.get(self.header_name) == self.sent.header:
            self.sent.was_accepted = True
        if response.is_redirect:
            self._strip_before_redirect(response)

    def is_rejection_status(self, status_code: int) -> bool:
        """Whether a response with this status is judged."""
        return status_code in self._rejection_statuses

    def _strip_before_redirect(self, response: requests.Response) -> None:
        """Remove our headers, unless the redirect leads to an allowed origin; see `redirects`."""
        from .redirects import leads_to

        target = leads_to(origin_of(response.request.url), response.headers.get("location", ""))
        if target is None or not self.credential.rules.permits(target, self.sent.token):
            for name in (self.header_name, *self.further):
                response.request.headers.pop(name, None)

    def __deepcopy__(self, memo: object) -> ResponseHook:
        # A copy of a request that requests makes shares the hooks, so a deep copy does too.
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # A response is pickled with its request; the refresh token must not be in the pickle.
        return partial, (unpickled_hook,)


def was_attached(request: requests.PreparedRequest, header: str | bytes) -> bool:
    """Whether we set the header in the request, when the same object was prepared before."""
    hooks: list[Any] = request.hooks["response"]
    return any(header == hook.sent.header for hook in hooks if type(hook) is ResponseHook)


def attach_api_headers(credential: Credential, request: requests.PreparedRequest) -> tuple[str, ...]:
    """Add the headers that are sent in addition to the token, and return their names."""
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
    """The hook of a response that was unpickled: it does nothing, because the response was handled before.

    May be called from any thread.

    Args:
        response: As requests passes it to every hook.
    """


# The public module that a pickle names.
unpickled_hook.__module__ = __name__.partition("._")[0] + ".requests"
