"""What bLink's answers mean: the platform judges the client and its certificate, the bank judges the grant.

Used by `BLink`. It promises that only an answer of the bank ends a grant or asks for a renewal. It never sends
anything. Source: docs.blink.six-group.com, api-reference/error-codes.
"""

from __future__ import annotations

from collections.abc import Mapping

from .._protocol.challenges import renewal_may_help
from .._protocol.documents import read_json_object
from .._protocol.http_messages import ApiAnswer
from .._protocol.refusals import Refusal, Verdict
from ..errors._pickling import public


@public
def judge_blink_refusal(refusal: Refusal) -> Verdict | None:
    """Judge a response without a token by bLink's rules (api-reference/error-codes). Used as `Provider.judge_refusal`.

    The header `X-CorAPI-Source` names the sender: the platform judges our certificate, the bank judges the grant.

    May be called from any thread. Source: https://docs.blink.six-group.com/ (api-reference/error-codes)

    Args:
        refusal: The response.

    Returns:
        "sign_in" if the bank refuses the grant; "configuration" if the platform refuses the client, or if the request
        is malformed; None: RFC 6749 applies.
    """
    status, problem = refusal.response.status_code, _problem_type(refusal.document)
    if status in (406, 415, 501) or problem in ("INVALID_PAYLOAD", "MALFORMED_PAYLOAD"):
        return "configuration"
    if status >= 500 or refusal.error is not None:
        return None
    source = refusal.response.headers.get("x-corapi-source", "").upper()
    if status in (401, 403) and source == "PLATFORM":
        return "configuration"
    if status in (400, 401) and source == "PROVIDER" and refusal.is_legible:
        return "sign_in"
    return None


@public
def is_blink_rejection(answer: ApiAnswer) -> bool:
    """Whether a response of the API is a rejection that a new token may resolve. Used as `Provider.is_rejection`.

    Documented in api-reference/error-codes.

    May be called from any thread. Source: https://docs.blink.six-group.com/ (api-reference/error-codes)

    Args:
        answer: The response, with a rejection status.

    Returns:
        True for a 401 by the bank. A 401 by the platform is about the certificate, so a new token does not help.
    """
    return renewal_may_help(answer) and answer.headers.get("x-corapi-source", "").upper() != "PLATFORM"


@public
def ends_blink_consent(answer: ApiAnswer) -> bool:
    """Whether a response of the API reports that the consent has ended. Used as `Provider.ends_consent`.

    bLink has no error of its own for it. After `INVALID_TOKEN` one renewal is to be tried, and if that does not help, a
    new consent is needed (api-reference/error-codes).

    May be called from any thread. Source: https://docs.blink.six-group.com/ (api-reference/error-codes)

    Args:
        answer: The response.

    Returns:
        True for an `INVALID_TOKEN` of the bank that a renewal has not helped against.
    """
    return (
        answer.was_renewed
        and is_blink_rejection(answer)
        and _problem_type(read_json_object(answer.body or b"")) == "INVALID_TOKEN"
    )


def _problem_type(document: Mapping[str, object] | None) -> str:
    kind = document.get("type") if document is not None else None
    return kind.rsplit("/", 1)[-1] if isinstance(kind, str) else ""
