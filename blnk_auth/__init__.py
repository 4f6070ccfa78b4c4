"""blnk_auth: an auth plug-in for requests, httpx and httpx2 that renews OAuth 2.0 tokens exactly once.

Importing this package imports no HTTP client, no store and no authlib: each public name is loaded when it is first
used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .assertion import Signer
    from .authorization import AuthorizationRequest
    from .client import OAuthClient
    from .errors import (
        BlnkAuthError,
        ConfigurationError,
        ProtocolError,
        SignInRequired,
        StoreError,
        TemporarilyUnavailable,
    )
    from .events import Event
    from .policy import RenewalPolicy
    from .provider import Provider
    from .providers.blink import BLink
    from .providers.blnk_cloud import BlnkCloud
    from .providers.flinks import Flinks
    from .shells.httpx import HttpxAuth
    from .shells.httpx2 import Httpx2Auth
    from .shells.requests import RequestsAuth
    from .source import StaticToken, TokenSource
    from .stores.base import TokenStore
    from .stores.memory import MemoryStore
    from .stores.sqlite import SQLiteStore
    from .token import Token

__all__ = [
    "AuthorizationRequest",
    "BLink",
    "BlnkAuthError",
    "BlnkCloud",
    "ConfigurationError",
    "Event",
    "Flinks",
    "Httpx2Auth",
    "HttpxAuth",
    "MemoryStore",
    "OAuthClient",
    "ProtocolError",
    "Provider",
    "RenewalPolicy",
    "RequestsAuth",
    "SQLiteStore",
    "SignInRequired",
    "Signer",
    "StaticToken",
    "StoreError",
    "TemporarilyUnavailable",
    "Token",
    "TokenSource",
    "TokenStore",
    "__version__",
]

_HOME = {
    "AuthorizationRequest": "authorization",
    "BLink": "providers.blink",
    "BlnkAuthError": "errors",
    "BlnkCloud": "providers.blnk_cloud",
    "ConfigurationError": "errors",
    "Event": "events",
    "Flinks": "providers.flinks",
    "Httpx2Auth": "shells.httpx2",
    "HttpxAuth": "shells.httpx",
    "MemoryStore": "stores.memory",
    "OAuthClient": "client",
    "ProtocolError": "errors",
    "Provider": "provider",
    "RenewalPolicy": "policy",
    "RequestsAuth": "shells.requests",
    "SQLiteStore": "stores.sqlite",
    "SignInRequired": "errors",
    "Signer": "assertion",
    "StaticToken": "source",
    "StoreError": "errors",
    "TemporarilyUnavailable": "errors",
    "Token": "token",
    "TokenSource": "source",
    "TokenStore": "stores.base",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
