"""Fetches the metadata documents from which one resource is learned: within narrow limits, from servers not trusted.

Used by `_resource/learning.py`; made by the client of a protected resource. What this file promises:

* 64 KB for each document, five documents, 10 seconds in all, and 20 requests with all redirects.
* A redirect is followed only within the origin of its document, and three times at most.
* An address that is not public is refused as `addresses.py` describes.
* It sends GET requests only, which have no side effects. They are sent through the HTTP package of the caller, so that
  mocks see them. It never sends a credential.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urljoin

from .._protocol.exchange_log import log_exchange
from .._protocol.http_messages import HttpRequest, HttpResponse, NoResponse, Package
from .._protocol.origins import endpoint_origin, shown_url
from ..errors import ConfigurationError, ProtocolError, TemporarilyUnavailable
from .addresses import AddressRule, Reach
from .network import Network, transport_for

MOST_BYTES = 65_536
"""The most bytes of a document."""

MOST_DOCUMENTS = 5
MOST_REDIRECTS = 3
MOST_REQUESTS = 20

MOST_SECONDS = 10.0
"""How long all requests of one `MetadataFetch` may take together."""

_REDIRECTS = (301, 302, 303, 307, 308)


class MetadataFetch:
    """Fetches documents for one act of learning; it counts them, and the seconds. For one thread.

    Args:
        network: How servers are reached.
        package: The caller's HTTP package. None: one that is in use.
        resource_url: The URL of the resource, as the user named it.
        reach: From where the resource can be reached, as it was learned earlier.
        monotonic: Returns the seconds of a clock that is never set back.

    Raises:
        ConfigurationError: `resource_url` is not a URL that may be asked.
    """

    def __init__(
        self,
        network: Network,
        package: Package | None,
        resource_url: str,
        *,
        reach: Reach = "public",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.addresses: AddressRule = AddressRule(resource_url, reach)
        """From where the resource can be reached, once it has answered."""
        self._transport = transport_for(package, network.limited_to(self.addresses))
        self._longest: float = network.policy.request_deadline
        self._monotonic: Callable[[], float] = monotonic
        self._due: float = monotonic() + MOST_SECONDS
        self._documents: int = 0
        self._requests: int = 0

    def __call__(self, url: str) -> HttpResponse:
        """The response at `url`, of any status but a redirect.

        Raises:
            ConfigurationError: The URL or its address must not be connected to, or the certificate is not trusted.
            ProtocolError: It is too long, there are too many documents, or it redirects where that is not followed.
            TemporarilyUnavailable: No response came in time.
        """
        response, origin, asked = self._get(url, url), endpoint_origin(url, "url"), url
        for _ in range(MOST_REDIRECTS):
            location = response.headers.get("location")
            if response.status_code not in _REDIRECTS or location is None:
                break
            asked = self._redirect_target(url, asked, location)
            self._check_redirect(url, asked, str(origin))
            response = self._get(asked, url)
        if response.status_code in _REDIRECTS and "location" in response.headers:
            raise ProtocolError(f"{url} redirects more than {MOST_REDIRECTS} times", remedy=_REPORT)
        self._documents += response.status_code == 200
        return response

    def probe(self, url: str) -> HttpResponse:
        """The response to a GET request for the resource itself, without its body and without following redirects.

        It is a GET, because no other method is safe (RFC 9110 section 9.2.1): an API might act on an empty POST, since
        many servers ignore its conditions. The body is not read: that of an event stream would not end.

        Raises:
            ConfigurationError: As for a document.
            ProtocolError: There were too many requests.
            TemporarilyUnavailable: No response came in time.
        """
        headers = {"Accept": "application/json, text/event-stream"}
        return self._send(HttpRequest("GET", url, headers, b"", answer_limit=0), url)

    def _get(self, url: str, document: str) -> HttpResponse:
        if self._documents == MOST_DOCUMENTS:
            raise ProtocolError(f"{document} was not read, after {MOST_DOCUMENTS} documents", remedy=_REPORT)
        request = HttpRequest("GET", url, {"Accept": "application/json"}, b"", answer_limit=MOST_BYTES)
        return self._send(request, document)

    def _send(self, request: HttpRequest, document: str) -> HttpResponse:
        """`document`: what an error names; the request may be for where it was redirected to."""
        left = self._due - self._monotonic()
        if left <= 0:
            raise TemporarilyUnavailable(
                f"{document} was not read: the metadata took {MOST_SECONDS:g} s", remedy=_LATER
            )
        self._requests += 1
        if self._requests > MOST_REQUESTS:
            raise ProtocolError(f"{document} was not read, after {MOST_REQUESTS} requests for metadata", remedy=_REPORT)
        seconds = min(left, self._longest)
        try:
            return log_exchange(
                lambda asked: self._transport.send(asked, seconds=seconds),
                request,
                secrets=(),
                monotonic=self._monotonic,
            )
        except NoResponse as failure:
            problem = f"{document} sent no metadata ({failure.problem})"
            raise TemporarilyUnavailable(problem, remedy=_LATER) from None
        except ProtocolError:
            raise ProtocolError(f"{document} is longer than {MOST_BYTES} bytes", remedy=_REPORT) from None
        except ConfigurationError as failure:
            raise failure.replace(problem=f"{document} was not read: {failure.problem}") from None

    @staticmethod
    def _redirect_target(document: str, asked: str, location: str) -> str:
        try:
            return urljoin(asked, location)
        except ValueError:
            raise ProtocolError(
                f"{document} redirects to {shown_url(location)}, which is not a URL", remedy=_REPORT
            ) from None

    @staticmethod
    def _check_redirect(document: str, target: str, origin: str) -> None:
        try:
            found = str(endpoint_origin(target, "Location"))
        except ConfigurationError:
            found = None
        if found != origin:
            problem = f"{document} redirects to another origin, {shown_url(found or target)}"
            raise ProtocolError(problem, remedy=_REPORT)


_LATER = "check the URL and that the server runs; if it does, try again later"
_REPORT = "check the URL, or report this to the operator of the server"
