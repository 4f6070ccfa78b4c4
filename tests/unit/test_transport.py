"""The token endpoint over real sockets, through each HTTP package: once, bounded, never redirected."""

from __future__ import annotations

import gc
import gzip
import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from support.waiting import wait_until

from blnk_auth import ConfigurationError, ProtocolError, RenewalPolicy
from blnk_auth._protocol.http_messages import HttpRequest, HttpResponse, NoResponse, Package
from blnk_auth._transport.network import Network, transport_for
from blnk_auth._transport.tls import context
from blnk_auth.testing import Fault, Sandbox

pytestmark = pytest.mark.real

PACKAGES: tuple[Package, ...] = ("httpx", "httpx2", "requests")
BODY = b"grant_type=refresh_token&refresh_token=rt-of-alice"


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> Package:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A new one for each test: on a busy machine a request that was given up arrives late, and takes the next fault."""
    with Sandbox() as running:
        yield running


def ask(url: str) -> HttpRequest:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic cHJvb2Y="}
    return HttpRequest("POST", f"{url}/oauth/token", headers, BODY)


def send(package: Package, url: str, *, first: Sandbox | None = None, **settings: Any) -> HttpResponse:
    """`first`: the sandbox, if the request is to be sent on a connection that was used before."""
    limits = {name: settings.pop(name) for name in list(settings) if hasattr(RenewalPolicy(), name)}
    network = Network(policy=RenewalPolicy(**limits), **settings)
    transport = transport_for(package, network)
    if first is not None:
        network.kept._clock = Steps()
        transport.send(HttpRequest("GET", f"{url}/data/ledgers", {}, b""), seconds=PATIENCE)
        first.clear_record()
        (kept,) = network.kept._idle
        client = kept.client
    response = transport.send(ask(url))
    if first is not None:
        assert [each.client for each in network.kept._idle] == [client]
    return response


on_either = pytest.mark.parametrize("on_a_used_connection", [False, True], ids=["new connection", "used connection"])


def test_the_request_arrives_as_it_was_written(package: Package, sandbox: Sandbox) -> None:
    """Method, path, body and headers; nobody's cookies, one User-Agent, and an answer with lower-case names."""
    sandbox.fail(Fault(status=418, body=b"teapot", headers={"X-Odd-Name": "Value"}))
    response = send(package, sandbox.origin)
    assert (response.status_code, response.body, response.headers["x-odd-name"]) == (418, b"teapot", "Value")
    (request,) = sandbox.requests
    assert (request.method, request.path, request.body) == ("POST", "/oauth/token", BODY)
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["authorization"] == "Basic cHJvb2Y="
    assert request.headers["user-agent"].startswith("blnk-auth/")
    assert "cookie" not in request.headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@on_either
def test_f36_redirects_are_handed_back_and_never_followed(
    package: Package, sandbox: Sandbox, on_a_used_connection: bool, status: int
) -> None:
    """F36: a 307 would carry the secrets along."""
    sandbox.fail(Fault(status=status, headers={"location": f"{sandbox.origin}/elsewhere"}))
    assert send(package, sandbox.origin, first=sandbox if on_a_used_connection else None).status_code == status
    assert len(sandbox.requests) == 1


def clients(sandbox: Sandbox) -> list[Any]:
    def hook(*_: Any, **__: Any) -> None:
        """A hook of the user's own: theirs to have."""

    session = requests.Session()
    session.auth = ("wrong", "wrong")
    session.hooks["response"].append(hook)
    return [
        httpx.Client(auth=("wrong", "wrong"), follow_redirects=True),
        httpx2.Client(auth=("wrong", "wrong"), follow_redirects=True),
        session,
    ]


def test_f36_the_users_own_client_follows_no_redirect_and_adds_no_auth(package: Package, sandbox: Sandbox) -> None:
    """`token_http` is used with any package of the caller; its settings for redirects and auth are not."""
    for client in clients(sandbox):
        sandbox.clear_record()
        sandbox.fail(Fault(status=307, headers={"location": f"{sandbox.origin}/elsewhere"}))
        with client:
            assert send(package, sandbox.origin, client=client).status_code == 307
        (request,) = sandbox.requests
        assert request.headers["authorization"] == "Basic cHJvb2Y="


