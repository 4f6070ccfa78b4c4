"""How the client proves who it is to the authorization server (RFC 6749 section 2.3).

Exactly one method is used per request: RFC 6749 forbids two at once, and servers that enforce it refuse both.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote_plus

from .errors import ConfigurationError

ClientSecret = str | Callable[[], str] | None
BasicEncoding = Literal["rfc6749", "raw"]

METHODS = ("client_secret_basic", "client_secret_post", "none")


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A registered client: its id, its secret (or a callable that returns today's), and how it proves itself.

    A callable secret is asked afresh for every request, so that a rotated secret needs no restart.
    """

    client_id: str
    client_secret: ClientSecret = field(repr=False)
    method: str
    basic_encoding: BasicEncoding = "rfc6749"

    def __post_init__(self) -> None:
        if not isinstance(self.client_id, str) or not self.client_id.strip():
            raise ConfigurationError("client_id is empty; pass the id that the provider gave your application")
        if self.method not in METHODS:
            raise ConfigurationError(f"client_auth {self.method!r} is unknown; use one of {', '.join(METHODS)}")
        if self.method != "none" and not self.client_secret:
            raise ConfigurationError(
                f"client_secret is missing, and client_auth {self.method!r} needs it; pass the secret, or "
                'client_auth="none" for a public client'
            )

    def secret(self) -> str:
        """The secret of this moment. Raises `ConfigurationError` if the callable returns none."""
        secret = self.client_secret() if callable(self.client_secret) else self.client_secret
        if not isinstance(secret, str) or not secret:
            raise ConfigurationError("client_secret: the callable returned no secret; it must return a non-empty str")
        return secret

    def basic(self, secret: str) -> str:
        """What follows `Basic ` in the Authorization header for `client_secret_basic`."""
        client_id = self.client_id
        if self.basic_encoding == "rfc6749":
            # RFC 6749 section 2.3.1: both are form-encoded first. Servers that document `curl -u` want them raw.
            client_id, secret = quote_plus(client_id), quote_plus(secret)
        return base64.b64encode(f"{client_id}:{secret}".encode()).decode("ascii")
