"""The token endpoint through requests: a fresh session for each call, for the reasons given in `httpx`."""

# pyright: reportUnknownMemberType=false
# The base class of a watched connection is known at run time only.

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from .._protocol.http_messages import HttpRequest, HttpResponse, NoAnswer
from .common import UNUSABLE_CLIENT, USER_AGENT, capped, untrusted_certificate, unusable_client
from .deadline import Deadline
from .network import Network
from .tls import certificate_failure


class RequestsTransport:
    """Sends with requests."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send once; see `Transport`."""
        with Deadline(self._network.policy.request_deadline) as deadline:
            try:
                with self._session(deadline) as session, self._stream(session, request) as response:
                    body = capped(_pieces(response), self._network.policy.max_answer_bytes, deadline)
            except requests.RequestException as error:
                raise _no_answer(error, deadline) from None
            except urllib3.exceptions.HTTPError as error:
                raise deadline.missed() if deadline.has_passed else NoAnswer(type(error).__name__, sent=True) from None
            except UNUSABLE_CLIENT as error:
                raise unusable_client(error) from None
        return HttpResponse(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)

    @contextmanager
    def _session(self, deadline: Deadline) -> Generator[requests.Session]:
        network = self._network
        if network.client is not None:
            yield network.client
            return
        with requests.Session() as session:
            adapter = _WatchedAdapter(deadline, network.tls)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            if network.proxy is not None:
                session.proxies = {"http": network.proxy, "https": network.proxy}
            yield session

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


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """The body, each time what has come; `iter_content` waits for whole chunks, however slowly they drip."""
    read = getattr(response.raw, "read1", None) if isinstance(response.raw, urllib3.HTTPResponse) else None
    if read is None or getattr(response, "_content_consumed", False):
        # An adapter of the user's own may give any file, and a hook of theirs may have read it.
        yield from response.iter_content(65536)
        return
    while piece := read(65536, decode_content=True):
        yield piece


def _leave_alone(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _no_answer(error: requests.RequestException, deadline: Deadline) -> Exception:
    refused = certificate_failure(error)
    if refused is not None:
        return untrusted_certificate(refused)
    if deadline.has_passed:
        return deadline.missed()
    reason = getattr(error.args[0], "reason", None) if error.args else None
    unsent = isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError | requests.exceptions.SSLError)
    unsent = unsent or isinstance(
        reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.NameResolutionError
    )
    # An adapter of ours tells for certain: nothing is sent before a connection, TLS included, has been made.
    unsent = unsent and not deadline.has_watched
    # The text of a requests error may quote the request; that of its reason does not.
    return NoAnswer(
        f"{type(error).__name__}: {type(reason).__name__}" if reason else type(error).__name__, sent=not unsent
    )


class _WatchedAdapter(HTTPAdapter):
    """An adapter whose connections a deadline can cut."""

    def __init__(self, deadline: Deadline, tls: Any) -> None:
        self._deadline = deadline
        self._tls = tls
        super().__init__()

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
            # The same bundle again, this time from REQUESTS_CA_BUNDLE.
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
            scheme: type(pool.__name__, (pool,), {"ConnectionCls": _watched(pool.ConnectionCls, self._deadline)})
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }


def _watched(connection_class: Any, deadline: Deadline) -> Any:
    class Watched(connection_class):  # type: ignore[misc]  # the base is known at run time only
        def connect(self) -> None:
            super().connect()
            # Only now: wrapping a socket in TLS makes another object of it.
            deadline.watch(self.sock)

    return Watched
