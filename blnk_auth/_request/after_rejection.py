"""What happens after a rejection, such as a 401: judge it, renew, and choose the token to repeat the request with.

Used by `attempts`, for all auth classes. It promises:

* A request is repeated with another token at most once, and only if it carried our token and its body can provably be
  sent again. It is repeated once more if a user has signed in because of the second response.
* A response that is not repeated reaches the caller unchanged.

It never sends a request itself.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from .._protocol.http_messages import ApiAnswer, Package
from .._renewal.cached_token import CachedToken
from .._renewal.credential import Credential, RenewalAfterRejection
from ..errors import BlnkAuthError
from .before_sending import token_to_send
from .blocking_and_async import FlightWait, Wait, Waits

if TYPE_CHECKING:
    from .._protocol.demands import Demand


class After(enum.Enum):
    """What to do after a response with one of the provider's rejection statuses."""

    ACCEPT = "accept"
    RETRY_WITH_CURRENT = "retry with the current token"
    RENEW_AND_RETRY = "renew and retry"
    RENEW_ONLY = "renew, do not retry"


def after(*, renewal_helps: bool, is_current: bool, replayable: bool) -> After:
    """Decide what to do with a response to a first attempt that carried our token. Pure.

    Args:
        renewal_helps: The response is a rejection that a new token may resolve.
        is_current: The token that the request carried is still the newest that this process has.
        replayable: The request's body can provably be sent again.
    """
    if not renewal_helps:
        return After.ACCEPT
    if not is_current:
        return After.RETRY_WITH_CURRENT if replayable else After.ACCEPT
    return After.RENEW_AND_RETRY if replayable else After.RENEW_ONLY


class ApiRejection:
    """A response that is looked at, as an auth class presents it.

    It has one of the provider's rejection statuses, or any status if the token is sent with a proof.

    Attributes:
        method: The method of the answered request.
        url: Its URL.
        status_code: The HTTP status.
        headers: Names in any case; looked up in lower case.
        path: The path of the request's URL, without its query.
        carried_ours: The answered request carried the token that we attached, to an origin that may have it.
        carried_proof: It carried a proof that was made for this attempt. A redirected request does not, and neither
            does one that the user sends again.
        is_replayable: Returns whether the request's body can provably be sent again; called only when it matters.
        read_body: Reads the decoded body, up to a limit, and leaves the response readable; see `rejection_body`.
        shows_no_certificate: The HTTP client visibly has no client certificate. False where that cannot be seen.
    """

    __slots__ = (
        "carried_ours",
        "carried_proof",
        "headers",
        "is_replayable",
        "method",
        "path",
        "read_body",
        "shows_no_certificate",
        "status_code",
        "url",
    )
    method: str
    url: str
    status_code: int
    headers: Mapping[str, str]
    path: str
    carried_ours: bool
    carried_proof: bool
    is_replayable: Callable[[], bool]
    read_body: Wait
    shows_no_certificate: bool

    def __init__(
        self,
        method: str,
        url: str,
        status_code: int,
        headers: Mapping[str, str],
        path: str,
        *,
        carried_ours: bool,
        carried_proof: bool,
        is_replayable: Callable[[], bool],
        read_body: Wait,
        shows_no_certificate: bool = False,
    ) -> None:
        self.method = method
        self.url = url
        self.status_code = status_code
        self.headers = headers
        self.path = path
        self.carried_ours = carried_ours
        self.carried_proof = carried_proof
        self.is_replayable = is_replayable
        self.read_body = read_body
        self.shows_no_certificate = shows_no_certificate

    def forbid_repetition(self) -> None:
        """The request must not be sent again, although its body could be."""
        self.is_replayable = _never


def _never() -> bool:
    return False


class Retry(NamedTuple):
    """How a rejected request is repeated.

    Attributes:
        cached: The token to repeat it with.
        cause: Identifies the request, in case this token is rejected too: see `rejections.cause_of`.
        was_renewed: Whether the token is the result of a renewal because of the rejection.
        has_signed_in: Whether a user has signed in because of the rejection. That happens once for each request.
    """

    cached: CachedToken
    cause: str
    was_renewed: bool = False
    has_signed_in: bool = False


class _Judged(NamedTuple):
    """A response that was judged: what the API answered, to which token, through which package."""

    answer: ApiAnswer
    sent: CachedToken
    package: Package


