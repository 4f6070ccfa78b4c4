"""The key of a grant whose tokens are bound to it, RFC 9449 (DPoP): one that is generated, or the application's own.

Used by `dpop`, and by everything that keeps a grant. It promises that a key that cannot be used raises an error when
the client is made. A private key is never shown by a repr, and never in a pickle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, cast

from ..errors import ConfigurationError, kind_of, redacted
from ..errors._extras import needs_extra
from .signing import KeyMaterial, Signer, algorithm_for, checked_signer, encoded, load_key, sign_with

# RFC 7518 section 6: the members of a public key, by kind.
_PUBLIC_MEMBERS = {"EC": ("kty", "crv", "x", "y"), "OKP": ("kty", "crv", "x"), "RSA": ("kty", "n", "e")}

_LEAST_BITS = 2048
"""Of an RSA key, RFC 7518 sections 3.3 and 3.5: "A key of size 2048 bits or larger MUST be used"."""

_KINDS_OF_KEYS = {
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "PS256": ("RSA", 2048),
    "RS256": ("RSA", 2048),
}
"""What is generated for an algorithm; the first that the server accepts is used."""


class DpopKey:
    """The key that tokens are bound to. Immutable, and safe for any thread; compared by its public part.

    A key that was read from a record is loaded when it first signs: many records are read without that.

    Attributes:
        algorithm: The JWS algorithm of its proofs.
        public_jwk: Its public part, with the members of RFC 7518 section 6 only.
        is_own: Whether the application has given it. It is then never stored; a record names it by its thumbprint.
    """

    __slots__ = ("_jwk", "_sign", "algorithm", "header", "is_own", "public_jwk")
    algorithm: str
    public_jwk: Mapping[str, str]
    is_own: bool
    header: bytes
    """The encoded header of its proofs."""

    def __init__(
        self,
        algorithm: str,
        public_jwk: Mapping[str, Any],
        *,
        jwk: Mapping[str, Any] | None = None,
        sign: Callable[[bytes], bytes] | None = None,
        is_own: bool = False,
    ) -> None:
        kept = _PUBLIC_MEMBERS[public_jwk["kty"]]
        self.algorithm = algorithm
        self.public_jwk = {name: public_jwk[name] for name in kept}
        self.is_own = is_own
        self.header = encoded({"typ": "dpop+jwt", "alg": algorithm, "jwk": self.public_jwk})
        self._jwk: Mapping[str, Any] | None = None if jwk is None else redacted(dict(jwk))
        self._sign = sign

    @classmethod
    def generate(cls, accepted: Sequence[str] = ()) -> DpopKey:
        """A new key. `accepted`: the algorithms that the server lists; empty means that it lists none: ES256.

        Raises `ConfigurationError` if it lists only algorithms for which no key is generated.
        """
        algorithm = next((each for each in _KINDS_OF_KEYS if each in accepted or not accepted), None)
        if algorithm is None:
            raise ConfigurationError(
                f"dpop: the server accepts only {', '.join(accepted)}, for which no key is generated",
                parameter="dpop",
                remedy="pass a key of your own for one of these algorithms, as dpop=",
            )
        kind, size = _KINDS_OF_KEYS[algorithm]
        made = _jwk_module().generate_key(kind, size, private=True)
        return cls.from_private_jwk({**made.as_dict(private=True), "alg": algorithm})

    @classmethod
    def of(cls, material: KeyMaterial | Signer, accepted: Sequence[str] = ()) -> DpopKey:
        """The application's own key. Signs one message, unless it is a `Signer`, to find out whether it can.

        Args:
            material: A PEM, a JWK, or a `Signer` with `public_jwk`.
            accepted: The algorithms that the server lists; empty means that it lists none.

        Raises:
            ConfigurationError: The key cannot be used, or the server does not accept its algorithm.
        """
        if isinstance(material, Signer):
            key = _of_signer(material)
        elif isinstance(material, str | bytes | Mapping):
            loaded = load_key(redacted(material), "dpop")
            algorithm = loaded.alg or algorithm_for(loaded, accepted)
            _check_fit(loaded, algorithm)
            sign = sign_with(loaded, algorithm)
            key = cls(algorithm, loaded.as_dict(private=False), sign=sign, is_own=True)
            key.sign(b"")
        else:
            raise ConfigurationError(
                f"dpop must be True, a private key, a Signer or None, not {kind_of(cast('object', material))}",
                parameter="dpop",
                remedy="pass True for a key for each grant, or a PEM, a JWK or a Signer for a key of your own",
            )
        if accepted and key.algorithm not in accepted:
            raise ConfigurationError(
                f"dpop: the key signs by {key.algorithm}, but the server accepts only {', '.join(accepted)}",
                parameter="dpop",
                remedy="pass a key for one of these algorithms, or True for a key that fits",
            )
        return key

    @classmethod
    def from_private_jwk(cls, jwk: Mapping[str, Any]) -> DpopKey:
        """The inverse of `to_private_jwk`. Raises `ValueError` if a member is missing or of a wrong type."""
        kind, algorithm = jwk.get("kty"), jwk.get("alg")
        public = _PUBLIC_MEMBERS.get(kind) if isinstance(kind, str) else None
        if public is None or not all(isinstance(jwk.get(name), str) for name in (*public, "alg", "d")):
            raise ValueError("its DPoP key cannot be read")
        return cls(cast("str", algorithm), jwk, jwk=jwk)

    def to_private_jwk(self) -> dict[str, Any] | None:
        """The private key, as a record keeps it; None for a key of the application's own."""
        return None if self._jwk is None else {**self._jwk}

    @property
    def thumbprint(self) -> str:
        """Identifies the key (RFC 7638, with SHA-256)."""
        return cast("str", _jwk_module().thumbprint(dict(self.public_jwk)))

    def sign(self, message: bytes) -> bytes:
        """The JWS signature of `message`. Raises `ConfigurationError`; for a `Signer` also `TemporarilyUnavailable`."""
        if self._sign is None:
            self._sign = sign_with(load_key(cast("Mapping[str, Any]", self._jwk), "dpop"), self.algorithm)
        return self._sign(message)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DpopKey) and self.public_jwk == other.public_jwk

    def __hash__(self) -> int:
        return hash(self.header)

    def __repr__(self) -> str:
        return f"<DpopKey {self.algorithm}>"

    def __copy__(self) -> DpopKey:
        return self

    def __deepcopy__(self, memo: object) -> DpopKey:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a DPoP key is in no pickle")


