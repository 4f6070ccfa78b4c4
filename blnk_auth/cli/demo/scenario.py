"""What a scenario runs with: whose token, which sandbox, and how long the calls continue.

Used by every scenario of the demo. It promises that a scenario ends: after a failed call, or if a renewal takes too
long. It never renews a token itself.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from ...source import TokenSource
from .remote_sandbox import RemoteSandbox
from .results import Scenario
from .server_record import Ending, ServerRecord

SUBJECT = "alice"

CALL_TIMEOUT = 30.0
"""Seconds after which a call has failed."""

_PAUSE = 0.03
"""Seconds between two calls of steady traffic."""

_RENEWAL_TIMEOUT = 20.0
"""Seconds to wait for a renewal beyond the token's lifetime. Then the scenario ends and has failed."""


@dataclass(frozen=True, slots=True)
class ScenarioRun:
    """What every scenario needs.

    Attributes:
        scenario: The scenario that runs.
        source: Whose token it uses.
        sandbox: The sandbox that it calls.
        before: The server's record when it began.
        lifetime: The lifetime of access tokens, in seconds.
    """

    scenario: Scenario
    source: TokenSource
    sandbox: RemoteSandbox
    before: ServerRecord
    lifetime: float

    @property
    def origin(self) -> str:
        """The origin of the API."""
        return self.sandbox.address.origin

    @property
    def url(self) -> str:
        """The URL that the scenario calls."""
        return f"{self.origin}/data/ledgers"

    def set_progress(self, progress: str) -> None:
        """Set what the table shows about the scenario."""
        self.scenario.progress = progress

    def revoke(self) -> None:
        """Make the API reject the token from now on."""
        self.set_progress("its token was revoked")
        self.sandbox.revoke_access_tokens()

    def drive(self, call: Callable[[], int]) -> None:
        """Make steady calls from this thread: `call` makes one and returns its status."""
        for _ in self._until_expected():
            with self.scenario.figures.call() as made:
                made.status = call()
            time.sleep(_PAUSE)

    async def adrive(self, call: Callable[[], Awaitable[int]], sleep: Callable[[float], Awaitable[None]]) -> None:
        """Make steady calls from this task; `sleep` is its event loop's."""
        for _ in self._until_expected():
            with self.scenario.figures.call() as made:
                made.status = await call()
            await sleep(_PAUSE)

    def _until_expected(self) -> Iterator[None]:
        """Yield before each call, until as many tokens have expired and been revoked as are expected."""
        expectation = self.scenario.expectation
        for number in range(1, expectation.expired + 1):
            self.set_progress(f"until expiry {number} of {expectation.expired}")
            yield from self._until("expired", number)
        self.revoke()
        yield from self._until("revoked", expectation.revoked)

    def _until(self, kind: Ending, wanted: int) -> Iterator[None]:
        """Yield until `wanted` tokens have ended so and the next one is in use, or the scenario has failed."""
        give_up_at = time.monotonic() + self.lifetime + _RENEWAL_TIMEOUT
        while time.monotonic() < give_up_at:
            server_record = self.sandbox.server_record().since(self.before)
            if self.scenario.figures.failed or server_record.endings["needless"]:
                return
            if server_record.endings[kind] >= wanted and self._has_successor(server_record):
                return
            yield

    def _has_successor(self, server_record: ServerRecord) -> bool:
        """Whether the result of the last renewal has arrived in this process."""
        # A token that is revoked while its response is on the way fails the call that is repeated with it, rightly.
        issued_at = self.source.token().issued_at
        return issued_at is not None and issued_at >= server_record.superseded[-1].superseded_at
