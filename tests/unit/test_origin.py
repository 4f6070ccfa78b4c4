"""Which origins may have a token: what is checked must be what is connected to (promise 6, F35 to F38)."""

from __future__ import annotations

import time
from typing import Any

import httpx
import httpx2
import pytest
from support.errors import raises
from urllib3.util import parse_url

from blnk_auth import Httpx2Auth, HttpxAuth, StaticToken
from blnk_auth._protocol.origins import AllowedOrigins, Origin, endpoint_origin, is_loopback, normalize, parse_origin
from blnk_auth.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://api.acme.test", "https://api.acme.test"),
        ("https://api.acme.test/", "https://api.acme.test"),
        ("HTTPS://API.Acme.TEST:443", "https://api.acme.test"),
        ("https://api.acme.test:8443", "https://api.acme.test:8443"),
        ("https://api.acme.test.", "https://api.acme.test."),
        ("https://[2001:DB8::0:1]:443/", "https://[2001:db8::1]"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("https://192.0.2.1", "https://192.0.2.1"),
        ("https://bücher.test", "https://xn--bcher-kva.test"),
        ("https://BÜCHER.test", "https://xn--bcher-kva.test"),
        ("https://xn--bcher-kva.test", "https://xn--bcher-kva.test"),
        ("http://127.0.0.1:8123", "http://127.0.0.1:8123"),
        ("http://127.0.0.2", "http://127.0.0.2"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]", "http://[::1]"),
        ("wss://api.acme.test", "https://api.acme.test"),
        ("ws://127.0.0.1:8123", "http://127.0.0.1:8123"),
    ],
)
def test_an_origin_has_one_spelling(url: str, shown: str) -> None:
    """Case, default port, IPv6 notation, IDNA and WebSocket do not matter; everything else does."""
    assert str(parse_origin(url, "api_origins")) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.acme.test",
        "//api.acme.test",
        "https:api.acme.test",
        "https:///x",
        "https://",
        "https://:443",
        "ftp://api.acme.test",
        "javascript://api.acme.test",
        "file:///etc/passwd",
        "https://api.acme.test:port",
        "https://api.acme.test:99999",
        "https://[::1",
        "https://[zz]",
        "https://user@api.acme.test",
        "https://user:pass@api.acme.test",
        "https://@api.acme.test",
        "https://good.test\\@evil.test",
        "https://api acme.test",
        " https://api.acme.test",
        "https://api.acme.test\n",
        "https://api.acme.test\x00",
        "https://api.acme.test\x7f",
        "https://api.acme.test/\x9b31m",
        "https://api.acme.test/\u202e",
        "https://api.acme.test/\u2028",
        "https://api.acme.test/" + "x" * 8000,
        f"https://{'a' * 254}.test",
        "wss://api.acme.test",
        "http://api.acme.test",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://localhost.",
        "http://localhost.evil.test",
        "http://127.0.0.1.evil.test",
        "http://127.1",
        "http://2130706433",
        None,
        7,
        b"https://api.acme.test",
    ],
    ids=repr,
)
def test_what_is_not_an_endpoint_is_refused_by_name(url: Any) -> None:
    """Malformed, with userinfo, of another scheme, or http to what is not this machine."""
    with raises(ConfigurationError, parameter="token_endpoint"):
        endpoint_origin(url, "token_endpoint")


@pytest.mark.parametrize(
    "url",
    ["https://good.test\\evil.test", "https://%65xample.test", "https://a\u200bb.test"],
    ids=ascii,
)
def test_a_host_that_clients_read_differently_is_refused(url: str) -> None:
    """A backslash, an escape or an invisible character: which host is meant is anybody's guess."""
    with raises(ConfigurationError, parameter="token_endpoint"):
        endpoint_origin(url, "token_endpoint")


def test_a_password_in_a_url_is_not_quoted() -> None:
    """The error names the parameter and not the credentials (promise 8)."""
    for url in ("https://user:hunter2-pass@api.acme.test", "ftp://user:hunter2-pass@api.acme.test"):
        with pytest.raises(ConfigurationError) as caught:
            endpoint_origin(url, "token_endpoint")
        assert "hunter2-pass" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://a.test/v1", "https://a.test?x=1", "https://a.test#x"])
def test_an_origin_is_not_a_url(url: str) -> None:
    """A path in api_origins would promise a restriction that does not exist."""
    with raises(ConfigurationError, parameter="api_origins"):
        parse_origin(url, "api_origins")


@pytest.mark.parametrize("origins", [(), "https://a.test", ("https://a.test", "b.test"), (7,), None, 7], ids=repr)
def test_bad_lists_of_origins_are_refused(origins: Any) -> None:
    """The parameter is named."""
    with raises(ConfigurationError, parameter="api_origins"):
        AllowedOrigins(origins)


ALLOWED = AllowedOrigins(("https://api.acme.test", "https://[2001:db8::1]:8443", "http://127.0.0.1:8123"))


