"""What happens to one API request: which token it gets, and what follows a rejection.

Used by all auth classes, which translate between it and their HTTP package and decide nothing. It promises that a
request is repeated at most once, only if it carried our token and its body can be sent again, and that a response that
is not repeated reaches the caller unchanged. It never sends a request itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .._protocol.http_messages import ApiAnswer, Package
from .._renewal.cached_token import CachedToken
from .._renewal.credential import Credential, RenewalAfterRejection
from .._renewal.single_flight import Flight
from ..errors import BlnkAuthError
from .decision import After, after
from .waits import FlightWait, Wait, Waits

MAX_REJECTION_BYTES = 16_384
"""How much of a rejection's body is read, to judge it and to free its connection."""

MAX_REJECTION_SECONDS = 5.0
"""How long its reading may take."""


def token_to_send(credential: Credential, package: Package) -> Waits[CachedToken]:
    """The token for a first attempt."""
    ready = credential.ready(package)
    if isinstance(ready, Flight):
        return (yield FlightWait(ready, credential.rules.wait_timeout))  # type: ignore[no-any-return]  # what a wait returns is untyped
    return ready


class ApiRejection:
    """An answer with one of the provider's rejection statuses, as a shell presents it.

    `read_body` reads up to `MAX_REJECTION_BYTES` of its body, leaving the response readable.
    `carried_ours`: the request that was answered carried the token we attached, to an origin that may have it.
    `is_replayable` says whether the request's body can provably be sent again; asked only when it matters.
    """

    __slots__ = ("carried_ours", "headers", "is_replayable", "path", "read_body", "status_code")

    def __init__(
        self,
        status_code: int,
        headers: Mapping[str, str],
        path: str,
        *,
        carried_ours: bool,
        is_replayable: Callable[[], bool],
        read_body: Wait,
    ) -> None:
        self.status_code = status_code
        self.headers = headers
        self.path = path
        self.carried_ours = carried_ours
        self.is_replayable = is_replayable
        self.read_body = read_body


def token_to_retry_with(
    credential: Credential, sent: CachedToken, rejection: ApiRejection, package: Package
) -> Waits[CachedToken | None]:
    """The token to repeat the request with, or None if the response goes to the caller as it is."""
    renewal = credential.after_rejection
    if renewal is None or not rejection.carried_ours:
        return None
    renewal_helps = yield from _may_renewal_help(credential, renewal, rejection)
    decision = after(
        renewal_helps=renewal_helps,
        carried_ours=rejection.carried_ours,
        retried=False,
        is_current=renewal.is_current(sent),
        replayable=renewal_helps and rejection.is_replayable(),
    )
    if decision is After.ACCEPT:
        return None
    if decision is After.RETRY_WITH_CURRENT:
        return (yield from token_to_send(credential, package))
    try:
        newer = yield from _renewed(credential, renewal, sent, package)
        if newer is sent:
            # That renewal had begun in the background, for a caller who could use the old token, and failed: raise now.
            newer = yield from _renewed(credential, renewal, sent, package)
    except BlnkAuthError:
        if decision is After.RENEW_ONLY:
            return None
        raise
    return newer if decision is After.RENEW_AND_RETRY and newer is not sent else None


def _renewed(
    credential: Credential, renewal: RenewalAfterRejection, rejected: CachedToken, package: Package
) -> Waits[CachedToken | None]:
    flight = renewal.replace(rejected, package)
    return None if flight is None else (yield FlightWait(flight, credential.rules.wait_timeout))


def judge_retry(credential: Credential, sent: CachedToken, rejection: ApiRejection | None) -> Waits[None]:
    """Note whether the renewed token was accepted. `rejection` is None if the second response is not a rejection."""
    renewal = credential.after_rejection
    if renewal is None:
        return
    if rejection is None:
        renewal.note_retry(sent, accepted=True)
    elif rejection.carried_ours and (yield from _may_renewal_help(credential, renewal, rejection)):
        renewal.note_retry(sent, accepted=False)


def _may_renewal_help(credential: Credential, renewal: RenewalAfterRejection, rejection: ApiRejection) -> Waits[bool]:
    body = (yield rejection.read_body) if credential.rules.reads_rejection_body else None
    return renewal.is_rejection(ApiAnswer(rejection.status_code, rejection.headers, rejection.path, body))
