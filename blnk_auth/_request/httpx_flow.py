"""The auth flow that httpx and httpx2 share: their clients call it in the same way, but their classes differ.

Used by `HttpxAuth` and `Httpx2Auth`. What it promises:

* No lock is taken and no scope is open while a request is sent, so a flow may be closed by any task at any time.
* A token request is never yielded into the caller's client, where it would inherit hooks, redirects and cancellation.

Modules that only a rejection or a header of another name needs are imported in the functions that need them, because
programs import this module at their start.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from types import FunctionType
from typing import TYPE_CHECKING, Any

from .._protocol.origins import normalize
from .._renewal.cached_token import CachedToken
from .._renewal.credential import Credential, Source, credential_of, headers_to_attach
from ..errors import BlnkAuthError, constructor_clears_locals
from .before_sending import may_carry_token, own_proof_error, token_to_send
from .blocking_and_async import Waits, arun, run
from .client_errors import as_client_error, wrong_auth_class

if TYPE_CHECKING:
    # Its annotations are for both packages: the classes of httpx2 have the same members.
    import httpx

    from .._protocol.http_messages import Package
    from .._renewal.credential import ProofOfPossession
    from .after_rejection import ApiRejection
    from .attempts import Attempts
    from .rejection_body import HttpxRejectionBody

_ATTACHED = "blnk_auth"
"""The key in a request's extensions for the token that we attached. It is missing if the user set the header."""

_PROVED = b"authorization", b"dpop"
_LENGTHS = 13, 4

_DEFAULT_PORTS = {"http": 80, "https": 443}


