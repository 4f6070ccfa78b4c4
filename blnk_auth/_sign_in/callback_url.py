"""The authorization response: what the browser brings back from the authorization server (RFC 6749 section 4.1.2).

Used by the sign-ins that end with a redirect. Pure: it reads and checks a URL, and never changes a stored sign-in.
Anybody can send a callback, so nothing in it is trusted before its `state` is known to be ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs

from .._protocol.origins import endpoint_origin
from .._protocol.pushed_authorization import MISCONFIGURED, demands_pushed_requests
from .._protocol.redaction import clean_text
from ..errors import BlnkAuthError, ConfigurationError, ProtocolError, SignInRequired
from ..provider import Provider

_PARAMETERS = ("state", "code", "iss", "error", "error_description")

_KNOWN_CODES = frozenset(
    (*MISCONFIGURED, "access_denied", "server_error", "temporarily_unavailable", "login_required", "consent_required")
) | {
    *("interaction_required", "account_selection_required", "unmet_authentication_requirements"),
    # RFC 9101 section 7: what was pushed has expired, or was used already.
    "invalid_request_uri",
}


_PUSH_IT = (
    "pass the provider's pushed_authorization_request_endpoint, and requires_pushed_authorization_requests=True; "
    "Provider.discover() reads both"
)
"""The remedy where the server accepts only requests that were pushed (RFC 9126 section 5), and the provider does not
state that."""


@dataclass(frozen=True, slots=True)
class Callback:
    """The parameters of a callback URL; None if one is missing or empty."""

    state: str | None = field(repr=False)
    code: str | None = field(repr=False)
    issuer: str | None = field(repr=False)
    error: str | None = field(repr=False)
    error_description: str | None = field(repr=False)

    @property
    def known_error(self) -> str | None:
        """The error code if it is registered. Only this may be shown of a callback whose `state` is not known."""
        return self.error if self.error in _KNOWN_CODES else None


def parse_callback(callback_url: str) -> Callback:
    """Read the query of a callback URL.

    Raises:
        ConfigurationError: It is not a URL with a query.
        ProtocolError: A parameter comes more than once, which RFC 6749 section 3.1 forbids.
    """
    if not isinstance(callback_url, str) or "?" not in callback_url:
        raise ConfigurationError(
            "callback_url must be the full URL that the browser was redirected to, with its query",
            parameter="callback_url",
            remedy="pass it as the browser sent it",
        )
    read = _read(callback_url)
    if isinstance(read, Callback):
        return read
    # Raised here and not in `_read`: no local variable of this function contains the code.
    raise ProtocolError(
        f"callback_url has the parameter {read!r} more than once",
        parameter="callback_url",
        remedy="start the sign-in again",
    )


def _read(callback_url: str) -> Callback | str:
    """The callback, or the name of a parameter that comes more than once."""
    # `urlsplit` cannot be used: it raises an error for malformed hosts, and anybody can send a callback.
    query = callback_url.partition("?")[2].partition("#")[0]
    parameters = parse_qs(query, keep_blank_values=True)
    doubled = next((name for name in _PARAMETERS if len(parameters.get(name, ())) > 1), None)
    if doubled is not None:
        return doubled
    return Callback(*(parameters.get(name, [""])[0] or None for name in _PARAMETERS))


def check_callback(callback: Callback, provider: Provider) -> None:
    """Raise an error for a callback that is not an authorization response of this provider.

    Called before the code is used. A wrong `iss` means that another server answered (the mix-up attack, RFC 9207). Its
    code must not be sent to this provider, and its error is ignored and not shown. If the server promises `iss`, a code
    without it is refused too (section 2.4). An error without it is accepted: servers that promise `iss` often leave it
    out there, and an error gives nobody access.

    Raises:
        ProtocolError: It is not an authorization response of this provider.
    """
    if callback.issuer is not None:
        _check_issuer(callback.issuer, provider)
    if callback.code is None and callback.error is None:
        raise ProtocolError(
            "callback_url has neither code nor error, so it is not an authorization response",
            parameter="callback_url",
            remedy="pass the whole URL that the browser was redirected to",
        )
    if callback.issuer is None and callback.error is None and provider.sends_iss:
        raise ProtocolError(
            "callback_url has no iss, although this provider has sends_iss=True, so it may come from another server",
            parameter="callback_url",
            remedy="start the sign-in again; if the server never sends iss, correct the provider's sends_iss, or "
            "report that its metadata is wrong",
        )


def _check_issuer(issuer: str, provider: Provider) -> None:
    if provider.issuer is None:
        if not _is_at_an_endpoint(issuer, provider):
            raise ProtocolError(
                "callback_url: iss names a server at another origin than this provider's endpoints",
                parameter="callback_url",
                remedy="start the sign-in again, and if it is the right server, set the issuer of the provider",
            )
    elif issuer != provider.issuer:
        raise ProtocolError(
            "callback_url: iss names another authorization server than this provider's issuer",
            parameter="callback_url",
            remedy="start the sign-in again; if it is the right server, correct the provider's issuer, or report "
            "that its metadata is wrong",
        )


def _is_at_an_endpoint(issuer: str, provider: Provider) -> bool:
    """Whether an `iss` is at the origin of one of the endpoints. For a provider without an issuer to compare it with.

    The issuer of an attacker's server is at another origin.
    """
    try:
        origin = endpoint_origin(issuer, "iss")
    except ConfigurationError:
        return False
    endpoints = (provider.token_endpoint, provider.authorization_endpoint)
    return any(origin == endpoint_origin(url, "endpoint") for url in endpoints if isinstance(url, str))


def code_of(callback: Callback, provider: Provider, *, subject: str) -> str:
    """The code of a callback whose `state` was right.

    Raises:
        SignInRequired: The callback has an error: the user refused, or must begin again.
        ConfigurationError: The callback has an error that another attempt does not change.
    """
    if callback.error is None and callback.code is not None:
        return callback.code
    raise _refused(callback, provider, subject)


def _refused(callback: Callback, provider: Provider, subject: str) -> BlnkAuthError:
    # The server may quote the state, or a code.
    secrets = tuple(filter(None, (callback.state, callback.code)))
    error = callback.known_error or clean_text(callback.error, secrets)
    description = clean_text(callback.error_description, secrets)
    if error == "access_denied":
        return SignInRequired(
            "the user did not give access",
            remedy="start the sign-in again if the user wants to give access after all",
            reason="denied",
            subject=subject,
            error=error,
            error_description=description,
        )
    problem = f"the authorization server ended the sign-in with {': '.join(filter(None, (error, description)))}"
    if error is not None and error in MISCONFIGURED:
        parameter, remedy = MISCONFIGURED[error]
        if not provider.requires_pushed_authorization_requests:
            if demands_pushed_requests(description):
                parameter, remedy = "pushed_authorization_request_endpoint", _PUSH_IT
            elif error == "invalid_request":
                remedy = f"{remedy}; if it demands pushed authorization requests: {_PUSH_IT}"
        return ConfigurationError(
            problem, remedy=remedy, parameter=parameter, error=error, error_description=description
        )
    return SignInRequired(
        problem,
        remedy="start the sign-in again",
        reason="restart",
        subject=subject,
        error=error,
        error_description=description,
    )


def no_state(callback: Callback) -> SignInRequired:
    """The error for a refusal without `state`: its sign-in is not known, so every pending sign-in can still be
    finished.

    Only a registered error code is quoted from it, since anybody can send such a callback.
    """
    code = callback.known_error
    return SignInRequired(
        f"the authorization server refused ({code or 'with an error code that is not registered'}), but its response "
        "has no state, so it is not known which sign-in it refused",
        remedy="begin again with start_authorization()",
        reason="restart",
        error=code,
    )
