"""Converts a response of the authorization server, or a missing one, to an error.

Used by the judges of responses, and by all code that sends requests. Pure: it decides from values alone.

    SignInRequired           the server's verdict is `invalid_grant`: only this may end a grant
    TemporarilyUnavailable   429, 5xx and similar, or no response; nothing is known to be wrong
    ConfigurationError       the registration, the URL or the request is wrong, and stays wrong
    ProtocolError            the response is not a valid OAuth 2.0 response

It promises that an error contains only these parts of a response: the server's code, description, link and correlation
id, without any secret that was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ..errors import BlnkAuthError, ConfigurationError, ProtocolError, SignInRequired, TemporarilyUnavailable
from ..token import read_seconds
from .http_messages import HttpResponse, NoResponse, Purpose
from .http_values import read_http_date
from .redaction import clean_code, clean_identifier, clean_text
from .refusals import REGISTERED_CODES, BadJudge, Refusal, verdict_on, what_to_check
from .requests import ServerRequest

# A gateway reports that the server behind it did not respond. That server may have executed the request.
_GATEWAY_STATUSES = frozenset({502, 504})

# The server refused the request without processing it: too many requests, or overloaded.
_UNTOUCHED_STATUSES = frozenset({429, 503})

_POSSIBLE_EFFECTS: Mapping[Purpose, str] = {
    "authorization_code": "used up the authorization code",
    "device_code": "processed the device code",
    "exchange": "spent what was exchanged",
    "refresh_token": "renewed",
    "client_credentials": "issued a token",
    "token_exchange": "issued a token",
    "jwt_bearer": "issued a token",
    "pushed_authorization_request": "accepted the request",
    "revocation": "revoked the token",
}

_ENDPOINTS: Mapping[Purpose, str] = {
    "pushed_authorization_request": "pushed_authorization_request_endpoint",
    "revocation": "revocation_endpoint",
}
"""The setting that names the endpoint, where it is not the token endpoint."""

_PARAMETERS: Mapping[str, str] = {"use_dpop_nonce": "dpop", "invalid_dpop_proof": "dpop"}
"""The argument that a registered error code is about, where it is one only."""

_GRANT_TYPES: Mapping[Purpose, str] = {
    "authorization_code": "authorization_code",
    "refresh_token": "refresh_token",
    "client_credentials": "client_credentials",
    "device_code": "device_code",
    "token_exchange": "token exchange",
    "jwt_bearer": "jwt-bearer",
}
"""What an error calls the grant of a token request."""

PRESENTED: Mapping[Purpose, str] = {"token_exchange": "subject_token", "jwt_bearer": "assertion"}
"""The argument that has what a request presents to the server, in place of a user's sign-in."""


def no_response(failure: NoResponse, request: ServerRequest) -> TemporarilyUnavailable:
    """The error for a request that got no complete response."""
    why = clean_text(failure.problem, request.secrets)
    problem = f"the authorization server gave no answer ({why})"
    return _temporarily_unavailable(problem, request.purpose, outcome_unknown=failure.sent)


def after_lost_response(refusal: SignInRequired) -> SignInRequired:
    """The same refusal, which was probably caused by rotation: the previous request got no response."""
    lost = _lost("refresh_token")
    return refusal.replace(problem=f"{refusal.problem} ({lost}, and with it the rotated refresh token)")


def spent_nothing(error: BlnkAuthError) -> bool:
    """Whether the failed request provably had no effect, so that its code or token can be used again.

    True if it was not sent, or if the server refused it without processing it (429, 503).
    """
    return (
        isinstance(error, TemporarilyUnavailable)
        and not error.outcome_unknown
        and (error.status_code is None or error.status_code in _UNTOUCHED_STATUSES)
    )