def retry_after_rejection(
    credential: Credential, sent: CachedToken, rejection: ApiRejection, package: Package
) -> Waits[Retry | None]:
    """How to repeat the request; None if the response is returned to the caller.

    Args:
        credential: Supplied the token, and renews it.
        sent: The token that the request carried.
        rejection: The response.
        package: The caller's HTTP package, through which a renewal is sent.

    Raises:
        SignInRequired: The API asks for a new sign-in, and the user wants this error in place of its response.
        BlnkAuthError: The request can be repeated, and there is no token to repeat it with.
    """
    renewal = credential.after_rejection
    if renewal is None or not rejection.carried_ours:
        return None
    answer = yield from _answer(credential, sent, rejection)
    is_rejection_status = rejection.status_code in credential.rules.rejection_statuses
    if not is_rejection_status:
        sent.was_accepted = True
    demand = None if sent.header is None else renewal.demands.find(answer, sent)
    if demand is not None:
        return (yield from _after_demand(credential, demand, rejection, _Judged(answer, sent, package)))
    if not is_rejection_status:
        return None
    return (yield from _retry_renewed(credential, sent, rejection, answer, package))


def _retry_renewed(
    credential: Credential, sent: CachedToken, rejection: ApiRejection, answer: ApiAnswer, package: Package
) -> Waits[Retry | None]:
    """How to repeat the request after a response that may be a rejection: with a newer token, or not at all."""
    renewal = credential.after_rejection
    if renewal is None:
        return None
    renewal_helps = renewal.is_rejection(answer)
    decision = after(
        renewal_helps=renewal_helps,
        is_current=renewal.is_current(sent),
        replayable=renewal_helps and rejection.is_replayable(),
    )
    if decision is After.ACCEPT:
        return None
    _note_certificate(renewal, rejection, sent)
    cause = _cause_of(rejection)
    if decision is After.RETRY_WITH_CURRENT:
        current = yield from token_to_send(credential, package)
        return None if current.header is None else Retry(current, cause)
    why = _Why(cause, package, answer, is_repeated=decision is After.RENEW_AND_RETRY)
    try:
        newer = yield from _another_token(credential, renewal, sent, why)
    except BlnkAuthError:
        if decision is After.RENEW_ONLY:
            return None
        raise
    if newer is None and sent.header is not None:
        # Renewals have not helped lately.
        _report_if_demanded(renewal, answer, sent)
    if newer is None or newer.header is None or newer.is_same_token(sent):
        return None
    return Retry(newer, cause, was_renewed=True) if decision is After.RENEW_AND_RETRY else None


def _after_demand(
    credential: Credential, demand: Demand, rejection: ApiRejection, judged: _Judged
) -> Waits[Retry | None]:
    """How to repeat the request after a response that asks for a newer sign-in; None: it was reported."""
    from .after_demand import newer_token

    renewal = credential.after_rejection
    newer = None if renewal is None else (yield from newer_token(renewal.demands, judged.sent, judged.package))
    if newer is not None:
        return Retry(newer, _cause_of(rejection)) if rejection.is_replayable() else None
    return (yield from _after_sign_in(credential, demand, rejection, judged))


def _after_sign_in(
    credential: Credential, demand: Demand, rejection: ApiRejection, judged: _Judged
) -> Waits[Retry | None]:
    """How to repeat the request after a sign-in that its response has caused; None: there was none."""
    from .after_demand import signed_in

    newer = yield from signed_in(credential, demand, *judged, is_replayable=rejection.is_replayable)
    return None if newer is None else Retry(newer, _cause_of(rejection), has_signed_in=True)


def _note_certificate(
    renewal: RenewalAfterRejection, rejection: ApiRejection, sent: CachedToken, *, was_renewed: bool = False
) -> None:
    if rejection.shows_no_certificate and sent.header is not None:
        renewal.demands.note_missing_certificate(sent, was_renewed=was_renewed)


def _report_if_demanded(renewal: RenewalAfterRejection, answer: ApiAnswer, sent: CachedToken) -> None:
    """Report a response that asks for a new sign-in because a renewal has not helped."""
    from .after_demand import report

    renewed = _after_renewal(answer)
    demand = renewal.demands.find(renewed, sent)
    if demand is not None:
        report(renewal.demands, demand, renewed, sent)


