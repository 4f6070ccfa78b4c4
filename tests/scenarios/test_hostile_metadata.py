"""Metadata of servers that are not trusted, over real sockets and through each HTTP package that fetches it."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import httpx2
import pytest
import requests
from support.certificates import Certificates
from support.documents import resource_document, server_document, serving
from support.errors import raises
from support.keep_alive import network_for
from support.proxies import Everywhere
from support.sites import Received, Reply, Site, endless

from blnk_auth import (
    BlnkAuthError,
    ConfigurationError,
    MemoryStore,
    ProtocolError,
    RenewalPolicy,
    TemporarilyUnavailable,
)
from blnk_auth._protocol.http_messages import Package
from blnk_auth._protocol.resource_metadata import ResourceChallenge
from blnk_auth._resource.learned import Learned
from blnk_auth._resource.learning import learn
from blnk_auth._transport.metadata_fetch import MetadataFetch
from blnk_auth._transport.network import Network

OWN_PATH = "/.well-known/oauth-protected-resource/mcp"
SERVER_PATH = "/.well-known/oauth-authorization-server"
NOW = 1_790_000_000.0


def own_document(origin: str, **changes: Any) -> dict[str, Any]:
    return resource_document(**{"resource": f"{origin}/mcp", "authorization_servers": [origin], **changes})


def learned_at(
    origin: str, package: Package, network: Network | None = None, *, document: str | None = None
) -> Learned | None:
    """What is learned of the resource at `origin`; `document` is what its challenge names."""
    url = f"{origin}/mcp"
    fetch = MetadataFetch(network or Network(RenewalPolicy()), package, url)
    challenge = None if document is None else ResourceChallenge(document, None)
    return learn(url, fetch=fetch, store=MemoryStore(), now=NOW, challenge=challenge)


class Protected(Site):
    """A resource that is its own authorization server; `answers` are by path, and may be assigned while it runs."""

    def __init__(self) -> None:
        self.answers: dict[str, Reply | Mapping[str, Any]] = {}
        super().__init__(serving(self.answers))

    def publish(self, **changes: Any) -> None:
        """Its usual documents; `changes` are of the resource's."""
        self.answers[OWN_PATH] = own_document(self.origin, **changes)
        self.answers[SERVER_PATH] = server_document(self.origin)


@pytest.fixture
def site() -> Iterator[Protected]:
    with Protected() as running:
        yield running


def test_a_resource_is_learned_without_a_credential(package: Package, site: Protected) -> None:
    """GET requests without a token, a cookie or a body."""
    site.publish()
    site.answers["/mcp"] = Reply.rejected()
    learned = learned_at(site.origin, package)
    assert learned is not None
    assert (learned.issuer, learned.reach) == (site.origin, "private")
    assert [request.path for request in site.received] == [OWN_PATH, "/mcp", SERVER_PATH]
    for request in site.received:
        assert (request.method, request.body) == ("GET", b"")
        assert not {"authorization", "cookie", "proxy-authorization"} & set(request.headers)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(Reply(200, b'{"resource": "' + b"x" * 5_000_000 + b'"}'), id="5 MB"),
        pytest.param(Reply(200, b'{"a": "' + b"x" * (65_536 - 8) + b'"}'), id="one byte too long"),
        pytest.param(Reply(200, endless()), id="endless"),
        pytest.param(Reply(200, gzip.compress(b" " * 5_000_000), {"Content-Encoding": "gzip"}), id="a bomb"),
        pytest.param(Reply(200, b"<html>", {"Content-Type": "text/html"}), id="HTML"),
        pytest.param(Reply(200, b"[" * 60_000), id="deep"),
        pytest.param(Reply(200, b'"resource"'), id="no object"),
        pytest.param(Reply(204), id="empty"),
        pytest.param(Reply(404), id="missing"),
    ],
)
def test_a_response_without_a_document_is_an_error(package: Package, site: Protected, body: Reply) -> None:
    """If the resource's challenge names it. Nothing is kept of it in memory beyond 64 KB."""
    site.publish()
    at = f"{site.origin}/metadata"
    site.answers["/metadata"] = body
    with raises(ProtocolError, parameter="resource_metadata", shows=at):
        learned_at(site.origin, package, document=at)
    assert [request.path for request in site.received] == ["/metadata"]