def error_of(
    response: HttpResponse,
    document: Mapping[str, Any] | None,
    request: ServerRequest,
    *,
    now: float,
    missing: str | None = None,
) -> BlnkAuthError:
    """The error for a response without the requested result. `missing`: the member that it lacks."""
    provider, status = request.provider, response.status_code
    fields = fields_of(response, document, request.secrets, provider.correlation_header)
    registered = fields["error"] if fields["error"] in REGISTERED_CODES else None
    answered = in_words(fields) + (f" without {missing}" if missing else "")
    try:
        verdict = verdict_on(Refusal(response, document, registered), provider.judge_refusal)
    except BadJudge as failure:
        return ConfigurationError(
            f"{answered}, and judge_refusal of the provider {failure}",
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
            retry_after=retry_after_of(response.headers, now),
            **fields,
        )
    refreshing = request.purpose == "refresh_token" and (status >= 400 or document is not None)
    endpoint = _ENDPOINTS.get(request.purpose, "token_endpoint")
    presented = PRESENTED.get(request.purpose)
    remedy = what_to_check(
        status,
        registered,
        endpoint,
        refreshing=refreshing,
        presented=presented,
        grant_type=_GRANT_TYPES.get(request.purpose),
    )
    if verdict == "configuration":
        parameter = presented if registered == "invalid_request" else _PARAMETERS.get(registered or "")
        return ConfigurationError(answered, remedy=remedy, parameter=parameter, **fields)
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


def fields_of(
    response: HttpResponse,
    document: Mapping[str, Any] | None,
    secrets: tuple[str, ...],
    correlation_header: str | None = None,
) -> dict[str, Any]:
    """The content of a response, as the fields of an error: without `secrets`."""
    members = document or {}
    sent = members.get("error")
    # A registered code is not redacted, even if a secret is so short that the code contains it.
    code = sent if isinstance(sent, str) and sent in REGISTERED_CODES else clean_code(sent, secrets)
    correlation_id = response.headers.get((correlation_header or "").lower())
    return {
        "error": code,
        "error_description": clean_text(_description(members, code), secrets),
        "error_uri": clean_text(members.get("error_uri"), secrets),
        "status_code": response.status_code,
        "correlation_id": clean_identifier(correlation_id, secrets),
    }


def _description(members: Mapping[str, Any], code: str | None) -> Any:
    """A server's own words for an error: RFC 6749, else RFC 7807 (gateways, bLink), else what servers have invented."""
    for member in ("error_description", "detail", "title"):
        if members.get(member):
            return members[member]
    error = members.get("error")
    if code is None and isinstance(error, str):
        # Some servers send a sentence as the code.
        return error
    return ": ".join(part for part in _invented(members) if isinstance(part, str) and part)


def _invented(members: Mapping[str, Any]) -> list[object]:
    errors: object = members.get("errors")
    first: object = cast("list[object]", errors)[0] if isinstance(errors, list) and errors else members.get("error")
    parts: list[object] = []
    if isinstance(first, Mapping):
        nested = cast("Mapping[str, object]", first)
        parts = [nested.get(member) for member in ("code", "errorType", "type", "message")]
    return [*parts, members.get("message")]


def in_words(fields: Mapping[str, Any]) -> str:
    """What the server answered, in one sentence, from the fields of an error."""
    error, description, correlation_id = fields["error"], fields["error_description"], fields["correlation_id"]
    return (
        f"the authorization server answered {fields['status_code']}"
        + (f" {error}" if error else "")
        + (f": {description}" if description else "")
        + (f" ({correlation_id})" if correlation_id else "")
    )


def retry_after_of(headers: Mapping[str, str], now: float) -> float | None:
    """Retry-After, RFC 9110 section 10.2.3: seconds or an HTTP date."""
    value = headers.get("retry-after", "").strip()
    seconds = read_seconds(value)
    if seconds is None:
        until, sent_at = read_http_date(value), read_http_date(headers.get("date", ""))
        if until is None:
            return None
        # Computed with the server's clock if it sends its time, because this machine's clock may be wrong.
        seconds = until - (now if sent_at is None else sent_at)
    return max(seconds, 0.0)
