"""Which origins may receive a token, and which URLs may receive a secret.

Used by providers for their endpoints, and by the request flow for each URL. An origin is scheme, host and port (RFC
6454). What this file promises:

* A token is sent over https, or over http to a loopback address that is listed; and only to listed origins.
* The parts of a request's URL come from the HTTP client's own parser, never from a second one, so that what is checked
  is what is connected to.
* `wss` counts as `https` and `ws` as `http`: a WebSocket begins as a request to the same host and port (RFC 6455
  section 4.1).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigurationError, kind_of, quoted
from ..errors._pickling import public_in

ANY_ORIGIN = "*"
"""In a list of origins: any https origin."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_AS_HTTP = {"ws": "http", "wss": "https"}
_EXAMPLE = '("https://api.example.com",)'

# RFC 9110 section 4.1 asks recipients to read at least 8,000 octets.
_LONGEST_URL = 8000
# RFC 1035 section 2.3.4: 255 octets with the lengths of the labels.
_LONGEST_HOST = 253
# Some parsers read a host differently if it is neither an address nor a name of letters, digits and hyphens (RFC 3986
# section 3.2.2).
_HOST_NAME = r"[a-z0-9]([a-z0-9._-]*[a-z0-9.])?"
_HOST_AND_PORT = r"(?:\[[^\[\]]*\]|[^\[\]:]*)(?::[0-9]*)?"
"""Not compiled here, because every auth class imports this module without needing these patterns."""


_ENDPOINT_PATHS = ("/oauth/token", "/oauth/authorize", "/oauth/revoke", "/oauth/par")
"""What the providers add to a base URL."""


@public_in("provider")
class Origin(NamedTuple):
    """A normalized origin. Immutable; equal if it is the same origin.

    Attributes:
        scheme: In lower case; `https` also for `wss`, `http` also for `ws`.
        host: In lower case; an IPv6 address compressed and without brackets.
        port: Always given; 0 for a scheme without a default.
    """

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS.get(self.scheme) else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def is_secure(self) -> bool:
        """Whether a secret may be sent there: by https, or by http to a loopback address (RFC 8252 section 8.3)."""
        return self.scheme == "https" or (self.scheme == "http" and is_loopback(self.host))


def normalize(scheme: str, host: str, port: int | None) -> Origin:
    """The origin for the parts that a URL parser returns. A host with a trailing dot is a different host."""
    scheme = scheme.lower()
    scheme = _AS_HTTP.get(scheme, scheme)
    return Origin(scheme, _normalize_host(host), port if port is not None else _DEFAULT_PORTS.get(scheme, 0))


