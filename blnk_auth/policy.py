"""When to renew and how long to wait: every number of the renewal, in one value.

`docs/explanation/policy.md` says why each default is what it is. Times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from .errors import ConfigurationError

_ENDLESS = 1e12
"""More seconds than anybody means."""

_SHARES = ("advisory_fraction", "mandatory_fraction", "jitter")
_NEEDED = ("connect_timeout", "read_timeout", "request_deadline", "max_answer_bytes")
"""With none of these, every token request would fail, and some only after the server has rotated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalPolicy:
    """How a token is renewed. Immutable; share one between any number of clients.

    All times are seconds. Raises `ConfigurationError` if a number is negative, not finite or not a number, if a limit
    of the token request is 0, or if a share is more than 1.
    """

    advisory_leeway: float = 600.0
    """How long before `expires_at` a renewal starts behind the callers, who go on with the current token."""

    advisory_fraction: float = 0.25
    """The advisory window is at most this share of the token's lifetime, so a short token is not renewed at birth."""

    mandatory_leeway: float = 10.0
    """How long before `expires_at` callers wait for the renewal instead, since the token could expire on its way."""

    mandatory_fraction: float = 0.05
    """The mandatory window is at most this share of the token's lifetime."""

    jitter: float = 0.2
    """Share of the advisory window by which each process starts later at random, so that a fleet does not stampede."""

    default_lifetime: float = 3600.0
    """Assumed lifetime of a token whose server does not say; it is renewed behind the callers, never waited for."""

    connect_timeout: float = 5.0
    """Longest wait for a connection to the token endpoint."""

    read_timeout: float = 20.0
    """Longest wait for the next bytes of its answer."""

    request_deadline: float = 30.0
    """Longest time for one token request as a whole, however slowly the bytes drip."""

    lock_timeout: float = 40.0
    """Longest wait for the store's lock. Above `request_deadline`, so that a slow sibling's renewal is outlived."""

    max_answer_bytes: int = 1_048_576
    """Longest answer of the token endpoint that is read; more is refused."""

    cooldown: float = 1.0
    """After a failed renewal, how long until the next attempt; doubled with each failure in a row, with jitter."""

    max_cooldown: float = 60.0
    """Longest time between attempts when the server names none."""

    max_retry_after: float = 3600.0
    """Longest `Retry-After` of the token endpoint that is obeyed."""

    rejection_cooldown: float = 2.0
    """How long after a renewal that did not cure a rejection no further rejection causes one; doubled each time."""

    max_rejection_cooldown: float = 600.0
    """Longest such time."""

    refresh_warning: float = 259_200.0
    """How long before the end of a refresh token that renewals do not prolong `refresh_token_expiring` is told."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _ENDLESS:
                raise ConfigurationError(f"policy: {each.name} must be a number of at least 0, not {value!r}")
        for name in _NEEDED:
            if not getattr(self, name):
                raise ConfigurationError(f"policy: {name} must be more than 0, or no token request could succeed")
        for name in _SHARES:
            if getattr(self, name) > 1:
                raise ConfigurationError(f"policy: {name} is a share and must be at most 1, not {getattr(self, name)}")
        if self.mandatory_fraction > self.advisory_fraction:
            raise ConfigurationError("policy: mandatory_fraction must not exceed advisory_fraction")