def test_a_document_of_64_kilobytes_is_read(package: Package, site: Protected) -> None:
    """The limit is exact."""
    site.publish()
    body = json.dumps(own_document(site.origin)).encode()
    site.answers[OWN_PATH] = Reply(200, body.ljust(65_536))
    assert learned_at(site.origin, package) is not None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_three_redirects_within_the_origin_are_followed(package: Package, site: Protected, status: int) -> None:
    """And no more: a loop ends."""
    site.publish()
    site.answers["/3"] = site.answers[OWN_PATH]
    site.answers[OWN_PATH] = Reply.redirect("/1", status)
    site.answers["/1"] = Reply.redirect(f"{site.origin}/2", status)
    site.answers["/2"] = Reply.redirect("3", status)
    assert learned_at(site.origin, package) is not None
    site.received.clear()
    site.answers["/3"] = Reply.redirect("/1", status)
    at = f"{site.origin}/1"
    with raises(ProtocolError, shows=at):
        learned_at(site.origin, package, document=at)
    assert [request.path for request in site.received] == ["/1", "/2", "/3", "/1"]


@pytest.mark.parametrize("place", ["resource", "server"])
def test_a_redirect_to_another_origin_is_not_followed(package: Package, site: Protected, place: str) -> None:
    """Neither to another host nor to another port or scheme."""
    site.publish()
    with Site(lambda _: Reply.json(own_document(site.origin))) as other:
        at = f"{site.origin}{OWN_PATH if place == 'resource' else SERVER_PATH}"
        for target in (other.origin, f"https://127.0.0.1:{site.port}/x", "file:///etc/passwd", "http://as.test"):
            site.answers[OWN_PATH if place == "resource" else SERVER_PATH] = Reply.redirect(target)
            with raises(ProtocolError, shows=(at, target.removesuffix("/x"))):
                learned_at(site.origin, package, document=f"{site.origin}{OWN_PATH}")
        assert other.received == []


@pytest.mark.parametrize("location", ["//[", "https://[::x]/", "http://127.0.0.1:port/", "\x7f", ""])
def test_a_redirect_to_nowhere_is_an_error_that_names_the_document(
    package: Package, site: Protected, location: str
) -> None:
    """Some HTTP packages cannot read such a response at all. No package makes it look like a wrong setting."""
    at = f"{site.origin}/metadata"
    site.answers["/metadata"] = Reply.redirect(location)
    with raises(BlnkAuthError, shows=at) as caught:
        learned_at(site.origin, package, document=at)
    assert not isinstance(caught.value, ConfigurationError)


def test_a_document_that_drips_has_a_deadline(package: Package, site: Protected) -> None:
    """However slowly its bytes arrive."""
    left = threading.Event()

    def dripping() -> Iterator[bytes]:
        yield b"{"
        while not left.wait(0.05):
            yield b" "

    site.publish()
    site.answers["/metadata"] = Reply(200, dripping())
    network = Network(RenewalPolicy(request_deadline=0.5))
    with raises(TemporarilyUnavailable, shows=f"{site.origin}/metadata"):
        learned_at(site.origin, package, network, document=f"{site.origin}/metadata")
    left.set()


def test_all_documents_together_have_ten_seconds(package: Package, site: Protected) -> None:
    """A server that is slow each time does not add up."""
    site.publish()
    clock = iter(range(0, 1000, 4))
    url = f"{site.origin}/mcp"
    fetch = MetadataFetch(Network(RenewalPolicy()), package, url, monotonic=lambda: float(next(clock)))
    assert fetch(f"{site.origin}{OWN_PATH}").status_code == 200
    assert fetch(f"{site.origin}{OWN_PATH}").status_code == 200
    with raises(TemporarilyUnavailable, shows=f"{site.origin}{OWN_PATH}"):
        fetch(f"{site.origin}{OWN_PATH}")


