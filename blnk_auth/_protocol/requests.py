"""Requests to the authorization server: for a token, a device code or a revocation, and those that begin a sign-in.

Used by all code that calls the server: the renewal, the sign-ins, a client's `revoke`. What this file promises:

* It never uses a socket, a clock or a store. One call builds one request.
* Each request lists its secrets (`ServerRequest.secrets`), so that they can be removed from errors.
* A provider's own parameters never replace a parameter of the RFC.

Every builder takes `call`, on which the provider's own parameters and headers may depend, and `now` in UTC epoch
seconds, the time in a signed assertion. Each may raise `ConfigurationError`, and any error of a user's callable.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from ..errors import ConfigurationError
from . import authlib
from .client_authentication import ClientCredentials
from .http_messages import Call, HttpRequest, Purpose
from .http_values import without_reserved

if TYPE_CHECKING:
    from .server_settings import ServerSettings

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
TOKEN_EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"

_SECRET_PARAMETERS = (
    *("refresh_token", "code", "code_verifier", "device_code"),
    *("subject_token", "actor_token", "assertion"),
)

# In characters. Removing shorter values from a server's message would make it unreadable.
_SHORTEST_SECRET = 8


class ServerRequest(NamedTuple):
    """A request to the authorization server. Immutable.

    Attributes:
        request: The HTTP request.
        provider: The provider whose server it is for, and whose rules the response is read by.
        purpose: Why it is sent.
        secrets: The secrets in the request. None may appear in an error.
        requested_token_type: Which type of token a token exchange asks for; None: the server decides.
    """

    request: HttpRequest
    provider: ServerSettings
    purpose: Purpose
    secrets: tuple[str, ...]
    requested_token_type: str | None = None

    def __repr__(self) -> str:
        return f"ServerRequest(request={self.request!r}, provider={self.provider!r}, purpose={self.purpose!r})"


def build_refresh(
    provider: ServerSettings,
    credentials: ClientCredentials,
    refresh_token: str,
    *,
    redirect_uri: str | None,
    resource: str | None = None,
    audience: str | None = None,
    call: Call,
    now: float,
) -> ServerRequest:
    """The refresh request, RFC 6749 section 6. No scope is sent: absent means unchanged.

    `redirect_uri` is sent only if the provider wants it (`redirect_uri_on_refresh`). `resource` is sent with each
    refresh (RFC 8707 section 2.2).
    """
    repeated = redirect_uri if provider.redirect_uri_on_refresh else None
    parameters = {
        "refresh_token": refresh_token,
        "redirect_uri": repeated,
        "resource": resource,
        "audience": audience,
    }
    return _build_token_request(provider, credentials, "refresh_token", parameters, call=call, now=now)


def build_client_credentials(
    provider: ServerSettings,
    credentials: ClientCredentials,
    scope: str | None,
    *,
    resource: str | None = None,
    audience: str | None = None,
    further: Iterable[tuple[str, str]] = (),
    call: Call,
    now: float,
) -> ServerRequest:
    """The client credentials request, RFC 6749 section 4.4; `resource` is RFC 8707's."""
    parameters = {"scope": scope, "resource": resource, "audience": audience, **dict(further)}
    return _build_token_request(provider, credentials, "client_credentials", parameters, call=call, now=now)


def build_token_exchange(
    provider: ServerSettings,
    credentials: ClientCredentials,
    parameters: Mapping[str, str | None],
    *,
    call: Call,
    now: float,
) -> ServerRequest:
    """The token exchange request, RFC 8693 section 2.1, with these `parameters`; those that are None are left out."""
    request = _build_token_request(provider, credentials, TOKEN_EXCHANGE_GRANT, parameters, call=call, now=now)
    return request._replace(requested_token_type=parameters.get("requested_token_type"))


def build_jwt_bearer(
    provider: ServerSettings,
    credentials: ClientCredentials,
    assertion: str,
    scope: str | None,
    *,
    resource: str | None = None,
    call: Call,
    now: float,
) -> ServerRequest:
    """The request with an assertion as the authorization grant, RFC 7523 section 2.1; `resource` is RFC 8707's."""
    parameters = {"assertion": assertion, "scope": scope, "resource": resource}
    return _build_token_request(provider, credentials, JWT_BEARER_GRANT, parameters, call=call, now=now)


