"""The token is sent where it belongs, for any spelling of the URL and any redirect: the rest of F35 and F38.

Every host in this file is reached, on real sockets, through a proxy that ends every way at a server of the test.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pytest
import trustme
from support.clients import AIOHTTP, Http, Kind, through_every_client
from support.proxies import Everywhere
from support.sites import Received, Reply
from support.worlds import NO_RENEWAL, World

from blnk_auth import StaticToken, Token, TokenSource
from blnk_auth._renewal.credential import Source
from blnk_auth.testing import assert_renewed_once

KEY = "a-fixed-api-key"
API = "https://api.acme.test"

HOSTS = (
    *("api.acme.test", "acme.test", "sub.api.acme.test", "api.acme.test.evil.test", "evil.test", "xn--mnchen-3ya.test"),
    *("127.0.0.1", "::1", "2001:db8::1", "localhost"),
)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate for all hosts of this file, and the context of a client that trusts it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Made once: keys are expensive."""
    ca = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.issue_cert(*HOSTS).configure_cert(server)
    ca.configure_trust(client)
    # A name with a trailing dot is in no certificate.
    client.check_hostname = False
    return Authority(server, client)


@dataclass(frozen=True, slots=True)
class Carrier:
    """A source, and how to recognise its secret among the headers of a request."""

    source: Source
    header: str
    secret: str

    def is_carried_by(self, request: Received) -> bool:
        return request.headers.get(self.header) == self.secret

    def is_betrayed_by(self, request: Received) -> bool:
        return any(self.secret.removeprefix("Bearer ") in value for value in request.headers.values())


def bearer(world: World, *origins: str) -> Carrier:
    """The token of somebody who signed in."""
    source = world.client(api_origins=origins).for_subject("alice")
    source.adopt(Token(KEY, refresh_token="unused", expires_at=world.clock() + 9999))
    return Carrier(source, "authorization", f"Bearer {KEY}")


def custom_header(world: World, *origins: str) -> Carrier:
    """A fixed key in a header of its own, which HTTP clients do not know to be a secret."""
    return Carrier(StaticToken(KEY, api_origins=origins, header="X-Blnk-Key"), "x-blnk-key", KEY)


Carrying = Callable[..., Carrier]
with_either_carrier = pytest.mark.parametrize("carrying", [bearer, custom_header], ids=["token", "custom-header"])

USERINFO = "userinfo in the URL"

OWN = {
    "as listed": (API, f"{API}/x"),
    "default port in the URL": (API, f"{API}:443/x"),
    "default port in the list": (f"{API}:443", f"{API}/x"),
    "slash in the list": (f"{API}/", f"{API}/x"),
    "upper-case host in the URL": (API, "https://API.Acme.TEST/x"),
    "upper-case scheme in the URL": (API, "HTTPS://api.acme.test/x"),
    "upper case in the list": ("HTTPS://API.acme.test", f"{API}/x"),
    USERINFO: (API, "https://user:pass@api.acme.test/x"),
    "no path": (API, API),
    "query only": (API, f"{API}?x=https://evil.test"),
    "other port, listed": (f"{API}:8443", f"{API}:8443/x"),
    "IPv6": ("https://[::1]:8443", "https://[::1]:8443/x"),
    "IPv6 written at length": ("https://[2001:db8::1]", "https://[2001:0DB8:0:0:0:0:0:1]/x"),
    "IPv6 listed at length": ("https://[2001:DB8:0:0:0:0:0:1]:443", "https://[2001:db8::1]/x"),
    "IPv4": ("https://127.0.0.1", "https://127.0.0.1:443/x"),
    "loopback in clear": ("http://127.0.0.1:8080", "http://127.0.0.1:8080/x"),
    "loopback name in clear": ("http://localhost", "http://localhost:80/x"),
    "IPv6 loopback in clear": ("http://[::1]", "http://[::1]/x"),
    "international name": ("https://xn--mnchen-3ya.test", "https://münchen.test/x"),
    "international name in the list": ("https://münchen.test", "https://xn--mnchen-3ya.test/x"),
    "any https": ("*", "https://evil.test/x"),
}

