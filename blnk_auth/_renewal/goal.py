"""What a renewal is to bring, and whether a token that is there already will do. Pure.

Used by `current_token`, which states the goal, and by `renewal`, which meets it.
"""

from __future__ import annotations

from typing import NamedTuple

from ..token import Token
from .cached_token import CachedToken
from .schedule import Action


class Goal(NamedTuple):
    """Which token will do.

    Attributes:
        known: What this process has cached; None if nothing.
        must_differ: Whether a valid token is not enough, because the API rejected it or the caller wants another one.
        forced: Whether the server must be asked, even if another process has stored a newer token.
        rejected: The token that must not be used again; None: `known`, if `must_differ`.
    """

    known: CachedToken | None
    must_differ: bool = False
    forced: bool = False
    rejected: Token | None = None

    def is_met_by(self, found: CachedToken, now: float) -> bool:
        """Whether a token found in memory or in the store makes asking the server unnecessary."""
        if self.forced:
            return False
        action = found.schedule.action_at(now)
        if action is Action.USE:
            return self._is_another(found) or not self.must_differ
        return action is Action.USE_AND_RENEW and self._is_another(found)

    def _is_another(self, found: CachedToken) -> bool:
        if self.rejected is not None and found.token == self.rejected:
            return False
        # A mark that the grant has ended makes another version, but not another token.
        known = self.known
        return known is None or (found.version != known.version and found.token != known.token)
