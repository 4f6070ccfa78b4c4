"""What a provider is: data that says where its endpoints are and how it deviates from the RFCs.

A new provider is one short file that returns a `Provider`; no other code branches on who it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from .challenge import is_curable
from .client_auth import METHODS, BasicEncoding
from .errors import ConfigurationError
from .origin import AllowedOrigins, endpoint_origin
from .wire import ApiAnswer

GrantType = Literal["authorization_code", "refresh_token", "client_credentials"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An OAuth 2.0 authorization server and the APIs it issues tokens for. Immutable.

    Endpoints must be https (http for a loopback address only). Raises `ConfigurationError` for a URL that is not.
    """

    name: str
    """Part of the key under which tokens are stored; choose it once."""

    token_endpoint: str
    """RFC 6749 section 3.2."""

    api_origins: tuple[str, ...]
    """The origins that may receive the tokens; `("*",)` allows any https origin."""

    authorization_endpoint: str | None = None
    """RFC 6749 section 3.1; None if no person can sign in there."""

    revocation_endpoint: str | None = None
    """RFC 7009; None if the server has none."""

    issuer: str | None = None
    """If given, an `iss` in the authorization response must equal it (RFC 9207)."""

    grants: tuple[GrantType, ...] = ("authorization_code", "refresh_token", "client_credentials")
    """The grant types the server offers."""

    client_auth: str = "client_secret_basic"
    """How a client proves itself unless it says otherwise."""

    basic_encoding: BasicEncoding = "rfc6749"
    """Whether id and secret are form-encoded inside the Basic header (RFC 6749 section 2.3.1) or sent raw."""

    pkce: bool = True
    """Whether the authorization request carries an S256 code challenge (RFC 7636)."""

    rejection_statuses: frozenset[int] = frozenset({401})
    """The statuses of the API that are looked at more closely; all others pass untouched."""

    is_rejection: Callable[[ApiAnswer], bool] = is_curable
    """Whether a new token could cure such an answer. Pure; sees the body if `reads_rejection_body`."""

    reads_rejection_body: bool = False
    """Whether `is_rejection` needs the body of the answer (up to 16 KiB of it)."""

    revocation_advice: str = "this provider has no revocation endpoint; call forget() to drop the token here"
    """What to tell a user who calls `revoke()` where there is no revocation endpoint."""

    origins: AllowedOrigins = field(init=False, repr=False, compare=False)
    environment: str = field(init=False, repr=False, compare=False)
    """The origin of the token endpoint: a test and a production server never share a stored token."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigurationError("name is empty; give the provider a short, lasting name")
        token_origin = endpoint_origin(self.token_endpoint, "token_endpoint")
        for parameter in ("authorization_endpoint", "revocation_endpoint"):
            url = getattr(self, parameter)
            if url is not None:
                endpoint_origin(url, parameter)
        if self.client_auth not in METHODS:
            raise ConfigurationError(f"client_auth {self.client_auth!r} is unknown; use one of {', '.join(METHODS)}")
        object.__setattr__(self, "origins", AllowedOrigins(self.api_origins))
        object.__setattr__(self, "environment", str(token_origin))
