"""Where a redirect loses the token, in httpx, httpx2 and requests.

Used by the auth classes. It promises that a redirect to an origin that is not listed loses the token, and every header
that we attached beside it. It never follows a redirect itself.

All three packages strip `Authorization` themselves where a redirect leads to another origin, and only that header.

* httpx and httpx2 ask no auth flow about a redirect: each redirected request gets a copy of the headers. So our other
  headers are kept where they are sent but not copied (`unredirected`), and follow no redirect at all.
* requests calls a response hook before it follows a redirect. There our headers are removed, unless the `Location`
  names an allowed origin in a spelling that every URL parser reads alike (`leads_to`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._protocol.origins import Origin, normalize

if TYPE_CHECKING:
    import httpx

# Parsers disagree about ////host, https:////host, //\host and tabs or line breaks among the slashes: some read a path
# there, others a host. All of them read alike what these two patterns match.
# Not compiled here: that takes longer than importing the rest of this package, and few requests are redirected.
_ABSOLUTE = (
    r"(?i)(?:(?P<scheme>https?):)?//(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?:[/?#][^\\\s\0-\x20]*)?"
)
_WITHIN_ORIGIN = r"(?a:(?:/(?!/)|[?#]|[\w.~-]+(?:[/?#]|$)|$)[^\\\s\0-\x20]*)"


def leads_to(origin: Origin, location: str) -> Origin | None:
    """The origin that a redirect from `origin` leads to; None if URL parsers may disagree about this `Location`."""
    if re.fullmatch(_WITHIN_ORIGIN, location):
        return origin
    found = re.fullmatch(_ABSOLUTE, location)
    if found is None:
        return None
    port = found["port"]
    return normalize(found["scheme"] or origin.scheme, found["host"], None if port is None else int(port))


def unredirected(package: Any, headers: httpx.Headers, own: Mapping[str, str]) -> httpx.Headers:
    """A copy of `headers` in which `own` replaces those of the same name. `own` is sent, and not copied again.

    `Authorization` is an exception: the packages carry it to the same origin and strip it elsewhere, as it should be.

    Args:
        package: httpx or httpx2, whose classes these are.
        headers: The request's headers.
        own: The headers to attach.
    """
    plain = dict(own)
    authorization = plain.pop("Authorization", None)
    made: httpx.Headers = _unredirected_class(package)(headers, plain)
    if authorization is not None:
        made["Authorization"] = authorization
    return made


@functools.cache
def _unredirected_class(package: Any) -> Any:
    base: type[httpx.Headers] = package.Headers

    class UnredirectedHeaders(base):  # type: ignore[misc, valid-type]  # the base is known at run time only
        def __init__(self, headers: httpx.Headers, own: Mapping[str, str]) -> None:
            self._own: Mapping[str, tuple[str, str]] = {}
            super().__init__(headers)
            for name in own:
                self.pop(name, None)
            self._own = {name.lower(): (name, value) for name, value in own.items()}

        @property
        def raw(self) -> list[tuple[bytes, bytes]]:
            own = [(name.encode("ascii"), value.encode("ascii")) for name, value in self._own.values()]
            return [*super().raw, *own]

        def multi_items(self) -> list[tuple[str, str]]:
            return [*super().multi_items(), *((name.lower(), value) for name, value in self._own.values())]

        def __getitem__(self, name: str) -> str:
            own = self._own.get(name.lower())
            return super().__getitem__(name) if own is None else own[1]

        def __contains__(self, name: object) -> bool:
            return (isinstance(name, str) and name.lower() in self._own) or super().__contains__(name)

        def __reduce__(self) -> tuple[Any, ...]:
            # A response is pickled with its request; another process gets headers of the package's own, without ours.
            return base, (super().raw,)

    return UnredirectedHeaders
