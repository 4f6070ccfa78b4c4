"""Targets: URLs. What users list, where a request is sent, where a redirect leads, and what a server names as its API.

The oracle is what each HTTP package really connects to: whenever a request carries the token, it is sent to an origin
that may have it. No URL is parsed here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

from fuzz.connections import Sent, sent_by
from fuzz.strategies import URL_PIECES, one_of_these, texts_of
from fuzz.target import Target, only_our_errors
from hypothesis import strategies as st

from blnk_auth import Auth, BlnkAuthError, ConfigurationError, Httpx2Auth, HttpxAuth, RequestsAuth, StaticToken
from blnk_auth._protocol.origins import Origin, endpoint_origin, origin_below, parse_base_url, parse_origin

AUTH: dict[str, Callable[[Any], Any]] = {"httpx": HttpxAuth, "httpx2": Httpx2Auth, "requests": RequestsAuth}
HEADERS = {"Authorization": "Bearer key", "X-Api-Key": "key"}

LISTED = {
    "https://api.acme.test": (True, "api.acme.test", 443),
    "https://api.acme.test:8443": (True, "api.acme.test", 8443),
    "http://127.0.0.1:8123": (False, "127.0.0.1", 8123),
    "https://[2001:db8::1]": (True, "2001:db8::1", 443),
    "https://xn--bcher-kva.test": (True, "xn--bcher-kva.test", 443),
    "https://xn--fa-hia.test": (True, "xn--fa-hia.test", 443),
}
"""Origins that may have the token, and the connections that reach them."""


def key(header: str, origins: Iterable[str]) -> StaticToken:
    """A key that is sent in this header."""
    if header == "Authorization":
        return StaticToken("key", api_origins=tuple(origins))
    return StaticToken("key", api_origins=tuple(origins), header=header)


def check_listed(value: tuple[str, str, str]) -> None:
    """A request to the very URL that a user lists carries the token only if it is sent to what we read."""
    package, header, url = value
    with only_our_errors():
        origin = parse_origin(url, "api_origins")
        assert origin.is_secure
        assert parse_origin(str(origin), "api_origins") == origin, "written out, it is another origin"
        for sent in sent_with_token(package, f"{url.rstrip('/')}/x", key(header, [url])):
            if carries(sent, header):
                assert same(sent, origin), f"{package} connected to {sent.origin}, and {origin} is listed"


def check_request(value: tuple[str, str, str]) -> None:
    """A request to any URL carries the token only if it is sent to a listed origin."""
    package, header, url = value
    for sent in sent_with_token(package, url, key(header, LISTED)):
        if carries(sent, header):
            assert sent[:3] in LISTED.values(), f"{package} sent the token to {sent.origin}"


def check_redirect(value: tuple[str, str, str, int]) -> None:
    """After a redirect to anywhere, only requests to listed origins carry the token."""
    package, header, location, status = value

    def respond(number: int) -> tuple[int, dict[str, str]]:
        return (status, {"location": location}) if number == 0 else (200, {})

    requests = sent_with_token(package, "https://api.acme.test/start", key(header, LISTED), respond)
    for number, sent in enumerate(requests):
        if carries(sent, header):
            assert sent[:3] in LISTED.values(), f"{package} took the token to {sent.origin}"
        else:
            assert number, "the first request had no token"


def check_endpoint(value: tuple[str, str]) -> None:
    """A URL that may get a secret means the same to the HTTP package that sends it there."""
    package, url = value
    with only_our_errors():
        origin = endpoint_origin(url, "token_endpoint")
        assert origin.is_secure
        for sent in sent_to(package, url, None):
            assert same(sent, origin), f"{package} connects to {sent.origin}, and we read {origin}"
    with only_our_errors():
        origin, base = parse_base_url(url, "base_url")
        for sent in sent_to(package, f"{base}/token", None):
            assert same(sent, origin), f"{package} connects to {sent.origin}, and we read {origin}"


def check_origin_from_token(value: tuple[str, str]) -> None:
    """An origin that comes with a token is below a suffix that the provider lists, for every HTTP package."""
    package, url = value
    origin = origin_below(url, ("acme.test",))
    if origin is None:
        return
    for sent in [*sent_to(package, url, None), *sent_to(package, f"{origin}/x", None)]:
        assert sent.tls
        assert sent.host.lower() == "acme.test" or sent.host.lower().endswith(".acme.test"), sent.host


def sent_with_token(package: str, url: str, source: StaticToken, respond: Any = None) -> list[Sent]:
    """What is sent to a URL with the package's auth class; with `Auth`, which every package accepts, it is the same."""
    sent = sent_to(package, url, AUTH[package](source), respond)
    assert sent_to(package, url, Auth(source), respond) == sent, "with Auth, something else is sent"
    return sent