def _of_signer(signer: Signer) -> DpopKey:
    jwk, problem = signer.public_jwk, "is missing, and a proof contains it"
    if isinstance(jwk, Mapping):
        problem = "is not a public key as a JWK"
        try:
            key = _jwk_module().import_key(redacted(dict(jwk)))
            if key.key_type == "oct" or key.is_private:
                problem = "has the private key, which a proof would reveal"
            else:
                _check_fit(key, signer.algorithm)
                return DpopKey(signer.algorithm, key.as_dict(), sign=_verified_once(signer, key), is_own=True)
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 - joserfc and cryptography raise many kinds, which may quote the key
            problem += f" ({type(error).__name__})"
    raise ConfigurationError(
        f"dpop: public_jwk of the Signer {problem}",
        parameter="public_jwk",
        remedy='pass the public key only: Signer(..., public_jwk={"kty": "EC", "crv": "P-256", "x": ..., "y": ...})',
    )


def _verified_once(signer: Signer, key: Any) -> Callable[[bytes], bytes]:
    """Signs with a `Signer`. Its first signature is verified: a server refuses proofs of another key than the named."""
    from joserfc.jws import JWSRegistry

    sign, model, is_verified = checked_signer(signer, "dpop"), JWSRegistry.algorithms[signer.algorithm], False

    def verified(message: bytes) -> bytes:
        nonlocal is_verified
        signature = sign(message)
        if not is_verified and not model.verify(message, signature, key):
            raise ConfigurationError(
                "dpop: public_jwk of the Signer is not the public part of the key that it signs with",
                parameter="public_jwk",
                remedy="pass the public key that belongs to it",
            )
        is_verified = True
        return signature

    return verified


def _check_fit(key: Any, algorithm: str) -> None:
    """Raise `ConfigurationError` unless the algorithm is an asymmetric one that fits the key (RFC 9449 section 4.2)."""
    from joserfc.jws import JWSRegistry

    # The algorithm of a JWK is redacted with the rest of it, and it is not secret.
    algorithm, failure = str(algorithm)[:20], ""
    try:
        if algorithm not in ("none", "HS256", "HS384", "HS512"):
            key.check_use("sig")
            JWSRegistry.algorithms[algorithm].check_key(key)
            return _check_size(key)
    except ConfigurationError:
        raise
    except Exception as error:  # noqa: BLE001 - as in `signing`
        failure = f" ({type(error).__name__})"
    raise ConfigurationError(
        f"dpop: the algorithm {algorithm!r} does not fit this {key.key_type} key{failure}",
        parameter="dpop",
        remedy="correct alg of the JWK or algorithm of the Signer; ES256 needs a key on the curve P-256",
    )


def _check_size(key: Any) -> None:
    """Raise `ConfigurationError` for an RSA key that is too short (RFC 7518 sections 3.3 and 3.5)."""
    bits = key.public_key.key_size if key.key_type == "RSA" else _LEAST_BITS
    if bits < _LEAST_BITS:
        raise ConfigurationError(
            f"dpop: the RSA key has {bits} bits, and RFC 7518 requires {_LEAST_BITS}",
            parameter="dpop",
            remedy="make a longer key, or one on the curve P-256, whose proofs are shorter",
        )


def _jwk_module() -> Any:
    with needs_extra("jwt", "joserfc", needed_by="dpop"):
        from joserfc import jwk
    return jwk
