"""An answer of the token endpoint counts only if it arrived whole, through each HTTP package, over real sockets."""

from __future__ import annotations

import gzip
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import httpx2
import pytest
import requests
import trustme
from requests.adapters import BaseAdapter
from support.canary.leaks import leaks
from support.errors import raises
from support.keep_alive import Steps
from support.limits import PATIENCE
from support.providers import acme_at

from blnk_auth import (
    ConfigurationError,
    Flinks,
    MemoryStore,
    OAuthClient,
    ProtocolError,
    Provider,
    RenewalPolicy,
    TemporarilyUnavailable,
    Token,
    TokenSource,
)
from blnk_auth._protocol.http_messages import HttpRequest, HttpResponse, NoResponse, Package
from blnk_auth._renewal.single_flight import Flight
from blnk_auth._transport.network import Network, transport_for

PACKAGES: tuple[Package, ...] = ("httpx", "httpx2", "requests")
BODY = b"grant_type=refresh_token&refresh_token=rt-of-alice"
JSON = b'{"access_token": "at-1", "refresh_token": "rt-1"}'
FORM = b"access_token=at-1&refresh_token=rt-1"
ZIPPED = gzip.compress(FORM)

Pieces = Iterator[bytes | float]
"""What a server sends: bytes, and for how many seconds it then waits, unless the client has left."""


class RawServer:
    """Answers each request, once it is complete, with the bytes that `answer` gives, and closes the connection.

    A request for `/first` gets a usual answer before, and does not count. `connections` is how many there were.
    """

    def __init__(self, answer: Callable[[bytes], bytes | Pieces], *, reads: bool = True) -> None:
        self.received: list[bytes] = []
        self.connections = 0
        self._answer, self._reads = answer, reads
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        socket.create_connection(self._listener.getsockname()).close()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closing.is_set():
                connection.close()
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                received = self._read(connection) if self._reads else b""
                while received.startswith(b"POST /first "):
                    connection.sendall(answer("HTTP/1.1 200 OK\nContent-Length: 2", b"{}"))
                    received = self._read(connection)
                self.received.append(received)
                sent = self._answer(received)
                for piece in [sent] if isinstance(sent, bytes) else sent:
                    if isinstance(piece, bytes):
                        connection.sendall(piece)
                    elif self._closing.wait(piece):
                        return
            except OSError:
                return

    @staticmethod
    def _read(connection: socket.socket) -> bytes:
        received = b""
        while not _is_whole(received):
            more = connection.recv(65536)
            if not more:
                raise ConnectionError
            received += more
        return received


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> Package:
    return request.param  # type: ignore[no-any-return]


def _is_whole(received: bytes) -> bool:
    """Whether it is a request to its end."""
    head, end, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"\ncontent-length: *([0-9]+)", head, re.IGNORECASE)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


def send(package: Package, url: str, **settings: Any) -> HttpResponse:
    limits = {name: settings.pop(name) for name in list(settings) if hasattr(RenewalPolicy(), name)}
    is_reused = settings.pop("on", "a new connection") == "a used connection"
    network = Network(policy=RenewalPolicy(**limits), **settings)
    network.kept._clock = Steps()
    transport = transport_for(package, network)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic cHJvb2Y="}
    if is_reused:
        assert transport.send(HttpRequest("POST", f"{url}/first", headers, BODY), seconds=PATIENCE).body == b"{}"
    return transport.send(HttpRequest("POST", f"{url}/token", headers, BODY))


on_either = pytest.mark.parametrize("on", ["a new connection", "a used connection"])

_OPENED: list[Any] = []


def own_client(package: Package) -> Any:
    """An HTTP client as a user passes it as `token_http`; closed after the test."""
    opened = requests.Session() if package == "requests" else {"httpx": httpx, "httpx2": httpx2}[package].Client()
    _OPENED.append(opened)
    return opened


@pytest.fixture(autouse=True)
def _own_clients_are_closed() -> Iterator[None]:
    yield
    while _OPENED:
        _OPENED.pop().close()


