"""What an answer of the authorization server means: the token, or the one error that says what the caller can do.

Used by whatever asks the server: the renewal, the sign-ins, a client's `revoke`. Pure: no socket, no clock, no store.

    SignInRequired           the server's verdict is `invalid_grant`: only this may end a grant
    TemporarilyUnavailable   429, 5xx and their like, or no answer; nothing is known to be wrong
    ConfigurationError       the registration, the URL or the request is wrong, and stays wrong
    ProtocolError            the response is not a valid OAuth 2.0 response

What this file promises:

* No text of an answer enters an error except the RFC's own fields, cleaned of every secret that was sent.
* An error is raised where no local variable holds the answer in clear.
* Odd members of an answer never cost the pair in it; each becomes a note.

Every judge takes the response, the request that it answers, and `now`: when it arrived, in UTC epoch seconds.
"""

from __future__ import annotations

import email.utils
import json
from collections.abc import Mapping
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl

from ..errors import BlnkAuthError, ConfigurationError, ProtocolError, SignInRequired, TemporarilyUnavailable
from ..token import Token, read_seconds, read_token
from .authorization_server import AuthorizationServer
from .http_messages import HttpResponse, NoAnswer, Purpose
from .redaction import clean_identifier, clean_text
from .refusals import REGISTERED_CODES, BadJudge, Refusal, verdict_on, what_to_check
from .requests import ServerRequest

# A gateway reports that the server behind it did not answer; that server may have done what it was asked.
_GATEWAY_STATUSES = frozenset({502, 504})

# The server turned the request away before it looked at it: too many requests, overloaded.
_UNTOUCHED_STATUSES = frozenset({429, 503})

_POSSIBLE_EFFECTS: Mapping[Purpose, str] = {
    "authorization_code": "used up the authorization code",
    "device_code": "used up the device code",
    "refresh_token": "renewed",
    "client_credentials": "issued a token",
    "revocation": "revoked the token",
}

# The longest integer that is read, in digits: Python refuses to read integers of thousands.
_LONGEST_INTEGER = 300


class Judge(Protocol):
    """Judges an answer of the token endpoint: the token and notes on what was odd; or raises."""

    def __call__(
        self, response: HttpResponse, request: ServerRequest, *, now: float
    ) -> tuple[Token, tuple[str, ...]]: ...


def judge_token_answer(response: HttpResponse, request: ServerRequest, *, now: float) -> tuple[Token, tuple[str, ...]]:
    """The token that was issued and notes on what was odd about it; else the error that says what to do."""
    judged = _token_or_error(response, request, now=now)
    # Raised here, where no local variable holds the answer in clear.
    if isinstance(judged, BlnkAuthError):
        raise judged
    return judged


def judge_device_authorization(response: HttpResponse, request: ServerRequest, *, now: float) -> Mapping[str, Any]:
    """The members of the answer of RFC 8628 section 3.2; else the error that says what to do."""
    judged = _members_or_error(response, request, now=now)
    if isinstance(judged, BlnkAuthError):
        raise judged
    return judged


def judge_device_answer(response: HttpResponse, request: ServerRequest, *, now: float) -> tuple[Token, tuple[str, ...]]:
    """As `judge_token_answer`, with the codes of RFC 8628 section 3.5.

    Raises `TemporarilyUnavailable` with the `error` `authorization_pending` or `slow_down` while the user has not
    decided, and `SignInRequired` if they refused or took too long.
    """
    error = _error_of_device_grant(response)
    if error is not None:
        raise error
    return judge_token_answer(response, request, now=now)


def judge_revocation_answer(response: HttpResponse, request: ServerRequest, *, now: float) -> None:
    """Return if the token is gone (RFC 7009 section 2.2: also when the server never knew it); else raise."""
    if not 200 <= response.status_code < 300:
        raise _error_of(response, _read_document(response), request, now=now)


def no_answer(failure: NoAnswer, purpose: Purpose) -> TemporarilyUnavailable:
    """The error for a request to which no complete answer came."""
    problem = f"the authorization server gave no answer ({failure.problem})"
    return _temporarily_unavailable(problem, purpose, outcome_unknown=failure.sent)


def after_lost_answer(refusal: SignInRequired) -> SignInRequired:
    """The same refusal, where the request before it had no answer: with rotation, that is probably why."""
    lost = _lost("refresh_token")
    return refusal.replace(problem=f"{refusal.problem} ({lost}, and with it the rotated refresh token)")


def spent_nothing(error: BlnkAuthError) -> bool:
    """Whether the failed request provably had no effect, so that its code or token can be used again.

    True if it was not sent, or if the server turned it away unread (429, 503).
    """
    return (
        isinstance(error, TemporarilyUnavailable)
        and not error.outcome_unknown
        and (error.status_code is None or error.status_code in _UNTOUCHED_STATUSES)
    )


def _token_or_error(
    response: HttpResponse, request: ServerRequest, *, now: float
) -> tuple[Token, tuple[str, ...]] | BlnkAuthError:
    document = _members_or_error(response, request, now=now)
    if isinstance(document, BlnkAuthError):
        return document
    members, notes = _members_of_the_rfc(request.provider, document, now)
    try:
        token, odd = read_token(members, received_at=now)
    except ValueError as error:
        why = str(error)
    else:
        return token, (*notes, *odd)
    return ProtocolError(
        f"the token endpoint answered {response.status_code}, but {why}",
        remedy="is token_endpoint the right URL?",
        status_code=response.status_code,
    )


def _members_or_error(
    response: HttpResponse, request: ServerRequest, *, now: float
) -> Mapping[str, Any] | BlnkAuthError:
    document = _read_document(response)
    if 200 <= response.status_code < 300 and document is not None and not document.get("error"):
        return document
    return _error_of(response, document, request, now=now)


