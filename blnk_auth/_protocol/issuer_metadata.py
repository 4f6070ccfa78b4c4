"""Finds and judges the metadata of an authorization server that a protected resource named. Pure.

Used by `_resource/learning.py`. `discovery.py` does the same for an issuer that the user named; this file follows the
authorization specification of the Model Context Protocol of 2026-07-28, which also covers issuers as a resource names
them. What it promises:

* A document is used only if it names the issuer that it was asked for, or differs from it by a slash at the end.
* A server that signs users in must list PKCE with S256: the specification forbids to go on without.
* Each endpoint is https, or http on this machine: no other URL reaches a browser, and no secret is sent elsewhere.
* Every error names the document's URL and its member.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from ..errors import ConfigurationError, ProtocolError, is_text, kind_of
from .discovery import settings_in
from .origins import endpoint_origin, shown_url
from .resource_metadata import REPORT, usable_scopes
from .setting_checks import ENDPOINTS, check_endpoint

ServerFacts = Mapping[str, str | bool | tuple[str, ...] | None]
"""What is kept of a server's document beside the settings of a `Provider`."""

_LISTS = ("scopes_supported", "token_endpoint_auth_methods_supported", "grant_types_supported")
_LISTS_READ = (
    *(*_LISTS, "code_challenge_methods_supported", "token_endpoint_auth_signing_alg_values_supported"),
    *("dpop_signing_alg_values_supported", "authorization_details_types_supported"),
)
CONNECTED_TO = (*ENDPOINTS, "registration_endpoint")
"""The members with the URLs that this library itself connects to."""

_ENDPOINTS = (*CONNECTED_TO, "authorization_endpoint")


def issuer_metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where the metadata of an issuer can be, in the order of the specification. A slash at its end is cut first."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    inserted = (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}/.well-known/openid-configuration{path}",
    )
    return (*inserted, f"{origin}{path}/.well-known/openid-configuration") if path else inserted


def names_issuer(document: Mapping[str, Any], issuer: str) -> bool:
    """Whether the document's `issuer` is the one that was asked for; a slash at the end may differ."""
    named = document.get("issuer")
    return isinstance(named, str) and named.removesuffix("/") == issuer.removesuffix("/")


def judge_issuer(
    document: Mapping[str, Any], *, at: str, issuer: str, api_origin: str
) -> tuple[dict[str, Any], ServerFacts]:
    """The settings of a `Provider`, and what else is needed of the document.

    Args:
        document: The JSON object.
        at: The document's own URL, for errors.
        issuer: The issuer as the resource names it.
        api_origin: The origin of the resource: the only one that receives tokens.

    Raises:
        ConfigurationError: It belongs to another issuer.
        ProtocolError: A member is missing or cannot be used.
    """
    if not names_issuer(document, issuer):
        named = document.get("issuer")
        found = shown_url(named) if is_text(named) else kind_of(named)
        # The same error as in `discovery`, where the user named the issuer.
        problem = f"{at}: the member issuer is {found}, not {issuer!r}, so the document is not used"
        raise ConfigurationError(problem, parameter="issuer", remedy=REPORT)
    # A member that is empty counts as missing.
    present = {name: value for name, value in document.items() if value not in (None, "")}
    for name in _ENDPOINTS:
        _check_endpoint(present.get(name), at, name)
    for name in _LISTS_READ:
        _check_list(present.get(name), at, name)
    if "token_endpoint" not in present:
        raise _wrong(at, "token_endpoint", "is missing")
    if "authorization_endpoint" in present:
        _check_pkce(present.get("code_challenge_methods_supported"), at)
    return settings_of(present, api_origin), _facts(present)


def settings_of(document: Mapping[str, Any], api_origin: str) -> dict[str, Any]:
    """The settings of a `Provider` in a document that was judged."""
    return {**settings_in(document), "api_origins": (api_origin,), "pkce": True}


def default_document(origin: str) -> dict[str, Any]:
    """What counts as the document of a server that has none, by the specification of 2025-03-26.

    Its endpoints have fixed paths on the origin of the resource.
    """
    return {
        "issuer": origin,
        "authorization_endpoint": f"{origin}/authorize",
        "token_endpoint": f"{origin}/token",
        "registration_endpoint": f"{origin}/register",
        "code_challenge_methods_supported": ["S256"],
    }


def _facts(document: Mapping[str, Any]) -> ServerFacts:
    lists = {name: tuple(document.get(name, ())) for name in _LISTS}
    return {
        **lists,
        "scopes_supported": usable_scopes(lists["scopes_supported"]),
        "registration_endpoint": document.get("registration_endpoint"),
        "client_id_metadata_document_supported": document.get("client_id_metadata_document_supported") is True,
    }


def _check_endpoint(url: Any, at: str, member: str) -> None:
    if url is None:
        return
    try:
        check_endpoint(url, member)
        endpoint_origin(url, member)
    except ConfigurationError as failure:
        raise _wrong(at, member, f"cannot be used ({failure.problem})") from None


def _check_list(value: Any, at: str, member: str) -> None:
    listed = cast("Sequence[Any]", value) if isinstance(value, list) else None
    if value is not None and (listed is None or not all(is_text(each) for each in listed)):
        raise _wrong(at, member, "is not a list of strings")


def _check_pkce(methods: Any, at: str) -> None:
    if methods is None:
        problem = "is missing: the server does not support PKCE, and without it a sign-in could be intercepted"
        raise _wrong(at, "code_challenge_methods_supported", problem)
    if "S256" not in methods:
        raise _wrong(at, "code_challenge_methods_supported", "does not list S256")


def _wrong(at: str, member: str, what: str) -> ProtocolError:
    return ProtocolError(f"{at}: the member {member} {what}", parameter=member, remedy=REPORT)
