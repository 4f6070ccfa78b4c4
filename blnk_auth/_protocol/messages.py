"""What is said to the authorization server and what its answers mean. Pure: no socket, no clock, no store.

Each operation is split in two: build the request, judge the response. Judging returns the token or raises the one
error that says what the caller can do:

    SignInRequired           the server's verdict is `invalid_grant`: only this may end a grant
    TemporarilyUnavailable   429, 5xx and their like; nothing is known to be wrong
    ConfigurationError       the registration, the URL or the request is wrong, and stays wrong
    ProtocolError            no OAuth 2.0 answer at all

No text of an answer enters an error except the RFC's own fields, cleaned of every secret that we sent.
authlib's transport-free layer writes the requests.
"""

from __future__ import annotations

import email.utils
import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, cast, get_args
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

from ..errors import BlnkAuthError, ConfigurationError, ProtocolError, SignInRequired, TemporarilyUnavailable
from ..provider import Provider, Refusal, Verdict, checked_authorization_parameters
from ..token import Token, read_seconds, read_token
from .client_authentication import ClientCredentials
from .http_messages import Call, HttpRequest, HttpResponse

_FORM = "application/x-www-form-urlencoded"

_CONFIGURATION_CODES = frozenset(
    "invalid_request invalid_client unauthorized_client unsupported_grant_type unsupported_response_type invalid_scope "
    "invalid_target unsupported_token_type access_denied invalid_dpop_proof use_dpop_nonce".split()
)
_TRANSIENT_CODES = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
_KNOWN_CODES = _CONFIGURATION_CODES | _TRANSIENT_CODES | {"invalid_grant"}

ANSWER_LOST = "the authorization server may have renewed, but its answer was lost"

# A gateway's word on a server behind it, which may have done what it was asked.
_GATEWAY_STATUSES = frozenset({502, 504})
_TRANSIENT_STATUSES = frozenset({408, 425, 429})
# What these name does not heal by itself: method, media types, not implemented.
_LASTING_STATUSES = frozenset({404, 405, 406, 415, 501})

# Part of a request that is quoted, perhaps cut off in the middle of a secret.
_QUOTED_PARAMETER = re.compile(
    r"""((?:refresh_token|access_token|client_secret|client_assertion|code|code_verifier|token)["']?\s*[=:]\s*)["']?\S+"""
)

_IDENTIFIER = re.compile(r"[0-9A-Fa-f-]{1,64}")

# In characters. Cut out of what a server says, shorter ones would tear its prose apart.
_SHORTEST_SECRET = 8

_SECRET_PARAMETERS = ("refresh_token", "code", "code_verifier", "device_code")

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True, slots=True)
class ServerRequest:
    """A request to the provider with the secrets in it, which must not reappear in an error."""

    request: HttpRequest
    provider: Provider
    secrets: tuple[str, ...] = field(repr=False)


class Judge(Protocol):
    """Reads the answer of the token endpoint: the token and notes on what was odd; or raises."""

    def __call__(self, response: HttpResponse, call: ServerRequest, *, now: float) -> tuple[Token, tuple[str, ...]]: ...


# Each builder makes one attempt: `call` is what the provider's own parameters and headers may depend on, and `now`, in
# UTC epoch seconds, dates a signed assertion.


def build_refresh(
    provider: Provider,
    credentials: ClientCredentials,
    refresh_token: str,
    *,
    redirect_uri: str | None = None,
    call: Call = Call("refresh_token"),
    now: float = 0.0,
) -> ServerRequest:
    """The refresh request, RFC 6749 section 6. No scope is sent: absent means unchanged."""
    repeated = redirect_uri if provider.redirect_uri_on_refresh else None
    parameters = {"refresh_token": refresh_token, "redirect_uri": repeated}
    return _build(provider, credentials, "refresh_token", parameters=parameters, call=call, now=now)


