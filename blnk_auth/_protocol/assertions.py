"""Signed client assertions, RFC 7523 section 3, and the keys that sign them.

Used by the authentication of a client. Every assertion is made in one place: `_signed` writes header and claims, and a
function of bytes signs them: joserfc with a private key, an HMAC with a client secret, or the user's own `Signer`. This
file promises that each assertion has a fresh `jti` and that none is unsigned. It never quotes a key or a signature.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from ..errors import ConfigurationError, redacted
from ..errors._extras import needs_extra
from ..errors._pickling import pickled_by_name, public
from .callables import call_setting

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    LoadedKey = RSAKey | ECKey | OKPKey

SigningAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519",
    "Ed448", "HS256", "HS384", "HS512",
]  # fmt: skip
"""The JWS algorithms that sign a client assertion (RFC 7518 section 3.1, RFC 8037, RFC 8812, RFC 9864)."""

LIFETIME = 60
"""Seconds for which an assertion is valid. They can be few, since it is sent immediately."""

_HMACS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
_OF_RSA = ("RS256", "PS256", "RS384", "PS384", "RS512", "PS512")
_OF_CURVES = {
    "P-256": "ES256",
    "P-384": "ES384",
    "P-521": "ES512",
    "secp256k1": "ES256K",
    # Servers know this name. RFC 9864 has added one name for each curve, `Ed25519` and `Ed448`.
    "Ed25519": "EdDSA",
    "Ed448": "EdDSA",
}
_SIGNATURE_LENGTHS = {"ES256": 64, "ES384": 96, "ES512": 132, "ES256K": 64}
"""In bytes, for the algorithms where the length shows whether a signature has the wrong form."""


@public
@pickled_by_name
@dataclass(frozen=True, slots=True)
class Signer:
    """A private key that never leaves its hardware: an HSM, a KMS, a smart card. Given as `private_key=Signer(...)`.

    Immutable.

    Example:
        Signer(lambda message: kms.sign(KEY, message, "RSASSA_PSS_SHA_256"), algorithm="PS256", key_id="2026-01")

    `sign` is called once for each token request, on a worker thread, and by several threads in parallel where several
    grants are renewed. It may block, but a caller may be waiting. If it raises an error, `TemporarilyUnavailable` is
    raised, without that error's text: an HSM may be back later. A `BlnkAuthError` is raised unchanged.

    Attributes:
        sign: Gets the bytes to sign, not their hash, and returns the signature in the form of JWS (RFC 7518 section 3,
            RFC 8037 section 3.1). For `RS*`, `PS*` and `EdDSA` this is the signature as devices return it. For `ES*` it
            is r and s, one after the other, at full length (64 bytes for ES256), whereas most devices return DER, which
            `cryptography.hazmat.primitives.asymmetric.utils.decode_dss_signature` takes apart. Not shown by `repr`.
        algorithm: The JWS name of what `sign` does, which is put into the header unchanged.
            `OAuthClient(signing_algorithm=...)` has no effect on a `Signer`.
        key_id: The header's `kid`, by which the server finds the client's registered key. None: left out.
    """

    sign: Callable[[bytes], bytes] = field(repr=False)
    algorithm: SigningAlgorithm
    key_id: str | None = None


KeyMaterial = str | bytes | Mapping[str, Any]
PrivateKey = KeyMaterial | Signer | Callable[[], KeyMaterial | Signer]
"""A PEM (a string or bytes, not encrypted), a JWK (a mapping), a `Signer`, or a callable that returns one of these.

