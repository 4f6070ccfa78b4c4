"""What a refusal by the authorization server means, by the RFCs or by the provider's own rule.

Used by the judges of responses; `Refusal` and `Verdict` are for authors of providers. Pure. What this file promises:

* Only `invalid_grant`, or the provider's own rule, ends a grant.
* A provider's rule that fails ends no grant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ..errors._pickling import public
from .http_messages import HttpResponse

Verdict = Literal["sign_in", "configuration", "transient"]
"""What a refusal by the token endpoint means: the grant has ended, something is set up wrong, or try later."""


@public
@dataclass(frozen=True, slots=True)
class Refusal:
    """A response of the token endpoint that brings no token, for a provider's own judgement. Immutable.

    Attributes:
        response: The HTTP response.
        document: The body, read as a JSON object or a form; None if it is not one.
        error: The `error` code (RFC 6749 section 5.2) if an RFC registers it; else None. `document` has any other code.
    """

    response: HttpResponse
    document: Mapping[str, Any] | None = field(repr=False)
    error: str | None

    @property
    def is_legible(self) -> bool:
        """Whether the body is an object or empty. Anything else, such as a page, comes from a gateway."""
        return self.document is not None or not self.response.body.strip()


_CONFIGURATION_CODES = frozenset(
    "invalid_request invalid_client unauthorized_client unsupported_grant_type unsupported_response_type invalid_scope "
    "invalid_target unsupported_token_type access_denied invalid_dpop_proof use_dpop_nonce "
    "invalid_authorization_details invalid_grant_id".split()
)
_TRANSIENT_CODES = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
REGISTERED_CODES = _CONFIGURATION_CODES | _TRANSIENT_CODES | {"invalid_grant"}

_TRANSIENT_STATUSES = frozenset({408, 425, 429})
# These do not pass with time: wrong URL, method or media type, not implemented.
_LASTING_STATUSES = frozenset({404, 405, 406, 413, 415, 501})

_CREDENTIALS = (
    "client_id, client_auth, and the client_secret, private_key or cert that belongs to it (with a signed assertion "
    "also the provider's assertion_audience)"
)
_REGISTRATION = "the client's registration at the provider"
_WHAT_TO_CHECK: Mapping[str, str] = {
    "invalid_client": _CREDENTIALS,
    "invalid_scope": "scope",
    "invalid_target": "resource and audience: the server issues no token for them to this client",
    "invalid_request": "the provider's settings: a parameter is missing or not wanted",
    "use_dpop_nonce": "dpop: without dpop=True no proof is sent; with it, the server has sent no usable nonce",
    "invalid_dpop_proof": "dpop (without dpop=True no proof is sent), and this machine's clock",
}

_ABOUT_THE_GRANT: Mapping[str | None, str] = {
    "unauthorized_client": "have the operator of the server allow the grant {} for this client_id, or use another "
    "grant that it allows",
    "unsupported_grant_type": "use another grant: the server does not offer {}, or not at this token_endpoint",
}
"""What to do if the server refuses the grant itself (RFC 6749 section 5.2)."""

_MAY_HAVE_ENDED = (
    "or the grant has ended: if signing in again helps, let judge_refusal of the provider return 'sign_in' for this "
    "answer"
)


class BadJudge(Exception):
    """The provider's `judge_refusal` raised an error, or returned a value that is not a verdict."""


def verdict_on(refusal: Refusal, judge_refusal: Callable[[Refusal], Verdict | None]) -> Verdict | None:
    """The provider's verdict, else that of the RFCs; None if neither knows one. Raises `BadJudge`."""
    return _verdict_of_provider(refusal, judge_refusal) or _verdict_of_the_rfcs(
        refusal.response.status_code, refusal.error
    )


def what_to_check(
    status: int,
    code: str | None,
    endpoint: str,
    *,
    refreshing: bool,
    presented: str | None = None,
    grant_type: str | None = None,
) -> str:
    """The remedy for a refusal that ends no grant.

    Args:
        status: The HTTP status.
        code: The registered error code; None if there is none.
        endpoint: The setting that names the endpoint.
        refreshing: Whether a refresh token was refused.
        presented: The argument with the token or assertion that was presented; None: nothing was.
        grant_type: The name of the grant that was asked for; None: none was.
    """
    if 300 <= status < 400:
        return f"a redirect is never followed, since it would carry the secrets along; set {endpoint} to the final URL"
    if presented is not None and code == "invalid_request":
        # RFC 8693 section 2.2.2: this is the code for a subject token that is "invalid for any reason".
        return f"check {presented}, which may have expired or be meant for another server, and the type that is named"
    if grant_type is not None and code in _ABOUT_THE_GRANT:
        return _ABOUT_THE_GRANT[code].format(grant_type)
    check = _what_to_check(status, code, endpoint)
    # For a refresh token that is no longer valid, many servers send a code of their own, `invalid_request`, or no code.
    if refreshing and code in (None, "invalid_request") and status not in _LASTING_STATUSES:
        return f"{check}; {_MAY_HAVE_ENDED}"
    return check


def is_transient(status: int, code: str | None) -> bool:
    """Whether a refusal passes with time, by the RFCs."""
    is_busy = status in _TRANSIENT_STATUSES or code in _TRANSIENT_CODES
    return is_busy or (status >= 500 and status not in _LASTING_STATUSES)


def _what_to_check(status: int, code: str | None, endpoint: str) -> str:
    if code is not None:
        return f"check {_WHAT_TO_CHECK.get(code, _REGISTRATION)}"
    if status in (401, 403):
        return f"check {_CREDENTIALS}"
    if status == 413:
        return "ask for less in one request: it was too large for the server"
    return f"check that {endpoint} is the right URL"


def _verdict_of_provider(refusal: Refusal, judge_refusal: Callable[[Refusal], Verdict | None]) -> Verdict | None:
    try:
        verdict = judge_refusal(refusal)
    except Exception as error:  # noqa: BLE001 - a provider's author may raise anything
        raise BadJudge(f"raised {type(error).__name__}") from None
    if verdict is None or verdict in get_args(Verdict):
        return verdict
    raise BadJudge(f"returned {verdict!r}, but it may return only {', '.join(get_args(Verdict))} or None")


def _verdict_of_the_rfcs(status: int, code: str | None) -> Verdict | None:
    if 300 <= status < 400:
        return "configuration"
    if is_transient(status, code):
        return "transient"
    if code == "invalid_grant":
        return "sign_in"
    if code in _CONFIGURATION_CODES or status in (401, 403) or status in _LASTING_STATUSES:
        return "configuration"
    return None