def is_loopback(host: str) -> bool:
    """Whether the host names this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@public_in("provider")
class AllowedOrigins:
    """The origins that a token may be sent to. Immutable; may be shared between threads and tasks.

    Attributes:
        any_https: Whether any https origin may receive the token.
        listed: The origins that were listed.
    """

    __slots__ = ("any_https", "listed")
    any_https: bool
    listed: frozenset[Origin]

    def __init__(self, origins: Iterable[str], *, parameter: str = "api_origins") -> None:
        """Read a list of origins.

        Args:
            origins: URLs without a path. `"*"` means any https origin; http to a loopback address must be listed.
            parameter: The name of the setting, for the error.

        Raises:
            ConfigurationError: The list is empty or not a list, or one of them is not an origin that may have a token.
        """
        # Set first, so that the repr works: a debugger may show an object whose constructor failed.
        self.any_https, self.listed = False, frozenset[Origin]()
        named = tuple(_checked_sequence(origins, parameter))
        self.any_https = ANY_ORIGIN in named
        self.listed = frozenset(parse_origin(origin, parameter) for origin in named if origin != ANY_ORIGIN)
        if not self.any_https and not self.listed:
            raise ConfigurationError(
                f"{parameter} must not be empty: no request could carry the token",
                parameter=parameter,
                remedy='list the origins of the API, such as "https://api.example.com", or "*" for any https origin',
            )

    def permits(self, origin: Origin) -> bool:
        """Whether a token may be sent to an origin.

        Args:
            origin: Where a request is sent.

        Returns:
            True if it is listed, or if it is https and any https origin is allowed.
        """
        return origin in self.listed or (self.any_https and origin.scheme == "https")

    def __repr__(self) -> str:
        return f"<AllowedOrigins {'*' if self.any_https else ' '.join(sorted(map(str, self.listed)))}>"


def parse_origin(url: str, parameter: str) -> Origin:
    """The origin written as `url`, without path, query or userinfo. Raises `ConfigurationError` if it is not one."""
    origin, path = _parse(url, parameter, (*_DEFAULT_PORTS, *_AS_HTTP))
    if path not in ("", "/"):
        raise ConfigurationError(
            f"{parameter}: {shown_url(url)} has more than an origin",
            parameter=parameter,
            remedy=f"write only {str(origin)!r}",
        )
    _check_port(origin, parameter)
    return origin


def endpoint_origin(url: str, parameter: str, *, any_port: bool = False) -> Origin:
    """The origin of the endpoint at `url`. Raises `ConfigurationError` if a secret must not be sent there.

    `any_port`: accept port 0, which means a port that is chosen later, as in a loopback redirect URI.
    """
    origin, _ = _parse(url, parameter, tuple(_DEFAULT_PORTS))
    if not any_port:
        _check_port(origin, parameter)
    return origin


def origin_below(url: object, suffixes: Iterable[str]) -> Origin | None:
    """The origin of a URL that a server sent, if a token may be sent there; else None.

    It must be https, and its host must be one of `suffixes` or a name below one. So it is never an IP address or this
    machine.
    """
    if not isinstance(url, str):
        return None
    try:
        origin = endpoint_origin(url, "api_origins_from_token")
    except ConfigurationError:
        return None
    return origin if is_below(origin, suffixes) else None


def is_below(origin: Origin, suffixes: Iterable[str]) -> bool:
    """Whether it is an https origin whose host is one of `suffixes` or below one."""
    return origin.scheme == "https" and any(
        origin.host == suffix or origin.host.endswith(f".{suffix}") for suffix in suffixes
    )


def parse_base_url(url: str, parameter: str) -> tuple[Origin, str]:
    """The origin of a base URL, and the URL without its last slash. Raises `ConfigurationError` if it is not one."""
    origin = endpoint_origin(url, parameter)
    if "?" in url or "#" in url:
        raise ConfigurationError(
            f"{parameter} has a query or a fragment, but paths are added to it",
            parameter=parameter,
            remedy="leave out what follows the path",
        )
    base = url.rstrip("/")
    for endpoint in _ENDPOINT_PATHS:
        if base.endswith(endpoint):
            raise ConfigurationError(
                f"{parameter} must be the URL to which {endpoint} is added, not that of an endpoint",
                parameter=parameter,
                remedy=f"leave {endpoint} out",
            )
    return origin, base


def origins_of_provider(own: Iterable[Origin | str], further: Iterable[str]) -> tuple[str, ...]:
    """A provider's own origins and those that its user adds as `api_origins`. Raises `ConfigurationError`."""
    return (*map(str, own), *_checked_sequence(further, "api_origins"))


def _checked_sequence(origins: Any, parameter: str) -> Iterable[str]:
    if isinstance(origins, str):
        raise ConfigurationError(
            f"{parameter} must be a sequence of origins, not a string",
            parameter=parameter,
            remedy=f"write {parameter}=({shown_url(origins)},)",
        )
    if isinstance(origins, bytes | Mapping) or not isinstance(origins, Iterable):
        raise ConfigurationError(
            f"{parameter} must be a sequence of origins, not {kind_of(cast('object', origins))}",
            parameter=parameter,
            remedy=f"write {parameter}={_EXAMPLE}",
        )
    return cast("Iterable[str]", origins)


