"""How the client proves who it is to the authorization server (RFC 6749 section 2.3, RFC 7523, RFC 8705).

Exactly one method is used per request: RFC 6749 forbids two at once, and servers that enforce it refuse both.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote_plus

from ..errors import ConfigurationError
from .assertions import KeyMaterial, PrivateKey, Signer, hmac_digest, sign_assertion, sign_by_secret
from .callables import call_setting

ClientSecret = str | Callable[[], str] | None
BasicEncoding = Literal["rfc6749", "raw"]
AssertionAudience = Literal["token_endpoint", "issuer"]

_BY_SECRET = ("client_secret_basic", "client_secret_post", "client_secret_jwt")
_BY_CERTIFICATE = ("tls_client_auth", "self_signed_tls_client_auth")
METHODS = (*_BY_SECRET, "private_key_jwt", *_BY_CERTIFICATE, "none")
"""The registered names (IANA OAuth parameters; RFC 7591, RFC 8705)."""

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Proof:
    """What proves the client in one request: headers, parameters, and the secrets among them."""

    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A registered client: its id, what it has to prove itself with, and the method.

    `client_secret` and `private_key` may be callables, asked afresh for every request, so that rotating them needs no
    restart. `accepted_algorithms` are those of which the server says that it accepts them. `has_certificate` says
    whether the token endpoint is reached with a client certificate.
    """

    client_id: str
    client_secret: ClientSecret = field(repr=False)
    method: str
    basic_encoding: BasicEncoding = "rfc6749"
    private_key: PrivateKey | None = field(default=None, repr=False)
    key_id: str | None = None
    signing_algorithm: str | None = None
    accepted_algorithms: tuple[str, ...] = ()
    has_certificate: bool = False

    def __post_init__(self) -> None:
        self._check_id()
        if not isinstance(self.client_secret, str | None) and not callable(self.client_secret):
            raise ConfigurationError(
                "client_secret must be text, or a callable that returns text", parameter="client_secret"
            )
        if self.method not in METHODS:
            raise ConfigurationError(
                f"client_auth {self.method!r} is unknown",
                parameter="client_auth",
                remedy=f"use one of {', '.join(METHODS)}",
            )
        if self.method in _BY_SECRET and not self.client_secret:
            raise ConfigurationError(
                f"client_secret is missing, and client_auth {self.method!r} needs it",
                parameter="client_secret",
                remedy='pass the secret, or client_auth="none" for a public client',
            )
        if self.method in _BY_CERTIFICATE and not self.has_certificate:
            raise ConfigurationError(
                f"cert is missing, and client_auth {self.method!r} needs it",
                parameter="cert",
                remedy="pass cert=(file, key file)",
            )
        if self.method == "private_key_jwt":
            self._check_key()
        if self.method == "client_secret_jwt":
            hmac_digest(self.signing_algorithm)

    def _check_id(self) -> None:
        if not isinstance(self.client_id, str) or not self.client_id.strip():
            raise ConfigurationError(
                "client_id is empty",
                parameter="client_id",
                remedy="pass the id that the provider gave your application",
            )
        if not self.client_id.isprintable():
            raise ConfigurationError(
                "client_id has unprintable characters",
                parameter="client_id",
                remedy="pass the id as the provider wrote it",
            )
        if ":" in self.client_id and self.method == "client_secret_basic" and self.basic_encoding == "raw":
            # RFC 7617 section 2: the server would read what follows the colon as the secret.
            raise ConfigurationError(
                "client_id has a colon, which raw HTTP Basic cannot carry",
                parameter="client_id",
                remedy="use client_secret_post",
            )

    def _check_key(self) -> None:
        if self.private_key is None:
            raise ConfigurationError(
                "private_key is missing, and client_auth 'private_key_jwt' needs it",
                parameter="private_key",
                remedy="pass a PEM, a JWK, or a Signer",
            )
        if not callable(self.private_key) and not isinstance(self.private_key, Signer):
            # Once for nothing: whether key and algorithm go together is better known now than at the first renewal.
            self.prove(audience="", now=0.0)

    def secret(self) -> str:
        """The secret of this moment. Raises `ConfigurationError` if the callable returns none."""
        secret = (
            call_setting("client_secret", self.client_secret) if callable(self.client_secret) else self.client_secret
        )
        if not isinstance(secret, str) or not secret:
            raise ConfigurationError(
                "client_secret: the callable returned no secret",
                parameter="client_secret",
                remedy="it must return a non-empty str",
            )
        return secret

    def prove(self, *, audience: str, now: float) -> Proof:
        """The proof for one request, never used twice. `audience` is whom a signed assertion is meant for."""
        if self.method == "client_secret_basic":
            secret = self.secret()
            basic = self.basic(secret)
            return Proof({"Authorization": f"Basic {basic}"}, {}, (secret, basic))
        if self.method == "client_secret_post":
            secret = self.secret()
            return Proof({}, {"client_id": self.client_id, "client_secret": secret}, (secret,))
        if self.method in ("client_secret_jwt", "private_key_jwt"):
            return self._prove_by_assertion(audience, now)
        # RFC 8705 section 2: the certificate of the connection proves the client that the body names.
        return Proof({}, {"client_id": self.client_id})

    def _prove_by_assertion(self, audience: str, now: float) -> Proof:
        signing: dict[str, Any] = {
            "client_id": self.client_id,
            "audience": audience,
            "now": now,
            "key_id": self.key_id,
            "algorithm": self.signing_algorithm,
        }
        secret = self.secret() if self.method == "client_secret_jwt" else None
        if secret is None:
            assertion = sign_assertion(self._key(), **signing, accepted=self.accepted_algorithms)
        else:
            assertion = sign_by_secret(secret, **signing)
        parameters = {"client_id": self.client_id, "client_assertion_type": _ASSERTION_TYPE}
        secrets = (assertion,) if secret is None else (assertion, secret)
        return Proof({}, {**parameters, "client_assertion": assertion}, secrets)

    def _key(self) -> KeyMaterial | Signer:
        key = self.private_key
        if callable(key):
            return call_setting("private_key", key)
        return "" if key is None else key

    def basic(self, secret: str) -> str:
        """What follows `Basic ` in the Authorization header for `client_secret_basic`."""
        client_id = self.client_id
        if self.basic_encoding == "rfc6749":
            # RFC 6749 section 2.3.1: both are form-encoded first. Servers that document `curl -u` want them raw.
            client_id, secret = quote_plus(client_id), quote_plus(secret)
        return base64.b64encode(f"{client_id}:{secret}".encode()).decode("ascii")


def choose_method(supported: tuple[str, ...], *, has_key: bool, has_certificate: bool, has_secret: bool) -> str | None:
    """The best method that the server supports and the client has the means for; None if they share none.

    Asymmetric methods first (RFC 9700 section 2.5): they leave no secret at the server, and who has the means has
    registered them. A secret may be registered for any of three methods, which the server's list does not tell: Basic
    is what a registration means that names none (RFC 7591 section 2), so it comes before the stronger assertion.
    """
    means = {
        "private_key_jwt": has_key,
        "tls_client_auth": has_certificate,
        "self_signed_tls_client_auth": has_certificate,
        "client_secret_basic": has_secret,
        "client_secret_post": has_secret,
        "client_secret_jwt": has_secret,
        "none": not has_secret and not has_key,
    }
    return next((method for method, has_means in means.items() if has_means and method in supported), None)
