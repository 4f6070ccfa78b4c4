"""When to renew and how long to wait: every number of the renewal, in one value.

`docs/explanation/policy.md` says why each default is what it is. Times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from .errors import ConfigurationError, pickled_by_name

_ENDLESS = 1e12
"""More seconds than anybody means."""

_SHARES = ("advisory_fraction", "mandatory_fraction", "jitter")
_NEEDED = ("connect_timeout", "read_timeout", "request_deadline", "max_answer_bytes")
"""With none of these, every token request would fail, and some only after the server has rotated."""


@pickled_by_name
@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalPolicy:
    """How a token is renewed. Immutable; share one between any number of clients.

    All times are seconds. Raises `ConfigurationError` if a number is negative, not finite or not a number, if a limit
    of the token request is 0, or if a share is more than 1.
    """

    advisory_leeway: float = 600.0
    """Seconds, default 600. A renewal starts so long before `expires_at`, behind callers who use the current token."""

    advisory_fraction: float = 0.25
    """Share, default 0.25. The most of its lifetime that the advisory window may be: no token is renewed at birth."""

    mandatory_leeway: float = 10.0
    """Seconds, default 10. So long before `expires_at` callers wait: the token could expire on its way."""

    mandatory_fraction: float = 0.05
    """Share, default 0.05. The most of its lifetime that the mandatory window may be."""

    jitter: float = 0.2
    """Share, default 0.2. Of the advisory window, by which each process starts later at random."""

    default_lifetime: float = 3600.0
    """Seconds, default 3600. Assumed where the server does not say; nobody waits for a renewal because of it."""

    connect_timeout: float = 5.0
    """Seconds, default 5. Longest wait for a connection to the token endpoint."""

    read_timeout: float = 20.0
    """Seconds, default 20. Longest wait for the next bytes of its answer."""

    request_deadline: float = 30.0
    """Seconds, default 30. Longest time for one token request as a whole, however slowly the bytes drip."""

    lock_timeout: float = 40.0
    """Seconds, default 40. Longest wait for the store's lock; above `request_deadline`, to outlive a slow sibling."""

    max_answer_bytes: int = 1_048_576
    """Bytes, default 1,048,576. Longest answer of the token endpoint that is read; more is refused."""

    cooldown: float = 1.0
    """Seconds, default 1. From a failed renewal to the next attempt; doubled each time, with jitter."""

    max_cooldown: float = 60.0
    """Seconds, default 60. Longest time between attempts when the server names none."""

    max_retry_after: float = 3600.0
    """Seconds, default 3600. Longest `Retry-After` of the token endpoint that is obeyed."""

    rejection_cooldown: float = 2.0
    """Seconds, default 2. After a renewal that cured no rejection, until another may cause one; doubled each time."""

    max_rejection_cooldown: float = 600.0
    """Seconds, default 600. Longest such time."""

    refresh_warning: float = 259_200.0
    """Seconds, default 259,200 (3 days). When `refresh_token_expiring` is told before a fixed end."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _ENDLESS:
                raise ConfigurationError(
                    f"policy: {each.name} must be a number of at least 0, not {value!r}", parameter="policy"
                )
        for name in _NEEDED:
            if not getattr(self, name):
                raise ConfigurationError(
                    f"policy: {name} must be more than 0, or no token request could succeed", parameter="policy"
                )
        for name in _SHARES:
            if getattr(self, name) > 1:
                raise ConfigurationError(
                    f"policy: {name} is a share and must be at most 1, not {getattr(self, name)}", parameter="policy"
                )
        if self.mandatory_fraction > self.advisory_fraction:
            raise ConfigurationError(
                "policy: mandatory_fraction must not exceed advisory_fraction", parameter="mandatory_fraction"
            )