def test_five_documents_are_read_and_no_more(package: Package, site: Protected) -> None:
    """A resource that names five servers, each with documents of others."""
    servers = [f"{site.origin}/{number}" for number in range(5)]
    site.publish(authorization_servers=servers)
    for number in range(5):
        site.answers[f"{SERVER_PATH}/{number}"] = server_document("https://evil.test")
        site.answers[f"/.well-known/openid-configuration/{number}"] = server_document("https://evil.test")
        site.answers[f"/{number}/.well-known/openid-configuration"] = server_document("https://evil.test")
    with raises(ConfigurationError, parameter="issuer", shows=tuple(servers)):
        learned_at(site.origin, package)
    assert len([request for request in site.received if request.path in site.answers]) == 5


def test_the_resource_itself_is_asked_for_its_head_only(package: Package, site: Protected) -> None:
    """An event stream does not end: an unprotected resource must not stop the request."""
    site.answers["/mcp"] = Reply(200, endless(), {"Content-Type": "text/event-stream"})
    assert learned_at(site.origin, package) is None
    site.answers["/mcp"] = Reply(401, endless(), {"WWW-Authenticate": f'Bearer resource_metadata="{site.origin}/m"'})
    site.publish()
    site.answers["/m"] = site.answers.pop(OWN_PATH)
    learned = learned_at(site.origin, package)
    assert learned is not None
    assert learned.document == f"{site.origin}/m"


def test_nothing_but_get_is_sent_in_order_to_learn(package: Package, site: Protected) -> None:
    """Also where the resource does not accept GET: it might act on any other request."""
    site.publish()
    site.answers["/mcp"] = Reply(405)
    assert learned_at(site.origin, package) is not None
    assert {request.method for request in site.received} == {"GET"}
    assert [request.method for request in site.received if request.path == "/mcp"] == ["GET"]


# Addresses


