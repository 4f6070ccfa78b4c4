"""What to do before a request and after its response. Pure: time and state come in as values.

A token passes through four times of life, on the clock of this machine:

    fresh ── renew_at ──► stale ── must_renew_at ──► about to expire ── expires_at ──► expired
    use it                use it, renew behind       wait for the renewal              wait for the renewal
                                                     (use it if that fails)            (fail if that fails)
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    # Every shell imports this module, and none needs these to be imported.
    from ..policy import RenewalPolicy
    from ..token import Token


class Before(enum.Enum):
    """What to do before a request is sent."""

    USE = "use"
    USE_AND_RENEW = "use and renew soon"
    MUST_RENEW = "must renew"


class Window(NamedTuple):
    """When, in UTC epoch seconds, a token should be renewed, must be renewed, and ends. Infinity where unknown."""

    renew_at: float
    must_renew_at: float
    expires_at: float


NEVER = Window(math.inf, math.inf, math.inf)
ALREADY_OVER = Window(-math.inf, -math.inf, -math.inf)


def window(token: Token, policy: RenewalPolicy, *, renewable: bool, jitter_position: float) -> Window:
    """The window of a token. `jitter_position` (0 to 1) spreads processes over the jitter.

    `renewable` says whether a renewal can succeed.

    A token that nothing can renew is used until its end, and one whose lifetime is unknown until it is rejected.
    """
    if token.expires_at is None:
        born_at = token.issued_at if token.issued_at is not None else 0.0
        return Window(born_at + policy.default_lifetime if renewable else math.inf, math.inf, math.inf)
    if not renewable:
        return Window(token.expires_at, token.expires_at, token.expires_at)
    lifetime = max(token.expires_at - token.issued_at, 0.0) if token.issued_at is not None else math.inf
    advisory = min(policy.advisory_leeway, policy.advisory_fraction * lifetime)
    mandatory = min(policy.mandatory_leeway, policy.mandatory_fraction * lifetime)
    renew_at = token.expires_at - max(advisory * (1 - policy.jitter * jitter_position), mandatory)
    return Window(renew_at, token.expires_at - mandatory, token.expires_at)


def before(due: Window, now: float) -> Before:
    """What to do with a token of this window at `now`."""
    if now < due.renew_at:
        return Before.USE
    return Before.USE_AND_RENEW if now < due.must_renew_at else Before.MUST_RENEW
