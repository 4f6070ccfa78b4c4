"""The token endpoint through httpx or httpx2: a fresh client for each call, with a shared TLS context.

A fresh one, because a kept client would pool connections across forks and idle hours; with the context shared it costs
a fraction of a millisecond.
"""

from __future__ import annotations

import functools
import importlib
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from .._protocol.http_messages import HttpRequest, HttpResponse, NoAnswer
from .common import UNUSABLE_CLIENT, USER_AGENT, capped, untrusted_certificate, unusable_client
from .deadline import Deadline
from .network import Network
from .tls import certificate_failure


class HttpxTransport:
    """Sends with the package named; the two have the same interface."""

    def __init__(self, package: str, network: Network) -> None:
        self._httpx = importlib.import_module(package)
        self._network = network

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send once; see `Transport`."""
        httpx, policy = self._httpx, self._network.policy
        with Deadline(policy.request_deadline) as deadline:
            try:
                with self._client() as client, self._stream(client, request, deadline) as response:
                    body = capped(response.iter_bytes(), policy.max_answer_bytes, deadline)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
                refused = certificate_failure(error)
                if refused is not None:
                    raise untrusted_certificate(refused) from None
                raise NoAnswer(_name(error), sent=False) from None
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                if deadline.has_passed:
                    raise deadline.missed() from None
                raise NoAnswer(_name(error), sent=True) from None
            except UNUSABLE_CLIENT as error:
                raise unusable_client(error) from None
        return HttpResponse(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)

    @contextmanager
    def _client(self) -> Generator[Any]:
        network = self._network
        if network.client is not None:
            yield network.client
            return
        tls = network.tls or _default_context(self._httpx.__name__)
        with self._httpx.Client(verify=tls, proxy=network.proxy, follow_redirects=False) as client:
            yield client

    @contextmanager
    def _stream(self, client: Any, request: HttpRequest, deadline: Deadline) -> Generator[Any]:
        def trace(event: str, info: dict[str, Any]) -> None:
            # The one public way to the socket before the answer's headers have come.
            if event.endswith((".connect_tcp.complete", ".connect_unix_socket.complete", ".start_tls.complete")):
                deadline.watch(info["return_value"].get_extra_info("socket"))

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


@functools.cache
def _default_context(package: str) -> ssl.SSLContext:
    tls: ssl.SSLContext = importlib.import_module(package).create_ssl_context()
    return tls


def _name(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
