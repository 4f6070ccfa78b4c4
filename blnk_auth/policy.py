"""When to renew and how long to wait: every number of the renewal, in one value.

Used by `OAuthClient`, the renewal and the transports of the token endpoint. It promises that a policy is checked when
it is made, so no other code checks its numbers, and that it never changes. The reason for each default is in
`docs/explanation/policy.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from .errors import ConfigurationError, constructor_clears_locals, is_number, quoted
from .errors._pickling import pickled_by_name

__all__ = ["RenewalPolicy"]

_ENDLESS = 1e12
"""The largest number of seconds that is accepted."""

_MOST_RETRIES = 10
"""More repetitions do not fit into any deadline that a caller would wait for."""

_SHARES = ("advisory_fraction", "mandatory_fraction", "jitter")
_NEEDED = ("connect_timeout", "read_timeout", "request_deadline", "max_answer_bytes")
"""If one of these were 0, every token request would fail, some of them only after the server has rotated."""


@pickled_by_name
@constructor_clears_locals
@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalPolicy:
    """How a token is renewed. Immutable; may be shared between any number of clients, threads and tasks.

    All times are seconds. Raises `ConfigurationError`, which names the field, if a number is negative, not finite or
    not a number, if a limit of the token request is 0, or if a share is more than 1.

    Attributes:
        advisory_leeway: Seconds, default 600. How long before `expires_at` a renewal starts in the background, while
            callers use the current token.
        advisory_fraction: Share, default 0.25. The most of a token's lifetime that the advisory window may be, so that
            no token is renewed as soon as it is issued.
        mandatory_leeway: Seconds, default 10. How long before `expires_at` callers wait for a renewal: the token could
            expire while the request is on its way.
        mandatory_fraction: Share, default 0.05. The most of a token's lifetime that the mandatory window may be.
        jitter: Share, default 0.2. The part of the advisory window by which each process starts later, at random.
        default_lifetime: Seconds, default 3600. Assumed if the server does not state a lifetime; no caller waits for a
            renewal because of it.
        connect_timeout: Seconds, default 5. Longest wait for a connection to the token endpoint.
        read_timeout: Seconds, default 20. Longest wait for the next bytes of its response.
        request_deadline: Seconds, default 30. Longest time for one token request as a whole, however slowly the bytes
            arrive.
        lock_timeout: Seconds, default 40. Longest wait for the store's lock; more than `request_deadline`, to outlast
            the slow renewal of another process.
        lost_answer_retries: Count, default 2. How often a token request is sent again, within the same renewal, if its
            response was lost: only `refresh_token` and `client_credentials` requests, and a refresh only if the
            provider's `repeats_lost_refresh` is true. All of them share one `request_deadline`, and none is sent with
            less than 5 seconds of it left. 0: never.
        lost_answer_delay: Seconds, default 0.5. From a lost response to the first repetition; doubled each time.
        max_answer_bytes: Bytes, default 1,048,576. Longest answer of the token endpoint that is read; a longer one is
            refused.
        cooldown: Seconds, default 1. From a failed renewal to the next attempt; doubled each time, with jitter.
        max_cooldown: Seconds, default 60. Longest time between attempts if the server names none.
        max_retry_after: Seconds, default 3600. Longest `Retry-After` of the token endpoint that is obeyed.
        rejection_cooldown: Seconds, default 2. After a renewal that did not resolve a rejection, until another
            rejection may cause a renewal; doubled each time.
        max_rejection_cooldown: Seconds, default 600. Longest such time.
        refresh_warning: Seconds, default 259,200 (3 days). How long before the refresh token expires the event
            `refresh_token_expiring` is emitted, if renewals do not put that off.
    """

    advisory_leeway: float = 600.0
    advisory_fraction: float = 0.25
    mandatory_leeway: float = 10.0
    mandatory_fraction: float = 0.05
    jitter: float = 0.2
    default_lifetime: float = 3600.0
    connect_timeout: float = 5.0
    read_timeout: float = 20.0
    request_deadline: float = 30.0
    lock_timeout: float = 40.0
    max_answer_bytes: int = 1_048_576
    lost_answer_retries: int = 2
    lost_answer_delay: float = 0.5
    cooldown: float = 1.0
    max_cooldown: float = 60.0
    max_retry_after: float = 3600.0
    rejection_cooldown: float = 2.0
    max_rejection_cooldown: float = 600.0
    refresh_warning: float = 259_200.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value: Any = getattr(self, each.name)
            if not is_number(value) or not 0 <= value < _ENDLESS:
                raise _wrong(each.name, f"must be a number of at least 0, not {quoted(value)}")
        for name in _NEEDED:
            if not getattr(self, name):
                raise _wrong(name, "must be more than 0, or no token request could succeed")
        for name in _SHARES:
            if getattr(self, name) > 1:
                raise _wrong(name, f"is a share and must be at most 1, not {getattr(self, name)}")
        self._check_the_rest()

    def _check_the_rest(self) -> None:
        if self.mandatory_fraction > self.advisory_fraction:
            raise _wrong("mandatory_fraction", "must not exceed advisory_fraction")
        if self.lost_answer_retries not in range(_MOST_RETRIES + 1):
            raise _wrong(
                "lost_answer_retries",
                f"must be a whole number of at most {_MOST_RETRIES}, not {self.lost_answer_retries}",
            )


def _wrong(name: str, why: str) -> ConfigurationError:
    default = RenewalPolicy.__dataclass_fields__[name].default
    remedy = f"pass another number, or leave it out for the default, {default:g}"
    return ConfigurationError(f"policy: {name} {why}", parameter=name, remedy=remedy)
