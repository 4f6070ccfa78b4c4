"""Connections to the token endpoint that are used again: when, when not, and what a failure on one of them means."""

from __future__ import annotations

import contextlib
import select
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import requests
from support.certificates import Certificates
from support.errors import raises
from support.keep_alive import PACKAGES, KeepAliveServer, Steps, network_for, send, whole
from support.limits import PATIENCE
from support.providers import acme_at
from support.proxies import Proxy
from support.waiting import wait_until

from blnk_auth import MemoryStore, OAuthClient, ProtocolError, RenewalPolicy, TemporarilyUnavailable, Token, TokenSource
from blnk_auth._protocol.http_messages import NoResponse, Package
from blnk_auth._transport.network import Network
from blnk_auth.stores._timer import timer

# --- used again ------------------------------------------------------------------------------------------------------


def test_the_next_request_uses_the_same_connection(
    package: Package, network: Network, tls: ssl.SSLContext | None
) -> None:
    """Also over TLS, and after a refusal that arrived whole."""
    answers = [whole(status="400 Bad Request"), whole(status="204 No Content", body=b""), whole(), whole()]
    with KeepAliveServer(lambda count: answers[count], tls=tls) as server:
        for _ in answers:
            send(package, network, server.origin)
        assert server.requests == [0, 0, 0, 0]


def test_chunks_end_a_response_too(package: Package, network: Network) -> None:
    """As frameworks answer that do not know the length."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    with KeepAliveServer(lambda _: chunked) as server:
        assert [send(package, network, server.origin).body for _ in range(3)] == [b"{}"] * 3
        assert server.requests == [0, 0, 0]


def test_requests_at_the_same_time_have_a_connection_each(package: Package, network: Network) -> None:
    """One connection serves one exchange at a time, and the most that are kept is sixteen for each origin."""
    with all_together() as server, all_together() as other:
        for each in (server, other):
            at_once(20, package, network, each.origin)
            assert sorted(each.requests) == list(range(20))
            for _ in range(4):
                assert each.ended.acquire(timeout=PATIENCE)
            assert not each.ended.acquire(blocking=False)
        for each in (server, other):
            at_once(16, package, network, each.origin)
            assert len(set(each.requests[20:])) == 16
            assert len(each.opened) == 20
        assert not server.ended.acquire(blocking=False)


def all_together() -> KeepAliveServer:
    """A server that answers the first 20 requests once it has all of them, and then the next 16."""
    first, then = threading.Barrier(20), threading.Barrier(16)

    def answer(count: int) -> bytes:
        (first if count < 20 else then).wait(PATIENCE)
        return whole()

    return KeepAliveServer(answer)


def at_once(number: int, package: Package, network: Network, origin: str) -> None:
    """Send so many requests from as many threads."""
    threads = [threading.Thread(target=send, args=(package, network, origin)) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)


def test_a_tunnel_through_a_proxy_is_used_again(
    package: Package, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy is asked once. A proxy of another name in the environment is another connection."""
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    tls = certificates.server(client_certificate=ssl.CERT_NONE)
    with KeepAliveServer(tls=tls) as server, Proxy() as named, Proxy() as other:
        network = network_for(certificates, proxy=named.url)
        for _ in range(3):
            send(package, network, server.origin)
        assert (len(named.requests), server.requests) == (1, [0, 0, 0])
        network.kept.close()
        network = network_for(certificates)
        for proxy in (named, named, other, other):
            monkeypatch.setenv("https_proxy", proxy.url)
            send(package, network, server.origin)
        assert (len(named.requests), len(other.requests), server.requests[3:]) == (2, 1, [1, 1, 2, 2])
        network.kept.close()


# --- not used again --------------------------------------------------------------------------------------------------

NOT_KEPT = {
    "close": whole(b"{}", "Connection: close"),
    "http 1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "more than the response": whole() + whole(b'{"access_token": "of another user"}'),
    "more than the response, not whole": whole() + b"HTTP/1.1 200",
    "more than the chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nmore",
    "no time": whole(b"{}", "Keep-Alive: timeout=0, max=100"),
}


@pytest.mark.parametrize("first", NOT_KEPT.values(), ids=NOT_KEPT)
def test_a_connection_that_cannot_be_trusted_is_not_used_again(
    package: Package, network: Network, tls: ssl.SSLContext | None, first: bytes
) -> None:
    """Nor is anything that follows a response taken for the next one, which may be another user's."""
    with KeepAliveServer(lambda count: first if count == 0 else whole(b"[]"), tls=tls) as server:
        assert send(package, network, server.origin).body == b"{}"
        assert send(package, network, server.origin).body == b"[]"
        assert len(server.requests) == 2
        if package != "requests":
            assert server.requests == [0, 1]


FAILURES: dict[str, bytes | None] = {
    "no answer": None,
    "too long": whole(b" " * 2000),
    "damaged": whole(b"{}", "Content-Encoding: gzip"),
    "not http": b"no HTTP at all\r\n\r\n",
}


