"""Checks the settings of a provider.

Used by `Provider` when one is made: a typing error is found where it is written, and not at the first renewal. Each
check raises `ConfigurationError` that names the setting. It never calls a user's callable. The value that a callable
returns is checked when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, cast, get_args

from ..errors import ConfigurationError, is_bool, is_number, is_text, quoted
from .client_authentication import METHODS, AssertionAudience, BasicEncoding
from .http_values import checked_authorization_parameters, checked_headers, checked_parameters
from .origins import endpoint_origin

GrantType = Literal[
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
]
"""The grant types that a provider may offer, of those that this library asks for (RFC 7591 section 2)."""

USUAL_GRANTS: tuple[GrantType, ...] = ("authorization_code", "refresh_token", "client_credentials")
"""Those of a provider of which nothing is known: whether it has others, its server decides."""

ENDPOINTS = (
    *("token_endpoint", "revocation_endpoint", "device_authorization_endpoint"),
    "pushed_authorization_request_endpoint",
)
"""The settings that must be the URL of an endpoint."""

_LONGEST_SHOWN = 200
"""The most characters of a refused value in an error."""

_CHOICES: Mapping[str, Sequence[str]] = {
    "client_auth": METHODS,
    "basic_encoding": get_args(BasicEncoding),
    "assertion_audience": get_args(AssertionAudience),
    "token_body": ("form", "json"),
    "revocation": ("tokens", "connection"),
}


def check_settings(provider: Any, *, judges_by_challenge: bool) -> None:
    """Raises `ConfigurationError` for the first setting of `provider` that is not valid.

    Args:
        provider: Has the settings as attributes.
        judges_by_challenge: Whether its `is_rejection` is the default.
    """
    _check_names(provider)
    _check_endpoints(provider)
    _check_choices(provider)
    _check_issuer(provider)
    for is_right, kind, parameters in _KINDS:
        for parameter in parameters:
            _check_kind(getattr(provider, parameter), parameter, is_right, kind)
    if judges_by_challenge:
        _check_rejections(provider)
    _check_pushed(provider)
    _check_origins_from_token(provider)
    _check_sent(provider)


def check_switch(value: object, parameter: str) -> None:
    """Raises `ConfigurationError` if `value` is neither True nor False."""
    _check_kind(value, parameter, *_SWITCH)


def check_endpoint(url: str | None, parameter: str) -> None:
    """Raises `ConfigurationError` if `url` is given and is not the URL of an endpoint."""
    if url is None:
        return
    endpoint_origin(url, parameter)
    if "#" in url:
        raise ConfigurationError(
            f"{parameter} has a fragment, which RFC 6749 section 3 forbids",
            parameter=parameter,
            remedy="leave out what follows the #",
        )


def _check_kind(value: object, parameter: str, is_right: Callable[[Any], bool], kind: str) -> None:
    if not is_right(value):
        raise ConfigurationError(
            f"{parameter} must be {kind}, not {_shown(value)}",
            parameter=parameter,
            remedy="correct it, or leave it out for the default",
        )


def _check_names(provider: Any) -> None:
    if not isinstance(provider.name, str) or not provider.name.strip():
        raise ConfigurationError(
            f"name must be a non-empty string, not {_shown(provider.name)}",
            parameter="name",
            remedy="pass a short name that never changes, such as 'acme'",
        )
    if not isinstance(provider.display_name, str):
        raise ConfigurationError(
            f"display_name must be a string, not {_shown(provider.display_name)}",
            parameter="display_name",
            remedy="pass a name for messages, such as 'Acme Bank', or leave it out for the value of name",
        )


def _check_endpoints(provider: Any) -> None:
    endpoint_origin(provider.token_endpoint, "token_endpoint")
    for parameter in ENDPOINTS:
        check_endpoint(getattr(provider, parameter), parameter)
    for name, url in checked_parameters(provider.mtls_endpoint_aliases, "mtls_endpoint_aliases").items():
        if name not in ENDPOINTS:
            raise ConfigurationError(
                f"mtls_endpoint_aliases: {name!r} is not the name of an endpoint",
                parameter="mtls_endpoint_aliases",
                remedy=_one_of(ENDPOINTS),
            )
        check_endpoint(url, "mtls_endpoint_aliases")
    if not callable(provider.authorization_endpoint):
        check_endpoint(provider.authorization_endpoint, "authorization_endpoint")
    elif provider.target is None:
        raise ConfigurationError(
            "authorization_endpoint is a callable of the target, but target is missing",
            parameter="authorization_endpoint",
            remedy="pass target too, or a URL as authorization_endpoint",
        )


def _check_pushed(provider: Any) -> None:
    if provider.requires_pushed_authorization_requests and provider.pushed_authorization_request_endpoint is None:
        raise ConfigurationError(
            "pushed_authorization_request_endpoint is missing, and requires_pushed_authorization_requests needs it",
            parameter="pushed_authorization_request_endpoint",
            remedy="pass the URL that the provider documents",
        )


def _check_choices(provider: Any) -> None:
    for parameter, known in _CHOICES.items():
        if getattr(provider, parameter) not in known:
            raise ConfigurationError(
                f"{parameter} {quoted(getattr(provider, parameter))} is unknown",
                parameter=parameter,
                remedy=_one_of(known),
            )
    if not _are_strings(provider.grants) or not set(provider.grants) <= set(get_args(GrantType)):
        raise ConfigurationError(
            f"grants must be a sequence of grant types, not {_shown(provider.grants)}",
            parameter="grants",
            remedy=f"pass some of {', '.join(get_args(GrantType))}",
        )


def _check_issuer(provider: Any) -> None:
    if provider.issuer is not None and not isinstance(provider.issuer, str):
        raise ConfigurationError(
            f"issuer must be a string, not {_shown(provider.issuer)}",
            parameter="issuer",
            remedy="pass the URL that the server's metadata has as its issuer, or leave it out",
        )
    if provider.sends_iss and provider.issuer is None:
        raise ConfigurationError(
            "sends_iss is True, but issuer is missing, so there is nothing to compare iss with",
            parameter="sends_iss",
            remedy="pass the provider's issuer too",
        )


def _check_rejections(provider: Any) -> None:
    # By default, each response with a listed status is a rejection, unless its challenge names another remedy.
    successes = sorted(status for status in provider.rejection_statuses if status < 400)
    if successes:
        raise ConfigurationError(
            f"rejection_statuses lists {successes[0]}, which is not an error",
            parameter="rejection_statuses",
            remedy="leave it out, or specify with is_rejection which of these responses reject the token",
        )


def _check_origins_from_token(provider: Any) -> None:
    if bool(provider.api_origins_from_token) != bool(provider.api_host_suffixes):
        missing, given = "api_host_suffixes", "api_origins_from_token"
        if provider.api_host_suffixes:
            missing, given = given, missing
        raise ConfigurationError(
            f"{missing} is missing, and {given} needs it",
            parameter=missing,
            remedy='pass both, such as ("instance_url",) and ("my.salesforce.com",)',
        )
    for suffix in provider.api_host_suffixes:
        # Anyone can register a name below a suffix of one label, such as "com".
        if "." not in suffix.strip(".") or suffix != suffix.strip(".").lower() or not suffix.isascii():
            raise ConfigurationError(
                f"api_host_suffixes must list hosts that belong to the provider, not {suffix!r}",
                parameter="api_host_suffixes",
                remedy="pass lower-case host names of at least two labels, such as 'my.salesforce.com'",
            )


def _check_sent(provider: Any) -> None:
    checked_authorization_parameters(provider.authorization_parameters, "authorization_parameters")
    if not callable(provider.token_parameters):
        checked_parameters(provider.token_parameters, "token_parameters")
    if not callable(provider.token_headers):
        checked_headers(provider.token_headers, "token_headers")
    if not callable(provider.api_headers):
        checked_api_headers(provider.api_headers)
    checked_headers({provider.token_scheme: ""}, "token_scheme")


def checked_api_headers(made: Any) -> Mapping[str, str]:
    """`made`, as further headers of an API request. Raises `ConfigurationError` also for `Authorization`."""
    headers = checked_headers(made, "api_headers")
    if any(name.lower() == "authorization" for name in headers):
        raise ConfigurationError(
            "api_headers names Authorization, which carries the token",
            parameter="api_headers",
            remedy="leave it out; token_scheme specifies how the token is written",
        )
    return headers


def checked_target(named: Any, subject: str | None) -> str:
    """`named`, as the name of the party for `subject`. Raises `ConfigurationError`."""
    if not isinstance(named, str) or not named:
        raise ConfigurationError(
            f"target: the callable returned {named!r} for the subject {subject!r}",
            parameter="target",
            remedy="return the name of a party",
        )
    return named


def _one_of(known: Sequence[str]) -> str:
    return f"use one of {', '.join(known)}"


def _shown(value: object) -> str:
    """A refused value, as an error shows it. A collection is shown by its type and its strings."""
    if not value or not isinstance(value, list | tuple | set | frozenset):
        return quoted(value)
    values = cast("Iterable[object]", value)
    return f"{quoted(values)} of {', '.join(map(quoted, values))}"[:_LONGEST_SHOWN]


def _are(kind: type, value: object) -> bool:
    return isinstance(value, Iterable) and all(isinstance(each, kind) for each in cast("Iterable[object]", value))


def _are_strings(value: object) -> bool:
    return not isinstance(value, str) and _are(str, value)


def _are_statuses(value: object) -> bool:
    return _are(int, value)


def _is_span(value: object) -> bool:
    return value is None or (is_number(value) and value > 0)


_SWITCH: tuple[Callable[[Any], bool], str] = (is_bool, "True or False")

_KINDS: tuple[tuple[Callable[[Any], bool], str, Sequence[str]], ...] = (
    (
        callable,
        "a callable",
        ("read_answer", "judge_refusal", "is_rejection", "ends_consent"),
    ),
    (lambda value: value is None or callable(value), "a callable of the subject, or None", ("target",)),
    (
        *_SWITCH,
        (
            *("pkce", "requires_scope", "sends_iss", "redirect_uri_on_refresh", "reads_rejection_body"),
            *("repeats_lost_refresh", "requires_pushed_authorization_requests"),
        ),
    ),
    (
        _are_strings,
        "a sequence of strings",
        (
            *("client_auth_supported", "assertion_algorithms", "api_origins_from_token", "api_host_suffixes"),
            *("authorization_details_types", "grant_management_actions", "dpop_algorithms"),
        ),
    ),
    (_are_statuses, "a set of HTTP statuses", ("rejection_statuses",)),
    (lambda value: value is None or is_text(value), "the name of a header, or None", ("correlation_header",)),
    (is_text, "an authentication scheme, such as 'Bearer'", ("token_scheme",)),
    (is_text, "text", ("revocation_advice",)),
    (_is_span, "a number of seconds, or None", ("refresh_idle_lifetime", "earliest_renewal")),
)
"""What a setting must be, in code and in words, and the settings of that kind."""
