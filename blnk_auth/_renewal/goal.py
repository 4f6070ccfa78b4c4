"""What the caller of a renewal needs, and whether a token that exists already is enough. Pure.

Used by `current_token`, which makes the goal, and by `renewal`, which meets it. It never reads a clock or a store.
"""

from __future__ import annotations

from typing import NamedTuple

from ..token import Token
from .cached_token import CachedToken
from .schedule import Action


class Goal(NamedTuple):
    """Which token is good enough for the caller.

    Attributes:
        known: The token that this process has cached; None if it has none.
        must_differ: Whether the cached token is not good enough even if it is valid: the API rejected it, or the caller
            asked for a new one.
        forced: Whether the server must be asked, even if another process has stored a newer token.
        rejected: A token that must not be used again, in addition to `known`; None if there is no other.
    """

    known: CachedToken | None
    must_differ: bool = False
    forced: bool = False
    rejected: Token | None = None

    def is_met_by(self, found: CachedToken, now: float) -> bool:
        """Whether a token from memory or from the store is good enough, so that the server need not be asked."""
        if self.forced:
            return False
        action = found.schedule.action_at(now)
        if action is Action.USE:
            return self._is_another(found) or not self.must_differ
        return action is Action.USE_AND_RENEW and self._is_another(found)

    def _is_another(self, found: CachedToken) -> bool:
        if self.rejected is not None and found.token == self.rejected:
            return False
        # Marking the grant as ended changes the stored version, but not the token.
        known = self.known
        return known is None or (found.version != known.version and found.token != known.token)
