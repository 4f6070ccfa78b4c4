"""How long the authorization server asked this client to wait: one `Retry-After` for all grants of one `OAuthClient`.

Used by the renewal, which asks before each request, and by `keepalive`, which waits. What this file promises:

* While a pause lasts, no renewal of this `OAuthClient` object is sent. Each fails with the time that is left. Another
  object with the same registration may have another clock and another policy, so it has pauses of its own.
* The answer to an early renewal, whose token still works, holds for other early renewals and for keepalive. A renewal
  that a caller needs is sent all the same: some servers refuse early renewals only.
* Where a server stands for several parties (bLink's banks), each party has a pause of its own.
* A pause is bounded by `RenewalPolicy.max_retry_after`, and is over if the clock is set back to before its beginning.

It never reads a clock.
"""

from __future__ import annotations

import threading

from ..errors import BlnkAuthError, TemporarilyUnavailable
from ..stores._forks import reset_in_child
from .cooldown import Cooldown

_MOST = 1_000
"""How many pauses there may be at the same time. Beyond it, those that end first are forgotten."""

_Key = tuple[str | None, bool]
"""The party behind the server, and whether the pause is the answer to an early renewal."""


class ServerPause:
    """The pauses of one client. May be used from any thread.

    Args:
        longest: The most seconds that a pause lasts.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._pauses: dict[_Key, Cooldown] = {}
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: the thread that had the lock does not exist here."""
        self._lock = threading.Lock()

    def note(self, target: str | None, error: BlnkAuthError, now: float, *, early: bool) -> None:
        """Remember the `retry_after` of an error, if it has one.

        Args:
            target: The party behind the server.
            error: Why a renewal failed.
            now: UTC epoch seconds.
            early: Whether the token still worked, so that no caller needed this renewal.
        """
        if not isinstance(error, TemporarilyUnavailable) or not error.retry_after:
            return
        until = now + min(error.retry_after, self._longest)
        with self._lock:
            before = self._pauses.get((target, early))
            if before is None or before.until < until or not before.is_active(now):
                self._pauses[target, early] = Cooldown(1, now, until)
            active = {each: pause for each, pause in self._pauses.items() if pause.is_active(now)}
            kept = sorted(active, key=lambda each: active[each].until)[-_MOST:]
            self._pauses = {each: active[each] for each in kept}

    def left(self, target: str | None, now: float, *, early: bool) -> float:
        """Seconds until such a request may be sent again; 0 if it may be sent now."""
        pauses = [self._pauses.get((target, False)), self._pauses.get((target, True)) if early else None]
        return max((pause.until - now for pause in pauses if pause is not None and pause.is_active(now)), default=0.0)

    def check(self, target: str | None, now: float, *, early: bool) -> None:
        """Raise `TemporarilyUnavailable` while the pause lasts."""
        left = self.left(target, now, early=early)
        if left > 0:
            raise asked_to_wait(left)


def asked_to_wait(left: float) -> TemporarilyUnavailable:
    """The error for a request that is not sent. `left`: seconds until it may be sent."""
    return TemporarilyUnavailable(
        "the authorization server asked this client to wait (Retry-After)",
        remedy="try again when that time is over",
        retry_after=left,
    )