def test_a_connection_that_is_refused_never_left(package: Package) -> None:
    """It is certain that the server did not renew."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(NoResponse) as caught:
        send(package, f"http://127.0.0.1:{port}")
    assert caught.value.sent is False


def test_a_host_that_does_not_exist_never_left(package: Package) -> None:
    """RFC 2606: .invalid has no address."""
    with pytest.raises(NoResponse) as caught:
        send(package, "https://as.invalid")
    assert caught.value.sent is False


@pytest.mark.parametrize(
    ("fault", "limits"),
    [
        (Fault(disconnect=True), {}),
        (Fault(hang=True), {"read_timeout": 0.2}),
        (Fault(hang=True), {"request_deadline": 0.2}),
        (Fault(status=200, body=b"{", drip=0.02), {"request_deadline": 0.2}),
    ],
    ids=["disconnect", "read timeout", "total deadline", "drip"],
)
@on_either
def test_f26_an_answer_that_does_not_come_whole_is_no_answer_in_time(
    package: Package, sandbox: Sandbox, on_a_used_connection: bool, fault: Fault, limits: dict[str, float]
) -> None:
    """F26: it may have been renewed (`sent`), and the deadline holds however slowly the bytes drip."""
    sandbox.fail(fault)
    began_at = time.monotonic()
    with pytest.raises(NoResponse) as caught:
        send(package, sandbox.origin, first=sandbox if on_a_used_connection else None, **limits)
    assert caught.value.sent is True
    assert time.monotonic() - began_at < PATIENCE / 2
    assert leaks([caught.value, repr(caught.value)], ["rt-of-alice", "cHJvb2Y"]) == []


@pytest.mark.parametrize("fault", [Fault(status=200, body=b"{", drip=0.02)], ids=["drip"])
def test_f26_the_deadline_holds_on_a_connection_that_the_users_client_had_open(
    package: Package, sandbox: Sandbox, fault: Fault
) -> None:
    """F26: a client of the user's keeps its connections, which the deadline does not see being made."""
    own: Any = requests.Session() if package == "requests" else {"httpx": httpx, "httpx2": httpx2}[package].Client()
    with own:
        assert send(package, sandbox.origin, client=own).status_code == 401
        sandbox.fail(fault)
        began_at = time.monotonic()
        with pytest.raises(NoResponse, match="not complete within") as caught:
            send(package, sandbox.origin, client=own, request_deadline=0.2)
    assert caught.value.sent is True
    assert time.monotonic() - began_at < PATIENCE / 2


@pytest.mark.parametrize("read_before", [False, True], ids=["a file", "read by a hook"])
def test_a_session_with_an_adapter_and_hooks_of_the_users_own_serves(read_before: bool) -> None:
    """An adapter may give any file for a body, and a hook read it; the answer is had all the same."""

    class Adapter(BaseAdapter):
        def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
            response = requests.Response()
            response.status_code, response.raw, response.request = 200, io.BytesIO(b"{}"), request
            return response

        def close(self) -> None:
            """Nothing is open."""

    def hook(response: requests.Response, **_: Any) -> None:
        if read_before:
            assert response.content == b"{}"

    with requests.Session() as own:
        own.mount("https://", Adapter())
        own.hooks["response"].append(hook)
        assert send("requests", "https://as.acme.test", client=own).body == b"{}"


def test_a_process_that_is_out_of_threads_can_still_ask(package: Package, sandbox: Sandbox) -> None:
    """Where no thread can watch the deadline, the limits of each read remain, and the answer arrives."""
    before = threading.stack_size(2**45)
    try:
        assert send(package, sandbox.origin).status_code == 401
    finally:
        threading.stack_size(before)


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_an_answer_without_end_is_refused(package: Package, sandbox: Sandbox, coding: str) -> None:
    """The cap counts decoded bytes: a small compressed answer may be a large one."""
    body, headers = b" " * 100_000, dict[str, str]()
    if coding == "gzip":
        body, headers = gzip.compress(body), {"content-encoding": "gzip"}
    sandbox.fail(Fault(status=200, body=body, headers=headers))
    with raises(ProtocolError, shows=("10000 bytes", "max_answer_bytes")):
        send(package, sandbox.origin, max_answer_bytes=10_000)