def _parse(url: str, parameter: str, schemes: tuple[str, ...]) -> tuple[Origin, str]:
    """The origin of a URL, and what follows it."""
    _check_characters(url, parameter)
    parts, port, host = _split(url)
    if parts is None:
        raise ConfigurationError(
            f"{parameter} must be a URL", parameter=parameter, remedy="write it as https://host/path"
        )
    if parts.scheme.lower() not in schemes or not host:
        raise ConfigurationError(
            f"{parameter} must be an absolute URL, not {shown_url(url)}",
            parameter=parameter,
            remedy="write it as https://host/path",
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            f"{parameter} must not contain a user name or password",
            parameter=parameter,
            remedy="pass credentials separately",
        )
    if re.fullmatch(_HOST_AND_PORT, parts.netloc) is None:
        # Python reads the port after a colon, and httpx after the bracket.
        raise ConfigurationError(
            f"{parameter}: not every client reads {shown_url(parts.netloc)!r} alike",
            parameter=parameter,
            remedy="write a host, or an IPv6 address in brackets, and a port in digits behind a colon",
        )
    origin = normalize(parts.scheme, _in_ascii(host), port)
    _check_host(origin, parameter)
    return origin, parts._replace(scheme="", netloc="").geturl()


def _split(url: str) -> tuple[SplitResult | None, int | None, str | None]:
    """The URL, its port and its host; None where it cannot be read."""
    try:
        parts = urlsplit(url)
        return parts, parts.port, parts.hostname
    except ValueError:
        # Not raised again, because its text quotes the port, which may be a part of a password that has a slash.
        return None, None, None


def _check_characters(url: Any, parameter: str) -> None:
    if not isinstance(url, str):
        raise ConfigurationError(
            f"{parameter} must be a string, not {kind_of(url)}",
            parameter=parameter,
            remedy="write it as 'https://host/path'",
        )
    if " " in url or not url.isprintable():
        # These include characters that control a terminal, or reverse the direction of text.
        raise ConfigurationError(
            f"{parameter} has spaces, control characters or invisible characters",
            parameter=parameter,
            remedy="percent-encode them, or remove them",
        )
    if len(url) > _LONGEST_URL:
        raise ConfigurationError(
            f"{parameter} is longer than {_LONGEST_URL} characters",
            parameter=parameter,
            remedy="check it, and pass a shorter URL",
        )


def _check_host(origin: Origin, parameter: str) -> None:
    if "*" in origin.host:
        raise ConfigurationError(
            f"{parameter} must name hosts, not a pattern such as {origin.host[:100]!r}",
            parameter=parameter,
            remedy=f"list each host; {ANY_ORIGIN!r} alone in api_origins means any https origin",
        )
    if not _is_unambiguous(origin.host):
        raise ConfigurationError(
            f"{parameter}: not every client reads the host name {origin.host[:100]!r} alike",
            parameter=parameter,
            remedy="write it in ASCII, an international name as xn--...",
        )
    if not origin.is_secure:
        raise ConfigurationError(
            f"{parameter} uses http to {origin.host!r}, where a secret could be read on the way",
            parameter=parameter,
            remedy="use https (plain http is accepted only for a loopback address)",
        )


def _check_port(origin: Origin, parameter: str) -> None:
    if origin.port == 0:
        # httpx connects to the default port instead.
        raise ConfigurationError(
            f"{parameter} has port 0, which nothing can be connected to",
            parameter=parameter,
            remedy="write the port that the server listens on, or leave it out",
        )


def _is_unambiguous(host: str) -> bool:
    if ":" not in host:
        return len(host) <= _LONGEST_HOST and re.fullmatch(_HOST_NAME, host) is not None
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def shown_url(url: str) -> str:
    """A URL that is refused, as an error shows it."""
    # The part before an @ may contain a password, and the part after a question mark a token.
    shown = url.rsplit("@", 1)[-1].partition("?")[0]
    return repr(shown[:100]) if "://" in url else quoted(shown)


def _in_ascii(host: str) -> str:
    """The name in ASCII by IDNA 2008, as HTTP clients look it up: faß.de and fass.de are two hosts."""
    if host.isascii() or len(host) > _LONGEST_HOST:
        return host
    import idna

    try:
        return idna.encode(host.lower()).decode("ascii")
    except idna.IDNAError:
        return host


def _normalize_host(host: str) -> str:
    host = host.lower().strip("[]")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host
