"""The types of a provider's settings, for editors and type checkers.

Used by `provider`, which makes them public, and by the providers that work by name. A `TypedDict` promises that an
editor shows each setting where a function takes them as `**settings`. Nothing is checked here: `setting_checks` does.
It never has a default: `Provider` has.

Unlike in other files, annotations are evaluated here. A `TypedDict` compiles each annotation that is text; forty of
them took a twentieth of the time that importing `OAuthClient` takes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypedDict

from ..errors._pickling import public_in
from .client_authentication import AssertionAudience, BasicEncoding, ClientAuthMethod
from .http_messages import ApiAnswer, Call
from .refusals import Refusal, Verdict
from .setting_checks import GrantType

PerCall = Mapping[str, str] | Callable[[Call], Mapping[str, str]]
"""Names and values: the same for each call, or returned by a callable for each call."""


@public_in("provider")
class ProviderSettings(TypedDict, total=False):
    """Settings of a `Provider`, which documents each, as keyword arguments: all but its name, issuer and endpoint."""

    display_name: str
    api_origins: tuple[str, ...]
    authorization_endpoint: str | Callable[[str], str] | None
    revocation_endpoint: str | None
    device_authorization_endpoint: str | None
    pushed_authorization_request_endpoint: str | None
    requires_pushed_authorization_requests: bool
    mtls_endpoint_aliases: Mapping[str, str]
    sends_iss: bool
    grants: tuple[GrantType, ...]
    client_auth: ClientAuthMethod
    # Strings and not a Literal, as for `assertion_algorithms`: servers list methods that this library does not know.
    client_auth_supported: tuple[str, ...]
    basic_encoding: BasicEncoding
    assertion_audience: AssertionAudience
    assertion_algorithms: tuple[str, ...]
    token_body: Literal["form", "json"]
    token_parameters: PerCall
    token_headers: PerCall
    token_scheme: str
    api_headers: PerCall
    api_origins_from_token: tuple[str, ...]
    api_host_suffixes: tuple[str, ...]
    authorization_parameters: Mapping[str, str]
    authorization_details_types: tuple[str, ...]
    grant_management_actions: tuple[str, ...]
    dpop_algorithms: tuple[str, ...]
    pkce: bool
    requires_scope: bool
    redirect_uri_on_refresh: bool
    target: Callable[[str | None], str] | None
    read_answer: Callable[[Mapping[str, Any], float], Mapping[str, Any]]
    judge_refusal: Callable[[Refusal], Verdict | None]
    correlation_header: str | None
    rejection_statuses: frozenset[int]
    is_rejection: Callable[[ApiAnswer], bool]
    ends_consent: Callable[[ApiAnswer], bool]
    reads_rejection_body: bool
    revocation: Literal["tokens", "connection"]
    revocation_advice: str
    refresh_idle_lifetime: float | None
    earliest_renewal: float | None
    repeats_lost_refresh: bool


@public_in("provider")
class DiscoverySettings(ProviderSettings, total=False):
    """Settings of a `Provider` that replace those of a server's metadata: all but the issuer. See `Provider`."""

    name: str
    token_endpoint: str
