"""Judging a token response: the token, or the one error whose class is what the caller can do.

Used by all code that asks the authorization server: the renewal, the sign-ins, a client's `revoke`. The responses of
the device authorization and the revocation endpoints are judged here too. What this file promises:

* An error is raised where no local variable has the response in clear.
* Odd members of a response never cost the pair in it; each becomes a note.

It never reads a clock, a store or a socket. Every judge takes the response, the request that it belongs to, and `now`:
when it arrived, in UTC epoch seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import (
    BlnkAuthError,
    ConfigurationError,
    ProtocolError,
    SignInRequired,
    TemporarilyUnavailable,
    is_number,
)
from ..token import Token, read_refresh_token, read_token
from .access_token import claims_of
from .documents import read_document
from .dpop import DPOP
from .http_messages import HttpResponse
from .redaction import clean_text, holds_piece
from .requests import ServerRequest
from .response_errors import error_of

if TYPE_CHECKING:
    from .server_settings import ServerSettings


class Issued(NamedTuple):
    """What the token endpoint issued.

    Attributes:
        token: The token. None if the response has no access token, although it has a refresh token.
        refresh_token: The refresh token where there is no `token`: it replaces the one that was sent.
        notes: Members of the response that could not be read, or were ignored, as sentences for an event.
        unusable: The error to raise after the token has been saved: the access token is missing, or of a type that
            cannot be sent. None if it can be used.
    """

    token: Token | None
    refresh_token: str | None = None
    notes: tuple[str, ...] = ()
    unusable: BlnkAuthError | None = None

    def __repr__(self) -> str:
        return f"<Issued {self.token!r} unusable={self.unusable!r}>"


class Judge(Protocol):
    """Judges a response of the token endpoint: returns what it issued, or raises an error."""

    def __call__(self, response: HttpResponse, request: ServerRequest, *, now: float) -> Issued: ...


def judge_token_response(response: HttpResponse, request: ServerRequest, *, now: float) -> Issued:
    """What was issued, and notes on what was odd about it. Raises the `BlnkAuthError` that the response means."""
    judged = _issued_or_error(response, request, now=now)
    # Raised here and not inside: no local variable of this function contains the tokens.
    if isinstance(judged, BlnkAuthError):
        raise judged
    return judged


def is_usable_type(token_type: str, scheme: str) -> bool:
    """Whether a token of this type may be sent.

    RFC 6749 section 7.1: "The client MUST NOT use an access token if it does not understand the token type." Understood
    are Bearer, which also stands for a missing one, and the `scheme` that the provider demands.
    """
    return token_type.lower() in ("bearer", scheme.lower())


def is_dpop_type(token_type: str) -> bool:
    """Whether a token of this type is bound to a DPoP key (RFC 9449 section 5)."""
    return token_type.lower() == DPOP.lower()


def is_not_applicable(token_type: str) -> bool:
    """Whether this is the type of a token that is not an access token, and is only presented to a server again.

    RFC 8693 section 2.2.1: "the token_type value N_A is used to indicate that an OAuth 2.0 token_type identifier is not
    applicable in that context."
    """
    return token_type.upper() == "N_A"


def judge_binding(issued: Issued, request: ServerRequest, current: Token | None, *, now: float) -> Issued:
    """What was issued for a request with a DPoP proof: a token that is not bound to the key is not used.

    The refresh token beside it is kept, because the one that was sent may be spent: with the token before it, or with
    the new token as expired. Raises `ConfigurationError` if there is none.

    Args:
        issued: What the response has.
        request: The request.
        current: The token that is renewed; None if there is none.
        now: When the response arrived.
    """
    token = issued.token
    if token is None:
        return issued
    if is_dpop_type(token.token_type):
        return issued._replace(unusable=None)
    if is_not_applicable(token.token_type) and issued.unusable is None:
        # Only a token for an API is bound.
        return issued
    secrets = (*request.secrets, token.access_token, token.refresh_token or "")
    token_type = clean_text(token.token_type, tuple(secret for secret in secrets if secret))
    refused = ConfigurationError(
        f"the token endpoint issued a token of the type {token_type!r} for a request with a DPoP proof, so anyone who "
        "has the token could use it",
        parameter="dpop",
        remedy="switch DPoP on for this client at the server; if the server does not have it, make the client without "
        "dpop and sign in again",
    )
    if token.refresh_token is None:
        raise refused
    if current is None:
        return issued._replace(token=token.replace(expires_at=now), unusable=refused)
    kept = current.replace(refresh_token=token.refresh_token, refresh_expires_at=token.refresh_expires_at)
    return issued._replace(token=kept, unusable=refused)


def judge_device_authorization(response: HttpResponse, request: ServerRequest, *, now: float) -> Mapping[str, Any]:
    """The members of the response of RFC 8628 section 3.2. Raises the `BlnkAuthError` that the response means."""
    judged = members_or_error(response, request, now=now)
    if isinstance(judged, BlnkAuthError):
        raise judged
    return judged


def judge_device_token_response(response: HttpResponse, request: ServerRequest, *, now: float) -> Issued:
    """As `judge_token_response`, with the codes of RFC 8628 section 3.5.

    Raises `TemporarilyUnavailable` with the `error` `authorization_pending` or `slow_down` while the user has not
    decided, and `SignInRequired` if they refused or took too long.
    """
    error = _error_of_device_grant(response)
    if error is not None:
        raise error
    return judge_token_response(response, request, now=now)


def with_requested_scope(issued: Issued, scope: str | None, response: HttpResponse) -> Issued:
    """What was issued, with the scope that was asked for if the response has no such member.

    RFC 6749 section 5.1: it is "OPTIONAL, if identical to the scope requested by the client".
    """
    token = issued.token
    if token is None or token.scope is not None or "scope" in (read_document(response.body) or {}):
        return issued
    return issued._replace(token=token.replace(scope=scope))


def judge_revocation_response(response: HttpResponse, request: ServerRequest, *, now: float) -> None:
    """Return if the token is no longer valid, also when the server never knew it (RFC 7009 section 2.2); else raise."""
    if not 200 <= response.status_code < 300:
        raise error_of(response, read_document(response.body), request, now=now)


def _issued_or_error(response: HttpResponse, request: ServerRequest, *, now: float) -> Issued | BlnkAuthError:
    document = members_or_error(response, request, now=now)
    if isinstance(document, BlnkAuthError):
        return document
    members, notes = _members_of_the_rfc(request.provider, document, now)
    try:
        token, odd = read_token(members, received_at=now)
    except ValueError:
        # Its only cause. Some servers refuse in a 200 without `error`, which their provider's judge knows.
        error = error_of(response, document, request, now=now, missing="access_token")
        refresh_token = read_refresh_token(members, [])
        if refresh_token is None or isinstance(error, SignInRequired):
            return error
        return Issued(None, refresh_token, notes, error)
    secrets = (*request.secrets, token.access_token, token.refresh_token or "")
    if token.scope is not None and holds_piece(token.scope, secrets):
        # The repr of a token shows its scope.
        token, odd = token.replace(scope=None), (*odd, "scope has a secret in it and was ignored")
    if request.purpose == "token_exchange":
        return _exchanged(token, (*notes, *odd), request, secrets)
    return Issued(token, None, (*notes, *odd), _error_of_type(token, request.provider, secrets))


def _exchanged(
    token: Token, notes: tuple[str, ...], request: ServerRequest, secrets: tuple[str, ...]
) -> Issued | BlnkAuthError:
    """What a token exchange issued, RFC 8693 section 2.2.1: perhaps something that is not an access token."""
    wanted, issued_type = request.requested_token_type, token.extra.get("issued_token_type")
    if wanted is not None and issued_type not in (None, wanted):
        # It may be presented to a party that must not have a token of that other type.
        shown = clean_text(issued_type, tuple(secret for secret in secrets if secret))
        return ProtocolError(
            f"the token endpoint issued a token of the type {shown!r}, and {wanted!r} was asked for",
            remedy="leave requested_token_type out if the server decides which type it issues",
            parameter="requested_token_type",
        )
    if not is_not_applicable(token.token_type):
        return Issued(token, None, notes, _error_of_type(token, request.provider, secrets))
    if token.expires_at is None:
        # A token that is presented as an assertion is a JWT with an end (RFC 7523 section 3).
        expires_at = claims_of(token.access_token).get("exp")
        token = token.replace(expires_at=float(expires_at) if is_number(expires_at) else None)
    return Issued(token, None, notes)


def _error_of_type(token: Token, provider: ServerSettings, secrets: tuple[str, ...]) -> ConfigurationError | None:
    if is_usable_type(token.token_type, provider.token_scheme):
        return None
    token_type = clean_text(token.token_type, tuple(secret for secret in secrets if secret))
    if is_dpop_type(token.token_type):
        return ConfigurationError(
            "the token endpoint issued a token that is bound to a DPoP key, although no proof was sent",
            parameter="dpop",
            remedy="pass dpop=True to the client",
        )
    return ConfigurationError(
        f"the token endpoint issued a token of the type {token_type!r}, which is not Bearer",
        parameter="token_scheme",
        remedy="if its API takes tokens under that name in the Authorization header, set token_scheme of the provider",
    )


def members_or_error(
    response: HttpResponse, request: ServerRequest, *, now: float
) -> Mapping[str, Any] | BlnkAuthError:
    """The members of a successful response, else the error that it means."""
    document = read_document(response.body)
    if 200 <= response.status_code < 300 and document is not None and not document.get("error"):
        return document
    return error_of(response, document, request, now=now)


def _error_of_device_grant(response: HttpResponse) -> BlnkAuthError | None:
    # GitHub sends these codes in a 200.
    document = read_document(response.body)
    code = None if document is None else document.get("error")
    fields: dict[str, Any] = {"error": code, "status_code": response.status_code}
    if code in ("authorization_pending", "slow_down"):
        return TemporarilyUnavailable("the user has not decided yet", remedy="poll again later", **fields)
    if code == "access_denied":
        return SignInRequired(
            "the user did not give access",
            remedy="start the sign-in again if the user wants to give access after all",
            reason="denied",
            **fields,
        )
    if code == "expired_token":
        return SignInRequired(
            "the user has not entered the code in time",
            remedy="start the sign-in again",
            reason="restart",
            **fields,
        )
    return None


def _members_of_the_rfc(
    provider: ServerSettings, document: Mapping[str, Any], now: float
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