The callable is called once for each token request, on a worker thread, so that a key can be rotated without a restart.
If it raises an error, `TemporarilyUnavailable` is raised, without that error's text. A key that is not a callable is
checked when the client is made.
"""


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
        return _signed(claims, key.algorithm, key.key_id, _checked(key))
    loaded = load_key(redacted(key))
    algorithm = algorithm or loaded.alg or _algorithm_for(loaded, accepted)
    return _signed(claims, algorithm, key_id or loaded.kid, _sign_with(loaded, algorithm))


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


def load_key(material: KeyMaterial) -> LoadedKey:
    """The private key in a PEM or a JWK. Raises `ConfigurationError` if it cannot be used."""
    failure = "it is neither a PEM private key nor a JWK"
    try:
        key = _import_jwk(material) if isinstance(material, Mapping) else _import_pem(material)
        if key.key_type == "oct":
            failure = "it is a shared secret, which client_auth 'client_secret_jwt' is for"
        elif not key.is_private:
            failure = "it is a public key"
        # Reading `kid` here finds out whether joserfc can make one: it cannot for a curve that JOSE does not have.
        elif key.kid != "":
            return cast("LoadedKey", key)
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - joserfc and cryptography raise many kinds, which may quote the key
        failure += f" ({type(error).__name__})"
    raise ConfigurationError(
        f"private_key cannot be used: {failure}",
        parameter="private_key",
        remedy="pass the content of the unencrypted private key file, or a JWK",
    )


def _import_jwk(jwk: Mapping[str, Any]) -> Any:
    return _joserfc().import_key(redacted(dict(jwk)))


def _import_pem(material: str | bytes) -> Any:
    import_key, pem = _joserfc().import_key, redacted(material.encode() if isinstance(material, str) else material)
    kinds: tuple[Literal["RSA", "EC", "OKP"], ...] = ("RSA", "EC", "OKP")
    for kind in kinds:
        try:
            return import_key(pem, kind)
        except Exception:  # noqa: BLE001, S112 - a key of another kind; the last one counts
            continue
    raise ValueError("not a private key of a known kind")


def _joserfc() -> Any:
    with needs_extra("jwt", "joserfc", needed_by="private_key_jwt"):
        from joserfc import jwk
    return jwk


def _algorithm_for(key: LoadedKey, accepted: Sequence[str]) -> str:
    curve: str | None = getattr(key, "curve_name", None)
    if curve is None:
        return next((algorithm for algorithm in _OF_RSA if algorithm in accepted), _OF_RSA[0])
    return _OF_CURVES.get(curve, "ES256")


def _sign_with(key: LoadedKey, algorithm: str) -> Callable[[bytes], bytes]:
    """Signs with a private key through joserfc's algorithm of that name.

    The algorithm is taken from joserfc's registry directly: `jwt.encode` would warn of EdDSA with each assertion.
    """
    from joserfc.jws import JWSRegistry

    def sign(message: bytes) -> bytes:
        try:
            model = JWSRegistry.algorithms[algorithm]
            model.check_key(key)
            return model.sign(message, key)
        except Exception as error:  # noqa: BLE001 - joserfc and cryptography raise many kinds, which may quote the key
            failure = type(error).__name__
        raise ConfigurationError(
            f"signing_algorithm {algorithm!r} does not fit this {key.key_type} key ({failure})",
            parameter="signing_algorithm",
            remedy="leave it out for the one that fits the key",
        )

    return sign


def _checked(signer: Signer) -> Callable[[bytes], bytes]:
    def sign(message: bytes) -> bytes:
        signature = call_setting("private_key", lambda: signer.sign(message))
        _check_signature(signature, signer.algorithm)
        return signature

    return sign


def _check_signature(signature: object, algorithm: str) -> None:
    expected = _SIGNATURE_LENGTHS.get(algorithm)
    if not isinstance(signature, bytes) or not signature:
        raise ConfigurationError(
            f"private_key: the Signer's sign returned {type(signature).__name__}, not a signature",
            parameter="private_key",
            remedy="return the signature as bytes",
        )
    if expected is not None and len(signature) != expected:
        raise ConfigurationError(
            f"private_key: the Signer's signature has {len(signature)} bytes, but {algorithm} needs {expected}",
            parameter="private_key",
            remedy="return r and s one after the other (RFC 7518 section 3.4), not DER",
        )


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
    """The claims as a JWT (RFC 7519), in JWS compact form (RFC 7515 section 7.1)."""
    # joserfc would accept 'none' and only warn, but anybody can make an assertion without a signature.
    if algorithm == "none":
        raise ConfigurationError(
            "signing_algorithm 'none' leaves the assertion unsigned",
            parameter="signing_algorithm",
            remedy="leave it out for the one that fits the key",
        )
    header = {"alg": algorithm, "typ": "JWT", **({"kid": key_id} if key_id else {})}
    signing_input = b".".join(_encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return (signing_input + b"." + _encoded(sign(signing_input))).decode("ascii")


def _encoded(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")
