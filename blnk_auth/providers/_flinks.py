"""Flinks Outbound: other banks' data through Flinks.

Used by users of Flinks, as `blnk_auth.Flinks`. It promises requests as Flinks documents them: JSON bodies, the client's
secret in the body, refresh tokens that never change, access tokens of about five minutes, and an API that reports
expired tokens in its own way. Sources:
docs.flinks.com/api/outbound/endpoints/authorize (token, errors, revoke-connection), .../fdx/fdx-errors,
docs.flinks.com/reference/for-partners; the same pages are at docs.flinks.com/api/open-banking/endpoints.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from .._protocol.access_token import claims_of
from .._protocol.challenges import renewal_may_help
from .._protocol.client_authentication import ClientAuthMethod
from .._protocol.http_messages import ApiAnswer
from .._protocol.origins import Origin, origins_of_provider, parse_origin
from .._protocol.refusals import Refusal, Verdict
from ..errors import ConfigurationError, quoted
from ..errors._pickling import public
from ..provider import Provider
from ..token import read_seconds

FLINKS_PRODUCTION = "ob.flinksapp.com"
FLINKS_PREPRODUCTION = "ob-preprod.flinksapp.dev"
"""The documented hosts. Flinks has one instance per country: use the host that you were given."""

_IDLE_LIFETIME = 30 * 86_400.0

_PARTNER_PATHS = ("/api/v1/recipients", "/api/v1/providers", "/api/v2/providers")


@public
def Flinks(  # noqa: N802 - reads as the name of a provider
    *,
    host: str,
    api_origins: Iterable[str] = (),
    client_auth: ClientAuthMethod = "client_secret_post",
    redirect_uri_on_refresh: bool = False,
    authorization_parameters: Mapping[str, str] | None = None,
) -> Provider:
    """Flinks Outbound as a provider, as documented at docs.flinks.com/api/outbound.

    May be called from any thread. Source: https://docs.flinks.com/api/outbound

    Args:
        host: The host you were given, such as `FLINKS_PRODUCTION`, or an origin for a sandbox.
        api_origins: Further origins that may receive its tokens. Default: none.
        client_auth: Where the credentials are sent, which is not documented. The default sends them in the body,
            `client_secret_basic` in the header.
        redirect_uri_on_refresh: Whether a refresh repeats the redirect_uri; two pages of the documentation disagree.
        authorization_parameters: For example `{"provider_id": "..."}`, the bank to connect to; for each sign-in by
            itself, pass it to `start_authorization(parameters=...)`. None: none.

    Returns:
        The provider, whose refresh tokens expire 30 days after their last use.

    Raises:
        ConfigurationError: The host has a path, or another setting cannot work; `parameter` names it.
    """
    origin = _origin(host)
    return Provider(
        name="flinks",
        display_name="Flinks",
        authorization_endpoint=f"{origin}/api/v1/authorize",
        token_endpoint=f"{origin}/api/v1/token",
        revocation_endpoint=f"{origin}/api/v1/revoke",
        revocation="connection",
        api_origins=origins_of_provider((origin,), api_origins),
        client_auth=client_auth,
        token_body="json",
        pkce=False,
        requires_scope=True,
        redirect_uri_on_refresh=redirect_uri_on_refresh,
        authorization_parameters=authorization_parameters or {},
        read_answer=read_flinks_answer,
        judge_refusal=judge_flinks_refusal,
        correlation_header="ob-correlation-id",
        # Data endpoints answer 401 or 403, partner endpoints 400, for the same expired token.
        rejection_statuses=frozenset({400, 401, 403}),
        is_rejection=is_flinks_rejection,
        ends_consent=ends_flinks_consent,
        reads_rejection_body=True,
        refresh_idle_lifetime=_IDLE_LIFETIME,
    )


def _origin(host: str) -> Origin:
    if not isinstance(host, str) or not host:
        raise ConfigurationError(
            f"host must be a non-empty string, not {quoted(host)}",
            parameter="host",
            remedy=f"pass the host that Flinks gave you, such as {FLINKS_PRODUCTION!r}",
        )
    return parse_origin(host if "://" in host else f"https://{host}", "host")


@public
def read_flinks_answer(document: Mapping[str, Any], now: float) -> Mapping[str, Any]:
    """Read the members of a token response. Used as `Provider.read_answer`.

    `expires_in` 0 is the default of Flinks' schema and means unknown. In its place the `exp` of the access token, which
    is a JWT, is taken as a hint. It is not verified, because only Flinks has the key.

    May be called from any thread. Source: https://docs.flinks.com/api/outbound (endpoints/authorize)

    Args:
        document: The members of the response.
        now: The current time, in UTC epoch seconds.

    Returns:
        The members as RFC 6749 section 5.1 has them. `expires_in` is missing if the expiry is unknown.
    """
    if read_seconds(document.get("expires_in")):
        return document
    answer = {name: value for name, value in document.items() if name != "expires_in"}
    expires_at = read_seconds(claims_of(document.get("access_token")).get("exp"))
    # An exp in the past means that the clocks differ: the token was just issued.
    if expires_at is not None and expires_at > now:
        answer["expires_in"] = expires_at - now
    return answer


@public
def judge_flinks_refusal(refusal: Refusal) -> Verdict | None:
    """Judge a response without a token by Flinks' rules (authorize/errors). Used as `Provider.judge_refusal`.

    400, 401 and 403 mean that the tokens that Flinks itself has at the bank have expired. Codes of RFC 6749 have
    precedence: a wrong client_secret is a 400 `invalid_client`, and does not require a new sign-in. A response without
    a body may come from a proxy, so it does not end the grant.

    May be called from any thread. Source: https://docs.flinks.com/api/outbound (endpoints/authorize/errors)

    Args:
        refusal: The response.

    Returns:
        "sign_in" if the user must sign in again; None: RFC 6749 applies.
    """
    if refusal.error == "access_denied":
        return "sign_in"
    if refusal.error is None and refusal.document is not None and refusal.response.status_code in (400, 401, 403):
        return "sign_in"
    return None


@public
def is_flinks_rejection(answer: ApiAnswer) -> bool:
    """Whether a response of the API is a rejection that a new token may resolve. Used as `Provider.is_rejection`.

    May be called from any thread. Source: https://docs.flinks.com/api/outbound

    Args:
        answer: The response, with a rejection status.

    Returns:
        True for a 401 or 403 that names no error of the FDX specification, and for a 400 of the partner endpoints.
    """
    if answer.status_code == 400:
        # Where Flinks documents it, and nowhere else: a 400 of the data endpoints is for the application.
        return answer.path.startswith(_PARTNER_PATHS)
    document = _document(answer.body)
    if document is None:
        return renewal_may_help(answer)
    # FDX error 602 and similar ones are about consent; for an expired token there is only a message.
    return document.get("code") is None and document.get("debugMessage") is None


@public
def ends_flinks_consent(answer: ApiAnswer) -> bool:
    """Whether a response of the API reports that the consent has ended. Used as `Provider.ends_consent`.

    It is error 602 of the FDX specification, "customer not authorized": the consent was revoked, has expired, or does
    not cover the request. A renewal does not help.

    May be called from any thread. Source: https://docs.flinks.com/api/outbound (endpoints/fdx/fdx-errors)

    Args:
        answer: The response.

    Returns:
        True for a 401 or 403 with the code 602.
    """
    document = _document(answer.body) if answer.status_code in (401, 403) else None
    return document is not None and document.get("code") in (602, "602")


def _document(body: bytes | None) -> dict[str, Any] | None:
    try:
        document = json.loads(body or b"")
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", document) if isinstance(document, dict) else None