def build_client_credentials(
    provider: Provider,
    credentials: ClientCredentials,
    scope: str | None,
    *,
    call: Call = Call("client_credentials"),
    now: float = 0.0,
) -> ServerRequest:
    """The client credentials request, RFC 6749 section 4.4."""
    return _build(provider, credentials, "client_credentials", parameters={"scope": scope}, call=call, now=now)


def build_code_exchange(
    provider: Provider,
    credentials: ClientCredentials,
    *,
    code: str,
    redirect_uri: str,
    code_verifier: str | None,
    call: Call = Call("authorization_code"),
    now: float = 0.0,
) -> ServerRequest:
    """The exchange of an authorization code, RFC 6749 section 4.1.3 with RFC 7636."""
    parameters = {"code": code, "redirect_uri": redirect_uri, "code_verifier": code_verifier}
    return _build(provider, credentials, "authorization_code", parameters=parameters, call=call, now=now)


def build_device_authorization(
    provider: Provider, credentials: ClientCredentials, scope: str | None, *, call: Call, now: float
) -> ServerRequest:
    """The request for a device code, RFC 8628 section 3.1. Raises `ConfigurationError` where there is none."""
    endpoint = provider.device_authorization_endpoint
    if endpoint is None:
        raise ConfigurationError(
            f"{provider.display_name} has no device_authorization_endpoint",
            remedy=("use authorize_interactively(), with pasted= where no browser can reach this machine"),
        )
    proof = credentials.prove(audience=_audience(provider), now=now)
    named = {"client_id": credentials.client_id, **({"scope": scope} if scope else {})}
    own = {**named, **proof.parameters}
    further = provider.token_parameters_of(call, reserved=own)
    parameters = {**own, **further}
    headers = {
        "Accept": "application/json",
        "Content-Type": _FORM,
        **provider.token_headers_of(call),
        **proof.headers,
    }
    request = HttpRequest("POST", endpoint, headers, urlencode(parameters).encode("ascii"))
    return ServerRequest(request, provider, (*proof.secrets, *_perhaps_secret(further)))


def build_device_exchange(
    provider: Provider, credentials: ClientCredentials, device_code: str, *, call: Call, now: float
) -> ServerRequest:
    """One question whether the person has decided, RFC 8628 section 3.4."""
    # "REQUIRED if the client is not authenticating"; servers that compare it with the device code's want it always.
    parameters = {"device_code": device_code, "client_id": credentials.client_id}
    return _build(provider, credentials, DEVICE_GRANT, parameters=parameters, call=call, now=now)


def build_revocation(
    provider: Provider,
    credentials: ClientCredentials,
    token: str,
    hint: str,
    *,
    call: Call = Call("revocation"),
    now: float = 0.0,
) -> ServerRequest:
    """The revocation request: RFC 7009 section 2.1, or the provider's own. Raises `ConfigurationError` for none."""
    endpoint = provider.revocation_endpoint
    if endpoint is None:
        raise ConfigurationError(f"revoke: {provider.revocation_advice}")
    headers = {"Accept": "application/json", **provider.token_headers_of(call)}
    if provider.revocation == "connection":
        request = HttpRequest("DELETE", endpoint, {**headers, "Authorization": f"Bearer {token}"}, b"")
        return ServerRequest(request, provider, (token,))
    proof = credentials.prove(audience=_audience(provider), now=now)
    reserved = ("token", "token_type_hint", *proof.parameters)
    further = provider.token_parameters_of(call, reserved=reserved)
    parameters = urlencode({**further, **proof.parameters})
    body, _ = _authlib("oauth2.rfc7009").prepare_revoke_token_request(token, hint, parameters)
    request = HttpRequest(
        "POST", endpoint, {**headers, "Content-Type": _FORM, **proof.headers}, str(body).encode("ascii")
    )
    return ServerRequest(request, provider, (token, *proof.secrets, *_perhaps_secret(further)))