def answer(head: str, body: bytes = b"") -> bytes:
    return head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body


# --- where an answer ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (answer(f"HTTP/1.1 200 OK\nContent-Length: {len(FORM)}", FORM), FORM),
        (answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"24\r\n" + FORM + b"\r\n0\r\n\r\n"), FORM),
        (answer("HTTP/1.0 200 OK", JSON), JSON),
        (answer("HTTP/1.1 200 OK\nConnection: close", JSON), JSON),
        (answer("HTTP/1.1 400 Bad Request\nContent-Length: 0"), b""),
        (answer("HTTP/1.1 204 No Content"), b""),
        (answer(f"HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: {len(ZIPPED)}", ZIPPED), FORM),
        (answer("HTTP/1.0 200 OK\nContent-Encoding: deflate", zlib.compress(JSON)), JSON),
    ],
    ids=["length", "chunked", "json 1.0", "json close", "empty", "204", "gzip", "deflate json 1.0"],
)  # fmt: skip
@pytest.mark.parametrize("client", ["ours", "the user's"])
@on_either
def test_an_answer_that_shows_its_end_is_whole(
    package: Package, client: str, on: str, sent: bytes, body: bytes
) -> None:
    """By a length, by chunks, or because it is a JSON document."""
    with RawServer(lambda _: sent) as server:
        own = own_client(package) if client == "the user's" else None
        assert send(package, server.origin, client=own, on=on).body == body
        assert (len(server.received), server.connections) == (1, 1)
        if own is not None:
            own.close()


CUT = {
    "among the headers": b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Le",
    "behind the status line": b"HTTP/1.1 400 Bad Request\r\n",
    "in the status line": b"HTTP/1.1 40",
    "before the empty line": b"HTTP/1.1 401 Unauthorized\r\nX-CorAPI-Source: PROVIDER\r\nContent-Length: 99\r\n",
    "before anything": b"",
    "in a body with a length": answer("HTTP/1.1 400 Bad Request\nContent-Length: 30", b'{"error": '),
    "before a body with a length": answer("HTTP/1.1 400 Bad Request\nContent-Length: 30"),
    "before a chunk": answer("HTTP/1.1 400 Bad Request\nTransfer-Encoding: chunked"),
    "in a chunk": answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"24\r\n" + FORM[:20]),
    "behind a chunk": answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"24\r\n" + FORM + b"\r\n"),
    "in a form of HTTP/1.0": answer("HTTP/1.0 200 OK", FORM[:-3]),
    "in a document of HTTP/1.0": answer("HTTP/1.0 200 OK", JSON[:-3]),
    "in a compressed body": answer("HTTP/1.1 400 No\nContent-Encoding: gzip\nContent-Length: 3", ZIPPED[:3]),
    "in a compressed body in chunks": answer(
        "HTTP/1.1 400 No\nContent-Encoding: gzip\nTransfer-Encoding: chunked", b"3\r\n" + ZIPPED[:3] + b"\r\n0\r\n\r\n"
    ),
    "in a compressed form of HTTP/1.0": answer("HTTP/1.0 200 OK\nContent-Encoding: gzip", ZIPPED[:-1]),
}  # fmt: skip


@pytest.mark.parametrize("cut", CUT)
@pytest.mark.parametrize("client", ["ours", "the user's"])
@on_either
def test_an_answer_that_breaks_off_is_not_an_answer(package: Package, client: str, on: str, cut: str) -> None:
    """Wherever the connection ends; the server may have done what it was asked."""
    with RawServer(lambda _: CUT[cut]) as server:
        own = own_client(package) if client == "the user's" else None
        with pytest.raises(NoResponse) as caught:
            send(package, server.origin, client=own, on=on)
        assert caught.value.sent is True
        assert (len(server.received), server.connections) == (1, 1)
        if own is not None:
            own.close()


