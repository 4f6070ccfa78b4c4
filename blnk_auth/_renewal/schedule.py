"""When a token is renewed. It never reads a clock: the caller passes the time.

Used for each token when it is cached, and before each request. A token has four phases, by this machine's clock:

    fresh ── renew_at ──► stale ── must_renew_at ──► about to expire ── expires_at ──► expired
    use it                use it, and renew in       wait for the renewal              wait for the renewal
                          the background             (use it if that fails)            (fail if that fails)
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    # Every auth class imports this module, and none needs these to be imported.
    from ..policy import RenewalPolicy
    from ..token import Token


class Action(enum.Enum):
    """What to do before a request is sent."""

    USE = "use the token"
    USE_AND_RENEW = "use the token, and renew it in the background"
    RENEW_FIRST = "wait for a renewal"


class Schedule(NamedTuple):
    """When a token is renewed, in UTC epoch seconds; infinity where that is unknown.

    Attributes:
        renew_at: From then on it is renewed in the background.
        must_renew_at: From then on callers wait for the renewal.
        expires_at: From then on it cannot be used.
    """

    renew_at: float
    must_renew_at: float
    expires_at: float

    def action_at(self, now: float) -> Action:
        """What to do with the token at `now`."""
        if now < self.renew_at:
            return Action.USE
        return Action.USE_AND_RENEW if now < self.must_renew_at else Action.RENEW_FIRST


NEVER_RENEWED = Schedule(math.inf, math.inf, math.inf)
"""The schedule of a token that is always used, such as a fixed key."""

UNUSABLE = Schedule(-math.inf, -math.inf, -math.inf)
"""The schedule of a token that cannot be sent in a header."""


def schedule_of(
    token: Token,
    policy: RenewalPolicy,
    *,
    renewable: bool,
    jitter_position: float,
    earliest_renewal: float | None = None,
) -> Schedule:
    """The schedule of a token.

    A token that cannot be renewed is used until it expires. A token whose expiry is unknown is used until the API
    rejects it.

    Args:
        token: The token.
        policy: How long before its expiry a token is renewed.
        renewable: Whether a renewal can succeed.
        jitter_position: From 0 to 1: with 1 this process begins to renew as late as the policy's `jitter` allows.
        earliest_renewal: The server renews a token only in its last seconds, of which this is the number; None if it
            renews at any time.
    """
    if token.expires_at is None:
        issued_at = token.issued_at if token.issued_at is not None else 0.0
        return Schedule(issued_at + policy.default_lifetime if renewable else math.inf, math.inf, math.inf)
    if not renewable:
        return Schedule(token.expires_at, token.expires_at, token.expires_at)
    lifetime = max(token.expires_at - token.issued_at, 0.0) if token.issued_at is not None else math.inf
    advisory = min(policy.advisory_leeway, policy.advisory_fraction * lifetime)
    mandatory = min(policy.mandatory_leeway, policy.mandatory_fraction * lifetime)
    if earliest_renewal is not None:
        advisory, mandatory = min(advisory, earliest_renewal), min(mandatory, earliest_renewal)
    renew_at = token.expires_at - max(advisory * (1 - policy.jitter * jitter_position), mandatory)
    return Schedule(renew_at, token.expires_at - mandatory, token.expires_at)