def build_authorization_url(
    provider: Provider,
    client_id: str,
    *,
    redirect_uri: str,
    scope: str | None,
    state: str,
    code_verifier: str | None,
    parameters: Mapping[str, str] = MappingProxyType({}),
    target: str | None = None,
) -> str:
    """Where to send the person, RFC 6749 section 4.1.1, with an S256 code challenge."""
    endpoint = provider.authorization_endpoint_of(target)
    if endpoint is None:
        raise ConfigurationError(f"{provider.display_name} has no authorization_endpoint, so no person can sign in")
    if provider.requires_scope and not scope:
        raise ConfigurationError(
            "scope is missing",
            parameter="scope",
            remedy=f"{provider.display_name} wants one with every authorization request",
        )
    challenge: dict[str, str] = {}
    if code_verifier is not None:
        challenge = {
            "code_challenge": _authlib("oauth2.rfc7636").create_s256_code_challenge(code_verifier),
            "code_challenge_method": "S256",
        }
    url: str = _authlib("oauth2.rfc6749.parameters").prepare_grant_uri(
        endpoint,
        client_id,
        "code",
        redirect_uri=redirect_uri,
        scope=scope,
        state=state,
        **challenge,
    )
    further = {**provider.authorization_parameters, **checked_authorization_parameters(parameters, "parameters")}
    return str(_authlib("common.urls").add_params_to_uri(url, list(further.items())))


def judge_token_answer(response: HttpResponse, call: ServerRequest, *, now: float) -> tuple[Token, tuple[str, ...]]:
    """The token that was issued and notes on what was odd about it; else the error that says what to do.

    `now` is when the answer arrived, in UTC epoch seconds.
    """
    outcome = _outcome(response, call, now=now)
    # Raised here, where no local variable holds the answer in clear.
    if isinstance(outcome, BlnkAuthError):
        raise outcome
    return outcome


def judge_device_authorization(response: HttpResponse, call: ServerRequest, *, now: float) -> Mapping[str, Any]:
    """The members of the answer of RFC 8628 section 3.2; else the error that says what to do."""
    document = _read_document(response)
    if 200 <= response.status_code < 300 and document is not None and not document.get("error"):
        return document
    raise _refusal(response, document, call, now=now)


def judge_device_answer(response: HttpResponse, call: ServerRequest, *, now: float) -> tuple[Token, tuple[str, ...]]:
    """As `judge_token_answer`, with the codes of RFC 8628 section 3.5.

    Raises `TemporarilyUnavailable` with the `error` `authorization_pending` or `slow_down` while the person has not
    decided, and `SignInRequired` if they said no or took too long.
    """
    document = _read_document(response) if response.status_code >= 400 else None
    code = None if document is None else document.get("error")
    told: dict[str, Any] = {"error": code, "status_code": response.status_code}
    if code in ("authorization_pending", "slow_down"):
        raise TemporarilyUnavailable("the person has not decided yet", remedy="ask again later", **told)
    if code == "access_denied":
        raise SignInRequired(
            "the person did not give access", remedy="ask again if they change their mind", reason="denied", **told
        )
    if code == "expired_token":
        raise SignInRequired("nobody has entered the code in time", remedy="start it again", reason="restart", **told)
    return judge_token_answer(response, call, now=now)


def judge_revocation_answer(response: HttpResponse, call: ServerRequest, *, now: float) -> None:
    """Return if the token is gone (RFC 7009 section 2.2: also when the server never knew it); else raise."""
    if 200 <= response.status_code < 300:
        return
    raise _refusal(response, _read_document(response), call, now=now)


def _outcome(
    response: HttpResponse, call: ServerRequest, *, now: float
) -> tuple[Token, tuple[str, ...]] | BlnkAuthError:
    document = _read_document(response)
    if 200 <= response.status_code < 300 and document is not None and not document.get("error"):
        members, notes = _members(call.provider, document, now)
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
    return _refusal(response, document, call, now=now)


