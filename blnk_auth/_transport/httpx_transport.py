"""The token endpoint through httpx or httpx2: clients of one connection each, with a shared TLS context.

Used by `transport_for`. With a shared context, making a client takes a fraction of a millisecond. It promises what
`Transport` does. It never uses the auth, hooks or cookies of the caller's client.
"""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

from .._protocol.http_messages import HttpRequest, HttpResponse, Package
from .._protocol.origins import endpoint_origin, normalize
from .body import Body, read
from .deadline import Deadline
from .exchange import exchange, lost
from .failures import untrusted_certificate, unusable_client
from .kept_clients import ClientKey
from .network import USER_AGENT, Network

_NO_BODY = (204, 304)


class HttpxTransport:
    """Sends with the package named; the two have the same interface."""

    def __init__(self, package: Package, network: Network) -> None:
        self._package: Package = package
        self._httpx: Any = _imported(package)
        self._network: Network = network

    def send(self, request: HttpRequest, *, seconds: float | None = None) -> HttpResponse:
        """Send once; see `Transport`."""
        policy = self._network.policy

        def send(deadline: Deadline) -> tuple[Any, bytes]:
            network = self._network
            if network.client is not None:
                return self._ask(network.client, request, deadline)
            key = network.key(self._package, request)
            with network.kept.lend(key, lambda: self._made(key), deadline) as lent:
                response, body = self._ask(lent.client, request, deadline)
                if self._network.answer_limit(request):
                    lent.can_be_kept(_connection_of(response), response.headers.get("keep-alive", ""))
                return response, body

        check = self._network.check_for(request)
        return exchange(send, self._failure_of, policy.request_deadline if seconds is None else seconds, check)

    def _ask(self, client: Any, request: HttpRequest, deadline: Deadline) -> tuple[Any, bytes]:
        with self._stream(client, request, deadline) as response:
            limit = self._network.answer_limit(request)
            return response, _read(response, limit, deadline) if limit else b""

    def _failure_of(self, error: Exception, deadline: Deadline) -> Exception | None:
        httpx = self._httpx
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)):
            return untrusted_certificate(error) or lost(error, deadline, sent=False)
        if isinstance(error, (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)):
            return lost(error, deadline)
        return None

    def _made(self, key: ClientKey) -> Any:
        httpx = self._httpx
        try:
            return httpx.Client(
                verify=key.tls or _default_context(self._package),
                proxy=key.proxy,
                # Ignore a proxy that the environment names for http, because such a request must not leave the machine.
                trust_env=key.environment is not None,
                follow_redirects=False,
                limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
                # A client serves one grant after the other.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            )
        except Exception as error:  # noqa: BLE001 - nothing has been sent yet
            raise unusable_client(error) from None

    @contextmanager
    def _stream(self, client: Any, request: HttpRequest, deadline: Deadline) -> Generator[Any]:
        connected_to: list[tuple[Any, Any]] = []

        def trace(event: str, info: dict[str, Any]) -> None:
            # No other public way leads to the socket before the headers of the response have arrived.
            if event.endswith(".connect_tcp.started"):
                connected_to.append(normalize("https", str(info["host"]), info["port"])[1:])
            elif event.endswith((".connect_tcp.complete", ".connect_unix_socket.complete")):
                to_proxy = connected_to != [] and connected_to[-1] != endpoint_origin(request.url, "url")[1:]
                deadline.watch(info["return_value"].get_extra_info("socket"), to_proxy=to_proxy)
            elif event.endswith(".send_request_headers.started") and info["request"].method != b"CONNECT":
                deadline.may_have_sent = True

        policy = self._network.policy
        with client.stream(
            request.method,
            request.url,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **request.headers},
            content=request.body,
            # Not the caller's auth: it would ask for a token in order to get a token.
            auth=None,
            follow_redirects=False,
            timeout=self._httpx.Timeout(policy.read_timeout, connect=policy.connect_timeout),
            extensions={"trace": trace},
        ) as response:
            yield response


def _read(response: Any, limit: int, deadline: Deadline) -> bytes:
    """The whole body. It is read as it was sent: httpx would decode it before its bytes can be counted."""
    is_read = response.is_stream_consumed
    body = Body("" if is_read else response.headers.get("content-encoding", ""), limit)
    # A hook of the user's own client may have read it.
    pieces = iter([response.content]) if is_read else response.iter_raw()
    return read(body, pieces, deadline, ends_with_connection=_ends_with_connection(response))


def _connection_of(response: Any) -> socket.socket | None:
    """The connection of a response that has been closed, if the next request can be sent on it. None for a mock."""
    stream: Any = response.extensions.get("network_stream")
    # TLS in TLS, to a proxy over https, has buffers of its own.
    if stream is None or isinstance(stream.get_extra_info("ssl_object"), ssl.SSLObject) or _has_read_ahead(response):
        return None
    connection: Any = stream.get_extra_info("socket")
    return connection if isinstance(connection, socket.socket) else None


def _has_read_ahead(response: Any) -> bool:
    """Whether the HTTP package has read more than this response: it would take the rest for the response that follows.

    No public name leads there. If a version has other names, no connection is kept.
    """
    part: Any = response
    for name in ("stream", "_stream", "_httpcore_stream", "_stream", "_connection", "_h11_state", "trailing_data"):
        part = getattr(part, name, None)
    return part is None or bool(part[0])


def _ends_with_connection(response: Any) -> bool:
    """Whether only the end of the connection marks the end of the body (RFC 9112 section 6.3). Never so for a mock."""
    return (
        response.extensions.get("http_version", b"").startswith(b"HTTP/1")
        and "network_stream" in response.extensions
        and "content-length" not in response.headers
        and "chunked" not in response.headers.get("transfer-encoding", "").lower()
        and response.status_code not in _NO_BODY
    )


def _imported(package: Package) -> Any:
    # Import statements, so that tools that bundle an application find these packages.
    try:
        if package == "httpx2":
            import httpx2

            return httpx2
        import httpx
    except ImportError as error:
        raise unusable_client(error) from error
    return httpx


@functools.cache
def _default_context(package: Package) -> ssl.SSLContext:
    tls: ssl.SSLContext = _imported(package).create_ssl_context()
    return tls