FOREIGN = {
    "other host": (API, "https://evil.test/x"),
    "other port": (API, f"{API}:8443/x"),
    "default port of another scheme": (API, f"{API}:80/x"),
    "parent domain": (API, "https://acme.test/x"),
    "subdomain": (API, "https://sub.api.acme.test/x"),
    "suffix": (API, "https://api.acme.test.evil.test/x"),
    "trailing dot": (API, "https://api.acme.test./x"),
    "in clear": (API, "http://api.acme.test/x"),
    "in clear at the same port": (API, "http://api.acme.test:443/x"),
    "name in the userinfo": (API, "https://api.acme.test@evil.test/x"),
    "name and port in the userinfo": (API, "https://api.acme.test:443@evil.test/x"),
    "name in the path": (API, "https://evil.test/https://api.acme.test/"),
    "name in the fragment": (API, "https://evil.test#@api.acme.test/"),
    "name after a backslash": (API, "https://evil.test\\@api.acme.test/"),
    "name after an encoded slash": (API, "https://evil.test%2F@api.acme.test:8443/"),
    "TLS where clear is listed": ("http://127.0.0.1:8080", "https://127.0.0.1:8080/x"),
    "another name of the same machine": ("http://127.0.0.1:8080", "http://localhost:8080/x"),
    "another port of the same machine": ("http://127.0.0.1:8080", "http://127.0.0.1:8081/x"),
    "any https, but in clear": ("*", "http://evil.test/x"),
    "any https, but in clear to this machine": ("*", "http://127.0.0.1/x"),
}


@pytest.fixture(scope="module")
def hosts(authority: Authority) -> Iterator[Everywhere]:
    """All hosts; starting them is what costs most."""
    with Everywhere(authority.server) as everywhere:
        yield everywhere


@pytest.fixture(autouse=True)
def forget_the_last_test(hosts: Everywhere) -> None:
    hosts.answer = lambda _: Reply(200)
    hosts.arrived.clear()


@pytest.fixture
def open_client(authority: Authority, hosts: Everywhere) -> Callable[[Kind], Http]:
    """A client that reaches these hosts and follows redirects; what it carries is given with each request."""
    nobody = StaticToken("nobody's", api_origins=("https://nobody.test",))
    return lambda kind: kind.open(nobody, follow=True, verify=authority.client, proxy=hosts.proxy_url)


@with_either_carrier
@through_every_client
def test_f38_an_own_origin_gets_the_token_however_it_is_spelled(
    world: World, hosts: Everywhere, open_client: Callable[[Kind], Http], kind: Kind, carrying: Carrying
) -> None:
    """Case, default ports, userinfo, and the spelling of an address do not make another origin of it."""
    carried: dict[str, bool] = {}
    with open_client(kind) as http:
        for name, (listed, url) in OWN.items():
            carrier = carrying(world, listed)
            assert http.get(url, auth=kind.auth(carrier.source)).status == 200
            carried[name] = carrier.is_carried_by(hosts.arrived[-1][1])
    # aiohttp itself makes an `Authorization` header of it, which is then the caller's own.
    is_own = kind == AIOHTTP and carrying is bearer
    assert carried == dict.fromkeys(OWN, True) | {USERINFO: not is_own}
    assert len(hosts.arrived) == len(OWN)


@with_either_carrier
@through_every_client
def test_f38_a_foreign_origin_gets_no_token_however_it_is_spelled(
    world: World, hosts: Everywhere, open_client: Callable[[Kind], Http], kind: Kind, carrying: Carrying
) -> None:
    """An origin that looks like an allowed one gets a request without the token, or no request."""
    betrayed: dict[str, list[str]] = {}
    with open_client(kind) as http:
        for name, (listed, url) in FOREIGN.items():
            carrier = carrying(world, listed)
            hosts.arrived.clear()
            with suppress(kind.request_error, *invalid_url(kind)):
                http.get(url, auth=kind.auth(carrier.source))
            betrayed[name] = [origin for origin, request in hosts.arrived if carrier.is_betrayed_by(request)]
    # A client may read a strange URL as an allowed one; then that is where it connects.
    assert {name: origins for name, origins in betrayed.items() if set(origins) - {f"{API}:443"}} == {}
    assert world.renewals == NO_RENEWAL


