"""bLink by SIX: Swiss banks behind one authenticating proxy.

Used by users of bLink, as `blnk_auth.BLink`. It promises requests as SIX documents them. The tokens are issued by the
bank, which a header selects; the client authenticates with its certificate (mutual TLS), never with a secret. It never
guesses a host. Sources: docs.blink.six-group.com, api-reference/base-module/consent (oauth-token, oauth-revoke,
create-permission), api-reference/authentication (token-management, consent-management-3, custom-headers,
tls-certificates), api-reference/error-codes.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from .._protocol.callables import call_setting
from .._protocol.client_authentication import ClientAuthMethod
from .._protocol.http_messages import Call
from .._protocol.origins import origins_of_provider, parse_base_url
from .._protocol.setting_checks import GrantType, check_switch
from ..errors import ConfigurationError
from ..errors._pickling import pickled_by_name, public
from ..provider import Provider
from ._blink_answers import ends_blink_consent, is_blink_rejection, judge_blink_refusal

AUTO = "AUTO"
"""The value of the PSU headers when no user is present."""

OfSubject = str | Callable[[str], str]
"""A value for all subjects, or a callable of the subject."""

OfCall = str | Callable[[Call], str]
"""A value for every call, or a callable of the `Call`."""

_MAX_USERNAME = 64
_MAX_INSTANCE_ID = 64
_USER_ID = r"[a-zA-Z0-9\-.]{1,250}"
_ACTIONS = ("create", "merge", "replace")
"""What `grant_management_action` may be in Consent 3.0."""

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
    pushed_authorization_request_endpoint: str | None = None,
    permission_mode: bool = False,
    instance_id: str | None = None,
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
        username: The user's e-banking name, at most 64 characters, or a callable of the subject. Needed for the tokens
            of Consent 2.0, and not sent otherwise. None: not sent.
        authorization_endpoint: The bank's, from the bLink directory, or a callable of the `target_id`. None: users do
            not sign in through this client.
        psu_ip_address: The header `X-PSU-IP-Address`: a value, `AUTO` (the default: no user is present), or a callable
            of the `Call`.
        psu_user_agent: The header `X-PSU-User-Agent`, likewise.
        psu_headers_for_api: Whether the two headers are sent to the API too, in place of any that a request has. The
            published client modules require them (AIS 3.1.0.7 and 4.0.0.4, PSS 4.0.0.3, OpenWealth order placement).
            False: with token requests only, for a module that has none, or for an API client that sends its own.
        consent: The version of the consent module. "3.0" pushes each sign-in (PAR), sends a code challenge (PKCE) and
            no username, and its tokens bring a `grant_id`.
        pushed_authorization_request_endpoint: For Consent 3.0: where sign-ins are pushed. None: `{base_url}/oauth/par`,
            which is a guess, since SIX has not published the path.
        permission_mode: True if bLink keeps and renews the tokens, and API requests carry a `Permission-ID` instead:
            pass `StaticToken(permission_id, header="Permission-ID", provider=...)` to the auth class. The client then
            gets no tokens by itself.
        instance_id: The header `X-Instance-ID`, at most 64 characters, for a copy of your software at a customer that
            uses a certificate of the old kind. SIX has deprecated it. None: not sent.
        renewable: False for tokens that the client does not renew.
        client_auth: The default is mutual TLS; "none" is for the closed network that needs no certificate.
        api_origins: Further origins that may receive the tokens. Default: none.

    Returns:
        The provider, whose `target` selects the bank and whose refresh tokens expire 30 days after their last use.

    Raises:
        ConfigurationError: A value that bLink would refuse; `parameter` names it.
    """
    origin, base_url = parse_base_url(base_url, "base_url")
    check_switch(psu_headers_for_api, "psu_headers_for_api")
    check_switch(permission_mode, "permission_mode")
    check_switch(renewable, "renewable")
    customer = BLinkCustomer(target_id, user_agent, username, psu_ip_address, psu_user_agent, consent, instance_id)
    customer.check(needs_username=not permission_mode)
    if permission_mode and not psu_headers_for_api:
        raise ConfigurationError(
            "psu_headers_for_api is False, and bLink requires both PSU headers with each Permission-ID",
            parameter="psu_headers_for_api",
            remedy="leave it out in permission mode",
        )
    grants: tuple[GrantType, ...] = ("authorization_code", "refresh_token") if renewable else ("authorization_code",)
    return Provider(
        name="blink",
        display_name="bLink",
        authorization_endpoint=None if permission_mode else authorization_endpoint,
        token_endpoint=f"{base_url}/oauth/token",
        revocation_endpoint=f"{base_url}/oauth/revoke",
        pushed_authorization_request_endpoint=_push_endpoint(consent, base_url, pushed_authorization_request_endpoint),
        requires_pushed_authorization_requests=consent == "3.0",
        api_origins=origins_of_provider((origin,), api_origins),
        grants=() if permission_mode else grants,
        client_auth=client_auth,
        grant_management_actions=_ACTIONS if consent == "3.0" else (),
        pkce=consent == "3.0",
        token_parameters=customer.parameters,
        token_headers=customer.token_headers,
        api_headers=customer.token_headers if psu_headers_for_api else customer.headers,
        target=customer.target,
        judge_refusal=judge_blink_refusal,
        correlation_header="x-correlation-id",
        is_rejection=is_blink_rejection,
        ends_consent=ends_blink_consent,
        reads_rejection_body=True,
        refresh_idle_lifetime=_IDLE_LIFETIME,
    )