@on_either
def test_headers_that_break_off_after_a_length_are_not_an_answer(package: Package, on: str) -> None:
    """Also where the body would be empty: the rest may show which server answers."""
    cut = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n"
    with RawServer(lambda _: cut) as server, pytest.raises(NoResponse) as caught:
        send(package, server.origin, on=on)
    assert caught.value.sent is True


def a_grant(package: Package, server: RawServer, *, flinks: bool, on: str) -> tuple[TokenSource, MemoryStore]:
    """A user whose token has expired. On a used connection the client is ours, else it is the user's."""
    store, is_reused = MemoryStore(), on == "a used connection"
    api = "https://api.acme.test"
    provider = Flinks(host=server.origin, client_auth="client_secret_basic") if flinks else acme_at(server.origin, api)
    client = OAuthClient(
        provider,
        client_id="id",
        client_secret="s3cret",
        store=store,
        token_http=None if is_reused else own_client(package),
        policy=RenewalPolicy(lost_answer_delay=0),
    )
    if is_reused:
        network = client._state.network
        network.kept._clock = Steps()
        transport_for(package, network).send(HttpRequest("POST", f"{server.origin}/first", {}, BODY), seconds=PATIENCE)
    alice = client.for_subject("alice")
    alice.adopt(Token("at-0", refresh_token="rt-of-alice", expires_at=1.0))
    return alice, store


@pytest.mark.parametrize("cut", CUT)
@on_either
def test_an_answer_that_breaks_off_ends_no_grant_and_replaces_no_token(package: Package, on: str, cut: str) -> None:
    """Neither half a refresh token nor a verdict without its body reaches the stored record."""
    for flinks in (False, True):
        with RawServer(lambda _: CUT[cut]) as server:
            alice, store = a_grant(package, server, flinks=flinks, on=on)
            renewal = alice._credential.ready(package)
            assert isinstance(renewal, Flight)
            with pytest.raises(TemporarilyUnavailable):
                renewal.wait(PATIENCE)
            # Each request after a cut one has a connection of its own; the first has the used one, if there is one.
            assert server.connections == len(server.received) > 1
            record = store.load(alice.store_key)
            assert record is not None
            assert record.data["token"]["refresh_token"] == "rt-of-alice"
            assert alice.state == "expired"


# --- the deadline ----------------------------------------------------------------------------------------------------


def drip(start: bytes, piece: bytes = b"x") -> Pieces:
    yield start
    while True:
        yield 0.05
        yield piece


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nX-Long: ",
        b"HTTP/1.0 200 OK\r\n\r\naccess_token=at-1&refresh_token=rt-",
        b"HTTP/1.0 400 Bad Request\r\n\r\n ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
    ],
    ids=["headers", "form", "refusal", "length"],
)
@on_either
def test_our_deadline_is_never_the_end_of_an_answer(package: Package, on: str, start: bytes) -> None:
    """What we cut ourselves is not complete."""
    with RawServer(lambda _: drip(start)) as server, pytest.raises(NoResponse, match="not complete within") as caught:
        send(package, server.origin, request_deadline=0.3, on=on)
    assert caught.value.sent is True


def test_a_proxy_that_never_ends_its_answer_to_connect(package: Package) -> None:
    """The deadline holds from the first connection on; nothing was sent to the server."""
    with RawServer(lambda _: drip(b"HTTP/1.1 200 OK\r\nX-Long: ")) as proxy:
        began_at = time.monotonic()
        with pytest.raises(NoResponse) as caught:
            send(package, "https://as.acme.test", proxy=proxy.origin, request_deadline=0.3)
        assert time.monotonic() - began_at < PATIENCE / 2
    assert caught.value.sent is False
    assert b"rt-of-alice" not in proxy.received[0]


def test_a_handshake_that_never_ends(package: Package) -> None:
    """A TLS record is announced, and arrives byte by byte."""
    with RawServer(lambda _: drip(b"\x16\x03\x03\x3f\xff"), reads=False) as server:
        began_at = time.monotonic()
        with pytest.raises(NoResponse) as caught:
            send(package, server.origin.replace("http:", "https:"), request_deadline=0.3)
        assert time.monotonic() - began_at < PATIENCE / 2
    assert caught.value.sent is False


