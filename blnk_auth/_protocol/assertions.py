"""Signed client assertions: RFC 7523 section 3, with a fresh `jti` and `iat` each time.

joserfc signs; authlib names the claims. A key that must not leave its hardware signs through a `Signer`.
"""

from __future__ import annotations

import base64
import hmac
import importlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigurationError, import_failure
from .callables import call_setting

LIFETIME = 60
"""Seconds for which an assertion is good: it is used at once."""

_HMACS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
_OF_RSA = ("RS256", "PS256", "RS384", "PS384", "RS512", "PS512")
_LENGTHS = {"ES256": 64, "ES384": 96, "ES512": 132, "ES256K": 64}
"""Of signatures, in bytes, where a wrong form shows in the length."""
_ALGORITHMS = {("EC", "P-256"): "ES256", ("EC", "P-384"): "ES384", ("EC", "P-521"): "ES512"}


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key that never leaves its hardware: an HSM, a KMS, a smart card. Given as `private_key=Signer(...)`.

        Signer(lambda message: kms.sign(KEY, message, "RSASSA_PSS_SHA_256"), algorithm="PS256", key_id="2026-01")

    `sign` gets the bytes to sign, not their hash, and returns the signature as JWS wants it (RFC 7518 section 3, RFC
    8037 section 3.1): for `RS*`, `PS*` and `EdDSA` the signature as devices deliver it; for `ES*` r and s one after the
    other at full length (64 bytes for ES256), whereas most devices deliver DER, which
    `cryptography.hazmat.primitives.asymmetric.utils.decode_dss_signature` takes apart.
    It is called once for each token request, on a short-lived worker thread, by several at once where several grants
    are renewed; it may block, but a caller may be waiting. What it raises becomes `TemporarilyUnavailable` without its
    text, since an HSM that is away comes back; a `BlnkAuthError` of yours passes as it is.
    `algorithm` is the JWS name of what `sign` does (`PS256`, `ES256`, `EdDSA`, ...): it goes into the header as it is,
    and `OAuthClient(signing_algorithm=...)` plays no part. `key_id`, the header's `kid`, tells the server which of the
    client's registered keys to verify with; None leaves it out. `repr` shows no callable.
    """

    sign: Callable[[bytes], bytes] = field(repr=False)
    algorithm: str
    key_id: str | None = None


KeyMaterial = str | bytes | Mapping[str, Any]
PrivateKey = KeyMaterial | Signer | Callable[[], KeyMaterial | Signer]
"""A PEM (text or bytes, not encrypted), a JWK (a mapping), a `Signer`, or a callable that returns today's.

The callable is asked once for each token request, on a worker thread, so that rotating the key needs no restart; what
it raises becomes `TemporarilyUnavailable` without its text. A key given as such is checked when the client is made.
"""


def load_key(material: KeyMaterial) -> Any:
    """The key in a PEM or a JWK. Raises `ConfigurationError` if there is none, or only its public half."""
    jwk = _joserfc("jwk")
    failure = "it is neither a PEM private key nor a JWK"
    try:
        if isinstance(material, Mapping):
            key = jwk.import_key(dict(material))
        else:
            key = _from_pem(jwk, material.encode() if isinstance(material, str) else material)
        failure = "it is a public key"
        if key.key_type == "oct":
            failure = "it is a shared secret, which client_auth 'client_secret_jwt' is for"
        # Asked for here, since it fails for a curve that JOSE does not know.
        elif key.is_private and key.kid != "":
            return key
    except Exception as error:  # noqa: BLE001 - joserfc and cryptography raise many kinds, whose texts may quote the key
        failure += f" ({type(error).__name__})"
    raise ConfigurationError(
        f"private_key cannot be used: {failure}",
        parameter="private_key",
        remedy="pass the content of the unencrypted private key file, or a JWK",
    )


def _from_pem(jwk: Any, pem: bytes) -> Any:
    for kind in ("RSA", "EC", "OKP"):
        try:
            return jwk.import_key(pem, kind)
        except Exception:  # noqa: BLE001, S112 - a key of another kind; the last one tells
            continue
    raise ValueError("no private key of a known kind")


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
    """A new assertion. `algorithm` None takes what a JWK says of itself (RFC 7517 section 4.4), else what fits the key:
    RS256 (another of `accepted`, where the server says that it accepts these and no RS256), ES256/384/512 or EdDSA.
    """
    if isinstance(key, Signer):
        return _sign_elsewhere(key, _claims(client_id, audience, now))
    loaded = load_key(key)
    algorithm = algorithm or loaded.alg
    sign = getattr(loaded.private_key, "sign", None)
    if loaded.key_type == "OKP" and algorithm in (None, "EdDSA") and sign is not None:
        # The name that servers know, and that joserfc warns of since RFC 9864 gave each curve a name of its own.
        return _sign_elsewhere(Signer(sign, "EdDSA", key_id or loaded.kid), _claims(client_id, audience, now))
    header = {"kid": key_id or loaded.kid} if key_id or loaded.kid else {}
    algorithm = algorithm or _algorithm_for(loaded, accepted)
    _refuse_unsigned(algorithm)
    authlib = importlib.import_module("authlib.oauth2.rfc7523.assertion")
    try:
        # Header and claims are made anew each time: authlib writes into what it gets, and a jti must never come twice.
        signed: str = authlib.private_key_jwt_sign(
            loaded,
            client_id,
            audience,
            alg=algorithm,
            claims={},
            header=header,
            issued_at=int(now),
            expires_in=LIFETIME,
        )
    except Exception as error:  # noqa: BLE001 - joserfc and cryptography raise many kinds
        failure = f"{type(error).__name__}: {error}"
    else:
        return signed
    raise ConfigurationError(
        f"signing_algorithm {algorithm!r} does not go with this {loaded.key_type} key ({failure})",
        parameter="signing_algorithm",
        remedy="name one that does",
    )


def sign_by_secret(
    secret: str, *, client_id: str, audience: str, now: float, key_id: str | None, algorithm: str | None
) -> str:
    """A new assertion for `client_secret_jwt`: an HMAC of the secret's own bytes, whatever they spell."""
    digest = hmac_digest(algorithm)

    def sign(message: bytes) -> bytes:
        return hmac.digest(secret.encode(), message, digest)

    return _sign_elsewhere(Signer(sign, algorithm or "HS256", key_id), _claims(client_id, audience, now))


