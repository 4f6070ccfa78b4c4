"""Finds the endpoints of an authorization server: by RFC 8414 metadata, else by OpenID Connect Discovery.

Used by `Provider.discover`, which makes a provider from the settings that are returned, and by the sandbox, whose
address another sandbox may have had. It promises to accept a document only if its `issuer` is exactly the one that was
asked for. Otherwise a server could publish metadata for another issuer, and have codes and secrets sent to itself
(RFC 8414 section 3.3). It never follows a redirect, and keeps a document for an hour.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from ..errors import ConfigurationError, ProtocolError, TemporarilyUnavailable
from ..stores._forks import reset_in_child
from .documents import read_json_object
from .exchange_log import log_exchange
from .http_messages import HttpRequest, HttpResponse, NoResponse
from .origins import endpoint_origin
from .setting_checks import ENDPOINTS

Send = Callable[[HttpRequest], HttpResponse]
"""Sends one request. Raises `NoResponse` if no response came."""

LIFETIME = 3600.0
"""Seconds for which a document is kept."""

_MOST_KEPT = 64

_WELL_KNOWN = "/.well-known/"


class Documents:
    """The documents of the last hour, by issuer. Thread-safe; at most 64."""

    def __init__(self) -> None:
        self._lock: threading.Lock = threading.Lock()
        self._documents: OrderedDict[str, tuple[float, Mapping[str, Any]]] = OrderedDict()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Called in the child of a fork: another thread of the parent may have had the lock."""
        self._lock = threading.Lock()

    def get(self, issuer: str, now: float) -> Mapping[str, Any] | None:
        with self._lock:
            kept_at, document = self._documents.get(issuer, (0.0, None))
            return document if 0 <= now - kept_at < LIFETIME else None

    def put(self, issuer: str, now: float, document: Mapping[str, Any]) -> None:
        with self._lock:
            self._documents[issuer] = now, document
            self._documents.move_to_end(issuer)
            while len(self._documents) > _MOST_KEPT:
                self._documents.popitem(last=False)

    def forget(self, issuer: str) -> None:
        with self._lock:
            self._documents.pop(issuer, None)


_kept = Documents()


def forget(issuer: str) -> None:
    """Forget what is kept of `issuer`: another server has its address now, as a sandbox that has just started."""
    _kept.forget(issuer)


def discover(issuer: str, send: Send) -> dict[str, Any]:
    """The settings of a `Provider` that the server at `issuer` describes.

    Args:
        issuer: The issuer's URL, exactly as its metadata has it.
        send: Sends a request; called twice at most, and not at all within an hour of the last document.

    Raises:
        ConfigurationError: `issuer` is not a URL that may be asked, the document belongs to another issuer, or it has
            no usable token endpoint.
        ProtocolError: The server publishes no metadata at either place.
        TemporarilyUnavailable: No response came, or status 429 or 5xx.
    """
    _check_issuer(issuer)
    now = time.monotonic()
    document = _kept.get(issuer, now)
    if document is None:
        document = _fetch(issuer, send)
        _kept.put(issuer, now, document)
    return settings_in(document)


