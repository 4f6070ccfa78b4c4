"""Judging the answer to a pushed authorization request, and the error codes of authorization requests.

Used by the sign-ins with an authorization code. The codes are the same in the answer to a pushed request (RFC 9126
section 2.3) and in what the browser brings back (RFC 6749 section 4.1.2.1). What this file promises:

* A refusal to begin a sign-in never means that a stored grant has ended.
* The `request_uri` is opaque: it is bounded, sent as it is, and never taken apart.

It never reads a clock or a socket, and never stores anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..errors import BlnkAuthError, ConfigurationError, ProtocolError, SignInRequired, is_text
from ..token import read_seconds
from .response_errors import error_of
from .token_response import members_or_error

if TYPE_CHECKING:
    from .http_messages import HttpResponse
    from .requests import ServerRequest

MISCONFIGURED: Mapping[str, tuple[str | None, str]] = {
    "invalid_request": (None, "compare scope, redirect_uri and parameters with what the provider documents"),
    "unauthorized_client": (None, "have the provider allow the authorization code grant for this client_id"),
    "unsupported_response_type": (None, "have the provider allow response_type=code for this client_id"),
    "invalid_scope": ("scope", "ask for scopes that this client may have"),
    "invalid_target": ("resource", "name a resource that the provider knows"),
    "invalid_authorization_details": ("authorization_details", "send what the provider documents"),
    "invalid_grant_id": ("grant_id", "pass the grant_id of a grant that still exists, or ask for a new grant"),
}
"""Error codes that another attempt does not change, with the wrong parameter and the remedy: RFC 6749 section 4.1.2.1,
RFC 8707 section 2, RFC 9396 section 5, Grant Management for OAuth 2.0."""

_LONGEST_REQUEST_URI = 4096

# No error code is registered for it: servers describe it in words.
_OF_PUSHED_REQUESTS = re.compile(r"(?i:\bpushed\b)|\bPAR\b")


class PushedRequest(NamedTuple):
    """An authorization request that the server has.

    Attributes:
        request_uri: Stands for the request at the authorization endpoint. Usable once.
        lifetime: Seconds until the user must have opened it; None if the server did not report that.
    """

    request_uri: str
    lifetime: float | None

    def __repr__(self) -> str:
        return f"<PushedRequest for {self.lifetime} seconds>"


def judge_pushed_authorization(response: HttpResponse, request: ServerRequest, *, now: float) -> PushedRequest:
    """The response of RFC 9126 section 2.2.

    Raises:
        ConfigurationError: The server refused what was asked for, or the client; `parameter` names what is wrong.
        ProtocolError: The response has no `request_uri` that can be used.
        TemporarilyUnavailable: The server cannot answer now.
    """
    judged = _pushed_or_error(response, request, now=now)
    # Raised here and not inside: no local variable of this function contains the response in clear.
    if isinstance(judged, BlnkAuthError):
        raise judged
    return judged


def demands_pushed_requests(description: str | None) -> bool:
    """Whether the words of a refusal are about pushed requests (RFC 9126 section 5)."""
    return description is not None and _OF_PUSHED_REQUESTS.search(description) is not None


def _pushed_or_error(response: HttpResponse, request: ServerRequest, *, now: float) -> PushedRequest | BlnkAuthError:
    members = members_or_error(response, request, now=now)
    if isinstance(members, BlnkAuthError):
        return _error_of_sign_in(members)
    request_uri, lifetime = members.get("request_uri"), read_seconds(members.get("expires_in"))
    if not is_text(request_uri) or not request_uri.strip() or len(request_uri) > _LONGEST_REQUEST_URI:
        return _error_of_sign_in(error_of(response, members, request, now=now, missing="a usable request_uri"))
    if lifetime is not None and lifetime <= 0:
        return ProtocolError(
            "the authorization server answered with a request_uri that has expired already",
            parameter="pushed_authorization_request_endpoint",
            remedy="report the answer to the provider",
        )
    return PushedRequest(request_uri, lifetime)


def _error_of_sign_in(error: BlnkAuthError) -> BlnkAuthError:
    """The error for the caller who wanted to begin a sign-in: no grant has ended, and the parameter is named."""
    code = error.error or ""
    if isinstance(error, ConfigurationError) and code in MISCONFIGURED:
        parameter, remedy = MISCONFIGURED[code]
        return error.replace(parameter=parameter, remedy=remedy)
    if isinstance(error, SignInRequired):
        # `invalid_grant`, or the verdict of a provider's `judge_refusal`, which knows the answers to a refresh.
        fields = {name: value for name, value in BlnkAuthError.fields(error).items() if name != "remedy"}
        return ConfigurationError(
            f"the sign-in cannot begin: {error.problem}",
            remedy="check the client's registration at the provider, and what is asked for",
            **fields,
        )
    return error