def invalid_url(kind: Kind) -> tuple[type[Exception], ...]:
    return () if kind.is_requests else (kind.module.InvalidURL,)


REDIRECTS = {
    "relative": ("/end", True),
    "own origin": (f"{API}/end", True),
    "own origin with its port": (f"{API}:443/end", True),
    "own origin in upper case": ("https://API.ACME.TEST/end", True),
    "own host without a scheme": ("//api.acme.test/end", True),
    "other host": ("https://evil.test/end", False),
    "other host without a scheme": ("//evil.test/end", False),
    "other port": (f"{API}:8443/end", False),
    "in clear": ("http://api.acme.test/end", False),
    "in clear at the same port": ("http://api.acme.test:443/end", False),
    "trailing dot": ("https://api.acme.test./end", False),
    "subdomain": ("https://sub.api.acme.test/end", False),
    "parent domain": ("https://acme.test/end", False),
    "name in the userinfo": ("https://api.acme.test@evil.test/end", False),
    "loopback in clear": ("http://127.0.0.1/end", False),
}


@with_either_carrier
@through_every_client
def test_f35_a_redirect_takes_the_token_only_to_the_origin_it_was_for(
    world: World, hosts: Everywhere, open_client: Callable[[Kind], Http], kind: Kind, carrying: Carrying
) -> None:
    """The token follows a redirect within its origin and no other; a 401 from elsewhere renews nothing."""
    carrier = carrying(world, API)
    auth = kind.auth(carrier.source)
    # httpx carries a header of our own nowhere, which is the safe side.
    kept = not kind.is_httpx or carrying is not custom_header
    arrived: dict[str, tuple[bool, bool]] = {}
    with open_client(kind) as http:
        for name, (location, is_own) in REDIRECTS.items():
            for redirect, foreign_status in ((302, 401), (307, 200)):
                status = 200 if is_own else foreign_status
                hosts.answer = partial(redirecting, {"/start": location}, redirect, Reply(status))
                assert http.get(f"{API}/start", auth=auth).status == status
                (_, first), (_, last) = hosts.arrived[-2:]
                assert carrier.is_carried_by(first)
                arrived[f"{name} {redirect}"] = (carrier.is_betrayed_by(last), is_own and kept)
    assert {name: seen for name, (seen, _) in arrived.items()} == {name: right for name, (_, right) in arrived.items()}
    assert world.renewals == NO_RENEWAL


def redirecting(ways: dict[str, str], status: int, otherwise: Reply, request: Received) -> Reply:
    return Reply.redirect(ways[request.path], status) if request.path in ways else otherwise


READ_DIFFERENTLY = (
    *("////evil.test/end", "/////evil.test/end", "///evil.test/end", "////evil.test", "////evil.test:443/end"),
    *("https:////evil.test/end", "https:/evil.test/end", "https:evil.test/end", "HTTPS:////evil.test/end"),
    *(
        "//\\evil.test/end",
        "/\\/evil.test/end",
        "\\\\evil.test/end",
        "https:\\\\evil.test/end",
        "https:/\\evil.test/end",
    ),
    *(
        "/\t/evil.test/end",
        "//\tevil.test/end",
        "////\tevil.test/end",
        "https:\t////evil.test/end",
        "/%09/evil.test/end",
    ),
    *(
        "https://api.acme.test\\@evil.test/end",
        "https://api.acme.test%40evil.test/end",
        "//api.acme.test@evil.test/end",
    ),
)
"""Values of `Location` in which some URL parsers see a path, and others another host."""


def api_headers(world: World, *origins: str) -> Carrier:
    """A provider's own header beside the token."""
    provider = world.acme(*origins, api_headers={"X-Customer": KEY})
    source = world.client(provider).for_subject("alice")
    source.adopt(Token("an-access-token", refresh_token="unused", expires_at=world.clock() + 9999))
    return Carrier(source, "x-customer", KEY)