def settings_in(document: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a `Provider` in a metadata document (RFC 8414 section 2).

    `grant_types_supported` is not among them: it is optional, its default lists neither refresh tokens nor client
    credentials, and many servers that support these do not list them. The server's own answer is what counts.

    Raises:
        ConfigurationError: The document has no token endpoint.
    """
    issuer = str(document["issuer"])
    token_endpoint = document.get("token_endpoint")
    if not isinstance(token_endpoint, str):
        raise ConfigurationError(
            f"the metadata of {issuer!r} has no token_endpoint",
            parameter="issuer",
            remedy="describe the provider by its endpoints",
        )
    challenges = _strings(document.get("code_challenge_methods_supported"))
    return {
        "name": urlsplit(issuer).hostname or issuer,
        "issuer": issuer,
        "token_endpoint": token_endpoint,
        "sends_iss": document.get("authorization_response_iss_parameter_supported") is True,
        "authorization_endpoint": document.get("authorization_endpoint"),
        "revocation_endpoint": document.get("revocation_endpoint"),
        "device_authorization_endpoint": document.get("device_authorization_endpoint"),
        "pushed_authorization_request_endpoint": document.get("pushed_authorization_request_endpoint"),
        "requires_pushed_authorization_requests": document.get("require_pushed_authorization_requests") is True,
        "mtls_endpoint_aliases": _aliases(document.get("mtls_endpoint_aliases")),
        "api_origins": (str(endpoint_origin(issuer, "issuer")),),
        "assertion_algorithms": _strings(document.get("token_endpoint_auth_signing_alg_values_supported")),
        "authorization_details_types": _strings(document.get("authorization_details_types_supported")),
        "grant_management_actions": _strings(document.get("grant_management_actions_supported")),
        "dpop_algorithms": _strings(document.get("dpop_signing_alg_values_supported")),
        "client_auth_supported": _strings(document.get("token_endpoint_auth_methods_supported"))
        # RFC 8414 section 2: the default of a server that does not list its methods.
        or ("client_secret_basic",),
        # If a server does not list its challenge methods, PKCE is used: a server without it ignores the challenge.
        "pkce": not challenges or "S256" in challenges,
    }


def merged_settings(found: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the metadata, with those that the caller gives in their place."""
    settings = dict(found)
    # An endpoint that the caller names is used by every client, also by one with a certificate.
    aliases = settings["mtls_endpoint_aliases"]
    settings["mtls_endpoint_aliases"] = {name: url for name, url in aliases.items() if name not in given}
    if "client_auth" in given:
        # A method that the caller names needs no choosing.
        settings["client_auth_supported"] = ()
    return settings | dict(given)


def _fetch(issuer: str, send: Send) -> Mapping[str, Any]:
    failures: list[str] = []
    for url in _well_known(issuer):
        response = _get(url, send)
        document = _document(response)
        if document is None:
            failures.append(f"{url} answered {response.status_code} without a metadata document")
            continue
        _check_same_issuer(document.get("issuer"), issuer, url)
        return document
    raise ProtocolError(
        f"the issuer {issuer!r} publishes no metadata ({'; '.join(failures)})",
        parameter="issuer",
        remedy="check the URL, or describe the provider by its endpoints",
    )


def _check_same_issuer(named: Any, issuer: str, url: str) -> None:
    if named != issuer:
        found = repr(named[:200]) if isinstance(named, str) else "none"
        raise ConfigurationError(
            f"the metadata at {url} belongs to another issuer: {found}, not {issuer!r}",
            parameter="issuer",
            remedy="write the issuer exactly as the provider does, with or without the slash at its end",
        )


def _get(url: str, send: Send) -> HttpResponse:
    request = HttpRequest("GET", url, {"Accept": "application/json"}, b"")
    try:
        response = log_exchange(send, request, secrets=(), monotonic=time.monotonic)
    except NoResponse as failure:
        why = failure.problem
    else:
        if response.status_code < 500 and response.status_code != 429:
            return response
        why = f"status {response.status_code}"
    remedy = "check the host and the port, and that the server runs; if it does, try again later"
    raise TemporarilyUnavailable(f"{url} sent no metadata ({why})", parameter="issuer", remedy=remedy)


def _document(response: HttpResponse) -> Mapping[str, Any] | None:
    return read_json_object(response.body) if response.status_code == 200 else None


def _well_known(issuer: str) -> tuple[str, str]:
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return (
        f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}",
        issuer.rstrip("/") + "/.well-known/openid-configuration",
    )


def _check_issuer(issuer: str) -> None:
    endpoint_origin(issuer, "issuer")
    parts = urlsplit(issuer)
    if parts.query or parts.fragment:
        raise ConfigurationError(
            "issuer has a query or a fragment (RFC 8414 section 2 allows none)",
            parameter="issuer",
            remedy="remove what follows the path",
        )
    if _WELL_KNOWN in parts.path:
        raise ConfigurationError(
            "issuer must be the issuer's own URL, not that of its metadata",
            parameter="issuer",
            remedy=f"leave {_WELL_KNOWN} and what follows it out",
        )


def _aliases(listed: Any) -> dict[str, str]:
    if not isinstance(listed, Mapping):
        return {}
    aliases = cast("Mapping[str, Any]", listed)
    return {name: url for name in ENDPOINTS if isinstance(url := aliases.get(name), str)}


def _strings(value: Any) -> tuple[str, ...]:
    listed = cast("Sequence[Any]", value) if isinstance(value, list) else ()
    return tuple(item for item in listed if isinstance(item, str))
