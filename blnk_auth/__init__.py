"""blnk_auth: an auth plug-in for requests, httpx and httpx2 that renews OAuth 2.0 tokens exactly once.

Importing this package imports no HTTP client, no store and no authlib: each public name is loaded when it is first
used (PEP 562).
"""

from __future__ import annotations

import importlib

from ._version import __version__

# As type checkers know it, without `typing`, whose import takes longer than this package's.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from .assertion import Signer
    from .authorization import AuthorizationRequest
    from .client import OAuthClient
    from .device import DeviceAuthorization
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
    from .stores.encrypted import EncryptedStore
    from .stores.file import FileStore
    from .stores.key_value import KeyValueStore
    from .stores.keyring import KeyringStore
    from .stores.memory import MemoryStore
    from .stores.redis import RedisStore
    from .stores.sql import SQLStore
    from .stores.sqlite import SQLiteStore
    from .token import Token

__all__ = [
    "AuthorizationRequest",
    "BLink",
    "BlnkAuthError",
    "BlnkCloud",
    "ConfigurationError",
    "DeviceAuthorization",
    "EncryptedStore",
    "Event",
    "FileStore",
    "Flinks",
    "Httpx2Auth",
    "HttpxAuth",
    "KeyValueStore",
    "KeyringStore",
    "MemoryStore",
    "OAuthClient",
    "ProtocolError",
    "Provider",
    "RedisStore",
    "RenewalPolicy",
    "RequestsAuth",
    "SQLStore",
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
    "DeviceAuthorization": "device",
    "EncryptedStore": "stores.encrypted",
    "Event": "events",
    "FileStore": "stores.file",
    "Flinks": "providers.flinks",
    "Httpx2Auth": "shells.httpx2",
    "HttpxAuth": "shells.httpx",
    "KeyValueStore": "stores.key_value",
    "KeyringStore": "stores.keyring",
    "MemoryStore": "stores.memory",
    "OAuthClient": "client",
    "ProtocolError": "errors",
    "Provider": "provider",
    "RedisStore": "stores.redis",
    "RenewalPolicy": "policy",
    "RequestsAuth": "shells.requests",
    "SQLStore": "stores.sql",
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


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