def sent_to(package: str, url: str, auth: Any, respond: Any = None) -> list[Sent]:
    """What is sent to a URL: nothing, where the package refuses it. An error of this library fails the test."""
    try:
        return sent_by(package, url, auth) if respond is None else sent_by(package, url, auth, respond)
    except (ConfigurationError, AssertionError):
        raise
    except BlnkAuthError as error:
        raise AssertionError(f"raised into the request: {error!r}") from error
    except Exception as error:
        _check_not_ours(error)
        return []


def _check_not_ours(error: BaseException) -> None:
    """What the package raises is its own business, unless the innermost frame is in this library."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None and "blnk_auth" in trace.tb_frame.f_globals.get("__name__", "").split("."):
        raise AssertionError(f"raised into the request: {error!r}") from error


def carries(sent: Sent, header: str) -> bool:
    """Whether the request had the token."""
    return sent.headers.get(header.lower()) == HEADERS[header]


def same(sent: Sent, origin: Origin) -> bool:
    """Whether the connection leads to the origin."""
    return (sent.tls, address(sent.host), sent.port) == (origin.scheme == "https", address(origin.host), origin.port)


def address(host: str) -> object:
    """A host name in lower case, or an IP address by its value."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.lower()


PACKAGES = st.sampled_from(list(AUTH))
NAMES = st.sampled_from(list(HEADERS))
HOSTS = one_of_these(
    [
        *(
            "api.acme.test",
            "API.Acme.Test",
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[2001:db8::1]",
            "bücher.test",
            "faß.test",
        )
    ],
    texts_of(URL_PIECES, 4),
)
URLS = (
    st.builds(
        "{}{}{}{}{}".format,
        one_of_these(["https://", "http://", "wss://", "HTTPS://", "//"], st.sampled_from(URL_PIECES)),
        one_of_these([""], st.sampled_from(["user@", "user:secret@", "@", "api.acme.test@", "a%40b@", "\\@"])),
        HOSTS,
        one_of_these(["", ":443", ":8443"], st.sampled_from([each for each in URL_PIECES if ":" in each])),
        one_of_these(["", "/", "/x?y#z"], texts_of(URL_PIECES, 4)),
    )
    | texts_of(URL_PIECES)
    | st.sampled_from(list(LISTED)).flatmap(lambda url: texts_of(URL_PIECES, 3).map(lambda rest: url + rest))
)

_WORDS = frozenset([*AUTH, *HEADERS])

TARGETS = (
    Target("listed_origin", st.tuples(PACKAGES, NAMES, URLS), check_listed, _WORDS),
    Target("request_url", st.tuples(PACKAGES, NAMES, URLS), check_request, _WORDS),
    Target(
        "redirect", st.tuples(PACKAGES, NAMES, URLS, st.sampled_from([301, 302, 303, 307, 308])), check_redirect, _WORDS
    ),
    Target("endpoint", st.tuples(PACKAGES, URLS), check_endpoint, _WORDS),
    Target("origin_from_token", st.tuples(PACKAGES, URLS), check_origin_from_token, _WORDS),
)
