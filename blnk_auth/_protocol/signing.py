"""Private keys and the JWTs that they sign: client assertions (RFC 7523) and DPoP proofs (RFC 9449).

Used by `assertions` and `dpop`. Every JWT is made in one place: `signed` writes header and claims, and a function of
bytes signs them: joserfc with a private key, or the user's own `Signer`. This file promises that no JWT is unsigned,
and that a key that cannot be used raises an error with the name of its setting. It never quotes a key or a signature.
"""

from __future__ import annotations

import base64
import json
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
"""The JWS algorithms that sign a client assertion or a DPoP proof (RFC 7518, RFC 8037, RFC 8812, RFC 9864)."""

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
# Kept, because `json.dumps` makes an encoder for each call that names separators.
_to_json = json.JSONEncoder(separators=(",", ":")).encode

_NEEDED_BY = {"private_key": "private_key_jwt"}
"""What the user knows as the thing that needs a key, by setting; else the setting itself."""

_FOR_SECRETS = {"private_key": ", which client_auth 'client_secret_jwt' is for"}

_SIGNATURE_LENGTHS = {"ES256": 64, "ES384": 96, "ES512": 132, "ES256K": 64}
"""In bytes, for the algorithms where the length shows whether a signature has the wrong form."""


@public
@pickled_by_name
@dataclass(frozen=True, slots=True)
class Signer:
    """A private key that never leaves its hardware: an HSM, a KMS, a smart card. Given as `private_key=` or `dpop=`.

    Immutable.

    Example:
        ```python
        Signer(lambda message: kms.sign(KEY, message, "RSASSA_PSS_SHA_256"), algorithm="PS256", key_id="2026-01")
        ```

    `sign` is called once for each token request, on a worker thread, and by several threads in parallel where several
    grants are renewed. It may block, but a caller may be waiting. As `dpop=` it is also called for each request to the
    API, by the thread or the event loop that sends the request. It must be fast there: a local HSM is, and a call over
    the network is not. If it raises an error, `TemporarilyUnavailable` is raised, without that error's text: an
    HSM may be back later. A `BlnkAuthError` is raised unchanged.

    Attributes:
        sign: Gets the bytes to sign, not their hash, and returns the signature in the form of JWS (RFC 7518 section 3,
            RFC 8037 section 3.1). For `RS*`, `PS*` and `EdDSA` this is the signature as devices return it. For `ES*` it
            is r and s, one after the other, at full length (64 bytes for ES256), whereas most devices return DER, which
            `cryptography.hazmat.primitives.asymmetric.utils.decode_dss_signature` takes apart. Not shown by `repr`.
        algorithm: The JWS name of what `sign` does, which is put into the header unchanged.
            `OAuthClient(signing_algorithm=...)` has no effect on a `Signer`.
        key_id: The header's `kid`, by which the server finds the client's registered key. None: left out. A DPoP proof
            has none.
        public_jwk: The public part of the key as a JWK, which each DPoP proof contains (RFC 9449 section 4.2). None:
            not known; then the `Signer` can be a `private_key`, but not `dpop`.
    """

    sign: Callable[[bytes], bytes] = field(repr=False)
    algorithm: SigningAlgorithm
    key_id: str | None = None
    public_jwk: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)


KeyMaterial = str | bytes | Mapping[str, Any]
PrivateKey = KeyMaterial | Signer | Callable[[], KeyMaterial | Signer]
"""A PEM (a string or bytes, not encrypted), a JWK (a mapping), a `Signer`, or a callable that returns one of these.

The callable is called once for each token request, on a worker thread, so that a key can be rotated without a restart.
If it raises an error, `TemporarilyUnavailable` is raised, without that error's text. A key that is not a callable is
checked when the client is made.
"""


def load_key(material: KeyMaterial, parameter: str) -> LoadedKey:
    """The private key in a PEM or a JWK, given as the setting `parameter`. Raises `ConfigurationError`."""
    failure = "it is neither a PEM private key nor a JWK"
    try:
        with needs_extra("jwt", "joserfc", needed_by=_NEEDED_BY.get(parameter, parameter)):
            from joserfc import jwk
        key = _imported(jwk.import_key, material)
        if key.key_type == "oct":
            failure = f"it is a shared secret{_FOR_SECRETS.get(parameter, '')}"
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
        f"{parameter} cannot be used: {failure}",
        parameter=parameter,
        remedy="pass the content of the unencrypted private key file, or a JWK",
    )


