"""A provider as data: its endpoints, and where it deviates from the RFCs.

Used by `OAuthClient`, and by authors of providers: a new provider is one short file that returns a `Provider`, and no
other code branches on which one it is. A setting that may be a callable is called for each attempt, also for a retry,
on the thread that makes the attempt. What it returns is checked before it is sent. This file never uses the network,
except for `Provider.discover`, which fetches a server's metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Unpack

from ._protocol.callables import call_setting
from ._protocol.challenges import names_no_other_remedy, never_ends_consent
from ._protocol.client_authentication import AssertionAudience, BasicEncoding, ClientAuthMethod
from ._protocol.http_messages import ApiAnswer, Call, HttpResponse, Purpose
from ._protocol.http_values import checked_headers, checked_parameters, without_reserved
from ._protocol.origins import AllowedOrigins, Origin, endpoint_origin, origin_below
from ._protocol.refusals import Refusal, Verdict
from ._protocol.setting_checks import GrantType, check_endpoint, check_settings, checked_api_headers, checked_target
from ._protocol.setting_types import DiscoverySettings, PerCall, ProviderSettings
from .errors import clears_locals, constructor_clears_locals
from .errors._extras import NamedInAnnotations
from .errors._pickling import PICKLED, pickled_by_name
from .token import Token

if TYPE_CHECKING:
    import ssl
else:
    ssl = NamedInAnnotations("ssl")

__all__ = [
    "AllowedOrigins",
    "ApiAnswer",
    "Call",
    "ClientAuthMethod",
    "DiscoverySettings",
    "GrantType",
    "HttpResponse",
    "Origin",
    "PerCall",
    "Provider",
    "ProviderSettings",
    "Purpose",
    "Refusal",
    "Verdict",
]

_NONE: Mapping[str, str] = {}


# The defaults of every provider. Pickles of earlier versions refer to them by name: keep their names.
def _as_it_is(document: Mapping[str, Any], _now: float) -> Mapping[str, Any]:
    return document


def _by_the_rfc(_refusal: Refusal) -> Verdict | None:
    return None


def _by_the_challenge(answer: ApiAnswer) -> bool:
    return names_no_other_remedy(answer)


@pickled_by_name
@constructor_clears_locals
@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An OAuth 2.0 authorization server and the APIs it issues tokens for. Immutable; may be shared by all threads.

    Endpoints must be https; http is accepted for a loopback address only.

    Attributes:
        name: Part of the key under which tokens are stored: choose it once.
        display_name: What users read, as on the page that ends a sign-in. Default: `name`.
        token_endpoint: RFC 6749 section 3.2.
        api_origins: The origins that may receive the tokens; `("*",)` allows any https origin.
        authorization_endpoint: RFC 6749 section 3.1; with `target` it may be a callable of the target. None: no user
            can sign in there.
        revocation_endpoint: RFC 7009. None: the server has none.
        device_authorization_endpoint: RFC 8628 section 3.1. None: nobody can sign in there with a device code.
        pushed_authorization_request_endpoint: RFC 9126 section 2. None: the server has none.
        requires_pushed_authorization_requests: Whether every sign-in is pushed there first, because the server demands
            it, or because you want it. Needs the endpoint.
        mtls_endpoint_aliases: The URLs that a client with a certificate uses in the place of endpoints, by the name of
            the setting: `{"token_endpoint": "https://mtls.example.com/token"}` (RFC 8705 section 5). Default: none.
        issuer: If given, an `iss` in the authorization response must equal it (RFC 9207). None: an `iss` must
            have the origin of one of the endpoints.
        sends_iss: Whether each authorization response has `iss`, as the server's metadata may state. If True, a
            response without it is refused (RFC 9207 section 2.4). Needs `issuer`.
        grants: The grant types that the server offers. Without `refresh_token` nothing renews a user's token. With the
            default, a token exchange and an assertion are tried; any other value must list them.
        client_auth: How a client authenticates unless `OAuthClient(client_auth=...)` is given.
        client_auth_supported: The methods that the server lists as supported. If given, the client's best method among
            them is the default.
        basic_encoding: How id and secret are written in the Basic header. `rfc6749`: form-encoded first, as RFC 6749
            section 2.3.1 demands. `raw`: as they are.
        assertion_audience: The `aud` of signed client assertions: `token_endpoint` or `issuer`. Servers accept the one,
            the other, or both (RFC 7523 section 3).
        assertion_algorithms: The JWS algorithms of assertions that the server lists as accepted. If given, an RSA key
            signs with one of them by default (FAPI servers refuse RS256).
        token_body: How the body of a token request is written: `form`, as RFC 6749 demands, or `json`.
        token_parameters: Further parameters of each token request and revocation.
        token_headers: Further headers of each token request and revocation.
        token_scheme: The authentication scheme before the token in the Authorization header of API requests. Some
            providers demand another than Bearer (`Zoho-oauthtoken`, `OAuth`).
        api_headers: Headers of each request to the API beside the token; they are sent where the token is sent.
        api_origins_from_token: Members of a token response that name a further API origin, as a URL, for that token:
            `("instance_url",)`. Needs `api_host_suffixes`. The URL must be https and name a host at or below one of
            those suffixes; others are ignored. It is kept with the grant.
        api_host_suffixes: The hosts of the provider at or below which such an origin may be: `("my.salesforce.com",)`.
        authorization_parameters: Further parameters of the authorization request.
        authorization_details_types: The types of `authorization_details` that the server lists (RFC 9396 section 10);
            a sign-in may ask for no other. Empty: not known.
        grant_management_actions: The actions that the server lists (Grant Management for OAuth 2.0, section 7.1), such
            as `("create", "merge", "replace")`; a sign-in may ask for no other. Empty: not known.
        dpop_algorithms: The JWS algorithms of DPoP proofs that the server lists (RFC 9449 section 5.1). Empty: not
            known.
        pkce: Whether the authorization request carries an S256 code challenge (RFC 7636).
        requires_scope: Whether the authorization request must name a scope.
        redirect_uri_on_refresh: Whether a refresh request repeats the redirect_uri. RFC 6749 does not.
        target: Which of several parties behind the server the tokens of a subject are for: a callable of the subject
            (None for the client's own token). Part of the store key, called once for each source, and given to every
            callable here as `Call.target`: a token of one party is never sent to another. None: there is one party.
        read_answer: Turns a token response, received at the given UTC epoch time, into the members of RFC 6749: renamed
            members, lifetimes in another unit. Must not raise for a member that it does not need.
        judge_refusal: What a refusal means where the RFCs do not define it, or the server means something else. None
            leaves it to the RFCs.
        correlation_header: The header of a response that the provider's support asks for; it is quoted in errors.
        rejection_statuses: The statuses of the API that may reject the token. All others are passed on untouched.
        is_rejection: Whether a new token could resolve such a response. Default: if its challenge names no other remedy
            (RFC 6750 section 3.1). Must be pure; sees the body if `reads_rejection_body`.
        ends_consent: Whether a response with such a status, or with 401 or 403, reports that the user's consent has
            ended, so that only a new sign-in helps. Must be pure. Default: never.
        reads_rejection_body: Whether `is_rejection` or `ends_consent` needs the body of the response (up to 16 KiB).
        revocation: `tokens`: RFC 7009, one POST for each token. `connection`: one DELETE with the access token.
        revocation_advice: What the user can do at the provider instead, where there is no revocation endpoint. Empty:
            nothing is known.
        refresh_idle_lifetime: Seconds without use after which a refresh token expires. None: it does not, or that is
            not known.
        earliest_renewal: For a server that refuses early renewals: how many seconds before the access token expires it
            begins to accept one. None: it accepts one at any time.
        repeats_lost_refresh: Whether a refresh whose response was lost may be sent again immediately. False for servers
            that revoke the grant when a refresh token is used twice, without a grace period.
        origins: `api_origins`, parsed.
        environment: The origin of the token endpoint: a test and a production server never share a stored token.

    Raises:
        ConfigurationError: A setting is wrong; `parameter` names it.
    """

    name: str
    display_name: str = ""
    token_endpoint: str
    api_origins: tuple[str, ...]
    authorization_endpoint: str | Callable[[str], str] | None = None
    revocation_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    requires_pushed_authorization_requests: bool = False
    mtls_endpoint_aliases: Mapping[str, str] = field(default_factory=lambda: _NONE)
    issuer: str | None = None
    sends_iss: bool = False
    # What is sent.
    grants: tuple[GrantType, ...] = ("authorization_code", "refresh_token", "client_credentials")
    client_auth: ClientAuthMethod = "client_secret_basic"
    # Strings and not a Literal, as for `assertion_algorithms`: servers list methods that this library does not know.
    client_auth_supported: tuple[str, ...] = ()
    basic_encoding: BasicEncoding = "rfc6749"
    assertion_audience: AssertionAudience = "token_endpoint"
    assertion_algorithms: tuple[str, ...] = ()
    token_body: Literal["form", "json"] = "form"
    token_parameters: PerCall = field(default_factory=lambda: _NONE, repr=False)
    token_headers: PerCall = field(default_factory=lambda: _NONE, repr=False)
    token_scheme: str = "Bearer"
    api_headers: PerCall = field(default_factory=lambda: _NONE, repr=False)
    api_origins_from_token: tuple[str, ...] = ()
    api_host_suffixes: tuple[str, ...] = ()
    authorization_parameters: Mapping[str, str] = field(default_factory=lambda: _NONE)
    # Strings and not Literals, as above.
    authorization_details_types: tuple[str, ...] = ()
    grant_management_actions: tuple[str, ...] = ()
    dpop_algorithms: tuple[str, ...] = ()
    pkce: bool = True
    requires_scope: bool = False
    redirect_uri_on_refresh: bool = False
    target: Callable[[str | None], str] | None = field(default=None, repr=False)
    # What is received.
    read_answer: Callable[[Mapping[str, Any], float], Mapping[str, Any]] = _as_it_is
    judge_refusal: Callable[[Refusal], Verdict | None] = _by_the_rfc
    correlation_header: str | None = None
    rejection_statuses: frozenset[int] = frozenset({401})
    is_rejection: Callable[[ApiAnswer], bool] = _by_the_challenge
    ends_consent: Callable[[ApiAnswer], bool] = never_ends_consent
    reads_rejection_body: bool = False
    # How a grant ends, and how it is renewed.
    revocation: Literal["tokens", "connection"] = "tokens"
    revocation_advice: str = ""
    refresh_idle_lifetime: float | None = None
    earliest_renewal: float | None = None
    repeats_lost_refresh: bool = True
    # Made of the others.
    origins: AllowedOrigins = field(init=False, repr=False, compare=False)
    environment: str = field(init=False, repr=False, compare=False, metadata=PICKLED)

    def __post_init__(self) -> None:
        check_settings(self, judges_by_challenge=self.is_rejection is _by_the_challenge)
        object.__setattr__(self, "display_name", self.display_name or self.name)
        object.__setattr__(self, "origins", AllowedOrigins(self.api_origins))
        object.__setattr__(self, "environment", str(endpoint_origin(self.token_endpoint, "token_endpoint")))

    @classmethod
    @clears_locals
    def discover(
        cls,
        issuer: str,
        *,
        verify: bool | str | PathLike[str] | ssl.SSLContext = True,
        cert: str | tuple[str, ...] | None = None,
        proxy: str | None = None,
        token_http: Any = None,
        **settings: Unpack[DiscoverySettings],
    ) -> Provider:
        """The provider that the server at `issuer` describes: RFC 8414, else OpenID Connect Discovery.

        Unless `api_origins` is among the settings, only the issuer's own origin receives tokens:

            Provider.discover("https://as.acme.test", api_origins=("https://api.acme.test",))

        Blocks; in a task, call it through a thread. May be called from many threads. A description is kept for an hour.

        Args:
            issuer: The issuer's URL, exactly as its metadata has it.
            verify: How the server's certificate is checked: True (by the HTTP package's own list), a CA file or
                directory, an `ssl.SSLContext`, or False (not at all).
            cert: A client certificate: a file, or file, key file and optional password. None: there is none. With one,
                the provider's `mtls_endpoint_aliases` replace its endpoints.
            proxy: The URL of a proxy. None: as the environment specifies.
            token_http: A `requests.Session`, `httpx.Client` or `httpx2.Client` to send the requests with. None: one of
                our own.
            **settings: Settings of `Provider` that replace those of the metadata.

        Returns:
            The provider.

        Raises:
            ConfigurationError: The URL cannot be that of an issuer, the metadata names another issuer or cannot be
                used, or the server's certificate is not trusted.
            ProtocolError: The server publishes no metadata.
            TemporarilyUnavailable: The server did not respond.
        """
        from ._protocol.discovery import discover, merged_settings
        from ._transport.network import Network, transport_for
        from .errors import redacted
        from .policy import RenewalPolicy

        cert, proxy = redacted(cert), redacted(proxy)
        network = Network(RenewalPolicy(), verify=verify, cert=cert, proxy=proxy, client=token_http)
        found = discover(issuer, transport_for(None, network).send)
        made = cls(**merged_settings(found, settings))
        return made if cert is None else made.with_certificate()

    def with_certificate(self) -> Provider:
        """The provider with `mtls_endpoint_aliases` as its endpoints, for a client with a certificate.

        Its tokens are stored under the same keys.

        Returns:
            A changed copy; the same object if it has no aliases.
        """
        aliases: dict[str, Any] = {
            name: url for name, url in self.mtls_endpoint_aliases.items() if getattr(self, name) is not None
        }
        if not aliases:
            return self
        made = replace(self, **aliases)
        object.__setattr__(made, "environment", self.environment)
        return made

    def origins_for(self, token: Token) -> AllowedOrigins:
        """The origins that may receive a token: `api_origins`, and those that came with the token.

        Args:
            token: The token; its `extra` has the members that `api_origins_from_token` names.

        Returns:
            The origins; `origins` itself if the token names none.
        """
        named = (
            origin_below(token.extra.get(member), self.api_host_suffixes) for member in self.api_origins_from_token
        )
        further = tuple(str(origin) for origin in named if origin is not None)
        return AllowedOrigins((*self.api_origins, *further)) if further else self.origins

    def rejects_token(self, answer: ApiAnswer) -> bool:
        """Whether a new token could resolve a response of the API.

        Args:
            answer: The response; its status is one of `rejection_statuses`. Its `scheme`, if there is one, has
                precedence over `token_scheme`.

        Returns:
            What `is_rejection` decides.
        """
        if self.is_rejection is _by_the_challenge:
            return names_no_other_remedy(answer, self.token_scheme)
        return self.is_rejection(answer)

    def token_parameters_of(self, call: Call, *, reserved: Iterable[str]) -> Mapping[str, str]:
        """The further parameters of one token request.

        Args:
            call: What is asked for, and for whom.
            reserved: The names of the parameters that the request has already.

        Returns:
            Names and values, checked.

        Raises:
            ConfigurationError: One cannot be sent, or has a reserved name.
            TemporarilyUnavailable: The callable failed.
        """
        made = checked_parameters(_made(self.token_parameters, "token_parameters", call), "token_parameters")
        return without_reserved(made, reserved, "token_parameters")

    def token_headers_of(self, call: Call) -> Mapping[str, str]:
        """The further headers of one token request.

        Args:
            call: What is asked for, and for whom.

        Returns:
            Names and values, checked.

        Raises:
            ConfigurationError: One cannot be sent.
            TemporarilyUnavailable: The callable failed.
        """
        return checked_headers(_made(self.token_headers, "token_headers", call), "token_headers")

    def api_headers_of(self, call: Call) -> Mapping[str, str]:
        """The further headers of one API request.

        Args:
            call: For whom it is sent.

        Returns:
            Names and values, checked.

        Raises:
            ConfigurationError: One cannot be sent.
            TemporarilyUnavailable: The callable failed.
        """
        return checked_api_headers(_made(self.api_headers, "api_headers", call))

    def target_of(self, subject: str | None) -> str | None:
        """The party that the tokens of a subject are for.

        Args:
            subject: Whose tokens. None: the client's own.

        Returns:
            Its name. None: there is only one party.

        Raises:
            ConfigurationError: The callable did not return a name.
            TemporarilyUnavailable: The callable failed.
        """
        target = self.target
        if target is None:
            return None
        return checked_target(call_setting("target", lambda: target(subject)), subject)

    def authorization_endpoint_of(self, target: str | None) -> str | None:
        """Where a user signs in.

        Args:
            target: The party behind the server, as `target_of` names it. None: there is only one.

        Returns:
            The URL. None: no user can sign in there.

        Raises:
            ConfigurationError: The callable did not return a URL that may receive secrets.
            TemporarilyUnavailable: The callable failed.
        """
        endpoint = self.authorization_endpoint
        if not callable(endpoint):
            return endpoint
        named = call_setting("authorization_endpoint", lambda: endpoint(target or ""))
        check_endpoint(named, "authorization_endpoint")
        return named


def _made(setting: PerCall, name: str, call: Call) -> Mapping[str, str]:
    return call_setting(name, lambda: setting(call)) if callable(setting) else setting
