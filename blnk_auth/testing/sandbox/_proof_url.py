"""Whether the `htu` of a DPoP proof is the URL of the request (RFC 9449 section 4.3, point 9).

Used by the check of proofs. It promises to compare after the syntax-based and scheme-based normalization of RFC 3986,
sections 6.2.2 and 6.2.3. It never ignores a query or a fragment of `htu`, which section 4.2 forbids there.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_UNRESERVED = re.compile("[A-Za-z0-9._~-]")


def is_same_url(htu: str, url: str) -> bool:
    """Whether they are the same. `url` has no query."""
    normalized = None if "?" in htu or "#" in htu else _normalized(htu)
    return normalized is not None and normalized == _normalized(url)


def _normalized(url: str) -> tuple[str, str, int | None, str] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname or parts.username is not None:
        return None
    return parts.scheme, parts.hostname, port or _PORTS.get(parts.scheme), _path(parts.path)


def _path(path: str) -> str:
    decoded = re.sub("%([0-9A-Fa-f]{2})", _decoded, path)
    segments: list[str] = []
    for segment in decoded.split("/")[1:]:
        if segment == "..":
            del segments[-1:]
        elif segment != ".":
            segments.append(segment)
    # A last segment that is removed leaves the slash before it.
    if decoded.endswith(("/.", "/..")):
        segments.append("")
    return "/" + "/".join(segments)


def _decoded(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if _UNRESERVED.fullmatch(character) else found[0].upper()
