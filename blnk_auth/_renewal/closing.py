"""`with` and `async with` for what keeps connections, by its `close`.

Used by `OAuthClient` and `ProtectedResource`. It promises that leaving the block closes the connections, also after an
error, which it never suppresses. It never closes anything by itself.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self


class ClosesConnections:
    """What is closed by `close`, `aclose`, `with` and `async with`. `close` is the subclass's."""

    def close(self) -> None:
        """Close the connections that are kept for the next request."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """The same as `close`, for asyncio and trio."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