def _imported(import_key: Callable[..., Any], material: KeyMaterial) -> Any:
    if isinstance(material, Mapping):
        return import_key(redacted(dict(material)))
    pem = redacted(material.encode() if isinstance(material, str) else material)
    kinds: tuple[Literal["RSA", "EC", "OKP"], ...] = ("RSA", "EC", "OKP")
    for kind in kinds:
        try:
            return import_key(pem, kind)
        except Exception:  # noqa: BLE001, S112 - a key of another kind; the last one counts
            continue
    raise ValueError("not a private key of a known kind")


def algorithm_for(key: LoadedKey, accepted: Sequence[str] = ()) -> str:
    """The JWS algorithm that fits a key whose JWK names none. `accepted`: those that the server lists, if it does."""
    curve: str | None = getattr(key, "curve_name", None)
    if curve is None:
        return next((algorithm for algorithm in _OF_RSA if algorithm in accepted), _OF_RSA[0])
    return _OF_CURVES.get(curve, "ES256")


def sign_with(key: LoadedKey, algorithm: str) -> Callable[[bytes], bytes]:
    """Signs with a private key by the JWS algorithm of that name. It does nothing until it is called."""
    prepared: Callable[[bytes], bytes] | None = None

    def sign(message: bytes) -> bytes:
        nonlocal prepared
        try:
            if prepared is None:
                prepared = _prepared(key, algorithm)
            return prepared(message)
        except Exception as error:  # noqa: BLE001 - joserfc and cryptography raise many kinds, which may quote the key
            failure = type(error).__name__
        raise ConfigurationError(
            f"signing_algorithm {algorithm!r} does not fit this {key.key_type} key ({failure})",
            parameter="signing_algorithm",
            remedy="leave it out for the one that fits the key",
        )

    return sign


def _prepared(key: LoadedKey, algorithm: str) -> Callable[[bytes], bytes]:
    """What is done for each message: the key has been checked, and nothing is looked up.

    The algorithm is taken from joserfc's registry directly: `jwt.encode` would warn of EdDSA with each assertion.
    """
    from joserfc.jws import JWSRegistry

    model: Any = JWSRegistry.algorithms[algorithm]
    model.check_key(key)
    if key.key_type != "EC":
        return lambda message: cast("bytes", model.sign(message, key))
    # As joserfc does it (RFC 7518 section 3.4), in three quarters of the time: a DPoP proof is signed for each request.
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    private: Any = key.get_op_key("sign")
    ecdsa, length = ECDSA(model.hash_alg()), (cast("Any", key).curve_key_size + 7) // 8

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(private.sign(message, ecdsa))
        return r.to_bytes(length, "big") + s.to_bytes(length, "big")

    return sign


def checked_signer(signer: Signer, parameter: str) -> Callable[[bytes], bytes]:
    """The `sign` of a `Signer`; what it returns is checked. `parameter` is the setting that it was given as."""

    def sign(message: bytes) -> bytes:
        signature = call_setting(parameter, lambda: signer.sign(message))
        _check_signature(signature, signer.algorithm, parameter)
        return signature

    return sign


def _check_signature(signature: object, algorithm: str, parameter: str) -> None:
    expected = _SIGNATURE_LENGTHS.get(algorithm)
    if not isinstance(signature, bytes) or not signature:
        raise ConfigurationError(
            f"{parameter}: the Signer's sign returned {type(signature).__name__}, not a signature",
            parameter=parameter,
            remedy="return the signature as bytes",
        )
    if expected is not None and len(signature) != expected:
        raise ConfigurationError(
            f"{parameter}: the Signer's signature has {len(signature)} bytes, but {algorithm} needs {expected}",
            parameter=parameter,
            remedy="return r and s one after the other (RFC 7518 section 3.4), not DER",
        )


def encoded(part: Mapping[str, Any]) -> bytes:
    """A header or claims, as a part of a JWT."""
    return base64url(_to_json(part).encode())


def base64url(octets: bytes) -> bytes:
    """Base64 without padding, in the alphabet for URLs (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=")


def as_json(value: object) -> str:
    """A value as JSON, without spaces."""
    return _to_json(value)


def signed(header: bytes, claims: bytes, sign: Callable[[bytes], bytes]) -> str:
    """A JWT (RFC 7519), in JWS compact form (RFC 7515 section 7.1), of a header and claims that are `encoded`."""
    signing_input = header + b"." + claims
    return (signing_input + b"." + base64url(sign(signing_input))).decode("ascii")