def judge_retry(
    credential: Credential, retry: Retry, rejection: ApiRejection | None, package: Package
) -> Waits[Retry | None]:
    """Note whether the newer token was accepted, and return how to repeat the request; None if that was the last time.

    If it was rejected and no rejection had led to it, it is renewed for the requests that follow: another process had
    stored it, and the server has revoked it too. This request has been repeated once, so its caller gets the response.
    If the API asks for a new sign-in, and a user may be asked from inside a request, it is repeated once more.

    Args:
        credential: Supplied the token, and renews it.
        retry: How the request was repeated.
        rejection: The second response; None if it is not a rejection.
        package: The caller's HTTP package, through which a renewal is sent.

    Raises:
        SignInRequired: The API asks for a new sign-in, and the user wants this error in place of its response.
    """
    renewal = credential.after_rejection
    if renewal is None:
        return None
    if rejection is None or rejection.status_code not in credential.rules.rejection_statuses:
        renewal.note_retry(retry.cached, retry.cause, accepted=True)
    if rejection is None or not rejection.carried_ours:
        return None
    answer = yield from _answer(credential, retry.cached, rejection)
    answer = _after_renewal(answer) if retry.was_renewed else answer
    demand = renewal.demands.find(answer, retry.cached)
    if rejection.status_code in credential.rules.rejection_statuses and renewal.is_rejection(answer):
        _note_certificate(renewal, rejection, retry.cached, was_renewed=retry.was_renewed)
        if renewal.note_retry(retry.cached, retry.cause, accepted=False) and demand is None:
            with contextlib.suppress(BlnkAuthError):
                yield from _renewed(credential, renewal, retry.cached, _Why(retry.cause, package, answer))
    if demand is None:
        return None
    if not retry.has_signed_in:
        return (yield from _after_sign_in(credential, demand, rejection, _Judged(answer, retry.cached, package)))
    from .after_demand import report

    report(renewal.demands, demand, answer, retry.cached)
    return None


class _Why(NamedTuple):
    """Why a token is renewed after a rejection; see `RenewalAfterRejection.replace`."""

    cause: str
    package: Package
    answer: ApiAnswer
    is_repeated: bool = False


def _another_token(
    credential: Credential, renewal: RenewalAfterRejection, rejected: CachedToken, why: _Why
) -> Waits[CachedToken | None]:
    newer = yield from _renewed(credential, renewal, rejected, why)
    if newer is not None and newer.is_same_token(rejected):
        # We joined a renewal in the background, which failed and left the old token in use. Renew once more.
        newer = yield from _renewed(credential, renewal, rejected, why)
    return newer


def _renewed(
    credential: Credential, renewal: RenewalAfterRejection, rejected: CachedToken, why: _Why
) -> Waits[CachedToken | None]:
    flight = renewal.replace(rejected, why.package, why.cause, why.answer, is_repeated=why.is_repeated)
    return None if flight is None else (yield FlightWait(flight, credential.rules.wait_timeout))


def _answer(credential: Credential, sent: CachedToken, rejection: ApiRejection) -> Waits[ApiAnswer]:
    """The response as the provider judges it. Its body is read only if the provider needs it for this status."""
    rules = credential.rules
    is_judged = rejection.status_code in rules.rejection_statuses or rules.judges_consent
    body = (yield rejection.read_body) if rules.reads_rejection_body and is_judged else None
    # A request without a token may be rejected by the challenge for the token that it is to get.
    is_for_proof = sent.needs_proof or (sent.header is None and rules.proof is not None)
    scheme = "DPoP" if is_for_proof else None
    return ApiAnswer(rejection.status_code, rejection.headers, rejection.path, body, scheme=scheme)


def _after_renewal(answer: ApiAnswer) -> ApiAnswer:
    """The same response, as one that a renewal has not helped against."""
    return ApiAnswer(
        answer.status_code, answer.headers, answer.path, answer.body, scheme=answer.scheme, was_renewed=True
    )


def _cause_of(rejection: ApiRejection) -> str:
    # Imported here, since every auth class imports this module. A source that renews has imported `rejections` already.
    from .._renewal.rejections import cause_of

    return cause_of(rejection.method, rejection.path, rejection.headers)
