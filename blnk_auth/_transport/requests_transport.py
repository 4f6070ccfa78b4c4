"""The token endpoint through requests: sessions of one connection each.

Used by `transport_for`. It promises what `Transport` promises. Unlike requests and http.client, it never accepts the
end of the connection as the end of a response's headers.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The base class of a watched connection is known at run time only.

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from .._protocol.http_messages import HttpRequest, HttpResponse
from .body import Body, read
from .deadline import Deadline
from .exchange import exchange, lost
from .failures import untrusted_certificate
from .kept_clients import ClientKey
from .network import USER_AGENT, Network


class RequestsTransport:
    """Sends with requests."""

    def __init__(self, network: Network) -> None:
        self._network: Network = network

    def send(self, request: HttpRequest, *, seconds: float | None = None) -> HttpResponse:
        """Send once; see `Transport`."""
        policy = self._network.policy

        def send(deadline: Deadline) -> tuple[Any, bytes]:
            network = self._network
            if network.client is not None:
                return self._ask(network.client, request, deadline)
            key = network.key("requests", request)
            with network.kept.lend(key, lambda: _made(key), deadline) as lent:
                adapter = lent.client.adapters["https://"]
                adapter.begin(deadline)
                response, body = self._ask(lent.client, request, deadline)
                if network.answer_limit(request):
                    lent.can_be_kept(adapter.connection, response.headers.get("keep-alive", ""))
                return response, body

        check = self._network.check_for(request)
        return exchange(send, _failure_of, policy.request_deadline if seconds is None else seconds, check)

    def _ask(self, session: requests.Session, request: HttpRequest, deadline: Deadline) -> tuple[Any, bytes]:
        with self._stream(session, request) as response:
            limit = self._network.answer_limit(request)
            return response, _read(response, limit, deadline) if limit else b""

    def _stream(self, session: requests.Session, request: HttpRequest) -> requests.Response:
        policy = self._network.policy
        return session.request(
            request.method,
            request.url,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **request.headers},
            data=request.body,
            # Not the session's auth, nor one from a netrc file.
            auth=_leave_alone,
            allow_redirects=False,
            timeout=(policy.connect_timeout, policy.read_timeout),
            stream=True,
        )


def _made(key: ClientKey) -> requests.Session:
    session = requests.Session()
    adapter = _WatchedAdapter(key.tls)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # Ignore a proxy that the environment names for http, because such a request must not leave the machine.
    session.trust_env = key.environment is not None
    if key.proxy is not None:
        session.proxies = {"http": key.proxy, "https": key.proxy}
    # A session serves one grant after the other.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    return session


def _read(response: requests.Response, limit: int, deadline: Deadline) -> bytes:
    """The whole body. It is read as it was sent: requests would decode it before its bytes can be counted."""
    raw: Any = response.raw
    if not isinstance(raw, urllib3.HTTPResponse) or getattr(response, "_content_consumed", False):
        # A user's own adapter may return any file, and a user's hook may have read it.
        return read(Body("", limit), response.iter_content(65536), deadline, ends_with_connection=False)
    body = Body(raw.headers.get("content-encoding", ""), limit)
    return read(body, _pieces(raw), deadline, ends_with_connection=_ends_with_connection(raw))


def _pieces(raw: urllib3.HTTPResponse) -> Iterator[bytes]:
    """The body in pieces, each as it arrives. `stream` would wait without limit for a piece of full size."""
    while piece := raw.read1(65536, decode_content=False):
        yield piece


def _ends_with_connection(raw: urllib3.HTTPResponse) -> bool:
    """Whether only the end of the connection marks the end of the body (RFC 9112 section 6.3). Never so for a mock."""
    received = getattr(raw, "_original_response", None)
    return isinstance(received, http.client.HTTPResponse) and received.length is None and not received.chunked


def _leave_alone(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _failure_of(error: Exception, deadline: Deadline) -> Exception | None:
    if isinstance(error, requests.RequestException):
        return untrusted_certificate(error) or lost(error, deadline, sent=not _was_certainly_not_sent(error, deadline))
    return lost(error, deadline) if isinstance(error, urllib3.exceptions.HTTPError) else None


def _was_certainly_not_sent(error: requests.RequestException, deadline: Deadline) -> bool:
    reason = getattr(error.args[0], "reason", None) if error.args else None
    unsent = isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError | requests.exceptions.SSLError)
    unsent = unsent or isinstance(
        reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.NameResolutionError
    )
    # The adapter below knows for certain: nothing is sent before the connection, TLS included, has been made.
    return (unsent and not deadline.may_have_sent) or deadline.nothing_was_sent


class _WatchedAdapter(HTTPAdapter):
    """An adapter of one connection, which a deadline can cut. Each exchange begins with `begin`."""

    def __init__(self, tls: Any) -> None:
        self._tls: Any = tls
        super().__init__(pool_connections=1, pool_maxsize=1)

    def begin(self, deadline: Deadline) -> None:
        """Let this deadline watch the connections that are opened from now on."""
        self.deadline: Deadline = deadline
        self.used: http.client.HTTPConnection | None = None
        """The connection on which a response has arrived since."""

    @property
    def connection(self) -> socket.socket | None:
        """The connection, if the next request can be sent on it. None for a mock."""
        connection: Any = None if self.used is None else self.used.sock
        # TLS in TLS, to a proxy over https, has buffers of its own. So has TLS that is not the standard library's.
        return connection if isinstance(connection, socket.socket) else None

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        if self._tls is not None:
            kwargs["ssl_context"] = self._tls
        super().init_poolmanager(*args, **kwargs)
        self._watch(self.poolmanager)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        # requests would load its own bundle of authorities into a context that was made to trust a single one.
        if self._tls is None:
            super().cert_verify(conn, url, verify, cert)

    def build_connection_pool_key_attributes(self, *args: Any, **kwargs: Any) -> Any:
        host, tls = super().build_connection_pool_key_attributes(*args, **kwargs)
        if self._tls is not None:
            # requests would add the bundle here too, from REQUESTS_CA_BUNDLE.
            tls = {name: value for name, value in tls.items() if name not in ("ca_certs", "ca_cert_dir")}
        return host, tls

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        if self._tls is not None:
            kwargs["ssl_context"] = self._tls
        manager = super().proxy_manager_for(*args, **kwargs)
        self._watch(manager)
        return manager

    def _watch(self, manager: Any) -> None:
        manager.pool_classes_by_scheme = {
            scheme: type(pool.__name__, (pool,), {"ConnectionCls": _watched(pool.ConnectionCls, self)})
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }


def _watched(connection_class: Any, adapter: _WatchedAdapter) -> Any:
    class Watched(connection_class):  # type: ignore[misc]  # the base is known at run time only
        response_class = _CheckedResponse

        def _new_conn(self) -> Any:
            connection: Any = super()._new_conn()
            # This runs before the proxy is asked for a tunnel, and before TLS.
            to_proxy = getattr(self, "proxy", None) is not None or hasattr(self, "_socks_options")
            adapter.deadline.watch(connection, to_proxy=to_proxy)
            return connection

        def _tunnel(self) -> None:
            super()._tunnel()
            # http.client accepts the end of the connection as the end of the proxy's headers, even if the deadline cut
            # it.
            if adapter.deadline.has_passed:
                raise TimeoutError

        def connect(self) -> None:
            super().connect()
            adapter.deadline.may_have_sent = True

        def getresponse(self, **settings: Any) -> Any:
            response: Any = super().getresponse(**settings)
            # urllib3-future, which replaces urllib3 where niquests is installed, passes some. Its connections are not
            # kept: if a used one is lost, it sends a request again by itself, and a refresh token would be sent twice.
            adapter.used = None if settings else self
            return response

    return Watched


class _CheckedResponse(http.client.HTTPResponse):
    """A response whose headers must end with an empty line: `http.client` also accepts the end of the connection."""

    def begin(self) -> None:
        file: Any = self.fp
        lines: Any = _Lines(file)
        self.fp = lines
        super().begin()
        if self.fp is lines:
            self.fp = file
        if lines.last not in (b"\r\n", b"\n"):
            raise http.client.RemoteDisconnected("the connection ended among the headers of the response")


class _Lines:
    """A file that remembers the last line that was read from it."""

    def __init__(self, file: Any) -> None:
        self._file: Any = file
        self.last: bytes = b""

    def readline(self, limit: int = -1) -> bytes:
        self.last = self._file.readline(limit)
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
