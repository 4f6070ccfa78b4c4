"""The methods of `OAuthClient` for all its grants: listing them, keeping them alive, and deleting what has ended.

Used by `OAuthClient`, which derives from the class here. It checks what the user passed, and hands it to the code in
question. It never reads a store or sends a request itself.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

from .._renewal.client_grants import delete_ended, subjects
from .._renewal.client_state import ClientState
from ..errors import ConfigurationError, clears_locals, is_number, is_text, quoted
from ..source import TokenSource, source_of

if TYPE_CHECKING:
    import blnk_auth

    # Imported by the programs that keep grants alive, when they do.
    from .._renewal.keepalive import KeepaliveRun
else:
    # Annotations name its types, which it loads when they are used: `typing.get_type_hints` finds them by it.
    blnk_auth = sys.modules[__package__.rpartition(".")[0]]

_PAGE = 100
"""How many sources `adue` fetches at a time."""


@clears_locals
class ClientManyGrants:
    """What a client does with all its grants. Every method may be called from any thread or task."""

    _state: ClientState

    def subjects(self, prefix: str = "") -> Iterator[str]:
        """Who has signed in: every subject of whom this client has a grant in its store, also one that has ended.

        Blocks on the store; for asyncio and trio: `asubjects`.

        Args:
            prefix: What their names begin with. Default: an empty string, which lists all.

        Returns:
            The subjects, ascending, each once.

        Raises:
            ConfigurationError: `prefix` is not a string.
            StoreError: The store cannot list its keys.
        """
        return iter(subjects(self._state, checked_prefix(prefix)))

    async def asubjects(self, prefix: str = "") -> AsyncIterator[str]:
        """The same as `subjects`, for asyncio and trio: `async for subject in client.asubjects()`."""
        operations, prefix = self._state.operations, checked_prefix(prefix)
        for subject in await operations.await_for(operations.begin(lambda _events: subjects(self._state, prefix))):
            yield subject

    def due(self, before: float, limit: int | None = 100) -> Iterator[TokenSource]:
        """Find the users' grants that end before a moment unless they are renewed, for a scheduler of your own.

        A grant ends with its refresh token: at `refresh_expires_at`, or after the provider's `refresh_idle_lifetime`
        without use. Where neither is known, the expiry of its access token counts. A grant that has ended, or has no
        refresh token, is not found.

        A `DueStore` finds them by an index, page by page as they are needed; in other stores every record is read.
        Blocks on the store; for asyncio and trio: `adue`.

        Args:
            before: UTC epoch seconds.
            limit: How many are returned at most. None: all of them; memory does not grow with their number.

        Returns:
            The sources, by when they are due, and by store key where that is equal. A grant that
            could not be renewed is not returned twice by one iterator.

        Raises:
            ConfigurationError: An argument cannot work.
            StoreError: The store fails, or cannot list its keys. It may be raised during the iteration.
        """
        return self._due(_checked_moment("before", before), _checked_limit(limit))

    async def adue(self, before: float, limit: int | None = 100) -> AsyncIterator[TokenSource]:
        """The same as `due`, for asyncio and trio: `async for source in client.adue(before)`."""
        found = self._due(_checked_moment("before", before), _checked_limit(limit))
        while page := await self._state.operations.begin(
            lambda _events: list(itertools.islice(found, _PAGE))
        ).wait_async(math.inf):
            for source in page:
                yield source

    def _due(self, before: float, limit: int | None) -> Iterator[TokenSource]:
        from .._renewal.due_grants import due_grants

        return (source_of(self._state.current_token(grant)) for grant in due_grants(self._state, before, limit))

    def keepalive(
        self,
        horizon: float = 7 * 86400,
        *,
        idle_lifetime: float | None = None,
        rate: float = 10.0,
        workers: int = 4,
        shard: tuple[int, int] = (0, 1),
        on_progress: Callable[[int, int | None], object] | None = None,
    ) -> blnk_auth.KeepaliveReport:
        """Renew every grant whose refresh token would expire because it is not used. Run it once a day.

        Any number of hosts may run it at the same time: each due grant is renewed once. Blocks until all are renewed;
        Ctrl-C ends it after the renewals that are under way. For asyncio and trio: `akeepalive`.

        A `Retry-After` of the server is obeyed. The run ends early (`gave_up`) if it would wait for more than ten
        minutes since its last renewal, and if the server or the store is down; the next run does the rest. It also ends
        at the first new pair that cannot be saved: that pair is in the memory of this process only, which tries to save
        it at each later use of the grant.

        Args:
            horizon: Seconds. What would expire within this time is renewed; the default is seven days.
            idle_lifetime: Seconds after which an unused refresh token expires; every grant is read then. None: the
                provider's `refresh_idle_lifetime`, by which a `DueStore` finds the due grants without reading others.
                Where that is unknown too, only the expiry that the server reported counts.
            rate: Renewals per second, at most.
            workers: Concurrent renewals, at most; 1 to 64.
            shard: `(i, n)`: only part `i` of `n`, counted from 0. The default takes all grants.
            on_progress: Called about ten times a second with how many grants were read, and of how many; None as the
                total if that is not known. None: nothing is called.

        Returns:
            What was done, and who must sign in again.

        Raises:
            ConfigurationError: An argument cannot work.
            StoreError: The store cannot list its keys. The failures of single grants are in the report.
        """
        return self._keepalive_run(horizon, idle_lifetime, rate, workers, shard).run(on_progress)

    async def akeepalive(
        self,
        horizon: float = 7 * 86400,
        *,
        idle_lifetime: float | None = None,
        rate: float = 10.0,
        workers: int = 4,
        shard: tuple[int, int] = (0, 1),
        on_progress: Callable[[int, int | None], object] | None = None,
    ) -> blnk_auth.KeepaliveReport:
        """The same as `keepalive`, for asyncio and trio. `on_progress` is called on another thread.

        Cancelling it ends the run after the renewals that are under way, and does not wait for them.
        """
        run = self._keepalive_run(horizon, idle_lifetime, rate, workers, shard)
        try:
            return await self._state.operations.begin(lambda _events: run.run(on_progress)).wait_async(math.inf)
        finally:
            run.stop()

    def _keepalive_run(
        self, horizon: float, idle_lifetime: float | None, rate: float, workers: int, shard: tuple[int, int]
    ) -> KeepaliveRun:
        from .._renewal.keepalive import KeepaliveRun
        from .._renewal.keepalive_settings import KeepaliveSettings

        # The index has the lifetime of the provider.
        by_index = idle_lifetime is None
        idle_lifetime = self._state.provider.refresh_idle_lifetime if idle_lifetime is None else idle_lifetime
        settings = KeepaliveSettings.checked(horizon, idle_lifetime, rate, workers, shard)
        return KeepaliveRun(self._state, settings, by_index=by_index)

    def prune(self, ended_before: float) -> int:
        """Delete the records of grants that ended long ago, sign-ins that nobody finished, and old exchanges.

        A grant has ended when the server refused its refresh token, or when nothing can renew it any more. The client's
        own tokens are left, and so is a record that cannot be read. Blocks; for asyncio and trio: `aprune`.

        Args:
            ended_before: UTC epoch seconds. A grant that ended before is deleted, and so is the note of an exchange
                that was made before. Sign-ins are deleted if their time is over.

        Returns:
            How many records were deleted.

        Raises:
            ConfigurationError: `ended_before` is not a number.
            StoreError: The store cannot list its keys.
        """
        return self._prune(_checked_moment("ended_before", ended_before))

    async def aprune(self, ended_before: float) -> int:
        """The same as `prune`, for asyncio and trio."""
        ended_before = _checked_moment("ended_before", ended_before)
        return await self._state.operations.begin(lambda _events: self._prune(ended_before)).wait_async(math.inf)

    def _prune(self, ended_before: float) -> int:
        from .one_time_exchange import delete_exchanges
        from .pending_sign_ins import PendingSignIns

        state = self._state
        sign_ins = PendingSignIns(state.store, state.registration).delete_expired(state.clock())
        return delete_ended(state, ended_before) + sign_ins + delete_exchanges(state, ended_before)


def checked_prefix(prefix: str) -> str:
    """What the names of subjects begin with. Raises `ConfigurationError`."""
    if not is_text(prefix):
        raise ConfigurationError(
            f"prefix must be a string, not {quoted(prefix)}",
            parameter="prefix",
            remedy='pass what the subjects begin with, or ""',
        )
    return prefix


def _checked_moment(parameter: str, moment: float) -> float:
    if not is_number(moment):
        raise ConfigurationError(
            f"{parameter} must be a number, not {quoted(moment)}",
            parameter=parameter,
            remedy="pass UTC epoch seconds, such as time.time() - 90 * 86400",
        )
    return float(moment)


def _checked_limit(limit: int | None) -> int | None:
    if limit is not None and not (isinstance(limit, int) and not isinstance(limit, bool) and 0 < limit < sys.maxsize):
        raise ConfigurationError(
            f"limit must be a whole number of 1 or more, not {quoted(limit)}",
            parameter="limit",
            remedy="pass how many sources you want at most, or None for all",
        )
    return limit