FROZEN = """
import sys
from blnk_auth import RenewalPolicy
from blnk_auth._protocol.http_messages import HttpRequest, NoResponse
from blnk_auth._transport.network import Network, transport_for
package, url, body = sys.argv[1:]
network = Network(RenewalPolicy(request_deadline=5.0))
request = HttpRequest("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, body.encode())
while True:
    try:
        print(transport_for(package, network).send(request).body.decode())
        break
    except NoResponse as failure:
        # A busy machine may not even connect within the deadline.
        if failure.sent:
            raise
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no signal stops a process there")
def test_what_arrived_while_the_process_was_paused_is_read(package: Package) -> None:
    """A container or a machine was paused until long after the deadline, and the server had rotated meanwhile."""
    asked, stopped = threading.Event(), threading.Event()

    def when_stopped(_: bytes) -> bytes:
        asked.set()
        assert stopped.wait(PATIENCE)
        return answer(f"HTTP/1.1 200 OK\nContent-Length: {len(FORM)}", FORM)

    with RawServer(when_stopped) as server:
        command = [sys.executable, "-c", FROZEN, package, f"{server.origin}/token", BODY.decode()]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert asked.wait(PATIENCE)
            child.send_signal(signal.SIGSTOP)
            stopped.set()
            # Not for the answer: until the deadline has passed. It is long, because a busy machine may take seconds
            # between the request and the signal.
            threading.Event().wait(6.0)
            child.send_signal(signal.SIGCONT)
            said, _ = child.communicate(timeout=PATIENCE)
    assert said.strip() == FORM.decode()


# --- compression -----------------------------------------------------------------------------------------------------


def packed(times: int) -> bytes:
    content = bytes(20_000_000)
    for _ in range(times):
        content = gzip.compress(content, 1)
    return content


@pytest.mark.parametrize(("coding", "times"), [("gzip", 1), ("gzip, gzip", 2)])
@pytest.mark.parametrize("client", ["ours", "the user's"])
@on_either
def test_a_small_answer_does_not_become_a_large_one(
    package: Package, client: str, on: str, coding: str, times: int
) -> None:
    """It is counted while it is decoded; several codings are not decoded at all."""
    content = packed(times)
    sent = answer(f"HTTP/1.1 200 OK\nContent-Encoding: {coding}\nContent-Length: {len(content)}", content)
    with RawServer(lambda _: sent) as server:
        own = own_client(package) if client == "the user's" else None
        with pytest.raises(ProtocolError if times == 1 else NoResponse):
            send(package, server.origin, client=own, max_answer_bytes=1_000_000, on=on)
        if own is not None:
            own.close()


# --- how it is reported -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["status line", "header", "long header"])
@on_either
def test_an_answer_that_repeats_our_secrets_is_not_quoted(package: Package, on: str, where: str) -> None:
    """A debugging proxy may send the request back; the parser's error quotes the line."""

    def echo(received: bytes) -> bytes:
        line = b"you sent " + received.replace(b"\r\n", b" ")
        if where != "status line":
            line = b"HTTP/1.1 200 OK\r\n" + line * (500 if where == "long header" else 1)
        return line + b"\r\n\r\n"

    with RawServer(echo) as server, pytest.raises(NoResponse) as caught:
        send(package, server.origin, on=on)
    assert caught.value.sent is True
    assert leaks([str(caught.value), repr(caught.value)], ["rt-of-alice", "cHJvb2Y"]) == []
    assert len(str(caught.value)) < 200


def test_the_systems_own_reason_is_quoted(package: Package) -> None:
    """What nobody but the operating system wrote."""
    with RawServer(lambda _: b"") as server:
        gone = server.origin
    with pytest.raises(NoResponse, match="Connection refused"):
        send(package, gone)


