"""bLink by SIX: Swiss banks behind one authenticating proxy.

The tokens are the bank's, chosen by a header; the client is proved by its certificate (mutual TLS), never by a secret.
Sources: docs.blink.six-group.com, api-reference/base-module/consent (oauth-token, oauth-revoke, oauth-username),
api-reference/authentication (token-management, custom-headers, tls-certificates), api-reference/error-codes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from .._protocol.callables import call_setting
from .._protocol.challenges import renewal_may_help
from .._protocol.client_authentication import ClientAuthMethod
from .._protocol.http_messages import ApiAnswer, Call
from .._protocol.origins import origins_of_provider, parse_base_url
from .._protocol.refusals import Refusal, Verdict
from ..errors import ConfigurationError
from ..errors._pickling import pickled_by_name, public
from ..provider import Provider

AUTO = "AUTO"
"""What the PSU headers say when no person is present."""

OfSubject = str | Callable[[str | None], str]
OfCall = str | Callable[[Call], str]

_MAX_USERNAME = 64
_IDLE_LIFETIME = 30 * 86_400.0


def BLink(  # noqa: N802 - reads as the name of a provider
    *,
    base_url: str,
    target_id: OfSubject,
    user_agent: str,
    username: OfSubject | None = None,
    authorization_endpoint: str | Callable[[str], str] | None = None,
    psu_ip_address: OfCall = AUTO,
    psu_user_agent: OfCall = AUTO,
    psu_headers_for_api: bool = False,
    consent: Literal["2.0", "3.0"] = "2.0",
    renewable: bool = True,
    client_auth: ClientAuthMethod = "tls_client_auth",
    api_origins: Iterable[str] = (),
) -> Provider:
    """BLink as a provider. Nothing has a default that SIX does not document: each value is given at onboarding.

    `base_url`: of the consent module; its origin may receive the tokens, `api_origins` adds others.
    `target_id`: the bank (`IIDP99999`), or a callable of the subject, which is asked when a source is made: a source is
    for one bank for good, and tokens of different banks are stored apart.
    `user_agent`: name and version of your software. `username`: the person's e-banking user, or a callable of the
    subject; needed for Consent 2.0, at most 64 characters. `authorization_endpoint`: the bank's, from the bLink
    directory, or a callable of the `target_id`; None if nobody signs in here.
    `psu_ip_address`, `psu_user_agent`: a value, `AUTO` (no person present), or a callable that sees the `Call`, whose
    `in_background` is True when nobody waits; it runs in a copy of the caller's context, so it may read a context
    variable of yours. `psu_headers_for_api`: send the two with API requests too, which only some endpoints take.
    `consent`: "3.0" sends PKCE and no username. `renewable=False` is for clients whose tokens bLink renews.
    `client_auth="none"` is for the closed network that needs no certificate.
    Raises `ConfigurationError` for a value that bLink would refuse.
    """
    origin, base_url = parse_base_url(base_url, "base_url")
    customer = BLinkCustomer(target_id, user_agent, username, psu_ip_address, psu_user_agent, consent)
    customer.check()
    return Provider(
        name="blink",
        display_name="bLink",
        authorization_endpoint=authorization_endpoint,
        token_endpoint=f"{base_url}/oauth/token",
        revocation_endpoint=f"{base_url}/oauth/revoke",
        api_origins=origins_of_provider(origin, api_origins),
        grants=("authorization_code", "refresh_token") if renewable else ("authorization_code",),
        client_auth=client_auth,
        pkce=consent == "3.0",
        token_parameters=customer.parameters,
        token_headers=customer.token_headers,
        api_headers=customer.token_headers if psu_headers_for_api else customer.headers,
        target=customer.target,
        judge_refusal=judge_blink_refusal,
        correlation_header="x-correlation-id",
        is_rejection=is_blink_rejection,
        refresh_idle_lifetime=_IDLE_LIFETIME,
    )


@public
@pickled_by_name
@dataclass(frozen=True, slots=True, repr=False)
class BLinkCustomer:
    """What bLink wants to know with each call: which software, which bank, and who is behind it."""

    target_id: OfSubject
    user_agent: str
    username: OfSubject | None
    psu_ip_address: OfCall
    psu_user_agent: OfCall
    consent: str

    def check(self) -> None:
        """Refuse at once what each call would be refused for."""
        if self.consent not in ("2.0", "3.0"):
            raise ConfigurationError(
                f"consent {self.consent!r} is unknown", parameter="consent", remedy='use "2.0" or "3.0"'
            )
        _check_header("user_agent", self.user_agent)
        if not callable(self.target_id):
            self.target(None)
        if self.consent == "2.0" and self.username is None:
            raise ConfigurationError(
                "username is missing",
                parameter="username",
                remedy="bLink Consent 2.0 wants the e-banking user with token calls",
            )
        if self.username is not None and not callable(self.username):
            _check_username(self.username)
        for parameter in ("psu_ip_address", "psu_user_agent"):
            if not callable(value := getattr(self, parameter)):
                _check_header(parameter, value)

    def target(self, subject: str | None) -> str:
        named = self.target_id
        return _check_header(
            "target_id", call_setting("target_id", lambda: named(subject)) if callable(named) else named
        )

    def parameters(self, call: Call) -> Mapping[str, str]:
        named = self.username
        if self.consent != "2.0" or named is None or call.purpose == "revocation":
            return {}
        username = call_setting("username", lambda: named(call.subject)) if callable(named) else named
        return {"username": _check_username(username)}

    def headers(self, call: Call) -> Mapping[str, str]:
        return {
            # It names one REST call: a retry is another call.
            "X-Correlation-ID": str(uuid.uuid4()),
            # The one that the grant was given for, whatever `target_id` would say by now.
            "X-CorAPI-Target-ID": _check_header("target_id", call.target),
            "User-Agent": self.user_agent,
        }

    def token_headers(self, call: Call) -> Mapping[str, str]:
        return {
            **self.headers(call),
            "X-PSU-IP-Address": _of_call("psu_ip_address", self.psu_ip_address, call),
            "X-PSU-User-Agent": _of_call("psu_user_agent", self.psu_user_agent, call),
        }


@public
def judge_blink_refusal(refusal: Refusal) -> Verdict | None:
    """`X-CorAPI-Source` says who answered: the platform judges our certificate, the bank judges the grant."""
    status, problem = refusal.response.status_code, _problem(refusal.document)
    if status in (406, 415, 501) or problem in ("INVALID_PAYLOAD", "MALFORMED_PAYLOAD"):
        return "configuration"
    if status >= 500 or refusal.error is not None:
        return None
    source = refusal.response.headers.get("x-corapi-source", "").upper()
    if status in (401, 403) and source == "PLATFORM":
        return "configuration"
    if status in (400, 401) and source == "PROVIDER" and refusal.is_legible:
        return "sign_in"
    return None


@public
def is_blink_rejection(answer: ApiAnswer) -> bool:
    """A 401 by the bank. One by the platform is about the certificate, which no token cures."""
    return renewal_may_help(answer) and answer.headers.get("x-corapi-source", "").upper() != "PLATFORM"


def _problem(document: Mapping[str, object] | None) -> str:
    kind = document.get("type") if document is not None else None
    return kind.rsplit("/", 1)[-1] if isinstance(kind, str) else ""


def _of_call(parameter: str, value: OfCall, call: Call) -> str:
    return _check_header(parameter, call_setting(parameter, lambda: value(call)) if callable(value) else value)


def _check_username(username: str) -> str:
    if not isinstance(username, str) or not 0 < len(username) <= _MAX_USERNAME:
        raise ConfigurationError(
            f"username must have 1 to {_MAX_USERNAME} characters, as bLink's token endpoint demands",
            parameter="username",
        )
    return username


def _check_header(parameter: str, value: str | None) -> str:
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise ConfigurationError(
            f"{parameter} must be printable ASCII without line breaks, since bLink takes it as a header",
            parameter=parameter,
        )
    return value