def build_code_exchange(
    provider: ServerSettings,
    credentials: ClientCredentials,
    *,
    code: str,
    redirect_uri: str,
    code_verifier: str | None,
    resource: str | None = None,
    call: Call,
    now: float,
) -> ServerRequest:
    """The exchange of an authorization code, RFC 6749 section 4.1.3 with RFC 7636 and RFC 8707."""
    parameters = {
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": code_verifier,
        "resource": resource,
    }
    return _build_token_request(provider, credentials, "authorization_code", parameters, call=call, now=now)


def build_one_time_exchange(
    provider: ServerSettings,
    credentials: ClientCredentials,
    grant_type: str,
    parameters: Mapping[str, str],
    *,
    call: Call,
    now: float,
) -> ServerRequest:
    """The request for tokens by a grant of the provider's own, RFC 6749 section 4.5."""
    return _build_token_request(
        provider, credentials, grant_type, parameters, secrets=_perhaps_secret(parameters), call=call, now=now
    )


def build_device_exchange(
    provider: ServerSettings,
    credentials: ClientCredentials,
    device_code: str,
    *,
    resource: str | None = None,
    call: Call,
    now: float,
) -> ServerRequest:
    """The request for the tokens of a device code, repeated until the user has decided: RFC 8628 section 3.4."""
    # client_id is "REQUIRED if the client is not authenticating"; some servers need it always.
    parameters = {"device_code": device_code, "client_id": credentials.client_id, "resource": resource}
    return _build_token_request(provider, credentials, DEVICE_GRANT, parameters, call=call, now=now)


def build_device_authorization(
    provider: ServerSettings,
    credentials: ClientCredentials,
    scope: str | None,
    *,
    resource: str | None = None,
    call: Call,
    now: float,
) -> ServerRequest:
    """The request for a device code, RFC 8628 section 3.1.

    Raises `ConfigurationError` if the provider has no endpoint for it.
    """
    endpoint = provider.device_authorization_endpoint
    if endpoint is None:
        raise ConfigurationError(
            f"{provider.display_name} has no device_authorization_endpoint",
            parameter="device_authorization_endpoint",
            remedy="use authorize_interactively(); if no browser can reach this machine, with pasted=",
        )
    named = {"client_id": credentials.client_id, "scope": scope, "resource": resource}
    own = {name: value for name, value in named.items() if value}
    return _build_proven(
        provider, credentials, endpoint, own, lambda further: urlencode({**own, **further}), call=call, now=now
    )


def build_revocation(
    provider: ServerSettings,
    credentials: ClientCredentials,
    token: str,
    token_type_hint: str,
    *,
    call: Call,
    now: float,
) -> ServerRequest:
    """The revocation request: RFC 7009 section 2.1, or the provider's own.

    Raises `ConfigurationError` if the provider has no endpoint for it.
    """
    endpoint = provider.revocation_endpoint
    if endpoint is None:
        raise ConfigurationError(
            f"{provider.display_name} has no revocation_endpoint",
            parameter="revocation_endpoint",
            remedy=f"{provider.revocation_advice and f'{provider.revocation_advice}; '}forget() deletes the token here",
        )
    if provider.revocation == "connection":
        headers = {"Accept": "application/json", **provider.token_headers_of(call), "Authorization": f"Bearer {token}"}
        return ServerRequest(HttpRequest("DELETE", endpoint, headers, b""), provider, call.purpose, (token,))
    return _build_proven(
        provider,
        credentials,
        endpoint,
        ("token", "token_type_hint"),
        lambda further: authlib.revocation_form(token, token_type_hint, urlencode(further)),
        secrets=(token,),
        call=call,
        now=now,
    )


def authorization_parameters(
    provider: ServerSettings,
    client_id: str,
    *,
    redirect_uri: str,
    scope: str | None,
    state: str,
    code_verifier: str | None,
    further: Mapping[str, str],
) -> dict[str, str]:
    """The parameters of an authorization request, RFC 6749 section 4.1.1; with a verifier also its S256 challenge.

    `further` has no name that the request itself has, and replaces the provider's own `authorization_parameters`.
    Raises `ConfigurationError` if the provider wants a scope and none is given.
    """
    if provider.requires_scope and not scope:
        raise ConfigurationError(
            f"scope is missing, and {provider.display_name} needs one in every authorization request",
            parameter="scope",
            remedy="pass the scopes that the provider documents",
        )
    named = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": scope,
        "state": state,
    }
    challenge: dict[str, str] = {}
    if code_verifier is not None:
        challenge = {"code_challenge": authlib.code_challenge(code_verifier), "code_challenge_method": "S256"}
    present = {name: value for name, value in named.items() if value}
    return {**present, **challenge, **provider.authorization_parameters, **further}


