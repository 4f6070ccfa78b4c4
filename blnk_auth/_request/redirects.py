"""Removes the token from redirected requests, in httpx, httpx2 and requests.

Used by the auth classes. It promises that a request that is redirected to an origin that is not listed contains neither
the token nor the other headers that we attached. It never follows a redirect itself.

All three packages remove `Authorization` when a redirect leads to another origin, but no other header.

* httpx and httpx2 copy the headers of the first request to the redirected one, and do not call the auth class. So our
  other headers are put where they are sent but never copied (`unredirected`): no redirected request has them.
* requests calls a response hook before it follows a redirect. The hook removes our headers, unless the `Location` names
  an allowed origin in a form that every URL parser reads in the same way (`leads_to`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._protocol.origins import Origin, normalize

if TYPE_CHECKING:
    import httpx

# Parsers disagree about ////host, https:////host, //\host, and tabs or line breaks between the slashes: some read a
# path there, others a host. They all agree about what these two patterns match.
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
    """A copy of `headers` with the headers `own`, which are sent but not copied to a redirected request.

    `Authorization` is copied: the packages already send it to the same origin only. A header of `headers` that has the
    name of one in `own` is replaced.

    Args:
        package: httpx or httpx2, whose classes these are.
        headers: The request's headers.
        own: The headers to attach.
    """
    plain = dict(own)
    authorization = plain.pop("Authorization", None)
    made = _unredirected_class(package)(headers)
    for name in plain:
        made.pop(name, None)
    made.own = _encoded(plain)
    if authorization is not None:
        made["Authorization"] = authorization
    return made  # type: ignore[no-any-return]  # a subclass that is made at run time


def with_proof(package: Any, headers: httpx.Headers, authorization: str, proof: Mapping[str, str]) -> httpx.Headers:
    """The same for `headers` that have no such header yet: the hot path of a token with a proof."""
    made = _unredirected_class(package)(headers)
    made["Authorization"] = authorization
    made.own = _encoded(proof)
    return made  # type: ignore[no-any-return]  # a subclass that is made at run time


def _encoded(own: Mapping[str, str]) -> dict[str, tuple[bytes, bytes]]:
    return {name.lower(): (name.encode("ascii"), value.encode("ascii")) for name, value in own.items()}


@functools.cache
def _unredirected_class(package: Any) -> Any:
    base: type[httpx.Headers] = package.Headers
    # Cheaper than `super()`: httpx reads every header of a request, for its cookies.
    value_of = base.__getitem__

    class UnredirectedHeaders(base):  # type: ignore[misc, valid-type]  # the base is known at run time only
        own: Mapping[str, tuple[bytes, bytes]] = {}
        """The headers that are not copied, by their names in lower case."""

        @property
        def raw(self) -> list[tuple[bytes, bytes]]:
            return [*super().raw, *self.own.values()]

        def multi_items(self) -> list[tuple[str, str]]:
            own = ((name, value.decode("ascii")) for name, (_, value) in self.own.items())
            return [*super().multi_items(), *own]

        def __getitem__(self, name: str) -> str:
            own = self.own.get(name.lower())
            return value_of(self, name) if own is None else own[1].decode("ascii")

        def __contains__(self, name: object) -> bool:
            return (isinstance(name, str) and name.lower() in self.own) or super().__contains__(name)

        def __reduce__(self) -> tuple[Any, ...]:
            # A pickled response contains its request, with headers of the package's own class and without ours.
            return base, (super().raw,)

    return UnredirectedHeaders