@pytest.mark.parametrize("bad", FAILURES.values(), ids=FAILURES)
def test_a_failure_closes_all_connections_of_the_origin(
    package: Package, certificates: Certificates, tls: ssl.SSLContext | None, bad: bytes | None
) -> None:
    """On a connection that was used before: it counts as sent, it is not repeated, and the next request is on its own.

    Others may have ended with it, as when a server is restarted.
    """
    network = network_for(certificates, max_answer_bytes=1000)
    together = threading.Barrier(2)

    def answer(count: int) -> bytes | None:
        if count < 2:
            together.wait(PATIENCE)
        return bad if count == 2 else whole()

    with KeepAliveServer(answer, tls=tls) as server:
        threads = [threading.Thread(target=send, args=(package, network, server.origin)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        with pytest.raises((NoResponse, ProtocolError)) as caught:
            send(package, network, server.origin)
        assert getattr(caught.value, "sent", True) is True
        assert len(server.requests) == 3
        assert server.requests[2] in (0, 1)
        send(package, network, server.origin)
        assert server.requests[3] == 2
    network.kept.close()


def test_a_server_that_closes_idle_connections_costs_nothing(
    package: Package, network: Network, tls: ssl.SSLContext | None
) -> None:
    """The end of the connection has arrived before it would be used again."""
    with KeepAliveServer(tls=tls) as server:
        for _ in range(3):
            assert send(package, network, server.origin).body == b"{}"
            server.hang_up()
        assert server.requests == [0, 1, 2]


def test_a_server_that_has_ended_was_asked_nothing(
    package: Package, network: Network, tls: ssl.SSLContext | None
) -> None:
    """Its connection has ended before, and a new one is refused: it is certain that nothing was sent."""
    with KeepAliveServer(tls=tls) as server:
        origin = server.origin
        send(package, network, origin)
    with pytest.raises(NoResponse) as caught:
        send(package, network, origin)
    assert caught.value.sent is False


class Blind:
    """In the place of `select.poll`: nothing ever arrives."""

    def register(self, *_: object) -> None:
        """Nothing is looked at."""

    def poll(self, *_: object) -> list[tuple[int, int]]:
        return []


def test_a_server_that_closes_at_the_worst_moment_is_asked_once(
    package: Package, network: Network, tls: ssl.SSLContext | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last look at the connection and the request. It counts as sent: the server may have read it."""
    with KeepAliveServer(tls=tls) as server:
        send(package, network, server.origin)
        server.hang_up()
        monkeypatch.setattr(select, "poll", Blind)
        with pytest.raises(NoResponse) as caught:
            send(package, network, server.origin)
        monkeypatch.undo()
        assert caught.value.sent is True
        assert server.requests == [0]
        assert send(package, network, server.origin).body == b"{}"
        assert server.requests == [0, 1]


def a_client(server: KeepAliveServer, **settings: Any) -> tuple[TokenSource, OAuthClient]:
    """Alice, who has signed in and renewed once on a connection that the server has closed since."""
    client = OAuthClient(
        acme_at(server.origin, **settings),
        client_id="id",
        client_secret="s3cret",
        store=MemoryStore(),
        policy=RenewalPolicy(lost_answer_delay=0, cooldown=0.01),
    )
    client._state.network.kept._clock = Steps()
    alice = client.for_subject("alice")
    alice.adopt(Token("at-0", refresh_token="rt-0", expires_at=1.0))
    assert alice.renew().refresh_token == "rt-1"
    server.hang_up()
    return alice, client


def test_a_refresh_that_met_the_end_of_a_connection_is_repeated_on_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the renewal, as after any lost response. The server sees it once: also without a grace period nothing is lost.

    The other sockets of the process are not looked at either: only this server is asked.
    """
    pairs = [whole(b'{"access_token": "at", "refresh_token": "rt-%d", "expires_in": 60}' % each) for each in (1, 2)]
    with KeepAliveServer(lambda count: pairs[count]) as server:
        alice, client = a_client(server)
        monkeypatch.setattr(select, "poll", Blind)
        assert alice.renew().refresh_token == "rt-2"
        monkeypatch.undo()
        assert server.requests == [0, 1]
        client.close()


def test_a_refresh_that_must_not_be_repeated_fails_then_and_works_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where repetition is turned off, the caller learns that it may have been renewed, and the grant is not lost."""
    pairs = [whole(b'{"access_token": "at", "refresh_token": "rt-%d", "expires_in": 60}' % each) for each in (1, 2)]
    with KeepAliveServer(lambda count: pairs[count]) as server:
        alice, client = a_client(server, repeats_lost_refresh=False)
        monkeypatch.setattr(select, "poll", Blind)
        with raises(TemporarilyUnavailable, outcome_unknown=True) as caught:
            alice.renew()
        monkeypatch.undo()
        assert server.requests == [0]
        assert caught.value.retry_after is not None
        wait_until(lambda: renewed(alice) == "rt-2", "the cool-down is over")
        assert server.requests == [0, 1]
        client.close()


def renewed(source: TokenSource) -> str | None:
    """The refresh token after a renewal; None during the cool-down."""
    with contextlib.suppress(TemporarilyUnavailable):
        return source.renew().refresh_token
    return None


def test_another_package_certificate_or_origin_is_another_connection(certificates: Certificates) -> None:
    """A renewed certificate file is used by the very next request."""
    cert, key = certificates.files("kept-client")
    other_cert, other_key = certificates.files("renewed-client")
    server_tls = certificates.server(client_certificate=ssl.CERT_REQUIRED)
    network = network_for(certificates, cert=(cert, key))
    with KeepAliveServer(tls=server_tls) as server, KeepAliveServer(tls=server_tls) as other:
        for package in PACKAGES:
            for _ in range(2):
                send(package, network, server.origin)
                send(package, network, other.origin)
        assert server.requests == other.requests == [0, 0, 1, 1, 2, 2]
        Path(cert).write_bytes(Path(other_cert).read_bytes())
        Path(key).write_bytes(Path(other_key).read_bytes())
        for package in PACKAGES:
            send(package, network, server.origin)
        assert server.requests[6:] == [3, 4, 5]
    network.kept.close()


def test_the_users_own_client_is_used_as_it_is(package: Package, certificates: Certificates) -> None:
    """Its connections are its own: nothing is kept beside it, and it is not closed."""
    own: Any = requests.Session() if package == "requests" else {"httpx": httpx, "httpx2": httpx2}[package].Client()
    with KeepAliveServer() as server, own:
        network = Network(policy=RenewalPolicy(), client=own)
        for _ in range(2):
            send(package, network, server.origin)
        network.kept.close()
        assert send(package, network, server.origin).body == b"{}"
        assert server.requests == [0, 0, 0]


def test_no_cookie_of_one_grant_is_sent_for_another(package: Package, network: Network) -> None:
    """Nor an authorization that a server asked for."""
    set_cookie = whole(b"{}", "Set-Cookie: session=alice; Path=/", "WWW-Authenticate: Basic realm=x")
    with KeepAliveServer(lambda _: set_cookie) as server:
        for _ in range(3):
            send(package, network, server.origin)
        assert server.requests == [0, 0, 0]
        for head in server.received:
            assert b"cookie" not in head.lower()
            assert b"authorization" not in head.lower()


# --- for how long ----------------------------------------------------------------------------------------------------


def test_an_idle_connection_is_closed_although_nothing_else_happens(
    package: Package, network: Network, tls: ssl.SSLContext | None
) -> None:
    """By the timer, which has nothing to wait for then."""
    network.kept._clock = time.monotonic
    with KeepAliveServer(tls=tls) as server:
        send(package, network, server.origin)
        assert server.ended.acquire(timeout=PATIENCE)
        wait_until(lambda: network.kept not in timer()._timed, "the timer forgets it")


@pytest.mark.parametrize(
    ("keep_alive", "seconds", "is_used_again"),
    [
        ((), 1.4, True),
        ((), 1.6, False),
        ((), -1.0, False),
        (("Keep-Alive: timeout=5, max=100",), 1.4, True),
        (("Keep-Alive: max=100,timeout = 1",), 0.4, True),
        (("Keep-Alive: timeout=1",), 0.6, False),
        (("Keep-Alive: timeout=soon",), 1.4, True),
        (("Keep-Alive: timeout=" + "9" * 5000,), 1.4, True),
    ],
)
def test_how_long_a_connection_may_be_idle(
    package: Package, network: Network, keep_alive: tuple[str, ...], seconds: float, is_used_again: bool
) -> None:
    """A second and a half, or half of what the server names. A clock that is set back proves nothing."""
    clock = network.kept._clock = Steps()
    with KeepAliveServer(lambda _: whole(b"{}", *keep_alive)) as server:
        send(package, network, server.origin)
        clock.now += seconds
        send(package, network, server.origin)
        assert server.requests == ([0, 0] if is_used_again else [0, 1])


def test_a_connection_is_used_for_a_minute(package: Package, network: Network) -> None:
    """Then a change of the server's address is noticed."""
    clock = network.kept._clock = Steps()
    with KeepAliveServer() as server:
        for _ in range(62):
            send(package, network, server.origin)
            clock.now += 1.0
        assert server.requests == [0] * 60 + [1] * 2


# --- the deadline ----------------------------------------------------------------------------------------------------


def test_the_deadline_cuts_a_connection_that_was_used_before(
    package: Package, certificates: Certificates, tls: ssl.SSLContext | None
) -> None:
    """Before the first byte of the answer, when no read timeout helps."""
    network = network_for(certificates, request_deadline=0.3, read_timeout=PATIENCE)

    with KeepAliveServer(lambda count: iter([PATIENCE]) if count == 1 else whole(), tls=tls) as server:
        send(package, network, server.origin)
        began_at = time.monotonic()
        with pytest.raises(NoResponse, match="not complete within") as caught:
            send(package, network, server.origin)
        assert time.monotonic() - began_at < PATIENCE / 2
        assert caught.value.sent is True
        assert server.requests == [0, 0]
    network.kept.close()
