"""Asking an authorization server where its endpoints are: RFC 8414, else OpenID Connect Discovery.

What a document says is believed only if its `issuer` is, to the letter, the one that was asked for: whoever could
answer for another issuer could have codes and secrets sent to himself (RFC 8414 section 3.3). A document is kept for an
hour; answers are capped and deadlines are those of a token request.
"""

from __future__ import annotations

import importlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from .._transport.network import Network, transport_for
from ..errors import ConfigurationError, ProtocolError, TemporarilyUnavailable
from ..provider import Provider
from .http_messages import HttpRequest, HttpResponse, NoAnswer
from .origins import endpoint_origin

LIFETIME = 3600.0
"""Seconds for which a document is kept."""

_MOST_KEPT = 64


class Documents:
    """The documents of the last hour, by issuer. Thread-safe; bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._documents: OrderedDict[str, tuple[float, Mapping[str, Any]]] = OrderedDict()

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


_kept = Documents()


def discover(issuer: str, network: Network, settings: Mapping[str, Any]) -> Provider:
    """The provider that `issuer` describes, with `settings` in place of what it says."""
    _check_issuer(issuer)
    now = time.monotonic()
    document = _kept.get(issuer, now)
    if document is None:
        document = _fetch(issuer, network)
        _kept.put(issuer, now, document)
    return provider_of(document, has_certificate=network.cert is not None, settings=settings)


def provider_of(document: Mapping[str, Any], *, has_certificate: bool, settings: Mapping[str, Any]) -> Provider:
    """The provider in a metadata document (RFC 8414 section 2). Raises `ConfigurationError` if it cannot be one."""
    issuer = str(document["issuer"])
    aliases = document.get("mtls_endpoint_aliases")
    if has_certificate and isinstance(aliases, Mapping):
        # RFC 8705 section 5: where the certificate is asked for.
        document = {**document, **cast("Mapping[str, Any]", aliases)}
    token_endpoint = document.get("token_endpoint")
    if not isinstance(token_endpoint, str):
        raise ConfigurationError(
            f"issuer: the metadata of {issuer!r} names no token_endpoint",
            parameter="issuer",
            remedy="build a Provider by hand",
        )
    methods = _strings(document.get("token_endpoint_auth_methods_supported")) or ("client_secret_basic",)
    challenges = _strings(document.get("code_challenge_methods_supported"))
    found: dict[str, Any] = {
        "name": urlsplit(issuer).hostname or issuer,
        "issuer": issuer,
        "token_endpoint": token_endpoint,
        "sends_iss": document.get("authorization_response_iss_parameter_supported") is True,
        "authorization_endpoint": document.get("authorization_endpoint"),
        "revocation_endpoint": document.get("revocation_endpoint"),
        "device_authorization_endpoint": document.get("device_authorization_endpoint"),
        "api_origins": (str(endpoint_origin(issuer, "issuer")),),
        "grants": _grants(_strings(document.get("grant_types_supported"))),
        "assertion_algorithms": _strings(document.get("token_endpoint_auth_signing_alg_values_supported")),
        # A method that the caller names needs no choosing.
        "client_auth_supported": () if "client_auth" in settings else methods,
        # A server that does not list the methods ignores a challenge that it does not know.
        "pkce": not challenges or "S256" in challenges,
    }
    return Provider(**{**found, **settings})


def _fetch(issuer: str, network: Network) -> Mapping[str, Any]:
    failures: list[str] = []
    for url in _well_known(issuer):
        response = _get(url, network)
        document = _document(response)
        if document is None:
            failures.append(f"{url} answered {response.status_code} without a metadata document")
            continue
        if document.get("issuer") != issuer:
            raise ConfigurationError(
                f"issuer: {url} speaks for another issuer than {issuer!r}",
                parameter="issuer",
                remedy="write it exactly as the provider does, with or without the slash at its end",
            )
        return document
    raise ProtocolError(f"issuer: nothing found ({'; '.join(failures)})", remedy="is it the right URL?")


def _get(url: str, network: Network) -> HttpResponse:
    request = HttpRequest("GET", url, {"Accept": "application/json"}, b"")
    try:
        response = transport_for(None, network).send(request)
    except NoAnswer as failure:
        why = str(failure)
    else:
        if response.status_code < 500 and response.status_code != 429:
            return response
        why = f"status {response.status_code}"
    raise TemporarilyUnavailable(f"issuer: {url} gave no answer ({why})", remedy="try again later")


def _document(response: HttpResponse) -> Mapping[str, Any] | None:
    if response.status_code != 200:
        return None
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", document) if isinstance(document, dict) else None


def _well_known(issuer: str) -> tuple[str, ...]:
    rfc8414 = importlib.import_module("authlib.oauth2.rfc8414")
    return (
        str(rfc8414.get_well_known_url(issuer, external=True)),
        issuer.rstrip("/") + "/.well-known/openid-configuration",
    )


def _check_issuer(issuer: str) -> None:
    endpoint_origin(issuer, "issuer")
    parts = urlsplit(issuer)
    if parts.query or parts.fragment:
        raise ConfigurationError("issuer must have no query and no fragment (RFC 8414 section 2)", parameter="issuer")


def _grants(listed: Sequence[str]) -> tuple[str, ...]:
    ours = ("authorization_code", "refresh_token", "client_credentials")
    # Many servers that issue refresh tokens do not list the grant; RFC 8414's default does not either.
    return tuple(grant for grant in ours if grant in (*(listed or ("authorization_code",)), "refresh_token"))


def _strings(value: Any) -> tuple[str, ...]:
    return (
        tuple(item for item in cast("Sequence[Any]", value) if isinstance(item, str)) if isinstance(value, list) else ()
    )
