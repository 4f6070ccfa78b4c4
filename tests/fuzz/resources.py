"""Targets: what a protected resource and the server that it names send, and what was stored of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from fuzz.rejections import HEADERS
from fuzz.strategies import JSON, TEXTS, URL_PIECES, json_bodies, one_of_these, texts_of
from fuzz.target import Target, only_our_errors
from hypothesis import strategies as st
from support.documents import (
    ISSUER,
    NOW,
    OWN_DOCUMENT,
    RESOURCE,
    SERVER_DOCUMENT,
    USUAL,
    Answer,
    ScriptedFetch,
    resource_document,
    server_document,
)
from support.sites import Reply

from blnk_auth import MemoryStore
from blnk_auth._protocol.origins import is_loopback
from blnk_auth._protocol.resource_metadata import ResourceChallenge, resource_challenge
from blnk_auth._resource.learned import Learned
from blnk_auth._resource.learning import learn

_RESOURCE_DOCUMENT = resource_document(scopes_supported=["read", "write"], bearer_methods_supported=["header"])
_SERVER_DOCUMENT = server_document(
    scopes_supported=["read", "offline_access"],
    token_endpoint_auth_methods_supported=["none", "client_secret_basic"],
    grant_types_supported=["authorization_code", "refresh_token"],
    authorization_response_iss_parameter_supported=True,
    client_id_metadata_document_supported=True,
    revocation_endpoint=f"{ISSUER}/revoke",
    mtls_endpoint_aliases={"token_endpoint": f"{ISSUER}/mtls"},
)
_SCOPE = re.compile(r"[!#-\[\]-~]+( [!#-\[\]-~]+)*")
_URLS = texts_of([RESOURCE, OWN_DOCUMENT, *URL_PIECES])


def learned(answers: Mapping[str, Answer], challenge: ResourceChallenge | None) -> Learned | None:
    """What is learned, or None after an error of this library. Nothing is asked but documents of the places allowed."""
    fetch = ScriptedFetch(answers)
    found = None
    with only_our_errors():
        found = learn(RESOURCE, fetch=fetch, store=MemoryStore(), now=NOW, challenge=challenge)
    for asked in fetch.asked:
        check_url(asked.removeprefix("GET "))
    return found


def check_url(url: str) -> None:
    """Https, or http on this machine, of a host, with nothing in it that parsers read differently."""
    parts = urlsplit(url)
    assert parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")), url
    assert parts.hostname, url
    assert parts.username is None, url
    assert url.isprintable(), url
    assert " " not in url, url


def check_learned(found: Learned) -> None:
    """It is about the resource, a provider can be made of it, and it survives a store."""
    provider, named, asked = found.provider(), urlsplit(found.resource), urlsplit(RESOURCE)
    assert (named.hostname, named.port or 443) == (asked.hostname, 443)
    assert f"{asked.path}/".startswith(f"{named.path.rstrip('/')}/")
    assert provider.api_origins == ("https://api.test",)
    assert provider.issuer == found.issuer
    assert provider.pkce
    endpoints = (provider.authorization_endpoint, provider.revocation_endpoint, found.server["registration_endpoint"])
    for url in (provider.token_endpoint, *endpoints, *provider.mtls_endpoint_aliases.values()):
        if url is not None:
            assert isinstance(url, str)
            check_url(url)
    scope = found.wanted_scope(None)
    assert scope is None or _SCOPE.fullmatch(scope), scope
    assert Learned.from_data(json.loads(json.dumps(found.to_data()))) == found


def check_resource_metadata(body: bytes) -> None:
    """A document of the resource leads to its own issuer, or to an error."""
    found = learned({**USUAL, OWN_DOCUMENT: Reply(200, body)}, ResourceChallenge(OWN_DOCUMENT, None))
    if found is not None:
        assert found.issuer == ISSUER
        check_learned(found)


def check_issuer_metadata(body: bytes) -> None:
    """A document of the server is used only for its own issuer, and with PKCE if it signs users in."""
    found = learned({**USUAL, SERVER_DOCUMENT: Reply(200, body)}, None)
    if found is not None:
        assert found.issuer in (ISSUER, f"{ISSUER}/")
        assert found.provider().authorization_endpoint is None or b"S256" in body.replace(b"\x00", b"")
        check_learned(found)


def check_resource_challenge(value: tuple[str, str, str]) -> None:
    """A challenge leads only to documents that may be asked for, and its scope is one."""
    header, named, scope = value
    for each in (header, f'{header}Bearer resource_metadata="{named}", scope="{scope}"'):
        challenge = resource_challenge({"www-authenticate": each})
        if challenge is None:
            continue
        assert challenge.scope is None or _SCOPE.fullmatch(challenge.scope)
        found = learned({**USUAL, RESOURCE: resource_document()}, challenge)
        if found is not None:
            check_learned(found)


def check_learned_record(data: Any) -> None:
    """A record that somebody has changed is not used, or is as good as one that was learned."""
    found = Learned.from_data(data) if isinstance(data, dict) else None
    if found is not None:
        provider = found.provider()
        check_url(provider.token_endpoint)
        assert provider.issuer == found.issuer
        found.wanted_scope(None)


TARGETS = (
    Target("resource_metadata", json_bodies([_RESOURCE_DOCUMENT], list(_RESOURCE_DOCUMENT)), check_resource_metadata),
    Target("issuer_metadata", json_bodies([_SERVER_DOCUMENT], list(_SERVER_DOCUMENT)), check_issuer_metadata),
    Target(
        "resource_challenge",
        st.tuples(HEADERS, _URLS, one_of_these(["read", "read write"], TEXTS)),
        check_resource_challenge,
    ),
    Target("learned_record", JSON, check_learned_record),
)
