"""Signed client assertions, RFC 7523 section 3.

Used by the authentication of a client. An assertion is signed with a private key (`signing`), or by an HMAC with a
client secret. This file promises that each assertion has a fresh `jti`. It never quotes a secret.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ConfigurationError, redacted
from .signing import KeyMaterial, Signer, algorithm_for, checked_signer, encoded, load_key, sign_with, signed

LIFETIME = 60
"""Seconds for which an assertion is valid. They can be few, since it is sent immediately."""

_HMACS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


def sign_assertion(
    key: KeyMaterial | Signer,
    *,
    client_id: str,
    audience: str,
    now: float,
    key_id: str | None,
    algorithm: str | None,
    accepted: Sequence[str] = (),
) -> str:
    """A new assertion for `private_key_jwt`.

    Args:
        key: A PEM, a JWK, or a `Signer`, which has its own algorithm and key id.
        client_id: The issuer and the subject of the assertion.
        audience: Whom it is meant for.
        now: The time of issue, in UTC epoch seconds.
        key_id: The `kid` of the header. None: the JWK's own, if it has one.
        algorithm: The JWS algorithm. None: the JWK's own (RFC 7517 section 4.4), else what fits the key: RS256 (or the
            first of `accepted` that RSA can do, if RS256 is not among them), ES256, ES384, ES512 or EdDSA.
        accepted: The algorithms that the server lists as accepted. Empty: not known.

    Raises:
        ConfigurationError: The key cannot be used, or the algorithm does not fit it.
        TemporarilyUnavailable: The `Signer` failed.
    """
    claims = _claims(client_id, audience, now)
    if isinstance(key, Signer):
        return _signed(claims, key.algorithm, key.key_id, checked_signer(key, "private_key"))
    loaded = load_key(redacted(key), "private_key")
    algorithm = algorithm or loaded.alg or algorithm_for(loaded, accepted)
    return _signed(claims, algorithm, key_id or loaded.kid, sign_with(loaded, algorithm))


def sign_by_secret(
    secret: str, *, client_id: str, audience: str, now: float, key_id: str | None, algorithm: str | None
) -> str:
    """A new assertion for `client_secret_jwt`: an HMAC with the UTF-8 bytes of the secret.

    The HMAC is Python's own: joserfc refuses a secret that looks like a public key.

    Raises:
        ConfigurationError: `algorithm` is not an HMAC.
    """
    digest = hmac_digest(algorithm)
    key = redacted(secret.encode())
    return _signed(
        _claims(client_id, audience, now),
        algorithm or "HS256",
        key_id,
        lambda message: hmac.digest(key, message, digest),
    )


def hmac_digest(algorithm: str | None) -> str:
    """The hash of an HMAC's JWS name; None is HS256. Raises `ConfigurationError` for another name."""
    digest = _HMACS.get(algorithm or "HS256")
    if digest is None:
        raise ConfigurationError(
            f"signing_algorithm {algorithm!r} needs a private_key",
            parameter="signing_algorithm",
            remedy=f"with a client_secret use one of {', '.join(_HMACS)}",
        )
    return digest


def _claims(client_id: str, audience: str, now: float) -> dict[str, Any]:
    issued_at = int(now)
    return {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": issued_at,
        "exp": issued_at + LIFETIME,
        "jti": secrets.token_urlsafe(24),
    }


def _signed(claims: dict[str, Any], algorithm: str, key_id: str | None, sign: Callable[[bytes], bytes]) -> str:
    # joserfc would accept 'none' and only warn, but anybody can make an assertion without a signature.
    if algorithm == "none":
        raise ConfigurationError(
            "signing_algorithm 'none' leaves the assertion unsigned",
            parameter="signing_algorithm",
            remedy="leave it out for the one that fits the key",
        )
    header = {"alg": algorithm, "typ": "JWT", **({"kid": key_id} if key_id else {})}
    return signed(encoded(header), encoded(claims), sign)
