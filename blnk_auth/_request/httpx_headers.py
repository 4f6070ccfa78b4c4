"""Headers beside `Authorization`, which httpx and httpx2 would send along to another host on a redirect.

They strip only `Authorization` there. An auth flow is not asked about redirects, but each redirected request gets a
copy of the headers, and what is not among the copied ones does not travel.
"""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# The base class is known at run time only.

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any


def unredirected(httpx: Any, headers: Any, own: Mapping[str, str]) -> Any:
    """The headers with `own` in place of theirs: sent with this request, and not carried into a copy of them.

    `Authorization` is an exception: the packages carry it to the same origin and strip it elsewhere, as it should be.
    """
    plain = dict(own)
    authorization = plain.pop("Authorization", None)
    made = _unredirected_class(httpx)(headers, plain)
    if authorization is not None:
        made["Authorization"] = authorization
    return made


@functools.cache
def _unredirected_class(httpx: Any) -> Any:
    class UnredirectedHeaders(httpx.Headers):  # type: ignore[misc]  # the base is known at run time only
        def __init__(self, headers: Any, own: Mapping[str, str]) -> None:
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
            return str(super().__getitem__(name)) if own is None else own[1]

        def __contains__(self, name: object) -> bool:
            return (isinstance(name, str) and name.lower() in self._own) or bool(super().__contains__(name))

        def __reduce__(self) -> tuple[Any, ...]:
            # A response is pickled with its request; another process gets headers of the package's own, without ours.
            return httpx.Headers, (super().raw,)

    return UnredirectedHeaders
