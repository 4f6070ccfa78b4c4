"""Blnk Cloud as its documentation and metadata describe it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from support.errors import raises

from blnk_auth import BlnkCloud, ConfigurationError
from blnk_auth._protocol.http_messages import ApiAnswer
from blnk_auth.testing import Sandbox


def test_the_endpoints_are_the_documented_ones() -> None:
    """As served at /.well-known/oauth-authorization-server on 2026-08-27."""
    provider = BlnkCloud()
    assert provider.issuer == "https://api.cloud.blnkfinance.com"
    assert provider.authorization_endpoint == "https://api.cloud.blnkfinance.com/oauth/authorize"
    assert provider.token_endpoint == "https://api.cloud.blnkfinance.com/oauth/token"
    assert provider.revocation_endpoint is None
    assert repr(provider.origins) == "<AllowedOrigins https://api.cloud.blnkfinance.com>"
    assert (provider.client_auth, provider.basic_encoding, provider.pkce) == ("client_secret_basic", "raw", True)
    assert provider.grants == ("authorization_code", "refresh_token")


@pytest.mark.real
def test_the_metadata_agrees_with_the_built_in_endpoints() -> None:
    """RFC 8414 at the sandbox, which has Blnk Cloud's personality."""
    with Sandbox() as sandbox:
        metadata = httpx.get(f"{sandbox.origin}/.well-known/oauth-authorization-server").json()
        provider = BlnkCloud(base_url=sandbox.origin)
    assert metadata["issuer"] == provider.issuer
    assert metadata["authorization_endpoint"] == provider.authorization_endpoint
    assert metadata["token_endpoint"] == provider.token_endpoint
    assert metadata["grant_types_supported"] == list(provider.grants)
    assert provider.client_auth in metadata["token_endpoint_auth_methods_supported"]
    assert "S256" in metadata["code_challenge_methods_supported"]
    assert "revocation_endpoint" not in metadata


@pytest.mark.parametrize(
    "base_url", ["https://blnk.bank.test", "https://blnk.bank.test/", "https://blnk.bank.test:8443"]
)
def test_a_self_hosted_cloud_has_its_own_base_url(base_url: str) -> None:
    """Production License: the same API under another address, which alone may have its tokens."""
    provider = BlnkCloud(base_url=base_url)
    assert provider.token_endpoint == base_url.rstrip("/") + "/oauth/token"
    assert repr(provider.origins) == f"<AllowedOrigins {base_url.rstrip('/')}>"


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "blnk.bank.test",
        "http://blnk.bank.test",
        None,
        "https://blnk.bank.test/?x=1",
        "https://blnk.bank.test/#x",
    ],
)
def test_a_bad_base_url_is_named(base_url: Any) -> None:
    """No scheme, plain http, or more than an address."""
    with raises(ConfigurationError, parameter="base_url"):
        BlnkCloud(base_url=base_url)


def test_further_origins_can_be_added() -> None:
    """Its own stays permitted."""
    provider = BlnkCloud(api_origins=("https://mirror.test",))
    assert repr(provider.origins) == "<AllowedOrigins https://api.cloud.blnkfinance.com https://mirror.test>"


def test_a_single_string_of_origins_is_explained() -> None:
    """The commonest mistake: a missing comma."""
    with raises(ConfigurationError, parameter="api_origins"):
        BlnkCloud(api_origins="https://mirror.test")


def core(code: object) -> bytes:
    return json.dumps({"error": "x", "error_detail": {"code": code, "message": "x", "details": {}}}).encode()


@pytest.mark.parametrize(
    ("body", "renewal_helps"),
    [
        (b'{"error":"Authorization header is required"}', True),
        (b'{"error":"Invalid or expired token"}', True),
        (b"", True),
        (None, True),
        (b"<html>", True),
        (b"\xff\xfe", True),
        (b"[]", True),
        (b'"AUTH_INVALID_API_KEY"', True),
        (b'{"error_detail":null}', True),
        (b'{"error_detail":[]}', True),
        (b'{"error_detail":{"code":null}}', True),
        (b"[" * 16_000, True),
        (core("GEN_UNAUTHORIZED"), True),
        (core(7), True),
        (core("AUTH_MISSING_API_KEY"), False),
        (core("AUTH_INVALID_API_KEY"), False),
        (core("AUTH_EXPIRED_API_KEY"), False),
        (core("AUTH_MISSING_PRINCIPAL"), False),
    ],
    ids=lambda value: repr(value)[:40],
)
@pytest.mark.parametrize("path", ["/proxy/ledgers"])
def test_trap_19_cores_own_401_is_not_resolved_by_renewal(path: str, body: bytes | None, renewal_helps: bool) -> None:
    """Trap 19: Core rejecting Cloud's key through /proxy means nothing for our token; any other 401 may."""
    assert BlnkCloud().is_rejection(ApiAnswer(401, {}, path, body)) is renewal_helps


def test_only_a_401_is_looked_at() -> None:
    """403 and 429 are the application's."""
    assert BlnkCloud().rejection_statuses == frozenset({401})
    assert not BlnkCloud().is_rejection(ApiAnswer(403, {}, "/data/x", core("AUTH_UNKNOWN_RESOURCE")))
