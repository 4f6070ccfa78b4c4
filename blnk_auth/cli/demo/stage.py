"""Where an act plays: whose token, which sandbox, and how long the traffic goes on."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from ...source import TokenSource
from .books import Books, Ending
from .figures import Act
from .remote import RemoteSandbox

SUBJECT = "alice"

CALL_TIMEOUT = 30.0
"""Seconds after which a call has failed."""

_PAUSE = 0.03
"""Seconds between two calls of steady traffic."""

_PATIENCE = 20.0
"""Seconds to wait for a renewal beyond the token's lifetime; then the act ends and is off, as after a failed call."""


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

    def revoke(self) -> None:
        """Have the API reject the token from now on."""
        self.say("its token was revoked")
        self.sandbox.revoke_access_tokens()

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
            yield from self._until("expired", number)
        self.revoke()
        yield from self._until("revoked", promise.revoked)

    def _until(self, kind: Ending, wanted: int) -> Iterator[None]:
        """Until so many have ended in that way and their successor is in use; or until the act cannot end well."""
        give_up_at = time.monotonic() + self.lifetime + _PATIENCE
        while time.monotonic() < give_up_at:
            books = self.sandbox.books().since(self.before)
            if self.act.figures.failed or books.endings["needless"]:
                return
            if books.endings[kind] >= wanted and self._has_successor(books):
                return
            yield

    def _has_successor(self, books: Books) -> bool:
        """Whether the answer of the last renewal has arrived here."""
        # A token that is revoked on its way to us fails the call that was already repeated with it, and rightly so.
        issued_at = self.source.token().issued_at
        return issued_at is not None and issued_at >= books.superseded[-1].superseded_at