def test_the_address_that_is_connected_to_is_judged(
    package: Package, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name of another server that leads to this machine: nothing is sent to it. The name is looked up once."""
    with Site(lambda _: Reply.json({}), tls=certificates.server()) as inner:
        looked_up = _names_lead_here(monkeypatch)
        fetch = MetadataFetch(network_for(certificates), package, "https://api.test/mcp")
        with raises(ConfigurationError, shows=("https://as.test", "127.0.0.1")):
            fetch(f"https://as.test:{inner.port}/metadata")
        assert looked_up == ["as.test"]
        assert inner.received == []


def test_a_resource_in_a_private_network_may_have_its_document_elsewhere_in_it(
    package: Package, site: Protected
) -> None:
    """The challenge names it, and the resource itself was not asked for anything before."""
    with Protected() as other:
        other.answers["/metadata"] = own_document(site.origin)
        site.publish()
        assert learned_at(site.origin, package, document=f"{other.origin}/metadata") is not None


def test_a_literal_address_is_not_connected_to(package: Package, site: Protected) -> None:
    """Not even to see whether anything answers."""
    fetch = MetadataFetch(Network(RenewalPolicy()), package, "https://api.test/mcp")
    with raises(ConfigurationError, shows=f"{site.origin}/metadata"):
        fetch(f"{site.origin}/metadata")
    assert site.received == []


@pytest.mark.parametrize("own_client", [httpx.Client, httpx2.Client])
def test_the_users_own_client_is_watched_too(
    own_client: Any, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of httpx. That of requests is the user's own affair; see the page of limits."""
    with Site(lambda _: Reply.json({}), tls=certificates.server()) as inner:
        _names_lead_here(monkeypatch)
        with own_client(verify=certificates.context("x"), auth=("user", "pw"), follow_redirects=True) as client:
            fetch = MetadataFetch(Network(RenewalPolicy(), client=client), None, "https://api.test/mcp")
            with raises(ConfigurationError, shows="127.0.0.1"):
                fetch(f"https://as.test:{inner.port}/metadata")
        assert inner.received == []


def test_a_users_own_session_sends_no_credential_and_follows_no_redirect(site: Protected) -> None:
    """Its auth is for the API, not for documents."""
    site.publish()
    with Site(lambda _: Reply(200)) as other, requests.Session() as session:
        session.auth = ("user", "pw")
        network = Network(RenewalPolicy(), client=session)
        assert learned_at(site.origin, "httpx", network) is not None
        site.answers[OWN_PATH] = Reply.redirect(other.origin)
        assert learned_at(site.origin, "httpx", network) is None
        assert other.received == []
    assert all(request.authorization is None for request in site.received)


def test_a_proxy_is_not_judged(package: Package, certificates: Certificates) -> None:
    """It has a private address in most companies. An address in a URL is judged: the proxy would use it."""
    tls = certificates.server()
    certificates.authority.issue_cert("api.test", "as.test", "10.0.0.1").configure_cert(tls)
    with Everywhere(tls) as everywhere:
        documents = {
            f"https://api.test:443{OWN_PATH}": resource_document(),
            f"https://as.test:443{SERVER_PATH}": server_document(),
        }

        def answer(_: Received) -> Reply:
            origin, request = everywhere.arrived[-1]
            found = documents.get(f"{origin}{request.path}")
            return Reply(404) if found is None else Reply.json(found)

        everywhere.answer = answer
        network = network_for(certificates, proxy=everywhere.proxy_url)
        assert learned_at("https://api.test", package, network) is not None
        documents[f"https://api.test:443{OWN_PATH}"] = resource_document(authorization_servers=["https://10.0.0.1"])
        everywhere.arrived.clear()
        with raises(ConfigurationError, shows=("10.0.0.1",)):
            learned_at("https://api.test", package, network)
        assert not any("10.0.0.1" in origin for origin, _ in everywhere.arrived)


def test_kept_connections_are_for_one_rule(
    package: Package, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that one resource may use was not judged for another."""
    tls = certificates.server()
    certificates.authority.issue_cert("as.test").configure_cert(tls)
    with Site(lambda _: Reply.json({}), tls=tls) as inner:
        _names_lead_here(monkeypatch)
        network, document = network_for(certificates), f"https://as.test:{inner.port}/metadata"
        own = MetadataFetch(network, package, f"https://as.test:{inner.port}/mcp")
        assert [own(document).status_code for _ in range(2)] == [200, 200]
        assert len({request.peer for request in inner.received}) == 1
        with raises(ConfigurationError, shows="127.0.0.1"):
            MetadataFetch(network, package, "https://api.test/mcp")(document)
        assert len(inner.received) == 2
        network.kept.close()


def test_a_server_that_cannot_be_reached_is_tried_later(package: Package, site: Protected) -> None:
    """The error names the document."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        gone = f"http://127.0.0.1:{closed.getsockname()[1]}"
    site.publish(authorization_servers=[gone])
    with raises(TemporarilyUnavailable, shows=f"{gone}{SERVER_PATH}"):
        learned_at(site.origin, package)


def test_no_error_shows_more_of_a_server_than_it_needs(package: Package, site: Protected) -> None:
    """A text of a server that controls a terminal, or is very long, does not reach the message."""
    site.publish(resource="https://evil.test/\x1b[2J\u202e" + "x" * 60_000)
    with raises(BlnkAuthError) as caught:
        learned_at(site.origin, package)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2_500


def _names_lead_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every name is that of this machine. Returns the names that were looked up."""
    looked_up: list[str] = []
    really = socket.getaddrinfo

    def here(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        looked_up.append(name)
        return really("127.0.0.1", port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    return looked_up
