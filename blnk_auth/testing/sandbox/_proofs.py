"""DPoP proofs (RFC 9449), checked as section 4.3 lists it.

Used by the sandbox's token endpoint, PAR endpoint and API. It promises that each proof is accepted once. It uses
joserfc, and never the code with which blnk_auth makes proofs: so it can judge them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry
from joserfc.jws import JWSRegistry, deserialize_compact, extract_compact

from ._issued import OAuthError
from ._journal import RecordedRequest
from ._nonces import Nonces
from ._proof_url import is_same_url

ALGORITHMS = (*("ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512", "EdDSA", "Ed25519"),)
"""The value of `dpop_signing_alg_values_supported`: asymmetric ones only (section 4.3, point 5)."""

MAX_AGE = 60.0
"""Seconds after `iat` in which a proof is accepted (section 4.3, point 11)."""

MAX_AHEAD = 5.0
"""Seconds by which the clock of a client may be ahead."""

_MOST_PROOFS = 200_000
_KEY_TYPES = ("EC", "RSA", "OKP")
_CLAIMS: Mapping[str, type | tuple[type, ...]] = {"jti": str, "htm": str, "htu": str, "iat": (int, float)}


class _Registry(JWSRegistry):
    """joserfc limits headers to 512 bytes, and an RSA key is longer; it warns of EdDSA, which FAPI 2.0 permits."""

    max_header_length = 8192

    def get_alg(self, name: str) -> Any:
        if name not in ALGORITHMS:
            raise _refused(f"alg must be one of {', '.join(ALGORITHMS)}")
        return self.algorithms[name]


class Proofs:
    """The proofs of one sandbox. `clock` is in seconds; `count` adds one to a figure. Thread-safe.

    `nonces`: what each proof must have; None: no nonce is required.
    """

    def __init__(self, *, clock: Callable[[], float], count: Callable[[str], None], nonces: Nonces | None) -> None:
        self.nonces = nonces
        self._clock = clock
        self._count = count
        self._lock = threading.Lock()
        # By `jti`, until when it must not come again. A dict has an order: the oldest can be forgotten.
        self._seen: dict[str, float] = {}

    def check(self, request: RecordedRequest, access_token: str | None = None) -> str | None:
        """The thumbprint (RFC 7638) of the key that the request proves to have; None if it has no proof.

        `access_token`: the one that the proof must be for, at an API. Raises `invalid_dpop_proof` or `use_dpop_nonce`.
        """
        # Two headers arrive as one, joined by a comma, which no proof has (section 4.3, point 1).
        proof = request.headers.get("dpop")
        if proof is None:
            return None
        try:
            thumbprint, claims = _verified(proof)
            _check_request(claims, request, access_token)
            self._check_nonce(claims)
            self._check_time(claims)
            self._check_first_use(claims["jti"])
        except OAuthError as refusal:
            self._count("nonce_challenges" if refusal.error == "use_dpop_nonce" else "refused_proofs")
            raise
        self._count("proofs")
        return thumbprint

    def _check_nonce(self, claims: Mapping[str, Any]) -> None:
        if self.nonces is not None and not self.nonces.accepts(claims.get("nonce")):
            raise OAuthError("use_dpop_nonce", "The proof needs the nonce that this response has")

    def _check_time(self, claims: Mapping[str, Any]) -> None:
        age = self._clock() - claims["iat"]
        if not -MAX_AHEAD <= age <= MAX_AGE:
            raise _refused(f"iat is {age:.0f} seconds old; it may be {MAX_AGE:.0f}, or {MAX_AHEAD:.0f} in the future")

    def _check_first_use(self, jti: str) -> None:
        now = self._clock()
        with self._lock:
            is_new = self._seen.get(jti, 0.0) < now
            self._seen[jti] = now + MAX_AGE + MAX_AHEAD
            if len(self._seen) > _MOST_PROOFS:
                del self._seen[next(iter(self._seen))]
        if not is_new:
            self._count("proof_reuses")
            raise _refused("jti was used before")


def _verified(proof: str) -> tuple[str, dict[str, Any]]:
    """The thumbprint of the key, and the claims: section 4.3, points 2 to 7."""
    registry = _Registry()
    try:
        header = extract_compact(proof.encode(), registry=registry).headers()
        if header.get("typ") != "dpop+jwt":
            raise _refused("typ must be dpop+jwt")
        key: Any = JWKRegistry.import_key(_public_jwk(header.get("jwk")))
        claims = json.loads(deserialize_compact(proof, key, registry=registry).payload or b"")
        thumbprint = str(key.thumbprint())
    except (JoseError, ValueError, TypeError, RecursionError) as wrong:
        raise _refused(f"is not a JWT that its own key has signed ({type(wrong).__name__})") from None
    return thumbprint, _checked_claims(claims)


def _public_jwk(jwk: object) -> dict[str, Any]:
    members = cast("dict[str, Any]", jwk) if isinstance(jwk, dict) else {}
    if members.get("kty") not in _KEY_TYPES:
        raise _refused("jwk must be a public key")
    if not members.keys().isdisjoint({"d", "p", "q", "dp", "dq", "qi", "oth", "k"}):
        raise _refused("jwk must not have the private key")
    if members["kty"] == "RSA" and len(str(members.get("n"))) < 342:
        raise _refused("an RSA key must have 2048 bits or more")
    return members


def _checked_claims(claims: object) -> dict[str, Any]:
    members = cast("dict[str, Any]", claims) if isinstance(claims, dict) else {}
    for name, kind in _CLAIMS.items():
        if not isinstance(members.get(name), kind) or members[name] in ("", True, False):
            raise _refused(f"{name} is missing, or is not what it should be")
    return members


def _check_request(claims: Mapping[str, Any], request: RecordedRequest, access_token: str | None) -> None:
    """Section 4.3, points 8, 9 and 12."""
    if claims["htm"] != request.method:
        raise _refused(f"htm must be {request.method}")
    if not is_same_url(claims["htu"], request.url):
        raise _refused(f"htu must be {request.url}, without query and fragment")
    if access_token is not None:
        digest = hashlib.sha256(access_token.encode()).digest()
        if claims.get("ath") != base64.urlsafe_b64encode(digest).rstrip(b"=").decode():
            raise _refused("ath must be the hash of the access token")


def _refused(problem: str) -> OAuthError:
    return OAuthError("invalid_dpop_proof", f"The proof is refused: {problem}")