def _members(provider: Provider, document: Mapping[str, Any], now: float) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The answer in the members of RFC 6749. A reader that fails must not cost the pair that was issued."""
    try:
        read = provider.read_answer(document, now)
    except Exception as error:  # noqa: BLE001 - a provider's author may raise anything
        failure = f"raised {type(error).__name__}"
    else:
        if isinstance(read, Mapping):
            return read, ()
        failure = f"returned {type(read).__name__} instead of a mapping"
    return document, (f"read_answer of the provider {failure}; the answer was read as it is",)


def _authlib(module: str) -> Any:
    """A module of authlib, loaded by the first message that needs it, and untyped as authlib is."""
    return importlib.import_module(f"authlib.{module}")


def _build(
    provider: Provider,
    credentials: ClientCredentials,
    grant_type: str,
    *,
    parameters: Mapping[str, str | None],
    call: Call,
    now: float,
) -> ServerRequest:
    proof = credentials.prove(audience=_audience(provider), now=now)
    present = {name: value for name, value in parameters.items() if value}
    secrets = tuple(present[name] for name in _SECRET_PARAMETERS if name in present)
    reserved = ("grant_type", *present, *proof.parameters)
    further = provider.token_parameters_of(call, reserved=reserved)
    everything = {**present, **further, **proof.parameters}
    if provider.token_body == "json":
        media_type, body = "application/json", json.dumps({"grant_type": grant_type, **everything})
    else:
        media_type = _FORM
        body = _authlib("oauth2.rfc6749.parameters").prepare_token_request(grant_type, **everything)
    headers = {
        "Accept": "application/json",
        "Content-Type": media_type,
        **provider.token_headers_of(call),
        **proof.headers,
    }
    request = HttpRequest("POST", provider.token_endpoint, headers, body.encode("ascii"))
    return ServerRequest(request, provider, (*secrets, *proof.secrets, *_perhaps_secret(further)))


def _perhaps_secret(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """Which of a provider's own parameters prove the client nobody tells us; what is short proves nothing."""
    return tuple(value for value in parameters.values() if len(value) >= _SHORTEST_SECRET)


def _audience(provider: Provider) -> str:
    by_issuer = provider.assertion_audience == "issuer" and provider.issuer is not None
    return str(provider.issuer) if by_issuer else provider.token_endpoint


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


def _refusal(
    response: HttpResponse, document: Mapping[str, Any] | None, call: ServerRequest, *, now: float
) -> BlnkAuthError:
    provider, status = call.provider, response.status_code
    code, description, uri = _verdict(document, call.secrets)
    correlation_id = _correlation(response.headers.get((provider.correlation_header or "").lower()), call.secrets)
    told: dict[str, Any] = {"error": code, "error_description": description, "error_uri": uri, "status_code": status}
    because = (f": {description}" if description else "") + (f" ({correlation_id})" if correlation_id else "")
    answered = f"the authorization server answered {status}" + (f" {code}" if code else "") + because
    try:
        verdict = _judged(provider, Refusal(response, document, code)) or _standard_verdict(status, code)
    except ConfigurationError as error:
        return ConfigurationError(answered, remedy=str(error), **told)
    if verdict == "sign_in":
        return SignInRequired(answered, remedy="the person must sign in again", reason="refused", **told)
    if verdict == "transient":
        retry_after = _retry_after(response.headers, now)
        lost = status in _GATEWAY_STATUSES
        return TemporarilyUnavailable(
            f"{answered}; {ANSWER_LOST}" if lost else answered,
            remedy="try again later",
            retry_after=retry_after,
            outcome_unknown=lost,
            **told,
        )
    if verdict == "configuration":
        return ConfigurationError(answered, remedy=_remedy(status, code), **told)
    return ProtocolError(f"{answered}, which is no OAuth 2.0 answer", remedy="is token_endpoint the right URL?", **told)


def _judged(provider: Provider, refusal: Refusal) -> Verdict | None:
    """The provider's own verdict. One that fails must end no grant. Raises `ConfigurationError`."""
    try:
        verdict = provider.judge_refusal(refusal)
    except Exception as error:  # noqa: BLE001 - a provider's author may raise anything
        failure = f"raised {type(error).__name__}"
    else:
        if verdict is None or verdict in get_args(Verdict):
            return verdict
        failure = f"returned {verdict!r}, which is none of {', '.join(get_args(Verdict))} and not None"
    raise ConfigurationError(
        f"judge_refusal of the provider {failure}", parameter="judge_refusal", remedy="correct it there"
    )