def test_an_answer_at_the_cap_passes(package: Package, sandbox: Sandbox) -> None:
    """Up to and including."""
    sandbox.fail(Fault(status=200, body=b" " * 10_000))
    assert len(send(package, sandbox.origin, max_answer_bytes=10_000).body) == 10_000


def test_compression_that_nobody_asked_for_is_undone(package: Package, sandbox: Sandbox) -> None:
    """Gateways compress regardless."""
    sandbox.fail(
        Fault(status=200, body=gzip.compress(b"{}"), headers={"content-encoding": "gzip"}),
        Fault(status=200, body=b"no gzip", headers={"content-encoding": "gzip"}),
    )
    assert send(package, sandbox.origin).body == b"{}"
    with pytest.raises(NoResponse):
        send(package, sandbox.origin)


def test_nothing_is_left_behind(package: Package, sandbox: Sandbox) -> None:
    """The timer's thread ends with the exchanges, when no connection is kept any more (promise 9)."""
    for _ in range(5):
        send(package, sandbox.origin)
    # An error that an earlier test expected may refer to connections, by its traceback.
    gc.collect()
    wait_until(
        lambda: "blnk-auth timer" not in {each.name for each in threading.enumerate()}, "the timer's thread ends"
    )


@pytest.mark.parametrize(
    ("proxy", "said"),
    [("ftp://user:pr0xy-pass@127.0.0.1", "proxy"), ("http://[::1", "proxy")],
    ids=["scheme", "malformed"],
)
def test_a_proxy_that_cannot_be_is_a_configuration_error(
    package: Package, sandbox: Sandbox, proxy: str, said: str
) -> None:
    """The parameter is named, its password is not."""
    with raises(ConfigurationError, parameter="proxy") as caught:
        send(package, sandbox.origin, proxy=proxy)
    assert "pr0xy-pass" not in str(caught.value)


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(scope="module")
def tls_origin(authority: trustme.CA) -> Iterator[str]:
    """An https server that answers every request with 200 and {}."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    listener = socket.create_server(("127.0.0.1", 0))
    closing = threading.Event()

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                if closing.is_set():
                    return
                try:
                    with tls.wrap_socket(connection, server_side=True) as secure:
                        received = b""
                        while not received.endswith(BODY):
                            received += secure.recv(65536)
                        secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
                except OSError:
                    continue

    server = threading.Thread(target=serve)
    server.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    closing.set()
    socket.create_connection(listener.getsockname()).close()
    server.join(PATIENCE)
    listener.close()


def test_an_untrusted_certificate_is_a_matter_of_configuration(package: Package, tls_origin: str) -> None:
    """It will not heal by trying again; the remedy is named."""
    with raises(ConfigurationError, parameter="verify"):
        send(package, tls_origin)


def test_a_ca_file_that_is_not_there_is_a_matter_of_configuration(
    package: Package, tls_origin: str, tmp_path: Path
) -> None:
    """As when REQUESTS_CA_BUNDLE names one: the error is typed, and names what to look at."""
    missing = str(tmp_path / "missing.pem")

    def fail(_: object) -> None:
        raise FileNotFoundError(2, "No such file", missing)

    if package == "requests":
        own: Any = requests.Session()
        own.trust_env, own.verify = False, missing
    else:
        own = {"httpx": httpx, "httpx2": httpx2}[package].Client(event_hooks={"request": [fail]})
    with own, raises(ConfigurationError, shows=("missing.pem", "verify", "REQUESTS_CA_BUNDLE")):
        send(package, tls_origin, client=own)


def test_f29_a_private_authority_is_trusted_where_it_is_named(package: Package, tls_origin: str, ca_file: str) -> None:
    """F29: a CA file or a context for the authorization server only."""
    assert send(package, tls_origin, verify=ca_file).body == b"{}"
    assert send(package, tls_origin, verify=ssl.create_default_context(cafile=ca_file)).body == b"{}"


def test_a_private_authority_is_the_only_one_then(
    request: pytest.FixtureRequest, package: Package, tls_origin: str, ca_file: str
) -> None:
    """Who names one CA file does not get the hundred public ones with it."""
    tls = ssl.create_default_context(cafile=ca_file)
    send(package, tls_origin, verify=tls)
    assert len(tls.get_ca_certs()) == 1


def test_another_hosts_certificate_is_not_trusted(package: Package, tls_origin: str, ca_file: str) -> None:
    """The name is checked too."""
    with raises(ConfigurationError, parameter="verify"):
        send(package, tls_origin.replace("127.0.0.1", "localhost"), verify=ca_file)


def test_plain_http_behind_https_never_left(request: pytest.FixtureRequest, package: Package, sandbox: Sandbox) -> None:
    """A handshake that fails is not a request; it may heal, and the server cannot have renewed."""
    with pytest.raises(NoResponse) as caught:
        send(package, sandbox.origin.replace("http:", "https:"))
    assert caught.value.sent is False


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"verify": False}, "verify"),
        ({"verify": None}, "verify"),
        ({"verify": "/no/such/ca.pem"}, "verify"),
        ({"cert": "/no/such/cert.pem"}, "cert"),
        ({"cert": ("/no/such/cert.pem", "/no/such/key.pem", "k3y-pass")}, "cert"),
        ({"cert": 7}, "cert"),
        pytest.param({"cert": ["/no/such/cert.pem"]}, "cert"),
    ],
    ids=repr,
)
def test_a_certificate_that_cannot_be_loaded_is_named(settings: dict[str, Any], named: str) -> None:
    """Without verification anybody could read the secret; a key's password is not quoted."""
    with raises(ConfigurationError, parameter=named) as caught:
        context(settings.get("verify", True), settings.get("cert"))
    assert "k3y-pass" not in str(caught.value)


