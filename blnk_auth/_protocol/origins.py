"""Which origins may receive a token.

An origin is scheme, host and port (RFC 6454). Two rules hold everywhere: a token travels over https, or over http to
this very machine; and it goes only to origins that were listed. The parts come from the HTTP client's own URL parser,
never from a second one, so that what is checked is what is connected to.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from ..errors import ConfigurationError

ANY_ORIGIN = "*"
# What is neither a letter-digit-hyphen name nor an address (RFC 3986 section 3.2.2) some parsers take for another host.
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9.])?|[0-9a-f:.]*:[0-9a-f:.%a-z0-9]*")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """A normalized origin: lower-case scheme and host, IPv6 without brackets and compressed, port always given."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS.get(self.scheme) else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def is_secure(self) -> bool:
        """Whether a secret may travel there: https, or plain http to a loopback address (RFC 8252 section 8.3)."""
        return self.scheme == "https" or (self.scheme == "http" and is_loopback(self.host))


def normalize(scheme: str, host: str, port: int | None) -> Origin:
    """The origin made of parts as a URL parser delivers them. A host with a trailing dot is another host."""
    scheme = scheme.lower()
    return Origin(scheme, _normalize_host(host), port if port is not None else _DEFAULT_PORTS.get(scheme, 0))


def is_loopback(host: str) -> bool:
    """Whether the host names this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class AllowedOrigins:
    """The origins a source's token may be sent to. Immutable."""

    __slots__ = ("any_secure", "listed")

    def __init__(self, origins: Iterable[str], *, parameter: str = "api_origins") -> None:
        if isinstance(origins, str):
            raise ConfigurationError(
                f"{parameter} must be a sequence of origins, as in ({origins!r},)", parameter=parameter
            )
        if not isinstance(origins, Iterable):
            raise ConfigurationError(
                f'{parameter} must be a sequence of origins, as in ("https://api.example.com",)', parameter=parameter
            )
        named = tuple(origins)
        self.any_secure = ANY_ORIGIN in named
        self.listed = frozenset(parse_origin(origin, parameter) for origin in named if origin != ANY_ORIGIN)
        if not self.any_secure and not self.listed:
            raise ConfigurationError(
                f"{parameter} is empty, so no request could carry the token; list the API's origins, "
                f'as in {parameter}=("https://api.example.com",), or say "*" for any https origin',
                parameter=parameter,
            )

    def permits(self, origin: Origin) -> bool:
        """Whether a token may be sent to `origin`."""
        return origin in self.listed or (self.any_secure and origin.is_secure)

    def __repr__(self) -> str:
        return f"<AllowedOrigins {'*' if self.any_secure else ' '.join(sorted(map(str, self.listed)))}>"


def parse_origin(url: str, parameter: str) -> Origin:
    """The origin written as `url`, which has no path, query or userinfo. Raises `ConfigurationError` if it is none."""
    origin = endpoint_origin(url, parameter)
    parts = urlsplit(url)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{parameter}: {url!r} has more than an origin", parameter=parameter, remedy=f"write only {str(origin)!r}"
        )
    return origin


def endpoint_origin(url: str, parameter: str) -> Origin:
    """The origin of the endpoint at `url`. Raises `ConfigurationError` if a secret must not be sent there."""
    if not isinstance(url, str) or any(ord(character) <= 0x20 or ord(character) == 0x7F for character in url):
        raise ConfigurationError(f"{parameter} must be a URL without spaces or control characters", parameter=parameter)
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise ConfigurationError(
            f"{parameter} is not a URL ({error})", parameter=parameter, remedy="write it as https://host/path"
        ) from None
    if parts.scheme.lower() not in _DEFAULT_PORTS or not host:
        raise ConfigurationError(
            f"{parameter} must be an absolute URL such as https://host/path, not {_shown(url)!r}", parameter=parameter
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            f"{parameter} must not hold a user name or password",
            parameter=parameter,
            remedy="pass credentials separately",
        )
    origin = normalize(parts.scheme, _in_ascii(host), port)
    if not _HOST.fullmatch(origin.host):
        raise ConfigurationError(
            f"{parameter}: {origin.host[:100]!r} is no host name that every client reads alike",
            parameter=parameter,
            remedy="write it in ASCII, an international name as xn--...",
        )
    if not origin.is_secure:
        raise ConfigurationError(
            f"{parameter} uses http to {origin.host!r}, where a secret could be read on the way",
            parameter=parameter,
            remedy="use https (plain http is accepted only for a loopback address)",
        )
    return origin


def parse_base_url(url: str, parameter: str) -> tuple[Origin, str]:
    """The origin of a base URL, and the URL without a slash at its end. Raises `ConfigurationError` if it is none."""
    origin = endpoint_origin(url, parameter)
    if "?" in url or "#" in url:
        raise ConfigurationError(
            f"{parameter} must have no query and no fragment: paths are added to it", parameter=parameter
        )
    return origin, url.rstrip("/")


def origins_of_provider(own: Origin, further: Iterable[str]) -> tuple[str, ...]:
    """A provider's own origin and those that its user adds as `api_origins`."""
    if isinstance(further, str):
        raise ConfigurationError(
            f"api_origins must be a sequence of origins, as in ({further!r},)", parameter="api_origins"
        )
    return str(own), *further


def _shown(url: str) -> str:
    # What precedes an @ may be a password.
    return url.rsplit("@", 1)[-1][:100]


def _in_ascii(host: str) -> str:
    """The name as it is looked up: by IDNA 2008, as HTTP clients do, for which faß.de and fass.de are two hosts."""
    if host.isascii():
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