@pytest.mark.parametrize(
    ("url", "permitted"),
    [
        ("https://api.acme.test/v1?x=https://evil.test", True),
        ("https://API.ACME.TEST:443/", True),
        ("https://api.acme.test:8443/", False),
        ("http://api.acme.test/", False),
        ("http://api.acme.test:443/", False),
        ("https://api.acme.test./", False),
        ("https://evil.test/", False),
        ("https://api.acme.test.evil.test/", False),
        ("https://xapi.acme.test/", False),
        ("https://acme.test/", False),
        ("https://api.acme.test@evil.test/", False),
        ("https://user:pass@api.acme.test/", True),
        ("https://[2001:0DB8:0::1]:8443/", True),
        ("https://[2001:db8::1]/", False),
        ("https://[2001:db8::2]:8443/", False),
        ("http://127.0.0.1:8123/", True),
        ("https://127.0.0.1:8123/", False),
        ("http://127.0.0.1/", False),
        ("http://localhost:8123/", False),
        ("wss://api.acme.test/socket", True),
        ("wss://api.acme.test:443/", True),
        ("ws://127.0.0.1:8123/", True),
        ("ws://api.acme.test/", False),
        ("ws://api.acme.test:443/", False),
        ("wss://api.acme.test:8443/", False),
        ("wss://127.0.0.1:8123/", False),
        ("wss://evil.test/", False),
    ],
)
@pytest.mark.parametrize("parser", ["httpx", "urllib3"])
def test_f38_a_token_is_sent_to_the_listed_origins_only(parser: str, url: str, permitted: bool) -> None:
    """F35, F38: scheme, host and port, as each client's own parser reads the URL that it connects to."""
    assert ALLOWED.permits(read(parser, url)) is permitted


def read(parser: str, url: str) -> Origin:
    """The origin of a URL as the shells take it from their client's parser."""
    if parser == "httpx":
        parsed = httpx.URL(url)
        return normalize(parsed.scheme, parsed.host, parsed.port)
    parts = parse_url(url)
    return normalize(parts.scheme or "", parts.host or "", parts.port)


@pytest.mark.parametrize(
    ("listed", "url"), [("https://fass.test", "https://faß.test"), ("https://\u03c3.test", "https://ς.test")]
)
def test_f38_two_hosts_that_idna_distinguishes_are_two(listed: str, url: str) -> None:
    """IDNA 2008, by which httpx connects, has ß and the final sigma as letters of their own: other names."""
    assert httpx.URL(listed).raw_host != httpx.URL(url).raw_host
    assert not AllowedOrigins((listed,)).permits(read("httpx", url))


@pytest.mark.parametrize(
    "url",
    ["https://bücher.test", *(pytest.param(url) for url in ("https://faß.test", "https://ς.test"))],
)
def test_what_is_listed_is_what_the_client_connects_to(url: str) -> None:
    """An international name in api_origins permits the host that httpx really asks for."""
    assert AllowedOrigins((f"https://{httpx.URL(url).raw_host.decode()}",)).permits(parse_origin(url, "api_origins"))


@pytest.mark.parametrize(
    ("url", "permitted"),
    [
        ("https://anything.test:8443/", True),
        ("http://anything.test/", False),
        ("http://127.0.0.1:8123/", False),
        ("http://localhost/", False),
        ("ftp://anything.test/", False),
        ("ws://anything.test/", False),
        ("wss://anything.test/", True),
    ],
)
def test_the_star_permits_any_https_origin(url: str, permitted: bool) -> None:
    """Promise 6: `*` opts out of the list and not out of https; any program may listen on a port of this machine."""
    everything = AllowedOrigins(("*",))
    assert everything.permits(read("httpx", url)) is permitted
    assert repr(everything) == "<AllowedOrigins *>"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("::1", True),
        ("localhost", True),
        ("localhost.", False),
        ("0.0.0.0", False),
        ("128.0.0.1", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine(host: str, expected: bool) -> None:
    """RFC 8252 section 8.3; names other than localhost may resolve to anything."""
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    "shape",
    ["https://{}", "https://{}.test/", "https://[{}]/", "{}", "https://a.test/{}", "https://a.test:{}/", "{}://a.test"],
)
@pytest.mark.parametrize("unit", [":", "a:", "a-", ".", "é", "%", "@", "1", "[", "]"])
def test_a_url_of_any_length_is_judged_in_no_time(shape: str, unit: str) -> None:
    """A URL of a server's metadata may be as long as the document."""
    url = shape.format(unit * 500_000)
    began_at = time.process_time()
    with pytest.raises(ConfigurationError):
        endpoint_origin(url, "token_endpoint")
    assert time.process_time() - began_at < 1.0


@pytest.mark.parametrize(("package", "auth"), [(httpx, HttpxAuth), (httpx2, Httpx2Auth)], ids=["httpx", "httpx2"])
@pytest.mark.parametrize(
    ("listed", "url", "carried"),
    [
        ("https://api.acme.test", "wss://api.acme.test/socket", "Bearer key"),
        ("wss://api.acme.test", "https://api.acme.test/x", "Bearer key"),
        ("http://127.0.0.1:9", "ws://127.0.0.1:9/socket", "Bearer key"),
        ("https://api.acme.test", "ws://api.acme.test/socket", None),
        ("https://api.acme.test", "wss://evil.test/socket", None),
        ("*", "wss://any.test/socket", "Bearer key"),
        ("*", "ws://127.0.0.1:9/socket", None),
    ],
)
def test_a_websocket_gets_the_token_of_its_origin(
    package: Any, auth: Any, listed: str, url: str, carried: str | None
) -> None:
    """RFC 6455 section 4.1: it begins as an HTTP request to the same host and port (httpx-ws)."""
    sent: list[Any] = []
    transport = package.MockTransport(lambda request: sent.append(request) or package.Response(200))
    with package.Client(auth=auth(StaticToken("key", api_origins=(listed,))), transport=transport) as http:
        http.get(url)
    assert sent[0].headers.get("authorization") == carried