def _error_of_device_grant(response: HttpResponse) -> BlnkAuthError | None:
    document = _read_document(response) if response.status_code >= 400 else None
    code = None if document is None else document.get("error")
    fields: dict[str, Any] = {"error": code, "status_code": response.status_code}
    if code in ("authorization_pending", "slow_down"):
        return TemporarilyUnavailable("the user has not decided yet", remedy="ask again later", **fields)
    if code == "access_denied":
        return SignInRequired(
            "the user refused access", remedy="ask again if they change their mind", reason="denied", **fields
        )
    if code == "expired_token":
        return SignInRequired("nobody entered the code in time", remedy="start it again", reason="restart", **fields)
    return None


def _members_of_the_rfc(
    provider: AuthorizationServer, document: Mapping[str, Any], now: float
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The answer in the members of RFC 6749. A `read_answer` that fails must not cost the pair that was issued."""
    try:
        read = provider.read_answer(document, now)
    except Exception as error:  # noqa: BLE001 - a provider's author may raise anything
        failure = f"raised {type(error).__name__}"
    else:
        if isinstance(read, Mapping):
            return read, ()
        failure = f"returned {type(read).__name__} instead of a mapping"
    return document, (f"read_answer of the provider {failure}; the answer was read as it is",)


def _read_document(response: HttpResponse) -> Mapping[str, Any] | None:
    """The answer as an object, whether JSON (with or without a byte order mark) or form-encoded; None if neither."""
    try:
        text = response.body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    try:
        # Numbers that JSON cannot say would keep the pair out of a store that writes JSON.
        document = json.loads(text, parse_constant=lambda _: None, parse_float=read_seconds, parse_int=_integer)
    except (ValueError, RecursionError):
        # GitHub and older servers answer form-encoded.
        form = dict(parse_qsl(text)) if "<" not in text else {}
        return form if "access_token" in form or "error" in form else None
    return cast("Mapping[str, Any]", document) if isinstance(document, dict) else None


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) < _LONGEST_INTEGER else None


def _error_of(
    response: HttpResponse, document: Mapping[str, Any] | None, request: ServerRequest, *, now: float
) -> BlnkAuthError:
    """The error for an answer that brings no token."""
    provider, status = request.provider, response.status_code
    fields = _fields(response, document, request)
    code = fields["error"]
    answered = _in_words(fields)
    try:
        verdict = verdict_on(Refusal(response, document, code), provider.judge_refusal)
    except BadJudge as failure:
        return ConfigurationError(
            f"{answered}; judge_refusal of the provider {failure}",
            remedy="correct judge_refusal",
            parameter="judge_refusal",
            **fields,
        )
    if verdict == "sign_in":
        return SignInRequired(answered, remedy="the user must sign in again", reason="refused", **fields)
    if verdict == "transient":
        return _temporarily_unavailable(
            answered,
            request.purpose,
            outcome_unknown=status in _GATEWAY_STATUSES,
            retry_after=_retry_after(response.headers, now),
            **fields,
        )
    if verdict == "configuration":
        return ConfigurationError(answered, remedy=what_to_check(status, code), **fields)
    return ProtocolError(
        f"{answered}, which is not a valid OAuth 2.0 response", remedy="is token_endpoint the right URL?", **fields
    )


def _temporarily_unavailable(
    problem: str, purpose: Purpose, *, outcome_unknown: bool, **fields: Any
) -> TemporarilyUnavailable:
    if outcome_unknown:
        problem = f"{problem}; {_lost(purpose)}"
    return TemporarilyUnavailable(problem, remedy="try again later", outcome_unknown=outcome_unknown, **fields)


def _lost(purpose: Purpose) -> str:
    """`TemporarilyUnavailable.outcome_unknown` in words."""
    return f"the authorization server may have {_POSSIBLE_EFFECTS.get(purpose, 'acted')}, but its answer was lost"


def _fields(response: HttpResponse, document: Mapping[str, Any] | None, request: ServerRequest) -> dict[str, Any]:
    """What an answer says, as the fields of an error; prose where a registered code should be is a description."""
    members = document or {}
    error, description = members.get("error"), members.get("error_description")
    # RFC 7807, which gateways and bLink send instead.
    description = description or members.get("detail") or members.get("title")
    code = error if isinstance(error, str) and error in REGISTERED_CODES else None
    if code is None and isinstance(error, str) and not description:
        description = error
    correlation_id = response.headers.get((request.provider.correlation_header or "").lower())
    return {
        "error": code,
        "error_description": clean_text(description, request.secrets),
        "error_uri": clean_text(members.get("error_uri"), request.secrets),
        "status_code": response.status_code,
        "correlation_id": clean_identifier(correlation_id, request.secrets),
    }


def _in_words(fields: Mapping[str, Any]) -> str:
    error, description, correlation_id = fields["error"], fields["error_description"], fields["correlation_id"]
    return (
        f"the authorization server answered {fields['status_code']}"
        + (f" {error}" if error else "")
        + (f": {description}" if description else "")
        + (f" ({correlation_id})" if correlation_id else "")
    )


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Retry-After, RFC 9110 section 10.2.3: seconds or an HTTP date."""
    value = headers.get("retry-after", "").strip()
    seconds = read_seconds(value)
    if seconds is None:
        until, sent_at = _http_date(value), _http_date(headers.get("date", ""))
        if until is None:
            return None
        # By the server's clock if it sends its time: ours may be wrong.
        seconds = until - (now if sent_at is None else sent_at)
    return max(seconds, 0.0)


def _http_date(value: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