@pytest.mark.parametrize(
    "carrying", [bearer, custom_header, api_headers], ids=["token", "custom-header", "api-headers"]
)
@through_every_client
def test_f35_a_location_that_parsers_read_differently_takes_no_secret_elsewhere(
    world: World, hosts: Everywhere, open_client: Callable[[Kind], Http], kind: Kind, carrying: Carrying
) -> None:
    """On any way of the client from there, another origin gets no header that we attach."""
    carrier = carrying(world, API)
    betrayed: dict[str, list[str]] = {}
    with open_client(kind) as http:
        for location in READ_DIFFERENTLY:
            hosts.arrived.clear()
            hosts.answer = partial(redirecting, {"/start": location}, 302, Reply(200))
            with suppress(kind.request_error, *invalid_url(kind)):
                http.get(f"{API}/start", auth=kind.auth(carrier.source))
            assert carrier.is_carried_by(hosts.arrived[0][1])
            betrayed[location] = [origin for origin, request in hosts.arrived if carrier.is_betrayed_by(request)]
    assert {location: origins for location, origins in betrayed.items() if set(origins) != {f"{API}:443"}} == {}


@with_either_carrier
@through_every_client
def test_f35_a_redirect_from_clear_to_tls_is_another_origin(
    world: World, hosts: Everywhere, open_client: Callable[[Kind], Http], kind: Kind, carrying: Carrying
) -> None:
    """Even from http to https of the same host the token follows only if that origin is listed too.

    httpx and httpx2 keep `Authorization` from port 80 to 443 of one host, which no auth object can prevent; since a
    token is sent over http to loopback only, it stays on this machine (docs/reference/limits.md).
    """
    carrier = carrying(world, "http://127.0.0.1")
    hosts.answer = partial(redirecting, {"/start": "https://127.0.0.1/end"}, 302, Reply(200))
    with open_client(kind) as http:
        assert http.get("http://127.0.0.1/start", auth=kind.auth(carrier.source)).status == 200
    (_, first), (_, last) = hosts.arrived
    assert carrier.is_carried_by(first)
    assert carrier.is_betrayed_by(last) is (carrying is bearer and kind.is_httpx)


@with_either_carrier
@through_every_client
def test_f35_a_way_back_from_elsewhere_is_not_trusted(
    world: World, hosts: Everywhere, open_client: Callable[[Kind], Http], kind: Kind, carrying: Carrying
) -> None:
    """A redirect through another host and back again brings no token to anybody else, and its 401 renews nothing."""
    carrier = carrying(world, API)
    ways = {"/start": "https://evil.test/middle", "/middle": f"{API}/end"}
    hosts.answer = partial(redirecting, ways, 302, Reply.rejected())
    with open_client(kind) as http:
        assert http.get(f"{API}/start", auth=kind.auth(carrier.source)).status == 401
    assert [request.path for _, request in hosts.arrived] == ["/start", "/middle", "/end"]
    assert not carrier.is_betrayed_by(hosts.arrived[1][1])
    assert world.renewals == NO_RENEWAL


@through_every_client
def test_f35_a_redirect_between_listed_origins_renews_nothing(
    world: World, hosts: Everywhere, open_client: Callable[[Kind], Http], kind: Kind
) -> None:
    """Between two listed origins an HTTP client drops the token; the 401 that follows is not taken for a verdict."""
    carrier = bearer(world, API, f"{API}:8443")
    hosts.answer = partial(redirecting, {"/start": f"{API}:8443/end"}, 302, Reply.rejected())
    with open_client(kind) as http:
        assert http.get(f"{API}/start", auth=kind.auth(carrier.source)).status == 401
    assert world.renewals == NO_RENEWAL
    assert len(hosts.arrived) == 2


@through_every_client
def test_f38_a_key_in_a_header_of_its_own_leaves_the_others_alone(
    world: World, hosts: Everywhere, open_client: Callable[[Kind], Http], kind: Kind
) -> None:
    """The caller's headers go along with the key, the caller's dict is not changed, and the key is sent once."""
    carrier = custom_header(world, API)
    headers = {"X-Own": "kept"}
    with open_client(kind) as http:
        for _ in range(2):
            assert http.get(f"{API}/x", headers=headers, auth=kind.auth(carrier.source)).status == 200
    assert [request.headers["x-own"] for _, request in hosts.arrived] == ["kept"] * 2
    assert [request.headers["x-blnk-key"] for _, request in hosts.arrived] == [KEY] * 2
    assert headers == {"X-Own": "kept"}


