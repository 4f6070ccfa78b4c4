"""How the client authenticates to the authorization server: RFC 6749 section 2.3, RFC 7523, RFC 8705.

Used by the builders of requests. It promises that each request uses exactly one method: RFC 6749 forbids two in one
request, and some servers refuse such a request. Credentials that cannot work raise an error when the client is made, or
when a callable has returned them. They are never sent.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import quote_plus

from ..errors import ConfigurationError, is_text, kind_of, quoted, redacted
from .assertions import hmac_digest, sign_assertion, sign_by_secret
from .callables import call_setting
from .presented_tokens import presented
from .signing import KeyMaterial, PrivateKey, Signer

ClientAuthMethod = Literal[
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "none",
]
"""The registered names (IANA OAuth parameters; RFC 7591 section 2, RFC 8705 section 2)."""

METHODS: tuple[ClientAuthMethod, ...] = get_args(ClientAuthMethod)

ClientSecret = str | Callable[[], str] | None
"""A secret, a callable that returns the current secret, or None for a client without a secret."""

ClientAssertion = Callable[[], str]
"""Returns an assertion about the client that was made elsewhere (RFC 7521 section 4.2)."""

BasicEncoding = Literal["rfc6749", "raw"]
AssertionAudience = Literal["token_endpoint", "issuer"]

BY_SECRET: tuple[ClientAuthMethod, ...] = ("client_secret_basic", "client_secret_post", "client_secret_jwt")
BY_CERTIFICATE: tuple[ClientAuthMethod, ...] = ("tls_client_auth", "self_signed_tls_client_auth")

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Proof(NamedTuple):
    """What authenticates the client in one request. Immutable, and never sent twice.

    Attributes:
        headers: Headers to send.
        parameters: Parameters to send in the body.
        secrets: The secrets among them, which must not appear in an error.
    """

    headers: Mapping[str, str]
    parameters: Mapping[str, str]
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "Proof()"


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A registered client and how it authenticates. Immutable; may be used from any thread.

    Attributes:
        client_id: The id of the registered client.
        client_secret: The secret, or a callable that is called for each request, so that a secret can be rotated
            without a restart.
        method: How the client authenticates.
        basic_encoding: Whether id and secret are form-encoded inside the Basic header (RFC 6749 section 2.3.1) or raw.
        private_key: For `private_key_jwt`; see `PrivateKey`.
        key_id: The `kid` of an assertion. None: the `kid` of the key, if it has one.
        signing_algorithm: The JWS algorithm of an assertion. None: one that fits the key.
        accepted_algorithms: The algorithms that the server accepts, by its metadata. Empty if that is unknown.
        has_certificate: Whether the token endpoint is reached with a client certificate.
        client_assertion: For `private_key_jwt`, in place of a key: returns an assertion that was signed elsewhere, and
            is called for each request.

    Raises:
        ConfigurationError: The method needs something that is missing, or that cannot be used.
    """

    client_id: str
    client_secret: ClientSecret = field(repr=False)
    method: ClientAuthMethod
    basic_encoding: BasicEncoding = "rfc6749"
    private_key: PrivateKey | None = field(default=None, repr=False)
    key_id: str | None = None
    signing_algorithm: str | None = None
    accepted_algorithms: tuple[str, ...] = ()
    has_certificate: bool = False
    client_assertion: ClientAssertion | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._check_id()
        self._check_secret()
        if self.method not in METHODS:
            raise ConfigurationError(
                f"client_auth {quoted(self.method)} is unknown",
                parameter="client_auth",
                remedy=f"use one of {', '.join(METHODS)}",
            )
        if self.method in BY_SECRET and not self.client_secret:
            raise ConfigurationError(
                f"client_secret is missing, and client_auth {self.method!r} needs it",
                parameter="client_secret",
                remedy='pass the secret, or client_auth="none" for a public client',
            )
        if self.method in BY_CERTIFICATE and not self.has_certificate:
            raise ConfigurationError(
                f"cert is missing, and client_auth {self.method!r} needs it",
                parameter="cert",
                remedy="pass the file of the client's certificate, and the file of its key",
            )
        if self.client_assertion is not None:
            self._check_client_assertion()
        elif self.method == "private_key_jwt":
            self._check_key()
        if self.method == "client_secret_jwt":
            hmac_digest(self.signing_algorithm)

    def _check_id(self) -> None:
        if not isinstance(self.client_id, str) or not self.client_id.strip():
            raise ConfigurationError(
                f"client_id must be a non-empty string, not {quoted(self.client_id)}",
                parameter="client_id",
                remedy="pass the id that the provider gave your application",
            )
        if not self.client_id.isprintable():
            raise ConfigurationError(
                "client_id has unprintable characters, perhaps a newline at its end",
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

    def _check_secret(self) -> None:
        secret = self.client_secret
        if isinstance(secret, str):
            _check_characters(secret, "client_secret")
        elif secret is not None and not callable(secret):
            raise ConfigurationError(
                f"client_secret must be a string, or a callable that returns one, not {kind_of(secret)}",
                parameter="client_secret",
                remedy="pass the secret as the provider wrote it, or a callable that fetches it",
            )

    def _check_client_assertion(self) -> None:
        if not callable(self.client_assertion):
            raise ConfigurationError(
                f"client_assertion must be a callable that returns an assertion, not {kind_of(self.client_assertion)}",
                parameter="client_assertion",
                remedy="pass a function that fetches it for each request, because an assertion soon expires",
            )
        if self.private_key is not None:
            raise ConfigurationError(
                "client_assertion and private_key are both given, and a request has one assertion",
                parameter="client_assertion",
                remedy="leave one of them out",
            )
        if self.method != "private_key_jwt":
            raise ConfigurationError(
                f"client_assertion does not fit client_auth {self.method!r}",
                parameter="client_auth",
                remedy='leave client_auth out: an assertion that was signed elsewhere is sent as "private_key_jwt"',
            )

    def _check_key(self) -> None:
        if self.private_key is None:
            raise ConfigurationError(
                "private_key is missing, and client_auth 'private_key_jwt' needs it",
                parameter="private_key",
                remedy="pass a PEM, a JWK, or a Signer; or client_assertion for an assertion that is signed elsewhere",
            )
        if self.key_id is not None and not is_text(self.key_id):
            raise ConfigurationError(
                f"key_id must be a string, not {quoted(self.key_id)}",
                parameter="key_id",
                remedy="pass the id under which the provider knows the key, or leave it out",
            )
        if not callable(self.private_key) and not isinstance(self.private_key, Signer):
            # One assertion that is not sent: whether key and algorithm fit is better known now than at a renewal.
            self.prove(audience="", now=0.0)

    def secret(self) -> str:
        """The secret of this moment. Raises `ConfigurationError` if the callable returns something else."""
        given = self.client_secret
        secret = redacted(call_setting("client_secret", given)) if callable(given) else given
        if not isinstance(secret, str) or not secret:
            raise ConfigurationError(
                "client_secret: the callable must return a string that is not empty",
                parameter="client_secret",
                remedy="let it return the secret as the provider wrote it",
            )
        _check_characters(secret, "client_secret: what the callable returned")
        return secret

    def prove(self, *, audience: str, now: float) -> Proof:
        """The proof for one request.

        Args:
            audience: The `aud` of a signed assertion.
            now: When it is signed, in UTC epoch seconds.

        Raises:
            ConfigurationError: A secret or key cannot be used.
            TemporarilyUnavailable: A callable failed.
        """
        if self.method == "client_secret_basic":
            secret = self.secret()
            basic = redacted(self.basic(secret))
            return Proof({"Authorization": f"Basic {basic}"}, {}, (secret, basic))
        if self.method == "client_secret_post":
            secret = self.secret()
            return Proof({}, {"client_id": self.client_id, "client_secret": secret}, (secret,))
        if self.method in ("client_secret_jwt", "private_key_jwt"):
            return self._prove_by_assertion(audience, now)
        # RFC 8705 section 2: the certificate of the connection authenticates the client that the body names.
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
        if self.client_assertion is not None:
            assertion = presented(self.client_assertion, "client_assertion")
        elif secret is None:
            assertion = sign_assertion(self._key(), **signing, accepted=self.accepted_algorithms)
        else:
            assertion = sign_by_secret(secret, **signing)
        parameters = {"client_id": self.client_id, "client_assertion_type": _ASSERTION_TYPE}
        secrets = (assertion,) if secret is None else (assertion, secret)
        return Proof({}, {**parameters, "client_assertion": assertion}, secrets)

    def _key(self) -> KeyMaterial | Signer:
        key = self.private_key
        if callable(key):
            return redacted(call_setting("private_key", key))
        return "" if key is None else key

    def basic(self, secret: str) -> str:
        """What follows `Basic ` in the Authorization header for `client_secret_basic`."""
        client_id = self.client_id
        if self.basic_encoding == "rfc6749":
            # RFC 6749 section 2.3.1: both are form-encoded first. Servers that document `curl -u` want them raw.
            client_id, secret = quote_plus(client_id), quote_plus(secret)
        return base64.b64encode(f"{client_id}:{secret}".encode()).decode("ascii")


def _check_characters(secret: str, what: str) -> None:
    """Raise `ConfigurationError` for a secret with control characters, which RFC 6749 section A.2 forbids.

    Other characters outside of ASCII are sent as UTF-8.
    """
    if not is_text(secret):
        fault = "has characters that cannot be written as UTF-8"
    elif secret[-1:] in ("\n", "\r"):
        fault = "ends with a newline, which no secret does"
    elif any(character < " " or character == "\x7f" for character in secret):
        fault = "has a line break, a tab or another control character, which no secret has"
    else:
        return
    raise ConfigurationError(
        f"{what} {fault}",
        parameter="client_secret",
        remedy="pass it as the provider wrote it; a secret that is read from a file often ends in a line break",
    )


def choose_method(
    supported: Collection[str], *, has_key: bool, has_certificate: bool, has_secret: bool
) -> ClientAuthMethod | None:
    """The best method that the server supports and that the client's credentials are enough for; None if there is none.

    Asymmetric methods come first (RFC 9700 section 2.5), because the server then stores no secret. A client with a key
    or a certificate has registered such a method. A client with a secret may have registered any of three methods, and
    the server's list does not show which one. A registration without a method means Basic (RFC 7591 section 2), so
    Basic comes first among them.
    """
    means: dict[ClientAuthMethod, bool] = {
        "private_key_jwt": has_key,
        "tls_client_auth": has_certificate,
        "self_signed_tls_client_auth": has_certificate,
        "client_secret_basic": has_secret,
        "client_secret_post": has_secret,
        "client_secret_jwt": has_secret,
        "none": not has_secret and not has_key,
    }
    return next((method for method, has_means in means.items() if has_means and method in supported), None)
