"""Redirect URIs: which ones a client may have, and which kind of application has them.

Used where a client is made, and where one is registered. Pure: it never opens a port.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigurationError, quoted
from .origins import endpoint_origin, is_loopback

ApplicationType = Literal["native", "web"]
"""OpenID Connect Dynamic Client Registration section 2: what an application is, by where its users are sent back to."""

_OF_DOCUMENTS = frozenset({"about", "blob", "data", "file", "javascript", "vbscript"})
"""Schemes that a browser opens itself: they lead to no application."""


def check_redirect_uri(redirect_uri: str, parameter: str = "redirect_uri") -> None:
    """Raises `ConfigurationError` unless it is an absolute URI without a fragment (RFC 6749 section 3.1.2).

    A URL must be https, or http on a loopback address.
    """
    scheme = redirect_uri.partition(":")[0].lower() if isinstance(redirect_uri, str) and ":" in redirect_uri else ""
    if not scheme or "#" in redirect_uri or scheme in _OF_DOCUMENTS:
        raise ConfigurationError(
            f"{parameter} must be an absolute URI without a fragment, not {quoted(redirect_uri)}",
            parameter=parameter,
            remedy="pass the one that is registered at the provider",
        )
    if scheme in ("http", "https"):
        endpoint_origin(redirect_uri, parameter, any_port=True)


def application_type_of(redirect_uris: Iterable[str]) -> ApplicationType:
    """`web` if the users of all of them are sent back to a server by https; `native` if one leads to this machine."""
    return "web" if all(map(_is_of_a_server, redirect_uris)) else "native"


def accepts(registered: Iterable[str], redirect_uri: str) -> bool:
    """Whether a server with this list accepts `redirect_uri`.

    RFC 8252 section 7.3: "The authorization server MUST allow any port to be specified at the time of the request for
    loopback IP redirect URIs". An empty path is the same as `/` (RFC 3986 section 6.2.3).
    """
    return _compared(redirect_uri) in map(_compared, registered)


def any_port(redirect_uri: str | None) -> bool:
    """Whether it is an http address of this machine without a port: then each sign-in listens on any free port."""
    if redirect_uri is None:
        return False
    parts = _split(redirect_uri)
    return parts is not None and parts.scheme.lower() == "http" and is_loopback(parts.hostname or "") and not parts.port


def with_port(redirect_uri: str, port: int) -> str:
    """A loopback redirect URI without a port, with this one."""
    parts = urlsplit(redirect_uri)
    host = parts.hostname or ""
    return parts._replace(netloc=f"[{host}]:{port}" if ":" in host else f"{host}:{port}").geturl()


def ports_of(registered: Iterable[str], redirect_uri: str | None) -> tuple[int, ...]:
    """The ports with which a list has a loopback redirect URI that is used without one, in its order."""
    if redirect_uri is None or not any_port(redirect_uri):
        return ()
    fitting = (parts for each in registered if accepts((each,), redirect_uri) and (parts := _split(each)) is not None)
    return tuple(parts.port for parts in fitting if parts.port)


def _is_of_a_server(redirect_uri: str) -> bool:
    parts = urlsplit(redirect_uri)
    return parts.scheme.lower() == "https" and not is_loopback(parts.hostname or "")


def _compared(redirect_uri: str) -> str:
    parts = _split(redirect_uri)
    if parts is None or not parts.netloc:
        return redirect_uri
    host = parts.hostname or ""
    netloc = host if is_loopback(host) else parts.netloc
    return parts._replace(netloc=netloc, path=parts.path or "/").geturl()


def _split(uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(uri)
        # Raises for a port that is not a number.
        return parts if parts.port is None or parts.port >= 0 else None
    except ValueError:
        return None