def _push_endpoint(consent: str, base_url: str, endpoint: str | None) -> str | None:
    if consent == "3.0":
        return f"{base_url}/oauth/par" if endpoint is None else endpoint
    if endpoint is not None:
        raise ConfigurationError(
            "pushed_authorization_request_endpoint is set, and Consent 2.0 has no such endpoint",
            parameter="pushed_authorization_request_endpoint",
            remedy="leave it out, or set consent to 3.0",
        )
    return None


@public
def blink_permission_url(base_url: str, *, target_id: str, user_id: str) -> str:
    """The URL at which a permission is created, with a POST: permission mode, `BLink(permission_mode=True)`.

    A user has one valid permission at a bank: a new one revokes the former. The request needs the client's certificate
    and the headers that `Provider.api_headers_of` makes. SIX documents its body and its response.

    May be called from any thread. Source: https://docs.blink.six-group.com/ (create-permission)

    Args:
        base_url: The URL of the consent module.
        target_id: The bank (`IIDP99999`).
        user_id: Your own lasting id of the user: 1 to 250 letters, digits, hyphens and dots.

    Returns:
        The URL.

    Raises:
        ConfigurationError: A value that bLink would refuse; `parameter` names it.
    """
    _, base_url = parse_base_url(base_url, "base_url")
    _check_header("target_id", target_id)
    # "." and ".." fit the pattern, and HTTP clients would take them out of the path.
    if not isinstance(user_id, str) or not re.fullmatch(_USER_ID, user_id) or not user_id.strip("."):
        raise ConfigurationError(
            "user_id must have 1 to 250 letters without accents, digits, hyphens and dots, and not only dots",
            parameter="user_id",
            remedy="pass your own lasting id of the user, or a hash of it",
        )
    return f"{base_url}/permissions/{quote(target_id, safe='')}/{user_id}"


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
        instance_id: The header `X-Instance-ID`, at most 64 characters. None: not sent.
    """

    target_id: OfSubject
    user_agent: str
    username: OfSubject | None
    psu_ip_address: OfCall
    psu_user_agent: OfCall
    consent: str
    instance_id: str | None = None

    def check(self, *, needs_username: bool = True) -> None:
        """Check the values that are not callables, which every call would need.

        Args:
            needs_username: Whether the username must be given for Consent 2.0. Default: it must.

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
        if needs_username and self.consent == "2.0" and self.username is None:
            raise ConfigurationError(
                "username is missing, and bLink Consent 2.0 asks for it with each token request",
                parameter="username",
                remedy="pass the user's e-banking name, or a callable of the subject",
            )
        if self.username is not None and not callable(self.username):
            _check_username(self.username)
        if self.instance_id is not None and len(_check_header("instance_id", self.instance_id)) > _MAX_INSTANCE_ID:
            raise ConfigurationError(
                f"instance_id must have at most {_MAX_INSTANCE_ID} characters",
                parameter="instance_id",
                remedy="pass the id that SIX has registered, or leave it out",
            )
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
            `X-Correlation-ID`, a new one for each call, `X-CorAPI-Target-ID`, `User-Agent`, and `X-Instance-ID` if
            there is one.

        Raises:
            ConfigurationError: The target cannot be sent as a header.
        """
        return {
            # It names one REST call: a retry is another call.
            "X-Correlation-ID": str(uuid.uuid4()),
            # The bank that the grant was given for, even if `target_id` returns another one now.
            "X-CorAPI-Target-ID": _check_header("target_id", call.target),
            "User-Agent": self.user_agent,
            **({} if self.instance_id is None else {"X-Instance-ID": self.instance_id}),
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


def _of_subject(parameter: str, value: OfSubject, subject: str | None) -> str:
    if not callable(value):
        return value
    if subject is None:
        raise ConfigurationError(
            f"{parameter} is a callable of the subject, and there is no subject",
            parameter=parameter,
            remedy="use for_subject(), or pass subject= to StaticToken: bLink has tokens for users only",
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
