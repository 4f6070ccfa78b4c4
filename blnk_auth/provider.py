"""What a provider is: data that says where its endpoints are and how it deviates from the RFCs.

A new provider is one short file that returns a `Provider`; no other code branches on who it is. Where a setting may be
a callable, it is asked afresh for each attempt, on whatever thread the attempt is made, and gets the `Call`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast, get_args

from ._protocol.callables import call_setting
from ._protocol.challenges import renewal_may_help
from ._protocol.client_authentication import METHODS, AssertionAudience, BasicEncoding, ClientAuthMethod
from ._protocol.http_messages import ApiAnswer, Call
from ._protocol.http_values import (
    checked_authorization_parameters,
    checked_headers,
    checked_parameters,
    without_reserved,
)
from ._protocol.origins import AllowedOrigins, endpoint_origin
from ._protocol.refusals import Refusal, Verdict
from .errors import ConfigurationError

__all__ = ["GrantType", "PerCall", "Provider", "Refusal", "Verdict"]

GrantType = Literal["authorization_code", "refresh_token", "client_credentials"]

PerCall = Mapping[str, str] | Callable[[Call], Mapping[str, str]]
"""Names and values, fixed or made for each call."""

_NONE: Mapping[str, str] = {}

_ENDPOINTS = ("token_endpoint", "revocation_endpoint", "device_authorization_endpoint")
_GRANTS: tuple[GrantType, ...] = get_args(GrantType)
_CHOICES: Mapping[str, Sequence[str]] = {
    "client_auth": METHODS,
    "basic_encoding": get_args(BasicEncoding),
    "assertion_audience": get_args(AssertionAudience),
    "token_body": ("form", "json"),
    "revocation": ("tokens", "connection"),
}


def _as_it_is(document: Mapping[str, Any], _now: float) -> Mapping[str, Any]:
    return document


def _by_the_rfc(_refusal: Refusal) -> Verdict | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An OAuth 2.0 authorization server and the APIs it issues tokens for. Immutable.

    Endpoints must be https (http for a loopback address only). Raises `ConfigurationError` for a URL that is not.
    """

    name: str
    """Part of the key under which tokens are stored; choose it once."""

    display_name: str = ""
    """What people read, as on the page that ends a sign-in. Default: `name`."""

    token_endpoint: str
    """RFC 6749 section 3.2."""

    api_origins: tuple[str, ...]
    """The origins that may receive the tokens; `("*",)` allows any https origin."""

    authorization_endpoint: str | Callable[[str], str] | None = None
    """RFC 6749 section 3.1; None if no person can sign in there. With `target` it may be a callable of the target."""

    revocation_endpoint: str | None = None
    """RFC 7009; None if the server has none."""

    device_authorization_endpoint: str | None = None
    """RFC 8628 section 3.1; None if nobody can sign in there with a device code."""

    mtls_endpoint_aliases: Mapping[str, str] = field(default_factory=lambda: _NONE)
    """Which endpoint takes the place of another for a client with a certificate (RFC 8705 section 5), by the name of
    the setting: `{"token_endpoint": "https://mtls.example.com/token"}`."""

    issuer: str | None = None
    """If given, an `iss` in the authorization response must equal it (RFC 9207)."""

    sends_iss: bool = False
    """Whether each authorization response brings `iss`, as the server's metadata may promise; one without is then
    refused (RFC 9207 section 2.4). Needs `issuer`."""

    # --- what is sent ------------------------------------------------------------------------------------------------

    grants: tuple[GrantType, ...] = ("authorization_code", "refresh_token", "client_credentials")
    """The grant types the server offers. Without `refresh_token` nothing renews a person's token."""

    client_auth: ClientAuthMethod = "client_secret_basic"
    """How a client proves itself unless it says otherwise."""

    client_auth_supported: tuple[str, ...] = ()
    """What the server says it supports; if given, the client's best method among them is taken by default."""

    basic_encoding: BasicEncoding = "rfc6749"
    """Whether id and secret are form-encoded inside the Basic header (RFC 6749 section 2.3.1) or sent raw."""

    assertion_audience: AssertionAudience = "token_endpoint"
    """Whom a signed client assertion is meant for: servers accept the one, the other, or both (RFC 7523 section 3)."""

    assertion_algorithms: tuple[str, ...] = ()
    """The JWS algorithms of signed assertions that the server says it accepts; if given, an RSA key signs with one of
    them by default (banks of the FAPI kind refuse RS256)."""

    token_body: Literal["form", "json"] = "form"
    """How the body of a token request is written. RFC 6749 says form."""

    token_parameters: PerCall = field(default_factory=lambda: _NONE, repr=False)
    """Further parameters of each token request and revocation."""

    token_headers: PerCall = field(default_factory=lambda: _NONE, repr=False)
    """Further headers of each token request and revocation."""

    api_headers: PerCall = field(default_factory=lambda: _NONE, repr=False)
    """Headers of each request to the API beside the token; they go where the token goes."""

    authorization_parameters: Mapping[str, str] = field(default_factory=lambda: _NONE)
    """Further parameters of the authorization request."""

    pkce: bool = True
    """Whether the authorization request carries an S256 code challenge (RFC 7636)."""

    requires_scope: bool = False
    """Whether the authorization request must name a scope."""

    redirect_uri_on_refresh: bool = False
    """Whether a refresh request repeats the redirect_uri. RFC 6749 says no."""

    target: Callable[[str | None], str] | None = field(default=None, repr=False)
    """Which of several parties behind the server the tokens of a subject are for. Part of the store key, asked once for
    each source, and told to every callable here as `Call.target`: a token of one party never goes to another."""

    # --- what comes back ---------------------------------------------------------------------------------------------

    read_answer: Callable[[Mapping[str, Any], float], Mapping[str, Any]] = _as_it_is
    """Puts a token answer, received at the given time, into the members of RFC 6749: renamed members, lifetimes in
    another unit, a lifetime from elsewhere. Must not raise over a member that it does not need."""

    judge_refusal: Callable[[Refusal], Verdict | None] = _by_the_rfc
    """What a refusal means where the RFCs do not say it or the server means something else; None leaves it to them."""

    correlation_header: str | None = None
    """The header of an answer that support asks for; it is quoted in errors."""

    rejection_statuses: frozenset[int] = frozenset({401})
    """The statuses of the API that are looked at more closely; all others pass untouched."""

    is_rejection: Callable[[ApiAnswer], bool] = renewal_may_help
    """Whether a new token could cure such an answer. Pure; sees the body if `reads_rejection_body`."""

    reads_rejection_body: bool = False
    """Whether `is_rejection` needs the body of the answer (up to 16 KiB of it)."""

    # --- the end -----------------------------------------------------------------------------------------------------

    revocation: Literal["tokens", "connection"] = "tokens"
    """`tokens`: RFC 7009, one POST for each token. `connection`: one DELETE with the access token as Bearer."""

    revocation_advice: str = "this provider has no revocation endpoint; call forget() to drop the token here"
    """What to tell a user who calls `revoke()` where there is no revocation endpoint."""

    refresh_idle_lifetime: float | None = None
    """Seconds without use after which a refresh token dies; None if it does not, or if nobody knows."""

    origins: AllowedOrigins = field(init=False, repr=False, compare=False)
    environment: str = field(init=False, repr=False, compare=False)
    """The origin of the token endpoint: a test and a production server never share a stored token."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise ConfigurationError(
                "name is empty", parameter="name", remedy="give the provider a short, lasting name"
            )
        if not isinstance(self.display_name, str):
            raise ConfigurationError(
                "display_name must be text, such as 'Acme Bank'",
                parameter="display_name",
                remedy="leave it out for the name",
            )
        object.__setattr__(self, "display_name", self.display_name or self.name)
        token_origin = endpoint_origin(self.token_endpoint, "token_endpoint")
        for parameter in _ENDPOINTS:
            _check_endpoint(getattr(self, parameter), parameter)
        _check_aliases(self.mtls_endpoint_aliases)
        if self.authorization_endpoint is not None:
            self._check_authorization_endpoint()
        self._check_choices()
        self._check_issuer()
        self._check_kinds()
        object.__setattr__(self, "origins", AllowedOrigins(self.api_origins))
        object.__setattr__(self, "environment", str(token_origin))

    def _check_kinds(self) -> None:
        for is_right, kind, parameters in _KINDS:
            for parameter in parameters:
                if not is_right(getattr(self, parameter)):
                    raise ConfigurationError(f"{parameter} must be {kind}", parameter=parameter)
        checked_authorization_parameters(self.authorization_parameters, "authorization_parameters")
        # What a callable gives is looked at when it has been given.
        for parameter, check in (("token_parameters", checked_parameters), ("token_headers", checked_headers)):
            if not callable(setting := getattr(self, parameter)):
                check(setting, parameter)
        if not callable(self.api_headers):
            self.api_headers_of(Call("api"))

    def _check_issuer(self) -> None:
        if self.issuer is not None and not isinstance(self.issuer, str):
            raise ConfigurationError("issuer must be the URL in the server's metadata, or None", parameter="issuer")
        if self.sends_iss and self.issuer is None:
            raise ConfigurationError(
                "sends_iss needs the issuer that iss must name",
                parameter="sends_iss",
                remedy="give the provider its issuer",
            )

    def _check_choices(self) -> None:
        for parameter, known in _CHOICES.items():
            if getattr(self, parameter) not in known:
                raise ConfigurationError(
                    f"{parameter} {getattr(self, parameter)!r} is unknown",
                    parameter=parameter,
                    remedy=_one_of(known),
                )
        if isinstance(self.grants, str) or not set(self.grants) <= set(_GRANTS):
            raise ConfigurationError(
                "grants must be a sequence of grant types", parameter="grants", remedy=f"{_one_of(_GRANTS)}"
            )

    def _check_authorization_endpoint(self) -> None:
        if not callable(self.authorization_endpoint):
            _check_endpoint(self.authorization_endpoint, "authorization_endpoint")
        elif self.target is None:
            raise ConfigurationError(
                "authorization_endpoint is a callable of the target, and there is no target",
                parameter="authorization_endpoint",
            )

    @classmethod
    def discover(
        cls,
        issuer: str,
        *,
        verify: Any = True,
        cert: str | tuple[str, ...] | None = None,
        proxy: str | None = None,
        token_http: Any = None,
        **settings: Any,
    ) -> Provider:
        """The provider that the server at `issuer` describes: RFC 8414, else OpenID Connect Discovery.

        Its `issuer` must match exactly. `settings` are fields of `Provider` that take the place of what is described;
        unless `api_origins` is among them, only the issuer's own origin receives tokens. `verify`, `cert`, `proxy` and
        `token_http` are those of `OAuthClient`. The description is kept for an hour.
        Blocks; in a task call it through a thread. Raises `ConfigurationError`, `ProtocolError` if there is no
        description, `TemporarilyUnavailable`.
        """
        from ._protocol.discovery import discover
        from ._transport.network import Network, transport_for
        from .policy import RenewalPolicy

        network = Network(RenewalPolicy(), verify=verify, cert=cert, proxy=proxy, client=token_http)
        found = discover(issuer, transport_for(None, network).send)
        if cert is not None:
            found |= found["mtls_endpoint_aliases"]
        if "client_auth" in settings:
            # A method that the caller names needs no choosing.
            found["client_auth_supported"] = ()
        return cls(**{**found, **settings})

    def with_certificate(self) -> Provider:
        """The same provider as reached with a client certificate: by its `mtls_endpoint_aliases`.

        Its store keys are those of the provider without a certificate.
        """
        aliases: dict[str, Any] = {
            name: url for name, url in self.mtls_endpoint_aliases.items() if getattr(self, name) is not None
        }
        if not aliases:
            return self
        made = replace(self, **aliases)
        object.__setattr__(made, "environment", self.environment)
        return made

    def token_parameters_of(self, call: Call, *, reserved: Iterable[str]) -> Mapping[str, str]:
        """The further parameters of one token request, whose own are `reserved`."""
        made = checked_parameters(_made(self.token_parameters, "token_parameters", call), "token_parameters")
        return without_reserved(made, reserved, "token_parameters")

    def token_headers_of(self, call: Call) -> Mapping[str, str]:
        """The further headers of one token request."""
        return checked_headers(_made(self.token_headers, "token_headers", call), "token_headers")

    def api_headers_of(self, call: Call) -> Mapping[str, str]:
        """The further headers of one API request."""
        made = checked_headers(_made(self.api_headers, "api_headers", call), "api_headers")
        if any(name.lower() == "authorization" for name in made):
            raise ConfigurationError(
                "api_headers must not name Authorization, which carries the token", parameter="api_headers"
            )
        return made

    def target_of(self, subject: str | None) -> str | None:
        """The party that the tokens of this subject are for, where there are several.

        Raises `TemporarilyUnavailable` if the callable fails, and `ConfigurationError` if it names none.
        """
        target = self.target
        if target is None:
            return None
        named = call_setting("target", lambda: target(subject))
        if not isinstance(named, str) or not named:
            raise ConfigurationError(f"target: the callable named none for the subject {subject!r}", parameter="target")
        return named

    def authorization_endpoint_of(self, target: str | None) -> str | None:
        """Where a person signs in for this target. Raises as `target_of` does."""
        endpoint = self.authorization_endpoint
        if not callable(endpoint):
            return endpoint
        named = call_setting("authorization_endpoint", lambda: endpoint(target or ""))
        _check_endpoint(named, "authorization_endpoint")
        return named


def _check_endpoint(url: str | None, parameter: str) -> None:
    if url is None:
        return
    endpoint_origin(url, parameter)
    if "#" in url:
        raise ConfigurationError(f"{parameter} must have no fragment (RFC 6749 section 3)", parameter=parameter)


def _check_aliases(aliases: Any) -> None:
    parameter = "mtls_endpoint_aliases"
    for name, url in checked_parameters(aliases, parameter).items():
        if name not in _ENDPOINTS:
            raise ConfigurationError(
                f"{parameter}: {name!r} is not an endpoint", parameter=parameter, remedy=_one_of(_ENDPOINTS)
            )
        _check_endpoint(url, parameter)


def _one_of(known: Sequence[str]) -> str:
    return f"use one of {', '.join(known)}"


def _made(setting: PerCall, name: str, call: Call) -> Mapping[str, str]:
    return call_setting(name, lambda: setting(call)) if callable(setting) else setting


def _is_span(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _are_texts(value: object) -> bool:
    return not isinstance(value, str) and _are(str, value)


def _are_statuses(value: object) -> bool:
    return _are(int, value)


def _are(kind: type, value: object) -> bool:
    return isinstance(value, Iterable) and all(isinstance(each, kind) for each in cast("Iterable[object]", value))


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


_KINDS: tuple[tuple[Callable[[Any], bool], str, Sequence[str]], ...] = (
    (
        callable,
        "a callable; leave it out for what the RFCs say",
        ("read_answer", "judge_refusal", "is_rejection"),
    ),
    (lambda value: value is None or callable(value), "a callable of the subject, or None", ("target",)),
    (
        _is_switch,
        "True or False",
        ("pkce", "requires_scope", "sends_iss", "redirect_uri_on_refresh", "reads_rejection_body"),
    ),
    (_are_texts, "a sequence of names", ("client_auth_supported", "assertion_algorithms")),
    (_are_statuses, "a set of HTTP statuses", ("rejection_statuses",)),
    (
        lambda value: value is None or isinstance(value, str),
        "the name of a header, or None",
        ("correlation_header",),
    ),
    (lambda value: value is None or _is_span(value), "a number of seconds, or None", ("refresh_idle_lifetime",)),
)
"""What a setting must be, in code and in words."""