@pytest.mark.parametrize("raised", [RuntimeError("cHJvb2Y"), KeyError("cHJvb2Y"), ZeroDivisionError()])
def test_a_users_client_that_raises_is_not_an_answer(package: Package, raised: Exception) -> None:
    """Also while a server is discovered, and when a device asks for a code."""

    class Broken(BaseAdapter, httpx.BaseTransport, httpx2.BaseTransport):
        def send(self, *_: Any, **__: Any) -> Any:
            raise raised

        def handle_request(self, request: Any) -> Any:
            raise raised

        def close(self) -> None:
            """Nothing is open."""

    own: Any = requests.Session()
    if package == "requests":
        own.mount("https://", Broken())
    else:
        own = {"httpx": httpx, "httpx2": httpx2}[package].Client(transport=Broken())
    with own:
        with raises(NoResponse, shows=type(raised).__name__) as caught:
            send(package, "https://as.acme.test", client=own)
        with raises(TemporarilyUnavailable, shows=type(raised).__name__):
            Provider.discover(f"https://{package}.{type(raised).__name__.lower()}.test", token_http=own)
        device = OAuthClient(
            Provider(
                name="acme",
                token_endpoint="https://as.acme.test/token",
                device_authorization_endpoint="https://as.acme.test/device",
                api_origins=("https://api.acme.test",),
            ),
            client_id="id",
            client_auth="none",
            token_http=own,
        )
        with raises(TemporarilyUnavailable, shows=type(raised).__name__):
            device.authorize_device("alice", on_prompt=print)
    assert caught.value.sent is True
    assert leaks([str(caught.value)], ["cHJvb2Y"]) == []


@pytest.mark.parametrize("package", ["httpx", "httpx2"], indirect=True)
def test_a_client_that_cannot_be_made_sent_nothing(tmp_path: Path, package: Package) -> None:
    """As where an interpreter lets it import nothing. A session of requests is made of nothing that could fail."""
    with raises(ConfigurationError, shows="proxy"):
        send(package, "https://as.acme.test", verify=ssl.create_default_context(), proxy="socks5h://127.0.0.1:1/odd?x")


# --- the environment -------------------------------------------------------------------------------------------------


def test_the_environments_proxy_never_gets_what_stays_on_this_machine(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Http is accepted for a loopback address because nobody else can read it."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with (
        RawServer(lambda _: answer("HTTP/1.1 200 OK\nContent-Length: 2", b"{}")) as proxy,
        RawServer(lambda _: answer("HTTP/1.1 200 OK\nContent-Length: 2", b"[]")) as server,
    ):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.origin)
        assert send(package, server.origin).body == b"[]"
        assert send(package, server.origin.replace("127.0.0.1", "localhost")).body == b"[]"
        assert proxy.received == []
        # A proxy that the user names is asked.
        assert send(package, server.origin, proxy=proxy.origin).body == b"{}"


def test_the_environments_proxy_is_asked_for_every_other_server(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As everybody expects of an HTTP client."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with RawServer(lambda _: answer("HTTP/1.1 503 Down\nContent-Length: 0")) as proxy:
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.origin)
        with pytest.raises(NoResponse) as caught:
            send(package, "https://as.acme.test")
        assert proxy.received[0].startswith(b"CONNECT as.acme.test:443")
    assert caught.value.sent is False


def test_a_connection_over_tls_that_ends_without_notice(package: Package, tmp_path: Path) -> None:
    """Python takes it for a proper end; a form is not believed then, a JSON document is."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for body, is_whole in ((FORM, False), (JSON, True)):
        listener = socket.create_server(("127.0.0.1", 0))

        def serve(listener: socket.socket = listener, body: bytes = body) -> None:
            connection, _ = listener.accept()
            with tls.wrap_socket(connection, server_side=True) as secure:
                received = b""
                while not received.endswith(BODY):
                    received += secure.recv(65536)
                secure.sendall(answer("HTTP/1.0 200 OK", body))

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        if is_whole:
            assert send(package, url, verify=str(tmp_path / "ca.pem")).body == body
        else:
            with pytest.raises(NoResponse):
                send(package, url, verify=str(tmp_path / "ca.pem"))
        thread.join(PATIENCE)
        listener.close()
