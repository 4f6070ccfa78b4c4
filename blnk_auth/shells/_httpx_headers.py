"""A secret in a header of its own name, which httpx and httpx2 would send along to another host on a redirect.

They strip only `Authorization` there. An auth flow is not asked about redirects, but each redirected request gets a
copy of the headers, and what is not among the copied ones does not travel.
"""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# The base class is known at run time only.

from __future__ import annotations

import functools
from typing import Any


def unredirected(httpx: Any, headers: Any, name: str, value: str) -> Any:
    """The headers with one more, which is sent with this request but is not carried into a copy of them."""
    return _unredirected_class(httpx)(headers, name, value)


@functools.cache
def _unredirected_class(httpx: Any) -> Any:
    class UnredirectedHeaders(httpx.Headers):  # type: ignore[misc]  # the base is known at run time only
        def __init__(self, headers: Any, name: str, value: str) -> None:
            super().__init__(headers)
            self._own = (name, value)

        def _is_own(self, name: str) -> bool:
            return name.lower() == self._own[0].lower()

        @property
        def raw(self) -> list[tuple[bytes, bytes]]:
            name, value = self._own
            return [*super().raw, (name.encode("ascii"), value.encode("ascii"))]

        def multi_items(self) -> list[tuple[str, str]]:
            name, value = self._own
            return [*super().multi_items(), (name.lower(), value)]

        def __getitem__(self, name: str) -> str:
            return self._own[1] if self._is_own(name) else str(super().__getitem__(name))

        def __contains__(self, name: object) -> bool:
            return (isinstance(name, str) and self._is_own(name)) or bool(super().__contains__(name))

    return UnredirectedHeaders