# --- an origin that comes with the token -----------------------------------------------------------------------------


def at_home(world: World, instance_url: object) -> TokenSource:
    """A source whose token answer named this `instance_url`."""
    provider = world.acme(
        "https://login.example.test", api_origins_from_token=("instance_url",), api_host_suffixes=("acme.test",)
    )
    source = world.client(provider).for_subject("alice")
    extra = {"instance_url": instance_url}
    source.adopt(Token(KEY, refresh_token="unused", expires_at=world.clock() + 9999, extra=extra))
    return source


COMES_WITH_THE_TOKEN: tuple[tuple[object, str, bool], ...] = (
    (f"{API}/services", f"{API}/x", True),
    (f"{API}:8443", f"{API}:8443/x", True),
    ("https://sub.api.acme.test", "https://sub.api.acme.test/x", True),
    # Another customer's.
    ("https://sub.api.acme.test", f"{API}/x", False),
    (API, f"{API}:8443/x", False),
    # Not the provider's, for any answer of the token endpoint.
    ("https://evil.test", "https://evil.test/x", False),
    ("https://127.0.0.1", "https://127.0.0.1/x", False),
    ("http://api.acme.test", "http://api.acme.test/x", False),
    (None, f"{API}/x", False),
)
"""The member of the token response, where a request is sent, and whether it has the token."""


@through_every_client
def test_a_token_is_sent_to_the_origin_that_came_with_it(
    world: World, hosts: Everywhere, open_client: Callable[[Kind], Http], kind: Kind
) -> None:
    """Below the provider's own hosts only; a request that may not have the token is reported."""
    with open_client(kind) as http:
        for instance_url, url, carried in COMES_WITH_THE_TOKEN:
            source = at_home(world, instance_url)
            hosts.arrived.clear()
            world.events.clear()
            assert http.get(url, auth=kind.auth(source)).status == 200
            ((_, request),) = hosts.arrived
            assert request.headers.get("authorization") == (f"Bearer {KEY}" if carried else None), url
            assert ("token_withheld" in world.events.names) is not carried
            assert source.headers(url) == ({"Authorization": f"Bearer {KEY}"} if carried else {})


@through_every_client
def test_a_token_for_its_own_origin_is_renewed_and_follows_redirects_there(
    world: World, hosts: Everywhere, open_client: Callable[[Kind], Http], kind: Kind
) -> None:
    """A rejection is resolved as at any other origin; the renewed token still knows where it belongs."""
    source = at_home(world, API)
    source.adopt(Token.from_response({**world.sandbox.issue("alice"), "instance_url": API}, now=world.clock()))
    answers = iter([Reply.rejected(), Reply.redirect("/end"), Reply(200)])
    hosts.answer = lambda _: next(answers)
    with open_client(kind) as http:
        assert http.get(f"{API}/start", auth=kind.auth(source)).status == 200
    carried = [request.headers.get("authorization") for _, request in hosts.arrived]
    assert None not in carried
    assert carried[0] != carried[1] == carried[2] == f"Bearer {source.token().access_token}"
    assert_renewed_once(world.sandbox)


@through_every_client
def test_a_renewed_token_that_belongs_elsewhere_repeats_nothing(
    world: World, hosts: Everywhere, open_client: Callable[[Kind], Http], kind: Kind
) -> None:
    """The server moved the user: the caller gets the rejection, and the new token is sent to the new origin only."""
    source = at_home(world, API)

    def moved(_: Received) -> Reply:
        elsewhere = "https://sub.api.acme.test"
        source.adopt(Token("moved", expires_at=world.clock() + 9999, extra={"instance_url": elsewhere}))
        return Reply.rejected()

    hosts.answer = moved
    with open_client(kind) as http:
        assert http.get(f"{API}/x", auth=kind.auth(source)).status == 401
    assert len(hosts.arrived) == 1
    assert source.headers(f"{API}/x") == {}
    assert source.headers("https://sub.api.acme.test/x") == {"Authorization": "Bearer moved"}
