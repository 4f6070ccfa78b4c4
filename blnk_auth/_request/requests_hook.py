"""The response hook of requests, which handles each response to a request with our token.

Used by `requests_flow`, which appends a hook to each request with the token. requests calls it for every response, also
for redirects. It promises to act only on a response to a request that carried our token to an allowed origin. The first
rejection imports `requests_retry`, which sends requests again. It never sends a request itself, and imports requests
only to handle a request of requests.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from .._protocol.origins import Origin, normalize
from .._renewal.cached_token import CachedToken
from .._renewal.credential import Credential, headers_to_attach
from ..errors import BlnkAuthError
from ..errors._extras import NamedInAnnotations
from .before_sending import own_proof_error
from .client_errors import as_client_error
from .client_packages import requests_like_package_of

if TYPE_CHECKING:
    import requests
else:
    requests = NamedInAnnotations("requests")


class ResponseHook:
    """The response hook of the requests with one token. They share it if nothing else is attached to them.

    Attributes:
        credential: Supplied the token.
        sent: The token in the requests.
        header_name: The name of the header with the token.
        further: The names of the other headers that we attached, which differ from request to request.
        proved: The method and the URL that the attached proof is for; None if there is none, or it has been sent.
    """

    __slots__ = ("_looked_at", "credential", "further", "header_name", "proved", "sent")
    credential: Credential
    sent: CachedToken
    header_name: str
    further: tuple[str, ...]
    proved: tuple[str, str] | None

    def __init__(self, credential: Credential, sent: CachedToken, further: tuple[str, ...] = ()) -> None:
        rules = credential.rules
        self.credential = credential
        self.sent = sent
        self.header_name = rules.header_name
        self.further = further
        self.proved = None
        self._looked_at = rules.looked_at

    def __call__(self, response: requests.Response, **kwargs: Any) -> requests.Response | None:
        """Act on a response; None leaves it as it is. Called by requests; blocks while a renewal is needed."""
        if response.status_code in self._looked_at:
            from .requests_retry import handle

            return handle(self, response, kwargs)
        # Done once for each token. After a redirect to another origin, the answered request did not have the token.
        if not self.sent.was_accepted and self._carried_ours(response):
            self.sent.was_accepted = True
        if self.proved is not None:
            self._keep_nonce(response)
        if response.is_redirect:
            self.before_redirect(response)
        return None

    def _carried_ours(self, response: requests.Response) -> bool:
        return bool(response.request.headers.get(self.header_name) == self.sent.header)

    def _keep_nonce(self, response: requests.Response) -> None:
        proof, self.proved = self.credential.rules.proof, None
        if proof is not None and self._carried_ours(response):
            proof.observe(response.request.url or "", response.status_code, response.headers)

    def before_redirect(self, response: requests.Response) -> None:
        """Remove our headers, unless the redirect leads to an allowed origin; see `redirects`.

        A proof is replaced by one for the new URL within the origin, and removed for all others.
        """
        from .redirects import leads_to

        request = response.request
        copying: Any = vars(request).get("copy")
        if copying is not None:
            copying.is_judged = True
        origin = origin_of(request.url)
        target = leads_to(origin, response.headers.get("location", ""))
        if target is None or not self.credential.rules.permits(target, self.sent.token):
            for name in (self.header_name, *self.further):
                request.headers.pop(name, None)
        elif "DPoP" in self.further and "DPoP" in request.headers:
            # It has none after an earlier redirect to another origin.
            # The session makes the redirected request from the answered one, which the history does not show then.
            response.request = redacted_copy(request, "DPoP")
            del request.headers["DPoP"]
            if target == origin:
                self._prove_redirected(request, response)

    def _prove_redirected(self, request: requests.PreparedRequest, response: requests.Response) -> None:
        method, url = _redirected(request, response)
        proof = self.credential.rules.proof
        try:
            request.headers.update(proof.prove(self.sent, method, url) if proof is not None else {})
        except BlnkAuthError as error:
            raise as_requests_error(error, request) from None
        hook = ResponseHook(self.credential, self.sent, self.further)
        hook.proved = proof_target(method, url)
        replace_hook(request, self, hook)

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


def attach_more(credential: Credential, cached: CachedToken, request: requests.PreparedRequest) -> ResponseHook:
    """Add the token and the headers that are sent in addition to it, and return the hook of this one request."""
    rules = credential.rules
    try:
        if rules.proof is not None and "DPoP" in request.headers and not _has_hook(request):
            raise own_proof_error()
        attached = headers_to_attach(credential, cached, request.method or "GET", request.url or "")
    except BlnkAuthError as error:
        raise as_requests_error(error, request) from None
    request.headers.update(attached)
    hook = ResponseHook(credential, cached, tuple(name for name in attached if name != rules.header_name))
    hook.proved = proof_target(request.method, request.url) if "DPoP" in attached else None
    if "pre_request" in request.hooks:
        from .niquests_session import keep_from_copies

        keep_from_copies(request, tuple(name for name in attached if name != "Authorization"))
    return hook


def _has_hook(request: requests.PreparedRequest) -> bool:
    return any(type(hook) is ResponseHook for hook in request.hooks["response"])


def replace_hook(request: requests.PreparedRequest, old: ResponseHook, new: ResponseHook) -> None:
    """Replace our hook of a request."""
    # A new list, since copies of this request share the old one, and they still have the old token and proof.
    hooks: list[Any] = [new if each is old else each for each in request.hooks["response"]]
    request.hooks = {**request.hooks, "response": hooks}


def redacted_copy(request: requests.PreparedRequest, *names: str) -> requests.PreparedRequest:
    """The request as the history shows it, without what these headers contain."""
    copy = request.copy()
    for name in names:
        if name in copy.headers:
            copy.headers[name] = "[redacted]"
    return copy


def proof_target(method: str | None, url: str | None) -> tuple[str, str]:
    """What a proof is for: the method and the URL without its fragment."""
    return method or "GET", (url or "").partition("#")[0]


def _redirected(request: requests.PreparedRequest, response: requests.Response) -> tuple[str, str]:
    """The method and the URL with which requests follows a redirect, made by its own functions."""
    package, prepared = requests_like_package_of(request).module, request.copy()
    # Its session is not known here, and neither function needs it.
    package.Session.rebuild_method(None, prepared, response)
    location = package.Session.get_redirect_target(None, response) or ""
    return prepared.method or "GET", urljoin(response.url, package.utils.requote_uri(urlsplit(location).geturl()))


def origin_of(url: str | None) -> Origin:
    """The origin of a prepared URL, as requests' own parser reads it."""
    from urllib3.util import parse_url

    parts = parse_url(url or "")
    return normalize(parts.scheme or "", parts.host or "", parts.port)


def as_requests_error(error: BlnkAuthError, request: requests.PreparedRequest) -> BlnkAuthError:
    """The same error, which is also a `RequestException` of the package of the request, and has `.request`."""
    package = requests_like_package_of(request).module
    return as_client_error(
        error, request, request_error=package.RequestException, transport_error=package.ConnectionError
    )


def unpickled_hook(response: requests.Response, **_: object) -> None:
    """The hook of a response that was unpickled: it does nothing, because the response was handled before.

    May be called from any thread.

    Args:
        response: As requests passes it to every hook.
    """


# The public module that a pickle names.
unpickled_hook.__module__ = __name__.partition("._")[0] + ".requests"
