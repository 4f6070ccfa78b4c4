"""What to do after an API response. Pure: state comes in as values."""

from __future__ import annotations

import enum


class After(enum.Enum):
    """What to do after a response."""

    ACCEPT = "accept"
    RETRY_WITH_CURRENT = "retry with the current token"
    RENEW_AND_RETRY = "renew and retry"
    RENEW_ONLY = "renew, do not retry"


def after(*, renewal_helps: bool, carried_ours: bool, retried: bool, is_current: bool, replayable: bool) -> After:
    """What to do with a response.

    `renewal_helps`: the response is a rejection that a new token may resolve. `carried_ours`: the request carried the
    token we attached, to an origin that may have it (not so after a redirect to another origin, nor when the user set
    the header). `retried`: it was a second attempt already. `is_current`: the token it carried is still the newest we
    have. `replayable`: its body can provably be sent again.
    """
    if not renewal_helps or not carried_ours or retried:
        return After.ACCEPT
    if not is_current:
        return After.RETRY_WITH_CURRENT if replayable else After.ACCEPT
    return After.RENEW_AND_RETRY if replayable else After.RENEW_ONLY