def hmac_digest(algorithm: str | None) -> str:
    """The hash that goes with an HMAC's JWS name; None is HS256. Raises `ConfigurationError` for another name."""
    digest = _HMACS.get(algorithm or "HS256")
    if digest is None:
        raise ConfigurationError(
            f"signing_algorithm {algorithm!r} needs a private_key",
            parameter="signing_algorithm",
            remedy=f"with a client_secret use one of {', '.join(_HMACS)}",
        )
    return digest


def _algorithm_for(key: Any, accepted: Sequence[str]) -> str:
    if key.key_type == "RSA":
        return next((algorithm for algorithm in _OF_RSA if algorithm in accepted), _OF_RSA[0])
    return _ALGORITHMS.get((key.key_type, key.curve_name), "ES256")


def _claims(client_id: str, audience: str, now: float) -> dict[str, Any]:
    issued_at = int(now)
    lasting = {"iat": issued_at, "exp": issued_at + LIFETIME, "jti": secrets.token_urlsafe(24)}
    return {"iss": client_id, "sub": client_id, "aud": audience, **lasting}


def _refuse_unsigned(algorithm: str) -> None:
    # joserfc "signs" with it, and only warns: anybody could make such an assertion.
    if algorithm == "none":
        raise ConfigurationError(
            "signing_algorithm 'none' proves nothing",
            parameter="signing_algorithm",
            remedy="leave it out for what fits the key",
        )


def _sign_elsewhere(signer: Signer, claims: dict[str, Any]) -> str:
    _refuse_unsigned(signer.algorithm)
    header = {"alg": signer.algorithm, "typ": "JWT", **({"kid": signer.key_id} if signer.key_id else {})}
    signing_input = b".".join(_encode(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    signature = call_setting("private_key", lambda: signer.sign(signing_input))
    _check_signature(signature, signer.algorithm)
    return (signing_input + b"." + _encode(signature)).decode("ascii")


def _check_signature(signature: object, algorithm: str) -> None:
    expected = _LENGTHS.get(algorithm)
    if not isinstance(signature, bytes) or not signature:
        raise ConfigurationError(
            f"private_key: the Signer's sign returned {type(signature).__name__}, not a signature",
            parameter="private_key",
        )
    if expected is not None and len(signature) != expected:
        raise ConfigurationError(
            f"private_key: the Signer's signature has {len(signature)} bytes, and {algorithm} has {expected}",
            parameter="private_key",
            remedy="return r and s one after the other (RFC 7518 section 3.4), not DER",
        )


def _encode(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")


def _joserfc(module: str) -> Any:
    try:
        return importlib.import_module(f"joserfc.{module}")
    except ImportError as error:
        raise ConfigurationError(str(import_failure("private_key_jwt", "joserfc", "jwt", error))) from error
