"""bLink by SIX: Swiss banks behind one authenticating proxy.

Used by users of bLink, as `blnk_auth.BLink`. It promises requests as SIX documents them. The tokens are the bank's,
which a header selects; the client authenticates with its certificate (mutual TLS), never with a secret. Sources:
docs.blink.six-group.com, api-reference/base-module/consent (oauth-token, oauth-revoke, oauth-username),
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
from .._protocol.setting_checks import check_switch
from ..errors import ConfigurationError
from ..errors._pickling import pickled_by_name, public
from ..provider import Provider

AUTO = "AUTO"
"""The value of the PSU headers when no user is present."""

OfSubject = str | Callable[[str], str]
"""A value for all subjects, or a callable of the subject."""

OfCall = str | Callable[[Call], str]
"""A value for every call, or a callable of the `Call`."""

_MAX_USERNAME = 64
_IDLE_LIFETIME = 30 * 86_400.0


@public
def BLink(  # noqa: N802 - reads as the name of a provider
    *,
    base_url: str,
    target_id: OfSubject,
    user_agent: str,
    username: OfSubject | None = None,
    authorization_endpoint: str | Callable[[str], str] | None = None,
    psu_ip_address: OfCall = AUTO,
    psu_user_agent: OfCall = AUTO,
    psu_headers_for_api: bool = True,
    consent: Literal["2.0", "3.0"] = "2.0",
    renewable: bool = True,
    client_auth: ClientAuthMethod = "tls_client_auth",
    api_origins: Iterable[str] = (),
) -> Provider:
    """BLink as a provider, as documented at docs.blink.six-group.com.

    Each value is given at onboarding; only values that SIX documents have a default.

    Callables are called on the thread that needs the value, so they must be safe to call from any thread. Those of a
    `Call` run in a copy of the caller's context, so they may read its context variables; `Call.in_background` is True
    when no caller waits.

    Source: https://docs.blink.six-group.com/

    May be called from any thread.

    Args:
        base_url: The URL of the consent module. Its origin may receive the tokens.
        target_id: The bank (`IIDP99999`), or a callable of the subject, which is called when a source is made: a source
            is for one bank, and tokens of different banks are stored apart.
        user_agent: Name and version of your software.
        username: The user's e-banking name, at most 64 characters, or a callable of the subject. Needed for Consent
            2.0. None: not sent.
        authorization_endpoint: The bank's, from the bLink directory, or a callable of the `target_id`. None: users do
            not sign in through this client.
        psu_ip_address: The header `X-PSU-IP-Address`: a value, `AUTO` (the default: no user is present), or a callable
            of the `Call`.
        psu_user_agent: The header `X-PSU-User-Agent`, likewise.
        psu_headers_for_api: Whether the two headers are sent to the API too, as the published client modules require
            (AIS 3.1.0.7 and 4.0.0.4, PSS 4.0.0.3, OpenWealth order placement). False: with token requests only.
        consent: The version of the consent module; "3.0" sends PKCE and no username.
        renewable: False for clients whose tokens bLink renews.
        client_auth: The default is mutual TLS; "none" is for the closed network that needs no certificate.
        api_origins: Further origins that may receive the tokens. Default: none.

    Returns:
        The provider, whose `target` selects the bank and whose refresh tokens expire 30 days after their last use.

    Raises:
        ConfigurationError: A value that bLink would refuse; `parameter` names it.
    """
    origin, base_url = parse_base_url(base_url, "base_url")
    customer = BLinkCustomer(target_id, user_agent, username, psu_ip_address, psu_user_agent, consent)
    customer.check()
    check_switch(psu_headers_for_api, "psu_headers_for_api")
    check_switch(renewable, "renewable")
    return Provider(
        name="blink",
        display_name="bLink",
        authorization_endpoint=authorization_endpoint,
        token_endpoint=f"{base_url}/oauth/token",
        revocation_endpoint=f"{base_url}/oauth/revoke",
        api_origins=origins_of_provider((origin,), api_origins),
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
    """The parameters and headers that bLink requires: which software, which bank, and which user.

    `BLink` makes it. Immutable. Its methods are the callables of a `Provider`, and may be called from any thread.

    Source: https://docs.blink.six-group.com/ (api-reference/authentication, custom-headers)

    Attributes:
        target_id: The bank, or a callable of the subject.
        user_agent: Name and version of your software.
        username: The user's e-banking name, at most 64 characters, or a callable of the subject. None: not sent.
        psu_ip_address: The header `X-PSU-IP-Address`: a value, `AUTO`, or a callable of the `Call`.
        psu_user_agent: The header `X-PSU-User-Agent`, likewise.
        consent: The version of the consent module: "2.0" or "3.0".
    """

    target_id: OfSubject
    user_agent: str
    username: OfSubject | None
    psu_ip_address: OfCall
    psu_user_agent: OfCall
    consent: str

    def check(self) -> None:
        """Check the values that are not callables, which every call would need.

        Raises:
            ConfigurationError: bLink would refuse a value; `parameter` names it.
        """
        if self.consent not in ("2.0", "3.0"):
            raise ConfigurationError(
                f"consent {self.consent!r} is unknown", parameter="consent", remedy='use "2.0" or "3.0"'
            )
        _check_header("user_agent", self.user_agent)
        if not callable(self.target_id):
            _check_header("target_id", self.target_id)
        if self.consent == "2.0" and self.username is None:
            raise ConfigurationError(
                "username is missing, and bLink Consent 2.0 asks for it with each token request",
                parameter="username",
                remedy="pass the user's e-banking name, or a callable of the subject",
            )
        if self.username is not None and not callable(self.username):
            _check_username(self.username)
        for parameter in ("psu_ip_address", "psu_user_agent"):
            if not callable(value := getattr(self, parameter)):
                _check_header(parameter, value)

    def target(self, subject: str | None) -> str:
        """The bank of a subject. Used as `Provider.target`.

        Args:
            subject: Whose bank. None: the client's own token, which has no bank.

        Returns:
            The `target_id`.

        Raises:
            ConfigurationError: The callable failed or returned an unusable value, or `subject` is None and
                `target_id` is a callable.
        """
        return _check_header("target_id", _of_subject("target_id", self.target_id, subject))

    def parameters(self, call: Call) -> Mapping[str, str]:
        """The parameters of a token request beside those of RFC 6749. Used as `Provider.token_parameters`.

        Args:
            call: The call.

        Returns:
            The `username` for Consent 2.0; nothing for Consent 3.0 and for a revocation.

        Raises:
            ConfigurationError: The callable failed, or returned an unusable name.
        """
        if self.consent != "2.0" or self.username is None or call.purpose == "revocation":
            return {}
        return {"username": _check_username(_of_subject("username", self.username, call.subject))}

    def headers(self, call: Call) -> Mapping[str, str]:
        """The headers of every call. Used as `Provider.api_headers` if the PSU headers are not sent to the API.

        Args:
            call: The call.

        Returns:
            `X-Correlation-ID`, a new one for each call, `X-CorAPI-Target-ID` and `User-Agent`.

        Raises:
            ConfigurationError: The target cannot be sent as a header.
        """
        return {
            # It names one REST call: a retry is another call.
            "X-Correlation-ID": str(uuid.uuid4()),
            # The bank that the grant was given for, even if `target_id` returns another one now.
            "X-CorAPI-Target-ID": _check_header("target_id", call.target),
            "User-Agent": self.user_agent,
        }

    def token_headers(self, call: Call) -> Mapping[str, str]:
        """The headers of a token request, and of most modules of the API: those of `headers` and the PSU headers.

        Args:
            call: The call.

        Returns:
            The headers by name.

        Raises:
            ConfigurationError: A callable failed, or a value cannot be sent as a header.
        """
        return {
            **self.headers(call),
            "X-PSU-IP-Address": _of_call("psu_ip_address", self.psu_ip_address, call),
            "X-PSU-User-Agent": _of_call("psu_user_agent", self.psu_user_agent, call),
        }


@public
def judge_blink_refusal(refusal: Refusal) -> Verdict | None:
    """Judge a response without a token by bLink's rules (api-reference/error-codes). Used as `Provider.judge_refusal`.

    The header `X-CorAPI-Source` names the sender: the platform judges our certificate, the bank judges the grant.

    May be called from any thread. Source: https://docs.blink.six-group.com/ (api-reference/error-codes)

    Args:
        refusal: The response.

    Returns:
        "sign_in" if the bank refuses the grant; "configuration" if the platform refuses the client, or if the request
        is malformed; None: RFC 6749 applies.
    """
    status, problem = refusal.response.status_code, _problem_type(refusal.document)
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
    """Whether a response of the API is a rejection that a new token may resolve. Used as `Provider.is_rejection`.

    Documented in api-reference/error-codes.

    May be called from any thread. Source: https://docs.blink.six-group.com/ (api-reference/error-codes)

    Args:
        answer: The response, with a rejection status.

    Returns:
        True for a 401 by the bank. A 401 by the platform is about the certificate, so a new token does not help.
    """
    return renewal_may_help(answer) and answer.headers.get("x-corapi-source", "").upper() != "PLATFORM"


def _problem_type(document: Mapping[str, object] | None) -> str:
    kind = document.get("type") if document is not None else None
    return kind.rsplit("/", 1)[-1] if isinstance(kind, str) else ""


def _of_subject(parameter: str, value: OfSubject, subject: str | None) -> str:
    if not callable(value):
        return value
    if subject is None:
        raise ConfigurationError(
            f"{parameter} is a callable of the subject, and the client's own token has none",
            parameter=parameter,
            remedy="use for_subject(): bLink issues tokens for users only",
        )
    return call_setting(parameter, lambda: value(subject))


def _of_call(parameter: str, value: OfCall, call: Call) -> str:
    return _check_header(parameter, call_setting(parameter, lambda: value(call)) if callable(value) else value)


def _check_username(username: str) -> str:
    if not isinstance(username, str) or not 0 < len(username) <= _MAX_USERNAME:
        raise ConfigurationError(
            f"username must have 1 to {_MAX_USERNAME} characters, as bLink's token endpoint demands",
            parameter="username",
            remedy="pass the user's e-banking name, or return it from the callable",
        )
    return username


def _check_header(parameter: str, value: str | None) -> str:
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        raise ConfigurationError(
            f"{parameter} must be printable ASCII without line breaks, since it is sent as a header",
            parameter=parameter,
            remedy="pass such a string, or return it from the callable",
        )
    return value
