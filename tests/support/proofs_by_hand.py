"""DPoP proofs (RFC 9449) by joserfc alone, without a line of blnk_auth: right ones, and wrong ones to be refused.

Used by the tests of the sandbox itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import Any

from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry, serialize_compact

Key = ECKey | OKPKey | RSAKey | OctKey


class _Registry(JWSRegistry):
    max_header_length = 8192

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


class Prover:
    """A client that has a key. `now`: the time of its proofs, in seconds."""

    def __init__(self, now: float, key: Key | None = None, algorithm: str = "ES256") -> None:
        self.now = now
        self.key: Key = key or ECKey.generate_key("P-256")
        self.algorithm = algorithm

    @property
    def thumbprint(self) -> str:
        """`jkt`: RFC 7638."""
        return self.key.thumbprint()

    def proof(
        self,
        method: str,
        url: str,
        *,
        access_token: str | None = None,
        nonce: str | None = None,
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A proof for one request. `header` and `claims` change it; one that is None is left out."""
        usual: dict[str, Any] = {"jti": secrets.token_urlsafe(16), "htm": method, "htu": url, "iat": int(self.now)}
        if access_token is not None:
            digest = hashlib.sha256(access_token.encode()).digest()
            usual["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if nonce is not None:
            usual["nonce"] = nonce
        jwk = self.key.as_dict(private=False)
        return self.signed(
            {"typ": "dpop+jwt", "alg": self.algorithm, "jwk": jwk, **(header or {})}, {**usual, **claims}
        )

    def signed(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        """A JWT with these members, without those that are None."""
        payload = json.dumps(_without_none(claims)).encode()
        return serialize_compact(_without_none(header), payload, self.key, registry=_Registry())


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
