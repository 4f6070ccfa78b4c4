"""Our proofs beside those of `requests-oauth2client`, which somebody else wrote from RFC 9449 too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from binapy import BinaPy
from joserfc import jws
from joserfc.jwk import ECKey
from requests_oauth2client.dpop import DPoPKey, validate_dpop_proof

from blnk_auth._protocol.dpop import proof
from blnk_auth._protocol.dpop_key import DpopKey

NOW = 1_790_000_000.0
TOKEN = "at-1.2_3~4+5/6=="
NONCE = "eyJ7S_zG.eyJH0-Z.HX4w-7v"
URLS = (
    "https://api.example.com/accounts",
    "https://api.example.com/accounts?from=2026-01-01#top",
    "https://api.example.com:8443/",
    "https://api.example.com/a%20b/%C3%A9",
)


@pytest.fixture(scope="module")
def jwk() -> dict[str, Any]:
    return {**ECKey.generate_key("P-256", private=True).as_dict(private=True), "alg": "ES256"}


def theirs(jwk: dict[str, Any]) -> DPoPKey:
    bare = {name: jwk[name] for name in ("kty", "crv", "x", "y", "d")}
    return DPoPKey(bare, alg="ES256", iat_generator=lambda: int(NOW))


def ours(jwk: dict[str, Any], url: str, access_token: str | None, nonce: str | None) -> str:
    key = DpopKey.from_private_jwk(jwk)
    return proof(key, method="POST", url=url, nonce=nonce, now=NOW, access_token=access_token)


def taken_apart(compact: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, without what is made at random."""
    found = jws.extract_compact(compact.encode())
    claims = json.loads(found.payload)
    assert claims.pop("jti")
    return dict(found.headers()), claims


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("nonce", [None, NONCE])
@pytest.mark.parametrize("access_token", [None, TOKEN])
def test_both_write_the_same_proof(jwk: dict[str, Any], url: str, access_token: str | None, nonce: str | None) -> None:
    """Header and claims are equal, but for the identifier of the proof."""
    ath = None if access_token is None else BinaPy(access_token).to("sha256").to("b64u").decode()
    other = theirs(jwk).proof(htm="POST", htu=url, ath=ath, nonce=nonce)
    assert taken_apart(ours(jwk, url, access_token, nonce)) == taken_apart(str(other))


def test_theirs_accepts_ours(jwk: dict[str, Any]) -> None:
    """Its own check of proofs, as a server would use it, finds nothing wrong."""
    key = theirs(jwk)
    ath = BinaPy(TOKEN).to("sha256").to("b64u").decode()
    checked = validate_dpop_proof(
        ours(jwk, URLS[0], TOKEN, NONCE),
        htm="POST",
        htu=URLS[0],
        ath=ath,
        nonce=NONCE,
        leeway=10**9,
        algs=["ES256"],
    )
    assert checked.headers["jwk"] == dict(key.public_jwk)


def test_both_name_a_key_alike(jwk: dict[str, Any]) -> None:
    """`dpop_jkt`, the thumbprint of RFC 7638."""
    assert DpopKey.from_private_jwk(jwk).thumbprint == theirs(jwk).dpop_jkt
