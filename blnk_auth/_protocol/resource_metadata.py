"""Reads how a protected resource describes itself: its metadata document, and its challenge (RFC 9728). Pure.

Used by `_resource/learning.py`, and by the request flow for the challenge. What this file promises:

* A document is accepted only for the URL that the user named: its `resource` is that URL, or a prefix of its path on
  the same origin. RFC 9728 section 3.3 allows only the URL itself; the draft rfc9728bis also allows the prefix, since
  many servers name their origin.
* Every error names the document's URL and its member.
* It takes time linear in the document, even if the server is hostile, and shows no invisible character of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import SplitResult, urlsplit

from ..errors import ConfigurationError, ProtocolError, is_text, kind_of
from .challenges import parse_challenges
from .origins import endpoint_origin, shown_url

WELL_KNOWN = "/.well-known/oauth-protected-resource"

MOST_SERVERS = 5
"""How many authorization servers of one resource are considered."""

_MOST_SCOPES = 200
_LONGEST_SCOPE = 4000
_LONGEST_SHOWN = 300

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
"""One scope token (RFC 6749 section 3.3)."""

_SCHEMES = ("bearer", "dpop")


class ResourceChallenge(NamedTuple):
    """How a rejection describes the token that it asks for.

    Attributes:
        resource_metadata: The URL of the resource's metadata document (RFC 9728 section 5.1). None: not named.
        scope: The scope that the request needs (RFC 6750 section 3). None: not named.
    """

    resource_metadata: str | None
    scope: str | None


class ResourceDocument(NamedTuple):
    """A metadata document that was accepted.

    Attributes:
        at: The document's own URL. None: there is none.
        resource: Its `resource`, as it spells it.
        authorization_servers: The issuers that it names, five at most.
        scopes_supported: The scopes that it lists.
    """

    at: str | None
    resource: str
    authorization_servers: tuple[str, ...]
    scopes_supported: tuple[str, ...]


def check_resource_url(url: str, parameter: str = "url") -> None:
    """Raises `ConfigurationError` if `url` cannot be that of a protected resource (RFC 9728 section 1.2)."""
    endpoint_origin(url, parameter)
    if "#" in url:
        raise ConfigurationError(
            f"{parameter} has a fragment, which RFC 9728 section 1.2 forbids",
            parameter=parameter,
            remedy="leave out what follows the #",
        )
    if "/.well-known/" in urlsplit(url).path:
        raise ConfigurationError(
            f"{parameter} must be the URL of the API, not that of its metadata",
            parameter=parameter,
            remedy="pass the URL that requests are sent to",
        )


def well_known_urls(url: str) -> tuple[str, ...]:
    """Where the metadata of the resource at `url` can be: for its path (RFC 9728 section 3.1), then for its origin."""
    parts = urlsplit(url)
    root = f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}"
    path = "" if parts.path == "/" else parts.path
    own = f"{root}{path}{'?' if parts.query else ''}{parts.query}"
    return (root,) if own == root else (own, root)


def resource_challenge(headers: Mapping[str, str]) -> ResourceChallenge | None:
    """The challenge of a rejection, from its headers, with names in lower case. None: it asks for no OAuth token.

    A rejection without any challenge breaks RFC 9110, yet many APIs send it, so it counts.
    """
    header = headers.get("www-authenticate", "")
    if not header.strip():
        return ResourceChallenge(None, None)
    usable = [each.parameters for each in parse_challenges(header) if each.scheme in _SCHEMES]
    if not usable:
        return None
    named = next((each["resource_metadata"] for each in usable if each.get("resource_metadata")), None)
    asked = next((each["scope"] for each in usable if each.get("scope")), None)
    return ResourceChallenge(named, clean_scope(asked))


def clean_scope(scope: str | None) -> str | None:
    """A scope that a server sent, without what is not a scope token; None if nothing is left."""
    if scope is None:
        return None
    return " ".join(dict.fromkeys(each for each in scope[:_LONGEST_SCOPE].split() if _SCOPE.fullmatch(each))) or None


def describes_resource(document: Mapping[str, Any]) -> bool:
    """Whether a JSON object is meant to be a metadata document of a resource."""
    return "resource" in document or "authorization_servers" in document


def judge_resource(document: Mapping[str, Any], *, at: str, url: str) -> ResourceDocument:
    """Read the metadata document of the resource at `url`.

    Args:
        document: The JSON object.
        at: The document's own URL, for errors.
        url: The URL that the user named.

    Raises:
        ConfigurationError: It describes another resource.
        ProtocolError: A member is missing or wrong.
    """
    resource = document.get("resource")
    if not is_text(resource):
        raise _wrong(at, "resource", f"is {kind_of(resource)}, not a URL")
    if not is_prefix(resource, url):
        if is_prefix(_without_query(resource), _without_query(url)):
            raise ConfigurationError(
                f"{at}: the member resource is {resource[:_LONGEST_SHOWN]!r}, which has another query than {url!r}",
                parameter="resource",
                remedy="pass the URL with the query of the document, if that is the API that you mean, or report this "
                "to its operator",
            )
        raise ConfigurationError(
            f"{at}: the member resource is {shown_url(resource)}, which is not {url!r} or a part of its path",
            parameter="resource",
            remedy="pass the URL of the API that this document describes, or report this to its operator",
        )
    servers = _strings(document.get("authorization_servers"), at, "authorization_servers")
    if not servers:
        raise _wrong(at, "authorization_servers", "names no authorization server")
    methods = _strings(document.get("bearer_methods_supported"), at, "bearer_methods_supported")
    if methods and "header" not in methods:
        raise _wrong(at, "bearer_methods_supported", "does not list 'header', the only method that is supported")
    considered = servers[:MOST_SERVERS]
    for issuer in considered:
        _check_issuer(issuer, at)
    listed = _strings(document.get("scopes_supported"), at, "scopes_supported")
    return ResourceDocument(at, resource, considered, usable_scopes(listed))


def is_prefix(resource: str, url: str) -> bool:
    """Whether `resource` is the URL itself, or its origin with a beginning of its path.

    Where only a slash at the end differs, it is the URL itself.
    """
    try:
        same_origin = endpoint_origin(resource, "resource") == endpoint_origin(url, "url")
    except ConfigurationError:
        return False
    mine, named = urlsplit(url), urlsplit(resource)
    if not same_origin or "#" in resource:
        return False
    if named.query or "?" in resource:
        return _path(named) == _path(mine) and named.query == mine.query
    return f"{_path(mine)}/".startswith(f"{_path(named)}/")


def usable_scopes(listed: Iterable[str]) -> tuple[str, ...]:
    """Those of the scopes that can be asked for, each once; 200 at most."""
    return tuple(dict.fromkeys(each for each in listed if _SCOPE.fullmatch(each)))[:_MOST_SCOPES]


def _without_query(url: str) -> str:
    return url.partition("?")[0]


def _path(parts: SplitResult) -> str:
    return parts.path.rstrip("/")


def _check_issuer(issuer: str, at: str) -> None:
    try:
        endpoint_origin(issuer, "issuer")
    except ConfigurationError as failure:
        raise _wrong(at, "authorization_servers", f"cannot be used ({failure.problem})") from None
    if "?" in issuer or "#" in issuer:
        raise _wrong(at, "authorization_servers", "has an issuer with a query or a fragment (RFC 8414 section 2)")


def _strings(value: Any, at: str, member: str) -> tuple[str, ...]:
    if value is None:
        return ()
    listed = cast("Sequence[Any]", value) if isinstance(value, list) else None
    if listed is None or not all(is_text(each) for each in listed):
        raise _wrong(at, member, "is not a list of strings")
    return tuple(listed)


def _wrong(at: str, member: str, what: str) -> ProtocolError:
    return ProtocolError(f"{at}: the member {member} {what}", parameter=member, remedy=REPORT)


REPORT = "report this to the operator of the server, or describe its authorization server by its endpoints"