def _standard_verdict(status: int, code: str | None) -> Verdict | None:
    if 300 <= status < 400:
        return "configuration"
    if (status >= 500 and status not in _LASTING_STATUSES) or status in _TRANSIENT_STATUSES or code in _TRANSIENT_CODES:
        return "transient"
    if code == "invalid_grant":
        return "sign_in"
    if code in _CONFIGURATION_CODES or status in (401, 403) or status in _LASTING_STATUSES:
        return "configuration"
    return None


def _remedy(status: int, code: str | None) -> str:
    if 300 <= status < 400:
        return (
            "a redirect is never followed, since it would carry the secrets along; set token_endpoint to the final URL"
        )
    if code is not None:
        return f"check {_REMEDIES.get(code, _REGISTRATION)}"
    if status in _LASTING_STATUSES:
        return "check token_endpoint"
    return "check client_id, client_auth, and the client_secret, private_key or cert that goes with it"


_REGISTRATION = "the client's registration at the provider"
_REMEDIES: Mapping[str, str] = {
    "invalid_client": "client_id, client_auth, and the client_secret, private_key or cert that goes with it",
    "invalid_scope": "scope",
    "invalid_request": "the provider's settings: a parameter is missing or not wanted",
}


def _verdict(document: Mapping[str, Any] | None, secrets: tuple[str, ...]) -> tuple[str | None, str | None, str | None]:
    """`error`, `error_description` and `error_uri`; prose where a code of the RFCs should be is a description."""
    if document is None:
        return None, None, None
    error, description, uri = (document.get(name) for name in ("error", "error_description", "error_uri"))
    # RFC 7807, which gateways and bLink send instead.
    description = description or document.get("detail") or document.get("title")
    code = error if isinstance(error, str) and error in _KNOWN_CODES else None
    if code is None and isinstance(error, str) and not description:
        description = error
    return code, _clean(description, secrets), _clean(uri, secrets)


def _clean(text: Any, secrets: tuple[str, ...]) -> str | None:
    """A server's text made fit for an error: printable, short, and free of what we sent or it issued."""
    if not isinstance(text, str) or not text.strip():
        return None
    # One may be the beginning of another.
    for secret in sorted(secrets, key=len, reverse=True):
        for written in (secret, quote_plus(secret), quote(secret, safe="")):
            text = text.replace(written, "[redacted]")
    text = _QUOTED_PARAMETER.sub(r"\1[redacted]", text)
    # A server may quote a token that we did not send; no word of prose, and no part of a path, is this long.
    text = re.sub(r"[^\s/]{32,}", "[redacted]", text)
    return re.sub(r"[^\x20-\x7e\xa0-\U0010ffff]+", " ", text).strip()[:200]


def _correlation(text: str | None, secrets: tuple[str, ...]) -> str | None:
    """What support asks for: a UUID or its like as it is, though it is as long as a token; else cleaned."""
    if text is not None and _IDENTIFIER.fullmatch(text) and text not in secrets:
        return text
    return _clean(text, secrets)


def _integer(text: str) -> int | None:
    # Python refuses to read integers of thousands of digits; whatever such a member means, it is not ours.
    return int(text) if len(text) < 300 else None


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Retry-After, RFC 9110 section 10.2.3: seconds or an HTTP date."""
    value = headers.get("retry-after", "").strip()
    seconds = read_seconds(value)
    if seconds is None:
        until, sent_at = _http_date(value), _http_date(headers.get("date", ""))
        if until is None:
            return None
        # By the server's clock where it tells the time: ours may be another.
        seconds = until - (now if sent_at is None else sent_at)
    return max(seconds, 0.0)


def _http_date(value: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
