"""The end of a client: its connections are closed, and its renewals are saved first.

Used by `OAuthClient` and `ProtectedResource`. It promises that leaving a `with` block does the same as `close`, also
after an error, which it never suppresses. It never stops a renewal, and never waits for a user.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from .client_state import ClientState
from .single_flight import Flight


class ClosesConnections:
    """What is closed by `close`, `aclose`, `with` and `async with`."""

    def _close_connections(self) -> Iterable[ClientState]:
        """Close the kept connections; return the states whose renewals `close` waits for. The subclass's."""
        raise NotImplementedError

    def _renewals_to_wait_for(self) -> Iterator[tuple[Flight[Any], float]]:
        """Close the kept connections; then each renewal that is under way, and the seconds that are left for it."""
        states = list(self._close_connections())
        give_up_at = time.monotonic() + max((state.rules.wait_timeout for state in states), default=0.0)
        for state in states:
            for flight in state.flights.all_under_way():
                yield flight, max(0.0, give_up_at - time.monotonic())

    def close(self) -> None:
        """Close the connections that are kept, and wait for the renewals that are under way. Optional.

        Call it where the process may be killed without a chance to finish: in the shutdown hook of a web server or of
        a job queue. A renewal that is cut off after the server has rotated the refresh token costs the user's sign-in.

        Without it, connections are closed when they have been idle for 1.5 seconds, when the client no longer exists,
        and at exit; and Python's own exit waits for renewals. A closed client and its sources work on, but keep no
        connections. A request that is under way is not interrupted, and a `token_http` is not closed: it is the
        application's. May be called from any thread, also twice. It waits for at most `policy.lock_timeout` +
        `policy.request_deadline` + 5 seconds, and not for a user who is asked to sign in. Ctrl-C ends the wait, but no
        renewal. For `async with`: `aclose`.
        """
        for renewal, seconds in self._renewals_to_wait_for():
            renewal.wait_for_end(seconds)

    async def aclose(self) -> None:
        """The same as `close`, for asyncio and trio. If it is cancelled, renewals continue."""
        for renewal, seconds in self._renewals_to_wait_for():
            await renewal.wait_for_end_async(seconds)

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
        await self.aclose()