def build_authorization_url(provider: ServerSettings, target: str | None, parameters: Mapping[str, str]) -> str:
    """The URL at which the user signs in, with these parameters: all, or the reference to those that were pushed.

    Raises `ConfigurationError` if the provider has no authorization endpoint.
    """
    endpoint = provider.authorization_endpoint_of(target)
    if endpoint is None:
        raise ConfigurationError(
            f"{provider.display_name} has no authorization_endpoint, so no user can sign in",
            parameter="authorization_endpoint",
            remedy="set it on the provider, or sign in with a device code",
        )
    return authlib.url_with_parameters(endpoint, parameters)


def build_pushed_authorization(
    provider: ServerSettings,
    credentials: ClientCredentials,
    parameters: Mapping[str, str],
    *,
    call: Call,
    now: float,
) -> ServerRequest:
    """The request that pushes the parameters of an authorization request, RFC 9126 section 2.1.

    Raises `ConfigurationError` if the provider has no endpoint for it.
    """
    endpoint = provider.pushed_authorization_request_endpoint
    if endpoint is None:
        raise ConfigurationError(
            f"{provider.display_name} has no pushed_authorization_request_endpoint",
            parameter="pushed_authorization_request_endpoint",
            remedy="set it on the provider",
        )
    # "The request_uri authorization request parameter is one exception, and it MUST NOT be provided."
    own = without_reserved(parameters, ("request_uri",), "parameters")
    return _build_proven(
        provider,
        credentials,
        endpoint,
        (),
        # The parameters of the request replace equal ones among the provider's own: both may name an `audience`.
        lambda further: urlencode({**further, **own}),
        secrets=(own["state"],),
        call=call,
        now=now,
    )


def _build_token_request(
    provider: ServerSettings,
    credentials: ClientCredentials,
    grant_type: str,
    parameters: Mapping[str, str | None],
    *,
    secrets: tuple[str, ...] = (),
    call: Call,
    now: float,
) -> ServerRequest:
    present = {name: value for name, value in parameters.items() if value}

    def form(further: Mapping[str, str]) -> str:
        return authlib.token_request_form(grant_type, {**present, **further})

    def json_object(further: Mapping[str, str]) -> str:
        return json.dumps({"grant_type": grant_type, **present, **further})

    in_json = provider.token_body == "json"
    return _build_proven(
        provider,
        credentials,
        provider.token_endpoint,
        ("grant_type", *present),
        json_object if in_json else form,
        secrets=(*secrets, *(present[name] for name in _SECRET_PARAMETERS if name in present)),
        media_type=_JSON if in_json else _FORM,
        call=call,
        now=now,
    )


def _build_proven(
    provider: ServerSettings,
    credentials: ClientCredentials,
    endpoint: str,
    reserved: Iterable[str],
    write_body: Callable[[Mapping[str, str]], str],
    *,
    secrets: tuple[str, ...] = (),
    media_type: str = _FORM,
    call: Call,
    now: float,
) -> ServerRequest:
    """A POST with which the client authenticates.

    `write_body` makes the body from the provider's own parameters and those of the client authentication. Their names
    are never in `reserved`. `secrets`: the secrets among the request's other parameters.
    """
    proof = credentials.prove(audience=_audience(provider), now=now)
    further = provider.token_parameters_of(call, reserved=(*reserved, *proof.parameters))
    body = write_body({**further, **proof.parameters})
    request = HttpRequest("POST", endpoint, _headers(provider, call, media_type, proof.headers), body.encode("ascii"))
    return ServerRequest(request, provider, call.purpose, (*secrets, *proof.secrets, *_perhaps_secret(further)))


def _headers(provider: ServerSettings, call: Call, media_type: str, proof: Mapping[str, str]) -> Mapping[str, str]:
    return {"Accept": "application/json", "Content-Type": media_type, **provider.token_headers_of(call), **proof}


def _perhaps_secret(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """The values of a provider's own parameters that may be secrets: all but the short ones."""
    return tuple(value for value in parameters.values() if len(value) >= _SHORTEST_SECRET)


def _audience(provider: ServerSettings) -> str:
    by_issuer = provider.assertion_audience == "issuer" and provider.issuer is not None
    return str(provider.issuer) if by_issuer else provider.token_endpoint
