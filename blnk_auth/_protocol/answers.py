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
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from ..errors import BlnkAuthError, ConfigurationError, ProtocolError, SignInRequired, TemporarilyUnavailable
from ..token import Token, read_refresh_token, read_seconds, read_token
from .authorization_server import AuthorizationServer
from .documents import read_document
from .http_messages import HttpResponse, NoAnswer, Purpose
from .redaction import clean_code, clean_identifier, clean_text
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

_LONGEST_DATE = 100


class Issued(NamedTuple):
    """What the token endpoint issued.

    Attributes:
        token: The token. None if the answer has no access token, although it has a refresh token.
        refresh_token: The refresh token where there is no `token`: it replaces the one that was sent.
        notes: What was odd about the answer.
        unusable: The error to raise once what was issued is saved: the access token is missing, or of a type that
            cannot be sent. None if it can be used.
    """

    token: Token | None
    refresh_token: str | None = None
    notes: tuple[str, ...] = ()
    unusable: BlnkAuthError | None = None

    def __repr__(self) -> str:
        return f"<Issued {self.token!r} unusable={self.unusable!r}>"


class Judge(Protocol):
    """Judges an answer of the token endpoint: what it issued, or raises."""

    def __call__(self, response: HttpResponse, request: ServerRequest, *, now: float) -> Issued: ...


def judge_token_answer(response: HttpResponse, request: ServerRequest, *, now: float) -> Issued:
    """What was issued, and notes on what was odd about it; else the error that says what to do."""
    judged = _issued_or_error(response, request, now=now)
    # Raised here, where no local variable holds the answer in clear.
    if isinstance(judged, BlnkAuthError):
        raise judged
    return judged


def is_usable_type(token_type: str, scheme: str) -> bool:
    """Whether a token of this type may be sent.

    RFC 6749 section 7.1: "The client MUST NOT use an access token if it does not understand the token type." Understood
    are Bearer, which also stands for a missing one, and the `scheme` that the provider demands.
    """
    return token_type.lower() in ("bearer", scheme.lower())


def judge_device_authorization(response: HttpResponse, request: ServerRequest, *, now: float) -> Mapping[str, Any]:
    """The members of the answer of RFC 8628 section 3.2; else the error that says what to do."""
    judged = _members_or_error(response, request, now=now)
    if isinstance(judged, BlnkAuthError):
        raise judged
    return judged


def judge_device_answer(response: HttpResponse, request: ServerRequest, *, now: float) -> Issued:
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
        raise _error_of(response, read_document(response.body), request, now=now)


def no_answer(failure: NoAnswer, request: ServerRequest) -> TemporarilyUnavailable:
    """The error for a request to which no complete answer came."""
    why = clean_text(failure.problem, request.secrets)
    problem = f"the authorization server gave no answer ({why})"
    return _temporarily_unavailable(problem, request.purpose, outcome_unknown=failure.sent)


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


def _issued_or_error(response: HttpResponse, request: ServerRequest, *, now: float) -> Issued | BlnkAuthError:
    document = _members_or_error(response, request, now=now)
    if isinstance(document, BlnkAuthError):
        return document
    members, notes = _members_of_the_rfc(request.provider, document, now)
    try:
        token, odd = read_token(members, received_at=now)
    except ValueError:
        # Its only cause. Some servers refuse in a 200 without `error`, which their provider's judge knows.
        error = _error_of(response, document, request, now=now, missing="access_token")
        refresh_token = read_refresh_token(members, [])
        if refresh_token is None or isinstance(error, SignInRequired):
            return error
        return Issued(None, refresh_token, notes, error)
    return Issued(token, None, (*notes, *odd), _error_of_type(token, request.provider))


def _error_of_type(token: Token, provider: AuthorizationServer) -> ConfigurationError | None:
    if is_usable_type(token.token_type, provider.token_scheme):
        return None
    return ConfigurationError(
        f"the token endpoint issued a token of the type {clean_text(token.token_type, ())!r}, which is not Bearer",
        parameter="token_scheme",
        remedy="if its API takes tokens under that name in the Authorization header, set token_scheme of the provider",
    )


def _members_or_error(
    response: HttpResponse, request: ServerRequest, *, now: float
) -> Mapping[str, Any] | BlnkAuthError:
    document = read_document(response.body)
    if 200 <= response.status_code < 300 and document is not None and not document.get("error"):
        return document
    return _error_of(response, document, request, now=now)


def _error_of_device_grant(response: HttpResponse) -> BlnkAuthError | None:
    # GitHub sends these codes in a 200.
    document = read_document(response.body)
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


def _error_of(
    response: HttpResponse,
    document: Mapping[str, Any] | None,
    request: ServerRequest,
    *,
    now: float,
    missing: str | None = None,
) -> BlnkAuthError:
    """The error for an answer that does not bring what was asked for. `missing`: the member that it lacks."""
    provider, status = request.provider, response.status_code
    fields = _fields(response, document, request)
    registered = fields["error"] if fields["error"] in REGISTERED_CODES else None
    answered = _in_words(fields) + (f" without {missing}" if missing else "")
    try:
        verdict = verdict_on(Refusal(response, document, registered), provider.judge_refusal)
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
    refreshing = request.purpose == "refresh_token" and (status >= 400 or document is not None)
    remedy = what_to_check(status, registered, refreshing=refreshing)
    if verdict == "configuration":
        return ConfigurationError(answered, remedy=remedy, **fields)
    return ProtocolError(f"{answered}, which is not a valid OAuth 2.0 response", remedy=remedy, **fields)


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
    """What an answer says, as the fields of an error."""
    members, secrets = document or {}, request.secrets
    code = clean_code(members.get("error"), secrets)
    correlation_id = response.headers.get((request.provider.correlation_header or "").lower())
    return {
        "error": code,
        "error_description": clean_text(_description(members, code), secrets),
        "error_uri": clean_text(members.get("error_uri"), secrets),
        "status_code": response.status_code,
        "correlation_id": clean_identifier(correlation_id, secrets),
    }


def _description(members: Mapping[str, Any], code: str | None) -> Any:
    """What a server says about an error: RFC 6749, else RFC 7807 (gateways, bLink), else what servers have invented."""
    for member in ("error_description", "detail", "title"):
        if members.get(member):
            return members[member]
    error = members.get("error")
    if code is None and isinstance(error, str):
        # Prose where a code should be.
        return error
    errors = members.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else error
    parts: list[Any] = []
    if isinstance(first, Mapping):
        parts = [first.get(member) for member in ("code", "errorType", "type", "message")]
    parts.append(members.get("message"))
    return ": ".join(part for part in parts if isinstance(part, str) and part)


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
        return email.utils.parsedate_to_datetime(value[:_LONGEST_DATE]).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
