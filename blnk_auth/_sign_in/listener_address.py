"""Where the listener of a sign-in is reached, and what a request to it names.

Used by the interactive sign-in. Pure: it reads and writes addresses and headers, and never opens a port.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

_PREFETCH_HEADERS = ("sec-purpose", "purpose", "x-purpose", "x-moz")
"""Headers of browsers that fetch a page before the user opens it: Chromium, older Chromium, Safari, older Firefox."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the browser is sent back to: a loopback redirect URI with the port of this sign-in."""

    host: str
    port: int
    path: str
    query: str

    @property
    def redirect_uri(self) -> str:
        return self.url(self.path, self.query)

    def url(self, path: str, query: str = "") -> str:
        """The address of another path of the listener."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return urlunsplit(("http", f"{host}:{self.port}", path, query, ""))


def host_and_port(host_header: str) -> tuple[str, int | None]:
    """The parts of a `Host` header (RFC 9110 section 7.2), an IPv6 address without its brackets."""
    try:
        parts = urlsplit(f"//{host_header}")
        return (parts.hostname or ""), 80 if parts.port is None else parts.port
    except ValueError:
        return "", None


def is_prefetch(headers: Mapping[str, str]) -> bool:
    """Whether a browser fetches the page before the user opens it."""
    purposes = " ".join(headers.get(name, "").lower() for name in _PREFETCH_HEADERS)
    return any(word in purposes for word in ("prefetch", "prerender", "preview"))
