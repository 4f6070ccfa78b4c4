"""How a client describes itself: RFC 7591 section 2, sent when it is registered, or published at a URL of its own.

Used by `ProtectedResource`, and by `blnk-auth client-metadata`. What this file promises:

* Each value is checked when it is written, and the error names it.
* It contains nothing secret: anyone may read a client ID metadata document, and every user sees parts of it.

It never fetches a document, and sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, cast
from urllib.parse import urlsplit

from ..errors import ConfigurationError, is_text, kind_of, quoted
from ..errors._pickling import pickled_by_name, public_in
from .http_values import joined_scope
from .origins import endpoint_origin
from .redirect_uris import accepts, check_redirect_uri

_MOST_VALUES = 50
"""Of one list."""

_LONGEST = 1000
"""Characters of one text."""

_NAMES = ("client_name", "software_id", "software_version")
_URLS = ("client_uri", "logo_uri", "tos_uri", "policy_uri", "jwks_uri")
_LISTS = ("redirect_uris", "contacts", "grant_types")

DEFAULT_NAME = "blnk-auth"
"""What a server shows its users of a client without a name: without one it would show a client_id."""


@public_in("resource")
@pickled_by_name
@dataclass(frozen=True, slots=True)
class ClientMetadata:
    """How a client describes itself: in a dynamic registration (RFC 7591), or in its client ID metadata document.

    Immutable; may be shared between threads and tasks. A change of `client_name`, `redirect_uris`, `scope`, `jwks_uri`,
    `grant_types` or `software_id` registers the application again at each server, and its users sign in again there.
    The others are for people to read, and are sent with the next registration.

    Args:
        client_name: What the server calls the application when it asks a user. None: `blnk-auth`.
        redirect_uris: Where the users of this client may be sent back to. Empty: only the `redirect_uri` of the
            `ProtectedResource`. Otherwise that must be one of them.
        client_uri: A page about the application, which the server may show. None: none.
        logo_uri: An image that the server may show. None: none.
        tos_uri: The terms of service of the application. None: none.
        policy_uri: How the application uses what it learns of a user. None: none.
        contacts: How its operators are reached, usually by e-mail. Empty: not specified.
        scope: The scope that the client may ask for later, space-separated, or a list. None: what is asked for now, and
            what the protected resource lists.
        jwks_uri: Where the public keys of the client are, for `private_key_jwt`. None: it has no key.
        software_id: An id that all installations of the application share. None: none.
        software_version: The version of the application. None: not specified.
        grant_types: The grant types that the client will use.

    Raises:
        ConfigurationError: A value cannot be used; `parameter` names it.
    """

    client_name: str | None = None
    redirect_uris: Sequence[str] = ()
    client_uri: str | None = None
    logo_uri: str | None = None
    tos_uri: str | None = None
    policy_uri: str | None = None
    contacts: Sequence[str] = ()
    scope: str | Sequence[str] | None = None
    jwks_uri: str | None = None
    software_id: str | None = None
    software_version: str | None = None
    grant_types: Sequence[str] = ("authorization_code", "refresh_token")

    def __post_init__(self) -> None:
        for name in _NAMES:
            _check_text(getattr(self, name), name)
        for name in _URLS:
            _check_url(getattr(self, name), name)
        for name in _LISTS:
            object.__setattr__(self, name, _checked_list(getattr(self, name), name))
        for redirect_uri in self.redirect_uris:
            check_redirect_uri(redirect_uri, "redirect_uris")
        object.__setattr__(self, "scope", joined_scope(self.scope))

    def document(self, client_id: str) -> dict[str, Any]:
        """Make the client ID metadata document, to be served as JSON at the URL that is the client's id.

        Args:
            client_id: That URL: https, with a path.

        Returns:
            The document. `blnk-auth client-metadata` writes the same to a file.

        Raises:
            ConfigurationError: `client_id` is not such a URL, or `client_name` or `redirect_uris` is missing.
        """
        check_client_id_url(client_id)
        missing = [name for name in ("client_name", "redirect_uris") if not getattr(self, name)]
        if missing:
            raise ConfigurationError(
                f"{missing[0]} is missing, and a client ID metadata document needs it",
                parameter=missing[0],
                remedy="pass it: servers show the name to users, and send these to no other redirect URI",
            )
        method = "none" if self.jwks_uri is None else "private_key_jwt"
        return {"client_id": client_id, **members_of(self), "token_endpoint_auth_method": method}


def members_of(metadata: ClientMetadata) -> dict[str, Any]:
    """The members of RFC 7591 section 2 that have a value, as JSON values."""
    given = {name: getattr(metadata, name) for name in (*_NAMES, *_URLS, "scope", *_LISTS)}
    members = {name: list(value) if name in _LISTS else value for name, value in given.items() if value}
    by_code = {"response_types": ["code"]} if "authorization_code" in metadata.grant_types else {}
    return {**members, **by_code}


def is_client_id_url(client_id: str | None) -> bool:
    """Whether a client id is meant as the URL of a client ID metadata document. No other id begins with a scheme."""
    return isinstance(client_id, str) and client_id[:8].lower() == "https://"


def check_client_id_url(client_id: str) -> None:
    """Raises `ConfigurationError` unless it is the URL of a client ID metadata document (its draft, section 3)."""
    fault: str | None = None
    if not is_client_id_url(client_id):
        fault = "does not begin with https://"
    elif "#" in client_id:
        fault = "has a fragment"
    elif (path := _path_of(client_id)) in ("", "/"):
        fault = "has no path"
    elif {".", ".."} & {segment.lower().replace("%2e", ".") for segment in path.split("/")}:
        fault = "has a . or .. in its path"
    if fault is not None:
        raise ConfigurationError(
            f"client_id {fault}, so it is not the URL of a client ID metadata document: {quoted(client_id)}",
            parameter="client_id",
            remedy="pass a URL such as https://app.example.com/oauth/client.json, where the document is",
        )
    endpoint_origin(client_id, "client_id")


def check_own_redirect_uri(redirect_uri: str | None, metadata: ClientMetadata) -> None:
    """Raises `ConfigurationError` if the metadata lists redirect URIs, and this is not one of them."""
    if redirect_uri is not None and metadata.redirect_uris and not accepts(metadata.redirect_uris, redirect_uri):
        raise ConfigurationError(
            f"redirect_uri {quoted(redirect_uri)} is not one of the redirect_uris of client_metadata",
            parameter="redirect_uri",
            remedy="add it there, or leave redirect_uris out",
        )


def _path_of(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _check_text(value: Any, name: str) -> None:
    if value is not None and not _is_usable(value):
        raise ConfigurationError(
            f"{name} must be None, or a printable string of at most {_LONGEST} characters, not {quoted(value)}",
            parameter=name,
            remedy="correct it, or leave it out",
        )


def _check_url(value: Any, name: str) -> None:
    if value is not None:
        endpoint_origin(value, name)


def _checked_list(value: Any, name: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigurationError(
            f"{name} must be a sequence of strings, not {kind_of(value)}",
            parameter=name,
            remedy="pass a list of strings",
        )
    listed = tuple(cast("Iterable[object]", value))
    checked = tuple(each for each in listed if _is_usable(each))
    wrong = next((each for each in listed if not _is_usable(each)), None)
    if len(checked) < len(listed):
        raise ConfigurationError(
            f"{name} must have printable strings of at most {_LONGEST} characters, not {quoted(wrong)}",
            parameter=name,
            remedy="correct it, or leave it out",
        )
    if len(checked) > _MOST_VALUES:
        raise ConfigurationError(
            f"{name} has {len(checked)} values, and {_MOST_VALUES} are allowed",
            parameter=name,
            remedy="leave some out",
        )
    return checked


def _is_usable(value: object) -> TypeGuard[str]:
    return is_text(value) and value.strip() != "" and value.isprintable() and len(value) <= _LONGEST
