"""Where an act plays: whose token, which sandbox, and how long the traffic goes on."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from ...source import TokenSource
from .books import Books
from .figures import Act
from .remote import RemoteSandbox

SUBJECT = "alice"

CALL_TIMEOUT = 30.0
"""Seconds after which a call has failed."""

_PAUSE = 0.03
"""Seconds between two calls of steady traffic."""

_PATIENCE = 20.0
"""Seconds to wait for a renewal beyond the lifetime of the token; then the act ends, and its figures are off."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What every act needs. `before`: the books when it began. `lifetime`: of its access tokens, in seconds."""

    act: Act
    source: TokenSource
    sandbox: RemoteSandbox
    before: Books
    lifetime: float

    @property
    def origin(self) -> str:
        """Of the API."""
        return self.sandbox.address.origin

    @property
    def url(self) -> str:
        """Something to call."""
        return f"{self.origin}/data/ledgers"

    def say(self, stage: str) -> None:
        """Tell whoever watches what is going on."""
        self.act.stage = stage

    def drive(self, call: Callable[[], int]) -> None:
        """Steady traffic from this thread: `call` makes one call and returns its status."""
        for _ in self._course():
            with self.act.figures.call() as made:
                made.status = call()
            time.sleep(_PAUSE)

    async def adrive(self, call: Callable[[], Awaitable[int]], sleep: Callable[[float], Awaitable[None]]) -> None:
        """Steady traffic from this task; `sleep` is its event loop's."""
        for _ in self._course():
            with self.act.figures.call() as made:
                made.status = await call()
            await sleep(_PAUSE)

    def _course(self) -> Iterator[None]:
        """Asks for one call after the other until as many tokens have expired, and been revoked, as promised."""
        promise = self.act.promise
        for number in range(1, promise.expired + 1):
            self.say(f"until expiry {number} of {promise.expired}")
            yield from self._until(lambda books, number=number: books.endings["expired"] >= number)
        self.say("its token was revoked")
        self.sandbox.revoke_access_tokens()
        yield from self._until(lambda books: books.endings["revoked"] >= promise.revoked)

    def _until(self, reached: Callable[[Books], bool]) -> Iterator[None]:
        give_up_at = time.monotonic() + self.lifetime + _PATIENCE
        while not reached(self.sandbox.books().since(self.before)) and time.monotonic() < give_up_at:
            yield