def test_a_file_that_is_not_a_certificate_is_named(tmp_path: Path) -> None:
    """An empty file too."""
    (tmp_path / "odd.pem").write_text("no certificate")
    with raises(ConfigurationError, parameter="verify"):
        context(str(tmp_path / "odd.pem"), None)
    with raises(ConfigurationError, parameter="cert"):
        context(True, str(tmp_path / "odd.pem"))


# --- which package ---------------------------------------------------------------------------------------------------


def test_the_callers_package_carries_the_request(package: Package) -> None:
    """So that the caller's mocks see it, and a user of requests needs no httpx."""
    transport = transport_for(package, Network(policy=RenewalPolicy()))
    assert type(transport).__name__ == ("RequestsTransport" if package == "requests" else "HttpxTransport")


def test_the_mocks_of_httpx_see_the_request(sandbox: Sandbox) -> None:
    """A client of the user's own with a mock transport needs no server at all."""
    with httpx.Client(
        transport=httpx.MockTransport(lambda request: httpx.Response(201, content=request.content))
    ) as http:
        answer = send("requests", "https://as.acme.test", client=http)
    assert (answer.status_code, answer.headers, answer.body) == (201, {"content-length": str(len(BODY))}, BODY)


@pytest.mark.parametrize("odd", ["httpx", object(), httpx.AsyncClient, requests])
def test_another_kind_of_client_is_refused(odd: Any) -> None:
    """By the name of the parameter."""
    with raises(ConfigurationError, parameter="token_http"):
        Network(policy=RenewalPolicy(), client=odd)


def test_a_network_shows_no_password() -> None:
    """The proxy's stays out of its repr; a key's password is used immediately and shown nowhere."""
    network = Network(policy=RenewalPolicy(), proxy="http://u:pr0xy-pass@p.test")
    assert leaks([repr(network)], ["pr0xy-pass"]) == []
