"""What the sign-ins of one client in one process share: when abandoned ones were last looked for, where they listen.

Used by the start of a sign-in, which deletes abandoned ones after that. It promises that one process looks about once a
minute, however many sign-ins are started, and looks again after the clock was set back. It never reads a clock.
"""

from __future__ import annotations

from .single_flight import SingleFlight

_INTERVAL = 60.0
"""Seconds between two looks for abandoned sign-ins. Each look lists keys of the store."""


class LastSweep:
    """When this process last looked for abandoned sign-ins of one client.

    May be used from any thread: two that ask at the same moment may both look, which does no harm.
    """

    def __init__(self) -> None:
        self._at: float | None = None

    def is_over(self, now: float) -> bool:
        """Whether it was long enough ago. If so, the next one begins `now`, in UTC epoch seconds."""
        if self._at is not None and self._at <= now < self._at + _INTERVAL:
            return False
        self._at = now
        return True


class SignInState:
    """What the sign-ins of one client share. May be used from any thread.

    Attributes:
        last_sweep: When abandoned sign-ins were last looked for.
        loopback_ports: The ports that a sign-in on this machine listens on if one of them is free, where the client's
            redirect URI names none. Empty: any port. Set before the first sign-in.
        flights: The sign-ins from inside a request that run now. Each waits for a user.
    """

    def __init__(self) -> None:
        self.last_sweep: LastSweep = LastSweep()
        self.loopback_ports: tuple[int, ...] = ()
        self.flights: SingleFlight = SingleFlight()
