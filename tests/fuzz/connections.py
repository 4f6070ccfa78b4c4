"""Where httpx, httpx2 and requests really connect, and what they send there, without a socket.

Used by the targets about URLs. The clients are the packages' own, down to the connection that they would open: there it
is written down, and refused. So nothing here parses a URL.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import httpcore
import httpcore2
import httpx
import httpx2
import requests
import urllib3.connection
import urllib3.exceptions
from requests.adapters import HTTPAdapter


class Sent(NamedTuple):
    """One request as it would have left: by TLS or not, to which host and port, and with which headers."""

    tls: bool
    host: str
    port: int
    headers: dict[str, str]

    @property
    def origin(self) -> str:
        """Where it went, as a URL without a path."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"


class Refused(OSError):
    """Instead of a connection."""


Respond = Callable[[int], tuple[int, dict[str, str]]]
"""The status and the headers of each response, counted from 0."""


def sent_by(package: str, url: str, auth: Any, respond: Respond = lambda _: (200, {})) -> list[Sent]:
    """What a client of the package sends for a GET, redirects included.

    Raises what the package raises for a URL that it does not take.
    """
    return _by_requests(url, auth, respond) if package == "requests" else _by_httpx(package, url, auth, respond)


def _by_httpx(package: str, url: str, auth: Any, respond: Respond) -> list[Sent]:
    module: Any = httpx if package == "httpx" else httpx2
    inner = _unconnected(package)
    sent: list[Sent] = []

    class Recording(module.BaseTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            with suppress(Refused):
                inner.handle_request(request)
            tls, host, port = _connected.pop()
            headers = {name.decode().lower(): value.decode("latin-1") for name, value in request.headers.raw}
            sent.append(Sent(tls, host, port, headers))
            status, given = respond(len(sent) - 1)
            raw = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in given.items()]
            return module.Response(status, headers=raw)

    with module.Client(transport=Recording(), auth=auth, follow_redirects=True, trust_env=False) as client:
        _ignoring_the_end(client.get, url, sent)
    return sent


_connected: list[tuple[bool, str, int]] = []


@functools.cache
def _unconnected(package: str) -> Any:
    """The package's own transport, whose connections are written down in `_connected` and refused."""
    module: Any = httpx if package == "httpx" else httpx2
    core: Any = httpcore if package == "httpx" else httpcore2

    class Stream(core.NetworkStream):  # type: ignore[misc]
        def start_tls(self, *_: Any, **__: Any) -> Any:
            _connected[-1] = (True, *_connected[-1][1:])
            raise Refused

        def write(self, *_: Any, **__: Any) -> None:
            raise Refused

        def close(self) -> None:
            pass

        def get_extra_info(self, info: str) -> Any:
            return None

    class Backend(core.NetworkBackend):  # type: ignore[misc]
        def connect_tcp(self, host: str, port: int, **_: Any) -> Any:
            _connected.append((False, host, port))
            return Stream()

    transport = module.HTTPTransport(verify=False)
    transport._pool._network_backend = Backend()
    return transport


def _by_requests(url: str, auth: Any, respond: Respond) -> list[Sent]:
    sent: list[Sent] = []

    class Recording(HTTPAdapter):
        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            with _refused_connections() as connected:
                try:
                    super().send(request, *args, **kwargs)
                except requests.ConnectionError:
                    if not connected:
                        raise
            headers = {name.lower(): str(value) for name, value in request.headers.items()}
            sent.append(Sent(*connected[0], headers))
            response = requests.Response()
            response.status_code, given = respond(len(sent) - 1)
            response.headers.update(given)
            response.request, response.url, response._content = request, request.url, b""
            response.raw = urllib3.HTTPResponse(b"", headers=given, status=response.status_code)
            return response

    with requests.Session() as session:
        session.trust_env = False
        session.auth = auth
        session.mount("https://", Recording())
        session.mount("http://", Recording())
        _ignoring_the_end(session.get, url, sent)
    return sent


def _ignoring_the_end(get: Callable[[str], object], url: str, sent: list[Sent]) -> None:
    """What a package raises after the first request is about a redirect that it does not follow."""
    try:
        get(url)
    except (AttributeError, TypeError):
        # More likely a mistake here than the package's word about a URL.
        raise
    except Exception:
        if not sent:
            raise


@contextmanager
def _refused_connections() -> Iterator[list[tuple[bool, str, int]]]:
    """urllib3 connects nowhere, and what it would have connected to is collected."""
    connected: list[tuple[bool, str, int]] = []

    def refuse(self: Any) -> Any:
        connected.append((isinstance(self, urllib3.connection.HTTPSConnection), self._dns_host, self.port))
        raise urllib3.exceptions.NewConnectionError(self, "refused by the test")

    former = urllib3.connection.HTTPConnection._new_conn
    urllib3.connection.HTTPConnection._new_conn = refuse  # type: ignore[method-assign]
    try:
        yield connected
    finally:
        urllib3.connection.HTTPConnection._new_conn = former  # type: ignore[method-assign]