@constructor_clears_locals
class HttpxFlow:
    """The auth flow of `HttpxAuth` and `Httpx2Auth`. May be shared between threads, event loops and tasks."""

    if TYPE_CHECKING:
        # Each subclass sets them: its HTTP package, and the name of it.
        _httpx: Any
        _package: Package

    def __init_subclass__(cls) -> None:
        package = vars(cls).get("_httpx")
        if package is not None:
            types = package.Request, package.Response
            _annotate(cls, "sync_auth_flow", request=types[0], returned=(Generator, (*types, None)))
            _annotate(cls, "async_auth_flow", request=types[0], returned=(AsyncGenerator, types))

    def __init__(self, source: Source) -> None:
        self._source = source
        self._credential: Credential = credential_of(source)
        rules = self._credential.rules
        self._proof = rules.proof
        self._looked_at = rules.looked_at
        self._is_plain = rules.header_name == "Authorization" and not rules.has_api_headers
        # In the form of the package's own types, so that no request's URL is parsed or decoded to compare it.
        self._header_name = rules.header_name.lower().encode("ascii")
        self._listed = {
            (o.scheme, o.host.encode("ascii"), None if o.port == _DEFAULT_PORTS[o.scheme] else o.port)
            for o in rules.always_permitted
        }

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self._source!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._source,)

    if not TYPE_CHECKING:

        def __call__(self, request, *_):  # noqa: ANN001, ANN002, ANN204 - for type checkers it is not callable
            """Called by another package, such as requests, or aiohttp with a second argument. Raises an error."""
            raise wrong_auth_class(type(self).__name__, request)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send a request with the token, at most three times. Called by the client, on the caller's thread.

        It blocks while the token must be renewed.

        Args:
            request: The request, whose headers get the token.

        Yields:
            The request; once more with a newer token, if the API rejected the first one; and once more with another
            proof, if the token is sent with one and the API did not accept it.

        Raises:
            BlnkAuthError: There is no valid token. It is also the package's `RequestError`, and has `.request`.
        """
        sent = self._attach_fresh(request)
        if sent is None:
            sent = run(self._attach_when_ready(request))
            if sent is None:
                yield request
                return
        response = yield request
        if response.status_code not in self._looked_at:
            if not sent.was_accepted:
                self._note_accepted(sent, response)
            if self._proof is None or self._keep_nonce(request, response):
                return
        attempts = self._attempts(sent)
        while run(self._attach_again(request, attempts, response)):
            # After redirects, the last request: the first one has taken effect, for example a POST answered with 303.
            response = yield response.request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send a request with the token, at most three times. Called by the client, in the caller's task.

        Other tasks run while the token must be renewed. Cancelling the caller does not cancel the renewal.

        Args:
            request: The request, whose headers get the token.

        Yields:
            The request; once more with a newer token, if the API rejected the first one; and once more with another
            proof, if the token is sent with one and the API did not accept it.

        Raises:
            BlnkAuthError: There is no valid token. It is also the package's `RequestError`, and has `.request`.
        """
        sent = self._attach_fresh(request)
        if sent is None:
            sent = await arun(self._attach_when_ready(request))
            if sent is None:
                yield request
                return
        response = yield request
        if response.status_code not in self._looked_at:
            if not sent.was_accepted:
                self._note_accepted(sent, response)
            if self._proof is None or self._keep_nonce(request, response):
                return
        attempts = self._attempts(sent)
        while await arun(self._attach_again(request, attempts, response)):
            response = yield response.request

    def _attach_fresh(self, request: httpx.Request) -> CachedToken | None:
        """The hot path: attach a fresh token to a request that may have it and has no such header yet.

        None for all other cases, in which the request stays as it is.
        """
        cached, url = self._credential.fresh(), request.url
        if cached is None or not self._is_plain or (url.scheme, url.raw_host, url.port) not in self._listed:
            return None
        if self._proof is not None:
            return self._attach_with_proof(request, cached, self._proof)
        headers = request.headers
        signed: httpx.Headers = self._httpx.Headers(headers)
        # `cached.header`, without the call.
        signed["Authorization"] = cached.prefix + cached.token.access_token
        if len(signed) <= len(headers):
            # It replaced a header of the user. Looking for that header first would take several times as long.
            return None
        request.headers = signed
        request.extensions[_ATTACHED] = cached
        return cached

    def _attach_with_proof(
        self, request: httpx.Request, cached: CachedToken, proof: ProofOfPossession
    ) -> CachedToken | None:
        """The same with a proof, for a request that has neither of the two headers yet."""
        headers = request.headers
        for name, _ in headers.raw:
            # Most headers need no conversion to lower case.
            if len(name) in _LENGTHS and name.lower() in _PROVED:
                return None
        from .redirects import with_proof

        try:
            proved = proof.prove(cached, request.method, str(request.url))
        except BlnkAuthError as error:
            raise self._as_client_error(error, request) from None
        request.headers = with_proof(self._httpx, headers, cached.prefix + cached.token.access_token, proved)
        request.extensions[_ATTACHED] = cached
        return cached

    def _may_attach(self, request: httpx.Request) -> bool:
        """Whether the request may have the token, and the user has not set that header."""
        if not self._is_permitted(request):
            return False
        names = {name.lower() for name, _ in request.headers.raw}
        if self._header_name in names and not self._was_attached(request):
            self._credential.report_withheld(None)
            return False
        if b"dpop" in names and self._proof is not None and not self._was_attached(request):
            raise self._as_client_error(own_proof_error(), request)
        return True

    def _is_permitted(
        self, request: httpx.Request, cached: CachedToken | None = None, *, is_redirected: bool = False
    ) -> bool:
        url = request.url
        return (url.scheme, url.raw_host, url.port) in self._listed or may_carry_token(
            self._credential,
            normalize(url.scheme, url.raw_host.decode("ascii"), url.port),
            cached,
            url=None if is_redirected else url,
        )

    def _attach_when_ready(self, request: httpx.Request) -> Waits[CachedToken | None]:
        """Attach a token, once there is a valid one. None if the request may not have it: then nothing is changed."""
        if not self._may_attach(request):
            return None
        try:
            cached = yield from token_to_send(self._credential, self._package)
        except BlnkAuthError as error:
            raise self._as_client_error(error, request) from None
        if not self._is_permitted(request, cached):
            return None
        if cached.header is not None:
            self._attach(request, cached)
        return cached

    def _attempts(self, sent: CachedToken) -> Attempts:
        from .attempts import Attempts

        return Attempts(self._credential, sent, self._package)

    def _attach_again(self, request: httpx.Request, attempts: Attempts, response: httpx.Response) -> Waits[bool]:
        """Attach what the request is repeated with; False if the response is returned to the caller."""
        from .rejection_body import DiscardedBody, HttpxRejectionBody

        for hop in response.history[attempts.answered :]:
            # The history of an attempt has the responses to those before it, and then its own redirects.
            attempts.observe(self._presented(request, attempts.sent, hop, HttpxRejectionBody(self._httpx, hop)))
            _remove_proof(self._httpx, hop.request)
        body = HttpxRejectionBody(self._httpx, response)
        try:
            cached = yield from attempts.after_response(self._presented(request, attempts.sent, response, body))
        except BlnkAuthError as error:
            raise self._as_client_error(error, request) from None
        if cached is None or not self._is_permitted(response.request, cached, is_redirected=True):
            return False
        if not (yield DiscardedBody(body)):
            return False
        self._attach(response.request, cached)
        self._carry_cookies(response)
        return True

    def _keep_nonce(self, request: httpx.Request, response: httpx.Response) -> bool:
        """The hot path after a response to a request with a proof. False after redirects, which need more."""
        if response.history or self._proof is None:
            return False
        self._proof.observe(str(request.url), response.status_code, response.headers)
        return True

    def _note_accepted(self, sent: CachedToken, response: httpx.Response) -> None:
        # Done once for each token. After a redirect to another origin, the answered request did not have the token.
        if response.request.headers.get(self._credential.rules.header_name) == sent.header:
            sent.was_accepted = True

    def _was_attached(self, request: httpx.Request) -> bool:
        """Whether we set the header in the request, when the same request was sent before."""
        attached: CachedToken | None = request.extensions.get(_ATTACHED)
        return attached is not None and attached.header == request.headers.get(self._credential.rules.header_name)

    def _attach(self, request: httpx.Request, cached: CachedToken) -> None:
        if self._is_plain and self._proof is None:
            request.headers["Authorization"] = cached.prefix + cached.token.access_token
        else:
            try:
                own = headers_to_attach(self._credential, cached, request.method, str(request.url))
            except BlnkAuthError as error:
                raise self._as_client_error(error, request) from None
            from .redirects import unredirected

            request.headers = unredirected(self._httpx, request.headers, own)
        request.extensions[_ATTACHED] = cached

    def _carry_cookies(self, rejected: httpx.Response) -> None:
        """Send a cookie of the rejection with the repeated request, as the package's `DigestAuth` does."""
        if "set-cookie" in rejected.headers:
            # `rejected.cookies` cannot be used: it stays in the response, which then cannot be pickled.
            cookies: httpx.Cookies = self._httpx.Cookies()
            cookies.extract_cookies(rejected)
            cookies.set_cookie_header(rejected.request)

    def _presented(
        self, request: httpx.Request, sent: CachedToken, response: httpx.Response, body: HttpxRejectionBody
    ) -> ApiRejection:
        from .after_rejection import ApiRejection

        answered = response.request
        return ApiRejection(
            answered.method,
            str(answered.url),
            response.status_code,
            response.headers,
            answered.url.path,
            carried_ours=(
                answered.headers.get(self._credential.rules.header_name) == sent.header
                and _origin(answered.url) == _origin(request.url)
            ),
            carried_proof="DPoP" in answered.headers,
            is_replayable=lambda: self._is_replayable(answered, request),
            read_body=body,
        )

    def _is_replayable(self, request: httpx.Request, original: httpx.Request) -> bool:
        # Only a body in memory can be sent again. Others may be used up, and some then send nothing without an error.
        # After a redirect that keeps the method, the new request has the stream, and the original one has the content.
        owner = original if request.stream is original.stream else request
        try:
            owner.content  # noqa: B018 - the property raises if the body is not in memory
        except self._httpx.RequestNotRead:
            return False
        return True

    def _as_client_error(self, error: BlnkAuthError, request: httpx.Request) -> BlnkAuthError:
        return as_client_error(
            error, request, request_error=self._httpx.RequestError, transport_error=self._httpx.TransportError
        )


def _annotate(cls: type, name: str, *, request: type, returned: tuple[Any, tuple[Any, ...]]) -> None:
    """Give an auth class a flow with the types of its own package, where `typing.get_type_hints` finds them."""
    shared = vars(HttpxFlow)[name]
    own = FunctionType(shared.__code__, shared.__globals__, name)
    own.__doc__ = shared.__doc__
    own.__qualname__ = f"{cls.__qualname__}.{name}"
    generator, parameters = returned
    own.__annotations__ = {"request": request, "return": generator[parameters]}
    setattr(cls, name, own)


def _remove_proof(package: Any, request: httpx.Request) -> None:
    """Remove the proof from a request of the history. A copy of its headers does not have it; see `redirects`."""
    if "DPoP" in request.headers:
        request.headers = package.Headers(request.headers)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
